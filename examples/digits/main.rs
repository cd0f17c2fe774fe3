//! Trains a small residual network on 1,797 real images of digits, compiled in this process: the README's first command.

use std::error::Error;
use std::process::ExitCode;

use kiln::runtime::data::{DataLoader, digits};
use kiln::runtime::{Fit, Trainer, peak_resident_bytes};

mod model;

const EPOCHS: u64 = 12;
const SEED: u64 = 7;
const CHECKPOINT: &str = "digits.safetensors";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let compiler = kiln::Compiler::new().seed(SEED);
    let mut trainer: Trainer = compiler.jit(&model::digits()).map_err(|error| error.render())?;

    let (train, test) = digits::split();
    let train = DataLoader::new(train).batch_size(32).shuffle(true).seed(SEED);
    let test = DataLoader::new(test).batch_size(32);
    let fit = Fit {
        epochs: EPOCHS,
        checkpoint: Some(CHECKPOINT.into()),
        seed: SEED,
        stop: Some(kiln::runtime::stop::on_interrupt()),
        labels: Some("y"),
        ..Fit::default()
    };
    let fitted = trainer.fit(&train, Some(&test), &fit)?;

    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "trained on {} samples, {:.0} samples/s",
        fitted.samples,
        fitted.samples as f64 / fitted.train_time.as_secs_f64()
    );
    println!(
        "memory planned {:.1} MB, used by the process {:.1} MB",
        megabytes(trainer.memory_report().total_bytes()),
        megabytes(peak_resident_bytes().unwrap_or(0))
    );
    println!("checkpoint {CHECKPOINT}");
    if let Some(accuracy) = fitted.evaluation.and_then(|evaluation| evaluation.accuracy) {
        println!("test accuracy {:.2} %", accuracy * 100.0);
    }
    Ok(())
}
