//! The kernel level: loops over named axes, with scalar expressions inside.
//!
//! What is computed ([`Kernel::body`]) and how it is scheduled ([`Schedule`]) are two things: a schedule may change the order of
//! work and the registers used, never a result's bits across thread counts.
//!
//! ```text
//! kernel conv1_relu(x: f32[B,1,28,28], w: f32[6,1,5,5], b: f32[6]) -> (h: f32[B,6,28,28])   @lenet.rs:14:17
//!   for n in B, oc in 6, oh in 28, ow in 28
//!     acc = sum c in 1, kh in 5, kw in 5 of x[n, c, oh + kh - 2, ow + kw - 2 | 0] * w[oc, c, kh, kw]
//!     h[n, oc, oh, ow] = max(acc + b[oc], 0.0)
//!   schedule thread(n) grain(1) contract(m: oc; n: oh:4 ow; k: c kh kw; pack b; a 1) vector(ow:4)
//! ```
//!
//! Other forms: `inout p: f32[10]` is updated in place; `i in 8 while 8*p + i < 28` is a split axis; `w[[check(t[n], 10)], j]` gathers;
//! `(y - k) /! 2` must divide exactly; `m, at = max, argmax c in 10 of x[n, c], x[n, c]` reduces twice in one loop, and lines `where e = ...`
//! below a reduction bind what its values use; `serial t in T` runs its iterations one after another, so that they may store to computed
//! places, `y[n, [check(i[n, t], 10)]] = ...`, and load what those before have stored; `scratch s: f32[64,256]` is memory of one item. Literals tell their dtype: `0.5` is `f32`, `3` is `i64`, others have a suffix.

use serde::{Deserialize, Serialize};

use crate::{AxisId, DType, Dim, Expr, Index, Load, LocalId, Monoid, Place, TensorId, Type};

/// One launch: a loop nest over buffers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Kernel {
    /// Unique in its program; made of the names of the ops in it.
    pub name: String,
    /// What it reads and writes, in argument order: first all that are only read, last what is [scratch](Access::Scratch) and no argument.
    /// Row-major and contiguous.
    pub tensors: Vec<Tensor>,
    /// Every loop axis, each used by exactly one `For`, `Serial` or `Reduce`.
    pub axes: Vec<Axis>,
    /// Every `Let` and reduction result.
    pub locals: Vec<Local>,
    /// The loops. Where the schedule has thread axes, this is one `For` that begins with them.
    pub body: Vec<Statement>,
    /// How it runs.
    pub schedule: Schedule,
    /// The user's lines it comes from, outermost op last; may be empty.
    pub places: Vec<Place>,
}

/// A parameter of a kernel.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Tensor {
    /// Unique in the kernel.
    pub name: String,
    /// Dtype and shape.
    pub ty: Type,
    /// What the kernel does with it.
    pub access: Access,
}

/// How a kernel uses a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Access {
    /// Only loaded.
    Read,
    /// Only stored, every element exactly once; but serial loops may store an element again, and load it.
    Write,
    /// Loaded and stored; each element is loaded only by the iteration that stores it (an update in place), or in serial loops.
    Update,
    /// Memory of one iteration of the outermost `For`, whose *stages*, the statements in it, run one after another: one stage stores every
    /// element once, and later ones load what they like. No element outlives the iteration, and no caller knows of it.
    Scratch,
}

/// A loop axis: positions `0..extent`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Axis {
    /// Unique in the kernel.
    pub name: String,
    /// The extent.
    pub extent: Dim,
    /// Of a split axis: the loop stops where `limit.0 >= limit.1`. The index is this axis with factor 1 plus outer axes, so
    /// the trip count is `min(extent, limit.1 - index(axis = 0))`.
    pub limit: Option<(Index, Dim)>,
}

/// A named value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Local {
    /// Unique in the kernel.
    pub name: String,
    /// The dtype.
    pub dtype: DType,
}

/// A statement of the loop tree. A local is visible after its definition, in its own block and the blocks inside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Statement {
    /// Binds a value.
    Let(LocalId, Expr),
    /// Independent iterations, the first axis outermost.
    For(Vec<AxisId>, Vec<Statement>),
    /// One or more reductions in one loop nest. `lets` are evaluated in each iteration before the values.
    Reduce {
        /// The axes, outermost first; `ArgMax` positions are row-major in them.
        axes: Vec<AxisId>,
        /// Bindings of one iteration.
        lets: Vec<(LocalId, Expr)>,
        /// The results.
        results: Vec<Reduction>,
    },
    /// Lets and stores in iterations that run one after another, row-major in the axes. Several of them may store one element, at a
    /// place that may be a value, and load what those before have stored.
    ///
    /// Such a tensor belongs to the iterations of the `For`s around: the axis of each is an index, one and the same, of every load of the
    /// tensor and every store to it. So threads share no element, and their number reaches no result. If it is not updated in place, either
    /// stores outside of serial loops give each element its first value, or the serial stores are those of plain loops: each element once.
    Serial(Vec<AxisId>, Vec<Statement>),
    /// Writes one element. No two iterations write the same one, except in a `Serial`.
    Store {
        /// The tensor.
        tensor: TensorId,
        /// One expression for each of its axes, in range.
        index: Vec<Index>,
        /// The value, of the tensor's dtype.
        value: Expr,
    },
}

/// One result of a reduction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reduction {
    /// The local that holds the result after the loop.
    pub local: LocalId,
    /// How values are combined; the local's dtype is that of the values, or `i64` for `ArgMax`.
    pub monoid: Monoid,
    /// The value of one iteration.
    pub value: Expr,
}

/// How a kernel runs. The default is one thread and plain loops.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// Leading axes of every outermost `For` (all have the same ones): their positions, row-major, are the items that threads
    /// divide. Empty: the kernel is one item.
    pub thread: Vec<AxisId>,
    /// Items in one chunk, fixed by shape and never by the thread count.
    pub grain: usize,
    /// Axes that run in vector lanes: the last axis of a `Reduce`, or of a `For` that holds no other `For`, or a `Serial` whose steps every lane takes. Around a `Reduce` each lane keeps
    /// a result of its own (column sums); a reduction in lanes keeps one partial result a lane and combines the lanes in order at the end,
    /// the scalar tail last.
    pub vector: Vec<Vector>,
    /// Axes written out instead of looped.
    pub unroll: Vec<AxisId>,
    /// The parts that run in the micro-kernel: of a contraction, or of each stage that is one.
    pub contracts: Vec<Contract>,
}

/// A vectorised axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vector {
    /// The axis.
    pub axis: AxisId,
    /// Elements in one step.
    pub lanes: usize,
}

/// A contraction `C[m, n] = Σ_k A[m, k]·B[k, n]` inside one `For` whose first statement is its `Reduce`.
///
/// The axes of the `For` that are neither in `thread`, `m` nor `n` are looped outside of it, and so are those of a `For` whose stage it is. The sum's value is a product of two
/// factors: A's, which names no axis of `n`, and B's, which names no axis of `m`. What follows the `Reduce` in the `For` is the
/// epilogue, which runs on each tile of C while it is in cache.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Contract {
    /// Row axes, with how much of each is in one tile.
    pub m: Vec<Tile>,
    /// Column axes, the contiguous dimension of the tile.
    pub n: Vec<Tile>,
    /// Summed axes, all of the `Reduce`; tiles are added up in order.
    pub k: Vec<Tile>,
    /// Whether A's tile is copied to scratch (as `[m][k]`), because its factor is more than a plain strided load.
    pub pack_a: bool,
    /// Whether B's tile is copied to scratch (as `[k][n]`), because it is not contiguous in `n`.
    pub pack_b: bool,
    /// Which factor of the product is A: 0 or 1.
    pub a_factor: usize,
}

/// Part of an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tile {
    /// The axis.
    pub axis: AxisId,
    /// Positions in one tile; the last tile may be short.
    pub size: usize,
}

impl Kernel {
    /// A tensor.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0 as usize]
    }

    /// An axis.
    pub fn axis(&self, id: AxisId) -> &Axis {
        &self.axes[id.0 as usize]
    }

    /// A local.
    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id.0 as usize]
    }

    /// The dtype of an expression.
    pub fn dtype(&self, expr: &Expr) -> DType {
        expr.dtype(&|id| self.tensor(id).ty.dtype, &|id| self.local(id).dtype)
    }

    /// The load of an expression that is an element of a tensor as it is, or of a bf16 tensor in f32: what a contraction can use where it lies.
    pub fn element<'e>(&self, expr: &'e Expr) -> Option<&'e Load> {
        match expr {
            Expr::Load(load) => Some(load),
            Expr::Cast(DType::F32, inner) => {
                self.element(inner).filter(|load| self.tensor(load.tensor).ty.dtype == DType::BF16)
            }
            _ => None,
        }
    }

    /// What a `let` binds a local to; `None` for the result of a reduction.
    pub fn definition(&self, local: LocalId) -> Option<&Expr> {
        fn find(statements: &[Statement], local: LocalId) -> Option<&Expr> {
            statements.iter().find_map(|statement| match statement {
                Statement::Let(held, value) => (*held == local).then_some(value),
                Statement::For(_, body) | Statement::Serial(_, body) => find(body, local),
                Statement::Reduce { lets, .. } => lets.iter().find(|(held, _)| *held == local).map(|(_, value)| value),
                Statement::Store { .. } => None,
            })
        }
        find(&self.body, local)
    }

    /// The element that a checked index is made of: its position is that of the index. An index that reads nothing has none.
    pub fn checked_load(&self, index: &Expr) -> Option<Load> {
        index.first_load(&|local| self.definition(local).and_then(|x| self.checked_load(x)))
    }

    /// The tensors that a launch has buffers for: all but scratch.
    pub fn arguments(&self) -> &[Tensor] {
        let count = self.tensors.iter().take_while(|tensor| tensor.access != Access::Scratch).count();
        &self.tensors[..count]
    }

    /// The stages of a kernel that has scratch tensors.
    pub fn stages(&self) -> Option<(&[AxisId], &[Statement])> {
        match self.body.as_slice() {
            [Statement::For(axes, stages)] if self.arguments().len() < self.tensors.len() => Some((axes, stages)),
            _ => None,
        }
    }

    /// The axes of which each iteration has this tensor for itself: those around the stages, of scratch memory.
    pub fn private_axes(&self, tensor: TensorId) -> &[AxisId] {
        match self.stages() {
            Some((axes, _)) if self.tensor(tensor).access == Access::Scratch => axes,
            _ => &[],
        }
    }

    /// The number of items that threads divide.
    pub fn items(&self) -> Dim {
        self.schedule
            .thread
            .iter()
            .fold(Dim::ONE, |items, &axis| items.product(self.axis(axis).extent).expect("at most one axis is symbolic"))
    }
}
