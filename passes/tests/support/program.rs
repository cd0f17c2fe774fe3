//! Runs a graph and the program made of it side by side, and checks what programs promise.

use kiln_ir::interpret::{Precision, ProgramState, Value, evaluate};
use kiln_ir::program::{Buffer, BufferId};
use kiln_ir::text::parse_program;
use kiln_ir::verify::{marked, verify_kernel, verify_program};
use kiln_ir::{Graph, Init, Program};

use super::{assert_close, inputs_of, schedule};

/// Both sides compute in `f64`; they differ by the order of long sums.
const TOLERANCE: f64 = 1e-9;

/// The program of one entry, which computes what its graph does.
pub fn check(graph: &Graph) -> Program {
    let program = kiln_passes::program::run("test", vec![("entry".to_owned(), graph.clone())]);
    check_program(graph, "entry", &program);
    program
}

/// Checks one entry of a program against its graph, for one sample, half a batch and a full one.
pub fn check_program(graph: &Graph, entry: &str, program: &Program) {
    check_form(program);
    let max = program.max_batch;
    let mut batches = vec![1, max.div_ceil(2), max];
    batches.dedup();
    for batch in batches {
        let inputs = inputs_of(graph, batch as u64 + 7, batch);
        let expected = evaluate(graph, &inputs, batch, Precision::Exact).unwrap();
        let mut initial = |buffer: &Buffer, count: usize| match (inputs.get(&buffer.name), &buffer.init) {
            (_, Init::Data(data)) => data.clone(),
            // Parameters and states have no batch axis.
            (Some(value), _) if value.data.len() == count => value.data.clone(),
            _ => vec![0.0; count],
        };
        let mut state = ProgramState::new(program, Precision::Exact, &mut initial).unwrap();
        let held = program.entries.iter().find(|held| held.name == entry).unwrap();
        let given: Vec<Value> = held.inputs.iter().map(|&id| inputs[&program.buffer(id).name].clone()).collect();
        let outputs = state.run_entry(entry, batch, &given).unwrap_or_else(|error| panic!("{error}\n{program}"));
        for ((name, expected), found) in expected.outputs().zip(&outputs) {
            assert_close(expected, found, TOLERANCE, || format!("batch {batch}: output `{name}`\n{program}"));
        }
        for (name, expected) in expected.updates() {
            let id = program.buffers.iter().position(|buffer| buffer.name == name).unwrap();
            let found = state.read(BufferId(id as u32), batch).unwrap();
            assert_close(expected, &found, TOLERANCE, || format!("batch {batch}: state `{name}`\n{program}"));
        }
    }
}

/// The names of the kernels in launch order.
pub fn launches(program: &Program) -> Vec<String> {
    program.entries[0].steps.iter().map(|step| program.kernel(step.kernel).name.clone()).collect()
}

/// What holds of every program: it is verified, reads back as itself, and gives no memory to two buffers at once.
fn check_form(program: &Program) {
    schedule::require_legal(program);
    require_disjoint(program);
    for kernel in &program.kernels {
        let findings = verify_kernel(kernel);
        assert!(findings.is_empty(), "{}", marked(&kernel.to_string(), &findings));
    }
    let text = program.to_string();
    let findings = verify_program(program);
    assert!(findings.is_empty(), "{}", marked(&text, &findings));
    match parse_program(&text, "program.kir") {
        Ok(parsed) => assert!(parsed == *program, "reads back as something else:\n{text}\n{parsed}"),
        Err(errors) => panic!("{}\n{text}", errors[0]),
    }
}

/// Nothing that is alive at once overlaps.
fn require_disjoint(program: &Program) {
    let bytes = |at: usize| program.buffers[at].ty.size_bytes(program.max_batch);
    for a in 0..program.buffers.len() {
        for b in 0..a {
            let (first, second) = (&program.buffers[a], &program.buffers[b]);
            let alive = match (first.live, second.live) {
                (Some(x), Some(y)) => x.entry == y.entry && x.first <= y.last && y.first <= x.last,
                _ => true,
            };
            let apart = first.offset + bytes(a) <= second.offset || second.offset + bytes(b) <= first.offset;
            assert!(!alive || apart || bytes(a) * bytes(b) == 0, "`{}` and `{}` overlap", first.name, second.name);
        }
    }
}
