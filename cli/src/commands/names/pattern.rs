//! Patterns of file names that a shell has not expanded: `'new/*.jpg'`, `'**/*.png'`.
use std::fs;
use std::path::{Path, PathBuf};

use hubel::Error;

/// Whether a text contains pattern characters.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// The paths that match, sorted by name within each folder. `*` matches any characters, `?` one, `[a-f]` one of these, `[!a-f]`
/// one of the others, `**` any number of folders. Hidden files match only if the pattern has the dot.
/// # Errors
/// [`Error::Io`] if a folder cannot be read.
pub(super) fn matching(pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let (start, pattern) = match pattern.strip_prefix('/') {
        Some(pattern) => (PathBuf::from("/"), pattern),
        None => (PathBuf::new(), pattern),
    };
    let mut found = vec![start];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let next = found.iter().map(|folder| match part {
            "**" => below(folder),
            part if is_pattern(part) => called(folder, &Letters::of(part)),
            part => Ok(vec![folder.join(part)]),
        });
        found = next.collect::<Result<Vec<_>, _>>()?.concat();
    }
    // `**/a/**` finds some paths twice.
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| path.symlink_metadata().is_ok() && seen.insert(path.clone()));
    Ok(found)
}

/// The sorted names in a folder; empty if it is no folder.
fn names(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let place = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    if !place.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(place).and_then(|entries| {
        let names = entries.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())));
        names.collect::<Result<Vec<_>, _>>()
    });
    let mut names = entries.map_err(Error::io("read", place))?;
    names.sort();
    Ok(names)
}

fn called(folder: &Path, pattern: &Letters) -> Result<Vec<PathBuf>, Error> {
    let names = names(folder)?.into_iter();
    let fitting = names.filter(|name| pattern.fits(&name.to_string_lossy()));
    Ok(fitting.map(|name| folder.join(name)).collect())
}

/// The folder and all folders below it, except hidden ones. Links are not followed, so there are no cycles.
fn below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![folder.to_owned()];
    for name in names(folder)? {
        let path = folder.join(&name);
        let is_folder = path.symlink_metadata().is_ok_and(|entry| entry.is_dir());
        if is_folder && !name.as_os_str().as_encoded_bytes().starts_with(b".") {
            found.extend(below(&path)?);
        }
    }
    Ok(found)
}

/// The pattern for one path component.
struct Letters(Vec<Letter>);

enum Letter {
    Any,
    AnyLetters,
    Only(char),
    /// A character in one of these ranges, or, if `others`, in none of them.
    OneOf {
        ranges: Vec<(char, char)>,
        others: bool,
    },
}

impl Letters {
    fn of(pattern: &str) -> Self {
        let pattern: Vec<char> = pattern.chars().collect();
        let mut letters = Vec::new();
        let mut rest = &pattern[..];
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            letters.push(match first {
                '*' => Letter::AnyLetters,
                '?' => Letter::Any,
                '[' => match one_of(after) {
                    Some((letter, after)) => {
                        rest = after;
                        letter
                    }
                    None => Letter::Only('['),
                },
                letter => Letter::Only(letter),
            });
        }
        Self(letters)
    }

    fn fits(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let is_hidden = name.first() == Some(&'.');
        if is_hidden && !matches!(self.0.first(), Some(Letter::Only('.'))) {
            return false;
        }
        let (mut at, mut place) = (0, 0);
        // Where to go on after the last `*`, and how much it has matched so far.
        let mut retry: Option<(usize, usize)> = None;
        while place < name.len() {
            match self.0.get(at) {
                Some(Letter::AnyLetters) => {
                    at += 1;
                    retry = Some((at, place));
                }
                Some(letter) if letter.fits(name[place]) => {
                    at += 1;
                    place += 1;
                }
                _ => match &mut retry {
                    None => return false,
                    Some((behind, taken)) => {
                        *taken += 1;
                        (at, place) = (*behind, *taken);
                    }
                },
            }
        }
        self.0[at..]
            .iter()
            .all(|letter| matches!(letter, Letter::AnyLetters))
    }
}

impl Letter {
    fn fits(&self, letter: char) -> bool {
        match self {
            Self::Any | Self::AnyLetters => true,
            Self::Only(only) => *only == letter,
            Self::OneOf { ranges, others } => {
                let is_in = ranges
                    .iter()
                    .any(|&(low, high)| (low..=high).contains(&letter));
                is_in != *others
            }
        }
    }
}

/// The text after a `[` up to its `]`, and the rest; `None` without a `]`. A `]` at the start is one of the characters.
fn one_of(pattern: &[char]) -> Option<(Letter, &[char])> {
    let others = matches!(pattern.first(), Some('!' | '^'));
    let pattern = &pattern[usize::from(others)..];
    let end = 1 + pattern.iter().skip(1).position(|&letter| letter == ']')?;
    let mut ranges = Vec::new();
    let mut inner = &pattern[..end];
    while let Some(&low) = inner.first() {
        match inner {
            [_, '-', high, ..] => {
                ranges.push((low, *high));
                inner = &inner[3..];
            }
            _ => {
                ranges.push((low, low));
                inner = &inner[1..];
            }
        }
    }
    Some((Letter::OneOf { ranges, others }, &pattern[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns_as_in_a_shell() {
        for (pattern, fitting, others) in [
            (
                "*.jpg",
                &["a.jpg", "b c.jpg"][..],
                &["a.jpeg", ".a.jpg", "jpg"][..],
            ),
            ("*", &["a", "ä b"], &[".a"]),
            (".*", &[".a"], &["a"]),
            ("?.p*g", &["a.png", "ä.pg"], &["ab.png", ".png"]),
            ("[a-cx]1", &["a1", "c1", "x1"], &["d1", "-1", "1"]),
            ("[!a-c]1", &["d1", "-1"], &["a1", "1"]),
            ("[]]", &["]"], &["[]]", "a"]),
            ("[a", &["[a"], &["a"]),
            ("*a*b*c", &["abc", "xaabbcc", "aXbXcXc"], &["acb", "ab"]),
        ] {
            let pattern_letters = Letters::of(pattern);
            for name in fitting {
                assert!(pattern_letters.fits(name), "{pattern}: {name}");
            }
            for name in others {
                assert!(!pattern_letters.fits(name), "{pattern}: {name}");
            }
        }
        // Matching does not try all ways to divide a name.
        assert!(!Letters::of(&"*a".repeat(60)).fits(&("a".repeat(59) + &"b".repeat(5000))));
    }

    #[test]
    fn files_are_found_folder_by_folder() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "b.jpg",
            "a.jpg",
            "a.txt",
            "in/c.jpg",
            "in/deep/d.jpg",
            ".hidden/e.jpg",
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let pattern = format!("{}/{pattern}", root.path().display());
            let found = matching(&pattern).unwrap().into_iter();
            found
                .map(|path| {
                    let path = path.strip_prefix(root.path()).unwrap();
                    path.to_str().unwrap().to_string()
                })
                .collect()
        };
        assert_eq!(found("*.jpg"), ["a.jpg", "b.jpg"]);
        assert_eq!(found("*/*.jpg"), ["in/c.jpg"]);
        assert_eq!(
            found("**/*.jpg"),
            ["a.jpg", "b.jpg", "in/c.jpg", "in/deep/d.jpg"]
        );
        assert_eq!(found("**/deep/**/*.jpg"), ["in/deep/d.jpg"]);
        assert_eq!(found("i*"), ["in"]);
        assert_eq!(found("missing/*"), [""; 0]);
        assert_eq!(found("*/missing.jpg"), [""; 0]);
    }
}
