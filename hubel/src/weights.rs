//! Weights of another program, as a model.
mod known;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::data::Resize;
use crate::error::shortened;
use crate::foreign::{Normalisation, class_names};
use crate::formats::safetensors::NamedTensor;
use crate::formats::torch::{self, Form};
use crate::formats::{regular, safetensors};
use crate::{Error, Model, Preparation, Result, memory};
use known::Match;

/// Weights of another program, as a model of the zoo's network that they fit.
///
/// Supported files: `torch.save` with a state dict or a checkpoint that contains one, in the format since PyTorch 1.6 and the one before, and safetensors
/// without hubel's metadata. The names and shapes of the tensors identify the network: torchvision's for `resnet18`, `resnet50`,
/// `mobilenet-v2` and `vgg16_bn`; those of the published weights for EfficientNet-Lite; hubel's own for all networks of the zoo at their
/// [usual input](crate::Network::usual_input).
///
/// Code in such a file is never run; a file that contains code is rejected.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The network with these weights. A thousand classes get the names of ImageNet (with the feature `backbone`); otherwise the names are
    /// numbers. Pictures are cropped to their middle. If the file has no last layer ([`has_last_layer`](Self::has_last_layer)), the model has one
    /// class, `(none)`, and a last layer of zeros without meaning. Such a model gives features, or training replaces that layer.
    pub model: Model,
    /// The network's name in the zoo. From torchvision's `vgg16_bn` only the convolutions are used. They are those of `vgg16`, followed by global average
    /// pooling and a new last layer.
    pub network: &'static str,
    /// Whether the last layer, which classifies, is from the file.
    pub has_last_layer: bool,
}

impl Weights {
    /// Reads the weights at `path`. Their pictures are normalised as given, or as [usual](Normalisation::usual) for their network. Memory is allocated
    /// only for the tensors of the network, after it is identified.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::ForeignWeights`] or [`Error::Safetensors`], which say what is wrong with the file; [`Error::Weights`] if memory does not
    /// suffice; [`Error::Settings`] if the normalisation is invalid.
    pub fn load(path: &Path, normalisation: Option<Normalisation>) -> Result<Self> {
        let (mut file, size) = open(path)?;
        Self::read(&mut file, size, path, normalisation)
    }

    /// Whether the file at `path` is for [`Weights::load`] rather than [`Model::load`], decided by its contents.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn are_in(path: &Path) -> Result<bool> {
        let (mut file, size) = open(path)?;
        if form(&mut file, path)?.is_some() {
            return Ok(true);
        }
        // A damaged file counts as hubel's, because most files are.
        let metadata = safetensors::metadata(&mut file, size, path);
        Ok(metadata.is_ok_and(|metadata| !metadata.keys().any(|name| name.starts_with("hubel."))))
    }

    /// As [`Weights::load`], for a file of `size` bytes; `path` is for messages.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub(crate) fn read(
        file: &mut (impl Read + Seek),
        size: u64,
        path: &Path,
        normalisation: Option<Normalisation>,
    ) -> Result<Self> {
        let unusable = |problem: String| Error::ForeignWeights {
            path: path.into(),
            problem: shortened(problem),
        };
        let mut matched = None;
        let mut choose = |outline: &[(&str, Vec<usize>)]| -> Result<BTreeSet<String>> {
            let found = Match::of(outline).map_err(unusable)?;
            // Once in the file's order and once in the network's.
            memory::check_weights(2 * size_of::<f32>() * found.numbers()?)?;
            Ok(matched.insert(found).names())
        };
        let tensors = match form(file, path)? {
            Some(form) => torch::read_some(file, size, form, path, &mut choose)?,
            None => {
                let read = safetensors::read_some(file, size, path, |file| choose(&file.tensors));
                read?.tensors
            }
        };
        let matched = matched.expect("tensors were chosen");
        let model = model(&matched, tensors, normalisation, unusable)?;
        Ok(Self {
            model,
            network: matched.network(),
            has_last_layer: matched.classes.is_some(),
        })
    }
}

/// The model from the chosen tensors.
fn model(
    matched: &Match,
    tensors: Vec<NamedTensor>,
    normalisation: Option<Normalisation>,
    unusable: impl FnOnce(String) -> Error,
) -> Result<Model> {
    let normalisation = normalisation.unwrap_or(Normalisation::usual(matched.network()));
    let shape = matched.input();
    let [mean, std] = normalisation.for_channels(shape.channels);
    let preparation = Preparation {
        mean,
        std,
        ..Preparation::unmeasured(shape, Resize::Crop)
    };
    if preparation.check(shape).is_err() {
        return Err(Error::Settings {
            problem: format!(
                "no picture can be normalised by the mean {:?} and the standard deviation {:?}; both are of levels from 0 to 1, and a standard \
                 deviation is above 0",
                normalisation.mean, normalisation.std
            ),
        });
    }
    let mut model = Model::unfilled(
        matched.architecture().clone(),
        (matched.classes).map_or(vec!["(none)".into()], class_names),
        preparation,
    )?;
    let tensors = matched.of_network(tensors);
    model.take(&tensors).map_err(unusable)?;
    Ok(model)
}

/// The file, at its start, and its size in bytes.
fn open(path: &Path) -> Result<(BufReader<File>, u64)> {
    let opened = regular::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) = opened.map_err(Error::io("read", path))?;
    Ok((BufReader::new(file), size))
}

/// The format of a `torch.save` file. Leaves the file at its start.
fn form(file: &mut (impl Read + Seek), path: &Path) -> Result<Option<Form>> {
    let mut start = Vec::with_capacity(Form::START);
    let read = file
        .by_ref()
        .take(Form::START as u64)
        .read_to_end(&mut start);
    read.and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(Error::io("read", path))?;
    Ok(Form::of(&start))
}

#[cfg(test)]
mod tests;
