//! The runtime.

pub mod checkpoint;
pub mod data;
pub mod metrics;
pub mod philox;
pub mod progress;
pub mod stop;
