//! The table of contents of the compiler: every step in its order, and what is checked between them.
//!
//! | step | from → to | what it does |
//! |---|---|---|
//! | `verify` | graph | the traced graph is well formed; from here on a broken rule is a bug of the compiler |
//! | `canonicalize` | graph | one form for equal computations |
//! | `merge_common` | graph | nothing is computed twice |
//! | `fold_constants` | graph | what is known is computed now |
//! | `autodiff` | graph | the gradients of the loss, as outputs `d_<parameter>`; training units only |
//! | `append_update` | graph | the optimiser's rules take the gradients' place; training units only |
//! | `simplify` | graph | the three passes again, over what the two before have added; `detach` and custom derivatives have done their work and go |
//! | `autocast` | graph | contractions of a half type, where that is asked for |
//! | `select_algorithm` | graph | convolutions become what is fastest |
//! | `assign_layout` | graph | images are stored channels last |
//! | `fuse` | graph | says which kernel computes each value |
//! | `rematerialize` | graph | what the memory budget does not let it keep is computed again; training units only |
//! | `lower` | graph → kernels | one loop nest for each |
//! | `strips` | kernels | kernels that hand each other large tensors become stages of one |
//! | `tile` | kernels | blocks for caches and micro-kernels, items for threads |
//! | `vectorize` | kernels | lanes |
//! | `order_steps` | kernels | launches in an order that keeps little alive |
//! | `reuse` | kernels | results over operands that nothing reads any more |
//! | `plan_memory` | kernels → program | an offset in the arena for every buffer |
//!
//! Every unit (entry point) goes down on its own, and `plan_memory` joins them. After each step what it made is verified, and an
//! [`Observer`] may look at it, stop the unit, or put other IR in its place: that is how the driver dumps, stops and swaps stages, since
//! passes do no IO.

mod anomaly;
mod budget;
mod check;
mod observe;
mod request;
mod train;

pub use check::{CompileError, CompilerBug};
pub use observe::{Control, Observer, Stage};
pub use request::{Request, Unit, units};

use std::collections::{BTreeMap, BTreeSet};

use check::Watch;
use kiln_ir::{DType, Graph, Program, UpdateRules};

use crate::rematerialize::Recompute;
use crate::select_algorithm::{Problem, Selection};
use crate::steps::Steps;
use crate::{
    assign_layout, autocast, canonicalize, fold_constants, fuse, lower, merge_common, order_steps, program,
    rematerialize, reuse, select_algorithm, strips, tile, vectorize,
};

macro_rules! steps {
    ($($variant:ident = $name:literal,)*) => {
        /// A step of the pipeline, in the order in which they run.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum Step { $($variant,)* }

        impl Step {
            /// Every step, in order.
            pub const ALL: &[Step] = &[$(Step::$variant,)*];

            /// The step's name: of its file, its dumps and its cases.
            pub const fn name(self) -> &'static str {
                match self { $(Step::$variant => $name,)* }
            }
        }
    };
}

steps! {
    Verify = "verify",
    Canonicalize = "canonicalize",
    MergeCommon = "merge_common",
    FoldConstants = "fold_constants",
    Autodiff = "autodiff",
    AppendUpdate = "append_update",
    Simplify = "simplify",
    Autocast = "autocast",
    SelectAlgorithm = "select_algorithm",
    AssignLayout = "assign_layout",
    Fuse = "fuse",
    Rematerialize = "rematerialize",
    Lower = "lower",
    Strips = "strips",
    Tile = "tile",
    Vectorize = "vectorize",
    OrderSteps = "order_steps",
    Reuse = "reuse",
    PlanMemory = "plan_memory",
}

impl Step {
    const GRAPH: &[Step] = Step::ALL.split_at(Step::Lower as usize).0;
    const KERNELS: &[Step] =
        Step::ALL.split_at(Step::Lower as usize).1.split_at(Step::PlanMemory as usize - Step::Lower as usize).0;

    /// The step of this name.
    pub fn from_name(name: &str) -> Option<Step> {
        Step::ALL.iter().copied().find(|step| step.name() == name)
    }

    /// The position in the order, from 0: the number of its dump, as in `10_fuse.ir`.
    pub const fn number(self) -> usize {
        self as usize
    }

    /// The step before, whose output is this one's input.
    pub fn previous(self) -> Option<Step> {
        Some(Step::ALL[self.number().checked_sub(1)?])
    }
}

/// Compiles every unit of a request to one program; `None` where the observer stopped one.
///
/// With a memory budget nobody watches until it is known how much has to be computed again.
pub fn run(request: &Request, observer: &mut dyn Observer) -> Result<Option<Program>, CompileError> {
    // A program whose every value is looked at keeps them all.
    let Some(budget) = request.peak_memory.as_ref().filter(|_| !request.detect_anomaly) else {
        return run_with(request, None, observer);
    };
    let recompute = budget::choose(request, budget)?;
    let program = run_with(request, recompute, observer)?;
    // The observer may have put another one in its place.
    program.map(|program| budget::check(program, budget)).transpose()
}

fn run_with(
    request: &Request,
    recompute: Option<Recompute>,
    observer: &mut dyn Observer,
) -> Result<Option<Program>, CompileError> {
    let (mut entries, mut stopped) = (Vec::new(), false);
    for Unit { name, graph, rules } in units(request) {
        let how = How { rules, recompute, ..How::of(request) };
        let steps = match graph_steps(name, graph, how, observer)? {
            Some(graph) => kernel_steps(name, &graph, how, observer)?,
            None => None,
        };
        stopped |= steps.is_none();
        entries.extend(steps.map(|steps| (name.to_owned(), steps)));
    }
    if stopped {
        return Ok(None);
    }
    let max_batch = entries.iter().map(|(_, steps)| steps.max_batch).max().unwrap_or(1);
    let program = program::join(&request.name, max_batch, entries);
    Watch { unit: &request.name, observer }.program(Step::PlanMemory, program)
}

/// What is asked of a unit beyond its graph.
#[derive(Clone, Copy)]
struct How<'a> {
    rules: Option<&'a UpdateRules>,
    detect_anomaly: bool,
    selection: &'a Selection,
    autocast: Option<DType>,
    recompute: Option<Recompute>,
    stores_strips: bool,
}

impl How<'_> {
    /// Nothing.
    const PLAIN: How<'static> = How {
        rules: None,
        detect_anomaly: false,
        selection: &Selection::Heuristic,
        autocast: None,
        recompute: None,
        stores_strips: false,
    };

    fn of(request: &Request) -> How<'_> {
        let Request { detect_anomaly, ref selection, autocast, stores_strips, .. } = *request;
        How { rules: None, detect_anomaly, selection, autocast, recompute: None, stores_strips }
    }

    /// Whether what kernels hand each other may stay in the caches: where every value is looked at it may not.
    fn joins_strips(&self) -> bool {
        !self.stores_strips && !self.detect_anomaly
    }
}

/// The steps on a unit's graph; `None` where the observer stopped it.
pub fn run_graph(
    unit: &str,
    graph: Graph,
    rules: Option<&UpdateRules>,
    observer: &mut dyn Observer,
) -> Result<Option<Graph>, CompileError> {
    graph_steps(unit, graph, How { rules, ..How::PLAIN }, observer)
}

fn graph_steps(
    unit: &str,
    graph: Graph,
    how: How<'_>,
    observer: &mut dyn Observer,
) -> Result<Option<Graph>, CompileError> {
    some_graph_steps(Step::GRAPH, unit, graph, how, observer)
}

/// The convolutions of a request for which there is a choice of algorithms.
pub fn problems(request: &Request) -> Result<BTreeSet<Problem>, CompileError> {
    let mut problems = BTreeSet::new();
    for Unit { name, graph, rules } in units(request) {
        let how = How { rules, ..How::PLAIN };
        let before = &Step::GRAPH[..Step::Autocast.number()];
        let graph = some_graph_steps(before, name, graph, how, &mut ())?.expect("nobody stops it");
        problems.extend(select_algorithm::problems(&graph));
    }
    Ok(problems)
}

/// Some of them, one after another.
fn some_graph_steps(
    steps: &[Step],
    unit: &str,
    mut graph: Graph,
    how: How<'_>,
    observer: &mut dyn Observer,
) -> Result<Option<Graph>, CompileError> {
    let How { rules, detect_anomaly, selection, autocast, recompute, .. } = how;
    let trains = request::trains(unit);
    for &step in steps {
        let before = graph.order();
        match step {
            Step::Canonicalize => canonicalize::run(&mut graph),
            Step::MergeCommon => merge_common::run(&mut graph),
            Step::FoldConstants => fold_constants::run(&mut graph),
            Step::Autodiff if trains => train::add_gradients(&mut graph, rules)?,
            Step::AppendUpdate if trains => train::append_updates(&mut graph, rules)?,
            Step::Simplify => simplify(&mut graph),
            Step::Autocast => autocast.into_iter().for_each(|half| autocast::run(&mut graph, half, selection)),
            // What is looked at is what the user has written.
            Step::SelectAlgorithm if !detect_anomaly => select_algorithm::run(&mut graph, selection),
            Step::AssignLayout if !detect_anomaly => assign_layout::run(&mut graph),
            Step::Fuse if detect_anomaly => fuse::run_alone(&mut graph),
            Step::Fuse => fuse::run(&mut graph),
            Step::Rematerialize if trains => match recompute {
                Some(how) => rematerialize::run(&mut graph, how),
                None if how.joins_strips() => rematerialize::recompute_scores(&mut graph),
                None => {}
            },
            _ => {}
        }
        if detect_anomaly {
            anomaly::label(&mut graph, step, &before);
        }
        // What goes on is what the dump says and no more, so that a dump that is read back compiles to the same program.
        match (Watch { unit, observer }).graph(step, graph.compacted())? {
            Some(next) => graph = next,
            None => return Ok(None),
        }
    }
    Ok(Some(graph))
}

/// The steps on a unit's kernels; `None` where the observer stopped it.
pub fn run_kernels(unit: &str, graph: &Graph, observer: &mut dyn Observer) -> Result<Option<Steps>, CompileError> {
    kernel_steps(unit, graph, How::PLAIN, observer)
}

fn kernel_steps(
    unit: &str,
    graph: &Graph,
    how: How<'_>,
    observer: &mut dyn Observer,
) -> Result<Option<Steps>, CompileError> {
    let mut steps = lower::run(graph);
    if how.detect_anomaly {
        anomaly::place(graph, &mut steps);
    }
    let mut checked = BTreeMap::new();
    for &step in Step::KERNELS {
        match step {
            Step::Strips if how.joins_strips() => strips::run(&mut steps),
            Step::Tile => tile::run(&mut steps),
            Step::Vectorize => vectorize::run(&mut steps),
            Step::OrderSteps => order_steps::run(&mut steps),
            // What a kernel has read must still be there when its result is looked at.
            Step::Reuse if !how.detect_anomaly => reuse::run(&mut steps),
            _ => {}
        }
        match (Watch { unit, observer }).kernels(step, steps, &mut checked)? {
            Some(next) => steps = next,
            None => return Ok(None),
        }
    }
    Ok(Some(steps))
}

/// The three passes once more. What is folded opens the way for rules about known values, so two of them run twice.
fn simplify(graph: &mut Graph) {
    canonicalize::remove_detach(graph);
    canonicalize::run(graph);
    merge_common::run(graph);
    fold_constants::run(graph);
    canonicalize::run(graph);
    merge_common::run(graph);
}
