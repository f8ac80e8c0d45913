use super::*;
use serde_json::{Value, json};

/// The error for a model file after a change of its preparation, by JSON pointer.
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
        transparent: None,
        ground: Some(crate::data::Ground {
            color: [0; 3],
            ink_side: Some(6),
        }),
        range: None,
        medium: Default::default(),
    }
}

/// The error for a model file after a change.
fn problem_after(change: impl FnOnce(&mut Tensors)) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let network = Network::parse("globalavgpool-fc(classes)").expect("a network");
    let classes = vec!["cat".to_string(), "dog".to_string()];
    let model = Model::untrained(network, classes, preparation(), 1).expect("a model");
    model.save(&path).expect("a file");
    let mut file = safetensors::read(&path, |_| Ok(())).expect("a file");
    change(&mut file);
    checksum::seal(&mut file);
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
        ("/shape/height", json!(0), "input of 0×8×1 has no values"),
        (
            "/shape/width",
            json!(u64::MAX / 8),
            "more than a memory holds",
        ),
        (
            "/shape/height",
            json!(20_000_000),
            "larger than any picture",
        ),
        ("/shape/channels", json!(3), "1 means for 3 channels"),
        ("/mean", json!([]), "0 means for 1 channels"),
        (
            "/std",
            json!([1.0, 1.0]),
            "2 standard deviations for 1 channels",
        ),
        ("/mean", json!([1e39]), "damaged"),
        ("/mean", json!([1e38]), "cannot be normalised"),
        ("/std", json!([0.0]), "cannot be normalised"),
        ("/std", json!([-0.25]), "cannot be normalised"),
        ("/std", json!([1e-42]), "cannot be normalised"),
        ("/ground/ink_side", json!(0), "fills 0 pixels"),
        (
            "/ground/ink_side",
            json!(1_000_000_000_000_u64),
            "does not fit",
        ),
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
fn how_far_training_came_is_read_and_what_cannot_be_is_refused() {
    let stopped_at = |text: &str| {
        problem_after(|file| {
            let name = "hubel.stopped_at".to_owned();
            file.metadata.insert(name, text.into());
        })
    };
    let place = r#"{"epoch":12,"epochs":30,"step":446,"steps":446}"#;
    assert_eq!(stopped_at(place), None);
    for damaged in [
        place.replace("12", "0"),
        place.replace("12", "31"),
        place.replace(r#""step":446"#, r#""step":447"#),
        place.replace("30", "99999999999999999999"),
        place.replace("30", "9999999999999999999"),
        "12 of 30".into(),
    ] {
        let problem = stopped_at(&damaged).expect("there is no such place");
        assert!(problem.contains("damaged"), "{damaged}: {problem}");
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
        (
            "hubel.network",
            "globalavgpool-fc(4)-fc(classes)",
            "its tensor `1.weight` is [2, 1], expected [4, 1]",
        ),
        (
            "hubel.network",
            "globalavgpool-fc(classes, bias=false)",
            "its tensor `1.bias` of [2] belongs to no layer",
        ),
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

#[test]
fn one_flipped_bit_anywhere_in_a_file_is_found_and_a_file_without_a_checksum_is_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let network = Network::parse("globalavgpool-fc(classes)").expect("a network");
    let classes = vec!["cat".to_string(), "dog".to_string()];
    let model = Model::untrained(network, classes, preparation(), 1).expect("a model");
    model.save(&path).expect("a file");
    let bytes = std::fs::read(&path).expect("a file");
    // Only the spaces after the header may change.
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
    let meaningful =
        |at: &usize| *at >= header || bytes[*at..header].iter().any(|&byte| byte != b' ');
    for at in (0..bytes.len()).filter(meaningful) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).expect("a file");
        assert!(Model::load(&path).is_err(), "byte {at} of {}", bytes.len());
    }
    std::fs::write(&path, &bytes).expect("a file");
    let mut file = safetensors::read(&path, |_| Ok(())).expect("a file");
    file.metadata.remove("hubel.checksum");
    safetensors::write(&path, &file).expect("a file");
    let problem = Model::load(&path)
        .expect_err("it had a checksum")
        .to_string();
    assert!(problem.contains("lost its `hubel.checksum`"), "{problem}");
    file.metadata.insert("hubel.version".into(), "1".into());
    safetensors::write(&path, &file).expect("a file");
    assert_eq!(Model::load(&path).expect("a model"), model);
}

#[test]
fn what_a_damaged_file_says_is_quoted_in_short() {
    let long = "x".repeat(100_000);
    for (name, value) in [
        ("hubel.version", long.clone()),
        ("hubel.input", long.clone()),
        ("hubel.network", format!("{long}(8)")),
        (
            "hubel.network",
            format!("{long}: relu-globalavgpool-fc(classes)"),
        ),
        ("hubel.preparation", format!("{{\"resize\": \"{long}\"}}")),
        ("hubel.classes", format!("[\"cat\", \"{long}\"]")),
    ] {
        let problem = problem_after(|file| {
            file.metadata.insert(name.into(), value);
        });
        let problem = problem.expect("it is damaged");
        assert!(problem.len() < 2000, "{name}: {} bytes", problem.len());
    }
}

#[test]
fn tensors_of_other_networks_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut bytes = crate::fuzzing::seeds::model().swap_remove(0);
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let rest = bytes.split_off(8);
    let (header, numbers) = rest.split_at(length);
    let numbers = numbers.len();
    // A hundred gigabytes of zeros after the weights, in a sparse file.
    let end = numbers + (100 << 30);
    let more = format!(
        ",\"more\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{numbers},{end}]}}}}",
        (end - numbers) / 4
    );
    let header = [&header[..length - 1], more.as_bytes()].concat();
    let start = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    std::fs::write(&path, &start).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len((start.len() + end) as u64).unwrap();
    let error = Model::load(&path).expect_err("it is no model").to_string();
    assert!(
        error.contains("its tensor `more` of [26843545600] belongs to no layer"),
        "{error}"
    );
}
