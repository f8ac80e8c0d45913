use super::*;
use serde_json::{Value, json};

/// What is said of a model file with a change of its preparation, by JSON pointer.
fn problem_with(pointer: &str, value: Value) -> Option<String> {
    problem_after(|file| {
        let stored = (file.metadata.get_mut("hubel.preparation")).expect("a preparation");
        let mut changed: Value = serde_json::from_str(stored).expect("JSON");
        *changed.pointer_mut(pointer).expect("a setting") = value;
        *stored = changed.to_string();
    })
}

fn preparation() -> Preparation {
    Preparation {
        shape: Shape::new(8, 8, 1),
        resize: Default::default(),
        mean: vec![0.5],
        std: vec![0.25],
        ink: Some(crate::data::Ink {
            light: true,
            side: Some(6),
        }),
        range: None,
    }
}

/// What is said of a model file after a change.
fn problem_after(change: impl FnOnce(&mut Tensors)) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let network = Network::parse("globalavgpool-fc(classes)").expect("a network");
    let classes = vec!["cat".to_string(), "dog".to_string()];
    let model = Model::untrained(network, classes, preparation(), 1).expect("a model");
    model.save(&path).expect("a file");
    let mut file = safetensors::read(&path).expect("a file");
    change(&mut file);
    safetensors::write(&path, &file).expect("a file");
    match Model::load(&path) {
        Ok(loaded) => {
            assert_eq!(loaded.parameters, model.parameters);
            None
        }
        Err(Error::Model { path: at, problem }) => {
            assert_eq!(at, path);
            Some(problem)
        }
        Err(error) => panic!("the file is not named: {error}"),
    }
}

#[test]
fn a_file_with_an_absurd_preparation_is_refused_with_what_is_wrong() {
    assert_eq!(problem_with("/mean", json!([0.4])), None);
    for (pointer, value, part) in [
        ("/shape/height", json!(0), "input of 0×8×1 is no picture"),
        ("/shape/width", json!(u64::MAX / 8), "is no picture"),
        ("/shape/channels", json!(3), "1 means for 3 channels"),
        ("/mean", json!([]), "0 means for 1 channels"),
        (
            "/std",
            json!([1.0, 1.0]),
            "2 standard deviations for 1 channels",
        ),
        ("/mean", json!([1e39]), "cannot be normalised"),
        ("/std", json!([0.0]), "cannot be normalised"),
        ("/std", json!([-0.25]), "cannot be normalised"),
        ("/std", json!([1e-42]), "cannot be normalised"),
        ("/ink/side", json!(0), "fills 0 pixels"),
        ("/ink/side", json!(1_000_000_000_000_u64), "does not fit"),
        ("/std", json!(null), "damaged"),
        ("/resize", json!("fold"), "damaged"),
    ] {
        let problem = problem_with(pointer, value.clone());
        assert!(
            problem
                .as_ref()
                .is_some_and(|problem| problem.contains(part)),
            "{pointer} = {value}: {problem:?}"
        );
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    for broken in [f32::NAN, f32::INFINITY] {
        let problem = problem_after(|file| file.tensors[0].data[0] = broken);
        let problem = problem.expect("no answer follows from such a weight");
        assert!(problem.contains("holds a NaN or an infinity"), "{problem}");
    }
}

#[test]
fn a_file_whose_parts_contradict_each_other_is_refused() {
    for (name, value, part) in [
        (
            "hubel.input",
            "9x9x1",
            "two sizes of the input, 9x9x1 and 8×8×1",
        ),
        (
            "hubel.network",
            "flaten-fc(classes)",
            "its network is damaged",
        ),
        (
            "hubel.network",
            "conv(8, kernel=90)",
            "its network is damaged",
        ),
        ("hubel.classes", "[]", "its network is damaged"),
    ] {
        let problem = problem_after(|file| {
            file.metadata.insert(name.into(), value.into());
        });
        let problem = problem.expect("a contradiction");
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn a_network_that_no_text_says_is_refused_before_it_is_trained() {
    let begin = || Network::builder().flatten().classes();
    for network in [
        begin().residual(|body| body, |shortcut| shortcut),
        begin().concat([Network::builder().relu()]),
        begin().concat([]),
        begin().group("empty", |group| group),
    ] {
        let classes = vec!["cat".to_string(), "dog".to_string()];
        let network = network.build();
        let text = network.to_string();
        let model = Model::untrained(network, classes, preparation(), 1);
        assert!(model.is_err(), "{text}");
    }
}
