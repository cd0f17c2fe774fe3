//! Which algorithm computes each convolution: by a model of costs, or by measurements that are kept in a file.
//!
//! What `torch.backends.cudnn.benchmark` finds out anew in each process is part of the sources here: a **tuning lock file** holds the fastest algorithm of
//! every convolution, with all measurements, for each machine that has timed it. It is JSON for people to review, belongs into version control, and makes a
//! build the same wherever it runs. All of Kiln's algorithms are deterministic, so `torch.use_deterministic_algorithms(True)` has no counterpart:
//! measurements choose between programs of which each gives the same bits on every run.

mod lock;
mod measure;

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_codegen_cpu as cpu;
use kiln_ir::DType;
use kiln_passes::pipeline::{self, Request};
use kiln_passes::select_algorithm::Selection;
use kiln_runtime::Pool;

use crate::Error;
use lock::{Entry, Lock};

/// How the algorithms of convolutions are chosen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Tuning {
    /// By a model of costs: the same choice everywhere, and no time is spent.
    #[default]
    Heuristic,
    /// By the measurements in this lock file. What it lacks for this machine is timed now and written to it.
    Benchmark(PathBuf),
    /// By the measurements in this lock file. What it lacks is an error, nothing is timed, and the file is not written.
    Locked(PathBuf),
}

impl Tuning {
    /// The request with the algorithms of this choice.
    pub(crate) fn applied(&self, request: Request, options: cpu::Options) -> Result<Request, Error> {
        // Values that are looked at are computed as the user has written them, and other selections leave no choice.
        if request.selection != Selection::Heuristic || request.detect_anomaly {
            return Ok(request);
        }
        let (path, may_measure) = match self {
            Tuning::Heuristic => return Ok(request),
            Tuning::Benchmark(path) => (path, true),
            Tuning::Locked(path) => (path, false),
        };
        let here = lock::machine(Pool::from_environment()?.threads(), options.cpu);
        let held = Lock::read(path, &here)?;
        let is_there = held.is_some();
        let mut lock = held.unwrap_or_else(|| Lock::new(&here));
        let dtype = request.autocast.unwrap_or(DType::F32);
        let (mut winners, mut is_new) = (BTreeMap::new(), false);
        for problem in pipeline::problems(&request)? {
            let key = format!("{dtype} {problem}");
            let winner = match lock.winner(path, &key)? {
                Some(winner) => winner,
                // A model without a choice needs no file, and --benchmark writes none for it.
                None if !may_measure && !is_there => return Err(lock::absent(path)),
                None if !may_measure => return Err(lock.missing(path, &key)),
                None => {
                    is_new = true;
                    lock.insert(&key, Entry::of(&measure::candidates(&problem, request.autocast, options)?))
                }
            };
            winners.insert(problem, winner);
        }
        if is_new {
            lock.write(path)?;
        }
        Ok(Request { selection: Selection::Tuned(winners), ..request })
    }
}
