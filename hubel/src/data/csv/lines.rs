//! Iterates over the lines of a table.
use std::io::{BufRead, Read};
use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord, Trim};

use super::allowance::{Allowance, LONGEST_LINE};
use super::dialect;
use crate::{Error, Result};

/// The line number at which a record begins.
pub(super) fn line_of(record: &StringRecord) -> u64 {
    record.position().map_or(0, |position| position.line())
}

/// The non-blank lines of a table.
pub(super) struct Lines<'a, R> {
    path: &'a Path,
    reader: ::csv::Reader<Allowance<R>>,
    record: StringRecord,
}

impl<'a> Lines<'a, ()> {
    /// The lines of the table at `path`, read by `reader`.
    pub(super) fn new<R: BufRead>(reader: R, path: &'a Path) -> Result<Lines<'a, impl Read>> {
        let (delimiter, reader) = dialect::delimiter(reader)
            .map_err(Error::io("read", path))?
            .map_err(|problem| Error::DataFile {
                path: path.to_owned(),
                problem,
            })?;
        let reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(Allowance::new(reader));
        Ok(Lines {
            path,
            reader,
            record: StringRecord::new(),
        })
    }
}

impl<R: Read> Lines<'_, R> {
    /// The next non-blank line.
    pub(super) fn next(&mut self) -> Result<Option<&StringRecord>> {
        loop {
            let start = self.reader.position().line();
            let more = self.reader.read_record(&mut self.record);
            let more = more.map_err(|error| match self.reader.get_ref().is_used_up() {
                true => too_long(self.path, start),
                false => unreadable(self.path, &error),
            })?;
            if !more {
                return Ok(None);
            }
            self.reader.get_mut().renew();
            if self.record.iter().any(|field| !field.is_empty()) {
                return Ok(Some(&self.record));
            }
        }
    }
}

fn too_long(path: &Path, line: u64) -> Error {
    Error::DataFile {
        path: path.to_owned(),
        problem: format!(
            "line {line} has no end within {LONGEST_LINE} bytes; close its quote, or save the table with a line for each picture"
        ),
    }
}

fn unreadable(path: &Path, error: &::csv::Error) -> Error {
    let line = error.position().map_or(0, |position| position.line());
    Error::DataFile {
        path: path.to_owned(),
        problem: match error.kind() {
            ::csv::ErrorKind::Utf8 { .. } => {
                format!("line {line} is not UTF-8; save the table as `CSV UTF-8`")
            }
            _ => format!("{error}"),
        },
    }
}
