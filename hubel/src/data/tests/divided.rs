//! Data that is not divided: what is held out, and that a model is judged by just that.
use super::*;

/// Two classes of `count` pictures, all different.
fn pictures(root: &Path, count: u32) {
    for class in 0..2 {
        for number in 0..count {
            let mut random = crate::Random::new(u64::from(class * 1000 + number)).stream(
                crate::Purpose::Augment,
                0,
                0,
            );
            let picture = RgbImage::from_fn(16, 16, |_, _| {
                image::Rgb(std::array::from_fn(|_| random.below(256) as u8))
            });
            save(picture, &root.join(format!("{class}/{number:03}.png")));
        }
    }
}

const DIVIDED: Options = Options {
    validation: 0.2,
    test: 0.3,
    ..WHOLE
};

fn paths(dataset: &Dataset) -> Vec<&Path> {
    (0..dataset.len())
        .map(|index| dataset.path(index).expect("it came from a file"))
        .collect()
}

#[test]
fn a_model_is_judged_by_what_was_held_out() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 50);
    let splits = read(folder.path(), &DIVIDED)?;
    let (validation, test) = (
        splits.validation.expect("a fifth"),
        splits.test.expect("three tenths"),
    );
    assert_eq!(splits.train.len() + validation.len() + test.len(), 100);
    let division = splits.division.expect("it was divided here");
    let preparation = Preparation::measure(&splits.train)?;
    let judge = |path: &Path, division: &Division| {
        let classes = splits.train.classes();
        let evaluation = evaluation(
            path,
            &preparation,
            classes,
            Some(division),
            &WHOLE,
            &|_, _| (),
        )?;
        Ok::<_, Error>((evaluation.dataset, evaluation.judged))
    };
    let (dataset, judged) = judge(folder.path(), &division)?;
    assert_eq!(judged, Judged::HeldOut);
    assert_eq!(paths(&dataset), paths(&test));

    // Sorted into parts later, what was trained on is no test.
    let sorted = tempfile::tempdir().unwrap();
    for class in ["0", "1"] {
        for part in ["train", "test"] {
            let target = sorted.path().join(part).join(class);
            std::fs::create_dir_all(&target).unwrap();
            for file in std::fs::read_dir(folder.path().join(class)).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), target.join(file.file_name())).unwrap();
            }
        }
    }
    let (_, judged) = judge(sorted.path(), &division)?;
    assert_eq!(judged, Judged::LeakedTest);

    // Nothing was held out for a test: that is said.
    let none = read(
        folder.path(),
        &Options {
            test: 0.0,
            ..DIVIDED
        },
    )?;
    let (dataset, judged) = judge(folder.path(), &none.division.expect("as before"))?;
    assert_eq!((dataset.len(), judged), (100, Judged::Seen));

    // Pictures that it has never seen are all taken.
    let other = tempfile::tempdir().unwrap();
    for class in 0..2 {
        for number in 0..5 {
            let path = other.path().join(format!("{class}/{number}.png"));
            save(colours(16, 16, 500 + class * 10 + number), &path);
        }
    }
    let (dataset, judged) = judge(other.path(), &division)?;
    assert_eq!((dataset.len(), judged), (10, Judged::All));
    Ok(())
}

#[test]
fn adding_pictures_moves_no_other() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 40);
    let before = read(folder.path(), &DIVIDED)?;
    pictures(folder.path(), 60);
    let after = read(folder.path(), &DIVIDED)?;
    for (before, after) in [
        (&before.train, &after.train),
        (
            &before.validation.expect("a fifth"),
            &after.validation.expect("a fifth"),
        ),
        (
            &before.test.expect("three tenths"),
            &after.test.expect("three tenths"),
        ),
    ] {
        let after = paths(after);
        assert!(paths(before).iter().all(|path| after.contains(path)));
    }
    Ok(())
}

#[test]
fn a_class_of_which_nothing_is_left_and_impossible_shares_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 3);
    let message = |validation, test| {
        let options = Options {
            validation,
            test,
            ..WHOLE
        };
        read(folder.path(), &options)
            .expect_err("too much")
            .to_string()
    };
    assert!(message(0.0, 0.9999999).contains("all of them would be held out"));
    assert!(message(0.5, 0.5).contains("leave nothing to train on"));
    assert!(message(-0.1, 0.0).contains("cannot be held out"));
    assert!(message(0.0, f64::NAN).contains("cannot be held out"));
}

#[test]
fn classes_that_cannot_be_learnt_and_impossible_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    pictures(&folder.path().join("train"), 4);
    save(colours(16, 16, 9), &folder.path().join("val/2/a.png"));
    let message = |options: &Options| {
        let error = read(folder.path(), options).expect_err("it is wrong");
        error.to_string()
    };
    assert!(message(&WHOLE).contains("of the class `2` there are pictures for validation or test"));
    for side in [0, 1 << 32] {
        let shape = Some(Shape::new(side, side, 3));
        assert!(message(&Options { shape, ..WHOLE }).contains("is no picture"));
    }

    // All training pictures of a class are damaged.
    std::fs::remove_dir_all(folder.path().join("val")).unwrap();
    for number in 0..4 {
        let path = folder.path().join(format!("train/1/{number:03}.png"));
        std::fs::write(path, b"no picture").unwrap();
    }
    let skip = Options {
        bad_files: BadFiles::Skip,
        ..WHOLE
    };
    assert!(message(&skip).contains("no training picture of the class `1` can be read"));
}

#[test]
fn series_of_pictures_that_leave_much_less_to_train_on_are_said() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 50);
    let options = Options {
        validation: 0.05,
        test: 0.05,
        ..WHOLE
    };
    assert_eq!(read(folder.path(), &options)?.notes, [""; 0]);
    // Frames of a few films: each is nearly the one before.
    for class in 0..2 {
        for film in 0..4u32 {
            for frame in 0..20u32 {
                let mut picture = colours(32, 32, 100 * class + film);
                picture.put_pixel(frame, 3, image::Rgb([frame as u8; 3]));
                let path = format!("{class}/film{film}-{frame:02}.png");
                save(picture, &folder.path().join(path));
            }
        }
    }
    let notes = read(folder.path(), &options)?.notes;
    let said = |note: &String| note.contains("where 10 % were asked for");
    assert!(notes.iter().any(said), "{notes:?}");
    Ok(())
}

#[test]
fn what_a_model_has_learned_from_is_found_again() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 50);
    let splits = read(folder.path(), &DIVIDED)?;
    let division = splits.division.expect("it was divided here");
    let preparation = Preparation::measure(&splits.train)?;
    let find = |path: &Path, division: Option<&Division>| {
        let classes = splits.train.classes();
        learned(path, &preparation, classes, division, &WHOLE, &|_, _| ())
    };
    let found = find(folder.path(), Some(&division))?;
    assert_eq!(found.is_known, Some(true));
    assert_eq!(paths(&found.dataset), paths(&splits.train));
    let found = find(folder.path(), None)?;
    assert_eq!((found.is_known, found.dataset.len()), (None, 100));

    // Other data, which came divided: its training part, or all where it has no such part.
    let other = tempfile::tempdir().unwrap();
    for (part, count) in [("train", 3), ("test", 2), ("val", 1)] {
        for class in ["0", "1"] {
            for number in 0..count {
                let seed = 7000 + 10 * number + part.len() as u32;
                let path = other.path().join(format!("{part}/{class}/{number}.png"));
                save(colours(16, 16, seed), &path);
            }
        }
    }
    let found = find(other.path(), Some(&division))?;
    assert_eq!((found.is_known, found.dataset.len()), (Some(false), 6));
    assert!(
        paths(&found.dataset)
            .iter()
            .all(|path| path.starts_with(other.path().join("train")))
    );
    std::fs::remove_dir_all(other.path().join("train")).unwrap();
    assert_eq!(find(other.path(), None)?.dataset.len(), 6);
    Ok(())
}
