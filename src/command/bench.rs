//! `kiln bench`: times whole training steps (forward, loss, backward, update) on synthetic data that is drawn once.

mod roofline;
mod trace;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use kiln_frontend::Code;
use kiln_ir::program::Entry;
use kiln_ir::{DType, Graph, Program};
use kiln_runtime::philox::Philox4x32;
use kiln_runtime::{Input, Pool, Session, peak_resident_bytes};
use serde::Serialize;

use super::{Draw, Model, mistake, names};
use crate::compiler::Compiled;
use crate::{Error, Selection, Traced};

#[derive(Args)]
pub(super) struct Options {
    /// A model's name.
    workload: String,
    /// Threads; as many as KILN_THREADS says or as there are processors if nothing is said.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
    /// Samples of a step, for which the program is made; the model's bound if nothing is said.
    #[arg(long)]
    batch: Option<usize>,
    /// How long to repeat the step.
    #[arg(long, value_name = "SECONDS", default_value = "6", value_parser = duration)]
    seconds: Duration,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    /// List each kernel with its work, its time, and its share of what the machine can do.
    #[arg(long, conflicts_with = "json")]
    roofline: bool,
    /// Write the launches of one step as a trace for Chrome or Perfetto.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Compute matrix products and convolutions in bf16, with sums in f32.
    #[arg(long)]
    amp: bool,
    /// Leave out algorithms that round otherwise than the sums of the ops, as Winograd's convolutions do.
    #[arg(long, conflicts_with = "tuned")]
    exact: bool,
    /// Time a program whose every value is looked at.
    #[arg(long)]
    detect_anomaly: bool,
    #[command(flatten)]
    asked: super::asked::Asked,
}

/// What was measured, under the names of the PyTorch side.
#[derive(Serialize)]
struct Measured {
    workload: String,
    peer: &'static str,
    batch: usize,
    threads: usize,
    samples_per_s: f64,
    step_ms: f64,
    steps: usize,
    time_to_first_step_s: f64,
    compile_ms: f64,
    arena_mib: usize,
    peak_rss_mib: u64,
    version: &'static str,
    losses: Vec<f64>,
}

fn graphs(traced: &Traced) -> impl Iterator<Item = &Graph> {
    [&traced.train, &traced.eval, &traced.predict].into_iter().flatten()
}

/// The same for steps of at most so many samples.
fn bounded(mut traced: Traced, batch: usize) -> Traced {
    let graphs = [&mut traced.train, &mut traced.eval, &mut traced.predict].into_iter().flatten();
    graphs.filter(|graph| graph.max_batch.is_some()).for_each(|graph| graph.max_batch = Some(batch));
    traced
}

/// The input data of one step, of one type an input.
enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

/// The steps whose losses are kept; the timed ones come after.
const FIRST_STEPS: usize = 3;

pub(super) fn run(models: &[Model], options: &Options) -> Result<String, Error> {
    let name = &options.workload;
    let Some(model) = models.iter().find(|model| model.name == *name) else {
        let message = format!("there is no workload `{name}`");
        return Err(mistake(Code::UnknownName, message, format!("the workloads are {}", names(models))));
    };
    let start = Instant::now();
    let selection = if options.exact { Selection::Exact } else { Selection::default() };
    let compiler = options.asked.compiler().detect_anomaly(options.detect_anomaly).algorithms(selection);
    let compiler = if options.amp { compiler.autocast(DType::BF16) } else { compiler };
    let traced = (model.trace)().map_err(Error::Model)?;
    let bound = graphs(&traced).filter_map(|graph| graph.max_batch).max().unwrap_or(1);
    let batch = options.batch.unwrap_or(bound);
    if !(1..=bound).contains(&batch) {
        let message = format!("--batch needs a number from 1 to {bound}, the bound of `{name}`: found {batch}");
        return Err(mistake(Code::BadArgument, message, format!("leave it out for {bound}")));
    }
    let compiled = compiler.compile_traced(bounded(traced, batch))?;
    let program = compiled.program.clone();
    let entry = program.entries.iter().find(|entry| entry.name == "train_step").unwrap_or(&program.entries[0]);
    let mut session = session(compiled, &compiler, options.threads)?;
    let compile = start.elapsed();

    let data = data(&program, entry, batch, &model.inputs)?;
    let inputs: Vec<Input<'_>> = data.iter().map(Data::input).collect();
    let mut losses = Vec::new();
    let mut first_step = Duration::ZERO;
    for step in 0..FIRST_STEPS {
        losses.push(one_step(&mut session, entry, batch, &inputs)?);
        if step == 0 {
            first_step = start.elapsed();
        }
    }
    let mut times = Vec::new();
    let end = Instant::now() + options.seconds;
    while Instant::now() < end || times.len() < FIRST_STEPS {
        let begin = Instant::now();
        one_step(&mut session, entry, batch, &inputs)?;
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let measured = Measured {
        workload: name.clone(),
        peer: if options.amp { "kiln-amp" } else { "kiln" },
        batch,
        threads: session.threads(),
        samples_per_s: rounded(batch as f64 / median, 2),
        step_ms: rounded(median * 1e3, 3),
        steps: times.len(),
        time_to_first_step_s: rounded(first_step.as_secs_f64(), 3),
        compile_ms: rounded(compile.as_secs_f64() * 1e3, 1),
        arena_mib: program.arena_bytes >> 20,
        peak_rss_mib: peak_resident_bytes().unwrap_or(0) >> 20,
        version: env!("CARGO_PKG_VERSION"),
        losses: losses.into_iter().map(|loss| rounded(loss, 6)).collect(),
    };
    let mut text = if options.json { measured.json() } else { measured.line() };
    if options.roofline || options.trace.is_some() {
        let launches = roofline::timed(&mut session, &program, entry, batch, &inputs)?;
        if let Some(path) = &options.trace {
            trace::write(path, &launches)?;
        }
        if options.roofline {
            text += &roofline::table(&launches, session.threads())?;
        }
    }
    Ok(text)
}

/// Seconds, for the argument's parser. A year is more than anyone waits, and a clock can still add it.
fn duration(text: &str) -> Result<Duration, String> {
    const YEAR: f64 = 3.2e7;
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.0..=YEAR).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "it needs a number of seconds from 0 on".to_owned())
}

fn session(compiled: Compiled, compiler: &crate::Compiler, threads: Option<u16>) -> Result<Session, Error> {
    let pool = match threads {
        Some(threads) => Pool::new(threads.into())?,
        None => Pool::from_environment()?,
    };
    compiled.session(compiler, pool)
}

fn data(program: &Program, entry: &Entry, batch: usize, draws: &[Draw]) -> Result<Vec<Data>, Error> {
    let mut random = Philox4x32::new(0, 0);
    let draw = |(at, &buffer)| {
        let buffer = program.buffer(buffer);
        let (count, drawn) = (buffer.ty.shape.count().at(batch), draws.get(at).copied());
        match (buffer.ty.dtype, drawn) {
            (DType::F32, None | Some(Draw::Normal)) => Ok(Data::F32((0..count).map(|_| random.normal_f32()).collect())),
            (DType::F32, Some(Draw::Coin)) => Ok(Data::F32((0..count).map(|_| random.below(2) as f32).collect())),
            (DType::I64, Some(Draw::Below(n))) => Ok(Data::I64((0..count).map(|_| random.below(n) as i64).collect())),
            (DType::I64, None) => Ok(Data::I64(vec![0; count])),
            (dtype, _) => {
                let message = format!("`{}` needs values of {dtype}, which a benchmark does not draw", buffer.name);
                Err(mistake(Code::BadArgument, message, "inputs of benchmarks are f32 and i64".to_owned()))
            }
        }
    };
    entry.inputs.iter().enumerate().map(draw).collect()
}

impl Data {
    fn input(&self) -> Input<'_> {
        match self {
            Data::F32(values) => Input::F32(values),
            Data::I64(values) => Input::I64(values),
        }
    }
}

/// The loss; of inference the sum of all results, so that both sides of a comparison do the same.
fn one_step(session: &mut Session, entry: &Entry, batch: usize, inputs: &[Input<'_>]) -> Result<f64, Error> {
    session.run(&entry.name, batch as u64, inputs)?;
    let output = session.entry(&entry.name)?.outputs[0];
    let name = session.program().slots[output as usize].name.clone();
    Ok(session.output_f32(&name)?.iter().map(|&x| f64::from(x)).sum())
}

impl Measured {
    fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings have JSON") + "\n"
    }

    fn line(&self) -> String {
        format!(
            "{}: {} samples/s ({} ms a step of {}, {} threads, median of {}); compiled in {} ms, first step after {} s; \
             arena {} MiB, resident peak {} MiB\n",
            self.workload,
            self.samples_per_s,
            self.step_ms,
            self.batch,
            self.threads,
            self.steps,
            self.compile_ms,
            self.time_to_first_step_s,
            self.arena_mib,
            self.peak_rss_mib,
        )
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
