//! Random kernels, the same for every run. They are well formed as data (ids exist, names differ) and mean nothing.

use kiln_ir::kernel::{Access, Axis, Contract, Local, Reduction, Schedule, Statement, Tensor, Tile, Vector};
use kiln_ir::{
    Atom, AxisId, Binary, Comparison, DType, Dim, Expr, Index, Kernel, Load, LocalId, Monoid, Number, Place, Shape,
    TensorId, Type, Unary,
};

/// A small generator (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const NUMBERS: [f64; 12] =
    [0.0, -0.0, 1.0, -1.0, 2.0, 0.1, -0.5, 1e-7, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

/// Names that mean something else in some places. Those of one kind differ in `at`.
const WORDS: [&str; 16] = [
    "exp", "of", "where", "inf_f32", "sum", "max", "f32", "for", "in", "index", "true", "and", "check", "out", "axes",
    "serial",
];

/// A kernel with every form of statement, expression and schedule in reach.
pub fn kernel(random: &mut Random) -> Kernel {
    let name = |random: &mut Random, kind: &str, at: usize| match random.below(8) {
        0 => format!("{at}.{kind} \"{kind}\""),
        1 => format!("layer{at}.0.{kind}"),
        2 | 3 => WORDS[(at * 3 + kind.len() + random.below(2)) % WORDS.len()].to_owned() + &"_".repeat(at / 5),
        _ => format!("{kind}{at}"),
    };
    let tensors = (0..1 + random.below(4))
        .map(|at| Tensor {
            name: name(random, "t", at),
            ty: Type::new(*random.pick(&DType::ALL), Shape((0..random.below(4)).map(|_| dim(random)).collect())),
            access: *random.pick(&[Access::Read, Access::Read, Access::Write, Access::Update]),
        })
        .collect();
    let axes = (0..1 + random.below(6))
        .map(|at| Axis { name: name(random, "i", at), extent: dim(random), limit: None })
        .collect();
    let locals = (0..random.below(6))
        .map(|at| Local { name: name(random, "v", at), dtype: *random.pick(&DType::ALL) })
        .collect();
    let mut kernel = Kernel {
        name: name(random, "k", 0),
        tensors,
        axes,
        locals,
        body: Vec::new(),
        schedule: Schedule::default(),
        places: (0..random.below(3)).map(|_| place(random)).collect(),
    };
    let mut unused: Vec<AxisId> = (0..kernel.axes.len() as u32).map(AxisId).collect();
    if random.chance(30) {
        unused.reverse();
    }
    let mut undefined: Vec<LocalId> = (0..kernel.locals.len() as u32).map(LocalId).collect();
    for at in 0..unused.len() {
        if random.chance(20) {
            kernel.axes[unused[at].0 as usize].limit =
                Some((index(&kernel, random, 1, &unused[..=at], &[]), dim(random)));
        }
    }
    // Some kernels use things outside of their scope: those must print and read back too.
    let mut known = if random.chance(10) { undefined.clone() } else { Vec::new() };
    let mut scope = if random.chance(10) { unused.clone() } else { Vec::new() };
    kernel.body = block(&kernel, random, &mut unused, &mut undefined, &mut known, &mut scope);
    // The text gives limits where loops use the axes.
    unused.iter().for_each(|axis| kernel.axes[axis.0 as usize].limit = None);
    kernel.schedule = schedule(&kernel, random);
    kernel
}

fn dim(random: &mut Random) -> Dim {
    Dim { factor: 1 + random.below(30), batch: random.chance(15) }
}

fn place(random: &mut Random) -> Place {
    let file = random.pick(&["src/lenet.rs", "my model.rs", ""]).to_string();
    let module = random.pick(&["", "conv1", "layer1.0", "0"]).to_string();
    let method = random.pick(&[None, None, Some("linear"), Some("as")]).map(Box::from);
    Place { file, line: random.below(100) as u32, column: random.below(80) as u32, module, method }
}

/// Statements that use up axes and locals. `scope` holds the axes around, `known` the locals defined so far.
fn block(
    kernel: &Kernel,
    random: &mut Random,
    unused: &mut Vec<AxisId>,
    undefined: &mut Vec<LocalId>,
    known: &mut Vec<LocalId>,
    scope: &mut Vec<AxisId>,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    for _ in 0..1 + random.below(3) {
        let mut take = |random: &mut Random, most: usize| {
            let count = random.below(most + 1).min(unused.len());
            unused.drain(..count).collect::<Vec<AxisId>>()
        };
        match random.below(4) {
            0 => {
                let axes = take(random, 3);
                let outer = scope.len();
                scope.extend(&axes);
                let body = if scope.len() > outer {
                    block(kernel, random, unused, undefined, known, scope)
                } else {
                    Vec::new()
                };
                scope.truncate(outer);
                let is_serial = random.chance(30);
                statements.push(if is_serial { Statement::Serial(axes, body) } else { Statement::For(axes, body) });
            }
            1 if !undefined.is_empty() => {
                let axes = take(random, 3);
                let outer = scope.len();
                scope.extend(&axes);
                let mut lets = Vec::new();
                while undefined.len() > 1 && random.chance(40) {
                    let local = undefined.remove(0);
                    lets.push((local, expr(kernel, random, 3, scope, known)));
                    known.push(local);
                }
                let mut results = Vec::new();
                for local in undefined.drain(..1 + random.below(undefined.len().min(2))) {
                    let value = expr(kernel, random, 3, scope, known);
                    results.push(Reduction { local, monoid: *random.pick(Monoid::ALL), value });
                }
                known.extend(results.iter().map(|result| result.local));
                scope.truncate(outer);
                statements.push(Statement::Reduce { axes, lets, results });
            }
            2 if !undefined.is_empty() => {
                let value = expr(kernel, random, 4, scope, known);
                let local = undefined.remove(0);
                known.push(local);
                statements.push(Statement::Let(local, value));
            }
            _ => {
                let tensor = TensorId(random.below(kernel.tensors.len()) as u32);
                let index =
                    (0..kernel.tensor(tensor).ty.rank()).map(|_| index(kernel, random, 2, scope, known)).collect();
                statements.push(Statement::Store { tensor, index, value: expr(kernel, random, 4, scope, known) });
            }
        }
    }
    statements
}

fn expr(kernel: &Kernel, random: &mut Random, depth: usize, scope: &[AxisId], known: &[LocalId]) -> Expr {
    if depth == 0 || random.chance(15) {
        return match random.below(5) {
            0 => Expr::Index(index(kernel, random, 1, scope, known)),
            1 => Expr::Extent(dim(random)),
            2 if !known.is_empty() => Expr::Local(*random.pick(known)),
            3 => load(kernel, random, 0, scope, known),
            _ => Expr::number(*random.pick(&NUMBERS), *random.pick(&DType::ALL)),
        };
    }
    let operand = |random: &mut Random| expr(kernel, random, depth - 1, scope, known);
    match random.below(8) {
        0 => Expr::unary(*random.pick(Unary::ALL), operand(random)),
        1..=3 => Expr::binary(*random.pick(Binary::ALL), operand(random), operand(random)),
        4 => Expr::compare(*random.pick(Comparison::ALL), operand(random), operand(random)),
        5 => Expr::select(operand(random), operand(random), operand(random)),
        6 if random.chance(50) => Expr::cast(*random.pick(&DType::ALL), operand(random)),
        6 => {
            let site = random.pick(&["", "gather at model.rs:12:9"]).to_string();
            Expr::Check(Box::new(operand(random)), dim(random), site)
        }
        7 if random.chance(30) => Expr::Random {
            bits: 1 + random.below(31) as u32,
            seed: Box::new(operand(random)),
            stream: Box::new(operand(random)),
            position: Box::new(operand(random)),
        },
        _ => load(kernel, random, depth - 1, scope, known),
    }
}

fn load(kernel: &Kernel, random: &mut Random, depth: usize, scope: &[AxisId], known: &[LocalId]) -> Expr {
    let tensor = TensorId(random.below(kernel.tensors.len()) as u32);
    let index = (0..kernel.tensor(tensor).ty.rank()).map(|_| index(kernel, random, depth, scope, known)).collect();
    let fill = random.chance(40).then(|| Number::new(*random.pick(&NUMBERS)));
    Expr::Load(Load { tensor, index, fill })
}

fn index(kernel: &Kernel, random: &mut Random, depth: usize, scope: &[AxisId], known: &[LocalId]) -> Index {
    let mut sum = Index::constant(random.below(7) as i64 - 3);
    for _ in 0..random.below(4) {
        let by = 1 + random.below(6) as i64;
        let term = match random.below(6) {
            0 if depth > 0 => index(kernel, random, depth - 1, scope, known).div(by),
            1 if depth > 0 => index(kernel, random, depth - 1, scope, known).rem(by),
            2 if depth > 0 => index(kernel, random, depth - 1, scope, known).exact_div(by),
            3 if depth > 0 => Index::atom(Atom::Value(Box::new(expr(kernel, random, depth - 1, scope, known)))),
            _ if !scope.is_empty() => Index::axis(*random.pick(scope)),
            _ => Index::constant(1),
        };
        sum = sum.plus(&term.times(random.below(9) as i64 - 4));
    }
    sum
}

fn schedule(kernel: &Kernel, random: &mut Random) -> Schedule {
    let axes = |random: &mut Random| -> Vec<AxisId> {
        (0..random.below(3)).map(|_| AxisId(random.below(kernel.axes.len()) as u32)).collect()
    };
    let tiles = |random: &mut Random| -> Vec<Tile> {
        axes(random).into_iter().map(|axis| Tile { axis, size: 1 + random.below(30) }).collect()
    };
    Schedule {
        thread: axes(random),
        grain: random.below(3),
        vector: axes(random).into_iter().map(|axis| Vector { axis, lanes: 1 << random.below(4) }).collect(),
        unroll: axes(random),
        contracts: (0..random.below(3))
            .map(|_| Contract {
                m: tiles(random),
                n: tiles(random),
                k: tiles(random),
                pack_a: random.chance(50),
                pack_b: random.chance(50),
                a_factor: random.below(2),
            })
            .collect(),
    }
}
