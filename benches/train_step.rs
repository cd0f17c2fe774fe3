//! Times whole training steps (forward, loss, backward, update) on synthetic data: one line of JSON a workload, with the fields that the
//! PyTorch side prints, and how long the compiler took.
//!
//! `cargo bench --bench train_step -- lenet mlp --seconds 6`; threads by `KILN_THREADS`. `--detect-anomaly` times programs whose every value is looked at.

use std::error::Error;
use std::time::{Duration, Instant};

use kiln::runtime::philox::Philox4x32;
use kiln::runtime::{Input, Trainer, peak_resident_bytes};
use kiln::{Compiler, models};

const BATCH: usize = 64;
const CLASSES: u64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut seconds = 6.0;
    let mut compiler = Compiler::new();
    let mut workloads = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => seconds = arguments.next().ok_or("--seconds needs a number")?.parse()?,
            "--detect-anomaly" => compiler = compiler.detect_anomaly(true),
            // What `cargo bench` adds for harnesses of its own.
            "--bench" => {}
            workload => workloads.push(workload.to_owned()),
        }
    }
    if workloads.is_empty() {
        workloads = vec!["mlp".to_owned(), "lenet".to_owned()];
    }
    for workload in workloads {
        run(&workload, &compiler, Duration::from_secs_f64(seconds))?;
    }
    Ok(())
}

fn run(workload: &str, compiler: &Compiler, duration: Duration) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let (compiled, features) = match workload {
        "mlp" => (compiler.compile(&models::mlp::mlp())?, 784),
        "lenet" => (compiler.compile(&models::lenet::lenet())?, 784),
        "digits" => (compiler.compile(&models::digits::digits())?, 64),
        other => return Err(format!("there is no workload `{other}`: mlp, lenet, digits").into()),
    };
    let batch = compiled.program.max_batch.min(BATCH);
    compiled.object(compiler)?;
    let compile = start.elapsed();
    let mut trainer = compiled.jit(compiler)?;

    let mut random = Philox4x32::new(0, 0);
    let x: Vec<f32> = (0..batch * features).map(|_| random.normal_f32()).collect();
    let y: Vec<i64> = (0..batch).map(|_| random.below(CLASSES) as i64).collect();
    let step = |trainer: &mut Trainer| trainer.train_step(&[Input::F32(&x), Input::I64(&y)]);
    let mut losses = vec![step(&mut trainer)?];
    let first_step = start.elapsed();
    losses.extend([step(&mut trainer)?, step(&mut trainer)?]);

    let mut times = Vec::new();
    let end = Instant::now() + duration;
    while Instant::now() < end || times.len() < 3 {
        let begin = Instant::now();
        step(&mut trainer)?;
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let losses: Vec<String> = losses.iter().map(|loss| format!("{loss:.6}")).collect();
    println!(
        "{{\"workload\": \"{workload}\", \"peer\": \"kiln\", \"batch\": {batch}, \"threads\": {}, \"samples_per_s\": {:.2}, \
         \"step_ms\": {:.3}, \"steps\": {}, \"time_to_first_step_s\": {:.3}, \"compile_ms\": {:.1}, \"peak_rss_mib\": {}, \
         \"version\": \"{}\", \"losses\": [{}]}}",
        trainer.session().threads(),
        batch as f64 / median,
        median * 1e3,
        times.len(),
        first_step.as_secs_f64(),
        compile.as_secs_f64() * 1e3,
        peak_resident_bytes().unwrap_or(0) >> 20,
        env!("CARGO_PKG_VERSION"),
        losses.join(", "),
    );
    if std::env::var_os("KILN_BENCH_STEPS").is_some() {
        let times = trainer.session_mut().run_timed("train_step", batch as u64, &[Input::F32(&x), Input::I64(&y)])?;
        for step in times {
            println!("  {:>9.1} us  {}", step.time_ns as f64 / 1e3, step.name);
        }
    }
    Ok(())
}
