//! `tables/*.json`: rows of numbers about schedules, initialisers, samplers and loss scaling.

mod expression;
mod grad_scaler;
mod initialisers;
mod samplers;
mod schedules;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::optimizer::Unsupported;
use super::tensors::{ReadError, entries, read_json};
use super::{Checks, Options, Outcome, Tally, Tolerance};

pub use schedules::schedule;

/// A file of cases.
#[derive(Deserialize)]
struct Table {
    tolerance: Option<Tolerance>,
    cases: Vec<Json>,
    #[serde(flatten)]
    shared: serde_json::Map<String, Json>,
}

/// Checks one row; what it lacks is an error.
type Check = fn(&Table, &Json, &mut Checks) -> Result<(), Unsupported>;

const TABLES: &[(&str, Check)] = &[
    ("grad_scaler", grad_scaler::check),
    ("initialisers", initialisers::check),
    ("samplers", samplers::check),
    ("schedules", schedules::check),
];

/// Every row of every table; a line for each that does not pass, and one for the table.
///
/// # Errors
/// When a file is missing or damaged, or `out` cannot be written. A row that fails is no error.
pub fn tables(folder: &Path, options: &Options, out: &mut dyn Write) -> Result<Tally, ReadError> {
    let mut all = Tally::default();
    let is_table = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "json");
    for path in entries(folder)?.iter().filter(is_table).filter(|path| options.selects(path)) {
        let table: Table = read_json(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let check = TABLES.iter().find(|(known, _)| **known == *name).map(|(_, check)| check);
        let mut tally = Tally::default();
        for (number, case) in table.cases.iter().enumerate() {
            let mut checks = Checks::default();
            let outcome = match check.map(|check| check(&table, case, &mut checks)) {
                Some(Ok(())) => checks.outcome(),
                Some(Err(missing)) => Outcome::Unsupported(missing.0),
                None => Outcome::Unsupported(format!("table {name}")),
            };
            tally.add(&outcome);
            if !matches!(outcome, Outcome::Passed { .. }) {
                writeln!(out, "tables/{name}/{number} ({}): {outcome}", label(case)).map_err(ReadError::Output)?;
            }
        }
        writeln!(out, "tables/{name}: {tally}").map_err(ReadError::Output)?;
        all += tally;
    }
    Ok(all)
}

/// What a row is about.
fn label(case: &Json) -> String {
    let words = ["name", "kind", "init", "layer", "nonlinearity"].into_iter();
    words.filter_map(|key| case.get(key)?.as_str()).collect::<Vec<_>>().join(" ")
}

/// A row, or a part of one, as a struct.
fn read<T: DeserializeOwned>(json: &Json) -> Result<T, Unsupported> {
    T::deserialize(json).map_err(|error| Unsupported(format!("row: {error}")))
}
