//! Compiler passes.
