//! Layers of `torch.nn` by name and keyword arguments.

use kiln::prelude::*;

use super::super::optimizer::{Args, Arguments};
use super::Unsupported;

/// A layer of `N` spatial axes with what its family shares.
macro_rules! convolution {
    ($args:ident, $layer:ident, $axes:literal $(, $option:ident)*) => {{
        let (ins, outs) = ($args.count("in_channels", 0)?, $args.count("out_channels", 0)?);
        let layer = $layer::new(ins, outs, $args.per_axis::<$axes>("kernel_size", 1)?)
            .stride($args.per_axis::<$axes>("stride", 1)?)
            .padding($args.per_axis::<$axes>("padding", 0)?)
            .dilation($args.per_axis::<$axes>("dilation", 1)?)
            $(.$option($args.per_axis::<$axes>(stringify!($option), 0)?))*
            .groups($args.count("groups", 1)?)
            .bias($args.flag("bias", true)?);
        Box::new(layer)
    }};
}

macro_rules! batch_norm {
    ($args:ident, $layer:ident) => {{
        let layer = $layer::new($args.count("num_features", 0)?)
            .eps($args.number("eps", 1e-5)?)
            .momentum($args.number("momentum", 0.1)?)
            .affine($args.flag("affine", true)?)
            .track_running_stats($args.flag("track_running_stats", true)?);
        Box::new(layer)
    }};
}

macro_rules! cell {
    ($args:ident, $layer:ident) => {{
        let (inputs, hidden) = ($args.count("input_size", 0)?, $args.count("hidden_size", 0)?);
        Box::new($layer::new(inputs, hidden).bias($args.flag("bias", true)?))
    }};
}

/// The layer of this class with its default options but for these.
pub(super) fn layer(class: &str, args: &Args) -> Result<Box<dyn Module>, Unsupported> {
    let mut args = Arguments::new(class, args);
    let layer: Box<dyn Module> = match class {
        "Linear" => {
            let linear = Linear::new(args.count("in_features", 0)?, args.count("out_features", 0)?);
            Box::new(linear.bias(args.flag("bias", true)?))
        }
        "Conv1d" => convolution!(args, Conv1d, 1),
        "Conv2d" => convolution!(args, Conv2d, 2),
        "Conv3d" => convolution!(args, Conv3d, 3),
        "ConvTranspose1d" => convolution!(args, ConvTranspose1d, 1, output_padding),
        "ConvTranspose2d" => convolution!(args, ConvTranspose2d, 2, output_padding),
        "ConvTranspose3d" => convolution!(args, ConvTranspose3d, 3, output_padding),
        "RNNCell" => cell!(args, RnnCell),
        "LSTMCell" => cell!(args, LstmCell),
        "GRUCell" => cell!(args, GruCell),
        "BatchNorm1d" => batch_norm!(args, BatchNorm1d),
        "BatchNorm2d" => batch_norm!(args, BatchNorm2d),
        "BatchNorm3d" => batch_norm!(args, BatchNorm3d),
        "LayerNorm" => {
            let shape: Vec<usize> =
                args.counts("normalized_shape")?.into_iter().map(|extent| extent as usize).collect();
            let norm = LayerNorm::new(shape).eps(args.number("eps", 1e-5)?);
            let affine = args.flag("elementwise_affine", true)?;
            Box::new(norm.elementwise_affine(affine).bias(args.flag("bias", true)?))
        }
        "GroupNorm" => {
            let norm = GroupNorm::new(args.count("num_groups", 1)?, args.count("num_channels", 0)?);
            Box::new(norm.eps(args.number("eps", 1e-5)?).affine(args.flag("affine", true)?))
        }
        "Bilinear" => {
            let (first, second) = (args.count("in1_features", 0)?, args.count("in2_features", 0)?);
            let bilinear = Bilinear::new(first, second, args.count("out_features", 0)?);
            Box::new(bilinear.bias(args.flag("bias", true)?))
        }
        "Embedding" => {
            let embedding = Embedding::new(args.count("num_embeddings", 0)?, args.count("embedding_dim", 0)?)
                .scale_grad_by_freq(args.flag("scale_grad_by_freq", false)?);
            match args.take("padding_idx", None, |json| Some(json.as_i64()))? {
                Some(row) => Box::new(embedding.padding_idx(row)),
                None => Box::new(embedding),
            }
        }
        "PReLU" => Box::new(Prelu::new(args.count("num_parameters", 1)?)),
        "MultiheadAttention" => {
            let attention = MultiheadAttention::new(args.count("embed_dim", 0)?, args.count("num_heads", 1)?);
            Box::new(attention.bias(args.flag("bias", true)?).dropout(args.number("dropout", 0.0)?))
        }
        other => return Err(Unsupported(format!("layer {other}"))),
    };
    args.all_taken()?;
    Ok(layer)
}
