//! Symbolic tensors, layers, losses and optimisers.
