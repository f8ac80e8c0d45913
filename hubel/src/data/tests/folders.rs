//! Class folders, and the same bits from the same file in training, evaluation and prediction.
use super::*;

/// `root/{train,test}/{cat,dog ä}/*` of various sizes.
fn photos(root: &Path, sizes: &[(u32, u32)]) {
    for (part, count) in [("train", 4), ("test", 2)] {
        for class in ["cat", "dog ä"] {
            for number in 0..count {
                let (height, width) = sizes[number as usize % sizes.len()];
                let path = root
                    .join(part)
                    .join(class)
                    .join(format!("{number} photo.png"));
                save(
                    colours(height, width, number + 10 * class.len() as u32),
                    &path,
                );
            }
        }
    }
    std::fs::write(root.join("train/cat/.hidden"), b"x").unwrap();
    std::fs::write(root.join("train/cat/Thumbs.db"), b"x").unwrap();
    std::fs::write(root.join("train/cat/notes.txt"), b"x").unwrap();
}

#[test]
fn class_folders_are_found_and_described() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), &[(20, 30), (40, 25), (33, 33)]);
    let splits = read(folder.path(), &WHOLE)?;
    assert_eq!(splits.train.classes(), ["cat", "dog ä"]);
    assert_eq!(splits.train.labels(), [0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(
        splits.description,
        "class folders, 2 classes, 8 + 4 images of 25×25×3"
    );
    let notes = splits.notes.join("\n");
    for expected in [
        "2 hidden or system files and folders were ignored, such as train/cat/.hidden",
        "1 file was ignored, train/cat/notes.txt: no picture extension",
    ] {
        assert!(notes.contains(expected), "{notes}");
    }

    let flat = read(&folder.path().join("train"), &WHOLE)?;
    assert_eq!((flat.train.len(), flat.test.is_none()), (8, true));
    Ok(())
}

#[test]
fn pictures_of_one_small_size_stay_as_they_are_and_others_become_a_square_which_is_said()
-> Result<()> {
    let square = |sizes: &[(u32, u32)], largest_side| {
        let folder = tempfile::tempdir().unwrap();
        photos(folder.path(), sizes);
        let options = Options {
            largest_side,
            ..WHOLE
        };
        let splits = read(folder.path(), &options)?;
        let said = splits
            .notes
            .into_iter()
            .find(|note| note.contains("resized"));
        Ok::<_, Error>((splits.train.shape(), said))
    };
    assert_eq!(square(&[(20, 30)], 64)?, (Shape::new(20, 30, 3), None));
    let (shape, said) = square(&[(20, 30)], 16)?;
    assert_eq!(shape, Shape::new(16, 16, 3));
    assert_eq!(
        said.unwrap(),
        "pictures of about 30×20 pixels are resized to 16×16; `shape = 32x32x3` would show more"
    );
    let (shape, said) = square(&[(20, 30), (40, 25), (33, 33)], 64)?;
    assert_eq!(shape, Shape::new(25, 25, 3));
    assert_eq!(
        said.unwrap(),
        "pictures of about 25×40 pixels are resized to 25×25"
    );
    Ok(())
}

#[test]
fn one_picture_is_the_same_bits_in_training_evaluation_and_prediction() -> Result<()> {
    for sizes in [&[(20, 30), (40, 25), (33, 33)][..], &[(24, 24)]] {
        let folder = tempfile::tempdir().unwrap();
        photos(folder.path(), sizes);
        for (resize, channels) in [
            (Resize::Letterbox, 3),
            (Resize::Crop, 3),
            (Resize::Stretch, 3),
            (Resize::Letterbox, 1),
        ] {
            let options = Options {
                shape: Some(Shape::new(24, 24, channels)),
                resize,
                ..WHOLE
            };
            let splits = read(folder.path(), &options)?;
            let preparation = Preparation::measure(&splits.train)?;
            assert_eq!(preparation.resize, resize);
            let stored = serde_json::to_string(&preparation).unwrap();
            let preparation: Preparation = serde_json::from_str(&stored).unwrap();

            let test = splits.test.expect("there are test folders");
            let trained_like = tensors(&test, &preparation);
            let (evaluated, part) = judge(folder.path(), &preparation, test.classes())?;
            assert_eq!(part, Judged::Test);
            assert_eq!(tensors(&evaluated, &preparation), trained_like);
            let mut predicted = Vec::new();
            for class in ["cat", "dog ä"] {
                for number in 0..2 {
                    let path = folder
                        .path()
                        .join(format!("test/{class}/{number} photo.png"));
                    predicted.push(preparation.picture(&path)?.tensor);
                }
            }
            assert_eq!(predicted, trained_like);
        }
    }
    Ok(())
}

#[test]
fn grey_writing_of_various_sizes_is_the_same_bits_too() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let test = mnist()?.test.expect("MNIST has test images");
    for index in 0..20 {
        let digit: Vec<u8> = test
            .bytes(index)?
            .expect("MNIST is of bytes")
            .iter()
            .map(|level| 255 - level)
            .collect();
        let (height, width) = (40 + index, 60 - index);
        let large = resize::fit(&digit, (28, 28), (height, width), &[0], Resize::Stretch);
        let name = format!("{}/{index:02}.png", index % 2);
        save(grey(&large, height, width), &folder.path().join(name));
    }
    let splits = read(folder.path(), &WHOLE)?;
    let preparation = Preparation::measure(&splits.train)?;
    let (all, part) = judge(folder.path(), &preparation, splits.train.classes())?;
    assert_eq!(part, Judged::All);
    let trained = tensors(&splits.train, &preparation);
    assert_eq!(tensors(&all, &preparation), trained);
    for (place, index) in (0..20).step_by(2).enumerate() {
        let path = folder.path().join(format!("0/{index:02}.png"));
        assert_eq!(preparation.picture(&path)?.tensor, trained[place]);
    }
    Ok(())
}

#[test]
fn digits_in_folders_meet_a_model_of_mnist() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let splits = mnist()?;
    let test = splits.test.expect("MNIST has test images");
    for index in 0..20 {
        let name = format!("{}/{index:02}.png", test.labels()[index]);
        save(
            grey(&test.bytes(index)?.expect("MNIST is of bytes"), 28, 28),
            &folder.path().join(name),
        );
    }
    let preparation = Preparation::measure(&splits.train)?;
    let (dataset, _) = judge(folder.path(), &preparation, test.classes())?;
    assert_eq!(
        dataset.classes(),
        test.classes(),
        "classes without pictures keep their places"
    );
    let mut order: Vec<usize> = (0..20).collect();
    order.sort_by_key(|&index| (test.labels()[index], index));
    let expected = test.subset(&order);
    assert_eq!(dataset.labels(), expected.labels());
    assert_eq!(
        tensors(&dataset, &preparation),
        tensors(&expected, &preparation)
    );
    Ok(())
}

#[test]
fn validation_folders_are_the_validation_images() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), &[(20, 20)]);
    save(
        colours(20, 20, 77),
        &folder.path().join("valid/dog ä/a.png"),
    );
    save(colours(20, 20, 78), &folder.path().join("valid/cat/a.png"));
    let splits = open(folder.path())?;
    assert_eq!(splits.train.len(), 8);
    let validation = splits.validation.expect("there is a folder for it");
    assert_eq!(validation.labels(), [0, 1]);
    assert_eq!(
        validation.bytes(0)?.expect("files are of bytes"),
        &colours(20, 20, 78).as_raw()[..]
    );
    Ok(())
}

#[test]
fn what_is_wrong_with_a_folder_is_said_with_its_path() {
    let message = |root: &Path| open(root).expect_err("it is wrong").to_string();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    assert!(message(&root.join("nowhere")).contains("no such file or folder"));
    assert!(message(root).contains("neither class folders"));
    save(colours(8, 8, 1), &root.join("flat/a.png"));
    assert!(message(&root.join("flat")).contains("neither class folders"));
    assert!(message(root).contains("only one class folder is there, `flat`"));
    assert!(message(&root.join("flat/a.png")).contains("give the folder instead"));

    std::fs::create_dir(root.join("hollow")).unwrap();
    let text = message(root);
    assert!(
        text.contains("hollow") && text.contains("holds no picture"),
        "{text}"
    );
    std::fs::write(root.join("hollow/broken.png"), b"no picture").unwrap();
    let text = message(root);
    assert!(
        text.contains("broken.png") && text.contains("no known picture format"),
        "{text}"
    );

    let two = tempfile::tempdir().unwrap();
    photos(two.path(), &[(8, 8)]);
    save(colours(8, 8, 1), &two.path().join("test/owl/a.png"));
    let text = message(two.path());
    assert!(
        text.contains("`owl`") && text.contains("cat, dog ä"),
        "{text}"
    );
}

/// `count` pixels of two levels.
fn checks(number: u8, count: u8) -> Vec<u8> {
    (0..count).map(|at| number + at % 2 * 100).collect()
}

#[test]
fn what_a_sample_of_the_files_did_not_show_is_said() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    // Of more than a hundred files, every second is examined to choose a size.
    for number in 0..110u8 {
        let path = folder
            .path()
            .join(format!("{}/{number:03}.png", number / 55));
        match number {
            1 => save(colours(8, 8, 1), &path),
            3 => save(grey(&checks(number, 54), 9, 6), &path),
            _ => save(grey(&checks(number, 64), 8, 8), &path),
        }
    }
    let splits = read(folder.path(), &WHOLE)?;
    assert_eq!(splits.train.shape(), Shape::new(8, 8, 1));
    assert_eq!(
        splits.notes,
        [
            "1 picture is of another size, resized to 8×8",
            "1 picture is in colour, which a grey input does not show; `shape = 8x8x3` would"
        ]
    );
    Ok(())
}

#[test]
fn images_that_are_trained_on_and_judged_by_are_said() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for class in ["cat", "dog"] {
        for number in 0..4 {
            let part = if number < 3 { "train" } else { "test" };
            let seed = number + 10 * u32::from(class == "cat");
            let path = format!("{part}/{class}/{number}.png");
            save(colours(8, 8, seed), &folder.path().join(path));
        }
    }
    assert_eq!(read(folder.path(), &WHOLE)?.notes, [""; 0]);
    let shares = Options { test: 0.3, ..WHOLE };
    let notes = read(folder.path(), &shares)?.notes;
    assert_eq!(
        notes,
        ["the data has a test split, so the share 0.3 is not held out for it"]
    );
    save(colours(8, 8, 0), &folder.path().join("test/dog/again.png"));
    let notes = read(folder.path(), &WHOLE)?.notes;
    assert!(
        notes[0].starts_with("1 of the 3 test images is also in the training part"),
        "{notes:?}"
    );
    Ok(())
}
