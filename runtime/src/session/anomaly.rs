//! Looking for the first value that is not finite: `torch.autograd.detect_anomaly`, for programs that were compiled for it.
//!
//! What counts is NaN, and an infinity that arises from finite operands. An infinity that was there before, or that the op itself holds (the -∞ of an
//! attention mask), is meant.

use crate::Arena;
use crate::abi::{ElementType, Watch, Watched};

/// A value that should not be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anomaly<'w> {
    pub(super) tensor: &'w Watched,
    pub(super) position: usize,
    pub(super) value: f64,
}

/// The first one in what a launch has written.
pub(super) fn find<'w>(watch: &'w Watch, arena: &Arena, batch: u64) -> Option<Anomaly<'w>> {
    let mut nan = None;
    let mut infinity = None;
    let suspects = watch.tensors.iter().filter(|tensor| tensor.written && !is_finite(tensor, arena, batch));
    for tensor in suspects {
        for (position, value) in values(tensor, arena, batch).enumerate() {
            let anomaly = Anomaly { tensor, position, value };
            if value.is_nan() && nan.is_none() {
                nan = Some(anomaly);
            } else if value.is_infinite() && infinity.is_none() {
                infinity = Some(anomaly);
            }
        }
    }
    let overwritten = |offset| watch.tensors.iter().any(|tensor| tensor.written && tensor.offset == offset);
    let mut operands = watch.tensors.iter().filter(|tensor| !tensor.written && !overwritten(tensor.offset));
    let is_new = |_: &Anomaly<'w>| {
        !watch.makes_infinities && !operands.any(|tensor| values(tensor, arena, batch).any(f64::is_infinite))
    };
    nan.or_else(|| infinity.filter(is_new))
}

/// Whether there is nothing to look for, in one pass of whole vectors: almost every tensor of almost every step is of this kind.
fn is_finite(tensor: &Watched, arena: &Arena, batch: u64) -> bool {
    /// The exponent of infinities and NaN.
    const EXPONENT: u32 = 0x7f80_0000;
    let bytes = bytes_of(tensor, arena, batch);
    match tensor.element {
        // Without a branch: comparisons of a vector at a time.
        ElementType::F32 => bytes.chunks(4096).all(|chunk| {
            let (words, _) = chunk.as_chunks::<4>();
            words.iter().fold(true, |finite, word| finite & (u32::from_ne_bytes(*word) & EXPONENT != EXPONENT))
        }),
        _ => values(tensor, arena, batch).all(f64::is_finite),
    }
}

fn values<'a>(tensor: &Watched, arena: &'a Arena, batch: u64) -> impl Iterator<Item = f64> + use<'a> {
    let element: ElementType = tensor.element;
    let size = element.size_bytes();
    bytes_of(tensor, arena, batch).chunks_exact(size as usize).filter_map(move |bytes| element.read_f64(bytes))
}

fn bytes_of<'a>(tensor: &Watched, arena: &'a Arena, batch: u64) -> &'a [u8] {
    arena.view(tensor.offset, tensor.elements.at(batch) * tensor.element.size_bytes()).unwrap_or_default()
}
