//! Data without splits: what is held out, and that a model is evaluated on exactly that.
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

    // If it is sorted into splits later, training pictures are no test.
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

    // Nothing was held out for a test, which is reported.
    let none = read(
        folder.path(),
        &Options {
            test: 0.0,
            ..DIVIDED
        },
    )?;
    let (dataset, judged) = judge(folder.path(), &none.division.expect("as before"))?;
    assert_eq!((dataset.len(), judged), (100, Judged::Seen));

    // All pictures that the model has never seen are used.
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
fn validation_images_of_the_data_s_own_split_count_as_set_aside() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    pictures(&folder.path().join("train"), 20);
    let own = folder.path().join("val");
    for class in 0..2 {
        for number in 0..3 {
            let path = own.join(format!("{class}/{number}.png"));
            save(colours(16, 16, 500 + class * 10 + number), &path);
        }
    }
    // One of them is also a training image.
    let copied = folder.path().join("train/0/000.png");
    std::fs::copy(copied, own.join("0/copy.png")).unwrap();
    let options = Options {
        test: 0.0,
        ..DIVIDED
    };
    let splits = read(folder.path(), &options)?;
    let division = splits.division.expect("it was divided here");
    let validation = splits.validation.expect("the data's own");
    assert_eq!((validation.len(), division.validation), (7, 0.0));
    assert_eq!(division.set_aside(&validation), 6);
    assert_eq!(division.set_aside(&splits.train), 0);
    assert!(division.aside.is_sorted());
    assert_eq!(division.trained_on(&splits.train).len(), splits.train.len());
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
fn impossible_shares_are_refused() {
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
    assert!(message(&skip).contains("no training image of the class `1` can be read"));
}

#[test]
fn films_beside_other_pictures_are_trained_on_and_films_alone_are_held_out_whole() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        validation: 0.05,
        test: 0.05,
        ..WHOLE
    };
    // Frames of a few films: each is almost equal to the one before.
    for class in 0..2 {
        for film in 0..4u32 {
            for frame in 0..20u32 {
                let mut picture = colours(32, 32, 100 * class + film);
                let lighter = |level: &mut u8| *level = level.saturating_add(frame as u8 / 2);
                picture.iter_mut().for_each(lighter);
                let path = format!("{class}/film{film}-{frame:02}.png");
                save(picture, &folder.path().join(path));
            }
        }
    }
    let alone = read(folder.path(), &options)?;
    let said = |note: &String| note.contains("where 10 % were asked for");
    assert!(alone.notes.iter().any(said), "{:?}", alone.notes);
    assert_eq!(alone.test.expect("a film of each").counts(), [20, 20]);
    pictures(folder.path(), 50);
    let beside = read(folder.path(), &options)?;
    assert!(!beside.notes.iter().any(said), "{:?}", beside.notes);
    for held_out in [beside.validation, beside.test] {
        let held_out = held_out.expect("some of the others");
        let is_frame = |path: &Path| path.to_string_lossy().contains("film");
        assert!(!paths(&held_out).into_iter().any(is_frame));
    }
    Ok(())
}

/// Frames of a camera: a little noise and a little movement.
fn frames(root: &Path, class: u32, count: u32) {
    for number in 0..count {
        let mut noise = crate::Random::new(u64::from(class)).stream(
            crate::Purpose::Augment,
            2,
            u64::from(number),
        );
        let picture = RgbImage::from_fn(32, 32, |x, y| {
            let x = x as f32 + 0.05 * number as f32;
            let level = 90.0
                + 40.0 * (x * (class + 2) as f32 / 12.0).sin()
                + 30.0 * (y as f32 / 4.0).cos()
                + 3.0 * noise.uniform();
            image::Rgb([level as u8, (level / 2.0) as u8 + 40 * class as u8, 90])
        });
        // Not in the order of their names as text.
        save(picture, &root.join(format!("{class}/frame{number}.png")));
    }
}

#[test]
fn frames_of_a_camera_are_divided_and_judged_again_by_the_same() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    (0..3).for_each(|class| frames(folder.path(), class, 40));
    let splits = read(
        folder.path(),
        &Options {
            validation: 0.05,
            test: 0.1,
            ..WHOLE
        },
    )?;
    let said = |note: &String| note.contains("frames of the same series");
    assert!(splits.notes.iter().any(said), "{:?}", splits.notes);
    let test = splits.test.expect("there are 40 of each");
    assert_eq!(test.counts(), [4, 4, 4]);
    assert_eq!(splits.validation.expect("as above").counts(), [2, 2, 2]);
    assert_eq!(splits.train.counts(), [31, 31, 31]);
    let last = |path: &&Path| {
        ["frame36.", "frame37.", "frame38.", "frame39."]
            .iter()
            .any(|name| path.to_string_lossy().contains(name))
    };
    assert!(paths(&test).iter().all(last));

    // More frames do not change the test pictures.
    let preparation = Preparation::measure(&splits.train)?;
    (0..3).for_each(|class| frames(folder.path(), class, 60));
    let division = splits.division.expect("it was divided here");
    let judged = evaluation(
        folder.path(),
        &preparation,
        splits.train.classes(),
        Some(&division),
        &WHOLE,
        &|_, _| (),
    )?;
    assert_eq!(judged.judged, Judged::HeldOutOfSeries);
    assert_eq!(paths(&judged.dataset), paths(&test));

    // The advice of the note works, and so does holding nothing out.
    let sorted = tempfile::tempdir().unwrap();
    frames(&sorted.path().join("train"), 0, 20);
    frames(&sorted.path().join("train"), 1, 20);
    frames(&sorted.path().join("test"), 0, 5);
    frames(&sorted.path().join("test"), 1, 5);
    assert_eq!(
        read(sorted.path(), &WHOLE)?.test.expect("its own").len(),
        10
    );
    let whole = read(
        folder.path(),
        &Options {
            validation: 0.0,
            test: 0.0,
            ..WHOLE
        },
    )?;
    assert_eq!((whole.train.len(), whole.test.is_none()), (180, true));
    Ok(())
}

#[test]
fn frames_that_differ_in_detail_are_said_to_look_alike() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for class in 0..2 {
        for frame in 0..40u32 {
            // Something small walks through the scene.
            let (left, top) = (frame % 10 * 3, frame / 10 * 8);
            let picture = RgbImage::from_fn(32, 32, |x, y| {
                let scene =
                    50.0 * (x as f32 / (4 + class) as f32).sin() + 40.0 * (y as f32 / 4.0).cos();
                let walks = (left..left + 3).contains(&x) && (top..top + 3).contains(&y);
                let level = 110.0 + scene + if walks { 40.0 } else { 0.0 };
                image::Rgb([level as u8, level as u8 / 2, 90])
            });
            save(picture, &folder.path().join(format!("{class}/{frame}.png")));
        }
    }
    let splits = read(folder.path(), &DIVIDED)?;
    let said = |note: &String| note.contains("test part look similar to the training part");
    assert!(splits.notes.iter().any(said), "{:?}", splits.notes);
    Ok(())
}

#[test]
fn a_few_pictures_are_divided_so_that_each_class_is_in_each_part() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 12);
    for seed in 1..6 {
        let splits = read(
            folder.path(),
            &Options {
                validation: 0.05,
                test: 0.1,
                seed,
                ..WHOLE
            },
        )?;
        let (validation, test) = (
            splits.validation.expect("one of each"),
            splits.test.expect("as well"),
        );
        for class in 0..2 {
            assert!((1..=2).contains(&validation.counts()[class]));
            assert!((1..=3).contains(&test.counts()[class]));
            assert!(splits.train.counts()[class] >= 7);
        }
    }
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

    // Other data with splits: its training split, or everything if it has none.
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
