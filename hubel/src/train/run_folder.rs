//! The folder of a training run: the names of its files, its lock, and the removal of what killed runs left.
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::formats::atomic;
use crate::{Error, Model, Result};

/// The folder of a training run. It contains `model.safetensors` after training has ended, and `last.safetensors` while training is running
/// or if it was stopped. As long as this value exists, no other process can use the folder for its run (on Unix).
///
/// ```no_run
/// # use hubel::{Checkpoints, Cpu, Dataset, Network, Result, RunFolder, TrainSettings, Trainer};
/// # use std::{ops::ControlFlow, path::Path};
/// # fn train(cpu: Cpu, network: Network, images: &Dataset) -> Result<()> {
/// let folder = RunFolder::new_in(Path::new("runs"), "photos")?;
/// let mut trainer = Trainer::new(cpu, network, images, None, TrainSettings::default())?
///     .with_checkpoints(Checkpoints::new(folder.last()));
/// folder.check(&trainer.last_good())?;
/// folder.set_earlier_aside()?;
/// let model = trainer.run(&mut |_| ControlFlow::Continue(()))?;
/// println!("{}", folder.save(&model)?.display());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Whether it was created for this run.
    is_new: bool,
    /// The locked folder; `None` if folders have no locks.
    _held: Option<File>,
}

impl RunFolder {
    /// The file of a model whose training has ended.
    pub const MODEL: &str = "model.safetensors";
    /// The file of a training that is running or was stopped.
    pub const LAST: &str = "last.safetensors";

    /// The folder at `path`, created if it does not exist. Removes temporary files of killed runs.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created; [`Error::Settings`] if another process trains into it.
    pub fn open(path: &Path) -> Result<Self> {
        // A starting run searches for empty folders, and holds each for an instant.
        for _attempt in 0..10 {
            let is_new = !path.exists();
            fs::create_dir_all(path).map_err(refused("create", path))?;
            if let Hold::Free(held) = hold(path) {
                atomic::remove_abandoned(path);
                return Ok(Self {
                    path: path.into(),
                    is_new,
                    _held: held,
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let problem = format!(
            "another process trains into {}; wait until it has ended, or choose another folder",
            path.display()
        );
        Err(Error::Settings { problem })
    }

    /// A new folder in `parent` called `name`, or `name-2`, `name-3` … if that exists. First removes what killed runs left in the
    /// folders of `parent`: temporary files, and folders that are then empty.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn new_in(parent: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(parent).map_err(refused("create", parent))?;
        remove_abandoned(parent);
        for name in numbered(name) {
            let path = parent.join(name);
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(refused("create", &path))?,
            }
            // If another run considers it abandoned at this moment, tries the next name.
            if let Hold::Free(held) = hold(&path) {
                return Ok(Self {
                    path,
                    is_new: true,
                    _held: held,
                });
            }
        }
        unreachable!("one of infinitely many is free")
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the model whose training has ended.
    pub fn model(&self) -> PathBuf {
        self.path.join(Self::MODEL)
    }

    /// The path of the training that is running or was stopped.
    pub fn last(&self) -> PathBuf {
        self.path.join(Self::LAST)
    }

    /// The model in the folder at `path`: the one whose training has ended, or else the one whose training has not.
    pub fn model_in(path: &Path) -> Option<PathBuf> {
        let files = [Self::MODEL, Self::LAST].map(|name| path.join(name));
        files.into_iter().find(|file| file.exists())
    }

    /// Checks before training that two models of this size can be written, because for a moment there will be two files.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails, [`Error::Settings`] if a folder has the name of one of the files.
    pub fn check(&self, model: &Model) -> Result<()> {
        for file in [self.model(), self.last()] {
            if file.is_dir() {
                let problem = format!(
                    "{} is a folder, but a file must be there; move it away, or choose another folder",
                    file.display()
                );
                return Err(Error::Settings { problem });
            }
        }
        atomic::try_writing(&self.model(), |file| {
            for _file in 0..2 {
                for value in model.parameters().values() {
                    file.write_all(&value.to_le_bytes())?;
                }
            }
            Ok(())
        })
    }

    /// Renames the `last.safetensors` of an earlier, unfinished run, so that this run does not replace it.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn set_earlier_aside(&self) -> Result<Option<PathBuf>> {
        let last = self.last();
        if !last.exists() {
            return Ok(None);
        }
        let names = numbered("earlier").map(|name| self.path.join(name + ".safetensors"));
        let free = names.into_iter().find(|path| !path.exists());
        let free = free.expect("one of infinitely many is free");
        fs::rename(&last, &free).map_err(refused("rename", &last))?;
        Ok(Some(free))
    }

    /// Saves the trained model and returns its file. If training has ended, this is `model.safetensors`, which may replace an older one, and
    /// `last.safetensors` is removed; otherwise it is `last.safetensors`.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn save(&self, model: &Model) -> Result<PathBuf> {
        if model.stopped_at().is_some() {
            model.save(self.last())?;
            return Ok(self.last());
        }
        model.save(self.model())?;
        // The model is saved, so a failure to remove older weights is ignored.
        let _ = fs::remove_file(self.last());
        Ok(self.model())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.is_new {
            // Removes only an empty folder; otherwise the next run would needlessly get another name.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// `name`, `name-2`, `name-3` …
fn numbered(name: &str) -> impl Iterator<Item = String> {
    let others = (2..).map(move |number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(others)
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        action,
        path: path.into(),
        source,
    }
}

/// Removes what killed runs left in the folders of `parent`, except for what another process holds or what cannot be removed.
fn remove_abandoned(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    for folder in folders.map(|entry| entry.path()) {
        match hold(&folder) {
            Hold::Free(Some(_held)) => {
                atomic::remove_abandoned(&folder);
                let _ = fs::remove_dir(&folder);
            }
            // Whether a process holds the folder is unknown, but each temporary file has a lock.
            Hold::Free(None) => atomic::remove_abandoned(&folder),
            Hold::Refused | Hold::Vanished => {}
        }
    }
}

/// The result of locking a folder for this process.
#[cfg_attr(
    not(unix),
    allow(dead_code, reason = "folders are locked on Unix alone")
)]
enum Hold {
    /// No other process holds it, and none can until the file is closed, if there is one.
    Free(Option<File>),
    /// Another process holds it.
    Refused,
    /// It no longer exists.
    Vanished,
}

/// Locks a folder like a file. The lock ends with the process, and leaves nothing behind.
#[cfg(unix)]
fn hold(path: &Path) -> Hold {
    use std::os::unix::fs::MetadataExt;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Hold::Vanished,
        Err(_) => return Hold::Free(None),
    };
    let identity =
        |found: io::Result<fs::Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
    match atomic::lock(&file) {
        atomic::Lock::Refused => Hold::Refused,
        // It was removed, and perhaps created again, before the lock was taken.
        _ if identity(fs::metadata(path)) != identity(file.metadata()) => Hold::Vanished,
        atomic::Lock::Held => Hold::Free(Some(file)),
        atomic::Lock::Unknown => Hold::Free(None),
    }
}

/// Other systems cannot open folders as files.
#[cfg(not(unix))]
fn hold(_path: &Path) -> Hold {
    Hold::Free(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Position;
    use crate::{Dataset, Network, Preparation, Shape};

    fn model(stopped_at: Option<Position>) -> Model {
        let pixels: Vec<f32> = (0..32).map(|i| i as f32).collect();
        let images = Dataset::from_arrays(&pixels, Shape::new(4, 4, 1), &[0, 1]).unwrap();
        let preparation = Preparation::measure(&images).unwrap();
        let classes = images.classes().to_vec();
        let network = Network::parse("flatten-fc(classes)").unwrap();
        Model {
            stopped_at,
            ..Model::untrained(network, classes, preparation, 1).unwrap()
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_stopped_training_leaves_the_older_model_and_one_that_ended_takes_its_place() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunFolder::open(&parent.path().join("a/b")).unwrap();
        assert_eq!(RunFolder::model_in(run.path()), None);
        run.check(&model(None)).unwrap();
        assert!(names(run.path()).is_empty());

        fs::write(run.model(), b"older").unwrap();
        let stopped = model(Some(Position::start(3, 7)));
        assert_eq!(run.save(&stopped).unwrap(), run.last());
        assert_eq!(Model::load(run.last()).unwrap(), stopped);
        assert_eq!(fs::read(run.model()).unwrap(), b"older");
        assert_eq!(RunFolder::model_in(run.path()), Some(run.model()));

        assert_eq!(run.save(&model(None)).unwrap(), run.model());
        assert_eq!(Model::load(run.model()).unwrap(), model(None));
        assert_eq!(names(run.path()), [RunFolder::MODEL]);
    }

    #[test]
    fn what_an_earlier_run_left_is_set_aside() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunFolder::open(parent.path()).unwrap();
        assert_eq!(run.set_earlier_aside().unwrap(), None);
        for name in ["earlier.safetensors", "earlier-2.safetensors"] {
            fs::write(run.last(), name).unwrap();
            assert_eq!(
                run.set_earlier_aside().unwrap(),
                Some(run.path().join(name))
            );
            assert_eq!(fs::read(run.path().join(name)).unwrap(), name.as_bytes());
        }
        fs::create_dir(run.last()).unwrap();
        let refused = run.check(&model(None)).unwrap_err().to_string();
        assert!(
            refused.contains("last.safetensors is a folder"),
            "{refused}"
        );
    }

    #[test]
    fn a_new_folder_is_nobody_else_s_and_goes_when_it_stays_empty() {
        let parent = tempfile::tempdir().unwrap();
        let first = RunFolder::new_in(parent.path(), "photos").unwrap();
        let second = RunFolder::new_in(parent.path(), "photos").unwrap();
        assert_eq!(second.path(), parent.path().join("photos-2"));
        first.save(&model(None)).unwrap();
        drop((first, second));
        assert_eq!(names(parent.path()), ["photos"]);
    }

    #[cfg(unix)]
    #[test]
    fn only_one_process_at_a_time_trains_into_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let run = RunFolder::open(parent.path()).unwrap();
        let refused = RunFolder::open(parent.path()).unwrap_err().to_string();
        assert!(refused.contains("another process trains into"), "{refused}");
        drop(run);
        RunFolder::open(parent.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_killed_runs_have_left_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let held = RunFolder::new_in(parent.path(), "held").unwrap();
        for folder in ["empty", "first-save", "saved", "foreign"] {
            fs::create_dir(at(folder)).unwrap();
        }
        for file in [
            "first-save/last.safetensors.7-0.part",
            "saved/last.safetensors.7-9.part",
        ] {
            fs::write(at(file), b"half of the n").unwrap();
        }
        fs::write(at("saved/last.safetensors"), b"a model").unwrap();
        fs::write(at("foreign/notes.txt"), b"mine").unwrap();
        let _new = RunFolder::new_in(parent.path(), "new").unwrap();
        assert_eq!(names(parent.path()), ["foreign", "held", "new", "saved"]);
        assert_eq!(names(&at("saved")), ["last.safetensors"]);
        assert_eq!(names(&at("foreign")), ["notes.txt"]);
        assert!(held.path().is_dir());
    }
}
