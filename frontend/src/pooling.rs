//! Pooling over windows.

use kiln_ir::ops;

use crate::Tensor;

impl Tensor {
    /// The maximum of each `kernel × kernel` window at distance `stride`, with padding that never wins.
    #[track_caller]
    pub fn max_pool2d(self, kernel: usize, stride: usize, padding: usize) -> Tensor {
        let (kernel, stride, padding, dilation) = (vec![kernel; 2], vec![stride; 2], vec![padding; 2], vec![1; 2]);
        Tensor::apply_as("max_pool2d", ops::MaxPool { kernel, stride, padding, dilation, ceil: false }, &[self])
    }

    /// The mean of each `kernel × kernel` window at distance `stride`; padding counts as zeros (`count_include_pad`).
    #[track_caller]
    pub fn avg_pool2d(self, kernel: usize, stride: usize, padding: usize) -> Tensor {
        let area = (kernel * kernel) as f64;
        let (kernel, stride, padding, dilation) = (vec![kernel; 2], vec![stride; 2], vec![padding; 2], vec![1; 2]);
        let pool = ops::SumPool { kernel, stride, padding, dilation, ceil: false };
        Tensor::apply_as("avg_pool2d", pool, &[self]) / area
    }
}
