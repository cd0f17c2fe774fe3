//! `docs/features.md` is true: it has every row of the mission's table that it covers, and what it calls done is shown by something that exists.
//!
//! Nothing runs here. What is named runs in its own place: tests as tests, operators in the conformance runner.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The covered sections of the mission's table: the prefix of their rows, which are numbered from 1, and how many there are.
const SECTIONS: &[(&str, usize)] = &[
    ("TEN", 22),
    ("DM", 20),
    ("IX", 9),
    ("SH", 20),
    ("MA", 22),
    ("SE", 7),
    ("RN", 13),
    ("LO", 15),
    ("FN", 11),
    ("AG", 41),
    ("CF", 6),
    ("AN", 4),
    ("MO", 42),
    ("CO", 5),
    ("LY", 29),
    ("IN", 16),
    ("OP", 21),
    ("LR", 8),
    ("GC", 2),
    ("AMP", 10),
    ("BK", 7),
    ("SV", 13),
    ("ERR", 17),
    ("P", 29),
];

/// The covered worked examples.
const EXAMPLES: &[usize] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 33,
    34, 35, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 54, 55, 56, 57, 58, 59, 60, 61, 62, 65, 66,
];

const DONE: &str = "done";

/// What else a row may be; its last column then says why.
const OPEN: &[&str] = &["partly", "not"];

/// The shortest reason that says anything.
const MIN_REASON: usize = 30;

/// A row of the page.
struct Row {
    id: String,
    status: String,
    shown_by: String,
}

/// What a row calls its witness.
enum Witness {
    Test { file: String, name: String },
    Operator(String),
}

#[test]
fn every_row_is_there_once() {
    let found: Vec<String> = rows().into_iter().map(|row| row.id).collect();
    assert_eq!(found, wanted());
}

/// The mission's table is beside the workspace, and not in a clone on its own.
#[test]
fn the_rows_are_those_of_the_mission() {
    let path = root().join("../shared/FEATURES.md");
    let Ok(mission) = fs::read_to_string(&path) else {
        println!("{} is not there: nothing is compared", path.display());
        return;
    };
    let ids = |begin: &str, end: &str| -> BTreeSet<String> {
        let id = |line: &str| Some(line.strip_prefix(begin)?.split_once(end)?.0.to_owned());
        mission.lines().filter_map(id).collect()
    };
    let mut features = ids("| **", "**");
    features.extend(ids("| P-", " |").into_iter().map(|number| format!("P-{number}")));
    let examples = ids("| N", " |");
    let covered = |id: &&String| SECTIONS.iter().any(|(prefix, _)| id.split('-').next() == Some(prefix));
    let wanted = wanted();
    let (numbers, ours): (Vec<&String>, Vec<&String>) = wanted.iter().partition(|id| id.starts_with("N-"));
    assert_eq!(features.iter().filter(covered).collect::<BTreeSet<_>>(), ours.into_iter().collect());
    assert!(numbers.iter().all(|id| examples.contains(&id[1..])));
}

#[test]
fn what_is_done_is_shown_and_what_is_not_has_a_reason() {
    let mut faults = Vec::new();
    for Row { id, status, shown_by } in rows() {
        let witnesses = witnesses(&shown_by);
        if status == DONE {
            if witnesses.is_empty() {
                faults.push(format!("{id}: no test shows it"));
            }
        } else if !OPEN.contains(&status.as_str()) {
            faults.push(format!("{id}: `{status}` is none of {DONE}, {}", OPEN.join(", ")));
        } else if shown_by.len() < MIN_REASON || !shown_by.ends_with('.') {
            faults.push(format!("{id}: a sentence says what is missing"));
        }
        faults.extend(witnesses.iter().filter_map(missing).map(|what| format!("{id}: {what}")));
    }
    assert!(faults.is_empty(), "docs/features.md:\n  {}", faults.join("\n  "));
}

/// The ids in the order of the page.
fn wanted() -> Vec<String> {
    let numbered = SECTIONS.iter().flat_map(|&(prefix, count)| (1..=count).map(move |number| (prefix, number)));
    let examples = EXAMPLES.iter().map(|&number| ("N", number));
    numbered.chain(examples).map(|(prefix, number)| format!("{prefix}-{number:02}")).collect()
}

/// Every row of every table, the heads aside.
fn rows() -> Vec<Row> {
    let page = read("docs/features.md").expect("the page is there");
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _, status, shown_by] = cells[..] else { panic!("a row has four columns: {line}") };
        if id != "id" && !id.starts_with("---") {
            rows.push(Row { id: id.to_owned(), status: status.to_owned(), shown_by: shown_by.to_owned() });
        }
    }
    rows
}

/// What stands in backticks and names a test, `file.rs::name`, or operators, `conformance: a, b`.
fn witnesses(shown_by: &str) -> Vec<Witness> {
    let mut witnesses = Vec::new();
    for quoted in shown_by.split('`').skip(1).step_by(2) {
        if let Some(operators) = quoted.strip_prefix("conformance: ") {
            witnesses.extend(operators.split(", ").map(|operator| Witness::Operator(operator.to_owned())));
        } else if let Some((file, name)) = quoted.split_once(".rs::") {
            witnesses.push(Witness::Test { file: format!("{file}.rs"), name: name.to_owned() });
        }
    }
    witnesses
}

/// What a witness lacks, if anything.
fn missing(witness: &Witness) -> Option<String> {
    match witness {
        Witness::Test { file, name } => {
            let Some(text) = read(file) else { return Some(format!("no file `{file}`")) };
            let of_attribute = |after: &str| Some(after.split_once("fn ")?.1.split_once('(')?.0 == name);
            let exists = text.split("#[test]").skip(1).any(|after| of_attribute(after) == Some(true));
            (!exists).then(|| format!("no test `{name}` in {file}"))
        }
        Witness::Operator(operator) => {
            if read(&format!("tests/conformance/operators/{operator}.json")).is_none() {
                return Some(format!("no cases of `{operator}` in tests/conformance/operators"));
            }
            let row = format!("(\"{operator}\", |a|");
            let families =
                fs::read_dir(root().join("tests/src/conformance/operators/rows")).expect("the runner has rows");
            let mut texts = families.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
            (!texts.any(|text| text.contains(&row))).then(|| format!("the runner has no row for `{operator}`"))
        }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().expect("this crate is a folder of the workspace").to_owned()
}
