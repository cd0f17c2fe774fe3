//! A program as text: its buffers with their places in the arena, its kernels, and the launches of its entries. The form is shown at
//! [`super`].

use std::fmt;

use super::names::{joined, name_text, place_text};
use super::number::init_text;
use super::print_kernel::{leading_reads, write_kernel};
use crate::program::{Buffer, BufferId, Entry, Launch, Program};
use crate::{Init, Place};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {} batch <= {} arena {}", name_text(&self.name), self.max_batch, self.arena_bytes)?;
        writeln!(f, "  buffers")?;
        self.buffers.iter().try_for_each(|buffer| writeln!(f, "    {}", buffer_text(self, buffer)))?;
        self.kernels.iter().try_for_each(|kernel| write_kernel(f, kernel, 1))?;
        self.entries.iter().try_for_each(|entry| {
            writeln!(f, "  {}", entry_text(self, entry))?;
            entry.steps.iter().try_for_each(|step| writeln!(f, "    {}", launch_text(self, step)))
        })
    }
}

fn buffer_text(program: &Program, buffer: &Buffer) -> String {
    let Buffer { name, ty, class, offset, live, init } = buffer;
    let mut text = format!("{}: {ty} {} at {offset}", name_text(name), class.name());
    if let Some(live) = live {
        let entry = program.entries.get(live.entry).map_or_else(|| format!("?{}", live.entry), |e| name_text(&e.name));
        text += &format!(" live {entry} {}..{}", live.first, live.last);
    }
    if *init != Init::Zeros {
        text += &format!(" init {}", init_text(init));
    }
    text
}

fn entry_text(program: &Program, entry: &Entry) -> String {
    let (inputs, outputs) = (buffer_names(program, &entry.inputs), buffer_names(program, &entry.outputs));
    format!("entry {}({inputs}) -> ({outputs})", name_text(&entry.name))
}

fn launch_text(program: &Program, step: &Launch) -> String {
    let kernel = program.kernels.get(step.kernel.0 as usize);
    let name = kernel.map_or_else(|| format!("?{}", step.kernel.0), |kernel| name_text(&kernel.name));
    let reads = kernel.map_or(0, |kernel| leading_reads(&kernel.tensors)).min(step.buffers.len());
    let (inputs, outputs) = step.buffers.split_at(reads);
    let inputs = buffer_names(program, inputs);
    let outputs = if outputs.is_empty() { String::new() } else { format!(" -> {}", buffer_names(program, outputs)) };
    let place = if step.place == Place::NONE { String::new() } else { format!("   {}", place_text(&step.place)) };
    format!("{name}({inputs}){outputs}{place}")
}

fn buffer_names(program: &Program, buffers: &[BufferId]) -> String {
    joined(buffers.iter().map(|id| {
        program.buffers.get(id.0 as usize).map_or_else(|| format!("?{}", id.0), |buffer| name_text(&buffer.name))
    }))
}
