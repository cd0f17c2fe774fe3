//! The register tile, and the loop over the tiles of a product.
//!
//! A tile is some rows by one, two or four vectors of columns, so that its sums fill the registers whatever the shape:
//! many rows of one vector when n is small, few rows of four when m is small. Only the last vector of a tile can be
//! partial; it is loaded and stored under a mask, so nothing outside the matrices is touched.

use super::{BrgemmArgs, PANEL, ROW_PANEL};

/// Computes one tile: A at the tile's first row, B at its first column, C at both, and the number of live lanes of the
/// last vector. Safety: as [`super::BrgemmFn`].
pub(super) type Tile = unsafe fn(args: &BrgemmArgs, a: *const f32, b: *const f32, c: *mut f32, last_lanes: usize);

/// The tiles of one instruction set. The entry at `rows - 1` computes that many rows, with a full and with a partial last
/// vector; the length of a table is the most rows whose sums fit in registers.
pub(super) struct Tiles {
    pub lanes: usize,
    /// One vector of columns.
    pub one: &'static [[Tile; 2]],
    /// Two vectors of columns.
    pub two: &'static [[Tile; 2]],
    /// Four vectors of columns.
    pub four: &'static [[Tile; 2]],
}

/// Covers the product with tiles. Safety: as [`super::BrgemmFn`].
#[inline]
pub(super) unsafe fn for_each_tile(tiles: &Tiles, args: &BrgemmArgs) {
    let (m, n) = (args.m as usize, args.n as usize);
    if m == 0 {
        return;
    }
    let mut column = 0;
    while column < n {
        let left = n - column;
        let (table, vectors) = if left > 3 * tiles.lanes && m <= tiles.four.len() {
            (tiles.four, 4)
        } else if left > tiles.lanes {
            (tiles.two, 2)
        } else {
            (tiles.one, 1)
        };
        let width = left.min(vectors * tiles.lanes);
        let last_lanes = width - (vectors - 1) * tiles.lanes;
        let (panel, panel_stride) = match args.a_panel_stride {
            0 => (m, 0),
            stride => (ROW_PANEL, stride as isize),
        };
        for first in (0..m).step_by(panel) {
            // Rows are spread evenly: a tile of one row would leave the multipliers waiting for its few sums.
            let height = panel.min(m - first);
            let row_tiles = height.div_ceil(table.len());
            let (each, longer) = (height / row_tiles, height % row_tiles);
            // A and B may be empty, and then their pointers anything.
            let in_panel = args.a.wrapping_offset((first / panel) as isize * panel_stride);
            let b = args
                .b
                .wrapping_offset((column / PANEL) as isize * args.b_panel_stride as isize)
                .wrapping_add(column % PANEL);
            let mut row = 0;
            for index in 0..row_tiles {
                let rows = each + usize::from(index < longer);
                let a = in_panel.wrapping_offset(row as isize * args.a_m_stride as isize);
                // SAFETY: the row < m and column < n, so C has this element, and the caller vouches for all elements of the tile.
                unsafe {
                    let c = args.c.offset((first + row) as isize * args.c_m_stride as isize).add(column);
                    table[rows - 1][usize::from(last_lanes < tiles.lanes)](args, a, b, c, last_lanes);
                }
                row += rows;
            }
        }
        column += width;
    }
}

/// Steps along k after which the next ones are asked for: a line of each row.
pub(super) const AHEAD: usize = 16;

/// Asks for a line of memory that may be needed soon, whether it exists or not.
#[inline(always)]
pub(super) fn prefetch(at: *const f32) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the instruction has no effect that a program can see.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

/// Hides a value's origin from the optimiser. Else it replaces the addresses `a + row * stride` by a chain of additions
/// from row to row, which is slower than the multiply-adds; with the odd multiples of the stride hidden, each address is
/// one operand `[a + odd_multiple * {1, 2, 4, 8}]`.
#[inline(always)]
pub(super) fn opaque(value: isize) -> isize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let mut value = value;
        // SAFETY: no instruction at all.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) }
        value
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    value
}

/// Repeats a block for each row of the tile, the row being a constant: a loop would be unrolled only up to the
/// optimiser's limits, and sums in an array that is indexed at run time would live in memory.
macro_rules! for_rows {
    ($rows:ident, $row:ident => $body:block) => {
        for_rows!($rows, $row, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    };
    ($rows:ident, $row:ident, $body:block, $($index:literal)*) => {
        $(if $index < $rows {
            const $row: usize = $index;
            $body
        })*
    };
}

/// Defines `TILES` and `brgemm` in a module that has `Vector`, `LANES`, `zero`, `splat`, `load`, `load_first`,
/// `store`, `store_first`, `multiply_add`, `Mask` and `mask`, for the given row counts (16 at most), compiled with the
/// given attributes.
macro_rules! define_brgemm {
    ($(#[$feature:meta])* one: [$($one:literal)*], two: [$($two:literal)*], four: [$($four:literal)*]) => {
        static TILES: Tiles = Tiles {
            lanes: LANES,
            one: &[$([tile::<$one, 1, false>, tile::<$one, 1, true>]),*],
            two: &[$([tile::<$two, 2, false>, tile::<$two, 2, true>]),*],
            four: &[$([tile::<$four, 4, false>, tile::<$four, 4, true>]),*],
        };

        /// Safety: as [`super::BrgemmFn`].
        pub(super) unsafe extern "C" fn brgemm(args: *const BrgemmArgs) {
            // SAFETY: the caller's promise, passed on.
            unsafe { for_each_tile(&TILES, &*args) }
        }

        /// Safety: as [`super::BrgemmFn`]; 1 <= last_lanes < LANES if PARTIAL.
        $(#[$feature])*
        unsafe fn tile<const ROWS: usize, const VECTORS: usize, const PARTIAL: bool>(
            args: &BrgemmArgs,
            a: *const f32,
            b: *const f32,
            c: *mut f32,
            last_lanes: usize,
        ) {
            // SAFETY: the last vector of a partial tile is limited to its live lanes, so all accesses are to elements of
            // the tile. Pointers step past the last element by wrapping only.
            unsafe {
                // A mask on every load would cost an operation on the ports of the multiply-adds.
                let mask = mask(last_lanes);
                let c_at = |row: usize, vector: usize| c.offset(row as isize * args.c_m_stride as isize).add(vector * LANES);

                let load_vector = |from: *const f32, vector: usize| {
                    if PARTIAL && vector + 1 == VECTORS { load_first(from, mask) } else { load(from) }
                };

                let mut sums = [[zero(); VECTORS]; ROWS];
                if args.accumulate != 0 {
                    for_rows!(ROWS, ROW => {
                        for vector in 0..VECTORS {
                            sums[ROW][vector] = load_vector(c_at(ROW, vector), vector);
                        }
                    });
                }

                let stride_bytes = args.a_m_stride as isize * size_of::<f32>() as isize;
                let odd_strides: [isize; 8] = std::array::from_fn(|index| opaque((2 * index as isize + 1) * stride_bytes));
                let a_k_stride = args.a_k_stride as isize;
                let b_k_stride = args.b_k_stride as isize;
                // A tile of more columns than a panel has begins where one does.
                let b_vector = |vector: usize| match vector * LANES {
                    column @ 0..PANEL => column as isize,
                    column => args.b_panel_stride as isize + (column - PANEL) as isize,
                };
                for i in 0..args.count as isize {
                    let mut a = a.wrapping_offset(i * args.a_batch_stride as isize);
                    let mut b = b.wrapping_offset(i * args.b_batch_stride as isize);
                    let mut left = args.k;
                    while left > 0 {
                        let steps = left.min(AHEAD as u64);
                        left -= steps;
                        // What follows in the rows of A, and after their end the rows of the next tile.
                        if a_k_stride == 1 {
                            let next = if left > 0 { AHEAD as isize } else { (steps as i64 - args.k as i64) as isize };
                            let down = if left > 0 { 0 } else { ROWS as isize * stride_bytes };
                            let next = a.wrapping_offset(next).wrapping_byte_offset(down);
                            for row in 0..ROWS as isize {
                                prefetch(next.wrapping_byte_offset(row * stride_bytes));
                            }
                        }
                        for _ in 0..steps {
                                let mut columns = [zero(); VECTORS];
                                for vector in 0..VECTORS {
                                    columns[vector] = load_vector(b.offset(b_vector(vector)), vector);
                                }
                                for_rows!(ROWS, ROW => {
                                    // ROW = odd * 2^shift; row 0 is at a itself.
                                    const SHIFT: u32 = if ROW == 0 { 0 } else { ROW.trailing_zeros() };
                                    let offset = if ROW == 0 { 0 } else { odd_strides[ROW >> SHIFT >> 1] << SHIFT };
                                    let scalar = splat(a.byte_offset(offset));
                                    for vector in 0..VECTORS {
                                        sums[ROW][vector] = multiply_add(scalar, columns[vector], sums[ROW][vector]);
                                    }
                                });
                                a = a.wrapping_offset(a_k_stride);
                                b = b.wrapping_offset(b_k_stride);
                        }
                    }
                }

                for_rows!(ROWS, ROW => {
                    for vector in 0..VECTORS {
                        if PARTIAL && vector + 1 == VECTORS {
                            store_first(c_at(ROW, vector), mask, sums[ROW][vector]);
                        } else {
                            store(c_at(ROW, vector), sums[ROW][vector]);
                        }
                    }
                });
            }
        }
    };
}

/// Defines `multiply_adds` in a module that has `LANES`, `zero`, `load` and `multiply_add`, compiled with the given attributes.
macro_rules! define_multiply_adds {
    ($(#[$feature:meta])*) => {
        /// Safety: as [`super::MultiplyAddsFn`].
        $(#[$feature])*
        pub(super) unsafe fn multiply_adds(rounds: u64) -> u64 {
            // More than the latency of two units; with the factor they fit in 16 registers.
            const CHAINS: usize = 12;
            let one = std::hint::black_box([1.0_f32; LANES]);
            // SAFETY: the array has a vector's lanes.
            let factor = unsafe { load(one.as_ptr()) };
            let mut sums = [zero(); CHAINS];
            for _ in 0..rounds {
                for sum in &mut sums {
                    *sum = multiply_add(*sum, factor, factor);
                }
            }
            std::hint::black_box(sums);
            2 * rounds * (CHAINS * LANES) as u64
        }
    };
}

pub(super) use {define_brgemm, define_multiply_adds, for_rows};
