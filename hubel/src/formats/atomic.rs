//! Files are replaced, never overwritten.
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// Writes a file beside `path`, syncs it, renames it, and syncs the folder. A reader sees the complete old or new file, also after a crash.
/// If `body` fails, the old file stays and the temporary file is removed. If `path` is a symbolic link, its target is replaced
/// and the link stays. Temporary files of killed writers in the folder are removed.
///
/// # Errors
/// [`Error::Io`]
pub(crate) fn write_atomically(
    path: &Path,
    body: impl FnOnce(&mut Writer) -> io::Result<()>,
) -> Result<()> {
    write_keeping(path, None, body)
}

/// As [`write_atomically`]; if `kept` is given, the older file gets this name in the same folder. If the process dies in between, there is only the older file, under
/// this name.
///
/// # Errors
/// [`Error::Io`]
pub(crate) fn write_keeping(
    path: &Path,
    kept: Option<&Path>,
    body: impl FnOnce(&mut Writer) -> io::Result<()>,
) -> Result<()> {
    let replaced = Unnamed::begin(path).and_then(|mut replacement| {
        body(&mut replacement.file)?;
        replacement.finish(kept)
    });
    replaced.map_err(Error::io("write", path))
}

/// A file that gets its name when it is complete. Until then an older file of that name stays. Dropping it earlier removes it. If the name is
/// that of a symbolic link, its target is replaced. All errors name the file.
pub struct Replacement {
    replacement: Unnamed,
    path: PathBuf,
}

impl Replacement {
    /// Starts a file that will replace `path`.
    ///
    /// # Errors
    /// If it cannot be written, or is a folder.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            replacement: Unnamed::begin(path).map_err(named(path))?,
            path: path.to_owned(),
        })
    }

    /// Syncs the file and gives it its name.
    ///
    /// # Errors
    /// If that fails; then the file is removed.
    pub fn finish(self) -> io::Result<()> {
        self.replacement.finish(None).map_err(named(&self.path))
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = &mut self.replacement.file;
        file.write(bytes).map_err(named(&self.path))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.replacement.file.flush().map_err(named(&self.path))
    }
}

impl Seek for Replacement {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let file = &mut self.replacement.file;
        file.seek(position).map_err(named(&self.path))
    }
}

/// The error of writing `path`, as an I/O error.
fn named(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |source| io::Error::new(source.kind(), Error::io("write", path)(source))
}

/// A [`Replacement`] whose errors do not name the file.
struct Unnamed {
    file: Writer,
    part: Part,
    target: PathBuf,
}

impl Unnamed {
    fn begin(path: &Path) -> io::Result<Self> {
        let target = behind_links(path)?;
        if target.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        remove_abandoned(folder_of(&target));
        let part = Part::beside(&target)?;
        Ok(Self {
            file: BufWriter::new(part.file.try_clone()?),
            part,
            target,
        })
    }

    fn finish(self, kept: Option<&Path>) -> io::Result<()> {
        self.file.into_inner()?.sync_all()?;
        if let Some(kept) = kept.filter(|_| self.target.exists()) {
            fs::rename(&self.target, kept)?;
        }
        self.part.rename(&self.target)?;
        sync_folder(&self.target);
        Ok(())
    }
}

/// Checks that `body` could be written to `path`: writes it beside and removes it.
///
/// # Errors
/// [`Error::Io`]
pub(crate) fn try_writing(
    path: &Path,
    body: impl FnOnce(&mut Writer) -> io::Result<()>,
) -> Result<()> {
    let written = Unnamed::begin(path).and_then(|mut trial| {
        body(&mut trial.file)?;
        trial.file.into_inner()?.sync_all()
    });
    written.map_err(Error::io("write", path))
}

/// The writer for the contents of a file.
pub(crate) type Writer = BufWriter<File>;

/// Replaces the file at `path` by one with these bytes. A reader sees the complete old or new file.
///
/// # Errors
/// [`Error::Io`]
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, |file| file.write_all(bytes))
}

/// A longer chain of links is a cycle. Linux follows as many.
const MOST_LINKS: usize = 40;

/// The target of `path` after following all symbolic links; it need not exist.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            // A relative target is relative to the link's folder.
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            // It is no link, or does not exist yet.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("its symbolic links form a cycle"))
}

/// A temporary file that replaces another one when it is complete. The process that writes it holds its lock.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    /// Creates an empty file in the folder of `path`, with a name that no other writer uses.
    fn beside(path: &Path) -> io::Result<Self> {
        loop {
            let path = part_name(path)?;
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                // A killed process with the same process id left this file.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            // Between creation and lock, another process may have considered it abandoned.
            if lock(&file) != Lock::Refused && path.try_exists()? {
                return Ok(Self { path, file });
            }
        }
    }

    fn rename(self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the rename there is nothing to remove. The reported error is that of writing; a failure to remove is ignored.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the temporary files in `folder` that no process holds, left by killed writers. Ignores those that cannot be locked or removed.
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

/// Whether the entry's name has the form of [`part_name`].
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

/// The result of taking a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// This process holds the lock until the file is closed or the process ends.
    Held,
    /// Another process holds the lock.
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

/// The folder of a file, in a form that can be opened: `.` for a bare name.
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

/// Syncs the folder, so that the new name survives a power failure. Errors are ignored: the file is complete even if the folder cannot be
/// opened or its file system cannot sync it.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) {
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
}

/// Other systems cannot open folders as files.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_path: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.csv");
        fs::write(&path, "old").unwrap();
        let mut left = Replacement::create(&path).unwrap();
        left.write_all(b"half").unwrap();
        drop(left);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut whole = Replacement::create(&path).unwrap();
        whole.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        whole.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let refused = Replacement::create(folder.path()).err().unwrap();
        let text = refused.to_string();
        assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
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

        // Its target need not exist yet.
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
