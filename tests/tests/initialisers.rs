//! Initialisers: gains, fans, bounds of PyTorch's defaults, and what is refused. Their statistics are a conformance table.

use kiln::Compiler;
use kiln::init::{FanMode, InitError, Nonlinearity, calculate_fan_in_and_fan_out, calculate_gain};
use kiln::prelude::*;

#[test]
fn n_33_gains() {
    let gains = [
        ("linear", 1.0),
        ("conv2d", 1.0),
        ("sigmoid", 1.0),
        ("tanh", 5.0 / 3.0),
        ("relu", std::f64::consts::SQRT_2),
        ("selu", 0.75),
    ];
    for (word, expected) in gains {
        let gain = calculate_gain(word.parse().expect("PyTorch's word"));
        assert!((gain - expected).abs() < 1e-9, "{word}: {gain}");
    }
    assert!((calculate_gain(Nonlinearity::LeakyRelu(0.2)) - 1.386_750_49).abs() < 1e-8);
}

/// `a = √5` is how PyTorch writes ±1/√fan_in.
#[test]
fn n_34_the_default_bound() {
    assert!((calculate_gain(Nonlinearity::LeakyRelu(5.0_f64.sqrt())) - 0.577_350_269).abs() < 1e-9);
    let conv = Conv2d::new(3, 64, 3);
    let bound = |parameter: &Parameter| match parameter.initializer() {
        Initializer::Uniform { low, high } if low == -high => high,
        other => panic!("{other:?}"),
    };
    let default = bound(&conv.weight);
    assert!((default - 1.0 / 27.0_f64.sqrt()).abs() < 1e-12);
    init::kaiming_uniform(&conv.weight, FanMode::FanIn, Nonlinearity::LeakyRelu(5.0_f64.sqrt()));
    assert!((bound(&conv.weight) - default).abs() < 1e-12);
}

#[test]
fn err_10_errors_are_pytorchs() {
    assert_eq!(calculate_fan_in_and_fan_out(&[64, 3, 7, 7]), Ok((147, 3136)));
    assert_eq!(
        calculate_fan_in_and_fan_out(&[64]).unwrap_err().to_string(),
        "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
    );
    assert_eq!("FAN_OUT".parse(), Ok(FanMode::FanOut));
    assert_eq!(
        "fan_avg".parse::<FanMode>().unwrap_err().to_string(),
        "Mode fan_avg not supported, please use one of ['fan_in', 'fan_out']"
    );
    assert_eq!("swish".parse::<Nonlinearity>(), Err(InitError::Nonlinearity("swish".to_owned())));
}

/// A mistake is told by the trace, at the line of the initialiser.
#[test]
fn an_unsuitable_initialiser_is_told_at_its_line() {
    let layer = Linear::new(2, 2);
    let line = line!() + 1;
    init::xavier_normal(layer.bias.as_ref().expect("there is a bias"), 1.0);
    let traced = Training::new("net", layer)
        .input("x", DType::F32, [1, 2])
        .predict(|model, batch| model.forward(batch["x"]))
        .trace();
    let found = &traced.unwrap_err()[0];
    assert!(found.message.starts_with("parameter `bias`: Fan in and fan out can not be computed"), "{}", found.message);
    assert_eq!(found.place.line, line);
}

/// The same seed and name, the same numbers; another parameter beside it changes nothing.
#[test]
fn numbers_depend_on_the_seed_and_the_name() {
    let drawn = |seed, wide: bool| {
        let layer = Linear::new(3, 5);
        init::orthogonal(&layer.weight, 2.0);
        let extra = if wide { Some(Linear::new(3, 3)) } else { None };
        let training = Training::new("net", Pair { layer, extra })
            .input("x", DType::F32, [1, 3])
            .predict(|model, batch| model.layer.forward(batch["x"]))
            .loss(|model, batch| model.layer.forward(batch["x"]).mean_all());
        let trainer = Compiler::new().seed(seed).jit(&training).expect("it compiles");
        trainer.session().slot_as::<f32>("layer.weight").expect("it has the slot").to_vec()
    };
    let weight = drawn(1, false);
    assert_eq!(weight, drawn(1, true));
    assert_ne!(weight, drawn(2, false));
    let column = |j: usize| (0..5).map(move |i| i * 3 + j);
    for (a, b, expected) in [(0, 0, 4.0), (0, 1, 0.0), (1, 2, 0.0), (2, 2, 4.0)] {
        let product: f32 = column(a).zip(column(b)).map(|(a, b)| weight[a] * weight[b]).sum();
        assert!((product - expected).abs() < 1e-5, "columns {a} and {b}: {product}");
    }
}

#[model]
struct Pair {
    layer: Linear,
    extra: Option<Linear>,
}
