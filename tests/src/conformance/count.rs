//! Tables: counted, and reported as what they are until the runner can run them.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tensors::{ReadError, entries, read_json};
use super::{Options, Tally};

/// What is counted in a file of cases.
#[derive(Deserialize)]
struct CaseFile {
    cases: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    errors: Vec<serde::de::IgnoredAny>,
}

/// The rows of `tables/`.
pub fn tables(folder: &Path, options: &Options, out: &mut dyn Write) -> Result<Tally, ReadError> {
    let (cases, _) = count(folder, "tables", options, out)?;
    Ok(Tally::unsupported(cases))
}

fn count(folder: &Path, kind: &str, options: &Options, out: &mut dyn Write) -> Result<(usize, usize), ReadError> {
    let (mut cases, mut errors) = (0, 0);
    let is_case_file = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "json");
    for path in entries(folder)?.iter().filter(is_case_file).filter(|path| options.selects(path)) {
        let file: CaseFile = read_json(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let counts = format!("{} cases and {} error cases", file.cases.len(), file.errors.len());
        writeln!(out, "{kind}/{name}: unsupported: {counts}").map_err(ReadError::Output)?;
        cases += file.cases.len();
        errors += file.errors.len();
    }
    Ok((cases, errors))
}
