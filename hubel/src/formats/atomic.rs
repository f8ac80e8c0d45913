//! Files are replaced, never overwritten.
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// Writes beside `path`, syncs, renames, syncs the folder: a reader sees the old file or the new one, whole, also after a crash.
/// Where `body` fails, the old file stays and nothing is left beside it. Where `path` is a symbolic link, the file behind it is replaced
/// and the link stays. What killed writers have left in the folder is removed.
///
/// # Errors
/// [`Error::Io`]
pub(crate) fn write_atomically(
    path: &Path,
    body: impl FnOnce(&mut Writer) -> io::Result<()>,
) -> Result<()> {
    let replaced = behind_links(path).and_then(|target| {
        remove_abandoned(folder_of(&target));
        let part = Part::beside(&target)?;
        part.write(body)?;
        part.rename(&target)?;
        sync_folder(&target);
        Ok(())
    });
    replaced.map_err(refused(path))
}

/// Whether `body` could be written as the file `path`: it is written beside and removed again.
///
/// # Errors
/// [`Error::Io`]
pub(crate) fn try_writing(
    path: &Path,
    body: impl FnOnce(&mut Writer) -> io::Result<()>,
) -> Result<()> {
    let written = behind_links(path).and_then(|target| Part::beside(&target)?.write(body));
    written.map_err(refused(path))
}

/// What the contents of a file are written to.
pub(crate) type Writer = BufWriter<File>;

fn refused(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        action: "write",
        path: path.into(),
        source,
    }
}

/// Replaces the file at `path` by one of these bytes: a reader sees the old file or the new one, whole.
///
/// # Errors
/// [`Error::Io`]
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, |file| file.write_all(bytes))
}

/// More links than this, one behind the other, are a circle; Linux follows as many.
const MOST_LINKS: usize = 40;

/// The file that `path` names, behind all symbolic links; it need not be there.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            // A relative target begins at the link's folder.
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            // It is no link, or there is nothing yet.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its symbolic links lead in a circle"))
}

/// A file that becomes another one once it is whole. As long as a process writes it, that process holds its lock.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    /// An empty file in the folder of `path`, under a name that no other writer uses.
    fn beside(path: &Path) -> io::Result<Self> {
        loop {
            let path = part_name(path)?;
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                // One that was killed had the same number of a process.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            // Between its making and its lock another process may have taken it for abandoned.
            if lock(&file) != Lock::Refused && path.try_exists()? {
                return Ok(Self { path, file });
            }
        }
    }

    fn write(&self, body: impl FnOnce(&mut Writer) -> io::Result<()>) -> io::Result<()> {
        let mut file = BufWriter::new(self.file.try_clone()?);
        body(&mut file)?;
        file.into_inner()?.sync_all()
    }

    fn rename(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After its renaming there is nothing to remove. What is reported is why it could not be written, not why its remains stay.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the parts in `folder` that no process holds: those of killed writers. What cannot be locked or removed stays.
pub(crate) fn remove_abandoned(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.filter(is_part).map(|entry| entry.path()) {
        let open = OpenOptions::new().write(true).open(&path);
        // It is removed while the lock is held.
        if open.is_ok_and(|file| lock(&file) == Lock::Held && fs::remove_file(&path).is_ok()) {
            sync_folder(&path);
        }
    }
}

/// Whether the entry has a name that [`part_name`] gives.
fn is_part(entry: &fs::DirEntry) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = entry.file_name();
    let name = name.to_string_lossy();
    let numbers = name
        .strip_suffix(".part")
        .and_then(|name| name.rsplit_once('.'));
    let numbers = numbers.and_then(|(_, numbers)| numbers.split_once('-'));
    numbers.is_some_and(|(process, count)| is_number(process) && is_number(count))
        && entry.file_type().is_ok_and(|kind| kind.is_file())
}

/// What came of taking a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// This process holds it until the file is closed; it ends with the process, however that ends.
    Held,
    /// Another one does.
    Refused,
    /// The file system has no locks.
    Unknown,
}

/// Takes the lock of a file if it is free.
pub(crate) fn lock(file: &File) -> Lock {
    match file.try_lock() {
        Ok(()) => Lock::Held,
        Err(TryLockError::WouldBlock) => Lock::Refused,
        Err(TryLockError::Error(_)) => Lock::Unknown,
    }
}

/// The folder that a file lies in, as it can be opened: `.` for a name alone.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}

/// A name in the folder of `path` that no other writer of this process uses: `model.safetensors.1234-0.part`.
fn part_name(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut name = OsString::from(name);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{count}.part", std::process::id()));
    Ok(path.with_file_name(name))
}

/// Only then does the new name survive a loss of power. The file is there and whole, also where the folder may not be opened or its file
/// system cannot sync it: that is no reason to call it unwritten.
#[cfg(unix)]
fn sync_folder(path: &Path) {
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
}

/// Other systems do not open folders as files.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(failed, Err(Error::Io { path: at, .. }) if at == path));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_atomically(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_no_process_holds_is_removed_and_what_one_writes_or_calls_its_own_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let held = Part::beside(&at("model")).unwrap();
        let foreign = [
            "film.part",
            "model.1-2-3.part",
            "model.1-.part",
            "model.x-1.part",
            "1-1.part.txt",
        ];
        for name in foreign
            .iter()
            .chain(&["model.1-0.part", "other.99999-12.part"])
        {
            fs::write(at(name), b"half of the n").unwrap();
        }
        fs::create_dir(at("folder.1-1.part")).unwrap();
        write_atomically(&at("model"), |file| file.write_all(b"new")).unwrap();
        assert!(held.path.is_file() && at("folder.1-1.part").is_dir());
        for name in foreign {
            assert!(at(name).is_file(), "{name}");
        }
        assert!(!at("model.1-0.part").exists() && !at("other.99999-12.part").exists());
    }

    #[test]
    fn a_trial_leaves_nothing_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        fs::write(&path, b"old").unwrap();
        try_writing(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_the_file_behind_it_is_replaced() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("store")).unwrap();
        fs::write(at("store/model"), b"old").unwrap();
        symlink("store/model", at("near")).unwrap();
        symlink(at("near"), at("far")).unwrap();
        write_atomically(&at("far"), |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(at("store/model")).unwrap(), b"new");
        assert!(at("far").is_symlink() && at("near").is_symlink());

        // What it leads to need not be there yet.
        symlink("store/later", at("dangling")).unwrap();
        write_atomically(&at("dangling"), |file| file.write_all(b"new")).unwrap();
        assert!(at("dangling").is_symlink() && at("store/later").is_file());

        symlink("circle", at("circle")).unwrap();
        assert!(write_atomically(&at("circle"), |_| Ok(())).is_err());
    }

    #[test]
    fn a_path_without_a_folder_or_a_name_is_an_error() {
        for path in ["", "..", "/", "/nowhere/at/all"] {
            assert!(write_atomically(Path::new(path), |_| Ok(())).is_err());
        }
    }
}
