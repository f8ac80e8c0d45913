//! Texts in class folders, one in each file.
use std::path::Path;

use super::{Places, Texts, of_texts};
use crate::data::catalogue::{Catalogue, Part};
use crate::data::{BadFile, Splits};
use crate::formats::regular;
use crate::{Error, Result, shown};
use std::io::Read;

/// The largest text file in bytes.
const LARGEST_TEXT: u64 = 16 << 20;

/// The endings of text files.
pub(in crate::data) const ENDINGS: [&str; 2] = ["txt", "text"];

/// Reads the text files of a catalogue. Files that are no text in UTF-8 are bad files.
///
/// # Errors
/// [`Error::DataMismatch`] if there are too many classes, or the name of one is too long.
pub(in crate::data) fn read(catalogue: Catalogue) -> Result<Splits> {
    let (mut texts, mut paths, mut labels, mut parts) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut bad, mut empty) = (Vec::new(), Vec::new());
    for file in catalogue.files {
        match text_in_file(&file.path) {
            Ok(text) if text.trim().is_empty() => {
                if !file.is_left_out {
                    empty.push(file.path);
                }
            }
            Ok(text) => {
                texts.push(text);
                labels.push(file.label);
                parts.push(file.part.unwrap_or(Part::Train));
                paths.push(file.path);
            }
            Err(_) if file.is_left_out => {}
            Err(error) => bad.push(BadFile::new(&file.path, error)),
        }
    }
    let texts = Texts::new(texts, Places::Files(paths));
    let form = "class folders of texts";
    let mut splits = of_texts(
        form,
        &catalogue.name,
        catalogue.classes,
        texts,
        labels,
        &parts,
    )?;
    splits.notes = catalogue.notes;
    splits.bad_files = bad;
    splits.empty_texts = empty.iter().map(|path| shown(path)).collect();
    Ok(splits)
}

/// A text file in UTF-8, without a byte order mark.
///
/// # Errors
/// [`Error::Io`]; [`Error::DataFile`] if it is too large, or no UTF-8, with the line.
pub fn text_in_file(path: &Path) -> Result<String> {
    let failed = Error::io("read", path);
    let problem = |problem: String| Error::DataFile {
        path: path.to_owned(),
        problem,
    };
    let mut bytes = Vec::new();
    let file = regular::open(path).map_err(failed)?;
    file.take(LARGEST_TEXT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > LARGEST_TEXT {
        return Err(problem(format!(
            "it has more than {} MB, and a text of that length has no single label; divide it",
            LARGEST_TEXT >> 20
        )));
    }
    decode(bytes).map_err(problem)
}

/// Bytes as a text.
///
/// # Errors
/// A message with the line that is no UTF-8.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("it is written in UTF-16; save it as UTF-8".into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        format!("line {line} is not UTF-8; save it as UTF-8")
    })?;
    if text.contains('\0') {
        return Err("it holds zero bytes, so it is no text".into());
    }
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}
