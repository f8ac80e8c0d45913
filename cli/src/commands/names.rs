//! Resolves picture arguments: files, folders, patterns, and lists of names.
mod pattern;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::vec;

use hubel::data::{self, Kind};
use hubel::{Error, shown};

use crate::console::Console;

/// The pictures of the arguments, in the given order.
pub(super) struct Names<'a> {
    sources: vec::IntoIter<Source>,
    /// The rest of the current source, which comes before the other sources.
    current: Box<dyn Iterator<Item = Result<PathBuf, Error>> + 'a>,
    count: Option<usize>,
    manner: Manner<'a>,
}

/// How names become files.
#[derive(Clone, Copy)]
struct Manner<'a> {
    /// What the files in a folder are.
    kind: Kind,
    console: &'a Console,
}

/// The meaning of an argument.
enum Source {
    Pictures(Vec<PathBuf>),
    /// A file with names, or stdin.
    List(Option<PathBuf>),
}

impl<'a> Names<'a> {
    /// Resolves the arguments as files of a kind. Folders and patterns are listed at once; lists are read as they are used. A folder of texts stays one name: its
    /// files are read otherwise than a file that is named itself.
    ///
    /// # Errors
    /// If a folder contains no picture, a pattern matches nothing, or something cannot be read.
    pub(super) fn new(
        arguments: &[PathBuf],
        kind: Kind,
        console: &'a Console,
    ) -> Result<Self, Error> {
        let manner = Manner { kind, console };
        let sources = arguments.iter().map(|argument| match list(argument) {
            Some(list) => Ok(Source::List(list)),
            None => manner.expanded(argument).map(Source::Pictures),
        });
        let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
        let counts = sources.iter().map(|source| match source {
            Source::Pictures(paths) => Ok(Some(paths.len())),
            // Stdin can be read only once.
            Source::List(Some(path)) if path.is_file() => {
                Ok(Some(names_in(Some(path))?.filter(Result::is_ok).count()))
            }
            Source::List(_) => Ok(None),
        });
        let counts: Vec<Option<usize>> = counts.collect::<Result<_, Error>>()?;
        Ok(Self {
            sources: sources.into_iter(),
            current: Box::new(std::iter::empty()),
            count: counts.into_iter().sum(),
            manner,
        })
    }

    /// Number of pictures, if known.
    pub(super) fn known_count(&self) -> Option<usize> {
        self.count
    }
}

impl Iterator for Names<'_> {
    type Item = Result<PathBuf, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(name) = self.current.next() {
                return Some(name);
            }
            let manner = self.manner;
            self.current = match self.sources.next()? {
                Source::Pictures(paths) => Box::new(paths.into_iter().map(Ok)),
                Source::List(path) => match names_in(path.as_deref()) {
                    Err(error) => Box::new(std::iter::once(Err(error))),
                    Ok(names) => Box::new(names.flat_map(move |name| {
                        match name.and_then(|name| manner.in_folder_or_itself(name)) {
                            Ok(paths) => paths.into_iter().map(Ok).collect(),
                            Err(error) => vec![Err(error)],
                        }
                    })),
                },
            };
        }
    }
}

/// The list for `-` (stdin) or `@names.txt`. `None` for other arguments, and for a picture whose name begins with `@`.
fn list(argument: &Path) -> Option<Option<PathBuf>> {
    let text = argument.as_os_str().as_encoded_bytes();
    if text == b"-" || text == b"@-" {
        return Some(None);
    }
    if !text.starts_with(b"@") {
        return None;
    }
    let path = path_of(text[1..].to_vec())?;
    let is_picture = !path.exists() && argument.exists();
    (!is_picture).then_some(Some(path))
}

impl Manner<'_> {
    /// The files of an argument: those of a folder, those that match a pattern, or the argument itself.
    fn expanded(self, argument: &Path) -> Result<Vec<PathBuf>, Error> {
        let as_pattern = match argument.to_str() {
            Some(text) if pattern::is_pattern(text) && !argument.exists() => text,
            _ => return self.in_folder_or_itself(argument.to_owned()),
        };
        let found = pattern::matching(as_pattern)?;
        if found.is_empty() {
            let problem = format!("no file or folder matches `{as_pattern}`");
            return Err(Error::Settings { problem });
        }
        let found = found.into_iter().map(|path| self.in_folder_or_itself(path));
        Ok(found.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The files in and below a folder, or the path itself if it is no folder. Reports other files in the folder.
    fn in_folder_or_itself(self, path: PathBuf) -> Result<Vec<PathBuf>, Error> {
        match path.is_dir() && self.kind != Kind::Texts {
            true => in_folder(&path, self.kind, self.console),
            false => Ok(vec![path]),
        }
    }
}

/// The files of a kind in and below a folder. Reports other files in it.
///
/// # Errors
/// If there are none, or a folder cannot be read.
pub(super) fn in_folder(
    folder: &Path,
    kind: Kind,
    console: &Console,
) -> Result<Vec<PathBuf>, Error> {
    let (files, notes) = data::samples(folder, kind)?;
    for note in &notes {
        console.remark(&format!("{}: {note}", shown(folder)));
    }
    match files.is_empty() {
        true => Err(Error::Settings {
            problem: format!("the folder {} contains no {}", shown(folder), kind.one()),
        }),
        false => Ok(files),
    }
}

/// Bytes of a list that are searched for its separator: no system has longer paths.
const START: usize = 1 << 13;
/// Longest accepted name.
const LONGEST: usize = 1 << 15;

/// The names in a list, at a path or on stdin.
fn names_in(
    path: Option<&Path>,
) -> Result<Box<dyn Iterator<Item = Result<PathBuf, Error>>>, Error> {
    let refused = {
        let path = path.unwrap_or(Path::new("stdin")).to_owned();
        move |source| Error::Io {
            action: "read the names in",
            path: path.clone(),
            source,
        }
    };
    let reader: Box<dyn BufRead> = match path {
        Some(path) => Box::new(BufReader::new(File::open(path).map_err(&refused)?)),
        None => Box::new(BufReader::new(io::stdin())),
    };
    let names = names(reader).map_err(&refused)?;
    Ok(Box::new(names.map(move |name| name.map_err(&refused))))
}

/// Reads names from `reader`: one per line, or NUL-terminated if the list contains a NUL. Skips empty names.
fn names(mut reader: impl BufRead) -> io::Result<impl Iterator<Item = io::Result<PathBuf>>> {
    let mut start = Vec::new();
    while start.len() < START && !start.contains(&0) {
        let some = reader.fill_buf()?;
        if some.is_empty() {
            break;
        }
        start.extend(some);
        let length = some.len();
        reader.consume(length);
    }
    let no_list = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem);
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(no_list(
            "they are written in UTF-16; save the list as UTF-8",
        ));
    }
    if !may_be_list(&start) {
        return Err(no_list(NO_LIST));
    }
    if start.starts_with(b"\xef\xbb\xbf") {
        start.drain(..3);
    }
    let separator = if start.contains(&0) { 0 } else { b'\n' };
    let mut rest = Cursor::new(start).chain(reader);
    let mut next = move || -> io::Result<Option<PathBuf>> {
        loop {
            let mut name = Vec::new();
            let most = LONGEST as u64 + 1;
            if rest.by_ref().take(most).read_until(separator, &mut name)? == 0 {
                return Ok(None);
            }
            if name.len() > LONGEST {
                return Err(no_list("a name in it is too long; is it a list of names?"));
            }
            if name.last() == Some(&separator) {
                name.pop();
            }
            if separator == b'\n' && name.last() == Some(&b'\r') {
                name.pop();
            }
            if !name.is_empty() {
                let name = path_of(name).ok_or_else(|| no_list("a name in it is not UTF-8"))?;
                // Nobody means all files of a disk.
                return match name.parent() {
                    Some(_) => Ok(Some(name)),
                    None => Err(no_list(NO_LIST)),
                };
            }
        }
    };
    // An error ends the list.
    let mut is_over = false;
    Ok(std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let name = next().transpose();
        is_over = !matches!(name, Some(Ok(_)));
        name
    }))
}

const NO_LIST: &str =
    "this is no list of names, which has a name in each line, or a NUL after each name";

/// Whether these bytes may begin a list. The bytes of a picture or a recording have control characters, or several NUL in a row.
fn may_be_list(start: &[u8]) -> bool {
    let is_control = |byte: &u8| byte.is_ascii_control() && !b"\0\t\n\r".contains(byte);
    !start.iter().any(is_control) && !start.windows(2).any(|pair| pair == b"\0\0")
}

/// The path with these bytes, which need not be Unicode unless the system requires it.
#[cfg(unix)]
fn path_of(name: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(name).into())
}

#[cfg(not(unix))]
fn path_of(name: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(name).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &[u8]) -> Vec<String> {
        let names = names(text).unwrap().map(Result::unwrap);
        names.map(|name| name.to_str().unwrap().into()).collect()
    }

    #[test]
    fn names_come_by_line_or_by_nul() {
        assert_eq!(listed(b""), [""; 0]);
        assert_eq!(listed(b"a.jpg\n\nb c.jpg\r\nd"), ["a.jpg", "b c.jpg", "d"]);
        assert_eq!(listed(b"a\nb.jpg\0c.jpg\0"), ["a\nb.jpg", "c.jpg"]);
        assert_eq!(listed(b"a\nb.jpg\0c"), ["a\nb.jpg", "c"]);
        assert_eq!(listed("\u{feff}ä.jpg\n".as_bytes()), ["ä.jpg"]);
    }

    /// A list that arrives in small pieces is read the same.
    #[test]
    fn a_list_in_pieces_is_the_same() {
        let text: Vec<u8> = (0..5000)
            .flat_map(|i| format!("a\nb{i}.jpg\0").into_bytes())
            .collect();
        let pieces = BufReader::with_capacity(3, &text[..]);
        let names: Vec<PathBuf> = names(pieces).unwrap().map(Result::unwrap).collect();
        assert_eq!(names.len(), 5000);
        assert_eq!(names[4999], Path::new("a\nb4999.jpg"));
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        assert!(names(&b"\xff\xfea\0"[..]).is_err());
        let recording = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0/\0";
        let error = names(&recording[..]).err().expect("no list").to_string();
        assert!(error.contains("no list of names"), "{error}");
        assert!(names(&b"a\0\0b\0"[..]).is_err());
        let mut root = names(&b"/\n"[..]).unwrap();
        assert!(root.next().unwrap().is_err() && root.next().is_none());
        let endless = [b'a'; LONGEST + 2];
        let mut names = names(&endless[..]).unwrap();
        assert!(names.next().unwrap().is_err() && names.next().is_none());
    }
}
