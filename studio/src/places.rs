//! Which data may be read: what lies below the folder of the studio, below that of the runs, or in the data that it was opened with. Links to other places are refused.
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use hubel::data::files_of;
use hubel::shown;

/// The data set that is part of the program.
pub(crate) const EMBEDDED: &str = "mnist";

/// The folders that may be read. Their paths are without links.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The folder in which the studio was started.
    root: PathBuf,
    /// The folder of the runs, and the data that the studio was opened with.
    others: Vec<PathBuf>,
}

impl Places {
    /// `root` is the folder in which the studio was started; in `others`, what does not exist is left out.
    pub(crate) fn new<'a>(root: &Path, others: impl IntoIterator<Item = &'a Path>) -> Self {
        let others = others.into_iter();
        Self {
            root: root.canonicalize().unwrap_or_else(|_| root.to_owned()),
            others: others.filter_map(|path| path.canonicalize().ok()).collect(),
        }
    }

    /// The path of the data with this name: `mnist`, a path below the folder, or an absolute path.
    ///
    /// # Errors
    /// A message, if there is no such data or it lies elsewhere.
    pub(crate) fn data_at(&self, name: &str) -> Result<PathBuf, String> {
        if name.eq_ignore_ascii_case(EMBEDDED) {
            return Ok(EMBEDDED.into());
        }
        let path = self.root.join(name);
        // A place outside is not told apart from one that does not exist.
        let path = path.canonicalize().ok().filter(|path| self.holds(path));
        path.ok_or_else(|| self.outside(name))
    }

    /// The name of data at this path, by which [`Places::data_at`] finds it.
    pub(crate) fn name_of(&self, path: &Path) -> String {
        match path.strip_prefix(&self.root) {
            Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
            Ok(below) => below.display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }

    fn outside(&self, name: &str) -> String {
        format!(
            "there is no data `{name}` in the folder of the studio, {}; start `hubel studio` in a folder that contains it, or name it: `hubel studio --data {name}`",
            shown(&self.root)
        )
    }

    /// Whether a path without links lies in one of the folders.
    fn holds(&self, path: &Path) -> bool {
        let mut places = std::iter::once(&self.root).chain(&self.others);
        places.any(|place| path.starts_with(place))
    }

    /// Refuses data of which a file lies elsewhere: by a link, or because a table names it.
    ///
    /// # Errors
    /// A message with the file.
    pub(crate) fn check(&self, data: &Path) -> Result<(), String> {
        if data == Path::new(EMBEDDED) {
            return Ok(());
        }
        let mut seen = Seen::default();
        for entry in entries(data) {
            self.check_file(&entry, &mut seen)?;
        }
        for file in files_of(data).map_err(|error| error.to_string())? {
            self.check_file(&file, &mut seen)?;
            // The frames of a clip.
            for frame in entries(&file) {
                self.check_file(&frame, &mut seen)?;
            }
        }
        Ok(())
    }

    fn check_file(&self, file: &Path, seen: &mut Seen) -> Result<(), String> {
        let folder = file.parent().unwrap_or(Path::new(""));
        let is_inside = *(seen.folders.entry(folder.to_owned())).or_insert_with(|| {
            folder
                .canonicalize()
                .is_ok_and(|folder| self.holds(&folder))
        });
        let is_link = fs::symlink_metadata(file).is_ok_and(|file| file.is_symlink());
        // A dangling link cannot be read, and the library says so.
        let leads_out = || file.canonicalize().is_ok_and(|file| !self.holds(&file));
        match is_inside && !(is_link && leads_out()) {
            true => Ok(()),
            false => Err(format!(
                "{} is outside the folder of the studio, {}, so it is not read; start `hubel studio` in a folder that contains it",
                shown(file),
                shown(&self.root)
            )),
        }
    }
}

/// Folders that were examined, and whether they may be read.
#[derive(Default)]
struct Seen {
    folders: HashMap<PathBuf, bool>,
}

/// What lies directly in a folder; nothing if it is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `root/photos` and `elsewhere`, both with two classes.
    fn folders() -> (tempfile::TempDir, Places) {
        let outer = tempfile::tempdir().unwrap();
        for class in [
            "root/photos/a",
            "root/photos/b",
            "elsewhere/a",
            "elsewhere/b",
        ] {
            let folder = outer.path().join(class);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("1.pgm"), "P5 1 1 255\n.").unwrap();
        }
        let places = Places::new(&outer.path().join("root"), []);
        (outer, places)
    }

    #[test]
    fn data_is_found_below_the_folder_and_in_the_opened_one() {
        let (outer, places) = folders();
        let photos = places.root.join("photos");
        assert_eq!(places.data_at("photos"), Ok(photos.clone()));
        assert_eq!(places.data_at(photos.to_str().unwrap()), Ok(photos.clone()));
        assert_eq!(places.data_at("MNIST"), Ok("mnist".into()));
        assert_eq!(places.name_of(&photos), "photos");
        let elsewhere = outer.path().join("elsewhere").canonicalize().unwrap();
        for name in [
            "../elsewhere",
            "nowhere",
            "photos/../..",
            elsewhere.to_str().unwrap(),
        ] {
            let refused = places.data_at(name).unwrap_err();
            assert!(refused.contains("there is no data"), "{refused}");
        }
        let places = Places::new(&places.root, [elsewhere.as_path()]);
        let name = places.name_of(&elsewhere);
        assert_eq!(places.data_at(&name), Ok(elsewhere.clone()));
        assert_eq!(places.check(&elsewhere), Ok(()));
    }

    #[cfg(unix)]
    #[test]
    fn links_to_other_places_are_refused() {
        use std::os::unix::fs::symlink;
        let (outer, places) = folders();
        let photos = places.root.join("photos");
        let elsewhere = outer.path().join("elsewhere");
        assert_eq!(places.check(&photos), Ok(()));
        symlink("1.pgm", photos.join("a/2.pgm")).unwrap();
        assert_eq!(places.check(&photos), Ok(()), "a link inside");
        let refused = |link: &str, target: &str| {
            let link = photos.join(link);
            symlink(elsewhere.join(target), &link).unwrap();
            let refused = places.check(&photos).unwrap_err();
            fs::remove_file(&link).unwrap();
            assert!(refused.contains("is outside the folder"), "{refused}");
        };
        refused("a/3.pgm", "a/1.pgm");
        refused("c", "a");
        refused("a/inner", "b");
        symlink(&elsewhere, places.root.join("link")).unwrap();
        assert!(places.data_at("link").is_err());
    }

    #[test]
    fn files_that_a_table_names_elsewhere_are_refused() {
        let (_outer, places) = folders();
        let table = places.root.join("table.csv");
        fs::write(&table, "path,label\nphotos/a/1.pgm,a\nphotos/b/1.pgm,b\n").unwrap();
        assert_eq!(places.check(&table), Ok(()));
        fs::write(
            &table,
            "path,label\nphotos/a/1.pgm,a\n../elsewhere/b/1.pgm,b\n",
        )
        .unwrap();
        let refused = places.check(&table).unwrap_err();
        assert!(refused.contains("is outside the folder"), "{refused}");
    }
}
