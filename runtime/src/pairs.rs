//! Copies a matrix of bf16 into pairs along k: how a contraction packs an operand for the bf16 micro-kernels.
//!
//! Pair `p` of column `c` holds elements `2p` and `2p + 1`, the first in the lower half.

use crate::transpose::{TransposeArgs, transpose_f32};

/// A matrix to copy.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct PairArgs {
    /// The first pair of the copy.
    pub to: *mut u32,
    /// From pair `p` to pair `p + 1` of a column, in pairs; columns are contiguous.
    pub to_stride: i64,
    /// The first element of what is copied.
    pub from: *const u16,
    /// From an element to the next along k, in elements.
    pub k_stride: i64,
    /// From a column to the next, in elements.
    pub column_stride: i64,
    /// Elements along k; an odd last one is paired with 0.
    pub k: u64,
    /// Columns.
    pub columns: u64,
}

/// Safety: all elements that the arguments describe are readable (`from`) or writable (`to`), and they do not overlap.
pub type PairBf16Fn = unsafe extern "C" fn(args: *const PairArgs);

/// `to[p][c] = (from[2p][c], from[2p + 1][c])`.
///
/// # Safety
///
/// As [`PairBf16Fn`].
pub unsafe extern "C" fn pair_bf16(args: *const PairArgs) {
    // SAFETY: the caller's promise: the arguments are readable, and every element that is touched is one they describe.
    unsafe {
        let args = &*args;
        let (k, columns) = (args.k as usize, args.columns as usize);
        let pairs = k / 2;
        if args.k_stride == 1 && args.column_stride % 2 == 0 && args.from.addr().is_multiple_of(4) {
            // Pairs lie ready: words that change places.
            transpose_f32(&TransposeArgs {
                to: args.to.cast(),
                to_stride: args.to_stride,
                from: args.from.cast(),
                from_stride: args.column_stride / 2,
                rows: pairs as u64,
                columns: args.columns,
            });
        } else {
            for pair in 0..pairs {
                let first = args.from.offset(2 * pair as isize * args.k_stride as isize);
                row(args, pair, first, first.offset(args.k_stride as isize), columns);
            }
        }
        if !k.is_multiple_of(2) {
            let last = args.from.offset((k - 1) as isize * args.k_stride as isize);
            for column in 0..columns {
                let element = *last.offset(column as isize * args.column_stride as isize);
                *to(args, pairs).add(column) = u32::from(element);
            }
        }
    }
}

/// Safety: both rows are readable, and the pair's row is writable.
#[inline(always)]
unsafe fn row(args: &PairArgs, pair: usize, first: *const u16, second: *const u16, columns: usize) {
    let to = to(args, pair);
    // SAFETY: the caller's promise.
    unsafe {
        if args.column_stride == 1 {
            for column in 0..columns {
                *to.add(column) = u32::from(*first.add(column)) | u32::from(*second.add(column)) << 16;
            }
        } else {
            for column in 0..columns {
                let at = column as isize * args.column_stride as isize;
                *to.add(column) = u32::from(*first.offset(at)) | u32::from(*second.offset(at)) << 16;
            }
        }
    }
}

fn to(args: &PairArgs, pair: usize) -> *mut u32 {
    args.to.wrapping_offset(pair as isize * args.to_stride as isize)
}

#[cfg(test)]
mod tests {
    use super::{PairArgs, pair_bf16};

    #[test]
    fn every_size_and_direction_is_paired_and_nothing_else_is_touched() {
        for (k, columns) in [(1usize, 1usize), (2, 7), (3, 40), (16, 16), (33, 17), (64, 35)] {
            // Contiguous columns, contiguous k with pairs in place, and with an odd stride between.
            for (k_stride, column_stride) in [(columns + 1, 1), (1, k.div_ceil(2) * 2), (1, k / 2 * 2 + 1)] {
                let source: Vec<u16> = (0..(k * k_stride + columns * column_stride) as u16).collect();
                let to_stride = columns + 3;
                let mut copy = vec![u32::MAX; k.div_ceil(2) * to_stride];
                let args = PairArgs {
                    to: copy.as_mut_ptr(),
                    to_stride: to_stride as i64,
                    from: source.as_ptr(),
                    k_stride: k_stride as i64,
                    column_stride: column_stride as i64,
                    k: k as u64,
                    columns: columns as u64,
                };
                // SAFETY: both vectors have as many elements as the strides reach.
                unsafe { pair_bf16(&args) }
                for (at, &found) in copy.iter().enumerate() {
                    let (pair, column) = (at / to_stride, at % to_stride);
                    let element =
                        |at: usize| if at < k { u32::from(source[at * k_stride + column * column_stride]) } else { 0 };
                    let expected =
                        if column < columns { element(2 * pair) | element(2 * pair + 1) << 16 } else { u32::MAX };
                    assert_eq!(found, expected, "{k}x{columns} at [{pair}][{column}]");
                }
            }
        }
    }
}
