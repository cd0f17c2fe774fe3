//! Kernels in a few words, and one way to judge them: against the interpreter, in every division of their items.
#![allow(dead_code, unsafe_code)]

pub mod memory;

use std::sync::Arc;

use kiln_codegen_cpu::{Cpu, Jit, Options, jit, scratch_bytes};
use kiln_ir::interpret::{Precision, Value, run_kernel};
use kiln_ir::kernel::{Access, Axis, Contract, Kernel, Local, Reduction, Schedule, Statement, Tensor, Tile, Vector};
use kiln_ir::{AxisId, DType, Dim, Expr, Index, Load, LocalId, Monoid, Number, Program, Shape, TensorId, Type};
use kiln_runtime::abi::{FaultCell, KernelContext, KernelFn};

use memory::Guarded;

pub const B: Dim = Dim::BATCH;

/// A kernel under construction.
pub struct Builder(pub Kernel);

impl Builder {
    pub fn new(name: &str) -> Builder {
        Builder(Kernel {
            name: name.to_owned(),
            tensors: Vec::new(),
            axes: Vec::new(),
            locals: Vec::new(),
            body: Vec::new(),
            schedule: Schedule { grain: 1, ..Schedule::default() },
            places: Vec::new(),
        })
    }

    pub fn axis(&mut self, name: &str, extent: impl Into<Dim>) -> AxisId {
        self.0.axes.push(Axis { name: name.to_owned(), extent: extent.into(), limit: None });
        AxisId(self.0.axes.len() as u32 - 1)
    }

    pub fn tensor(&mut self, name: &str, access: Access, dtype: DType, shape: impl Into<Shape>) -> TensorId {
        self.0.tensors.push(Tensor { name: name.to_owned(), ty: Type::new(dtype, shape), access });
        TensorId(self.0.tensors.len() as u32 - 1)
    }

    pub fn read(&mut self, name: &str, shape: impl Into<Shape>) -> TensorId {
        self.tensor(name, Access::Read, DType::F32, shape)
    }

    pub fn write(&mut self, name: &str, shape: impl Into<Shape>) -> TensorId {
        self.tensor(name, Access::Write, DType::F32, shape)
    }

    pub fn local(&mut self, name: &str, dtype: DType) -> LocalId {
        self.0.locals.push(Local { name: name.to_owned(), dtype });
        LocalId(self.0.locals.len() as u32 - 1)
    }

    /// One loop nest, all of it in the kernel.
    pub fn body(&mut self, axes: &[AxisId], statements: Vec<Statement>) -> &mut Builder {
        self.0.body.push(Statement::For(axes.to_vec(), statements));
        self
    }

    pub fn thread(&mut self, axes: &[AxisId]) -> &mut Builder {
        self.0.schedule.thread = axes.to_vec();
        self
    }

    pub fn vector(&mut self, axes: &[AxisId]) -> &mut Builder {
        self.0.schedule.vector = axes.iter().map(|&axis| Vector { axis, lanes: 4 }).collect();
        self
    }

    pub fn unroll(&mut self, axes: &[AxisId]) -> &mut Builder {
        self.0.schedule.unroll = axes.to_vec();
        self
    }

    pub fn contract(&mut self, m: &[(AxisId, usize)], n: &[(AxisId, usize)], k: &[(AxisId, usize)]) -> &mut Contract {
        let tiles = |side: &[(AxisId, usize)]| side.iter().map(|&(axis, size)| Tile { axis, size }).collect();
        let (m, n, k) = (tiles(m), tiles(n), tiles(k));
        let contract = Contract { m, n, k, pack_a: false, pack_b: false, a_factor: 0 };
        self.0.schedule.contracts.push(contract);
        self.0.schedule.contracts.last_mut().expect("there is one now")
    }
}

pub fn at(axis: AxisId) -> Index {
    Index::axis(axis)
}

pub fn load(tensor: TensorId, index: impl Into<Vec<Index>>) -> Expr {
    Expr::Load(Load { tensor, index: index.into(), fill: None })
}

pub fn padded(tensor: TensorId, index: impl Into<Vec<Index>>, fill: f64) -> Expr {
    Expr::Load(Load { tensor, index: index.into(), fill: Some(Number::new(fill)) })
}

pub fn store(tensor: TensorId, index: impl Into<Vec<Index>>, value: Expr) -> Statement {
    Statement::Store { tensor, index: index.into(), value }
}

pub fn reduce(axes: &[AxisId], local: LocalId, monoid: Monoid, value: Expr) -> Statement {
    Statement::Reduce { axes: axes.to_vec(), lets: Vec::new(), results: vec![Reduction { local, monoid, value }] }
}

pub fn number(value: f64) -> Expr {
    Expr::number(value, DType::F32)
}

/// Numbers that look random, in [-1, 1), the same on every run.
pub fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

/// Values for every tensor that the kernel reads: noise in floats, small numbers in the rest.
pub fn inputs(kernel: &Kernel, batch: usize) -> Vec<Value> {
    let tensors = kernel.arguments().iter().enumerate();
    let values = tensors.map(|(at, tensor)| {
        let shape = tensor.ty.shape.at(batch);
        let count = shape.iter().product();
        if tensor.access == Access::Write {
            return Value::unset(&tensor.ty, batch);
        }
        let data = noise(count, at as u64 + 1).into_iter().map(|x| match tensor.ty.dtype {
            DType::Bool => f64::from(x > 0.0),
            dtype if dtype.is_integer() => (x.abs() * 10.0).floor(),
            DType::F16 => half::f16::from_f64(x).to_f64(),
            DType::BF16 => half::bf16::from_f64(x).to_f64(),
            _ => x,
        });
        Value::new(tensor.ty.dtype, shape, data.collect()).expect("as many as the shape says")
    });
    values.collect()
}

/// The program of one kernel, for compiling only.
pub fn program_of(kernel: &Kernel) -> Arc<Program> {
    Arc::new(Program {
        name: "test".to_owned(),
        max_batch: 64,
        arena_bytes: 0,
        buffers: Vec::new(),
        kernels: vec![kernel.clone()],
        entries: Vec::new(),
    })
}

/// [`run_to_fault`], of what reports no fault.
pub fn run(
    function: KernelFn,
    kernel: &Kernel,
    values: &[Value],
    batch: usize,
    chunk: u64,
    at_end: bool,
) -> Vec<Value> {
    let (values, cell) = run_to_fault(function, kernel, values, batch, chunk, at_end);
    let report = format!("{cell:?}");
    assert!(report.contains("code: 0"), "`{}`: {report}", kernel.name);
    values
}

/// Runs compiled code on values, the items divided into calls of `chunk` items, and gives what it reports as well. Memory before (or
/// after) each tensor cannot be touched without a fault of the processor.
pub fn run_to_fault(
    function: KernelFn,
    kernel: &Kernel,
    values: &[Value],
    batch: usize,
    chunk: u64,
    at_end: bool,
) -> (Vec<Value>, FaultCell) {
    let mut buffers: Vec<Guarded> = values
        .iter()
        .map(|value| {
            let mut buffer = Guarded::new(value.data.len() * value.dtype.size_bytes(), at_end);
            memory::write(buffer.bytes_mut(), value);
            buffer
        })
        .collect();
    let pointers: Vec<*mut u8> = buffers.iter_mut().map(|buffer| buffer.bytes_mut().as_mut_ptr()).collect();
    let cell = FaultCell::default();
    let mut scratch = vec![[0xFFu8; 64]; scratch_bytes(kernel).div_ceil(64) + 2];
    let aligned = scratch.as_mut_ptr().cast::<u8>();
    let scratch = aligned.wrapping_add(aligned.align_offset(64));
    let context = KernelContext::new(batch as u64, scratch, &cell);
    let items = kernel.items().at(batch) as u64;
    let mut begin = 0;
    while begin < items {
        let end = (begin + chunk).min(items);
        // SAFETY: the buffers have the tensors' sizes, scratch memory is as large as the kernel says.
        unsafe { function(&context, pointers.as_ptr(), begin, end) };
        begin = end;
    }
    let read = |(value, buffer): (&Value, &mut Guarded)| memory::read(buffer.bytes_mut(), value);
    (values.iter().zip(&mut buffers).map(read).collect(), cell)
}

/// The machine code of one kernel.
pub fn jit_of(kernel: &Kernel) -> Jit {
    jit(program_of(kernel), Options { verify: true, ..Options::default() }).expect("the kernel compiles")
}

/// Compiles a kernel, runs it in several divisions, compares their bits with each other and their values with the interpreter's.
pub fn check_values(kernel: &Kernel, values: &[Value], batch: usize, tolerance: f64) -> Vec<Value> {
    let mut expected = values.to_vec();
    run_kernel(kernel, &mut expected, batch, Precision::Exact).expect("the interpreter runs the kernel");
    let compiled = jit_of(kernel);
    let function = compiled.kernels()[0];
    let whole = run(function, kernel, values, batch, u64::MAX, true);
    for (chunk, at_end) in [(1, true), (2, false), (3, true), (7, false), (1 << 40, false)] {
        let parts = run(function, kernel, values, batch, chunk, at_end);
        for (tensor, (whole, part)) in kernel.tensors.iter().zip(whole.iter().zip(&parts)) {
            let bits = |value: &Value| value.data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(whole), bits(part), "`{}` depends on calls of {chunk} items", tensor.name);
        }
    }
    // With 128-bit vectors alone the bits are the same.
    let narrow = jit(program_of(kernel), Options { verify: true, cpu: Cpu::Baseline, ..Options::default() });
    let narrow = narrow.expect("the kernel compiles");
    let other = run(narrow.kernels()[0], kernel, values, batch, u64::MAX, true);
    for (tensor, (whole, other)) in kernel.tensors.iter().zip(whole.iter().zip(&other)) {
        for (at, (x, y)) in whole.data.iter().zip(&other.data).enumerate() {
            let equal = x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
            assert!(equal, "`{}`: {}[{at}] is {x}, and {y} without wide lanes", kernel.name, tensor.name);
        }
    }
    for (tensor, (expected, found)) in kernel.tensors.iter().zip(expected.iter().zip(&whole)) {
        for (at, (expected, found)) in expected.data.iter().zip(&found.data).enumerate() {
            let equal = expected == found || expected.is_nan() && found.is_nan();
            let error = (expected - found).abs() / (1.0 + expected.abs());
            assert!(
                equal || error <= tolerance,
                "kernel `{}`: {}[{at}] is {found}, not {expected}",
                kernel.name,
                tensor.name
            );
        }
    }
    whole
}

/// As [`check_values`], on noise, with and without vector lanes.
pub fn check(kernel: &Kernel, batch: usize) -> Vec<Value> {
    let mut plain = kernel.clone();
    plain.schedule.vector.clear();
    check_values(&plain, &inputs(kernel, batch), batch, 2e-6);
    check_values(kernel, &inputs(kernel, batch), batch, 2e-6)
}
