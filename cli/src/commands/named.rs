//! What a command line names: a model, as its file or its folder; a network, also by its name or its text.
use std::io;
use std::path::Path;

use hubel::{Error, Model, Network, Shape};

/// The model file inside the folder that `hubel train` writes.
pub(super) const MODEL_FILE: &str = "model.safetensors";

/// Loads the model at `path`, a file or the folder that holds it.
pub(super) fn load(path: &Path) -> Result<Model, Error> {
    let file = match path.is_dir() {
        true => path.join(MODEL_FILE),
        false => path.to_owned(),
    };
    Model::load(&file).map_err(|error| match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            let problem = match path.is_dir() {
                true => format!("it holds no {MODEL_FILE}"),
                false => "there is no such file or folder".into(),
            };
            Error::Model {
                path: path.to_owned(),
                problem: format!(
                    "{problem}; name its file, or the folder that `hubel train` wrote, and pictures after it"
                ),
            }
        }
        other => other,
    })
}

/// A network, and what it was made for.
pub(super) struct Named {
    pub(super) network: Network,
    /// The input of the model, or the usual one of the network.
    pub(super) input: Shape,
    /// The classes of the model; none of a mere network.
    pub(super) classes: Vec<String>,
}

/// The network that is meant by a model file or its folder, a name, or architecture text.
pub(super) fn network(text: &str) -> Result<Named, Error> {
    if is_model(text) {
        let model = load(Path::new(text))?;
        return Ok(Named {
            network: model.network().clone(),
            input: model.input(),
            classes: model.classes().to_vec(),
        });
    }
    Ok(Named {
        network: Network::resolve(text)?,
        input: usual_input(text),
        classes: Vec::new(),
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
