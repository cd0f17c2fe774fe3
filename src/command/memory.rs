//! `--peak-memory`: what the other verbs have in common about the memory budget.

use clap::Args;
use kiln_ir::{Bytes, PeakMemory, Place};
use kiln_passes::pipeline::Request;

#[derive(Args)]
pub(super) struct Memory {
    /// The most memory that the program may use, as in "512 MiB"; what does not fit is computed again instead of kept.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    peak_memory: Option<Bytes>,
}

impl Memory {
    /// The budget, which no line of a source has.
    pub(super) fn promise(&self) -> Option<PeakMemory> {
        self.peak_memory.map(|limit| PeakMemory { limit, place: Place::NONE })
    }

    /// The request with this budget, unless its model has a stricter one.
    pub(super) fn of(&self, request: Request) -> Request {
        Request { peak_memory: PeakMemory::stricter(self.promise(), request.peak_memory.clone()), ..request }
    }
}

/// For the argument's parser, which names the argument and what was found.
fn bytes(text: &str) -> Result<Bytes, String> {
    text.parse().map_err(|fault: kiln_ir::Diagnostic| fault.message)
}
