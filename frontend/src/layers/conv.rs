//! `nn.Conv2d`.

use kiln_ir::Init;

use crate::functional::Window;
use crate::{Forward, Member, Module, Parameter, Scope, Tensor, Visitor};

/// Two-dimensional convolution (cross-correlation) of `[batch, in, h, w]`.
///
/// Parameters: `weight` `[out, in/groups, kernel, kernel]` and `bias` `[out]`, both uniform on ±1/√(in/groups · kernel²) (PyTorch's
/// default).
#[derive(Debug, Clone)]
pub struct Conv2d {
    /// `[out_channels, in_channels/groups, kernel, kernel]`.
    pub weight: Parameter,
    /// `[out_channels]`.
    pub bias: Option<Parameter>,
    in_channels: usize,
    window: Window,
}

impl Conv2d {
    /// A square kernel, stride 1, no padding, with a bias.
    #[track_caller]
    pub fn new(in_channels: usize, out_channels: usize, kernel: usize) -> Conv2d {
        let init = init(in_channels * kernel * kernel);
        Conv2d {
            weight: Parameter::new([out_channels, in_channels, kernel, kernel], init.clone()),
            bias: Some(Parameter::new([out_channels], init)),
            in_channels,
            window: Window::default(),
        }
    }

    /// The distance between windows.
    #[must_use]
    pub fn stride(mut self, stride: usize) -> Conv2d {
        self.window.stride = [stride; 2];
        self
    }

    /// Zeros on every side.
    #[must_use]
    pub fn padding(mut self, padding: usize) -> Conv2d {
        self.window.padding = [padding; 2];
        self
    }

    /// The distance between the taps of a window.
    #[must_use]
    pub fn dilation(mut self, dilation: usize) -> Conv2d {
        self.window.dilation = [dilation; 2];
        self
    }

    /// Divides the channels into groups that do not see each other. The trace reports counts that do not divide.
    #[must_use]
    #[track_caller]
    pub fn groups(mut self, groups: usize) -> Conv2d {
        self.window.groups = groups;
        let &[out, _, kernel, _] = self.weight.shape() else { return self };
        let per_group = self.in_channels / groups.max(1);
        let init = init(per_group * kernel * kernel);
        self.weight = Parameter::new([out, per_group, kernel, kernel], init.clone());
        #[allow(clippy::manual_map)]
        let bias = match self.bias {
            Some(_) => Some(Parameter::new([out], init)),
            None => None,
        };
        self.bias = bias;
        self
    }

    /// With or without a bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Conv2d {
        if !bias {
            self.bias = None;
        }
        self
    }
}

fn init(fan_in: usize) -> Init {
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    Init::Uniform { low: -bound, high: bound }
}

impl Module for Conv2d {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.weight.visit_as("weight", visitor);
        self.bias.visit_as("bias", visitor);
    }
}

impl Forward<Tensor> for Conv2d {
    type Output = Tensor;

    #[track_caller]
    fn forward(&self, x: Tensor) -> Tensor {
        let _scope = Scope::enter(self);
        // A closure would hide the caller's place from `#[track_caller]`.
        #[allow(clippy::manual_map)]
        let bias = match &self.bias {
            Some(bias) => Some(bias.tensor()),
            None => None,
        };
        x.conv2d(self.weight.tensor(), bias, self.window)
    }
}
