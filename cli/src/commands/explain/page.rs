//! The page: one file that needs no network, light or dark as the reader's system is.
use std::path::{Path, PathBuf};

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubel::network::LayerSummary;
use hubel::{Error, Model};

use super::why::Explanation;
use super::{Looked, PAGE};
use crate::console::thousands;

#[derive(Template)]
#[template(path = "explain.html")]
struct Page<'a> {
    style: &'static str,
    picture: String,
    seen: String,
    input: String,
    inverted: bool,
    network: String,
    question: String,
    score: String,
    classes: Vec<Class>,
    explanations: Vec<Shown<'a>>,
    layers: &'a [Layer],
}

/// A class with its probability.
struct Class {
    name: String,
    percent: String,
    width: String,
}

/// An explanation on the page.
struct Shown<'a> {
    name: &'a str,
    finding: &'a str,
    image: String,
}

/// A layer on the page.
pub(super) struct Layer {
    name: String,
    kind: &'static str,
    output: String,
    formula: String,
    parameters: String,
    shown: String,
    maps: String,
    filters: Option<Filters>,
}

struct Filters {
    image: String,
    scale: String,
}

impl Layer {
    /// A layer with `shown` of its maps drawn, and perhaps its filters with their largest weight.
    pub(super) fn new(
        summary: &LayerSummary,
        shown: usize,
        maps: &[u8],
        filters: Option<(Vec<u8>, f32)>,
    ) -> Self {
        let [height, width, channels] = summary.output;
        Self {
            name: summary.name.clone(),
            kind: summary.kind,
            output: format!("{height}×{width}×{channels}"),
            formula: summary.formula.clone().unwrap_or_default(),
            parameters: thousands(summary.parameters),
            shown: match shown < channels {
                true => format!("the {shown} strongest of {channels} maps"),
                false => String::new(),
            },
            maps: embedded(maps),
            filters: filters.map(|(png, largest)| Filters {
                image: embedded(&png),
                scale: format!("{largest:.3}"),
            }),
        }
    }
}

/// Writes the page into the folder and returns its path.
pub(super) fn write(
    folder: &Path,
    model: &Model,
    looked: &Looked,
    seen: &[u8],
    explanations: &[Explanation],
    layers: &[Layer],
) -> Result<PathBuf, Error> {
    let classes = looked
        .prediction
        .top
        .iter()
        .map(|(name, probability)| Class {
            name: name.clone(),
            percent: format!("{:.2} %", 100.0 * probability),
            width: format!("{:.1}", 100.0 * probability),
        });
    let page = Page {
        style: include_str!("../../../templates/explain.css"),
        picture: looked.picture.display().to_string(),
        seen: embedded(seen),
        input: model.input().to_string(),
        inverted: looked.prediction.inverted,
        network: model.network().to_string(),
        question: looked.question(model),
        score: format!("{:.3}", looked.score.value(looked.explainer.logits())),
        classes: classes.collect(),
        explanations: (explanations.iter())
            .map(|explanation| Shown {
                name: explanation.name,
                finding: &explanation.finding,
                image: embedded(&explanation.png),
            })
            .collect(),
        layers,
    };
    let text = page.render().expect("a page of plain values is rendered");
    let path = folder.join(PAGE);
    hubel::replace_file(&path, text.as_bytes())?;
    Ok(path)
}

/// A PNG as the address of a picture.
fn embedded(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}
