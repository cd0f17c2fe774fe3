//! Tests of checkpoints: round trip, damage of every kind, atomicity and the comparison with a model.

use super::*;

fn metadata() -> BTreeMap<String, String> {
    let pairs = [("step", "120"), ("format", "pt"), ("note", "a \"quoted\"\nline \u{1f525}"), ("", "")];
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn tensors() -> Vec<TensorView<'static>> {
    vec![
        TensorView::from_f32s("fc.weight", &[2, 3], &[0.0, -0.0, 1.5, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE]),
        TensorView::new("rng", Dtype::U64, &[3], &[7; 24]),
        TensorView::new("mask", Dtype::U8, &[3], &[1, 0, 1]),
        TensorView::from_f32s("bn.eps", &[], &[1e-5]),
        TensorView::new("empty", Dtype::F32, &[0, 4], &[]),
        TensorView::new("h\"\\\u{e9}", Dtype::BF16, &[1], &[0x80, 0x3f]),
    ]
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    (folder, path)
}

fn saved() -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = folder();
    save(&path, tensors(), &metadata()).unwrap();
    (folder, path)
}

#[test]
fn what_was_saved_is_loaded() {
    let (_folder, path) = saved();
    let checkpoint = load(&path).unwrap();
    assert_eq!(checkpoint.metadata(), &metadata());
    assert_eq!(checkpoint.tensors().count(), tensors().len());
    for tensor in tensors() {
        assert_eq!(checkpoint.get(&tensor.name).unwrap(), tensor);
    }
    assert_eq!(checkpoint.get("bn.eps").unwrap().to_f32s(), Some(vec![1e-5]));
    assert_eq!(checkpoint.get("rng").unwrap().to_f32s(), None);
    assert!(checkpoint.get("absent").is_none());
}

#[test]
fn without_metadata_the_bytes_are_those_of_the_safetensors_crate() {
    let (_folder, path) = folder();
    save(&path, tensors(), &BTreeMap::new()).unwrap();
    let all = tensors();
    let views = all.iter().map(|tensor| {
        let view = safetensors::tensor::TensorView::new(tensor.dtype, tensor.shape.to_vec(), &tensor.bytes).unwrap();
        (tensor.name.to_string(), view)
    });
    assert_eq!(fs::read(&path).unwrap(), safetensors::serialize(views, None).unwrap());
}

#[test]
fn the_bytes_depend_on_the_contents_only() {
    let (_folder, path) = saved();
    let first = fs::read(&path).unwrap();
    for turn in 0..tensors().len() {
        let mut turned = tensors();
        turned.rotate_left(turn);
        save(&path, turned, &metadata()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
    }
    // The tensors start aligned to their elements: the header is padded, and wide elements come first.
    let header_bytes = u64::from_le_bytes(first[..8].try_into().unwrap());
    assert_eq!(header_bytes % 8, 0);
}

#[test]
fn an_empty_checkpoint_is_one() {
    let (_folder, path) = folder();
    save(&path, [], &BTreeMap::new()).unwrap();
    let checkpoint = load(&path).unwrap();
    assert_eq!((checkpoint.tensors().count(), checkpoint.metadata().len()), (0, 0));
}

#[test]
fn every_truncation_and_any_surplus_is_noticed() {
    let (_folder, path) = saved();
    let bytes = fs::read(&path).unwrap();
    // Every length: inside the header's length, inside the header, at each tensor's boundary and inside each tensor.
    for cut in 0..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let error = load(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { size_bytes, .. } if size_bytes == cut), "{cut}: {error}");
        assert!(error.to_string().contains("model.safetensors"), "{error}");
    }
    fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
    assert!(matches!(load(&path), Err(CheckpointError::Damaged { reason: Damage::Length, .. })));
}

#[test]
fn other_files_are_refused() {
    let (_folder, path) = folder();
    let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let overlapping =
        r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#;
    let files: [Vec<u8>; 8] = [
        vec![0xff; 64],
        vec![0; 64],
        header("[1, 2]"),
        header("{\"a\":1}"),
        header(r#"{"a":{"dtype":"F99","shape":[],"data_offsets":[0,0]}}"#),
        [header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#), vec![0; 4]].concat(),
        header(r#"{"a":{"dtype":"F32","shape":[18446744073709551615,4],"data_offsets":[0,0]}}"#),
        [header(overlapping), vec![0; 3]].concat(),
    ];
    for bytes in files {
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(load(&path), Err(CheckpointError::Damaged { .. })), "{:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(matches!(load(path.with_file_name("absent")), Err(CheckpointError::NotFound { .. })));
    assert!(matches!(load(path.parent().unwrap()), Err(CheckpointError::File { .. })));
}

#[test]
fn a_save_that_cannot_work_changes_nothing() {
    let (folder, path) = saved();
    let before = fs::read(&path).unwrap();
    let (weight, shape) = (TensorView::from_f32s("w", &[1], &[1.0]), [2]);
    let twice = save(&path, [weight.clone(), weight], &BTreeMap::new()).unwrap_err();
    assert!(matches!(twice, CheckpointError::DuplicateName { ref name, .. } if name == "w"), "{twice}");
    let short = save(&path, [TensorView::from_f32s("w", &shape, &[1.0])], &BTreeMap::new()).unwrap_err();
    assert!(short.to_string().ends_with("`w`, f32[2], needs 8 bytes, found 4"), "{short}");
    let reserved = save(&path, [TensorView::from_f32s(METADATA_NAME, &[], &[1.0])], &BTreeMap::new());
    assert!(matches!(reserved, Err(CheckpointError::ReservedName { .. })));
    let no_folder = save(folder.path().join("absent/model.safetensors"), tensors(), &metadata());
    assert!(matches!(no_folder, Err(CheckpointError::File { .. })));
    assert!(matches!(save(folder.path(), tensors(), &metadata()), Err(CheckpointError::NotAFile { .. })));
    assert!(save("", tensors(), &metadata()).is_err());

    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_without_folder_is_saved_in_the_current_one() {
    let name = format!("kiln-checkpoint-test-{}.safetensors", std::process::id());
    save(&name, tensors(), &metadata()).unwrap();
    let loaded = load(&name).map(|checkpoint| checkpoint.metadata().clone());
    fs::remove_file(&name).unwrap();
    assert_eq!(loaded.unwrap(), metadata());
}

#[cfg(unix)]
#[test]
fn devices_are_not_replaced_and_links_keep_pointing() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let (folder, path) = saved();
    assert!(matches!(save("/dev/null", tensors(), &metadata()), Err(CheckpointError::NotAFile { .. })));
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());

    let link = folder.path().join("latest");
    symlink(&path, &link).unwrap();
    save(&link, [], &BTreeMap::new()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(load(&path).unwrap().tensors().count(), 0);
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_keeps_its_file() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = saved();
    let before = fs::read(&path).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let result = save(&path, [], &BTreeMap::new());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The superuser may write anywhere; then the save simply works.
    if result.is_err() {
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn all_differences_are_reported_together() {
    let (_folder, path) = saved();
    let checkpoint = load(&path).unwrap();
    let exact: Vec<TensorSpec> =
        tensors().iter().map(|tensor| TensorSpec::new(&tensor.name, tensor.dtype, &tensor.shape)).collect();
    assert!(checkpoint.check(&exact, &Load::default()).unwrap().0.is_exact());

    let expected = [
        TensorSpec::new("fc.weight", Dtype::F32, &[3, 2]),
        TensorSpec::new("fc.bias", Dtype::F32, &[3]),
        TensorSpec::new("mask", Dtype::BOOL, &[3]),
        TensorSpec::new("bn.eps", Dtype::F64, &[1]),
        TensorSpec::new("rng", Dtype::U64, &[3]),
    ];
    let message = checkpoint.check(&expected, &Load::default()).unwrap_err().to_string();
    let (first, rest) = message.split_once('\n').unwrap();
    assert!(first.ends_with("model.safetensors` does not fit the model:"), "{first}");
    assert_eq!(
        rest,
        "  missing: `fc.bias`
  unexpected: `empty`, `h\"\\\u{e9}`
  shape of `fc.weight`: the model has f32[3,2], the file has f32[2,3]
  dtype of `mask`: the model has bool[3], the file has u8[3]
  shape and dtype of `bn.eps`: the model has f64[1], the file has f32[]"
    );
}

#[test]
fn only_strict_matching_minds_missing_and_unexpected_names() {
    let (_folder, path) = saved();
    let checkpoint = load(&path).unwrap();
    let expected = [TensorSpec::new("mask", Dtype::U8, &[3]), TensorSpec::new("new", Dtype::F32, &[1])];
    assert!(matches!(checkpoint.check(&expected, &Load::default()), Err(CheckpointError::Mismatch { .. })));
    let (report, _) = checkpoint.check(&expected, &Load::partial()).unwrap();
    assert_eq!((report.missing.len(), report.unexpected.len()), (1, 5));
    let wrong = [TensorSpec::new("mask", Dtype::U8, &[4])];
    assert!(matches!(checkpoint.check(&wrong, &Load::partial()), Err(CheckpointError::Mismatch { .. })));
}

/// MO-32, MO-34: a shape counts without `strict` too, unless it is excluded.
#[test]
fn parts_of_a_file_under_other_names() {
    let (_folder, path) = folder_with(&[("module.fc.weight", &[2, 3]), ("module.conv.weight", &[4])]);
    let checkpoint = load(&path).unwrap();
    let needed = [spec("fc.weight", &[5, 3]), spec("conv.weight", &[4])];
    let unwrapped = Load { rename: vec![pair("module.", "")], ..Load::partial() };
    let message = checkpoint.check(&needed, &unwrapped).unwrap_err().to_string();
    assert!(message.ends_with("shape of `fc.weight`: the model has f32[5,3], the file has f32[2,3]"), "{message}");

    let headless = Load { exclude: vec!["fc".to_owned()], strict: true, ..unwrapped.clone() };
    let (report, names) = checkpoint.check(&needed, &headless).unwrap();
    assert!(report.is_exact());
    assert_eq!(names.into_iter().collect::<Vec<_>>(), [pair("conv.weight", "module.conv.weight")]);
    let only = Load { include: vec!["conv*".to_owned()], ..unwrapped.clone() };
    assert!(checkpoint.check(&needed, &only).unwrap().0.is_exact());

    let slips = [
        (Load { exclude: vec!["head".to_owned()], ..Load::default() }, "`exclude` has `head`, which fits no name"),
        (Load { include: vec!["f*x".to_owned()], ..Load::default() }, "`include` has `f*x`, which fits no name"),
        (Load { rename: vec![pair("net.", "")], ..Load::default() }, "`rename` has `net.`, which fits no name"),
        (
            Load { rename: vec![pair("module.fc.", "a."), pair("module.conv.", "a.")], ..Load::default() },
            "`rename` makes `a.weight` of both `module.conv.weight` and `module.fc.weight`",
        ),
    ];
    for (options, said) in slips {
        let message = checkpoint.check(&needed, &options).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
}

/// MO-33: what is renamed in a report can be renamed while loading.
#[test]
fn a_report_says_what_may_have_been_renamed() {
    let wrapped = folder_with(&[("module.fc.weight", &[2, 3]), ("module.conv.weight", &[4])]);
    let needed = [spec("fc.weight", &[2, 3]), spec("conv.weight", &[4])];
    let message = load(&wrapped.1).unwrap().check(&needed, &Load::default()).unwrap_err().to_string();
    assert!(message.ends_with("help: names seem to have changed; `rename` `module.` to `` (2 tensors)"), "{message}");

    // A `Sequential` from which layer 1 was taken.
    let (_folder, path) =
        folder_with(&[("0.weight", &[2]), ("1.weight", &[3]), ("2.weight", &[4]), ("10.weight", &[5])]);
    let file = load(&path).unwrap();
    let needed = [spec("0.weight", &[2]), spec("1.weight", &[4]), spec("2.weight", &[5])];
    let Err(CheckpointError::Mismatch { report, .. }) = file.check(&needed, &Load::partial()) else {
        panic!("the shapes are others")
    };
    let rename: Vec<_> = report.renames.into_iter().map(|rename| (rename.from, rename.to)).collect();
    assert_eq!(rename, [pair("2.", "1."), pair("10.", "2.")]);
    let (report, names) = file.check(&needed, &Load { rename, ..Load::partial() }).unwrap();
    assert_eq!((report.missing, report.unexpected), (vec![], vec!["1.weight".to_owned()]));
    let expected = [pair("0.weight", "0.weight"), pair("1.weight", "2.weight"), pair("2.weight", "10.weight")];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
}

/// PyTorch before 0.4.1 saved no steps, and later ones load its files.
#[test]
fn old_batch_norms_have_no_steps() {
    let steps = TensorSpec::new("bn.num_batches_tracked", Dtype::I64, &[]);
    let needed = [spec("bn.weight", &[2]), steps];
    let (_folder, old) = folder_with(&[("bn.weight", &[2])]);
    assert!(load(&old).unwrap().check(&needed, &Load::default()).unwrap().0.is_exact());
    let (_folder, other) = folder_with(&[("bn.weight", &[2]), ("bn2.num_batches_tracked", &[])]);
    let report = load(&other).unwrap().check(&needed, &Load::partial()).unwrap().0;
    assert_eq!(report.missing, ["bn.num_batches_tracked"]);
}

fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec::new(name, Dtype::F32, shape)
}

fn folder_with(tensors: &[(&str, &[usize])]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let zeros = |shape: &[usize]| vec![0.0; shape.iter().product()];
    let views = tensors.iter().map(|(name, shape)| TensorView::from_f32s(name, shape, &zeros(shape)));
    save(&path, views, &BTreeMap::new()).unwrap();
    (folder, path)
}
