//! The `kiln` command and the three switches, as a user runs them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use kiln_ir::text::parse_module;
use kiln_tests::support::{self, Said, run};

/// Runs `kiln` in a folder.
fn kiln_in(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    run(Command::new(support::kiln()).args(arguments).envs(variables.iter().copied()).current_dir(folder))
}

/// What a call that works prints.
fn output(arguments: &[&str]) -> String {
    let said = kiln_in(&support::root(), arguments, &[]);
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "kiln {arguments:?}");
    said.out
}

/// What a call that fails prints on stderr; it prints nothing else.
fn failure(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let said = kiln_in(folder, arguments, variables);
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "kiln {arguments:?}: {}", said.err);
    said.err
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("the system has a temporary folder")
}

const GRAPH: &str = "graph half
  %x = input {role = data} : f32[3]
  %h = relu %x : f32[3]
  output y = %h
";

#[test]
fn every_stage_prints_the_model() {
    for (stage, needed) in [
        ("graph", &["graph lenet.train_step batch <= 64", "%fc3.weight = input", "output loss = "][..]),
        ("kernel", &["kernel conv1_bias_relu(", "schedule ", "@examples/mnist/src/model.rs:"]),
        ("program", &["program lenet batch <= 64", "entry train_step", "parameter at 0"]),
        ("clif", &["; conv1_bias_relu\nfunction u0:0(i64, i64, i64, i64)", "\nblock0("]),
        ("asm", &["; conv1_bias_relu\n", "ret"]),
        ("cuda", &["extern \"C\" __global__ void", "conv1_bias_relu("]),
    ] {
        let text = output(&["dump", "lenet", "--stage", stage]);
        for needed in needed {
            assert!(text.contains(needed), "{stage} lacks `{needed}`");
        }
        assert_eq!(text, output(&["dump", "lenet", "--stage", stage]), "{stage} differs from run to run");
    }
    assert_eq!(output(&["dump", "lenet"]), output(&["dump", "lenet", "--stage", "graph"]));
}

#[test]
fn what_each_pass_leaves_parses_back() {
    for pass in [
        "verify",
        "canonicalize",
        "merge_common",
        "fold_constants",
        "autodiff",
        "append_update",
        "simplify",
        "fuse",
        "rematerialize",
        "lower",
        "strips",
        "tile",
        "vectorize",
        "order_steps",
        "plan_memory",
    ] {
        let text = output(&["dump", "lenet", "--after", pass]);
        let items = parse_module(&text, pass).unwrap_or_else(|found| panic!("{pass}: {}", found[0])).items;
        assert!(!items.is_empty(), "{pass}");
        let printed: String = items.iter().map(ToString::to_string).collect();
        let plain = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).map(str::to_owned).collect()
        };
        assert_eq!(plain(&printed), plain(&text), "{pass}");
    }
}

#[test]
fn a_stage_after_a_pass_is_that_pass_in_that_form() {
    let lowered = output(&["dump", "lenet", "--stage", "kernel", "--after", "lower"]);
    let tiled = output(&["dump", "lenet", "--stage", "kernel", "--after", "tile"]);
    assert!(lowered.contains("kernel conv1_bias_relu(") && lowered != tiled);
    assert!(output(&["dump", "mlp", "--stage", "clif", "--after", "lower"]).contains("\nfunction u0:0"));
    assert!(output(&["dump", "mlp", "--stage", "cuda", "--after", "tile"]).contains("__global__"));
    let told = failure(&support::root(), &["dump", "lenet", "--stage", "kernel", "--after", "fuse"], &[]);
    assert!(told.starts_with("error[K0105]: `--stage kernel` cannot show what `fuse` leaves, graphs\n"), "{told}");
}

#[test]
fn summaries() {
    let text: String = ["mlp", "lenet", "digits"].map(|model| output(&["summary", model])).join("\n\n");
    insta::assert_snapshot!("summary", text);
}

#[test]
fn a_sound_model_passes_its_check() {
    let text = output(&["check", "mlp", "--batch", "1"]);
    assert!(text.ends_with("everything agrees with the interpreter\n"), "{text}");
    for step in ["canonicalize", "autodiff", "fuse", "plan_memory", "machine code"] {
        assert!(
            text.lines().any(|line| line.starts_with(step) && line.ends_with("  ok")),
            "{step} is missing:\n{text}"
        );
    }
    let folder = folder();
    fs::write(folder.path().join("half.kir"), GRAPH).expect("the folder is writable");
    let said = kiln_in(folder.path(), &["check", "half.kir", "--batch", "1"], &[]);
    assert_eq!(said.status, Some(0), "{}", said.err);
}

/// A pass that gave `tanh` for `relu` would be named, with what it has changed: here a swapped stage stands in for it.
#[test]
fn a_check_names_the_step_that_changes_a_value() {
    let folder = folder();
    kiln_in(folder.path(), &["dump", "mlp"], &[("KILN_DUMP", ".")]);
    let graph = fs::read_to_string(folder.path().join("06_simplify.train_step.ir")).expect("the dump is there");
    let wrong = graph.replace("%relu_1 = relu ", "%relu_1 = tanh ");
    assert_ne!(graph, wrong);
    fs::write(folder.path().join("wrong.ir"), wrong).expect("the folder is writable");
    let said = kiln_in(folder.path(), &["check", "mlp", "--batch", "1"], &[("KILN_IR", "fuse:wrong.ir")]);
    assert_eq!(said.status, Some(1), "{}", said.out);
    assert!(said.err.contains("error[K0207]: `fuse` changes `loss` of train_step: it differs by "), "{}", said.err);
    assert!(
        said.out.lines().any(|line| line.starts_with("simplify         train_step") && line.ends_with("  ok")),
        "{}",
        said.out
    );
    assert!(
        said.out.lines().last().is_some_and(|line| line.starts_with("fuse ") && line.ends_with("  DIFFERS")),
        "{}",
        said.out
    );
}

#[test]
fn a_file_goes_the_same_way_as_a_model() {
    let folder = folder();
    fs::write(folder.path().join("half.kir"), GRAPH).expect("the folder is writable");
    let dump = |file: &str, stage: &str| kiln_in(folder.path(), &["dump", file, "--stage", stage], &[]).out;
    let kernel = dump("half.kir", "kernel");
    assert!(kernel.contains("max(x[i], 0.0)"), "{kernel}");
    assert!(dump("half.kir", "program").contains("program half"));
    // Kernels and programs can be gone on with, too.
    fs::write(folder.path().join("kernel.kir"), &kernel).expect("the folder is writable");
    assert_eq!(dump("kernel.kir", "kernel"), kernel);
    assert_eq!(dump("kernel.kir", "clif"), dump("half.kir", "clif"));
    fs::write(folder.path().join("program.kir"), dump("half.kir", "program")).expect("the folder is writable");
    assert_eq!(dump("program.kir", "program"), dump("half.kir", "program"));
    assert_eq!(dump("program.kir", "cuda"), dump("half.kir", "cuda"));
}

#[test]
fn mistakes_are_told_with_their_place() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("the folder is writable");
    write("word.kir", &GRAPH.replace("relu", "rleu"));
    write("type.kir", &GRAPH.replace("relu %x : f32[3]", "relu %x : f32[4]"));
    write("name.kir", &GRAPH.replace("output y = %h", "output y = %g"));
    write("cut.kir", &GRAPH[..40]);
    write("empty.kir", "// nothing\n");
    write("kernel.kir", "kernel k(x: f32[3]) -> (y: f32[3])\n  for i in 3\n    y[i] = x[i + 1]\n  schedule grain(1)\n");
    write("sound.kir", "kernel k(x: f32[3]) -> (y: f32[3])\n  for i in 3\n    y[i] = x[i]\n  schedule grain(1)\n");
    write("twice.kir", &format!("{GRAPH}\n{}", GRAPH.replace("graph half", "graph other")));
    let calls: &[&[&str]] = &[
        &["dump", "nosuch"],
        &["summary", "nosuch"],
        &["check", "nosuch"],
        &["dump", "nosuch.kir"],
        &["dump", "lenet", "--after", "nosuch"],
        &["check", "mlp", "--batch", "65"],
        &["check", "mlp", "--batch", "0"],
        &["bench", "nosuch"],
        &["bench", "mlp", "--batch", "65"],
        &["summary", "sound.kir"],
        &["dump", "word.kir"],
        &["dump", "type.kir"],
        &["dump", "name.kir"],
        &["dump", "cut.kir"],
        &["dump", "empty.kir"],
        &["dump", "kernel.kir"],
        &["dump", "sound.kir", "--after", "fuse"],
        &["dump", "sound.kir", "--stage", "graph"],
        &["check", "sound.kir"],
        &["dump", "twice.kir"],
    ];
    let told = |call: &&[&str]| format!("── kiln {}\n{}\n", call.join(" "), failure(folder.path(), call, &[]));
    insta::assert_snapshot!("mistakes", calls.iter().map(told).collect::<String>());
}

#[test]
fn wrong_arguments_show_the_usage() {
    for arguments in [
        &["dump"][..],
        &["dump", "lenet", "--stage", "ptx"],
        &["nosuch"],
        &["check", "mlp", "--batch", "two"],
        &["bench", "mlp", "--seconds", "nan"],
        &["bench", "mlp", "--seconds=-3"],
        &["bench", "mlp", "--threads", "0"],
        &["summary", "mlp", "--peak-memory", "5 parsecs"],
    ] {
        let said = kiln_in(&support::root(), arguments, &[]);
        assert_eq!((said.status, said.out.as_str()), (Some(2), ""), "kiln {arguments:?}");
        assert!(said.err.starts_with("error: "), "{}", said.err);
    }
    assert!(output(&["--help"]).contains("summary"));
    assert_eq!(output(&["models"]), "mlp\nlenet\ndigits\nresnet18\nresnet50\nresnet50_infer\nunet\ngpt\n");
}

#[test]
fn a_benchmark_has_the_fields_of_its_peers_and_lists_every_launch() {
    let json: serde_json::Value =
        serde_json::from_str(&output(&["bench", "mlp", "--seconds", "0", "--threads", "1", "--batch", "8", "--json"]))
            .expect("one line of JSON");
    let fields = ["workload", "peer", "batch", "threads", "samples_per_s", "step_ms", "steps", "time_to_first_step_s"];
    for field in fields.into_iter().chain(["peak_rss_mib", "version", "losses"]) {
        assert!(!json[field].is_null(), "{field}: {json}");
    }
    assert_eq!((&json["workload"], &json["batch"], &json["threads"]), (&"mlp".into(), &8.into(), &1.into()));

    let folder = folder();
    let trace = folder.path().join("trace.json");
    let trace_argument = trace.to_str().expect("a path of letters");
    let table = output(&["bench", "mlp", "--seconds", "0", "--threads", "1", "--roofline", "--trace", trace_argument]);
    assert!(table.contains("GFLOP/s of multiply-adds") && table.contains("the whole step"), "{table}");
    let events: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&trace).expect("it was written")).expect("a trace is JSON");
    let events = events["traceEvents"].as_array().expect("a list of events");
    let launches = table.lines().filter(|line| line.contains(" @")).count();
    assert!(launches > 5 && launches == events.len(), "{launches} rows, {} events", events.len());
}

#[test]
fn a_closed_pipe_is_silent_and_a_full_disk_is_not() {
    let mut child = Command::new(support::kiln())
        .args(["dump", "lenet", "--stage", "asm"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let said = support::said(&child.wait_with_output().expect("it ends"));
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""));
    if let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") {
        let said = run(Command::new(support::kiln()).args(["dump", "lenet"]).stdout(full));
        assert_eq!(said.status, Some(1));
        assert!(said.err.starts_with("error: cannot write `stdout`: "), "{}", said.err);
    }
}

#[test]
fn dumps_are_one_file_for_each_step_that_changed_something() {
    let folder = folder();
    let dump = folder.path().join("dump");
    // Of an earlier run; `autodiff` has nothing to do in a prediction.
    fs::create_dir(&dump).expect("the folder is writable");
    fs::write(dump.join("04_autodiff.predict.ir"), "old").expect("the folder is writable");
    let said = kiln_in(folder.path(), &["dump", "lenet", "--stage", "program"], &[("KILN_DUMP", "dump")]);
    assert_eq!(said.status, Some(0), "{}", said.err);
    let text = |name: &str| fs::read_to_string(dump.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let names: BTreeSet<String> = fs::read_dir(&dump)
        .expect("there are dumps")
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    for needed in [
        "00_verify.train_step.ir",
        "04_autodiff.train_step.ir",
        "10_fuse.train_step.ir",
        "10_fuse.predict.ir",
        "12_lower.eval_loss.ir",
        "18_plan_memory.lenet.ir",
    ] {
        assert!(names.contains(needed), "{needed} is not among {names:?}");
    }
    assert!(!names.contains("04_autodiff.predict.ir"), "{names:?}");
    assert_eq!(text("18_plan_memory.lenet.ir"), said.out);
    for unit in ["train_step", "eval_loss", "predict"] {
        let of_unit: Vec<String> = names.iter().filter(|name| name.contains(unit)).map(|name| text(name)).collect();
        assert!(of_unit.windows(2).all(|pair| pair[0] != pair[1]), "{unit}: two dumps are equal");
    }
    for name in &names {
        let items = parse_module(&text(name), name).unwrap_or_else(|found| panic!("{}", found[0])).items;
        let printed: Vec<String> = items.iter().map(|item| item.to_string().trim_end().to_owned()).collect();
        assert_eq!(printed.join("\n\n"), text(name).trim_end(), "{name}");
    }
}

#[test]
fn a_stopped_compilation_says_where() {
    let stop = [("KILN_STOP_AFTER", "fuse")];
    let told = failure(&support::root(), &["dump", "lenet", "--stage", "kernel"], &stop);
    assert_eq!(told, "error: the compilation stopped after `fuse`, as KILN_STOP_AFTER asks\n");
    // What lies before is there.
    let said = kiln_in(&support::root(), &["dump", "lenet", "--after", "fuse"], &stop);
    assert_eq!((said.status, said.out), (Some(0), output(&["dump", "lenet", "--after", "fuse"])));
    let folder = folder();
    kiln_in(folder.path(), &["dump", "mlp", "--stage", "kernel"], &[("KILN_STOP_AFTER", "fuse"), ("KILN_DUMP", ".")]);
    assert!(
        folder.path().join("10_fuse.train_step.ir").exists() && !folder.path().join("12_lower.train_step.ir").exists()
    );
}

#[test]
fn a_swapped_stage_changes_what_comes_out() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("the folder is writable");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("the dump is there");
    let dumped = kiln_in(folder.path(), &["dump", "lenet", "--stage", "program"], &[("KILN_DUMP", ".")]);
    assert_eq!(dumped.status, Some(0), "{}", dumped.err);
    let swapped = |value: &str| {
        let said = kiln_in(folder.path(), &["dump", "lenet", "--stage", "program"], &[("KILN_IR", value)]);
        assert_eq!(said.status, Some(0), "{}", said.err);
        said.out
    };
    // A graph: the cotangent of the loss's negation, -1.
    let graph = read("06_simplify.train_step.ir");
    write("same.ir", &graph);
    assert_eq!(swapped("fuse:same.ir"), dumped.out);
    let other = graph.replace("value = -1}", "value = -0.25}");
    assert_ne!(graph, other);
    write("graph.ir", &other);
    let out = swapped("fuse:graph.ir");
    assert!(out.contains("-0.25") && !dumped.out.contains("-0.25"), "{out}");
    // Kernels, of one entry point.
    let kernels = read("14_tile.train_step.ir");
    write("kernels.ir", &kernels.replace("= -1.0 /", "= -0.125 /"));
    let out = swapped("vectorize:kernels.ir");
    assert!(out.contains("= -0.125 /") && !out.contains("= -1.0 /"), "{out}");
}

#[test]
fn wrong_switches_are_told() {
    let folder = folder();
    fs::write(folder.path().join("half.ir"), GRAPH).expect("the folder is writable");
    fs::write(folder.path().join("bad.ir"), GRAPH.replace("relu", "rleu")).expect("the folder is writable");
    fs::write(folder.path().join("file"), "").expect("the folder is writable");
    let switches = [
        ("KILN_STOP_AFTER", "fusion"),
        ("KILN_IR", "fuse"),
        ("KILN_IR", "fusion:half.ir"),
        ("KILN_IR", "fuse:absent.ir"),
        ("KILN_IR", "fuse:bad.ir"),
        ("KILN_IR", "fuse:half.ir"),
        ("KILN_IR", "verify:half.ir"),
        ("KILN_DUMP", "file"),
    ];
    let told = |&(variable, value): &(&str, &str)| {
        let told = failure(folder.path(), &["dump", "mlp", "--stage", "program"], &[(variable, value)]);
        format!("── {variable}={value}\n{told}\n")
    };
    insta::assert_snapshot!("switches", switches.iter().map(told).collect::<String>());
}
