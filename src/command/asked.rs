//! What every verb may be told about the program: its memory, and how algorithms are chosen.

use std::path::PathBuf;

use clap::Args;
use kiln_ir::{Bytes, PeakMemory, Place};
use kiln_passes::pipeline::Request;

use crate::{Compiler, Error, Tuning};

#[derive(Args)]
pub(super) struct Asked {
    /// The most memory that the program may use, as in "512 MiB"; what does not fit is computed again instead of kept.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    peak_memory: Option<Bytes>,
    /// Take the fastest algorithm of each convolution; those that the tuning lock file lacks are timed and written to it.
    #[arg(long, group = "tuned")]
    benchmark: bool,
    /// As --benchmark, but what the tuning lock file lacks is an error.
    #[arg(long, group = "tuned")]
    locked: bool,
    /// The tuning lock file.
    #[arg(long, value_name = "FILE", default_value = "kiln-tuning.json", requires = "tuned")]
    tuning: PathBuf,
}

impl Asked {
    fn tuning(&self) -> Tuning {
        match (self.benchmark, self.locked) {
            (true, _) => Tuning::Benchmark(self.tuning.clone()),
            (_, true) => Tuning::Locked(self.tuning.clone()),
            _ => Tuning::Heuristic,
        }
    }

    /// The budget, which no line of a source has.
    fn promise(&self) -> Option<PeakMemory> {
        self.peak_memory.map(|limit| PeakMemory { limit, place: Place::NONE })
    }

    /// A compiler that does what is asked.
    pub(super) fn compiler(&self) -> Compiler {
        Compiler::new().promising(self.promise()).tuning(self.tuning())
    }

    /// The request with all that is asked. Of two budgets the stricter one counts.
    pub(super) fn of(&self, request: Request) -> Result<Request, Error> {
        let peak_memory = PeakMemory::stricter(self.promise(), request.peak_memory.clone());
        self.tuning().applied(Request { peak_memory, ..request }, kiln_codegen_cpu::Options::default())
    }
}

/// For the argument's parser, which names the argument and what was found.
fn bytes(text: &str) -> Result<Bytes, String> {
    text.parse().map_err(|fault: kiln_ir::Diagnostic| fault.message)
}
