//! The texts of a training step, as the network reads them.
use std::process::ExitCode;

use hubel::data::{Feed, Vocabulary};
use hubel::one_line;
use serde_json::{Value, json};

use crate::args::Preview;
use crate::commands::{Outcome, wrapped};
use crate::console;

/// A text with its words as the network reads them.
struct Read<'a> {
    index: usize,
    class: &'a str,
    name: String,
    /// Each token, and whether the vocabulary has it.
    tokens: Vec<(String, bool)>,
    /// Number of tokens behind the end of the network's input.
    unread: usize,
}

/// Prints the texts of the step.
pub(super) fn preview(arguments: &Preview, feed: &Feed) -> Outcome {
    let (dataset, preparation) = (feed.dataset(), feed.preparation());
    let vocabulary = (preparation.medium.vocabulary()).expect("texts have a vocabulary");
    let draws = feed.draws(arguments.epoch, arguments.step)?;
    let shown = arguments.count.unwrap_or(draws.len());
    let read = |draw: &usize| {
        let index = feed.index(*draw);
        let text = dataset.text(index).unwrap_or_default();
        let (tokens, unread) = vocabulary.read(text, preparation.shape.time);
        Read {
            index,
            class: &dataset.classes()[feed.label(*draw)],
            name: dataset.name_of(index),
            tokens,
            unread,
        }
    };
    let texts: Vec<Read<'_>> = draws.iter().take(shown).map(read).collect();
    console::print(&match arguments.json {
        true => object(arguments, feed, &texts).to_string(),
        false => text(arguments, feed, vocabulary, &texts),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn object(arguments: &Preview, feed: &Feed, texts: &[Read<'_>]) -> Value {
    let texts = texts.iter().map(|read| {
        let unknown = read.tokens.iter().filter(|(_, is_known)| !is_known);
        json!({
            "index": read.index,
            "class": read.class,
            "name": read.name,
            "tokens": read.tokens.iter().map(|(token, _)| token).collect::<Vec<_>>(),
            "unknown": unknown.map(|(token, _)| token).collect::<Vec<_>>(),
            "unread": read.unread,
        })
    });
    json!({
        "data": feed.dataset().name(),
        "epoch": arguments.epoch,
        "step": arguments.step,
        "steps": feed.steps(),
        "texts": texts.collect::<Vec<_>>(),
    })
}

fn text(arguments: &Preview, feed: &Feed, vocabulary: &Vocabulary, texts: &[Read<'_>]) -> String {
    let (kind, length) = (vocabulary.kind(), feed.preparation().shape.time);
    let about = format!(
        "step {} of {} in epoch {}: up to {length} {kind} of each text are read; [those in brackets] are unknown",
        arguments.step,
        feed.steps(),
        arguments.epoch,
    );
    let columns = console::columns();
    let mut lines = wrapped(&about, "", columns);
    for read in texts {
        let tokens = read.tokens.iter().map(|(token, is_known)| match is_known {
            true => one_line(token).into_owned(),
            false => format!("[{}]", one_line(token)),
        });
        let separator = vocabulary.kind().separator();
        let mut words = tokens.collect::<Vec<_>>().join(separator);
        if read.unread > 0 {
            words += &format!(" … and {} more, unread", read.unread);
        }
        lines.push(String::new());
        lines.push(format!("{}, {}", one_line(read.class), read.name));
        lines.extend(wrapped(&words, "  ", columns));
    }
    lines.join("\n")
}
