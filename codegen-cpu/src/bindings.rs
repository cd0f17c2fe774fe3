//! The runtime's tables as Rust source, for ahead-of-time builds: the body of a module with one static and the declarations of the
//! kernels in the object file.

use std::fmt::Write;

use kiln_ir::Program;
use kiln_runtime::abi::{self, KernelContext, KernelFn};

use crate::object::symbol;
use crate::tables;

/// Rust source of `pub static PROGRAM` for a program whose object file is linked in and needs these features. `runtime` is the path of the runtime
/// crate, usually `::kiln::runtime`.
pub fn bindings(program: &Program, required_features: &[String], runtime: &str, detect_anomaly: bool) -> String {
    let absent = vec![absent as KernelFn; program.kernels.len()];
    let mut tables = tables::runtime_program(program, &absent, detect_anomaly);
    tables.required_features = required_features.iter().map(|name| name.clone().into()).collect();
    let mut text = String::new();
    write_source(&mut text, program, &tables, runtime).expect("writing to a string does not fail");
    text
}

/// Stands for a kernel that only the linker knows.
extern "C" fn absent(_: *const KernelContext, _: *const *mut u8, _: u64, _: u64) {}

fn write_source(text: &mut String, program: &Program, tables: &abi::Program, runtime: &str) -> std::fmt::Result {
    writeln!(text, "// The program `{}`, written by Kiln. Do not edit.\n", program.name)?;
    writeln!(text, "use ::std::borrow::Cow::Borrowed;\n")?;
    writeln!(text, "use {runtime}::abi::{{")?;
    writeln!(
        text,
        "    Constant, ElementType, Entry, Extent, Init, KernelContext, MemoryClass, Program, Slot, SlotKind, Step,\n    Watch, Watched,"
    )?;
    writeln!(text, "}};\n")?;
    writeln!(text, "unsafe extern \"C\" {{")?;
    for kernel in &program.kernels {
        for place in &kernel.places {
            writeln!(text, "    // {place}")?;
        }
        let name = symbol(program, kernel);
        writeln!(text, "    fn {name}(cx: *const KernelContext, buffers: *const *mut u8, begin: u64, end: u64);")?;
    }
    writeln!(text, "}}\n")?;

    writeln!(text, "/// Tables of the program `{}`.", program.name)?;
    writeln!(text, "pub static PROGRAM: Program = Program {{")?;
    writeln!(text, "    name: Borrowed({:?}),", tables.name)?;
    writeln!(text, "    max_batch: {},", tables.max_batch)?;
    writeln!(text, "    arena_bytes: {},", tables.arena_bytes)?;
    writeln!(text, "    memory: Borrowed(&[")?;
    for class in tables.memory.iter() {
        let (name, size_bytes) = (&class.name, class.size_bytes);
        writeln!(text, "        MemoryClass {{ name: Borrowed({name:?}), size_bytes: {size_bytes} }},")?;
    }
    writeln!(text, "    ]),\n    slots: Borrowed(&[")?;
    for slot in tables.slots.iter() {
        write_slot(text, slot)?;
    }
    writeln!(text, "    ]),\n    constants: Borrowed(&[")?;
    for constant in tables.constants.iter() {
        writeln!(
            text,
            "        Constant {{\n            offset: {},\n            bytes: Borrowed(&[",
            constant.offset
        )?;
        for line in constant.bytes.chunks(32) {
            let line: Vec<String> = line.iter().map(u8::to_string).collect();
            writeln!(text, "                {},", line.join(", "))?;
        }
        writeln!(text, "            ]),\n        }},")?;
    }
    writeln!(text, "    ]),\n    entries: Borrowed(&[")?;
    for (entry, held) in tables.entries.iter().zip(&program.entries) {
        writeln!(text, "        Entry {{\n            name: Borrowed({:?}),", entry.name)?;
        writeln!(text, "            inputs: Borrowed(&{:?}),", entry.inputs)?;
        writeln!(text, "            outputs: Borrowed(&{:?}),", entry.outputs)?;
        writeln!(text, "            steps: Borrowed(&[")?;
        for (step, launch) in entry.steps.iter().zip(&held.steps) {
            write_step(text, step, &symbol(program, program.kernel(launch.kernel)))?;
        }
        writeln!(text, "            ]),\n        }},")?;
    }
    let features: Vec<String> = tables.required_features.iter().map(|name| format!("Borrowed({name:?})")).collect();
    writeln!(text, "    ]),\n    required_features: Borrowed(&[{}]),\n    code: None,\n}};", features.join(", "))
}

fn write_slot(text: &mut String, slot: &abi::Slot) -> std::fmt::Result {
    let shape: Vec<String> = slot.shape.iter().map(|extent| extent_text(*extent)).collect();
    writeln!(text, "        Slot {{")?;
    writeln!(text, "            name: Borrowed({:?}),", slot.name)?;
    writeln!(text, "            kind: SlotKind::{:?},", slot.kind)?;
    writeln!(text, "            element: ElementType::{:?},", slot.element)?;
    writeln!(text, "            shape: Borrowed(&[{}]),", shape.join(", "))?;
    writeln!(text, "            offset: {},", slot.offset)?;
    writeln!(text, "            init: {},", init_text(slot.init))?;
    writeln!(text, "        }},")
}

fn write_step(text: &mut String, step: &abi::Step, symbol: &str) -> std::fmt::Result {
    writeln!(text, "                Step {{")?;
    writeln!(text, "                    name: Borrowed({:?}),", step.name)?;
    writeln!(text, "                    kernel: {symbol},")?;
    writeln!(text, "                    buffers: Borrowed(&{:?}),", step.buffers)?;
    writeln!(text, "                    items: {},", extent_text(step.items))?;
    writeln!(text, "                    grain: {},", step.grain)?;
    writeln!(text, "                    scratch_bytes: {},", step.scratch_bytes)?;
    writeln!(text, "                    place: Borrowed({:?}),", step.place)?;
    let checks: Vec<String> = step.checks.iter().map(|check| format!("Borrowed({check:?})")).collect();
    writeln!(text, "                    checks: Borrowed(&[{}]),", checks.join(", "))?;
    match &step.watch {
        None => writeln!(text, "                    watch: None,")?,
        Some(watch) => write_watch(text, watch)?,
    }
    writeln!(text, "                }},")
}

fn write_watch(text: &mut String, watch: &abi::Watch) -> std::fmt::Result {
    writeln!(text, "                    watch: Some(Watch {{")?;
    writeln!(text, "                        what: Borrowed({:?}),", watch.what)?;
    writeln!(text, "                        makes_infinities: {},", watch.makes_infinities)?;
    writeln!(text, "                        tensors: Borrowed(&[")?;
    for abi::Watched { name, element, offset, elements, written } in watch.tensors.iter() {
        let elements = extent_text(*elements);
        writeln!(
            text,
            "                            Watched {{ name: Borrowed({name:?}), element: ElementType::{element:?}, \
             offset: {offset}, elements: {elements}, written: {written} }},"
        )?;
    }
    writeln!(text, "                        ]),\n                    }}),")
}

fn extent_text(extent: abi::Extent) -> String {
    let constructor = if extent.batch { "batch" } else { "fixed" };
    format!("Extent::{constructor}({})", extent.fixed)
}

fn init_text(init: abi::Init) -> String {
    let float = |value: f64| match value {
        _ if value.is_nan() => "f64::NAN".to_owned(),
        f64::INFINITY => "f64::INFINITY".to_owned(),
        f64::NEG_INFINITY => "f64::NEG_INFINITY".to_owned(),
        _ => format!("{value:?}"),
    };
    match init {
        abi::Init::Zeros => "Init::Zeros".to_owned(),
        abi::Init::Constant(value) => format!("Init::Constant({})", float(value)),
        abi::Init::Uniform { low, high } => format!("Init::Uniform {{ low: {}, high: {} }}", float(low), float(high)),
        abi::Init::Normal { mean, std } => format!("Init::Normal {{ mean: {}, std: {} }}", float(mean), float(std)),
        abi::Init::TruncatedNormal { mean, std, low, high } => format!(
            "Init::TruncatedNormal {{ mean: {}, std: {}, low: {}, high: {} }}",
            float(mean),
            float(std),
            float(low),
            float(high)
        ),
        abi::Init::Orthogonal { gain } => format!("Init::Orthogonal {{ gain: {} }}", float(gain)),
        abi::Init::Sparse { sparsity, std } => {
            format!("Init::Sparse {{ sparsity: {}, std: {} }}", float(sparsity), float(std))
        }
        abi::Init::Padded { std, row } => format!("Init::Padded {{ std: {}, row: {row} }}", float(std)),
        abi::Init::Data(constant) => format!("Init::Data({constant})"),
        abi::Init::Seed => "Init::Seed".to_owned(),
    }
}
