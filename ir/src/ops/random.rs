//! Random numbers: a pure function of the run's state, the call and the position, so that every copy of a value has the same ones.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::{Binary, Body, DType, Diagnostic, Dim, Expr, Type, ValueId, Vjp, load, position};

op! {
    /// Uniform integers in `0..2^bits`, as `i32`: [`Expr::Random`] at each element's row-major position.
    ///
    /// `seed` and `step` are `i64` scalars, the state of the run. The words come from stream `step · 2^32 + call` of `seed`: each step has
    /// other numbers, and so has each call. No gradient.
    Random(seed, step) {
        /// The number of the call among those of a graph, below 2^32.
        call: usize,
        /// How many bits, 1 to 31.
        bits: usize,
        /// The shape.
        shape: Vec<Dim>,
    }
}

impl Operator for Random {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        for (operand, ty) in ["seed", "step"].into_iter().zip(operands) {
            checks::exactly("random", ty, DType::I64)?;
            checks::rank("random", operand, ty, 0)?;
        }
        if !(1..=31).contains(&self.bits) {
            return Err(checks::argument("random", &format!("1 to 31 bits, found {}", self.bits)));
        }
        if u32::try_from(self.call).is_err() {
            return Err(checks::argument("random", &format!("a call below 2^32, found {}", self.call)));
        }
        Ok(Type::new(DType::I32, self.shape.clone()))
    }

    fn body(&self, _: &[Type], result: &Type) -> Body {
        let scalar = |operand| load(operand, Vec::new(), None);
        let number = |value: f64| Expr::number(value, DType::I64);
        let first = Expr::binary(Binary::Mul, scalar(1), number(2.0_f64.powi(32)));
        let stream = Expr::binary(Binary::Add, first, number(self.call as f64));
        Body::pointwise(Expr::Random {
            bits: self.bits as u32,
            seed: Box::new(scalar(0)),
            stream: Box::new(stream),
            position: Box::new(Expr::Index(position(result))),
        })
    }

    fn vjp(&self, _: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        vec![None, None]
    }

    fn examples() -> Vec<Example> {
        let state = || [Type::scalar(DType::I64), Type::scalar(DType::I64)];
        let example = |call, bits, shape| {
            Example::new(Random { call, bits, shape }, state()).domain(0, 0.0, 1e6).domain(1, 0.0, 100.0)
        };
        vec![example(3, 24, vec![Dim::BATCH, Dim::fixed(5)]), example(0, 31, vec![Dim::fixed(2), Dim::fixed(8)])]
    }
}
