//! The tuning lock file: what is measured is kept, what is kept is used, and what cannot be used is refused.

use std::path::Path;

use kiln::prelude::*;
use kiln::{Compiler, Error, Selection, Tuning};
use serde_json::{Value, json};

/// Two convolutions by 3 x 3 taps, of which the second is there twice, and one by single taps, which leaves no choice.
fn training() -> Training<impl Module> {
    let conv = |from, to| Conv2d::new(from, to, 3).padding(1);
    let model = Sequential::new((conv(2, 4), Relu, conv(4, 4), Relu, conv(4, 4), Conv2d::new(4, 1, 1)));
    Training::new("images", model)
        .max_batch(2)
        .input("x", DType::F32, [BATCH, 2.into(), 6.into(), 5.into()])
        .loss(|model, batch| model.forward(batch["x"]).square().mean_all())
        .optimizer(Sgd::new(0.1))
}

fn compiled(tuning: Tuning) -> Result<String, Error> {
    Ok(Compiler::new().tuning(tuning).compile(&training())?.program.to_string())
}

fn benchmark(path: &Path) -> Result<String, Error> {
    compiled(Tuning::Benchmark(path.to_owned()))
}

fn locked(path: &Path) -> Result<String, Error> {
    compiled(Tuning::Locked(path.to_owned()))
}

/// The file as JSON, the entries of this machine in it.
fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("the file is there")).expect("it is JSON")
}

fn entries(lock: &mut Value) -> &mut serde_json::Map<String, Value> {
    let machines = lock["machines"].as_object_mut().expect("machines have names");
    machines.values_mut().next().expect("there is one").as_object_mut().expect("problems have names")
}

#[test]
fn what_is_measured_is_kept_and_used() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("tuning.json");
    let measured = benchmark(&path).expect("everything can be measured");
    let mut lock = read(&path);
    let found: Vec<&String> = entries(&mut lock).keys().collect();
    // Nothing before the first convolution wants its gradient.
    let expected = [
        "f32 forward n2 c2 o4 6x5 to 6x5 stride 1x1 padding 1x1",
        "f32 forward n2 c4 o4 6x5 to 6x5 stride 1x1 padding 1x1",
        "f32 input_grad n2 c4 o4 6x5 to 6x5 stride 1x1 padding 1x1",
        "f32 weight_grad n2 c2 o4 6x5 to 6x5 stride 1x1 padding 1x1",
        "f32 weight_grad n2 c4 o4 6x5 to 6x5 stride 1x1 padding 1x1",
    ];
    assert_eq!(found, expected);
    for entry in entries(&mut lock).values() {
        let times = entry["microseconds"].as_object().expect("candidates have names");
        let names: Vec<&String> = times.keys().collect();
        assert_eq!(names, ["direct", "winograd_2x2", "winograd_4x4"]);
        let fastest = times.values().filter_map(Value::as_f64).fold(f64::INFINITY, f64::min);
        assert_eq!(times[entry["winner"].as_str().expect("it has a name")], fastest);
    }

    let before = std::fs::read(&path).expect("it is there");
    assert_eq!(locked(&path).expect("it has every entry"), measured);
    assert_eq!(benchmark(&path).expect("nothing is left to measure"), measured);
    assert_eq!(std::fs::read(&path).expect("it is there"), before, "what is known is not measured again");

    // Each winner is used: with others the program is another.
    let programs = ["direct", "winograd_4x4"].map(|winner| {
        entries(&mut lock).values_mut().for_each(|entry| entry["winner"] = json!(winner));
        std::fs::write(&path, lock.to_string()).expect("it can be written");
        locked(&path).expect("it has every entry")
    });
    assert!(!programs[0].contains("winograd"));
    assert!(programs[1].contains("winograd"));
}

#[test]
fn code_for_every_machine_has_times_of_its_own() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("tuning.json");
    benchmark(&path).expect("everything can be measured");
    let portable = Compiler::new().portable().tuning(Tuning::Locked(path.clone())).compile(&training());
    refused(portable.map(|compiled| compiled.program.to_string()), &["has no times of", "portable code"]);
}

#[test]
fn a_model_without_a_choice_needs_no_file() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("tuning.json");
    for tuning in [Tuning::Benchmark(path.clone()), Tuning::Locked(path.clone())] {
        Compiler::new().tuning(tuning).compile(&kiln::models::mlp::mlp()).expect("there is nothing to measure");
    }
    assert!(!path.exists());
}

#[test]
fn exact_leaves_nothing_to_measure() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("tuning.json");
    let compiler = Compiler::new().algorithms(Selection::Exact).tuning(Tuning::Benchmark(path.clone()));
    compiler.compile(&training()).expect("it compiles");
    assert!(!path.exists());
}

#[test]
fn what_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("tuning.json");
    refused(locked(&path), &["there is no tuning lock file", "--benchmark"]);
    benchmark(&path).expect("everything can be measured");
    let good = read(&path);

    type Spoil = fn(&mut Value);
    let key = "f32 forward n2 c4 o4 6x5 to 6x5 stride 1x1 padding 1x1";
    let both: [(Spoil, &[&str]); 7] = [
        (|lock| lock["format"] = json!(7), &["has format 7, and this version reads 1"]),
        (|lock| lock["kiln"] = json!("0.0.9"), &["holds times of kiln 0.0.9, and this is"]),
        (|lock| lock["more"] = json!(1), &["is no tuning lock file", "more"]),
        (|lock| *lock = json!([1]), &["is no tuning lock file"]),
        (|lock| entry(lock)["winner"] = json!("fft"), &[key, "its winner `fft` cannot compute it", "`winograd_2x2`"]),
        (
            |lock| drop(entry(lock)["microseconds"].as_object_mut().map(|times| times.remove("direct"))),
            &[key, "it has times of `winograd_2x2`, `winograd_4x4`, and the candidates are"],
        ),
        (|lock| entry(lock)["microseconds"]["direct"] = json!(-1.0), &[key, "the time of `direct` is -1 microseconds"]),
    ];
    for (spoil, expected) in both {
        let mut lock = good.clone();
        spoil(&mut lock);
        std::fs::write(&path, lock.to_string()).expect("it can be written");
        refused(locked(&path), expected);
        refused(benchmark(&path), expected);
        assert_eq!(read(&path), lock, "a file that is refused is left as it is");
    }

    // What is missing is an error for one and work for the other.
    let mut lock = good.clone();
    entries(&mut lock).remove(key);
    std::fs::write(&path, lock.to_string()).expect("it can be written");
    refused(locked(&path), &["has no entry for", key]);
    benchmark(&path).expect("it is measured");
    assert_eq!(entries(&mut read(&path)).len(), entries(&mut good.clone()).len());

    let mut lock = good.clone();
    let own = lock["machines"].as_object_mut().map(std::mem::take).expect("machines have names");
    lock["machines"]["another, 64 threads"] = own.values().next().expect("there is one").clone();
    std::fs::write(&path, lock.to_string()).expect("it can be written");
    refused(locked(&path), &["has no times of", "it has those of `another, 64 threads`"]);
    benchmark(&path).expect("it is measured");
    assert_eq!(read(&path)["machines"].as_object().map(serde_json::Map::len), Some(2), "both are kept");
}

fn entry(lock: &mut Value) -> &mut Value {
    &mut entries(lock)["f32 forward n2 c4 o4 6x5 to 6x5 stride 1x1 padding 1x1"]
}

#[track_caller]
fn refused(result: Result<String, Error>, expected: &[&str]) {
    let text = result.expect_err("it cannot be used").render();
    assert!(text.contains("K0404"), "{text}");
    for expected in expected {
        // Long lines are wrapped where they are shown.
        let plain: Vec<&str> = text.split_whitespace().collect();
        assert!(plain.join(" ").contains(expected), "{expected} in {text}");
    }
}
