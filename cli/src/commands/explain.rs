//! `hubel explain`: what a network computes for a picture, and why it says what it says.
mod arithmetic;
mod page;
mod places;
mod why;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hubel::explain::{Explainer, Score, draw};
use hubel::network::Operation;
use hubel::{Drawing, Error, Model};
use serde_json::{Value, json};

use super::{Outcome, named};
use crate::args::Explain;
use crate::console::{self, Console};

/// The page inside the folder.
const PAGE: &str = "index.html";
/// Maps of a layer on the page.
const MAPS: usize = 16;
/// Filters on the page, and input channels of each.
const FILTERS: [usize; 2] = [64, 8];

/// Runs the command.
pub(crate) fn run(arguments: &Explain, console: &Console) -> Outcome {
    if let Some(kernel) = &arguments.kernel {
        return places::of_kernel(arguments, kernel, console);
    }
    let [model_path, picture] = &arguments.paths[..] else {
        let problem =
            "a model and a picture are needed, in this order; only --kernel goes without a model"
                .into();
        return Err(Error::Settings { problem }.into());
    };
    let model = named::load(model_path, console)?;
    let looked = Looked::at(arguments, &model, picture)?;
    match (arguments.at, arguments.filter) {
        (Some(at), _) => arithmetic::show(arguments, &model, looked, at),
        (None, Some(filter)) => places::of_filter(arguments, &looked, filter),
        (None, None) => everything(arguments, &model, looked, console),
    }
}

/// A picture that the network has looked at.
struct Looked {
    picture: PathBuf,
    prepared: hubel::data::Prepared,
    explainer: Explainer,
    /// What is explained.
    score: Score,
    /// What the model predicts, as of `hubel predict`.
    prediction: hubel::Prediction,
}

impl Looked {
    fn at(arguments: &Explain, model: &Model, picture: &Path) -> Result<Self, Error> {
        let cpu = arguments.processor.cpu();
        let (predictions, bad_files) = model.predict(&cpu, &[picture.to_owned()], 5)?;
        let Some(prediction) = predictions.into_iter().next() else {
            let bad = bad_files.into_iter().next();
            return Err(bad.expect("a picture is predicted or bad").into());
        };
        let class = arguments.class.as_ref().unwrap_or(&prediction.class);
        let score = Score {
            class: model.class(class)?,
            against: (arguments.against.as_ref())
                .map(|other| model.class(other))
                .transpose()?,
        };
        if score.against == Some(score.class) {
            return Err(Error::Settings {
                problem: format!("--against {class} is the class itself; name another one"),
            });
        }
        let prepared = model.preparation().picture(picture)?;
        let mut explainer = Explainer::new(&cpu, model, 1)?;
        explainer.look(&prepared.tensor);
        Ok(Self {
            picture: picture.to_owned(),
            prepared,
            explainer,
            score,
            prediction,
        })
    }

    /// `cat`, or `cat rather than dog`
    fn question(&self, model: &Model) -> String {
        let class = &model.classes()[self.score.class];
        match self.score.against {
            Some(other) => format!("{class} rather than {}", model.classes()[other]),
            None => class.clone(),
        }
    }
}

/// The folder that files go to, which is made.
fn folder(arguments: &Explain, picture: &Path) -> Result<PathBuf, Error> {
    let folder = arguments.out.clone().unwrap_or_else(|| {
        let stem = picture.file_stem().unwrap_or_default();
        PathBuf::from(format!("explain-{}", stem.to_string_lossy()))
    });
    fs::create_dir_all(&folder).map_err(|source| Error::Io {
        action: "create",
        path: folder.clone(),
        source,
    })?;
    Ok(folder)
}

/// Drawings that are written to a folder and shown on a page.
struct Files {
    folder: PathBuf,
    written: Vec<PathBuf>,
}

impl Files {
    /// Writes the drawing under this name and returns its PNG for the page.
    fn save(&mut self, name: &str, drawing: &Drawing) -> Result<Vec<u8>, Error> {
        let plain = |letter: char| {
            if letter.is_alphanumeric() || "-_.".contains(letter) {
                letter
            } else {
                '-'
            }
        };
        let name: String = name.chars().map(plain).collect();
        let path = self.folder.join(format!("{name}.png"));
        drawing.save(&path)?;
        self.written.push(path);
        Ok(drawing.png())
    }
}

fn everything(
    arguments: &Explain,
    model: &Model,
    mut looked: Looked,
    console: &Console,
) -> Outcome {
    let layer = (arguments.layer.as_ref())
        .map(|name| looked.explainer.node(name))
        .transpose()?;
    let mut files = Files {
        folder: folder(arguments, &looked.picture)?,
        written: Vec::new(),
    };
    let shape = model.input();
    let seen = draw::enlarged(&looked.prepared.pixels, shape);
    let seen = files.save("picture", &seen)?;
    let explanations = why::explain(arguments, model, &mut looked, &mut files, console)?;
    let summary = model.network().summary(shape, model.classes().len())?;
    let mut layers = Vec::new();
    for (node, summary) in (1..).zip(&summary.layers) {
        if layer.is_some_and(|chosen| chosen != node) {
            continue;
        }
        let explainer = &looked.explainer;
        let own = &explainer.nodes()[node];
        let most = if layer.is_some() { usize::MAX } else { MAPS };
        let (drawing, shown) = match [own.shape.height, own.shape.width] {
            [1, 1] => (draw::vector(explainer, node), own.shape.channels),
            _ => {
                let maps = draw::maps(explainer, node, most)?;
                (maps.drawing, maps.channels.len())
            }
        };
        let maps = files.save(&format!("maps-{}", own.name), &drawing)?;
        // Filters of the first layer are seen at a glance; deeper ones when they are asked for.
        let wants_filters = own.inputs == [0] || layer.is_some();
        let filters = match &own.operation {
            Operation::Conv(_) if wants_filters => {
                let most = if layer.is_some() {
                    [usize::MAX; 2]
                } else {
                    FILTERS
                };
                let (drawing, scale) = draw::filters(explainer, node, most)?;
                Some((
                    files.save(&format!("filters-{}", own.name), &drawing)?,
                    scale,
                ))
            }
            _ => None,
        };
        layers.push(page::Layer::new(summary, shown, &maps, filters));
    }
    let page = page::write(&files.folder, model, &looked, &seen, &explanations, &layers)?;
    if arguments.json {
        let explained: Vec<Value> = explanations.iter().map(why::Explanation::to_json).collect();
        console::print(
            &json!({
                "picture": looked.picture.display().to_string(),
                "class": looked.prediction.class,
                "probability": console::decimal(looked.prediction.probability),
                "explained": looked.question(model),
                "score": console::decimal(looked.score.value(looked.explainer.logits())),
                "explanations": explained,
                "layers": summary.layers.iter().map(|layer| &layer.name).collect::<Vec<_>>(),
                "files": files.written.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
                "page": page.display().to_string(),
            })
            .to_string(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "{}  {:.2} %\nexplained      {}, score {:.3}\n",
        looked.prediction.class,
        100.0 * looked.prediction.probability,
        looked.question(model),
        looked.score.value(looked.explainer.logits()),
    );
    for explanation in &explanations {
        text += &format!("{:<14} {}\n", explanation.name, explanation.finding);
    }
    text += &format!("page           {}", page.display());
    console::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
