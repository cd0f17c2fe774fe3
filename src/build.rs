//! Ahead of time: what `build.rs` calls.

use std::path::{Path, PathBuf};

use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};
use kiln_frontend::{Module, Training};
use kiln_ir::program::{Class, Entry};
use kiln_ir::{DType, Program};

use crate::compiler::DETECT_ANOMALY;
use crate::{Compiler, Error};

/// Compiles a training for [`include_compiled!`](crate::include_compiled), from a build script. A mistake ends the build with the user's
/// line.
pub fn build<M: Module>(training: &Training<M>) {
    for variable in ["KILN_DUMP", "KILN_STOP_AFTER", "KILN_IR", DETECT_ANOMALY] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Some((_, file)) = std::env::var("KILN_IR").ok().as_deref().and_then(|value| value.split_once(':')) {
        println!("cargo::rerun-if-changed={file}");
    }
    let result = match std::env::var_os("OUT_DIR") {
        Some(folder) => emit(training, &Compiler::new().anomalies_from_environment(), Path::new(&folder)),
        None => {
            let (needed, found) = ("the folder that cargo gives to build scripts".to_owned(), String::new());
            Err(Error::Switch { variable: "OUT_DIR", needed, found })
        }
    };
    match result {
        Ok(library) => {
            println!("cargo::rustc-link-search=native={}", std::env::var("OUT_DIR").unwrap_or_default());
            println!("cargo::rustc-link-lib=static={library}");
        }
        Err(error) => {
            eprintln!("\n{}", error.render());
            std::process::exit(1);
        }
    }
}

/// Writes the static library and the bindings of a training into a folder, and returns the library's name. Either both files are
/// written or none.
///
/// # Errors
/// As [`Compiler::compile`], those of the back end, and those of the two files.
pub fn emit<M: Module>(training: &Training<M>, compiler: &Compiler, folder: &Path) -> Result<String, Error> {
    let compiled = compiler.compile(training)?;
    let program = &compiled.program;
    let object = compiled.object(compiler)?;
    let library = format!("kiln_{}", program.name);
    let archive = archive(&object.bytes, &format!("{library}.o"));
    let archive_path = folder.join(format!("lib{library}.a"));
    let archive = archive.map_err(|source| Error::File { action: "make", path: archive_path.clone(), source })?;
    write_all(&[
        (archive_path, archive),
        (folder.join(format!("{library}.rs")), bindings(program, &object.required_features, compiler).into_bytes()),
    ])?;
    Ok(library)
}

fn archive(object: &[u8], name: &str) -> std::io::Result<Vec<u8>> {
    let member = NewArchiveMember::new(object, &DEFAULT_OBJECT_READER, name.to_owned());
    let kind = if cfg!(target_os = "macos") { ArchiveKind::Darwin } else { ArchiveKind::Gnu };
    let mut bytes = std::io::Cursor::new(Vec::new());
    write_archive_to_stream(&mut bytes, &[member], kind, false, None)?;
    Ok(bytes.into_inner())
}

/// Through temporary files, so that an interrupted build or a full disk leaves neither half a file nor one without the other.
pub(crate) fn write_all(files: &[(PathBuf, Vec<u8>)]) -> Result<(), Error> {
    let partial = |path: &Path| path.with_extension("partial");
    let step = |step: &dyn Fn(&Path, &[u8]) -> std::io::Result<()>| {
        let step = |(path, bytes): &(PathBuf, Vec<u8>)| {
            step(path, bytes).map_err(|source| Error::File { action: "write", path: path.clone(), source })
        };
        files.iter().try_for_each(step)
    };
    let written = step(&|path, bytes| std::fs::write(partial(path), bytes));
    written.and_then(|()| step(&|path, _| std::fs::rename(partial(path), path))).inspect_err(|_| {
        // What is reported says more than why a rest cannot be removed.
        files.iter().for_each(|(path, _)| drop(std::fs::remove_file(partial(path))));
    })
}

/// The module that the user's crate includes: the program's tables, and a trainer whose steps take the model's own inputs.
fn bindings(program: &Program, required_features: &[String], compiler: &Compiler) -> String {
    let watched = compiler.detects_anomaly();
    let tables = kiln_codegen_cpu::bindings(program, required_features, "::kiln::runtime", watched);
    let name = &program.name;
    let steps: String = program.entries.iter().map(|entry| step(program, entry)).collect();
    let module = format!(
        "/// A trainer of `{name}`: [`::kiln::runtime::Trainer`] with typed steps.
pub struct Trainer(::kiln::runtime::Trainer);

impl Trainer {{
    /// With fresh weights; equal seeds give equal weights.
    ///
    /// # Errors
    /// As [`::kiln::runtime::Trainer::new`].
    pub fn new(seed: u64) -> Result<Trainer, ::kiln::runtime::Error> {{
        ::kiln::runtime::Trainer::new(&PROGRAM, seed).map(Trainer)
    }}
{steps}}}

impl ::std::ops::Deref for Trainer {{
    type Target = ::kiln::runtime::Trainer;

    fn deref(&self) -> &::kiln::runtime::Trainer {{
        &self.0
    }}
}}

impl ::std::ops::DerefMut for Trainer {{
    fn deref_mut(&mut self) -> &mut ::kiln::runtime::Trainer {{
        &mut self.0
    }}
}}
"
    );
    let body: String = format!("{tables}\n{module}").lines().map(indented).collect();
    format!(
        "/// The training `{name}`, compiled ahead of time.\n#[allow(clippy::all, dead_code, unused_imports)]\npub mod {name} {{\n{body}}}\n"
    )
}

/// `train_step(x, y)` of the trainer: one slice an input, in the order of the declaration.
fn step(program: &Program, entry: &Entry) -> String {
    let inputs: Vec<(String, DType)> = (entry.inputs.iter())
        .map(|&id| program.buffer(id))
        .filter(|buffer| buffer.class == Class::Data)
        .map(|buffer| (argument(&buffer.name), buffer.ty.dtype))
        .collect();
    let parameters: String = inputs.iter().map(|(name, dtype)| format!(", {name}: &[{}]", rust_type(*dtype))).collect();
    let arguments: Vec<String> = inputs.iter().map(|(name, _)| format!("{name}.into()")).collect();
    let (entry, arguments) = (&entry.name, arguments.join(", "));
    let (result, method) = match entry.as_str() {
        "predict" => ("&[f32]", "predict"),
        other => ("f32", other),
    };
    format!(
        "
    /// The entry point `{entry}`.
    ///
    /// # Errors
    /// As [`::kiln::runtime::Trainer::{method}`].
    pub fn {entry}(&mut self{parameters}) -> Result<{result}, ::kiln::runtime::Error> {{
        self.0.{method}(&[{arguments}])
    }}
"
    )
}

/// A Rust name for an input, which may be called anything.
fn argument(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let is_name = plain.starts_with(|c: char| c.is_ascii_alphabetic()) && !KEYWORDS.contains(&plain.as_str());
    if is_name { plain } else { format!("input_{plain}") }
}

/// The words that Rust keeps for itself.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "Self", "static", "struct", "super", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

fn rust_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "u8",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::F16 | DType::BF16 => "u16",
        DType::F32 => "f32",
        DType::F64 => "f64",
    }
}

fn indented(line: &str) -> String {
    if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }
}
