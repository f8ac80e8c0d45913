use super::*;
use crate::formats::safetensors::Tensors;
use crate::fuzzing::torch_file::{self, Storage, Tensor};
use crate::{Network, Shape};

/// Names and shapes of tensors in torchvision and the reference networks, with ten classes.
fn outline_of(network: &str) -> Vec<(&'static str, Vec<usize>)> {
    let lines = include_str!("../../tests/fixtures/zoo_tensors.txt").lines();
    let words = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    let outline = words.filter(|words| words[0] == network).map(|words| {
        let shape = words[2..].iter().map(|size| size.parse().unwrap());
        (words[1], shape.collect())
    });
    outline.collect()
}

fn problem(outline: &[(&str, Vec<usize>)]) -> String {
    match Match::of(outline) {
        Ok(found) => panic!("taken for {}", found.network()),
        Err(problem) => problem,
    }
}

/// The tensors of torchvision's vgg16_bn.
fn vgg16_bn() -> Vec<(String, Vec<usize>)> {
    let mut tensors = Vec::new();
    let (mut place, mut inputs) = (0, 3);
    for (filters, repeats) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        for _ in 0..repeats {
            let mut add = |layer: usize, tensor: &str, shape: &[usize]| {
                tensors.push((format!("features.{layer}.{tensor}"), shape.to_vec()));
            };
            add(place, "weight", &[filters, inputs, 3, 3]);
            add(place, "bias", &[filters]);
            for tensor in ["weight", "bias", "running_mean", "running_var"] {
                add(place + 1, tensor, &[filters]);
            }
            add(place + 1, "num_batches_tracked", &[]);
            inputs = filters;
            place += 3;
        }
        place += 1;
    }
    for (layer, shape) in [(0, [4096, 25088]), (3, [4096, 4096]), (6, [1000, 4096])] {
        tensors.push((format!("classifier.{layer}.weight"), shape.to_vec()));
        tensors.push((format!("classifier.{layer}.bias"), vec![shape[0]]));
    }
    tensors
}

fn borrowed(tensors: &[(String, Vec<usize>)]) -> Vec<(&str, Vec<usize>)> {
    let borrowed = tensors
        .iter()
        .map(|(name, shape)| (name.as_str(), shape.clone()));
    borrowed.collect()
}

#[test]
fn networks_are_recognised_by_their_tensors() {
    for network in [
        "lenet5",
        "mnist-cnn",
        "tutorial",
        "vgg16",
        "resnet18",
        "resnet50",
        "mobilenet-v2",
    ] {
        let mut outline = outline_of(network);
        let found = Match::of(&outline).unwrap();
        assert_eq!((found.network(), found.classes), (network, Some(10)));
        assert_eq!(found.names().len(), outline.len());
        assert_eq!(found.input(), Network::usual_input(network).unwrap().shape);

        outline.push(("bn1.num_batches_tracked", vec![]));
        let without_last = &outline[..outline.len() - 3];
        let found = Match::of(without_last).unwrap();
        assert_eq!((found.network(), found.classes), (network, None));
        assert_eq!(found.names().len(), without_last.len());

        for prefix in ["module.", "model.", "module._orig_mod."] {
            let renamed: Vec<_> = (outline.iter())
                .map(|(name, shape)| (format!("{prefix}{name}"), shape.clone()))
                .collect();
            let found = Match::of(&borrowed(&renamed)).unwrap();
            assert_eq!((found.network(), found.classes), (network, Some(10)));
            assert!(found.names().iter().all(|name| name.starts_with(prefix)));
        }
    }
}

#[test]
fn of_vgg16_bn_the_convolutions_are_taken() {
    let tensors = vgg16_bn();
    let found = Match::of(&borrowed(&tensors)).unwrap();
    assert_eq!((found.network(), found.classes), ("vgg16", None));
    assert_eq!(found.input(), Shape::new(224, 224, 3));
    let names = found.names();
    assert_eq!(names.len(), 13 * 6);
    assert!(names.iter().all(|name| name.starts_with("features.")));
    let convolutions: Vec<_> = (tensors.into_iter())
        .filter(|(name, _)| name.starts_with("features."))
        .collect();
    assert_eq!(Match::of(&borrowed(&convolutions)).unwrap().names(), names);
}

#[test]
fn another_network_is_refused_with_the_nearest_and_what_differs() {
    let mut tensors = outline_of("resnet18");
    tensors.extend([
        ("layer1.2.conv1.weight", vec![64, 64, 3, 3]),
        ("extra", vec![1]),
    ]);
    let text = problem(&tensors);
    assert!(text.ends_with("The nearest is resnet18; the file has 102 of its 102 tensors: `extra`, `layer1.2.conv1.weight` besides"), "{text}");

    let mut tensors = outline_of("resnet50");
    tensors.retain(|(name, _)| !name.starts_with("layer4.2"));
    let place = tensors
        .iter()
        .position(|(name, _)| *name == "conv1.weight")
        .unwrap();
    tensors[place].1 = vec![64, 1, 7, 7];
    let text = problem(&tensors);
    assert!(text.contains("The nearest is resnet50; the file has 251 of its 267 tensors: it lacks `layer4.2.bn1.bias`, `layer4.2.bn1.running_mean`, `layer4.2.bn1.running_var` and 12 more; `conv1.weight` is [64, 1, 7, 7], expected [64, 3, 7, 7]"), "{text}");

    let mut tensors = outline_of("lenet5");
    let weight = tensors.len() - 2;
    tensors[weight].1 = vec![10, 85];
    assert!(problem(&tensors).contains("is [10, 85], expected [10, 84]"));
    tensors[weight].1 = vec![0, 84];
    assert!(problem(&tensors).contains("is [0, 84]"));
    tensors[weight].1 = vec![11, 84];
    assert!(problem(&tensors).contains("is [10], expected [11]"));
    tensors.remove(weight);
    assert!(problem(&tensors).contains("it lacks `"));

    let text = problem(&[
        ("encoder.embed\n.weight", vec![5, 5]),
        ("head", vec![usize::MAX, 3]),
    ]);
    assert!(
        text.contains("(encoder.embed\\n.weight, head)") && text.contains("resnet18"),
        "{text}"
    );
    problem(&[]);
    problem(&[("model.", vec![]), ("model.model.", vec![])]);
}

/// A lenet5 with random weights, and its tensors in a file's order.
fn lenet5() -> (Model, Vec<NamedTensor>) {
    let network = Network::named("lenet5").unwrap();
    let preparation = Preparation {
        mean: vec![0.5],
        std: vec![0.25],
        ..Preparation::unmeasured(Shape::new(28, 28, 1), Resize::Crop)
    };
    let classes = class_names(10);
    let model = Model::untrained(network, classes, preparation, 5).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lenet5.safetensors");
    model.save(&path).unwrap();
    (model, safetensors::read(&path, |_| Ok(())).unwrap().tensors)
}

#[test]
fn all_forms_give_the_same_model() {
    let (expected, tensors) = lenet5();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let storages: Vec<Storage> = tensors
        .iter()
        .map(|tensor| Storage::floats(&tensor.data))
        .collect();
    let written: Vec<Tensor> = (tensors.iter().enumerate())
        .map(|(place, tensor)| {
            Tensor::plain(&format!("module.{}", tensor.name), place, &tensor.shape)
        })
        .collect();
    // The extension does not matter.
    std::fs::write(
        at("archive.safetensors"),
        torch_file::archive(&written, &storages),
    )
    .unwrap();
    std::fs::write(at("legacy"), torch_file::legacy(&written, &storages)).unwrap();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::write(&at("safe.pth"), &Tensors { metadata, tensors }).unwrap();
    let grey = Normalisation {
        mean: [0.5; 3],
        std: [0.25; 3],
    };
    for name in ["archive.safetensors", "legacy", "safe.pth"] {
        assert!(Weights::are_in(&at(name)).unwrap());
        let found = Weights::load(&at(name), Some(grey)).unwrap();
        assert_eq!(found.model, expected);
        assert_eq!((found.network, found.has_last_layer), ("lenet5", true));
        let usual = Weights::load(&at(name), None).unwrap();
        assert_eq!(
            usual.model.preparation().mean,
            [(0.485 + 0.456 + 0.406) / 3.0]
        );
    }
    let impossible = Normalisation {
        std: [0.0; 3],
        ..grey
    };
    let error = Weights::load(&at("legacy"), Some(impossible)).unwrap_err();
    assert!(matches!(error, Error::Settings { .. }), "{error}");

    // hubel's own files, and damaged ones, are for `Model::load`.
    expected.save(at("model")).unwrap();
    std::fs::write(at("damaged"), b"\x10\0\0\0\0\0\0\0{").unwrap();
    for name in ["model", "damaged"] {
        assert!(!Weights::are_in(&at(name)).unwrap());
    }
    for nothing in ["nothing", "."] {
        assert!(matches!(
            Weights::are_in(&at(nothing)),
            Err(Error::Io { .. })
        ));
        assert!(matches!(
            Weights::load(&at(nothing), None),
            Err(Error::Io { .. })
        ));
    }
}

#[test]
fn without_a_last_layer_there_is_one_that_says_nothing() {
    let (expected, mut tensors) = lenet5();
    tensors.retain(|tensor| !tensor.name.starts_with("11."));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.safetensors");
    let file = Tensors {
        tensors,
        ..Default::default()
    };
    safetensors::write(&path, &file).unwrap();
    let found = Weights::load(&path, None).unwrap();
    assert!(!found.has_last_layer);
    assert_eq!(found.model.classes(), ["(none)"]);
    for entry in found.model.parameters().entries() {
        let values = found.model.parameters().tensor(entry);
        match entry.name.starts_with("11.") {
            true => assert!(values.iter().all(|value| *value == 0.0)),
            false => {
                let mut others = expected.parameters().entries().iter();
                let other = others.find(|other| other.name == entry.name).unwrap();
                assert_eq!(values, expected.parameters().tensor(other));
            }
        }
    }
}

#[test]
fn a_weight_that_is_no_number_is_refused() {
    let (_, mut tensors) = lenet5();
    tensors[3].data[0] = f32::NAN;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let file = Tensors {
        tensors,
        ..Default::default()
    };
    safetensors::write(&path, &file).unwrap();
    let error = Weights::load(&path, None).unwrap_err();
    assert!(
        error.to_string().contains("holds a NaN or an infinity"),
        "{error}"
    );
}

#[test]
fn classes_that_no_number_stands_for_are_refused_before_they_are_named() {
    // A last layer of 2^60 classes, each with the same 84 weights.
    let (_, tensors) = lenet5();
    let storages: Vec<Storage> = tensors
        .iter()
        .map(|tensor| Storage::floats(&tensor.data))
        .collect();
    let written = tensors.iter().enumerate().map(|(place, tensor)| {
        let plain = Tensor::plain(&tensor.name, place, &tensor.shape);
        match tensor.name.as_str() {
            "11.weight" => Tensor {
                shape: vec![1 << 60, 84],
                strides: vec![0, 1],
                ..plain
            },
            "11.bias" => Tensor {
                shape: vec![1 << 60],
                strides: vec![0],
                ..plain
            },
            _ => plain,
        }
    });
    let bytes = torch_file::archive(&written.collect::<Vec<_>>(), &storages);
    let size = bytes.len() as u64;
    let read = Weights::read(
        &mut std::io::Cursor::new(bytes),
        size,
        Path::new("a.pth"),
        None,
    );
    let error = read.unwrap_err().to_string();
    assert!(
        error.contains("`11.weight`") || error.contains("`11.bias`"),
        "{error}"
    );
}

#[test]
fn what_each_network_was_trained_with_is_usual() {
    assert_eq!(Normalisation::usual("resnet18"), Normalisation::IMAGENET);
    let lite = Normalisation::usual("efficientnet-lite3");
    assert_eq!((lite.mean[0] * 255.0, lite.std[2] * 255.0), (127.0, 128.0));
}

#[cfg(feature = "backbone")]
#[test]
fn a_thousand_classes_are_those_of_imagenet() {
    assert_eq!(class_names(1000)[285], "Egyptian cat");
    assert_eq!(class_names(999)[285], "285");
}
