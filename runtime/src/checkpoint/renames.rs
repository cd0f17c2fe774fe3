//! What may have been renamed between a file and a program: tensors that one has and the other lacks, of equal type and similar name.

use super::TensorSpec;

/// Names in the file that begin with `from` seem to be those of the program that begin with `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// In the file.
    pub from: String,
    /// In the program.
    pub to: String,
    /// How many tensors that would find.
    pub tensors: usize,
}

/// Pairs each tensor that is needed with one that was found: of the same type and shape, the same last part of the name, and as many parts before that as can be.
/// Among equals the numbers of layers decide, in their order: a network from which layers were taken has the others in the same order.
pub(super) fn suggest(needed: &[&TensorSpec], found: &[&TensorSpec]) -> Vec<Rename> {
    let mut rest: Vec<&TensorSpec> = found.to_vec();
    rest.sort_by_key(|spec| numbered(&spec.name));
    let mut renames: Vec<Rename> = Vec::new();
    for spec in needed {
        // Equals are told apart by what was found before: a bias belongs to the layer of its weight.
        let alike = |other: &TensorSpec| {
            let fits = other.dtype == spec.dtype && other.shape == spec.shape && other.name != spec.name;
            let parts = if fits { parts_in_common(&other.name, &spec.name) } else { 0 };
            let (from, to) = (before(&other.name, parts), before(&spec.name, parts));
            (parts, renames.iter().any(|rename| rename.from == from && rename.to == to))
        };
        let most = rest.iter().map(|other| alike(other)).max().unwrap_or_default();
        let Some(at) = rest.iter().position(|other| most.0 > 0 && alike(other) == most) else { continue };
        let other = rest.remove(at);
        let (from, to) = (before(&other.name, most.0), before(&spec.name, most.0));
        match renames.iter_mut().find(|rename| rename.from == from && rename.to == to) {
            Some(rename) => rename.tensors += 1,
            None => renames.push(Rename { from: from.to_owned(), to: to.to_owned(), tensors: 1 }),
        }
    }
    renames
}

/// A key that sorts `9` before `10`.
fn numbered(name: &str) -> Vec<(Option<u64>, &str)> {
    name.split('.').map(|part| (part.parse().ok(), part)).collect()
}

/// How many parts at their ends two names share.
fn parts_in_common(one: &str, other: &str) -> usize {
    one.rsplit('.').zip(other.rsplit('.')).take_while(|(one, other)| one == other).count()
}

/// A name without so many parts at its end, dot included.
fn before(name: &str, parts: usize) -> &str {
    match name.rmatch_indices('.').nth(parts.saturating_sub(1)) {
        Some((dot, _)) => &name[..=dot],
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;

    fn specs(names: &[(&str, usize)]) -> Vec<TensorSpec> {
        names.iter().map(|&(name, length)| TensorSpec::new(name, Dtype::F32, &[length])).collect()
    }

    fn suggested(needed: &[(&str, usize)], found: &[(&str, usize)]) -> Vec<(String, String, usize)> {
        let (needed, found) = (specs(needed), specs(found));
        let renames = suggest(&needed.iter().collect::<Vec<_>>(), &found.iter().collect::<Vec<_>>());
        renames.into_iter().map(|Rename { from, to, tensors }| (from, to, tensors)).collect()
    }

    fn rename(from: &str, to: &str, tensors: usize) -> (String, String, usize) {
        (from.to_owned(), to.to_owned(), tensors)
    }

    #[test]
    fn a_prefix_is_one_suggestion() {
        let needed = [("conv.weight", 3), ("conv.bias", 2), ("fc.weight", 3)];
        let found = [("module.conv.bias", 2), ("module.conv.weight", 3), ("module.fc.weight", 3)];
        assert_eq!(suggested(&needed, &found), [rename("module.", "", 3)]);
        assert_eq!(suggested(&found, &needed), [rename("", "module.", 3)]);
    }

    #[test]
    fn layers_that_moved_up_keep_their_order() {
        let needed = [("features.8.weight", 4), ("features.9.weight", 4), ("features.9.bias", 1)];
        let found = [("features.10.bias", 1), ("features.10.weight", 4), ("features.9.weight", 4)];
        let expected = [rename("features.9.", "features.8.", 1), rename("features.10.", "features.9.", 2)];
        assert_eq!(suggested(&needed, &found), expected);
    }

    #[test]
    fn other_shapes_and_other_words_are_no_renames() {
        assert_eq!(suggested(&[("fc.weight", 3)], &[("head.weight", 4), ("fc.gamma", 3)]), []);
    }
}
