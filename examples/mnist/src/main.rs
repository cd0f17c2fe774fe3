//! Trains LeNet-5 on MNIST. The model is compiled by `build.rs`; this binary holds its kernels, the runtime, and no compiler.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use kiln::runtime::data::{DataLoader, mnist};
use kiln::runtime::{Fit, peak_resident_bytes, stop};

kiln::include_compiled!("lenet");

const IMAGE_SIZE: [usize; 2] = [28, 28];

const USAGE: &str = "usage: mnist --data DIR [--epochs N] [--steps N] [--seed N] [--checkpoint FILE] [--resume FILE]

Trains LeNet-5 on the IDX files in DIR (train-images-idx3-ubyte.gz and so on; with the t10k files alone, on the first 85 %).";

struct Arguments {
    data: PathBuf,
    fit: Fit,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Arguments { data, mut fit }: Arguments) -> Result<(), Box<dyn Error>> {
    let images = mnist::load(&data)?;
    for part in images.train.iter().chain(&images.test) {
        if part.image_size() != IMAGE_SIZE {
            let [height, width] = part.image_size();
            return Err(
                format!("`{}` holds images of {height}x{width} pixels: LeNet takes 28x28", data.display()).into()
            );
        }
    }
    let (train, test) = images.normalized().train_test()?;
    let train = DataLoader::new(train).batch_size(64).shuffle(true).seed(fit.seed);
    let test = DataLoader::new(test).batch_size(64);
    let mut trainer = lenet::Trainer::new(fit.seed)?;
    fit.labels = Some("y");
    fit.stop = Some(stop::on_interrupt());
    let fitted = trainer.fit(&train, Some(&test), &fit)?;

    let rate = fitted.samples as f64 / fitted.train_time.as_secs_f64().max(f64::MIN_POSITIVE);
    println!("trained {} steps, {} samples, {rate:.0} samples/s", fitted.steps, fitted.samples);
    println!("{}", trainer.memory_report());
    if let Some(bytes) = peak_resident_bytes() {
        println!("{:<20} {:>12.1} KiB", "resident peak", bytes as f64 / 1024.0);
    }
    match (fitted.interrupted, &fit.checkpoint) {
        (true, Some(path)) => println!("stopped; go on with --resume {}", path.display()),
        (true, None) => println!("stopped; nothing was saved, as there is no --checkpoint"),
        (false, _) => {}
    }
    if let Some(accuracy) = fitted.evaluation.and_then(|evaluation| evaluation.accuracy) {
        println!("test accuracy {:.2} %", accuracy * 100.0);
    }
    Ok(())
}

/// `None` asks for help.
fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut data = None;
    let mut fit = Fit { epochs: 10, seed: 1, ..Fit::default() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("data") => data = Some(PathBuf::from(parser.value()?)),
            Long("epochs") => fit.epochs = parser.value()?.parse()?,
            Long("steps") => fit.max_steps = Some(parser.value()?.parse()?),
            Long("seed") => fit.seed = parser.value()?.parse()?,
            Long("checkpoint") => fit.checkpoint = Some(parser.value()?.into()),
            Long("resume") => fit.resume = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    let data = data.ok_or("--data DIR is missing: the folder with the IDX files")?;
    Ok(Some(Arguments { data, fit }))
}
