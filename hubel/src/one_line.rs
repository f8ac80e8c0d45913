//! Names of files and classes as they stand in a line: they may hold anything, also line breaks.
use std::borrow::Cow;
use std::path::Path;

/// The text with line breaks and other control characters written out (`\n`, `\t`, `\u001b`), so that it stays in its line.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let breaks = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    if !text.contains(breaks) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\n' => shown += "\\n",
            '\r' => shown += "\\r",
            '\t' => shown += "\\t",
            letter if breaks(letter) => shown += &format!("\\u{:04x}", u32::from(letter)),
            letter => shown.push(letter),
        }
    }
    shown.into()
}

/// A path for people, in one line, even if it is not Unicode.
pub fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_line_and_an_ordinary_one_as_it_is() {
        assert_eq!(one_line("Käfer 7.jpg"), "Käfer 7.jpg");
        assert_eq!(
            one_line("a\nb\r\t\x1b\u{2028}.jpg"),
            "a\\nb\\r\\t\\u001b\\u2028.jpg"
        );
        assert_eq!(one_line("a\nb").lines().count(), 1);
    }
}
