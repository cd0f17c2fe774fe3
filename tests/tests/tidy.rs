//! What the repository promises about itself: who depends on whom, where things are, and how files read.
//!
//! Each rule is a table and a loop. A broken rule names the file to look at; a new exception goes into the table, with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};
use kiln_passes::pipeline::Step;

/// Which of our crates a crate may depend on (dev-dependencies aside), and must: the table of ARCHITECTURE.md.
const EDGES: &[(&str, &str, &[&str])] = &[
    ("ir", "kiln-ir", &[]),
    ("frontend", "kiln-frontend", &["kiln-ir", "kiln-macros"]),
    ("macros", "kiln-macros", &[]),
    ("passes", "kiln-passes", &["kiln-ir"]),
    ("codegen-cpu", "kiln-codegen-cpu", &["kiln-ir", "kiln-runtime"]),
    ("codegen-cuda", "kiln-codegen-cuda", &["kiln-ir", "kiln-runtime"]),
    ("runtime", "kiln-runtime", &[]),
];

/// Crates that may depend on all of ours: the facade in the root folder and the whole-system tests.
const EVERYTHING: &[&str] = &["kiln", "kiln-tests"];

/// What the root holds besides the folders of `EDGES`.
const FOLDERS: &[(&str, &str)] = &[
    ("benches", "programs that measure"),
    ("data", "embedded data sets"),
    ("docs", "what there is: every operator, every row of the mission's table"),
    ("examples", "models and programs to learn from"),
    ("src", "the facade and the `kiln` command"),
    ("tests", "whole-system tests"),
];

/// No package whose name begins so may come into a shipped binary.
const NOT_SHIPPED: &[&str] = &["petgraph", "cranelift", "syn", "quote", "proc-macro2", "kiln-"];

/// Packages that run while others are compiled, and what they need for it is not linked.
const BUILD_TIME: &[&str] = &["thiserror-impl", "serde_derive"];

/// Folders whose Rust files are data: no rule about files holds in them.
const DATA_FOLDERS: &[(&str, &str)] = &[
    ("macros/tests/ui", "programs that must not compile; a head would move their carets"),
    ("codegen-cuda/tests/golden", "generated"),
];

/// Committed data, and how many bytes they may have.
const DATA_SIZES: &[(&str, u64)] = &[("tests/conformance", 3_000_000)];

const MAX_LINES: usize = 500;

/// A file should end before this; nothing fails.
const LONG_LINES: usize = 300;

/// Files that are longer than the limit.
const LONG_FILES: &[(&str, &str)] = &[];

/// Macros that stand for unfinished work.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "dbg!"];

/// The shortest reason that says anything.
const MIN_REASON: usize = 10;

/// Where `unsafe` may stand.
const UNSAFE: &[(&str, &str)] = &[
    ("runtime/", "micro-kernels, the arena, and calls of compiled code"),
    ("codegen-cpu/src/jit", "the JIT's entry: makes a function of memory"),
    ("codegen-cpu/tests/", "calls the kernels that it compiles"),
    ("codegen-cuda/src/nvrtc.rs", "asks the system for a library before cudarc panics about it"),
];

/// What the head of a pass must say.
const CONTRACT: &[&str] = &["**Before", "**After", "**Order", "**Source"];

/// Steps of the pipeline that are made of others.
const NO_FILE: &[(&str, &str)] = &[("verify", "the verifier of `ir`"), ("simplify", "the first passes again")];

#[test]
fn crates_depend_on_each_other_as_the_table_says() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo describes the workspace");
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let manifest = relative(package.manifest_path.as_std_path());
        let linked = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        let edges: BTreeSet<&str> =
            linked.map(|dependency| dependency.name.as_str()).filter(|name| ours.contains(name)).collect();
        let row = EDGES.iter().find(|(_, of, _)| *of == name);
        if let Some((folder, _, wanted)) = row {
            seen.insert(name);
            let wanted: BTreeSet<&str> = wanted.iter().copied().collect();
            if edges != wanted {
                faults.push(format!("{manifest}: depends on {edges:?}, the table says {wanted:?}"));
            }
            if manifest != format!("{folder}/Cargo.toml") {
                faults.push(format!("{manifest}: `{name}` belongs into `{folder}`"));
            }
        } else if !EVERYTHING.contains(&name) && edges.iter().any(|edge| *edge != "kiln") {
            faults.push(format!("{manifest}: depends on {edges:?}, a user's package on `kiln` alone"));
        }
    }
    faults
        .extend(EDGES.iter().filter(|(_, name, _)| !seen.contains(name)).map(|(folder, ..)| format!("no `{folder}`")));
    report("a new edge is a change of the architecture", &faults);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let manifests = files("toml").into_iter().filter(|path| path.ends_with("Cargo.toml"));
    let lacks = |path: &String| !read(path).replace(' ', "").contains("[lints]\nworkspace=true");
    let faults: Vec<String> =
        manifests.filter(lacks).map(|path| format!("{path}: `[lints] workspace = true`")).collect();
    report("lints are the workspace's", &faults);
}

#[test]
fn the_root_has_the_folders_of_the_table() {
    let known = EDGES.iter().map(|(folder, ..)| *folder).chain(FOLDERS.iter().map(|(folder, _)| *folder));
    let known: BTreeSet<&str> = known.collect();
    let entries = fs::read_dir(root()).expect("the root is a folder");
    let folders = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    let names: BTreeSet<String> = folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    let other =
        names.iter().filter(|name| !name.starts_with('.') && *name != "target" && !known.contains(name.as_str()));
    let mut faults: Vec<String> = other.map(|name| format!("{name}/: not in the table")).collect();
    faults.extend(known.iter().filter(|name| !names.contains(**name)).map(|name| format!("{name}/: missing")));
    report("a new folder is a change of the architecture", &faults);
}

#[test]
fn committed_data_stay_small() {
    let mut faults = Vec::new();
    for &(folder, limit) in DATA_SIZES {
        let found = ["json", "safetensors"].into_iter().flat_map(files).filter(|path| path.starts_with(folder));
        let bytes: u64 = found.filter_map(|path| fs::metadata(root().join(path)).ok()).map(|data| data.len()).sum();
        if bytes == 0 || bytes > limit {
            faults.push(format!("{folder}: {bytes} bytes, the limit is {limit}"));
        }
    }
    report("a clone is quick", &faults);
}

#[test]
fn a_shipped_binary_contains_no_compiler() {
    let packages = locked_packages(&read("Cargo.lock"));
    assert!(packages.len() > 10 && packages.contains_key("kiln-runtime"), "the lock file reads as expected");
    let mut reached = BTreeSet::new();
    let mut pending = vec![("kiln-runtime", vec!["kiln-runtime"])];
    let mut faults = Vec::new();
    while let Some((name, way)) = pending.pop() {
        for dependency in packages.get(name).into_iter().flatten() {
            if BUILD_TIME.contains(&dependency.as_str()) || !reached.insert(dependency.clone()) {
                continue;
            }
            let way = [way.as_slice(), &[dependency]].concat();
            if NOT_SHIPPED.iter().any(|prefix| dependency.starts_with(prefix)) {
                faults.push(format!("Cargo.lock: {}", way.join(" → ")));
            }
            pending.push((dependency, way));
        }
    }
    report("`runtime` links nothing of the compiler", &faults);
}

#[test]
fn files_say_what_they_are_and_end_in_time() {
    let mut faults = Vec::new();
    let mut long = 0;
    for path in rust_files() {
        let text = read(&path);
        if !text.starts_with("//!") {
            faults.push(format!("{path}: begins with `//!`"));
        }
        let lines = text.lines().count();
        long += usize::from(lines > LONG_LINES);
        if lines > MAX_LINES && !LONG_FILES.iter().any(|(file, _)| *file == path) {
            faults.push(format!("{path}: {lines} lines, the limit is {MAX_LINES}"));
        }
    }
    println!("{long} files have more than {LONG_LINES} lines");
    report("each file says what it is, and ends in time", &faults);
}

#[test]
fn nothing_is_unfinished() {
    let mut faults = Vec::new();
    for path in rust_files() {
        for (number, line) in code_lines(&read(&path)) {
            let code = without_strings(line);
            let words = UNFINISHED.iter().filter(|word| code.contains(&format!("{word}(")) || code.ends_with(*word));
            faults.extend(words.map(|word| format!("{path}:{number}: `{word}`")));
        }
    }
    report("work is finished before it is committed", &faults);
}

#[test]
fn a_panic_has_a_reason() {
    let mut faults = Vec::new();
    for path in rust_files().into_iter().filter(|path| is_library(path)) {
        let text = read(&path);
        for (number, line) in code_lines(before_tests(&text)) {
            if without_strings(line).contains(".unwrap()") {
                faults.push(format!("{path}:{number}: `unwrap`"));
            }
            let reason = line.split_once(".expect(\"").and_then(|(_, rest)| rest.split_once('"'));
            // A parser's `expect("(")?` returns an error.
            if reason.is_some_and(|(reason, rest)| reason.len() < MIN_REASON && !rest.starts_with(")?")) {
                faults.push(format!("{path}:{number}: `expect` says why it cannot fail"));
            }
        }
    }
    report("an error is returned; what cannot fail says why", &faults);
}

#[test]
fn unsafe_code_stays_where_it_belongs() {
    let mut faults = Vec::new();
    for path in rust_files() {
        if UNSAFE.iter().any(|(place, _)| path.starts_with(place)) {
            continue;
        }
        for (number, line) in code_lines(&read(&path)) {
            let code = without_strings(line);
            if code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe") {
                faults.push(format!("{path}:{number}: `unsafe`"));
            }
        }
    }
    report("`unsafe` stands in the places of the table", &faults);
}

#[test]
fn every_pass_states_its_contract() {
    let rust_files = rust_files();
    let mut faults = Vec::new();
    for name in Step::ALL.iter().map(|step| step.name()).filter(|name| !NO_FILE.iter().any(|(step, _)| step == name)) {
        let places = [format!("passes/src/{name}.rs"), format!("passes/src/{name}/mod.rs")];
        let Some(path) = places.iter().find(|path| rust_files.contains(path)) else {
            faults.push(format!("{}: the pipeline has a step without a file", places[0]));
            continue;
        };
        let text = read(path);
        if !text.contains("\npub fn run") {
            faults.push(format!("{path}: no `pub fn run`"));
        }
        let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let missing = CONTRACT.iter().filter(|word| !head.contains(*word));
        faults.extend(missing.map(|word| format!("{path}: its head lacks `{word}:**`")));
    }
    report("a pass says what holds before and after, why it stands where it does, and where it is from", &faults);
}

fn report(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}\n(tables: tests/tests/tidy.rs)", faults.join("\n  "));
}

fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().expect("this crate is a folder of the workspace").to_owned()
}

/// The path inside the repository, with forward slashes.
fn relative(path: &Path) -> String {
    let inside = path.strip_prefix(root()).expect("every path here begins at the root");
    inside.to_string_lossy().replace('\\', "/")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of this extension, sorted; hidden folders and build outputs aside.
fn files(extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![root()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be listed").filter_map(Result::ok) {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                pending.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(relative(&path));
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<String> {
    let is_data = |path: &String| DATA_FOLDERS.iter().any(|(folder, _)| path.starts_with(folder));
    files("rs").into_iter().filter(|path| !is_data(path)).collect()
}

/// Code that others link: in a `src` folder and not only for tests.
fn is_library(path: &str) -> bool {
    let in_src = path.starts_with("src/") || path.contains("/src/");
    in_src && !path.ends_with("/tests.rs") && !path.contains("/tests/") || path.starts_with("tests/src/")
}

/// The part of a file in front of its own tests, which stand last. A `mod tests;` is another file.
fn before_tests(text: &str) -> &str {
    let is_tests = |at: &usize| {
        let module = text[*at..].lines().nth(1).unwrap_or_default();
        module.contains("mod ") && module.ends_with('{')
    };
    let tests = text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(is_tests);
    &text[..tests.unwrap_or(text.len())]
}

/// The numbered lines that are not comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.starts_with("//"))
}

/// A line without what stands between quotes and after `//`.
fn without_strings(line: &str) -> String {
    let mut code = String::new();
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => drop(characters.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && characters.peek() == Some(&'/') => break,
            _ if !quoted => code.push(character),
            _ => {}
        }
    }
    code
}

/// The names of each locked package's dependencies; versions of one package are taken together.
fn locked_packages(lock: &str) -> BTreeMap<String, Vec<String>> {
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let name = package.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
        let dependencies = package.lines().filter_map(|line| line.trim().strip_prefix('"')?.split(['"', ' ']).next());
        packages.entry(name.unwrap_or_default().to_owned()).or_default().extend(dependencies.map(str::to_owned));
    }
    packages
}
