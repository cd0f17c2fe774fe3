//! A trainer's state to and from files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::abi::{ElementType, SlotKind};
use crate::checkpoint::{self, Checkpoint, CheckpointError, Dtype, Load, Loaded, TensorSpec, TensorView};
use crate::{SlotView, Trainer};

impl Trainer {
    /// Writes parameters, buffers and optimiser state to a safetensors file under PyTorch's names.
    ///
    /// # Errors
    /// [`CheckpointError`]; an existing file is then untouched.
    pub fn save(&self, path: impl AsRef<Path>, metadata: &BTreeMap<String, String>) -> Result<(), CheckpointError> {
        let specs: Vec<TensorSpec> = self.state().map(|slot| spec(&slot)).collect();
        let tensors = self.state().zip(&specs).map(|(slot, spec)| TensorView {
            name: slot.name().into(),
            dtype: spec.dtype,
            shape: spec.shape.clone().into(),
            bytes: slot.bytes().into(),
        });
        checkpoint::save(path, tensors, metadata)
    }

    /// Reads what [`Trainer::save`] wrote, or a `state_dict` of PyTorch: safetensors, or `.pt` and `.pth` of `torch.save`. A file without any state of the
    /// optimiser holds weights, and nothing of the optimiser is then missing.
    ///
    /// # Errors
    /// [`CheckpointError`]; then nothing has been read.
    pub fn load(&mut self, path: impl AsRef<Path>, load: &Load) -> Result<Loaded, CheckpointError> {
        let file = checkpoint::load_key(path, load.key.as_deref())?;
        let all: Vec<TensorSpec> = self.state().map(|slot| spec(&slot)).collect();
        let weights: Vec<TensorSpec> = self.state().filter(is_weight).map(|slot| spec(&slot)).collect();
        let has_more = all.iter().any(|spec| !weights.contains(spec) && file.get(&spec.name).is_some());
        self.load_specs(&file, if has_more { &all } else { &weights }, load)
    }

    fn load_specs(&mut self, file: &Checkpoint, specs: &[TensorSpec], load: &Load) -> Result<Loaded, CheckpointError> {
        let (report, names) = file.check(specs, load)?;
        for (name, name_in_file) in &names {
            if let (Some(tensor), Ok(mut slot)) = (file.get(name_in_file), self.slot_mut(name)) {
                slot.bytes_mut().copy_from_slice(&tensor.bytes);
            }
        }
        let (missing, unexpected) = (report.missing, report.unexpected);
        Ok(Loaded { missing, unexpected, metadata: file.metadata().clone() })
    }

    /// Every slot, or none: how a run goes on.
    pub(crate) fn load_whole(&mut self, path: &Path) -> Result<BTreeMap<String, String>, CheckpointError> {
        let all: Vec<TensorSpec> = self.state().map(|slot| spec(&slot)).collect();
        Ok(self.load_specs(&checkpoint::load(path)?, &all, &Load::default())?.metadata)
    }
}

/// Whether a slot is of the model itself, and in PyTorch's `state_dict`. Random numbers have their state in buffers too.
fn is_weight(slot: &SlotView<'_>) -> bool {
    match slot.kind() {
        SlotKind::Parameter => true,
        SlotKind::Buffer => !slot.name().starts_with("random."),
        _ => false,
    }
}

fn spec(slot: &SlotView<'_>) -> TensorSpec {
    let dtype = match slot.element() {
        ElementType::F64 => Dtype::F64,
        ElementType::F32 => Dtype::F32,
        ElementType::F16 => Dtype::F16,
        ElementType::BF16 => Dtype::BF16,
        ElementType::I64 => Dtype::I64,
        ElementType::I32 => Dtype::I32,
        ElementType::U8 => Dtype::U8,
        ElementType::Bool => Dtype::BOOL,
    };
    let shape: Vec<usize> = slot.shape().into_iter().map(|extent| extent as usize).collect();
    TensorSpec::new(slot.name(), dtype, &shape)
}
