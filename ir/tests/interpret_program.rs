//! Programs on an arena: the order of launches, what lasts from step to step, and plans that are wrong.

use kiln_ir::interpret::{InterpretError, Precision, ProgramState, Value};
use kiln_ir::kernel::{Access, Axis, Schedule, Statement, Tensor};
use kiln_ir::program::{Buffer, BufferId, Class, Entry, KernelId, Launch, LiveRange};
use kiln_ir::{AxisId, Binary, DType, Dim, Expr, Index, Init, Kernel, Load, Place, Program, TensorId, Type};

/// `out[n] = op(a[n], b[n])`; with [`Access::Update`] the second operand is the result as well.
fn pointwise(name: &str, op: Binary, dtype: DType, access: Access) -> Kernel {
    let n = Index::axis(AxisId(0));
    let load = |tensor| Expr::Load(Load { tensor: TensorId(tensor), index: vec![n.clone()], fill: None });
    let tensor = |name: &str, access| Tensor { name: name.to_owned(), ty: Type::new(dtype, [Dim::BATCH]), access };
    let mut tensors = vec![tensor("a", Access::Read), tensor("out", access)];
    if access == Access::Write {
        tensors.insert(1, tensor("b", Access::Read));
    }
    let store = Statement::Store {
        tensor: TensorId(tensors.len() as u32 - 1),
        index: vec![n.clone()],
        value: Expr::binary(op, load(0), load(1)),
    };
    Kernel {
        name: name.to_owned(),
        tensors,
        axes: vec![Axis { name: "n".to_owned(), extent: Dim::BATCH, limit: None }],
        locals: Vec::new(),
        body: vec![Statement::For(vec![AxisId(0)], vec![store])],
        schedule: Schedule::default(),
        places: Vec::new(),
    }
}

fn buffer(name: &str, class: Class, offset: usize, live: Option<(usize, usize)>) -> Buffer {
    Buffer {
        name: name.to_owned(),
        ty: Type::new(DType::F32, [Dim::BATCH]),
        class,
        offset,
        live: live.map(|(first, last)| LiveRange { entry: 0, first, last }),
        init: Init::Zeros,
    }
}

fn launch(kernel: u32, buffers: &[u32]) -> Launch {
    Launch { kernel: KernelId(kernel), buffers: buffers.iter().map(|&id| BufferId(id)).collect(), place: Place::NONE }
}

/// `h = x·w; y = h + x; w += x` for up to 4 rows, so that 16 bytes hold a buffer. `h_offset` and `y_offset` are the plan.
fn program(h_offset: usize, y_offset: usize) -> Program {
    Program {
        name: "test".to_owned(),
        max_batch: 4,
        arena_bytes: 256,
        buffers: vec![
            buffer("w", Class::Parameter, 0, None),
            buffer("x", Class::Data, 64, None),
            buffer("h", Class::Activation, h_offset, Some((0, 1))),
            buffer("y", Class::Output, y_offset, Some((1, 2))),
        ],
        kernels: vec![
            pointwise("mul", Binary::Mul, DType::F32, Access::Write),
            pointwise("add", Binary::Add, DType::F32, Access::Write),
            pointwise("add_to", Binary::Add, DType::F32, Access::Update),
        ],
        entries: vec![Entry {
            name: "step".to_owned(),
            inputs: vec![BufferId(1)],
            outputs: vec![BufferId(3)],
            steps: vec![launch(0, &[1, 0, 2]), launch(1, &[2, 1, 3]), launch(2, &[1, 0])],
        }],
    }
}

fn start(program: &Program, precision: Precision) -> Result<ProgramState<'_>, InterpretError> {
    ProgramState::new(program, precision, &mut |buffer, count| {
        assert_eq!(buffer.name, "w");
        (0..count).map(|n| n as f64 + 1.0).collect()
    })
}

fn data(values: &[f64]) -> Value {
    Value::new(DType::F32, vec![values.len()], values.to_vec()).unwrap()
}

#[test]
fn steps_run_in_order_and_parameters_last() {
    let program = program(128, 192);
    let mut state = start(&program, Precision::Exact).unwrap();
    // w = [1, 2, 3, 4].
    let y = state.run_entry("step", 4, &[data(&[1.0, 10.0, 100.0, 1000.0])]).unwrap();
    assert_eq!(y[0].data, [2.0, 30.0, 400.0, 5000.0]);
    assert_eq!(state.read(BufferId(0), 4).unwrap().data, [2.0, 12.0, 103.0, 1004.0]);
    // A smaller batch sees and changes the front part.
    let y = state.run_entry("step", 2, &[data(&[1.0, 2.0])]).unwrap();
    assert_eq!(y[0].data, [3.0, 26.0]);
    assert_eq!(state.read(BufferId(0), 4).unwrap().data, [3.0, 14.0, 103.0, 1004.0]);
}

#[test]
fn declared_precision_rounds_inputs_and_results() {
    let program = program(128, 192);
    let mut state = start(&program, Precision::Declared).unwrap();
    let y = state.run_entry("step", 1, &[data(&[0.1])]).unwrap();
    assert_eq!(y[0].data, [f64::from(0.1f32 + 0.1f32)]);
}

#[test]
fn a_plan_that_takes_a_live_buffer_shows() {
    // y starts in h's last element, which it needs as an operand.
    let shared = program(128, 140);
    let error = start(&shared, Precision::Exact).unwrap().run_entry("step", 4, &[data(&[1.0; 4])]).unwrap_err();
    assert!(matches!(error.root(), InterpretError::Overlap { .. }), "{error}");
    // h lies on w, which is therefore not there any more when the entry has started.
    let on_weight = program(0, 192);
    let error = start(&on_weight, Precision::Exact).unwrap().run_entry("step", 4, &[data(&[1.0; 4])]);
    assert!(error.is_err());
    // y lies on x, the operand of a later step: not while it is written, but after.
    let mut on_data = program(128, 64);
    on_data.entries[0].steps[1] = launch(1, &[2, 2, 3]);
    let mut state = start(&on_data, Precision::Exact).unwrap();
    state.run_entry("step", 4, &[data(&[1.0; 4])]).unwrap();
    // w += y and not x: two sums of x·w.
    assert_eq!(state.read(BufferId(0), 4).unwrap().data, [3.0, 6.0, 9.0, 12.0]);
}

#[test]
fn memory_of_another_dtype_is_no_value() {
    // Two programs in one: an f64 buffer at the place of `h`, read as f32 by a later step.
    let mut wrong = program(128, 192);
    wrong.buffers.push(Buffer { ty: Type::new(DType::F64, [Dim::BATCH]), ..buffer("wide", Class::Data, 128, None) });
    wrong.buffers[2].live = None;
    wrong.buffers[2].class = Class::Data;
    wrong.entries[0].steps.remove(0);
    let mut state = start(&wrong, Precision::Exact).unwrap();
    let wide = Value::new(DType::F64, vec![2], vec![1.0, 2.0]).unwrap();
    state.write(BufferId(4), 2, &wide).unwrap();
    let error = state.run_entry("step", 2, &[data(&[1.0; 2])]).unwrap_err();
    assert_eq!(*error.root(), InterpretError::Unset { tensor: "a".to_owned(), position: 0 });
    // Writing the narrow one in turn takes the wide one's value.
    state.write(BufferId(2), 2, &data(&[5.0, 6.0])).unwrap();
    assert_eq!(state.run_entry("step", 2, &[data(&[1.0; 2])]).unwrap()[0].data, [6.0, 7.0]);
    assert!(matches!(state.read(BufferId(4), 2), Err(InterpretError::Unset { position: 0, .. })));
}

#[test]
fn values_do_not_last_from_entry_to_entry() {
    let mut program = program(128, 192);
    let steps = program.entries[0].steps.split_off(1);
    program.entries.push(Entry { name: "rest".to_owned(), steps, ..program.entries[0].clone() });
    program.entries[0].outputs.clear();
    let mut state = start(&program, Precision::Exact).unwrap();
    state.run_entry("step", 2, &[data(&[1.0, 2.0])]).unwrap();
    assert_eq!(state.read(BufferId(2), 2).unwrap().data, [1.0, 4.0]);
    let error = state.run_entry("rest", 2, &[data(&[1.0, 2.0])]).unwrap_err();
    assert_eq!(error.to_string(), "`rest` step 0: kernel `add`: element 0 of `a` is read, but holds no value");
}

#[test]
fn calls_must_fit_the_program() {
    let fits = program(128, 192);
    let mut state = start(&fits, Precision::Exact).unwrap();
    let x = || [data(&[1.0])];
    assert!(matches!(state.run_entry("stop", 1, &x()), Err(InterpretError::UnknownName { what: "entry", .. })));
    assert!(matches!(state.run_entry("step", 5, &x()), Err(InterpretError::WrongBatch { batch: 5, max: 4 })));
    assert!(matches!(state.run_entry("step", 0, &x()), Err(InterpretError::WrongBatch { .. })));
    assert!(matches!(state.run_entry("step", 2, &x()), Err(InterpretError::WrongTensor { .. })));
    assert!(matches!(state.run_entry("step", 1, &[]), Err(InterpretError::WrongCount { .. })));
    assert!(matches!(state.read(BufferId(3), 1), Err(InterpretError::Unset { .. })));
    let outside = program(128, 256);
    assert_eq!(start(&outside, Precision::Exact).unwrap_err(), InterpretError::OutsideArena("y".to_owned()));
}
