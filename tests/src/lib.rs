//! Whole-system tests, and what they share: the conformance runner.

#![forbid(unsafe_code)]

extern crate kiln_frontend as kiln;

pub mod conformance;
