//! The rules of kernels: names, scopes, ranks, dtypes and access here; ranges, coverage and schedules in the files beside.

use super::{Finding, Report, bounds, ids, schedule, types};
use crate::kernel::{Access, Kernel, Reduction, Statement};
use crate::text::{Names, index_text, lines_before_body, load_text};
use crate::{Atom, AxisId, Code, DType, Expr, Index, LocalId, Monoid, Place, TensorId};

/// The rules that a kernel breaks, by line of its text.
pub fn verify_kernel(kernel: &Kernel) -> Vec<Finding> {
    let mut report = Report::new();
    let place = kernel.places.last().cloned().unwrap_or(Place::NONE);
    if let Some(message) = ids::unknown_id(kernel) {
        report.add(1, Code::BadKernel, message, &place);
        return report.finish();
    }
    let mut checker = Checker {
        kernel,
        names: Names::of(kernel),
        place: &place,
        report: &mut report,
        line: lines_before_body(kernel),
        axis_lines: vec![None; kernel.axes.len()],
        local_lines: vec![None; kernel.locals.len()],
        axes_in_scope: Vec::new(),
        locals_in_scope: Vec::new(),
        in_serial: false,
    };
    checker.signature();
    checker.block(&kernel.body);
    checker.unused();
    let schedule_line = checker.line + 1;
    if report.is_empty() {
        bounds::check(kernel, &place, &mut report);
        schedule::check(kernel, schedule_line, &place, &mut report);
    }
    report.finish()
}

struct Checker<'k, 'r> {
    kernel: &'k Kernel,
    names: Names,
    place: &'k Place,
    report: &'r mut Report,
    /// The line of the statement at hand.
    line: u32,
    /// The first loop of each axis.
    axis_lines: Vec<Option<u32>>,
    /// The first definition of each local.
    local_lines: Vec<Option<u32>>,
    axes_in_scope: Vec<AxisId>,
    locals_in_scope: Vec<LocalId>,
    /// Whether the statement at hand is in a serial loop.
    in_serial: bool,
}

impl Checker<'_, '_> {
    fn add(&mut self, line: u32, code: Code, message: String) {
        self.report.add(line, code, message, self.place);
    }

    fn signature(&mut self) {
        let kernel = self.kernel;
        let tensors: Vec<&str> = kernel.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        let axes: Vec<&str> = kernel.axes.iter().map(|axis| axis.name.as_str()).collect();
        let locals: Vec<&str> = kernel.locals.iter().map(|local| local.name.as_str()).collect();
        for (kind, mut names) in [("tensors", tensors), ("axes", axes), ("locals", locals)] {
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                self.add(1, Code::DuplicateName, format!("{kind} have different names: two are `{}`", pair[0]));
            }
        }
        if let Some(tensor) = kernel.tensors.iter().find(|tensor| !tensor.ty.shape.is_batch_leading()) {
            let message = format!("the batch axis stands in front: `{}` is {}", tensor.name, tensor.ty);
            self.add(1, Code::BatchAxis, message);
        }
        let is_read = |access| access == Access::Read;
        if !kernel.tensors.iter().map(|tensor| tensor.access).is_sorted_by_key(|access| !is_read(access)) {
            self.add(1, Code::BadKernel, "tensors that are only read come first".to_owned());
        }
        if !kernel.tensors.iter().map(|tensor| tensor.access).is_sorted_by_key(|access| access == Access::Scratch) {
            self.add(1, Code::BadKernel, "scratch tensors come last".to_owned());
        }
    }

    fn block(&mut self, statements: &[Statement]) {
        let locals = self.locals_in_scope.len();
        for statement in statements {
            self.line += 1;
            self.statement(statement);
        }
        self.locals_in_scope.truncate(locals);
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Let(local, value) => {
                let dtype = self.expr(value);
                self.define(*local, dtype);
            }
            Statement::For(axes, body) => {
                let outer = self.axes_in_scope.len();
                self.loops(axes);
                self.block(body);
                self.axes_in_scope.truncate(outer);
            }
            Statement::Serial(axes, body) => {
                let outer = self.axes_in_scope.len();
                self.loops(axes);
                if !body.iter().all(|statement| matches!(statement, Statement::Let(..) | Statement::Store { .. })) {
                    let message = "a serial loop holds nothing but lets and stores";
                    self.add(self.line, Code::BadKernel, message.to_owned());
                }
                let around = std::mem::replace(&mut self.in_serial, true);
                self.block(body);
                self.in_serial = around;
                self.axes_in_scope.truncate(outer);
            }
            Statement::Reduce { axes, lets, results } => {
                let (outer, locals) = (self.axes_in_scope.len(), self.locals_in_scope.len());
                let line = self.line;
                self.loops(axes);
                for (local, value) in lets {
                    self.line += 1;
                    let dtype = self.expr(value);
                    self.define(*local, dtype);
                }
                let last_line = std::mem::replace(&mut self.line, line);
                let dtypes: Vec<Option<DType>> = results.iter().map(|result| self.result(result)).collect();
                self.axes_in_scope.truncate(outer);
                self.locals_in_scope.truncate(locals);
                if results.is_empty() {
                    self.add(self.line, Code::BadKernel, "a reduction has a result".to_owned());
                }
                for (result, dtype) in results.iter().zip(dtypes) {
                    self.define(result.local, dtype);
                }
                self.line = last_line;
            }
            Statement::Store { tensor, index, value } => self.store(*tensor, index, value),
        }
    }

    fn loops(&mut self, axes: &[AxisId]) {
        for &axis in axes {
            let (line, held) = (self.line, &self.kernel.axes[axis.0 as usize]);
            match self.axis_lines[axis.0 as usize] {
                None => self.axis_lines[axis.0 as usize] = Some(line),
                Some(first) => {
                    let message =
                        format!("an axis belongs to one loop: `{}` has one in line {first} already", held.name);
                    self.add(line, Code::BadKernel, message);
                }
            }
            self.axes_in_scope.push(axis);
            if let Some((index, _)) = &held.limit {
                self.expr(&Expr::Index(index.clone()));
                let own = (Atom::Axis(axis), 1);
                if !index.terms.contains(&own) {
                    let index = index_text(index, &self.names);
                    let message =
                        format!("the limit of `{}` is on an index with its factor 1, found `{index}`", held.name);
                    self.add(line, Code::BadKernel, message);
                }
            }
        }
    }

    fn result(&mut self, result: &Reduction) -> Option<DType> {
        let dtype = self.expr(&result.value)?;
        if dtype == DType::Bool && matches!(result.monoid, Monoid::Sum | Monoid::Product | Monoid::ArgMax) {
            self.add(self.line, Code::DTypeMismatch, format!("{} needs numbers, found bool", result.monoid.name()));
        }
        Some(if result.monoid == Monoid::ArgMax { DType::I64 } else { dtype })
    }

    fn define(&mut self, local: LocalId, dtype: Option<DType>) {
        let (line, held) = (self.line, self.kernel.local(local));
        match self.local_lines[local.0 as usize] {
            None => self.local_lines[local.0 as usize] = Some(line),
            Some(first) => {
                let message = format!("a local is defined once: `{}` is defined in line {first} already", held.name);
                self.add(line, Code::BadKernel, message);
            }
        }
        if let Some(dtype) = dtype.filter(|&dtype| dtype != held.dtype) {
            let message =
                format!("a local has its value's dtype: `{}` is {}, its value {dtype}", held.name, held.dtype);
            self.add(line, Code::DTypeMismatch, message);
        }
        self.locals_in_scope.push(local);
    }

    fn store(&mut self, tensor: TensorId, index: &[Index], value: &Expr) {
        let dtype = self.expr(value);
        for index in index {
            self.expr(&Expr::Index(index.clone()));
            let mut has_value = false;
            Expr::Index(index.clone()).for_each(&mut |x| has_value |= !matches!(x, Expr::Index(_)));
            if has_value && !self.in_serial {
                let message = "the place of a store outside of serial loops depends on axes alone";
                self.add(self.line, Code::BadKernel, message.to_owned());
            }
        }
        let held = self.kernel.tensor(tensor);
        self.rank(tensor, index.len());
        if held.access == Access::Read {
            self.add(self.line, Code::BadKernel, format!("`{}` is only read, and stored here", held.name));
        }
        if let Some(dtype) = dtype.filter(|&dtype| dtype != held.ty.dtype) {
            let message =
                format!("a stored value has its tensor's dtype: `{}` is {}, the value {dtype}", held.name, held.ty);
            self.add(self.line, Code::DTypeMismatch, message);
        }
    }

    /// Checks an expression on the line at hand, and gives its dtype if it has one.
    fn expr(&mut self, expr: &Expr) -> Option<DType> {
        let mut mistakes = Vec::new();
        expr.for_each(&mut |x| match x {
            Expr::Local(local) if !self.locals_in_scope.contains(local) => {
                let name = &self.kernel.local(*local).name;
                mistakes.push((Code::BadOrder, format!("`{name}` is used where it is not defined")));
            }
            Expr::Index(index) => mistakes.extend(self.axis_mistake(index)),
            Expr::Load(load) => mistakes.extend(load.index.iter().find_map(|index| self.axis_mistake(index))),
            _ => {}
        });
        for (code, message) in mistakes {
            self.add(self.line, code, message);
        }
        expr.for_each(&mut |x| {
            if let Expr::Load(load) = x {
                self.rank(load.tensor, load.index.len());
                if self.kernel.tensor(load.tensor).access == Access::Write && !self.in_serial {
                    let load = load_text(load, &self.names);
                    self.add(self.line, Code::BadKernel, format!("a tensor that is written is not loaded: `{load}`"));
                }
            }
        });
        match types::check(self.kernel, &self.names, expr) {
            Ok(dtype) => Some(dtype),
            Err(message) => {
                self.add(self.line, Code::DTypeMismatch, message);
                None
            }
        }
    }

    fn axis_mistake(&self, index: &Index) -> Option<(Code, String)> {
        if !has_positive_divisors(index) {
            let index = index_text(index, &self.names);
            return Some((Code::BadKernel, format!("divisors of an index are positive, found `{index}`")));
        }
        let mut outside = None;
        index.for_each_axis(&mut |axis| {
            if !self.axes_in_scope.contains(&axis) {
                outside = Some(axis);
            }
        });
        let name = &self.kernel.axis(outside?).name;
        Some((Code::BadOrder, format!("the axis `{name}` is used outside of its loop")))
    }

    fn rank(&mut self, tensor: TensorId, found: usize) {
        let held = self.kernel.tensor(tensor);
        if held.ty.rank() != found {
            let message = format!("`{}` is {} and takes {} indices, found {found}", held.name, held.ty, held.ty.rank());
            self.add(self.line, Code::RankMismatch, message);
        }
    }

    fn unused(&mut self) {
        if let Some(at) = self.axis_lines.iter().position(Option::is_none) {
            let message = format!("an axis belongs to one loop: `{}` has none", self.kernel.axes[at].name);
            self.add(1, Code::BadKernel, message);
        }
        if let Some(at) = self.local_lines.iter().position(Option::is_none) {
            let message = format!("a local is defined once: `{}` is not", self.kernel.locals[at].name);
            self.add(1, Code::BadKernel, message);
        }
    }
}

fn has_positive_divisors(index: &Index) -> bool {
    index.terms.iter().all(|(atom, _)| match atom {
        Atom::Axis(_) | Atom::Value(_) => true,
        Atom::Div(inner, by) | Atom::Mod(inner, by) | Atom::ExactDiv(inner, by) => {
            *by > 0 && has_positive_divisors(inner)
        }
    })
}
