//! Functions of tensors without a model: one op to try, a kernel to look at, a formula whose gradients are asked for.

use std::collections::BTreeMap;
use std::ops::Index;

use kiln_ir::update::names;
use kiln_ir::{Code, DType, Diagnostic, Dim, Init, Place, Role, Type};

use crate::trace::{self, Mode};
use crate::training::PREDICTION;
use crate::{Module, Tensor, Traced, Visitor};

/// A function of named tensors, with gradients of any of them on request.
///
/// Compiled, it is the entry `predict` with one output a result, `prediction` or `prediction.0`, `prediction.1`, …. With [`Function::gradient_of`] it is
/// the entry `train_step` instead: that also takes a cotangent for each result that depends on such an input (`cotangent.0`, …, of the
/// result's type), and has the gradients as outputs `d_<input>`: those of `loss = Σ cotangent·result`.
///
/// ```
/// use kiln_frontend::prelude::*;
/// use kiln_frontend::Function;
///
/// let traced = Function::new("scale")
///     .input("x", DType::F32, [2, 3])
///     .input("y", DType::F32, [3])
///     .gradient_of("x")
///     .trace(|inputs| vec![inputs["x"] * inputs["y"]])?;
/// assert_eq!(traced.train.expect("gradients are asked for").outputs()[0].name, "prediction");
/// # Ok::<(), Vec<kiln_frontend::Diagnostic>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Function {
    name: String,
    max_batch: Option<usize>,
    inputs: Vec<(String, Type)>,
    differentiated: Vec<String>,
}

/// The inputs of a function, by name.
#[derive(Clone, Debug)]
pub struct FunctionInputs(BTreeMap<String, Tensor>);

/// The prefix of a cotangent's input.
const COTANGENT: &str = "cotangent";

impl Function {
    /// A function of nothing yet.
    pub fn new(name: &str) -> Function {
        Function { name: name.to_owned(), max_batch: None, inputs: Vec::new(), differentiated: Vec::new() }
    }

    /// The largest extent of a symbolic batch axis.
    #[must_use]
    pub fn max_batch(self, max_batch: usize) -> Function {
        Function { max_batch: Some(max_batch), ..self }
    }

    /// A tensor that the host gives.
    #[must_use]
    pub fn input<D: Into<Dim> + Copy>(mut self, name: &str, dtype: DType, shape: impl AsRef<[D]>) -> Function {
        let dims: Vec<Dim> = shape.as_ref().iter().map(|&dim| dim.into()).collect();
        self.inputs.push((name.to_owned(), Type::new(dtype, dims)));
        self
    }

    /// Asks for the gradient of an input.
    #[must_use]
    pub fn gradient_of(mut self, input: &str) -> Function {
        self.differentiated.push(input.to_owned());
        self
    }

    /// Records the function: the closure runs once, with symbolic tensors.
    ///
    /// # Errors
    /// Every mistake of the closure, each with its line; K0108 if a gradient is asked of integers.
    pub fn trace(&self, function: impl FnOnce(&FunctionInputs) -> Vec<Tensor>) -> Result<Traced, Vec<Diagnostic>> {
        let gradients = !self.differentiated.is_empty();
        let entry = if gradients { "train_step" } else { "predict" };
        let name = format!("{}.{entry}", self.name);
        let recorded = trace::record(&name, Mode::Train, self.max_batch, &NoModel, || {
            let inputs = FunctionInputs(self.inputs.iter().map(|(name, ty)| self.declare(name, ty)).collect());
            let results = function(&inputs);
            add_outputs(&results);
            if gradients {
                add_loss(&results, self.inputs.iter().map(|(name, _)| inputs[name]));
            }
        })?;
        let (train, predict) = if gradients { (Some(recorded.graph), None) } else { (None, Some(recorded.graph)) };
        Ok(Traced { name: self.name.clone(), train, predict, calls: recorded.calls, ..Traced::default() })
    }

    fn declare(&self, name: &str, ty: &Type) -> (String, Tensor) {
        let differentiated = self.differentiated.iter().any(|held| held == name);
        let role = if differentiated { Role::Parameter } else { Role::Data };
        let tensor = trace::with(|trace| {
            if differentiated && !ty.dtype.is_float() {
                let message = format!("a gradient needs a floating input: `{name}` is {ty}");
                trace.note(Diagnostic::new(Code::NotDifferentiable, message));
            }
            let value = trace.input(name, role, ty.clone(), Init::Zeros, Place::NONE);
            Tensor::new(trace.id, Some(value))
        });
        (name.to_owned(), tensor.unwrap_or_else(Tensor::poison))
    }
}

impl Index<&str> for FunctionInputs {
    type Output = Tensor;

    /// The input of this name.
    ///
    /// # Panics
    /// When the function has none of it.
    #[track_caller]
    fn index(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("the function has no input `{name}`"))
    }
}

impl Index<&String> for FunctionInputs {
    type Output = Tensor;

    #[track_caller]
    fn index(&self, name: &String) -> &Tensor {
        &self[name.as_str()]
    }
}

fn add_outputs(results: &[Tensor]) {
    for (at, value) in results.iter().enumerate().filter_map(|(at, result)| Some((at, result.value()?))) {
        let name = if results.len() == 1 { PREDICTION.to_owned() } else { format!("{PREDICTION}.{at}") };
        trace::with(|trace| trace.graph.add_output(name, value));
    }
}

/// `Σ cotangent·result` over the floating results, in `f32` or wider.
fn add_loss(results: &[Tensor], inputs: impl Iterator<Item = Tensor>) {
    let wide = inputs.chain(results.iter().copied()).any(|tensor| tensor.dtype() == DType::F64);
    let dtype = if wide { DType::F64 } else { DType::F32 };
    let mut loss = Tensor::full(0.0, dtype);
    for (at, result) in results.iter().enumerate().filter(|(_, result)| result.dtype().is_float()) {
        if result.value().is_none() {
            return;
        }
        let declare = |trace: &mut trace::Trace| {
            let name = format!("{COTANGENT}.{at}");
            let ty = trace.graph.ty(result.value()?).clone();
            let value = trace.input(&name, Role::Data, ty, Init::Zeros, Place::NONE);
            Some(Tensor::new(trace.id, Some(value)))
        };
        let cotangent = trace::with(declare).flatten().unwrap_or_else(Tensor::poison);
        loss = loss + (result.to(dtype) * cotangent.to(dtype)).sum_all();
    }
    if let Some(value) = loss.value() {
        trace::with(|trace| trace.graph.add_output(names::LOSS, value));
    }
}

/// A function has no members.
struct NoModel;

impl Module for NoModel {
    fn visit(&self, _: &mut dyn Visitor) {}
}
