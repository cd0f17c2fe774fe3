//! The worked examples about losses and complex numbers, and what the operator cases do not show of them.

#[path = "examples/support.rs"]
mod support;

use kiln::functional::{
    CrossEntropy, Ctc, Reduction, binary_cross_entropy_with, cross_entropy_with, ctc_loss, ctc_loss_with, nll_loss,
};
use kiln::prelude::*;
use kiln::{Code, Compiler, Diagnostic, Function, complex, view_as_complex};
use kiln_ir::interpret::Value;

use self::support::{assert_elements, counting, f32s, run, run_one, run_with_gradients, tensor};

fn i64s(shape: &[usize], elements: impl IntoIterator<Item = i64>) -> Value {
    tensor(DType::I64, shape, elements.into_iter().map(|x| x as f64))
}

/// The mistake of a function of `x`, `f32[2,3]`, and `y`, `i64[2]`.
fn mistake(function: impl FnOnce(Tensor, Tensor) -> Tensor) -> Diagnostic {
    let signature = Function::new("mistake").input("x", DType::F32, [2, 3]).input("y", DType::I64, [2]);
    signature.trace(|given| vec![function(given["x"], given["y"])]).expect_err("it is wrong").remove(0)
}

#[test]
fn n_02_complex_numbers() {
    let parts = [("re", f32s(&[2], [1., 2.])), ("im", f32s(&[2], [3., 4.]))];
    let results = run(&parts, |given| {
        let z = complex(given["re"], given["im"]);
        assert_eq!(z.dtype_name(), "complex64");
        vec![z.real(), z.imag(), z.view_as_real()]
    });
    assert_elements(&results[0], &[2], &[1., 2.]);
    assert_elements(&results[1], &[2], &[3., 4.]);
    assert_elements(&results[2], &[2, 2], &[1., 3., 2., 4.]);
}

#[test]
fn n_20_cross_entropy_with_an_ignored_class() {
    let given = || [("x", f32s(&[3, 2], [0.9, 0.1, 0.8, 0.2, 0.7, 0.3])), ("y", i64s(&[3], [1, 0, 1]))];
    let with = |options: CrossEntropy| run_one(&given(), |given| cross_entropy_with(given["x"], given["y"], options));
    let ignoring = |reduction| CrossEntropy { ignore_index: Some(0), reduction, ..CrossEntropy::default() };
    assert_elements(&with(ignoring(Reduction::Mean)), &[], &[1.0421]);
    assert_elements(&with(ignoring(Reduction::Sum)), &[], &[2.0841]);
    assert_elements(&with(CrossEntropy::default()), &[], &[0.8405]);
    assert_elements(&run_one(&given(), |given| cross_entropy(given["x"], given["y"])), &[], &[0.8405]);
    let each = CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() };
    assert_elements(&with(each), &[3], &[1.1711, 0.4375, 0.9130]);
}

#[test]
fn n_20_nothing_to_average_is_nan() {
    let given = [("x", counting(&[2, 3])), ("y", i64s(&[2], [-100, -100]))];
    let result = run_one(&given, |given| cross_entropy_with(given["x"], given["y"], CrossEntropy::default()));
    assert!(result.data[0].is_nan());
}

#[test]
fn n_21_labels_of_pixels() {
    let labels = i64s(&[5, 8, 8], (0..320).map(|n| n % 4));
    let given = [("x", counting(&[5, 16, 10, 10])), ("w", f32s(&[4, 16, 3, 3], [0.01; 576])), ("y", labels)];
    let result = run_one(&given, |given| {
        let scores = given["x"].conv2d(given["w"], None, kiln::functional::Window::default());
        assert_eq!(scores.shape().to_string(), "[5,4,8,8]");
        nll_loss(scores.log_softmax(1), given["y"])
    });
    // Equal scores: every class has the probability 1/4.
    assert_elements(&result, &[], &[4_f64.ln()]);
}

#[test]
fn n_49_the_gradient_of_binary_cross_entropy_is_not_cut_off() {
    let given = [("x", f32s(&[2], [0., 1.])), ("y", f32s(&[2], [1., 0.]))];
    let (results, gradients) = run_with_gradients(&given, &["x"], |given| {
        vec![binary_cross_entropy_with(given["x"], given["y"], None, Reduction::None)]
    });
    assert_elements(&results[0], &[2], &[100., 100.]);
    let wanted = [-1e12, 1e12];
    assert!(gradients[0].data.iter().zip(wanted).all(|(got, want)| (got / want - 1.0).abs() < 1e-5));
}

/// Both the loss and, after a log-softmax, its gradient are those of the sum over all paths.
#[test]
fn ctc_sums_over_paths() {
    // Two frames, the label 1: the paths are 11, -1 and 1-.
    let logits = [0.1, 0.7, 0.4, -0.2];
    let given = [("x", f32s(&[2, 1, 2], logits)), ("y", i64s(&[1, 1], [1]))];
    let (results, gradients) =
        run_with_gradients(&given, &["x"], |given| vec![ctc_loss(given["x"].log_softmax(-1), given["y"], &[2], &[1])]);
    let loss = |x: [f64; 4]| {
        let label = |a: f64, b: f64| b.exp() / (a.exp() + b.exp());
        let (first, second) = (label(x[0], x[1]), label(x[2], x[3]));
        -(first * second + (1.0 - first) * second + first * (1.0 - second)).ln()
    };
    assert_elements(&results[0], &[], &[loss(logits)]);
    let slope = |at: usize| {
        let mut moved = logits;
        moved[at] += 1e-6;
        (loss(moved) - loss(logits)) / 1e-6
    };
    assert_elements(&gradients[0], &[2, 1, 2], &[slope(0), slope(1), slope(2), slope(3)]);
}

/// A target that does not fit has no path: its loss is infinite, or 0 with gradient 0 where that is asked for.
#[test]
fn ctc_of_a_target_that_does_not_fit() {
    let given = || [("x", f32s(&[1, 1, 3], [-1.1; 3])), ("y", i64s(&[1, 2], [1, 2]))];
    let infinite = run_one(&given(), |given| ctc_loss(given["x"], given["y"], &[1], &[2]));
    assert_eq!(infinite.data, [f64::INFINITY]);
    let options = Ctc { zero_infinity: true, ..Ctc::default() };
    let (results, gradients) =
        run_with_gradients(&given(), &["x"], |given| vec![ctc_loss_with(given["x"], given["y"], &[1], &[2], options)]);
    assert_elements(&results[0], &[], &[0.0]);
    assert_elements(&gradients[0], &[1, 1, 3], &[0.0; 3]);
}

/// Lengths that the data bring are bounded when the step runs.
#[test]
fn a_length_beyond_its_bound_stops_the_step() {
    let signature = Function::new("ctc").input("x", DType::F32, [2, 1, 3]).input("y", DType::I64, [1, 1]).input(
        "length",
        DType::I64,
        [1],
    );
    let traced = signature.trace(|given| vec![ctc_loss(given["x"], given["y"], given["length"], &[1])]);
    let compiler = Compiler::new();
    let compiled = compiler.compile_traced(traced.expect("it is sound")).unwrap_or_else(|error| panic!("{error}"));
    let mut trainer = compiled.jit(&compiler).unwrap_or_else(|error| panic!("{error}"));
    let mut run =
        |length: i64| trainer.run("predict", &[(&[-1.1_f32; 6]).into(), (&[1_i64]).into(), (&[length]).into()]).is_ok();
    assert!(run(2) && !run(3) && !run(-1));
}

#[test]
fn losses_say_what_they_need() {
    let column = mistake(|x, y| cross_entropy(x, y.unsqueeze(1)));
    assert_eq!(column.code, Code::ShapeMismatch);
    assert_eq!(column.help.as_deref(), Some("drop its last axis: `squeeze(-1)`"));
    let smoothing = CrossEntropy { label_smoothing: 1.5, ..CrossEntropy::default() };
    let found = mistake(|x, y| cross_entropy_with(x, y, smoothing));
    assert_eq!(found.message, "cross_entropy needs label smoothing between 0 and 1: found 1.5");
    let word = "avg".parse::<Reduction>().expect_err("there is no such word");
    assert_eq!(word.message, "the reduction needs one of `none`, `mean`, `sum`: found `avg`");
}

/// `a·b`, `a/b`, `e^a`, `|a|` and the angle of `a` for `a = 1 + 2i` and `b = 3 - 4i`; and a product of matrices of one element.
#[test]
fn complex_arithmetic() {
    let given = [("a", f32s(&[1, 2], [1., 2.])), ("b", f32s(&[1, 2], [3., -4.]))];
    let results = run(&given, |given| {
        let (a, b) = (view_as_complex(given["a"]), view_as_complex(given["b"]));
        let matrix = |z: kiln::ComplexTensor| complex(z.real().unsqueeze(0), z.imag().unsqueeze(0));
        vec![
            (a * b).view_as_real(),
            (a / b).view_as_real(),
            a.exp().view_as_real(),
            (a.conj() - b * 2.0 + a.real()).view_as_real(),
            a.abs(),
            a.angle(),
            matrix(a).matmul(matrix(b)).view_as_real(),
        ]
    });
    assert_elements(&results[0], &[1, 2], &[11., 2.]);
    assert_elements(&results[1], &[1, 2], &[-0.2, 0.4]);
    assert_elements(&results[2], &[1, 2], &[1_f64.exp() * 2_f64.cos(), 1_f64.exp() * 2_f64.sin()]);
    assert_elements(&results[3], &[1, 2], &[-4., 6.]);
    assert_elements(&results[4], &[1], &[5_f64.sqrt()]);
    assert_elements(&results[5], &[1], &[2_f64.atan2(1.)]);
    assert_elements(&results[6], &[1, 1, 2], &[11., 2.]);
}

/// PyTorch's convention: the gradient of a real loss is `∂L/∂x + i·∂L/∂y`. That of `|z|²` is `2z`, that of `|z|` is `z/|z|`, 0 at 0.
#[test]
fn complex_gradients() {
    let given = || [("z", f32s(&[2, 2], [3., -4., 0., 0.]))];
    let (_, square) = run_with_gradients(&given(), &["z"], |given| {
        let z = view_as_complex(given["z"]);
        vec![(z * z.conj()).real()]
    });
    assert_elements(&square[0], &[2, 2], &[6., -8., 0., 0.]);
    let (_, magnitude) = run_with_gradients(&given(), &["z"], |given| vec![view_as_complex(given["z"]).abs()]);
    assert_elements(&magnitude[0], &[2, 2], &[0.6, -0.8, 0., 0.]);
}

#[test]
fn complex_numbers_have_parts_of_one_kind() {
    assert_eq!(mistake(|x, y| complex(x, y).real()).code, Code::DTypeMismatch);
    assert_eq!(mistake(|x, _| complex(x, x.transpose(0, 1)).real()).code, Code::ShapeMismatch);
    assert_eq!(mistake(|x, _| view_as_complex(x).real()).code, Code::ShapeMismatch);
}
