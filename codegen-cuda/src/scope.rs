//! What every part of a kernel's writer looks up: names, C types, extents and flattened positions.

use kiln_ir::kernel::{Access, Statement};
use kiln_ir::{AxisId, DType, Dim, Expr, Kernel, Load};

use crate::names::{KernelNames, Names};
use crate::support::for_each_expr;
use crate::text::{Code, Level};

/// The batch size's parameter.
pub(crate) const BATCH: &str = "B";

/// Counts up to here, and the threads that overshoot them, fit the C type `int`.
const INT_LIMIT: usize = i32::MAX as usize - (1 << 16);

/// A kernel with the names and types that its text uses.
pub(crate) struct Scope<'k> {
    pub(crate) kernel: &'k Kernel,
    pub(crate) max_batch: usize,
    pub(crate) names: KernelNames,
    /// For names of the writer's own: the user's come first.
    pub(crate) fresh: Names,
    /// Whether positions need 64 bits.
    pub(crate) wide: bool,
    /// The fault record's parameter, if the kernel has checks.
    pub(crate) fault: Option<String>,
    /// Filled loads that the statement being written has already bound to variables.
    pub(crate) bound_loads: Vec<(Load, String)>,
    /// Every distinct check, by its number in fault records.
    checks: Vec<Expr>,
}

impl<'k> Scope<'k> {
    pub(crate) fn new(kernel: &'k Kernel, max_batch: usize) -> Scope<'k> {
        let mut fresh = Names::default();
        let names = KernelNames::new(kernel, &mut fresh);
        let mut checks = Vec::new();
        for_each_expr(kernel, &mut |expr| {
            if matches!(expr, Expr::Check(..)) && !checks.contains(expr) {
                checks.push(expr.clone());
            }
        });
        let fault = (!checks.is_empty()).then(|| fresh.fresh("fault"));
        let wide = is_wide(kernel, max_batch);
        Scope { kernel, max_batch, names, fresh, wide, fault, bound_loads: Vec::new(), checks }
    }

    /// The C type of positions.
    pub(crate) fn position_type(&self) -> &'static str {
        if self.wide { "i64" } else { "int" }
    }

    /// The number of a check in fault records.
    pub(crate) fn check_number(&self, check: &Expr) -> usize {
        self.checks.iter().position(|held| held == check).unwrap_or(self.checks.len())
    }

    pub(crate) fn extent(&self, axis: AxisId) -> Dim {
        self.kernel.axis(axis).extent
    }

    /// The number of positions of some axes.
    pub(crate) fn count(&self, axes: &[AxisId]) -> Dim {
        count(self.kernel, axes)
    }

    /// `28`, `B` or `4 * B`.
    pub(crate) fn dim(&self, dim: Dim) -> Code {
        let batch = Code::primary(BATCH);
        match (dim.factor, dim.batch) {
            (1, true) => batch,
            (factor, true) => {
                let factor = Code::primary(format!("{factor}{}", if self.wide { "ll" } else { "" }));
                Code::binary(Level::Product, "*", &factor, &batch)
            }
            (factor, false) => Code::integer(factor as i64),
        }
    }

    /// Whether the kernel needs the batch size.
    pub(crate) fn uses_batch(&self) -> bool {
        let kernel = self.kernel;
        let mut named = false;
        for_each_expr(kernel, &mut |expr| {
            named |= matches!(expr, Expr::Extent(dim) | Expr::Check(_, dim, _) if dim.batch);
        });
        named
            || kernel.axes.iter().any(|axis| axis.extent.batch || axis.limit.as_ref().is_some_and(|(_, end)| end.batch))
            || kernel.tensors.iter().any(|tensor| tensor.ty.shape.dims().iter().any(|dim| dim.batch))
    }

    /// Whether a tensor is read and written, so that threads of a block must not run ahead of one another.
    pub(crate) fn is_update(&self, tensor: kiln_ir::TensorId) -> bool {
        self.kernel.tensor(tensor).access == Access::Update
    }

    /// One statement an axis: its position out of a row-major position over all of them.
    pub(crate) fn split(&self, linear: &str, axes: &[AxisId]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut inner = Dim::ONE;
        for (at, &axis) in axes.iter().enumerate().rev() {
            let extent = self.extent(axis);
            let mut code = if extent == Dim::ONE { Code::integer(0) } else { Code::primary(linear) };
            if extent != Dim::ONE && inner != Dim::ONE {
                code = Code::binary(Level::Product, "/", &code, &self.dim(inner));
            }
            if extent != Dim::ONE && at > 0 {
                code = Code::binary(Level::Product, "%", &code, &self.dim(extent));
            }
            lines.push(format!("const {} {} = {};", self.position_type(), self.names.axis(axis), code.text()));
            inner = product(inner, extent);
        }
        lines.reverse();
        lines
    }

    /// The row-major position over some axes.
    pub(crate) fn linear(&self, axes: &[AxisId]) -> Code {
        let mut sum: Option<Code> = None;
        let mut inner = Dim::ONE;
        for &axis in axes.iter().rev() {
            let name = Code::primary(self.names.axis(axis));
            let term = match inner {
                Dim::ONE => name,
                _ => Code::binary(Level::Product, "*", &name, &self.dim(inner)),
            };
            sum = Some(match sum {
                None => term,
                Some(sum) => Code::binary(Level::Sum, "+", &term, &sum),
            });
            inner = product(inner, self.extent(axis));
        }
        sum.unwrap_or_else(|| Code::integer(0))
    }
}

/// The number of positions of some axes.
pub(crate) fn count(kernel: &Kernel, axes: &[AxisId]) -> Dim {
    axes.iter().fold(Dim::ONE, |total, &axis| product(total, kernel.axis(axis).extent))
}

/// The C type of a dtype's elements. The half types never come here: `support` refuses them.
pub(crate) fn c_type(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "u8",
        DType::I32 => "int",
        DType::I64 => "i64",
        DType::F16 => "half",
        DType::BF16 => "bfloat16",
        DType::F32 => "float",
        DType::F64 => "double",
    }
}

fn product(a: Dim, b: Dim) -> Dim {
    a.product(b).expect("a kernel's loops have at most one symbolic axis in a nest")
}

/// Whether some tensor or loop nest is too large for `int` positions.
fn is_wide(kernel: &Kernel, max_batch: usize) -> bool {
    let largest_tensor = kernel.tensors.iter().map(|tensor| tensor.ty.shape.count().at(max_batch)).max().unwrap_or(0);
    let largest_nest = loops(&kernel.body).iter().map(|axes| count(kernel, axes).at(max_batch)).max().unwrap_or(0);
    largest_tensor.max(largest_nest) > INT_LIMIT
}

/// The axes of each loop nest; directly nested loops together, since they may become one position.
fn loops(statements: &[Statement]) -> Vec<Vec<AxisId>> {
    let mut nests = Vec::new();
    for statement in statements {
        match statement {
            Statement::Reduce { axes, .. } | Statement::Serial(axes, _) => nests.push(axes.clone()),
            Statement::For(axes, body) => {
                let inner = loops(body);
                if let ([Statement::For(..)], Some(first)) = (body.as_slice(), inner.first()) {
                    nests.push(axes.iter().chain(first).copied().collect());
                }
                nests.push(axes.clone());
                nests.extend(inner);
            }
            Statement::Let(..) | Statement::Store { .. } => {}
        }
    }
    nests
}
