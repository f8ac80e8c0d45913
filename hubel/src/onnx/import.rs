//! From an ONNX file to a model.
mod call;
mod draft;
mod folding;
mod reader;
mod simplify;
mod tree;
mod view;
mod window;

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use self::call::Value;
use self::draft::{Affine, Draft, Operation};
use self::reader::Reader;
use self::view::{Axis, OPEN_BATCH, View, whole};
use super::constant::{Constant, Values};
use super::file::{Port, Source, is_own};
use super::proto::{self, data_type};
use super::{LEVELS, unusable};
use crate::data::Resize;
use crate::data::limit::LARGEST_PICTURE;
use crate::foreign::{Normalisation, class_names};
use crate::formats::layout::Layout;
use crate::formats::safetensors::NamedTensor;
use crate::layers::{Layer, Outputs};
use crate::parameters::Table;
use crate::{Error, Model, Preparation, Result, Shape, memory};

/// What an ONNX file does not say.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ImportSettings {
    /// The height, width and channels of a picture, for a file that leaves them open.
    pub input: Option<Shape>,
    /// The names of the classes in their order; otherwise those in the file, those of ImageNet for a thousand classes, or numbers.
    pub classes: Option<Vec<String>>,
    /// How pictures are normalised before the graph; otherwise not at all, apart from what the graph itself does.
    pub normalisation: Option<Normalisation>,
}

/// A model from an ONNX file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Imported {
    /// The model.
    pub model: Model,
    /// What one should know about it, as sentences.
    pub remarks: Vec<String>,
}

/// Reads the ONNX file at `path` as a model.
///
/// # Errors
/// [`Error::Io`]; [`Error::Onnx`], which lists everything that hubel cannot read; [`Error::Weights`] if memory does not suffice.
pub fn import(path: &Path, settings: &ImportSettings) -> Result<Imported> {
    let source = Source::read(path)?;
    of_source(&source, path, settings)
}

/// The model of a file's contents; `path` is for messages.
pub(super) fn of_source(
    source: &Source,
    path: &Path,
    settings: &ImportSettings,
) -> Result<Imported> {
    let problem = |problem: String| unusable(path, problem);
    let image = Image::of(source, settings.input).map_err(problem)?;
    let End { logits, softmax } = End::of(source).map_err(problem)?;
    let nodes = source.in_order(image.name, logits).map_err(problem)?;
    let mut reader = Reader::new(source, &nodes, &image).map_err(problem)?;
    for node in &nodes {
        reader.read(node);
    }
    let refused = |problems: Vec<String>| problem(listed(&problems, nodes.len()));
    if !reader.problems.is_empty() {
        return Err(refused(reader.problems));
    }
    let Some(Value::View(result)) = reader.values.get(logits).cloned() else {
        return Err(problem(format!(
            "its output `{logits}` does not depend on its input"
        )));
    };
    let mut draft = reader.draft;
    let classes = draft.shape(result.node);
    let of_classes = result.row().filter(|_| classes.is_row());
    let of_classes = of_classes.ok_or_else(|| {
        problem(format!(
            "its output has the sizes {:?}; hubel needs one number for each class",
            result.sizes()
        ))
    })?;
    if of_classes != whole(Axis::Channel, classes.channels) {
        return Err(problem(
            "its output has the values of its last layer in another order, which hubel does not follow".into(),
        ));
    }
    if softmax.is_some_and(|axis| !softmax_is_over_classes(&result, axis)) {
        return Err(problem(
            "its last softmax is over another axis than the classes".into(),
        ));
    }
    let output = draft.keep_only(result.node);
    let output = simplify::join_parts(&mut draft, output);
    let (output, scaling) = normalised_inside(&mut draft, output);
    let is_probability = softmax.is_none() && is_probability(&draft, output);
    simplify::to_layers(&mut draft).map_err(refused)?;
    let mut remarks = Vec::new();
    if softmax.is_some() {
        remarks.push("its last layer, softmax, is left out: hubel computes it itself".to_owned());
    }
    if let [first, others @ ..] = &source.outputs()[..]
        && !others.is_empty()
    {
        let others = crate::listed(others.iter().map(|port| port.name));
        remarks.push(format!(
            "it has several outputs; hubel reads the first, `{}`, and leaves out {others}",
            first.name
        ));
    }
    if is_probability {
        return Err(problem(
            "it ends in a sigmoid, so its classes do not exclude each other; hubel's models choose one class".into(),
        ));
    }
    let names = match (&settings.classes, source.metadata.get("hubel.classes")) {
        (Some(names), _) => names.clone(),
        (None, Some(json)) => (serde_json::from_str(json))
            .map_err(|error| problem(format!("its metadata is damaged ({error})")))?,
        (None, None) => {
            if classes.channels != 1000 {
                remarks.push("the file has no names of classes, so they are numbers".to_owned());
            }
            class_names(classes.channels)
        }
    };
    if names.len() != classes.channels {
        return Err(problem(format!(
            "it has {} classes, and {} names were given",
            classes.channels,
            names.len()
        )));
    }
    let preparation = image
        .preparation(source, settings, scaling)
        .map_err(problem)?;
    let is_all = |values: &[f32], value: f32| values.iter().all(|other| *other == value);
    if is_all(&preparation.mean, 0.0) && is_all(&preparation.std, 1.0) {
        remarks.push(
            "the file does not say how pictures are normalised, so their levels go in as numbers from 0 to 1; if its authors name a mean and a standard \
             deviation, import it again with them"
                .to_owned(),
        );
    }
    let model = model(draft, output, names, preparation).map_err(|failure| match failure {
        Failure::Nodes(problems) => refused(problems),
        Failure::Error(error) => error,
    })?;
    let model = (model.with_certainty_of(&source.metadata)).map_err(problem)?;
    Ok(Imported { model, remarks })
}

/// The levels that a graph for pictures of any size makes of the bytes of one, `[h, w, c]` of `shape`: `[c, h, w]` of the model's size, from 0 to 255.
///
/// # Errors
/// Why the graph does not resize.
pub(super) fn levels(
    source: &Source,
    pixels: &[u8],
    shape: Shape,
) -> std::result::Result<Vec<f32>, String> {
    let picture = Constant {
        shape: vec![1, shape.height, shape.width, shape.channels],
        values: Values::Integers(pixels.iter().map(|level| (*level).into()).collect()),
    };
    Ok(constant(source, picture, LEVELS)?.to_floats())
}

/// The value `name` of a graph whose input is this constant.
fn constant(
    source: &Source,
    input: Constant,
    name: &str,
) -> std::result::Result<Rc<Constant>, String> {
    let inputs = source.inputs();
    let port = inputs.first().ok_or("it has no input")?;
    let nodes = source.in_order(port.name, name)?;
    let mut reader = Reader::of_constants(source, &nodes, usize::MAX)?;
    (reader.values).insert(port.name, Value::Constant(Rc::new(input)));
    nodes.iter().for_each(|node| reader.read(node));
    match reader.values.remove(name) {
        Some(Value::Constant(constant)) => Ok(constant),
        _ => Err(reader.problems.join("; ")),
    }
}

/// The input of a file, or the levels that its first nodes make of it.
struct Image<'s> {
    name: &'s str,
    shape: Shape,
    /// Whether its axes are `[n, h, w, c]`; otherwise `[n, c, h, w]`.
    is_channels_last: bool,
    /// Whether its axes are `[n, c, w]`.
    is_row: bool,
    /// Whether its values are levels from 0 to 255.
    is_bytes: bool,
    /// Whether the graph has them as whole numbers, with which it must not compute.
    is_whole: bool,
    batch: usize,
}

impl<'s> Image<'s> {
    fn of(source: &'s Source, given: Option<Shape>) -> Result<Self, String> {
        if let Some(shape) = source.resizes_to()? {
            return match given.filter(|given| *given != shape) {
                None => Ok(Self {
                    name: LEVELS,
                    shape,
                    is_channels_last: false,
                    is_row: false,
                    is_bytes: true,
                    is_whole: false,
                    batch: OPEN_BATCH,
                }),
                Some(given) => Err(format!(
                    "its graph resizes pictures to {shape}, and {given} was given"
                )),
            };
        }
        let inputs = source.inputs();
        let Ok([port]): Result<[Port<'s>; 1], _> = inputs.try_into() else {
            let names: Vec<&str> = source.inputs().iter().map(|port| port.name).collect();
            return Err(format!(
                "it has {} inputs ({}), and hubel's models have one",
                names.len(),
                crate::listed(names)
            ));
        };
        let (batch, second, third, fourth) = match port.sizes[..] {
            [batch, second, third, fourth] => (batch, second, third, fourth),
            // A single row.
            [batch, channels, columns] => (batch, channels, Some(1), columns),
            _ => {
                return Err(format!(
                    "its input `{}` has {} axes; hubel needs the four of pictures, or three of a single row",
                    port.name,
                    port.sizes.len()
                ));
            }
        };
        let is_row = port.sizes.len() == 3;
        let is_count = |size: Option<usize>| matches!(size, Some(1 | 3));
        let is_channels_last = !is_row && is_count(fourth) && !is_count(second);
        let (channels, height, width) = match is_channels_last {
            true => (fourth, second, third),
            false => (second, third, fourth),
        };
        let size = |known: Option<usize>, of_given: fn(Shape) -> usize, what: &str| match (
            known, given,
        ) {
            (Some(known), Some(given)) if of_given(given) != known => Err(format!(
                "its input has {known} {what}, and {} were given",
                of_given(given)
            )),
            (Some(known), _) => Ok(known),
            (None, Some(given)) => Ok(of_given(given)),
            (None, None) => Err(format!(
                "its input leaves the number of {what} open; give the size of its pictures (`shape = 224x224x3`)"
            )),
        };
        let shape = Shape::new(
            size(height, |shape| shape.height, "rows")?,
            size(width, |shape| shape.width, "columns")?,
            size(channels, |shape| shape.channels, "channels")?,
        );
        if (shape.height as u64).saturating_mul(shape.width as u64) > LARGEST_PICTURE {
            return Err(format!(
                "its pictures of {shape} are larger than any that hubel reads"
            ));
        }
        let is_bytes = takes_bytes(&port)?;
        Ok(Self {
            name: port.name,
            shape,
            is_channels_last,
            is_row,
            is_bytes,
            is_whole: is_bytes,
            batch: batch.unwrap_or(OPEN_BATCH),
        })
    }

    fn view(&self) -> View {
        let view = View::of(0, self.shape, self.batch);
        match self.is_channels_last {
            true => view
                .transposed(&[0, 2, 3, 1])
                .expect("an order of four axes"),
            false if self.is_row => view.without_rows(),
            false => view,
        }
    }

    /// How pictures are prepared, if the graph begins with this scaling: first by hubel, then by the graph.
    fn preparation(
        &self,
        source: &Source,
        settings: &ImportSettings,
        scaling: Affine,
    ) -> Result<Preparation, String> {
        let own = source.preparation()?;
        let preparation = match &own {
            Some(own) if own.shape != self.shape => {
                return Err(format!(
                    "its metadata is of pictures of {}, and its input has {}",
                    own.shape, self.shape
                ));
            }
            Some(own) => own.clone(),
            None => Preparation::unmeasured(self.shape, Resize::Crop),
        };
        let channels = self.shape.channels;
        // What the picture's levels from 0 to 1 become before the graph.
        let (mean, std) = match (settings.normalisation, own) {
            _ if self.is_bytes => (vec![0.0; channels], vec![1.0 / 255.0; channels]),
            (Some(given), _) => given.for_channels(channels).into(),
            (None, Some(own)) => (own.mean, own.std),
            (None, None) => (vec![0.0; channels], vec![1.0; channels]),
        };
        if self.is_bytes && settings.normalisation.is_some() {
            return Err("it takes bytes and normalises them itself, so another normalisation has no meaning; leave it out".into());
        }
        // scale · (x − mean) / std + shift = (x − mean′) / std′
        let per_channel = |channel: usize| {
            let (scale, shift) = scaling.at(channel);
            let std = f64::from(std[channel]) / f64::from(scale);
            let mean = f64::from(mean[channel]) - f64::from(shift) * std;
            (mean as f32, std as f32)
        };
        let (mean, std) = (0..channels).map(per_channel).unzip();
        let preparation = Preparation {
            mean,
            std,
            ..preparation
        };
        (preparation.check(self.shape))
            .map_err(|error| format!("its pictures cannot be normalised: {error}"))?;
        Ok(preparation)
    }
}

/// Whether an input takes bytes; otherwise it takes floats.
fn takes_bytes(port: &Port) -> Result<bool, String> {
    match port.kind {
        data_type::UINT8 => Ok(true),
        // Files without types are of floats.
        0 | data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 => Ok(false),
        kind => Err(format!(
            "its input `{}` has the type {kind} of ONNX; hubel needs bytes, or floats of 16 or 32 bits",
            port.name
        )),
    }
}

/// Takes the normalisation at the beginning of a graph out of it; also returns the output's new index.
fn normalised_inside(draft: &mut Draft, output: usize) -> (usize, Affine) {
    let none = Affine::of(1.0, 0.0);
    let reading: Vec<usize> = (1..draft.nodes.len())
        .filter(|node| draft.nodes[*node].inputs.contains(&0))
        .collect();
    let &[first] = &reading[..] else {
        return (output, none);
    };
    let Operation::Affine(scaling) = draft.nodes[first].operation.clone() else {
        return (output, none);
    };
    if scaling.scale.iter().any(|scale| *scale <= 0.0) || first == output {
        return (output, none);
    }
    let inputs = draft.nodes.iter_mut().flat_map(|node| &mut node.inputs);
    for input in inputs.filter(|input| **input == first) {
        *input = 0;
    }
    (draft.keep_only(output), scaling)
}

/// The end of a network.
struct End<'s> {
    /// The name of the logits: what the output's softmax reads, or the output.
    logits: &'s str,
    /// The axis of the softmax; `None` without one.
    softmax: Option<i64>,
}

impl<'s> End<'s> {
    fn of(source: &'s Source) -> Result<Self, String> {
        let outputs = source.outputs();
        let nodes = &source.graph.node;
        let makers: HashMap<&str, &proto::Node> = (nodes.iter())
            .filter_map(|node| Some((node.output.first()?.as_str(), node)))
            .collect();
        let mut end = Self {
            logits: outputs.first().ok_or("it has no output")?.name,
            softmax: None,
        };
        let mut is_log_allowed = false;
        // As many steps as there are nodes, since a damaged file may have a circle.
        for _ in 0..nodes.len() {
            let maker = (makers.get(end.logits)).filter(|node| is_own(node.domain.as_deref()));
            let Some((kind, input)) =
                maker.and_then(|node| Some((node.op_type.as_deref()?, node.input.first()?)))
            else {
                break;
            };
            match (kind, end.softmax) {
                ("Identity", _) => {}
                ("Softmax" | "LogSoftmax", None) => {
                    let maker = maker.expect("its kind is known");
                    let axis = maker.attribute.iter();
                    let mut axis = axis.filter(|other| other.name.as_deref() == Some("axis"));
                    let usual = if source.version < 13 { 1 } else { -1 };
                    end.softmax = Some(axis.next().and_then(|axis| axis.i).unwrap_or(usual));
                    is_log_allowed = kind == "Softmax";
                }
                // The softmax of logarithms of probabilities is that of the logits.
                ("LogSoftmax", Some(_)) if is_log_allowed => {}
                _ => break,
            }
            end.logits = input;
        }
        Ok(end)
    }
}

/// Whether this axis of the result holds the classes.
fn softmax_is_over_classes(result: &View, axis: i64) -> bool {
    let place = call::axis(axis, result.axes.len());
    place.is_ok_and(|place| {
        let others = result.axes[1..].iter().enumerate();
        let mut others = others.filter(|(other, _)| other + 1 != place);
        place > 0 && others.all(|(_, parts)| parts.is_empty())
    })
}

/// Whether the last layer gives numbers from 0 to 1 for each class on its own, perhaps scaled or limited afterwards.
fn is_probability(draft: &Draft, output: usize) -> bool {
    use crate::layers::Activation;
    let mut node = output;
    loop {
        match &draft.nodes[node].operation {
            Operation::Layer(Layer::Activation(Activation::Sigmoid | Activation::HardSigmoid)) => {
                return true;
            }
            Operation::Affine(_)
            | Operation::Clip { .. }
            | Operation::Layer(Layer::Activation(Activation::Clip { .. })) => {
                node = draft.nodes[node].inputs[0];
            }
            _ => return false,
        }
    }
}

/// Why a draft becomes no model.
enum Failure {
    /// Its nodes form no network.
    Nodes(Vec<String>),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The model of a draft.
fn model(
    mut draft: Draft,
    output: usize,
    classes: Vec<String>,
    preparation: Preparation,
) -> Result<Model, Failure> {
    // A last linear layer has an output for each class, whatever their number will be.
    if let Operation::Layer(Layer::Linear { outputs, .. }) = &mut draft.nodes[output].operation {
        *outputs = Outputs::Classes;
    }
    let tree = tree::of(&mut draft, output, true).map_err(Failure::Nodes)?;
    let graph = tree.network.graph(preparation.input(), classes.len());
    let (tree, graph) = match graph {
        // The names of the file are not those of a network of hubel.
        Err(Error::Names { .. }) => {
            let tree = tree::of(&mut draft, output, false).map_err(Failure::Nodes)?;
            let graph = tree.network.graph(preparation.input(), classes.len())?;
            (tree, graph)
        }
        graph => (tree, graph?),
    };
    let table = Table::of(&graph);
    memory::check_weights(2 * size_of::<f32>() * table.numbers)?;
    let mut tensors = Vec::with_capacity(table.entries.len());
    for entry in &table.entries {
        let node = &mut draft.nodes[tree.order[entry.node - 1]];
        let tensor = graph.nodes[entry.node].tensor(entry.role);
        let name = tensor.expect("an entry is of a tensor of its node").name;
        let mut own = node.tensors.iter_mut();
        let found = own.find(|(own, _)| *own == name);
        let data = found
            .map(|(_, values)| std::mem::take(values))
            .unwrap_or_default();
        let shape = Layout::of(&graph, entry).file_shape();
        if data.len() != shape.iter().product::<usize>() {
            let problem = format!(
                "{}: its `{name}` has {} values, and {shape:?} are needed",
                node.source,
                data.len()
            );
            return Err(Failure::Nodes(vec![problem]));
        }
        tensors.push(NamedTensor {
            name: entry.name.clone(),
            shape,
            data,
        });
    }
    let mut model = Model::unfilled(tree.network, classes, preparation)?;
    (model.take(&tensors)).map_err(|problem| Failure::Nodes(vec![problem]))?;
    Ok(model)
}

/// Most problems that a message lists.
const MOST: usize = 1000;

/// All problems of a file with this number of nodes, one a line.
fn listed(problems: &[String], nodes: usize) -> String {
    let lines = problems
        .iter()
        .take(MOST)
        .map(|problem| format!("\n  {}", crate::one_line(problem)));
    let lines: String = lines.collect();
    let others = match problems.len().saturating_sub(MOST) {
        0 => String::new(),
        others => format!("\n  and {others} more"),
    };
    format!(
        "hubel does not read {} of its {nodes} nodes:{lines}{others}",
        problems.len()
    )
}

#[cfg(test)]
mod small_files;
#[cfg(test)]
mod tests;
