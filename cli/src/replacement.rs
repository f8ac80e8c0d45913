//! A file that is written beside the one that it replaces.
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that takes its name when it is whole: until then an older one of that name stays.
pub(crate) struct Replacement {
    /// `None` once it has its name.
    file: Option<BufWriter<File>>,
    beside: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// Begins a file that is to be called `path`; of a link, the file that it leads to is replaced.
    ///
    /// # Errors
    /// When it cannot be written; all errors here name `path`.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.is_dir() {
            return Err(named(&path, io::ErrorKind::IsADirectory.into()));
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.part", std::process::id()));
        let beside = PathBuf::from(beside);
        let file = File::create(&beside).map_err(|error| named(&path, error))?;
        Ok(Self {
            file: Some(BufWriter::new(file)),
            beside,
            path,
        })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When that fails; then nothing is left of it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let replaced = file
            .into_inner()
            .map_err(io::Error::from)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&self.beside, &self.path));
        replaced.map_err(|error| {
            let _ = fs::remove_file(&self.beside);
            named(&self.path, error)
        })
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().expect("it is not finished");
        file.write(bytes).map_err(|error| named(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let file = self.file.as_mut().expect("it is not finished");
        file.flush().map_err(|error| named(&self.path, error))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    let text = format!("cannot write {}: {error}", hubel::shown(path));
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(Replacement::create(folder.path()).is_err());
    }
}
