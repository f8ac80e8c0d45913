//! Files that cannot be read: found before training, listed, and treated as the policy says.
use super::*;

/// Two classes of six pictures; `cat/1.png` is cut off, `dog/4.png` is text.
fn with_two_bad_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in ["cat", "dog"] {
        for number in 0..6u32 {
            let seed = number + 100 * u32::from(class == "cat");
            let path = folder.path().join(format!("photos/{class}/{number}.png"));
            save(colours(20, 24, seed), &path);
        }
    }
    let cat = folder.path().join("photos/cat/1.png");
    let bytes = std::fs::read(&cat).unwrap();
    std::fs::write(&cat, &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(folder.path().join("photos/dog/4.png"), b"no picture").unwrap();
    folder
}

#[test]
fn every_bad_file_is_named_and_nothing_begins() {
    let folder = with_two_bad_files();
    let error = read(&folder.path().join("photos"), &WHOLE).expect_err("two files are bad");
    let text = error.to_string();
    assert!(text.starts_with("2 of the 12 files of "), "{text}");
    for name in ["1.png", "4.png", "--bad-files skip"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn skipped_files_are_reported_and_the_rest_is_what_it_was() -> Result<()> {
    let folder = with_two_bad_files();
    let root = folder.path().join("photos");
    let options = Options {
        bad_files: BadFiles::Skip,
        ..WHOLE
    };
    let splits = read(&root, &options)?;
    assert_eq!(splits.train.labels(), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    let bad: Vec<_> = splits.bad_files.iter().map(|bad| &bad.path).collect();
    assert_eq!(bad, [&root.join("cat/1.png"), &root.join("dog/4.png")]);
    assert!(splits.bad_files[1].problem.contains("no picture format"));
    for (index, number) in [0, 2, 3, 4, 5].into_iter().enumerate() {
        let expected = colours(20, 24, number + 100);
        assert_eq!(
            splits.train.bytes(index)?.expect("files are of bytes"),
            &expected.as_raw()[..]
        );
        let path = splits.train.path(index).expect("it came from a file");
        assert_eq!(path, root.join(format!("cat/{number}.png")));
    }
    Ok(())
}

#[test]
fn files_in_quarantine_keep_their_place_and_are_gone_from_the_data() -> Result<()> {
    let folder = with_two_bad_files();
    let root = folder.path().join("photos");
    let options = Options {
        bad_files: BadFiles::Quarantine,
        ..WHOLE
    };
    let splits = read(&root, &options)?;
    assert_eq!((splits.train.len(), splits.bad_files.len()), (10, 2));
    let quarantine = folder.path().join("photos.quarantine");
    assert!(quarantine.join("cat/1.png").exists() && quarantine.join("dog/4.png").exists());
    // Now nothing is wrong any more.
    assert_eq!(read(&root, &WHOLE)?.train.len(), 10);
    // A second file of that name does not replace the first.
    std::fs::write(root.join("cat/1.png"), b"again no picture").unwrap();
    read(&root, &options)?;
    assert_eq!(
        std::fs::read(quarantine.join("cat/1.png.2")).unwrap(),
        b"again no picture"
    );
    Ok(())
}

#[test]
fn what_does_not_fit_the_cache_is_read_again_with_the_same_bits() -> Result<()> {
    let folder = with_two_bad_files();
    let root = folder.path().join("photos");
    let options = |cache| Options {
        bad_files: BadFiles::Skip,
        shape: Some(Shape::new(16, 16, 3)),
        cache: Some(cache),
        ..WHOLE
    };
    let all = read(&root, &options(1 << 20))?.train;
    let preparation = Preparation::measure(&all)?;
    let sample = 16 * 16 * 3;
    for cache in [0, sample - 1, sample, 3 * sample + 1, 11 * sample] {
        let some = read(&root, &options(cache))?.train;
        assert_eq!(Preparation::measure(&some)?, preparation);
        assert_eq!(tensors(&some, &preparation), tensors(&all, &preparation));
    }
    Ok(())
}

#[test]
fn a_picture_that_vanishes_in_training_is_an_error_or_another_stands_in() -> Result<()> {
    let folder = with_two_bad_files();
    let root = folder.path().join("photos");
    let options = Options {
        bad_files: BadFiles::Skip,
        cache: Some(0),
        ..WHOLE
    };
    let dataset = read(&root, &options)?.train;
    let preparation = Preparation::measure(&dataset)?;
    let feed = |bad_files| {
        let settings = FeedSettings {
            augmentation: Augmentation::default(),
            balance: Balance::None,
            bad_files,
            batch_size: 4,
            seed: 1,
        };
        Feed::new(dataset.clone(), preparation.clone(), settings)
    };
    std::fs::remove_file(root.join("cat/0.png")).unwrap();
    let mut tensors = vec![0.0; 3 * preparation.shape.len()];
    let mut draws = [0, 7, 2];
    let error = feed(BadFiles::Fail)?.fill(1, &mut draws, &mut tensors);
    assert!(error.expect_err("it is gone").to_string().contains("0.png"));

    let problems = feed(BadFiles::Skip)?.fill(1, &mut draws, &mut tensors)?;
    assert_eq!((draws, problems.len()), ([7, 7, 2], 1));
    let length = preparation.shape.len();
    assert_eq!(tensors[..length], tensors[length..2 * length]);
    let nothing_left = feed(BadFiles::Skip)?.fill(1, &mut [0], &mut tensors[..length]);
    assert!(nothing_left.is_err());
    Ok(())
}
