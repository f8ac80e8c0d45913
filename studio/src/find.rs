//! Finds the runs below a folder, and the folder of a run by its name.
use std::fs;
use std::path::{Component, Path, PathBuf};

use hubel::{Record, RunFolder};

/// How deep below the folder a run may lie: `runs/plain/seed-1` needs three.
const DEEPEST: usize = 3;
/// Most folders that are looked into. Above that the list is not complete, and the page says so.
const MOST_FOLDERS: usize = 5_000;

/// The runs below a folder.
pub(crate) struct Found {
    pub(crate) runs: Vec<Run>,
    pub(crate) is_complete: bool,
}

/// A run.
pub(crate) struct Run {
    /// Its path below the folder, with `/`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// The runs below `root`, in the order of their names. Hidden folders and links are left out.
pub(crate) fn runs(root: &Path) -> Found {
    let mut found = Found {
        runs: Vec::new(),
        is_complete: true,
    };
    let mut left = MOST_FOLDERS;
    look_into(root, "", DEEPEST, &mut left, &mut found);
    found
}

fn look_into(folder: &Path, name: &str, depth: usize, left: &mut usize, found: &mut Found) {
    let mut folders: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect();
    folders.sort();
    for (own, path) in folders {
        if *left == 0 {
            found.is_complete = false;
            return;
        }
        *left -= 1;
        let name = match name {
            "" => own,
            name => format!("{name}/{own}"),
        };
        if is_run(&path) {
            found.runs.push(Run { name, path });
        } else if depth > 1 {
            look_into(&path, &name, depth - 1, left, found);
        }
    }
}

/// Whether the folder itself holds a run.
pub(crate) fn is_run(folder: &Path) -> bool {
    folder.join(Record::EVENTS).exists() || RunFolder::model_in(folder).is_some()
}

/// The folders in `root` that hold neither a run nor folders with runs, in the order of their names. Hidden ones and links are left out.
pub(crate) fn folders(root: &Path) -> Vec<String> {
    let runs = runs(root).runs;
    let has_run = |name: &str| {
        let mut tops = runs.iter().filter_map(|run| run.name.split('/').next());
        tops.any(|top| top == name)
    };
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && !has_run(name))
        .collect();
    names.sort();
    names
}

/// The folder of the run with this name; `None` if there is none, or if it is not below `root`, also by a link.
pub(crate) fn run(root: &Path, name: &str) -> Option<PathBuf> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if name.is_empty() || !Path::new(name).components().all(is_plain) {
        return None;
    }
    let path = root.join(name).canonicalize().ok()?;
    (path.starts_with(root) && is_run(&path)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with_runs() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in ["runs/b", "runs/a/seed-1", "c", ".hidden/d", "runs/x/y/z"] {
            let folder = root.path().join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(Record::EVENTS), "").unwrap();
        }
        root
    }

    #[test]
    fn runs_are_found_three_folders_deep() {
        let root = folder_with_runs();
        let found = runs(root.path());
        let names: Vec<&str> = found.runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["c", "runs/a/seed-1", "runs/b"]);
        assert!(found.is_complete);
    }

    #[test]
    fn folders_without_runs_are_offered_as_data() {
        let root = folder_with_runs();
        for name in ["photos/cats", "sounds"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        assert_eq!(folders(root.path()), ["photos", "sounds"]);
    }

    #[test]
    fn nothing_outside_the_folder_is_a_run() {
        let outer = folder_with_runs();
        let root = outer.path().join("runs").canonicalize().unwrap();
        assert_eq!(run(&root, "b"), Some(root.join("b")));
        let outside = outer.path().join("c");
        for name in [
            "../c",
            "b/../../c",
            "/",
            "",
            ".",
            "nowhere",
            outside.to_str().unwrap(),
        ] {
            assert_eq!(run(&root, name), None, "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
            assert_eq!(run(&root, "link"), None);
            assert!(runs(&root).runs.iter().all(|run| run.name != "link"));
        }
    }
}
