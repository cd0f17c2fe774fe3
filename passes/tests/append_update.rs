//! The optimiser inside the train step: names, updates, and the numbers of three steps against plain Rust.

mod support;

use kiln_ir::interpret::{Precision, Value};
use kiln_ir::ops::*;
use kiln_ir::{Builder, Code, DType, Graph, GroupRules, Place, Role, Type, UpdateRules, ValueId};
use kiln_passes::append_update;
use support::{Inputs, assert_verified, input, run};

const MOMENTUM: f64 = 0.9;

fn f32s(dims: &[usize]) -> Type {
    Type::new(DType::F32, dims)
}

/// SGD with momentum, its rate divided by the number of the step: `m ← μ·m + g`, `w ← w - lr/t·m`.
fn sgd(ty: &Type) -> Graph {
    let mut graph = Graph::new("sgd");
    let parameter = input(&mut graph, "parameter", Role::Data, ty);
    let gradient = input(&mut graph, "gradient", Role::Data, ty);
    let moment = input(&mut graph, "momentum_buffer", Role::State, ty);
    let rate = input(&mut graph, "lr", Role::Scalar, &Type::scalar(DType::F32));
    let decay = input(&mut graph, "decay", Role::Data, &Type::scalar(DType::F32));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let kept = cx.scale(moment, MOMENTUM);
    let moved = cx.add(kept, gradient);
    let rate = cx.mul(rate, decay);
    let rate = cx.expand(rate, &ty.shape);
    let change = cx.mul(rate, moved);
    let new = cx.sub(parameter, change);
    graph.add_output("parameter", new);
    graph.add_update(moment, moved);
    graph
}

/// Counts steps: `t ← t + 1`, `decay = 1/t`.
fn counter() -> Graph {
    let mut graph = Graph::new("shared");
    let step = input(&mut graph, "step", Role::State, &Type::scalar(DType::F32));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let one = cx.full_like(step, 1.0);
    let next = cx.add(step, one);
    let decay = cx.div(one, next);
    graph.add_output("decay", decay);
    graph.add_update(step, next);
    graph
}

fn rules() -> UpdateRules {
    let parameters = vec![("fc.weight".to_owned(), sgd(&f32s(&[2, 3]))), ("fc.bias".to_owned(), sgd(&f32s(&[2])))];
    let trained = parameters.iter().map(|(name, _)| name.clone()).collect();
    let group = GroupRules { prefix: "optimizer".to_owned(), shared: counter(), parameters };
    UpdateRules { trained, gradients: Graph::new("gradients"), groups: vec![group] }
}

/// Two parameters whose gradients are the cube and the sine of themselves.
fn step() -> (Graph, Vec<ValueId>) {
    let mut graph = Graph::new("step");
    let weight = input(&mut graph, "fc.weight", Role::Parameter, &f32s(&[2, 3]));
    let bias = input(&mut graph, "fc.bias", Role::Parameter, &f32s(&[2]));
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let square = cx.mul(weight, weight);
    let cube = cx.mul(square, weight);
    let sine = cx.emit(Sin {}, &[bias]);
    (graph, vec![cube, sine])
}

#[test]
fn three_steps_are_those_of_plain_code() {
    let (mut graph, gradients) = step();
    append_update::run(&mut graph, &rules(), &gradients).unwrap();
    assert_verified(&graph, "append_update");

    let weight = vec![0.5, -1.0, 2.0, 0.25, -0.75, 1.5];
    let mut inputs = Inputs::from([
        ("fc.weight".to_owned(), Value::new(DType::F32, vec![2, 3], weight.clone()).unwrap()),
        ("fc.bias".to_owned(), Value::new(DType::F32, vec![2], vec![1.0, -2.0]).unwrap()),
        ("lr".to_owned(), Value::scalar(DType::F32, 0.1)),
        ("optimizer.step".to_owned(), Value::scalar(DType::F32, 0.0)),
        ("optimizer.fc.weight.momentum_buffer".to_owned(), Value::filled(DType::F32, vec![2, 3], 0.0)),
        ("optimizer.fc.bias.momentum_buffer".to_owned(), Value::filled(DType::F32, vec![2], 0.0)),
    ]);
    let mut expected = [(weight, vec![0.0; 6]), (vec![1.0, -2.0], vec![0.0; 2])];
    let gradient: [fn(f64) -> f64; 2] = [|w| w * w * w, f64::sin];
    for t in 1..=3 {
        let new: Vec<(String, Value)> = {
            let values = run(&graph, &inputs, 1, Precision::Exact);
            values.updates().map(|(name, value)| (name.to_owned(), value.clone())).collect()
        };
        inputs.extend(new);
        for ((weights, moments), gradient) in expected.iter_mut().zip(gradient) {
            for (w, m) in weights.iter_mut().zip(moments) {
                *m = MOMENTUM * *m + gradient(*w);
                *w -= 0.1 * (1.0 / f64::from(t)) * *m;
            }
        }
        for (name, (weights, moments)) in ["fc.weight", "fc.bias"].iter().zip(&expected) {
            assert_eq!(&inputs[*name].data, weights, "{name} after step {t}");
            assert_eq!(
                &inputs[&format!("optimizer.{name}.momentum_buffer")].data,
                moments,
                "moments of {name}, step {t}"
            );
        }
        assert_eq!(inputs["optimizer.step"].data, [f64::from(t)]);
    }
}

#[test]
fn states_are_named_by_their_parameter_and_scalars_are_shared() {
    let (mut graph, gradients) = step();
    append_update::run(&mut graph, &rules(), &gradients).unwrap();
    let names = |role| -> Vec<&str> {
        graph.inputs().into_iter().filter(|(_, input)| input.role == role).map(|(v, _)| graph.name_of(v)).collect()
    };
    let states = ["optimizer.step", "optimizer.fc.weight.momentum_buffer", "optimizer.fc.bias.momentum_buffer"];
    assert_eq!(names(Role::State), states);
    assert_eq!(names(Role::Scalar), ["lr"]);
    let updated: Vec<&str> = graph.outputs().iter().map(|output| graph.name_of(output.updates.unwrap())).collect();
    assert_eq!(updated, [states[0], states[1], "fc.weight", states[2], "fc.bias"]);
}

#[test]
fn what_a_rule_needs_and_nothing_makes_is_reported() {
    let (graph, gradients) = step();
    let mut missing = rules();
    missing.trained[0] = "fc.wieght".to_owned();
    missing.groups[0].parameters[0].0 = "fc.wieght".to_owned();
    let error = append_update::run(&mut graph.clone(), &missing, &gradients).unwrap_err();
    assert_eq!(error.code, Code::UnknownName);
    assert!(error.message.contains("fc.wieght"), "{error}");

    let mut without_counter = rules();
    without_counter.groups[0].shared = Graph::new("shared");
    let error = append_update::run(&mut graph.clone(), &without_counter, &gradients).unwrap_err();
    assert_eq!(error.code, Code::UnknownName);
    assert!(error.message.contains("decay"), "{error}");
}

#[test]
fn what_the_loss_does_not_depend_on_stays() {
    let (mut graph, gradients) = step();
    let zero = Builder::new(&mut graph, Place::NONE).full_like(gradients[1], 0.0);
    append_update::run(&mut graph, &rules(), &[gradients[0], zero]).unwrap();
    let updated: Vec<&str> = graph.outputs().iter().map(|output| graph.name_of(output.updates.unwrap())).collect();
    assert_eq!(updated, ["optimizer.step", "optimizer.fc.weight.momentum_buffer", "fc.weight"]);
}

/// All gradients at once: the first becomes the sum of both their first elements.
#[test]
fn gradients_pass_through_their_own_rule_first() {
    let (mut graph, gradients) = step();
    let mut all = Graph::new("gradients");
    let first = input(&mut all, "d_fc.weight", Role::Data, &f32s(&[2, 3]));
    let kept = input(&mut all, "grad.fc.weight", Role::State, &f32s(&[2, 3]));
    let mut cx = Builder::new(&mut all, Place::NONE);
    let sum = cx.add(kept, first);
    let total = cx.sum(sum, &[0, 1], false);
    all.add_output("d_fc.weight", sum);
    all.add_output("total", total);
    all.add_update(kept, sum);
    append_update::run(&mut graph, &UpdateRules { gradients: all, ..rules() }, &gradients).unwrap();
    assert_verified(&graph, "append_update");
    let names: Vec<&str> = graph.outputs().iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names[..2], ["grad.fc.weight", "total"]);
    let momentum = graph.find("optimizer.fc.weight.momentum_buffer").unwrap();
    let moved = graph.outputs().iter().find(|output| output.updates == Some(momentum)).unwrap().value;
    assert_eq!(graph.operands(moved)[1], graph.outputs()[0].value, "the rule sees the new gradient");
}

#[test]
fn a_parameter_with_the_name_of_a_rate_is_not_taken_for_it() {
    let (mut graph, gradients) = step();
    input(&mut graph, "lr", Role::Parameter, &Type::scalar(DType::F32));
    let error = append_update::run(&mut graph, &rules(), &gradients).unwrap_err();
    assert_eq!(error.code, Code::DuplicateName);
}
