//! A file that grows: what is added waits in memory until it is written.
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::WAY_OUT;
use crate::{Error, Result, shown};

/// The most bytes that wait for a disk that refuses them. More are dropped, and from then on the file is incomplete.
const MOST_WAITING: usize = 64 << 20;

/// A file that grows.
#[derive(Debug)]
pub(super) struct Growing {
    path: PathBuf,
    name: String,
    file: File,
    /// Bytes of the file that are written.
    written: u64,
    /// Bytes that wait to be written.
    waiting: Vec<u8>,
    /// Why bytes were dropped, if they were.
    dropped: Option<String>,
}

impl Growing {
    /// An empty file, which replaces an older one.
    pub(super) fn create(folder: &Path, name: &str) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Self::open(folder, name, 0, &options)
    }

    /// The existing file, cut to `length` bytes. [`check`] has found that it is not shorter.
    pub(super) fn cut(folder: &Path, name: &str, length: u64) -> Result<Self> {
        let growing = Self::open(
            folder,
            name,
            length,
            OpenOptions::new().read(true).write(true),
        )?;
        let cut = growing.file.set_len(length);
        cut.map_err(Error::io("write", &growing.path))?;
        Ok(growing)
    }

    fn open(folder: &Path, name: &str, written: u64, options: &OpenOptions) -> Result<Self> {
        let path = folder.join(name);
        Ok(Self {
            file: options.open(&path).map_err(Error::io("write", &path))?,
            path,
            name: name.to_owned(),
            written,
            waiting: Vec::new(),
            dropped: None,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where to add bytes.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Hands the waiting bytes to the operating system. If it refuses them, they go on waiting.
    pub(super) fn write_out(&mut self) -> Result<()> {
        if let Some(problem) = &self.dropped {
            self.waiting.clear();
            let problem = io::Error::other(problem.clone());
            return Err(Error::io("write", &self.path)(problem));
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        // Also replaces the part that a failed attempt wrote.
        let file = &mut self.file;
        let written = file
            .seek(SeekFrom::Start(self.written))
            .and_then(|_| file.write_all(&self.waiting));
        match written {
            Ok(()) => {
                self.written += self.waiting.len() as u64;
                self.waiting.clear();
                Ok(())
            }
            Err(error) => {
                if self.waiting.len() > MOST_WAITING {
                    self.dropped = Some(format!("{error}; it is now incomplete"));
                    self.waiting = Vec::new();
                }
                Err(Error::io("write", &self.path)(error))
            }
        }
    }

    /// Waits until the disk has what is written, and returns the length.
    pub(super) fn sync(&self) -> Result<u64> {
        let synced = self.file.sync_data();
        synced.map_err(Error::io("write", &self.path))?;
        Ok(self.written)
    }

    /// The last `length` bytes that are written, or all if there are fewer.
    pub(super) fn end(&mut self, length: u64) -> Result<Vec<u8>> {
        let length = length.min(self.written);
        let mut bytes = vec![0; length as usize];
        let start = SeekFrom::Start(self.written - length);
        let read = self
            .file
            .seek(start)
            .and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(Error::io("read", &self.path))?;
        Ok(bytes)
    }
}

/// Checks that the file has at least `length` bytes.
///
/// # Errors
/// [`Error::Settings`] if it has not; [`Error::Io`].
pub(super) fn check(folder: &Path, name: &str, length: u64) -> Result<()> {
    let path = folder.join(name);
    let found = match path.metadata() {
        Ok(found) if found.len() >= length => return Ok(()),
        Ok(found) => format!("{} has {} bytes", shown(&path), found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{} does not exist", shown(&path))
        }
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    Err(Error::Settings {
        problem: format!(
            "{found}, but had {length} bytes when the checkpoint was saved; {WAY_OUT}"
        ),
    })
}

pub(super) fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        action,
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_full_disk_refuses_is_written_when_it_has_space_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut growing = Growing::create(folder.path(), "events.jsonl").unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut growing.file, full);
        growing.buffer().extend_from_slice(b"one\n");
        for _ in 0..2 {
            let refused = growing.write_out().unwrap_err();
            assert!(matches!(refused, Error::Io { path, .. } if path == growing.path));
        }
        growing.buffer().extend_from_slice(b"two\n");
        growing.file = file;
        growing.write_out().unwrap();
        assert_eq!(growing.sync().unwrap(), 8);
        assert_eq!(std::fs::read(&growing.path).unwrap(), b"one\ntwo\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_does_not_grow_without_end_and_a_loss_is_reported_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut growing = Growing::create(folder.path(), "events.jsonl").unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut growing.file, full);
        growing.buffer().resize(MOST_WAITING + 1, b'x');
        assert!(growing.write_out().is_err());
        growing.file = file;
        for _ in 0..2 {
            growing.buffer().extend_from_slice(b"two\n");
            let Err(Error::Io { source, .. }) = growing.write_out() else {
                panic!("the loss is not reported");
            };
            assert!(source.to_string().contains("incomplete"), "{source}");
            assert!(growing.waiting.is_empty());
        }
    }
}
