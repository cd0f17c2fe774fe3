//! The CUDA C back end.
