//! Texts: their tokens, the vocabulary of a model, and the texts of a data set.
#[cfg(feature = "pictures")]
pub(super) mod files;
mod tokens;
mod vocabulary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "pictures")]
use crate::data::Part;
use crate::data::fingerprint::Fingerprint;
use crate::data::{BadFiles, Dataset, Options, Pixels, Reading, Splits};
use crate::{Result, Shape};

pub use tokens::Tokens;
pub use vocabulary::{Unknown, Vocabulary};

/// The texts of a data set. The index of a text is its row.
#[derive(Debug)]
pub(super) struct Texts {
    texts: Vec<String>,
    places: Places,
    /// The content hash of each text.
    contents: Vec<u64>,
}

/// Where texts come from.
#[derive(Debug)]
pub(super) enum Places {
    /// A file each.
    Files(Vec<PathBuf>),
    /// Lines of a table with this name.
    Lines(String, Vec<u64>),
}

impl Texts {
    pub(super) fn new(texts: Vec<String>, places: Places) -> Self {
        let contents = texts.iter().map(|text| content_of(text)).collect();
        Self {
            texts,
            places,
            contents,
        }
    }

    pub(super) fn text(&self, row: usize) -> &str {
        &self.texts[row]
    }

    /// The hash of a text's words; capitals, spaces and the like do not matter.
    pub(super) fn content(&self, row: usize) -> u64 {
        self.contents[row]
    }

    /// The file of a text, if it has one.
    pub(super) fn path(&self, row: usize) -> Option<&Path> {
        match &self.places {
            Places::Files(paths) => Some(&paths[row]),
            Places::Lines(..) => None,
        }
    }

    /// The name of a text in messages.
    pub(super) fn name(&self, row: usize) -> String {
        match &self.places {
            Places::Files(paths) => crate::shown(&paths[row]),
            Places::Lines(table, lines) => format!("line {} of {table}", lines[row]),
        }
    }
}

fn content_of(text: &str) -> u64 {
    let mut words = String::with_capacity(text.len());
    Tokens::Words.each(text, &mut |word| {
        words.push_str(word);
        words.push(' ');
    });
    Fingerprint::content_of(words.as_bytes())
}

/// A text as a sample: how many tokens a network reads is not known yet.
const ONE_TEXT: Shape = Shape::new(1, 1, 1);

/// The data set of these texts. The training split is empty if there is none, and there may be only one class.
///
/// # Errors
/// [`Error::DataMismatch`](crate::Error::DataMismatch) if there are too many classes, or the name of one is too long.
#[cfg(feature = "pictures")]
pub(super) fn of_texts(
    form: &str,
    name: &str,
    classes: Vec<String>,
    texts: Texts,
    labels: Vec<usize>,
    parts: &[Part],
) -> Result<Splits> {
    let pixels = Pixels::Texts(Arc::new(texts));
    let all = Dataset::of_any_classes(name, classes, ONE_TEXT, pixels, labels)?;
    let part = |wanted: Part| {
        let indices: Vec<usize> = (0..parts.len()).filter(|&i| parts[i] == wanted).collect();
        all.subset(&indices)
    };
    let held_out = |wanted| Some(part(wanted)).filter(|dataset| !dataset.is_empty());
    let (validation, test) = (held_out(Part::Validation), held_out(Part::Test));
    super::catalogue::arrays(form, part(Part::Train), validation, test)
}

/// The most tokens of a text that a network reads by default: words or characters.
const MOST_TOKENS: [usize; 2] = [256, 1024];
/// The fewest tokens of a network's input, so that its windows fit.
const FEWEST_TOKENS: usize = 8;

/// The texts as a network reads them: tokens of the kind and the number that `options` say. By default there are as many as the longest training text has, up to a limit.
pub(super) fn with_length(splits: Splits, options: &Options) -> Splits {
    let tokens = options.tokens;
    let Pixels::Texts(texts) = &splits.train.pixels else {
        return splits;
    };
    let most = MOST_TOKENS[usize::from(tokens == Tokens::Characters)];
    let texts = texts.clone();
    let lengths = splits
        .train
        .rows
        .iter()
        .map(|row| tokens.count(texts.text(*row)));
    let lengths: Vec<usize> = lengths.collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let length = options
        .length
        .unwrap_or(longest.min(most))
        .max(FEWEST_TOKENS);
    let longer = lengths.iter().filter(|own| **own > length).count();
    let mut notes = splits.notes;
    if let Some(wanted) = options.length.filter(|wanted| *wanted < length) {
        notes.push(format!(
            "{length} {tokens} of each text are read, not {wanted}: the windows of a network need as many"
        ));
    }
    if longer > 0 {
        let (have, them) = match longer {
            1 => ("has", "it"),
            _ => ("have", "them"),
        };
        notes.push(format!(
            "{} of {} training texts {have} more than {length} {tokens}; the rest of {them} is not read (`--length` reads more)",
            crate::one_line::thousands(longer),
            crate::one_line::thousands(lengths.len())
        ));
    }
    let read = |dataset: Dataset| Dataset {
        shape: ONE_TEXT.over(length),
        reading: Some(Reading {
            tokens,
            ..Reading::default()
        }),
        ..dataset
    };
    Splits {
        train: read(splits.train),
        validation: splits.validation.map(read),
        test: splits.test.map(read),
        notes,
        ..splits
    }
}

/// Accepts that texts that cannot be read were left out, if the policy allows it, and notes how many were empty.
///
/// # Errors
/// [`Error::BadFiles`](crate::Error::BadFiles) for texts that cannot be read under the policy `fail`.
pub(super) fn without_bad(path: &Path, splits: Splits, policy: BadFiles) -> Result<Splits> {
    let count: usize = splits.parts().map(|(_, part)| part.len()).sum();
    policy.refuse(
        path,
        count + splits.bad_files.len(),
        true,
        &splits.bad_files,
    )?;
    let mut notes = splits.notes;
    notes.extend(match &splits.empty_texts[..] {
        [] => None,
        [text] => Some(format!("1 text is empty and is left out: {text}")),
        [first, ..] => Some(format!(
            "{} texts are empty and are left out, such as {first}",
            crate::one_line::thousands(splits.empty_texts.len())
        )),
    });
    Ok(Splits { notes, ..splits })
}

impl Dataset {
    /// A data set of texts. A network reads as many tokens as the longest text has, up to 256 words or 1,024 characters.
    ///
    /// # Errors
    /// [`Error::DataMismatch`](crate::Error::DataMismatch) if there is not a label for each text, a label has no class, or there are fewer than two classes.
    pub fn from_texts(
        name: &str,
        classes: Vec<String>,
        texts: Vec<String>,
        labels: Vec<usize>,
        tokens: Tokens,
    ) -> Result<Self> {
        if texts.len() != labels.len() {
            return Err(crate::Error::DataMismatch(format!(
                "{} texts and {} labels",
                texts.len(),
                labels.len()
            )));
        }
        let lines = (1..=texts.len() as u64).collect();
        let pixels = Pixels::Texts(Arc::new(Texts::new(
            texts,
            Places::Lines(name.to_owned(), lines),
        )));
        let dataset = Self::new(name, classes, ONE_TEXT, pixels, labels)?;
        let options = Options {
            tokens,
            ..Options::default()
        };
        let splits = Splits::found(String::new(), dataset, None, None);
        Ok(with_length(splits, &options).train)
    }

    /// A sample's text; `None` if the samples are no texts.
    ///
    /// # Panics
    /// If `index` is out of range.
    pub fn text(&self, index: usize) -> Option<&str> {
        match &self.pixels {
            Pixels::Texts(texts) => Some(texts.text(self.rows[index])),
            _ => None,
        }
    }
}
