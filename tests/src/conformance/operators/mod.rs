//! `operators/*.json`: calls of single operators, each compiled and run, with gradients under random upstream gradients; and calls that
//! must be refused.

mod arguments;
mod call;
mod file;
mod rows;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln::{Algorithm, Compiler, Selection};

use self::file::OperatorFile;
use super::tensors::{ReadError, TensorFile, entries, read_json};
use super::{Backend, Options, Outcome, Tally};

/// Every case of every file, a line each operator and one each failure: the totals of the cases and of the error cases.
///
/// # Errors
/// When a file is missing or damaged, or `out` cannot be written. A case that fails is no error.
pub fn operators(folder: &Path, options: &Options, out: &mut dyn Write) -> Result<(Tally, Tally), ReadError> {
    let selection = match &options.backend {
        Backend::Jit(selection) => selection.clone(),
        Backend::Interpreter => Selection::default(),
    };
    // A tolerance is a few roundings of the sums that PyTorch adds up; the transforms around tiles of four outputs round more.
    let slack = if selection == Selection::Forced(Algorithm::Winograd(4)) { 8.0 } else { 1.0 };
    let how = call::How { compiler: Compiler::new().algorithms(selection), slack };
    let (mut cases, mut errors, mut compile_times) = (Tally::default(), Tally::default(), Vec::new());
    let is_case_file = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "json");
    for path in entries(folder)?.iter().filter(is_case_file).filter(|path| options.selects(path)) {
        let file: OperatorFile = read_json(path)?;
        let tensors = TensorFile::read(&path.with_extension("safetensors"))?;
        let (mut passed, mut refused, mut faults) = (Tally::default(), Tally::default(), Vec::new());
        for case in &file.cases {
            let outcome = guarded(|| call::check(&file.op, case, &tensors, &how, &mut compile_times))?;
            passed.add(&outcome);
            faults.extend(fault(&case.id, &outcome));
        }
        for case in &file.errors {
            let outcome = guarded(|| call::check_error(&file.op, case, &tensors, &how))?;
            refused.add(&outcome);
            faults.extend(fault(&case.id, &outcome));
        }
        writeln!(out, "operators/{}: {passed}; errors: {refused}", file.op).map_err(ReadError::Output)?;
        for fault in faults {
            writeln!(out, "    {fault}").map_err(ReadError::Output)?;
        }
        cases += passed;
        errors += refused;
    }
    if let Some(times) = summary(compile_times) {
        writeln!(out, "operators: {times}").map_err(ReadError::Output)?;
    }
    Ok((cases, errors))
}

/// How long the programs took to compile.
fn summary(mut times: Vec<Duration>) -> Option<String> {
    times.sort();
    let milliseconds = |rank: usize| times.get(rank).map(|time| 1e3 * time.as_secs_f64());
    let (median, high) = (milliseconds(times.len() / 2)?, milliseconds(times.len() * 9 / 10)?);
    Some(format!("{} programs compiled, {median:.1} ms at the median, 90 % within {high:.1} ms", times.len()))
}

/// A panic is a failure of the case, not of the run.
fn guarded(check: impl FnOnce() -> Result<Outcome, ReadError>) -> Result<Outcome, ReadError> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Ok(Outcome::Failed(vec![format!("panic: {}", text.unwrap_or("without a message"))]))
    })
}

fn fault(id: &str, outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed(faults) => Some(format!("{id}: {}", faults.join("; "))),
        _ => None,
    }
}
