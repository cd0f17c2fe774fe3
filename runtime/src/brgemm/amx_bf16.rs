//! AMX: products of 16 rows by 16 columns by 32 numbers in one instruction, on eight tiles of 1 KiB.
//!
//! Two by two tiles are summed at once, and their sums then stored in C or added to it. A is read in rows of pairs: where it lies in another
//! way, or does not fill tiles, a panel of 32 rows is copied first, and zeros fill it up. So is what does not fill tiles of B.
//!
//! The instruction adds up even and odd k of its 32 apart: these bits are not those of `vdpbf16ps`, but the same on every run.
//! Source: Intel, "Architecture Instruction Set Extensions Programming Reference", chapter 3.

use std::arch::asm;
use std::arch::x86_64::*;
use std::cell::RefCell;
use std::sync::OnceLock;

use super::{BrgemmArgs, PANEL};

/// Rows of a tile, and words of a row.
const TILE: usize = 16;
/// Rows of a panel of A, and columns that are summed at once.
const BLOCK: usize = PANEL;

/// Whether the processor has the instructions and the system allows them: their state is so large that Linux wants to be asked.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| cfg!(target_os = "linux") && !cfg!(miri) && has_instructions() && is_permitted())
}

fn has_instructions() -> bool {
    const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bf16")
        && __get_cpuid_max(0).0 >= 7
        && __cpuid_count(7, 0).edx & BF16_AND_TILES == BF16_AND_TILES
}

/// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
fn is_permitted() -> bool {
    let result: i64;
    // SAFETY: the call changes nothing but what this process may use. An older kernel refuses it.
    unsafe {
        asm!("syscall", inlateout("rax") 158i64 => result, in("rdi") 0x1023, in("rsi") 18, out("rcx") _, out("r11") _, options(nostack));
    }
    result == 0
}

/// The shapes of tiles, as `ldtilecfg` reads them: 0 to 3 are of C, 4 and 5 of A, 6 and 7 of B.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Memory of a thread for what does not lie ready: a panel of A, 32 rows for each step along k, and both tiles of B.
#[derive(Default)]
struct Copies {
    a: Vec<Line>,
    b: Vec<Line>,
}

/// The row of a tile.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; TILE]);

const EMPTY: Line = Line([0.0; TILE]);

thread_local! {
    static COPIES: RefCell<Copies> = RefCell::default();
}

/// The steps along k: `count` times `steps` of `pairs`, of which the last has `last`.
#[derive(Clone, Copy)]
struct Depth {
    count: usize,
    steps: usize,
    pairs: usize,
    last: usize,
}

/// A matrix in steps of bytes: from row to row, from step to step, and from product to product.
#[derive(Clone, Copy)]
struct Walk {
    first: *const f32,
    row: isize,
    step: isize,
    batch: isize,
}

/// Fewer rows are left to registers: half of a tile would be zeros. So are panels of rows, which no one packs for pairs.
const LEAST_ROWS: u64 = 9;

/// Safety: as [`super::BrgemmFn`].
pub(super) unsafe extern "C" fn brgemm(args: *const BrgemmArgs) {
    // SAFETY: the caller's promise, passed on. A processor with AMX has these instructions as well.
    unsafe {
        if (*args).m < LEAST_ROWS || (*args).a_panel_stride != 0 {
            super::avx512_bf16::brgemm(args)
        } else {
            product(&*args)
        }
    }
}

/// Safety: as [`super::BrgemmFn`].
#[target_feature(enable = "avx512f")]
unsafe fn product(args: &BrgemmArgs) {
    let (m, n, k) = (args.m as usize, args.n as usize, args.k as usize);
    let steps = k.div_ceil(TILE);
    let pairs = k.div_ceil(steps.max(1)).max(1);
    let depth = Depth { count: args.count as usize, steps, pairs, last: k - pairs * steps.saturating_sub(1) };
    let mut shapes = Shapes { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
    for tile in 0..8 {
        let (rows, words) = match tile {
            0..4 => (TILE, TILE),
            4..6 => (TILE, pairs),
            _ => (pairs, TILE),
        };
        (shapes.rows[tile], shapes.row_bytes[tile]) = (rows as u8, 4 * words as u16);
    }
    COPIES.with_borrow_mut(|copies| {
        // SAFETY: the shapes are of palette 1; tiles are used between these two instructions alone. All accesses are to elements that the arguments
        // describe, or to the copies.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, readonly));
            for row in (0..m).step_by(BLOCK) {
                let rows = BLOCK.min(m - row);
                let a = panel(args, row, rows, depth, &mut copies.a);
                for column in (0..n).step_by(BLOCK) {
                    let columns = BLOCK.min(n - column);
                    let mut c = [EMPTY; 2 * BLOCK];
                    if rows > TILE {
                        sums::<true>(args, a, (column, columns), depth, &mut copies.b, &mut c);
                    } else {
                        sums::<false>(args, a, (column, columns), depth, &mut copies.b, &mut c);
                    }
                    store(args, (row, rows), (column, columns), &c);
                }
            }
            asm!("tilerelease", options(nostack, nomem));
        }
    });
}

/// Rows of A as tiles can be loaded from: where they lie, or a copy. Safety: as [`super::BrgemmFn`].
#[target_feature(enable = "avx512f")]
unsafe fn panel(args: &BrgemmArgs, row: usize, rows: usize, depth: Depth, copy: &mut Vec<Line>) -> Walk {
    let first = args.a.wrapping_offset(row as isize * args.a_m_stride as isize);
    let is_full = rows.is_multiple_of(TILE) && depth.last == depth.pairs;
    if is_full && args.a_k_stride == 1 {
        let bytes = |elements: i64| 4 * elements as isize;
        return Walk {
            first,
            row: bytes(args.a_m_stride),
            step: bytes(depth.pairs as i64),
            batch: bytes(args.a_batch_stride),
        };
    }
    let lines = depth.count * depth.steps * BLOCK;
    copy.clear();
    copy.resize(lines, EMPTY);
    for i in 0..depth.count {
        for step in 0..depth.steps {
            let pairs = if step + 1 == depth.steps { depth.last } else { depth.pairs };
            let to = &mut copy[(i * depth.steps + step) * BLOCK..][..rows];
            let from = first
                .wrapping_offset(i as isize * args.a_batch_stride as isize)
                .wrapping_offset((step * depth.pairs) as isize * args.a_k_stride as isize);
            // SAFETY: rows and pairs are within A.
            unsafe { words(from, args.a_m_stride as isize, args.a_k_stride as isize, pairs, to) };
        }
    }
    let line = size_of::<Line>() as isize;
    Walk {
        first: copy.as_ptr().cast(),
        row: line,
        step: line * BLOCK as isize,
        batch: line * (BLOCK * depth.steps) as isize,
    }
}

/// Copies `pairs` words of each row. Safety: they are readable.
#[target_feature(enable = "avx512f")]
unsafe fn words(from: *const f32, row_stride: isize, stride: isize, pairs: usize, to: &mut [Line]) {
    let mask = ((1u32 << pairs) - 1) as __mmask16;
    // SAFETY: the caller's promise; lanes outside of masks are not touched.
    unsafe {
        if stride == 1 {
            for (row, line) in to.iter_mut().enumerate() {
                let held = _mm512_maskz_loadu_ps(mask, from.offset(row as isize * row_stride));
                _mm512_store_ps(line.0.as_mut_ptr(), held);
            }
        } else if row_stride == 1 {
            for tile in (0..to.len()).step_by(TILE) {
                let rows = TILE.min(to.len() - tile);
                let live = ((1u32 << rows) - 1) as __mmask16;
                let mut held = [_mm512_setzero_ps(); TILE];
                for (pair, held) in held.iter_mut().enumerate().take(pairs) {
                    *held = _mm512_maskz_loadu_ps(live, from.add(tile).offset(pair as isize * stride));
                }
                let held = transposed(held);
                for (line, held) in to[tile..].iter_mut().zip(held) {
                    _mm512_store_ps(line.0.as_mut_ptr(), held);
                }
            }
        } else {
            for (row, line) in to.iter_mut().enumerate() {
                for (pair, word) in line.0.iter_mut().enumerate().take(pairs) {
                    *word = *from.offset(row as isize * row_stride + pair as isize * stride);
                }
            }
        }
    }
}

/// Rows to columns, by halves: of pairs of lanes, of pairs of those, and so on.
#[target_feature(enable = "avx512f")]
fn transposed(mut rows: [__m512; TILE]) -> [__m512; TILE] {
    let unpacked = std::array::from_fn(|at| {
        let (low, high) = (rows[at & !1], rows[at | 1]);
        if at & 1 == 0 { _mm512_unpacklo_ps(low, high) } else { _mm512_unpackhi_ps(low, high) }
    });
    rows = unpacked;
    let quads: [__m512; TILE] = std::array::from_fn(|at| {
        let (pair, half) = (at & !3 | at >> 1 & 1, at & 1);
        let (low, high) = (_mm512_castps_pd(rows[pair]), _mm512_castps_pd(rows[pair | 2]));
        _mm512_castpd_ps(if half == 0 { _mm512_unpacklo_pd(low, high) } else { _mm512_unpackhi_pd(low, high) })
    });
    let eights: [__m512; TILE] = std::array::from_fn(|at| {
        let (low, high) = (quads[at & 8 | at & 3], quads[at & 8 | at & 3 | 4]);
        if at & 4 == 0 { _mm512_shuffle_f32x4::<0x88>(low, high) } else { _mm512_shuffle_f32x4::<0xDD>(low, high) }
    });
    std::array::from_fn(|at| {
        let (low, high) = (eights[at & 7], eights[at & 7 | 8]);
        if at & 8 == 0 { _mm512_shuffle_f32x4::<0x88>(low, high) } else { _mm512_shuffle_f32x4::<0xDD>(low, high) }
    })
}

/// One or two by two tiles of sums: those of the first columns, then those of the second, 16 or 32 rows each. Safety: as [`super::BrgemmFn`], with
/// tiles shaped.
#[target_feature(enable = "avx512f")]
unsafe fn sums<const TWO: bool>(
    args: &BrgemmArgs,
    a: Walk,
    (column, columns): (usize, usize),
    depth: Depth,
    copy: &mut Vec<Line>,
    c: &mut [Line; 2 * BLOCK],
) {
    const LINE: isize = size_of::<Line>() as isize;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
        for (i, step) in (0..depth.count).flat_map(|i| (0..depth.steps).map(move |step| (i, step))) {
            let pairs = if step + 1 == depth.steps { depth.last } else { depth.pairs };
            let a_first = a.first.wrapping_byte_offset(i as isize * a.batch + step as isize * a.step);
            let from = args
                .b
                .wrapping_offset(i as isize * args.b_batch_stride as isize)
                .wrapping_offset((step * depth.pairs) as isize * args.b_k_stride as isize)
                .wrapping_offset((column / PANEL) as isize * args.b_panel_stride as isize);
            let (first, second, stride) = if columns == BLOCK && pairs == depth.pairs {
                (from, from.wrapping_add(TILE), 4 * args.b_k_stride as isize)
            } else {
                copy.clear();
                copy.resize(BLOCK, EMPTY);
                let (left, right) = copy.split_at_mut(TILE);
                words(from, args.b_k_stride as isize, 1, columns.min(TILE), &mut left[..pairs]);
                words(
                    from.wrapping_add(TILE),
                    args.b_k_stride as isize,
                    1,
                    columns.saturating_sub(TILE),
                    &mut right[..pairs],
                );
                (left.as_ptr().cast(), right.as_ptr().cast(), LINE)
            };
            if TWO {
                asm!(
                    "tileloadd tmm6, [{first} + {stride}]",
                    "tileloadd tmm4, [{a} + {row}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{second} + {stride}]",
                    "tdpbf16ps tmm2, tmm4, tmm7",
                    "tileloadd tmm5, [{below} + {row}]",
                    "tdpbf16ps tmm1, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    first = in(reg) first, second = in(reg) second, stride = in(reg) stride,
                    a = in(reg) a_first, below = in(reg) a_first.wrapping_byte_offset(TILE as isize * a.row), row = in(reg) a.row,
                    options(nostack, readonly),
                );
            } else {
                asm!(
                    "tileloadd tmm4, [{a} + {row}]",
                    "tileloadd tmm6, [{first} + {stride}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{second} + {stride}]",
                    "tdpbf16ps tmm2, tmm4, tmm7",
                    first = in(reg) first, second = in(reg) second, stride = in(reg) stride,
                    a = in(reg) a_first, row = in(reg) a.row,
                    options(nostack, readonly),
                );
            }
        }
        let tiles = c.as_mut_ptr();
        asm!(
            "tilestored [{c0} + {stride}], tmm0",
            "tilestored [{c1} + {stride}], tmm1",
            "tilestored [{c2} + {stride}], tmm2",
            "tilestored [{c3} + {stride}], tmm3",
            c0 = in(reg) tiles, c1 = in(reg) tiles.add(TILE), c2 = in(reg) tiles.add(2 * TILE), c3 = in(reg) tiles.add(3 * TILE),
            stride = in(reg) LINE,
            options(nostack),
        );
    }
}

/// Stores sums in C, or adds them to it. Safety: as [`super::BrgemmFn`].
#[target_feature(enable = "avx512f")]
unsafe fn store(
    args: &BrgemmArgs,
    (row, rows): (usize, usize),
    (column, columns): (usize, usize),
    c: &[Line; 2 * BLOCK],
) {
    for right in (0..columns).step_by(TILE) {
        let mask = ((1u32 << TILE.min(columns - right)) - 1) as __mmask16;
        for down in 0..rows {
            let to =
                args.c.wrapping_offset((row + down) as isize * args.c_m_stride as isize).wrapping_add(column + right);
            // SAFETY: rows and columns are within C; lanes outside of masks are not touched.
            unsafe {
                let sum = _mm512_load_ps(c[2 * right + down].0.as_ptr());
                let held = if args.accumulate != 0 { _mm512_maskz_loadu_ps(mask, to) } else { _mm512_setzero_ps() };
                _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(held, sum));
            }
        }
    }
}
