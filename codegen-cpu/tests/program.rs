//! Whole programs: in memory under the runtime's session, as an object file, and as Rust source.

mod common;

use std::sync::Arc;

use common::{B, Builder, at, load, reduce, store};
use cranelift_object::object::{Object as _, ObjectSection, ObjectSymbol};
use kiln_codegen_cpu::{Cpu, Options, bindings, compile_object, jit, symbol};
use kiln_ir::kernel::{Kernel, Statement};
use kiln_ir::program::{Buffer, BufferId, Class, Entry, KernelId, Launch, LiveRange};
use kiln_ir::{Binary, DType, Dim, Expr, Init, Monoid, Place, Program, Type, Unary};
use kiln_runtime::{Input, Session};

/// `h = x · wᵀ + b`, through the micro-kernel.
fn linear() -> Kernel {
    let mut b = Builder::new("fc.linear");
    let (i, j, k) = (b.axis("i", B), b.axis("j", 10), b.axis("k", 20));
    let (x, w, bias) = (b.read("x", vec![B, 20.into()]), b.read("w", [10, 20]), b.read("b", [10]));
    let h = b.write("h", vec![B, 10.into()]);
    let sum = b.local("sum", DType::F32);
    let product = Expr::binary(Binary::Mul, load(x, [at(i), at(k)]), load(w, [at(j), at(k)]));
    let statements = vec![
        reduce(&[k], sum, Monoid::Sum, product),
        store(h, [at(i), at(j)], Expr::binary(Binary::Add, Expr::Local(sum), load(bias, [at(j)]))),
    ];
    b.body(&[i, j], statements).thread(&[i]).vector(&[j]);
    b.contract(&[(i, 4)], &[(j, 10)], &[(k, 20)]).pack_b = true;
    b.0.schedule.grain = 4;
    b.0.places.push(Place { file: "net.rs".to_owned(), line: 14, column: 17, ..Place::NONE });
    b.0
}

/// The mean of `tanh(h) · scale` over everything, into one number.
fn mean() -> Kernel {
    let mut b = Builder::new("mean");
    let (i, j) = (b.axis("i", B), b.axis("j", 10));
    let (h, scale) = (b.read("h", vec![B, 10.into()]), b.read("scale", [] as [Dim; 0]));
    let y = b.write("y", [] as [Dim; 0]);
    let sum = b.local("sum", DType::F32);
    let count = Expr::cast(DType::F32, Expr::Extent(Dim { factor: 10, batch: true }));
    let scaled = Expr::binary(Binary::Mul, Expr::Local(sum), load(scale, []));
    let statements: Vec<Statement> = vec![
        reduce(&[i, j], sum, Monoid::Sum, Expr::unary(Unary::Tanh, load(h, [at(i), at(j)]))),
        store(y, [], Expr::binary(Binary::Div, scaled, count)),
    ];
    b.body(&[], statements).vector(&[j]);
    b.0
}

fn program() -> Program {
    let buffer = |name: &str, class, ty, offset, init| Buffer {
        name: name.to_owned(),
        ty,
        class,
        offset,
        live: (class == Class::Activation).then_some(LiveRange { entry: 0, first: 0, last: 1 }),
        init,
    };
    let weights = Init::Data((0..200).map(|at| f64::from(at % 7) / 8.0 - 0.375).collect());
    let f32_of = |shape: Vec<Dim>| Type::new(DType::F32, shape);
    let launch = |kernel, buffers: [u32; 4], count: usize| Launch {
        kernel: KernelId(kernel),
        buffers: buffers[..count].iter().map(|&at| BufferId(at)).collect(),
        place: Place::NONE,
    };
    Program {
        name: "two-layer".to_owned(),
        max_batch: 16,
        arena_bytes: 4096,
        buffers: vec![
            buffer("x", Class::Data, f32_of(vec![B, 20.into()]), 0, Init::Zeros),
            buffer("fc.weight", Class::Parameter, f32_of(vec![10.into(), 20.into()]), 1280, weights),
            buffer("fc.bias", Class::Parameter, f32_of(vec![10.into()]), 2112, Init::Constant(0.25)),
            buffer("h", Class::Activation, f32_of(vec![B, 10.into()]), 2176, Init::Zeros),
            buffer("scale", Class::Scalar, f32_of(vec![]), 2880, Init::Constant(2.0)),
            buffer("y", Class::Output, f32_of(vec![]), 2944, Init::Zeros),
        ],
        kernels: vec![linear(), mean()],
        entries: vec![Entry {
            name: "predict".to_owned(),
            inputs: vec![BufferId(0)],
            outputs: vec![BufferId(5)],
            steps: vec![launch(0, [0, 1, 2, 3], 4), launch(1, [3, 4, 5, 0], 3)],
        }],
    }
}

fn expected(x: &[f32], batch: usize) -> f64 {
    let mut sum = 0.0;
    for i in 0..batch {
        for j in 0..10 {
            let dot: f64 = (0..20).map(|k| f64::from(x[i * 20 + k]) * (((j * 20 + k) % 7) as f64 / 8.0 - 0.375)).sum();
            sum += (dot + 0.25).tanh();
        }
    }
    2.0 * sum / (10 * batch) as f64
}

#[test]
fn a_session_runs_compiled_kernels() {
    let compiled = jit(Arc::new(program()), Options::default()).expect("the program compiles");
    let runtime = compiled.into_runtime_program();
    let step = &runtime.entries[0].steps[0];
    assert_eq!((step.grain, step.place.as_ref()), (4, "net.rs:14:17"));
    let mut session = Session::new(runtime, 1).expect("the tables agree");
    for batch in [16, 1, 7] {
        let x: Vec<f32> = common::noise(batch * 20, 3).into_iter().map(|x| x as f32).collect();
        session.run("predict", batch as u64, &[Input::F32(&x)]).expect("the run succeeds");
        let found = session.output_f32("y").expect("an f32 slot")[0];
        assert!((f64::from(found) - expected(&x, batch)).abs() < 1e-6, "{found}");
    }
    assert_eq!(session.slot_as::<f32>("fc.bias").expect("a slot"), [0.25; 10]);
}

#[test]
fn an_object_file_stands_alone() {
    for cpu in [Cpu::Host, Cpu::Baseline] {
        let object = compile_object(&program(), Options { cpu, verify: true, detect_anomaly: false })
            .expect("the program compiles");
        let file = cranelift_object::object::File::parse(object.bytes.as_slice()).expect("a well-formed object");
        assert_eq!(object.symbols, ["kiln_two_layer_fc_linear", "kiln_two_layer_mean"]);
        for name in &object.symbols {
            let exported = |held: &cranelift_object::object::Symbol<'_, '_>| {
                held.name().is_ok_and(|held| held.trim_start_matches('_') == name) && held.is_global()
            };
            assert!(file.symbols().any(|symbol| exported(&symbol) && symbol.is_definition()), "no `{name}`");
        }
        assert!(file.symbols().all(|symbol| !symbol.is_undefined() || symbol.name() == Ok("")), "an undefined symbol");
        assert!(file.sections().all(|section| section.relocations().count() == 0), "a relocation");
        if cfg!(target_arch = "x86_64") {
            assert!(object.required_features.iter().any(|feature| feature == "sse41"));
            assert!(cpu == Cpu::Host || !object.required_features.iter().any(|feature| feature == "avx"));
        }
    }
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    let compile = || compile_object(&program(), Options::default()).expect("the program compiles").bytes;
    assert_eq!(compile(), compile());
    assert_eq!(
        bindings(&program(), &["avx".to_owned()], "::kiln::runtime", false),
        bindings(&program(), &["avx".to_owned()], "::kiln::runtime", false)
    );
}

#[test]
fn bindings_name_every_part() {
    let text = bindings(&program(), &["avx".to_owned()], "::kiln::runtime", false);
    for part in [
        "use ::kiln::runtime::abi::{",
        "    // net.rs:14:17\n    fn kiln_two_layer_fc_linear(",
        "name: Borrowed(\"fc.weight\")",
        "kind: SlotKind::Scalar",
        "shape: Borrowed(&[Extent::batch(1), Extent::fixed(20)])",
        "init: Init::Data(0)",
        "init: Init::Constant(0.25)",
        "kernel: kiln_two_layer_mean",
        "items: Extent::batch(1)",
        "max_batch: 16",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert_eq!(symbol(&program(), &mean()), "kiln_two_layer_mean");
}

#[test]
fn programs_without_a_batch_say_so() {
    let mut program = program();
    program.buffers.truncate(3);
    program.buffers.remove(0);
    program.entries.clear();
    program.kernels.clear();
    assert!(bindings(&program, &[], "rt", false).contains("max_batch: 0,"));
}

#[test]
fn text_forms_show_the_loop() {
    let kernel = mean();
    let clif = kiln_codegen_cpu::clif(&kernel, Options::default()).expect("the kernel compiles");
    assert!(clif.contains("f32x4") && clif.contains("function"), "{clif}");
    assert!(!kiln_codegen_cpu::assembly(&kernel, Options::default()).expect("the kernel compiles").is_empty());
    let clif = kiln_codegen_cpu::clif(&linear(), Options::default()).expect("the kernel compiles");
    assert!(clif.contains("call_indirect"), "the contraction calls the micro-kernel");
}
