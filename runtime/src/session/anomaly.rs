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
    for tensor in watch.tensors.iter().filter(|tensor| tensor.written) {
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

fn values<'a>(tensor: &Watched, arena: &'a Arena, batch: u64) -> impl Iterator<Item = f64> + use<'a> {
    let element: ElementType = tensor.element;
    let size = element.size_bytes();
    let bytes: &[u8] = arena.view(tensor.offset, tensor.elements.at(batch) * size).unwrap_or_default();
    bytes.chunks_exact(size as usize).filter_map(move |bytes| element.read_f64(bytes))
}
