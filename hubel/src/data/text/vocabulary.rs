//! The vocabulary of a model: the tokens that it knows.
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Tokens;

/// The tokens that a model knows, from its training texts alone.
///
/// The number of a token is its place in the model's embedding: 0 is the padding at the end of short texts, 1 stands for all unknown tokens, and the known
/// tokens follow, the most frequent first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Vocabulary {
    kind: Tokens,
    tokens: Arc<Vec<String>>,
    numbers: Arc<HashMap<String, u32>>,
}

/// Tokens of a text that a model does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    /// All tokens of the text.
    pub tokens: usize,
    /// Those that are unknown.
    pub unknown: usize,
}

/// What the model file has.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: Tokens,
    tokens: Vec<String>,
}

/// The number of an unknown token.
const UNKNOWN: u32 = 1;
/// The number of the first known token.
const FIRST: u32 = 2;

/// Texts that a token must occur in, if there are enough texts: of a token that is seen once, little can be learnt, and the unknown token needs examples.
const LEAST_TEXTS: usize = 2;
/// With fewer texts, every token is kept.
const ENOUGH_TEXTS: usize = 100;
/// The most tokens that are known.
const MOST_TOKENS: usize = 50_000;
/// The longest token in bytes; longer ones are unknown.
const LONGEST_TOKEN: usize = 100;

impl Vocabulary {
    /// The vocabulary of these training texts.
    pub(crate) fn measure<'a>(kind: Tokens, texts: impl ExactSizeIterator<Item = &'a str>) -> Self {
        struct Count {
            times: usize,
            texts: usize,
            last: usize,
        }
        let least = if texts.len() < ENOUGH_TEXTS {
            1
        } else {
            LEAST_TEXTS
        };
        let mut counts: HashMap<String, Count> = HashMap::new();
        for (number, text) in texts.enumerate() {
            kind.each(text, &mut |token| {
                if let Some(count) = counts.get_mut(token) {
                    count.times += 1;
                    count.texts += usize::from(count.last != number);
                    count.last = number;
                } else if token.len() <= LONGEST_TOKEN {
                    let count = Count {
                        times: 1,
                        texts: 1,
                        last: number,
                    };
                    counts.insert(token.to_owned(), count);
                }
            });
        }
        let known = counts.into_iter().filter(|(_, count)| count.texts >= least);
        let mut known: Vec<(String, usize)> =
            known.map(|(token, count)| (token, count.times)).collect();
        // Equally frequent ones in the order of their letters, so that the numbers depend on the texts alone.
        known.sort_unstable_by(|(a, times_a), (b, times_b)| times_b.cmp(times_a).then(a.cmp(b)));
        known.truncate(MOST_TOKENS);
        let tokens = known.into_iter().map(|(token, _)| token).collect();
        Stored { kind, tokens }.into()
    }

    /// What texts are divided into.
    pub fn kind(&self) -> Tokens {
        self.kind
    }

    /// Number of tokens, with padding and the unknown token: the rows of the embedding.
    pub fn len(&self) -> usize {
        self.tokens.len() + FIRST as usize
    }

    /// Whether it knows no token.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The known tokens, the most frequent first.
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// The number of a token, as the network reads it.
    pub(crate) fn number(&self, token: &str) -> f32 {
        // Exact: there are far fewer tokens than 2²⁴.
        self.numbers.get(token).copied().unwrap_or(UNKNOWN) as f32
    }

    /// Whether it knows this token.
    pub fn knows(&self, token: &str) -> bool {
        self.numbers.contains_key(token)
    }

    /// The tokens of `text` that a network with an input of `length` tokens reads, and whether each is known; and the number of those behind them.
    pub fn read(&self, text: &str, length: usize) -> (Vec<(String, bool)>, usize) {
        let mut tokens = self.kind.of(text);
        let unread = tokens.len().saturating_sub(length);
        tokens.truncate(length);
        let known = tokens.into_iter().map(|token| {
            let is_known = self.knows(&token);
            (token, is_known)
        });
        (known.collect(), unread)
    }

    /// Number of tokens of `text`, and how many of them are unknown.
    pub fn unknown_in(&self, text: &str) -> Unknown {
        let mut found = Unknown::default();
        self.kind.each(text, &mut |token| {
            found.tokens += 1;
            found.unknown += usize::from(!self.knows(token));
        });
        found
    }

    /// Writes the numbers of the first tokens of `text`, and 0 behind its end.
    pub(crate) fn encode(&self, text: &str, out: &mut [f32]) {
        let mut place = 0;
        self.kind.each(text, &mut |token| {
            if let Some(out) = out.get_mut(place) {
                *out = self.number(token);
            }
            place += 1;
        });
        if place < out.len() {
            out[place..].fill(0.0);
        }
    }

    /// Whether it is one that [`Vocabulary::measure`] can make.
    pub(crate) fn is_sound(&self) -> bool {
        self.tokens.len() <= MOST_TOKENS
            && self.numbers.len() == self.tokens.len()
            && self.tokens.iter().all(|token| token.len() <= LONGEST_TOKEN)
    }
}

impl From<Stored> for Vocabulary {
    fn from(stored: Stored) -> Self {
        let numbers = stored.tokens.iter().cloned().zip(FIRST..).collect();
        Self {
            kind: stored.kind,
            tokens: Arc::new(stored.tokens),
            numbers: Arc::new(numbers),
        }
    }
}

impl From<Vocabulary> for Stored {
    fn from(vocabulary: Vocabulary) -> Self {
        Self {
            kind: vocabulary.kind,
            tokens: vocabulary.tokens.to_vec(),
        }
    }
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.tokens) == (other.kind, &other.tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_tokens_come_first_and_the_rest_is_unknown() {
        let texts = ["b a a", "A c", "b"];
        let vocabulary = Vocabulary::measure(Tokens::Words, texts.into_iter());
        assert_eq!(vocabulary.tokens(), ["a", "b", "c"]);
        assert_eq!(vocabulary.len(), 5);
        let mut out = [9.0; 5];
        vocabulary.encode("C b zebra", &mut out);
        assert_eq!(out, [4.0, 3.0, 1.0, 0.0, 0.0]);
        vocabulary.encode("a a a a a a a", &mut out);
        assert_eq!(out, [2.0; 5]);
        vocabulary.encode("", &mut out);
        assert_eq!(out, [0.0; 5]);
    }

    #[test]
    fn of_many_texts_a_token_of_one_text_is_unknown() {
        let texts: Vec<String> = (0..200)
            .map(|i| format!("all {} once{i} once{i}", i % 2))
            .collect();
        let texts = texts.iter().map(String::as_str);
        let vocabulary = Vocabulary::measure(Tokens::Words, texts);
        assert_eq!(vocabulary.tokens(), ["all", "0", "1"]);
    }

    #[test]
    fn a_file_gives_the_vocabulary_back() {
        let vocabulary = Vocabulary::measure(Tokens::Characters, ["über \"x\""].into_iter());
        let json = serde_json::to_string(&vocabulary).unwrap();
        let back: Vocabulary = serde_json::from_str(&json).unwrap();
        assert_eq!(back, vocabulary);
        assert!(back.is_sound() && back.knows("ü"));
    }
}
