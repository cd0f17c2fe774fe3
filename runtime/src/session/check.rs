//! Checks a program's tables against each other before anything relies on them.

use std::collections::BTreeSet;

use crate::Error;
use crate::abi::{Element, Init, Program, Slot, SlotKind};

/// Every offset, index and name is what the session takes it for.
///
/// # Errors
///
/// [`Error::MalformedProgram`] with the first contradiction.
pub(super) fn check(program: &Program) -> Result<(), Error> {
    let malformed =
        |part: String, problem| Error::MalformedProgram { program: program.name.to_string(), part, problem };

    let mut names = BTreeSet::new();
    for slot in program.slots.iter() {
        if let Some(problem) = slot_problem(program, slot) {
            return Err(malformed(format!("slot `{}`", slot.name), problem));
        }
        if !names.insert(&slot.name) {
            return Err(malformed(format!("slot `{}`", slot.name), "shares its name with another slot"));
        }
    }
    for (index, constant) in program.constants.iter().enumerate() {
        if !fits(program, constant.offset, constant.bytes.len() as u64) {
            return Err(malformed(format!("constant {index}"), "leaves the arena"));
        }
    }
    let mut names = BTreeSet::new();
    for entry in program.entries.iter() {
        let part = || format!("entry `{}`", entry.name);
        if !names.insert(&entry.name) {
            return Err(malformed(part(), "shares its name with another entry"));
        }
        for (indices, kind) in [(&entry.inputs, SlotKind::Input), (&entry.outputs, SlotKind::Output)] {
            for &index in indices.iter() {
                match program.slots.get(index as usize) {
                    Some(slot) if slot.kind == kind => {}
                    Some(_) => return Err(malformed(part(), "names a slot of the wrong kind")),
                    None => return Err(malformed(part(), "names a slot that does not exist")),
                }
            }
        }
        for step in entry.steps.iter() {
            let part = || format!("step `{}` of entry `{}`", step.name, entry.name);
            if step.grain == 0 {
                return Err(malformed(part(), "has no items in a chunk"));
            }
            if step.buffers.iter().any(|&offset| !fits(program, offset, 0)) {
                return Err(malformed(part(), "has a buffer outside the arena"));
            }
        }
    }
    Ok(())
}

fn slot_problem(program: &Program, slot: &Slot) -> Option<&'static str> {
    let elements = slot.shape.iter().try_fold(1u64, |elements, extent| {
        let factor = if extent.batch { program.storage_batch() } else { 1 };
        elements.checked_mul(extent.fixed)?.checked_mul(factor)
    });
    let size = elements.and_then(|elements| elements.checked_mul(slot.element.size_bytes()));
    if size.is_none_or(|size| !fits(program, slot.offset, size)) {
        return Some("leaves the arena");
    }
    if !slot.offset.is_multiple_of(slot.element.size_bytes()) {
        return Some("is not aligned to its elements");
    }
    if slot.shape.iter().skip(1).any(|extent| extent.batch) {
        return Some("has a batch axis that is not the leading one");
    }
    if slot.kind == SlotKind::Scalar && elements != Some(1) {
        return Some("is a scalar of more or less than one element");
    }
    match slot.init {
        Init::Data(index) => match program.constants.get(index as usize) {
            None => Some("starts from a constant that does not exist"),
            Some(constant) if size != Some(constant.bytes.len() as u64) => {
                Some("starts from a constant of another size")
            }
            Some(_) => None,
        },
        Init::Padded { row, .. } if slot.shape.first().is_none_or(|rows| row >= rows.fixed) => {
            Some("has no row of the number that is to be zeros")
        }
        Init::Seed if !i64::VIEWS.contains(&slot.element) => Some("holds the seed but is not i64"),
        _ => None,
    }
}

/// `size` bytes at `offset` lie in the arena.
fn fits(program: &Program, offset: u64, size: u64) -> bool {
    offset.checked_add(size).is_some_and(|end| end <= program.arena_bytes)
}
