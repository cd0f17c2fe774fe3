//! Layers of `torch.nn` by name and keyword arguments.

use kiln::prelude::*;

use super::super::optimizer::{Args, Arguments};
use super::Unsupported;

/// The layer of this class with its default options but for these.
pub(super) fn layer(class: &str, args: &Args) -> Result<Box<dyn Module>, Unsupported> {
    let mut args = Arguments::new(class, args);
    let (ins, outs, kernel) =
        (args.count("in_channels", 0)?, args.count("out_channels", 0)?, args.count("kernel_size", 0)?);
    let groups = args.count("groups", 1)?;
    let (inputs, hidden) = (args.count("input_size", 0)?, args.count("hidden_size", 0)?);
    let features = args.count("num_features", 0)?;
    let layer: Box<dyn Module> = match class {
        "Linear" => Box::new(Linear::new(args.count("in_features", 0)?, args.count("out_features", 0)?)),
        "Conv1d" => Box::new(Conv1d::new(ins, outs, kernel).groups(groups)),
        "Conv2d" => Box::new(Conv2d::new(ins, outs, kernel).groups(groups)),
        "Conv3d" => Box::new(Conv3d::new(ins, outs, kernel).groups(groups)),
        "ConvTranspose1d" => Box::new(ConvTranspose1d::new(ins, outs, kernel).groups(groups)),
        "ConvTranspose2d" => Box::new(ConvTranspose2d::new(ins, outs, kernel).groups(groups)),
        "ConvTranspose3d" => Box::new(ConvTranspose3d::new(ins, outs, kernel).groups(groups)),
        "RNNCell" => Box::new(RnnCell::new(inputs, hidden)),
        "LSTMCell" => Box::new(LstmCell::new(inputs, hidden)),
        "GRUCell" => Box::new(GruCell::new(inputs, hidden)),
        "BatchNorm1d" => Box::new(BatchNorm1d::new(features)),
        "BatchNorm2d" => Box::new(BatchNorm2d::new(features)),
        "BatchNorm3d" => Box::new(BatchNorm3d::new(features)),
        "LayerNorm" => {
            let shape: Vec<usize> =
                args.counts("normalized_shape")?.into_iter().map(|extent| extent as usize).collect();
            Box::new(LayerNorm::new(shape))
        }
        "GroupNorm" => Box::new(GroupNorm::new(args.count("num_groups", 1)?, args.count("num_channels", 0)?)),
        "Bilinear" => {
            let (first, second) = (args.count("in1_features", 0)?, args.count("in2_features", 0)?);
            Box::new(Bilinear::new(first, second, args.count("out_features", 0)?))
        }
        "Embedding" => {
            let embedding = Embedding::new(args.count("num_embeddings", 0)?, args.count("embedding_dim", 0)?);
            match args.take("padding_idx", None, |json| Some(json.as_i64()))? {
                Some(row) => Box::new(embedding.padding_idx(row)),
                None => Box::new(embedding),
            }
        }
        "PReLU" => Box::new(Prelu::new(args.count("num_parameters", 1)?)),
        "MultiheadAttention" => {
            Box::new(MultiheadAttention::new(args.count("embed_dim", 0)?, args.count("num_heads", 1)?))
        }
        other => return Err(Unsupported(format!("layer {other}"))),
    };
    args.finish()?;
    Ok(layer)
}
