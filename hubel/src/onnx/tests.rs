use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;
use serde::Deserialize;

use super::export::check;
use super::file::Source;
use super::{ExportInput, ExportSettings, ImportSettings, export, import, proto};
use crate::data::{Ground, Resize};
use crate::network::Role;
use crate::{
    Cpu, Dataset, Event, Keep, Model, Network, Optimizer, Preparation, Purpose, Random, Result,
    Schedule, Shape, TrainSettings, Trainer,
};

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

/// Compares the logits of a file with those of ONNX Runtime, in batches of 1, of 3 and, if there are so many, of 16 pictures; returns the largest
/// difference as a part of the largest logit.
fn difference(path: &Path) -> Result<f32, String> {
    let json = std::fs::read_to_string(path.with_extension("json")).unwrap();
    let expected: Vec<Vec<f32>> = serde_json::from_str(&json).unwrap();
    let imported =
        import::import(path, &ImportSettings::default()).map_err(|error| error.to_string())?;
    let model = &imported.model;
    let cpu = Cpu::best(Cpu::available_threads());
    let of_batch = |count: &usize| {
        let logits = check::logits(model, &waves(*count, model.input()), *count, &cpu).unwrap();
        let expected = expected[..*count].concat();
        assert_eq!(logits.len(), expected.len());
        check::difference(&expected, &logits)
    };
    let counts = [1, 3, 16];
    let counts = counts.iter().filter(|count| **count <= expected.len());
    let largest = |most: f32, next: f32| if next <= most { most } else { next };
    Ok(counts.map(of_batch).fold(0.0, largest))
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
                // Where all weights are equal, rounding errors add up; this is the tolerance of the package onnx for these files.
                let bound = if name.contains("-constant.") {
                    1e-3
                } else {
                    1e-4
                };
                bad += usize::from(difference.is_nan() || difference > bound);
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

/// One step of gradient descent of PyTorch, with batch norms in training mode; the pictures have the levels (1 + [`waves`]) / 2.
#[derive(Deserialize)]
struct Step {
    rate: f32,
    labels: Vec<usize>,
    /// The loss before it.
    loss: f32,
    /// The logits after it, with the new running statistics.
    after: Vec<Vec<f32>>,
}

#[test]
fn an_imported_network_takes_the_step_that_pytorch_takes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx");
    for name in ["trained-17", "trained-new"] {
        let json = std::fs::read_to_string(folder.join(format!("{name}.step.json"))).unwrap();
        let step: Step = serde_json::from_str(&json).unwrap();
        let path = folder.join(format!("{name}.onnx"));
        let model = import::import(&path, &ImportSettings::default())
            .unwrap()
            .model;
        let count = step.labels.len();
        let waves = waves(count, model.input()).into_iter();
        let levels: Vec<f32> = waves.map(|value| (value + 1.0) / 2.0).collect();
        let train = Dataset::from_arrays(&levels, model.input(), &step.labels).unwrap();
        let settings = TrainSettings {
            epochs: 1,
            batch_size: count,
            learning_rate: step.rate,
            optimizer: Optimizer::Sgd {
                momentum: 0.0,
                nesterov: false,
            },
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            keep: Keep::Last,
            precise: true,
            ..TrainSettings::default()
        };
        let cpu = Cpu::best(2);
        let mut trainer = Trainer::from_model(cpu.clone(), model, &train, None, settings).unwrap();
        let mut loss = f32::NAN;
        let trained = trainer.run(&mut |event| {
            if let Event::Step { loss: of_step, .. } = event {
                loss = *of_step;
            }
            ControlFlow::Continue(())
        });
        assert!((loss - step.loss).abs() < 1e-5, "{name}: {loss}");
        let logits = check::logits(&trained.unwrap(), &levels, count, &cpu).unwrap();
        let difference = check::difference(&step.after.concat(), &logits);
        assert!(difference < 1e-4, "{name}: {difference}");
    }
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
        "conv(6)-softplus-conv(6)-gelutanh-flatten-linear(5)-gelutanh-linear(classes)",
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
        "pad((1,0,2,0), mode=reflect)-conv(4)-pad(1, mode=constant(0.7))-avgpool(2, round=floor)-pad((0,1,1,2), mode=replicate)-tanh-pad((2,1))-maxpool(3, stride=2, round=floor)-flatten-linear(classes)",
        [9, 9, 3],
    ),
    (
        "conv(4, stride=2)-upsample((2,3))-conv(3)-tanh-upsample((3,2), mode=bilinear)-globalmaxpool-linear(classes)",
        [9, 9, 3],
    ),
    (
        "conv(6)-prelu-residual[conv(6, padding=1)-prelu]-flatten-prelu-linear(9)-prelu-linear(classes)",
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
    let levels = check::random_levels(settings.compared, model.input());
    let difference = check::compare(model, &bytes, path, settings, &levels, &cpu)?;
    Ok((bytes, difference))
}

#[test]
fn networks_with_odd_settings_are_read_as_they_were_written() {
    for model in odd() {
        for opset in [13, 17, 20, 21] {
            for input in [
                ExportInput::Bytes,
                ExportInput::AnySize,
                ExportInput::Floats,
            ] {
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
        let (single, difference) =
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
        assert!(
            10 * bytes.len() < 6 * single.len(),
            "{name}: {} bytes",
            bytes.len()
        );
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
        check::compare(
            &model,
            &file.encode_to_vec().into(),
            Path::new("model.onnx"),
            &settings,
            &check::random_levels(3, model.input()),
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
fn a_graph_that_resizes_otherwise_is_found_out() {
    let settings = ExportSettings {
        input: ExportInput::AnySize,
        compared: 2,
        ..ExportSettings::default()
    };
    let path = Path::new("model.onnx");
    let cpu = Cpu::best(1);
    let text = "conv(4)-globalavgpool-linear(classes)";
    for (channels, resize) in [
        (3, Resize::Letterbox),
        (1, Resize::Letterbox),
        (3, Resize::Crop),
        (1, Resize::Stretch),
    ] {
        let model = random(text, Shape::new(20, 30, channels), 3);
        let ground = Ground {
            color: [250, 120, 60],
            ink_side: None,
        };
        let preparation = Preparation {
            resize,
            ground: Some(ground),
            ..model.preparation().clone()
        };
        let (network, classes) = (model.network().clone(), model.classes().to_vec());
        let model = Model::untrained(network, classes, preparation, 1).unwrap();
        let (bytes, _) = exported(&model, &settings).unwrap();
        let file = proto::Model::decode(&*bytes).unwrap();
        let levels = check::random_levels(2, model.input());
        let mut found_out = 0;
        let constants = &file.graph.as_ref().unwrap().initializer;
        for (place, constant) in constants.iter().enumerate() {
            let name = constant.name.as_deref().unwrap();
            // Weights far below a level and the number of bits matter too little.
            if !["/image/half", "/image/bars"].contains(&name) {
                continue;
            }
            let mut changed = file.clone();
            let constant = &mut changed.graph.as_mut().unwrap().initializer[place];
            let bytes = constant.raw_data.as_mut().unwrap();
            *bytes = 9f32.to_le_bytes().repeat(bytes.len() / 4).into();
            let changed = changed.encode_to_vec().into();
            let error = check::compare(&model, &changed, path, &settings, &levels, &cpu);
            let error = error.unwrap_err().to_string();
            assert!(error.contains("makes other levels of a picture"), "{error}");
            found_out += 1;
        }
        assert_eq!(found_out, 1 + usize::from(resize == Resize::Letterbox));
        let read = super::read(&bytes).unwrap();
        assert_eq!(read.model.input(), model.input());
        assert_eq!(read.model.preparation().resize, resize);
        assert_eq!(read.model.preparation().ground, Some(ground));
    }
}

#[test]
fn other_coordinates_of_upsampling_are_refused_unless_they_give_the_same() {
    let model = random(
        "conv(4)-upsample(3)-conv(4)-upsample(2, mode=bilinear)-flatten-linear(classes)",
        Shape::new(6, 7, 3),
        5,
    );
    let settings = ExportSettings::default();
    let (bytes, _) = exported(&model, &settings).unwrap();
    let with = |kind: &str, coordinates: &str, nearest: &str| {
        let mut file = proto::Model::decode(&*bytes).unwrap();
        let nodes = &mut file.graph.as_mut().unwrap().node;
        let is_of_kind = |node: &&mut proto::Node| {
            let mut attributes = node.attribute.iter();
            attributes.any(|attribute| attribute.s.as_deref() == Some(kind.as_bytes()))
        };
        let node = nodes.iter_mut().find(is_of_kind).unwrap();
        for attribute in &mut node.attribute {
            match attribute.name.as_deref() {
                Some("coordinate_transformation_mode") => {
                    attribute.s = Some(coordinates.to_owned().into());
                }
                Some("nearest_mode") => attribute.s = Some(nearest.to_owned().into()),
                _ => {}
            }
        }
        super::read(&file.encode_to_vec()).map_err(|error| error.to_string())
    };
    for (kind, coordinates, nearest) in [
        ("nearest", "asymmetric", "floor"),
        ("nearest", "half_pixel", "round_prefer_floor"),
        ("nearest", "pytorch_half_pixel", "round_prefer_ceil"),
        ("nearest", "tf_half_pixel_for_nn", "floor"),
        ("linear", "half_pixel_symmetric", "floor"),
        ("linear", "pytorch_half_pixel", "ceil"),
    ] {
        with(kind, coordinates, nearest).unwrap();
    }
    for (kind, coordinates, nearest, named) in [
        ("nearest", "half_pixel", "floor", "`half_pixel` and `floor`"),
        ("nearest", "asymmetric", "ceil", "`asymmetric` and `ceil`"),
        ("nearest", "align_corners", "floor", "`align_corners`"),
        ("linear", "align_corners", "floor", "`align_corners`"),
        ("linear", "asymmetric", "floor", "`asymmetric`"),
        (
            "linear",
            "tf_crop_and_resize",
            "floor",
            "`tf_crop_and_resize`",
        ),
    ] {
        let error = with(kind, coordinates, nearest).unwrap_err();
        assert!(error.contains(named), "{named} in {error}");
    }
}

#[test]
fn pictures_of_any_size_are_refused_where_a_graph_cannot_prepare_them() {
    let model = random("flatten-linear(classes)", Shape::new(28, 28, 1), 3);
    let ground = Ground {
        color: [0; 3],
        ink_side: Some(20),
    };
    let preparation = Preparation {
        ground: Some(ground),
        ..model.preparation().clone()
    };
    let (network, classes) = (model.network().clone(), model.classes().to_vec());
    let model = Model::untrained(network, classes, preparation, 1).unwrap();
    let settings = ExportSettings {
        input: ExportInput::AnySize,
        ..ExportSettings::default()
    };
    let error = exported(&model, &settings).unwrap_err().to_string();
    assert!(
        error.contains("cuts out of a picture and centres"),
        "{error}"
    );
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
    let error = export::export(&model, &path, &ExportSettings::default(), &[], &cpu).unwrap_err();
    assert!(error.to_string().contains("`opset = 19`"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"earlier");
    let settings = ExportSettings {
        opset: 19,
        ..ExportSettings::default()
    };
    let exported = export::export(&model, &path, &settings, &[], &cpu).unwrap();
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
