//! Weights from files into programs: of PyTorch, of another model, of a part of one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln::Compiler;
use kiln::prelude::*;
use kiln::runtime::Trainer;
use kiln::runtime::checkpoint::{self, CheckpointError, Load};
use kiln_tests::support::{root, state};

#[model]
struct Net {
    conv: Conv2d,
    bn: BatchNorm2d,
    fc: Linear,
}

#[model]
impl Net {
    fn new(classes: usize) -> Net {
        Net { conv: Conv2d::new(2, 4, 3).padding(1), bn: BatchNorm2d::new(4), fc: Linear::new(4 * 6 * 6, classes) }
    }

    fn forward(&self, x: Tensor) -> Tensor {
        let x = self.bn(self.conv(x)).relu();
        self.fc(x.flatten(1, -1))
    }
}

/// The layers of `Net` in another model, as PSPNet has those of a ResNet.
#[model]
struct Backbone {
    layer0: Sequential<(Conv2d, BatchNorm2d, Relu)>,
    cls: Linear,
}

#[model]
impl Backbone {
    fn forward(&self, x: Tensor) -> Tensor {
        self.cls(self.layer0(x).flatten(1, -1))
    }
}

/// Trained with momentum, so that there is a state of the optimiser.
fn trainer<M>(model: M) -> Trainer
where
    M: Module + Forward<Tensor, Output = Tensor> + 'static,
{
    let training = Training::new("net", model)
        .max_batch(2)
        .input("x", DType::F32, [BATCH, Dim::fixed(2), Dim::fixed(6), Dim::fixed(6)])
        .predict(|model, batch| model.forward(batch["x"]))
        .loss(|model, batch| model.forward(batch["x"]).square().mean_all())
        .optimizer(Sgd::new(0.1).momentum(0.9));
    Compiler::new().jit(&training).unwrap_or_else(|error| panic!("{}", error.render()))
}

fn torch_file() -> PathBuf {
    root().join("runtime/tests/torch/network.pt")
}

fn net() -> Load {
    Load { key: Some("net".to_owned()), ..Load::default() }
}

fn strings<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn f32s(name: &str) -> Vec<f32> {
    let file = checkpoint::load(torch_file()).expect("the file is PyTorch's");
    file.get(name).and_then(|tensor| tensor.to_f32s()).expect("the file has the tensor")
}

fn assert_near(found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    let near = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(near, "{found:?} is not {wanted:?}");
}

/// SV-02, SV-06, SV-10: `torch.save({'net': .., 'optimizer': .., 'epoch': 3})` of a network in `channels_last`, whose weights are strided.
#[test]
fn a_checkpoint_of_pytorch_gives_its_logits() {
    let (x, logits) = (f32s("x"), f32s("logits"));
    let mut trainer = trainer(Net::new(3));
    let fresh = trainer.predict(&[(&x).into()]).expect("x is a batch").to_vec();
    assert!(fresh.iter().zip(&logits).any(|(a, b)| (a - b).abs() > 1e-3), "the start is another: {fresh:?}");
    let loaded = trainer.load(torch_file(), &net()).expect("the names are PyTorch's, and no moment is missing");
    assert_eq!((loaded.missing.len(), loaded.unexpected.len()), (0, 0));
    assert_eq!(loaded.metadata.get("epoch").map(String::as_str), Some("3"));
    assert_near(trainer.predict(&[(&x).into()]).expect("x is a batch"), &logits);
    assert_eq!(trainer.slot("bn.num_batches_tracked").expect("it is a buffer").first_f64(), Some(1.0));
}

/// MO-32, SV-08: what PyTorch's `load_state_dict` raises, and what it returns.
#[test]
fn names_count_if_strict_and_shapes_always() {
    let mut other = trainer(Backbone {
        layer0: Sequential::new((Conv2d::new(2, 4, 3).padding(1), BatchNorm2d::new(4), Relu)),
        cls: Linear::new(144, 3),
    });
    let before = state(&other);
    let error = other.load(torch_file(), &net()).expect_err("no name is the same");
    let CheckpointError::Mismatch { report, .. } = error else { panic!("{error}") };
    assert_eq!((report.missing.len(), report.unexpected.len()), (9, 9));
    let loaded = other.load(torch_file(), &Load { strict: false, ..net() }).expect("nothing is read");
    assert_eq!(loaded.missing[..2], strings(["layer0.0.weight", "layer0.0.bias"]));
    assert_eq!(loaded.unexpected[..2], strings(["bn.bias", "bn.num_batches_tracked"]));
    assert!(state(&other) == before);

    let mut wider = trainer(Net::new(5));
    let before = state(&wider);
    let error = wider.load(torch_file(), &Load { strict: false, ..net() }).expect_err("the head is another");
    let message = error.to_string();
    assert!(message.contains("network.pt` does not fit the model"), "{message}");
    assert!(message.contains("shape of `fc.weight`: the model has f32[5,144], the file has f32[3,144]"), "{message}");
    assert!(message.contains("shape of `fc.bias`: the model has f32[5], the file has f32[3]"), "{message}");
    assert!(state(&wider) == before, "what is refused changes nothing");
}

/// MO-34, P-26: another number of classes on trained features.
#[test]
fn the_head_stays_and_the_rest_is_loaded() {
    let mut whole = trainer(Net::new(3));
    whole.load(torch_file(), &net()).expect("it fits");
    let mut tuned = trainer(Net::new(5));
    let fresh = state(&tuned);
    let exclude = strings(["fc"]);
    let loaded = tuned.load(torch_file(), &Load { exclude, ..net() }).expect("the rest fits, strictly");
    assert_eq!((loaded.missing.len(), loaded.unexpected.len()), (0, 0));
    let of = |state: &[(String, Vec<u8>)], name: &str| {
        state.iter().find(|(slot, _)| slot == name).map(|(_, bytes)| bytes.clone()).expect("the slot is there")
    };
    let (whole, now) = (state(&whole), state(&tuned));
    for name in ["conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"] {
        assert_eq!(of(&now, name), of(&whole, name), "{name}");
    }
    for name in ["fc.weight", "fc.bias", "lr"] {
        assert_eq!(of(&now, name), of(&fresh, name), "{name}");
    }
    let before = f32s("x");
    let first = tuned.train_step(&[(&before).into()]).expect("it trains");
    let second = tuned.train_step(&[(&before).into()]).expect("it trains");
    assert!(second < first, "{first} and then {second}");
}

/// The moments of a layer go with it.
#[test]
fn a_run_goes_on_with_another_head() {
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let path = folder.path().join("run.safetensors");
    let mut whole = trainer(Net::new(3));
    whole.train_step(&[(&f32s("x")).into()]).expect("it trains");
    whole.save(&path, &BTreeMap::new()).expect("the folder is writable");
    let mut tuned = trainer(Net::new(5));
    let message = tuned.load(&path, &Load::partial()).expect_err("the head is another").to_string();
    assert!(message.contains("shape of `optimizer.fc.weight.momentum_buffer`"), "{message}");
    let headless = Load { exclude: strings(["fc"]), ..Load::default() };
    tuned.load(&path, &headless).expect("the rest fits, strictly");
    let bytes = |trainer: &Trainer, name: &str| trainer.slot(name).expect("the slot is there").bytes().to_vec();
    let moments = "optimizer.conv.weight.momentum_buffer";
    assert_eq!(bytes(&tuned, moments), bytes(&whole, moments));
    assert!(bytes(&whole, moments).iter().any(|&byte| byte != 0));
    assert!(bytes(&tuned, "optimizer.fc.weight.momentum_buffer").iter().all(|&byte| byte == 0));
}

/// MO-33, P-09: a file of one model for another one that took its layers.
#[test]
fn renamed_layers_keep_their_weights() {
    let Net { conv, bn, fc } = Net::new(3);
    let mut backbone = trainer(Backbone { layer0: Sequential::new((conv, bn, Relu)), cls: fc });
    let error = backbone.load(torch_file(), &net()).expect_err("the names are others");
    let CheckpointError::Mismatch { report, .. } = error else { panic!("{error}") };
    let rename: Vec<(String, String)> = report.renames.into_iter().map(|rename| (rename.from, rename.to)).collect();
    let expected = [("conv.", "layer0.0."), ("bn.", "layer0.1."), ("fc.", "cls.")];
    assert_eq!(rename, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
    backbone.load(torch_file(), &Load { rename, ..net() }).expect("all have their names now");
    assert_near(backbone.predict(&[(&f32s("x")).into()]).expect("x is a batch"), &f32s("logits"));
}

#[test]
fn a_file_with_several_dicts_asks_which() {
    let mut trainer = trainer(Net::new(3));
    let wrong = |key: &str| Load { key: Some(key.to_owned()), ..Load::default() };
    let message = trainer.load(torch_file(), &wrong("model")).expect_err("there is no such dict").to_string();
    assert!(message.contains("network.pt`: `model` is no dict with tensors"), "{message}");
    assert!(message.contains("there are its own, `net`, `optimizer.state.0`, "), "{message}");
}
