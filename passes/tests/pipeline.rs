//! The graph half of the pipeline: its order, what a driver may do to it, the units of a request, and that train steps keep their numbers.

mod support;

use kiln_ir::interpret::Precision;
use kiln_ir::ops::*;
use kiln_ir::text::parse_graph;
use kiln_ir::verify::verify_program;
use kiln_ir::{Builder, Code, DType, Dim, Graph, GroupRules, Op, Place, Role, Type, UpdateRules, ValueId};
use kiln_passes::autodiff;
use kiln_passes::pipeline::{self, CompileError, Control, Observer, Request, Stage, Step, Unit, run_graph, units};
use support::random_graph::{MAX_BATCH, random_graph};
use support::{assert_same, assert_verified, inputs_of, results};

const TRAINED: &str = "
graph step batch <= 4
  %x = input {role = data} : f32[B,3]
  %labels = input {role = data} : f32[B]
  %w = input {role = parameter} : f32[3]
  %mean = input {role = buffer} : f32[]
  %y = einsum %x, %w {equation = \"bi,i->b\"} : f32[B]
  %error = sub %y, %labels : f32[B]
  %still = detach %error : f32[B]
  %square = mul %error, %error : f32[B]
  %sum = sum %square {axes = [0], keep = false} : f32[]
  %average = sum %still {axes = [0], keep = false} : f32[]
  output loss = %sum
  output predictions = %y
  update %mean = %average
";

const RULE: &str = "
graph rule
  %parameter = input {role = data} : f32[3]
  %gradient = input {role = data} : f32[3]
  %lr = input {role = scalar} : f32[]
  %rate = expand %lr : f32[3]
  %change = mul %rate, %gradient : f32[3]
  %new = sub %parameter, %change : f32[3]
  output parameter = %new
";

fn graph(text: &str) -> Graph {
    parse_graph(text, "test").unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

fn rules() -> UpdateRules {
    let parameters = vec![("w".to_owned(), graph(RULE))];
    let group = GroupRules { prefix: "optimizer".to_owned(), shared: Graph::new("shared"), parameters };
    UpdateRules { trained: vec!["w".to_owned()], gradients: Graph::new("gradients"), groups: vec![group] }
}

/// Answers one step of its own way, and keeps what it sees.
struct Driver {
    at: Option<(Step, Control)>,
    seen: Vec<(Step, String)>,
}

impl Driver {
    fn new(at: Option<(Step, Control)>) -> Driver {
        Driver { at, seen: Vec::new() }
    }
}

impl Observer for Driver {
    fn after(&mut self, step: Step, unit: &str, stage: Stage<'_>) -> Control {
        let Stage::Graph(graph) = stage else { panic!("{unit} is still a graph") };
        self.seen.push((step, graph.to_string()));
        match &self.at {
            Some((at, control)) if *at == step => control.clone(),
            _ => Control::Continue,
        }
    }
}

#[test]
fn steps_run_in_their_order() {
    let mut driver = Driver::new(None);
    let result = run_graph("train_step", graph(TRAINED), Some(&rules()), &mut driver).unwrap().unwrap();
    let steps: Vec<&str> = driver.seen.iter().map(|(step, _)| step.name()).collect();
    let names = [
        "verify",
        "canonicalize",
        "merge_common",
        "fold_constants",
        "autodiff",
        "append_update",
        "simplify",
        "autocast",
        "select_algorithm",
        "assign_layout",
        "fuse",
        "rematerialize",
    ];
    assert_eq!(steps, names);
    assert_eq!(Step::Lower.number(), names.len());
    assert_eq!(Step::Fuse.number(), 10);
    assert!(Step::ALL.iter().all(|step| Step::from_name(step.name()) == Some(*step)));
    assert_eq!(Step::Fuse.previous(), Some(Step::AssignLayout));
    assert_eq!(Step::Verify.previous(), None);

    let outputs: Vec<&str> = result.outputs().iter().map(|output| output.name.as_str()).collect();
    assert_eq!(outputs, ["loss", "predictions", "mean", "w"], "{result}");
    assert!(result.order().iter().all(|&value| !matches!(result.node(value).op, Op::Detach(_))), "{result}");
}

#[test]
fn a_stopped_unit_has_no_result() {
    let mut driver = Driver::new(Some((Step::MergeCommon, Control::Stop)));
    assert_eq!(run_graph("train_step", graph(TRAINED), Some(&rules()), &mut driver).unwrap(), None);
    assert_eq!(driver.seen.len(), 3);
}

#[test]
fn a_graph_can_take_the_place_of_any_step() {
    let mut plain = Driver::new(None);
    let expected = run_graph("train_step", graph(TRAINED), Some(&rules()), &mut plain).unwrap().unwrap();
    for (step, text) in &plain.seen {
        // What a step left, printed and parsed, goes the rest of the way alike.
        let mut driver = Driver::new(Some((*step, Control::Graph(graph(text)))));
        let found = run_graph("train_step", graph(TRAINED), Some(&rules()), &mut driver).unwrap().unwrap();
        let inputs = inputs_of(&expected, 3, 2);
        let found = results(&found, &inputs, 2, Precision::Exact);
        assert_same(&results(&expected, &inputs, 2, Precision::Exact), &found, 0.0, || step.name().to_owned());
    }
}

#[test]
fn a_broken_graph_in_the_place_of_a_step_is_the_users_mistake() {
    let broken = graph("graph g\n  %x = input {role = data} : f32[3]\n  output y = %x\n  output y = %x\n");
    let mut driver = Driver::new(Some((Step::Canonicalize, Control::Graph(broken.clone()))));
    for result in [
        run_graph("predict", broken, None, &mut ()),
        run_graph("train_step", graph(TRAINED), Some(&rules()), &mut driver),
    ] {
        let Err(CompileError::User(diagnostics)) = result else { panic!("{result:?}") };
        assert_eq!(diagnostics[0].code, Code::BadOutput);
    }
}

#[test]
fn kernels_cannot_take_the_place_of_a_graph() {
    let mut driver = Driver::new(Some((Step::Canonicalize, Control::Kernels(Vec::new()))));
    let result = run_graph("predict", graph(TRAINED), None, &mut driver);
    let Err(CompileError::User(diagnostics)) = result else { panic!("{result:?}") };
    assert!(diagnostics[0].message.contains("canonicalize"), "{}", diagnostics[0]);
}

#[test]
fn without_rules_the_gradients_are_outputs() {
    let result = run_graph("train_step", graph(TRAINED), None, &mut ()).unwrap().unwrap();
    let outputs: Vec<&str> = result.outputs().iter().map(|output| output.name.as_str()).collect();
    assert_eq!(outputs, ["loss", "predictions", "mean", "d_w"]);
}

#[test]
fn a_loss_and_its_parameters_must_exist() {
    let mut without_loss = graph(TRAINED);
    without_loss.retain_outputs(|output| output.name != "loss");
    let mut missing = rules();
    missing.trained[0] = "v".to_owned();
    for (graph, rules, name) in [(without_loss, rules(), "loss"), (graph(TRAINED), missing, "v")] {
        let error = run_graph("train_step", graph, Some(&rules), &mut ()).unwrap_err();
        let CompileError::User(diagnostics) = &error else { panic!("{error}") };
        assert_eq!(diagnostics[0].code, Code::UnknownName);
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn units_take_what_they_need() {
    let mut eval = graph(TRAINED);
    eval.retain_outputs(|output| output.name == "loss");
    let mut predict = graph(TRAINED);
    predict.retain_outputs(|output| output.name == "predictions");
    let request = Request {
        name: "tiny".to_owned(),
        train: Some(graph(TRAINED)),
        eval: Some(eval),
        predict: Some(predict),
        rules: Some(rules()),
        accumulate: Some(UpdateRules { groups: Vec::new(), ..rules() }),
        detect_anomaly: false,
        selection: Default::default(),
        autocast: None,
        peak_memory: None,
        stores_strips: false,
    };
    let found = units(&request);
    let expected = ["train_step", "accumulate_step", "eval_loss", "predict"];
    assert_eq!(found.iter().map(|unit| unit.name).collect::<Vec<_>>(), expected);
    for Unit { name, graph, rules } in &found {
        assert_eq!(graph.name, format!("tiny.{name}"));
        assert_verified(graph, name);
        assert_eq!(rules.is_some(), name.ends_with("_step"), "{name}");
        assert_eq!(graph.find("labels").is_some(), *name != "predict", "{name}");
        assert!(graph.find("x").is_some() && graph.find("w").is_some());
    }
    let inference = Request { train: None, eval: None, ..request.clone() };
    assert_eq!(units(&inference).iter().map(|unit| unit.name).collect::<Vec<_>>(), ["predict"]);
}

/// A random graph with a loss: the sum of its floating outputs, bounded.
fn random_loss(seed: u64) -> (Graph, ValueId) {
    let mut graph = random_graph(seed, 12);
    let values: Vec<ValueId> = graph.outputs().iter().map(|output| output.value).collect();
    let mut cx = Builder::new(&mut graph, Place::NONE);
    let mut loss = cx.full(0.0, &Type::scalar(DType::F32));
    for value in values.into_iter().filter(|&value| cx.ty(value).dtype == DType::F32).collect::<Vec<_>>() {
        let bounded = cx.emit(Tanh {}, &[value]);
        let axes: Vec<usize> = (0..cx.ty(value).rank()).collect();
        let sum = cx.sum(bounded, &axes, false);
        loss = cx.add(loss, sum);
    }
    graph.add_output("loss", loss);
    (graph, loss)
}

#[test]
fn gradients_of_random_graphs_survive_the_pipeline() {
    for seed in 0..120 {
        let (graph, loss) = random_loss(seed);
        let inputs = inputs_of(&graph, seed, MAX_BATCH);
        let mut expected = graph.clone();
        let parameters: Vec<ValueId> =
            graph.inputs().into_iter().filter(|(_, input)| input.role == Role::Parameter).map(|(v, _)| v).collect();
        for gradient in autodiff::run(&mut expected, loss, &parameters).unwrap() {
            expected.add_output(format!("gradient of {}", expected.len()), gradient);
        }
        let found = run_graph("train_step", graph, None, &mut ()).unwrap().unwrap();
        let (before, after) = (expected.len(), found.len());
        let expected = results(&expected, &inputs, MAX_BATCH, Precision::Declared);
        let found_values = results(&found, &inputs, MAX_BATCH, Precision::Declared);
        // Random chains of saturated functions lose some digits of f32 to another order of the same sums.
        assert_same(&expected, &found_values, 1e-3, || format!("seed {seed}\n{found}"));
        assert!(after < before, "seed {seed}: {before} values became {after}");
    }
}

#[test]
fn a_batch_of_fewer_samples_runs_through_the_same_step() {
    let step = run_graph("train_step", graph(TRAINED), Some(&rules()), &mut ()).unwrap().unwrap();
    assert_eq!(step.ty(step.find("x").unwrap()).dim(0), Dim::BATCH);
    for batch in 1..=4 {
        let inputs = inputs_of(&step, 5, batch);
        assert_eq!(results(&step, &inputs, batch, Precision::Exact)[1].shape, [batch]);
    }
}

/// A unit's steps by name, with how often kernels and programs were seen.
struct Levels(Vec<(String, &'static str, &'static str)>);

impl Observer for Levels {
    fn after(&mut self, step: Step, unit: &str, stage: Stage<'_>) -> Control {
        let level = match stage {
            Stage::Graph(_) => "graph",
            Stage::Kernels(kernels) if !kernels.is_empty() => "kernels",
            Stage::Kernels(_) => "no kernels",
            Stage::Program(_) => "program",
        };
        self.0.push((unit.to_owned(), step.name(), level));
        Control::Continue
    }
}

fn request() -> Request {
    let eval = "graph g\n  %w = input {role = parameter} : f32[]\n  %l = exp %w : f32[]\n  output loss = %l\n";
    let predict =
        "graph g batch <= 4\n  %x = input {role = data} : f32[B,3]\n  %y = exp %x : f32[B,3]\n  output y = %y\n";
    let name = "tiny".to_owned();
    Request { name, eval: Some(graph(eval)), predict: Some(graph(predict)), ..Request::default() }
}

#[test]
fn a_request_becomes_one_program() {
    let mut levels = Levels(Vec::new());
    let program = pipeline::run(&request(), &mut levels).unwrap().unwrap();
    let entries: Vec<&str> = program.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(entries, ["eval_loss", "predict"]);
    assert_eq!((program.name.as_str(), program.max_batch), ("tiny", 4));
    assert!(verify_program(&program).is_empty());
    let of = |unit: &str| -> Vec<(&str, &str)> {
        levels.0.iter().filter(|(seen, ..)| seen == unit).map(|(_, step, level)| (*step, *level)).collect()
    };
    let mut expected: Vec<(&str, &str)> = Step::ALL[..12].iter().map(|step| (step.name(), "graph")).collect();
    expected.extend(Step::ALL[12..18].iter().map(|step| (step.name(), "kernels")));
    assert_eq!((of("eval_loss"), of("predict")), (expected.clone(), expected));
    assert_eq!(of("tiny"), [("plan_memory", "program")]);
}

/// Answers one step of the units whose name it has.
struct At<'a>(Step, &'a dyn Fn(Stage<'_>) -> Control);

impl Observer for At<'_> {
    fn after(&mut self, step: Step, _: &str, stage: Stage<'_>) -> Control {
        if step == self.0 { (self.1)(stage) } else { Control::Continue }
    }
}

#[test]
fn a_stop_anywhere_leaves_no_program() {
    for &step in Step::ALL {
        assert_eq!(pipeline::run(&request(), &mut At(step, &|_| Control::Stop)).unwrap(), None, "{}", step.name());
    }
}

#[test]
fn kernels_and_programs_can_be_put_in_place_and_must_fit() {
    let expected = pipeline::run(&request(), &mut ()).unwrap();
    let same = |stage: Stage<'_>| match stage {
        Stage::Graph(graph) => Control::Graph(graph.clone()),
        Stage::Kernels(kernels) => Control::Kernels(kernels.to_vec()),
        Stage::Program(program) => Control::Program(program.clone()),
    };
    let fewer = |stage: Stage<'_>| match stage {
        Stage::Kernels(kernels) => Control::Kernels(kernels[1..].to_vec()),
        _ => Control::Continue,
    };
    for step in [Step::Fuse, Step::Lower, Step::OrderSteps, Step::PlanMemory] {
        assert_eq!(pipeline::run(&request(), &mut At(step, &same)).unwrap(), expected, "{}", step.name());
    }
    let error = pipeline::run(&request(), &mut At(Step::Tile, &fewer)).unwrap_err();
    assert!(error.to_string().contains("`tile` needs as many kernels"), "{error}");
    let error = pipeline::run(&request(), &mut At(Step::Tile, &|_| Control::Graph(Graph::new("g")))).unwrap_err();
    assert!(error.to_string().contains("`tile` leaves kernels"), "{error}");
}
