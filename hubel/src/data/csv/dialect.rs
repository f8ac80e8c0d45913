//! Detects the dialect of a table: the separator, a byte order mark, and Excel's `sep=` line.
use std::io::{BufRead, Cursor, Read};

/// Bytes of each line at the start that are examined.
const LINE: u64 = 1 << 16;

/// Most blank lines at the start.
const BLANK_LINES: usize = 1000;

/// The separator, from the first line that is not blank or from Excel's `sep=;`, and the text without a byte order
/// mark. Skipped lines become empty lines, so that line numbers stay those of an editor.
///
/// # Errors
/// The reader's error; `Ok(Err)` with a message if this is no table.
pub(super) fn delimiter<R: BufRead>(
    mut reader: R,
) -> std::io::Result<Result<(u8, impl Read), String>> {
    let mut start = Vec::new();
    let mut first = Vec::new();
    let mut named = None;
    for place in 0..BLANK_LINES {
        first.clear();
        reader.by_ref().take(LINE).read_until(b'\n', &mut first)?;
        if place == 0 && (first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff")) {
            return Ok(Err("it is written in UTF-16; save it as `CSV UTF-8`".into()));
        }
        if first.contains(&0) {
            return Ok(Err(
                "it is no text; a table has a line for each picture: path,label".into(),
            ));
        }
        if place == 0 && first.starts_with(b"\xef\xbb\xbf") {
            first.drain(..3);
        }
        if named.is_none() && start.iter().all(|&byte| byte == b'\n') {
            named = named_delimiter(&first);
        }
        let says_nothing = first.trim_ascii().is_empty() || named_delimiter(&first).is_some();
        if first.is_empty() || !says_nothing {
            break;
        }
        start.push(b'\n');
        first.clear();
    }
    let delimiter = named.unwrap_or_else(|| most_frequent(&first));
    let breaks = first.iter().position(|&byte| byte == b'\r');
    let is_old = breaks.is_some_and(|place| first.get(place + 1) != Some(&b'\n'));
    start.append(&mut first);
    let reader = Cursor::new(start).chain(reader);
    Ok(Ok((delimiter, LineEnds { reader, is_old })))
}

/// Replaces the carriage returns with which lines of an old Mac end, if these are such lines.
struct LineEnds<R> {
    reader: R,
    is_old: bool,
}

impl<R: Read> Read for LineEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.reader.read(buffer)?;
        if self.is_old {
            let returns = buffer[..length].iter_mut().filter(|byte| **byte == b'\r');
            returns.for_each(|byte| *byte = b'\n');
        }
        Ok(length)
    }
}

/// The character in a line such as `sep=;`.
fn named_delimiter(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii_end().trim_ascii_start();
    let line = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""))
        .unwrap_or(line);
    match line {
        [s, e, p, b'=', delimiter @ (b',' | b';' | b'|')]
            if [*s, *e, *p].eq_ignore_ascii_case(b"sep") =>
        {
            Some(*delimiter)
        }
        // A tab at the end was trimmed.
        [s, e, p, b'='] if [*s, *e, *p].eq_ignore_ascii_case(b"sep") => Some(b'\t'),
        _ => None,
    }
}

/// The most frequent separator of a line outside quotes; a comma if it has none.
fn most_frequent(line: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b'\t', 0), (b',', 0), (b';', 0)];
    for &byte in line {
        quoted ^= byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += usize::from(!quoted && byte == *delimiter);
        }
    }
    let found = counts.iter().rev().filter(|(_, count)| *count > 0);
    let best = found.max_by_key(|(_, count)| *count);
    best.map_or(b',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_says_something_decides() {
        let read = |text: &str| {
            let (delimiter, mut rest) = delimiter(text.as_bytes()).unwrap().unwrap();
            let mut after = String::new();
            rest.read_to_string(&mut after).unwrap();
            (char::from(delimiter), after)
        };
        for (text, delimiter, after) in [
            ("a;b\nc,d\n", ';', "a;b\nc,d\n"),
            ("\r\n  \na\tb\n", '\t', "\n\na\tb\n"),
            ("\u{feff}sep=;\r\na,b;c\n", ';', "\na,b;c\n"),
            ("\nSEP=\t\na;b;c\n", '\t', "\n\na;b;c\n"),
            ("\"sep=|\"\na|b\n", '|', "\na|b\n"),
            ("a,sep=;\n", ',', "a,sep=;\n"),
            ("", ',', ""),
            ("\n\n", ',', "\n\n"),
        ] {
            assert_eq!(read(text), (delimiter, after.to_owned()), "{text:?}");
        }
    }
}
