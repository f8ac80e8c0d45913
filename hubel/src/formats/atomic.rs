//! Files are replaced, never overwritten.
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, Result};

/// Writes beside `path`, syncs, renames, syncs the folder: a reader sees the old file or the new one, whole, also after a crash.
/// Where `body` fails, the old file stays and nothing is left beside it.
///
/// # Errors
/// [`Error::Io`]
pub(crate) fn write_atomically(
    path: &Path,
    body: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let written = beside(path).and_then(|beside| {
        let replaced = write(&beside, body).and_then(|()| fs::rename(&beside, path));
        if replaced.is_err() {
            // What is reported is why it could not be written, not why its remains could not be removed.
            let _ = fs::remove_file(&beside);
        }
        replaced.map(|()| sync_folder(path))
    });
    written.map_err(|source| Error::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

/// Replaces the file at `path` by one of these bytes: a reader sees the old file or the new one, whole.
///
/// # Errors
/// [`Error::Io`]
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, |file| file.write_all(bytes))
}

fn write(path: &Path, body: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    body(&mut file)?;
    file.into_inner()?.sync_all()
}

/// The folder that a file lies in, as it can be opened: `.` for a name alone.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}

/// A name in the same folder that no other writer uses, in this process or another.
fn beside(path: &Path) -> io::Result<PathBuf> {
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
    fn a_path_without_a_folder_or_a_name_is_an_error() {
        for path in ["", "..", "/", "/nowhere/at/all"] {
            assert!(write_atomically(Path::new(path), |_| Ok(())).is_err());
        }
    }
}
