//! The runtime's tables of a program: what the host can reach, how it starts, and what each entry launches.

use kiln_ir::kernel::Kernel;
use kiln_ir::program::{Buffer, BufferId, Class, Launch};
use kiln_ir::{DType, Dim, Program};
use kiln_runtime::abi::{self, KernelFn};

use crate::checks;
use crate::contract::Plan;
use crate::watch;

/// The tables, with one function for each kernel.
pub(crate) fn runtime_program(program: &Program, kernels: &[KernelFn], detect_anomaly: bool) -> abi::Program {
    let scratch: Vec<u64> = program.kernels.iter().map(|kernel| Plan::new(kernel).scratch_bytes as u64).collect();
    let slots = slots(program);
    let constants = constants(program, &slots);
    let slot_of = |id: &BufferId| {
        slots.iter().position(|slot| slot == id).expect("an entry's inputs and outputs have slots") as u32
    };
    let step = |launch: &Launch| {
        let kernel = program.kernel(launch.kernel);
        abi::Step {
            name: kernel.name.clone().into(),
            kernel: kernels[launch.kernel.0 as usize],
            buffers: launch.buffers.iter().map(|id| program.buffer(*id).offset as u64).collect(),
            items: extent(kernel.items()),
            grain: kernel.schedule.grain.max(1) as u64,
            scratch_bytes: scratch[launch.kernel.0 as usize],
            place: place(kernel, launch).into(),
            checks: checks::sites(kernel).into_iter().map(Into::into).collect(),
            watch: detect_anomaly.then(|| watch::watch(program, launch, element)),
        }
    };
    abi::Program {
        name: program.name.clone().into(),
        max_batch: max_batch(program),
        arena_bytes: program.arena_bytes as u64,
        memory: memory(program).into(),
        slots: slots.iter().map(|id| slot(program, *id, &constants)).collect(),
        constants: constants.iter().map(|id| constant(program.buffer(*id))).collect(),
        entries: program
            .entries
            .iter()
            .map(|entry| abi::Entry {
                name: entry.name.clone().into(),
                inputs: entry.inputs.iter().map(slot_of).collect(),
                outputs: entry.outputs.iter().map(slot_of).collect(),
                steps: entry.steps.iter().map(step).collect(),
            })
            .collect(),
        required_features: Default::default(),
        code: None,
    }
}

/// What the host calls buffers of a class, if it can reach them.
pub(crate) fn slot_kind(class: Class) -> Option<abi::SlotKind> {
    match class {
        Class::Parameter => Some(abi::SlotKind::Parameter),
        Class::Buffer => Some(abi::SlotKind::Buffer),
        Class::OptimizerState => Some(abi::SlotKind::OptimizerState),
        Class::Scalar => Some(abi::SlotKind::Scalar),
        Class::Data => Some(abi::SlotKind::Input),
        Class::Output => Some(abi::SlotKind::Output),
        Class::Constant | Class::Activation | Class::Gradient | Class::Workspace => None,
    }
}

/// Buffers that the host can reach, in the program's order.
fn slots(program: &Program) -> Vec<BufferId> {
    let named = |id: &BufferId| {
        let is_argument = |entry: &kiln_ir::program::Entry| entry.inputs.contains(id) || entry.outputs.contains(id);
        slot_kind(program.buffer(*id).class).is_some() || program.entries.iter().any(is_argument)
    };
    (0..program.buffers.len() as u32).map(BufferId).filter(named).collect()
}

/// Buffers whose bytes are in the program: constants, and slots that start with data.
fn constants(program: &Program, slots: &[BufferId]) -> Vec<BufferId> {
    let has_bytes = |id: &BufferId| {
        let buffer = program.buffer(*id);
        match buffer.init {
            kiln_ir::Init::Data(_) => slots.contains(id) || buffer.class == Class::Constant,
            _ => buffer.class == Class::Constant,
        }
    };
    (0..program.buffers.len() as u32).map(BufferId).filter(has_bytes).collect()
}

fn slot(program: &Program, id: BufferId, constants: &[BufferId]) -> abi::Slot {
    let buffer = program.buffer(id);
    let is_input = program.entries.iter().any(|entry| entry.inputs.contains(&id));
    let other = if is_input { abi::SlotKind::Input } else { abi::SlotKind::Output };
    abi::Slot {
        name: buffer.name.clone().into(),
        kind: slot_kind(buffer.class).unwrap_or(other),
        element: element(buffer.ty.dtype),
        shape: buffer.ty.shape.dims().iter().map(|dim| extent(*dim)).collect(),
        offset: buffer.offset as u64,
        init: init(&buffer.init, constants.iter().position(|held| *held == id)),
    }
}

fn init(init: &kiln_ir::Init, constant: Option<usize>) -> abi::Init {
    match *init {
        kiln_ir::Init::Zeros => abi::Init::Zeros,
        kiln_ir::Init::Constant(value) => abi::Init::Constant(value),
        kiln_ir::Init::Uniform { low, high } => abi::Init::Uniform { low, high },
        kiln_ir::Init::Normal { mean, std } => abi::Init::Normal { mean, std },
        kiln_ir::Init::TruncatedNormal { mean, std, low, high } => abi::Init::TruncatedNormal { mean, std, low, high },
        kiln_ir::Init::Orthogonal { gain } => abi::Init::Orthogonal { gain },
        kiln_ir::Init::Sparse { sparsity, std } => abi::Init::Sparse { sparsity, std },
        kiln_ir::Init::Padded { std, row } => abi::Init::Padded { std, row: row as u64 },
        kiln_ir::Init::Seed => abi::Init::Seed,
        kiln_ir::Init::Data(_) => abi::Init::Data(constant.expect("data of a slot is a constant") as u32),
    }
}

/// The bytes of a buffer that starts with known values.
fn constant(buffer: &Buffer) -> abi::Constant {
    let count = buffer.ty.shape.count().at(1);
    let values = match &buffer.init {
        kiln_ir::Init::Data(values) => values.clone(),
        kiln_ir::Init::Constant(value) => vec![*value; count],
        _ => vec![0.0; count],
    };
    let mut bytes = vec![0; count * buffer.ty.dtype.size_bytes()];
    for (bytes, value) in bytes.chunks_mut(buffer.ty.dtype.size_bytes()).zip(values) {
        element(buffer.ty.dtype).write_f64(value, bytes);
    }
    abi::Constant { offset: buffer.offset as u64, bytes: bytes.into() }
}

/// The planned bytes of each class, the largest batch counted; classes that share memory over time each show their own peak.
fn memory(program: &Program) -> Vec<abi::MemoryClass> {
    const CLASSES: [(Class, &str); 10] = [
        (Class::Parameter, "parameters"),
        (Class::Buffer, "buffers"),
        (Class::OptimizerState, "optimizer state"),
        (Class::Scalar, "scalars"),
        (Class::Data, "data"),
        (Class::Output, "outputs"),
        (Class::Constant, "constants"),
        (Class::Activation, "activations"),
        (Class::Gradient, "gradients"),
        (Class::Workspace, "workspace"),
    ];
    let rows = CLASSES
        .iter()
        .map(|(class, name)| abi::MemoryClass { name: (*name).into(), size_bytes: peak_bytes(program, *class) });
    rows.filter(|row| row.size_bytes > 0).collect()
}

fn peak_bytes(program: &Program, class: Class) -> u64 {
    let bytes = |buffer: &Buffer| buffer.ty.size_bytes(program.max_batch.max(1)) as u64;
    let of_class = || program.buffers.iter().filter(move |buffer| buffer.class == class);
    let always: u64 = of_class().filter(|buffer| buffer.live.is_none()).map(bytes).sum();
    // The peak of a class is at the first step of one of its buffers.
    let steps = of_class().filter_map(|buffer| buffer.live.map(|live| (live.entry, live.first)));
    let live_at = |(entry, step): (usize, usize)| -> u64 {
        let is_live = |buffer: &&Buffer| {
            buffer.live.is_some_and(|live| live.entry == entry && live.first <= step && step <= live.last)
        };
        of_class().filter(is_live).map(bytes).sum()
    };
    always + steps.map(live_at).max().unwrap_or(0)
}

/// The bound of the batch, 0 where nothing is symbolic.
fn max_batch(program: &Program) -> u64 {
    let is_symbolic = |buffer: &Buffer| buffer.ty.shape.dims().iter().any(|dim| dim.batch);
    if program.buffers.iter().any(is_symbolic) { program.max_batch as u64 } else { 0 }
}

fn place(kernel: &Kernel, launch: &Launch) -> String {
    let place = if launch.place.is_none() { kernel.places.last() } else { Some(&launch.place) };
    place.map(ToString::to_string).unwrap_or_default()
}

fn extent(dim: Dim) -> abi::Extent {
    abi::Extent { fixed: dim.factor as u64, batch: dim.batch }
}

fn element(dtype: DType) -> abi::ElementType {
    match dtype {
        DType::Bool => abi::ElementType::Bool,
        DType::U8 => abi::ElementType::U8,
        DType::I32 => abi::ElementType::I32,
        DType::I64 => abi::ElementType::I64,
        DType::F16 => abi::ElementType::F16,
        DType::BF16 => abi::ElementType::BF16,
        DType::F32 => abi::ElementType::F32,
        DType::F64 => abi::ElementType::F64,
    }
}
