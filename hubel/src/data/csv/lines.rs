//! Iterates over the lines of a table.
use std::io::{BufRead, Read};
use std::path::Path;

use ::csv::{ByteRecord, Position, ReaderBuilder, StringRecord, Terminator};

use super::allowance::{Allowance, LONGEST_LINE};
use super::dialect;
use crate::one_line::thousands;
use crate::{Error, Result};

/// The line number at which a record begins.
pub(super) fn line_of(record: &StringRecord) -> u64 {
    record.position().map_or(0, Position::line)
}

/// The non-blank lines of a table.
pub(super) struct Lines<'a, R> {
    path: &'a Path,
    reader: ::csv::Reader<Allowance<R>>,
    record: StringRecord,
    /// Number of fields of the header; `None` if lines may have any number.
    fields: Option<usize>,
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
        // The last line ends too, so that lines can be counted by their ends.
        let reader = reader.chain(&b"\n"[..]);
        let reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            // The other half of `\r\n` is trimmed. The reader would count it to the next line.
            .terminator(Terminator::Any(b'\n'))
            .from_reader(Allowance::new(reader));
        Ok(Lines {
            path,
            reader,
            record: StringRecord::new(),
            fields: None,
        })
    }
}

impl<R: Read> Lines<'_, R> {
    /// Requires as many fields as the header has from now on.
    pub(super) fn expect(&mut self, header: &StringRecord) {
        self.fields = Some(header.len());
    }

    /// The next non-blank line.
    ///
    /// # Errors
    /// [`Error::DataFile`] if it is not UTF-8 or too long, or does not have the number of fields of the header.
    pub(super) fn next(&mut self) -> Result<Option<&StringRecord>> {
        loop {
            let start = self.reader.position().line();
            let mut record = std::mem::take(&mut self.record).into_byte_record();
            let more = self.reader.read_byte_record(&mut record);
            let more = more.map_err(|error| match self.reader.get_ref().is_used_up() {
                true => too_long(self.path, start),
                false => self.error(error.to_string()),
            })?;
            if !more {
                return Ok(None);
            }
            self.reader.get_mut().renew();
            let line = self.line_of_last(&record, start);
            record.set_position(Some(position(line)));
            self.record = StringRecord::from_byte_record(record).map_err(|_| {
                self.error(format!(
                    "line {line} is not UTF-8; save the table as `CSV UTF-8`"
                ))
            })?;
            self.record.trim();
            if self.record.iter().any(|field| !field.is_empty()) {
                let has_wrong_number = self
                    .fields
                    .and_then(|expected| wrong_fields(&self.record, expected));
                if let Some(problem) = has_wrong_number {
                    return Err(self.error(problem));
                }
                return Ok(Some(&self.record));
            }
        }
    }

    /// The line at which the record that was just read begins. The reader stood at the line `start` before, perhaps at blank lines.
    fn line_of_last(&self, record: &ByteRecord, start: u64) -> u64 {
        let ends = |field: &[u8]| field.iter().filter(|byte| **byte == b'\n').count();
        let within: usize = record.iter().map(ends).sum();
        let after = self.reader.position().line();
        // A quote that is never closed has no end of a line after it.
        after.saturating_sub(1 + within as u64).max(start)
    }

    fn error(&self, problem: String) -> Error {
        Error::DataFile {
            path: self.path.to_owned(),
            problem,
        }
    }
}

/// The error of a line that does not have the `expected` number of fields. Empty fields at its end do not count.
pub(super) fn wrong_fields(record: &StringRecord, expected: usize) -> Option<String> {
    let count = record.len();
    let mut surplus = record.iter().skip(expected);
    if count == expected || count > expected && surplus.all(str::is_empty) {
        return None;
    }
    let remedy = match count > expected {
        true => "put quotes around a field with the separator in it (\"good, but long\")",
        false => "complete the line or delete it",
    };
    Some(format!(
        "line {} has {} and the first line has {expected}; {remedy}",
        line_of(record),
        counted(count)
    ))
}

fn counted(fields: usize) -> String {
    match fields {
        1 => "1 field".to_owned(),
        many => format!("{} fields", thousands(many)),
    }
}

fn position(line: u64) -> Position {
    let mut position = Position::new();
    position.set_line(line);
    position
}

fn too_long(path: &Path, line: u64) -> Error {
    Error::DataFile {
        path: path.to_owned(),
        problem: format!(
            "line {line} has no end within {LONGEST_LINE} bytes; close its quote, or save the table with a line for each picture"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines at which the records of a table begin, or the error.
    fn lines_of(table: &str) -> Result<Vec<u64>, String> {
        let path = Path::new("t.csv");
        let mut lines = Lines::new(table.as_bytes(), path).map_err(|error| error.to_string())?;
        lines.expect(&StringRecord::from(vec!["a", "b"]));
        let mut found = Vec::new();
        while let Some(record) = lines.next().map_err(|error| error.to_string())? {
            found.push(line_of(record));
        }
        Ok(found)
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        for (table, expected) in [
            ("a,b\nc,d\n\n\ne,f", &[1, 2, 5][..]),
            ("a,b\n\"c\nc\",d\ne,f\n", &[1, 2, 4]),
            ("\n \na,b\nc,d\n", &[3, 4]),
            ("a,b\nc,\"d\n", &[1, 2]),
            ("", &[]),
        ] {
            for end in ["\n", "\r\n", "\r"] {
                let table = table.replace('\n', end);
                assert_eq!(lines_of(&table).unwrap(), expected, "{table:?}");
            }
        }
    }

    #[test]
    fn a_line_with_another_number_of_fields_is_an_error() {
        assert_eq!(lines_of("a,b\nc,d,,\n").unwrap(), [1, 2]);
        for (line, expected) in [
            (
                "good, but long,d",
                "line 3 has 3 fields and the first line has 2; put quotes",
            ),
            ("c", "line 3 has 1 field and the first line has 2; complete"),
        ] {
            let error = lines_of(&format!("a,b\n\n{line}\n")).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
