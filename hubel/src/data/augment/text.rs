//! The text form of an augmentation: parsing and writing.
use std::fmt;
use std::ops::{Range, RangeInclusive};

use super::affine::Affine;
use super::colour::Jitter;
use super::erase::{Erase, Fill};
use super::shift::{Border, Crop};
use super::sound::{self, SoundOperation};
use super::{Augmentation, Operation, PRESETS, Presets};
use crate::layers::arguments::{Argument, ArgumentError, Arguments, Value};
use crate::nearest::nearest;
use crate::network::excerpt;
use crate::{Error, Result};

/// The operations' names.
const NAMES: [&str; 15] = [
    "flip",
    "vflip",
    "crop",
    "affine",
    "rotate",
    "translate",
    "scale",
    "shear",
    "jitter",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "erase",
    "trivial",
];
/// Most operations. More are probably a scripting mistake, and each takes time for each picture.
const MOST_OPERATIONS: usize = 32;
/// Range of scale factors for recognisable pictures; it also keeps coordinates in range.
const SCALES: RangeInclusive<f32> = 0.01..=100.0;

/// torchvision's names for the same operations, without `random`.
fn canonical(word: &str) -> String {
    let word = word.to_lowercase().replace(['_', '-', ' '], "");
    let word = word.strip_prefix("random").unwrap_or(&word);
    match word {
        "horizontalflip" | "hflip" => "flip",
        "verticalflip" => "vflip",
        "rotation" => "rotate",
        "colorjitter" | "colourjitter" | "color" | "colour" => "jitter",
        "erasing" => "erase",
        "trivialaugment" | "trivialaugmentwide" => "trivial",
        other => other,
    }
    .into()
}

pub(super) fn parse(text: &str, presets: Presets) -> Result<Augmentation> {
    let mut operations = Vec::new();
    let error = |place: Range<usize>, message: String| Error::Augmentation {
        message,
        excerpt: excerpt(text, place),
    };
    let items = split(text, 0..text.len())
        .map_err(|place| error(place.clone(), unbalanced(text, place)))?;
    for item in items {
        let (name, settings) = call(text, item.clone());
        let word = &text[name.clone()];
        let canonical = canonical(word);
        if let (Some(preset), None) = (Augmentation::preset(&canonical, presets), &settings) {
            operations.extend(preset.operations);
            continue;
        }
        let settings = match settings {
            None => Vec::new(),
            Some(place) => split(text, place)
                .map_err(|place| error(place.clone(), unbalanced(text, place)))?
                .into_iter()
                .map(|place| argument(text, place))
                .collect(),
        };
        let mut arguments = Arguments::new(settings);
        let located =
            |problem: ArgumentError| error(problem.place.unwrap_or(item.clone()), problem.message);
        match operation(&canonical, &mut arguments).map_err(located)? {
            Some(operation) => {
                arguments.finish().map_err(located)?;
                operations.push(operation);
            }
            None => return Err(error(name, unknown(word, &canonical))),
        }
    }
    if operations.len() > MOST_OPERATIONS {
        let message = format!("these are more than {MOST_OPERATIONS} operations");
        return Err(error(0..text.len(), message));
    }
    Ok(Augmentation { operations })
}

fn unknown(word: &str, canonical: &str) -> String {
    let known = || NAMES.into_iter().chain(sound::NAMES).chain(PRESETS);
    let hint = match nearest(canonical, known()) {
        _ if word.is_empty() => "an operation is missing here".into(),
        _ if PRESETS.contains(&canonical) => format!("the preset `{word}` takes no settings"),
        Some(near) => format!("there is no operation `{word}`; did you mean `{near}`?"),
        None => format!("there is no operation `{word}`"),
    };
    if hint.ends_with('?') || PRESETS.contains(&canonical) {
        return hint;
    }
    format!(
        "{hint}; the operations are {}, for recordings {}, the presets {}",
        NAMES.join(", "),
        sound::NAMES.join(", "),
        PRESETS.join(", ")
    )
}

fn unbalanced(text: &str, place: Range<usize>) -> String {
    match &text[place] {
        ")" => "this `)` has no `(`".into(),
        _ => "this `(` is never closed".into(),
    }
}

/// Splits at commas outside parentheses, and trims spaces. An empty part is an error, except for a comma at the
/// end. An unmatched parenthesis is an error with its position.
fn split(text: &str, place: Range<usize>) -> Result<Vec<Range<usize>>, Range<usize>> {
    let mut parts = Vec::new();
    let mut open = Vec::new();
    let mut start = place.start;
    for (at, letter) in text[place.clone()].char_indices() {
        let at = place.start + at;
        match letter {
            '(' => open.push(at),
            ')' if open.pop().is_none() => return Err(at..at + 1),
            ',' if open.is_empty() => {
                parts.push(trimmed(text, start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    if let Some(at) = open.pop() {
        return Err(at..at + 1);
    }
    let last = trimmed(text, start..place.end);
    let whole = parts.is_empty() && place == (0..text.len());
    if !last.is_empty() || whole {
        parts.push(last);
    }
    Ok(parts)
}

fn trimmed(text: &str, place: Range<usize>) -> Range<usize> {
    let part = &text[place.clone()];
    let start = place.start + part.len() - part.trim_start().len();
    start..start + part.trim().len()
}

/// The positions of a name and of the text in the parentheses after it.
fn call(text: &str, place: Range<usize>) -> (Range<usize>, Option<Range<usize>>) {
    let part = &text[place.clone()];
    match part.find('(') {
        Some(open) if part.ends_with(')') => (
            trimmed(text, place.start..place.start + open),
            Some(place.start + open + 1..place.end - 1),
        ),
        _ => (place, None),
    }
}

/// `name=value` or only a value.
fn argument(text: &str, place: Range<usize>) -> Argument {
    let part = &text[place.clone()];
    let (name, value) = match part.split_once('=') {
        Some((name, value)) => (Some(name.trim().to_lowercase()), value.trim()),
        None => (None, part),
    };
    let word = |value: &str| Value::Word(value.trim().to_lowercase());
    let inner = (value.strip_prefix('(')).and_then(|value| value.strip_suffix(')'));
    let value = match inner {
        Some(inner) => Value::Tuple(inner.split(',').map(word).collect()),
        None => word(value),
    };
    Argument { name, value, place }
}

/// Parses the settings of the operation with this name; `None` for an unknown name.
fn operation(name: &str, arguments: &mut Arguments) -> Result<Option<Operation>, ArgumentError> {
    let affine = Affine::default();
    let jitter = Jitter::default();
    Ok(Some(match name {
        "flip" => flip(arguments)?,
        "vflip" => Operation::VerticalFlip(probability(arguments)?),
        "crop" => {
            let padding = arguments.parse(
                "padding",
                "a whole number of pixels, 1 or more, or a share of the side below 1",
                |value| {
                    let padding: f32 = value.number()?;
                    // Up to 2²⁰: no picture is larger, and beyond it f32 cannot represent every pixel.
                    let fits = padding > 0.0 && padding <= 1_048_576.0;
                    (fits && (padding < 1.0 || padding.fract() == 0.0)).then_some(padding)
                },
            )?;
            let padding = padding.ok_or_else(|| {
                let message = "`crop` needs its padding: crop(4) in pixels, or crop(0.125) as a share of the side";
                ArgumentError::layer(message)
            })?;
            let mode = arguments
                .choice("mode", &Border::NAMES)?
                .unwrap_or_default();
            Operation::Crop(Crop { padding, mode })
        }
        "affine" => Operation::Affine(Affine {
            rotate: number(arguments, "rotate", 0.0..=180.0)?.unwrap_or(0.0),
            translate: number(arguments, "translate", 0.0..=1.0)?.unwrap_or(0.0),
            scale: range(arguments, "scale", SCALES)?.unwrap_or(affine.scale),
            shear: number(arguments, "shear", 0.0..=80.0)?.unwrap_or(0.0),
            mode: arguments
                .choice("mode", &Border::NAMES)?
                .unwrap_or_default(),
        }),
        "rotate" => Operation::Affine(Affine {
            rotate: needed(arguments, "degrees", 0.0..=180.0, "rotate(15)")?,
            mode: arguments
                .choice("mode", &Border::NAMES)?
                .unwrap_or_default(),
            ..affine
        }),
        "translate" => Operation::Affine(Affine {
            translate: needed(arguments, "share", 0.0..=1.0, "translate(0.1)")?,
            mode: arguments
                .choice("mode", &Border::NAMES)?
                .unwrap_or_default(),
            ..affine
        }),
        "scale" => {
            let min = needed(arguments, "min", SCALES, "scale(0.8, 1.2)")?;
            let max = needed(arguments, "max", SCALES, "scale(0.8, 1.2)")?;
            if min > max {
                let message = format!("`min` {min} lies above `max` {max}");
                return Err(ArgumentError::layer(message));
            }
            Operation::Affine(Affine {
                scale: [min, max],
                mode: arguments
                    .choice("mode", &Border::NAMES)?
                    .unwrap_or_default(),
                ..affine
            })
        }
        "shear" => Operation::Affine(Affine {
            shear: needed(arguments, "degrees", 0.0..=80.0, "shear(10)")?,
            mode: arguments
                .choice("mode", &Border::NAMES)?
                .unwrap_or_default(),
            ..affine
        }),
        "jitter" => Operation::Jitter(Jitter {
            brightness: number(arguments, "brightness", 0.0..=10.0)?.unwrap_or(0.0),
            contrast: number(arguments, "contrast", 0.0..=10.0)?.unwrap_or(0.0),
            saturation: number(arguments, "saturation", 0.0..=10.0)?.unwrap_or(0.0),
            hue: number(arguments, "hue", 0.0..=0.5)?.unwrap_or(0.0),
        }),
        "brightness" => Operation::Jitter(Jitter {
            brightness: needed(arguments, "strength", 0.0..=10.0, "brightness(0.4)")?,
            ..jitter
        }),
        "contrast" => Operation::Jitter(Jitter {
            contrast: needed(arguments, "strength", 0.0..=10.0, "contrast(0.4)")?,
            ..jitter
        }),
        "saturation" => Operation::Jitter(Jitter {
            saturation: needed(arguments, "strength", 0.0..=10.0, "saturation(0.4)")?,
            ..jitter
        }),
        "hue" => Operation::Jitter(Jitter {
            hue: needed(arguments, "turn", 0.0..=0.5, "hue(0.1)")?,
            ..jitter
        }),
        "erase" => {
            let usual = Erase::default();
            Operation::Erase(Erase {
                probability: probability(arguments)?,
                scale: range(arguments, "scale", 0.0..=1.0)?.unwrap_or(usual.scale),
                ratio: range(arguments, "ratio", SCALES)?.unwrap_or(usual.ratio),
                fill: fill(arguments)?.unwrap_or(usual.fill),
            })
        }
        "trivial" => Operation::Trivial,
        "timeshift" => {
            let share = needed(arguments, "share", 0.0..=1.0, "timeshift(0.1)")?;
            Operation::Sound(SoundOperation::TimeShift(share))
        }
        "gain" => {
            let decibels = needed(arguments, "decibels", 0.0..=60.0, "gain(6)")?;
            Operation::Sound(SoundOperation::Gain(decibels))
        }
        "noise" => {
            let min = needed(arguments, "min", -20.0..=100.0, "noise(10, 40)")?;
            let max = needed(arguments, "max", -20.0..=100.0, "noise(10, 40)")?;
            if min > max {
                let message = format!("`min` {min} lies above `max` {max}");
                return Err(ArgumentError::layer(message));
            }
            Operation::Sound(SoundOperation::Noise([min, max]))
        }
        "timemask" => {
            let frames = count(arguments, "frames", "timemask(10)")?;
            Operation::Sound(SoundOperation::TimeMask(frames))
        }
        "bandmask" => {
            let bands = count(arguments, "bands", "bandmask(6)")?;
            Operation::Sound(SoundOperation::BandMask(bands))
        }
        _ => return Ok(None),
    }))
}

/// `flip`, `flip(0.3)` or `flip(alternating)`.
fn flip(arguments: &mut Arguments) -> Result<Operation, ArgumentError> {
    let expected = "a number from 0 to 1, or alternating";
    let flip = arguments.parse("p", expected, |value| match value {
        Value::Word(word) if word == "alternating" => Some(Operation::AlternatingFlip),
        _ => (value.number())
            .filter(|probability| (0.0..=1.0).contains(probability))
            .map(Operation::Flip),
    })?;
    Ok(flip.unwrap_or(Operation::Flip(0.5)))
}

fn probability(arguments: &mut Arguments) -> Result<f32, ArgumentError> {
    Ok(number(arguments, "p", 0.0..=1.0)?.unwrap_or(0.5))
}

fn fill(arguments: &mut Arguments) -> Result<Option<Fill>, ArgumentError> {
    let expected = "mean, random or a level from 0 to 255";
    arguments.parse("value", expected, |value| match value {
        Value::Word(word) if word == "mean" => Some(Fill::Mean),
        Value::Word(word) if word == "random" => Some(Fill::Random),
        _ => value.number().map(Fill::Level),
    })
}

fn number(
    arguments: &mut Arguments,
    name: &'static str,
    fits: RangeInclusive<f32>,
) -> Result<Option<f32>, ArgumentError> {
    let expected = format!("a number from {} to {}", fits.start(), fits.end());
    arguments.parse(name, &expected, |value| {
        value.number().filter(|number| fits.contains(number))
    })
}

/// As [`number`], for a required setting of an operation such as `example`.
fn needed(
    arguments: &mut Arguments,
    name: &'static str,
    fits: RangeInclusive<f32>,
    example: &str,
) -> Result<f32, ArgumentError> {
    number(arguments, name, fits)?
        .ok_or_else(|| ArgumentError::layer(format!("`{name}` is missing, as in `{example}`")))
}

/// A required whole number of at least 1, for an operation such as `example`.
fn count(
    arguments: &mut Arguments,
    name: &'static str,
    example: &str,
) -> Result<usize, ArgumentError> {
    let count = arguments.parse(name, "a whole number from 1 to 100000", |value| {
        let count: usize = value.number()?;
        (1..=100_000).contains(&count).then_some(count)
    })?;
    count.ok_or_else(|| ArgumentError::layer(format!("`{name}` is missing, as in `{example}`")))
}

/// `(min, max)`.
fn range(
    arguments: &mut Arguments,
    name: &'static str,
    fits: RangeInclusive<f32>,
) -> Result<Option<[f32; 2]>, ArgumentError> {
    let expected = format!(
        "(min, max), two numbers from {} to {}",
        fits.start(),
        fits.end()
    );
    arguments.parse(name, &expected, |value| match value {
        Value::Tuple(values) => match values.as_slice() {
            [min, max] => {
                let (min, max): (f32, f32) = (min.number()?, max.number()?);
                (fits.contains(&min) && fits.contains(&max) && min <= max).then_some([min, max])
            }
            _ => None,
        },
        _ => None,
    })
}

/// The text that [`parse`] parses as the same operation, without settings at their default.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, settings) = match *self {
            Self::Flip(probability) => ("flip", usual_left_out(probability)),
            Self::AlternatingFlip => ("flip", vec!["alternating".into()]),
            Self::VerticalFlip(probability) => ("vflip", usual_left_out(probability)),
            Self::Crop(Crop { padding, mode }) => {
                ("crop", with_mode(vec![padding.to_string()], mode))
            }
            Self::Affine(affine) => affine_settings(affine),
            Self::Jitter(jitter) => jitter_settings(jitter),
            Self::Erase(erase) => ("erase", erase_settings(erase)),
            Self::Trivial => ("trivial", vec![]),
            Self::Sound(operation) => return operation.fmt(f),
        };
        match settings.as_slice() {
            [] => f.write_str(name),
            settings => write!(f, "{name}({})", settings.join(", ")),
        }
    }
}

fn usual_left_out(probability: f32) -> Vec<String> {
    match probability {
        0.5 => vec![],
        other => vec![other.to_string()],
    }
}

fn with_mode(mut settings: Vec<String>, mode: Border) -> Vec<String> {
    if mode != Border::default() {
        settings.push(format!("mode={mode}"));
    }
    settings
}

fn pair([min, max]: [f32; 2]) -> String {
    format!("({min}, {max})")
}

fn affine_settings(affine: Affine) -> (&'static str, Vec<String>) {
    let usual = Affine::default();
    let mut named = Vec::new();
    if affine.rotate != usual.rotate {
        named.push(("rotate", affine.rotate.to_string()));
    }
    if affine.translate != usual.translate {
        named.push(("translate", affine.translate.to_string()));
    }
    if affine.scale != usual.scale {
        named.push(("scale", pair(affine.scale)));
    }
    if affine.shear != usual.shear {
        named.push(("shear", affine.shear.to_string()));
    }
    let (name, settings) = shortest("affine", named);
    (name, with_mode(settings, affine.mode))
}

fn jitter_settings(jitter: Jitter) -> (&'static str, Vec<String>) {
    let settings = [
        ("brightness", jitter.brightness),
        ("contrast", jitter.contrast),
        ("saturation", jitter.saturation),
        ("hue", jitter.hue),
    ];
    let named = (settings.into_iter())
        .filter(|(_, strength)| *strength != 0.0)
        .map(|(name, strength)| (name, strength.to_string()));
    shortest("jitter", named.collect())
}

/// `rotate(15)` rather than `affine(rotate=15)`.
fn shortest(
    name: &'static str,
    mut named: Vec<(&'static str, String)>,
) -> (&'static str, Vec<String>) {
    if named.len() == 1 {
        let (name, value) = named.remove(0);
        let inner = value.trim_start_matches('(').trim_end_matches(')');
        return (name, vec![inner.to_owned()]);
    }
    let settings = named
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    (name, settings.collect())
}

fn erase_settings(erase: Erase) -> Vec<String> {
    let usual = Erase::default();
    let mut settings = usual_left_out(erase.probability);
    if erase.scale != usual.scale {
        settings.push(format!("scale={}", pair(erase.scale)));
    }
    if erase.ratio != usual.ratio {
        settings.push(format!("ratio={}", pair(erase.ratio)));
    }
    match erase.fill {
        Fill::Mean => {}
        Fill::Random => settings.push("value=random".into()),
        Fill::Level(level) => settings.push(format!("value={level}")),
    }
    settings
}
