//! Class folders that are made in the page: pictures that are dropped or taken with the camera, as files that all commands read.
//!
//! ```text
//! taught/fruit/apple/5b2c….jpg
//! ```
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use hubel::data::picture;
use hubel::{Error, Result, image, replace_file, shown};
use twox_hash::XxHash3_128;

use crate::jobs::locked;

/// The folder of all of them.
pub(crate) const FOLDER: &str = "taught";
/// Most letters of a name.
const LONGEST: usize = 60;
/// Names that are parts of a data set, and not classes.
const PARTS: [&str; 6] = ["train", "test", "val", "valid", "validation", "testing"];

/// The folders below that of the studio.
pub(crate) struct Taught {
    root: PathBuf,
    /// The picture that was removed last. It is kept in memory, where no training finds it.
    removed: Mutex<Option<Removed>>,
}

/// A picture that was removed.
struct Removed {
    /// The name of the data set.
    name: String,
    class: String,
    picture: String,
    bytes: Vec<u8>,
    /// When it was added: pictures are shown in this order.
    added: SystemTime,
}

/// A class.
pub(crate) struct Class {
    pub(crate) name: String,
    /// The names of its files, the oldest first.
    pub(crate) pictures: Vec<String>,
}

impl Taught {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.into(),
            removed: Mutex::default(),
        }
    }

    /// The names of the data sets.
    pub(crate) fn names(&self) -> Vec<String> {
        folders(&self.root.join(FOLDER))
    }

    /// The classes of a data set; none if it does not exist yet.
    ///
    /// # Errors
    /// If it cannot be a name.
    pub(crate) fn classes(&self, name: &str) -> Result<Vec<Class>> {
        let folder = self.folder(&[name])?;
        let classes = folders(&folder).into_iter().map(|name| {
            let files = fs::read_dir(folder.join(&name))
                .into_iter()
                .flatten()
                .flatten();
            let mut files: Vec<_> = files
                .filter_map(|file| {
                    Some((
                        file.metadata().ok()?.modified().ok()?,
                        file.file_name().into_string().ok()?,
                    ))
                })
                .filter(|(_, name)| !name.starts_with('.'))
                .collect();
            files.sort();
            let pictures = files.into_iter().map(|(_, name)| name).collect();
            Class { name, pictures }
        });
        Ok(classes.collect())
    }

    /// Adds a picture to a class. The same picture twice is one file.
    ///
    /// # Errors
    /// If the bytes are no picture, there is no such class, the names cannot be names, or the file cannot be written.
    pub(crate) fn add(&self, name: &str, class: &str, bytes: &[u8]) -> Result<()> {
        picture::decode(bytes, Path::new("the picture"))?;
        let end = image::guess_format(bytes).ok();
        let end = end.and_then(|format| format.extensions_str().first().copied());
        let folder = self.folder(&[name, class])?;
        if !folder.is_dir() {
            let problem = format!("there is no class `{class}`; add it first");
            return Err(Error::Settings { problem });
        }
        self.inside(&folder)?;
        let hash = XxHash3_128::oneshot(bytes);
        replace_file(
            &folder.join(format!("{hash:032x}.{}", end.unwrap_or("png"))),
            bytes,
        )
    }

    /// Creates a class without pictures.
    ///
    /// # Errors
    /// As of [`Taught::add`].
    pub(crate) fn add_class(&self, name: &str, class: &str) -> Result<()> {
        let (parent, folder) = (self.folder(&[name])?, self.folder(&[name, class])?);
        fs::create_dir_all(self.root.join(FOLDER)).map_err(Error::io("create", &parent))?;
        if parent.exists() {
            self.inside(&parent)?;
        }
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))
    }

    /// Gives a class another name.
    ///
    /// # Errors
    /// If there is a class of that name, or no class to rename.
    pub(crate) fn rename(&self, name: &str, class: &str, to_name: &str) -> Result<()> {
        let [from, to] = [self.folder(&[name, class])?, self.folder(&[name, to_name])?];
        if to.exists() {
            return Err(Error::Settings {
                problem: format!("there is a class `{to_name}` already"),
            });
        }
        self.inside(&from)?;
        fs::rename(&from, &to).map_err(Error::io("rename", &from))?;
        let mut removed = locked(&self.removed);
        let of_class = |own: &&mut Removed| own.name == name && own.class == class;
        if let Some(own) = removed.as_mut().filter(of_class) {
            own.class = to_name.to_owned();
        }
        Ok(())
    }

    /// Removes a picture, or a class that has none left. The picture is kept for [`Taught::restore`] until the next one is removed.
    ///
    /// # Errors
    /// If it does not exist; if the class has pictures.
    pub(crate) fn remove(&self, name: &str, class: &str, picture: Option<&str>) -> Result<()> {
        let folder = self.folder(&[name, class])?;
        self.inside(&folder)?;
        match picture {
            Some(picture) => {
                let file = self.file(name, class, picture)?;
                let about = fs::metadata(&file).and_then(|about| about.modified());
                let removed = Removed {
                    name: name.to_owned(),
                    class: class.to_owned(),
                    picture: picture.to_owned(),
                    bytes: fs::read(&file).map_err(Error::io("read", &file))?,
                    added: about.map_err(Error::io("read", &file))?,
                };
                fs::remove_file(&file).map_err(Error::io("remove", &file))?;
                *locked(&self.removed) = Some(removed);
                Ok(())
            }
            None => fs::remove_dir(&folder).map_err(Error::io("remove", &folder)),
        }
    }

    /// Brings back the picture that was removed last.
    ///
    /// # Errors
    /// If it is another one; if it cannot be written.
    pub(crate) fn restore(&self, name: &str, picture: &str) -> Result<()> {
        let mut removed = locked(&self.removed);
        let is_it = |own: &&Removed| own.name == name && own.picture == picture;
        let own = removed.as_ref().filter(is_it);
        let own = own.ok_or_else(|| Error::Settings {
            problem: "only the picture that was removed last can be brought back".into(),
        })?;
        self.add_class(name, &own.class)?;
        let folder = self.folder(&[name, &own.class])?;
        self.inside(&folder)?;
        let file = folder.join(picture);
        replace_file(&file, &own.bytes)?;
        let written = OpenOptions::new().write(true).open(&file);
        let written = written.and_then(|written| written.set_modified(own.added));
        written.map_err(Error::io("write", &file))?;
        *removed = None;
        Ok(())
    }

    /// The file of a picture.
    ///
    /// # Errors
    /// If there is none, or it lies elsewhere.
    pub(crate) fn file(&self, name: &str, class: &str, picture: &str) -> Result<PathBuf> {
        let file = self.folder(&[name, class])?.join(checked(picture)?);
        self.inside(&file)?;
        Ok(file)
    }

    /// The folder of a data set or a class.
    fn folder(&self, names: &[&str]) -> Result<PathBuf> {
        let mut folder = self.root.join(FOLDER);
        for name in names {
            folder.push(checked(name)?);
        }
        Ok(folder)
    }

    /// Refuses what a link leads elsewhere.
    fn inside(&self, path: &Path) -> Result<()> {
        let real = path.canonicalize().map_err(Error::io("read", path))?;
        let root = self
            .root
            .canonicalize()
            .map_err(Error::io("read", &self.root))?;
        match real.starts_with(root.join(FOLDER)) {
            true => Ok(()),
            false => Err(Error::Settings {
                problem: format!("{} leads out of the folder", shown(path)),
            }),
        }
    }
}

/// A name of one folder or file, or why it is none.
fn checked(name: &str) -> Result<&str> {
    let is_fine = |letter: char| letter.is_alphanumeric() || " -_.()'".contains(letter);
    let problem = match name {
        "" => "give a name",
        _ if name.chars().count() > LONGEST => "the name is longer than 60 letters",
        _ if !name.chars().all(is_fine) || name.starts_with('.') || name.trim() != name => {
            "use letters, digits, spaces and - _ . ( ) ', with no dot at the start and no space at an end"
        }
        _ if PARTS.contains(&name.to_lowercase().as_str()) => {
            "this name stands for a part of the data; choose another one"
        }
        _ => return Ok(name),
    };
    Err(Error::Settings {
        problem: format!("`{name}`: {problem}"),
    })
}

/// The names of the folders in a folder, in their order; no links, nothing hidden.
fn folders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: &[u8] = b"P5 2 2 255\n0123";

    #[test]
    fn pictures_become_class_folders_that_are_data() {
        let root = tempfile::tempdir().unwrap();
        let taught = Taught::new(root.path());
        assert!(taught.classes("fruit").unwrap().is_empty());
        for (class, last) in [
            ("apple", b'a'),
            ("apple", b'b'),
            ("apple", b'a'),
            ("pear", b'c'),
        ] {
            let bytes = [PICTURE, &[last]].concat();
            taught.add_class("fruit", class).unwrap();
            taught.add("fruit", class, &bytes).unwrap();
        }
        taught.rename("fruit", "pear", "quince").unwrap();
        let classes = taught.classes("fruit").unwrap();
        let found: Vec<_> = classes
            .iter()
            .map(|class| (&*class.name, class.pictures.len()))
            .collect();
        assert_eq!(found, [("apple", 2), ("quince", 1)]);
        assert!(taught.rename("fruit", "apple", "quince").is_err());
        assert!(
            taught.remove("fruit", "apple", None).is_err(),
            "it has pictures"
        );
        for picture in &classes[0].pictures {
            taught.remove("fruit", "apple", Some(picture)).unwrap();
        }
        taught.remove("fruit", "apple", None).unwrap();
        assert_eq!(taught.names(), ["fruit"]);
    }

    #[test]
    fn the_picture_that_was_removed_last_is_brought_back_to_its_place() {
        let root = tempfile::tempdir().unwrap();
        let taught = Taught::new(root.path());
        taught.add_class("fruit", "apple").unwrap();
        for last in *b"abc" {
            taught
                .add("fruit", "apple", &[PICTURE, &[last]].concat())
                .unwrap();
        }
        let pictures = |class: &str| {
            let classes = taught.classes("fruit").unwrap();
            let found = classes.into_iter().find(|own| own.name == class);
            found.map_or(Vec::new(), |own| own.pictures)
        };
        let all = pictures("apple");
        let remove = |picture: &String| taught.remove("fruit", "apple", Some(picture)).unwrap();
        let restore = |picture: &String| taught.restore("fruit", picture);
        remove(&all[1]);
        assert_eq!(pictures("apple"), [all[0].clone(), all[2].clone()]);
        // Nothing of it is left in a folder.
        let files = walk(root.path());
        assert_eq!(files.len(), 2, "{files:?}");
        assert!(taught.restore("animals", &all[1]).is_err());
        restore(&all[1]).unwrap();
        assert_eq!(pictures("apple"), all);
        assert!(restore(&all[1]).is_err(), "it is there already");
        // Only the last one is kept, and it comes back even if its class was renamed.
        remove(&all[0]);
        remove(&all[1]);
        assert!(restore(&all[0]).is_err());
        taught.rename("fruit", "apple", "quince").unwrap();
        restore(&all[1]).unwrap();
        assert_eq!(pictures("quince"), all[1..]);
        assert!(pictures("apple").is_empty());
    }

    /// All files below a folder.
    fn walk(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let found = entries.map(|entry| entry.path());
        let found = found.map(|path| match path.is_dir() {
            true => walk(&path),
            false => vec![path],
        });
        found.flatten().collect()
    }

    #[test]
    fn nothing_is_written_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let taught = Taught::new(root.path());
        for name in [
            "",
            "..",
            ".x",
            "a/b",
            "a\\b",
            "/etc",
            " a",
            "Test",
            &"a".repeat(61),
            "a\0",
        ] {
            assert!(taught.add("fruit", name, PICTURE).is_err(), "{name:?}");
            assert!(taught.add(name, "apple", PICTURE).is_err(), "{name:?}");
        }
        taught.add_class("fruit", "apple").unwrap();
        assert!(taught.add("fruit", "apple", b"words").is_err());
        assert!(
            taught.add("fruit", "pear", PICTURE).is_err(),
            "there is no such class"
        );
        #[cfg(unix)]
        {
            let elsewhere = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("taught/fruit")).unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), root.path().join("taught/fruit/kiwi"))
                .unwrap();
            assert!(taught.add("fruit", "kiwi", PICTURE).is_err());
            std::os::unix::fs::symlink(elsewhere.path(), root.path().join("taught/away")).unwrap();
            assert!(taught.add_class("away", "kiwi").is_err());
            assert!(fs::read_dir(elsewhere.path()).unwrap().next().is_none());
        }
    }
}
