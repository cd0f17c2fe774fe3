//! Every statement of a kernel, against numbers worked out by hand, and every rule that the interpreter enforces.

use kiln_ir::interpret::{InterpretError, Precision, Value, run_kernel};
use kiln_ir::kernel::{Access, Axis, Local, Reduction, Schedule, Statement, Tensor};
use kiln_ir::{Atom, AxisId, Binary, DType, Dim, Expr, Index, Kernel, Load, LocalId, Monoid, Number, TensorId, Type};

const F32: DType = DType::F32;
const I64: DType = DType::I64;

fn kernel(
    tensors: &[(&str, Type, Access)],
    axes: &[(&str, Dim)],
    locals: &[(&str, DType)],
    body: Vec<Statement>,
) -> Kernel {
    Kernel {
        name: "test".to_owned(),
        tensors: tensors
            .iter()
            .map(|(name, ty, access)| Tensor { name: (*name).to_owned(), ty: ty.clone(), access: *access })
            .collect(),
        axes: axes
            .iter()
            .map(|(name, extent)| Axis { name: (*name).to_owned(), extent: *extent, limit: None })
            .collect(),
        locals: locals.iter().map(|(name, dtype)| Local { name: (*name).to_owned(), dtype: *dtype }).collect(),
        body,
        schedule: Schedule::default(),
        places: Vec::new(),
    }
}

fn axis(number: u32) -> Index {
    Index::axis(AxisId(number))
}

fn axes(numbers: &[u32]) -> Vec<AxisId> {
    numbers.iter().map(|&number| AxisId(number)).collect()
}

fn load(tensor: u32, index: &[Index], fill: Option<f64>) -> Expr {
    Expr::Load(Load { tensor: TensorId(tensor), index: index.to_vec(), fill: fill.map(Number::new) })
}

fn store(tensor: u32, index: &[Index], value: Expr) -> Statement {
    Statement::Store { tensor: TensorId(tensor), index: index.to_vec(), value }
}

fn local(number: u32) -> Expr {
    Expr::Local(LocalId(number))
}

fn reduce(over: &[u32], results: Vec<(u32, Monoid, Expr)>) -> Statement {
    let results =
        results.into_iter().map(|(local, monoid, value)| Reduction { local: LocalId(local), monoid, value }).collect();
    Statement::Reduce { axes: axes(over), lets: Vec::new(), results }
}

fn add(a: Expr, b: Expr) -> Expr {
    Expr::binary(Binary::Add, a, b)
}

fn mul(a: Expr, b: Expr) -> Expr {
    Expr::binary(Binary::Mul, a, b)
}

fn value(shape: &[usize], data: &[f64]) -> Value {
    Value::new(F32, shape.to_vec(), data.to_vec()).unwrap()
}

/// Runs with the tensors that are not given left without values, and gives the last tensor.
fn run(kernel: &Kernel, given: &[Value], batch: usize) -> Result<Value, InterpretError> {
    let mut tensors = given.to_vec();
    tensors.extend(kernel.tensors[given.len()..].iter().map(|tensor| Value::unset(&tensor.ty, batch)));
    run_kernel(kernel, &mut tensors, batch, Precision::Exact)?;
    Ok(tensors.pop().expect("a kernel has tensors"))
}

fn root(result: Result<Value, InterpretError>) -> InterpretError {
    result.unwrap_err().root().clone()
}

/// `y[n] = x[n] + 1`, with `body` in place of the store.
fn over_n(access: Access, body: Vec<Statement>) -> Kernel {
    let ty = Type::new(F32, [Dim::BATCH]);
    kernel(
        &[("x", ty.clone(), Access::Read), ("y", ty, access)],
        &[("n", Dim::BATCH), ("m", Dim::fixed(2))],
        &[("a", F32)],
        vec![Statement::For(axes(&[0]), body)],
    )
}

#[test]
fn loops_lets_and_stores() {
    let a = Statement::Let(LocalId(0), add(load(0, &[axis(0)], None), Expr::number(1.0, F32)));
    let k = over_n(Access::Write, vec![a, store(1, &[axis(0)], mul(local(0), local(0)))]);
    assert_eq!(run(&k, &[value(&[3], &[1.0, 2.0, 3.0])], 3).unwrap().data, [4.0, 9.0, 16.0]);
    assert_eq!(run(&k, &[value(&[1], &[-3.0])], 1).unwrap().data, [4.0]);
}

#[test]
fn a_padded_convolution() {
    // y[o] = Σ_k x[o + k - 1 | 0]·w[k], x = [1, 2, 3, 4], w = [1, 10, 100].
    let vector = |n: usize| Type::new(F32, [n]);
    let product = mul(load(0, &[axis(0).plus(&axis(1)).shifted(-1)], Some(0.0)), load(1, &[axis(1)], None));
    let body = vec![reduce(&[1], vec![(0, Monoid::Sum, product)]), store(2, &[axis(0)], local(0))];
    let k = kernel(
        &[("x", vector(4), Access::Read), ("w", vector(3), Access::Read), ("y", vector(4), Access::Write)],
        &[("o", Dim::fixed(4)), ("k", Dim::fixed(3))],
        &[("acc", F32)],
        vec![Statement::For(axes(&[0]), body)],
    );
    let given = [value(&[4], &[1.0, 2.0, 3.0, 4.0]), value(&[3], &[1.0, 10.0, 100.0])];
    assert_eq!(run(&k, &given, 1).unwrap().data, [210.0, 321.0, 432.0, 43.0]);
}

#[test]
fn a_strided_transposed_load_fills_where_the_division_is_not_exact() {
    // y[i] = x[i / 2 | 0], x = [5, 6]: a convolution's gradient spreads by its stride.
    let spread = Index::atom(Atom::ExactDiv(Box::new(axis(0)), 2));
    let k = kernel(
        &[("x", Type::new(F32, [2usize]), Access::Read), ("y", Type::new(F32, [5usize]), Access::Write)],
        &[("i", Dim::fixed(5))],
        &[],
        vec![Statement::For(axes(&[0]), vec![store(1, &[axis(0)], load(0, &[spread], Some(0.0)))])],
    );
    assert_eq!(run(&k, &[value(&[2], &[5.0, 6.0])], 1).unwrap().data, [5.0, 0.0, 6.0, 0.0, 0.0]);
}

#[test]
fn reductions_of_every_monoid_in_one_nest() {
    let results = vec![
        (0, Monoid::Sum, local(4)),
        (1, Monoid::Product, local(4)),
        (2, Monoid::Max, local(4)),
        (3, Monoid::Min, local(4)),
        (5, Monoid::ArgMax, local(4)),
    ];
    let Statement::Reduce { axes: over, results, .. } = reduce(&[0, 1], results) else { unreachable!() };
    let lets = vec![(LocalId(4), load(0, &[axis(0), axis(1)], None))];
    let mut body = vec![Statement::Reduce { axes: over, lets, results }];
    body.extend((0..4).map(|n| store(1, &[Index::constant(n)], local(n as u32))));
    body.push(store(1, &[Index::constant(4)], Expr::cast(F32, local(5))));
    let k = kernel(
        &[("x", Type::new(F32, [2usize, 3]), Access::Read), ("y", Type::new(F32, [5usize]), Access::Write)],
        &[("i", Dim::fixed(2)), ("j", Dim::fixed(3))],
        &[("sum", F32), ("product", F32), ("max", F32), ("min", F32), ("x_ij", F32), ("argmax", I64)],
        body,
    );
    let x = |data: &[f64]| [value(&[2, 3], data)];
    assert_eq!(
        run(&k, &x(&[1.0, -2.0, 3.0, 4.0, 4.0, 0.5]), 1).unwrap().data,
        // The first of the two fours is at row-major position 3.
        [10.5, -48.0, 4.0, -2.0, 3.0]
    );
    let with_nan = run(&k, &x(&[1.0, f64::NAN, 9.0, f64::NAN, 4.0, 0.5]), 1).unwrap().data;
    assert!(with_nan[..4].iter().all(|value| value.is_nan()));
    assert_eq!(with_nan[4], 1.0);
}

#[test]
fn integer_reductions_start_from_their_own_identities() {
    let results = vec![(0, Monoid::Max, load(0, &[axis(0)], None)), (1, Monoid::Min, load(0, &[axis(0)], None))];
    let mut body = vec![reduce(&[0], results)];
    body.extend((0..2).map(|n| store(1, &[Index::constant(n)], local(n as u32))));
    let vector = |n: usize| Type::new(DType::I32, [n]);
    let k = kernel(
        &[("x", vector(2), Access::Read), ("y", vector(2), Access::Write)],
        &[("i", Dim::fixed(2))],
        &[("max", DType::I32), ("min", DType::I32)],
        body,
    );
    let x = Value::new(DType::I32, vec![2], vec![-5.0, -7.0]).unwrap();
    assert_eq!(run(&k, &[x], 1).unwrap().data, [-5.0, -7.0]);
}

#[test]
fn a_split_axis_stops_at_its_limit() {
    // y[4·o + i] = 4·o + i for 4·o + i < B, and the largest index is also found by a split reduction.
    let linear = axis(0).times(4).plus(&axis(1));
    let inner = axis(2).times(4).plus(&axis(3));
    let mut k = kernel(
        &[("y", Type::new(I64, [Dim::BATCH]), Access::Write), ("best", Type::scalar(I64), Access::Write)],
        &[("o", Dim::fixed(3)), ("i", Dim::fixed(4)), ("ko", Dim::fixed(3)), ("ki", Dim::fixed(4))],
        &[("argmax", I64)],
        vec![
            Statement::For(axes(&[0, 1]), vec![store(0, std::slice::from_ref(&linear), Expr::Index(linear.clone()))]),
            reduce(&[2, 3], vec![(0, Monoid::ArgMax, Expr::Index(inner.clone()))]),
            store(1, &[], local(0)),
        ],
    );
    k.axes[1].limit = Some((linear, Dim::BATCH));
    k.axes[3].limit = Some((inner, Dim::BATCH));
    for batch in [10, 12] {
        let mut tensors: Vec<Value> = k.tensors.iter().map(|tensor| Value::unset(&tensor.ty, batch)).collect();
        run_kernel(&k, &mut tensors, batch, Precision::Exact).unwrap();
        assert_eq!(tensors[0].data, (0..batch).map(|n| n as f64).collect::<Vec<_>>());
        assert_eq!(tensors[1].data, [batch as f64 - 1.0]);
    }
}

#[test]
fn a_sum_in_declared_precision_is_rounded_once() {
    // 2^24 + 1 + 1: one at a time in f32, neither one would count.
    let body = vec![reduce(&[0], vec![(0, Monoid::Sum, load(0, &[axis(0)], None))]), store(1, &[], local(0))];
    let k = kernel(
        &[("x", Type::new(F32, [3usize]), Access::Read), ("y", Type::scalar(F32), Access::Write)],
        &[("i", Dim::fixed(3))],
        &[("sum", F32)],
        body,
    );
    let mut tensors = [value(&[3], &[16777216.0, 1.0, 1.0]), Value::scalar(F32, 0.0)];
    run_kernel(&k, &mut tensors, 1, Precision::Declared).unwrap();
    assert_eq!(tensors[1].data, [16777218.0]);
}

#[test]
fn an_update_in_place() {
    let update = store(1, &[axis(0)], add(load(1, &[axis(0)], None), load(0, &[axis(0)], None)));
    let k = over_n(Access::Update, vec![update]);
    assert_eq!(run(&k, &[value(&[2], &[1.0, 2.0]), value(&[2], &[10.0, 20.0])], 2).unwrap().data, [11.0, 22.0]);
}

#[test]
fn updates_that_depend_on_the_order_of_iterations_are_errors() {
    let given = [value(&[3], &[1.0; 3]), value(&[3], &[1.0; 3])];
    // The neighbour that is stored before (n - 1), and the one that is stored after (n + 1).
    for shift in [-1, 1] {
        let k = over_n(Access::Update, vec![store(1, &[axis(0)], load(1, &[axis(0).shifted(shift)], Some(0.0)))]);
        assert!(matches!(root(run(&k, &given, 3)), InterpretError::SharedElement { .. }), "{shift}");
    }
    // Within one iteration of the outermost loop, a nested loop may store what another one loaded.
    let nested = vec![reduce(&[1], vec![(0, Monoid::Sum, load(1, &[axis(0)], None))]), store(1, &[axis(0)], local(0))];
    assert_eq!(run(&over_n(Access::Update, nested), &given, 3).unwrap().data, [2.0; 3]);
}

#[test]
fn stores_that_break_the_declared_access_are_errors() {
    let one = || Expr::number(1.0, F32);
    let x = [value(&[2], &[1.0, 2.0])];
    let fails = |body| root(run(&over_n(Access::Write, body), &x, 2));
    let y = || "y".to_owned();
    assert_eq!(
        fails(vec![store(1, &[Index::constant(1)], one())]),
        InterpretError::StoredTwice { tensor: y(), position: 1 }
    );
    assert_eq!(fails(vec![]), InterpretError::NotStored { tensor: y(), position: 0 });
    assert_eq!(
        fails(vec![store(1, &[axis(0)], load(1, &[axis(0)], None))]),
        InterpretError::WrongAccess { tensor: y(), access: "loaded" }
    );
    assert_eq!(
        fails(vec![store(0, &[axis(0)], one())]),
        InterpretError::WrongAccess { tensor: "x".to_owned(), access: "stored" }
    );
    assert_eq!(
        fails(vec![store(1, &[axis(0).shifted(1)], one())]),
        InterpretError::OutOfBounds { tensor: y(), index: vec![2], shape: vec![2] }
    );
    assert!(matches!(
        fails(vec![store(1, &[axis(0)], Expr::number(1.0, DType::F64))]),
        InterpretError::MixedDTypes { node: "store", .. }
    ));
}

#[test]
fn names_end_with_their_block() {
    let x = [value(&[2], &[1.0, 2.0])];
    let bind = || Statement::Let(LocalId(0), Expr::number(1.0, F32));
    let inner = Statement::For(axes(&[1]), vec![bind()]);
    let k = over_n(Access::Write, vec![inner, store(1, &[axis(0)], local(0))]);
    assert_eq!(root(run(&k, &x, 2)), InterpretError::UnboundLocal(0));
    let late = over_n(Access::Write, vec![store(1, &[axis(0)], local(0)), bind()]);
    assert_eq!(root(run(&late, &x, 2)), InterpretError::UnboundLocal(0));
    let foreign = over_n(Access::Write, vec![store(1, &[axis(1)], Expr::number(1.0, F32))]);
    assert_eq!(root(run(&foreign, &x, 2)), InterpretError::UnboundAxis(1));
    let typed = over_n(Access::Write, vec![Statement::Let(LocalId(0), Expr::axis(0))]);
    assert!(matches!(root(run(&typed, &x, 2)), InterpretError::MixedDTypes { node: "local", .. }));
}

#[test]
fn tensors_must_be_the_declared_ones() {
    let k = over_n(Access::Write, vec![store(1, &[axis(0)], load(0, &[axis(0)], None))]);
    assert!(matches!(root(run(&k, &[value(&[3], &[1.0; 3])], 2)), InterpretError::WrongTensor { .. }));
    let wrong = run_kernel(&k, &mut [value(&[1], &[1.0])], 1, Precision::Exact).unwrap_err();
    assert!(matches!(wrong.root(), InterpretError::WrongCount { .. }));
    assert_eq!(wrong.to_string(), "kernel `test`: tensors of the kernel: 2 are needed, got 1");
}
