//! A user's own derivative: a value as it is, and a graph that says what its gradient is.
//!
//! A function of `a` and `b` with the results `y` and `z` is traced as always; then its results pass through these ops, which cut the
//! derivative that follows from how they were computed, and put the user's in its place:
//!
//! ```text
//! %y1 = custom_vjp %y, %z, %a, %b {outputs = 2, backward = (%x0 = input ..; ..; output d0 = %p; output d1 = %q)} : f32[3]
//! %z1 = custom_result %z, %y1 {output = 1} : f32[4]
//! ```
//!
//! The backward graph is copied to where the gradient is needed, so its ops are ordinary ones there and can be differentiated again. Both ops
//! are the identity on their first operand and go when all gradients have been made, as `detach` does.

use super::checks;
use crate::op::{Example, Operator, op};
use crate::verify::verify_graph;
use crate::{Body, Code, DType, Diagnostic, Dim, Graph, Op, Type, ValueId, Vjp, axes};

op! {
    /// The first operand itself, with a user's own derivative. The operands are the results of a function, then its inputs; `backward` has as
    /// inputs those inputs, those results and a cotangent for each result, and an output `d0`, `d1`, … for each input that has a gradient.
    /// Gradient: `backward`.
    CustomVjp(result; variadic operand) {
        /// The number of results.
        outputs: usize,
        /// The derivative.
        backward: Box<Graph>,
    }
}

op! {
    /// The value itself, a further result of the function whose first result is `first`. Gradient: that of the `custom_vjp` which `first` is.
    CustomResult(value, first) {
        /// Which result, from 1.
        output: usize,
    }
}

impl CustomVjp {
    /// The op; the graph is brought into the form that its text has.
    pub fn new(outputs: usize, backward: &Graph) -> CustomVjp {
        let mut backward = backward.compacted();
        backward.name.clear();
        backward.max_batch = None;
        CustomVjp { outputs, backward: Box::new(backward) }
    }

    /// The name of the output that is the gradient of an input.
    pub fn gradient_name(input: usize) -> String {
        format!("d{input}")
    }

    fn check_backward(&self, results: &[Type], inputs: &[Type]) -> Result<(), Diagnostic> {
        let mut backward = (*self.backward).clone();
        backward.max_batch = Some(1);
        if let Some(finding) = verify_graph(&backward).into_iter().next() {
            return Err(finding.diagnostic);
        }
        let found: Vec<&Type> = backward.inputs().into_iter().map(|(input, _)| backward.ty(input)).collect();
        if !found.iter().copied().eq(inputs.iter().chain(results).chain(results)) {
            let text = |types: Vec<&Type>| types.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ");
            let (wanted, found) = (text(inputs.iter().chain(results).chain(results).collect()), text(found));
            let message =
                format!("a backward graph of ({wanted}), its inputs, results and cotangents: found ({found})");
            return Err(checks::argument("custom_vjp", &message));
        }
        let gradient = |name: &str| (0..inputs.len()).find(|&input| CustomVjp::gradient_name(input) == name);
        for output in backward.outputs() {
            let ty = backward.ty(output.value);
            let fits = gradient(&output.name).is_some_and(|input| inputs[input] == *ty && ty.dtype.is_float());
            if output.updates.is_some() || !fits {
                let message = format!("gradients of the inputs' types, `d0`, `d1`, ..: found `{}`, {ty}", output.name);
                return Err(checks::argument("custom_vjp", &message));
            }
        }
        Ok(())
    }
}

impl Operator for CustomVjp {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        if !(1..operands.len()).contains(&self.outputs) {
            let message = format!("results and inputs: of {} operands, {} are results", operands.len(), self.outputs);
            return Err(checks::argument("custom_vjp", &message));
        }
        checks::float("custom_vjp", &operands[0])?;
        let (results, inputs) = operands.split_at(self.outputs);
        self.check_backward(results, inputs)?;
        Ok(operands[0].clone())
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        Body::view(axes(0, operands[0].rank()), None)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let results: Vec<ValueId> = (0..self.outputs).map(|output| result(cx, output)).collect();
        let mut cotangents = vec![cx.cotangent()];
        for &result in &results[1..] {
            let cotangent = cx.cotangent_of(result).unwrap_or_else(|| cx.full_like(result, 0.0));
            cotangents.push(cotangent);
        }
        let inputs = (self.outputs..cx.operand_count()).map(|operand| cx.operand(operand));
        let given: Vec<ValueId> = inputs.chain(results).chain(cotangents).collect();
        let made = cx.inline(&self.backward, &given);
        let mut gradients = vec![None; cx.operand_count()];
        for (output, gradient) in self.backward.outputs().iter().zip(made) {
            let is_of = |input: &usize| CustomVjp::gradient_name(*input) == output.name;
            let input = (0..cx.operand_count() - self.outputs).find(is_of);
            gradients[self.outputs + input.expect("`infer` has checked the names")] = Some(gradient);
        }
        gradients
    }

    fn examples() -> Vec<Example> {
        let ty = Type::new(DType::F32, [Dim::BATCH, 3.into()]);
        vec![Example::new(CustomVjp::new(1, &example_backward(&ty)), [ty.clone(), ty])]
    }
}

/// A result of the function with its derivative: the op's own, or what was made of a further operand.
fn result(cx: &mut Vjp<'_>, output: usize) -> ValueId {
    if output == 0 {
        return cx.result();
    }
    let op: Op = CustomResult { output }.into();
    let found = cx.graph.users(cx.result()).into_iter().find(|&user| cx.graph.node(user).op == op);
    found.unwrap_or_else(|| {
        let operands = [cx.operand(output), cx.result()];
        cx.emit(op, &operands)
    })
}

/// `d0 = 2·x·g`.
fn example_backward(ty: &Type) -> Graph {
    let mut graph = Graph::new("");
    let mut builder = crate::Builder::new(&mut graph, crate::Place::NONE);
    let mut input = |name: &str| {
        builder.hint = name.to_owned();
        let (role, init) = (super::Role::Data, crate::Init::Zeros);
        builder.emit(super::Input { role, dtype: ty.dtype, shape: ty.shape.0.clone(), init }, &[])
    };
    let (x, _, g) = (input("x0"), input("y0"), input("g0"));
    let product = builder.mul(x, g);
    let gradient = builder.scale(product, 2.0);
    graph.add_output(CustomVjp::gradient_name(0), gradient);
    graph
}

impl Operator for CustomResult {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        if self.output == 0 || !operands[1].dtype.is_float() {
            let message = format!("a further result of a floating one, found {} of {}", self.output, operands[1]);
            return Err(Diagnostic::new(Code::BadArgument, format!("custom_result needs {message}")));
        }
        Ok(operands[0].clone())
    }

    fn body(&self, operands: &[Type], _: &Type) -> Body {
        Body::view(axes(0, operands[0].rank()), None)
    }

    /// The first result's rule reads the cotangent of this one; that it is reached at all is what the zeros are for.
    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let first = cx.operand(1);
        vec![None, Some(cx.full_like(first, 0.0))]
    }

    fn examples() -> Vec<Example> {
        let types = [Type::new(DType::F32, [Dim::BATCH, 3.into()]), Type::new(DType::F32, [Dim::fixed(4)])];
        vec![Example::new(CustomResult { output: 1 }, types)]
    }
}
