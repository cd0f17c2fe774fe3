//! The loop tree as C: plain loops, and loops whose iterations a block's threads share.

use kiln_ir::kernel::{Reduction, Statement};
use kiln_ir::{AxisId, Expr, Load, LocalId, Monoid, Number};

use crate::bounds::is_inside;
use crate::expr::{accumulate, identity};
use crate::scope::{Scope, c_type};
use crate::text::{Code, Level, Text};

/// A kernel's text under construction.
pub(crate) struct Writer<'k> {
    pub(crate) scope: Scope<'k>,
    pub(crate) text: Text,
}

/// Who runs the iterations of a loop.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Share {
    /// Each thread runs all of them.
    Alone,
    /// The block's threads, this many, take them in turn.
    Block(u32),
}

impl Writer<'_> {
    /// The statements of one position, in parts: a blank line and a comment before each loop and before what lies between loops.
    pub(crate) fn parts(&mut self, body: &[Statement], share: Share) {
        let is_plain = |statement: &Statement| matches!(statement, Statement::Let(..) | Statement::Store { .. });
        let has_loops = !body.iter().all(is_plain);
        let mut rest = body;
        while let Some(first) = rest.first() {
            let plain = rest.iter().take_while(|statement| is_plain(statement)).count();
            let (part, after) = rest.split_at(plain.max(1));
            match first {
                Statement::For(axes, _) => {
                    let axes = self.scope.names.axis_list(axes);
                    self.text.section(format_args!("Each {axes}{}.", share.describe()));
                }
                Statement::Serial(axes, _) => {
                    let axes = self.scope.names.axis_list(axes);
                    self.text.section(format_args!("Each {axes}, one after another."));
                }
                Statement::Reduce { axes, results, .. } => self.describe_reduction(axes, results, share),
                _ if !has_loops => self.text.section("The value."),
                _ if rest.len() == body.len() => self.text.section("Prologue."),
                _ if after.is_empty() => self.text.section("Epilogue."),
                _ => self.text.section("From the results so far."),
            }
            self.part(part, share, after.is_empty());
            rest = after;
        }
    }

    /// Statements inside a loop that one thread runs.
    pub(crate) fn statements(&mut self, body: &[Statement]) {
        for statement in body {
            self.statement(statement, Share::Alone);
        }
    }

    /// Binds an expression's filled loads to variables, so that a guard is a line of its own, and gives its code. The variables are used
    /// again until the caller clears `bound_loads` at the end of the statement.
    pub(crate) fn bind_loads(&mut self, value: &Expr) -> Code {
        let mut loads = Vec::new();
        value.for_each(&mut |expr| {
            if let Expr::Load(load) = expr
                && load.fill.is_some()
            {
                loads.push(load.clone());
            }
        });
        // Expressions come before what they contain: backwards, an index is bound before its use.
        for load in loads.into_iter().rev() {
            if self.scope.bound_loads.iter().all(|(held, _)| *held != load) {
                let name = self.bind_load(&load);
                self.scope.bound_loads.push((load, name));
            }
        }
        self.scope.expr(value)
    }

    /// Declares an axis, or several from one row-major position.
    pub(crate) fn declare_axes(&mut self, linear: &str, axes: &[AxisId]) {
        for line in self.scope.split(linear, axes) {
            self.text.line(line);
        }
    }

    /// The condition under which a position of split axes lies beyond their limits; `None` if no axis has one.
    pub(crate) fn beyond_limits(&self, axes: &[AxisId]) -> Option<Code> {
        let conditions = axes.iter().filter_map(|&axis| self.limit(axis, ">="));
        conditions.reduce(|all, one| Code::binary(Level::Or, "||", &all, &one))
    }

    fn limit(&self, axis: AxisId, operator: &str) -> Option<Code> {
        let (index, end) = self.scope.kernel.axis(axis).limit.as_ref()?;
        Some(Code::binary(Level::Relation, operator, &self.scope.index(index), &self.scope.dim(*end)))
    }

    /// One loop, or what lies between loops.
    fn part(&mut self, part: &[Statement], share: Share, is_last: bool) {
        let mut rest = part;
        while let Some(first) = rest.first() {
            let is_store = |statement: &Statement| matches!(statement, Statement::Store { .. });
            let is_serial = matches!(first, Statement::Serial(..));
            let stores = rest.iter().take_while(|statement| is_store(statement)).count();
            let (run, after) = rest.split_at(stores.max(1));
            let is_shared = share != Share::Alone;
            // A block's threads must have read what one of them overwrites, and see it before they go on.
            let barrier = is_shared && run.iter().any(|statement| self.stores_update(statement));
            if barrier {
                self.text.line("__syncthreads();");
            }
            let by_first_thread = is_shared && (is_store(first) || is_serial);
            if by_first_thread {
                self.text.open("if (threadIdx.x == 0)");
            }
            for statement in run {
                self.statement(statement, share);
            }
            self.text.close(usize::from(by_first_thread));
            if barrier && !(is_last && after.is_empty()) {
                self.text.line("__syncthreads();");
            }
            rest = after;
        }
    }

    fn statement(&mut self, statement: &Statement, share: Share) {
        match statement {
            Statement::Let(local, value) => self.bind(*local, value),
            Statement::Store { tensor, index, value } => {
                let value = self.bind_loads(value);
                let element = self.scope.element(*tensor, index);
                self.text.line(format_args!("{} = {};", element.text(), value.text()));
                self.scope.bound_loads.clear();
            }
            Statement::For(axes, body) => {
                let opened = self.open_loop(axes, share);
                self.statements(body);
                self.text.close(opened);
            }
            Statement::Serial(axes, body) => {
                let opened = self.open_loop(axes, Share::Alone);
                self.statements(body);
                self.text.close(opened);
            }
            Statement::Reduce { axes, lets, results } => self.reduce(axes, lets, results, share),
        }
    }

    /// Declares a filled load's value, and first those of its indices that can leave the tensor.
    fn bind_load(&mut self, load: &Load) -> String {
        let Scope { kernel, max_batch, .. } = self.scope;
        let ty = &kernel.tensor(load.tensor).ty;
        let tensor = self.scope.names.tensor(load.tensor).to_owned();
        let mut named = Vec::new();
        for (axis, (index, &extent)) in load.index.iter().zip(ty.shape.dims()).enumerate() {
            let is_simple = index.as_axis().is_some() || index.as_constant().is_some();
            if is_simple || is_inside(index, extent, kernel, max_batch) {
                named.push(None);
                continue;
            }
            let name = self.scope.fresh.fresh(&format!("{tensor}_at_{axis}"));
            let (position, code) = (self.scope.position_type(), self.scope.index(index));
            self.text.line(format_args!("const {position} {name} = {};", code.text()));
            named.push(Some(name));
        }
        let name = self.scope.fresh.fresh(&format!("{tensor}_or_fill"));
        let value = self.scope.filled(load, load.fill.unwrap_or(Number::new(0.0)), &named);
        self.text.line(format_args!("const {} {name} = {};", c_type(ty.dtype), value.text()));
        name
    }

    fn bind(&mut self, local: LocalId, value: &Expr) {
        let ty = c_type(self.scope.kernel.local(local).dtype);
        let value = self.bind_loads(value);
        self.text.line(format_args!("const {ty} {} = {};", self.scope.names.local(local), value.text()));
        self.scope.bound_loads.clear();
    }

    fn reduce(&mut self, axes: &[AxisId], lets: &[(LocalId, Expr)], results: &[Reduction], share: Share) {
        // A reduction over no axes has one value, which every thread can compute.
        let share = if axes.is_empty() { Share::Alone } else { share };
        let bests: Vec<String> = results.iter().map(|result| self.declare_result(result)).collect();
        let opened = self.open_loop(axes, share);
        for (local, value) in lets {
            self.bind(*local, value);
        }
        for (result, best) in results.iter().zip(&bests) {
            let value = self.bind_loads(&result.value);
            self.take(axes, result, best, &value);
        }
        self.scope.bound_loads.clear();
        self.text.close(opened);
        if let Share::Block(_) = share {
            for (result, best) in results.iter().zip(&bests) {
                let name = self.scope.names.local(result.local);
                let combined = match result.monoid {
                    Monoid::Sum => format!("kiln_block_reduce<kiln_sum>({name})"),
                    Monoid::Product => format!("kiln_block_reduce<kiln_product>({name})"),
                    Monoid::Max => format!("kiln_block_reduce<kiln_maximum>({name})"),
                    Monoid::Min => format!("kiln_block_reduce<kiln_minimum>({name})"),
                    Monoid::ArgMax => format!("kiln_block_argmax({best}, {name})"),
                };
                self.text.line(format_args!("{name} = {combined};"));
            }
        }
    }

    /// Declares a result and, for `ArgMax`, the value found there, whose name is returned.
    fn declare_result(&mut self, result: &Reduction) -> String {
        let dtype = self.scope.kernel.dtype(&result.value);
        let start = identity(result.monoid, dtype);
        let name = self.scope.names.local(result.local).to_owned();
        if result.monoid != Monoid::ArgMax {
            self.text.line(format_args!("{} {name} = {};", c_type(dtype), start.text()));
            return name;
        }
        let best = self.scope.fresh.fresh(&format!("{name}_best"));
        self.text.line(format_args!("i64 {name} = 0;"));
        self.text.line(format_args!("{} {best} = {};", c_type(dtype), start.text()));
        best
    }

    /// Takes one more value into a result.
    fn take(&mut self, axes: &[AxisId], result: &Reduction, best: &str, value: &Code) {
        let dtype = self.scope.kernel.dtype(&result.value);
        let name = self.scope.names.local(result.local).to_owned();
        if result.monoid != Monoid::ArgMax {
            self.text.line(accumulate(result.monoid, dtype, &name, value));
            return;
        }
        let candidate = self.scope.fresh.fresh(&format!("{name}_value"));
        self.text.line(format_args!("const {} {candidate} = {};", c_type(dtype), value.text()));
        self.text.open(format_args!("if (kiln_exceeds({candidate}, {best}))"));
        self.text.line(format_args!("{best} = {candidate};"));
        self.text.line(format_args!("{name} = {};", self.scope.linear(axes).text()));
        self.text.close(1);
    }

    /// Opens the loops over some axes and returns how many blocks that are.
    fn open_loop(&mut self, axes: &[AxisId], share: Share) -> usize {
        match (share, axes) {
            (Share::Alone, _) => {
                for &axis in axes {
                    self.open_plain_loop(axis);
                }
                axes.len()
            }
            (Share::Block(_), []) => {
                self.text.open("if (threadIdx.x == 0)");
                1
            }
            (Share::Block(threads), _) => {
                let linear = match axes {
                    [axis] => self.scope.names.axis(*axis).to_owned(),
                    _ => self.scope.fresh.fresh("step"),
                };
                let (ty, end) = (self.scope.position_type(), self.scope.dim(self.scope.count(axes)));
                let end = end.at(Level::Sum);
                self.text
                    .open(format_args!("for ({ty} {linear} = threadIdx.x; {linear} < {end}; {linear} += {threads})"));
                if axes.len() > 1 {
                    self.declare_axes(&linear, axes);
                }
                if let Some(beyond) = self.beyond_limits(axes) {
                    self.text.open(format_args!("if ({})", beyond.text()));
                    self.text.line("continue;");
                    self.text.close(1);
                }
                1
            }
        }
    }

    fn open_plain_loop(&mut self, axis: AxisId) {
        let name = self.scope.names.axis(axis);
        let mut condition = format!("{name} < {}", self.scope.dim(self.scope.extent(axis)).at(Level::Sum));
        if let Some(limit) = self.limit(axis, "<") {
            condition = format!("{condition} && {}", limit.at(Level::Equality));
        }
        if self.scope.kernel.schedule.unroll.contains(&axis) {
            self.text.line("#pragma unroll");
        }
        self.text.open(format_args!("for ({} {name} = 0; {condition}; ++{name})", self.scope.position_type()));
    }

    fn describe_reduction(&mut self, axes: &[AxisId], results: &[Reduction], share: Share) {
        let names = &self.scope.names;
        let results: Vec<String> =
            results.iter().map(|result| format!("{} = {}", names.local(result.local), result.monoid.name())).collect();
        let axes = names.axis_list(axes);
        self.text.section(format_args!("{} over {axes}{}.", results.join(", "), share.describe()));
    }

    fn stores_update(&self, statement: &Statement) -> bool {
        match statement {
            Statement::Store { tensor, .. } => self.scope.is_update(*tensor),
            Statement::For(_, body) => body.iter().any(|statement| self.stores_update(statement)),
            // It goes on from what the block's threads have stored.
            Statement::Serial(..) => true,
            Statement::Let(..) | Statement::Reduce { .. } => false,
        }
    }
}

impl Share {
    fn describe(self) -> &'static str {
        match self {
            Share::Alone => "",
            Share::Block(_) => ", shared by the block's threads",
        }
    }
}
