//! Small examples whose numbers are known by hand, through the interpreter: the reference for what a function means.

use std::collections::BTreeMap;

use kiln_frontend::functional::{GridSample, Interpolation, InterpolationMode};
use kiln_frontend::prelude::*;
use kiln_frontend::{Function, functional};
use kiln_ir::interpret::{Precision, Value, evaluate};

/// What a function makes of a tensor of this shape that counts from 1.
fn counted(shape: &[usize], function: impl FnOnce(Tensor) -> Tensor) -> (Vec<usize>, Vec<f64>) {
    let data = (1..=shape.iter().product::<usize>()).map(|number| number as f64).collect();
    let inputs = BTreeMap::from([("x".to_owned(), Value { dtype: DType::F32, shape: shape.to_vec(), data })]);
    let traced = Function::new("example").input("x", DType::F32, shape).trace(|inputs| vec![function(inputs["x"])]);
    let graph = traced.expect("the example is sound").predict.expect("no gradient is asked for");
    let evaluation = evaluate(&graph, &inputs, 1, Precision::Exact).expect("the example has values");
    let (_, value) = evaluation.outputs().next().expect("it has a result");
    (value.shape.clone(), value.data.clone())
}

fn ones(x: Tensor) -> Tensor {
    x * 0.0 + 1.0
}

#[test]
fn an_average_pool_counts_its_padding_or_not() {
    let pool = AvgPool2d::new(2).padding(1);
    let average = |pool: AvgPool2d| counted(&[1, 1, 3, 3], |x| ones(x).avg_pool2d(pool)).1;
    assert_eq!(average(pool), [0.25, 0.5, 0.5, 1.0]);
    assert_eq!(average(pool.count_include_pad(false)), [1.0; 4]);
    assert_eq!(average(pool.divisor_override(1)), [1.0, 2.0, 2.0, 4.0]);
    // The last window has one column of padding, and beyond it one that is nothing: its divisor is 2.
    let (shape, data) =
        counted(&[1, 2], |x| ones(x).avg_pool1d(AvgPool1d::new(3).stride(2).padding(1).ceil_mode(true)));
    assert_eq!((shape, data), (vec![1, 2], vec![2.0 / 3.0, 0.5]));
}

#[test]
fn a_maximum_is_where_it_is_in_the_input() {
    let pool = MaxPool2d::new(3).stride(2).padding(1);
    assert_eq!(counted(&[1, 4, 4], |x| x.max_pool2d(pool)).1, [6.0, 8.0, 14.0, 16.0]);
    assert_eq!(counted(&[1, 4, 4], |x| x.max_pool2d_with_indices(pool).1).1, [5.0, 7.0, 13.0, 15.0]);
    assert_eq!(counted(&[1, 5], |x| x.adaptive_max_pool1d_with_indices(3).1).1, [1.0, 3.0, 4.0]);
}

#[test]
fn adaptive_windows_overlap() {
    assert_eq!(counted(&[1, 5], |x| x.adaptive_avg_pool1d(3)).1, [1.5, 3.0, 4.5]);
    assert_eq!(counted(&[1, 2], |x| x.adaptive_avg_pool1d(3)).1, [1.0, 1.5, 2.0]);
}

#[test]
fn same_padding_keeps_the_extent() {
    let sums = |window: Window<1>| counted(&[1, 1, 4], |x| x.conv1d(ones(x.narrow(2, 0, 2)), None, window)).1;
    let same = Window { padding: Padding::Same, ..Window::default() };
    assert_eq!(sums(same), [3.0, 5.0, 7.0, 4.0]);
    assert_eq!(sums(Window { padding: Padding::Zeros([1]), ..same }), [1.0, 3.0, 5.0, 7.0, 4.0]);
}

#[test]
fn a_transposed_convolution_spreads_its_input() {
    let window = TransposedWindow { stride: [2], output_padding: [1], ..TransposedWindow::default() };
    let (shape, data) = counted(&[1, 1, 2], |x| x.conv_transpose1d(ones(x), None, window));
    assert_eq!((shape, data), (vec![1, 1, 5], vec![1.0, 1.0, 2.0, 2.0, 0.0]));
}

#[test]
fn patches_add_up_to_how_often_they_cover_a_position() {
    let patches = functional::Patches::new(2);
    let (shape, data) = counted(&[1, 1, 3, 3], |x| ones(x).im2col(patches).col2im([3, 3], patches));
    assert_eq!((shape, data), (vec![1, 1, 3, 3], vec![1.0, 2.0, 1.0, 2.0, 4.0, 2.0, 1.0, 2.0, 1.0]));
}

#[test]
fn channels_move_into_space_and_back() {
    let (shape, data) = counted(&[1, 4, 1, 2], |x| x.pixel_shuffle(2));
    assert_eq!((shape, data), (vec![1, 1, 2, 4], vec![1.0, 3.0, 2.0, 4.0, 5.0, 7.0, 6.0, 8.0]));
    assert_eq!(counted(&[1, 4, 1, 2], |x| x.pixel_shuffle(2).pixel_unshuffle(2) - x).1, [0.0; 8]);
}

#[test]
fn corners_stay_where_they_are_when_they_are_aligned() {
    let linear = |aligned| Interpolation::to(5).mode(InterpolationMode::Linear).align_corners(aligned);
    assert_eq!(counted(&[1, 1, 3], |x| x.interpolate(&linear(true))).1, [1.0, 1.5, 2.0, 2.5, 3.0]);
    let edges = counted(&[1, 1, 2], |x| x.interpolate(&Interpolation::to(4).mode(InterpolationMode::Linear))).1;
    assert_eq!(edges, [1.0, 1.25, 1.75, 2.0]);
    assert_eq!(counted(&[1, 1, 2], |x| x.interpolate(&Interpolation::by(1.5))).1, [1.0, 1.0, 2.0]);
}

#[test]
fn a_grid_of_the_corners_finds_the_corners() {
    let aligned = GridSample { align_corners: true, ..GridSample::default() };
    let sample = |options| {
        counted(&[1, 1, 2, 2], |x| {
            // [1, 2, 3, 4] becomes the positions (-1, -1) and (1, 1).
            let grid = (x.gt(2.0).to(DType::F32) * 2.0 - 1.0).reshape([1, 2, 1, 2]);
            x.grid_sample(grid, options)
        })
    };
    assert_eq!(sample(aligned).1, [1.0, 4.0]);
    assert_eq!(sample(GridSample::default()).1, [0.25, 1.0]);
}

#[test]
fn einsum_takes_diagonals_and_broadcasts() {
    assert_eq!(counted(&[3, 3], |x| functional::einsum("ii", &[x])).1, [15.0]);
    assert_eq!(counted(&[2, 2], |x| functional::einsum("...i,...i->...", &[x, x])).1, [5.0, 25.0]);
    let three = counted(&[2, 2], |x| functional::einsum("ij,jk,kl->il", &[x, x, x])).1;
    assert_eq!(three, [37.0, 54.0, 81.0, 118.0]);
}

/// The dtype of what a function makes of an `f32` vector.
fn dtype_of(function: impl FnOnce(Tensor) -> Tensor) -> DType {
    let traced = Function::new("example").input("x", DType::F32, [3]).trace(|inputs| vec![function(inputs["x"])]);
    let graph = traced.expect("the example is sound").predict.expect("no gradient is asked for");
    graph.ty(graph.outputs()[0].value).dtype
}

#[test]
fn half_types_are_rounded_once() {
    // In bf16 alone 1·257 is 256 and 257/256 is 1: the differences would be lost.
    let half = |x: Tensor| x.to(DType::BF16);
    let product = |x: Tensor| half(x * 0.0 - 256.0).addcmul(half(x * 0.0 + 1.0625), half(x * 0.0 + 242.0), 1);
    assert_eq!(counted(&[1], product).1, [1.125]);
    let between = |x: Tensor| half(x * 0.0 + 256.0).lerp(half(x * 0.0 - 3.0), 1.0);
    assert_eq!(counted(&[1], between).1, [-3.0]);
}

#[test]
fn a_number_without_axes_gives_way_within_its_kind() {
    let of = |dtype: DType| Tensor::full(1.0, dtype);
    assert_eq!(dtype_of(|x| x.to(DType::Bool) + of(DType::I64)), DType::I64);
    assert_eq!(dtype_of(|x| x.to(DType::I32) + of(DType::I64)), DType::I32);
    assert_eq!(dtype_of(|x| x.to(DType::F16) + of(DType::F64)), DType::F16);
    assert_eq!(dtype_of(|x| x.to(DType::F16).atan2(of(DType::I64))), DType::F16);
    assert_eq!(dtype_of(|x| x.to(DType::Bool).square()), DType::I64);
    assert_eq!(dtype_of(|x| functional::where_(x.gt(0), 2, of(DType::I32))), DType::I32);
}

#[test]
fn copies_at_the_edges_are_made_before_positions_are_taken_away() {
    let padded = |widths: [i64; 2]| counted(&[1, 4], |x| x.pad_with(&widths, PadMode::Replicate)).1;
    assert_eq!(padded([5, -4]), [1.0; 5]);
    assert_eq!(padded([-4, 2]), [4.0; 2]);
}
