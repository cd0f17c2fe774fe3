//! Data: from samples on disc or in memory to batches of contiguous host tensors.
//!
//! A [`Dataset`] reads one sample by index; a [`DataLoader`] orders the indices, gathers samples into a [`Batch`] (one
//! contiguous array per field) and prepares the next batches on a background thread while the program computes.
//! Names, defaults and meaning follow `torch.utils.data`; the order of an epoch is a pure function of (seed, epoch), so
//! that a resumed run sees the batches that the uninterrupted one would have seen.

mod batch;
mod dataset;
#[cfg(feature = "digits")]
pub mod digits;
mod distributed;
mod error;
mod host;
pub mod idx;
mod loader;
pub mod mnist;

pub use batch::{Batch, Sample};
pub use dataset::{Dataset, ReadError, SplitLengths, Subset, TensorDataset, random_split};
pub use distributed::DistributedSampler;
pub use error::DataError;
pub use host::{Field, HostDtype, HostTensor};
pub use loader::{DataLoader, Epoch};
