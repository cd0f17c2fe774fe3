//! Whole-system tests, and what they share: the conformance runner.

#![forbid(unsafe_code)]

pub mod conformance;
