//! Gradients as values: of any tensor, of any order, where they stop, and what a frozen part of a model leaves out of its program.

#[path = "examples/support.rs"]
#[allow(dead_code)] // It is shared with tests that need more of it.
mod support;

#[path = "autograd/models.rs"]
mod models;

use kiln::autograd::{Grad, grad_with, hessian, hvp, jacobian, jvp, vjp};
use kiln::functional::{self, cross_entropy};
use kiln::prelude::*;
use kiln::runtime::Trainer;
use kiln::{
    Code, Compiler, Diagnostic, Function, FunctionInputs, GradCheck, GradCheckError, gradcheck, is_grad_enabled,
};
use kiln_ir::Program;
use kiln_ir::program::Class;
use kiln_tests::support::{compile, trainer};

use self::models::{Classifier, Gan, Recurrent, Scale};
use self::support::{assert_elements, f32s, run, run_with_gradients};

fn weights(trainer: &Trainer, name: &str) -> Vec<f32> {
    trainer.session().slot_as::<f32>(name).expect("the model has it").to_vec()
}

#[track_caller]
fn assert_near(got: &[f32], want: &[f64]) {
    let near = got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5);
    assert!(near, "{got:?}, not {want:?}");
}

/// AG-01, AG-05: of `x³` three times over; and of an intermediate value, which is a product of its own here.
#[test]
fn gradients_of_gradients() {
    let results = run(&[("x", f32s(&[2], [2., -1.]))], |given| {
        let x = given["x"];
        let square = x * x;
        let y = (square * x).sum_all();
        let first = grad(y, &[x, square]);
        let second = grad(first[0].sum_all(), &[x])[0];
        vec![first[0], first[1], second, grad(second.sum_all(), &[x])[0]]
    });
    assert_elements(&results[0], &[2], &[12., 3.]);
    assert_elements(&results[1], &[2], &[2., -1.]);
    assert_elements(&results[2], &[2], &[12., -6.]);
    assert_elements(&results[3], &[2], &[6., 6.]);
}

/// Of `y = (x₀²·x₁, x₁³)` at `(2, 3)`: the Jacobian is `((12, 4), (0, 27))`; of `y₀` the Hessian is `((6, 4), (4, 0))`.
#[test]
fn whole_derivatives() {
    let results = run(&[("x", f32s(&[2], [2., 3.]))], |given| {
        let x = given["x"];
        let (a, b) = (x.select(0, 0), x.select(0, 1));
        let y = stack(&[a * a * b, b * b * b], 0);
        let v = functional::tensor([10.0, 1.0]);
        let first = y.select(0, 0);
        vec![jacobian(y, x), vjp(y, v, &[x])[0], jvp(y, &[x], &[v]), hessian(first, x), hvp(first, x, v)]
    });
    assert_elements(&results[0], &[2, 2], &[12., 4., 0., 27.]);
    assert_elements(&results[1], &[2], &[120., 67.]);
    assert_elements(&results[2], &[2], &[124., 27.]);
    assert_elements(&results[3], &[2, 2], &[6., 4., 4., 0.]);
    assert_elements(&results[4], &[2], &[64., 40.]);
}

/// N-16: `y = 2x + x² + 3` at 2. A gradient is a value, so it can be asked for again, and adds up where the program adds it.
#[test]
fn n_16_gradients_add_up_where_they_are_added() {
    let results = run(&[("x", f32s(&[], [2.]))], |given| {
        let x = given["x"];
        let y = x * 2 + x.pow(2) + 3;
        let (first, second) = (grad(y, &[x])[0], grad(y, &[x])[0]);
        vec![first, first + second, second]
    });
    for (result, want) in results.iter().zip([6., 12., 6.]) {
        assert_elements(result, &[], &[want]);
    }
}

/// Several outputs with cotangents of theirs; an input that none depends on.
#[test]
fn unused_inputs_have_no_gradient() {
    let results = run(&[("x", f32s(&[2], [1., 2.])), ("y", f32s(&[3], [0.; 3]))], |given| {
        let (x, y) = (given["x"], given["y"]);
        let outputs = [x * x, x * 3];
        let cotangents = vec![functional::tensor([1.0, 10.0]), functional::tensor([100.0, 1000.0])];
        let with = Grad { grad_outputs: cotangents, allow_unused: true, ..Grad::default() };
        let gradients = grad_with(&outputs, &[x, y], &with);
        assert!(gradients[1].is_none());
        let filled = grad_with(&outputs, &[y], &Grad { materialize_grads: true, ..with });
        vec![gradients[0].expect("x is used"), filled[0].expect("zeros are asked for")]
    });
    assert_elements(&results[0], &[2], &[302., 3040.]);
    assert_elements(&results[1], &[3], &[0.; 3]);
}

/// AG-14, AG-15, AG-16, AG-38: what the flag says is what the gradient does.
#[test]
fn where_gradients_flow() {
    let (results, gradients) = run_with_gradients(&[("x", f32s(&[], [3.])), ("n", f32s(&[], [1.]))], &["x"], |given| {
        let x = given["x"];
        let flags = |enabled| {
            let y = set_grad_enabled(enabled, || x * 2);
            (y.requires_grad(), is_grad_enabled())
        };
        assert_eq!((flags(false), flags(true)), ((false, true), (true, true)));
        let inside = no_grad(|| (is_grad_enabled(), enable_grad(|| (is_grad_enabled(), x * 2)), (x * 2).sum_all()));
        assert!(!inside.0 && inside.1.0 && inside.1.1.requires_grad() && !inside.2.requires_grad());
        let data = given["n"];
        assert!(!data.requires_grad() && !x.detach().requires_grad() && !x.gt(0).requires_grad());
        assert!((data.requires_grad_(true) * 2).requires_grad() && !x.requires_grad_(false).requires_grad());
        let still = no_grad(|| x * x);
        // x² with the derivative x, x with the derivative 0, 5x inside of a scope that stops.
        vec![x * still.sqrt(), x.detach(), no_grad(|| enable_grad(|| x * 5))]
    });
    assert_elements(&results[0], &[], &[9.]);
    assert_elements(&gradients[0], &[], &[3. + 5.]);
}

/// What a gradient that is asked for in a scope without gradients is: a constant.
#[test]
fn a_gradient_under_no_grad_is_not_differentiated() {
    let (results, gradients) = run_with_gradients(&[("x", f32s(&[], [3.]))], &["x"], |given| {
        let x = given["x"];
        let slope = no_grad(|| grad(enable_grad(|| x * x), &[x])[0]);
        vec![slope * x]
    });
    assert_elements(&results[0], &[], &[18.]);
    assert_elements(&gradients[0], &[], &[6.]);
}

/// The mistake of a function of `x`, `f32[10,5]`, and `k`, `i64[3]`.
fn mistake(function: impl FnOnce(&FunctionInputs) -> Vec<Tensor>) -> Diagnostic {
    let signature = Function::new("mistake").input("x", DType::F32, [10, 5]).input("k", DType::I64, [3]);
    let mistakes = signature.trace(function).expect_err("it is wrong");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes.into_iter().next().expect("there is one")
}

/// ERR-17 and its neighbours, each at the line of the call.
#[test]
fn mistakes_are_told_at_the_users_line() {
    let first = line!() + 2;
    let found = [
        mistake(|given| grad(given["x"] + 1, &[given["x"]])),
        mistake(|given| grad(given["x"].detach().sum_all(), &[given["x"]])),
        mistake(|given| grad(given["k"].sum_all(), &[given["x"]])),
        mistake(|given| grad(given["x"].sum_all(), &[given["k"]])),
        mistake(|given| vjp(given["x"] * 2, functional::ones([5, 10], DType::F32), &[given["x"]])),
        mistake(|given| vec![jvp(given["x"] * 2, &[given["x"]], &[])]),
    ];
    let wanted = [
        (Code::NotDifferentiable, "grad can be implicitly created only for scalar outputs: `add` is f32[10,5]"),
        (
            Code::NotDifferentiable,
            "grad needs inputs that an output depends on: `x`, f32[10,5], was not used in the graph",
        ),
        (Code::NotDifferentiable, "grad needs floating tensors: the output `sum` is i64[]"),
        (Code::NotDifferentiable, "grad needs floating tensors: the input `k` is i64[3]"),
        (
            Code::ShapeMismatch,
            "grad needs a cotangent of its output's type: `mul` is f32[10,5], the cotangent f32[5,10]",
        ),
        (Code::BadArgument, "jvp needs a tangent for each input: 0 for 1"),
    ];
    for (at, (mistake, (code, message))) in found.iter().zip(wanted).enumerate() {
        assert_eq!((mistake.code, mistake.message.as_str()), (code, message));
        assert_eq!((mistake.place.file.as_str(), mistake.place.line), (file!(), first + at as u32), "{mistake}");
    }
}

/// N-55, second order, and a gradient that is not the value's.
#[test]
fn n_55_gradcheck() {
    let numbers = |count: usize, scale: f64| (0..count).map(|n| (n as f64 * scale).sin()).collect::<Vec<f64>>();
    let (a, b) = (numbers(12, 0.7), numbers(8, 1.3));
    let inputs: [(&str, &[usize], &[f64]); 2] = [("a", &[3, 4], &a), ("b", &[4, 2], &b)];
    let check = |function: fn(&FunctionInputs) -> Vec<Tensor>| gradcheck(&inputs, GradCheck::default(), function);
    check(|given| vec![given["a"].matmul(given["b"])]).expect("a product of matrices");
    check(|given| {
        let (a, b) = (given["a"], given["b"]);
        let y = a.tanh().matmul(b.exp()).log_softmax(1).square().sum_all();
        grad(y, &[a, b])
    })
    .expect("gradients of gradients");
    let wrong = check(|given| vec![(given["a"] * given["a"].detach()).sum_all(), given["b"].sum_all()]);
    let Err(GradCheckError::Gradient { result: 0, position: 0, input, element: 1, gradient, differences }) = wrong
    else {
        panic!("a derivative that is half of the true one is found at the first element that is not zero: {wrong:?}")
    };
    assert!(input == "a" && (differences - 2.0 * gradient).abs() < 1e-6);
    assert!(matches!(check(|given| vec![given["a"].matmul(given["a"])]), Err(GradCheckError::Function(_))));
}

/// WGAN-GP's penalty `(|∂D/∂x| - 1)²` of `D(x) = w·x`, where the slope is `w`: with `w = (3, 4)` it is 16, its gradient `2·4·w/5`.
#[test]
fn a_gradient_penalty_is_trained() {
    let training = Training::new("penalty", Scale::new(&[3.0, 4.0]))
        .max_batch(4)
        .input("x", DType::F32, [BATCH, Dim::fixed(2)])
        .loss(|model, batch| {
            let x = batch["x"].requires_grad_(true);
            let slope = grad(model.forward(x).sum_all(), &[x])[0];
            (slope.norm(2.0, &[1], false) - 1.0).square().mean_all()
        })
        .optimizer(Sgd::new(0.1));
    let mut trainer = trainer(&compile(&training), 1, 2);
    let x = [0.5_f32, -1.0, 2.0, 7.0, 1.0, 1.0];
    assert!((trainer.train_step(&[(&x).into()]).expect("the input fits") - 16.0).abs() < 1e-5);
    assert_near(&weights(&trainer, "weight"), &[3.0 - 0.48, 4.0 - 0.64]);
    let last = (0..100).map(|_| trainer.train_step(&[(&x).into()]).expect("the input fits")).last();
    let length = weights(&trainer, "weight").iter().map(|w| w * w).sum::<f32>().sqrt();
    assert!(last.expect("100 steps") < 1e-9 && (length - 1.0).abs() < 1e-5);
}

/// P-19: two programs over one pair of models, each with one half frozen; the discriminator's step sees the generator's output detached.
#[test]
fn p_19_a_step_of_a_gan() {
    let gan = Gan::new(2.0, 0.5);
    let discriminator = compile(&gan.half("discriminator", &gan.discriminator, &gan.generator, |gan, batch| {
        let fake = gan.generator.forward(batch["z"]).unsqueeze(-1).detach();
        let (real, fake) = (gan.discriminator.forward(batch["x"]), gan.discriminator.forward(fake));
        ((real - 1.0).square() + fake.square()).mean_all()
    }));
    let generator = compile(&gan.half("generator", &gan.generator, &gan.discriminator, |gan, batch| {
        let fake = gan.generator.forward(batch["z"]).unsqueeze(-1);
        (gan.discriminator.forward(fake) - 1.0).square().mean_all()
    }));
    let (mut discriminator, mut generator) = (trainer(&discriminator, 1, 1), trainer(&generator, 1, 1));
    let ones = [1.0_f32];
    let hand_over = |from: &Trainer, to: &mut Trainer, name: &str| {
        let bytes = from.slot(name).expect("both have it").bytes().to_vec();
        to.slot_mut(name).expect("both have it").bytes_mut().copy_from_slice(&bytes);
    };
    // (w - 1)² + (w·a)² at w = 0.5, a = 2: the gradient of w is -1 + 4.
    discriminator.train_step(&[(&ones).into(), (&ones).into()]).expect("the inputs fit");
    assert_near(&weights(&discriminator, "discriminator.weight"), &[0.2]);
    assert_near(&weights(&discriminator, "generator.weight"), &[2.0]);
    hand_over(&discriminator, &mut generator, "discriminator.weight");
    // (w·a - 1)² at w = 0.2: the gradient of a is 2·(0.4 - 1)·0.2.
    generator.train_step(&[(&ones).into(), (&ones).into()]).expect("the inputs fit");
    assert_near(&weights(&generator, "generator.weight"), &[2.024]);
    assert_near(&weights(&generator, "discriminator.weight"), &[0.2]);
}

/// P-23: `W -= W.grad · lr` by hand, without an optimiser: the weights are buffers, and the step updates them.
#[test]
fn p_23_regression_by_hand() {
    #[model]
    struct Line {
        w: Buffer,
        b: Buffer,
    }
    let line = Line { w: Buffer::new([], 0.0), b: Buffer::new([], 0.0) };
    let training =
        Training::new("line", line).max_batch(10).input("x", DType::F32, [BATCH]).input("y", DType::F32, [BATCH]).loss(
            |line, batch| {
                let (w, b) = (line.w.tensor(), line.b.tensor());
                let loss = (batch["x"] * w + b - batch["y"]).square().mean_all();
                let gradients = grad(loss, &[w, b]);
                line.w.update(w - gradients[0] * 0.02);
                line.b.update(b - gradients[1] * 0.02);
                loss
            },
        );
    let mut trainer = trainer(&compile(&training), 1, 1);
    let x: Vec<f32> = (0..10).map(|n| n as f32).collect();
    let y: Vec<f32> = x.iter().map(|x| 2.0 * x + 5.0).collect();
    // The means of 2·(0 - y)·x and of 2·(0 - y).
    trainer.train_step(&[(&x).into(), (&y).into()]).expect("the inputs fit");
    assert_near(&weights(&trainer, "w"), &[0.02 * 159.0]);
    assert_near(&weights(&trainer, "b"), &[0.02 * 28.0]);
    for _ in 0..3000 {
        trainer.train_step(&[(&x).into(), (&y).into()]).expect("the inputs fit");
    }
    assert!((weights(&trainer, "w")[0] - 2.0).abs() < 1e-3 && (weights(&trainer, "b")[0] - 5.0).abs() < 1e-2);
}

/// What is carried from step to step is an input of the next: no gradient flows back through it. Within a step one does, unless it is detached.
#[test]
fn state_stops_gradients_between_steps() {
    for (detach, read_back, slope) in [(false, false, 1.0), (false, true, 1.0), (true, false, 1.0), (true, true, 0.0)] {
        let training = Training::new("recurrent", Recurrent::new())
            .max_batch(1)
            .input("x", DType::F32, [BATCH, Dim::ONE])
            .loss(move |model, batch| {
                let (next, state) = model.forward(batch["x"], detach);
                if read_back { state } else { next }
            })
            .optimizer(Sgd::new(0.1));
        let mut trainer = trainer(&compile(&training), 1, 1);
        let mut step = || trainer.train_step(&[(&[1.0_f32]).into()]).expect("the input fits");
        assert_near(&[step(), step()], &[1.0, 2.0 - 0.1 * slope]);
        assert_near(&weights(&trainer, "cell.weight"), &[1.0 - 0.2 * slope]);
    }
}

fn program(training: &Training<Classifier>) -> Program {
    Compiler::new().compile(training).unwrap_or_else(|error| panic!("{}", error.render())).program
}

/// AG-03, AG-31: the backward code of a frozen backbone is absent, as if its features were detached; so is what its optimiser would hold.
#[test]
fn a_frozen_backbone_has_no_backward_code() {
    let full = program(&Classifier::new().training(Classifier::forward));
    let frozen = program(&Classifier::new().freeze_backbone().training(Classifier::forward));
    let detached = program(&Classifier::new().freeze_backbone().training(Classifier::forward_detached));
    let launches = |program: &Program| {
        program.entries.iter().find(|entry| entry.name == "train_step").map(|entry| entry.steps.len())
    };
    assert!(frozen.kernels.len() < full.kernels.len(), "{} and {} kernels", frozen.kernels.len(), full.kernels.len());
    assert!(frozen.arena_bytes < full.arena_bytes, "{} and {} bytes", frozen.arena_bytes, full.arena_bytes);
    assert!(launches(&frozen) < launches(&full));
    assert_eq!((frozen.kernels.len(), frozen.arena_bytes), (detached.kernels.len(), detached.arena_bytes));
    let moments = |program: &Program| -> Vec<String> {
        let held = program.buffers.iter().filter(|buffer| buffer.class == Class::OptimizerState);
        held.map(|buffer| buffer.name.clone()).filter(|name| name.contains("backbone")).collect()
    };
    assert_eq!((moments(&full).len(), moments(&frozen).len()), (4, 0));
}

/// The same of a function whose gradient is asked of fewer inputs.
#[test]
fn a_gradient_that_is_not_asked_for_is_not_computed() {
    let compiled = |differentiated: &[&str]| {
        let mut function = Function::new("layers")
            .input("x", DType::F32, [4, 1, 8, 8])
            .input("w", DType::F32, [8, 1, 3, 3])
            .input("v", DType::F32, [10, 288])
            .input("y", DType::I64, [4]);
        for input in differentiated {
            function = function.gradient_of(input);
        }
        let traced = function.trace(|given| {
            let h = given["x"].conv2d(given["w"], None, functional::Window::default()).tanh().flatten(1, -1);
            vec![cross_entropy(h.matmul(given["v"].t()), given["y"])]
        });
        let traced = traced.unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        Compiler::new().compile_traced(traced).unwrap_or_else(|error| panic!("{}", error.render())).program
    };
    let (both, head) = (compiled(&["w", "v"]), compiled(&["v"]));
    assert!(head.kernels.len() < both.kernels.len() && head.arena_bytes < both.arena_bytes);
}
