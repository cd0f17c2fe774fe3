//! Indexing, order and recurrences, against numbers worked out by hand from PyTorch's definitions.

use std::collections::BTreeMap;

use kiln_frontend::prelude::*;
use kiln_frontend::{Inputs, Reduce};
use kiln_ir::interpret::{Precision, Value, evaluate};

const X: [f64; 6] = [3.0, 1.0, 2.0, -1.0, 5.0, -1.0];
const W: [f64; 8] = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 30.0, 31.0];

/// The elements of a function of `x`, the rows 3 1 2 and -1 5 -1; `w`, 4 by 2; `i`, the rows 2 0 and 1 1; and `m`, ones of `w`'s shape.
fn of(function: fn(&Inputs) -> Tensor) -> Vec<f64> {
    let training = Training::new("indexing", Linear::new(3, 1))
        .max_batch(2)
        .input("x", DType::F32, [BATCH, Dim::fixed(3)])
        .input("w", DType::F32, [Dim::fixed(4), Dim::fixed(2)])
        .input("i", DType::I64, [BATCH, Dim::fixed(2)])
        .input("token", DType::I32, [BATCH])
        .predict(move |_, batch| function(batch));
    let graph = training.trace().unwrap_or_else(|errors| panic!("{}", errors[0])).predict.expect("it predicts");
    for value in graph.order() {
        let node = graph.node(value);
        let has_line = node.place.file.ends_with("indexing.rs") && !node.place.file.contains("src");
        assert!(has_line, "`{}` has the place {}", node.name, node.place);
    }
    let value = |dtype, shape: &[usize], data: &[f64]| Value::new(dtype, shape.to_vec(), data.to_vec()).unwrap();
    let inputs = [
        ("x", value(DType::F32, &[2, 3], &X)),
        ("w", value(DType::F32, &[4, 2], &W)),
        ("i", value(DType::I64, &[2, 2], &[2.0, 0.0, 1.0, 1.0])),
        ("token", value(DType::I32, &[2], &[3.0, 1.0])),
    ];
    let mut inputs: BTreeMap<String, Value> = inputs.map(|(name, value)| (name.to_owned(), value)).into();
    for (value, input) in graph.inputs() {
        let zeros = Value::filled(input.dtype, graph.ty(value).shape.at(2), 0.0);
        inputs.entry(graph.name_of(value).to_owned()).or_insert(zeros);
    }
    let values = evaluate(&graph, &inputs, 2, Precision::Declared).unwrap();
    values.outputs().next().unwrap().1.data.clone()
}

#[test]
fn elements_are_found() {
    assert_eq!(of(|b| b["x"].gather(1, b["i"])), [2.0, 3.0, 5.0, 5.0]);
    assert_eq!(of(|b| b["x"].take_along_dim(b["x"].argmax(1, true), 1)), [3.0, 5.0]);
    assert_eq!(of(|b| b["w"].index_select(0, b["token"])), [30.0, 31.0, 10.0, 11.0]);
    assert_eq!(of(|b| b["w"].embedding(b["i"])), [20.0, 21.0, 0.0, 1.0, 10.0, 11.0, 10.0, 11.0]);
    assert_eq!(of(|b| b["x"].masked_fill(b["x"].lt(0.0), 9.0)), [3.0, 1.0, 2.0, 9.0, 5.0, 9.0]);
}

#[test]
fn elements_are_placed() {
    assert_eq!(of(|b| b["x"].scatter(1, b["i"], 7.0)), [7.0, 1.0, 7.0, -1.0, 7.0, -1.0]);
    assert_eq!(of(|b| b["x"].scatter(1, b["i"], b["x"])), [1.0, 1.0, 3.0, -1.0, 5.0, -1.0]);
    assert_eq!(of(|b| b["x"].scatter_add(-1, b["i"], b["x"])), [4.0, 1.0, 5.0, -1.0, 9.0, -1.0]);
    // An index of two rows and one column leaves the other column as it is.
    let ones = of(|b| b["w"].scatter_add(0, b["token"].unsqueeze(1), 1.0));
    assert_eq!(ones, [0.0, 1.0, 11.0, 11.0, 20.0, 21.0, 31.0, 31.0]);
}

#[test]
fn elements_are_joined() {
    assert_eq!(of(|b| b["x"].scatter_reduce(1, b["i"], b["x"], Reduce::Sum, false)), [1.0, 1.0, 3.0, -1.0, 4.0, -1.0]);
    assert_eq!(of(|b| b["x"].scatter_reduce(1, b["i"], b["x"], Reduce::Mean, true)), [2.0, 1.0, 2.5, -1.0, 3.0, -1.0]);
    assert_eq!(of(|b| b["x"].scatter_reduce(1, b["i"], b["x"], Reduce::Mean, false)), [1.0, 1.0, 3.0, -1.0, 2.0, -1.0]);
    assert_eq!(
        of(|b| b["x"].scatter_reduce(1, b["i"], b["x"], Reduce::Prod, false)),
        [1.0, 1.0, 3.0, -1.0, -5.0, -1.0]
    );
    assert_eq!(of(|b| b["x"].scatter_reduce(1, b["i"], b["x"], Reduce::Amin, true)), [1.0, 1.0, 2.0, -1.0, -1.0, -1.0]);
    assert_eq!(of(|b| b["x"].scatter_reduce(1, b["i"], b["x"], Reduce::Amax, false)), [1.0, 1.0, 3.0, -1.0, 5.0, -1.0]);
}

#[test]
fn order_is_stable_and_ends_with_nan() {
    assert_eq!(of(|b| b["x"].argsort(1, false)), [1.0, 2.0, 0.0, 0.0, 2.0, 1.0]);
    assert_eq!(of(|b| b["x"].argsort(1, true)), [0.0, 2.0, 1.0, 1.0, 0.0, 2.0]);
    assert_eq!(of(|b| b["x"].sort(1, false).0), [1.0, 2.0, 3.0, -1.0, -1.0, 5.0]);
    assert_eq!(of(|b| b["x"].sqrt().argsort(1, false)), [1.0, 2.0, 0.0, 1.0, 0.0, 2.0]);
    assert_eq!(of(|b| b["x"].topk(2, 1, true).0), [3.0, 2.0, 5.0, -1.0]);
    assert_eq!(of(|b| b["x"].topk(1, 1, false).1), [1.0, 0.0]);
    assert_eq!(of(|b| b["x"].kthvalue(2, 1, false).0), [2.0, -1.0]);
    assert_eq!(of(|b| b["w"].median(0, true).0), [10.0, 11.0]);
    let with_nan = of(|b| b["x"].sqrt().median(1, false).0);
    assert!(with_nan[0] == f64::from(2f32.sqrt()) && with_nan[1].is_nan(), "{with_nan:?}");
}

#[test]
fn running_sums_and_products() {
    assert_eq!(of(|b| b["x"].cumsum(1)), [3.0, 4.0, 6.0, -1.0, 4.0, 3.0]);
    assert_eq!(of(|b| b["x"].cumprod(-1)), [3.0, 3.0, 6.0, -1.0, -5.0, 5.0]);
    assert_eq!(of(|b| b["x"].gt(1.0).cumsum(1)), [1.0, 1.0, 2.0, 0.0, 1.0, 1.0]);
    assert_eq!(of(|b| b["w"].prod(&[1], false)), [0.0, 110.0, 420.0, 930.0]);
    assert_eq!(of(|b| (b["w"] - 15.0).prod(&[], false)), [-15.0 * -14.0 * -5.0 * -4.0 * 5.0 * 6.0 * 15.0 * 16.0]);
}
