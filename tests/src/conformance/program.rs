//! `programs/<name>/`: the description of a training program and its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;

use super::recipe::{ClipNorm, ParameterGroup};
use super::tensors::{ReadError, TensorFile, read_json};
use super::{Batch, Tolerance};

/// One folder.
#[derive(Clone, Debug)]
pub struct ProgramFolder {
    /// `program.json`.
    pub file: ProgramFile,
    /// The initial state, by PyTorch's names.
    pub init: TensorFile,
    /// `<step>.<key>`.
    pub batches: TensorFile,
    /// The gradients of step 0.
    pub gradients: TensorFile,
    /// `<run>/<name>`: the state after the last step.
    pub last: TensorFile,
    /// The tensors of `functions`.
    pub functions: Option<TensorFile>,
}

/// `program.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct ProgramFile {
    /// The folder's name, which is the model's.
    pub name: String,
    /// The model's arguments.
    pub config: BTreeMap<String, Json>,
    /// Further arguments of the loss.
    pub loss_args: BTreeMap<String, Json>,
    /// `train` or `eval`: how layers behave during training.
    pub mode: String,
    /// The number of batches.
    pub steps: usize,
    /// The names of the inputs.
    pub batch_keys: Vec<String>,
    /// The names of the trained parameters.
    pub parameters: Vec<String>,
    /// Pairs of names for one tensor.
    pub tied: Vec<(String, String)>,
    /// The loss of batch 0 at the initial weights.
    pub loss0: f64,
    /// For `loss0`.
    pub loss0_tolerance: Tolerance,
    /// For each gradient.
    pub grads0_tolerance: BTreeMap<String, Tolerance>,
    /// The trainings.
    pub runs: Vec<Run>,
    /// Functions of the source by themselves.
    #[serde(default)]
    pub functions: Vec<FunctionCase>,
}

/// A call of a function with what it gives, and its gradients.
#[derive(Clone, Debug, Deserialize)]
pub struct FunctionCase {
    /// The function.
    pub name: String,
    /// Its arguments; strings are keys of tensors.
    pub args: BTreeMap<String, Json>,
    /// The key of the cotangent.
    pub cotangent: String,
    /// The key of the result.
    pub out: String,
    /// The keys of the gradients, by argument.
    pub grads: BTreeMap<String, String>,
    /// For `out` and `grad_<argument>`.
    pub tolerance: BTreeMap<String, Tolerance>,
}

/// One training with one optimiser.
#[derive(Clone, Debug, Deserialize)]
pub struct Run {
    /// The prefix of its final state.
    pub name: String,
    /// A class of `torch.optim`.
    pub optimizer: String,
    /// Its arguments.
    pub args: BTreeMap<String, Json>,
    /// The loss of each step, before its update.
    pub losses: Vec<f64>,
    /// For each loss.
    pub loss_tolerance: Tolerance,
    /// For each step, the learning rate of each parameter group.
    pub lrs: Vec<Vec<f64>>,
    /// The loss of batch 0 after the last step, in eval mode.
    pub eval_loss: f64,
    /// For `eval_loss`.
    pub eval_loss_tolerance: Tolerance,
    /// For each tensor of the final state.
    pub final_tolerance: BTreeMap<String, Tolerance>,
    /// Parameter groups instead of one with all parameters.
    pub groups: Option<Vec<ParameterGroup>>,
    /// Batches between two updates.
    pub accumulate: Option<usize>,
    /// `clip_grad_norm_` before every update.
    pub clip_norm: Option<ClipNorm>,
    /// `clip_grad_value_` before every update.
    pub clip_value: Option<f64>,
    /// Stepped after every update.
    pub scheduler: Option<Json>,
    /// The batch of every step.
    pub fixed_batch: Option<usize>,
    /// Of the norms before clipping, one an update.
    #[serde(default)]
    pub grad_norms: Vec<f64>,
    /// For each of them.
    pub grad_norm_tolerance: Option<Tolerance>,
    /// How often an LBFGS closure ran in each step.
    pub closure_evaluations: Option<Vec<usize>>,
    /// The prefix of the gradients of the first update, accumulated and not clipped.
    pub first_update_grads: Option<String>,
    /// For each of them.
    #[serde(default)]
    pub first_update_grads_tolerance: BTreeMap<String, Tolerance>,
    /// What else the run does: nothing that the runner knows.
    #[serde(flatten)]
    pub others: BTreeMap<String, Json>,
}

impl ProgramFolder {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn read(folder: &Path) -> Result<ProgramFolder, ReadError> {
        let tensors = |name: &str| TensorFile::read(&folder.join(format!("{name}.safetensors")));
        let file: ProgramFile = read_json(&folder.join("program.json"))?;
        let functions = if file.functions.is_empty() { None } else { Some(tensors("functions")?) };
        Ok(ProgramFolder {
            file,
            functions,
            init: tensors("init")?,
            batches: tensors("batches")?,
            gradients: tensors("grads0")?,
            last: tensors("final")?,
        })
    }

    /// The inputs of a step.
    pub fn batch(&self, step: usize) -> Result<Batch, ReadError> {
        let input = |key: &String| Ok((key.clone(), self.batches.get(&format!("{step}.{key}"))?.clone()));
        self.file.batch_keys.iter().map(input).collect()
    }
}
