use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;

use super::file::Source;
use super::{ExportInput, ExportSettings, ImportSettings, export, import, proto};
use crate::data::Resize;
use crate::network::Role;
use crate::{Cpu, Model, Network, Preparation, Purpose, Random, Result, Shape};

/// The pictures that `tests/onnx/make.py` gives to ONNX Runtime, `[n, h, w, c]`.
fn waves(count: usize, shape: Shape) -> Vec<f32> {
    let value = |place: usize| {
        let (n, at) = (place / shape.len(), place % shape.len());
        let place = shape.place(at);
        let (y, x, c) = (place.row, place.column, place.channel);
        (0.07 * y as f64 + 0.11 * (x * (c + 1)) as f64 + (c + n) as f64).sin() as f32
    };
    (0..count * shape.len()).map(value).collect()
}

/// The files of a folder with the outputs of ONNX Runtime, which `tests/onnx/make.py` writes beside each.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_model = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "onnx");
    let mut paths: Vec<PathBuf> = paths.filter(is_model).collect();
    paths.sort();
    paths
}

/// Compares the logits of a file with those of ONNX Runtime; returns the largest difference as a part of the largest logit.
fn difference(path: &Path) -> Result<f32, String> {
    let json = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let expected: Vec<Vec<f32>> = serde_json::from_str(&json).unwrap();
    let imported =
        import::import(path, &ImportSettings::default()).map_err(|error| error.to_string())?;
    let (model, count) = (&imported.model, expected.len());
    let cpu = Cpu::best(Cpu::available_threads());
    let logits = export::logits(model, &waves(count, model.input()), count, &cpu).unwrap();
    let expected = expected.concat();
    assert_eq!(logits.len(), expected.len());
    Ok(export::difference(&expected, &logits))
}

/// Compares all files of a folder, and prints what came out.
fn compare_folder(folder: &Path) {
    let files = files(folder);
    assert!(!files.is_empty());
    let mut bad = 0;
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match difference(&path) {
            Ok(difference) => {
                bad += usize::from(difference.is_nan() || difference > 1e-4);
                println!("{name}: {difference:.1e}");
            }
            Err(problem) => {
                bad += 1;
                println!("{name}: {problem}");
            }
        }
    }
    assert_eq!(bad, 0, "files differ or are refused");
}

#[test]
fn files_of_other_programs_give_the_logits_of_onnx_runtime() {
    compare_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx"));
}

#[test]
#[ignore = "needs a folder of files like those of tests/onnx/make.py: HUBEL_ONNX_FILES"]
fn files_of_a_folder_give_the_logits_of_onnx_runtime() {
    compare_folder(Path::new(
        &std::env::var_os("HUBEL_ONNX_FILES").expect("HUBEL_ONNX_FILES"),
    ));
}

#[test]
fn group_norms_and_factors_of_channels_become_layers() {
    for name in ["grouped-9", "grouped-17", "grouped-new"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
        let path = folder.join(name).with_extension("onnx");
        let imported = import::import(&path, &ImportSettings::default()).unwrap();
        let layers: Vec<String> = (imported.model.network().layers().iter())
            .map(ToString::to_string)
            .filter(|layer| layer.contains("norm") || layer.starts_with("scale"))
            .collect();
        let expected = [
            "groupnorm(4)",
            "groupnorm(8)",
            "scale(bias=false)",
            "groupnorm(8)",
            "scale",
            "groupnorm(1, epsilon=0.001)",
            "groupnorm(2)",
            "groupnorm(3)",
        ];
        assert_eq!(layers, expected, "{name}");
    }
}

/// A model of this network with random weights, and running statistics that are not their initial ones.
fn random(network: &str, shape: Shape, classes: usize) -> Model {
    let network = Network::resolve(network).unwrap();
    let preparation = Preparation {
        mean: (0..shape.channels)
            .map(|channel| 0.4 + 0.05 * channel as f32)
            .collect(),
        std: (0..shape.channels)
            .map(|channel| 0.2 + 0.02 * channel as f32)
            .collect(),
        ..Preparation::unmeasured(shape, Resize::Crop)
    };
    let names = (0..classes).map(|class| format!("class {class}")).collect();
    let model = Model::untrained(network, names, preparation, 1).unwrap();
    let mut parameters = model.parameters().clone();
    let mut stream = Random::new(1).stream(Purpose::Experiment, 0, 0);
    for entry in parameters.entries().to_vec() {
        for value in &mut parameters.values_mut()[entry.range] {
            match entry.role {
                Role::Weight => {}
                Role::Scale | Role::RunningVariance => *value = 0.5 + stream.uniform(),
                _ => *value = 0.2 * stream.normal(),
            }
        }
    }
    model.with_parameters(parameters).unwrap()
}

/// Networks with each layer that is written, at odd settings.
const ODD: &[(&str, [usize; 3])] = &[
    (
        "conv(6)-elu(0.8)-conv(6)-mish-conv(5)-clip(-0.6, 0.7)-flatten-linear(classes)",
        [9, 8, 3],
    ),
    (
        "conv(8, kernel=(3,5), stride=(2,1), padding=(1,0,3,2), round=floor)-relu6-conv(6, groups=2, dilation=(2,1), round=floor)-leakyrelu(0.2)-flatten-linear(classes)",
        [13, 11, 3],
    ),
    (
        "conv(4, stride=2, padding=1, round=ceil)-tanh-maxpool(3, stride=2, padding=1, round=ceil)-globalavgpool-linear(classes)",
        [12, 15, 1],
    ),
    (
        "conv(4, padding=same, stride=2)-silu-avgpool(3, stride=2, padding=1, round=ceil)-flatten-linear(classes)",
        [17, 14, 3],
    ),
    (
        "conv(4)-gelu-avgpool(3, stride=2, padding=1, count_padding=false, round=ceil)-flatten-linear(classes)",
        [16, 14, 3],
    ),
    (
        "conv(6, padding=2, mode=reflect)-hardswish-conv(6, padding=1, mode=replicate)-sigmoid-conv(6, padding=1, mode=constant(0.5))-globalmaxpool-linear(classes)",
        [10, 9, 3],
    ),
    (
        "conv(6)-batchnorm(epsilon=0.01, momentum=0.2)-relu-residual[conv(6, padding=1)-batchnorm | conv(6, kernel=1)]-batchnorm-relu-adaptiveavgpool(2)-flatten-linear(classes)",
        [10, 10, 3],
    ),
    (
        "conv(6, padding=1)-concat[ | conv(4, kernel=1)-relu | maxpool(3, stride=1, padding=1)]-relu-flatten-linear(20)-batchnorm-relu-dropout(0.2)-linear(classes, bias=false)",
        [7, 6, 3],
    ),
    (
        "conv(6)-residual[residual[conv(6, padding=1)-relu | conv(6, kernel=1)] | concat[conv(2, kernel=1) | conv(4, kernel=1)]]-adaptivemaxpool((4,2))-flatten-linear(classes)",
        [10, 10, 3],
    ),
    (
        "flatten-batchnorm-linear(20)-residual[linear(20)-relu]-linear(classes)",
        [5, 5, 3],
    ),
    (
        "conv(9, groups=3)-relu-globalavgpool-flatten-linear(12)-relu-conv(7, kernel=1)-relu-flatten-linear(classes)",
        [6, 8, 3],
    ),
    (
        "conv(5, kernel=1)-globalavgpool-conv(classes_, kernel=1)",
        [6, 8, 3],
    ),
    (
        "conv(6)-multiply[ | globalavgpool-conv(2, kernel=1)-relu-conv(6, kernel=1)-hardsigmoid]-multiply[conv(6, kernel=1) | conv(6, kernel=1)-sigmoid]-flatten-linear(classes)",
        [8, 9, 3],
    ),
    (
        "conv(6)-globalavgpool-flatten-multiply[linear(6) | sigmoid]-linear(classes)",
        [8, 9, 3],
    ),
    (
        "conv(7)-lrn(3, alpha=0.5)-relu-lrn(5, alpha=0.9, beta=0.6, bias=2)-globalavgpool-linear(classes)",
        [6, 8, 3],
    ),
    (
        "conv(6)-shuffle(3)-concat[channels(0, 2) | channels(1, 4)-conv(4, kernel=1)]-shuffle(2)-relu-flatten-linear(classes)",
        [8, 9, 3],
    ),
    (
        "conv(6)-globalavgpool-flatten-channels(1, 4)-shuffle(2)-residual[linear(4)-shuffle(2)]-linear(classes)",
        [8, 9, 3],
    ),
    (
        "conv(8)-layernorm-residual[conv(8, groups=8, padding=1)-layernorm(epsilon=0.01)-conv(12, kernel=1)-gelu-conv(8, kernel=1)]-globalavgpool-layernorm-linear(classes)",
        [8, 9, 3],
    ),
    (
        "conv(4, stride=2)-flatten-layernorm-linear(10)-layernorm-relu-linear(classes)",
        [7, 9, 3],
    ),
    (
        "conv(8)-groupnorm(4)-residual[conv(8, groups=8, padding=1)-groupnorm(8, epsilon=0.01)-relu-scale(bias=false)]-groupnorm(1)-relu-scale-globalavgpool-groupnorm(2, epsilon=0.1)-linear(classes)",
        [8, 9, 3],
    ),
    (
        "conv(4, stride=2)-flatten-groupnorm(1)-relu-scale-linear(10)-groupnorm(2)-relu-scale(bias=false)-linear(classes)",
        [7, 9, 3],
    ),
    (
        "maxpool(2, stride=3, round=ceil)-conv(5, kernel=2)-avgpool((2,1), stride=(1,2), round=floor)-flatten-linear(classes)",
        [14, 17, 1],
    ),
];

fn odd() -> impl Iterator<Item = Model> {
    ODD.iter().map(|(text, [height, width, channels])| {
        let shape = Shape::new(*height, *width, *channels);
        random(&text.replace("classes_", "7"), shape, 7)
    })
}

fn exported(model: &Model, settings: &ExportSettings) -> Result<(Bytes, f32)> {
    let path = Path::new("model.onnx");
    let (bytes, _) = export::to_bytes(model, path, settings)?;
    let cpu = Cpu::best(Cpu::available_threads());
    let difference = export::compared(model, &bytes, path, settings, &cpu)?;
    Ok((bytes, difference))
}

#[test]
fn networks_with_odd_settings_are_read_as_they_were_written() {
    for model in odd() {
        for opset in [13, 17, 21] {
            for input in [ExportInput::Bytes, ExportInput::Floats] {
                for keep_batch_norm in [false, true] {
                    let settings = ExportSettings {
                        opset,
                        input,
                        keep_batch_norm,
                        compared: 3,
                        ..ExportSettings::default()
                    };
                    let (bytes, difference) = exported(&model, &settings)
                        .unwrap_or_else(|error| panic!("{}: {error}", model.network()));
                    assert!(difference < 2e-5, "{}: {difference}", model.network());
                    let source = Source::of_bytes(bytes, PathBuf::new()).unwrap();
                    let read = import::of_source(
                        &source,
                        Path::new("model.onnx"),
                        &ImportSettings::default(),
                    )
                    .unwrap();
                    assert_eq!(read.model.classes(), model.classes());
                }
            }
        }
    }
}

#[test]
fn networks_of_the_zoo_are_read_as_they_were_written() {
    for name in Network::names() {
        let input = Network::usual_input(name).unwrap();
        let is_picture = input.vocabulary.is_none() && input.shape.time == 1;
        // Large pictures take long, and add nothing.
        if !is_picture || input.shape.height > 64 && !["resnet18", "mobilenet-v2"].contains(&name) {
            continue;
        }
        let side = input.shape.height.min(64);
        let shape = Shape {
            height: side,
            width: input.shape.width.min(100),
            ..input.shape
        };
        let model = random(name, shape, 10);
        let settings = ExportSettings {
            compared: 2,
            ..ExportSettings::default()
        };
        let (_, difference) =
            exported(&model, &settings).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(difference < 2e-5, "{name}: {difference}");
        let half = ExportSettings {
            half: true,
            ..settings
        };
        let (bytes, difference) =
            exported(&model, &half).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            difference > 1e-6,
            "{name}: weights of 16 bits have the values of 32"
        );
        assert!(bytes.len() > 1000);
    }
}

#[test]
fn a_file_with_other_padding_axis_or_epsilon_is_found_out() {
    let model = random(
        "conv(6, padding=(1,0,1,0))-concat[conv(6, kernel=1) | conv(6, kernel=1)-batchnorm]-batchnorm(epsilon=0.01)-relu-flatten-linear(classes)",
        Shape::new(9, 9, 3),
        5,
    );
    let settings = ExportSettings {
        keep_batch_norm: true,
        compared: 3,
        ..ExportSettings::default()
    };
    let (bytes, _) = exported(&model, &settings).unwrap();
    let change = |kind: &str, change: &dyn Fn(&mut proto::Attribute)| {
        let mut file = proto::Model::decode(&*bytes).unwrap();
        let graph = file.graph.as_mut().unwrap();
        let node = graph
            .node
            .iter_mut()
            .find(|node| node.op_type.as_deref() == Some(kind))
            .unwrap();
        node.attribute.iter_mut().for_each(change);
        let cpu = Cpu::best(1);
        export::compared(
            &model,
            &file.encode_to_vec().into(),
            Path::new("model.onnx"),
            &settings,
            &cpu,
        )
    };
    let named = |attribute: &proto::Attribute, name: &str| attribute.name.as_deref() == Some(name);
    change("Conv", &|_| {}).unwrap();
    change("Conv", &|attribute| {
        if named(attribute, "pads") {
            attribute.ints = vec![0, 1, 0, 1];
        }
    })
    .unwrap_err();
    change("BatchNormalization", &|attribute| {
        if named(attribute, "epsilon") {
            attribute.f = Some(0.1);
        }
    })
    .unwrap_err();
    change("Concat", &|attribute| {
        if named(attribute, "axis") {
            attribute.i = Some(2);
        }
    })
    .unwrap_err();
    change("Transpose", &|attribute| {
        if named(attribute, "perm") {
            attribute.ints = vec![0, 3, 2, 1];
        }
    })
    .unwrap_err();
}

#[test]
fn an_earlier_file_stays_if_nothing_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, "earlier").unwrap();
    let model = random(
        "conv(4, padding=1, mode=circular)-globalavgpool-linear(classes)",
        Shape::new(8, 8, 3),
        3,
    );
    let cpu = Cpu::best(1);
    let error = export::export(&model, &path, &ExportSettings::default(), &cpu).unwrap_err();
    assert!(error.to_string().contains("`opset = 19`"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"earlier");
    let settings = ExportSettings {
        opset: 19,
        ..ExportSettings::default()
    };
    let exported = export::export(&model, &path, &settings, &cpu).unwrap();
    assert_eq!(
        std::fs::metadata(&path).unwrap().len(),
        exported.bytes as u64
    );
    let imported = import::import(&path, &ImportSettings::default()).unwrap();
    assert_eq!(
        imported.model.preparation().resize,
        model.preparation().resize
    );
}

#[test]
fn damaged_files_are_read_or_refused() {
    // A thousand here; HUBEL_DAMAGED_FILES asks for more.
    let asked = std::env::var("HUBEL_DAMAGED_FILES").ok();
    let count: usize = asked.map_or(1000, |count| count.parse().unwrap());
    let seeds = crate::fuzzing::seeds::onnx();
    let mut random = Random::new(2).stream(Purpose::Experiment, 0, 0);
    let mut accepted = 0;
    for number in 0..count {
        let mut bytes = seeds[number % seeds.len()].clone();
        // Most of a file is weights; the graph is at its beginning.
        let end = if number % 3 == 0 {
            bytes.len()
        } else {
            bytes.len().min(1500)
        };
        for _ in 0..1 + random.below(8) {
            let place = random.below(end);
            match random.below(4) {
                0 => bytes[place] = random.below(256) as u8,
                1 => bytes[place] ^= 1 << random.below(8),
                2 => bytes[place] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                _ => {
                    let from = random.below(end - place) + place;
                    let part = bytes[place..from].to_vec();
                    let to = random.below(bytes.len() - part.len() + 1);
                    bytes[to..to + part.len()].copy_from_slice(&part);
                }
            }
        }
        accepted += usize::from(crate::fuzzing::onnx(&bytes));
    }
    println!("{accepted} of {count} damaged files were read");
    assert!(accepted > 0 && accepted < count);
}

#[test]
fn what_a_file_does_not_say_is_remarked_and_can_be_given() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/residual-17.onnx");
    let imported = import::import(&path, &ImportSettings::default()).unwrap();
    let remarks = imported.remarks.join("; ");
    assert!(
        remarks.contains("normalised") && remarks.contains("names of classes"),
        "{remarks}"
    );
    let settings = ImportSettings {
        classes: Some(["a", "b", "c", "d", "e"].map(String::from).into()),
        normalisation: Some(crate::Normalisation::IMAGENET),
        ..ImportSettings::default()
    };
    let imported = import::import(&path, &settings).unwrap();
    assert_eq!(imported.remarks, [""; 0]);
    assert_eq!(imported.model.classes()[4], "e");
    assert_eq!(imported.model.preparation().std, [0.229, 0.224, 0.225]);
    let settings = ImportSettings {
        classes: Some(vec!["a".into()]),
        ..settings
    };
    let error = import::import(&path, &settings).unwrap_err().to_string();
    assert!(error.contains("5 classes, and 1 names"), "{error}");
    let settings = ImportSettings {
        input: Some(Shape::new(8, 9, 3)),
        ..ImportSettings::default()
    };
    let error = import::import(&path, &settings).unwrap_err().to_string();
    assert!(error.contains("9 rows, and 8 were given"), "{error}");
}

#[test]
fn a_refused_file_names_all_nodes_that_are_not_read() {
    let mut file = proto::Model::decode(&*crate::fuzzing::seeds::onnx()[2]).unwrap();
    let nodes = &mut file.graph.as_mut().unwrap().node;
    // Hubel has this operator, so what it reads is all that is wrong.
    nodes[1].op_type = Some("Split".into());
    let mut changed = Vec::new();
    for (number, kind) in [
        (0, "Einsum"),
        (2, "QuantizeLinear"),
        (nodes.len() - 1, "NonZero"),
    ] {
        nodes[number].op_type = Some(kind.into());
        nodes[number].name = Some(format!("node {number}"));
        changed.push(format!("{kind} `node {number}`: "));
    }
    let error = super::read(&file.encode_to_vec()).unwrap_err().to_string();
    assert!(error.contains("does not read 3 of its"), "{error}");
    for name in changed {
        assert!(error.contains(&name), "{name} in {error}");
    }
}
