//! The file of corrected labels as text: a table with the columns `path` and `class`, quoted as CSV (RFC 4180).
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::Correction;
use crate::data::names::composed;
use crate::{Error, Result};

/// The largest file in bytes: a line for each of several million samples.
const LARGEST: u64 = 1 << 30;

const HEADER: [&str; 2] = ["path", "class"];

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number, counted from 1 as an editor does.
    pub(super) number: usize,
    /// The path of the sample, with `/`.
    pub(super) path: String,
    pub(super) correction: Correction,
}

impl Line {
    /// The path in the form in which paths are compared.
    pub(super) fn name(&self) -> String {
        composed(&self.path)
    }
}

/// All bytes of the file.
pub(super) fn bytes(opened: io::Result<File>, path: &Path) -> Result<Vec<u8>> {
    let failed = Error::io("read", path);
    let mut bytes = Vec::new();
    let file = opened.map_err(failed)?;
    (file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    match bytes.len() as u64 > LARGEST {
        false => Ok(bytes),
        true => Err(failed(io::ErrorKind::FileTooLarge.into())),
    }
}

/// Reads the lines. The separator is that of the header, since spreadsheets write others than a comma.
///
/// # Errors
/// A message with the line that is wrong.
pub(super) fn read(bytes: Vec<u8>) -> Result<Vec<Line>, String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        format!("line {line} is not UTF-8; save the file as `CSV UTF-8`")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let header = text.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t']
        .into_iter()
        .find(|separator| header.contains(*separator))
        .unwrap_or(',');
    let mut records = Records {
        rest: text,
        line: 1,
        separator,
    };
    let columns = records.next().transpose()?.map(|(_, fields)| fields);
    if columns.as_deref().is_none_or(|columns| columns != HEADER) {
        return Err(format!(
            "its first line must be `{}`, and the other lines the path of a sample and its right class",
            HEADER.join(",")
        ));
    }
    let mut lines = Vec::new();
    for record in records {
        let (number, fields) = record?;
        if fields.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        match <[String; 2]>::try_from(fields) {
            Ok([path, class]) => lines.push(Line {
                number,
                path,
                correction: match class.trim() {
                    "" => Correction::LeftOut,
                    class => Correction::Class(class.to_owned()),
                },
            }),
            Err(fields) => {
                let count = match fields.len() {
                    1 => "1 field".to_owned(),
                    many => format!("{many} fields"),
                };
                return Err(format!(
                    "line {number} has {count} instead of 2, a path and a class; put quotes around a field with the separator in it (\"a, b.png\")"
                ));
            }
        }
    }
    Ok(lines)
}

/// The lines with the header.
pub(super) fn written(lines: &[Line]) -> String {
    let mut text = HEADER.join(",") + "\n";
    for line in lines {
        let class = match &line.correction {
            Correction::Class(class) => class.as_str(),
            Correction::LeftOut => "",
        };
        text += &format!("{},{}\n", quoted(&line.path), quoted(class));
    }
    text
}

/// Reads arbitrary bytes for [`crate::fuzzing`], and checks that what is written is read again.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzzed(bytes: &[u8]) -> bool {
    let Ok(lines) = read(bytes.to_vec()) else {
        return false;
    };
    // A line has a separator at least.
    assert!(lines.len() <= bytes.len());
    let again = read(written(&lines).into_bytes()).expect("what is written is read");
    let bare = |lines: &[Line]| -> Vec<(String, Correction)> {
        let lines = lines.iter();
        lines
            .map(|line| (line.path.clone(), line.correction.clone()))
            .collect()
    };
    assert_eq!(bare(&again), bare(&lines));
    true
}

/// A field, in quotes if it needs them.
fn quoted(field: &str) -> String {
    let is_special = |letter: char| matches!(letter, ',' | ';' | '\t' | '"' | '\n' | '\r');
    let has_edges = field.starts_with(char::is_whitespace) || field.ends_with(char::is_whitespace);
    match field.contains(is_special) || has_edges {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

/// The records of a table: the line at which each begins, and its fields.
struct Records<'a> {
    rest: &'a str,
    line: usize,
    separator: char,
}

impl Iterator for Records<'_> {
    type Item = Result<(usize, Vec<String>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let start = self.line;
        let mut fields = Vec::new();
        loop {
            let (field, end) = match self.field() {
                Ok(field) => field,
                Err(problem) => {
                    self.rest = "";
                    return Some(Err(format!("line {start} {problem}")));
                }
            };
            fields.push(field);
            if end != Some(self.separator) {
                break;
            }
        }
        Some(Ok((start, fields)))
    }
}

impl Records<'_> {
    /// The next field, and the character that ends it: the separator, the end of the line, or `None` at the end of the text.
    fn field(&mut self) -> Result<(String, Option<char>), String> {
        let mut field = String::new();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            self.rest = quoted;
            loop {
                let end = self
                    .rest
                    .find('"')
                    .ok_or("has a quote that is never closed")?;
                field += &self.rest[..end];
                self.rest = &self.rest[end + 1..];
                match self.rest.strip_prefix('"') {
                    Some(rest) => {
                        field.push('"');
                        self.rest = rest;
                    }
                    None => break,
                }
            }
            self.line += field.matches('\n').count();
        }
        let end = self.rest.find([self.separator, '\n']);
        let (plain, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        field += plain.strip_suffix('\r').unwrap_or(plain);
        let ending = rest.chars().next();
        self.rest = &rest[ending.map_or(0, char::len_utf8)..];
        self.line += usize::from(ending == Some('\n'));
        Ok((field, ending))
    }
}
