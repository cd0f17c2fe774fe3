//! A program's kernels in one translation unit, to be read and to be compiled.

use kiln_ir::Program;

use crate::Error;
use crate::kernel::{Source, write_as};
use crate::names::Names;

/// What every kernel's text stands on; see [`translation_unit`].
pub const PRELUDE: &str = include_str!("prelude.cu");

/// Writes every kernel of a program, in the program's order. Symbols are the kernels' names, made distinct.
///
/// # Errors
///
/// As [`write_kernel`](crate::write_kernel), for the first kernel that cannot be written.
pub fn write_sources(program: &Program) -> Result<Vec<Source>, Error> {
    let mut symbols = Names::default();
    program.kernels.iter().map(|kernel| write_as(kernel, symbols.fresh(&kernel.name), program.max_batch)).collect()
}

/// Writes a program as one translation unit: its launches as a comment, the prelude and every kernel.
///
/// # Errors
///
/// As [`write_sources`].
pub fn write_program(program: &Program) -> Result<String, Error> {
    let sources = write_sources(program)?;
    let mut text = format!("// {}, for batches of at most {}\n", program.name, program.max_batch);
    for entry in &program.entries {
        text.push_str(&format!("//\n// {}\n", entry.name));
        for (number, step) in entry.steps.iter().enumerate() {
            let buffers: Vec<&str> = step.buffers.iter().map(|&buffer| program.buffer(buffer).name.as_str()).collect();
            let symbol = &sources[step.kernel.0 as usize].name;
            text.push_str(&format!("//   {number:>3}  {symbol}({})\n", buffers.join(", ")));
        }
    }
    Ok(format!("{text}\n{}", translation_unit(&sources)))
}

/// The prelude and these kernels: what a compiler takes.
pub fn translation_unit(sources: &[Source]) -> String {
    let texts = sources.iter().map(|source| source.text.as_str());
    std::iter::once(PRELUDE).chain(texts).collect::<Vec<_>>().join("\n")
}
