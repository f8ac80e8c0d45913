//! From a model to an ONNX file, which is read again and compared before it is kept.
mod builder;
mod layers;

use std::io::Write;
use std::path::{Path, PathBuf};

use hubel_kernels::Cpu;
use prost::Message;
use prost::bytes::Bytes;

use self::builder::{Builder, Scalar};
use super::file::Source;
use super::import::{self, ImportSettings};
use super::proto::data_type;
use super::unusable;
use crate::data::Medium;
use crate::formats::atomic::write_atomically;
use crate::inference::Inference;
use crate::random::{Purpose, Random};
use crate::{Error, Model, Result};

/// How a model is written.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExportSettings {
    /// The version of ONNX's operators, from 13 to 21; 17 by default. What an older version lacks is written in parts.
    pub opset: i64,
    /// What the graph takes.
    pub input: ExportInput,
    /// Keeps each batch norm as a node of its own; otherwise it becomes part of the convolution or linear layer before it, where that is possible.
    pub keep_batch_norm: bool,
    /// Weights and arithmetic of 16 bits. The input and the output stay as they are.
    pub half: bool,
    /// Number of pictures for the comparison.
    pub compared: usize,
}

/// What an exported graph takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportInput {
    /// Levels from 0 to 255 as bytes, `[n, h, w, c]`. The graph normalises them.
    #[default]
    Bytes,
    /// Normalised floats, `[n, c, h, w]`.
    Floats,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            opset: 17,
            input: ExportInput::Bytes,
            keep_batch_norm: false,
            half: false,
            compared: 16,
        }
    }
}

/// What was written, and how far it differs from the model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exported {
    /// Bytes of the file.
    pub bytes: usize,
    /// Number of nodes of the graph.
    pub nodes: usize,
    /// The largest difference of a logit between the file, read by [`import`](super::import), and the model, as a part of the largest logit.
    pub difference: f32,
    /// Number of pictures that were compared.
    pub compared: usize,
}

/// The largest difference that is accepted, as a part of the largest logit.
const BOUND: f32 = 1e-4;
/// The same for weights of 16 bits.
const HALF_BOUND: f32 = 1e-2;
/// The versions of ONNX's operators that are written.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=21;

/// Writes `model` as an ONNX file. First the bytes are read by [`import`](super::import), and the result is compared with the model on pictures of random
/// levels. If they differ, nothing is written, and an earlier file stays.
///
/// # Errors
/// [`Error::Onnx`] if the model has a layer that cannot be written, or if the comparison fails; [`Error::Settings`]; [`Error::Io`].
pub fn export(
    model: &Model,
    path: &Path,
    settings: &ExportSettings,
    cpu: &Cpu,
) -> Result<Exported> {
    let (bytes, nodes) = to_bytes(model, path, settings)?;
    let difference = compared(model, &bytes, path, settings, cpu)?;
    write_atomically(path, |file| file.write_all(&bytes))?;
    Ok(Exported {
        bytes: bytes.len(),
        nodes,
        difference,
        compared: settings.compared,
    })
}

/// The bytes of the file, and the number of its nodes.
pub(super) fn to_bytes(
    model: &Model,
    path: &Path,
    settings: &ExportSettings,
) -> Result<(Bytes, usize)> {
    if !OPSETS.contains(&settings.opset) {
        let (first, last) = (OPSETS.start(), OPSETS.end());
        return Err(Error::Settings {
            problem: format!(
                "version {} of ONNX's operators cannot be written; choose one from {first} to {last}",
                settings.opset
            ),
        });
    }
    let preparation = model.preparation();
    match preparation.medium {
        Medium::Picture => {}
        Medium::Sound(_) if settings.input == ExportInput::Floats => {}
        Medium::Sound(_) => {
            return Err(unusable(
                path,
                "the model takes spectrograms, which are no bytes; export it with normalised floats as input (`input = float`)".into(),
            ));
        }
        _ => {
            return Err(unusable(
                path,
                "hubel writes models of pictures and recordings as ONNX; this one is for texts or clips".into(),
            ));
        }
    }
    let graph = model.graph()?;
    let scalar = match settings.half {
        true => Scalar::Half,
        false => Scalar::Single,
    };
    let mut builder = Builder::new(settings.opset, scalar);
    let image = input(&mut builder, model, settings.input);
    let logits = layers::write(&mut builder, model, &graph, image, settings.keep_batch_norm)
        .map_err(|problem| unusable(path, problem))?;
    match settings.half {
        true => builder.node("Cast", "logits", &[&logits], |node| {
            node.int("to", data_type::FLOAT.into())
        }),
        false => builder.node("Identity", "logits", &[&logits], |node| node),
    };
    let shape = preparation.shape;
    let [height, width, channels] = [shape.height, shape.width, shape.channels];
    let input = match settings.input {
        ExportInput::Bytes => builder::port("image", data_type::UINT8, &[height, width, channels]),
        ExportInput::Floats => builder::port("image", data_type::FLOAT, &[channels, height, width]),
    };
    let output = builder::port("logits", data_type::FLOAT, &[model.classes().len()]);
    let nodes = builder.nodes();
    let file = builder.finish(input, output, model.metadata());
    Ok((file.encode_to_vec().into(), nodes))
}

/// Writes what comes before the first layer; returns the name of the normalised picture, `[n, c, h, w]`.
fn input(builder: &mut Builder, model: &Model, kind: ExportInput) -> String {
    let float = builder.scalar().data_type();
    if kind == ExportInput::Floats {
        return match builder.scalar() {
            Scalar::Single => "image".into(),
            Scalar::Half => builder.node("Cast", "/image/half", &["image"], |node| {
                node.int("to", float.into())
            }),
        };
    }
    let preparation = model.preparation();
    // (level / 255 − mean) / std. Half floats hold all levels, and their products as exactly as the first layer needs them.
    let per_channel = |value: &dyn Fn(f64, f64) -> f64| {
        let pairs = preparation.mean.iter().zip(&preparation.std);
        let values = pairs.map(|(mean, std)| value((*mean).into(), (*std).into()) as f32);
        values.collect::<Vec<f32>>()
    };
    let channels = preparation.shape.channels;
    let scale = per_channel(&|_, std| 1.0 / (255.0 * std));
    let shift = per_channel(&|mean, std| -mean / std);
    let scale = builder.floats("/image/scale", &[channels, 1, 1], scale);
    let shift = builder.floats("/image/shift", &[channels, 1, 1], shift);
    let image = builder.node("Cast", "/image/float", &["image"], |node| {
        node.int("to", float.into())
    });
    let image = builder.node("Transpose", "/image/channels_first", &[&image], |node| {
        node.ints("perm", &[0, 3, 1, 2])
    });
    let image = builder.node("Mul", "/image/scaled", &[&image, &scale], |node| node);
    builder.node("Add", "/image/normalised", &[&image, &shift], |node| node)
}

/// The difference between the file and the model on random pictures, as a part of the largest logit.
///
/// # Errors
/// If it is too large, or a class changes.
pub(super) fn compared(
    model: &Model,
    bytes: &Bytes,
    path: &Path,
    settings: &ExportSettings,
    cpu: &Cpu,
) -> Result<f32> {
    let source = Source::of_bytes(bytes.clone(), PathBuf::new())
        .map_err(|problem| unusable(path, problem))?;
    let read = import::of_source(&source, path, &ImportSettings::default())?;
    let shape = model.preparation().shape;
    let mut random = Random::new(0).stream(Purpose::Export, 0, 0);
    let levels: Vec<f32> = (0..settings.compared * shape.len())
        .map(|_| (255.0 * random.uniform()).floor() / 255.0)
        .collect();
    let own = logits(model, &levels, settings.compared, cpu)?;
    let of_file = logits(&read.model, &levels, settings.compared, cpu)?;
    let difference = difference(&own, &of_file);
    let bound = if settings.half { HALF_BOUND } else { BOUND };
    if difference <= bound {
        return Ok(difference);
    }
    let advice = match settings.half {
        true => "The model needs weights of 32 bits",
        false => "Please report this as a fault, with the text of the network",
    };
    Err(unusable(
        path,
        format!(
            "hubel's importer computes other logits from the file than the model does: they differ by {difference:.1e} of the largest one, and {bound:.0e} is \
             allowed; nothing was written. {advice}"
        ),
    ))
}

/// The largest difference of two values, as a part of the largest of `expected`. A NaN stays one.
pub(super) fn difference(expected: &[f32], other: &[f32]) -> f32 {
    let largest = expected
        .iter()
        .fold(0f32, |most, next| most.max(next.abs()));
    let differences = expected.iter().zip(other).map(|(a, b)| (a - b).abs());
    let most = differences.fold(0f32, |most, next| if next <= most { most } else { next });
    if most == 0.0 { 0.0 } else { most / largest }
}

/// The logits of a model for pictures with levels from 0 to 1, `[n, h, w, c]`.
pub(super) fn logits(model: &Model, levels: &[f32], count: usize, cpu: &Cpu) -> Result<Vec<f32>> {
    let mut images = vec![0.0; levels.len()];
    model.preparation().normalise_floats(levels, &mut images);
    let mut logits = Vec::with_capacity(count * model.classes().len());
    let take = &mut |_: usize, of_one: &[f32]| {
        logits.extend_from_slice(of_one);
        Ok(())
    };
    Inference::new(model, cpu)?.run_on_tensor(count, &images, take)?;
    Ok(logits)
}
