//! The weights of one layer in one direction, or of a cell.

use kiln_ir::Init;

use crate::layers::optional;
use crate::{Member, Parameter, Tensor, Visitor};

/// Sizes of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) input: usize,
    pub(super) hidden: usize,
    /// The width of the hidden state where it is projected.
    pub(super) projection: Option<usize>,
}

impl Sizes {
    /// The width of the hidden state.
    pub(super) fn output(self) -> usize {
        self.projection.unwrap_or(self.hidden)
    }

    /// The width of a state: the first is the hidden state.
    pub(super) fn state(self, at: usize) -> usize {
        if at == 0 { self.output() } else { self.hidden }
    }
}

/// All of them uniform on ±1/√hidden, as PyTorch's.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// `[gates·hidden, input]`.
    pub(super) weight_ih: Parameter,
    /// `[gates·hidden, output]`.
    pub(super) weight_hh: Parameter,
    /// Both `[gates·hidden]`.
    pub(super) biases: Option<[Parameter; 2]>,
    /// `[projection, hidden]`.
    pub(super) weight_hr: Option<Parameter>,
}

impl Weights {
    #[track_caller]
    pub(super) fn new(gates: usize, sizes: Sizes, bias: bool) -> Weights {
        let bound = 1.0 / (sizes.hidden.max(1) as f64).sqrt();
        let init = Init::Uniform { low: -bound, high: bound };
        let rows = gates * sizes.hidden;
        let biases = [Parameter::new([rows], init.clone()), Parameter::new([rows], init.clone())];
        #[expect(clippy::manual_map, reason = "a closure would lose the caller's line")]
        let weight_hr = match sizes.projection {
            Some(width) => Some(Parameter::new([width, sizes.hidden], init.clone())),
            None => None,
        };
        Weights {
            weight_ih: Parameter::new([rows, sizes.input], init.clone()),
            weight_hh: Parameter::new([rows, sizes.output()], init),
            biases: bias.then_some(biases),
            weight_hr,
        }
    }

    /// Shows the parameters under PyTorch's names, which end in `suffix`.
    pub(super) fn visit(&self, suffix: &str, visitor: &mut dyn Visitor) {
        let mut show = |name: &str, parameter: &Parameter| parameter.visit_as(&format!("{name}{suffix}"), visitor);
        show("weight_ih", &self.weight_ih);
        show("weight_hh", &self.weight_hh);
        if let Some([bias_ih, bias_hh]) = &self.biases {
            show("bias_ih", bias_ih);
            show("bias_hh", bias_hh);
        }
        if let Some(weight_hr) = &self.weight_hr {
            show("weight_hr", weight_hr);
        }
    }

    /// `W_ih·x + b_ih`.
    #[track_caller]
    pub(super) fn of_input(&self, x: Tensor) -> Tensor {
        x.linear(self.weight_ih.tensor(), self.bias(0))
    }

    /// `W_hh·h + b_hh`.
    #[track_caller]
    pub(super) fn of_hidden(&self, h: Tensor) -> Tensor {
        h.linear(self.weight_hh.tensor(), self.bias(1))
    }

    /// The hidden state, projected if there is a projection.
    #[track_caller]
    pub(super) fn projected(&self, h: Tensor) -> Tensor {
        match &self.weight_hr {
            Some(weight) => h.linear(weight.tensor(), None),
            None => h,
        }
    }

    #[track_caller]
    fn bias(&self, at: usize) -> Option<Tensor> {
        optional(self.biases.as_ref().map(|biases| &biases[at]))
    }
}
