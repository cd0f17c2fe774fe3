//! `zoo FOLDER`: models of the zoo with torchvision's weights, against torchvision's logits. `tests/python/zoo.py` writes the folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use kiln::prelude::*;
use kiln::runtime::Trainer;
use kiln::runtime::checkpoint::Load;
use kiln::zoo::{AlexNet, MobileNetV2, ResNet, ResNetConfig, ResNetDepth, Vgg, VggDepth};
use kiln_ir::interpret::Value;
use kiln_tests::conformance::TensorFile;

/// Compares logits with those of torchvision.
#[derive(Parser)]
struct Arguments {
    /// What `zoo.py logits` wrote.
    folder: PathBuf,
}

/// The share of the largest logit that an error may have.
const TOLERANCE: f64 = 1e-4;

type Make = fn(&[usize]) -> Result<Trainer, String>;

const MODELS: &[(&str, Make)] = &[
    ("resnet18", |x| compiled(ResNet::new(ResNetConfig::new(ResNetDepth::ResNet18)), x)),
    ("resnet50", |x| compiled(ResNet::new(ResNetConfig::new(ResNetDepth::ResNet50)), x)),
    ("vgg16", |x| compiled(Vgg::new(VggDepth::Vgg16, false, 1000), x)),
    ("vgg11_bn", |x| compiled(Vgg::new(VggDepth::Vgg11, true, 1000), x)),
    ("alexnet", |x| compiled(AlexNet::new(1000), x)),
    ("mobilenet_v2", |x| compiled(MobileNetV2::new(1.0, 1000), x)),
];

fn main() -> ExitCode {
    let Arguments { folder } = Arguments::parse();
    let mut failed = false;
    for (name, make) in MODELS {
        for weights in ["safetensors", "pth"] {
            let said = compare(&folder, name, weights, *make);
            failed |= !matches!(said, Ok((_, true)));
            let text = said.map_or_else(|error| error, |(text, _)| text);
            println!("{name}.{weights}: {text}");
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What came out, and whether it is good.
fn compare(folder: &Path, name: &str, weights: &str, make: Make) -> Result<(String, bool), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let file = TensorFile::read(&folder.join(format!("{name}.logits.safetensors"))).map_err(|error| text(&error))?;
    let tensor = |key: &str| file.get(key).map_err(|error| text(&error));
    let (x, logits, exact) = (tensor("x")?, tensor("logits")?, tensor("exact")?);
    let mut trainer = make(&x.shape)?;
    trainer.load(folder.join(format!("{name}.{weights}")), &Load::default()).map_err(|error| text(&error))?;
    let images: Vec<f32> = x.data.iter().map(|&value| value as f32).collect();
    let found = trainer.predict(&[(&images).into()]).map_err(|error| text(&error))?;
    let found: Vec<f64> = found.iter().copied().map(f64::from).collect();
    let largest = exact.data.iter().fold(0.0, |most: f64, value| value.abs().max(most));
    let error = |other: &Value| {
        other
            .data
            .iter()
            .zip(&found)
            .fold(0.0, |most: f64, (a, b)| if (a - b).abs() > most { (a - b).abs() } else { most })
    };
    let good = found.len() == exact.data.len() && error(exact) <= TOLERANCE * largest;
    let (theirs, ours) = (error(logits), error(exact));
    let verdict = if good { "same logits" } else { "OTHER LOGITS" };
    Ok((format!("{verdict}: {theirs:.1e} from PyTorch's, {ours:.1e} from those in f64, of {largest:.2}"), good))
}

fn compiled<M: Module + Forward<Tensor, Output = Tensor> + 'static>(model: M, x: &[usize]) -> Result<Trainer, String> {
    let mut shape: Vec<Dim> = x.iter().map(|&extent| Dim::fixed(extent)).collect();
    shape[0] = BATCH;
    let training = Training::new("model", model)
        .max_batch(x[0])
        .input("x", DType::F32, shape)
        .predict(|model, batch| model.forward(batch["x"]));
    kiln::Compiler::new().jit(&training).map_err(|error| error.to_string())
}
