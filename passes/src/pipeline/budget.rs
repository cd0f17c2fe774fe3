//! The memory budget: as much is computed again as it takes for the arena to fit, and not more.
//!
//! The kinds of recomputation are tried in the order of what they cost, each down to the plan of the memory, which is what the runtime allocates: fusion,
//! the order of the launches and the packing of the arena are part of the answer. Nothing else of a compilation depends on which is tried.

use std::collections::BTreeMap;

use kiln_ir::program::{Buffer, Class};
use kiln_ir::{Bytes, Code, Diagnostic, Graph, PeakMemory, Place, Program};

use super::{CompileError, How, Request, Step, Unit, kernel_steps, request, some_graph_steps, units};
use crate::program;
use crate::rematerialize::{self, Recompute};
use crate::steps::Steps;

/// How many of the values at the peak a message lists.
const LISTED: usize = 8;

/// What has to be computed again so that the program keeps its budget: the first of the ladder with which it does.
pub(super) fn choose(request: &Request, budget: &PeakMemory) -> Result<Option<Recompute>, CompileError> {
    let mut prepared = Vec::new();
    for Unit { name, graph, rules } in units(request) {
        let how = How { rules, ..How::of(request) };
        let before = &Step::GRAPH[..Step::Rematerialize.number()];
        let graph = some_graph_steps(before, name, graph, how, &mut ())?.expect("nobody stops it");
        prepared.push((name, graph));
    }
    let trained = || prepared.iter().filter(|(name, _)| request::trains(name));
    let layers = trained().map(|(_, graph)| rematerialize::layers(graph)).max().unwrap_or(0);
    let ladder = if trained().next().is_some() { Recompute::ladder(layers) } else { Vec::new() };
    let mut least: Option<Program> = None;
    let mut compiled: BTreeMap<&str, Made> = BTreeMap::new();
    for recompute in [None].into_iter().chain(ladder.into_iter().map(Some)) {
        let how = How { recompute, ..How::of(request) };
        let mut is_new = false;
        for (name, graph) in &prepared {
            let own = recompute.filter(|_| request::trains(name));
            is_new |= make(&mut compiled, name, graph, own, how)?;
        }
        if !is_new {
            continue;
        }
        let program = joined(request, &prepared, &compiled);
        if program.arena_bytes <= budget.limit.0 {
            return Ok(recompute);
        }
        if least.as_ref().is_none_or(|least| program.arena_bytes < least.arena_bytes) {
            least = Some(program);
        }
    }
    let least = least.expect("the program without recomputation was compiled");
    Err(over(&least, budget).into())
}

/// The program, if it keeps the budget.
pub(super) fn check(program: Program, budget: &PeakMemory) -> Result<Program, CompileError> {
    if program.arena_bytes <= budget.limit.0 { Ok(program) } else { Err(over(&program, budget).into()) }
}

/// A unit's graph, and its launches.
struct Made {
    graph: Graph,
    steps: Steps,
}

/// Takes a unit to its launches, unless it has the same graph as the last time. Whether it was new.
fn make<'a>(
    compiled: &mut BTreeMap<&'a str, Made>,
    name: &'a str,
    graph: &Graph,
    recompute: Option<Recompute>,
    how: How<'_>,
) -> Result<bool, CompileError> {
    let how = How { recompute, ..how };
    let graph = some_graph_steps(&[Step::Rematerialize], name, graph.clone(), how, &mut ())?.expect("nobody stops it");
    if compiled.get(name).is_some_and(|made| made.graph == graph) {
        return Ok(false);
    }
    let steps = kernel_steps(name, &graph, how, &mut ())?.expect("nobody stops it");
    compiled.insert(name, Made { graph, steps });
    Ok(true)
}

fn joined(request: &Request, units: &[(&str, Graph)], compiled: &BTreeMap<&str, Made>) -> Program {
    let entries: Vec<(String, Steps)> =
        units.iter().map(|(name, _)| ((*name).to_owned(), compiled[name].steps.clone())).collect();
    let max_batch = entries.iter().map(|(_, steps)| steps.max_batch).max().unwrap_or(1);
    program::join(&request.name, max_batch, entries)
}

/// What a program that does not fit has at its fullest step.
fn over(program: &Program, budget: &PeakMemory) -> Diagnostic {
    let size = |buffer: &Buffer| buffer.ty.size_bytes(program.max_batch);
    let persistent: usize = program.buffers.iter().filter(|buffer| buffer.live.is_none()).map(size).sum();
    let alive = |entry: usize, step: usize| {
        let holds = move |buffer: &&Buffer| {
            buffer.live.is_some_and(|live| live.entry == entry && (live.first..=live.last).contains(&step))
        };
        program.buffers.iter().filter(holds)
    };
    let steps = program
        .entries
        .iter()
        .enumerate()
        .flat_map(|(entry, held)| (0..held.steps.len()).map(move |step| (entry, step)));
    // The first of equals.
    let peak = steps.rev().max_by_key(|&(entry, step)| alive(entry, step).map(size).sum::<usize>());
    let (limit, needed) = (budget.limit, Bytes(program.arena_bytes));
    let mut message = format!("`{}` needs to fit in {limit}: the least that it can do with is {needed}", program.name);
    if let Some((entry, step)) = peak {
        let total = Bytes(persistent + alive(entry, step).map(size).sum::<usize>());
        let entry_name = &program.entries[entry].name;
        message += &format!(
            "\n{total} are alive at launch {step} of {entry_name}, {} of them as long as the program; the largest are",
            Bytes(persistent)
        );
        let mut values: Vec<&Buffer> =
            alive(entry, step).chain(program.buffers.iter().filter(|buffer| buffer.live.is_none())).collect();
        values.sort_by_key(|buffer| std::cmp::Reverse(size(buffer)));
        for buffer in values.into_iter().take(LISTED) {
            message += &format!("\n  {}: {} {}, {}", buffer.name, buffer.ty, class(buffer.class), Bytes(size(buffer)));
            let place = maker(program, buffer);
            if !place.is_none() {
                message += &format!(", {place}");
            }
        }
    }
    let help = "raise the budget, or make the batch or the model smaller";
    Diagnostic::new(Code::PeakMemory, message).at(budget.place.clone()).help(help)
}

fn class(class: Class) -> String {
    class.name().replace('_', " ")
}

/// The line of the launch that writes a temporary first.
fn maker(program: &Program, buffer: &Buffer) -> Place {
    let step = buffer.live.and_then(|live| program.entries[live.entry].steps.get(live.first));
    step.map_or(Place::NONE, |step| step.place.clone())
}
