//! Graphs: every value in order, each from the body of its op.

use std::collections::BTreeMap;

use super::{InterpretError, Precision, Value, evaluate_body};
use crate::{Body, Graph, Op, Type, ValueId};

/// Every value of a graph for one set of inputs.
#[derive(Clone, Debug)]
pub struct Evaluation<'a> {
    graph: &'a Graph,
    values: BTreeMap<ValueId, Value>,
}

/// Evaluates a graph. `inputs` has at least every input of the graph, by name.
pub fn evaluate<'a>(
    graph: &'a Graph,
    inputs: &BTreeMap<String, Value>,
    batch: usize,
    precision: Precision,
) -> Result<Evaluation<'a>, InterpretError> {
    if let Some(max) = graph.max_batch.filter(|max| !(1..=*max).contains(&batch)) {
        return Err(InterpretError::WrongBatch { batch, max });
    }
    let mut values = BTreeMap::new();
    for id in graph.order() {
        let node = graph.node(id);
        let value = match &node.op {
            Op::Input(_) => input(&node.name, &node.ty, inputs, batch).map(|value| value.rounded(precision)),
            Op::Constant(constant) => {
                let data = constant.data.iter().map(|number| number.value()).collect();
                Value::new(node.ty.dtype, node.ty.shape.at(batch), data).map(|value| value.rounded(precision))
            }
            op => {
                let body = op.body(&graph.operand_types(id), &node.ty).expect("only inputs and constants have no body");
                compute(graph, &values, id, &body, batch, precision)
            }
        };
        let context = || format!("`{}` = {}", node.name, node.site());
        values.insert(id, value.map_err(|error| error.within(context()))?);
    }
    Ok(Evaluation { graph, values })
}

impl Evaluation<'_> {
    /// A value of the graph.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[&id]
    }

    /// Every value with its name, operands first.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.graph.order().into_iter().map(|id| (self.graph.name_of(id), self.value(id)))
    }

    /// The outputs that are not updates, with their names, in order.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &Value)> {
        let outputs = self.graph.outputs().iter().filter(|output| output.updates.is_none());
        outputs.map(|output| (output.name.as_str(), self.value(output.value)))
    }

    /// The new values of inputs, with the inputs' names, in order.
    pub fn updates(&self) -> impl Iterator<Item = (&str, &Value)> {
        let updates = self.graph.outputs().iter().filter_map(|output| Some((output.updates?, output.value)));
        updates.map(|(input, value)| (self.graph.name_of(input), self.value(value)))
    }

    /// The output of this name.
    pub fn output(&self, name: &str) -> Result<&Value, InterpretError> {
        let found = self.outputs().find(|(output, _)| *output == name).map(|(_, value)| value);
        found.ok_or_else(|| InterpretError::UnknownName { what: "output", name: name.to_owned() })
    }
}

fn input(name: &str, ty: &Type, inputs: &BTreeMap<String, Value>, batch: usize) -> Result<Value, InterpretError> {
    let missing = || InterpretError::UnknownName { what: "input", name: name.to_owned() };
    let value = inputs.get(name).ok_or_else(missing)?;
    value.require(name, ty, batch)?;
    Ok(value.clone())
}

fn compute(
    graph: &Graph,
    values: &BTreeMap<ValueId, Value>,
    id: ValueId,
    body: &Body,
    batch: usize,
    precision: Precision,
) -> Result<Value, InterpretError> {
    let ids = graph.operands(id);
    let operands: Vec<(&str, &Value)> = ids.iter().map(|operand| (graph.name_of(*operand), &values[operand])).collect();
    evaluate_body(body, &operands, graph.ty(id), batch, precision)
}
