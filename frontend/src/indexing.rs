//! Elements by index.

use kiln_ir::ops;

use crate::Tensor;

impl Tensor {
    /// `bool[.., classes]`, true where the last position is the label. A label outside `0..classes` stops the step.
    #[track_caller]
    pub fn one_hot(self, classes: usize) -> Tensor {
        Tensor::apply(ops::OneHot { classes, checked: true }, &[self])
    }
}
