//! The MNIST example as a user ships it: the binary alone in an empty folder, on small generated images.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use kiln::runtime::checkpoint;
use kiln::runtime::philox::Philox4x32;
use kiln_tests::support::{self, Said, run, said};
use object::{Object, ObjectSymbol};

/// Samples in a data set: 170 to train on in three batches, the last one short, and 30 to test on.
const SAMPLES: usize = 200;

/// An empty folder with the binary and the data.
struct Shipped {
    folder: tempfile::TempDir,
}

impl Shipped {
    fn new() -> Shipped {
        let folder = tempfile::tempdir().expect("the system has a temporary folder");
        fs::copy(support::mnist(), folder.path().join("mnist")).expect("the binary can be copied");
        let shipped = Shipped { folder };
        write_images(&shipped.path("data"), SAMPLES, 28);
        shipped
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The binary, in its folder, with nothing of the surroundings.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("mnist"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        run(&mut self.command(arguments))
    }

    /// Trains, and gives the checkpoint's bytes.
    fn train(&self, checkpoint: &str, arguments: &[&str]) -> Vec<u8> {
        let said = self.run(&[&["--data", "data", "--checkpoint", checkpoint], arguments].concat());
        assert_eq!(said.status, Some(0), "{}", said.err);
        fs::read(self.path(checkpoint)).expect("it has saved a checkpoint")
    }

    /// What a run that must fail says on stderr.
    fn failure(&self, status: i32, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.status, Some(status), "mnist {}: {}", arguments.join(" "), said.err);
        assert!(!said.err.contains("panicked"), "{}", said.err);
        said.err
    }
}

#[test]
fn the_binary_contains_no_compiler() {
    let bytes = fs::read(support::mnist()).expect("the binary can be read");
    let file = object::File::parse(&*bytes).expect("it is an executable");
    let symbols: Vec<&str> = file.symbols().filter_map(|symbol| symbol.name().ok()).collect();
    // Where there are symbols at all, those of the kernels are among them.
    assert!(symbols.is_empty() || symbols.iter().any(|name| name.contains("kiln_lenet_conv1_bias_relu")));
    for compiler in ["cranelift", "petgraph", "kiln_passes", "kiln_ir", "kiln_frontend"] {
        let symbol = symbols.iter().find(|name| name.contains(compiler));
        assert_eq!(symbol, None, "a symbol of {compiler}");
        assert!(!bytes.windows(compiler.len()).any(|window| window == compiler.as_bytes()), "a string of {compiler}");
    }
}

#[test]
fn a_run_reports_and_saves() {
    let shipped = Shipped::new();
    let said = shipped.run(&["--data", "data", "--epochs", "2", "--checkpoint", "lenet.safetensors"]);
    assert_eq!(said.status, Some(0), "{}", said.err);
    let last = said.out.lines().last().unwrap_or_default();
    let percent = last.strip_prefix("test accuracy ").and_then(|rest| rest.strip_suffix(" %"));
    let percent: f64 =
        percent.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("the last line is `{last}`"));
    assert!((0.0..=100.0).contains(&percent));
    assert!(said.out.contains("trained 6 steps, 340 samples, "), "{}", said.out);
    assert!(said.out.contains("resident peak"), "{}", said.out);
    assert!(said.err.contains("epoch 2/2  loss ") && !said.err.contains('\x1b'), "plain lines: {}", said.err);

    let saved = checkpoint::load(shipped.path("lenet.safetensors")).expect("the checkpoint can be read");
    let names: Vec<String> = saved.tensors().map(|tensor| tensor.name.into_owned()).collect();
    for needed in ["conv1.weight", "conv1.bias", "fc3.weight", "optimizer.fc3.weight.momentum_buffer"] {
        assert!(names.iter().any(|name| name == needed), "{needed} is not among {names:?}");
    }
    // Nothing else was left.
    let mut left: Vec<String> = fs::read_dir(shipped.folder.path())
        .expect("the folder can be listed")
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left, ["data", "lenet.safetensors", "mnist"]);
}

#[test]
fn checkpoints_are_equal_for_threads_and_for_resumed_runs() {
    let shipped = Shipped::new();
    let whole = shipped.train("whole.safetensors", &["--epochs", "4"]);
    for threads in ["1", "2", "3"] {
        let arguments = ["--data", "data", "--epochs", "4", "--checkpoint", "threads.safetensors"];
        let said = run(shipped.command(&arguments).env("KILN_THREADS", threads));
        assert_eq!(said.status, Some(0), "{}", said.err);
        let found = fs::read(shipped.path("threads.safetensors")).expect("it has saved a checkpoint");
        assert!(found == whole, "{threads} threads give other bytes");
    }
    for steps in ["2", "3", "7"] {
        shipped.train("part.safetensors", &["--epochs", "4", "--steps", steps]);
        let resumed = shipped.train("rest.safetensors", &["--epochs", "4", "--resume", "part.safetensors"]);
        assert!(resumed == whole, "resumed after step {steps}, the run ends in other bytes");
    }
    assert!(shipped.train("seed.safetensors", &["--epochs", "4", "--seed", "2"]) != whole);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_saves_and_can_be_resumed() {
    let shipped = Shipped::new();
    let arguments = ["--data", "data", "--epochs", "100000", "--checkpoint", "stopped.safetensors"];
    let mut command = shipped.command(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("epoch 2/100000")), "it trains");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("there is a `kill`");
    assert!(kill.success());
    let rest: Vec<String> = lines.collect();
    let said = said(&child.wait_with_output().expect("it ends"));
    assert_eq!(said.status, Some(0), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("stopping after this step")), "{rest:?}");
    assert_eq!(said.out.lines().last(), Some("stopped; go on with --resume stopped.safetensors"));

    let saved = checkpoint::load(shipped.path("stopped.safetensors")).expect("the checkpoint can be read");
    let steps: u64 = saved.metadata()["steps"].parse().expect("a checkpoint counts its steps");
    assert!(steps >= 3, "{steps}");
    let further = (steps + 4).to_string();
    let resumed = shipped
        .train("resumed.safetensors", &["--epochs", "100000", "--steps", &further, "--resume", "stopped.safetensors"]);
    let whole = shipped.train("whole.safetensors", &["--epochs", "100000", "--steps", &further]);
    assert!(resumed == whole, "stopped after step {steps} and resumed, the run ends in other bytes");
}

#[test]
fn wrong_files_are_named() {
    let shipped = Shipped::new();
    let folder = |name: &str, images: &[u8], labels: &[u8]| {
        fs::create_dir(shipped.path(name)).expect("the folder is writable");
        fs::write(shipped.path(name).join("t10k-images-idx3-ubyte.gz"), images).expect("the folder is writable");
        fs::write(shipped.path(name).join("t10k-labels-idx1-ubyte.gz"), labels).expect("the folder is writable");
    };
    let read = |name: &str| fs::read(shipped.path("data").join(name)).expect("it was just written");
    let (images, labels) = (read("t10k-images-idx3-ubyte.gz"), read("t10k-labels-idx1-ubyte.gz"));
    let mut damaged = images.clone();
    damaged[images.len() / 2] ^= 0x40;
    folder("damaged", &damaged, &labels);
    folder("truncated", &images[..images.len() / 3], &labels);
    folder("swapped", &labels, &images);
    folder("text", b"not a data set", &labels);
    folder("fewer", &images, &gzip(&idx(&[100], &[1; 100])));
    folder("classes", &images, &gzip(&idx(&[SAMPLES as u32], &[12; SAMPLES])));
    write_images(&shipped.path("small"), 20, 14);
    write_images(&shipped.path("none"), 0, 28);
    fs::create_dir(shipped.path("empty")).expect("the folder is writable");
    let told: String =
        ["damaged", "truncated", "swapped", "text", "fewer", "classes", "small", "none", "empty", "absent"]
            .iter()
            .map(|name| format!("── {name}\n{}\n", shipped.failure(1, &["--data", name])))
            .collect();
    insta::assert_snapshot!("files", told);
}

#[test]
fn wrong_checkpoints_are_named() {
    let shipped = Shipped::new();
    let sound = shipped.train("sound.safetensors", &["--steps", "1"]);
    fs::write(shipped.path("truncated.safetensors"), &sound[..sound.len() - 100]).expect("the folder is writable");
    fs::write(shipped.path("text.safetensors"), "not a checkpoint").expect("the folder is writable");
    let tensors = [checkpoint::TensorView::from_f32s("conv1.weight", &[1], &[0.0])];
    checkpoint::save(shipped.path("other.safetensors"), tensors, &Default::default()).expect("the folder is writable");
    let mut told = String::new();
    for name in ["truncated", "text", "other", "absent"] {
        let file = format!("{name}.safetensors");
        told += &format!("── {name}\n{}\n", shipped.failure(1, &["--data", "data", "--resume", &file]));
    }
    told += &format!(
        "── another seed\n{}\n",
        shipped.failure(1, &["--data", "data", "--seed", "9", "--resume", "sound.safetensors"])
    );
    let unwritable = shipped.run(&["--data", "data", "--steps", "1", "--checkpoint", "absent/lenet.safetensors"]);
    assert_eq!((unwritable.status, unwritable.out.as_str()), (Some(1), ""), "it says so before it trains");
    told += &format!("── a folder that is not there\n{}\n", unwritable.err);
    insta::assert_snapshot!("checkpoints", told);
}

#[test]
fn wrong_arguments_are_told() {
    let shipped = Shipped::new();
    for arguments in [
        &["--data", "data", "--epoch", "3"][..],
        &["--data", "data", "--epochs", "many"],
        &["--epochs", "3"],
        &["--data"],
        &["data"],
    ] {
        let told = shipped.failure(2, arguments);
        assert!(told.starts_with("error: ") && told.contains("\n\nusage: mnist --data DIR"), "{arguments:?}: {told}");
    }
    let help = shipped.run(&["--help"]);
    assert_eq!((help.status, help.err.as_str()), (Some(0), ""));
    assert!(help.out.starts_with("usage: mnist --data DIR"));
    for threads in ["abc", "0", "-1", ""] {
        let said = run(shipped.command(&["--data", "data"]).env("KILN_THREADS", threads));
        assert_eq!(said.status, Some(1), "{}", said.err);
        assert_eq!(
            said.err,
            format!("error: KILN_THREADS needs a number of threads from 1 to 4096, not `{threads}`\n")
        );
    }
}

/// `t10k` files with images that their labels can be told from.
fn write_images(folder: &Path, count: usize, size: usize) {
    let mut random = Philox4x32::new(1, 0);
    let labels: Vec<u8> = (0..count).map(|_| random.below(10) as u8).collect();
    let pixels: Vec<u8> = labels
        .iter()
        .flat_map(|&label| (0..size * size).map(move |pixel| (label, pixel)))
        .map(|(label, pixel)| if pixel / size == usize::from(label) { 200 } else { random.below(64) as u8 })
        .collect();
    fs::create_dir(folder).expect("the folder is writable");
    let extents = [count as u32, size as u32, size as u32];
    fs::write(folder.join("t10k-images-idx3-ubyte.gz"), gzip(&idx(&extents, &pixels))).expect("the folder is writable");
    fs::write(folder.join("t10k-labels-idx1-ubyte.gz"), gzip(&idx(&extents[..1], &labels)))
        .expect("the folder is writable");
}

/// An IDX file of bytes.
fn idx(extents: &[u32], elements: &[u8]) -> Vec<u8> {
    let header = extents.iter().flat_map(|extent| extent.to_be_bytes());
    [0, 0, 8, extents.len() as u8].into_iter().chain(header).chain(elements.iter().copied()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}
