//! A function of given tensors, compiled into this process and run once.

use std::collections::BTreeMap;

use kiln::prelude::*;
use kiln::runtime::Input;
use kiln::{Compiler, Function, FunctionInputs};
use kiln_ir::interpret::Value;
use kiln_tests::conformance::{Elements, value_of};

/// A tensor of this dtype; the elements are row-major.
pub fn tensor(dtype: DType, shape: &[usize], elements: impl IntoIterator<Item = f64>) -> Value {
    Value::new(dtype, shape.to_vec(), elements.into_iter().collect()).expect("as many elements as the shape says")
}

/// An `f32` tensor.
pub fn f32s(shape: &[usize], elements: impl IntoIterator<Item = f64>) -> Value {
    tensor(DType::F32, shape, elements)
}

/// `0, 1, 2, ..` as an `f32` tensor.
pub fn counting(shape: &[usize]) -> Value {
    f32s(shape, (0..shape.iter().product()).map(|n: usize| n as f64))
}

/// The results of a function.
pub fn run(inputs: &[(&str, Value)], function: impl FnOnce(&FunctionInputs) -> Vec<Tensor>) -> Vec<Value> {
    run_with_gradients(inputs, &[], function).0
}

/// The result of a function that has one.
pub fn run_one(inputs: &[(&str, Value)], function: impl FnOnce(&FunctionInputs) -> Tensor) -> Value {
    run(inputs, |given| vec![function(given)]).remove(0)
}

/// The results of a function, and the gradient of the sum of all their elements for each input of `of`.
pub fn run_with_gradients(
    inputs: &[(&str, Value)],
    of: &[&str],
    function: impl FnOnce(&FunctionInputs) -> Vec<Tensor>,
) -> (Vec<Value>, Vec<Value>) {
    let mut signature = Function::new("example");
    for (name, value) in inputs {
        signature = signature.input(name, value.dtype, value.shape.clone());
    }
    for input in of {
        signature = signature.gradient_of(input);
    }
    let mut count = 0;
    let traced = signature.trace(|given| {
        let results = function(given);
        count = results.len();
        results
    });
    let traced = traced.unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let graph = traced.train.as_ref().or(traced.predict.as_ref()).expect("a function has one entry");
    let mut given = BTreeMap::new();
    for (value, _) in graph.inputs() {
        let (name, ty) = (graph.name_of(value), graph.ty(value));
        // What is no input of the example is the cotangent of a result.
        let ones = Value::filled(ty.dtype, ty.shape.at(1), 1.0);
        let value = inputs.iter().find(|(input, _)| *input == name).map_or(&ones, |(_, value)| value);
        given.insert(name.to_owned(), Elements::new(value));
    }
    let entry = if traced.train.is_some() { "train_step" } else { "predict" };
    let compiler = Compiler::new();
    let compiled = compiler.compile_traced(traced).unwrap_or_else(|error| panic!("{}", error.render()));
    let mut trainer = compiled.jit(&compiler).unwrap_or_else(|error| panic!("{}", error.render()));
    for (name, elements) in &given {
        if let Ok(mut slot) = trainer.slot_mut(name) {
            slot.bytes_mut().copy_from_slice(elements.input().bytes());
        }
    }
    let slots = trainer.session().entry(entry).expect("it is compiled").inputs.clone();
    let names = slots.iter().map(|&slot| trainer.program().slots[slot as usize].name.to_string());
    let names: Vec<String> = names.collect();
    let arguments: Vec<Input<'_>> = names.iter().map(|name| given[name].input()).collect();
    trainer.run(entry, &arguments).unwrap_or_else(|error| panic!("{error}"));
    let value =
        |name: String| value_of(trainer.slot(&name).expect("the function has it")).expect("a dtype of the host");
    let result = |at| if count == 1 { "prediction".to_owned() } else { format!("prediction.{at}") };
    let results = (0..count).map(|at| value(result(at))).collect();
    (results, of.iter().map(|input| value(format!("d_{input}"))).collect())
}

/// Fails unless the tensor has this shape and these elements, within half a unit of the fourth decimal, to which they are printed.
#[track_caller]
pub fn assert_elements(got: &Value, shape: &[usize], want: &[f64]) {
    assert_eq!(got.shape, shape);
    let close = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= 0.5e-4;
    assert!(got.data.iter().zip(want).all(close) && got.data.len() == want.len(), "{:?}, not {want:?}", got.data);
}
