//! The folders of `hubel train --seeds`: one folder, with the run of each seed in a folder of its own.
use std::fs;
use std::path::{Path, PathBuf};

/// The name of a seed's folder, without the seed.
const PREFIX: &str = "seed-";

/// The folder for the run with this seed.
pub(super) fn folder(parent: &Path, seed: u64) -> PathBuf {
    parent.join(format!("{PREFIX}{seed}"))
}

/// The runs in a folder of `hubel train --seeds`, in the order of their seeds. Empty if it is another folder, or none.
pub(super) fn in_folder(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut runs: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let seed = name.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
            let path = entry.path();
            path.is_dir().then_some((seed, path))
        })
        .collect();
    runs.sort();
    runs.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_in_the_order_of_their_seeds_and_other_folders_are_none() {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["seed-10", "seed-9", "seed-x", "other"] {
            fs::create_dir(root.path().join(name)).expect("a folder");
        }
        fs::write(root.path().join("seed-3"), "a file").expect("written");
        let expected = [9, 10].map(|seed| folder(root.path(), seed));
        assert_eq!(in_folder(root.path()), expected);
        assert!(in_folder(&root.path().join("nowhere")).is_empty());
    }
}
