//! Weights that another program has written, as a model.
mod known;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::data::Resize;
use crate::error::shortened;
use crate::formats::safetensors::NamedTensor;
use crate::formats::torch::{self, Form};
use crate::formats::{regular, safetensors};
use crate::{Error, Model, Preparation, Result, memory};
use known::Match;

/// Weights that another program has written, as a model of the network of the zoo that they belong to.
///
/// Read are files of `torch.save`, a state dict or a checkpoint that holds one, in the form since PyTorch 1.6 and in that of before, and safetensors files
/// without hubel's metadata. The network is found by the names and shapes of the tensors: those of torchvision for `resnet18`, `resnet50`,
/// `mobilenet-v2` and `vgg16_bn`, of the published weights for EfficientNet-Lite, hubel's own for all networks of the zoo at their
/// [usual input](crate::Network::usual_input).
///
/// Code in such a file is never run: a file that holds some is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The network with these weights. Its classes are those of ImageNet where there are a thousand (and the feature `backbone` is on), else they are called by
    /// their numbers. Pictures are cropped to their middle. Without a last layer in the file ([`has_last_layer`](Self::has_last_layer)) it has one
    /// class, `(none)`, and a last layer of zeros, which says nothing: the model gives features, or a training replaces that layer.
    pub model: Model,
    /// The network's name in the zoo. Of torchvision's `vgg16_bn` only the convolutions are taken: they are those of `vgg16`, and stand before a global average
    /// pooling and a last layer that is new.
    pub network: &'static str,
    /// Whether the last layer, the one that decides, is from the file.
    pub has_last_layer: bool,
}

/// How the levels of a picture become numbers: (level / 255 − mean) / std for red, green and blue. Networks of grey pictures take the mean of the three.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// The mean of each colour.
    pub mean: [f32; 3],
    /// The standard deviation of each colour.
    pub std: [f32; 3],
}

impl Normalisation {
    /// Mean and standard deviation of ImageNet's pictures: what torchvision's weights were trained with.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    /// (level − 127) / 128: what EfficientNet-Lite was trained with.
    pub const EFFICIENTNET_LITE: Self = Self {
        mean: [127.0 / 255.0; 3],
        std: [128.0 / 255.0; 3],
    };

    /// What the published weights of a network of the zoo were trained with. No file of weights says it.
    pub fn usual(network: &str) -> Self {
        match network.starts_with("efficientnet-lite") {
            true => Self::EFFICIENTNET_LITE,
            false => Self::IMAGENET,
        }
    }
}

impl Weights {
    /// Reads the weights at `path`; their pictures are normalised as given, or as is [usual](Normalisation::usual) for their network. Memory is taken
    /// only for the tensors of the network, once it is known.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::ForeignWeights`] or [`Error::Safetensors`], which say what is wrong with the file; [`Error::Weights`] where memory does not
    /// suffice; [`Error::Settings`] where no picture can be normalised in that way.
    pub fn load(path: &Path, normalisation: Option<Normalisation>) -> Result<Self> {
        let (mut file, size) = open(path)?;
        Self::read(&mut file, size, path, normalisation)
    }

    /// Whether the file at `path` is for [`Weights::load`] rather than for [`Model::load`]: by its contents, whatever its name.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn are_in(path: &Path) -> Result<bool> {
        let (mut file, size) = open(path)?;
        if form(&mut file, path)?.is_some() {
            return Ok(true);
        }
        // What is damaged is hubel's until the contrary is known: most files are.
        let metadata = safetensors::metadata(&mut file, size, path);
        Ok(metadata.is_ok_and(|metadata| !metadata.keys().any(|name| name.starts_with("hubel."))))
    }

    /// As [`Weights::load`], of `size` bytes; `path` is for messages.
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
            // As the file has them and as the network reads them.
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

/// The model of the tensors that were chosen for it.
fn model(
    matched: &Match,
    tensors: Vec<NamedTensor>,
    normalisation: Option<Normalisation>,
    unusable: impl FnOnce(String) -> Error,
) -> Result<Model> {
    let normalisation = normalisation.unwrap_or(Normalisation::usual(matched.network()));
    let shape = matched.input();
    let [mean, std] = [normalisation.mean, normalisation.std].map(|colours| match shape.channels {
        3 => colours.to_vec(),
        _ => vec![colours.iter().sum::<f32>() / 3.0; shape.channels],
    });
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
    let mut model = Model::untrained(
        matched.architecture().clone(),
        (matched.classes).map_or(vec!["(none)".into()], class_names),
        preparation,
        0,
    )?;
    let tensors = matched.of_network(tensors);
    model.take(&tensors).map_err(unusable)?;
    Ok(model)
}

/// The names of so many classes.
fn class_names(count: usize) -> Vec<String> {
    #[cfg(feature = "backbone")]
    if count == hubel_backbone::CLASSES.lines().count() {
        return hubel_backbone::CLASSES.lines().map(String::from).collect();
    }
    (0..count).map(|class| class.to_string()).collect()
}

/// The file, from its beginning, and its bytes.
fn open(path: &Path) -> Result<(BufReader<File>, u64)> {
    let opened = regular::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, file) = opened.map_err(refused(path))?;
    Ok((BufReader::new(file), size))
}

/// The form of a file of `torch.save`; afterwards the file is at its beginning.
fn form(file: &mut (impl Read + Seek), path: &Path) -> Result<Option<Form>> {
    let mut start = Vec::with_capacity(Form::START);
    let read = file
        .by_ref()
        .take(Form::START as u64)
        .read_to_end(&mut start);
    read.and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(refused(path))?;
    Ok(Form::of(&start))
}

fn refused(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = PathBuf::from(path);
    move |source| Error::Io {
        action: "read",
        path,
        source,
    }
}

#[cfg(test)]
mod tests;
