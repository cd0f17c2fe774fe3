//! Times the candidates of a problem, side by side.

use std::sync::Arc;

use kiln_codegen_cpu as cpu;
use kiln_ir::{DType, Role};
use kiln_passes::pipeline::{self, Request};
use kiln_passes::select_algorithm::{Algorithm, Problem, Selection};
use kiln_runtime::{Input, Pool, Session};

use crate::Error;

/// Runs of each candidate whose median counts, after one that does not.
const ROUNDS: usize = 7;
/// The seed of weights, which no time depends on.
const SEED: u64 = 0;

/// A candidate, compiled.
struct Candidate {
    algorithm: Algorithm,
    session: Session,
    /// Microseconds of each round.
    times: Vec<f64>,
}

/// The microseconds of every candidate.
///
/// They run in turn, so that a machine whose speed varies is slow for all of them. Kernels that only bring the images there and away do not count.
pub(super) fn candidates(
    problem: &Problem,
    autocast: Option<DType>,
    options: cpu::Options,
) -> Result<Vec<(Algorithm, f64)>, Error> {
    let graph = problem.graph();
    let mut candidates = Vec::new();
    for algorithm in Problem::CANDIDATES {
        let selection = Selection::Forced(algorithm);
        let request = Request {
            name: "convolution".to_owned(),
            predict: Some(graph.clone()),
            autocast,
            selection,
            ..Request::default()
        };
        let program = pipeline::run(&request, &mut ())?.expect("nobody stops it");
        let code = cpu::jit(Arc::new(program), options)?;
        let session = Session::with_pool(code.into_runtime_program(), SEED, Pool::from_environment()?)?;
        candidates.push(Candidate { algorithm, session, times: Vec::new() });
    }
    let given = graph.inputs().into_iter().filter(|(_, input)| input.role == Role::Data);
    let data: Vec<Vec<f32>> =
        given.map(|(value, _)| vec![0.5; graph.ty(value).shape.count().at(problem.samples)]).collect();
    let inputs: Vec<Input<'_>> = data.iter().map(|data| Input::F32(data)).collect();
    for round in 0..=ROUNDS {
        for candidate in &mut candidates {
            let launches = candidate.session.run_timed("predict", problem.samples as u64, &inputs)?;
            let own = launches.iter().filter(|launch| !launch.name.starts_with(Problem::AROUND));
            let time_ns: u64 = own.map(|launch| launch.time_ns).sum();
            // The first run meets cold caches and fresh memory.
            if round > 0 {
                candidate.times.push(time_ns as f64 / 1e3);
            }
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    Ok(candidates.into_iter().map(|candidate| (candidate.algorithm, median(candidate.times))).collect())
}
