//! What can go wrong between a model and its program, and how it is shown.

use std::path::{Path, PathBuf};

use kiln_frontend::Diagnostic;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

/// Why there is no program. [`Error::render`] shows the user's lines.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Mistakes in the model: all that were found.
    #[error("{}", plain(.0))]
    Model(Vec<Diagnostic>),
    /// A mistake of the compiler's.
    #[error(transparent)]
    Bug(kiln_passes::pipeline::CompilerBug),
    /// The CPU back end could not write a kernel.
    #[error("error[{code}]: {0}", code = .0.code())]
    Cpu(#[from] kiln_codegen_cpu::Error),
    /// The CUDA writer could not write a kernel.
    #[error(transparent)]
    Cuda(#[from] kiln_codegen_cuda::Error),
    /// The runtime refused the program.
    #[error(transparent)]
    Runtime(#[from] kiln_runtime::Error),
    /// A file could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A switch in the environment has a value that means nothing.
    #[error("{variable} needs {needed}: found `{found}`")]
    Switch {
        /// The variable.
        variable: &'static str,
        /// What it may hold.
        needed: String,
        /// What it holds.
        found: String,
    },
    /// `KILN_STOP_AFTER` ended the compilation, so there is no program.
    #[error("the compilation stopped after `{0}`, as KILN_STOP_AFTER asks")]
    Stopped(&'static str),
}

impl From<kiln_passes::pipeline::CompileError> for Error {
    fn from(error: kiln_passes::pipeline::CompileError) -> Error {
        match error {
            kiln_passes::pipeline::CompileError::User(diagnostics) => Error::Model(diagnostics),
            kiln_passes::pipeline::CompileError::Bug(bug) => Error::Bug(bug),
        }
    }
}

impl Error {
    /// The message for a person: diagnostics show the source line with the place marked, where the file can be read.
    pub fn render(&self) -> String {
        let Error::Model(diagnostics) = self else { return format!("error: {self}\n") };
        // A source that cannot be shown leaves the plain form, which has the place too.
        let shown = diagnostics.iter().map(|diagnostic| render(diagnostic).unwrap_or_else(|| diagnostic.to_string()));
        let shown: Vec<String> = shown.map(|text| format!("{}\n", text.trim_end())).collect();
        shown.join("\n")
    }
}

/// The diagnostic with its line, drawn without colours: build logs are files.
fn render(diagnostic: &Diagnostic) -> Option<String> {
    let place = &diagnostic.place;
    let source = read_source(&place.file)?;
    let line_start: usize = source.split_inclusive('\n').take(place.line.checked_sub(1)? as usize).map(str::len).sum();
    let start = line_start + place.column.checked_sub(1)? as usize;
    let rest = source.get(start..)?;
    // A value of the IR begins with its sign.
    let name = rest.trim_start_matches('%');
    let is_name = |c: &char| c.is_alphanumeric() || *c == '_';
    let length = rest.len() - name.len() + name.chars().take_while(is_name).map(char::len_utf8).sum::<usize>();
    let module = if place.module.is_empty() { "here".to_owned() } else { format!("in `{}`", place.module) };
    let shown = MietteDiagnostic {
        message: format!("error[{}]: {}", diagnostic.code, diagnostic.message),
        code: None,
        severity: None,
        help: diagnostic.help.clone().map(String::from),
        url: None,
        labels: Some(vec![LabeledSpan::new(Some(module), start, length)]),
    };
    let report = Report::new(shown).with_source_code(NamedSource::new(&place.file, source));
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(110);
    let mut text = String::new();
    handler.render_report(&mut text, report.as_ref()).ok()?;
    Some(text)
}

/// The file as rustc names it: relative to the folder of the workspace, which is one of those above this one.
fn read_source(file: &str) -> Option<String> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(Path::new(file))).find_map(|path| std::fs::read_to_string(path).ok())
}

fn plain(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n\n")
}
