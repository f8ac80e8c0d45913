//! The names that layers have in the program that wrote the file.
use super::super::call::Call;

/// The name that the weights of a node have in the program that wrote the file, without `.weight`.
pub(super) fn label(call: &Call) -> Option<String> {
    let name = call.input_name(1);
    let name = name
        .strip_suffix(".weight")
        .map(str::to_owned)
        .or_else(|| {
            // PyTorch's exporter names nodes by modules: /layer1/layer1.0/conv1/Conv.
            let path = call.node.name.as_deref()?.strip_prefix('/')?;
            let (path, _) = path.rsplit_once('/')?;
            Some(path.split('/').fold(String::new(), joined))
        })?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.';
    (!name.is_empty() && name.chars().all(is_plain)).then_some(name)
}

/// The name of a module within another: `layer1.0` within `layer1` is `layer1.0`, and `block.2` within `features.4.block` is `features.4.block.2`.
fn joined(name: String, module: &str) -> String {
    let dots = name.match_indices('.').map(|(dot, _)| dot + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(dots).collect();
    // The longest end of the name that the module repeats.
    let repeated = starts.into_iter().find(|start| {
        let end = &name[*start..];
        (module.strip_prefix(end)).is_some_and(|rest| rest.starts_with('.'))
    });
    match repeated {
        Some(start) if !name.is_empty() => format!("{}{module}", &name[..start]),
        _ if name.is_empty() => module.to_owned(),
        _ => format!("{name}.{module}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_repeat_the_name_of_their_parent_are_named_once() {
        let name = |path: &str| path.split('/').fold(String::new(), joined);
        assert_eq!(name("layer1/layer1.0/conv1"), "layer1.0.conv1");
        assert_eq!(
            name("features/features.4/block/block.2/block.2.0"),
            "features.4.block.2.0"
        );
        assert_eq!(
            name("features/features.4/block/block.2/fc1"),
            "features.4.block.2.fc1"
        );
        assert_eq!(name("conv1"), "conv1");
    }
}
