//! The tuning lock file.
//!
//! ```json
//! {
//!   "format": 1,
//!   "kiln": "0.1.0",
//!   "machines": {
//!     "AMD EPYC (25, 17), avx512, 2 threads": {
//!       "f32 forward n64 c64 o64 32x32 to 32x32 stride 1x1 padding 1x1": {
//!         "winner": "winograd_4x4",
//!         "microseconds": { "direct": 21035.1, "winograd_2x2": 14071.0, "winograd_4x4": 9480.2 }
//!       }
//!     }
//!   }
//! }
//! ```
//!
//! An entry that another version has measured, or that names what cannot be, is refused and never used: it says what to do about it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use kiln_codegen_cpu::Cpu;
use kiln_frontend::{Code, Diagnostic};
use kiln_passes::select_algorithm::{Algorithm, Problem};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::build::write_all;

/// Counts changes of what the file holds.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    format: u32,
    /// The version whose kernels were timed.
    kiln: String,
    /// By machine, and there by problem.
    machines: BTreeMap<String, BTreeMap<String, Entry>>,
    /// This machine.
    #[serde(skip)]
    here: String,
}

#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    winner: String,
    microseconds: BTreeMap<String, f64>,
}

/// What has to agree before the rest is looked at.
#[derive(Deserialize)]
struct Head {
    format: Option<u32>,
    kiln: Option<String>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Entry {
    /// The fastest candidate wins.
    pub(super) fn of(times: &[(Algorithm, f64)]) -> Entry {
        let fastest = times.iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).expect("there are candidates").0;
        let tenths = |time: f64| (time * 10.0).round() / 10.0;
        Entry {
            winner: fastest.name().to_owned(),
            microseconds: times.iter().map(|(algorithm, time)| (algorithm.name().to_owned(), tenths(*time))).collect(),
        }
    }

    /// Its winner, or why it cannot be used.
    fn checked(&self) -> Result<Algorithm, String> {
        let names = Problem::CANDIDATES.map(|candidate| candidate.name());
        let Some(winner) = Algorithm::from_name(&self.winner) else {
            return Err(format!("its winner `{}` cannot compute it: {} can", self.winner, listed(&names)));
        };
        let measured: Vec<&str> = self.microseconds.keys().map(String::as_str).collect();
        if measured != names {
            return Err(format!("it has times of {}, and the candidates are {}", listed(&measured), listed(&names)));
        }
        match self.microseconds.iter().find(|(_, time)| **time <= 0.0) {
            Some((name, time)) => Err(format!("the time of `{name}` is {time} microseconds")),
            None => Ok(winner),
        }
    }
}

impl Lock {
    /// One without entries.
    pub(super) fn new(here: &str) -> Lock {
        Lock { format: FORMAT, kiln: VERSION.to_owned(), machines: BTreeMap::new(), here: here.to_owned() }
    }

    /// The file, if there is one.
    pub(super) fn read(path: &Path, here: &str) -> Result<Option<Lock>, Error> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { action: "read", path: path.to_owned(), source }),
        };
        let malformed = |error: serde_json::Error| refused(path, &format!("is no tuning lock file: {error}"));
        let head: Head = serde_json::from_str(&text).map_err(malformed)?;
        let format = head.format.map_or("none".to_owned(), |format| format.to_string());
        if head.format != Some(FORMAT) {
            return Err(refused(path, &format!("has format {format}, and this version reads {FORMAT}")));
        }
        if head.kiln.as_deref() != Some(VERSION) {
            let found = head.kiln.unwrap_or_else(|| "no version".to_owned());
            return Err(refused(path, &format!("holds times of kiln {found}, and this is {VERSION}")));
        }
        let lock: Lock = serde_json::from_str(&text).map_err(malformed)?;
        Ok(Some(Lock { here: here.to_owned(), ..lock }))
    }

    /// The algorithm that was the fastest on this machine.
    pub(super) fn winner(&self, path: &Path, key: &str) -> Result<Option<Algorithm>, Error> {
        let entry = self.machines.get(&self.here).and_then(|problems| problems.get(key));
        let checked = entry.map(Entry::checked).transpose();
        checked.map_err(|why| refused(path, &format!("has an entry that cannot be used: `{key}`: {why}")))
    }

    /// Adds an entry for this machine, and returns its winner.
    pub(super) fn insert(&mut self, key: &str, entry: Entry) -> Algorithm {
        let winner = Algorithm::from_name(&entry.winner).expect("the entry was made from algorithms");
        self.machines.entry(self.here.clone()).or_default().insert(key.to_owned(), entry);
        winner
    }

    /// All of it or nothing.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).expect("names and numbers have JSON") + "\n";
        write_all(&[(path.to_owned(), text.into_bytes())])
    }

    /// What to say where there is no entry and none may be made.
    pub(super) fn missing(&self, path: &Path, key: &str) -> Error {
        let message = match self.machines.get(&self.here) {
            Some(_) => format!("`{}` has no entry for `{key}`", path.display()),
            None => {
                let others: Vec<&str> = self.machines.keys().map(String::as_str).collect();
                let others = if others.is_empty() { "no machine".to_owned() } else { listed(&others) };
                format!("`{}` has no times of `{}`: it has those of {others}", path.display(), self.here)
            }
        };
        error(message, "without --locked and with --benchmark it is timed now".to_owned())
    }
}

/// What to say where there has to be a file.
pub(super) fn absent(path: &Path) -> Error {
    let message = format!("there is no tuning lock file `{}`", path.display());
    error(message, "with --benchmark instead of --locked it is written".to_owned())
}

fn refused(path: &Path, why: &str) -> Error {
    let message = format!("`{}` {why}", path.display());
    error(message, "remove what is stale and measure again with --benchmark".to_owned())
}

fn error(message: String, help: String) -> Error {
    Error::Model(vec![Diagnostic::new(Code::Tuning, message).help(help)])
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What times depend on: the processor, the widest instructions of its micro-kernels, the threads, and whether the code around these is for this
/// processor or for any.
pub(super) fn machine(threads: usize, cpu: Cpu) -> String {
    let instructions = kiln_runtime::brgemm::available()[0].0;
    let portable = if cpu == Cpu::Baseline { ", portable code" } else { "" };
    format!("{}, {instructions}, {threads} threads{portable}", processor())
}

/// The processor's name and numbers, as the system tells them.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    match (field("model name"), field("cpu family"), field("model")) {
        (Some(name), Some(family), Some(model)) => format!("{name} ({family}, {model})"),
        _ => std::env::consts::ARCH.to_owned(),
    }
}
