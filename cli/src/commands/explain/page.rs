//! The page: all drawings in one HTML file.
use std::path::{Path, PathBuf};

use askama::Template;
use hubel::data::Prepared;
use hubel::explain::draw::{self, Filters, Legend, Maps, Scale, Tile};
use hubel::{Drawing, Error, Model};

use super::data::{self, Nearest};
use super::why::Explanation;
use super::{Found, Looked, PAGE, frames, layers, question, quoted, remarks, title, top};
use crate::console::thousands;
use crate::page::{self, Sentence, embedded};

#[derive(Template)]
#[template(path = "explain.html")]
struct Page {
    command: &'static str,
    title: String,
    seen: Picture,
    input: String,
    remarks: Vec<&'static str>,
    network: String,
    question: String,
    score: String,
    is_difference: bool,
    classes: Vec<Class>,
    explanations: Vec<Shown>,
    /// The supports of a clip's frames, in a sentence.
    frames: Option<Sentence>,
    /// The training pictures that the network finds most similar.
    nearest: Option<NearestPictures>,
    /// The colour scales of maps: without negative values, and with.
    positive: Bar,
    signed: Bar,
    layers: Vec<Layer>,
}

/// What the picture of the input shows.
fn seen_as(model: &Model, prepared: &Prepared) -> String {
    let input = model.input();
    match model.preparation().medium.sound() {
        None => input.to_string(),
        Some(sound) => format!(
            "{input}, from {:.2} to {:.2} s of the recording from left to right and {:.0} to {:.0} Hz from bottom to top; 80 dB less than the loudest value is black",
            prepared.start.max(0.0),
            prepared.start + sound.seconds(),
            sound.spectrogram.lowest,
            sound.spectrogram.highest
        ),
    }
}

/// A picture embedded in the page.
struct Picture {
    source: String,
    /// Whether it is so small that its pixels are shown as squares.
    is_coarse: bool,
}

/// From this side on, pixels are not shown as squares.
const FINE: usize = 96;

impl Picture {
    fn new(drawing: &Drawing) -> Self {
        let shape = drawing.shape();
        Self {
            source: embedded("image/png", &drawing.png()),
            is_coarse: shape.height.max(shape.width) < FINE,
        }
    }
}

/// A colour scale with the labels of its ends.
struct Bar {
    low: String,
    high: String,
    colours: String,
}

impl Bar {
    fn new(scale: Scale) -> Self {
        let [low, high] = scale.ends().map(draw::short);
        let colours = scale.colours().iter().copied().map(css);
        Self {
            low,
            high,
            colours: colours.collect::<Vec<_>>().join(","),
        }
    }
}

fn css([red, green, blue]: [u8; 3]) -> String {
    format!("rgb({red},{green},{blue})")
}

/// A class with its probability.
struct Class {
    name: String,
    percent: String,
    width: String,
}

/// An explanation on the page.
struct Shown {
    name: &'static str,
    finding: Sentence,
    checks: Vec<Check>,
    source: String,
    bar: Bar,
}

/// The result of one check of an explanation.
struct Check {
    sentence: Sentence,
    has_failed: bool,
}

/// The similar training pictures, with a sentence about all of them.
struct NearestPictures {
    finding: Sentence,
    pictures: Vec<Alike>,
}

/// A training picture.
struct Alike {
    picture: Picture,
    class: String,
    distance: String,
    source: String,
}

impl NearestPictures {
    fn new(nearest: &Nearest) -> Self {
        let alike = |alike: &data::Alike| Alike {
            picture: Picture::new(&alike.drawing),
            class: alike.class.clone(),
            distance: alike.distance.clone(),
            source: alike.short.clone(),
        };
        Self {
            finding: Sentence::new(&nearest.finding()),
            pictures: nearest.pictures.iter().map(alike).collect(),
        }
    }
}

/// A layer on the page.
struct Layer {
    name: String,
    /// The name, quoted for a shell.
    word: String,
    kind: &'static str,
    output: String,
    /// Size formula, parameters, and remarks on what is not shown.
    details: Vec<String>,
    shown: Option<String>,
    filters: Option<FilterPictures>,
    maps: Vec<Small>,
    numbers: Vec<Number>,
    strip: Option<String>,
}

/// A map or a filter with its number.
struct Small {
    picture: Picture,
    label: String,
}

/// Filters, each as a picture or all in one.
struct FilterPictures {
    note: String,
    bar: Option<Bar>,
    small: Vec<Small>,
    all: Option<String>,
}

/// A value of a map of one pixel.
struct Number {
    label: String,
    value: String,
    colour: String,
    ink: &'static str,
}

/// Most weights of filters on a page; in a table, each takes about 6 bytes.
const WEIGHTS: usize = 400_000;

/// Above this count, squares are drawn without their values.
const NUMBERS: usize = 64;

impl Layer {
    fn new(layer: &layers::Layer, classes: Option<&[String]>) -> Self {
        let summary = &layer.summary;
        let channels = summary.output.channels;
        let mut details: Vec<String> = summary.formula.iter().cloned().collect();
        if summary.parameters > 0 {
            details.push(format!("{} parameters", thousands(summary.parameters)));
        }
        let (mut maps, mut numbers, mut strip) = (Vec::new(), Vec::new(), None);
        match &layer.shown {
            layers::Shown::Maps(found) => {
                maps = small_maps(found);
                if found.reduced > 1 {
                    details.push(format!(
                        "drawn at 1/{0}: each pixel is the mean of {0}×{0}",
                        found.reduced
                    ));
                }
            }
            layers::Shown::Numbers(found) if found.len() <= NUMBERS => {
                numbers = labelled(found, classes);
            }
            layers::Shown::Numbers(found) => {
                let [low, high] = Scale::of(found).ends().map(draw::short);
                details.push(format!("colours from {low} to {high}"));
                strip = Some(embedded("image/png", &draw::squares(found).png()));
            }
        }
        let shown = layer.count();
        Self {
            name: summary.name.clone(),
            word: quoted(&summary.name),
            kind: summary.kind,
            output: summary.output.to_string(),
            details,
            shown: (shown < channels).then(|| format!("the {shown} strongest of {channels} maps")),
            filters: layer
                .filters
                .as_ref()
                .map(|filters| FilterPictures::new(layer, filters)),
            maps,
            numbers,
            strip,
        }
    }
}

fn small_maps(maps: &Maps) -> Vec<Small> {
    let label = |tile: &Tile| format!("{}: {}", tile.number, draw::short(tile.largest));
    small(&maps.tiles, label)
}

fn small(tiles: &[Tile], label: impl Fn(&Tile) -> String) -> Vec<Small> {
    let small = |tile: &Tile| Small {
        picture: Picture::new(&tile.drawing()),
        label: label(tile),
    };
    tiles.iter().map(small).collect()
}

/// The values, with channel numbers or class names.
fn labelled(numbers: &[f32], classes: Option<&[String]>) -> Vec<Number> {
    let scale = Scale::of(numbers);
    let number = |(channel, value): (usize, &f32)| {
        let colour = scale.colour(*value);
        let brightness: u32 = [3, 6, 1]
            .iter()
            .zip(colour)
            .map(|(w, c)| w * u32::from(c))
            .sum();
        Number {
            label: classes.map_or_else(|| channel.to_string(), |classes| classes[channel].clone()),
            value: draw::short(*value),
            colour: css(colour),
            ink: if brightness > 1300 { "#111" } else { "#fff" },
        }
    };
    numbers.iter().enumerate().map(number).collect()
}

impl FilterPictures {
    fn new(layer: &layers::Layer, filters: &Filters) -> Self {
        let parameters = layer.summary.parameters;
        let file = layer
            .filters_file
            .iter()
            .filter_map(|path| path.file_name());
        let file: String = file.map(|name| name.to_string_lossy()).collect();
        let (note, bar) = match filters.legend {
            Legend::Colours(most) => {
                let most = draw::short(most);
                (
                    format!("in the colours of the picture: grey is 0, full colour ±{most}"),
                    None,
                )
            }
            Legend::Shared(scale) | Legend::Own(scale) => (String::new(), Some(Bar::new(scale))),
        };
        if !filters.tiles.is_empty() {
            return Self {
                note,
                bar,
                small: small(&filters.tiles, |tile| tile.number.to_string()),
                all: None,
            };
        }
        let rows = (WEIGHTS / (parameters / filters.count).max(1)).clamp(1, filters.count);
        let mut note = "each row is a filter, each column one of its input channels".to_owned();
        if rows < filters.count {
            note += &format!(
                "; shown: the first {rows} of {}; all are in {file}",
                filters.count
            );
        }
        Self {
            note,
            bar,
            small: Vec::new(),
            all: Some(embedded("image/png", &filters.first(rows).png())),
        }
    }
}

/// Writes the page into the folder and returns its path.
pub(super) fn write(
    folder: &Path,
    model: &Model,
    looked: &Looked,
    seen: &Drawing,
    found: &Found,
) -> Result<PathBuf, Error> {
    let class = |(name, probability): &(String, f32)| Class {
        name: name.clone(),
        percent: format!("{:.2} %", 100.0 * probability),
        width: format!("{:.1}", 100.0 * probability),
    };
    let shown_explanation = |explanation: &Explanation| Shown {
        name: explanation.name,
        finding: Sentence::new(&explanation.finding),
        checks: (explanation.checked())
            .map(|finding| Check {
                sentence: Sentence::new(&finding.sentence),
                has_failed: finding.has_failed,
            })
            .collect(),
        source: embedded("image/png", &explanation.png),
        bar: Bar::new(Scale::of(&explanation.map.values)),
    };
    let last = looked.explainer.nodes().len() - 1;
    let classes_of = |layer: &layers::Layer| {
        let is_last = looked.explainer.nodes()[last].name == layer.summary.name;
        is_last.then(|| model.classes())
    };
    let page = Page {
        command: "explain",
        title: title(&looked.picture),
        seen: Picture::new(seen),
        input: seen_as(model, &looked.prepared),
        remarks: remarks(&looked.prediction),
        network: model.network().to_string(),
        question: question(model, &looked.score),
        score: format!("{:.3}", looked.score.value(looked.explainer.logits())),
        is_difference: looked.score.against.is_some(),
        classes: top(model, &looked.prediction, 5)
            .iter()
            .map(class)
            .collect(),
        explanations: found.explanations.iter().map(shown_explanation).collect(),
        frames: (found.frames.as_ref()).map(|frames| Sentence::new(&frames::text(frames))),
        nearest: found.nearest.as_ref().map(NearestPictures::new),
        positive: Bar {
            high: "the map's largest".into(),
            ..Bar::new(Scale::Positive(1.0))
        },
        signed: Bar {
            low: "negative".into(),
            high: "positive".into(),
            ..Bar::new(Scale::Signed(1.0))
        },
        layers: (found.layers.iter())
            .map(|layer| Layer::new(layer, classes_of(layer)))
            .collect(),
    };
    let path = folder.join(PAGE);
    page::write(&path, &page)?;
    Ok(path)
}
