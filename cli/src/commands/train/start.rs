//! What training begins with: nothing, or a model.
use std::path::Path;

use hubel::data::Source;
use hubel::{Dataset, Error, Model};

use super::super::named;
use super::saving::short_name;
use crate::args::TrainingData;
use crate::console::Console;

/// What training begins with.
pub(crate) enum Start {
    /// A network with weights drawn at random.
    Nothing,
    /// A model that knows its origin.
    Model(Box<Model>),
}

/// What is asked for, or what suits the data; says which, and why. `network` is the one asked for by name or text.
pub(crate) fn choose(
    data: &TrainingData,
    network: Option<&str>,
    source: &Source,
    console: &Console,
) -> Result<Start, Error> {
    let chosen = match (&data.from, network) {
        (Some(from), _) if from == Path::new("none") => return Ok(Start::Nothing),
        (Some(from), _) => from.clone(),
        (None, Some(_)) => return Ok(Start::Nothing),
        (None, None) => {
            let outlook = source.outlook()?;
            let advice = outlook.start();
            console.remark(&advice.to_string());
            match advice.model() {
                Some(name) => name.into(),
                None => return Ok(Start::Nothing),
            }
        }
    };
    let model = named::load(&chosen, console)?;
    Ok(Start::Model(Box::new(
        model.with_origin(chosen.display().to_string()),
    )))
}

impl Start {
    /// The network, by name or text: the one asked for, or the one that suits the pictures.
    pub(super) fn network<'a>(&self, asked_for: Option<&'a str>, data: &Dataset) -> &'a str {
        match asked_for {
            Some(name) => name,
            None if data.shape().channels == 1 => "mnist-cnn",
            None => "tutorial",
        }
    }

    /// What the run is called after.
    pub(super) fn name(&self, asked_for: Option<&str>, data: &Dataset) -> String {
        match self {
            Self::Nothing => short_name(self.network(asked_for, data)),
            Self::Model(model) => {
                let origin = Path::new(model.origin().unwrap_or("model"));
                let name = origin.file_stem().unwrap_or(origin.as_os_str());
                name.to_string_lossy().into_owned()
            }
        }
    }
}
