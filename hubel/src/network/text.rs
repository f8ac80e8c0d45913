//! Parses architecture text; `write.rs` writes it.
use super::{Block, Item, Network};
use crate::{
    Error, Result,
    error::shortened,
    layers::{
        Layer, NAMES,
        arguments::{Argument, ArgumentError, Arguments, Value},
        canonical, torch,
    },
    nearest::nearest,
};
use std::ops::Range;

/// More layers than this are a typing error (`x1000000`).
const MOST_LAYERS: usize = 10_000;
/// The longest label in bytes. Each layer of a repeated labelled group stores it.
const LONGEST_LABEL: usize = 255;
/// Deepest nesting of brackets: far beyond any network, and safe for the stack.
const MOST_NESTING: usize = 32;

/// The network, and the place in the text of each of its [`layers`](Network::layers), in bytes.
pub(super) fn parse(text: &str) -> Result<(Network, Vec<Range<usize>>)> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        layers: 0,
        places: Vec::new(),
    };
    let items = flat(parser.chain()?);
    match parser.peek() {
        None if items.is_empty() => Err(parser.error(0..0, "there is no layer in it".into())),
        None => Ok((Network { items }, parser.places)),
        Some(']') => Err(parser.here("this `]` has no `[`")),
        Some(_) => {
            Err(parser.here("`|` separates branches within `residual[ … ]` and `concat[ … ]`"))
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    depth: usize,
    /// Number of layers so far, including repeats.
    layers: usize,
    /// Where each of them stands, without the sums of residuals and the branches of `concat`.
    places: Vec<Range<usize>>,
}

impl Parser<'_> {
    /// Layers up to the end, a `]` or a `|`.
    fn chain(&mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        loop {
            self.skip(|c| c.is_whitespace() || matches!(c, '-' | ','));
            match self.peek() {
                None | Some(']' | '|') => return Ok(items),
                Some('[') => items.extend(self.group()?),
                Some(_) => items.push(self.item()?),
            }
        }
    }

    /// `layer`, `label: layer` or `label: [ … ]`.
    fn item(&mut self) -> Result<Item> {
        let (word, place) = self.word("the name of a layer")?;
        self.skip(char::is_whitespace);
        if !self.take(':') {
            let (block, times) = self.block(&word, place.clone())?;
            if times == 1 {
                return Ok(Item { label: None, block });
            }
            // A repeated residual gives several items, but the caller takes one. So they are a group, which the caller merges.
            let items = vec![Item { label: None, block }; times];
            let block = Block::Chain(items);
            return Ok(Item { label: None, block });
        }
        if word.len() > LONGEST_LABEL {
            let message = format!("a label is at most {LONGEST_LABEL} bytes long");
            return Err(self.error(place, message));
        }
        let label = Some(word);
        self.skip(char::is_whitespace);
        if self.peek() == Some('[') {
            let block = Block::Chain(self.group()?);
            return Ok(Item { label, block });
        }
        let (name, place) = self.word("a layer or `[` after the label")?;
        let (block, times) = self.block(&name, place)?;
        let block = match times {
            1 => block,
            _ => Block::Chain(vec![Item { label: None, block }; times]),
        };
        Ok(Item { label, block })
    }

    /// `[ … ]x3`, repeated.
    fn group(&mut self) -> Result<Vec<Item>> {
        let start = self.at;
        let mut branches = self.branches()?;
        if branches.len() > 1 {
            let message = "only `residual[ … ]`, `concat[ … ]` and `multiply[ … ]` have branches";
            return Err(self.error(start..start + 1, message.into()));
        }
        let items = branches.remove(0);
        if items.is_empty() {
            return Err(self.error(start..self.at, "there is no layer in this group".into()));
        }
        let times = self.times(&items)?;
        Ok(vec![items; times].concat())
    }

    /// The settings after a layer's name, and the number of repeats.
    fn block(&mut self, word: &str, place: Range<usize>) -> Result<(Block, usize)> {
        let name = canonical(word);
        if ["residual", "concat", "multiply"].contains(&name.as_str()) {
            self.skip(char::is_whitespace);
            if self.peek() != Some('[') {
                return Err(self.error(place, format!("`{name}` needs its layers: `{name}[ … ]`")));
            }
            let mut branches = self.branches()?;
            let block = match (name.as_str(), branches.len()) {
                ("residual", 1 | 2) if !branches[0].is_empty() => Block::Residual {
                    shortcut: branches.split_off(1).pop().unwrap_or_default(),
                    body: branches.remove(0),
                },
                ("residual", _) => {
                    let message =
                        "`residual` is `residual[ body ]` or `residual[ body | shortcut ]`";
                    return Err(self.error(place, message.into()));
                }
                ("multiply", 2) if !branches.iter().all(Vec::is_empty) => Block::Multiply {
                    factors: branches.remove(1),
                    map: branches.remove(0),
                },
                ("multiply", _) => {
                    let message = "`multiply` needs two branches: `multiply[ map | factors ]`";
                    return Err(self.error(place, message.into()));
                }
                (_, count) if count < 2 || branches.iter().all(Vec::is_empty) => {
                    let message = "`concat` needs two branches or more: `concat[ a | b ]`";
                    return Err(self.error(place, message.into()));
                }
                _ => Block::Concat(branches),
            };
            let item = [Item { label: None, block }];
            self.count(own(&item[0].block), place)?;
            let times = self.times(&item)?;
            let [Item { block, .. }] = item;
            return Ok((block, times));
        }
        let given = self.arguments()?;
        torch::check(word, &name, &given)
            .map_err(|error| self.error(error.place.unwrap_or(place.clone()), error.message))?;
        let mut arguments = Arguments::new(given);
        let located =
            |error: ArgumentError| self.error(error.place.unwrap_or(place.clone()), error.message);
        let layer = match Layer::parse(&name, &mut arguments).map_err(located)? {
            Some(layer) => layer,
            None => return Err(self.unknown(word, &name, place)),
        };
        arguments.finish().map_err(located)?;
        let end = place.start + self.text[place.start..self.at].trim_end().len();
        self.places.push(place.start..end);
        self.count(1, place)?;
        Ok((Block::Layer(layer), 1))
    }

    /// `[ a | b | … ]`.
    fn branches(&mut self) -> Result<Vec<Vec<Item>>> {
        let open = self.at..self.at + 1;
        self.depth += 1;
        if self.depth > MOST_NESTING {
            let message = format!("brackets nest deeper than {MOST_NESTING}");
            return Err(self.error(open, message));
        }
        self.take('[');
        let mut branches = vec![flat(self.chain()?)];
        while self.take('|') {
            branches.push(flat(self.chain()?));
        }
        if !self.take(']') {
            return Err(self.error(open, "this `[` is never closed".into()));
        }
        self.depth -= 1;
        Ok(branches)
    }

    /// `x3` after a bracket; 1 without it.
    fn times(&mut self, items: &[Item]) -> Result<usize> {
        let after = self.at;
        self.skip(char::is_whitespace);
        let start = self.at;
        let is_repeat = self.take('x') || self.take('X') || self.take('×');
        if !is_repeat || !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at = if is_repeat { start } else { after };
            return Ok(1);
        }
        let (digits, place) = self.word("how often to repeat")?;
        let place = start..place.end;
        match digits.parse::<usize>() {
            Ok(times) if times > 0 => {
                let more = layers(items).saturating_mul(times - 1);
                self.count(more, place)?;
                let mut repeated = Vec::new();
                super::collect(items, &mut repeated);
                let first = self.places.len() - repeated.len();
                let again = vec![self.places[first..].to_vec(); times - 1].concat();
                self.places.extend(again);
                Ok(times)
            }
            _ => Err(self.error(
                place,
                "a group is repeated a whole number of times, at least 1".into(),
            )),
        }
    }

    fn count(&mut self, more: usize, place: Range<usize>) -> Result<()> {
        self.layers = self.layers.saturating_add(more);
        if self.layers > MOST_LAYERS {
            let message = format!("that makes more than {MOST_LAYERS} layers");
            return Err(self.error(place, message));
        }
        Ok(())
    }

    /// `( … )`, if there is one.
    fn arguments(&mut self) -> Result<Vec<Argument>> {
        let after = self.at;
        self.skip(char::is_whitespace);
        let open = self.at..self.at + 1;
        let mut arguments: Vec<Argument> = Vec::new();
        if !self.take('(') {
            self.at = after;
            return Ok(arguments);
        }
        loop {
            self.skip(char::is_whitespace);
            if self.take(')') {
                return Ok(arguments);
            }
            if self.peek().is_none() {
                return Err(self.error(open, "this `(` is never closed".into()));
            }
            let start = self.at;
            let mut value = self.value()?;
            let mut name = None;
            self.skip(char::is_whitespace);
            if let Value::Word(word) = &value
                && self.take('=')
            {
                let written = word.clone();
                self.skip(char::is_whitespace);
                value = self.value()?;
                let (known, meaning) = torch::setting(&written, value)
                    .map_err(|message| self.error(start..self.at, message))?;
                (name, value) = (Some(known), meaning);
            }
            let end = start + self.text[start..self.at].trim_end().len();
            let place = start..end;
            if name.is_none() && arguments.last().is_some_and(|last| last.name.is_some()) {
                let message = "a setting without a name must come before those with one";
                return Err(self.error(place, message.into()));
            }
            arguments.push(Argument { name, value, place });
            self.skip(char::is_whitespace);
            if !self.take(',') && !matches!(self.peek(), Some(')') | None) {
                return Err(self.here("`,` or `)` is missing before this"));
            }
        }
    }

    /// A number, a word, `(1,2)` or `constant(0.5)`.
    fn value(&mut self) -> Result<Value> {
        if self.take('(') {
            return Ok(Value::Tuple(self.values()?));
        }
        let (word, _) = self.number_or_word()?;
        if self.take('(') {
            return Ok(Value::Call(word, self.values()?));
        }
        Ok(Value::Word(word))
    }

    /// Plain values up to `)`.
    fn values(&mut self) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            self.skip(char::is_whitespace);
            if self.take(')') {
                return Ok(values);
            }
            values.push(Value::Word(self.number_or_word()?.0));
            self.skip(char::is_whitespace);
            if !self.take(',') && self.peek() != Some(')') {
                return Err(self.here("`,` or `)` is missing here"));
            }
        }
    }

    /// A word in lower case. A sign may come first, or after the `e` of an exponent.
    fn number_or_word(&mut self) -> Result<(String, Range<usize>)> {
        let start = self.at;
        let mut before = ' ';
        let digits = |start: usize, text: &str| {
            text[start..].starts_with(|c: char| c.is_ascii_digit() || c == '.')
        };
        while let Some(c) = self.peek() {
            let unsigned = self.text[start..self.at].trim_start_matches(['-', '+']);
            let exponent = before.eq_ignore_ascii_case(&'e') && digits(0, unsigned);
            let sign = matches!(c, '-' | '+') && (self.at == start || exponent);
            if !(sign || is_word(c)) {
                break;
            }
            before = c;
            self.at += c.len_utf8();
        }
        if self.at == start {
            return Err(self.here("a value is missing here"));
        }
        let place = start..self.at;
        Ok((self.text[place.clone()].to_lowercase(), place))
    }

    /// Letters, digits, `_` and `.`.
    fn word(&mut self, expected: &str) -> Result<(String, Range<usize>)> {
        let start = self.at;
        self.skip(is_word);
        match self.at {
            end if end == start => Err(self.here(&format!("{expected} is missing here"))),
            end => Ok((self.text[start..end].to_owned(), start..end)),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches(unwanted).len();
    }

    fn unknown(&self, word: &str, name: &str, place: Range<usize>) -> Error {
        let hint = match nearest(name, NAMES) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => format!("; the layers are {}", NAMES.join(", ")),
        };
        self.error(place, format!("there is no layer `{word}`{hint}"))
    }

    fn here(&self, message: &str) -> Error {
        let end = self.at + self.peek().map_or(0, char::len_utf8);
        self.error(self.at..end, message.into())
    }

    fn error(&self, place: Range<usize>, message: String) -> Error {
        Error::Architecture {
            message: shortened(message),
            excerpt: excerpt(self.text, place.clone()),
            place,
        }
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// Merges groups without a label into their chain.
fn flat(items: Vec<Item>) -> Vec<Item> {
    (items.into_iter())
        .flat_map(|item| match item {
            Item {
                label: None,
                block: Block::Chain(items),
            } => flat(items),
            other => vec![other],
        })
        .collect()
}

/// Number of layers in a chain and its branches.
fn layers(items: &[Item]) -> usize {
    (items.iter())
        .map(|item| {
            own(&item.block)
                + match &item.block {
                    Block::Layer(_) => 0,
                    Block::Chain(items) => layers(items),
                    Block::Residual { body, shortcut } => layers(body) + layers(shortcut),
                    Block::Multiply { map, factors } => layers(map) + layers(factors),
                    Block::Concat(branches) => branches.iter().map(|branch| layers(branch)).sum(),
                }
        })
        .sum()
}

/// The count of a block without its layers: 1 for the sum of a residual and for a product, and 1 for each branch, even an empty one.
fn own(block: &Block) -> usize {
    match block {
        Block::Layer(_) | Block::Residual { .. } | Block::Multiply { .. } => 1,
        Block::Chain(_) => 0,
        Block::Concat(branches) => branches.len(),
    }
}

/// The line with the position, cut to a readable width, with carets under the position.
pub(crate) fn excerpt(text: &str, place: Range<usize>) -> String {
    const MARGIN: usize = 40;
    let start = text[..place.start].rfind('\n').map_or(0, |end| end + 1);
    let end = text[place.start..]
        .find('\n')
        .map_or(text.len(), |length| place.start + length);
    let before: Vec<char> = text[start..place.start].chars().collect();
    let spot = &text[place.start..place.end.clamp(place.start, end)];
    let spot: String = spot.chars().take(2 * MARGIN).collect();
    let after: Vec<char> = text[place.start + spot.len()..end].chars().collect();
    let cut_before = before.len().saturating_sub(MARGIN);
    let (dots_before, dots_after) = (
        if cut_before > 0 { "…" } else { "" },
        if after.len() > MARGIN { "…" } else { "" },
    );
    let shown_before: String = before[cut_before..].iter().collect();
    let shown_after: String = after.iter().take(MARGIN).collect();
    let line = format!("{dots_before}{shown_before}{spot}{shown_after}{dots_after}");
    let line = line.replace(|c: char| c.is_control(), " ");
    let indent = " ".repeat(dots_before.chars().count() + before.len() - cut_before);
    let carets = "^".repeat(spot.chars().count().max(1));
    format!("  {line}\n  {indent}{carets}")
}
