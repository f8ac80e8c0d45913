//! What training begins with: nothing, or a model.
use std::path::Path;

use hubel::data::Source;
use hubel::{Dataset, Error, Model, Shape};

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

/// What is asked for, or what suits the data; says which, and why. A training that is `of_its_own`, of a network by name or text for instance,
/// begins with nothing unless something else is asked for.
pub(crate) fn choose(
    data: &TrainingData,
    of_its_own: bool,
    source: &mut Source,
    console: &Console,
) -> Result<Start, Error> {
    let begins_with_nothing = match &data.from {
        Some(from) => from == Path::new("none"),
        None => of_its_own,
    };
    if begins_with_nothing {
        return Ok(Start::Nothing);
    }
    let outlook = source.outlook()?;
    let chosen = match &data.from {
        Some(from) => from.clone(),
        None => {
            let advice = outlook.advice();
            // Each line with the way to have it otherwise.
            let otherwise = match advice.model() {
                Some(_) => " (--from none)".to_owned(),
                None if outlook.is_of_floats => String::new(),
                None => format!(" (otherwise: --from {})", Model::PRETRAINED[0]),
            };
            console.remark(&format!("{advice}{otherwise}"));
            match advice.model() {
                Some(name) => name.into(),
                None => return Ok(Start::Nothing),
            }
        }
    };
    let model = named::load_start(&chosen, data.normalisation(), console)?;
    let model = match data.input {
        Some(input) => model.with_input(input)?,
        None => model,
    };
    let model = match data.resize {
        Some(resize) => model.with_resize(resize),
        None => model,
    };
    if let Some(note) = outlook.size.and_then(|size| seen(size, model.input())) {
        console.remark(&note);
    }
    Ok(Start::Model(Box::new(
        model.with_origin(chosen.display().to_string()),
    )))
}

/// What a model of this input sees of pictures of a size, where one would not expect it.
fn seen(size: Shape, input: Shape) -> Option<String> {
    let is_far_smaller = 2 * size.height.min(size.width) <= input.height.min(input.width);
    let enlarged = is_far_smaller.then(|| {
        format!(
            "pictures of about {}×{} are enlarged to {}×{}, the size that the network learned at (--input: smaller is faster)",
            size.width, size.height, input.width, input.height
        )
    });
    let coloured = (size.channels == 1 && input.channels == 3)
        .then(|| "grey pictures are shown to a network that knows colour".to_owned());
    let notes: Vec<String> = enlarged.into_iter().chain(coloured).collect();
    (!notes.is_empty()).then(|| notes.join("\n"))
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
