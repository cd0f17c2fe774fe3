//! A kernel as text. The form is shown at [`crate::kernel`].
//!
//! Reading numbers axes and locals in the order in which they are defined. A kernel that numbers them otherwise has a line that
//! says so, `axes ow in 28, oh in 28` or `locals m: f32, s: f32`, so that every kernel reads back as itself.

use std::fmt::{self, Write};

use super::names::{Names, joined, name_text, place_text, word_text};
use super::numbering::Numbering;
use super::print_expr::{expr_text, index_text, indices_text};
use crate::kernel::{Access, Axis, Contract, Kernel, Reduction, Schedule, Statement, Tensor, Tile};
use crate::{AxisId, DType, Expr, LocalId, Monoid};

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_kernel(f, self, 0)
    }
}

/// Writes a kernel indented by so many levels.
pub(super) fn write_kernel(out: &mut dyn Write, kernel: &Kernel, level: usize) -> fmt::Result {
    let printer = Printer { kernel, names: Names::of(kernel) };
    printer.header(out, level)?;
    for line in [axes_line(kernel, &printer.names), locals_line(kernel)].into_iter().flatten() {
        writeln!(out, "{}{line}", indent(level + 1))?;
    }
    printer.block(out, &kernel.body, level + 1)?;
    if kernel.schedule != Schedule::default() {
        writeln!(out, "{}schedule{}", indent(level + 1), schedule_text(kernel, &printer.names))?;
    }
    Ok(())
}

/// Lines before the first statement: the verifier blames statements by their line in this text.
pub(crate) fn lines_before_body(kernel: &Kernel) -> u32 {
    let names = Names::default();
    1 + u32::from(axes_line(kernel, &names).is_some()) + u32::from(locals_line(kernel).is_some())
}

/// The dtype that a `let` has unless its text says otherwise.
pub(super) fn implied_dtype(kernel: &Kernel, value: &Expr) -> DType {
    let tensor = |id: crate::TensorId| kernel.tensors.get(id.0 as usize).map_or(DType::F32, |tensor| tensor.ty.dtype);
    let local = |id: LocalId| kernel.locals.get(id.0 as usize).map_or(DType::F32, |local| local.dtype);
    value.dtype(&tensor, &local)
}

/// The dtype that a reduction's result has unless its text says otherwise.
pub(super) fn implied_result_dtype(kernel: &Kernel, monoid: Monoid, value: &Expr) -> DType {
    if monoid == Monoid::ArgMax { DType::I64 } else { implied_dtype(kernel, value) }
}

struct Printer<'k> {
    kernel: &'k Kernel,
    names: Names,
}

impl Printer<'_> {
    fn header(&self, out: &mut dyn Write, level: usize) -> fmt::Result {
        let tensors = &self.kernel.tensors;
        let (inputs, outputs) = tensors.split_at(leading_reads(tensors));
        let list = |tensors: &[Tensor], plain: Access| {
            joined(tensors.iter().map(|tensor| {
                let access = match tensor.access {
                    access if access == plain => "",
                    Access::Read => "in ",
                    Access::Write => "out ",
                    Access::Update => "inout ",
                    Access::Scratch => "scratch ",
                };
                format!("{access}{}: {}", word_text(&tensor.name), tensor.ty)
            }))
        };
        let (inputs, outputs) = (list(inputs, Access::Read), list(outputs, Access::Write));
        write!(out, "{}kernel {}({inputs}) -> ({outputs})", indent(level), name_text(&self.kernel.name))?;
        for (at, place) in self.kernel.places.iter().enumerate() {
            write!(out, "{}{}", if at == 0 { "   " } else { " " }, place_text(place))?;
        }
        writeln!(out)
    }

    fn block(&self, out: &mut dyn Write, statements: &[Statement], level: usize) -> fmt::Result {
        statements.iter().try_for_each(|statement| self.statement(out, statement, level))
    }

    fn statement(&self, out: &mut dyn Write, statement: &Statement, level: usize) -> fmt::Result {
        write!(out, "{}", indent(level))?;
        match statement {
            Statement::Let(local, value) => writeln!(out, "{}", self.binding(*local, value)),
            Statement::For(axes, body) => {
                writeln!(out, "{}", spaced("for", &self.axes(axes)))?;
                self.block(out, body, level + 1)
            }
            Statement::Serial(axes, body) => {
                writeln!(out, "{}", spaced("serial", &self.axes(axes)))?;
                self.block(out, body, level + 1)
            }
            Statement::Reduce { axes, lets, results } => {
                let targets = joined(results.iter().map(|result| self.target(result)));
                let monoids = joined(results.iter().map(|result| result.monoid.name().to_owned()));
                let values = joined(results.iter().map(|result| expr_text(&result.value, &self.names)));
                writeln!(out, "{targets} = {} of {values}", spaced(&monoids, &self.axes(axes)))?;
                lets.iter().try_for_each(|(local, value)| {
                    writeln!(out, "{}where {}", indent(level + 1), self.binding(*local, value))
                })
            }
            Statement::Store { tensor, index, value } => {
                let index = indices_text(index, &self.names);
                writeln!(out, "{}[{index}] = {}", self.names.tensor(*tensor), expr_text(value, &self.names))
            }
        }
    }

    fn binding(&self, local: LocalId, value: &Expr) -> String {
        let dtype = implied_dtype(self.kernel, value);
        format!("{} = {}", self.typed_local(local, dtype), expr_text(value, &self.names))
    }

    fn target(&self, result: &Reduction) -> String {
        self.typed_local(result.local, implied_result_dtype(self.kernel, result.monoid, &result.value))
    }

    fn typed_local(&self, local: LocalId, implied: DType) -> String {
        let name = self.names.local(local);
        match self.kernel.locals.get(local.0 as usize) {
            Some(held) if held.dtype != implied => format!("{name}: {}", held.dtype),
            _ => name,
        }
    }

    /// `n in B, i in 4 while 4*p + i < B`.
    fn axes(&self, axes: &[AxisId]) -> String {
        joined(axes.iter().map(|&axis| match self.kernel.axes.get(axis.0 as usize) {
            None => self.names.axis(axis),
            Some(held) => {
                let limit = held.limit.as_ref().map_or_else(String::new, |(index, below)| {
                    format!(" while {} < {below}", index_text(index, &self.names))
                });
                format!("{} in {}{limit}", self.names.axis(axis), held.extent)
            }
        }))
    }
}

/// How many tensors stand in the first list of the header.
pub(super) fn leading_reads(tensors: &[Tensor]) -> usize {
    tensors.iter().take_while(|tensor| tensor.access == Access::Read).count()
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn spaced(head: &str, tail: &str) -> String {
    if tail.is_empty() { head.to_owned() } else { format!("{head} {tail}") }
}

fn axes_line(kernel: &Kernel, names: &Names) -> Option<String> {
    let axis = |(at, axis): (usize, &Axis)| format!("{} in {}", names.axis(AxisId(at as u32)), axis.extent);
    let is_needed = !Numbering::of(kernel).axes_in_order;
    is_needed.then(|| format!("axes {}", joined(kernel.axes.iter().enumerate().map(axis))))
}

fn locals_line(kernel: &Kernel) -> Option<String> {
    let locals = || kernel.locals.iter().map(|local| format!("{}: {}", word_text(&local.name), local.dtype));
    let is_needed = !Numbering::of(kernel).locals_in_order;
    is_needed.then(|| format!("locals {}", joined(locals())))
}

/// ` thread(n) grain(1) vector(ow:4) ...`, with what is not the default.
fn schedule_text(kernel: &Kernel, names: &Names) -> String {
    let Schedule { thread, grain, vector, unroll, contracts } = &kernel.schedule;
    let axes = |axes: &[AxisId]| axes.iter().map(|&axis| names.axis(axis)).collect::<Vec<_>>().join(" ");
    let mut text = String::new();
    if !thread.is_empty() {
        text += &format!(" thread({})", axes(thread));
    }
    if *grain != 0 {
        text += &format!(" grain({grain})");
    }
    for contract in contracts {
        text += &format!(" contract({})", contract_text(kernel, names, contract));
    }
    if !vector.is_empty() {
        let lanes = vector.iter().map(|vector| format!("{}:{}", names.axis(vector.axis), vector.lanes));
        text += &format!(" vector({})", lanes.collect::<Vec<_>>().join(" "));
    }
    if !unroll.is_empty() {
        text += &format!(" unroll({})", axes(unroll));
    }
    text
}

/// `m: oc; n: oh:4 ow; k: c kh kw; pack b; a 1`.
fn contract_text(kernel: &Kernel, names: &Names, contract: &Contract) -> String {
    let tiles = |name: &str, tiles: &[Tile]| {
        let tiles = tiles.iter().map(|tile| {
            let extent = kernel.axes.get(tile.axis.0 as usize).and_then(|axis| axis.extent.as_fixed());
            let size = if extent == Some(tile.size) { String::new() } else { format!(":{}", tile.size) };
            format!(" {}{size}", names.axis(tile.axis))
        });
        format!("{name}:{}", tiles.collect::<String>())
    };
    let mut parts = vec![tiles("m", &contract.m), tiles("n", &contract.n), tiles("k", &contract.k)];
    match (contract.pack_a, contract.pack_b) {
        (true, true) => parts.push("pack a b".to_owned()),
        (true, false) => parts.push("pack a".to_owned()),
        (false, true) => parts.push("pack b".to_owned()),
        (false, false) => {}
    }
    if contract.a_factor != 0 {
        parts.push(format!("a {}", contract.a_factor));
    }
    parts.join("; ")
}
