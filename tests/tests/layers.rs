//! Layers against hand numbers: activations, padding, embeddings, distances, attention, and losses as modules.

use kiln::functional::Reduction;
use kiln::prelude::*;
use kiln::runtime::Trainer;
use kiln::{Compiler, Forward};

/// A layer as a model of one input, with its weights.
fn compiled<M>(layer: M, shape: &[usize], dtype: DType) -> Trainer
where
    M: Module + Forward<Tensor, Output = Tensor> + 'static,
{
    let has_weights = !parameters(&layer).is_empty();
    let mut training = Training::new("layer", layer)
        .input("x", dtype, shape)
        .predict(|layer, batch| layer.forward(batch["x"]))
        .loss(|layer, batch| layer.forward(batch["x"]).square().sum_all());
    if has_weights {
        training = training.optimizer(Sgd::new(0.5));
    }
    Compiler::new().jit(&training).unwrap_or_else(|error| panic!("{}", error.render()))
}

/// What a layer gives for some elements.
fn applied<M: Module + Forward<Tensor, Output = Tensor> + 'static>(layer: M, shape: &[usize], x: &[f32]) -> Vec<f32> {
    compiled(layer, shape, DType::F32).predict(&[x.into()]).expect("it runs").to_vec()
}

fn close(got: &[f32], wanted: &[f32]) {
    let fits = got.len() == wanted.len() && got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 2e-5);
    assert!(fits, "{got:?} instead of {wanted:?}");
}

#[test]
fn activations() {
    let x = [-2.0, -0.25, 0.0, 0.5, 7.0];
    let on = |layer: Box<dyn kiln::Layer>| applied(layer, &[1, 5], &x);
    let cases: Vec<(Box<dyn kiln::Layer>, [f32; 5])> = vec![
        (Box::new(Identity), x),
        (Box::new(Relu), [0.0, 0.0, 0.0, 0.5, 7.0]),
        (Box::new(Relu6), [0.0, 0.0, 0.0, 0.5, 6.0]),
        (Box::new(LeakyRelu::default().negative_slope(0.2)), [-0.4, -0.05, 0.0, 0.5, 7.0]),
        (Box::new(Hardtanh::default()), [-1.0, -0.25, 0.0, 0.5, 1.0]),
        (Box::new(Elu::default()), [-0.864_665, -0.221_199, 0.0, 0.5, 7.0]),
        (Box::new(Silu), [-0.238_406, -0.109_456, 0.0, 0.311_230, 6.993_62]),
        (Box::new(Gelu::default()), [-0.045_500, -0.100_323, 0.0, 0.345_731, 7.0]),
        (Box::new(Softsign), [-0.666_667, -0.2, 0.0, 0.333_333, 0.875]),
        (Box::new(Softplus::default()), [0.126_928, 0.575_940, std::f32::consts::LN_2, 0.974_077, 7.000_912]),
        (Box::new(Hardshrink::default()), [-2.0, 0.0, 0.0, 0.0, 7.0]),
        (Box::new(Softshrink::default()), [-1.5, 0.0, 0.0, 0.0, 6.5]),
        (Box::new(Tanhshrink), [-1.035_972, -0.005_081, 0.0, 0.037_883, 6.000_002]),
        (Box::new(Threshold::default().threshold(0.1).value(9.0)), [9.0, 9.0, 9.0, 0.5, 7.0]),
        (Box::new(Prelu::new(1)), [-0.5, -0.0625, 0.0, 0.5, 7.0]),
    ];
    for (layer, wanted) in cases {
        close(&on(layer), &wanted);
    }
    close(&applied(Glu::default(), &[1, 4], &[1.0, -2.0, 0.0, 2.0]), &[0.5, -1.761_594]);
    let rows: Vec<f32> = (1..=9).map(|number| number as f32).collect();
    close(&applied(Softmax::default().dim(0), &[3, 3], &rows)[..3], &[0.002_356, 0.002_356, 0.002_356]);
    close(&applied(Softmax::default().dim(1), &[3, 3], &rows)[..3], &[0.090_031, 0.244_728, 0.665_241]);
    close(&applied(Softmax2d, &[1, 2, 1, 1], &[0.0, 3.0_f32.ln()]), &[0.25, 0.75]);
}

#[test]
fn padding() {
    let x = [1.0, 2.0, 3.0];
    let on = |layer: Box<dyn kiln::Layer>| applied(layer, &[1, 1, 3], &x);
    close(&on(Box::new(ReflectionPad1d::new(2))), &[3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
    close(&on(Box::new(ReplicationPad1d::new([2, 0]))), &[1.0, 1.0, 1.0, 2.0, 3.0]);
    close(&on(Box::new(CircularPad1d::new(1))), &[3.0, 1.0, 2.0, 3.0, 1.0]);
    close(&on(Box::new(ZeroPad1d::new([0, 1]))), &[1.0, 2.0, 3.0, 0.0]);
    close(&on(Box::new(ConstantPad1d::new(1, -5.0))), &[-5.0, 1.0, 2.0, 3.0, -5.0]);
    let seven = applied(ReflectionPad2d::new(2), &[1, 1, 3, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    close(&seven[..7], &[8.0, 7.0, 6.0, 7.0, 8.0, 7.0, 6.0]);
}

/// The padding row starts as zeros and stays so.
#[test]
fn an_embedding_with_a_padding_row() {
    let mut trainer = compiled(Embedding::new(4, 2).padding_idx(-1), &[3], DType::I64);
    let table = |trainer: &Trainer| trainer.session().slot_as::<f32>("weight").unwrap().to_vec();
    let before = table(&trainer);
    assert_eq!(before[6..], [0.0, 0.0]);
    trainer.train_step(&[(&[0_i64, 3, 1]).into()]).expect("it runs");
    let after = table(&trainer);
    assert!(
        after[..4] != before[..4] && after[4..] == before[4..],
        "rows 0 and 1 are trained, 2 is not used, 3 is padding"
    );
    let error = trainer.train_step(&[(&[0_i64, 4, 1]).into()]).unwrap_err().to_string();
    assert!(error.contains("index 4"), "{error}");
}

/// Two inputs as one: the halves of a row.
#[model]
struct Halves<M> {
    layer: M,
}

impl<M: Forward<(Tensor, Tensor), Output = Tensor>> Forward<Tensor> for Halves<M> {
    type Output = Tensor;

    fn forward(&self, x: Tensor) -> Tensor {
        let parts = x.chunk(2, 1);
        self.layer.forward((parts[0], parts[1]))
    }
}

#[test]
fn layers_of_two_inputs() {
    let x = [1.0, 2.0, 2.0, 1.0];
    close(&applied(Halves { layer: CosineSimilarity::default() }, &[1, 4], &x), &[0.8]);
    close(&applied(Halves { layer: PairwiseDistance::default() }, &[1, 4], &x), &[2.0_f32.sqrt()]);
    let bilinear = Bilinear::new(2, 2, 1).bias(false);
    init::ones(&bilinear.weight);
    close(&applied(Halves { layer: bilinear }, &[1, 4], &x), &[9.0]);
}

/// Identity projections: attention weights are softmaxes of the tokens' products, head by head.
#[test]
fn attention() {
    let attention = |heads, mask: fn(Tensor) -> MultiheadMask| {
        let layer = MultiheadAttention::new(2, heads);
        let stacked = [1.0, 0.0, 0.0, 1.0].repeat(3);
        layer.in_proj_weight.set_initializer(Initializer::Data(stacked));
        init::eye(&layer.out_proj.weight);
        Masked { layer, mask }
    };
    let x = [1.0, 0.0, 0.0, 1.0];
    let e = (1.0 / 2.0_f32.sqrt()).exp();
    let (near, far) = (e / (e + 1.0), 1.0 / (e + 1.0));
    close(&applied(attention(1, |_| MultiheadMask::default()), &[1, 2, 2], &x), &[near, far, far, near]);
    let causal = |_: Tensor| MultiheadMask { is_causal: true, ..MultiheadMask::default() };
    close(&applied(attention(1, causal), &[1, 2, 2], &x), &[1.0, 0.0, far, near]);
    let padded = |_: Tensor| {
        let key_padding_mask = Some(kiln::functional::tensor([[false, true]]));
        MultiheadMask { key_padding_mask, ..MultiheadMask::default() }
    };
    close(&applied(attention(1, padded), &[1, 2, 2], &x), &[1.0, 0.0, 1.0, 0.0]);
    let e = 1.0_f32.exp();
    let (near, half) = (e / (e + 1.0), 0.5);
    close(&applied(attention(2, |_| MultiheadMask::default()), &[1, 2, 2], &x), &[near, half, half, near]);
}

#[model]
struct Masked {
    layer: MultiheadAttention,
    mask: fn(Tensor) -> MultiheadMask,
}

#[model]
impl Masked {
    fn forward(&self, x: Tensor) -> Tensor {
        self.layer.forward((x, x, x, (self.mask)(x)))
    }
}

/// A loss as a module is its function with the module's options.
#[test]
fn losses() {
    let x = [0.9_f32, 0.1, 0.8, 0.2, 0.7, 0.3];
    let labels = [1_i64, 0, 1];
    let of = |loss: CrossEntropyLoss| {
        let training = Training::new("loss", Identity)
            .input("x", DType::F32, [3, 2])
            .input("y", DType::I64, [3])
            .predict(move |_, batch| loss.forward(batch["x"], batch["y"]).reshape([-1]));
        let mut trainer = Compiler::new().jit(&training).expect("it compiles");
        trainer.predict(&[(&x).into(), (&labels).into()]).expect("it runs").to_vec()
    };
    close(&of(CrossEntropyLoss::default()), &[0.840_535]);
    close(&of(CrossEntropyLoss::default().ignore_index(0)), &[1.042_05]);
    let each = CrossEntropyLoss::default().reduction(Reduction::None);
    close(&of(each), &[1.171_101, 0.437_488, 0.913_015]);
    let weighted = CrossEntropyLoss::default().weight(Some(vec![1.0, 3.0])).reduction(Reduction::Sum);
    close(&of(weighted), &[3.0 * 1.171_1 + 0.437_488 + 3.0 * 0.913_015]);

    let regression = |loss: Box<dyn Fn(Tensor, Tensor) -> Tensor>| {
        let training = Training::new("loss", Identity)
            .input("x", DType::F32, [2, 3])
            .input("y", DType::F32, [2, 3])
            .predict(move |_, batch| loss(batch["x"], batch["y"]).reshape([1]));
        let mut trainer = Compiler::new().jit(&training).expect("it compiles");
        let y = [1.0_f32, 0.0, 1.0, 0.0, 1.0, 0.0];
        trainer.predict(&[(&x).into(), (&y).into()]).expect("it runs")[0]
    };
    close(&[regression(Box::new(|x, y| MseLoss::default().forward(x, y)))], &[0.046_667]);
    close(&[regression(Box::new(|x, y| L1Loss::default().reduction(Reduction::Sum).forward(x, y)))], &[1.2]);
    close(&[regression(Box::new(|x, y| BceLoss::default().forward(x, y)))], &[0.228_393]);
    let positive = BceWithLogitsLoss::default().pos_weight(Some(vec![2.0, 2.0, 2.0]));
    close(&[regression(Box::new(move |x, y| positive.forward(x, y)))], &[0.771_295]);
    close(&[regression(Box::new(|x, y| HuberLoss::default().delta(0.15).forward(x, y)))], &[0.019_167]);
}
