//! The values of a session's arena before its first run.

mod orthogonal;

use crate::Arena;
use crate::abi::{Init, Program, Slot};
use crate::philox::Philox4x32;

/// After so many draws outside the bounds a value is clamped: bounds so far from the mean are a mistake, but must not
/// hang the program.
const MAX_REDRAWS: usize = 1000;

/// Fills constants and slots. The program has been checked.
///
/// Each slot has its own random stream, numbered by its name, so that adding a layer leaves the others as they were.
pub(super) fn initialize(program: &Program, seed: u64, arena: &mut Arena) {
    for constant in program.constants.iter() {
        bytes(arena, constant.offset, constant.bytes.len() as u64).copy_from_slice(&constant.bytes);
    }
    for slot in program.slots.iter() {
        let target = bytes(arena, slot.offset, slot.size_bytes(program.storage_batch()));
        let mut random = Philox4x32::new(seed, fnv1a(&slot.name));
        match slot.init {
            // The arena comes zeroed; writing would only touch its pages.
            Init::Zeros => {}
            Init::Constant(value) => fill(slot, target, || value),
            Init::Uniform { low, high } => {
                fill(slot, target, || low + (high - low) * f64::from(random.uniform_f32()));
            }
            Init::Normal { mean, std } => fill(slot, target, || mean + std * f64::from(random.normal_f32())),
            Init::TruncatedNormal { mean, std, low, high } => fill(slot, target, || {
                let mut draws = (0..MAX_REDRAWS).map(|_| mean + std * f64::from(random.normal_f32()));
                draws.find(|value| (low..=high).contains(value)).unwrap_or(mean.max(low).min(high))
            }),
            Init::Orthogonal { gain } => {
                let (rows, columns) = matrix(slot);
                let mut values =
                    orthogonal::orthogonal(rows, columns, gain, || f64::from(random.normal_f32())).into_iter();
                fill(slot, target, || values.next().unwrap_or(0.0));
            }
            Init::Sparse { sparsity, std } => {
                let mut values = sparse(matrix(slot), sparsity, std, &mut random).into_iter();
                fill(slot, target, || values.next().unwrap_or(0.0));
            }
            Init::Padded { std, row } => {
                let (_, columns) = matrix(slot);
                let zeros = row as usize * columns..(row as usize + 1) * columns;
                let mut at = 0..;
                fill(slot, target, || {
                    let value = std * f64::from(random.normal_f32());
                    if at.next().is_some_and(|at| zeros.contains(&at)) { 0.0 } else { value }
                });
            }
            Init::Data(index) => target.copy_from_slice(&program.constants[index as usize].bytes),
            Init::Seed => {
                for element in target.chunks_exact_mut(size_of::<u64>()) {
                    element.copy_from_slice(&seed.to_ne_bytes());
                }
            }
        }
    }
}

fn bytes(arena: &mut Arena, offset: u64, size: u64) -> &mut [u8] {
    arena.view_mut(offset, size).expect("check() placed it in the arena")
}

fn fill(slot: &Slot, target: &mut [u8], mut next: impl FnMut() -> f64) {
    for bytes in target.chunks_exact_mut(slot.element.size_bytes() as usize) {
        slot.element.write_f64(next(), bytes);
    }
}

/// The shape as a matrix: the first axis by all others. What has no batch axis has no other.
fn matrix(slot: &Slot) -> (usize, usize) {
    let rows = slot.shape.first().map_or(1, |extent| extent.fixed) as usize;
    let columns = slot.shape.iter().skip(1).map(|extent| extent.fixed as usize).product();
    (rows, columns)
}

/// Normal numbers with `⌈sparsity·rows⌉` zeros in every column.
fn sparse((rows, columns): (usize, usize), sparsity: f64, std: f64, random: &mut Philox4x32) -> Vec<f64> {
    let mut values: Vec<f64> = (0..rows * columns).map(|_| std * f64::from(random.normal_f32())).collect();
    let zeros = (sparsity * rows as f64).ceil() as usize;
    for column in 0..columns {
        let mut order: Vec<usize> = (0..rows).collect();
        random.shuffle(&mut order);
        for row in order.into_iter().take(zeros) {
            values[row * columns + column] = 0.0;
        }
    }
    values
}

/// The 64-bit FNV-1a hash: short, fixed for ever, and good enough to tell names apart.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    #[test]
    fn fnv1a_matches_its_published_vectors() {
        assert_eq!(super::fnv1a(""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(super::fnv1a("a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(super::fnv1a("foobar"), 0x8594_4171_F739_67E8);
    }
}
