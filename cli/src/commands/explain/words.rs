//! Which words of a text support a class: coloured on a terminal, as a list, and on a page.
use std::path::Path;
use std::process::ExitCode;

use askama::Template;
use hubel::data::Tokens;
use hubel::explain::Score;
use hubel::explain::words::{Word, WordChecks, Words};
use hubel::{Error, Model, Prediction, Predictor, one_line};
use serde_json::{Value, json};

use super::{PAGE, folder, question, score, table};
use crate::args::Explain;
use crate::commands::{Outcome, quoted, top};
use crate::console::{self, thousands};
use crate::page::{self, Sentence};

/// How many words of each sign are listed.
const LISTED: usize = 5;

/// Explains `text` by `model`.
pub(super) fn explain(arguments: &Explain, model: &Model, text: &str) -> Outcome {
    let cpu = arguments.processor.cpu();
    let prediction = Predictor::new(model.clone(), cpu.clone())?.predict_text(text)?;
    let score = score(arguments, model, &prediction)?;
    let words = Words::of(&cpu, model, text, &score)?;
    let checks = match arguments.check {
        true => words.check(&cpu, model, &score)?,
        false => None,
    };
    let explained = Explained {
        model,
        prediction,
        score,
        words,
        checks,
    };
    let page = (arguments.out.as_ref())
        .map(|_| explained.write_page(arguments))
        .transpose()?;
    console::print(&match arguments.json {
        true => explained.object(page.as_deref()).to_string(),
        false => explained.text(arguments.check, page.as_deref()),
    })?;
    Ok(ExitCode::SUCCESS)
}

struct Explained<'a> {
    model: &'a Model,
    prediction: Prediction,
    score: Score,
    words: Words,
    checks: Option<WordChecks>,
}

impl Explained<'_> {
    fn question(&self) -> String {
        question(self.model, &self.score)
    }

    /// The largest magnitude of a support; not 0.
    fn largest(&self) -> f32 {
        let magnitudes = self.words.tokens.iter().map(|word| word.support.abs());
        magnitudes.fold(f32::MIN_POSITIVE, f32::max)
    }

    /// The words with the largest supports of a sign, the largest first.
    fn listed(&self, sign: f32) -> Vec<&Word> {
        let words = self.words.tokens.iter();
        let mut words: Vec<&Word> = words.filter(|word| sign * word.support > 0.0).collect();
        words.sort_by(|a, b| (sign * b.support).total_cmp(&(sign * a.support)));
        words.truncate(LISTED);
        words
    }

    fn text(&self, is_checked: bool, page: Option<&Path>) -> String {
        let classes = top(self.model, &self.prediction, 3).into_iter();
        let classes: Vec<String> = classes
            .map(|(name, probability)| format!("{} {:.2} %", one_line(&name), 100.0 * probability))
            .collect();
        let list = |sign: f32| {
            let words = self.listed(sign).into_iter();
            let words: Vec<String> = words
                .map(|word| format!("\"{}\" {:+.2}", one_line(&word.text), word.support))
                .collect();
            match words.is_empty() {
                true => "none".to_owned(),
                false => words.join(", "),
            }
        };
        let what = match self.score.against {
            Some(_) => "difference of logits",
            None => "logit",
        };
        let mut rows = vec![
            ("predicted", classes.join(", ")),
            (
                "explained",
                format!(
                    "why {}: {what} {:.3}",
                    one_line(&self.question()),
                    self.words.score
                ),
            ),
            ("for it", list(1.0)),
            ("against it", list(-1.0)),
        ];
        let (unknown, unread) = (self.unknown(), self.words.unread);
        if unknown > 0 {
            let named: Vec<String> = (self.words.tokens.iter())
                .filter(|word| !word.is_known)
                .take(LISTED)
                .map(|word| format!("\"{}\"", one_line(&word.text)))
                .collect();
            let more = if unknown > LISTED { ", …" } else { "" };
            rows.push((
                "unknown",
                format!(
                    "{unknown} of the {} {}: {}{more}",
                    self.words.tokens.len(),
                    self.tokens(),
                    named.join(", ")
                ),
            ));
        }
        if unread > 0 {
            rows.push((
                "not read",
                format!("the last {} of the text", counted(unread, self.tokens())),
            ));
        }
        match &self.checks {
            Some(checks) => rows.push(("check", checks.to_string())),
            None if is_checked => {
                rows.push(("check", "the text is too short to be checked".into()))
            }
            None => {}
        }
        if let Some(page) = page {
            rows.push(("page", quoted(page)));
        }
        let table = table(&rows, console::columns());
        match console::has_colour() {
            true => format!("{}\n\n{table}", self.coloured()),
            false => table,
        }
    }

    /// What the text is divided into.
    fn tokens(&self) -> Tokens {
        let vocabulary = self.model.vocabulary();
        vocabulary.map_or(Tokens::default(), |vocabulary| vocabulary.kind())
    }

    /// Number of words that the model does not know.
    fn unknown(&self) -> usize {
        let words = self.words.tokens.iter();
        words.filter(|word| !word.is_known).count()
    }

    /// The text on red where it supports the class, on blue where it counts against it.
    fn coloured(&self) -> String {
        let separator = self.tokens().separator();
        let words = self.words.tokens.iter().map(|word| {
            let share = (word.support.abs() / self.largest() * 4.0).round() as usize;
            let steps = match word.support > 0.0 {
                true => [0, 52, 88, 124, 160],
                false => [0, 17, 18, 19, 20],
            };
            match share {
                0 => one_line(&word.text).into_owned(),
                share => format!(
                    "\x1b[97;48;5;{}m{}\x1b[0m",
                    steps[share.min(4)],
                    one_line(&word.text)
                ),
            }
        });
        words.collect::<Vec<_>>().join(separator)
    }

    fn object(&self, page: Option<&Path>) -> Value {
        let words = self.words.tokens.iter().map(|word| {
            json!({
                "text": word.text,
                "support": console::decimal(word.support),
                "known": word.is_known,
            })
        });
        let checks = self.checks.as_ref().map(|checks| {
            json!({
                "finds_what_matters": checks.finds_what_matters(),
                "depends_on_weights": checks.depends_on_weights(),
                "deletion": checks.deletion,
                "random": checks.random,
                "correlation": checks.correlation,
                "bound": checks.bound,
            })
        });
        json!({
            "class": self.prediction.class,
            "probability": console::decimal(self.prediction.probability),
            "explained": self.question(),
            "score": console::decimal(self.words.score),
            "words": words.collect::<Vec<_>>(),
            "unread": self.words.unread,
            "checks": checks,
            "page": page.map(hubel::shown),
        })
    }

    fn write_page(&self, arguments: &Explain) -> Result<std::path::PathBuf, Error> {
        let path = folder(arguments, Path::new("text"))?.join(PAGE);
        let words = self.words.tokens.iter().map(|word| Shown {
            text: word.text.clone(),
            share: (100.0 * word.support.abs() / self.largest()).round() as usize,
            supports: word.support > 0.0,
            is_known: word.is_known,
            support: format!("{:+.3}", word.support),
        });
        let template = TextPage {
            command: "explain",
            title: format!("Why {}?", self.question()),
            answer: format!(
                "{} {:.2} %",
                self.prediction.class,
                100.0 * self.prediction.probability
            ),
            score: format!("{:.3}", self.words.score),
            is_difference: self.score.against.is_some(),
            words: words.collect(),
            separator: self.tokens().separator(),
            token: singular(self.tokens()),
            unread: match self.words.unread {
                0 => None,
                unread => Some(counted(unread, self.tokens())),
            },
            unknown: match self.unknown() {
                0 => None,
                unknown => Some(counted(unknown, self.tokens())),
            },
            check: self
                .checks
                .as_ref()
                .map(|checks| Sentence::new(&checks.to_string())),
        };
        page::write(&path, &template)?;
        Ok(path)
    }
}

/// A word on the page.
struct Shown {
    text: String,
    /// Its magnitude, in percent of the largest.
    share: usize,
    supports: bool,
    is_known: bool,
    support: String,
}

/// `word` or `character`.
fn singular(tokens: Tokens) -> &'static str {
    match tokens {
        Tokens::Words => "word",
        Tokens::Characters => "character",
    }
}

/// `1 word`, `2 words`
fn counted(count: usize, tokens: Tokens) -> String {
    match count {
        1 => format!("1 {}", singular(tokens)),
        _ => format!("{} {tokens}", thousands(count)),
    }
}

#[derive(Template)]
#[template(path = "words.html")]
struct TextPage {
    command: &'static str,
    title: String,
    answer: String,
    score: String,
    is_difference: bool,
    words: Vec<Shown>,
    separator: &'static str,
    /// What a token is called.
    token: &'static str,
    /// How many the network does not read.
    unread: Option<String>,
    /// How many the model does not know.
    unknown: Option<String>,
    check: Option<Sentence>,
}
