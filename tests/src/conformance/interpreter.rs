//! Trainings on the reference interpreter: the traced graph, its gradients and the optimiser's rules, evaluated in exact `f64`.
//!
//! No pass but `autodiff` and `append_update` takes part, so a disagreement with PyTorch is a fault of the front end, of a derivative or of
//! an optimiser.

use std::collections::BTreeMap;

use kiln::Traced;
use kiln::runtime::{Evaluated, Lbfgs, LbfgsStep};
use kiln_ir::interpret::{Evaluation, Precision, Value, evaluate};
use kiln_ir::update::names;
use kiln_ir::{Graph, Init, Role, Type, UpdateRules, ValueId};
use kiln_passes::{append_update, autodiff};

use super::backend::trained;
use super::{Batch, Engine, EngineError};

/// A training and its state.
pub struct Interpreter {
    /// Outputs: the loss and `d_<parameter>`; updates: everything that a step changes.
    train: Graph,
    /// The same for a batch after which no weight changes.
    accumulate: Option<Graph>,
    eval: Graph,
    parameters: Vec<String>,
    state: BTreeMap<String, Value>,
    /// Of the last train step.
    outputs: BTreeMap<String, Value>,
}

impl Interpreter {
    /// Differentiates the training and starts its optimiser; weights are zero until they are set.
    pub fn new(traced: Traced) -> Result<Interpreter, EngineError> {
        let parameters = trained(&traced);
        let forward = traced.train.ok_or(EngineError::NoEntry("train_step"))?;
        let eval = traced.eval.ok_or(EngineError::NoEntry("eval_loss"))?;
        let train = with_updates(forward.clone(), &parameters, traced.rules.as_ref())?;
        let accumulate = traced.accumulate.as_ref().map(|rules| with_updates(forward, &parameters, Some(rules)));
        let accumulate = accumulate.transpose()?;

        let mut state = BTreeMap::new();
        for graph in [Some(&train), accumulate.as_ref()].into_iter().flatten() {
            for (value, input) in graph.inputs().into_iter().filter(|(_, input)| input.role != Role::Data) {
                state.insert(graph.name_of(value).to_owned(), initial(&input.init, graph.ty(value)));
            }
        }
        Ok(Interpreter { train, accumulate, eval, parameters, state, outputs: BTreeMap::new() })
    }

    /// Makes the elements of `point` the values of some states.
    fn place(&mut self, names: &[String], mut point: &[f64]) {
        for name in names {
            let data = &mut self.state.get_mut(name).expect("parameters are states").data;
            let (own, rest) = point.split_at(data.len());
            data.copy_from_slice(own);
            point = rest;
        }
    }

    fn evaluate<'a>(&self, graph: &'a Graph, batch: &Batch) -> Result<Evaluation<'a>, EngineError> {
        let mut inputs = self.state.clone();
        inputs.extend(batch.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(evaluate(graph, &inputs, batch_size(graph, batch), Precision::Exact)?)
    }
}

impl Engine for Interpreter {
    fn get(&self, name: &str) -> Result<Value, EngineError> {
        let found = self.state.get(name).or_else(|| self.outputs.get(name));
        found.cloned().ok_or_else(|| EngineError::NoState(name.to_owned()))
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), EngineError> {
        let slot = self.state.get_mut(name).ok_or_else(|| EngineError::NoState(name.to_owned()))?;
        if (slot.dtype, &slot.shape) != (value.dtype, &value.shape) {
            let text = |value: &Value| format!("{}{:?}", value.dtype, value.shape);
            let (expected, found) = (text(slot), text(value));
            return Err(EngineError::WrongTensor { name: name.to_owned(), expected, found });
        }
        *slot = value.clone();
        Ok(())
    }

    fn gradients(&mut self, batch: &Batch) -> Result<BTreeMap<String, Value>, EngineError> {
        let step = self.evaluate(&self.train, batch)?;
        let gradient = |name: &String| Ok((name.clone(), step.output(&names::gradient_of(name))?.clone()));
        self.parameters.iter().map(gradient).collect()
    }

    fn train_step(&mut self, batch: &Batch) -> Result<f64, EngineError> {
        let number = |name: &str| self.state.get(name).map(|value| value.data[0]);
        let waits = match (number(names::ACCUMULATE_COUNT), number(names::ACCUMULATE_STEPS)) {
            (Some(count), Some(steps)) => count + 1.0 < steps,
            _ => false,
        };
        let graph = self.accumulate.as_ref().filter(|_| waits).unwrap_or(&self.train);
        let step = self.evaluate(graph, batch)?;
        let loss = step.output(names::LOSS)?.data[0];
        let updates: Vec<_> = step.updates().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let outputs = graph.outputs().iter().filter(|output| output.updates.is_none());
        self.outputs = outputs
            .map(|output| Ok((output.name.clone(), step.output(&output.name)?.clone())))
            .collect::<Result<_, EngineError>>()?;
        self.state.extend(updates);
        Ok(loss)
    }

    fn lbfgs_step(&mut self, optimizer: &mut Lbfgs, batch: &Batch) -> Result<LbfgsStep, EngineError> {
        let names = self.parameters.clone();
        let mut point: Vec<f64> = names.iter().flat_map(|name| self.state[name].data.clone()).collect();
        let step = optimizer.minimize(&mut point, |at| {
            self.place(&names, at);
            let loss = self.train_step(batch)?;
            let gradient = names.iter().flat_map(|name| self.outputs[&names::gradient_of(name)].data.clone()).collect();
            Ok::<Evaluated, EngineError>(Evaluated { loss, gradient })
        })?;
        self.place(&names, &point);
        Ok(step)
    }

    fn eval_loss(&mut self, batch: &Batch) -> Result<f64, EngineError> {
        Ok(self.evaluate(&self.eval, batch)?.output(names::LOSS)?.data[0])
    }
}

/// Adds the gradients as outputs, and the updates that the rules make of them.
fn with_updates(mut graph: Graph, trained: &[String], rules: Option<&UpdateRules>) -> Result<Graph, EngineError> {
    let find = |name: &String| graph.find(name).ok_or_else(|| EngineError::NoState(name.clone()));
    let weights = trained.iter().map(find).collect::<Result<Vec<ValueId>, _>>()?;
    let find = |name: &str| graph.outputs().iter().find(|output| output.name == name).map(|output| output.value);
    let objective = find(names::OBJECTIVE).or(find(names::LOSS)).ok_or(EngineError::NoEntry(names::LOSS))?;
    let gradients = autodiff::run(&mut graph, objective, &weights)?;
    for (name, &gradient) in trained.iter().zip(&gradients) {
        graph.add_output(names::gradient_of(name), gradient);
    }
    if let Some(rules) = rules {
        append_update::run(&mut graph, rules, &gradients)?;
    }
    graph.remove_dead();
    Ok(graph)
}

/// Constants as declared; what is drawn at random starts at zero, since the runner loads it.
fn initial(init: &Init, ty: &Type) -> Value {
    let value = if let Init::Constant(value) = init { *value } else { 0.0 };
    Value::filled(ty.dtype, ty.shape.at(1), value)
}

/// The extent of the leading batch axis of any input; 1 without one.
fn batch_size(graph: &Graph, batch: &Batch) -> usize {
    let extent = |(name, value): (&String, &Value)| {
        let input = graph.find(name)?;
        let leading = graph.ty(input).shape.dims().first()?;
        if leading.batch { Some(value.shape.first()? / leading.factor.max(1)) } else { None }
    };
    batch.iter().find_map(extent).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use kiln::prelude::*;

    use super::*;

    /// `loss = mean (w·x - y)²` with one weight: everything can be worked out by hand.
    #[test]
    fn a_step_of_gradient_descent_on_one_weight() {
        let training = Training::new("line", Linear::new(1, 1).bias(false))
            .max_batch(2)
            .input("x", DType::F32, [BATCH, Dim::ONE])
            .input("y", DType::F32, [BATCH, Dim::ONE])
            .loss(|model, batch| mse_loss(model.forward(batch["x"]), batch["y"]))
            .optimizer(Sgd::new(0.5));
        let mut engine = Interpreter::new(training.trace().unwrap()).unwrap();
        let value = |data: &[f64]| Value::new(DType::F32, vec![data.len(), 1], data.to_vec()).unwrap();
        engine.set("weight", &value(&[3.0])).unwrap();
        assert!(matches!(engine.set("weight", &value(&[3.0, 1.0])), Err(EngineError::WrongTensor { .. })));
        let batch = Batch::from([("x".to_owned(), value(&[1.0, 2.0])), ("y".to_owned(), value(&[1.0, 4.0]))]);
        // Residuals 2 and 2: the loss is 4, its gradient (2·2·1 + 2·2·2) / 2 = 6.
        assert_eq!(engine.gradients(&batch).unwrap()["weight"].data, [6.0]);
        assert_eq!(engine.eval_loss(&batch).unwrap(), 4.0);
        assert_eq!(engine.train_step(&batch).unwrap(), 4.0);
        assert_eq!(engine.get("weight").unwrap().data, [0.0]);
        assert_eq!(engine.get("lr").unwrap().data, [0.5]);
    }
}
