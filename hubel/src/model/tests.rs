use super::*;
use serde_json::{Value, json};

/// A change of the preparation in a model file, by JSON pointer.
fn problem_with(pointer: &str, value: Value) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let preparation = Preparation {
        shape: Shape::new(8, 8, 1),
        resize: Default::default(),
        mean: vec![0.5],
        std: vec![0.25],
        ink: Some(crate::data::Ink {
            light: true,
            side: Some(6),
        }),
    };
    let network = Network::parse("globalavgpool-fc(classes)").expect("a network");
    let classes = vec!["cat".to_string(), "dog".to_string()];
    let model = Model::untrained(network, classes, preparation, 1).expect("a model");
    model.save(&path).expect("a file");
    let mut file = safetensors::read(&path).expect("a file");
    let stored = (file.metadata.get_mut("hubel.preparation")).expect("a preparation");
    let mut changed: Value = serde_json::from_str(stored).expect("JSON");
    *changed.pointer_mut(pointer).expect("a setting") = value;
    *stored = changed.to_string();
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
        Err(error) => panic!("{pointer}: {error}"),
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
