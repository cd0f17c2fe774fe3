//! Each kernel of a step beside what the machine can do at best.

use kiln_ir::Program;
use kiln_ir::program::Entry;
use kiln_runtime::machine::Peaks;
use kiln_runtime::{Input, Pool, Session};

use crate::Error;

/// One launch of a step, with the median of its times.
pub(super) struct TimedLaunch {
    pub(super) name: String,
    pub(super) place: String,
    pub(super) time_ns: f64,
    is_contraction: bool,
    flops: f64,
    bytes: f64,
}

/// Steps that are timed launch by launch.
const STEPS: usize = 7;

pub(super) fn timed(
    session: &mut Session,
    program: &Program,
    entry: &Entry,
    batch: usize,
    inputs: &[Input<'_>],
) -> Result<Vec<TimedLaunch>, Error> {
    let mut times: Vec<Vec<u64>> = vec![Vec::new(); entry.steps.len()];
    for _ in 0..STEPS {
        let step = session.run_timed(&entry.name, batch as u64, inputs)?;
        for (times, launch) in times.iter_mut().zip(step) {
            times.push(launch.time_ns);
        }
    }
    let launches = entry.steps.iter().zip(times).map(|(launch, mut times)| {
        times.sort_unstable();
        let kernel = program.kernel(launch.kernel);
        let cost = kernel.cost(batch);
        TimedLaunch {
            name: kernel.name.clone(),
            place: launch.place.to_string(),
            time_ns: times[STEPS / 2] as f64,
            is_contraction: !kernel.schedule.contracts.is_empty(),
            flops: cost.flops,
            bytes: cost.bytes,
        }
    });
    Ok(launches.collect())
}

/// The launches, the slowest first.
pub(super) fn table(launches: &[TimedLaunch], threads: usize) -> Result<String, Error> {
    let peaks = Peaks::measure(&mut Pool::new(threads)?)?;
    let step_ns: f64 = launches.iter().map(|launch| launch.time_ns).sum();
    let (gflops, gbytes) = (peaks.flops_per_s / 1e9, peaks.bytes_per_s / 1e9);
    let mut text = format!(
        "\n{threads} threads: at most {gflops:.0} GFLOP/s of multiply-adds, {gbytes:.0} GB/s of memory copied\n\n"
    );
    text += "    us   step     MFLOP      MiB  of FMA  of memory  kernel\n";
    let row = |time_ns: f64, flops: f64, bytes: f64, name: &str| {
        format!(
            "{:>6.0} {:>5.1}% {:>9.2} {:>8.2} {:>6.1}% {:>9.1}%  {name}\n",
            time_ns / 1e3,
            100.0 * time_ns / step_ns,
            flops / 1e6,
            bytes / f64::from(1 << 20),
            100.0 * flops / time_ns / gflops,
            100.0 * bytes / time_ns / gbytes,
        )
    };
    let mut sorted: Vec<&TimedLaunch> = launches.iter().collect();
    sorted.sort_by(|a, b| b.time_ns.total_cmp(&a.time_ns));
    for launch in sorted {
        text += &row(launch.time_ns, launch.flops, launch.bytes, &format!("{} @{}", launch.name, launch.place));
    }
    for (name, kind) in [("all contractions", Some(true)), ("all others", Some(false)), ("the whole step", None)] {
        let members = || launches.iter().filter(|launch| kind.is_none_or(|kind| launch.is_contraction == kind));
        let sum = |of: fn(&TimedLaunch) -> f64| members().map(of).sum::<f64>();
        text +=
            &row(sum(|l| l.time_ns), sum(|l| l.flops), sum(|l| l.bytes), &format!("{name} ({})", members().count()));
    }
    Ok(text)
}
