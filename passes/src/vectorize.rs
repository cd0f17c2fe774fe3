//! Lanes.

use crate::steps::Steps;

/// Picks vector axes.
pub fn run(_steps: &mut Steps) {}
