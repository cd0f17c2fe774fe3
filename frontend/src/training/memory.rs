//! What a training and its model promise about memory.

use kiln_ir::{Bytes, Diagnostic, PeakMemory, Place};

use super::Training;
use crate::{Module, apply};

impl<M: Module> Training<M> {
    /// The strictest of the training's promise and those of its modules, or every one that is no amount of memory.
    pub(super) fn promised(&self) -> Result<Option<PeakMemory>, Vec<Diagnostic>> {
        let mut promises: Vec<(String, Place)> = self.peak_memory.iter().cloned().collect();
        apply(&self.model, &mut |path, module| {
            let promise = module.peak_memory();
            promises.extend(promise.map(|(text, line)| (text.to_owned(), Place::of(line, path))));
        });
        let (mut strictest, mut faults) = (None, Vec::new());
        for (text, place) in promises {
            match text.parse::<Bytes>() {
                Ok(limit) => strictest = PeakMemory::stricter(strictest, Some(PeakMemory { limit, place })),
                Err(fault) => faults.push(fault.at(place)),
            }
        }
        // A module that stands in several places says the same in each.
        faults
            .dedup_by(|a, b| a.message == b.message && (a.place.line, &a.place.file) == (b.place.line, &b.place.file));
        if faults.is_empty() { Ok(strictest) } else { Err(faults) }
    }
}
