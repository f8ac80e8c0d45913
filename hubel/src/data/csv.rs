//! Tables of pictures or recordings: one line per file with its path, class and perhaps split, or with its pixels.
mod allowance;
mod columns;
mod dialect;
mod files;
mod lines;
mod pixels;
mod texts;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ::csv::StringRecord;

use crate::data::catalogue::{
    Catalogue, File, Found, Part, name_of, problem, recordings, thousands,
};
use crate::data::folder::{Contents, files_below, kind_of, part_called, real};
use crate::data::from_memory::LONGEST_CLASS;
use crate::data::names::{composed, is_table, natural_order};
use crate::data::{Kind, ValueRange, labelled};
use crate::error::shortened;
use crate::formats::atomic::folder_of;
use crate::formats::regular;
use crate::{Error, Result};
use columns::Columns;
use lines::{Lines, line_of, wrong_fields};
use pixels::{PixelColumns, Pixels};
use texts::{TextColumns, TextTable};

/// The largest table in bytes: several million pictures.
const LARGEST_TABLE: u64 = 1 << 30;

/// Most pictures of a table: each needs up to half a kilobyte, and a gigabyte of short lines could name 100 million.
const MOST_PICTURES: usize = 20_000_000;

/// Most lines of a kind that a message names; the others are counted.
const NAMED: usize = 3;

/// Reads the table at `path` without opening a picture; paths are relative to its folder. If the table contains the
/// pixels themselves, reads all of it, in the detected range of values or in the `remembered` one of a model.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::DataFile`] with the line if it is no table, a line is incomplete, a split
/// is unknown or a picture is missing; [`Error::DataForm`] if there are fewer than two classes.
pub(super) fn open(path: &Path, remembered: Option<ValueRange>) -> Result<Found> {
    let failed = Error::io("read", path);
    let file = regular::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > LARGEST_TABLE {
        return Err(Error::DataFile {
            path: path.to_owned(),
            problem: format!(
                "it has {length} bytes; tables of up to {LARGEST_TABLE} are read, divide it"
            ),
        });
    }
    read(BufReader::new(file), path, remembered)
}

/// As [`open`], from a reader of bounded length.
///
/// # Errors
/// As [`open`].
pub(super) fn read(
    reader: impl BufRead,
    path: &Path,
    remembered: Option<ValueRange>,
) -> Result<Found> {
    let mut table = Table::new(path);
    let mut lines = Lines::new(reader, path)?;
    let mut start = Vec::new();
    while start.len() < 2
        && let Some(record) = lines.next()?
    {
        start.push(record.clone());
    }
    let Some(first) = start.first() else {
        return table.found();
    };
    let second = start.get(1);
    if let Some(columns) =
        PixelColumns::find(first, second).map_err(|problem| table.error(problem))?
    {
        let skipped = usize::from(columns.has_header);
        let mut pixels = Pixels::new(columns);
        for record in &start[skipped..] {
            pixels
                .line(record, line_of(record))
                .map_err(|problem| table.error(problem))?;
        }
        while let Some(record) = lines.next()? {
            pixels
                .line(record, line_of(record))
                .map_err(|problem| table.error(problem))?;
        }
        let (name, parts) = (name_of(path), pixels.labelled());
        return labelled::splits("table of pixels", &name, path, parts, remembered)
            .map(Found::Arrays);
    }
    if let Some(columns) = TextColumns::named(first) {
        let mut texts = TextTable::new(columns);
        lines.expect(first);
        for record in &start[1..] {
            if let Some(problem) = wrong_fields(record, first.len()) {
                return Err(table.error(problem));
            }
            let line = texts.line(record, line_of(record));
            line.map_err(|problem| table.error(problem))?;
        }
        while let Some(record) = lines.next()? {
            let line = texts.line(record, line_of(record));
            line.map_err(|problem| table.error(problem))?;
        }
        return texts.splits(&name_of(path)).map(Found::Arrays);
    }
    let exists = |name: &str| table.existing(name).is_some();
    let (columns, has_header) =
        Columns::find(first, second, exists).map_err(|problem| table.error(problem))?;
    if has_header {
        lines.expect(first);
    }
    for record in &start[usize::from(has_header)..] {
        let wrong = wrong_fields(record, first.len()).filter(|_| has_header);
        if let Some(problem) = wrong {
            return Err(table.error(problem));
        }
        table.line(&columns, record, line_of(record))?;
    }
    while let Some(record) = lines.next()? {
        table.line(&columns, record, line_of(record))?;
    }
    table.found()
}

/// The name of the column of texts of the table at `path`, and its texts, of which some may be empty. `None` if its first line names no such column.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::DataFile`] with the line that is damaged.
pub fn texts_in_table(path: &Path) -> Result<Option<(String, Vec<String>)>> {
    let file = regular::open(path).map_err(Error::io("read", path))?;
    let mut lines = Lines::new(BufReader::new(file.take(LARGEST_TABLE)), path)?;
    let Some(first) = lines.next()? else {
        return Ok(None);
    };
    let Some(column) = texts::column_of_texts(first) else {
        return Ok(None);
    };
    let (first, mut texts) = (first.clone(), Vec::new());
    lines.expect(&first);
    while let Some(record) = lines.next()? {
        texts.push(record[column].to_owned());
    }
    Ok(Some((first[column].to_owned(), texts)))
}

/// The contents of a table read so far.
struct Table<'a> {
    path: &'a Path,
    /// The folder of the table.
    folder: &'a Path,
    files: Vec<File>,
    labels: HashMap<String, usize>,
    classes: Vec<String>,
    /// For each file, its index and the line that names it first.
    places: HashMap<PathBuf, (usize, u64)>,
    /// Lines that repeat another line.
    repeated: usize,
    missing: Vec<(u64, String)>,
    missing_count: usize,
    /// Files that an earlier run moved to quarantine.
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
            problem: shortened(problem.into()),
        }
    }

    /// Adds one line.
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
        let class = columns.label.class(record).map_err(|problem| {
            self.error(format!(
                "line {line} has {problem}; complete the line or delete it"
            ))
        })?;
        if class.contains(['\n', '\r']) {
            return Err(self.error(format!(
                "line {line} has a label that goes on over several lines; close its quote, or delete it"
            )));
        }
        if class.len() > LONGEST_CLASS {
            return Err(self.error(format!(
                "line {line} has a label of {} bytes, and names of up to {LONGEST_CLASS} are read; name the column of the classes `label` in \
                 the first line",
                class.len()
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
                // A class without remaining pictures does not disappear silently.
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
        if self.files.len() == MOST_PICTURES {
            return Err(self.error(format!(
                "it names more than {} pictures; divide it",
                thousands(MOST_PICTURES)
            )));
        }
        let label = self.label(class);
        let file = File {
            path,
            label,
            part,
            given: None,
            is_left_out: false,
        };
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

    /// The number of a class, in the order of first mention.
    fn label(&mut self, class: &str) -> usize {
        let class = composed(class);
        if let Some(&label) = self.labels.get(&class) {
            return label;
        }
        self.labels.insert(class.clone(), self.classes.len());
        self.classes.push(class);
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
            "{} is a {} image in line {first_line} and a {} image in line {second_line}; a training picture cannot be a test picture",
            name.display(),
            part(first.part),
            part(second.part)
        ))
    }

    fn found(self) -> Result<Found> {
        let path = self.path;
        match self.catalogue()? {
            catalogue if catalogue.kind == Kind::Sounds => recordings(path, catalogue),
            catalogue => Ok(Found::Files(catalogue)),
        }
    }

    fn catalogue(mut self) -> Result<Catalogue> {
        // All files are missing: probably a wrong folder.
        if self.missing_count > 0 && self.missing_count >= self.files.len() {
            return Err(self.error(self.missing_files()));
        }
        if self.classes.is_empty() {
            return Err(problem(
                self.path,
                "it has no lines with samples; a table has a line for each sample and begins with a line such as path,label or text,label",
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
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        order.sort_by(|&one, &other| natural_order(&self.classes[one], &self.classes[other]));
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
        let are_most = |kind| {
            let own = |file: &&File| kind_of(&file.path) == Some(kind);
            2 * self.files.iter().filter(own).count() > self.files.len()
        };
        let (kind, form) = if are_most(Kind::Sounds) {
            (Kind::Sounds, "table of recordings")
        } else if are_most(Kind::Clips) {
            (Kind::Clips, "table of clips")
        } else {
            (Kind::Pictures, "table of pictures")
        };
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
                "{} of the files that {} names {} in quarantine and will not be used",
                thousands(self.quarantined),
                name_of(self.path),
                if self.quarantined == 1 { "lies" } else { "lie" }
            ));
        }
        Ok(Catalogue {
            name: name_of(self.path),
            kind,
            form,
            classes: order
                .iter()
                .map(|&label| self.classes[label].clone())
                .collect(),
            files: self.files,
            folders: Vec::new(),
            notes,
            missing,
            one_class,
        })
    }

    fn missing_files(&self) -> String {
        let named: Vec<String> = self
            .missing
            .iter()
            .map(|(line, name)| match self.folder.join(name).exists() {
                true => format!("{name} (line {line}; it is a folder, a pipe or a device)"),
                false => format!("{name} (line {line})"),
            })
            .collect();
        let more = match self.missing_count - named.len() {
            0 => String::new(),
            more => format!(" and {} more", thousands(more)),
        };
        let hint = self
            .missing
            .first()
            .and_then(|(_, name)| self.elsewhere(name))
            .map_or_else(String::new, |found| format!(", and {found}"));
        let is_sentence = |name: &str| name.contains(' ') && kind_of(Path::new(name)).is_none();
        let are_sentences = self.missing.iter().all(|(_, name)| is_sentence(name));
        let hint = match hint.is_empty() && are_sentences {
            true => "; if they are texts, call their column `text` in the first line".to_owned(),
            false => hint,
        };
        shortened(format!(
            "{} of its {} files {} missing: {}{more}; paths are relative to the folder of the table{hint}",
            thousands(self.missing_count),
            thousands(self.files.len()),
            if self.missing_count == 1 { "is" } else { "are" },
            named.join(", "),
        ))
    }
}

/// The table that describes a folder, if exactly one does.
pub(super) fn find(contents: &Contents) -> Option<PathBuf> {
    let mut tables = contents.files.iter().filter(|path| is_table(path));
    let (Some(table), None) = (tables.next(), tables.next()) else {
        return None;
    };
    let pictures = contents
        .files
        .iter()
        .any(|file| kind_of(file).is_some_and(|kind| kind != Kind::Texts));
    let named = || first_line_names_columns(table).unwrap_or(false);
    (pictures && contents.folders.len() < 2 || named()).then(|| table.clone())
}

/// A note about pictures beside a table, or in folders beside it, that the table does not name.
pub(super) fn left_out(table: &Path, catalogue: &Catalogue, contents: &Contents) -> Option<String> {
    let folder = folder_of(table);
    let named: HashSet<&PathBuf> = catalogue.files.iter().map(|file| &file.path).collect();
    let beside = contents.files.iter().cloned();
    let mut pictures: Vec<PathBuf> = beside.collect();
    pictures.extend(files_below(folder, &contents.folders));
    pictures.retain(|file| kind_of(file) == Some(catalogue.kind) && !named.contains(file));
    if !pictures.is_empty() {
        // A table may name them by other paths.
        let places: HashSet<PathBuf> = named.into_iter().map(|file| real(file)).collect();
        pictures.retain(|file| !places.contains(&real(file)));
    }
    pictures.first().map(|first| {
        format!(
            "{} {} beside {} are not named in it and were ignored, such as {}",
            thousands(pictures.len()),
            catalogue.kind,
            name_of(table),
            first.strip_prefix(folder).unwrap_or(first).display()
        )
    })
}

/// Whether a table names both its columns and, in its second line, an existing file; or the columns of its pixels.
fn first_line_names_columns(path: &Path) -> Result<bool> {
    let table = Table::new(path);
    let file = regular::open(path).map_err(Error::io("read", path))?;
    // The size limit of two lines.
    let mut lines = Lines::new(BufReader::new(file.take(1 << 20)), path)?;
    let (Some(first), Some(second)) = (lines.next()?.cloned(), lines.next()?) else {
        return Ok(false);
    };
    if let Ok(Some(pixels)) = PixelColumns::find(&first, Some(second)) {
        return Ok(pixels.has_header);
    }
    if TextColumns::named(&first).is_some() {
        return Ok(true);
    }
    let Some(columns) = Columns::named(&first, Some(second)) else {
        return Ok(false);
    };
    Ok(second
        .get(columns.path)
        .is_some_and(|name| table.existing(name).is_some() || table.is_quarantined(name)))
}
