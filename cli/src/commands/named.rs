//! What a command line names: a model, as its file or its folder; a network, also by its name or its text.
use std::io;
use std::path::{Path, PathBuf};

use hubel::{Error, Model, Network, Normalisation, Position, RunFolder, Shape, Weights};

use crate::console::{Console, thousands};

/// Loads the model at `path`, a file or the folder that holds it, and says so if its training has not ended; or, where there is none, the model of that
/// name that is part of the program. A file of weights that another program has written is taken too, and said what it is taken for.
pub(super) fn load(path: &Path, console: &Console) -> Result<Model, Error> {
    let loaded = load_any(path, None, console)?;
    match loaded.has_last_layer {
        true => Ok(loaded.model),
        false => Err(Error::ForeignWeights {
            path: path.to_owned(),
            problem: format!(
                "it has no last layer, the one that says what a picture shows; `hubel train PICTURES --from {}` trains one, and \
                 `hubel embed` and `hubel similar` need none",
                hubel::shown(path)
            ),
        }),
    }
}

/// As [`load`], also of weights without a last layer: for what a network makes of pictures before it decides.
pub(super) fn load_features(path: &Path, console: &Console) -> Result<Model, Error> {
    Ok(load_any(path, None, console)?.model)
}

/// As [`load_features`], for training that goes on from it; pictures for weights of another program are normalised as asked for.
pub(super) fn load_start(
    path: &Path,
    normalisation: Option<Normalisation>,
    console: &Console,
) -> Result<Model, Error> {
    Ok(load_any(path, normalisation, console)?.model)
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
            "{problem}; name its file, the folder that `hubel train` wrote, or `efficientnet-lite0`, and pictures after it"
        ),
    };
    let whole = |model| match normalisation {
        None => Ok(Loaded {
            model,
            has_last_layer: true,
        }),
        Some(_) => Err(Error::Settings {
            problem: format!(
                "{} says itself how pictures are normalised for it; leave out --mean and --std",
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
            .ok_or_else(|| missing(&format!("it holds no {}", RunFolder::MODEL)))?,
    };
    let foreign = Weights::are_in(&file).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            missing("there is no such file or folder")
        }
        other => other,
    })?;
    if foreign {
        let weights = Weights::load(&file, normalisation)?;
        console.remark(&taken_for(&file, &weights, normalisation.is_some()));
        return Ok(Loaded {
            model: weights.model,
            has_last_layer: weights.has_last_layer,
        });
    }
    let model = Model::load(&file)?;
    say_if_unfinished(&model, path, &file, console);
    whole(model)
}

/// What is said of weights that another program has written, for which a normalisation was asked for or not.
fn taken_for(file: &Path, weights: &Weights, is_asked_for: bool) -> String {
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
        "{} is taken for weights of {} {last}; it does not say how pictures are normalised: by {whose} ({mean}; {std})",
        hubel::shown(file),
        weights.network,
    )
}

/// Says that the training of `model`, which lies in `file`, has not ended, or that a later one has not.
fn say_if_unfinished(model: &Model, path: &Path, file: &Path, console: &Console) {
    if let Some(position) = model.stopped_at() {
        console.remark(&format!(
            "{} is of {position}: its training has not ended",
            file.display()
        ));
    } else if let Some(last) = newer_training(path, file) {
        console.remark(&format!(
            "this is {}; {} is of a later training, which has not ended",
            file.display(),
            last.display()
        ));
    }
}

/// The model of this name that is part of the program; a file or folder that is called so comes first.
fn pretrained(path: &Path) -> Result<Option<Model>, Error> {
    match path.to_str() {
        Some(name) if !path.exists() => Model::pretrained(name),
        _ => Ok(None),
    }
}

/// Beside the model that a folder stands for: that of a training that has not ended.
fn newer_training(path: &Path, model: &Path) -> Option<PathBuf> {
    let last = path.join(RunFolder::LAST);
    (path != model && last.exists()).then_some(last)
}

/// A network, and what it was made for.
pub(super) struct Named {
    pub(super) network: Network,
    /// The input of the model, or the usual one of the network.
    pub(super) input: Shape,
    /// The classes of the model; none of a mere network.
    pub(super) classes: Vec<String>,
    /// How far the training of the model came, if it has not ended.
    pub(super) stopped_at: Option<Position>,
    /// What the training of the model went on from.
    pub(super) origin: Option<String>,
    /// The last layer that it left as it was.
    pub(super) frozen: Option<String>,
}

/// The network that is meant by a model file or its folder, a name, or architecture text.
pub(super) fn network(text: &str, console: &Console) -> Result<Named, Error> {
    if is_model(text) || Model::PRETRAINED.contains(&text) {
        let model = load_features(Path::new(text), console)?;
        return Ok(Named {
            network: model.network().clone(),
            input: model.input(),
            classes: model.classes().to_vec(),
            stopped_at: model.stopped_at(),
            origin: model.origin().map(String::from),
            frozen: model.frozen().map(String::from),
        });
    }
    Ok(Named {
        network: Network::resolve(text)?,
        input: usual_input(text),
        classes: Vec::new(),
        stopped_at: None,
        origin: None,
        frozen: None,
    })
}

impl Named {
    /// How many classes there are where the command line does not say.
    pub(super) fn usual_classes(&self) -> usize {
        match self.classes.len() {
            0 => 10,
            known => known,
        }
    }
}

/// The input that a network of this name was made for; MNIST's for architecture text.
pub(super) fn usual_input(network: &str) -> Shape {
    Network::usual_input(network).unwrap_or(Shape::new(28, 28, 1))
}

/// Whether the text is a file or folder and no network's name; a missing one counts when it is called like a model or holds a slash, which
/// no architecture text does.
fn is_model(text: &str) -> bool {
    let path = Path::new(text);
    let is_name = Network::usual_input(text).is_some();
    let is_path = text.contains(['/', '\\'])
        || (path.extension()).is_some_and(|end| {
            ["safetensors", "pth", "pt"]
                .iter()
                .any(|known| end == *known)
        });
    (path.exists() && !is_name) || is_path
}
