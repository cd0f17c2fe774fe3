//! Derivatives of the user's own: `torch.autograd.Function`.

#[path = "examples/support.rs"]
#[allow(dead_code)] // It is shared with tests that need more of it.
mod support;

use kiln::functional::einsum;
use kiln::prelude::*;
use kiln::{Code, Diagnostic, Function, FunctionInputs, GradCheck, gradcheck};
use kiln_ir::interpret::{Precision, Value, evaluate};
use kiln_ir::text::parse_graph;
use kiln_ir::verify::verify_graph;
use kiln_ir::{Graph, Op};
use kiln_passes::pipeline::{self, Step};

use self::support::{assert_elements, f32s, run, run_with_gradients};

/// CF-05.
#[custom_vjp(backward = mm_backward)]
fn my_mm(a: Tensor, b: Tensor) -> Tensor {
    a.matmul(b)
}

fn mm_backward(saved: Saved<2>, cotangent: Tensor) -> [Tensor; 2] {
    let [a, b] = saved.inputs;
    [cotangent.matmul(b.t()), a.t().matmul(cotangent)]
}

/// The same over a batch, which cannot be transposed: `aᵀ·g` is a contraction.
#[custom_vjp(backward = linear_backward)]
fn my_linear(x: Tensor, weight: Tensor) -> Tensor {
    x.matmul(weight)
}

fn linear_backward(saved: Saved<2>, cotangent: Tensor) -> [Tensor; 2] {
    let [x, weight] = saved.inputs;
    [cotangent.matmul(weight.t()), einsum("bi,bo->io", &[x, cotangent])]
}

/// The value is rounded, the gradient passes.
#[custom_vjp(backward = straight_through)]
fn quantize(x: Tensor, steps: f64) -> Tensor {
    (x * steps).round() / steps
}

fn straight_through(_: Saved<1>, cotangent: Tensor, _: f64) -> Tensor {
    cotangent
}

#[custom_vjp(backward = clip)]
fn clip_gradient(x: Tensor, limit: f64) -> Tensor {
    x
}

fn clip(_: Saved<1>, cotangent: Tensor, limit: f64) -> Tensor {
    cotangent.maximum(-limit).minimum(limit)
}

#[custom_vjp(backward = negated)]
fn reverse_gradient(x: Tensor) -> Tensor {
    x
}

fn negated(_: Saved<1>, cotangent: Tensor) -> Tensor {
    -cotangent
}

/// `exp x` whose derivative uses the result; ten times too large, so that it can be told from the true one.
#[custom_vjp(backward = exp_backward)]
fn my_exp(x: Tensor) -> Tensor {
    x.exp()
}

fn exp_backward(saved: Saved<1>, cotangent: Tensor) -> Tensor {
    cotangent * saved.output * 10.0
}

/// Two results; the second input is an index, which has no gradient.
#[custom_vjp(backward = split_backward)]
fn product_and_sum(x: Tensor, index: Tensor, y: Tensor) -> (Tensor, Tensor) {
    (x * y, (x + y).index_select(0, index))
}

fn split_backward(
    saved: Saved<3, (Tensor, Tensor)>,
    (product, sum): (Tensor, Tensor),
) -> (Tensor, Option<Tensor>, Tensor) {
    assert_eq!(saved.needs_input_grad, [true, false, true]);
    let [x, index, y] = saved.inputs;
    let spread = x.zeros_like().scatter_add(0, index, sum * 100.0);
    (product * y + spread, None, product * x + spread)
}

fn matrices() -> [(&'static str, Value); 2] {
    [("a", f32s(&[2, 2], [1., 2., 3., 4.])), ("b", f32s(&[2, 1], [5., 6.]))]
}

/// CF-04, CF-05, P-05 without its decorators: the gradients are those of the product, and of its own derivative.
#[test]
fn my_mm_is_a_product() {
    let (results, gradients) =
        run_with_gradients(&matrices(), &["a", "b"], |given| vec![my_mm(given["a"], given["b"])]);
    assert_elements(&results[0], &[2, 1], &[17., 39.]);
    assert_elements(&gradients[0], &[2, 2], &[5., 6., 5., 6.]);
    assert_elements(&gradients[1], &[2, 1], &[4., 6.]);
    let (a, b): (Vec<f64>, Vec<f64>) =
        ((0..6).map(|n| f64::from(n).sin()).collect(), (0..3).map(|n| f64::from(n).cos()).collect());
    let inputs: [(&str, &[usize], &[f64]); 2] = [("a", &[2, 3], &a), ("b", &[3, 1], &b)];
    gradcheck(&inputs, GradCheck::default(), |given| vec![my_mm(given["a"], given["b"])]).expect("first order");
    let second =
        |given: &FunctionInputs| grad(my_mm(given["a"], given["b"]).tanh().sum_all(), &[given["a"], given["b"]]);
    gradcheck(&inputs, GradCheck::default(), second).expect("second order, through the derivative's own ops");
}

/// CF-01: what a function is, and what its gradient is instead.
#[test]
fn gradients_that_are_not_the_values() {
    type Unary = fn(Tensor) -> Tensor;
    let cases: [(&str, Unary, f64, f64); 6] = [
        ("straight through", |x| quantize(x, 4.0) * 3, 0.75 * 3.0, 3.0),
        ("clipped", |x| clip_gradient(x, 0.5) * 3, 0.7 * 3.0, 0.5),
        ("reversed", |x| reverse_gradient(x) * 3, 0.7 * 3.0, -3.0),
        ("a hook", |x| x.register_hook(|gradient| gradient * 2 + 1) * 3, 0.7 * 3.0, 7.0),
        ("of the result", |x| my_exp(x) * 3, 0.7_f64.exp() * 3.0, 0.7_f64.exp() * 30.0),
        ("one inside of another", |x| quantize(clip_gradient(x * 2, 1.0), 2.0) * 3, 1.5 * 3.0, 2.0),
    ];
    for (what, function, value, slope) in cases {
        let (results, gradients) =
            run_with_gradients(&[("x", f32s(&[1], [0.7]))], &["x"], |given| vec![function(given["x"])]);
        println!("{what}");
        assert_elements(&results[0], &[1], &[value]);
        assert_elements(&gradients[0], &[1], &[slope]);
    }
}

/// The result that a derivative uses has that derivative: of `exp` with the slope `10·y`, the second is `100·y`.
#[test]
fn a_derivative_is_differentiated_by_its_own_rule() {
    let results = run(&[("x", f32s(&[1], [0.7]))], |given| {
        let first = grad(my_exp(given["x"]), &[given["x"]])[0];
        vec![first, grad(first, &[given["x"]])[0]]
    });
    let y = 0.7_f64.exp();
    assert_elements(&results[0], &[1], &[10.0 * y]);
    assert_elements(&results[1], &[1], &[100.0 * y]);
}

/// Several results: of `(x·y, (x + y)[1, 1])`, the second with a derivative of 100 for 1; each result alone, and both.
#[test]
fn several_results() {
    let given = || {
        let index = support::tensor(DType::I64, &[2], [1., 1.]);
        [("x", f32s(&[2], [2., 3.])), ("i", index), ("y", f32s(&[2], [5., 7.]))]
    };
    type Choice = fn((Tensor, Tensor)) -> Vec<Tensor>;
    let cases: [(Choice, [f64; 2], [f64; 2]); 3] = [
        (|(product, _)| vec![product], [5., 7.], [2., 3.]),
        (|(_, sum)| vec![sum], [0., 200.], [0., 200.]),
        (|(product, sum)| vec![product, sum], [5., 207.], [2., 203.]),
    ];
    for (choice, of_x, of_y) in cases {
        let (_, gradients) = run_with_gradients(&given(), &["x", "y"], |given| {
            choice(product_and_sum(given["x"], given["i"], given["y"]))
        });
        assert_elements(&gradients[0], &[2], &of_x);
        assert_elements(&gradients[1], &[2], &of_y);
    }
}

fn traced() -> kiln::Traced {
    let signature = Function::new("custom").max_batch(4).input("a", DType::F32, [BATCH, Dim::fixed(2)]);
    let signature = signature.input("b", DType::F32, [2, 3]).gradient_of("a").gradient_of("b");
    signature
        .trace(|given| vec![clip_gradient(my_linear(given["a"], given["b"]), 0.5)])
        .unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

fn is_custom(graph: &Graph) -> bool {
    graph.order().into_iter().any(|value| matches!(graph.node(value).op, Op::CustomVjp(_)))
}

/// The derivative is part of the graph's text, is verified, means nothing to the value, and is gone from the program.
#[test]
fn the_text_has_the_derivative() {
    let graph = traced().train.expect("gradients are asked for");
    let text = graph.to_string();
    assert!(is_custom(&graph) && text.contains("output d1 = "), "{text}");
    let read = parse_graph(&text, "text").unwrap_or_else(|mistakes| panic!("{}\n{text}", mistakes[0]));
    assert!(read == graph && read.to_string() == text && verify_graph(&read).is_empty());
    let broken = text.replacen("output d1 = ", "output d2 = ", 1);
    let findings = verify_graph(&parse_graph(&broken, "text").expect("it is well formed"));
    assert!(findings[0].diagnostic.message.contains("gradients of the inputs' types"), "{}", findings[0].diagnostic);

    let mut after = Vec::new();
    let mut watch = |step: Step, graph: &Graph| after.push((step, is_custom(graph)));
    struct Seen<'a>(&'a mut dyn FnMut(Step, &Graph));
    impl pipeline::Observer for Seen<'_> {
        fn after(&mut self, step: Step, _: &str, stage: pipeline::Stage<'_>) -> pipeline::Control {
            if let pipeline::Stage::Graph(graph) = stage {
                (self.0)(step, graph);
            }
            pipeline::Control::Continue
        }
    }
    pipeline::run_graph("train_step", graph, None, &mut Seen(&mut watch)).expect("it is sound");
    for (step, is_custom) in after {
        assert_eq!(is_custom, step < Step::Simplify, "{step:?}");
    }
}

/// The reference interpreter takes the value as it is.
#[test]
fn the_interpreter_sees_the_value() {
    let graph = traced().train.expect("gradients are asked for");
    let inputs = graph.inputs().into_iter().map(|(value, _)| {
        let ty = graph.ty(value);
        (graph.name_of(value).to_owned(), Value::filled(ty.dtype, ty.shape.at(2), 3.0))
    });
    let evaluation = evaluate(&graph, &inputs.collect(), 2, Precision::Exact).expect("it runs");
    assert_eq!(evaluation.output("prediction").expect("it is there").data, [18.0; 6]);
}

fn mistakes(function: impl FnOnce(&FunctionInputs) -> Tensor) -> Vec<Diagnostic> {
    let signature = Function::new("mistake").input("a", DType::F32, [2, 3]).input("b", DType::F32, [3, 2]);
    signature.trace(|given| vec![function(given)]).expect_err("it is wrong")
}

/// What a derivative does wrong is told at its own line, or at that of the call.
#[test]
fn mistakes_of_derivatives() {
    fn swapped(saved: Saved<2>, cotangent: Tensor) -> [Tensor; 2] {
        let [gradient_of_a, gradient_of_b] = mm_backward(saved, cotangent);
        [gradient_of_b, gradient_of_a]
    }
    #[custom_vjp(backward = swapped)]
    fn wrong_order(a: Tensor, b: Tensor) -> Tensor {
        a.matmul(b)
    }
    let found = mistakes(|given| wrong_order(given["a"], given["b"]));
    let message =
        "wrong_order returned an invalid gradient at index 0: it needs the input's type, f32[2,3], and is f32[3,2]";
    assert_eq!((found[0].code, found[0].message.as_str(), found.len()), (Code::ShapeMismatch, message, 2));

    let found = mistakes(|given| {
        let (a, b) = (given["a"], given["b"]);
        custom_vjp("captures", [a], |[a]: [Tensor; 1]| a * 2, |_, cotangent: Tensor| cotangent * b.t())
    });
    assert_eq!((found[0].code, found[0].place.line), (Code::ForeignTensor, line!() - 2), "{}", found[0]);
    assert!(found[0].help.as_deref().is_some_and(|help| help.contains("make the tensor an input")));

    let found = mistakes(|given| given["a"].register_hook(|gradient| gradient * gradient.rand_like()));
    assert_eq!((found[0].code, found[0].place.line), (Code::BadArgument, line!() - 1), "{}", found[0]);

    let found = mistakes(|given| given["a"].gt(0).register_hook(|gradient| gradient));
    assert_eq!(found[0].code, Code::DTypeMismatch, "{}", found[0]);
}

/// CF-02: a module's weight is an input, and trains.
#[test]
fn a_weight_is_an_input() {
    #[model]
    struct Layer {
        weight: Parameter,
    }
    #[model]
    impl Layer {
        fn forward(&self, x: Tensor) -> Tensor {
            my_linear(x, self.weight.tensor())
        }
    }
    let training = Training::new("layer", Layer { weight: Parameter::new([1, 1], Initializer::Data(vec![3.0])) })
        .max_batch(2)
        .input("x", DType::F32, [BATCH, Dim::ONE])
        .loss(|model, batch| model.forward(batch["x"]).mean_all())
        .optimizer(Sgd::new(0.5));
    let program = kiln_tests::support::compile(&training);
    let mut trainer = kiln_tests::support::trainer(&program, 1, 1);
    let loss = trainer.train_step(&[(&[1.0_f32, 2.0]).into()]).expect("the input fits");
    assert_eq!((loss, trainer.session().slot_as::<f32>("weight").expect("it is there")), (4.5, &[3.0 - 0.5 * 1.5][..]));
}
