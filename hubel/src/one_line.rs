//! Shows names of files and classes on one line. They may contain any characters, also line breaks.
use std::borrow::Cow;
use std::path::Path;

/// The text with escaped line breaks and control characters (`\n`, `\t`, `\u001b`), so that it stays on one line.
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

/// A path on one line, even if it is not Unicode.
pub fn shown(path: &Path) -> String {
    one_line(&path.to_string_lossy()).into_owned()
}

/// Most names that a sentence lists; the others are counted.
const SHOWN: usize = 12;

/// Names for a sentence: `cat, dog, owl`. If there are many, the first twelve and the number of the others.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    // "and 1 more" would be as long as the name.
    match names.len() > SHOWN + 1 {
        false => names.join(", "),
        true => format!(
            "{} and {} more",
            names[..SHOWN].join(", "),
            thousands(names.len() - SHOWN)
        ),
    }
}

/// A number with commas between its thousands.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
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

    #[test]
    fn long_lists_are_cut_short() {
        let names: Vec<String> = (0..1000).map(|name| name.to_string()).collect();
        let list = |count: usize| listed(names[..count].iter().map(String::as_str));
        assert_eq!(list(2), "0, 1");
        assert!(list(13).ends_with("11, 12"));
        assert!(list(1000).ends_with("10, 11 and 988 more"));
    }
}
