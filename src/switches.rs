//! The three switches for debugging a compilation. Passes do no input or output; this observer does it for them.
//!
//! * `KILN_DUMP=dir` writes `07_fuse.train_step.ir` for each step that changed something;
//! * `KILN_STOP_AFTER=fuse` ends the compilation there;
//! * `KILN_IR=fuse:file.ir` puts the IR of a file in the place of what a step is given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kiln_ir::text::{Item, parse_module};
use kiln_passes::pipeline::{Control, Observer, Stage, Step};

use crate::Error;

/// What the environment asks for.
#[derive(Default)]
pub(crate) struct Switches {
    dump: Option<PathBuf>,
    stop_after: Option<Step>,
    /// The step whose input is swapped, and the items of the file.
    swap: Option<(Step, Vec<Item>)>,
    /// The last text of each unit, to see what changed.
    last: BTreeMap<String, String>,
    failure: Option<Error>,
}

impl Switches {
    /// Reads the three variables.
    pub(crate) fn from_environment() -> Result<Switches, Error> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut switches = Switches { dump: variable("KILN_DUMP").map(PathBuf::from), ..Switches::default() };
        if let Some(name) = variable("KILN_STOP_AFTER") {
            switches.stop_after = Some(step("KILN_STOP_AFTER", &name)?);
        }
        if let Some(value) = variable("KILN_IR") {
            switches.swap = Some(read_swap(&value)?);
        }
        if let Some(folder) = &switches.dump {
            std::fs::create_dir_all(folder).map_err(|source| file_error("make folder", folder, source))?;
        }
        Ok(switches)
    }

    /// The first failure to write a dump.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// The step at which `KILN_STOP_AFTER` stopped.
    pub(crate) fn stopped_after(&self) -> &'static str {
        self.stop_after.map_or("", Step::name)
    }

    fn write_dump(&mut self, step: Step, unit: &str, text: &str) {
        let Some(folder) = &self.dump else { return };
        if self.last.get(unit).is_some_and(|last| last == text) {
            return;
        }
        let path = folder.join(format!("{:02}_{}.{unit}.ir", step.number(), step.name()));
        if let Err(source) = std::fs::write(&path, text) {
            self.failure.get_or_insert(file_error("write", &path, source));
        }
        self.last.insert(unit.to_owned(), text.to_owned());
    }
}

impl Observer for Switches {
    fn after(&mut self, step: Step, unit: &str, stage: Stage<'_>) -> Control {
        if self.dump.is_some() {
            self.write_dump(step, unit, &text(stage));
        }
        if self.stop_after == Some(step) {
            return Control::Stop;
        }
        match &self.swap {
            Some((swapped, items)) if swapped.previous() == Some(step) => replacement(items, unit, stage),
            _ => Control::Continue,
        }
    }
}

/// The text of what a step has left.
pub(crate) fn text(stage: Stage<'_>) -> String {
    match stage {
        Stage::Graph(graph) => graph.to_string(),
        Stage::Kernels(kernels) => kernels.iter().map(|kernel| format!("{kernel}\n")).collect(),
        Stage::Program(program) => program.to_string(),
    }
}

/// What the file has for this unit: a graph of its name, all its kernels, or its program.
fn replacement(items: &[Item], unit: &str, stage: Stage<'_>) -> Control {
    let kernels: Vec<_> = items
        .iter()
        .filter_map(|item| if let Item::Kernel(kernel) = item { Some(kernel.clone()) } else { None })
        .collect();
    let found = items.iter().find_map(|item| match (item, stage) {
        (Item::Graph(graph), Stage::Graph(_)) if graph.name.ends_with(unit) => Some(Control::Graph(graph.clone())),
        (Item::Program(program), Stage::Program(_)) => Some(Control::Program(program.clone())),
        _ => None,
    });
    match (found, stage) {
        (Some(control), _) => control,
        (None, Stage::Kernels(_)) if !kernels.is_empty() => Control::Kernels(kernels),
        _ => Control::Continue,
    }
}

fn read_swap(value: &str) -> Result<(Step, Vec<Item>), Error> {
    let form =
        || Error::Switch { variable: "KILN_IR", needed: "the form `step:file.ir`".to_owned(), found: value.to_owned() };
    let (name, file) = value.split_once(':').ok_or_else(form)?;
    let step = step("KILN_IR", name)?;
    let path = Path::new(file);
    let text = std::fs::read_to_string(path).map_err(|source| file_error("read", path, source))?;
    let module = parse_module(&text, file).map_err(Error::Model)?;
    Ok((step, module.items))
}

fn step(variable: &'static str, name: &str) -> Result<Step, Error> {
    let names = || Step::ALL.iter().map(|step| step.name()).collect::<Vec<_>>().join(", ");
    Step::from_name(name).ok_or_else(|| Error::Switch {
        variable,
        needed: format!("a step of {}", names()),
        found: name.to_owned(),
    })
}

fn file_error(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}
