//! Finds the files that a table names, in several spellings.
use std::path::{Path, PathBuf};

use super::Table;
use crate::data::bad_files::is_quarantined;
use crate::data::folder::{contents, real};
use crate::data::names::{composed, decomposed};
use crate::data::{picture, sound};

impl Table<'_> {
    /// The path of a file that the table names, if it exists.
    pub(super) fn existing(&self, name: &str) -> Option<PathBuf> {
        let is_file =
            |path: &PathBuf| std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let mut paths = spellings(name)
            .into_iter()
            .map(|name| self.folder.join(name));
        if let Some(path) = paths.find(is_file) {
            return Some(path);
        }
        let mut completed = completions(name)
            .map(|name| self.folder.join(name))
            .filter(is_file);
        let path = completed.next()?;
        // `a` may mean `a.png` or `a.jpg`; on a case-insensitive system, `a.PNG` is `a.png`.
        completed
            .all(|other| real(&other) == real(&path))
            .then_some(path)
    }

    /// Whether an earlier run moved the file of this name to quarantine.
    pub(super) fn is_quarantined(&self, name: &str) -> bool {
        let mut names = spellings(name).into_iter().chain(completions(name));
        names.any(|name| is_quarantined(self.path, Path::new(&name)))
    }

    /// For a missing file: a similar file (in another folder, with another extension or case), and what to do.
    pub(super) fn elsewhere(&self, name: &str) -> Option<String> {
        if let Some(found) = self.in_other_capitals(name) {
            return Some(format!("{found} is there: write the name as it is"));
        }
        let folders =
            contents(self.folder).map_or_else(|_| Vec::new(), |contents| contents.folders);
        let names = folders
            .iter()
            .filter_map(|folder| folder.file_name()?.to_str());
        let prefixes = std::iter::once(String::new())
            .chain(names.take(100).map(|folder| format!("{folder}/")));
        let endings = ["", ".jpg", ".png", ".jpeg", ".wav", ".mp3", ".flac"];
        let mut tried =
            prefixes.flat_map(|prefix| endings.map(|ending| format!("{prefix}{name}{ending}")));
        let found = tried.find(|name| self.existing(name).is_some())?;
        Some(format!("{found} is there"))
    }

    /// The name of a file that differs from `name` only in case.
    fn in_other_capitals(&self, name: &str) -> Option<String> {
        let name = name.replace('\\', "/");
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", &name));
        let contents = contents(&self.folder.join(folder)).ok()?;
        let plain = |name: &str| composed(name).to_lowercase();
        let names = contents
            .files
            .iter()
            .filter_map(|file| file.file_name()?.to_str());
        let found = names
            .into_iter()
            .find(|found| plain(found) == plain(last))?;
        Some(match folder {
            "" => found.to_owned(),
            folder => format!("{folder}/{found}"),
        })
    }
}

/// The possible spellings of a file's name: unchanged, with backslashes of Windows, with composed or decomposed letters.
fn spellings(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if name.contains('\\') {
        names.push(name.replace('\\', "/"));
    }
    if !name.is_ascii() {
        let last = names[names.len() - 1].clone();
        names.extend([composed(&last), decomposed(&last)]);
    }
    names
}

/// A name without an extension, with each extension of pictures and recordings.
fn completions(name: &str) -> impl Iterator<Item = String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let has_none = !last.is_empty() && !last.contains('.');
    let names = spellings(name).into_iter().filter(move |_| has_none);
    names.flat_map(|name| {
        let with = |ending: &&str| {
            [
                format!("{name}.{ending}"),
                format!("{name}.{}", ending.to_uppercase()),
            ]
        };
        let endings = picture::ENDINGS.iter().chain(&sound::ENDINGS);
        endings.flat_map(with).collect::<Vec<_>>()
    })
}
