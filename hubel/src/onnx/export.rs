//! From a model to an ONNX file, which is read again and compared before it is kept.
pub(super) mod builder;
pub(super) mod check;
mod layers;
mod resize;

use std::io::Write;
use std::path::Path;

use hubel_kernels::Cpu;
use prost::Message;
use prost::bytes::Bytes;

use self::builder::{Builder, Scalar};
use super::proto::data_type;
use super::unusable;
use crate::data::{Medium, Prepared};
use crate::formats::atomic::write_atomically;
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
    /// Number of pictures of random levels for the comparison, if no others are given.
    pub compared: usize,
}

/// What an exported graph takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportInput {
    /// Levels from 0 to 255 as bytes, `[n, h, w, c]`. The graph normalises them.
    #[default]
    Bytes,
    /// Levels from 0 to 255 of pictures of any size, as bytes `[n, rows, columns, c]`. The graph resizes them as hubel does, and normalises them.
    AnySize,
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

/// The versions of ONNX's operators that are written.
pub const OPSETS: std::ops::RangeInclusive<i64> = 13..=21;

/// Writes `model` as an ONNX file. First the bytes are read by [`import`](super::import), and the result is compared with the model on `pictures`, or on
/// pictures of random levels if there are none; then resizing within the graph is compared, too. If anything differs, nothing is written, and an
/// earlier file stays.
///
/// # Errors
/// [`Error::Onnx`] if the model has a layer that cannot be written, or if the comparison fails; [`Error::Settings`]; [`Error::Io`].
pub fn export(
    model: &Model,
    path: &Path,
    settings: &ExportSettings,
    pictures: &[Prepared],
    cpu: &Cpu,
) -> Result<Exported> {
    let (bytes, nodes) = to_bytes(model, path, settings)?;
    let levels = match pictures {
        [] => check::random_levels(settings.compared, model.input()),
        _ => check::levels_of(model, pictures),
    };
    let difference = check::compare(model, &bytes, path, settings, &levels, cpu)?;
    write_atomically(path, |file| file.write_all(&bytes))?;
    Ok(Exported {
        bytes: bytes.len(),
        nodes,
        difference,
        compared: levels.len() / model.input().len(),
    })
}

/// The bytes of the file, and the number of its nodes.
pub(super) fn to_bytes(
    model: &Model,
    path: &Path,
    settings: &ExportSettings,
) -> Result<(Bytes, usize)> {
    if settings.compared == 0 {
        return Err(Error::Settings {
            problem: "a file is compared with the model on at least one picture".into(),
        });
    }
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
    let has_ink = (preparation.ground).is_some_and(|ground| ground.ink_side.is_some());
    match preparation.medium {
        Medium::Picture if settings.input == ExportInput::AnySize && has_ink => {
            return Err(unusable(
                path,
                "the model reads writing, which hubel cuts out of a picture and centres, and a graph cannot do that; export it for pictures of its own size (`input = bytes`)"
                    .into(),
            ));
        }
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
        ExportInput::Bytes => {
            let sizes = [height, width, channels].map(builder::number);
            builder::port("image", data_type::UINT8, sizes)
        }
        ExportInput::AnySize => {
            let sizes = [
                builder::open("rows"),
                builder::open("columns"),
                builder::number(channels),
            ];
            builder::port("image", data_type::UINT8, sizes)
        }
        ExportInput::Floats => {
            let sizes = [channels, height, width].map(builder::number);
            builder::port("image", data_type::FLOAT, sizes)
        }
    };
    let classes = [builder::number(model.classes().len())];
    let output = builder::port("logits", data_type::FLOAT, classes);
    let nodes = builder.nodes();
    let file = builder.finish(input, output, model.metadata());
    Ok((file.encode_to_vec().into(), nodes))
}

/// Writes what comes before the first layer; returns the name of the normalised picture, `[n, c, h, w]`.
fn input(builder: &mut Builder, model: &Model, kind: ExportInput) -> String {
    let float = builder.scalar().data_type();
    let is_half = builder.scalar() == Scalar::Half;
    let cast = |builder: &mut Builder, value: &str| {
        builder.node("Cast", "/image/float", &[value], |node| {
            node.int("to", float.into())
        })
    };
    let preparation = model.preparation();
    let levels = match kind {
        ExportInput::Floats if is_half => return cast(builder, "image"),
        ExportInput::Floats => return "image".into(),
        ExportInput::Bytes => {
            let image = cast(builder, "image");
            builder.node("Transpose", "/image/channels_first", &[&image], |node| {
                node.ints("perm", &[0, 3, 1, 2])
            })
        }
        ExportInput::AnySize => {
            let levels = resize::write(builder, preparation);
            match is_half {
                true => cast(builder, &levels),
                false => levels,
            }
        }
    };
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
    let image = builder.node("Mul", "/image/scaled", &[&levels, &scale], |node| node);
    builder.node("Add", "/image/normalised", &[&image, &shift], |node| node)
}
