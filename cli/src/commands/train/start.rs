//! Chooses between training from scratch and fine-tuning.
use std::path::Path;

use hubel::data::{Kind, Source};
use hubel::{Dataset, Error, Model, Shape};

use super::super::named;
use super::saving::short_name;
use crate::args::{TrainingData, decided};
use crate::console::Console;

/// The start of a training.
pub(crate) enum Start {
    /// From scratch, with random weights.
    Nothing,
    /// Fine-tuning of this model, which has its origin set.
    Model(Box<Model>),
}

/// The start given by `--from`, or the one that suits the data, with a remark that says why. `of_its_own` means that a flag such as
/// `--model` asks for training from scratch; `--from` overrides that.
pub(crate) fn choose(
    data: &TrainingData,
    of_its_own: bool,
    source: &mut Source,
    console: &Console,
) -> Result<Start, Error> {
    refuse_flags_of_other_kinds(data, source.kind())?;
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
        None if outlook.kind != Kind::Pictures => return Ok(Start::Nothing),
        None => {
            let advice = outlook.advice();
            // With the flag for the other way.
            let otherwise = match advice.model() {
                Some(_) => " (to do that: --from none)".to_owned(),
                None if outlook.is_of_floats => String::new(),
                None => format!(" (to fine-tune instead: --from {})", Model::PRETRAINED[0]),
            };
            console.remark(&format!("{advice}{otherwise}"));
            match advice.model() {
                Some(name) => name.into(),
                None => return Ok(Start::Nothing),
            }
        }
    };
    let model = named::load_start(&chosen, data.normalisation(), console)?;
    refuse_decided_flags(data, &model)?;
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

/// The start of a run that goes on: what the settings of the run say, with the model of its last checkpoint.
pub(super) fn again(data: &TrainingData, model: &Model) -> Start {
    match data.from.as_deref() == Some(Path::new("none")) {
        true => Start::Nothing,
        false => Start::Model(Box::new(model.clone())),
    }
}

/// A remark if the model sees the pictures much enlarged, or grey ones as colour.
fn seen(size: Shape, input: Shape) -> Option<String> {
    let is_far_smaller = 2 * size.height.min(size.width) <= input.height.min(input.width);
    let enlarged = is_far_smaller.then(|| {
        format!(
            "pictures of about {}×{} are enlarged to {}×{}, the size that the network was trained at (a smaller --input is faster)",
            size.width, size.height, input.width, input.height
        )
    });
    let coloured = (size.channels == 1 && input.channels == 3)
        .then(|| "grey pictures are shown to a network that was trained on colour".to_owned());
    let notes: Vec<String> = enlarged.into_iter().chain(coloured).collect();
    (!notes.is_empty()).then(|| notes.join("\n"))
}

/// The name of the network that is trained from scratch without `--model`.
pub(super) fn usual_network(data: &Dataset) -> &'static str {
    match (data.kind(), data.shape().channels) {
        (Kind::Texts, _) => "kim2014",
        (Kind::Clips, _) => "clip-cnn",
        (Kind::Sounds, _) => "sound-cnn",
        (Kind::Pictures, 1) => "mnist-cnn",
        (Kind::Pictures, _) => "tutorial",
    }
}

/// Refuses flags that say how samples of another kind become the network's input.
fn refuse_flags_of_other_kinds(data: &TrainingData, kind: Kind) -> Result<(), Error> {
    let is_of_pictures = matches!(kind, Kind::Pictures | Kind::Clips);
    let pictures = [
        ("input", data.input.is_some()),
        ("resize", data.resize.is_some()),
    ];
    if let Some((flag, _)) =
        (pictures.into_iter()).find(|(_, is_given)| *is_given && !is_of_pictures)
    {
        return Err(Error::Settings {
            problem: format!(
                "--{flag} is for pictures and clips, and {} holds {kind}; leave it out",
                hubel::shown(&data.data)
            ),
        });
    }
    match (data.of_kind().into_iter()).find(|(own, ..)| *own != kind) {
        None => Ok(()),
        Some((own, flag, _)) => Err(Error::Settings {
            problem: format!(
                "--{flag} is for {own}, and {} holds {kind}; leave it out",
                hubel::shown(&data.data)
            ),
        }),
    }
}

/// Refuses flags that say how samples become the network's input otherwise than `model`, to be fine-tuned, has decided.
fn refuse_decided_flags(data: &TrainingData, model: &Model) -> Result<(), Error> {
    let kind = model.preparation().medium.kind();
    let decided = decided(model.preparation());
    for (own, flag, value) in data.of_kind() {
        let known = decided.iter().find(|(known, _)| *known == flag);
        let known = known.map(|(_, value)| value);
        if own == kind && known != Some(&value) {
            let has = known.map_or_else(String::new, |known| format!(", which has {known}"));
            return Err(Error::Settings {
                problem: format!(
                    "--{flag} is decided by the model to fine-tune{has}; leave it out, or train from scratch (--from none)"
                ),
            });
        }
    }
    Ok(())
}

impl Start {
    /// The same start. A model of pictures becomes one of clips, if the data holds clips; a remark says how.
    pub(super) fn adapted(self, data: &Dataset, console: &Console) -> Result<Self, Error> {
        let Self::Model(model) = self else {
            return Ok(self);
        };
        let is_adapted = model.preparation().medium.kind() != data.kind();
        let model = model.along_time(data)?;
        if is_adapted && model.preparation().medium.kind() == data.kind() {
            console.remark(
                "the model reads each frame as a picture; new layers read its features along time",
            );
        }
        Ok(Self::Model(Box::new(model)))
    }

    /// The network that is trained from scratch, by name or text; `None` for fine-tuning.
    pub(super) fn network(&self, asked_for: Option<&str>, data: &Dataset) -> Option<String> {
        match self {
            Self::Nothing => Some(asked_for.unwrap_or_else(|| usual_network(data)).to_owned()),
            Self::Model(_) => None,
        }
    }

    /// The name for the folder of the run.
    pub(in crate::commands) fn name(&self, asked_for: Option<&str>, data: &Dataset) -> String {
        match self {
            Self::Nothing => short_name(asked_for.unwrap_or_else(|| usual_network(data))),
            Self::Model(model) => {
                let origin = Path::new(model.origin().unwrap_or("model"));
                let name = origin.file_stem().unwrap_or(origin.as_os_str());
                name.to_string_lossy().into_owned()
            }
        }
    }
}
