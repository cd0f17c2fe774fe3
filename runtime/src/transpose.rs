//! Copies a matrix with its axes exchanged: how a contraction packs an operand whose summed axis is the contiguous one.
//!
//! A plain loop over it would read one element of each cache line at a time, and with rows that are a multiple of a page apart all of those lines fall in
//! one set of the cache. Blocks of whole lines do not care.

/// A matrix to copy. Strides are in elements.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct TransposeArgs {
    /// The first element of the copy.
    pub to: *mut f32,
    /// From `to[r][c]` to `to[r + 1][c]`; the columns are contiguous.
    pub to_stride: i64,
    /// The first element of what is copied.
    pub from: *const f32,
    /// From the element of `to[r][c]` to that of `to[r][c + 1]`; those of a column are contiguous.
    pub from_stride: i64,
    /// Rows of the copy.
    pub rows: u64,
    /// Columns of the copy.
    pub columns: u64,
}

/// Safety: all elements that the arguments describe are readable (`from`) or writable (`to`), and they do not overlap.
pub type TransposeF32Fn = unsafe extern "C" fn(args: *const TransposeArgs);

/// Elements of a cache line.
const LINE: usize = 16;
/// Elements of a register on every processor.
const LANES: usize = 4;

/// `to[r][c] = from[c][r]`.
///
/// # Safety
///
/// As [`TransposeF32Fn`].
pub unsafe extern "C" fn transpose_f32(args: *const TransposeArgs) {
    // SAFETY: the caller's promise: the arguments are readable, and every element that is touched is one they describe.
    unsafe {
        let args = &*args;
        let (rows, columns) = (args.rows as usize, args.columns as usize);
        for row in (0..rows).step_by(LINE) {
            for column in (0..columns).step_by(LINE) {
                let (height, width) = (LINE.min(rows - row), LINE.min(columns - column));
                if (height, width) == (LINE, LINE) {
                    line_block(args, row, column);
                } else {
                    any_block(args, row, column, height, width);
                }
            }
        }
    }
}

/// Safety: the block is in the matrix.
#[inline(always)]
unsafe fn line_block(args: &TransposeArgs, row: usize, column: usize) {
    for c in (column..column + LINE).step_by(LANES) {
        for r in (row..row + LINE).step_by(LANES) {
            // SAFETY: the block is in the matrix.
            unsafe {
                let column = |i: usize| from(args, r, c + i).cast::<[f32; LANES]>().read_unaligned();
                let columns: [[f32; LANES]; LANES] = std::array::from_fn(column);
                let rows: [[f32; LANES]; LANES] = std::array::from_fn(|i| columns.map(|column| column[i]));
                for (i, exchanged) in rows.into_iter().enumerate() {
                    to(args, r + i, c).cast::<[f32; LANES]>().write_unaligned(exchanged);
                }
            }
        }
    }
}

/// Safety: the block is in the matrix.
unsafe fn any_block(args: &TransposeArgs, row: usize, column: usize, height: usize, width: usize) {
    for r in row..row + height {
        for c in column..column + width {
            // SAFETY: the block is in the matrix.
            unsafe { *to(args, r, c) = *from(args, r, c) }
        }
    }
}

#[inline(always)]
fn to(args: &TransposeArgs, row: usize, column: usize) -> *mut f32 {
    args.to.wrapping_offset(row as isize * args.to_stride as isize).wrapping_add(column)
}

#[inline(always)]
fn from(args: &TransposeArgs, row: usize, column: usize) -> *const f32 {
    args.from.wrapping_offset(column as isize * args.from_stride as isize).wrapping_add(row)
}

#[cfg(test)]
mod tests {
    use super::{TransposeArgs, transpose_f32};

    #[test]
    fn every_size_is_exchanged_and_nothing_else_is_touched() {
        for (rows, columns) in [(1, 1), (3, 40), (16, 16), (17, 33), (48, 5), (35, 64)] {
            let (to_stride, from_stride) = (columns + 3, rows + 2);
            let source: Vec<f32> = (0..columns * from_stride).map(|at| at as f32).collect();
            let mut copy = vec![-1.0; rows * to_stride];
            let args = TransposeArgs {
                to: copy.as_mut_ptr(),
                to_stride: to_stride as i64,
                from: source.as_ptr(),
                from_stride: from_stride as i64,
                rows: rows as u64,
                columns: columns as u64,
            };
            // SAFETY: both vectors have as many elements as the strides reach.
            unsafe { transpose_f32(&args) }
            for (at, &found) in copy.iter().enumerate() {
                let (row, column) = (at / to_stride, at % to_stride);
                let expected = if column < columns { source[column * from_stride + row] } else { -1.0 };
                assert_eq!(found, expected, "{rows}x{columns} at [{row}][{column}]");
            }
        }
    }
}
