//! The three switches for debugging a compilation. Passes do no input or output; this observer does it for them.
//!
//! * `KILN_DUMP=dir` writes `10_fuse.train_step.ir` for each step that changed something;
//! * `KILN_STOP_AFTER=fuse` ends the compilation there;
//! * `KILN_IR=fuse:file.ir` puts the IR of a file in the place of what a step is given. A graph or a program takes the place of the one of its
//!   name; kernels take the place of those of the entry point whose kernels have the same names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kiln_ir::Kernel;
use kiln_ir::text::Item;
use kiln_passes::pipeline::{Control, Observer, Stage, Step};

use crate::{Error, ir_file};

/// What the environment asks for.
#[derive(Default)]
pub(crate) struct Switches {
    dump: Option<PathBuf>,
    stop_after: Option<Step>,
    swap: Option<Swap>,
    /// The last text of each unit, to see what changed.
    last: BTreeMap<String, String>,
    /// Whether `stop_after` has ended a unit.
    stopped: bool,
    failure: Option<Error>,
}

/// What `KILN_IR` asks for.
struct Swap {
    /// The step whose input is swapped.
    step: Step,
    items: Vec<Item>,
    /// What the variable holds.
    value: String,
    done: bool,
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

    /// The step after which `KILN_STOP_AFTER` stopped, if it did; or the first switch that could not do its work.
    pub(crate) fn finish(self) -> Result<Option<&'static str>, Error> {
        let stopped_after = self.stop_after.filter(|_| self.stopped).map(Step::name);
        match (self.failure, self.swap) {
            (Some(failure), _) => Err(failure),
            (None, Some(swap)) if !swap.done && !self.stopped => {
                let needed =
                    format!("a file with what `{}` is given, of an entry point of this model", swap.step.name());
                Err(Error::Switch { variable: "KILN_IR", needed, found: swap.value })
            }
            _ => Ok(stopped_after),
        }
    }

    fn write_dump(&mut self, step: Step, unit: &str, text: &str) {
        let Some(folder) = &self.dump else { return };
        let path = folder.join(format!("{:02}_{}.{unit}.ir", step.number(), step.name()));
        if self.last.get(unit).is_some_and(|last| last == text) {
            // An earlier compilation may have left one, which would look like a change of this one.
            let _ = std::fs::remove_file(&path);
            return;
        }
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
            self.stopped = true;
            return Control::Stop;
        }
        let Some(swap) = self.swap.as_mut().filter(|swap| swap.step.previous() == Some(step)) else {
            return Control::Continue;
        };
        let control = replacement(&swap.items, stage);
        swap.done |= !matches!(control, Control::Continue);
        control
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

/// What the file has in the place of this stage.
fn replacement(items: &[Item], stage: Stage<'_>) -> Control {
    if let Stage::Kernels(kernels) = stage {
        let others: Vec<Kernel> = items
            .iter()
            .filter_map(|item| if let Item::Kernel(kernel) = item { Some(kernel.clone()) } else { None })
            .collect();
        let is_theirs = others.iter().map(|kernel| &kernel.name).eq(kernels.iter().map(|kernel| &kernel.name));
        return if is_theirs { Control::Kernels(others) } else { Control::Continue };
    }
    let found = items.iter().find_map(|item| match (item, stage) {
        (Item::Graph(other), Stage::Graph(graph)) if other.name == graph.name => Some(Control::Graph(other.clone())),
        (Item::Program(other), Stage::Program(program)) if other.name == program.name => {
            Some(Control::Program(other.clone()))
        }
        _ => None,
    });
    found.unwrap_or(Control::Continue)
}

fn read_swap(value: &str) -> Result<Swap, Error> {
    let form =
        || Error::Switch { variable: "KILN_IR", needed: "the form `step:file.ir`".to_owned(), found: value.to_owned() };
    let (name, file) = value.split_once(':').ok_or_else(form)?;
    let step = step("KILN_IR", name)?;
    Ok(Swap { step, items: ir_file::read(file)?, value: value.to_owned(), done: false })
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
