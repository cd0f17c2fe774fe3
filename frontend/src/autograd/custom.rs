//! Functions with a derivative of the user's own: `torch.autograd.Function`.
//!
//! `#[custom_vjp]` on a function is the usual way to say it; [`custom_vjp`] is what it expands to. The derivative is traced once, where the function
//! is called, into a graph of its own, and copied to wherever the gradient is needed.

use std::panic::Location;

use kiln_ir::ops::{CustomResult, CustomVjp};
use kiln_ir::{Code, Diagnostic, Graph, Init, Place, Role, Type};

use crate::{Tensor, trace};

/// What a derivative knows of the call: `ctx` with its `saved_tensors`.
///
/// An intermediate value of the function is no part of it: computed again it costs nothing, since equal computations are done once, and
/// what is random or has no formula is returned as one more result.
#[derive(Clone, Copy, Debug)]
pub struct Saved<const N: usize, O = Tensor> {
    /// The function's tensors, in the order of its arguments.
    pub inputs: [Tensor; N],
    /// What it returned. Differentiated again, it has the derivative that is being defined.
    pub output: O,
    /// Whether a gradient could flow to each input. A gradient that nobody needs costs nothing, so there is no harm in making it.
    pub needs_input_grad: [bool; N],
}

/// What a function with a derivative of its own returns: a tensor, a tuple of up to four, or an array. The first must be floating.
#[diagnostic::on_unimplemented(
    message = "a function with its own derivative returns tensors, not `{Self}`",
    label = "neither `Tensor`, nor a tuple or an array of them"
)]
pub trait Outputs: Clone {
    /// The tensors in order.
    fn tensors(&self) -> Vec<Tensor>;
    /// The value with these tensors, which are as many as [`Outputs::tensors`] gives.
    fn with_tensors(&self, tensors: &[Tensor]) -> Self;
}

/// The gradients of `N` inputs: a tensor or `None` for each, in an array or a tuple of up to six; for one input without brackets.
#[diagnostic::on_unimplemented(
    message = "a derivative of {N} inputs returns {N} gradients, not `{Self}`",
    label = "not {N} of `Tensor` or `Option<Tensor>`",
    note = "`[Some(a), None]` has a gradient for the first of two inputs; for one input, the tensor alone will do"
)]
pub trait Gradients<const N: usize> {
    /// The gradients in order.
    fn gradients(self) -> [Option<Tensor>; N];
}

/// Calls `forward` with the inputs; the gradients of its results are what `backward` makes of their cotangents, one for each of them, of
/// the type that `forward` returns.
///
/// `forward` is traced as any function is; only the derivative that would follow from it is not used. So it may be discontinuous, or wrong
/// where the caller knows better. A tensor that it uses and that is no input gets no gradient. `backward` sees its arguments only, draws no random
/// numbers, and returns gradients of the inputs' types; it can be differentiated again. A result that has no gradient has the cotangent zero.
///
/// ```
/// use kiln_frontend::prelude::*;
///
/// /// The value of `x.sign()` with the gradient of `x`.
/// fn straight_through(x: Tensor) -> Tensor {
///     custom_vjp("straight_through", [x], |[x]: [Tensor; 1]| x.sign(), |_, cotangent: Tensor| cotangent)
/// }
/// # let _ = straight_through;
/// ```
#[track_caller]
pub fn custom_vjp<const N: usize, O: Outputs, G: Gradients<N>>(
    name: &str,
    inputs: [Tensor; N],
    forward: impl FnOnce([Tensor; N]) -> O,
    backward: impl FnOnce(Saved<N, O>, O) -> G,
) -> O {
    let location = Location::caller();
    let output = forward(inputs);
    let outputs = output.tensors();
    let poisoned = || output.with_tensors(&vec![Tensor::poison(); outputs.len()]);
    if inputs.iter().chain(&outputs).any(|tensor| tensor.value().is_none()) {
        return poisoned();
    }
    let types = |tensors: &[Tensor]| -> Vec<Type> { tensors.iter().map(|tensor| tensor.ty()).collect() };
    let (input_types, output_types) = (types(&inputs), types(&outputs));
    let needs_input_grad = inputs.map(|input| {
        let flows = trace::with(|trace| input.value().is_some_and(|value| trace.flows(value)));
        flows.unwrap_or(false)
    });
    let recorded = trace::record_backward(|| {
        let declared = declare("x", &input_types);
        let saved = Saved {
            inputs: std::array::from_fn(|n| declared[n]),
            output: output.with_tensors(&declare("y", &output_types)),
            needs_input_grad,
        };
        let cotangents = output.with_tensors(&declare("g", &output_types));
        let gradients = backward(saved, cotangents).gradients();
        for (n, (gradient, ty)) in gradients.into_iter().zip(&input_types).enumerate() {
            add_gradient(name, n, gradient, ty, location);
        }
    });
    let Some(backward) = settled(recorded, location) else { return poisoned() };
    let operands: Vec<Tensor> = outputs.iter().chain(&inputs).copied().collect();
    let first = Tensor::apply_as(name, CustomVjp::new(outputs.len(), &backward), &operands);
    let mut results = vec![first];
    for (n, &output) in outputs.iter().enumerate().skip(1) {
        results.push(Tensor::apply_as(name, CustomResult { output: n }, &[output, first]));
    }
    output.with_tensors(&results)
}

/// Inputs of the open trace, `x0`, `x1`, ….
fn declare(name: &str, types: &[Type]) -> Vec<Tensor> {
    let declare = |(n, ty): (usize, &Type)| {
        trace::with(|trace| {
            let value = trace.input(&format!("{name}{n}"), Role::Data, ty.clone(), Init::Zeros, Place::NONE);
            Tensor::new(trace.id, Some(value))
        })
    };
    types.iter().enumerate().map(|at| declare(at).unwrap_or_else(Tensor::poison)).collect()
}

/// Makes a gradient an output of the open trace. That of an integer input is left out: it cannot have any.
fn add_gradient(name: &str, n: usize, gradient: Option<Tensor>, ty: &Type, location: &Location<'_>) {
    let Some((gradient, value)) = gradient.and_then(|gradient| Some((gradient, gradient.value()?))) else { return };
    trace::with(|trace| {
        if !gradient.is_of(trace.id) {
            trace.note_foreign(name, "gradient", location);
            return;
        }
        let found = trace.graph.ty(value);
        if !ty.dtype.is_float() || found == ty {
            if ty.dtype.is_float() {
                trace.graph.add_output(CustomVjp::gradient_name(n), value);
            }
            return;
        }
        let message = format!(
            "{name} returned an invalid gradient at index {n}: it needs the input's type, {ty}, and is {found}"
        );
        let made = trace.graph.node(value).place.clone();
        let place = if made.is_none() { trace.place(location) } else { made };
        trace.note(Diagnostic::new(Code::ShapeMismatch, message).at(place));
    });
}

/// The graph of a derivative; its mistakes become the open trace's.
fn settled(recorded: Option<Result<Graph, Vec<Diagnostic>>>, location: &Location<'_>) -> Option<Graph> {
    match recorded? {
        Ok(mut graph) => {
            graph.remove_dead();
            Some(graph)
        }
        Err(mistakes) => {
            trace::with(|trace| {
                for mistake in mistakes {
                    let placed = if mistake.place.is_none() { mistake.at(trace.place(location)) } else { mistake };
                    trace.note(placed);
                }
            });
            None
        }
    }
}

impl Outputs for Tensor {
    fn tensors(&self) -> Vec<Tensor> {
        vec![*self]
    }

    fn with_tensors(&self, tensors: &[Tensor]) -> Tensor {
        tensors[0]
    }
}

impl<const M: usize> Outputs for [Tensor; M] {
    fn tensors(&self) -> Vec<Tensor> {
        self.to_vec()
    }

    fn with_tensors(&self, tensors: &[Tensor]) -> [Tensor; M] {
        std::array::from_fn(|n| tensors[n])
    }
}

impl<T: Into<Option<Tensor>>, const N: usize> Gradients<N> for [T; N] {
    fn gradients(self) -> [Option<Tensor>; N] {
        self.map(Into::into)
    }
}

macro_rules! alone {
    ($($ty:ty),*) => {$(
        impl Gradients<1> for $ty {
            fn gradients(self) -> [Option<Tensor>; 1] {
                [self.into()]
            }
        }
    )*};
}

alone!(Tensor, Option<Tensor>);

macro_rules! tuples {
    (outputs $($tensor:ident $at:tt),*) => {
        impl Outputs for ($(tuples!(@ $tensor Tensor),)*) {
            fn tensors(&self) -> Vec<Tensor> {
                vec![$(self.$at),*]
            }

            fn with_tensors(&self, tensors: &[Tensor]) -> Self {
                ($(tensors[$at],)*)
            }
        }
    };
    (gradients $count:literal $($tensor:ident $at:tt),*) => {
        impl<$($tensor: Into<Option<Tensor>>),*> Gradients<$count> for ($($tensor,)*) {
            fn gradients(self) -> [Option<Tensor>; $count] {
                [$(self.$at.into()),*]
            }
        }
    };
    (@ $tensor:ident $ty:ty) => { $ty };
}

tuples!(outputs A 0, B 1);
tuples!(outputs A 0, B 1, C 2);
tuples!(outputs A 0, B 1, C 2, D 3);
tuples!(gradients 1 A 0);
tuples!(gradients 2 A 0, B 1);
tuples!(gradients 3 A 0, B 1, C 2);
tuples!(gradients 4 A 0, B 1, C 2, D 3);
tuples!(gradients 5 A 0, B 1, C 2, D 3, E 4);
tuples!(gradients 6 A 0, B 1, C 2, D 3, E 4, F 5);
