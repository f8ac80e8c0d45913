//! Loads what the command line names: a model by its file or folder, a network also by name or text.
use std::io;
use std::path::Path;

use hubel::data::{Manifest, Medium};
use hubel::network::Input;
use hubel::{Error, Model, Network, Normalisation, Position, RunFolder, Shape, Threshold, Weights};

use crate::console::{Console, thousands};

/// Loads the model at `path`, a file or a run folder, and reports if its training has not ended. If there is no such path, loads the embedded model of
/// that name. Also reads weights of another program, and reports which network they fit.
pub(super) fn load(path: &Path, console: &Console) -> Result<Model, Error> {
    let loaded = load_any(path, None, console)?;
    match loaded.has_last_layer {
        true => Ok(loaded.model),
        false => Err(Error::ForeignWeights {
            path: path.to_owned(),
            problem: format!(
                "it has no last layer, so it cannot classify; `hubel train DATA --from {}` trains one, and \
                 `hubel embed` and `hubel similar` work without one",
                hubel::shown(path)
            ),
        }),
    }
}

/// As [`load`], but also accepts weights without a last layer, which suffice for features.
pub(super) fn load_features(path: &Path, console: &Console) -> Result<Model, Error> {
    let model = load_any(path, None, console)?.model;
    match model.vocabulary() {
        Err(_) => Ok(model),
        Ok(_) => Err(Error::Settings {
            problem: format!(
                "{} is a model of texts; name one of pictures, recordings or clips",
                hubel::shown(path)
            ),
        }),
    }
}

/// As [`load_features`], for fine-tuning. `normalisation` applies to weights of another program.
pub(super) fn load_start(
    path: &Path,
    normalisation: Option<Normalisation>,
    console: &Console,
) -> Result<Model, Error> {
    Ok(load_any(path, normalisation, console)?.model)
}

/// The folder of the run that the model at `path` belongs to. `None` for a model elsewhere: a file beside which a run lies by chance says nothing about it.
pub(super) fn run_of(path: &Path) -> Option<&Path> {
    if path.is_dir() {
        return Some(path);
    }
    let names = [RunFolder::MODEL, RunFolder::LAST, RunFolder::PREVIOUS];
    let is_of_run = names.iter().any(|name| path.ends_with(name));
    path.parent().filter(|_| is_of_run)
}

/// The list of the samples of the run that the model at `path` belongs to, if there is one.
pub(super) fn samples_of(path: &Path) -> Result<Option<Manifest>, Error> {
    let list = run_of(path).map(|folder| folder.join(RunFolder::DATA));
    let list = list.filter(|list| list.exists());
    list.map(|list| Manifest::load(&list)).transpose()
}

struct Loaded {
    model: Model,
    has_last_layer: bool,
}

fn load_any(
    path: &Path,
    normalisation: Option<Normalisation>,
    console: &Console,
) -> Result<Loaded, Error> {
    let missing = |problem: &str| Error::Model {
        path: path.to_owned(),
        problem: format!(
            "{problem}; name its file, the folder that `hubel train` wrote, or `efficientnet-lite0`, and the files to look at after it"
        ),
    };
    let whole = |model| match normalisation {
        None => Ok(Loaded {
            model,
            has_last_layer: true,
        }),
        Some(_) => Err(Error::Settings {
            problem: format!(
                "{} contains its normalisation; leave out --mean and --std",
                hubel::shown(path)
            ),
        }),
    };
    if let Some(model) = pretrained(path)? {
        return whole(model);
    }
    let file = match path.is_dir() {
        false => path.to_owned(),
        true => RunFolder::model_in(path)
            .ok_or_else(|| missing(&format!("it contains no {}", RunFolder::MODEL)))?,
    };
    let foreign = Weights::are_in(&file).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            missing("there is no such file or folder")
        }
        other => other,
    })?;
    if foreign {
        let weights = Weights::load(&file, normalisation)?;
        console.remark(&remark_on(&file, &weights, normalisation.is_some()));
        return Ok(Loaded {
            model: weights.model,
            has_last_layer: weights.has_last_layer,
        });
    }
    let model = Model::load(&file)?;
    say_if_unfinished(&model, path, &file, console);
    whole(model)
}

/// The remark on weights of another program; `normalisation` is that of `--mean` and `--std`.
fn remark_on(file: &Path, weights: &Weights, is_asked_for: bool) -> String {
    let last = match weights.has_last_layer {
        true => format!("with {} classes", thousands(weights.model.classes().len())),
        false => "without a last layer".to_owned(),
    };
    let numbers = |numbers: &[f32]| {
        let numbers: Vec<String> = numbers
            .iter()
            .map(|number| format!("{number:.3}"))
            .collect();
        numbers.join(", ")
    };
    let preparation = weights.model.preparation();
    let (mean, std) = (numbers(&preparation.mean), numbers(&preparation.std));
    let usual = Normalisation::usual(weights.network);
    let whose = match is_asked_for {
        true => "--mean and --std",
        false if usual == Normalisation::IMAGENET => "ImageNet's mean and standard deviation",
        false => "the mean and standard deviation usual for it",
    };
    format!(
        "{}: detected weights of {} {last}; the file has no normalisation, so hubel uses {whose} ({mean}; {std})",
        hubel::shown(file),
        weights.network,
    )
}

/// Reports if the training of `model` in `file` has not ended, or if a later training of the folder has not.
fn say_if_unfinished(model: &Model, path: &Path, file: &Path, console: &Console) {
    if let Some(position) = model.stopped_at() {
        console.remark(&format!(
            "{} is of {position}: its training has not ended",
            file.display()
        ));
    } else if path != file
        && let Some(position) = RunFolder::unfinished(path)
    {
        console.remark(&format!(
            "this is {}; the run has gone on since, and stopped at {position}",
            file.display()
        ));
    }
}

/// The embedded model of this name, unless a file or folder has the same name.
fn pretrained(path: &Path) -> Result<Option<Model>, Error> {
    match path.to_str() {
        Some(name) if !path.exists() => Model::pretrained(name),
        _ => Ok(None),
    }
}

/// A network with its input and classes.
pub(super) struct Named {
    pub(super) network: Network,
    /// The input of the model, or the network's usual input.
    pub(super) input: Input,
    /// The classes of the model; `None` for a network without a model.
    pub(super) classes: Vec<String>,
    /// The position at which the model's training stopped, if it has not ended.
    pub(super) stopped_at: Option<Position>,
    /// The model that was fine-tuned.
    pub(super) origin: Option<String>,
    /// The last frozen layer.
    pub(super) frozen: Option<String>,
    /// What the model was trained on; of a network without a model, pictures.
    pub(super) medium: Medium,
    /// What the model's outputs are divided by before the softmax.
    pub(super) temperature: Option<f32>,
    /// Below which probability the model is "not sure".
    pub(super) threshold: Option<Threshold>,
}

/// The network of a model file or its folder, of a name, or of an architecture text.
pub(super) fn network(text: &str, console: &Console) -> Result<Named, Error> {
    if is_model(text) {
        let model = load_any(Path::new(text), None, console)?.model;
        return Ok(Named {
            network: model.network().clone(),
            input: model.preparation().input(),
            classes: model.classes().to_vec(),
            stopped_at: model.stopped_at(),
            origin: model.origin().map(String::from),
            frozen: model.frozen().map(String::from),
            medium: model.preparation().medium.clone(),
            temperature: model.temperature(),
            threshold: model.threshold().copied(),
        });
    }
    Ok(Named {
        network: Network::resolve(text)?,
        input: usual_input(text),
        classes: Vec::new(),
        stopped_at: None,
        origin: None,
        frozen: None,
        medium: Medium::Picture,
        temperature: None,
        threshold: None,
    })
}

impl Named {
    /// Number of classes if the command line does not give one.
    pub(super) fn usual_classes(&self) -> usize {
        match self.classes.len() {
            0 => 10,
            known => known,
        }
    }
}

/// The usual input of a network; that of MNIST for architecture text.
pub(super) fn usual_input(network: &str) -> Input {
    Network::usual_input(network).unwrap_or(Shape::new(28, 28, 1).into())
}

/// Whether the text names a file, a folder or an embedded model rather than a network. A missing path counts if it ends like a model file or contains a slash, which
/// architecture text never does.
pub(super) fn is_model(text: &str) -> bool {
    let path = Path::new(text);
    let is_name = Network::usual_input(text).is_some();
    let is_path = text.contains(['/', '\\'])
        || (path.extension()).is_some_and(|end| {
            ["safetensors", "pth", "pt"]
                .iter()
                .any(|known| end == *known)
        });
    (path.exists() && !is_name) || is_path || Model::PRETRAINED.contains(&text)
}
