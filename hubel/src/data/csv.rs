//! Tables of pictures: a line for each with its path, its class and, in some, its part.
mod columns;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ::csv::{ReaderBuilder, StringRecord, Trim};

use crate::data::bad_files::is_quarantined;
use crate::data::catalogue::{Catalogue, File, Part, name_of, problem, thousands};
use crate::data::folder::{Contents, part_called, passed_over, pictures_below, real};
use crate::formats::atomic::folder_of;
use crate::{Error, Result};
use columns::Columns;

/// The largest table that is read, in bytes: several million pictures.
const LARGEST_TABLE: u64 = 1 << 30;

/// So many lines of a kind are named; the others are counted.
const NAMED: usize = 3;

/// Reads the table at `path`, whose pictures' paths begin at its folder, without opening a picture.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::DataFile`] with the line when it is no table, a line is incomplete, a part
/// unknown or a picture missing; [`Error::DataForm`] when there are fewer than two classes.
pub(super) fn open(path: &Path) -> Result<Catalogue> {
    let failed = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > LARGEST_TABLE {
        return Err(Error::DataFile {
            path: path.to_owned(),
            problem: format!(
                "it has {length} bytes; tables of up to {LARGEST_TABLE} are read, divide it"
            ),
        });
    }
    read(BufReader::new(file), path)
}

/// As [`open`], from any reader of bounded length.
///
/// # Errors
/// As [`open`].
pub(super) fn read(reader: impl BufRead, path: &Path) -> Result<Catalogue> {
    let mut table = Table::new(path);
    let (delimiter, mut reader) = delimiter(reader, path)?;
    let mut lines = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(&mut reader);
    let mut record = StringRecord::new();
    let mut columns: Option<Columns> = None;
    loop {
        let more = lines
            .read_record(&mut record)
            .map_err(|error| table.unreadable(&error))?;
        if !more {
            break;
        }
        let line = record.position().map_or(0, |position| position.line());
        match &columns {
            Some(columns) => table.line(columns, &record, line)?,
            None => {
                let exists = |name: &str| table.existing(name).is_some();
                let (found, is_header) =
                    Columns::find(&record, exists).map_err(|problem| table.error(problem))?;
                if !is_header {
                    table.line(&found, &record, line)?;
                }
                columns = Some(found);
            }
        }
    }
    table.catalogue()
}

/// The character between the fields, told by the first line, and the text without a byte order mark.
fn delimiter<R: BufRead>(mut reader: R, path: &Path) -> Result<(u8, impl Read)> {
    let failed = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut start = Vec::new();
    reader
        .by_ref()
        .take(1 << 16)
        .read_until(b'\n', &mut start)
        .map_err(failed)?;
    let refused = |problem: &str| {
        Err(Error::DataFile {
            path: path.to_owned(),
            problem: problem.to_owned(),
        })
    };
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return refused("it is written in UTF-16; save it as `CSV UTF-8`");
    }
    if start.contains(&0) {
        return refused("it is no text; a table has a line for each picture: path,label");
    }
    if start.starts_with(b"\xef\xbb\xbf") {
        start.drain(..3);
    }
    let mut quoted = false;
    let mut counts = [(b'\t', 0), (b',', 0), (b';', 0)];
    for &byte in &start {
        quoted ^= byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += usize::from(!quoted && byte == *delimiter);
        }
    }
    let best = counts.iter().rev().max_by_key(|(_, count)| *count);
    let delimiter = best.map_or(b',', |(delimiter, _)| *delimiter);
    Ok((delimiter, std::io::Cursor::new(start).chain(reader)))
}

/// What was read of a table so far.
struct Table<'a> {
    path: &'a Path,
    /// The folder that the table lies in.
    folder: &'a Path,
    files: Vec<File>,
    labels: HashMap<String, usize>,
    classes: Vec<String>,
    /// Where each file was named first: its place among the files, and the line.
    places: HashMap<PathBuf, (usize, u64)>,
    /// Lines that say again what another has said.
    repeated: usize,
    missing: Vec<(u64, String)>,
    missing_count: usize,
    /// Files that an earlier run has moved away.
    quarantined: usize,
}

impl<'a> Table<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            folder: path.parent().unwrap_or(Path::new("")),
            files: Vec::new(),
            labels: HashMap::new(),
            classes: Vec::new(),
            places: HashMap::new(),
            repeated: 0,
            missing: Vec::new(),
            missing_count: 0,
            quarantined: 0,
        }
    }

    fn error(&self, problem: impl Into<String>) -> Error {
        Error::DataFile {
            path: self.path.to_owned(),
            problem: problem.into(),
        }
    }

    fn unreadable(&self, error: &::csv::Error) -> Error {
        let line = error.position().map_or(0, |position| position.line());
        self.error(match error.kind() {
            ::csv::ErrorKind::Utf8 { .. } => {
                format!("line {line} is not UTF-8; save the table as `CSV UTF-8`")
            }
            _ => format!("{error}"),
        })
    }

    /// The path of a file that the table names, if it exists; backslashes of Windows are understood.
    fn existing(&self, name: &str) -> Option<PathBuf> {
        let is_file =
            |path: &PathBuf| std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let path = self.folder.join(name);
        if is_file(&path) {
            return Some(path);
        }
        let path = self.folder.join(name.replace('\\', "/"));
        (name.contains('\\') && is_file(&path)).then_some(path)
    }

    /// Whether an earlier run has moved the file away that the table names so.
    fn is_quarantined(&self, name: &str) -> bool {
        is_quarantined(self.path, Path::new(&name.replace('\\', "/")))
    }

    /// Takes in one line.
    fn line(&mut self, columns: &Columns, record: &StringRecord, line: u64) -> Result<()> {
        let field = |column: usize, what: &str| match record.get(column) {
            Some(text) if !text.is_empty() => Ok(text),
            found => {
                let place = match found {
                    Some(_) => format!("field {} is empty", column + 1),
                    None => format!("it ends before field {}", column + 1),
                };
                Err(self.error(format!(
                    "line {line} has no {what} ({place}); complete the line or delete it"
                )))
            }
        };
        let name = field(columns.path, "path")?;
        let class = field(columns.label, "label")?;
        if class.contains(['\n', '\r']) {
            return Err(self.error(format!(
                "line {line} has a label that goes on over several lines; close its quote, or delete it"
            )));
        }
        let part = match columns.split {
            None => None,
            Some(column) => {
                let word = field(column, "split")?;
                Some(part_called(word).ok_or_else(|| {
                    self.error(format!(
                        "line {line} names the split `{word}`; train, val, valid, validation, dev and test are known"
                    ))
                })?)
            }
        };
        let path = match self.existing(name) {
            Some(path) => path,
            None if self.is_quarantined(name) => {
                self.quarantined += 1;
                // A class of which nothing is left does not vanish silently.
                self.label(class);
                return Ok(());
            }
            None => {
                self.missing_count += 1;
                if self.missing.len() < NAMED {
                    self.missing.push((line, name.to_owned()));
                }
                self.folder.join(name)
            }
        };
        let label = self.label(class);
        let file = File { path, label, part };
        match self.places.get(&file.path) {
            None => {
                self.places
                    .insert(file.path.clone(), (self.files.len(), line));
                self.files.push(file);
            }
            Some(&(place, _)) if self.files[place] == file => self.repeated += 1,
            Some(&(place, first)) => {
                return Err(self.contradiction(&self.files[place], first, &file, line));
            }
        }
        Ok(())
    }

    /// The number of a class, in the order in which they are named.
    fn label(&mut self, class: &str) -> usize {
        if let Some(&label) = self.labels.get(class) {
            return label;
        }
        self.labels.insert(class.to_owned(), self.classes.len());
        self.classes.push(class.to_owned());
        self.classes.len() - 1
    }

    fn contradiction(
        &self,
        first: &File,
        first_line: u64,
        second: &File,
        second_line: u64,
    ) -> Error {
        let name = first.path.strip_prefix(self.folder).unwrap_or(&first.path);
        if first.label != second.label {
            return self.error(format!(
                "{} is `{}` in line {first_line} and `{}` in line {second_line}; a picture has one class",
                name.display(),
                self.classes[first.label],
                self.classes[second.label]
            ));
        }
        let part = |part: Option<Part>| part.map_or_else(String::new, |part| part.to_string());
        self.error(format!(
            "{} is a {} image in line {first_line} and a {} image in line {second_line}; a picture that is learnt from cannot judge",
            name.display(),
            part(first.part),
            part(second.part)
        ))
    }

    fn catalogue(mut self) -> Result<Catalogue> {
        // A wrong folder, most likely: nothing is left to leave out.
        if self.missing_count > 0 && self.missing_count >= self.files.len() {
            return Err(self.error(self.missing_files()));
        }
        if self.classes.is_empty() {
            return Err(problem(
                self.path,
                "it names no picture; a classifier needs at least two classes",
            ));
        }
        let one_class = (self.classes.len() == 1).then(|| {
            let problem = format!(
                "all of its {} pictures are `{}`; a classifier needs at least two classes",
                thousands(self.files.len()),
                self.classes[0]
            );
            (self.path.to_owned(), problem)
        });
        if self.classes.len() == self.files.len() && self.files.len() > 20 {
            return Err(self.error(format!(
                "each of its {} pictures has a class of its own, such as `{}`; name the column of the classes `label` in the first line",
                thousands(self.files.len()),
                self.classes[0]
            )));
        }
        // Numbers in their order, else by name, as class folders are.
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        let numbers: Option<Vec<i64>> = self
            .classes
            .iter()
            .map(|class| class.parse().ok())
            .collect();
        match numbers {
            Some(numbers) => order.sort_by_key(|&label| (numbers[label], &self.classes[label])),
            None => order.sort_by_key(|&label| &self.classes[label]),
        }
        let mut places = vec![0; order.len()];
        order
            .iter()
            .enumerate()
            .for_each(|(place, &label)| places[label] = place);
        for file in &mut self.files {
            file.label = places[file.label];
        }
        let missing =
            (self.missing_count > 0).then(|| (self.path.to_owned(), self.missing_files()));
        let mut notes = Vec::new();
        if self.repeated > 0 {
            let name = name_of(self.path);
            notes.push(match self.repeated {
                1 => format!("1 line of {name} repeats another one and counts once"),
                many => format!(
                    "{} lines of {name} repeat another one and count once",
                    thousands(many)
                ),
            });
        }
        if self.quarantined > 0 {
            notes.push(format!(
                "{} of the files that {} names {} in quarantine and will not take part",
                thousands(self.quarantined),
                name_of(self.path),
                if self.quarantined == 1 { "lies" } else { "lie" }
            ));
        }
        Ok(Catalogue {
            name: name_of(self.path),
            form: "table of pictures",
            classes: order
                .iter()
                .map(|&label| self.classes[label].clone())
                .collect(),
            files: self.files,
            notes,
            missing,
            one_class,
        })
    }

    fn missing_files(&self) -> String {
        let named: Vec<String> = self
            .missing
            .iter()
            .map(|(line, name)| format!("{name} (line {line})"))
            .collect();
        let more = match self.missing_count - named.len() {
            0 => String::new(),
            more => format!(" and {} more", thousands(more)),
        };
        let hint = self
            .missing
            .first()
            .and_then(|(_, name)| self.elsewhere(name))
            .map_or_else(String::new, |found| format!(", and {found} is there"));
        format!(
            "{} of its {} files {} missing: {}{more}; paths begin at the folder of the table{hint}",
            thousands(self.missing_count),
            thousands(self.files.len()),
            if self.missing_count == 1 { "is" } else { "are" },
            named.join(", "),
        )
    }

    /// Where a file lies that the table names without its folder or its ending.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let folders = super::folder::contents(self.folder)
            .map_or_else(|_| Vec::new(), |contents| contents.folders);
        let names = folders
            .iter()
            .filter_map(|folder| folder.file_name()?.to_str());
        let prefixes = std::iter::once(String::new())
            .chain(names.take(100).map(|folder| format!("{folder}/")));
        let endings = ["", ".jpg", ".png", ".jpeg"];
        let mut tried =
            prefixes.flat_map(|prefix| endings.map(|ending| format!("{prefix}{name}{ending}")));
        tried.find(|name| self.existing(name).is_some())
    }
}

/// The table that says what is in a folder, if exactly one does.
pub(super) fn find(contents: &Contents) -> Option<PathBuf> {
    let mut tables = contents.files.iter().filter(|path| is_table(path));
    let (Some(table), None) = (tables.next(), tables.next()) else {
        return None;
    };
    let pictures = contents
        .files
        .iter()
        .any(|file| passed_over(file).is_none());
    let named = || first_line_names_columns(table).unwrap_or(false);
    (pictures && contents.folders.len() < 2 || named()).then(|| table.clone())
}

/// A note about pictures that lie beside a table, or in folders beside it, and are not named in it.
pub(super) fn left_out(table: &Path, catalogue: &Catalogue, contents: &Contents) -> Option<String> {
    let folder = folder_of(table);
    let named: HashSet<&PathBuf> = catalogue.files.iter().map(|file| &file.path).collect();
    let beside = contents.files.iter().cloned();
    let mut pictures: Vec<PathBuf> = beside.filter(|file| passed_over(file).is_none()).collect();
    pictures.extend(pictures_below(folder, &contents.folders));
    pictures.retain(|file| !named.contains(file));
    if !pictures.is_empty() {
        // A table may name them by other ways.
        let places: HashSet<PathBuf> = named.into_iter().map(|file| real(file)).collect();
        pictures.retain(|file| !places.contains(&real(file)));
    }
    pictures.first().map(|first| {
        format!(
            "{} pictures beside {} are not named in it and were ignored, such as {}",
            thousands(pictures.len()),
            name_of(table),
            first.strip_prefix(folder).unwrap_or(first).display()
        )
    })
}

/// Whether a file is a table by its ending.
pub(super) fn is_table(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    ending.eq_ignore_ascii_case("csv") || ending.eq_ignore_ascii_case("tsv")
}

/// Whether a table names both its columns and, in its second line, a file that exists.
fn first_line_names_columns(path: &Path) -> Result<bool> {
    let table = Table::new(path);
    let file = std::fs::File::open(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    // As much as two lines may take.
    let (delimiter, reader) = delimiter(BufReader::new(file.take(1 << 20)), path)?;
    let mut lines = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(reader);
    let mut records = lines.records();
    let (Some(Ok(first)), Some(Ok(second))) = (records.next(), records.next()) else {
        return Ok(false);
    };
    let Some(columns) = Columns::named(&first) else {
        return Ok(false);
    };
    Ok(second
        .get(columns.path)
        .is_some_and(|name| table.existing(name).is_some() || table.is_quarantined(name)))
}
