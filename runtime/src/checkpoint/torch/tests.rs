//! Files that PyTorch wrote (`tests/python/torch_files.py` at the repository's root), whole and damaged.

use safetensors::Dtype;

use super::*;

const STATE: &[u8] = include_bytes!("../../../tests/torch/state_dict.pt");
const CHECKPOINT: &[u8] = include_bytes!("../../../tests/torch/checkpoint.pt");
const MODEL: &[u8] = include_bytes!("../../../tests/torch/whole_model.pt");
const LEGACY_FILE: &[u8] = include_bytes!("../../../tests/torch/legacy.pt");

fn f32s(tensor: &TorchTensor) -> Vec<f32> {
    let word = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    assert_eq!(tensor.dtype(), Dtype::F32);
    tensor.bytes().chunks_exact(4).map(word).collect()
}

#[test]
fn tensors_of_a_state_dict() {
    let tensors = tensors(&read(STATE).unwrap(), None).unwrap();
    let types: Vec<String> =
        tensors.iter().map(|(name, tensor)| format!("{name} {:?}{:?}", tensor.dtype(), tensor.shape())).collect();
    let expected = [
        "counter I64[]",
        "flags BOOL[3]",
        "half F16[2]",
        "part F32[3]",
        "transposed F32[3, 2]",
        "weight F32[2, 3]",
        "wide F64[1]",
    ];
    assert_eq!(types, expected);
    assert_eq!(f32s(&tensors["weight"]), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(f32s(&tensors["transposed"]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0], "a view of the same storage, strided");
    assert_eq!(f32s(&tensors["part"]), [3.0, 4.0, 5.0], "a view with an offset");
    assert_eq!(tensors["counter"].bytes().as_ref(), 7_i64.to_le_bytes());
    assert_eq!(tensors["half"].bytes().as_ref(), [0x00, 0x3c, 0x00, 0xc0]);
    assert_eq!(tensors["flags"].bytes().as_ref(), [1, 0, 1]);
}

#[test]
fn a_checkpoint_holds_several_dicts() {
    let object = read(CHECKPOINT).unwrap();
    let Torch::Dict(entries) = &object else { panic!("{object:?}") };
    let value = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    assert_eq!(value("epoch"), Some(&Torch::Int(3)));
    assert_eq!(value("loss"), Some(&Torch::Float(0.25)));
    assert_eq!(value("shape"), Some(&Torch::List(vec![Torch::Int(2), Torch::Int(-70000)])));
    let error = tensors(&object, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it holds several dicts with tensors: choose the dict that holds the weights by `key`; there are `net`, \
         `optimizer.state.0`, `optimizer.state.1`"
    );
    let net = tensors(&object, Some("net")).unwrap();
    assert_eq!(net.keys().collect::<Vec<_>>(), ["bias", "weight"]);
    let error = tensors(&object, Some("model")).unwrap_err();
    assert!(error.to_string().starts_with("`model` is no dict with tensors"), "{error}");
}

#[test]
fn what_would_run_code_is_refused_by_name() {
    let error = read(MODEL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it holds `torch.nn.modules.linear.Linear`, which is no tensor and no plain container; save the `state_dict()` alone"
    );
    assert_eq!(read(LEGACY_FILE), Err(TorchError::Legacy));
    assert_eq!(read(b"PK\x03\x04"), read(b"PK\x03\x04"));
    assert!(matches!(read(b"PK\x03\x04"), Err(TorchError::Archive(_))));
}

/// Nothing in a file may make the reader panic or allocate without bound.
#[test]
fn damaged_files_are_errors() {
    for length in (0..STATE.len()).step_by(7) {
        assert!(read(&STATE[..length]).is_err(), "{length} bytes");
    }
    for (position, flip) in (0..CHECKPOINT.len()).flat_map(|position| [(position, 0x01), (position, 0x80)]) {
        let mut damaged = CHECKPOINT.to_vec();
        damaged[position] ^= flip;
        // Some flips change a number or a name and are still a file.
        let _ = read(&damaged).and_then(|object| tensors(&object, Some("net")));
    }
}
