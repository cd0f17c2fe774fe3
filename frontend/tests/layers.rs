//! The state of layers, against what PyTorch lists for the same ones: names, shapes and how they start.

use kiln_frontend::layers::*;
use kiln_frontend::{Initializer, Module, named_buffers, named_parameters};

/// Every parameter and buffer with its shape, and the bound of the weight if it is drawn.
fn state(layer: &dyn Module) -> String {
    let parameters = named_parameters(layer).into_iter().map(|(name, parameter)| {
        let start = match parameter.initializer() {
            Initializer::Uniform { high, .. } => format!(" ±{high:.4}"),
            Initializer::Constant(value) => format!(" {value}"),
            Initializer::Zeros => " 0".to_owned(),
            other => format!(" {other:?}"),
        };
        format!("{name} {:?}{start}", parameter.shape())
    });
    let buffers = named_buffers(layer).into_iter().map(|(name, buffer)| format!("{name} {:?}", buffer.shape()));
    format!("{}: {}", layer.type_name(), parameters.chain(buffers).collect::<Vec<_>>().join(", "))
}

#[test]
fn layers_have_the_state_of_pytorch() {
    let layers: Vec<Box<dyn Module>> = vec![
        Box::new(Linear::new(16, 3)),
        Box::new(Conv1d::new(4, 6, 4)),
        Box::new(Conv2d::new(3, 64, 3)),
        Box::new(Conv2d::new(8, 8, [3, 5]).groups(8).bias(false)),
        Box::new(Conv3d::new(1, 2, 2)),
        Box::new(ConvTranspose2d::new(4, 6, 2).groups(2)),
        Box::new(BatchNorm1d::new(5)),
        Box::new(BatchNorm2d::new(5).affine(false)),
        Box::new(BatchNorm3d::new(5).track_running_stats(false)),
        Box::new(InstanceNorm2d::new(5)),
        Box::new(InstanceNorm1d::new(5).affine(true).track_running_stats(true)),
        Box::new(LayerNorm::new([4, 5])),
        Box::new(LayerNorm::new([4]).bias(false)),
        Box::new(RmsNorm::new([4])),
        Box::new(GroupNorm::new(2, 6)),
        Box::new(LocalResponseNorm::new(5)),
        Box::new(AdaptiveAvgPool2d::new(1)),
    ];
    let states: Vec<String> = layers.iter().map(|layer| state(layer.as_ref())).collect();
    insta::assert_snapshot!("layers", states.join("\n"));
}
