//! Files that PyTorch wrote (`tests/python/torch_files.py` at the repository's root), whole and damaged.

use flate2::Crc;
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

#[test]
fn keys_may_have_dots() {
    let dict = |name: &str, value: Torch| Torch::Dict(vec![(name.to_owned(), value)]);
    let Torch::Dict(state) = read(STATE).unwrap() else { panic!("a state_dict is a dict") };
    let object = dict("model.ema", dict("decoder", Torch::Dict(state)));
    assert_eq!(tensors(&object, None).unwrap().len(), 7);
    assert_eq!(tensors(&object, Some("model.ema.decoder")).unwrap().len(), 7);
}

#[test]
fn the_numbers_beside_the_weights_are_metadata() {
    let pairs: Vec<(String, String)> = metadata(&read(CHECKPOINT).unwrap()).into_iter().collect();
    let expected = [("best", "true"), ("dtype", "float32"), ("epoch", "3"), ("loss", "0.25")];
    assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

/// Nothing in a file may make the reader panic or allocate without bound, and what is damaged is not taken for something else.
#[test]
fn damaged_files_are_errors() {
    for length in 0..STATE.len() {
        assert!(read(&STATE[..length]).is_err(), "{length} bytes");
    }
    let whole = read(CHECKPOINT).unwrap();
    let flips = (0..CHECKPOINT.len()).flat_map(|position| [0x01, 0x10, 0x80].map(|flip| (position, flip)));
    let mut noticed = 0;
    for (position, flip) in flips {
        let mut damaged = CHECKPOINT.to_vec();
        damaged[position] ^= flip;
        // What stays the same is in a place that nobody reads: alignment, times, permissions.
        match read(&damaged) {
            Ok(object) => assert_eq!(object, whole, "byte {position} ^ {flip:#x}"),
            Err(_) => noticed += 1,
        }
    }
    assert!(noticed > CHECKPOINT.len(), "{noticed} flips");
}

/// An archive as PyTorch's, around a pickle made by hand.
fn archive(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    zipped(pickle, storages, false)
}

/// The same, with all sizes and places in 64 bits if `is_wide`.
fn zipped(pickle: &[u8], storages: &[&[u8]], is_wide: bool) -> Vec<u8> {
    let mut entries = vec![("model/data.pkl".to_owned(), pickle)];
    entries.extend(storages.iter().enumerate().map(|(key, bytes)| (format!("model/data/{key}"), *bytes)));
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    let narrow = |value: usize| if is_wide { u32::MAX } else { value as u32 }.to_le_bytes();
    for (name, bytes) in &entries {
        let mut crc = Crc::new();
        crc.update(bytes);
        let place = file.len();
        let size = narrow(bytes.len());
        let common = [&[0; 8][..], &crc.sum().to_le_bytes(), &size, &size, &(name.len() as u16).to_le_bytes()].concat();
        let wide = [bytes.len(), bytes.len(), place].map(|value| (value as u64).to_le_bytes()).concat();
        let extra = if is_wide { [&[9, 0, 1, 0, 7, 1, 0, 24, 0][..], &wide].concat() } else { Vec::new() };
        let length = (extra.len() as u16).to_le_bytes();
        file.extend([b"PK\x03\x04\x00\x00", &common[..], &[0; 2], name.as_bytes(), bytes].concat());
        directory.extend([b"PK\x01\x02\x00\x00\x00\x00", &common[..], &length, &[0; 10], &narrow(place)].concat());
        directory.extend([name.as_bytes(), &extra].concat());
    }
    let (start, count) = (file.len(), entries.len());
    file.extend(&directory);
    if is_wide {
        let end = (file.len() as u64).to_le_bytes();
        let [count, start] = [count, start].map(|value| (value as u64).to_le_bytes());
        file.extend([b"PK\x06\x06", &[0; 28][..], &count, &[0; 8], &start].concat());
        file.extend([b"PK\x06\x07", &[0; 4][..], &end, &[0; 4]].concat());
    }
    let count = if is_wide { u16::MAX } else { count as u16 }.to_le_bytes();
    file.extend([b"PK\x05\x06", &[0; 6][..], &count, &[0; 4], &narrow(start), &[0; 2]].concat());
    file
}

#[test]
fn large_archives_have_wide_fields() {
    let elements = [1.5_f32, -2.0].map(f32::to_le_bytes).concat();
    for is_wide in [false, true] {
        let file = zipped(&tensor_pickle(0, 0, &[2], &[1]), &[&elements], is_wide);
        assert_eq!(f32s(&tensors(&read(&file).unwrap(), None).unwrap()["w"]), [1.5, -2.0], "{is_wide}");
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "{length} bytes");
        }
        let at = file.windows(elements.len()).position(|bytes| bytes == elements).unwrap();
        let damaged = [&file[..at], &[9], &file[at + 1..]].concat();
        let error = read(&damaged).unwrap_err().to_string();
        assert_eq!(error, "the archive is damaged: its `data/0` has another check sum");
    }
}

/// The pickle of `{"w": tensor}`, a view of `model/data/<key>`.
fn tensor_pickle(key: usize, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let int = |value: &i64| [&b"\x8a\x08"[..], &value.to_le_bytes()].concat();
    let ints = |values: &[i64]| [b"(", values.iter().flat_map(int).collect::<Vec<u8>>().as_slice(), b"t"].concat();
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let (offset, shape, strides) = (int(&offset), ints(shape), ints(strides));
    let (word, key, device) = (text("storage"), text(&key.to_string()), text("cpu"));
    let storage = [b"(", &word[..], b"ctorch\nFloatStorage\n", &key, &device, b"K\x04tQ"].concat();
    let arguments = [b"(", &storage[..], &offset, &shape, &strides, b"\x89}t"].concat();
    [b"\x80\x02}", &text("w")[..], b"ctorch._utils\n_rebuild_tensor_v2\n", &arguments, b"Rs."].concat()
}

fn said(pickle: &[u8]) -> String {
    match read(&archive(pickle, &[&[0; 16]])) {
        Ok(object) => format!("{object:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn views_stay_within_their_storage() {
    let said = |offset, shape: &[i64], strides: &[i64]| said(&tensor_pickle(0, offset, shape, strides));
    let cases = [
        (said(1, &[4], &[1]), "a tensor of storage `0` of shape [4] goes beyond its 4 elements"),
        (said(0, &[2, 2], &[3, 1]), "a tensor of storage `0` of shape [2, 2] goes beyond its 4 elements"),
        (said(0, &[i64::MAX, i64::MAX], &[i64::MAX, 1]), "goes beyond its 4 elements"),
        (said(0, &[2, 2], &[1]), "has the shape [2, 2] and the strides [1]"),
        (said(0, &[1 << 40], &[0]), "repeats its 4 elements too often: save it `contiguous()`"),
        (said(3, &[i64::MAX, 2], &[0, 0]), "repeats its 4 elements too often"),
        (said(-1, &[1], &[1]), "a negative extent"),
    ];
    for (said, wanted) in cases {
        assert!(said.contains(wanted), "{said}");
    }
    let view = |offset, shape: &[i64], strides: &[i64]| {
        let file = archive(
            &tensor_pickle(0, offset, shape, strides),
            &[&[1.0_f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat()],
        );
        f32s(&tensors(&read(&file).unwrap(), None).unwrap()["w"])
    };
    assert!(view(0, &[0, 1 << 62, 4, 4], &[1 << 62, 16, 4, 1]).is_empty(), "nothing, of any extent");
    assert_eq!(view(1, &[3, 2], &[1, 0]), [2.0, 2.0, 3.0, 3.0, 4.0, 4.0], "expanded");
    assert_eq!(view(3, &[1, 1], &[9, 9]), [4.0], "the stride of one element does not count");
}

#[test]
fn other_names_and_instructions_are_refused() {
    let cases = [
        (&b"cposix\nsystem\nX\x02\x00\x00\x00ls\x85R."[..], "it holds `posix.system`, which is no tensor"),
        (b"\x8c\x08builtins\x8c\x04eval\x93.", "it holds `builtins.eval`"),
        (b"ctorch\nload\n.", "it holds `torch.load`"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n.", "a name or a storage where a value should be"),
        (b"(iposix\nsystem\n.", "the instruction 'i' (0x69) is not one of tensors"),
        (b"N)\x81.", "the instruction"),
        (b"}K\x01K\x02u.", "a list of arguments that never began"),
        (b"h\x07.", "object 7 does not exist"),
        (b".", "an instruction lacks its operand"),
        (b"]q\x00h\x00a.", "containers within containers without end"),
        (b"X\xff\xff\xff\xffa.", "it ends in the middle of an instruction"),
        (b"}N", "it ends in the middle of an instruction"),
        (b"}NNs.", "a key that is neither text nor a number"),
    ];
    for (pickle, wanted) in cases {
        let said = said(pickle);
        assert!(said.contains(wanted), "{pickle:?}: {said}");
    }
    // Each list holds the one before twice.
    let doubled = (0..40_u8).flat_map(|level| [b']', b'(', b'h', level, b'h', level, b'e', b'q', level + 1]);
    let bomb: Vec<u8> = b"]q\x00".iter().copied().chain(doubled).chain(*b".").collect();
    assert!(said(&bomb).contains("containers within containers without end"), "{}", said(&bomb));
}

/// A directory may show one entry under many names.
#[test]
fn entries_have_no_more_bytes_than_the_file() {
    let keys = 1..=20;
    let large = [1; 4096];
    let storages: Vec<&[u8]> = std::iter::once(&large[..]).chain(keys.clone().map(|_| &large[..4])).collect();
    let pickles = keys.clone().map(|key| tensor_pickle(key, 0, &[1], &[1]));
    let parts: Vec<u8> = pickles.flat_map(|one| one[2..one.len() - 1].to_vec()).collect();
    let mut file = archive(&[b"\x80\x02(", &parts[..], b"t."].concat(), &storages);
    assert!(matches!(read(&file).unwrap(), Torch::List(list) if list.len() == 20));

    let directory = |key: usize, file: &[u8]| {
        let name = format!("model/data/{key}");
        let at = file.windows(name.len() + 2).rposition(|bytes| bytes == [name.as_bytes(), b"PK"].concat());
        at.expect("the directory has the name") - 46
    };
    let first = directory(0, &file);
    let (sizes, place) = (file[first + 16..first + 28].to_vec(), file[first + 42..first + 46].to_vec());
    for key in keys {
        let at = directory(key, &file);
        file[at + 16..at + 28].copy_from_slice(&sizes);
        file[at + 42..at + 46].copy_from_slice(&place);
    }
    let error = read(&file).unwrap_err();
    assert_eq!(error.to_string(), "the archive has entries that overlap");
}
