//! Texts of the three levels: the cases of `cases/` and random kernels read back as themselves, through text and through JSON, and
//! mistakes are reported at their place.

mod generate;

use std::fs;
use std::path::Path;

use generate::Random;
use kiln_ir::text::{Item, Module, parse_graph, parse_kernel, parse_module, parse_program};
use kiln_ir::verify::{verify_graph, verify_kernel, verify_program};
use kiln_ir::{Code, Graph, Kernel, Op, Place, Program, Type};

fn cases() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/text/cases");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

fn parse(text: &str, file: &str) -> Module {
    parse_module(text, file).unwrap_or_else(|errors| {
        panic!("{}\n{text}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

#[test]
fn cases_print_as_they_are_written() {
    for (file, text) in cases() {
        let module = parse(&text, &file);
        assert_eq!(module.to_string(), text, "{file}");
        assert_eq!(parse(&module.to_string(), &file), module, "{file}");
    }
}

#[test]
fn cases_survive_json() {
    for (file, text) in cases() {
        for item in parse(&text, &file).items {
            match item {
                Item::Graph(graph) => {
                    let json = serde_json::to_string(&graph).unwrap();
                    assert_eq!(serde_json::from_str::<Graph>(&json).unwrap(), graph, "{file}");
                }
                Item::Kernel(kernel) => {
                    let json = serde_json::to_string(&kernel).unwrap();
                    assert_eq!(serde_json::from_str::<Kernel>(&json).unwrap(), kernel, "{file}");
                }
                Item::Program(mut program) => {
                    // JSON has no infinity; initial values are numbers there.
                    program.buffers.iter_mut().for_each(|buffer| buffer.init = Default::default());
                    let json = serde_json::to_string(&program).unwrap();
                    assert_eq!(serde_json::from_str::<Program>(&json).unwrap(), program, "{file}");
                }
            }
        }
    }
}

#[test]
fn every_op_comes_back() {
    for (at, example) in Op::examples().into_iter().enumerate() {
        let mut graph = Graph::new(format!("example{at}"));
        graph.max_batch = Some(8);
        let input = |ty: &Type| kiln_ir::ops::Input {
            role: kiln_ir::Role::Data,
            dtype: ty.dtype,
            shape: ty.shape.0.clone(),
            init: Default::default(),
        };
        let operands: Vec<_> =
            example.operands.iter().map(|(ty, _)| graph.add(input(ty), &[], "x", &Place::NONE).unwrap()).collect();
        let result = graph.add(example.op.clone(), &operands, "y", &Place::NONE).unwrap();
        graph.add_output("result", result);
        let text = graph.to_string();
        let back = parse_graph(&text, "example.kir").unwrap_or_else(|errors| panic!("{}\n{text}", errors[0]));
        assert_eq!(back, graph, "{text}");
        assert_eq!(verify_graph(&back), [], "{text}");
        let json = serde_json::to_string(&graph).unwrap();
        assert_eq!(serde_json::from_str::<Graph>(&json).unwrap(), graph, "{text}");
    }
}

#[test]
fn random_kernels_come_back() {
    for seed in 0..5000 {
        let kernel = generate::kernel(&mut Random::new(seed));
        let text = kernel.to_string();
        let back =
            parse_kernel(&text, "random.kir").unwrap_or_else(|errors| panic!("seed {seed}: {}\n{text}", errors[0]));
        assert_eq!(back, kernel, "seed {seed}\n{text}\n{back}");
        let json = serde_json::to_string(&kernel).unwrap();
        assert_eq!(serde_json::from_str::<Kernel>(&json).unwrap(), kernel, "seed {seed}");
        verify_kernel(&kernel);
    }
}

/// Broken files give errors, never panics; and what still parses reads back and can be verified.
#[test]
fn damaged_texts_do_no_harm() {
    let cases = cases();
    let mut random = Random::new(7);
    for _ in 0..4000 {
        let (_, text) = random.pick(&cases);
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=random.below(3) {
            let at = random.below(characters.len());
            match random.below(3) {
                0 => drop(characters.remove(at)),
                1 => characters[at] = *random.pick(&['(', ']', ',', '9', 'B', '\n', '-', ' ', 'x', '"', '/', '0', '%']),
                _ => {
                    let end = (at + random.below(40)).min(characters.len());
                    let copy = characters[at..end].to_vec();
                    let to = random.below(characters.len());
                    characters.splice(to..to, copy);
                }
            }
        }
        let damaged: String = characters.into_iter().collect();
        let Ok(module) = parse_module(&damaged, "damaged.kir") else { continue };
        let printed = module.to_string();
        for item in &module.items {
            match item {
                Item::Graph(graph) => drop(verify_graph(graph)),
                Item::Kernel(kernel) => drop(verify_kernel(kernel)),
                Item::Program(program) => drop(verify_program(program)),
            }
        }
        // Two things of one name print alike; that is for the verifier to say.
        if module.items.iter().all(has_unique_names) {
            assert_eq!(parse(&printed, "printed.kir"), module, "{damaged}\n---\n{printed}");
        }
    }
}

fn has_unique_names(item: &Item) -> bool {
    let findings = match item {
        Item::Graph(graph) => verify_graph(graph),
        Item::Kernel(kernel) => verify_kernel(kernel),
        Item::Program(program) => verify_program(program),
    };
    findings.iter().all(|finding| finding.diagnostic.code != Code::DuplicateName)
}

#[test]
fn mistakes_are_reported_at_their_place() {
    let kernel = "kernel k(x: f32[4]) -> (y: f32[4])\n  for i in 4\n";
    let cases = [
        ("kernal k()", 1, 1, "error[K0301]: expected `graph`, `kernel` or `program`, found `kernal`"),
        ("kernel k(x: f33[4]) -> ()", 1, 13, "error[K0302]: expected a dtype, and `f33` is none that is known here"),
        ("kernel k(x: f32[4] -> ()", 1, 20, "error[K0301]: expected `,` or `)`, found `->`"),
        (
            &format!("{kernel}    y[i] = x[i] +\n"),
            4,
            1,
            "error[K0301]: expected an expression, found the end of the text",
        ),
        (
            &format!("{kernel}    y[i] = z[i]\n"),
            3,
            12,
            "error[K0302]: expected a tensor of the kernel, and `z` is none that is known here",
        ),
        (
            &format!("{kernel}    y[i] = x[j]\n"),
            3,
            14,
            "error[K0302]: expected an axis of a loop around this, and `j` is none that is known here",
        ),
        (
            &format!("{kernel}    y[i] = a\n"),
            3,
            12,
            "error[K0302]: expected a local that is defined above, and `a` is none that is known here",
        ),
        (
            &format!("{kernel}    y[i] = sinh(x[i])\n"),
            3,
            12,
            "error[K0302]: expected a function, and `sinh` is none that is known here",
        ),
        (&format!("{kernel}    y[i] = x[i] x\n"), 3, 17, "error[K0301]: expected the end of the line, found `x`"),
        (
            &format!("{kernel}    y[i] = 0.0\n   y[i] = 0.0\n"),
            4,
            4,
            "error[K0301]: expected a line with the indentation of the one above, found `y`",
        ),
        (
            &format!("{kernel}    y[i] = x[i / 0]\n"),
            3,
            18,
            "error[K0301]: the divisor of an index is positive, found 0",
        ),
        (
            &format!("{kernel}    y[i] = 9007199254740993\n"),
            3,
            12,
            "error[K0301]: an integer literal is at most 2^53, found 9007199254740993",
        ),
        (
            &format!("{kernel}    a, b = sum j in 4 of x[j]\n"),
            3,
            16,
            "error[K0301]: 2 names need as many reductions, found 1",
        ),
        (
            "graph g\n  %y = ralu %x : f32[4]",
            2,
            8,
            "error[K0302]: expected an op, and `ralu` is none that is known here",
        ),
        (
            "graph g\n  %y = relu %x : f32[4]",
            2,
            14,
            "error[K0302]: expected a value that is defined above, and `x` is none that is known here",
        ),
        (
            "graph g\n  %y = full {value = true} : f32[4]",
            2,
            8,
            "error[K0302]: full does not take this value for its attribute `value`",
        ),
        ("graph g\n  %y = full {values = 1} : f32[4]", 2, 8, "error[K0302]: full needs an attribute `value`"),
        ("graph g\n  %y = full {value = 1, axis = 2} : f32[4]", 2, 8, "error[K0302]: full has no attribute `axis`"),
        (
            "program p batch <= 1 arena 0\n  buffers\n    x: f32[4] weights at 0",
            3,
            15,
            "error[K0302]: expected a class such as `parameter`, and `weights` is none that is known here",
        ),
        (
            "program p batch <= 1 arena 0\n  buffers\n    x: f32[4] data at 0 live f 0..0",
            3,
            30,
            "error[K0302]: expected an entry of the program, and `f` is none that is known here",
        ),
        ("graph g\nprogram p batch <= 1 arena 0", 2, 1, "error[K0301]: a program stands alone in its file"),
    ];
    for (text, line, column, message) in cases {
        let errors = parse_module(text, "case.kir").unwrap_err();
        assert_eq!(errors[0].to_string(), format!("{message}\n  --> case.kir:{line}:{column}"), "{text}");
    }
}

#[test]
fn one_mistake_of_each_item_is_reported() {
    let errors = parse_module("graph g\n  oops\n\nkernel k(\n\ngraph h\n\ngraph i\n  oops\n", "case.kir").unwrap_err();
    assert_eq!(errors.iter().map(|error| error.place.line).collect::<Vec<_>>(), [2, 6, 9]);
}

#[test]
fn deep_and_long_texts_are_refused() {
    let kernel = |value: &str| format!("kernel k(x: f32[4]) -> (y: f32[4])\n  for i in 4\n    y[i] = {value}\n");
    for value in
        ["(".repeat(100_000), "-".repeat(100_000), format!("x[{}", "(".repeat(100_000)), "x[i]+".repeat(10_000)]
    {
        let errors = parse_module(&kernel(&value), "case.kir").unwrap_err();
        assert_eq!(errors[0].code, Code::Syntax);
    }
}

/// The greatest numbers that parse do not overflow where they are verified.
#[test]
fn huge_numbers_do_no_harm() {
    let text = "kernel k(x: f32[4000000000,4000]) -> (y: f32[B,4000000000], inout z: f32[B])
  for p in 4000000000*B, i in 4000000000 while 1152921504606846976*p + i < 4294967295*B, q in 4294967295
    a, at = sum, argmax j in 4294967295, k in 4294967295, l in 4294967295 of x[1152921504606846976*p, q], x[i, 1152921504606846976*j + k] * x[1152921504606846976*(l / 3) + 1152921504606846976, 0]
    z[p + 1152921504606846976*i] = z[i + 1152921504606846976] + f32(index(1152921504606846976*i + 1152921504606846976*q) + 9007199254740992 * extent(4294967295*B))
    y[i, p + 4294967295*q] = a
  schedule thread(p i) grain(1) contract(m: i:18446744073709551615; n: q; k: j k l) unroll(p)
";
    let kernel = parse_kernel(text, "huge.kir").unwrap();
    assert_eq!(kernel.to_string(), text);
    let codes: Vec<Code> = verify_kernel(&kernel).iter().map(|finding| finding.diagnostic.code).collect();
    assert!(codes.contains(&Code::IndexOutOfBounds) && codes.contains(&Code::BadSchedule), "{codes:?}");
    let program = "program p batch <= 4294967295 arena 18446744073709551615
  buffers
    x: f64[4000000000*B,4000] data at 18446744073709551552
";
    assert!(!verify_program(&parse_program(program, "huge.kir").unwrap()).is_empty());
}

#[test]
fn a_level_is_asked_for() {
    assert!(parse_program("graph g\n", "case.kir").is_err());
    assert!(parse_graph("graph g\n\ngraph h\n", "case.kir").is_err());
}
