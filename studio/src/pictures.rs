//! Pictures that the page sends: drawn ones, chosen files, photographs of the camera. They stay in `.hubel/pictures`, so that a reload shows the same.
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hubel::{Error, Result, replace_file};
use twox_hash::XxHash3_128;

/// Bytes of all files that are kept.
const ROOM: u64 = 200 * 1024 * 1024;
/// Most bytes of a file.
pub(crate) const LARGEST: usize = 64 * 1024 * 1024;

/// The folder of the files.
pub(crate) struct Pictures {
    folder: PathBuf,
    /// Bytes of all files that are kept.
    room: u64,
}

impl Pictures {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, room: ROOM }
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
        used_now(&file);
        self.forget_old();
        Ok(name)
    }

    /// The bytes of a file; `None` if there is none of this name.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let is_name = name.len() == 32 && name.bytes().all(|letter| letter.is_ascii_hexdigit());
        // Nothing else is opened: it might be a pipe, or lie elsewhere.
        let file = is_name.then(|| self.folder.join(name))?;
        let bytes = fs::read(&file).ok()?;
        used_now(&file);
        Some(bytes)
    }

    /// Removes the files that were not used for longest, as far as there is no room for them.
    fn forget_old(&self) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<(SystemTime, u64, PathBuf)> = files
            .filter_map(|file| {
                let about = file.metadata().ok()?;
                Some((about.modified().ok()?, about.len(), file.path()))
            })
            .collect();
        files.sort();
        let mut sum = 0;
        for (_, length, file) in files.iter().rev() {
            sum += length;
            if sum > self.room {
                // Another request may have removed it.
                let _ = fs::remove_file(file);
            }
        }
    }
}

/// Notes that a file is used: its time says when it was used last.
fn used_now(file: &Path) {
    let opened = OpenOptions::new().write(true).open(file);
    // Where that cannot be noted, the file only leaves earlier.
    let _ = opened.and_then(|file| file.set_modified(SystemTime::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_were_not_used_for_longest_leave_when_there_are_too_many_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = Pictures {
            folder: folder.path().join("pictures"),
            room: 100,
        };
        let keep = |letter: u8, length: usize| pictures.keep(&vec![letter; length]).unwrap();
        let is_there = |name: &String| pictures.folder.join(name).exists();
        let small: Vec<String> = (0..50).map(|letter| keep(letter, 1)).collect();
        assert!(small.iter().all(is_there), "their number does not matter");
        let [first, second] = [keep(100, 20), keep(101, 30)];
        assert!(small.iter().chain([&first, &second]).all(is_there));
        // The first is used again, so the second is older.
        assert_eq!(pictures.bytes(&first), Some(vec![100; 20]));
        let third = keep(102, 60);
        assert!(is_there(&first) && is_there(&third) && !is_there(&second));
        assert!(!small.iter().any(is_there));
        // What is sent again is used again.
        keep(100, 20);
        let fourth = keep(103, 70);
        assert!(is_there(&first) && is_there(&fourth) && !is_there(&third));
        assert_eq!(pictures.bytes(&third), None);
    }
}
