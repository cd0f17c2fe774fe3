//! The emitted text: against golden files, by a C++ compiler behind a stand-in header, and by NVRTC where there is one.
//!
//! `KILN_BLESS=1` rewrites the golden files. `KILN_NVRTC=/path/to/libnvrtc.so.13` compiles them with that library.

mod kernels;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln_codegen_cuda::{Error, Mapping, Parameter, choose_mapping, compile_to_ptx, translation_unit, write_kernel};
use kiln_codegen_cuda::{write_program, write_sources};
use kiln_ir::program::{Buffer, BufferId, Class, Entry, KernelId, Launch, Program};
use kiln_ir::{DType, Init, Kernel, Place};
use kiln_runtime::philox::{Philox4x32, PhiloxState};

use kernels::MAX_BATCH;

/// Golden files of whole train steps: the workspace's tests compile the models and keep these up to date, here they are compiled.
const PROGRAMS: [&str; 2] = ["lenet", "mlp"];

const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90"];

#[test]
fn kernels_match_their_golden_files() {
    let kernels = kernels::all();
    let bless = std::env::var_os("KILN_BLESS").is_some();
    let mut stale = Vec::new();
    for kernel in &kernels {
        let text = write_kernel(kernel, MAX_BATCH).unwrap().text;
        let path = golden_path(kernel);
        if bless {
            fs::write(&path, &text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(format!("{} should be:\n{text}", path.display()));
        }
    }
    assert!(stale.is_empty(), "{}\n(KILN_BLESS=1 rewrites the golden files)", stale.join("\n"));
    let files: BTreeSet<PathBuf> = fs::read_dir(golden_folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let known = kernels.iter().map(golden_path).chain(PROGRAMS.map(program_path));
    assert_eq!(files, known.collect(), "every golden file belongs to a kernel or a program");
}

#[test]
fn a_program_is_one_translation_unit_with_distinct_symbols() {
    let kernels = kernels::all();
    let twice: Vec<Kernel> = kernels.iter().chain(&kernels[..1]).cloned().collect();
    let program = program(twice);
    let sources = write_sources(&program).unwrap();
    let symbols: BTreeSet<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(symbols.len(), program.kernels.len());
    let text = write_program(&program).unwrap();
    assert!(
        text.starts_with("// everything, for batches of at most 64\n//\n// train_step\n//     0  bias_relu(x, b, h)\n")
    );
    for source in &sources {
        assert!(text.contains(&source.text), "{} is missing", source.name);
    }
}

/// Also checks that symbols, launches and the parameter lists agree with one another.
#[test]
fn launches_and_parameters_describe_the_functions() {
    for kernel in kernels::all() {
        let source = write_kernel(&kernel, MAX_BATCH).unwrap();
        let head = source.text.split_once("extern").unwrap().1.split_once(") {").unwrap().0;
        let declared = head.lines().skip(1).count();
        assert_eq!(declared, source.parameters.len(), "{head}");
        assert_eq!(head.contains("const int B"), source.parameters.contains(&Parameter::Batch));
        assert_eq!(head.contains("kiln_fault*"), source.parameters.contains(&Parameter::Fault));
        assert!(source.launch.block.is_multiple_of(32));
        assert!(source.launch.blocks(1) >= 1 && source.launch.blocks(MAX_BATCH) >= source.launch.blocks(1));
    }
}

#[test]
fn mappings_follow_the_shapes() {
    let mapping = |name: &str| {
        let kernel = kernels::all().into_iter().find(|kernel| kernel.name == name).unwrap();
        choose_mapping(&kernel, MAX_BATCH)
    };
    assert_eq!(mapping("bias_relu"), Mapping::Threads);
    assert_eq!(mapping("max_pool"), Mapping::Threads);
    assert_eq!(mapping("softmax_cross_entropy"), Mapping::Threads);
    assert_eq!(mapping("conv_data_gradient"), Mapping::Threads);
    assert_eq!(mapping("log_softmax"), Mapping::Block { threads: 128 });
    assert_eq!(mapping("mean_loss"), Mapping::Block { threads: 32 });
    assert_eq!(mapping("conv_weight_gradient"), Mapping::Block { threads: 256 });
    assert_eq!(mapping("integer_statistics"), Mapping::Block { threads: 256 });
    assert_eq!(mapping("scatter_add"), Mapping::Threads);
    assert_eq!(mapping("histogram"), Mapping::Block { threads: 256 });
    assert!(matches!(mapping("linear_bias"), Mapping::Tiles(_)));
    let Mapping::Tiles(tiling) = mapping("conv_bias_relu") else { panic!("a contraction runs in tiles") };
    assert_eq!((tiling.tile_rows, tiling.tile_columns), (16, 64));
    assert_eq!((tiling.rows.len(), tiling.columns.len(), tiling.outer.len()), (1, 3, 0));
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let mut half = kernels::all().swap_remove(1);
    half.tensors[0].ty.dtype = DType::BF16;
    let error = write_kernel(&half, 1).unwrap_err();
    assert_eq!(error, Error::UnsupportedDType { kernel: "bias_relu".into(), dtype: DType::BF16 });
    let mut root = kernels::all().swap_remove(0);
    root.tensors[0].ty.dtype = DType::I64;
    root.locals[0].dtype = DType::I64;
    let error = write_kernel(&root, 1).unwrap_err();
    assert_eq!(error.to_string(), "kernel `gelu_scale`: `erf` is not defined for i64");
}

/// A C++ compiler finds typing errors, undeclared names and wrong types without CUDA.
#[test]
fn a_cpp_compiler_accepts_the_text() {
    let Some(compiler) = cpp_compiler() else { return };
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda.h");
    let goldens = PROGRAMS.map(|name| fs::read_to_string(program_path(name)).unwrap());
    for text in goldens.into_iter().chain([write_program(&program(kernels::all())).unwrap()]) {
        let file = std::env::temp_dir().join(format!("kiln_emitted_{}.cpp", std::process::id()));
        fs::write(&file, format!("#include \"{}\"\n{text}", header.display())).unwrap();
        let output = Command::new(compiler)
            .args(["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"])
            .args(["-Wno-unknown-pragmas", "-Wno-unused-variable", "-Wno-unused-parameter", "-Wno-sign-compare"])
            .arg(&file)
            .output()
            .unwrap();
        fs::remove_file(&file).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The same random words as those of every other back end; this part of the text runs on a processor as well.
#[test]
fn random_words_are_those_of_philox() {
    let Some(compiler) = cpp_compiler() else { return };
    let calls = [(0, 0, 0), (0x299f_31d0_a409_3822, 0x0370_7344_1319_8a2e, 4 * 0x243f_6a88), (77, 5 << 32 | 3, 1001)];
    let mut body = String::new();
    let mut expected = Vec::new();
    for (seed, stream, position) in calls {
        let mut words = Philox4x32::from_state(PhiloxState { seed, stream, position });
        for at in position..position + 6 {
            body.push_str(&format!("    std::printf(\"%d\\n\", kiln_random(31, {seed}ll, {stream}ll, {at}ll));\n"));
            expected.push((words.next_u32() >> 1).to_string());
        }
    }
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda.h");
    let prelude = include_str!("../src/prelude.cu");
    let file = std::env::temp_dir().join(format!("kiln_random_{}.cpp", std::process::id()));
    let program = file.with_extension("out");
    let text = format!("#include <cstdio>\n#include \"{}\"\n{prelude}\nint main() {{\n{body}}}\n", header.display());
    fs::write(&file, text).unwrap();
    let output = Command::new(compiler).arg("-std=c++17").arg(&file).arg("-o").arg(&program).output().unwrap();
    fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(&program).output().unwrap();
    fs::remove_file(&program).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().collect::<Vec<&str>>(), expected);
}

fn cpp_compiler() -> Option<&'static str> {
    let found = ["g++", "clang++", "c++"].into_iter().find(|name| runs(name));
    if found.is_none() {
        println!("skipped: no C++ compiler");
    }
    found
}

/// The loader reads its search path when a process starts, so the work is done in a second process of this test.
#[test]
fn nvrtc_accepts_the_text() {
    const INNER: &str = "KILN_NVRTC_INNER";
    if std::env::var_os(INNER).is_some() {
        return compile_all_with_nvrtc();
    }
    let Some(library) = std::env::var_os("KILN_NVRTC") else {
        println!("skipped: KILN_NVRTC does not name the NVRTC library");
        return;
    };
    let folder = Path::new(&library).parent().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nvrtc_accepts_the_text", "--nocapture"])
        .env(INNER, "1")
        .env("LD_LIBRARY_PATH", folder)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{said}");
    assert!(output.status.success(), "{said}");
}

fn compile_all_with_nvrtc() {
    for kernel in kernels::all() {
        let source = write_kernel(&kernel, MAX_BATCH).unwrap();
        let golden = fs::read_to_string(golden_path(&kernel)).unwrap();
        assert_eq!(golden, source.text);
        let unit = translation_unit(std::slice::from_ref(&source));
        for arch in ARCHITECTURES {
            let ptx = compile_to_ptx(&unit, arch).unwrap_or_else(|error| panic!("{}: {error}", source.name));
            assert!(ptx.text().contains(&format!(".entry {}(", source.name)), "{arch}: {}", source.name);
        }
    }
    let goldens = PROGRAMS.map(|name| (name, fs::read_to_string(program_path(name)).unwrap()));
    for (name, text) in goldens.into_iter().chain([("everything", write_program(&program(kernels::all())).unwrap())]) {
        for arch in ARCHITECTURES {
            let ptx = compile_to_ptx(&text, arch).unwrap_or_else(|error| panic!("{name}: {error}"));
            println!("{name} for {arch}: {} bytes of PTX", ptx.text().len());
        }
    }
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden_path(kernel: &Kernel) -> PathBuf {
    golden_folder().join(format!("{}.cu", kernel.name))
}

fn program_path(name: &str) -> PathBuf {
    golden_folder().join(format!("{name}.cu"))
}

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A program that launches `bias_relu` once and holds every kernel.
fn program(kernels: Vec<Kernel>) -> Program {
    let launched = kernels.iter().position(|kernel| kernel.name == "bias_relu").unwrap();
    let buffer = |tensor: &kiln_ir::kernel::Tensor| Buffer {
        name: tensor.name.clone(),
        ty: tensor.ty.clone(),
        class: Class::Activation,
        offset: 0,
        live: None,
        init: Init::Zeros,
    };
    let buffers: Vec<Buffer> = kernels[launched].tensors.iter().map(buffer).collect();
    let step = Launch {
        kernel: KernelId(launched as u32),
        buffers: (0..buffers.len() as u32).map(BufferId).collect(),
        place: Place::NONE,
    };
    let entry = Entry { name: "train_step".into(), inputs: Vec::new(), outputs: Vec::new(), steps: vec![step] };
    Program { name: "everything".into(), max_batch: MAX_BATCH, arena_bytes: 0, buffers, kernels, entries: vec![entry] }
}
