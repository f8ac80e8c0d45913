//! `--data`: the training pictures that the network finds most similar, and those that the checks use.
use std::path::{Path, PathBuf};

use hubel::data::{Kind, Learned};
use hubel::explain::draw;
use hubel::explain::neighbours::{self, Neighbours};
use hubel::{Dataset, Drawing, Error, Model, one_line, shown};
use serde_json::{Value, json};

use super::checks::rounded;
use super::{Explain, Looked};
use crate::commands::{reading, report_bad_files};
use crate::console::{Console, thousands};

/// The training data.
pub(super) struct Data {
    path: PathBuf,
    learned: Learned,
}

impl Data {
    /// Reads `--data`, if given.
    pub(super) fn open(
        arguments: &Explain,
        model: &Model,
        console: &Console,
    ) -> Result<Option<Self>, Error> {
        let Some(path) = &arguments.data else {
            return Ok(None);
        };
        let learned = reading::of_training(path, model, &arguments.files, console)?;
        learned.notes.iter().for_each(|note| console.remark(note));
        report_bad_files(&learned.bad_files, console);
        if learned.is_known == Some(false) {
            console.remark(&format!(
                "the model was not trained on {}; its data is used in place of the training data",
                shown(path)
            ));
        }
        Ok(Some(Self {
            path: path.clone(),
            learned,
        }))
    }

    /// The path of a file relative to the data.
    fn inside<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.path).unwrap_or(path)
    }

    /// The images.
    pub(super) fn images(&self) -> &Dataset {
        &self.learned.dataset
    }
}

/// A training picture that is similar to the explained one.
pub(super) struct Alike {
    /// Its class in the data.
    pub(super) class: String,
    /// The distance, such as `0.042`, with an explanation if it is 0.
    pub(super) distance: String,
    /// Its file, or its index in the data.
    source: String,
    /// The same, relative to the folder of the data.
    pub(super) short: String,
    /// The picture as the network sees it.
    pub(super) drawing: Drawing,
}

/// The training pictures that the network finds most similar.
pub(super) struct Nearest {
    found: Neighbours,
    /// What they are.
    kind: Kind,
    pub(super) pictures: Vec<Alike>,
}

impl Nearest {
    /// Finds them.
    pub(super) fn of(
        arguments: &Explain,
        model: &Model,
        looked: &Looked,
        data: &Data,
        console: &Console,
    ) -> Result<Self, Error> {
        let (cpu, images) = (arguments.processor.cpu(), data.images());
        let bar = console.count("comparing", images.kind().plural());
        let found = neighbours::nearest(
            &cpu,
            model,
            &looked.prepared.tensor,
            images,
            arguments.nearest,
            &|done, all| bar.show(done, all),
        );
        bar.finish();
        let found = found?;
        report_bad_files(&found.bad_files, console);
        let mut pictures = Vec::new();
        for neighbour in &found.nearest {
            let path = neighbour.path.as_deref().map(|path| data.inside(path));
            if let Some(pixels) = neighbours::picture(&cpu, model, images, neighbour.index)? {
                pictures.push(Alike {
                    class: model.classes()[neighbour.class].clone(),
                    distance: distance(neighbour.distance),
                    source: source(neighbour.path.as_deref(), neighbour.index),
                    short: source(path, neighbour.index),
                    drawing: draw::enlarged(&pixels, model.input()),
                });
            }
        }
        Ok(Self {
            found,
            kind: images.kind(),
            pictures,
        })
    }

    /// How they were found, in a sentence.
    pub(super) fn finding(&self) -> String {
        let space = match self.found.layer.as_str() {
            "" => "compared by the values of the input".to_owned(),
            layer => format!(
                "compared by the {} values of layer {layer}",
                thousands(self.found.dimensions)
            ),
        };
        format!(
            "of {} training {}, {space}; the distance is 1 − cosine",
            thousands(self.found.count),
            self.kind
        )
    }

    /// One line each: class, distance, file.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.pictures.iter().map(|alike| {
            format!(
                "{}, {}: {}",
                one_line(&alike.class),
                alike.distance,
                alike.source
            )
        })
    }

    pub(super) fn to_json(&self, model: &Model) -> Value {
        let nearest = self.found.nearest.iter().map(|neighbour| {
            json!({
                "index": neighbour.index,
                "path": neighbour.path.as_deref().map(shown),
                "class": model.classes()[neighbour.class],
                "distance": rounded(neighbour.distance),
            })
        });
        json!({
            "layer": self.found.layer,
            "dimensions": self.found.dimensions,
            "compared": self.found.count,
            "nearest": nearest.collect::<Vec<_>>(),
        })
    }
}

fn distance(distance: f64) -> String {
    match distance {
        0.0..0.00005 => "0 (the same, or one that the network cannot tell apart)".to_owned(),
        distance => format!("{distance:.4}"),
    }
}

fn source(path: Option<&Path>, index: usize) -> String {
    path.map_or_else(|| format!("image {}", thousands(index)), shown)
}
