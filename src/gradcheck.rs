//! `torch.autograd.gradcheck`: gradients against finite differences, on the reference interpreter in `f64`. Nothing is compiled.

use std::collections::BTreeMap;

use kiln_frontend::{DType, Diagnostic, Function, FunctionInputs, Tensor};
use kiln_ir::interpret::{InterpretError, Precision, Value, evaluate};
use kiln_ir::update::names;
use kiln_ir::{Graph, ValueId, differentiate};

/// How a gradient is compared: PyTorch's numbers.
#[derive(Clone, Copy, Debug)]
pub struct GradCheck {
    /// How far an element is moved to each side.
    pub eps: f64,
    /// The difference that is allowed to a gradient of zero.
    pub atol: f64,
    /// What is allowed in addition, relative to the difference quotient.
    pub rtol: f64,
}

impl Default for GradCheck {
    fn default() -> GradCheck {
        GradCheck { eps: 1e-6, atol: 1e-5, rtol: 1e-3 }
    }
}

/// Why [`gradcheck`] is not content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GradCheckError {
    /// The function has mistakes.
    #[error("{}", .0.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n\n"))]
    Function(Vec<Diagnostic>),
    /// A step of the function failed, as an index that is out of range.
    #[error(transparent)]
    Run(#[from] InterpretError),
    /// A gradient is not what differences say.
    #[error(
        "a gradient needs to be the difference quotient: by element {element} of `{input}`, element {position} of result {result} changes \
         by {differences}, the gradient says {gradient}"
    )]
    Gradient {
        /// The result.
        result: usize,
        /// Its element.
        position: usize,
        /// The input.
        input: String,
        /// Its element.
        element: usize,
        /// What the derivatives give.
        gradient: f64,
        /// The central difference quotient.
        differences: f64,
    },
}

/// Compares every element of the Jacobian of each result with a central difference. Inputs are names, shapes and elements, and are `f64`. A gradient that
/// `function` asks for itself is a result like any other: `gradgradcheck` is the check of a function that returns `grad(..)`.
///
/// ```
/// use kiln::{GradCheck, gradcheck};
///
/// let inputs: [(&str, &[usize], &[f64]); 2] = [("a", &[1, 2], &[0.5, -1.0]), ("b", &[2, 1], &[2.0, 3.0])];
/// gradcheck(&inputs, GradCheck::default(), |given| vec![given["a"].matmul(given["b"]).tanh()])?;
/// # Ok::<(), kiln::GradCheckError>(())
/// ```
///
/// # Errors
/// [`GradCheckError`]: the first element that differs, or why there is nothing to compare. An input with as many elements as its shape does not say
/// is refused by the interpreter.
pub fn gradcheck(
    inputs: &[(&str, &[usize], &[f64])],
    options: GradCheck,
    function: impl FnOnce(&FunctionInputs) -> Vec<Tensor>,
) -> Result<(), GradCheckError> {
    let mut signature = Function::new("gradcheck");
    for (name, shape, _) in inputs {
        signature = signature.input(name, DType::F64, *shape).gradient_of(name);
    }
    let mut graph =
        signature.trace(function).map_err(GradCheckError::Function)?.train.unwrap_or_else(|| Graph::new(""));
    let mut values = BTreeMap::new();
    for &(name, shape, elements) in inputs {
        values.insert(name.to_owned(), Value::new(DType::F64, shape.to_vec(), elements.to_vec())?);
    }
    let find =
        |name: &str| graph.inputs().into_iter().map(|(value, _)| value).find(|&value| graph.name_of(value) == name);
    let wrt: Vec<ValueId> = inputs.iter().filter_map(|(name, ..)| find(name)).collect();
    let results: Vec<ValueId> =
        graph.outputs().iter().filter(|output| output.name != names::LOSS).map(|output| output.value).collect();
    let Some(loss) = graph.outputs().iter().find(|output| output.name == names::LOSS).map(|output| output.value) else {
        return Ok(());
    };
    let gradients = differentiate(&mut graph, loss, &wrt).map_err(|mistake| GradCheckError::Function(vec![mistake]))?;
    // The function's trace gives each floating result a cotangent.
    let cotangents: Vec<(usize, String)> = (0..results.len())
        .map(|result| (result, format!("cotangent.{result}")))
        .filter(|(_, name)| graph.find(name).is_some())
        .collect();
    for (result, name) in &cotangents {
        let ty = graph.ty(results[*result]);
        values.insert(name.clone(), Value::filled(ty.dtype, ty.shape.at(1), 0.0));
    }
    let check = Check { graph: &graph, results: &results, gradients: &gradients, options };
    for (result, cotangent) in &cotangents {
        for (input, (name, ..)) in inputs.iter().enumerate() {
            check.block(*result, cotangent, input, name, &mut values)?;
        }
    }
    Ok(())
}

struct Check<'a> {
    graph: &'a Graph,
    results: &'a [ValueId],
    gradients: &'a [ValueId],
    options: GradCheck,
}

impl Check<'_> {
    /// The Jacobian of one result by one input.
    fn block(
        &self,
        result: usize,
        cotangent: &str,
        input: usize,
        name: &str,
        values: &mut BTreeMap<String, Value>,
    ) -> Result<(), GradCheckError> {
        let (positions, elements) = (values[cotangent].data.len(), values[name].data.len());
        let mut differences = Vec::with_capacity(elements);
        for element in 0..elements {
            let eps = self.options.eps;
            let ahead = self.moved(result, name, element, eps, values)?;
            let behind = self.moved(result, name, element, -eps, values)?;
            differences.push(ahead.iter().zip(&behind).map(|(a, b)| (a - b) / (2.0 * eps)).collect::<Vec<f64>>());
        }
        for position in 0..positions {
            set(values, cotangent, position, 1.0);
            let gradient = evaluate(self.graph, values, 1, Precision::Exact)?.value(self.gradients[input]).data.clone();
            set(values, cotangent, position, 0.0);
            for element in 0..elements {
                let (gradient, differences) = (gradient[element], differences[element][position]);
                let allowed = self.options.atol + self.options.rtol * differences.abs();
                // Not a number is not near anything.
                let is_near = (gradient - differences).abs() <= allowed;
                if !is_near {
                    let input = name.to_owned();
                    return Err(GradCheckError::Gradient { result, position, input, element, gradient, differences });
                }
            }
        }
        Ok(())
    }

    /// A result where one element of an input is moved.
    fn moved(
        &self,
        result: usize,
        name: &str,
        element: usize,
        by: f64,
        values: &mut BTreeMap<String, Value>,
    ) -> Result<Vec<f64>, GradCheckError> {
        let held = values[name].data[element];
        set(values, name, element, held + by);
        let data = evaluate(self.graph, values, 1, Precision::Exact)?.value(self.results[result]).data.clone();
        set(values, name, element, held);
        Ok(data)
    }
}

fn set(values: &mut BTreeMap<String, Value>, name: &str, element: usize, to: f64) {
    if let Some(value) = values.get_mut(name) {
        value.data[element] = to;
    }
}
