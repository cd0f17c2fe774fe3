//! The rules of programs: buffers lie in the arena and apart while they are in use, and launches fit their kernels and read only
//! what holds a value.
//!
//! A launch may see a buffer in another shape of the same dtype and element count, which is what a reshape is.

use std::collections::BTreeSet;

use super::access::can_share;
use super::{Finding, Report, verify_kernel};
use crate::kernel::Access;
use crate::program::{Buffer, BufferId, Class, Entry, Launch, Program};
use crate::{Code, DType, Dim, Init, Place, TensorId};

/// Offsets are multiples of this many bytes: a cache line, and the widest vector.
const ALIGNMENT: usize = 64;

/// The rules that a program breaks, by line of its text.
pub fn verify_program(program: &Program) -> Vec<Finding> {
    let mut checker = Checker { program, report: Report::new() };
    let first_buffer = 3;
    let mut line = first_buffer + program.buffers.len() as u32;
    for kernel in &program.kernels {
        for finding in verify_kernel(kernel) {
            checker.report.include(line + finding.line - 1, finding.diagnostic);
        }
        line += kernel.to_string().lines().count() as u32;
    }
    let first_entry = line;
    checker.names(first_buffer, first_entry);
    if checker.ids(first_entry) {
        checker.buffers(first_buffer);
        checker.overlaps(first_buffer);
        let mut line = first_entry;
        for (at, entry) in program.entries.iter().enumerate() {
            checker.entry(at, entry, line);
            line += 1 + entry.steps.len() as u32;
        }
    }
    checker.report.finish()
}

struct Checker<'p> {
    program: &'p Program,
    report: Report,
}

impl Checker<'_> {
    fn add(&mut self, line: u32, message: String) {
        self.report.add(line, Code::BadProgram, message, &Place::NONE);
    }

    fn names(&mut self, first_buffer: u32, first_entry: u32) {
        let program = self.program;
        let buffers = program.buffers.iter().zip(first_buffer..).map(|(buffer, line)| ("buffer", &buffer.name, line));
        let kernels = program.kernels.iter().map(|kernel| ("kernel", &kernel.name, 1));
        let entries = program.entries.iter().map(|entry| ("entry", &entry.name, first_entry));
        let mut seen = BTreeSet::new();
        for (kind, name, line) in buffers.chain(kernels).chain(entries) {
            if !seen.insert((kind, name)) {
                let message = format!("names are unique in a program: two of kind {kind} are `{name}`");
                self.report.add(line, Code::DuplicateName, message, &Place::NONE);
            }
        }
    }

    /// Whether every id names something; everything else looks ids up.
    fn ids(&mut self, first_entry: u32) -> bool {
        let program = self.program;
        let known = |id: &BufferId| (id.0 as usize) < program.buffers.len();
        let entry_known = |entry: &Entry| {
            entry.inputs.iter().chain(&entry.outputs).all(known)
                && entry
                    .steps
                    .iter()
                    .all(|step| (step.kernel.0 as usize) < program.kernels.len() && step.buffers.iter().all(known))
        };
        let all_known = program.entries.iter().all(entry_known);
        if !all_known {
            self.add(first_entry, "an entry names buffers and kernels of the program".to_owned());
        }
        all_known
    }

    fn buffers(&mut self, first_line: u32) {
        for (buffer, line) in self.program.buffers.iter().zip(first_line..) {
            if let Err(message) = check_buffer(self.program, buffer) {
                self.add(line, message);
            }
        }
    }

    /// Two buffers share bytes only if they are never in use at once, or if the one is the other updated in place.
    fn overlaps(&mut self, first_line: u32) {
        let program = self.program;
        let end = |buffer: &Buffer| buffer.offset.saturating_add(size_bytes(program, buffer));
        let mut by_offset: Vec<usize> = (0..program.buffers.len()).collect();
        by_offset.sort_by_key(|&at| program.buffers[at].offset);
        for (position, &first) in by_offset.iter().enumerate() {
            for &second in &by_offset[position + 1..] {
                let (a, b) = (&program.buffers[first], &program.buffers[second]);
                if b.offset >= end(a) {
                    break;
                }
                let is_allowed = is_in_place(program, first, second);
                if end(b) > b.offset && in_use_together(a, b) && !is_allowed {
                    let message =
                        format!("buffers in use at once lie apart: `{}` and `{}` share bytes", a.name, b.name);
                    self.add(first_line + first.max(second) as u32, message);
                }
            }
        }
    }

    fn entry(&mut self, at: usize, entry: &Entry, line: u32) {
        let program = self.program;
        let mut written: BTreeSet<BufferId> = entry.inputs.iter().copied().collect();
        for (step, launch) in entry.steps.iter().enumerate() {
            let checked =
                check_launch(program, launch).and_then(|()| check_uses(program, entry, at, step, launch, &written));
            written.extend(outputs(program, launch));
            if let Err(message) = checked {
                self.report.add(line + 1 + step as u32, Code::BadProgram, message, &launch.place);
            }
        }
        for id in &entry.outputs {
            let buffer = program.buffer(*id);
            let lives = buffer.live.is_none_or(|live| live.entry == at && live.last + 1 >= entry.steps.len());
            if !lives || !(written.contains(id) || holds_value(buffer.class)) {
                self.add(line, format!("an output holds a value when the entry ends: `{}` does not", buffer.name));
            }
        }
    }
}

/// Bytes at the greatest batch; without end where they cannot be counted.
fn size_bytes(program: &Program, buffer: &Buffer) -> usize {
    let batch = |dim: Dim| if dim.batch { program.max_batch } else { 1 };
    let dims = buffer.ty.shape.dims().iter();
    dims.fold(buffer.ty.dtype.size_bytes(), |size, &dim| size.saturating_mul(dim.factor).saturating_mul(batch(dim)))
}

fn check_buffer(program: &Program, buffer: &Buffer) -> Result<(), String> {
    let Buffer { name, ty, class, offset, live, init } = buffer;
    if !ty.shape.is_batch_leading() {
        return Err(format!("the batch axis stands in front: `{name}` is {ty}"));
    }
    if !offset.is_multiple_of(ALIGNMENT) {
        return Err(format!("offsets are multiples of {ALIGNMENT}: `{name}` is at {offset}"));
    }
    let size = size_bytes(program, buffer);
    if offset.checked_add(size).is_none_or(|end| end > program.arena_bytes) {
        let arena = program.arena_bytes;
        return Err(format!("a buffer ends inside the arena of {arena} bytes: `{name}` has {size} at {offset}"));
    }
    if let Some(live) = live {
        if holds_value(*class) && *class != Class::Data {
            return Err(format!("a buffer of class {} lives as long as the program: `{name}` does not", class.name()));
        }
        let steps = program.entries.get(live.entry).map_or(0, |entry| entry.steps.len());
        if live.first > live.last || live.last >= steps {
            let (first, last) = (live.first, live.last);
            return Err(format!("`{name}` is live in steps {first}..{last} of an entry that has {steps}"));
        }
    }
    match init {
        Init::Data(values) if ty.shape.count().as_fixed() != Some(values.len()) => {
            Err(format!("`{name}` is {ty}, and starts with {} values", values.len()))
        }
        Init::Seed if ty.dtype != DType::I64 => Err(format!("a seed is i64: `{name}` is {ty}")),
        _ => Ok(()),
    }
}

/// Whether a buffer of this class holds a value before any step of an entry.
fn holds_value(class: Class) -> bool {
    match class {
        Class::Parameter | Class::Buffer | Class::OptimizerState | Class::Scalar | Class::Data | Class::Constant => {
            true
        }
        Class::Output | Class::Activation | Class::Gradient | Class::Workspace => false,
    }
}

fn in_use_together(a: &Buffer, b: &Buffer) -> bool {
    match (a.live, b.live) {
        (Some(a), Some(b)) => a.entry == b.entry && a.first <= b.last && b.first <= a.last,
        _ => true,
    }
}

/// Whether one buffer ends in the step that begins the other, at the same bytes, and the kernel can write over what it reads.
fn is_in_place(program: &Program, first: usize, second: usize) -> bool {
    let together = |from: usize, to: usize| {
        let (old, new) = (&program.buffers[from], &program.buffers[to]);
        let (Some(a), Some(b)) = (old.live, new.live) else { return false };
        let step = program.entries.get(a.entry).and_then(|entry| entry.steps.get(a.last));
        let Some(step) = step.filter(|_| a.last == b.first && old.offset == new.offset) else { return false };
        let kernel = program.kernel(step.kernel);
        let bound = |id: usize| {
            let id = BufferId(id as u32);
            let positions = 0..step.buffers.len().min(kernel.tensors.len());
            let positions = positions.filter(move |&at| step.buffers[at] == id);
            positions.map(|at| TensorId(at as u32)).collect::<Vec<_>>()
        };
        let (reads, writes) = (bound(from), bound(to));
        !reads.is_empty() && writes.len() == 1 && reads.into_iter().all(|read| can_share(kernel, read, writes[0]))
    };
    together(first, second) || together(second, first)
}

fn check_launch(program: &Program, launch: &Launch) -> Result<(), String> {
    let kernel = program.kernel(launch.kernel);
    let (wanted, found) = (kernel.arguments().len(), launch.buffers.len());
    if wanted != found {
        return Err(format!("`{}` takes {wanted} buffers, found {found}", kernel.name));
    }
    for (tensor, id) in kernel.tensors.iter().zip(&launch.buffers) {
        let buffer = program.buffer(*id);
        let is_storage = |ty: &crate::Type| (ty.dtype, ty.shape.count());
        if is_storage(&tensor.ty) != is_storage(&buffer.ty) {
            let (name, ty) = (&tensor.name, &tensor.ty);
            return Err(format!(
                "a buffer has its tensor's dtype and element count: `{name}` is {ty}, `{}` is {}",
                buffer.name, buffer.ty
            ));
        }
        if tensor.access != Access::Read && matches!(buffer.class, Class::Constant | Class::Data) {
            return Err(format!("a step writes no buffer of class {}: `{}`", buffer.class.name(), buffer.name));
        }
    }
    let bound = &launch.buffers;
    for (at, id) in bound.iter().enumerate() {
        for (other, _) in bound.iter().enumerate().filter(|(other, held)| *other != at && *held == id) {
            let (read, written) = (TensorId(other as u32), TensorId(at as u32));
            if kernel.tensor(written).access != Access::Read && !can_share(kernel, read, written) {
                let name = &program.buffer(*id).name;
                return Err(format!("`{name}` is written here and used twice, and the kernel does not allow that"));
            }
        }
    }
    Ok(())
}

/// Buffers are read only when they hold a value, and touched only while they are live.
fn check_uses(
    program: &Program,
    entry: &Entry,
    entry_at: usize,
    step: usize,
    launch: &Launch,
    written: &BTreeSet<BufferId>,
) -> Result<(), String> {
    let kernel = program.kernel(launch.kernel);
    for (tensor, &id) in kernel.tensors.iter().zip(&launch.buffers) {
        let buffer = program.buffer(id);
        let name = &buffer.name;
        if buffer.live.is_some_and(|live| live.entry != entry_at || step < live.first || step > live.last) {
            return Err(format!(
                "a buffer is used while it is live: `{name}` is not in step {step} of `{}`",
                entry.name
            ));
        }
        let is_given = holds_value(buffer.class) && buffer.class != Class::Data;
        if tensor.access != Access::Write && !is_given && !written.contains(&id) {
            return Err(format!("a step reads what holds a value: nothing has written `{name}` before step {step}"));
        }
    }
    Ok(())
}

fn outputs(program: &Program, launch: &Launch) -> Vec<BufferId> {
    let bound = program.kernel(launch.kernel).tensors.iter().zip(&launch.buffers);
    bound.filter(|(tensor, _)| tensor.access != Access::Read).map(|(_, id)| *id).collect()
}
