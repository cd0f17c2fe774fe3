//! `torch.nn.init`: how parameters start. Each function replaces the initialiser of a [`Parameter`]; the numbers are drawn when a program is loaded, from
//! the seed and the parameter's name.
//!
//! Mistakes (a fan of a vector, an unsuitable shape) are reported by the next trace, at the line of the call.
//!
//! ```
//! use kiln_frontend::init::{self, FanMode, Nonlinearity};
//! use kiln_frontend::prelude::*;
//!
//! let conv = Conv2d::new(3, 64, 3);
//! init::kaiming_normal(&conv.weight, FanMode::FanOut, Nonlinearity::Relu);
//! if let Some(bias) = &conv.bias {
//!     init::zeros(bias);
//! }
//! ```

mod gain;

pub use gain::{FanMode, InitError, Nonlinearity, calculate_fan_in_and_fan_out, calculate_gain};

use kiln_ir::Init;

use crate::Parameter;

/// Uniform on `[low, high)`; PyTorch's defaults are 0 and 1.
#[track_caller]
pub fn uniform(parameter: &Parameter, low: f64, high: f64) {
    set(parameter, Init::Uniform { low, high });
}

/// Normal; PyTorch's defaults are mean 0 and deviation 1.
#[track_caller]
pub fn normal(parameter: &Parameter, mean: f64, std: f64) {
    set(parameter, Init::Normal { mean, std });
}

/// Normal, drawn again outside `[a, b]`; PyTorch's defaults are mean 0, deviation 1, and -2 and 2, which are not in units of the deviation.
#[track_caller]
pub fn trunc_normal(parameter: &Parameter, mean: f64, std: f64, a: f64, b: f64) {
    set(parameter, Init::TruncatedNormal { mean, std, low: a, high: b });
}

/// One value.
#[track_caller]
pub fn constant(parameter: &Parameter, value: f64) {
    set(parameter, Init::Constant(value));
}

/// Ones.
#[track_caller]
pub fn ones(parameter: &Parameter) {
    set(parameter, Init::Constant(1.0));
}

/// Zeros.
#[track_caller]
pub fn zeros(parameter: &Parameter) {
    set(parameter, Init::Zeros);
}

/// Uniform on `±√3·std` with `std = gain·√(2/(fan_in + fan_out))` (Glorot and Bengio, 2010); PyTorch's default gain is 1.
#[track_caller]
pub fn xavier_uniform(parameter: &Parameter, gain: f64) {
    parameter.try_initializer(xavier_std(parameter, gain).map(uniform_of));
}

/// Normal with `std = gain·√(2/(fan_in + fan_out))` (Glorot and Bengio, 2010); PyTorch's default gain is 1.
#[track_caller]
pub fn xavier_normal(parameter: &Parameter, gain: f64) {
    parameter.try_initializer(xavier_std(parameter, gain).map(normal_of));
}

/// Uniform on `±√3·std` with `std = gain/√fan` (He et al., 2015); PyTorch's defaults are `fan_in` and `leaky_relu` with slope 0.
#[track_caller]
pub fn kaiming_uniform(parameter: &Parameter, mode: FanMode, nonlinearity: Nonlinearity) {
    parameter.try_initializer(kaiming_std(parameter, mode, nonlinearity).map(uniform_of));
}

/// Normal with `std = gain/√fan` (He et al., 2015); PyTorch's defaults are `fan_in` and `leaky_relu` with slope 0.
#[track_caller]
pub fn kaiming_normal(parameter: &Parameter, mode: FanMode, nonlinearity: Nonlinearity) {
    parameter.try_initializer(kaiming_std(parameter, mode, nonlinearity).map(normal_of));
}

/// Orthogonal rows or columns of norm `gain` (Saxe, McClelland and Ganguli, 2014), of the tensor as a matrix `[first axis, all others]`; PyTorch's default
/// gain is 1.
#[track_caller]
pub fn orthogonal(parameter: &Parameter, gain: f64) {
    set(parameter, Init::Orthogonal { gain });
}

/// Normal with a share of zeros in every column of a matrix (Martens, 2010); PyTorch's default deviation is 0.01.
#[track_caller]
pub fn sparse(parameter: &Parameter, sparsity: f64, std: f64) {
    set(parameter, Init::Sparse { sparsity, std });
}

/// The identity: ones where row and column of a matrix are the same.
#[track_caller]
pub fn eye(parameter: &Parameter) {
    let identity = match *parameter.shape() {
        [rows, columns] => Ok(ones_at(rows * columns, (0..rows.min(columns)).map(|at| at * columns + at))),
        _ => Err("Only tensors with 2 dimensions are supported".to_owned()),
    };
    parameter.try_initializer(identity);
}

/// A convolution that hands its channels on: a one in the middle of each filter, for as many channels of each group as there are.
#[track_caller]
pub fn dirac(parameter: &Parameter, groups: usize) {
    let shape = parameter.shape();
    if !(3..=5).contains(&shape.len()) {
        let message = "Only tensors with 3, 4, or 5 dimensions are supported".to_owned();
        return parameter.try_initializer(Err(message));
    }
    if groups == 0 || !shape[0].is_multiple_of(groups) {
        return parameter.try_initializer(Err("dim 0 must be divisible by groups".to_owned()));
    }
    let out_per_group = shape[0] / groups;
    let taps: usize = shape[2..].iter().product();
    let middle = shape[2..].iter().fold(0, |index, &extent| index * extent + extent / 2);
    let identity = |group: usize| {
        let filter = move |channel: usize| ((group * out_per_group + channel) * shape[1] + channel) * taps + middle;
        (0..out_per_group.min(shape[1])).map(filter)
    };
    parameter.try_initializer(Ok(ones_at(parameter.element_count(), (0..groups).flat_map(identity))));
}

#[track_caller]
fn set(parameter: &Parameter, initializer: Init) {
    parameter.try_initializer(Ok(initializer));
}

fn ones_at(count: usize, places: impl Iterator<Item = usize>) -> Init {
    let mut values = vec![0.0; count];
    places.for_each(|place| values[place] = 1.0);
    Init::Data(values)
}

fn xavier_std(parameter: &Parameter, gain: f64) -> Result<f64, String> {
    let (fan_in, fan_out) = fans(parameter)?;
    Ok(gain * (2.0 / (fan_in + fan_out) as f64).sqrt())
}

fn kaiming_std(parameter: &Parameter, mode: FanMode, nonlinearity: Nonlinearity) -> Result<f64, String> {
    let (fan_in, fan_out) = fans(parameter)?;
    let fan = match mode {
        FanMode::FanIn => fan_in,
        FanMode::FanOut => fan_out,
    };
    Ok(calculate_gain(nonlinearity) / (fan as f64).sqrt())
}

/// The fans; of an empty tensor, where there is nothing to draw, they may not divide by zero.
fn fans(parameter: &Parameter) -> Result<(usize, usize), String> {
    let (fan_in, fan_out) = calculate_fan_in_and_fan_out(parameter.shape()).map_err(|error| error.to_string())?;
    Ok((fan_in.max(1), fan_out.max(1)))
}

fn uniform_of(std: f64) -> Init {
    let bound = 3.0_f64.sqrt() * std;
    Init::Uniform { low: -bound, high: bound }
}

fn normal_of(std: f64) -> Init {
    Init::Normal { mean: 0.0, std }
}
