//! Text to a program; the inverse of [`super::print_program`].

use std::collections::BTreeMap;

use super::cursor::{Cursor, Parsed};
use super::parse_kernel::parse_kernel;
use crate::program::{Buffer, BufferId, Class, Entry, KernelId, Launch, LiveRange, Program};
use crate::{Diagnostic, Init, Place};

/// The program whose word `program` is next, on a line indented to column `indent`.
pub(super) fn parse_program(cursor: &mut Cursor<'_>, indent: u32) -> Parsed<Program> {
    cursor.expect_word("program")?;
    let name = cursor.name("the program's name")?;
    cursor.expect_word("batch")?;
    cursor.expect("<=")?;
    let max_batch = cursor.integer::<u32>("the greatest batch size")? as usize;
    cursor.expect_word("arena")?;
    let arena_bytes = cursor.integer("the bytes of the arena")?;
    cursor.expect_line_end()?;
    let (buffers, kernels, entries) = (Vec::new(), Vec::new(), Vec::new());
    let program = Program { name, max_batch, arena_bytes, buffers, kernels, entries };
    let mut parser =
        Parser { cursor, program, buffers: BTreeMap::new(), kernels: BTreeMap::new(), live_entries: Vec::new() };
    while let Some(line) = parser.cursor.enter_line(indent) {
        match parser.cursor.word() {
            Some("buffers") => parser.buffers(line)?,
            Some("kernel") => {
                let kernel = parse_kernel(parser.cursor, line)?;
                parser.kernels.entry(kernel.name.clone()).or_insert(KernelId(parser.program.kernels.len() as u32));
                parser.program.kernels.push(kernel);
            }
            Some("entry") => parser.entry(line)?,
            _ => return Err(parser.cursor.expected("`buffers`, `kernel` or `entry`")),
        }
    }
    parser.resolve_live_entries()?;
    Ok(parser.program)
}

struct Parser<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    program: Program,
    buffers: BTreeMap<String, BufferId>,
    kernels: BTreeMap<String, KernelId>,
    /// Buffers whose live range names an entry, which comes further down: buffer, name, and the mistake if there is none.
    live_entries: Vec<(usize, String, Diagnostic)>,
}

impl Parser<'_, '_> {
    fn buffers(&mut self, indent: u32) -> Parsed<()> {
        self.cursor.expect_word("buffers")?;
        self.cursor.expect_line_end()?;
        while self.cursor.enter_line(indent).is_some() {
            let buffer = self.buffer()?;
            self.cursor.expect_line_end()?;
            self.buffers.entry(buffer.name.clone()).or_insert(BufferId(self.program.buffers.len() as u32));
            self.program.buffers.push(buffer);
        }
        Ok(())
    }

    fn buffer(&mut self) -> Parsed<Buffer> {
        let name = self.cursor.name("a buffer's name")?;
        self.cursor.expect(":")?;
        let ty = self.cursor.ty()?;
        let class = self.cursor.known("a class such as `parameter`", Class::from_name)?;
        self.cursor.expect_word("at")?;
        let offset = self.cursor.integer("the bytes before the buffer")?;
        let live = if self.cursor.eat_word("live") { Some(self.live_range()?) } else { None };
        let init = if self.cursor.eat_word("init") { self.cursor.init()? } else { Init::Zeros };
        Ok(Buffer { name, ty, class, offset, live, init })
    }

    fn live_range(&mut self) -> Parsed<LiveRange> {
        let unknown = self.cursor.unknown("an entry of the program", self.cursor.word().unwrap_or_default());
        let name = self.cursor.name("an entry")?;
        self.live_entries.push((self.program.buffers.len(), name, unknown));
        let first = self.cursor.integer("the first step")?;
        self.cursor.expect("..")?;
        Ok(LiveRange { entry: 0, first, last: self.cursor.integer("the last step")? })
    }

    fn resolve_live_entries(&mut self) -> Parsed<()> {
        for (buffer, name, unknown) in self.live_entries.drain(..) {
            let entry = self.program.entries.iter().position(|entry| entry.name == name).ok_or(unknown)?;
            if let Some(live) = &mut self.program.buffers[buffer].live {
                live.entry = entry;
            }
        }
        Ok(())
    }

    fn entry(&mut self, indent: u32) -> Parsed<()> {
        self.cursor.expect_word("entry")?;
        let name = self.cursor.name("the entry's name")?;
        let buffers = &self.buffers;
        let inputs = self.cursor.list("(", ")", |cursor| find_buffer(cursor, buffers))?;
        self.cursor.expect("->")?;
        let outputs = self.cursor.list("(", ")", |cursor| find_buffer(cursor, buffers))?;
        self.cursor.expect_line_end()?;
        let mut steps = Vec::new();
        while self.cursor.enter_line(indent).is_some() {
            steps.push(self.launch()?);
            self.cursor.expect_line_end()?;
        }
        self.program.entries.push(Entry { name, inputs, outputs, steps });
        Ok(())
    }

    fn launch(&mut self) -> Parsed<Launch> {
        let start = self.cursor.position();
        let name = self.cursor.name("a kernel")?;
        let Some(&kernel) = self.kernels.get(&name) else {
            self.cursor.rewind(start);
            return Err(self.cursor.unknown("a kernel of the program", &name));
        };
        let mut buffers = self.cursor.list("(", ")", |cursor| find_buffer(cursor, &self.buffers))?;
        if self.cursor.eat("->") {
            buffers.push(find_buffer(self.cursor, &self.buffers)?);
            while self.cursor.eat(",") {
                buffers.push(find_buffer(self.cursor, &self.buffers)?);
            }
        }
        let place = self.cursor.place_mark()?.unwrap_or(Place::NONE);
        Ok(Launch { kernel, buffers, place })
    }
}

fn find_buffer(cursor: &mut Cursor<'_>, buffers: &BTreeMap<String, BufferId>) -> Parsed<BufferId> {
    let start = cursor.position();
    let name = cursor.name("a buffer")?;
    buffers.get(&name).copied().ok_or_else(|| {
        cursor.rewind(start);
        cursor.unknown("a buffer of the program", &name)
    })
}
