//! One kernel of the IR as one CUDA C function, and what a launcher must know about it.

use std::fmt;

use kiln_ir::{Dim, Kernel, TensorId};

use crate::mapping::{Mapping, Nest, SIDE, THREADS, choose_mapping, nest};
use crate::names::Names;
use crate::scope::{BATCH, Scope, count};
use crate::statements::Writer;
use crate::text::Text;
use crate::{Error, block, header, support, threads, tiles};

/// A kernel as CUDA C. It needs [`PRELUDE`](crate::PRELUDE) before it.
#[derive(Clone, PartialEq, Debug)]
pub struct Source {
    /// The function's symbol, which is not mangled.
    pub name: String,
    /// The function, with the comment above it.
    pub text: String,
    /// How many blocks of how many threads.
    pub launch: Launch,
    /// The function's parameters, in order.
    pub parameters: Vec<Parameter>,
}

/// One parameter of a kernel's function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parameter {
    /// The device address of a tensor.
    Tensor(TensorId),
    /// The batch size, a C `int`.
    Batch,
    /// The device address of a `kiln_fault`: five 64-bit integers, the first of them zero before the launch.
    Fault,
}

/// The size of a launch: a one-dimensional grid of one-dimensional blocks. Shared memory is static.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launch {
    /// The number of blocks is the product of these.
    pub grid: Vec<Tiles>,
    /// Threads of a block.
    pub block: u32,
}

/// How many pieces of a size cover an extent; the last may be short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tiles {
    /// The extent.
    pub extent: Dim,
    /// Positions in one piece.
    pub size: usize,
}

impl Launch {
    /// The number of blocks when the batch size is `batch`.
    pub fn blocks(&self, batch: usize) -> usize {
        self.grid.iter().map(|tiles| tiles.extent.at(batch).div_ceil(tiles.size)).product()
    }
}

/// `ceil(4704 * B / 256) blocks of 256 threads`.
impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed =
            Launch { grid: self.grid.iter().filter(|tiles| !tiles.extent.batch).copied().collect(), block: self.block };
        let mut factors = Vec::new();
        if fixed.grid.len() == self.grid.len() || fixed.blocks(1) != 1 {
            factors.push(fixed.blocks(1).to_string());
        }
        for Tiles { extent, size } in self.grid.iter().filter(|tiles| tiles.extent.batch) {
            let extent = match extent.factor {
                1 => BATCH.to_owned(),
                factor => format!("{factor} * {BATCH}"),
            };
            factors.push(if *size == 1 { extent } else { format!("ceil({extent} / {size})") });
        }
        let blocks = factors.join(" * ");
        let plural = if blocks == "1" { "block" } else { "blocks" };
        write!(f, "{blocks} {plural} of {} threads", self.block)
    }
}

/// Writes a kernel for batch sizes up to `max_batch` (1 if nothing in it is symbolic).
///
/// # Errors
///
/// [`Error::UnsupportedDType`] and [`Error::UnsupportedFunction`], before anything is written.
pub fn write_kernel(kernel: &Kernel, max_batch: usize) -> Result<Source, Error> {
    write_as(kernel, Names::default().fresh(&kernel.name), max_batch)
}

/// Writes a kernel as a function with this symbol.
pub(crate) fn write_as(kernel: &Kernel, symbol: String, max_batch: usize) -> Result<Source, Error> {
    support::check(kernel)?;
    let mapping = choose_mapping(kernel, max_batch);
    // A kernel that is not one outermost loop is one block, whose position has no axes.
    let nest = nest(kernel).unwrap_or(Nest { axes: Vec::new(), body: &kernel.body });
    let launch = launch(kernel, &mapping, &nest);
    let scope = Scope::new(kernel, max_batch);
    let comment = header::comment(&scope, &mapping, &launch);
    let (signature, parameters) = header::signature(&scope, &symbol, &launch);

    let mut writer = Writer { scope, text: Text::inside_function() };
    match &mapping {
        Mapping::Threads => threads::write(&mut writer, &nest),
        Mapping::Block { threads } => block::write(&mut writer, &nest, *threads),
        Mapping::Tiles(tiling) => tiles::write(&mut writer, &nest, tiling),
    }
    let text = format!("{comment}{signature}{}}}\n", writer.text.finish());
    Ok(Source { name: symbol, text, launch, parameters })
}

fn launch(kernel: &Kernel, mapping: &Mapping, nest: &Nest<'_>) -> Launch {
    let tiles = |axes: &[kiln_ir::AxisId], size| Tiles { extent: count(kernel, axes), size };
    match mapping {
        Mapping::Threads => Launch { grid: vec![tiles(&nest.axes, THREADS as usize)], block: THREADS },
        Mapping::Block { threads } => Launch { grid: vec![tiles(&nest.axes, 1)], block: *threads },
        Mapping::Tiles(tiling) => Launch {
            grid: vec![
                tiles(&tiling.outer, 1),
                tiles(&tiling.rows, tiling.tile_rows),
                tiles(&tiling.columns, tiling.tile_columns),
            ],
            block: (SIDE * SIDE) as u32,
        },
    }
}
