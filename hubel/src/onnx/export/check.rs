//! Reads the written bytes again, and compares them with the model.
use std::path::{Path, PathBuf};

use half::f16;
use hubel_kernels::Cpu;
use prost::bytes::Bytes;

use super::{ExportInput, ExportSettings};
use crate::data::Prepared;
use crate::explain::Explainer;
use crate::inference::Inference;
use crate::network::Operation;
use crate::onnx::file::Source;
use crate::onnx::import::{self, ImportSettings};
use crate::onnx::unusable;
use crate::random::{Purpose, Random};
use crate::{Model, Preparation, Result, Shape};

/// The largest difference that is accepted, as a part of the largest logit.
const BOUND: f32 = 1e-4;
/// The same for weights of 16 bits.
const HALF_BOUND: f32 = 1e-2;

/// The difference between the file and the model on pictures with these levels, `[n, h, w, c]`, as a part of the largest logit.
///
/// # Errors
/// If it is too large, a class changes, or the graph resizes otherwise than hubel does.
pub(in crate::onnx) fn compare(
    model: &Model,
    bytes: &Bytes,
    path: &Path,
    settings: &ExportSettings,
    levels: &[f32],
    cpu: &Cpu,
) -> Result<f32> {
    let source = Source::of_bytes(bytes.clone(), PathBuf::new())
        .map_err(|problem| unusable(path, problem))?;
    let refused = |problem: String, advice: &str| {
        unusable(path, format!("{problem}; nothing was written. {advice}"))
    };
    let report = "Please report this as a fault, with the text of the network";
    if settings.input == ExportInput::AnySize {
        compare_resizing(&source, model.preparation())
            .map_err(|problem| refused(problem, report))?;
    }
    let read = import::of_source(&source, path, &ImportSettings::default())?;
    let count = levels.len() / model.input().len();
    let own = logits(model, levels, count, cpu)?;
    let of_file = logits(&read.model, levels, count, cpu)?;
    let difference = difference(&own, &of_file);
    if settings.half
        && let Some(problem) = beyond_halves(model, levels, settings.keep_batch_norm, cpu)?
    {
        return Err(refused(problem, "Leave out the setting `half`"));
    }
    let (bound, advice) = match settings.half {
        true => (
            HALF_BOUND,
            "Compare on pictures of your own, or leave out the setting `half`",
        ),
        false => (BOUND, report),
    };
    if difference.is_nan() || difference > bound {
        let problem = format!(
            "hubel's importer computes other logits from the file than the model does: they differ by {difference:.1e} of the largest one, and \
             {bound:.0e} is allowed"
        );
        return Err(refused(problem, advice));
    }
    match changed_classes(&own, &of_file, model.classes().len()) {
        0 => Ok(difference),
        changed => {
            let problem = format!(
                "hubel's importer finds another class than the model on {changed} of {count} pictures"
            );
            Err(refused(problem, advice))
        }
    }
}

/// A map with values that numbers of 16 bits do not reach: hubel's importer computes with 32 bits, and would not see them.
fn beyond_halves(
    model: &Model,
    levels: &[f32],
    keep_batch_norm: bool,
    cpu: &Cpu,
) -> Result<Option<String>> {
    let mut explainer = Explainer::new(cpu, model, 1)?;
    let mut image = vec![0.0; model.input().len()];
    for levels in levels.chunks_exact(image.len()) {
        model.preparation().normalise_floats(levels, &mut image);
        explainer.look(&image);
        let nodes = explainer.nodes();
        // A batch norm that is folded into the layer before it leaves no map between them.
        let is_folded = |place: usize| {
            let mut readers = nodes.iter().filter(|node| node.inputs.contains(&place));
            !keep_batch_norm
                && readers.any(|node| matches!(node.operation, Operation::BatchNorm { .. }))
        };
        for (place, node) in nodes.iter().enumerate() {
            let map = explainer.map(place).iter();
            let largest = map.fold(0f32, |most, next| most.max(next.abs()));
            if largest > f16::MAX.to_f32() && !is_folded(place) {
                return Ok(Some(format!(
                    "layer `{}` has values up to {largest:.0}, and numbers of 16 bits reach {}",
                    node.name,
                    f16::MAX
                )));
            }
        }
    }
    Ok(None)
}

/// How many pictures get another class from `other` than from `expected`, without those whose two classes are equally likely within [`BOUND`].
fn changed_classes(expected: &[f32], other: &[f32], classes: usize) -> usize {
    let pictures = std::iter::zip(expected.chunks_exact(classes), other.chunks_exact(classes));
    let is_changed = |(expected, other): &(&[f32], &[f32])| {
        let (class, found) = (most_likely(expected), most_likely(other));
        let most = expected
            .iter()
            .fold(0f32, |most, next| most.max(next.abs()));
        expected[class] - expected[found] > BOUND * most
    };
    pictures.filter(is_changed).count()
}

/// The class with the largest logit.
fn most_likely(logits: &[f32]) -> usize {
    let logits = logits.iter().enumerate();
    let best = logits.max_by(|(_, one), (_, other)| one.total_cmp(other));
    best.map_or(0, |(class, _)| class)
}

/// Compares what the graph makes of random pictures of other sizes with what hubel makes of them. A level may differ by one, since hubel computes
/// constants with numbers of 32 bits.
fn compare_resizing(source: &Source, preparation: &Preparation) -> std::result::Result<(), String> {
    let shape = preparation.shape;
    let (height, width) = (shape.height, shape.width);
    let sizes = [
        (height + height / 4 + 1, width + width / 3 + 2),
        (height / 3 + 1, width / 2 + 1),
        (3, 2 * width + 1),
        (2 * height + 1, 3),
    ];
    let mut random = Random::new(0).stream(Purpose::Export, 0, 1);
    for (rows, columns) in sizes {
        let picture = Shape::new(rows, columns, shape.channels);
        let pixels: Vec<u8> = (0..picture.len())
            .map(|_| (256.0 * random.uniform()) as u8)
            .collect();
        let of_graph = import::levels(source, &pixels, picture)?;
        let own = preparation.resized(&pixels, picture);
        // The graph has channels first.
        let place = |index: usize| {
            let at = shape.place(index);
            (at.channel * height + at.row) * width + at.column
        };
        let apart = own.iter().enumerate().map(|(index, level)| {
            let other = of_graph.get(place(index)).copied().unwrap_or(f32::NAN);
            (f32::from(*level) - other).abs()
        });
        let apart = apart.filter(|apart| apart.is_nan() || *apart > 1.0).count();
        if apart > 0 {
            return Err(format!(
                "the graph makes other levels of a picture of {rows}×{columns} than hubel does: {apart} of {} differ by more than one",
                own.len()
            ));
        }
    }
    Ok(())
}

/// The levels from 0 to 1 of prepared pictures or recordings.
pub(super) fn levels_of(model: &Model, pictures: &[Prepared]) -> Vec<f32> {
    let preparation = model.preparation();
    let channels = preparation.mean.iter().zip(&preparation.std);
    let values = pictures.iter().flat_map(|picture| &picture.tensor);
    let values = values.zip(channels.cycle());
    values
        .map(|(value, (mean, std))| value * std + mean)
        .collect()
}

/// Random levels from 0 to 1 of `count` pictures.
pub(in crate::onnx) fn random_levels(count: usize, shape: Shape) -> Vec<f32> {
    let mut random = Random::new(0).stream(Purpose::Export, 0, 0);
    let levels = (0..count * shape.len()).map(|_| (255.0 * random.uniform()).floor() / 255.0);
    levels.collect()
}

/// The largest difference of two values, as a part of the largest of `expected`. A NaN stays one.
pub(in crate::onnx) fn difference(expected: &[f32], other: &[f32]) -> f32 {
    let largest = expected
        .iter()
        .fold(0f32, |most, next| most.max(next.abs()));
    let differences = expected.iter().zip(other).map(|(a, b)| (a - b).abs());
    let most = differences.fold(0f32, |most, next| if next <= most { most } else { next });
    if most == 0.0 { 0.0 } else { most / largest }
}

/// The logits of a model for pictures with levels from 0 to 1, `[n, h, w, c]`.
pub(in crate::onnx) fn logits(
    model: &Model,
    levels: &[f32],
    count: usize,
    cpu: &Cpu,
) -> Result<Vec<f32>> {
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
