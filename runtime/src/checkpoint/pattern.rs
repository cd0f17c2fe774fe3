//! Patterns of tensor names: `*` stands for any text, and the name of a module for everything in it.

/// Whether a pattern fits a name, or the name of a module around it.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut modules = name.match_indices('.').map(|(dot, _)| &name[..dot]);
    fits_whole(pattern, name) || modules.any(|module| fits_whole(pattern, module))
}

fn fits_whole(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    // Each part but the last takes the first place where it fits, which leaves most for those after it.
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return name.ends_with(part);
        }
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns() {
        let cases = [
            ("fc.weight", "fc.weight", true),
            ("fc", "fc.weight", true),
            ("fc", "fc2.weight", false),
            ("layer4", "layer4.1.bn2.bias", true),
            ("*", "anything.at.all", true),
            ("*.bn*.weight", "layer1.0.bn2.weight", true),
            ("*.bn*.weight", "layer1.0.conv2.weight", false),
            ("*bias", "fc.bias", true),
            ("layer*", "conv1.weight", false),
            ("a*a", "a", false),
            ("a*b*c", "a.b.b.c", true),
            ("", "fc", false),
        ];
        for (pattern, name, wanted) in cases {
            assert_eq!(fits(pattern, name), wanted, "`{pattern}` and `{name}`");
        }
    }
}
