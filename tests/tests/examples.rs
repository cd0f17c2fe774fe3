//! The worked examples of the mission's table, each under its number: compiled, run, and compared with what is printed there.

#[path = "examples/support.rs"]
mod support;

use kiln::functional::{arange, chunk, linspace, meshgrid, ones, tensor};
use kiln::prelude::*;
use kiln::{Indexing, PadMode};

use self::support::{assert_elements, counting, f32s, run, run_one, run_with_gradients};

/// `[1, 2, 3, ..]` in a shape.
fn from_one(shape: &[usize]) -> kiln_ir::interpret::Value {
    f32s(shape, (1..=shape.iter().product()).map(|n: usize| n as f64))
}

/// The shape of a result.
fn shape_of(shape: &[usize], function: impl FnOnce(Tensor) -> Tensor) -> Vec<usize> {
    run_one(&[("x", counting(shape))], |given| function(given["x"])).shape
}

#[test]
fn n_01_take_along_the_greatest() {
    let a = f32s(&[2, 3], [0.0163, 0.0711, 0.5564, 0.4507, 0.8675, 0.5974]);
    let b = f32s(&[2, 3], [0.7542, 0.1793, 0.5399, 0.2292, 0.5329, 0.2084]);
    let results = run(&[("a", a), ("b", b)], |given| {
        let (_, indices) = given["a"].max_dim(1, true);
        vec![indices, given["b"].take_along_dim(indices, 1)]
    });
    assert_elements(&results[0], &[2, 1], &[2.0, 1.0]);
    assert_elements(&results[1], &[2, 1], &[0.5399, 0.5329]);
}

#[test]
fn n_03_flatten() {
    let results =
        run(&[("x", from_one(&[2, 2, 2]))], |given| vec![given["x"].flatten(0, -1), given["x"].flatten(1, -1)]);
    assert_elements(&results[0], &[8], &[1., 2., 3., 4., 5., 6., 7., 8.]);
    assert_elements(&results[1], &[2, 4], &[1., 2., 3., 4., 5., 6., 7., 8.]);
}

#[test]
fn n_04_minus_infinity_where_a_mask_is() {
    let result = run_one(&[("x", from_one(&[5, 6]))], |given| {
        let mask = ones([5, 6], DType::Bool).tril(0).flip(&[1]);
        given["x"].masked_fill(mask, f64::NEG_INFINITY)
    });
    let element = |n: usize| if n % 6 + n / 6 >= 5 { f64::NEG_INFINITY } else { n as f64 + 1.0 };
    assert_elements(&result, &[5, 6], &(0..30).map(element).collect::<Vec<_>>());
}

#[test]
fn n_05_roll() {
    let result = run_one(&[("x", from_one(&[4, 2]))], |given| given["x"].roll(&[2, 1], &[0, 1]));
    assert_elements(&result, &[4, 2], &[6., 5., 8., 7., 2., 1., 4., 3.]);
}

#[test]
fn n_06_linspace() {
    let result = run_one(&[], |_| linspace(3.0, 10.0, 5));
    assert_elements(&result, &[5], &[3.0, 4.75, 6.5, 8.25, 10.0]);
}

#[test]
fn n_07_meshgrid() {
    let results = run(&[], |_| meshgrid(&[tensor([1, 2, 3]), tensor([4, 5, 6, 7])], Indexing::Matrix));
    assert_elements(&results[0], &[3, 4], &[1., 1., 1., 1., 2., 2., 2., 2., 3., 3., 3., 3.]);
    assert_elements(&results[1], &[3, 4], &[4., 5., 6., 7., 4., 5., 6., 7., 4., 5., 6., 7.]);
}

#[test]
fn n_08_stack() {
    let result =
        run_one(&[("a", counting(&[3, 3])), ("b", counting(&[3, 3]))], |given| stack(&[given["a"], given["b"]], 0));
    assert_eq!(result.shape, [2, 3, 3]);
}

#[test]
fn n_09_chunk() {
    let results = run(&[], |_| chunk(tensor([[4, 5, 7], [3, 9, 8], [9, 6, 7]]), 3, 0).into_vec());
    assert_elements(&results[0], &[1, 3], &[4., 5., 7.]);
    assert_elements(&results[1], &[1, 3], &[3., 9., 8.]);
    assert_elements(&results[2], &[1, 3], &[9., 6., 7.]);
}

#[test]
fn n_10_numel() {
    shape_of(&[1, 2, 3, 4, 5], |x| {
        assert_eq!(x.numel(), Dim::fixed(120));
        x
    });
}

/// A transposed tensor is as contiguous as any here, so that `view` takes it where PyTorch asks for a copy first.
#[test]
fn n_12_views_of_a_transposed_tensor() {
    let results = run(&[("x", counting(&[16]))], |given| {
        let x = given["x"].view([-1, 4]).transpose(0, 1);
        assert!(given["x"].is_contiguous() && x.is_contiguous());
        vec![x.view([-1]), x.contiguous().view([-1])]
    });
    let want: Vec<f64> = (0..16).map(|n| f64::from(n % 4 * 4 + n / 4)).collect();
    assert_elements(&results[0], &[16], &want);
    assert_elements(&results[1], &[16], &want);
}

#[test]
fn n_17_the_gradient_of_a_sum_is_ones() {
    let inputs = [("x", counting(&[10, 5])), ("y", counting(&[10, 5]))];
    let (_, gradients) = run_with_gradients(&inputs, &["x", "y"], |given| vec![(given["x"] + given["y"]).sum_all()]);
    for gradient in gradients {
        assert_elements(&gradient, &[10, 5], &[1.0; 50]);
    }
}

#[test]
fn n_18_softmax() {
    let results = run(&[("x", from_one(&[3, 3]))], |given| vec![given["x"].softmax(0), given["x"].softmax(1)]);
    let (down, across) = ([0.0024, 0.0473, 0.9503], [0.0900, 0.2447, 0.6652]);
    assert_elements(&results[0], &[3, 3], &down.map(|row| [row; 3]).concat());
    assert_elements(&results[1], &[3, 3], &[across; 3].concat());
}

#[test]
fn n_22_reflection_padding() {
    let result = run_one(&[], |_| arange(0.0, 9, 1).reshape([1, 3, 3]).pad_with(&[2, 2, 2, 2], PadMode::Reflect));
    let rows = [[2., 1., 0., 1., 2., 1., 0.], [5., 4., 3., 4., 5., 4., 3.], [8., 7., 6., 7., 8., 7., 6.]];
    assert_elements(&result, &[1, 7, 7], &[2, 1, 0, 1, 2, 1, 0].map(|row: usize| rows[row]).concat());
}

#[test]
fn n_24_repeat() {
    assert_eq!(shape_of(&[2, 3], |x| x.repeat(&[2, 2])), [4, 6]);
    assert_eq!(shape_of(&[2, 3], |x| x.repeat(&[1, 2, 1])), [1, 4, 3]);
    assert_eq!(shape_of(&[2, 3], |x| x.repeat(&[2, 1, 1])), [2, 2, 3]);
}

#[test]
fn n_25_unsqueeze() {
    assert_eq!(shape_of(&[4], |x| x.unsqueeze(0)), [1, 4]);
    assert_eq!(shape_of(&[4], |x| x.unsqueeze(1)), [4, 1]);
}

#[test]
fn n_42_rows_of_all_images() {
    assert_eq!(shape_of(&[32, 30, 40, 3], |x| x.flatten(0, 1)), [960, 40, 3]);
}

#[test]
fn n_52_pad() {
    assert_eq!(shape_of(&[2, 3, 4], |x| x.pad(&[1, 1], 0.0)), [2, 3, 6]);
    assert_eq!(shape_of(&[2, 3, 4], |x| x.pad(&[1, 1, 2, 2], 0.0)), [2, 7, 6]);
    assert_eq!(shape_of(&[2, 3, 4], |x| x.pad(&[1, 1, 2, 2, 3, 3], 0.0)), [8, 7, 6]);
}

#[test]
fn n_56_indexing_shapes() {
    let images = [4, 3, 28, 28];
    assert_eq!(shape_of(&images, |a| a.select(0, 0)), [3, 28, 28]);
    assert_eq!(shape_of(&images, |a| a.select(0, 0).select(0, 0)), [28, 28]);
    assert_eq!(shape_of(&images, |a| a.select(0, 0).select(0, 0).select(0, 2).select(0, 4)), [0; 0]);
    assert_eq!(shape_of(&images, |a| a.narrow(0, 0, 2)), [2, 3, 28, 28]);
    assert_eq!(shape_of(&images, |a| a.narrow(0, 0, 2).narrow(1, 0, 1)), [2, 1, 28, 28]);
}
