//! `programs/lstm`: LSTM cells unrolled over a sequence, and a linear read-out of every step.

use kiln::prelude::*;
use serde::Deserialize;

use super::Unsupported;

/// `[time, batch, inputs]` → `[time, batch, outputs]`.
#[model]
pub struct LstmModel {
    cells: Vec<LstmCell>,
    head: Linear,
    hidden: usize,
}

/// Arguments of the Python class.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LstmConfig {
    inputs: usize,
    hidden: usize,
    outputs: usize,
    layers: usize,
}

impl Default for LstmConfig {
    fn default() -> LstmConfig {
        LstmConfig { inputs: 5, hidden: 12, outputs: 3, layers: 1 }
    }
}

#[model]
impl LstmModel {
    /// From the arguments of the Python class.
    pub fn new(config: &LstmConfig) -> Result<LstmModel, Unsupported> {
        let LstmConfig { inputs, hidden, outputs, layers } = *config;
        let cells = (0..layers).map(|layer| LstmCell::new(if layer == 0 { inputs } else { hidden }, hidden));
        Ok(LstmModel { cells: cells.collect(), head: Linear::new(hidden, outputs), hidden })
    }

    /// The read-outs.
    pub fn forward(&self, x: Tensor) -> Tensor {
        let batch = x.shape().0[1];
        let nothing = x.new_zeros([batch, Dim::fixed(self.hidden)]);
        let mut states = vec![[nothing, nothing]; self.cells.len()];
        let mut outputs = Vec::new();
        for mut step in x.unbind(0) {
            for (cell, state) in self.cells.iter().zip(&mut states) {
                *state = cell.forward((step, *state));
                step = state[0];
            }
            outputs.push(self.head(step));
        }
        stack(&outputs, 0)
    }
}
