//! `torch.autograd`: gradients as values of a trace, where they flow, and derivatives of the user's own.
//!
//! A gradient is ordinary graph: it may enter the loss, and it can be differentiated again (`create_graph` is always true). There is no tape
//! that a backward pass would use up, no `.grad` that would add up, and no flag that a tensor needs before it can be differentiated: what is
//! not asked for is not computed.

mod custom;
mod derivatives;
mod mode;

pub use custom::{Gradients, Outputs, Saved, custom_vjp};
pub use derivatives::{hessian, hvp, jacobian, jvp};
pub use mode::{enable_grad, is_grad_enabled, no_grad, set_grad_enabled};

use std::panic::Location;

use kiln_ir::{Code, Diagnostic, Dim, ValueId, pull_back};

use crate::trace::{self, Trace};
use crate::{Tensor, functional};

/// How [`grad_with`] differentiates.
#[derive(Clone, Debug, Default)]
pub struct Grad {
    /// The cotangent of each output, of its type. Without any, each is 1, which takes outputs of one element.
    pub grad_outputs: Vec<Tensor>,
    /// Whether an input may be one that no output depends on: it has `None`.
    pub allow_unused: bool,
    /// Whether such an input has zeros.
    pub materialize_grads: bool,
}

/// `torch.autograd.grad` with `create_graph=True`: the gradient of `output`, which has one element, for each of `inputs`: leaves or
/// intermediate values, of their types.
///
/// ```
/// use kiln_frontend::Function;
/// use kiln_frontend::prelude::*;
///
/// // d/dx (d/dx x³) = 6x
/// let second = Function::new("second").input("x", DType::F32, [1]).trace(|given| {
///     let x = given["x"];
///     let first = grad(x * x * x, &[x])[0];
///     grad(first, &[x])
/// });
/// assert!(second.is_ok());
/// ```
///
/// # Errors
/// K0108 at the caller's line: an output that has several elements or none that are floating, an input that is not floating or that the
/// output does not depend on.
#[track_caller]
pub fn grad(output: Tensor, inputs: &[Tensor]) -> Vec<Tensor> {
    whole(grad_with(&[output], inputs, &Grad::default()))
}

/// The vector-Jacobian product: [`grad`] of an output of any shape, for the cotangent `cotangent`, which has its type.
#[track_caller]
pub fn vjp(output: Tensor, cotangent: Tensor, inputs: &[Tensor]) -> Vec<Tensor> {
    whole(grad_with(&[output], inputs, &Grad { grad_outputs: vec![cotangent], ..Grad::default() }))
}

/// [`grad`] of several outputs at once, with cotangents of theirs, and of inputs that they may not depend on.
#[track_caller]
pub fn grad_with(outputs: &[Tensor], inputs: &[Tensor], options: &Grad) -> Vec<Option<Tensor>> {
    let poison = || vec![Some(Tensor::poison()); inputs.len()];
    let location = Location::caller();
    let mut cotangents = options.grad_outputs.clone();
    if cotangents.is_empty() {
        for &output in outputs {
            cotangents.push(one(output));
        }
    }
    let made = trace::with(|trace| {
        let given = checked(trace, outputs, &cotangents, inputs, location)?;
        let wrt: Vec<ValueId> = inputs.iter().filter_map(|input| input.value()).collect();
        let gradients = pull_back(&mut trace.graph, &given, &wrt);
        let missing = gradients.iter().position(Option::is_none).filter(|_| !options.allow_unused);
        if let Some(unused) = missing.filter(|_| !options.materialize_grads) {
            let (name, ty) = (trace.graph.name_of(wrt[unused]), trace.graph.ty(wrt[unused]));
            let message =
                format!("grad needs inputs that an output depends on: `{name}`, {ty}, was not used in the graph");
            let help = "if that is meant, ask by `grad_with` with `allow_unused: true`";
            note(trace, Code::NotDifferentiable, message, help, location);
            return None;
        }
        Some(
            gradients
                .into_iter()
                .map(|value| value.map(|value| Tensor::new(trace.id, Some(value))))
                .collect::<Vec<_>>(),
        )
    });
    let Some(gradients) = made.flatten() else { return poison() };
    // A loop, since a closure would not know the caller's line.
    let mut filled = Vec::with_capacity(inputs.len());
    for (gradient, &input) in gradients.into_iter().zip(inputs) {
        let gradient = match gradient {
            None if options.materialize_grads => Some(input.zeros_like()),
            Some(gradient) if !is_grad_enabled() => Some(gradient.detach()),
            other => other,
        };
        filled.push(gradient);
    }
    filled
}

impl Tensor {
    /// The tensor itself, whose gradient `hook` changes on its way back: `torch.Tensor.register_hook`. What is computed from the result
    /// sends its gradient through the hook, which sees nothing else.
    ///
    /// ```
    /// # use kiln_frontend::prelude::*;
    /// # fn forward(h: Tensor) -> Tensor {
    /// h.register_hook(|gradient| gradient * 0.5)
    /// # }
    /// ```
    #[track_caller]
    pub fn register_hook(self, hook: impl FnOnce(Tensor) -> Tensor) -> Tensor {
        custom_vjp("register_hook", [self], |[x]: [Tensor; 1]| x, |_, gradient| hook(gradient))
    }
}

/// The cotangent of an output of one element; no value where that is a mistake.
#[track_caller]
fn one(output: Tensor) -> Tensor {
    let Some(value) = output.value() else { return Tensor::poison() };
    if output.numel() == Dim::ONE || !output.dtype().is_float() {
        return functional::ones_like(output);
    }
    let name = trace::with(|trace| trace.graph.name_of(value).to_owned()).unwrap_or_default();
    let message = format!("grad can be implicitly created only for scalar outputs: `{name}` is {}", output.ty());
    let help = "reduce it, for example with `.sum_all()`, or give its cotangent: `vjp(output, cotangent, inputs)`";
    Tensor::mistake(Diagnostic::new(Code::NotDifferentiable, message).help(help))
}

/// Each output's value with its cotangent; `None` after a mistake, noted here or before.
fn checked(
    trace: &mut Trace,
    outputs: &[Tensor],
    cotangents: &[Tensor],
    inputs: &[Tensor],
    location: &Location<'_>,
) -> Option<Vec<(ValueId, ValueId)>> {
    let tensors = || outputs.iter().chain(cotangents).chain(inputs);
    if tensors().any(|tensor| tensor.value().is_none()) {
        return None;
    }
    for (what, all) in [("output", outputs), ("grad_output", cotangents), ("input", inputs)] {
        if all.iter().any(|tensor| !tensor.is_of(trace.id)) {
            trace.note_foreign("grad", what, location);
            return None;
        }
    }
    for (what, all) in [("output", outputs), ("input", inputs)] {
        for value in all.iter().filter_map(|tensor| tensor.value()) {
            let (name, ty) = (trace.graph.name_of(value), trace.graph.ty(value));
            if !ty.dtype.is_float() {
                let message = format!("grad needs floating tensors: the {what} `{name}` is {ty}");
                note(
                    trace,
                    Code::NotDifferentiable,
                    message,
                    "convert it with `.to(dtype)` before it is used",
                    location,
                );
                return None;
            }
        }
    }
    if outputs.len() != cotangents.len() {
        let message = format!("grad needs a cotangent for each output: {} for {}", cotangents.len(), outputs.len());
        note(trace, Code::BadArgument, message, "leave `grad_outputs` empty for outputs of one element", location);
        return None;
    }
    let given =
        outputs.iter().zip(cotangents).filter_map(|(output, cotangent)| Some((output.value()?, cotangent.value()?)));
    let given: Vec<(ValueId, ValueId)> = given.collect();
    for &(output, cotangent) in &given {
        let (wanted, found) = (trace.graph.ty(output), trace.graph.ty(cotangent));
        if wanted != found {
            let name = trace.graph.name_of(output);
            let message =
                format!("grad needs a cotangent of its output's type: `{name}` is {wanted}, the cotangent {found}");
            note(trace, Code::ShapeMismatch, message, "`expand_as` and `to` bring it into that type", location);
            return None;
        }
    }
    Some(given)
}

fn note(trace: &mut Trace, code: Code, message: String, help: &str, location: &Location<'_>) {
    let place = trace.place(location);
    trace.note(Diagnostic::new(code, message).at(place).help(help));
}

/// Gradients none of which may be missing.
fn whole(gradients: Vec<Option<Tensor>>) -> Vec<Tensor> {
    gradients.into_iter().map(|gradient| gradient.unwrap_or_else(Tensor::poison)).collect()
}
