//! The tokens of a text: words or characters.
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What a text is divided into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// Words in lower case, and single punctuation marks. An apostrophe belongs to its word: `don't`. Of scripts without spaces, such as
    /// Chinese, each character.
    #[default]
    Words,
    /// Characters in lower case; several spaces or line breaks in a row are one space.
    Characters,
}

impl Tokens {
    /// Calls `take` with each token of `text`, in order.
    pub fn each(self, text: &str, take: &mut dyn FnMut(&str)) {
        match self {
            Self::Words => words(text, take),
            Self::Characters => characters(text, take),
        }
    }

    /// The tokens of `text`.
    pub fn of(self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        self.each(text, &mut |token| tokens.push(token.to_owned()));
        tokens
    }

    /// Number of tokens of `text`.
    pub(crate) fn count(self, text: &str) -> usize {
        let mut count = 0;
        self.each(text, &mut |_| count += 1);
        count
    }

    /// What stands between tokens that are shown as a text.
    pub fn separator(self) -> &'static str {
        match self {
            Self::Words => " ",
            Self::Characters => "",
        }
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Words => "words",
            Self::Characters => "characters",
        })
    }
}

impl FromStr for Tokens {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "words" => Ok(Self::Words),
            "characters" => Ok(Self::Characters),
            _ => Err(Error::Settings {
                problem: format!("a text has no tokens called `{text}`; use words or characters"),
            }),
        }
    }
}

fn words(text: &str, take: &mut dyn FnMut(&str)) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if first.is_whitespace() => {
                rest = &rest[first.len_utf8()..];
                continue;
            }
            _ if !is_letter(first) => first.len_utf8(),
            _ => word_length(rest),
        };
        take(&lower(&rest[..length]));
        rest = &rest[length..];
    }
}

/// Bytes of the word at the start of `text`.
fn word_length(text: &str) -> usize {
    let mut characters = text.char_indices().peekable();
    while let Some((_, letter)) = characters.next() {
        let Some(&(place, next)) = characters.peek() else {
            break;
        };
        let inside = match next {
            '\'' | '’' => {
                let behind = text[place + next.len_utf8()..].chars().next();
                behind.is_some_and(is_letter)
            }
            _ => is_letter(next),
        };
        if !inside || is_word_alone(letter) || is_word_alone(next) {
            return place;
        }
    }
    text.len()
}

/// Combining marks follow their letter.
fn is_letter(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || is_mark(character)
}

/// Combining diacritical marks, and the vowel signs of Indic scripts that are no letters.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{900}'..='\u{dff}')
}

/// Whether a character of a script without spaces is a word by itself.
fn is_word_alone(character: char) -> bool {
    matches!(
        character,
        '\u{e00}'..='\u{eff}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

fn characters(text: &str, take: &mut dyn FnMut(&str)) {
    let mut is_after_space = true;
    for (place, character) in text.trim_end().char_indices() {
        let is_space = character.is_whitespace();
        if is_space && !is_after_space {
            take(" ");
        } else if !is_space {
            take(&lower(&text[place..place + character.len_utf8()]));
        }
        is_after_space = is_space;
    }
}

fn lower(token: &str) -> Cow<'_, str> {
    match token.chars().any(char::is_uppercase) {
        true => token.to_lowercase().into(),
        false => token.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_lower_case_and_marks_stand_alone() {
        let of = |text: &str| Tokens::Words.of(text).join("|");
        assert_eq!(
            of("It's GOOD, isn't it?  Yes!!"),
            "it's|good|,|isn't|it|?|yes|!|!"
        );
        assert_eq!(of("'quoted' 3.5 km/h"), "'|quoted|'|3|.|5|km|/|h");
        assert_eq!(of("Straße ÄRGER naïve"), "straße|ärger|naïve");
        assert_eq!(of("我喜欢 this电影"), "我|喜|欢|this|电|影");
        assert_eq!(of(" \n\t "), "");
    }

    #[test]
    fn characters_keep_one_space() {
        assert_eq!(Tokens::Characters.of("  Ab \n c ").join("|"), "a|b| |c");
    }

    proptest! {
        #[test]
        fn no_letter_is_lost(text in any::<String>()) {
            let plain = |text: &str| -> String {
                text.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect()
            };
            // Capitals at the end of a word may become other letters than within a longer text: Σ.
            prop_assume!(!text.contains('Σ'));
            for tokens in [Tokens::Words, Tokens::Characters] {
                prop_assert_eq!(plain(&tokens.of(&text).concat()), plain(&text));
            }
        }
    }
}
