//! The meaning of the values, the labels and the parts of arrays.
use super::arrays::{npy, npz};
use super::*;

/// Values of 4 bytes, little-endian.
fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Arrays in a file.
fn saved(arrays: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    std::fs::write(&path, npz(arrays, true)).unwrap();
    (folder, path)
}

#[test]
fn numbers_are_brought_to_levels_by_their_range_and_the_model_remembers_it() -> Result<()> {
    let levels: Vec<u8> = (0..24).map(|level| level * 11).chain([255; 8]).collect();
    let scaled = |scale: f32, shift: f32| -> Vec<f32> {
        levels
            .iter()
            .map(|&level| f32::from(level) / 255.0 * scale + shift)
            .collect()
    };
    let labels = npy("|u1", "8,", &[0, 1, 0, 1, 0, 1, 0, 1]);
    let words: Vec<u8> = levels
        .iter()
        .flat_map(|&level| (u16::from(level) * 257).to_be_bytes())
        .collect();
    let doubles: Vec<u8> = scaled(1.0, 0.0)
        .iter()
        .flat_map(|&x| f64::from(x).to_le_bytes())
        .collect();
    for (array, range, said) in [
        (
            npy("<f4", "8, 2, 2", &floats(&scaled(1.0, 0.0))),
            ValueRange::ZeroToOne,
            "numbers from 0 to 1 were converted to 8 bits: 0 is black, 1 is white",
        ),
        (
            npy("<f8", "8, 2, 2", &doubles),
            ValueRange::ZeroToOne,
            "0 is black, 1 is white",
        ),
        (
            npy("<f4", "8, 2, 2", &floats(&scaled(2.0, -1.0))),
            ValueRange::MinusOneToOne,
            "-1 is black",
        ),
        (
            npy("<f4", "8, 2, 2", &floats(&scaled(255.0, 0.0))),
            ValueRange::Bytes,
            "255 is white",
        ),
        (
            npy(">u2", "8, 2, 2", &words),
            ValueRange::Words,
            "65535 is white",
        ),
    ] {
        let (_folder, path) = saved(&[("x_train", array), ("y_train", labels.clone())]);
        let splits = read(&path, &WHOLE)?;
        let stored: Vec<u8> = (0..8)
            .map(|index| splits.train.bytes(index).unwrap().unwrap().into_owned())
            .collect::<Vec<_>>()
            .concat();
        assert_eq!(stored, levels, "{range}");
        assert!(splits.notes[0].contains(said), "{:?}", splits.notes);
        assert_eq!(Preparation::measure(&splits.train)?.range, Some(range));
    }

    // A test split without the darkest levels is read like the model's training split.
    let signed = Preparation {
        range: Some(ValueRange::MinusOneToOne),
        ..Preparation::measure(
            &read(
                &saved(&[
                    ("x", npy("|u1", "2, 1, 1", &[0, 255])),
                    ("y", npy("|u1", "2,", &[0, 1])),
                ])
                .1,
                &WHOLE,
            )?
            .train,
        )?
    };
    let light = npy("<f4", "2, 1, 1", &floats(&[0.0, 1.0]));
    let (_folder, path) = saved(&[("x_test", light), ("y_test", npy("|u1", "2,", &[0, 1]))]);
    let (dataset, _) = judge(&path, &signed, &["0".into(), "1".into()])?;
    assert_eq!(
        (dataset.bytes(0)?.unwrap()[0], dataset.bytes(1)?.unwrap()[0]),
        (128, 255)
    );
    Ok(())
}

#[test]
fn standardised_numbers_are_trained_on_as_they_are_and_are_no_pictures() -> Result<()> {
    let numbers: Vec<f32> = (0..16).map(|number| (number as f32 - 7.5) / 4.6).collect();
    let labels = || npy("|u1", "4,", &[0, 1, 0, 1]);
    let (_folder, path) = saved(&[
        ("x", npy("<f4", "4, 2, 2", &floats(&numbers))),
        ("y", labels()),
    ]);
    let splits = read(&path, &WHOLE)?;
    assert!(splits.train.is_of_floats());
    assert!(
        splits.notes[0].contains("look standardised"),
        "{:?}",
        splits.notes
    );
    let preparation = Preparation::measure(&splits.train)?;
    assert_eq!(preparation.range, Some(ValueRange::Standardised));
    let text = preparation
        .decoded(grey(&[1; 4], 2, 2))
        .unwrap_err()
        .to_string();
    assert!(text.contains("standardised"), "{text}");
    let classes = splits.train.classes().to_vec();
    let (dataset, _) = judge(&path, &preparation, &classes)?;
    assert_eq!(
        tensors(&dataset, &preparation),
        tensors(&splits.train, &preparation)
    );

    let (_folder, levels) = saved(&[("x", npy("|u1", "4, 2, 2", &[9; 16])), ("y", labels())]);
    assert!(
        judge(&levels, &preparation, &classes)
            .unwrap_err()
            .to_string()
            .contains("standardised")
    );
    let of_levels = Preparation::measure(&read(&levels, &WHOLE)?.train)?;
    assert!(
        judge(&path, &of_levels, &classes)
            .unwrap_err()
            .to_string()
            .contains("standardised")
    );
    Ok(())
}

#[test]
fn levels_that_end_far_below_white_are_said() -> Result<()> {
    let labels = || npy("|u1", "2,", &[0, 1]);
    for array in [
        npy("|u1", "2, 1, 2", &[0, 16, 3, 5]),
        npy("<f4", "2, 1, 2", &floats(&[0.0, 16.0, 3.0, 5.0])),
    ] {
        let (_folder, path) = saved(&[("images", array), ("target", labels())]);
        let splits = read(&path, &WHOLE)?;
        assert_eq!(splits.train.bytes(0)?.unwrap()[..], [0, 16]);
        let said = splits.notes.join("\n");
        assert!(
            said.contains("the lightest level of the pictures is 16")
                && said.contains("(a * (255 / 16))"),
            "{said}"
        );
    }
    let (_folder, path) = saved(&[
        ("images", npy("|u1", "2, 1, 2", &[0, 128, 3, 5])),
        ("target", labels()),
    ]);
    assert_eq!(read(&path, &WHOLE)?.notes, [""; 0]);
    Ok(())
}

#[test]
fn no_part_is_dropped_without_a_word() -> Result<()> {
    let images = || npy("|u1", "2, 1, 2", &[0, 200, 3, 5]);
    let labels = || {
        npy(
            "<i8",
            "2,",
            &[&[0; 8][..], &[1, 0, 0, 0, 0, 0, 0, 0]].concat(),
        )
    };
    for validation in ["x_valid", "validation_images", "X_dev", "valImages"] {
        let of_labels = validation
            .replace("x_", "y_")
            .replace("X_", "y_")
            .replace("images", "labels")
            .replace("Images", "Labels");
        let (_folder, path) = saved(&[
            ("x_train", images()),
            ("y_train", labels()),
            (validation, images()),
            (&of_labels, labels()),
            ("weights", images()),
        ]);
        let splits = read(&path, &WHOLE)?;
        assert_eq!(
            splits.validation.map(|part| part.len()),
            Some(2),
            "{validation}"
        );
        assert!(
            splits.notes[0].starts_with("arrays were ignored, weights: "),
            "{:?}",
            splits.notes
        );
    }
    Ok(())
}

#[test]
fn labels_are_the_classes_whatever_they_are() -> Result<()> {
    let images = || npy("|u1", "3, 1, 2", &[0, 200, 3, 5, 7, 9]);
    let text: Vec<u8> = "oxcaté"
        .chars()
        .flat_map(|letter| u32::from(letter).to_le_bytes())
        .collect();
    let text = [&text[..8], &[0; 8], &text[8..], &text[..8], &[0; 8]].concat();
    for (labels, classes, numbers) in [
        (
            npy("|u1", "3,", &[255, 0, 255]),
            &["0", "255"][..],
            [1, 0, 1],
        ),
        (
            npy("<i2", "3, 1", &[1, 0, 255, 255, 1, 0]),
            &["-1", "1"],
            [1, 0, 1],
        ),
        (npy("|b1", "3,", &[1, 0, 1]), &["0", "1"], [1, 0, 1]),
        (
            npy("<f4", "3,", &floats(&[10.0, 2.0, 10.0])),
            &["2", "10"],
            [1, 0, 1],
        ),
        (npy("<U4", "3,", &text), &["caté", "ox"], [1, 0, 1]),
    ] {
        let (_folder, path) = saved(&[("x_train", images()), ("y_train", labels)]);
        let train = read(&path, &WHOLE)?.train;
        assert_eq!(
            (train.classes(), train.labels()),
            (
                &classes
                    .iter()
                    .map(|&class| class.to_owned())
                    .collect::<Vec<_>>()[..],
                &numbers[..]
            )
        );
    }
    Ok(())
}

#[test]
fn arrays_to_test_with_alone_are_judged_by_and_not_trained_on() -> Result<()> {
    let (images, labels) = (
        npy("|u1", "2, 1, 2", &[0, 200, 3, 5]),
        npy("|u1", "2,", &[1, 0]),
    );
    let (_folder, path) = saved(&[("x_test", images.clone()), ("y_test", labels.clone())]);
    let text = read(&path, &WHOLE).unwrap_err().to_string();
    assert!(
        text.contains("no images to train on") && text.contains("2 images of 1×2×1 (test)"),
        "{text}"
    );
    let (_folder2, both) = saved(&[("x", images), ("y", labels)]);
    let splits = read(&both, &WHOLE)?;
    let preparation = Preparation::measure(&splits.train)?;
    let (dataset, judged) = judge(&path, &preparation, splits.train.classes())?;
    assert_eq!((dataset.labels(), judged), (&[1, 0][..], Judged::Test));

    // One class is enough, since the model knows the others.
    let (_folder3, single) = saved(&[
        ("x_test", npy("|u1", "2, 1, 2", &[0, 200, 3, 5])),
        ("y_test", npy("|u1", "2,", &[1, 1])),
    ]);
    assert_eq!(
        judge(&single, &preparation, splits.train.classes())?
            .0
            .labels(),
        [1, 1]
    );
    let text = read(&single, &WHOLE).unwrap_err().to_string();
    assert!(text.contains("at least two classes"), "{text}");

    // A model with class names recognises this data by its numbers.
    let named = splits.named(&["ground".into(), "cell".into()])?;
    assert_eq!(named.train.classes(), ["ground", "cell"]);
    let division = named.division.as_ref();
    let known = evaluation(
        &path,
        &preparation,
        named.train.classes(),
        division,
        &WHOLE,
        &|_, _| (),
    )?;
    assert_eq!(
        (known.dataset.labels(), known.judged),
        (&[1, 0][..], Judged::LeakedTest)
    );
    Ok(())
}
