//! What a command line names: a model, as its file or its folder; a network, also by its name or its text.
use std::io;
use std::path::{Path, PathBuf};

use hubel::{Error, Model, Network, Position, RunFolder, Shape};

use crate::console::Console;

/// Loads the model at `path`, a file or the folder that holds it, and says so if its training has not ended; or, where there is none, the model of that
/// name that is part of the program.
pub(super) fn load(path: &Path, console: &Console) -> Result<Model, Error> {
    let missing = |problem: &str| Error::Model {
        path: path.to_owned(),
        problem: format!(
            "{problem}; name its file, the folder that `hubel train` wrote, or `efficientnet-lite0`, and pictures after it"
        ),
    };
    if let Some(model) = pretrained(path)? {
        return Ok(model);
    }
    let file = match path.is_dir() {
        false => path.to_owned(),
        true => RunFolder::model_in(path)
            .ok_or_else(|| missing(&format!("it holds no {}", RunFolder::MODEL)))?,
    };
    let model = Model::load(&file).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            missing("there is no such file or folder")
        }
        other => other,
    })?;
    if let Some(position) = model.stopped_at() {
        console.remark(&format!(
            "{} is of {position}: its training has not ended",
            file.display()
        ));
    } else if let Some(last) = newer_training(path, &file) {
        console.remark(&format!(
            "this is {}; {} is of a later training, which has not ended",
            file.display(),
            last.display()
        ));
    }
    Ok(model)
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
}

/// The network that is meant by a model file or its folder, a name, or architecture text.
pub(super) fn network(text: &str, console: &Console) -> Result<Named, Error> {
    if is_model(text) || Model::PRETRAINED.contains(&text) {
        let model = load(Path::new(text), console)?;
        return Ok(Named {
            network: model.network().clone(),
            input: model.input(),
            classes: model.classes().to_vec(),
            stopped_at: model.stopped_at(),
        });
    }
    Ok(Named {
        network: Network::resolve(text)?,
        input: usual_input(text),
        classes: Vec::new(),
        stopped_at: None,
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
    let is_path =
        text.contains(['/', '\\']) || path.extension().is_some_and(|end| end == "safetensors");
    (path.exists() && !is_name) || is_path
}
