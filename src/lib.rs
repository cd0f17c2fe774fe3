//! Kiln: an ahead-of-time graph compiler for training neural networks.
