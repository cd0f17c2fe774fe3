//! Random graphs of two kinds.
//!
//! * The examples of the op table: an operand is a value that is there already, brought to the type and the range that the op asks for, so
//!   every op meets every other; between them stand the idle ops that simplification is about.
//! * Chains of the ops of networks over values of few shapes, with state: what fusion and lowering are about.

mod chained;
mod idle;

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

/// A graph of chains over a few inputs, with state that is updated.
pub fn random_chains(seed: u64) -> Graph {
    let mut graph = Graph::new(format!("chains_{seed}"));
    graph.max_batch = Some(MAX_BATCH);
    let mut maker = Maker { random: Random(seed), graph: &mut graph, pool: Vec::new(), examples: Vec::new() };
    let mut states = Vec::new();
    let shapes: [&[Dim]; 4] = [
        &[Dim::BATCH, Dim::fixed(3), Dim::fixed(6), Dim::fixed(6)],
        &[Dim::BATCH, Dim::fixed(5)],
        &[Dim::fixed(4), Dim::fixed(5)],
        &[Dim::fixed(5)],
    ];
    for (n, shape) in shapes.into_iter().enumerate() {
        let ty = Type::new(DType::F32, shape.to_vec());
        maker.pool.push(input(maker.graph, &format!("x{n}"), Role::Data, &ty));
        if shape.iter().all(|dim| !dim.batch) {
            states.push(input(maker.graph, &format!("s{n}"), Role::State, &ty));
        }
    }
    maker.pool.extend(&states);
    for _ in 0..6 + maker.random.below(14) {
        // Later values more often: chains are what fusion is about.
        let back = maker.random.below(8);
        let x = maker.pool[maker.pool.len().saturating_sub(1 + back)];
        let value = maker.chained(x);
        maker.pool.push(value);
    }
    let (pool, mut random) = (maker.pool, maker.random);
    for (number, &value) in pool.iter().rev().take(2 + random.below(3)).enumerate() {
        graph.add_output(format!("y{number}"), value);
    }
    for state in states {
        let alike: Vec<ValueId> = pool.iter().copied().filter(|&value| graph.ty(value) == graph.ty(state)).collect();
        graph.add_update(state, *random.pick(&alike));
    }
    graph.remove_dead();
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
