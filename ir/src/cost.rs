//! What a kernel has to do, whatever its schedule: the axes of a roofline.

use crate::kernel::{Access, Kernel, Statement};
use crate::{Atom, AxisId, Binary, Expr, Unary};

/// Work and traffic of one launch.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Cost {
    /// Arithmetic of floating point; a multiplication with addition counts twice, a function such as `exp` once. Where a load divides exactly, as in the
    /// gradient of a strided window, only the iterations that have an element count: the others are the kernel's own waste.
    pub flops: f64,
    /// Bytes that must move if each tensor is read or written once, and twice where it is updated.
    pub bytes: f64,
}

impl Kernel {
    /// The cost for a batch of this size.
    pub fn cost(&self, batch: usize) -> Cost {
        let bytes = |tensor: &crate::kernel::Tensor| {
            let once = (tensor.ty.shape.count().at(batch) * tensor.ty.dtype.size_bytes()) as f64;
            if tensor.access == Access::Update { 2.0 * once } else { once }
        };
        Cost { flops: flops(self, &self.body, batch), bytes: self.arguments().iter().map(bytes).sum() }
    }
}

fn flops(kernel: &Kernel, statements: &[Statement], batch: usize) -> f64 {
    let trips = |axes: &[AxisId]| axes.iter().map(|&axis| kernel.axis(axis).extent.at(batch) as f64).product::<f64>();
    let value = |expr: &Expr| if kernel.dtype(expr).is_float() { operations(expr) } else { 0.0 };
    let of = |statement: &Statement| match statement {
        Statement::Let(_, expr) | Statement::Store { value: expr, .. } => value(expr),
        Statement::For(axes, inner) | Statement::Serial(axes, inner) => trips(axes) * flops(kernel, inner, batch),
        Statement::Reduce { axes, lets, results } => {
            let bound: f64 = lets.iter().map(|(_, expr)| value(expr)).sum();
            let sums: f64 = results.iter().map(|result| 1.0 + value(&result.value)).sum();
            trips(axes) * (bound + sums) / strides(results.iter().map(|result| &result.value))
        }
    };
    statements.iter().map(of).sum()
}

/// How many iterations there are for each that all exact divisions let pass.
fn strides<'e>(values: impl Iterator<Item = &'e Expr>) -> f64 {
    let mut divisions: Vec<Atom> = Vec::new();
    for value in values {
        value.for_each(&mut |part| {
            let Expr::Load(load) = part else { return };
            let atoms = load.index.iter().flat_map(|index| &index.terms).map(|(atom, _)| atom);
            divisions.extend(atoms.filter(|atom| matches!(atom, Atom::ExactDiv(..))).cloned());
        });
    }
    divisions.sort();
    divisions.dedup();
    divisions.iter().map(|atom| if let Atom::ExactDiv(_, by) = atom { *by as f64 } else { 1.0 }).product()
}

fn operations(expr: &Expr) -> f64 {
    let mut count = 0.0;
    expr.for_each(&mut |part| match part {
        Expr::Unary(Unary::Neg, _) | Expr::Binary(Binary::And | Binary::Or, ..) => {}
        Expr::Unary(..) | Expr::Binary(..) => count += 1.0,
        _ => {}
    });
    count
}

#[cfg(test)]
mod tests {
    use crate::text::{Item, parse_module};

    #[test]
    fn zeros_between_strides_are_no_work() {
        let text = "kernel strided(g: f32[B,5], w: f32[3]) -> (y: f32[B,8])
  for n in B, i in 8
    s = sum k in 3 of g[n, (i - k) /! 2 | 0] * w[k]
    y[n, i] = s
  schedule grain(1)
";
        let module = parse_module(text, "strided").expect("the text is a kernel");
        let [Item::Kernel(kernel)] = module.items.as_slice() else { panic!("one kernel") };
        assert_eq!(kernel.cost(4).flops, f64::from(4 * 8 * 3 * 2 / 2));
    }

    #[test]
    fn a_product_counts_twice_and_each_tensor_once() {
        let text = "kernel linear(x: f32[B,8], w: f32[4,8], b: f32[4]) -> (y: f32[B,4])
  for n in B, o in 4
    s = sum i in 8 of x[n, i] * w[o, i]
    y[n, o] = max(s + b[o], 0.0)
  schedule grain(1)
";
        let module = parse_module(text, "linear").expect("the text is a kernel");
        let [Item::Kernel(kernel)] = module.items.as_slice() else { panic!("one kernel") };
        let cost = kernel.cost(2);
        assert_eq!(cost.flops, f64::from(2 * 4 * (2 * 8 + 2)));
        assert_eq!(cost.bytes, f64::from(4 * (2 * 8 + 4 * 8 + 4 + 2 * 4)));
    }
}
