//! Whole-system tests, and what they share: the conformance runner, and the workspace's programs
//! as a user has them.

#![forbid(unsafe_code)]

pub mod conformance;
pub mod support;
