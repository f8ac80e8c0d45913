//! HTML pages. Each is one file that loads nothing, and follows the reader's light or dark theme. The templates are in
//! `cli/templates`. All extend `page.html`, which has the head, the title (`command` and `title` of the template) and `page.css`.
use std::fmt;
use std::path::Path;

use askama::Template;
use askama::filters::{Html, HtmlSafe, escape};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubel::Error;

use crate::wording::of_command_line;

/// Writes the page to a file.
///
/// # Errors
/// [`Error::Io`]
pub(crate) fn write(path: &Path, page: &impl Template) -> Result<(), Error> {
    let text = page.render().expect("a page of plain values is rendered");
    hubel::replace_file(path, text.as_bytes())
}

/// A picture file as a data URL for `src`, so that the page needs no other file.
pub(crate) fn embedded(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

/// A result on a page, large.
pub(crate) struct Tile {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) detail: String,
}

impl Tile {
    pub(crate) fn new(name: &str, value: String, detail: String) -> Self {
        Self {
            name: name.into(),
            value,
            detail,
        }
    }
}

/// A sentence for a page: adds a capital letter and a full stop, and shows text between backticks as code.
pub(crate) struct Sentence(String);

impl Sentence {
    pub(crate) fn new(text: &str) -> Self {
        let text = of_command_line(text);
        let mut letters = text.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        Self(first.chain(letters).collect())
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, page: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.0.split('`').enumerate() {
            let part = match escape(part, Html) {
                Ok(part) => part,
                Err(never) => match never {},
            };
            match number % 2 {
                0 => write!(page, "{part}")?,
                _ => write!(page, "<code>{part}</code>")?,
            }
        }
        page.write_str(".")
    }
}

impl HtmlSafe for Sentence {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_sentence_cannot_become_part_of_the_page() {
        let sentence = Sentence::new("see `<b>` & \"dogs\"");
        assert_eq!(
            sentence.to_string(),
            "See <code>&#60;b&#62;</code> &#38; &#34;dogs&#34;."
        );
    }
}
