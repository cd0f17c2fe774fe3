//! Random graphs: the examples of the op table, chained. An operand is a value that is there already, brought to the type and the range that
//! the op asks for, so every op meets every other; between them stand the idle ops that simplification is about.

use kiln_ir::ops::*;
use kiln_ir::{Builder, DType, Dim, Example, Graph, Number, Op, Place, Role, Type, ValueId};

use super::{Random, input};

/// The greatest batch size of the graphs.
pub const MAX_BATCH: usize = 3;

/// A graph of about this many random ops, whose outputs are all values that nothing uses.
pub fn random_graph(seed: u64, ops: usize) -> Graph {
    let mut graph = Graph::new(format!("random_{seed}"));
    graph.max_batch = Some(MAX_BATCH);
    let mut maker = Maker { random: Random(seed), graph: &mut graph, pool: Vec::new(), examples: Op::examples() };
    for n in 0..3 {
        let role = if n == 0 { Role::Data } else { Role::Parameter };
        let shape = if n == 0 { vec![Dim::BATCH, Dim::fixed(3)] } else { vec![Dim::fixed(3 + n)] };
        let value = input(maker.graph, &format!("x{n}"), role, &Type::new(DType::F32, shape));
        maker.pool.push(value);
    }
    for _ in 0..ops {
        let value = maker.step();
        maker.pool.push(value);
    }
    let sinks: Vec<ValueId> = graph.order().into_iter().filter(|&value| graph.users(value).is_empty()).collect();
    for value in sinks {
        let name = graph.name_of(value).to_owned();
        graph.add_output(name, value);
    }
    graph
}

struct Maker<'g> {
    random: Random,
    graph: &'g mut Graph,
    pool: Vec<ValueId>,
    examples: Vec<Example>,
}

impl Maker<'_> {
    fn builder(&mut self) -> Builder<'_> {
        Builder::new(self.graph, Place::NONE)
    }

    fn step(&mut self) -> ValueId {
        match self.random.below(10) {
            0..5 => self.example(),
            5..8 => {
                let value = self.value();
                self.idle(value)
            }
            8 => self.known(),
            _ => {
                // The same op on the same operands once more, for merge_common.
                let value = self.value();
                match self.graph.node(value).op.clone() {
                    Op::Input(_) => value,
                    op => {
                        let operands = self.graph.operands(value);
                        self.builder().emit(op, &operands)
                    }
                }
            }
        }
    }

    /// A value, mostly a late one.
    fn value(&mut self) -> ValueId {
        let back = (self.random.unit() * self.random.unit() * self.pool.len() as f64) as usize;
        self.pool[self.pool.len() - 1 - back]
    }

    fn example(&mut self) -> ValueId {
        let example = self.random.pick(&self.examples.clone()).clone();
        let operands: Vec<ValueId> = example
            .operands
            .iter()
            .map(|(ty, domain)| {
                let fresh = self.random.below(8) == 0 && ty.dtype == DType::F32;
                let value = match fresh {
                    true => input(self.graph, &format!("p{}", self.graph.len()), Role::Data, ty),
                    false => self.value(),
                };
                self.bring(value, ty, *domain)
            })
            .collect();
        self.builder().emit(example.op, &operands)
    }

    /// A value in another type, with values inside a range.
    fn bring(&mut self, value: ValueId, ty: &Type, [low, high]: [f64; 2]) -> ValueId {
        let mut cx = self.builder();
        let float = if cx.ty(value).dtype.is_float() { cx.ty(value).dtype } else { DType::F32 };
        let value = cx.cast(value, float);
        let (from, has_batch) = (cx.ty(value), |ty: &Type| ty.shape.0.first().is_some_and(|dim| dim.batch));
        let value = if from.shape == ty.shape {
            value
        } else if from.shape.count() == ty.shape.count() {
            cx.reshape(value, &ty.shape)
        } else {
            let first = usize::from(has_batch(&from) && has_batch(ty) && from.dim(0) == ty.dim(0));
            let axes: Vec<usize> = (first..from.rank()).collect();
            let sum = cx.sum(value, &axes, false);
            let mut ones = vec![Dim::ONE; ty.rank()];
            ones[..first].copy_from_slice(&ty.shape.0[..first]);
            let sum = cx.reshape(sum, &ones.into());
            cx.expand(sum, &ty.shape)
        };
        // Bounded, so that nothing overflows on the way through many ops.
        let bounded = cx.emit(Tanh {}, &[value]);
        let scaled = cx.scale(bounded, 0.49 * (high - low));
        let middle = cx.full_like(scaled, (high + low) / 2.0);
        let value = cx.add(scaled, middle);
        match ty.dtype {
            DType::Bool => {
                let middle = cx.full_like(value, (high + low) / 2.0);
                cx.emit(Gt {}, &[value, middle])
            }
            dtype => cx.cast(value, dtype),
        }
    }

    /// Something that simplification should see through.
    fn idle(&mut self, x: ValueId) -> ValueId {
        let choice = self.random.below(19);
        let other = self.value();
        let mut cx = self.builder();
        let ty = cx.ty(x);
        let last = ty.rank().checked_sub(1).filter(|&axis| !ty.dim(axis).batch);
        if !ty.dtype.is_float() {
            let wide = cx.cast(x, DType::I64);
            return cx.cast(wide, DType::F64);
        }
        match (choice, last) {
            (0, _) => {
                let zero = cx.full_like(x, 0.0);
                cx.add(zero, x)
            }
            (1, _) => {
                let one = cx.full_like(x, 1.0);
                let product = cx.mul(one, x);
                cx.div(product, one)
            }
            (2, _) => {
                let negated = cx.neg(x);
                let back = cx.neg(negated);
                let difference = cx.sub(back, negated);
                cx.add(negated, difference)
            }
            (3, _) => {
                let doubled = cx.scale(x, 2.0);
                let more = cx.scale(doubled, 3.0);
                let eight = cx.full_like(x, 8.0);
                cx.div(more, eight)
            }
            (4, _) => {
                let wide = cx.cast(x, DType::F64);
                cx.cast(wide, ty.dtype)
            }
            (5, _) => {
                let yes = cx.full(1.0, &ty.with_dtype(DType::Bool));
                let y = cx.neg(x);
                cx.select(yes, x, y)
            }
            (6, _) => {
                let bounded = cx.emit(Tanh {}, &[x]);
                let two = cx.full_like(x, 2.0);
                cx.emit(Pow {}, &[bounded, two])
            }
            (7, Some(axis)) => {
                let split = ty.shape.0[..axis].iter().copied().chain([Dim::ONE, ty.dim(axis)]).collect::<Vec<Dim>>();
                let split = cx.reshape(x, &split.into());
                let y = cx.emit(Relu {}, &[split]);
                cx.reshape(y, &ty.shape)
            }
            (8, Some(axis)) => {
                let part = cx.emit(Slice { axis, start: 0, length: ty.dim(axis).factor, step: 1 }, &[x]);
                cx.emit(Pad { axis, low: 0, high: 0, interior: 0, value: Number::new(1.0) }, &[part])
            }
            (9, Some(axis)) => {
                let pad = Pad { axis, low: 1, high: 2, interior: 1, value: Number::new(0.0) };
                let padded = cx.emit(pad, &[x]);
                cx.emit(Slice { axis, start: 1, length: ty.dim(axis).factor, step: 2 }, &[padded])
            }
            (10, Some(axis)) if axis >= 1 => {
                let sum = cx.emit(Sum { axes: vec![axis], keep: false }, &[x]);
                cx.emit(Sum { axes: vec![axis - 1], keep: true }, &[sum])
            }
            (11, Some(axis)) if axis >= 2 || (axis == 1 && !ty.dim(0).batch) => {
                let mut dims: Vec<usize> = (0..ty.rank()).collect();
                dims.swap(axis, axis - 1);
                let there = cx.emit(Permute { dims: dims.clone() }, &[x]);
                cx.emit(Permute { dims }, &[there])
            }
            (12, _) => {
                let extended = [vec![Dim::ONE], vec![Dim::fixed(2)]].concat();
                let scalar = cx.sum(x, &(0..ty.rank()).collect::<Vec<_>>(), false);
                let once = cx.expand(scalar, &vec![Dim::fixed(2)].into());
                let wide = cx.expand(once, &extended.into());
                cx.emit(Amax { axes: vec![0], keep: false }, &[wide])
            }
            (13, Some(axis)) => {
                let ones = ty.shape.0[..=axis].iter().copied().chain([Dim::ONE]).collect::<Vec<Dim>>();
                let tall = cx.reshape(x, &ones.into());
                cx.emit(Sum { axes: vec![axis, axis + 1], keep: false }, &[tall])
            }
            (14, _) => cx.emit(Detach {}, &[x]),
            (15, Some(axis)) if ty.dim(axis).factor >= 4 => {
                let part = cx.emit(Slice { axis, start: 0, length: ty.dim(axis).factor / 2, step: 2 }, &[x]);
                cx.emit(Slice { axis, start: 1, length: 1, step: 1 }, &[part])
            }
            (16, _) => {
                // Zeros on both sides of the comparisons.
                let (zero, positive) = (cx.full_like(x, 0.0), cx.emit(Relu {}, &[x]));
                let op: [Op; 4] = [Lt {}.into(), Le {}.into(), Gt {}.into(), Ge {}.into()];
                let holds = cx.emit(op[ty.rank() % 4].clone(), &[zero, positive]);
                let not = cx.emit(Not {}, &[holds]);
                cx.select(not, x, positive)
            }
            _ if cx.ty(other) == ty => {
                let (a, b) = (cx.mul(x, other), cx.mul(other, x));
                cx.sub(a, b)
            }
            _ => cx.emit(Relu {}, &[x]),
        }
    }

    /// A value that is known, and ops on it alone.
    fn known(&mut self) -> ValueId {
        let choice = self.random.below(6);
        let number = Number::new((self.random.unit() * 8.0).floor() / 4.0);
        let data: Vec<Number> = (0..6).map(|_| Number::new((self.random.unit() * 8.0).floor() / 3.0)).collect();
        let mut cx = self.builder();
        let shape = vec![Dim::fixed(2), Dim::fixed(3)];
        let full = cx.emit(Full { value: number, dtype: DType::F32, shape: shape.clone() }, &[]);
        let constant = cx.emit(Constant { dtype: DType::F32, shape, data }, &[]);
        match choice {
            0 => cx.emit(Exp {}, &[full]),
            1 => cx.emit(Permute { dims: vec![1, 0] }, &[constant]),
            2 => cx.add(full, constant),
            3 => {
                let extent = cx.emit(Extent { extent: vec![Dim::fixed(5)], dtype: DType::F32 }, &[]);
                let batch = cx.emit(Extent { extent: vec![Dim::BATCH], dtype: DType::F32 }, &[]);
                cx.div(extent, batch)
            }
            4 => cx.sum(constant, &[0], false),
            _ => {
                let wide = cx.expand(full, &vec![Dim::BATCH, Dim::fixed(2), Dim::fixed(3)].into());
                cx.emit(Sigmoid {}, &[wide])
            }
        }
    }
}
