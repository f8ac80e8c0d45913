//! Pictures that the page sends: drawn ones, chosen files, photographs of the camera. They stay in `.hubel/pictures`, so that a reload shows the same.
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use hubel::{Error, Result, replace_file};
use twox_hash::XxHash3_128;

/// How many files are kept.
const MOST: usize = 100;
/// Most bytes of a file.
pub(crate) const LARGEST: usize = 64 * 1024 * 1024;

/// The folder of the files.
pub(crate) struct Pictures {
    folder: PathBuf,
}

impl Pictures {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps a file and returns its name: the hash of its bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<String> {
        let name = format!("{:032x}", XxHash3_128::oneshot(bytes));
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        let file = self.folder.join(&name);
        replace_file(&file, bytes)?;
        self.forget_old();
        Ok(name)
    }

    /// The bytes of a file; `None` if there is none of this name.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let is_name = name.len() == 32 && name.bytes().all(|letter| letter.is_ascii_hexdigit());
        // Nothing else is opened: it might be a pipe, or lie elsewhere.
        is_name.then(|| fs::read(self.folder.join(name)).ok())?
    }

    /// Removes the oldest files above the limit.
    fn forget_old(&self) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<(SystemTime, PathBuf)> = files
            .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())))
            .collect();
        files.sort();
        let old = files.len().saturating_sub(MOST);
        for (_, file) in &files[..old] {
            // Another request may have removed it.
            let _ = fs::remove_file(file);
        }
    }
}
