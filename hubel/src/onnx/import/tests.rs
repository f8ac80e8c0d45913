//! The tests of the package onnx: each operator on its own, and small networks.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;

use super::call::Value;
use super::draft::Node;
use super::reader::Reader;
use super::view::Axis;
use super::*;
use crate::Cpu;
use crate::inference::Inference;
use crate::onnx::constant::Constant;
use crate::onnx::proto;

/// The operators that image classifiers use.
const OPERATORS: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "LogSoftmax",
    "LpPool",
    "LRN",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mish",
    "Mul",
    "PRelu",
    "Pad",
    "QuantizeLinear",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Upsample",
];

/// Some answers of the tests are rounded to four digits, or to 16 bits, which hubel does not do.
const BOUND: f32 = 2e-3;

/// What came out of a test.
enum Outcome {
    /// The largest difference, as a part of the largest value.
    Computed(f32),
    /// The sizes, which are not those of the test.
    WrongSize(String),
}

fn tensor(path: &Path) -> proto::Tensor {
    proto::Tensor::decode(&*fs::read(path).unwrap()).unwrap()
}

/// Runs one test: the first input is a map, the others are constants.
fn run(folder: &Path) -> Result<Outcome, String> {
    let mut model = proto::Model::decode(&*fs::read(folder.join("model.onnx")).unwrap()).unwrap();
    let data = folder.join("test_data_set_0");
    let graph = model.graph.as_mut().unwrap();
    // Some files list their constants among the inputs.
    let constants: Vec<Option<String>> =
        (graph.initializer.iter().map(|tensor| tensor.name.clone())).collect();
    let ports = graph.input.iter().map(|port| port.name.clone());
    let names: Vec<String> = (ports.filter(|name| !constants.contains(name)))
        .flatten()
        .collect();
    for (number, name) in names.iter().enumerate().skip(1) {
        graph.initializer.push(proto::Tensor {
            name: Some(name.clone()),
            ..tensor(&data.join(format!("input_{number}.pb")))
        });
    }
    let source = Source::of_bytes(model.encode_to_vec().into(), PathBuf::new())?;
    let ports = source.inputs();
    let port = ports.first().ok_or("it has no input")?;
    takes_bytes(port)?;
    // Layers with windows read a map of a single row. Other tensors with fewer axes show a map, too.
    let has_windows = (source.graph.node.iter()).any(|node| {
        let kind = node.op_type.as_deref().unwrap_or_default();
        ["Conv", "Pool", "BatchNorm"]
            .iter()
            .any(|part| kind.contains(part))
    });
    let sizes: Option<Vec<usize>> = port.sizes.iter().copied().collect();
    let sizes = sizes.ok_or("its sizes are open")?;
    let (image, axes) = match sizes[..] {
        [] => (image(&source, 1, Shape::new(1, 1, 1)), vec![]),
        [channels] => (image(&source, 1, Shape::new(1, 1, channels)), vec![1]),
        [batch, channels] => (
            image(&source, batch, Shape::new(1, 1, channels)),
            vec![0, 1],
        ),
        [_, _, _] if has_windows => (Image::of(&source, None)?, vec![0, 1, 2]),
        [channels, height, width] => (
            image(&source, 1, Shape::new(height, width, channels)),
            vec![1, 2, 3],
        ),
        _ => (Image::of(&source, None)?, vec![0, 1, 2, 3]),
    };
    let outputs = source.outputs();
    let output = outputs[0].name;
    let nodes = source.in_order(image.name, output)?;
    let mut reader = Reader::new(&source, &nodes, &image)?;
    let mut view = image.view();
    view.axes = axes.iter().map(|axis| view.axes[*axis].clone()).collect();
    reader.values.insert(image.name, Value::View(view));
    nodes.iter().for_each(|node| reader.read(node));
    if !reader.problems.is_empty() {
        return Err(reader.problems.join("; "));
    }
    let view = match reader.values.get(output) {
        Some(Value::View(view)) => view.clone(),
        Some(Value::Constant(_)) => return Err("its output is a constant, and no map".into()),
        _ => return Err("its output depends on no map".into()),
    };
    let mut draft = reader.draft;
    let shape = draft.shape(view.node);
    let row = Shape::new(1, 1, shape.len());
    let last = draft.push(Node {
        operation: Operation::Layer(Layer::Flatten),
        inputs: vec![view.node],
        shape: row,
        tensors: Vec::new(),
        source: "the end".into(),
        label: None,
    });
    let last = draft.keep_only(last);
    let last = simplify::join_parts(&mut draft, last);
    simplify::to_layers(&mut draft).map_err(|problems| problems.join("; "))?;
    let classes = (0..row.channels).map(|class| class.to_string()).collect();
    let preparation = Preparation::unmeasured(image.shape, Resize::Crop);
    let model = model_of(draft, last, classes, preparation)?;
    let input = Constant::read(&tensor(&data.join("input_0.pb")), None)?;
    let images = in_memory_order(&image, &input);
    let cpu = Cpu::best(1);
    let mut own = Vec::new();
    let take = &mut |_: usize, of_one: &[f32]| {
        own.extend_from_slice(of_one);
        Ok(())
    };
    let count = images.len() / image.shape.len();
    let mut inference = Inference::new(&model, &cpu).map_err(|error| error.to_string())?;
    inference
        .run_on_tensor(count, &images, take)
        .map_err(|error| error.to_string())?;
    let expected = Constant::read(&tensor(&data.join("output_0.pb")), None)?;
    let expected_sizes: Vec<usize> = view.sizes();
    if expected.shape != expected_sizes {
        let sizes = format!("{expected_sizes:?} in place of {:?}", expected.shape);
        return Ok(Outcome::WrongSize(sizes));
    }
    // The index of each value of the view in what was computed: image, then [y, x, c].
    let places = view.axes.concat().iter().fold(vec![0], |places, part| {
        let step = match part.axis {
            Axis::Batch => shape.len(),
            Axis::Channel => 1,
            Axis::Row => shape.width * shape.channels,
            Axis::Column => shape.channels,
        };
        let along: Vec<usize> = (0..part.size)
            .map(|index| index * part.stride() * step)
            .collect();
        places
            .iter()
            .flat_map(|place| along.iter().map(move |more| place + more))
            .collect()
    });
    let expected = expected.to_floats();
    let largest = expected
        .iter()
        .filter(|value| value.is_finite())
        .fold(1e-20f32, |largest, value| largest.max(value.abs()));
    let differences =
        places
            .iter()
            .zip(&expected)
            .map(|(place, expected)| match (own[*place], *expected) {
                (own, expected) if own == expected || own.is_nan() && expected.is_nan() => 0.0,
                (own, expected) => (own - expected).abs(),
            });
    let most = differences.fold(0f32, |most, next| if next <= most { most } else { next });
    Ok(Outcome::Computed(most / largest))
}

/// An input whose channels come first.
fn image(source: &Source, batch: usize, shape: Shape) -> Image<'_> {
    Image {
        name: source.inputs()[0].name,
        shape,
        is_channels_last: false,
        is_row: false,
        is_bytes: false,
        is_whole: false,
        batch,
    }
}

fn model_of(
    draft: Draft,
    output: usize,
    classes: Vec<String>,
    preparation: Preparation,
) -> Result<Model, String> {
    model(draft, output, classes, preparation).map_err(|failure| match failure {
        Failure::Nodes(problems) => problems.join("; "),
        Failure::Error(error) => error.to_string(),
    })
}

/// The images as `[n, h, w, c]`.
fn in_memory_order(image: &Image, input: &Constant) -> Vec<f32> {
    let values = input.to_floats();
    if image.is_channels_last {
        return values;
    }
    let shape = image.shape;
    let places = (0..values.len()).map(|place| {
        let (n, at) = (place / shape.len(), shape.place(place % shape.len()));
        n * shape.len() + (at.channel * shape.height + at.row) * shape.width + at.column
    });
    places.map(|place| values[place]).collect()
}

/// What came out of the tests of one operator.
#[derive(Default)]
struct Row {
    passed: usize,
    /// The number of refused tests by reason.
    refused: BTreeMap<String, usize>,
}

/// The kinds of tests, of which one is chosen: those of single operators, and networks that PyTorch wrote.
const KINDS: [&str; 3] = ["node", "pytorch-converted", "pytorch-operator"];

#[test]
#[ignore = "needs the folder onnx/backend/test/data of the package onnx: HUBEL_ONNX_TESTS"]
fn tests_of_onnx_are_passed_or_refused() {
    let data = PathBuf::from(std::env::var_os("HUBEL_ONNX_TESTS").expect("HUBEL_ONNX_TESTS"));
    let mut table: BTreeMap<String, Row> = BTreeMap::new();
    let mut wrong = Vec::new();
    for kind in KINDS {
        let folders = fs::read_dir(data.join(kind)).unwrap();
        for folder in folders.map(|entry| entry.unwrap().path()) {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = fs::read(folder.join("model.onnx")).unwrap();
            let model = proto::Model::decode(&*bytes).unwrap();
            let nodes = &model.graph.as_ref().unwrap().node;
            let operator = nodes[0].op_type.as_deref().unwrap_or_default();
            let key = match kind {
                // The names of the others say that an operator is written in parts.
                "node" if nodes.len() == 1 && OPERATORS.contains(&operator) => operator,
                "node" => continue,
                kind => kind,
            };
            let row = table.entry(key.to_owned()).or_default();
            match run(&folder) {
                Ok(Outcome::Computed(difference)) if difference <= BOUND => row.passed += 1,
                Ok(Outcome::Computed(difference)) => wrong.push(format!("{name}: {difference:e}")),
                Ok(Outcome::WrongSize(sizes)) => wrong.push(format!("{name}: {sizes}")),
                Err(reason) => {
                    // Without the name of the node.
                    let reason = reason
                        .split_once("`: ")
                        .map_or(&*reason, |(_, reason)| reason);
                    *row.refused.entry(reason.to_owned()).or_default() += 1;
                }
            }
        }
    }
    println!("| tests | passed | refused |\n|---|---|---|");
    for (name, Row { passed, refused }) in &table {
        let reasons = refused
            .iter()
            .map(|(reason, count)| format!("{count}: {reason}"));
        println!(
            "| {name} | {passed} | {} |",
            reasons.collect::<Vec<_>>().join("<br>")
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
