//! Graphs: inputs, outputs and faults; and what ops mean, against numbers worked out by hand.

use std::collections::BTreeMap;

use kiln_ir::interpret::{InterpretError, Precision, Value, evaluate};
use kiln_ir::ops::*;
use kiln_ir::{DType, Dim, Graph, Init, Number, Place, Role, Shape, Type, ValueId};

const F32: DType = DType::F32;
const I64: DType = DType::I64;

fn input(graph: &mut Graph, name: &str, ty: &Type) -> ValueId {
    let op = Input { role: Role::Data, dtype: ty.dtype, shape: ty.shape.0.clone(), init: Init::Zeros };
    graph.add(op, &[], name, &Place::NONE).unwrap()
}

fn tensor(dtype: DType, shape: &[usize], data: &[f64]) -> Value {
    Value::new(dtype, shape.to_vec(), data.to_vec()).unwrap()
}

/// A vector of f32 with as many leading axes of extent 1 as a pool or convolution over one axis wants.
fn signal(data: &[f64]) -> Value {
    tensor(F32, &[1, 1, data.len()], data)
}

fn try_apply(op: impl Into<Op>, operands: &[Value]) -> Result<Value, InterpretError> {
    let mut graph = Graph::new("test");
    let (mut ids, mut inputs) = (Vec::new(), BTreeMap::new());
    for (n, value) in operands.iter().enumerate() {
        let ty = Type::new(value.dtype, Shape::from(value.shape.as_slice()));
        ids.push(input(&mut graph, &format!("x{n}"), &ty));
        inputs.insert(format!("x{n}"), value.clone());
    }
    let y = graph.add(op, &ids, "y", &Place::NONE).unwrap();
    Ok(evaluate(&graph, &inputs, 2, Precision::Exact)?.value(y).clone())
}

#[track_caller]
fn check(op: impl Into<Op>, operands: &[Value], shape: &[usize], data: &[f64]) {
    let y = try_apply(op, operands).unwrap();
    assert_eq!((y.shape.as_slice(), y.data.as_slice()), (shape, data));
}

#[test]
fn inputs_outputs_and_updates_go_by_name() {
    // y = x·w; w becomes w + w.
    let mut graph = Graph::new("test");
    let x = input(&mut graph, "x", &Type::new(F32, [Dim::BATCH]));
    let w = input(&mut graph, "w", &Type::new(F32, [2usize]));
    let y = graph.add(Einsum::new("b,i->bi"), &[x, w], "y", &Place::NONE).unwrap();
    let next = graph.add(Add {}, &[w, w], "next", &Place::NONE).unwrap();
    graph.add_output("product", y);
    graph.add_update(w, next);
    graph.max_batch = Some(3);
    let mut inputs = BTreeMap::from([
        ("x".to_owned(), tensor(F32, &[2], &[1.0, 2.0])),
        ("w".to_owned(), tensor(F32, &[2], &[10.0, 0.1])),
    ]);
    let values = evaluate(&graph, &inputs, 2, Precision::Exact).unwrap();
    assert_eq!(values.output("product").unwrap().data, [10.0, 0.1, 20.0, 0.2]);
    assert_eq!(
        values.updates().map(|(name, value)| (name, value.data.clone())).collect::<Vec<_>>(),
        [("w", vec![20.0, 0.2])]
    );
    assert_eq!(values.outputs().count(), 1);
    assert_eq!(values.values().map(|(name, _)| name).collect::<Vec<_>>(), ["x", "w", "y", "next"]);
    assert!(matches!(values.output("w"), Err(InterpretError::UnknownName { what: "output", .. })));

    let declared = evaluate(&graph, &inputs, 2, Precision::Declared).unwrap();
    assert_eq!(declared.value(next).data[1], f64::from(0.1f32) * 2.0);

    assert!(matches!(evaluate(&graph, &inputs, 4, Precision::Exact), Err(InterpretError::WrongBatch { max: 3, .. })));
    let error = evaluate(&graph, &inputs, 1, Precision::Exact).unwrap_err();
    assert!(error.to_string().ends_with("`x` must be f32[1], got f32[2]"), "{error}");
    inputs.remove("w");
    let error = evaluate(&graph, &inputs, 2, Precision::Exact).unwrap_err();
    assert!(matches!(error.root(), InterpretError::UnknownName { what: "input", .. }));
}

#[test]
fn leaves() {
    let shape = vec![Dim::BATCH, Dim::fixed(3)];
    check(Iota { axis: 1, dtype: F32, shape: shape.clone() }, &[], &[2, 3], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    check(Iota { axis: 0, dtype: I64, shape: shape.clone() }, &[], &[2, 3], &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    check(Extent { extent: shape.clone(), dtype: F32 }, &[], &[], &[6.0]);
    check(Full { value: Number::new(0.5), dtype: F32, shape }, &[], &[2, 3], &[0.5; 6]);
    let data = [1.0, 2.0].map(Number::new).to_vec();
    check(Constant { dtype: F32, shape: vec![Dim::fixed(2)], data }, &[], &[2], &[1.0, 2.0]);
}

#[test]
fn contractions() {
    let a = tensor(F32, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let b = tensor(F32, &[3, 2], &[1.0, 0.0, 1.0, 1.0, 0.0, 2.0]);
    check(Einsum::new("bi,oi->bo"), &[a, b], &[2, 3], &[1.0, 3.0, 4.0, 3.0, 7.0, 8.0]);
}

fn conv(stride: usize, padding: usize, dilation: usize, groups: usize) -> Conv {
    Conv { stride: vec![stride], padding: vec![padding], dilation: vec![dilation], groups }
}

#[test]
fn convolutions() {
    let x = || signal(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let w = || signal(&[1.0, 10.0, 100.0]);
    let g = || signal(&[1.0, 2.0, 3.0]);
    // Windows at -1, 1 and 3.
    check(conv(2, 1, 1, 1), &[x(), w()], &[1, 1, 3], &[210.0, 432.0, 54.0]);
    check(conv(1, 0, 2, 1), &[x(), signal(&[1.0, 10.0])], &[1, 1, 3], &[31.0, 42.0, 53.0]);
    let Conv { stride, padding, dilation, groups } = conv(2, 1, 1, 1);
    let op = ConvInputGrad { stride, padding, dilation, groups, input: vec![5] };
    check(op, &[g(), w()], &[1, 1, 5], &[10.0, 102.0, 20.0, 203.0, 30.0]);
    let Conv { stride, padding, dilation, groups } = conv(2, 1, 1, 1);
    let op = ConvWeightGrad { stride, padding, dilation, groups, kernel: vec![3] };
    check(op, &[x(), g()], &[1, 1, 3], &[16.0, 22.0, 10.0]);
    // Each channel is its own group.
    let x = tensor(F32, &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let w = tensor(F32, &[2, 1, 1], &[10.0, 100.0]);
    check(conv(1, 0, 1, 2), &[x, w], &[1, 2, 2], &[10.0, 20.0, 300.0, 400.0]);
}

#[test]
fn pools() {
    let (kernel, stride, dilation) = (vec![2], vec![2], vec![1]);
    let max = |padding, ceil| MaxPool {
        kernel: kernel.clone(),
        stride: stride.clone(),
        padding: vec![padding],
        dilation: dilation.clone(),
        ceil,
    };
    let x = || signal(&[1.0, 3.0, 2.0, 5.0, 4.0]);
    check(max(0, false), &[x()], &[1, 1, 2], &[3.0, 5.0]);
    check(max(0, true), &[x()], &[1, 1, 3], &[3.0, 5.0, 4.0]);
    // Windows at -1, 1 and 3.
    let padding = vec![1];
    check(max(1, false), &[x()], &[1, 1, 3], &[1.0, 3.0, 5.0]);
    let op = MaxPoolIndex {
        kernel: kernel.clone(),
        stride: stride.clone(),
        padding: padding.clone(),
        dilation: dilation.clone(),
        ceil: false,
    };
    check(op, &[x()], &[1, 1, 3], &[1.0, 0.0, 0.0]);
    let index = || tensor(DType::U8, &[1, 1, 3], &[1.0, 0.0, 0.0]);
    let g = || signal(&[10.0, 20.0, 30.0]);
    let op = MaxPoolGrad {
        kernel: kernel.clone(),
        stride: stride.clone(),
        padding: padding.clone(),
        dilation: dilation.clone(),
        ceil: false,
        input: vec![5],
    };
    check(op, &[g(), index()], &[1, 1, 5], &[10.0, 20.0, 0.0, 30.0, 0.0]);
    let op = MaxPoolPick {
        kernel: kernel.clone(),
        stride: stride.clone(),
        padding: padding.clone(),
        dilation: dilation.clone(),
        ceil: false,
    };
    check(op, &[x(), index()], &[1, 1, 3], &[1.0, 3.0, 5.0]);
    let op = SumPool {
        kernel: kernel.clone(),
        stride: stride.clone(),
        padding: padding.clone(),
        dilation: dilation.clone(),
        ceil: false,
    };
    check(op, &[x()], &[1, 1, 3], &[1.0, 5.0, 9.0]);
    let op = SumPoolGrad { kernel, stride, padding, dilation, ceil: false, input: vec![5] };
    check(op, &[g()], &[1, 1, 5], &[10.0, 20.0, 20.0, 30.0, 30.0]);
}

#[test]
fn reductions() {
    let x = || tensor(F32, &[2, 3], &[1.0, 5.0, 5.0, 7.0, 2.0, 0.0]);
    check(Sum { axes: vec![1], keep: false }, &[x()], &[2], &[11.0, 9.0]);
    check(Amax { axes: vec![0], keep: true }, &[x()], &[1, 3], &[7.0, 5.0, 5.0]);
    check(Amin { axes: vec![1, 0], keep: false }, &[x()], &[], &[0.0]);
    check(Argmax { axes: vec![1], keep: false }, &[x()], &[2], &[1.0, 0.0]);
    check(Argmax { axes: vec![0, 1], keep: true }, &[x()], &[1, 1], &[3.0]);
}

#[test]
fn views() {
    let x = || tensor(F32, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let dims = |dims: &[usize]| dims.iter().copied().map(Dim::fixed).collect::<Vec<_>>();
    check(Reshape { shape: dims(&[3, 2]) }, &[x()], &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(Permute { dims: vec![1, 0] }, &[x()], &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let column = tensor(F32, &[2, 1], &[1.0, 2.0]);
    check(Expand { shape: dims(&[2, 2, 2]) }, &[column], &[2, 2, 2], &[1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
    check(Slice { axis: 1, start: 0, length: 2, step: 2 }, &[x()], &[2, 2], &[1.0, 3.0, 4.0, 6.0]);
    let pair = tensor(F32, &[2], &[1.0, 2.0]);
    let pad = Pad { axis: 0, low: 2, high: 1, interior: 1, value: Number::new(9.0) };
    check(pad, &[pair], &[6], &[9.0, 9.0, 1.0, 9.0, 2.0, 9.0]);
    let column = tensor(F32, &[2, 1], &[8.0, 9.0]);
    check(Concat { axis: 1 }, &[column, x()], &[2, 4], &[8.0, 1.0, 2.0, 3.0, 9.0, 4.0, 5.0, 6.0]);
}

#[test]
fn one_hot_labels_must_be_classes() {
    let labels = |second| tensor(I64, &[2], &[2.0, second]);
    let op = |checked| OneHot { classes: 3, checked };
    check(op(true), &[labels(0.0)], &[2, 3], &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    check(op(false), &[labels(-100.0)], &[2, 3], &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    let error = try_apply(op(true), &[labels(3.0)]).unwrap_err();
    assert_eq!(*error.root(), InterpretError::CheckFailed { value: 3, position: Some(1), bound: 3 });
    assert!(error.to_string().starts_with("`y` = one_hot"), "{error}");
}
