//! Small files that are easily read wrongly: each is refused, or gives the right numbers.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::Cpu;
use crate::onnx::export::builder::{Attributes, Builder, Scalar, number, port};
use crate::onnx::{export::check, proto};

/// A graph with a picture of 3×6×5 as input `x`, whose output is `y`, and a linear layer of it, `l`, with 4 values.
struct File {
    builder: Builder,
    version: i64,
    input: proto::ValueInfo,
}

impl File {
    /// A file of this version of the operators.
    fn new(version: i64) -> Self {
        let sizes = [3, 6, 5].map(number);
        let mut file = Self {
            builder: Builder::new(version, Scalar::Single),
            version,
            input: port("x", data_type::FLOAT, sizes),
        };
        file.floats("w", &[90, 4]);
        file.node("Flatten", "f", &["x"]);
        file.node("Gemm", "l", &["f", "w"]);
        file
    }

    fn node(&mut self, kind: &str, name: &str, inputs: &[&str]) {
        self.builder.node(kind, name, inputs, |node| node);
    }

    fn with(
        &mut self,
        kind: &str,
        name: &str,
        inputs: &[&str],
        attributes: fn(Attributes) -> Attributes,
    ) {
        self.builder.node(kind, name, inputs, attributes);
    }

    /// A constant with other values for each place.
    fn floats(&mut self, name: &str, shape: &[usize]) {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|place| (place as f32 * 0.7).sin()).collect();
        self.builder.singles(name, shape, &values);
    }

    fn integers(&mut self, name: &str, values: &[i64]) {
        self.builder.integers(name, values);
    }

    fn model(self) -> proto::Model {
        let output = port("y", data_type::FLOAT, [number(4)]);
        let mut model = self.builder.finish(self.input, output, BTreeMap::new());
        model.opset_import[0].version = Some(self.version);
        model
    }

    fn read(self) -> crate::Result<Imported> {
        read(self.model())
    }

    /// Checks that the file is refused for this reason.
    #[track_caller]
    fn expect_refusal(self, reason: &str) {
        let error = self.read().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    /// The logits for one picture.
    #[track_caller]
    fn logits(self) -> Vec<f32> {
        let model = self.read().unwrap().model;
        let levels: Vec<f32> = (0..90).map(|place| (place as f32 * 0.3).cos()).collect();
        check::logits(&model, &levels, 1, &Cpu::best(1)).unwrap()
    }
}

fn read(model: proto::Model) -> crate::Result<Imported> {
    use prost::Message;
    crate::onnx::read(&model.encode_to_vec())
}

#[test]
fn one_softmax_over_the_classes_is_left_out() {
    let mut file = File::new(17);
    file.node("LogSoftmax", "a", &["l"]);
    file.node("Softmax", "y", &["a"]);
    let mut plain = File::new(17);
    plain.node("Identity", "y", &["l"]);
    assert_eq!(file.logits(), plain.logits());

    let mut file = File::new(17);
    file.node("Softmax", "a", &["l"]);
    file.node("Softmax", "y", &["a"]);
    file.expect_refusal("softmax at the end of a network only");

    let mut file = File::new(17);
    file.with("Softmax", "y", &["l"], |node| node.int("axis", 0));
    file.expect_refusal("over another axis than the classes");

    let mut file = File::new(17);
    file.node("Softmax", "y", &["l"]);
    let mut model = file.model();
    let node = model.graph.as_mut().unwrap().node.last_mut().unwrap();
    node.domain = Some("my.operators".into());
    let error = read(model).unwrap_err().to_string();
    assert!(error.contains("an operator of my.operators"), "{error}");
}

#[test]
fn maps_do_not_become_whole_numbers() {
    let mut file = File::new(17);
    file.with("Cast", "a", &["l"], |node| {
        node.int("to", data_type::INT64.into())
    });
    file.with("Cast", "y", &["a"], |node| {
        node.int("to", data_type::FLOAT.into())
    });
    file.expect_refusal("makes whole numbers of a map");

    let mut file = File::new(17);
    file.input = port("x", data_type::UINT8, [3, 6, 5].map(number));
    file.node("Identity", "y", &["l"]);
    file.expect_refusal("it computes with bytes");
}

#[test]
fn the_order_of_channels_is_followed_or_refused() {
    let permuted = || {
        let mut file = File::new(17);
        file.floats("v", &[90, 24]);
        file.integers("parts", &[-1, 2, 3, 4]);
        file.integers("row", &[-1, 24]);
        file.node("Gemm", "m", &["f", "v"]);
        file.node("Reshape", "p", &["m", "parts"]);
        file.with("Transpose", "t", &["p"], |node| {
            node.ints("perm", &[0, 3, 2, 1])
        });
        file
    };
    let mut file = permuted();
    file.node("Reshape", "y", &["t", "row"]);
    file.expect_refusal("in another order");

    let mut file = permuted();
    file.node("Reshape", "q", &["t", "row"]);
    for name in ["scale", "shift", "mean"] {
        file.floats(name, &[24]);
    }
    file.builder.singles("variance", &[24], &[0.5; 24]);
    file.node(
        "BatchNormalization",
        "y",
        &["q", "scale", "shift", "mean", "variance"],
    );
    file.expect_refusal("in another order");
}

#[test]
fn batch_norms_in_training_mode_are_refused_in_all_versions() {
    for (version, results) in [(9, 5), (6, 1)] {
        let mut file = File::new(version);
        for name in ["scale", "shift", "mean"] {
            file.floats(name, &[4]);
        }
        file.builder.singles("variance", &[4], &[0.5; 4]);
        file.node(
            "BatchNormalization",
            "y",
            &["l", "scale", "shift", "mean", "variance"],
        );
        let mut model = file.model();
        let node = model.graph.as_mut().unwrap().node.last_mut().unwrap();
        node.output
            .extend((1..results).map(|result| format!("result {result}")));
        let error = read(model).unwrap_err().to_string();
        assert!(error.contains("it is in training mode"), "{error}");
    }
}

#[test]
fn constants_must_have_a_value_for_each_channel() {
    let mut file = File::new(17);
    file.floats("two", &[2]);
    file.node("Add", "y", &["l", "two"]);
    file.expect_refusal("is not one value for each channel");

    let mut file = File::new(17);
    file.floats("column", &[4, 1]);
    file.node("Gemm", "y", &["f", "w", "column"]);
    file.expect_refusal("its bias has one value for each image");
}

#[test]
fn probabilities_at_the_end_are_found_behind_limits() {
    for kind in ["Sigmoid", "HardSigmoid"] {
        let mut file = File::new(17);
        file.node(kind, "s", &["l"]);
        file.builder.singles("least", &[], &[1e-7]);
        file.builder.singles("factor", &[], &[0.999]);
        file.node("Max", "a", &["s", "least"]);
        file.node("Mul", "y", &["a", "factor"]);
        file.expect_refusal("do not exclude each other");
    }
}

#[test]
fn a_map_may_be_added_to_itself() {
    let mut file = File::new(17);
    file.node("Add", "y", &["l", "l"]);
    let mut plain = File::new(17);
    plain.node("Identity", "y", &["l"]);
    let double: Vec<f32> = plain.logits().iter().map(|value| 2.0 * value).collect();
    assert!(check::difference(&double, &file.logits()) < 1e-6);

    for kind in ["Mul", "Concat"] {
        let mut file = File::new(17);
        file.with(kind, "y", &["l", "l"], |node| node.int("axis", 1));
        file.expect_refusal(&format!("{kind} `y`"));
    }
}

#[test]
fn other_outputs_are_named_and_names_are_given_once() {
    let mut file = File::new(17);
    file.node("Identity", "y", &["l"]);
    let mut model = file.model();
    let graph = model.graph.as_mut().unwrap();
    graph.output.push(port("l", data_type::FLOAT, [number(4)]));
    let remarks = read(model.clone()).unwrap().remarks;
    assert!(
        remarks
            .iter()
            .any(|remark| remark.contains("and leaves out l")),
        "{remarks:?}"
    );
    let graph = model.graph.as_mut().unwrap();
    let again = graph.node[0].clone();
    graph.node.push(again);
    let error = read(model).unwrap_err().to_string();
    assert!(
        error.contains("two of its values have the name `f`"),
        "{error}"
    );
}

#[test]
fn a_padded_map_is_not_pooled_with_windows_that_begin_in_the_padding() {
    let mut file = File::new(17);
    file.node("Relu", "r", &["x"]);
    file.integers("pads", &[0, 0, 0, 0, 0, 0, 1, 0]);
    file.node("Pad", "p", &["r", "pads"]);
    file.with("MaxPool", "m", &["p"], |node| {
        node.ints("kernel_shape", &[2, 2])
            .ints("strides", &[2, 2])
            .int("ceil_mode", 1)
    });
    file.node("Flatten", "g", &["m"]);
    file.floats("u", &[36, 4]);
    file.node("Gemm", "y", &["g", "u"]);
    let network = file.read().unwrap().model.network().to_string();
    assert!(
        network.contains("pad(0,") || network.contains("pad(("),
        "{network}"
    );
}

#[test]
fn short_files_do_not_fill_the_memory() {
    let mut file = File::new(17);
    file.integers("size", &[1 << 27]);
    file.node("ConstantOfShape", "c", &["size"]);
    let many = ["c"; 200];
    file.with("Concat", "d", &many, |node| node.int("axis", 0));
    file.node("Add", "y", &["l", "d"]);
    file.expect_refusal("is too large");

    let mut file = File::new(17);
    file.input = port("x", data_type::FLOAT, [1, 1 << 29, 1 << 29].map(number));
    file.node("Identity", "y", &["l"]);
    file.expect_refusal("larger than any that hubel reads");

    for (starts, ends, axes, steps) in [
        (&[4, 4][..], &[8, 8][..], &[0, 0][..], &[1, 1][..]),
        (&[-1], &[-9], &[0], &[-1]),
    ] {
        let mut file = File::new(17);
        file.integers("empty", &[]);
        file.integers("starts", starts);
        file.integers("ends", ends);
        file.integers("axes", axes);
        file.integers("steps", steps);
        file.node("Slice", "c", &["empty", "starts", "ends", "axes", "steps"]);
        file.node("Add", "y", &["l", "c"]);
        file.read().unwrap_err();
    }
}

#[test]
fn constants_have_the_values_of_onnx_runtime() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/constants");
    let bytes = std::fs::read(folder.join("constants.onnx")).unwrap();
    let json = std::fs::read_to_string(folder.join("constants.json")).unwrap();
    let expected: BTreeMap<String, (String, Vec<usize>, Vec<f32>)> =
        serde_json::from_str(&json).unwrap();
    let source = Source::of_bytes(bytes.into(), PathBuf::new()).unwrap();
    let mut refused = 0;
    for (name, (kind, shape, values)) in &expected {
        let one = Constant {
            shape: vec![1],
            values: Values::Floats(vec![1.0]),
        };
        match constant(&source, one, name) {
            Ok(own) => {
                assert_eq!(own.shape, *shape, "{kind} `{name}`");
                for (own, expected) in own.to_floats().iter().zip(values) {
                    let bound = 1e-6 * expected.abs().max(1.0);
                    assert!(
                        (own - expected).abs() <= bound,
                        "{kind} `{name}`: {own}, {expected}"
                    );
                }
            }
            Err(problem) => {
                refused += 1;
                println!("{kind} `{name}`: {problem}");
            }
        }
    }
    assert!(
        10 * refused < expected.len(),
        "{refused} of {}",
        expected.len()
    );
}
