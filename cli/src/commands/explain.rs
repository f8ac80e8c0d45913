//! `hubel explain`: what a network computes for a picture, and why it chooses a class.
mod arithmetic;
mod checks;
mod data;
mod frames;
mod layers;
mod page;
mod places;
mod why;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hubel::data::Kind;
use hubel::explain::frames::Frames;
use hubel::explain::{Explainer, Score, draw};
use hubel::{Drawing, Error, Model, Predictor, one_line, shown};
use serde_json::{Value, json};

use super::{Outcome, named, quoted, remarks, top, wrapped};
use crate::args::Explain;
use crate::console::{self, Console};

/// The page inside the folder.
const PAGE: &str = "index.html";

/// Runs the command.
pub(crate) fn run(arguments: &Explain, console: &Console) -> Outcome {
    if let Some(kernel) = &arguments.kernel {
        return places::of_kernel(arguments, kernel, console);
    }
    if let Some(text) = &arguments.text {
        let model = named::load(&arguments.paths[0], console)?;
        return match (arguments.at, &arguments.layer) {
            (Some(at), _) => arithmetic::of_text(arguments, &model, text, at),
            (None, None) => words::explain(arguments, &model, text),
            (None, Some(_)) => Err(Error::Settings {
                problem: "the layers of a network for texts are shown by single values: give --at T,Y,X,C with --layer".into(),
            }
            .into()),
        };
    }
    let [model_path, picture] = &arguments.paths[..] else {
        unreachable!("the command line was checked")
    };
    let model = arguments.size.of(named::load(model_path, console)?)?;
    if model.vocabulary().is_ok() {
        return Err(Error::Settings {
            problem: "the model was trained on texts; give the text to explain with --text".into(),
        }
        .into());
    }
    let looked = Looked::at(arguments, &model, picture)?;
    match (arguments.at, arguments.filter) {
        (Some(at), _) => {
            let Looked {
                explainer, score, ..
            } = looked;
            arithmetic::show(arguments, &model, explainer, score, at)
        }
        (None, Some(filter)) => places::of_filter(arguments, &looked, filter),
        (None, None) => everything(arguments, &model, looked, console),
    }
}

/// A picture with its maps and its prediction.
struct Looked {
    picture: PathBuf,
    prepared: hubel::data::Prepared,
    explainer: Explainer,
    /// The score that is explained.
    score: Score,
    /// The prediction, the same as that of `hubel predict`.
    prediction: hubel::Prediction,
}

impl Looked {
    fn at(arguments: &Explain, model: &Model, picture: &Path) -> Result<Self, Error> {
        let cpu = arguments.processor.cpu();
        let mut predictor = Predictor::new(model.clone(), cpu.clone())?;
        let mut answers = predictor.predict_files(&[picture.to_owned()])?;
        let prediction = answers.remove(0)?;
        let score = score(arguments, model, &prediction)?;
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
}

fn kind_of(model: &Model) -> Kind {
    model.preparation().medium.kind()
}

/// What a score stands for: `cat`, or `cat rather than dog`.
fn question(model: &Model, score: &Score) -> String {
    let class = &model.classes()[score.class];
    match score.against {
        Some(other) => format!("{class} rather than {}", model.classes()[other]),
        None => class.clone(),
    }
}

/// The score that is explained: of `--class` or the predicted class, and `--against` another one.
fn score(
    arguments: &Explain,
    model: &Model,
    prediction: &hubel::Prediction,
) -> Result<Score, Error> {
    let class = arguments.class.as_ref().unwrap_or(&prediction.class);
    let score = Score {
        class: model.class(class)?,
        against: (arguments.against.as_ref())
            .map(|other| model.class(other))
            .transpose()?,
    };
    match score.against == Some(score.class) {
        true => Err(Error::Settings {
            problem: format!("--against {class} is the explained class itself; name another class"),
        }),
        false => Ok(score),
    }
}

/// The name of what is explained: that of a file; of the folder of a clip also the folder around it, which is often its class.
fn title(path: &Path) -> String {
    let names: Vec<_> = path
        .iter()
        .rev()
        .take(if path.is_dir() { 2 } else { 1 })
        .collect();
    shown(&names.into_iter().rev().collect::<PathBuf>())
}

/// Creates the folder for the files and returns its path.
fn folder(arguments: &Explain, picture: &Path) -> Result<PathBuf, Error> {
    let folder = arguments.out.clone().unwrap_or_else(|| {
        let stem = match picture.is_dir() {
            // The frames of a clip; folders of several classes may have the same name.
            true => title(picture).replace(['/', '\\'], "-"),
            false => (picture.file_stem().unwrap_or_default().to_string_lossy()).into_owned(),
        };
        PathBuf::from(format!("explain-{stem}"))
    });
    if folder.is_file() {
        return Err(Error::Settings {
            problem: format!(
                "{} is a file; name another folder with --out",
                shown(&folder)
            ),
        });
    }
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    Ok(folder)
}

/// Drawings that are written to a folder.
struct Files {
    folder: PathBuf,
    written: Vec<PathBuf>,
}

impl Files {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            written: Vec::new(),
        }
    }

    /// Writes the drawing under this name.
    fn save(&mut self, name: &str, drawing: &Drawing) -> Result<PathBuf, Error> {
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
        let plain = |letter| if is_plain(letter) { letter } else { '-' };
        let name: String = name.chars().map(plain).collect();
        let mut path = self.folder.join(format!("{name}.png"));
        // Layers `a b` and `a/b` get different files.
        let mut number = 2;
        while self.written.contains(&path) {
            path = self.folder.join(format!("{name}-{number}.png"));
            number += 1;
        }
        drawing.save(&path)?;
        self.written.push(path.clone());
        Ok(path)
    }

    fn to_json(&self) -> Value {
        self.written.iter().map(|path| shown(path)).collect()
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
    let mut files = Files::new(folder(arguments, &looked.picture)?);
    let seen = draw::enlarged(&looked.prepared.pixels, model.input());
    files.save("picture", &seen)?;
    let data = data::Data::open(arguments, model, console)?;
    let explanations = why::explain(
        arguments,
        model,
        &mut looked,
        data.as_ref(),
        &mut files,
        console,
    )?;
    let frames = frames::of(arguments, model, &looked)?;
    let find = |data| data::Nearest::of(arguments, model, &looked, data, console);
    let nearest = data.as_ref().map(find).transpose()?;
    let found = Found {
        explanations,
        frames,
        nearest,
        layers: layers::draw(model, &looked, layer, &mut files)?,
    };
    let page = page::write(&files.folder, model, &looked, &seen, &found)?;
    let answer = match arguments.json {
        true => object(model, &looked, &found, &files, &page).to_string(),
        false => text(model, &looked, &found, &files, &page),
    };
    console::print(&answer)?;
    Ok(ExitCode::SUCCESS)
}

/// The results for a picture.
struct Found {
    explanations: Vec<why::Explanation>,
    /// Which frames of a clip support the class.
    frames: Option<Frames>,
    /// `None` without training data.
    nearest: Option<data::Nearest>,
    layers: Vec<layers::Layer>,
}

fn object(model: &Model, looked: &Looked, found: &Found, files: &Files, page: &Path) -> Value {
    let explained = found.explanations.iter().map(why::Explanation::to_json);
    let layers = found.layers.iter().map(layers::Layer::to_json);
    json!({
        kind_of(model).one(): shown(&looked.picture),
        "inverted": looked.prediction.inverted,
        "other_ground": looked.prediction.other_ground,
        "greyed": looked.prediction.greyed,
        "class": looked.prediction.class,
        "probability": console::decimal(looked.prediction.probability),
        "explained": question(model, &looked.score),
        "score": console::decimal(looked.score.value(looked.explainer.logits())),
        "frames": found.frames.as_ref().map(frames::to_json),
        "explanations": explained.collect::<Vec<_>>(),
        "nearest": found.nearest.as_ref().map(|nearest| nearest.to_json(model)),
        "layers": layers.collect::<Vec<_>>(),
        "files": files.to_json(),
        "page": shown(page),
    })
}

/// The results as text.
fn text(model: &Model, looked: &Looked, found: &Found, files: &Files, page: &Path) -> String {
    let class = |(name, probability): &(String, f32)| {
        format!("{} {:.2} %", one_line(name), 100.0 * probability)
    };
    let classes = top(model, &looked.prediction, 3);
    let classes: Vec<String> = classes.iter().map(class).collect();
    let score = looked.score.value(looked.explainer.logits());
    let what = match looked.score.against {
        Some(_) => "difference of logits",
        None => "logit",
    };
    let question = one_line(&question(model, &looked.score)).into_owned();
    let mut rows = vec![(kind_of(model).one(), shown(&looked.picture))];
    rows.extend(
        remarks(&looked.prediction)
            .iter()
            .map(|remark| ("", (*remark).to_owned())),
    );
    if let Some(sound) = model
        .preparation()
        .medium
        .sound()
        .filter(|_| looked.prepared.cut)
    {
        let start = looked.prepared.start;
        rows.push((
            "",
            format!("it is from {start:.2} to {:.2} s", start + sound.seconds()),
        ));
    }
    rows.push(("predicted", classes.join(", ")));
    rows.push(("explained", format!("why {question}: {what} {score:.3}")));
    for explanation in &found.explanations {
        rows.push((explanation.name, explanation.finding.clone()));
        let checked = explanation.checked();
        rows.extend(checked.map(|finding| ("", finding.sentence)));
    }
    if let Some(frames) = &found.frames {
        rows.push(("frames", frames::text(frames)));
    }
    if let Some(nearest) = &found.nearest {
        rows.push(("most similar", nearest.finding()));
        rows.extend(nearest.lines().map(|line| ("", line)));
    }
    let count = files.written.len();
    rows.push((
        "page",
        format!("{}, with {count} pictures beside it", quoted(page)),
    ));
    table(&rows, console::columns())
}

/// Rows of a name and a text, broken to fit the width.
fn table(rows: &[(&str, String)], columns: usize) -> String {
    let name = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut lines = Vec::new();
    for (label, text) in rows {
        // The text gets at least 20 columns, however narrow the terminal is.
        for (number, line) in wrapped(text, "", columns.max(name + 20) - name)
            .iter()
            .enumerate()
        {
            let label = if number == 0 { label } else { "" };
            lines.push(format!("{label:<name$}{line}"));
        }
    }
    lines.join("\n")
}
