//! The loop written by hand, for those who want to see each step: an MLP on digits, with its own schedule and its own report.

use std::error::Error;

use kiln::prelude::*;
use kiln::runtime::data::{DataLoader, digits};
use kiln::runtime::metrics::{Accuracy, Mean};

#[model]
struct Mlp {
    hidden: Linear,
    output: Linear,
}

#[model]
impl Mlp {
    fn forward(&self, x: Tensor) -> Tensor {
        let h = self.hidden(x.flatten(1, -1)).tanh();
        self.output(h)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = Mlp { hidden: Linear::new(64, 64), output: Linear::new(64, 10) };
    let training = Training::new("mlp", model)
        .max_batch(50)
        .input("x", DType::F32, [BATCH, Dim::fixed(1), Dim::fixed(8), Dim::fixed(8)])
        .input("y", DType::I64, [BATCH])
        .predict(|model, batch| model.forward(batch["x"]))
        .loss(|model, batch| cross_entropy(model.forward(batch["x"]), batch["y"]))
        .optimizer(Sgd::new(0.5).momentum(0.9));
    let mut trainer = kiln::Compiler::new().jit(&training).map_err(|error| error.render())?;

    let (train, test) = digits::split();
    let train = DataLoader::new(train).batch_size(50).shuffle(true).seed(1);
    let test = DataLoader::new(test).batch_size(50);
    for epoch in 0..20 {
        trainer.set_learning_rate(0.2 * 0.9_f64.powi(epoch))?;
        let mut loss = Mean::default();
        for batch in train.epoch(epoch as u64) {
            let batch = batch?;
            let step = trainer.train_step(&[batch.f32s("x")?.into(), batch.i64s("y")?.into()])?;
            loss.add(f64::from(step), batch.size());
        }
        let mut accuracy = Accuracy::default();
        for batch in test.epoch(0) {
            let batch = batch?;
            accuracy.add(trainer.predict(&[batch.f32s("x")?.into()])?, batch.i64s("y")?)?;
        }
        let (loss, accuracy) = (loss.over_samples().unwrap_or(f64::NAN), accuracy.fraction().unwrap_or(f64::NAN));
        println!("epoch {:>2}  loss {loss:.4}  accuracy {:.2} %", epoch + 1, accuracy * 100.0);
    }
    Ok(())
}
