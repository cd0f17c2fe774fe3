//! The worked examples of the mission's table, each under its number: compiled, run, and compared with what is printed there.

#[path = "examples/support.rs"]
mod support;

use kiln::functional::{AvgPool, GridSample, arange, chunk, linspace, meshgrid, nll_loss, ones, tensor, where_};
use kiln::prelude::*;
use kiln::{Code, Function, Indexing, PadMode, at};

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

/// The assignment that PyTorch refuses is a new value here, and no gradient passes it.
#[test]
fn n_11_the_gradient_of_two_products() {
    let given = || [("x", f32s(&[1, 2], [1., 2.])), ("w1", f32s(&[2, 1], [2., 1.])), ("w2", f32s(&[1], [3.]))];
    let (results, gradients) = run_with_gradients(&given(), &["w1", "w2"], |given| {
        let d = given["x"].matmul(given["w1"]);
        vec![d, d.matmul(given["w2"])]
    });
    assert_elements(&results[0], &[1, 1], &[4.]);
    assert_elements(&results[1], &[1], &[12.]);
    // `d` is a result of its own here, whose gradient adds `x`.
    assert_elements(&gradients[0], &[2, 1], &[3. + 1., 6. + 2.]);
    assert_elements(&gradients[1], &[1], &[4.]);
    let (results, gradients) = run_with_gradients(&given(), &["w1", "w2"], |given| {
        let d = given["x"].matmul(given["w1"]);
        vec![d.put_at(at![..], 1.0).matmul(given["w2"])]
    });
    assert_elements(&results[0], &[1], &[3.]);
    assert_elements(&gradients[0], &[2, 1], &[0., 0.]);
    assert_elements(&gradients[1], &[1], &[1.]);
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
fn n_14_the_gradient_of_a_product_of_sums() {
    let given = [("x", f32s(&[1], [2.])), ("y", f32s(&[1], [3.]))];
    let (results, gradients) =
        run_with_gradients(&given, &["x", "y"], |given| vec![(given["x"] + given["y"]) * (given["y"] - 2)]);
    assert_elements(&results[0], &[1], &[5.]);
    assert_elements(&gradients[0], &[1], &[1.]);
    assert_elements(&gradients[1], &[1], &[6.]);
}

#[test]
fn n_15_the_gradient_goes_through_assignments() {
    let (results, gradients) = run_with_gradients(&[("m", f32s(&[1, 2], [2., 3.]))], &["m"], |given| {
        let m = given["m"];
        let n = m.zeros_like().put_at(at![0, 0], m.at(at![0, 0]).pow(2));
        vec![n.put_at(at![0, 1], m.at(at![0, 1]).pow(3))]
    });
    assert_elements(&results[0], &[1, 2], &[4., 27.]);
    assert_elements(&gradients[0], &[1, 2], &[4., 27.]);
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

/// The example prints what its log-softmax picks; the others of a row share the rest.
#[test]
fn n_19_the_loss_of_three_rows() {
    let (picked, labels) = ([0.5205_f64, 1.5082, 1.8566], [1, 0, 4]);
    let scores = (0..15).map(|n| match (-picked[n / 5]).exp() {
        share if n % 5 == labels[n / 5] => share.ln() + 7.0,
        share => ((1.0 - share) / 4.0).ln() + 7.0,
    });
    let result = run_one(&[("x", f32s(&[3, 5], scores))], |given| {
        nll_loss(given["x"].log_softmax(1), tensor(labels.map(|label| label as i64)))
    });
    assert_elements(&result, &[], &[1.2951]);
}

#[test]
fn n_22_reflection_padding() {
    let result = run_one(&[], |_| arange(0.0, 9, 1).reshape([1, 3, 3]).pad_with(&[2, 2, 2, 2], PadMode::Reflect));
    let rows = [[2., 1., 0., 1., 2., 1., 0.], [5., 4., 3., 4., 5., 4., 3.], [8., 7., 6., 7., 8., 7., 6.]];
    assert_elements(&result, &[1, 7, 7], &[2, 1, 0, 1, 2, 1, 0].map(|row: usize| rows[row]).concat());
}

#[test]
fn n_23_adaptive_pools() {
    assert_eq!(shape_of(&[1, 64, 8, 9], |x| x.adaptive_max_pool2d([5, 7])), [1, 64, 5, 7]);
    assert_eq!(shape_of(&[1, 64, 10, 9], |x| x.adaptive_max_pool2d(7)), [1, 64, 7, 7]);
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
fn n_42_rearrange() {
    let shape_with = |pattern: &'static str| shape_of(&[32, 30, 40, 3], move |x| x.rearrange(pattern, &[("h1", 5)]));
    assert_eq!(shape_of(&[32, 30, 40, 3], |x| x.rearrange("b h w c -> (b h) w c", &[])), [960, 40, 3]);
    assert_eq!(shape_with("b (h1 h2) ... -> b h2 1 (h1 ...)"), [32, 6, 1, 600]);
    let moved = run_one(&[("x", counting(&[2, 6]))], |given| given["x"].rearrange("a (b c) -> (c a) b", &[("b", 2)]));
    assert_elements(&moved, &[6, 2], &[0., 3., 6., 9., 1., 4., 7., 10., 2., 5., 8., 11.]);
    for pattern in
        ["b h", "b -> b", "b h -> b", "b b -> b b", "b (h w) -> b h w", "b (h -> h b", "b 7 -> b 7", "b (n h) -> b n h"]
    {
        let signature = Function::new("pattern").input("x", DType::F32, [2, 6]);
        let mistakes =
            signature.trace(|given| vec![given["x"].rearrange(pattern, &[("n", 4)])]).expect_err("it is wrong");
        assert!(mistakes[0].code == Code::BadArgument && mistakes[0].message.contains(pattern), "{}", mistakes[0]);
    }
}

/// What is made of a detached tensor changes neither the tensor nor its gradient: both ways of the example are the first one here, without its error.
#[test]
fn n_48_the_gradient_of_sigmoid() {
    let (results, gradients) = run_with_gradients(&[("a", f32s(&[3], [1., 2., 3.]))], &["a"], |given| {
        let out = given["a"].sigmoid();
        vec![out, out.detach().put_at(at![..], 0.0)]
    });
    assert_elements(&results[0], &[3], &[0.7311, 0.8808, 0.9526]);
    assert_elements(&results[1], &[3], &[0.; 3]);
    assert_elements(&gradients[0], &[3], &[0.1966, 0.1050, 0.0452]);
}

#[test]
fn n_51_average_pools_and_their_padding() {
    let pooled = |pool: AvgPool<2>| run_one(&[("x", f32s(&[1, 3, 3], [1.; 9]))], |given| given["x"].avg_pool2d(pool));
    let pool = AvgPool { padding: [1; 2], ..AvgPool::new(2) };
    assert_elements(&pooled(pool), &[1, 2, 2], &[0.25, 0.5, 0.5, 1.]);
    assert_elements(&pooled(AvgPool { count_include_pad: false, ..pool }), &[1, 2, 2], &[1.; 4]);
    assert_elements(&pooled(AvgPool { divisor_override: Some(1), ..pool }), &[1, 2, 2], &[1., 2., 2., 4.]);
}

#[test]
fn n_52_pad() {
    assert_eq!(shape_of(&[2, 3, 4], |x| x.pad(&[1, 1], 0.0)), [2, 3, 6]);
    assert_eq!(shape_of(&[2, 3, 4], |x| x.pad(&[1, 1, 2, 2], 0.0)), [2, 7, 6]);
    assert_eq!(shape_of(&[2, 3, 4], |x| x.pad(&[1, 1, 2, 2, 3, 3], 0.0)), [8, 7, 6]);
}

/// `warp` of PWC-Net, as it is written for PyTorch: each element of `x` is taken from where the flow says.
fn warp(x: Tensor, flow: Tensor, [batch, channels, height, width]: [usize; 4]) -> Tensor {
    let [rows, columns] = [height, width].map(|extent| arange(0, extent as i64, 1));
    let grid = meshgrid(&[rows, columns], Indexing::Matrix);
    let [yy, xx] = [grid[0], grid[1]].map(|axis| axis.view([1, 1, height, width]).repeat(&[batch, 1, 1, 1]));
    let mut places = cat(&[xx, yy], 1).to(DType::F32) + flow;
    for (axis, extent) in [(0, width), (1, height)] {
        let part = at![0.., axis, 0.., 0..];
        places = places.put_at(&part, places.at(&part) * 2.0 / (extent - 1).max(1) as f64 - 1.0);
    }
    let places = places.permute(&[0, 2, 3, 1]);
    let aligned = GridSample { align_corners: true, ..GridSample::default() };
    let mask = ones([batch, channels, height, width], DType::F32).grid_sample(places, aligned);
    let mask = where_(mask.lt(0.9999), 0.0, mask);
    let mask = where_(mask.gt(0.0), 1.0, mask);
    x.grid_sample(places, aligned) * mask
}

#[test]
fn n_54_warp() {
    let shape = [1, 1, 3, 4];
    let along_x = |flow: f64| {
        let flow = f32s(&[1, 2, 3, 4], [[flow; 12], [0.0; 12]].concat());
        run_one(&[("x", counting(&shape)), ("flow", flow)], |given| warp(given["x"], given["flow"], shape))
    };
    assert_elements(&along_x(0.0), &shape, &counting(&shape).data);
    assert_elements(&along_x(1.0), &shape, &[1., 2., 3., 0., 5., 6., 7., 0., 9., 10., 11., 0.]);
    assert_elements(&along_x(0.5), &shape, &[0.5, 1.5, 2.5, 0., 4.5, 5.5, 6.5, 0., 8.5, 9.5, 10.5, 0.]);
}

/// A product is linear in each operand, so that central differences are exact but for rounding.
#[test]
fn n_55_the_gradient_of_a_product_of_matrices() {
    let numbers = |shape: &[usize], scale: f64| {
        support::tensor(DType::F64, shape, (0..shape.iter().product()).map(|n: usize| (n as f64 * scale).sin()))
    };
    let given = || [("a", numbers(&[3, 4], 0.7)), ("b", numbers(&[4, 2], 1.3))];
    let (_, gradients) = run_with_gradients(&given(), &["a", "b"], |given| vec![given["a"].matmul(given["b"])]);
    let sum_with = |operand: usize, at: usize, by: f64| {
        let mut given = given();
        given[operand].1.data[at] += by;
        run_one(&given, |given| given["a"].matmul(given["b"]).sum_all()).data[0]
    };
    for (operand, gradient) in gradients.iter().enumerate() {
        for (at, got) in gradient.data.iter().enumerate() {
            let want = (sum_with(operand, at, 1e-3) - sum_with(operand, at, -1e-3)) / 2e-3;
            assert!((got - want).abs() < 1e-9, "{got} and {want}");
        }
    }
}

#[test]
fn n_56_indexing_shapes() {
    let images = [4, 3, 28, 28];
    assert_eq!(shape_of(&images, |a| a.at(at![0])), [3, 28, 28]);
    assert_eq!(shape_of(&images, |a| a.at(at![0, 0])), [28, 28]);
    assert_eq!(shape_of(&images, |a| a.at(at![0, 0, 2, 4])), [0; 0]);
    assert_eq!(shape_of(&images, |a| a.at(at![..2])), [2, 3, 28, 28]);
    assert_eq!(shape_of(&images, |a| a.at(at![..2, ..1])), [2, 1, 28, 28]);
}

#[test]
fn n_66_gradients_of_arithmetic() {
    type Binary = fn(Tensor, Tensor) -> Tensor;
    let cases: [(Binary, f64, f64); 3] = [(|a, b| a - b, 1., -1.), (|a, b| a * b, 5., 3.), (|a, b| a / b, 0.2, -0.12)];
    for (function, of_a, of_b) in cases {
        let given = [("a", f32s(&[1], [3.])), ("b", f32s(&[1], [5.]))];
        let (_, gradients) = run_with_gradients(&given, &["a", "b"], |given| vec![function(given["a"], given["b"])]);
        assert_elements(&gradients[0], &[1], &[of_a]);
        assert_elements(&gradients[1], &[1], &[of_b]);
    }
}
