//! Files that cannot be read: found before training, listed, and treated as the policy says.
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::*;
use crate::{Event, Network, TrainSettings, Trainer};

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
    for name in ["1.png", "4.png", "bad_files = skip"] {
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
    assert!(
        splits.bad_files[1]
            .problem
            .contains("no known picture format")
    );
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
fn a_size_is_found_where_every_sampled_file_is_bad() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for class in ["cat", "dog"] {
        for number in 0..50u32 {
            // Of 200 files, every second is examined to choose the size.
            let path = folder.path().join(format!("{class}/{number:02}"));
            save(colours(9, 9, number), &path.with_extension("b.png"));
            std::fs::write(path.with_extension("a.png"), b"version https://").unwrap();
        }
    }
    let options = Options {
        bad_files: BadFiles::Skip,
        ..WHOLE
    };
    let splits = read(folder.path(), &options)?;
    assert_eq!((splits.train.len(), splits.bad_files.len()), (100, 100));
    assert_eq!(splits.train.shape(), Shape::new(9, 9, 3));
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
    // Now all files are readable.
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
    let mut splits = read(&root, &options)?;
    // Under `fail`, although all files were readable when it was opened.
    quarantine_by_hand(&root, &splits.bad_files);
    let strict = read(
        &root,
        &Options {
            bad_files: BadFiles::Fail,
            ..options
        },
    )?
    .train;
    let dataset = splits.train.clone();
    let preparation = Preparation::measure(&dataset)?;
    let feed = |dataset: &Dataset| {
        let settings = FeedSettings {
            augmentation: Augmentation::default(),
            balance: Balance::None,
            batch_size: 4,
            seed: 1,
        };
        Feed::new(dataset.clone(), preparation.clone(), settings)
    };
    std::fs::remove_file(root.join("cat/0.png")).unwrap();
    let mut tensors = vec![0.0; 3 * preparation.shape.len()];
    let mut draws = [0, 7, 2];
    let error = feed(&strict)?.fill(1, &mut draws, &mut tensors);
    assert!(error.expect_err("it is gone").to_string().contains("0.png"));

    let bad = feed(&dataset)?.fill(1, &mut draws, &mut tensors)?;
    assert_eq!(draws, [1, 7, 2]);
    let paths: Vec<_> = bad.iter().map(|bad| &bad.path).collect();
    assert_eq!(paths, [&root.join("cat/0.png")]);
    let length = preparation.shape.len();
    let mut next = vec![0.0; length];
    feed(&dataset)?.fill(1, &mut [1], &mut next)?;
    assert_eq!(tensors[..length], next);
    let mut alone = [0];
    feed(&dataset.subset(&[0, 3]))?.fill(1, &mut alone, &mut next)?;
    assert_eq!(alone, [1]);
    let nothing_left = feed(&dataset.subset(&[0]))?.fill(1, &mut [0], &mut next);
    assert!(nothing_left.is_err());

    // Evaluation leaves it out and reports it.
    let (cpu, network) = (Cpu::best(2), Network::resolve("flatten-linear(classes)")?);
    let settings = TrainSettings {
        epochs: 1,
        ..TrainSettings::default()
    };
    let (mut told, validation) = (Vec::new(), splits.train.subset(&[0, 1, 6]));
    splits.train = splits.train.subset(&[1, 2, 5, 6]);
    let mut trainer = Trainer::new(
        cpu.clone(),
        network,
        &splits.train,
        Some(&validation),
        settings,
    )?;
    let model = trainer.run(&mut |event| {
        if let Event::BadFile(file) = event {
            told.push(file.path.clone());
        }
        ControlFlow::Continue(())
    })?;
    assert_eq!(told, [root.join("cat/0.png")]);
    let report = model.evaluate(&cpu, &validation)?;
    assert_eq!((report.count, report.bad_files.len()), (2, 1));
    assert!(model.evaluate(&cpu, &strict.subset(&[0, 1])).is_err());
    assert!(model.evaluate(&cpu, &dataset.subset(&[0])).is_err());
    Ok(())
}

/// Removes bad files.
fn quarantine_by_hand(root: &Path, bad: &[BadFile]) {
    assert_eq!(bad.len(), 2, "{}", root.display());
    for bad in bad {
        std::fs::remove_file(&bad.path).unwrap();
    }
}

/// A table of all pictures of [`with_two_bad_files`]; the first one is bad.
fn with_table() -> (tempfile::TempDir, PathBuf) {
    let folder = with_two_bad_files();
    let root = folder.path().join("photos");
    let mut lines = String::from("path,label,split\n");
    for (class, number) in ["cat", "dog"]
        .iter()
        .flat_map(|class| (0..6).map(move |n| (class, n)))
    {
        let number = (number + 1) % 6;
        let split = if number == 5 { "test" } else { "train" };
        lines += &format!("{class}/{number}.png,{class},{split}\n");
    }
    let table = root.join("labels.csv");
    std::fs::write(&table, lines).unwrap();
    (folder, table)
}

const QUARANTINE: Options = Options {
    bad_files: BadFiles::Quarantine,
    ..WHOLE
};

#[test]
fn a_table_passes_over_what_it_names_in_quarantine() -> Result<()> {
    for of_table in [true, false] {
        let (folder, table) = with_table();
        let root = folder.path().join("photos");
        let data = if of_table { &table } else { &root };
        let first = read(data, &QUARANTINE)?;
        let moved: Vec<_> = first
            .bad_files
            .iter()
            .flat_map(|bad| &bad.quarantined)
            .collect();
        let mut quarantine = data.clone().into_os_string();
        quarantine.push(".quarantine");
        let quarantine = PathBuf::from(quarantine).canonicalize().unwrap();
        assert_eq!(
            moved,
            [&quarantine.join("cat/1.png"), &quarantine.join("dog/4.png")]
        );
        for data in [&table, &root] {
            let again = read(data, &WHOLE)?;
            let test = again.test.expect("the table names it").len();
            assert_eq!((again.train.len(), test), (first.train.len(), 2));
            let passed_over =
                "2 of the files that labels.csv names lie in quarantine and will not be used";
            assert!(
                again.notes.iter().any(|note| note == passed_over),
                "{:?}",
                again.notes
            );
        }
        // A missing picture is an error, even if a picture of the same name is in quarantine.
        std::fs::remove_file(root.join("dog/1.png")).unwrap();
        let text = read(&table, &WHOLE).unwrap_err().to_string();
        assert!(
            text.contains("1 of its 10 files is missing: dog/1.png"),
            "{text}"
        );
        // Unless bad files are skipped.
        let options = Options {
            bad_files: BadFiles::Skip,
            ..WHOLE
        };
        let bad = read(&table, &options)?.bad_files;
        let problems: Vec<_> = bad.iter().map(|bad| &bad.problem[..]).collect();
        assert_eq!(problems, ["there is no such file"]);
        assert_eq!(bad[0].path, root.join("dog/1.png"));
        // Without its table, the quarantine of the table is no class.
        std::fs::remove_file(&table).unwrap();
        assert_eq!(read(&root, &WHOLE)?.train.classes(), ["cat", "dog"]);
    }
    Ok(())
}

#[test]
fn a_class_whose_pictures_are_all_bad_is_refused_before_anything_is_moved_and_after() {
    let (folder, table) = with_table();
    let fox = folder.path().join("photos/fox.png");
    std::fs::write(&fox, b"no picture").unwrap();
    let lines = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, lines + "fox.png,fox,train\n").unwrap();
    let text = read(&table, &QUARANTINE).unwrap_err().to_string();
    assert!(
        text.contains("class `fox`") && text.contains("fox.png"),
        "{text}"
    );
    assert!(
        text.contains("cat/1.png") || text.contains("cat\\1.png"),
        "{text}"
    );
    assert!(fox.exists());

    let quarantine = folder.path().join("photos/labels.csv.quarantine");
    std::fs::create_dir(&quarantine).unwrap();
    std::fs::rename(&fox, quarantine.join("fox.png")).unwrap();
    let text = read(&table, &QUARANTINE).unwrap_err().to_string();
    assert!(text.contains("`fox`"), "{text}");
}

#[test]
fn a_picture_of_another_size_is_the_same_bits_held_out_as_judged_later() -> Result<()> {
    // Dark writing on white, training pictures as they are, one test picture twice as large.
    let folder = tempfile::tempdir().unwrap();
    let digit = |row: usize, index: usize| -> Vec<u8> {
        let test = mnist()
            .expect("it is embedded")
            .test
            .expect("it has a part");
        let bytes = test.bytes(index).unwrap().expect("of bytes")[row * 28..][..28].to_vec();
        bytes.iter().map(|level| 255 - level).collect()
    };
    let picture = |index: usize| -> Vec<u8> { (0..28).flat_map(|row| digit(row, index)).collect() };
    for index in 0..12 {
        let class = ["even", "odd"][index % 2];
        save(
            grey(&picture(index), 28, 28),
            &folder.path().join(format!("train/{class}/{index}.png")),
        );
    }
    let large = image::imageops::resize(
        &GrayImage::from_raw(28, 28, picture(12)).expect("a byte for each pixel"),
        40,
        56,
        image::imageops::FilterType::Triangle,
    );
    save(large, &folder.path().join("test/even/12.png"));
    save(
        grey(&picture(13), 28, 28),
        &folder.path().join("test/odd/13.png"),
    );
    let splits = read(folder.path(), &WHOLE)?;
    let preparation = Preparation::measure(&splits.train)?;
    assert!(preparation.ground.is_some());
    let (judged, _) = judge(folder.path(), &preparation, splits.train.classes())?;
    let test = splits.test.expect("there is one");
    assert_eq!(tensors(&test, &preparation), tensors(&judged, &preparation));
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_link_is_put_into_quarantine_and_not_what_it_leads_to() -> Result<()> {
    let folder = with_two_bad_files();
    let root = folder.path().join("photos");
    let elsewhere = folder.path().join("elsewhere.png");
    std::fs::write(&elsewhere, b"no picture").unwrap();
    std::os::unix::fs::symlink(&elsewhere, root.join("cat/link.png")).unwrap();
    let options = Options {
        bad_files: BadFiles::Quarantine,
        ..WHOLE
    };
    assert_eq!(read(&root, &options)?.bad_files.len(), 3);
    assert!(elsewhere.exists());
    let moved = folder.path().join("photos.quarantine/cat/link.png");
    assert!(moved.symlink_metadata().unwrap().is_symlink());
    assert_eq!(read(&root, &WHOLE)?.train.len(), 10);
    Ok(())
}

/// A table of good pictures, and of bad ones whose names are given.
fn with_bad_names(names: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("photos/labels.csv");
    let mut lines = String::from("path,label\n");
    for (number, class) in (0..4).zip(["cat", "dog"].iter().cycle()) {
        let name = format!("{number}.png");
        save(colours(9, 9, number), &table.with_file_name(&name));
        lines += &format!("{name},{class}\n");
    }
    for name in names {
        lines += &format!("{name},cat\n");
    }
    std::fs::write(&table, lines).unwrap();
    (folder, table)
}

#[test]
fn what_lies_outside_of_the_data_and_the_table_itself_are_never_moved() -> Result<()> {
    let elsewhere = tempfile::tempdir().unwrap();
    let absolute = elsewhere.path().join("thesis.txt");
    let names = [
        "../beside.txt",
        absolute.to_str().unwrap(),
        "labels.csv",
        "inside/other.csv",
        "inside/../notes.txt",
        "inside/cat.png",
    ];
    for of_table in [true, false] {
        let (_folder, table) = with_bad_names(&names);
        let root = table.parent().unwrap();
        std::fs::create_dir(root.join("inside")).unwrap();
        let before = std::fs::read(&table).unwrap();
        for name in names.iter().filter(|name| **name != "labels.csv") {
            std::fs::write(root.join(name), b"no picture").unwrap();
        }
        let data = if of_table { &table } else { root };
        let splits = read(data, &QUARANTINE)?;
        assert_eq!(splits.train.len(), 4);
        let stays = ["outside", "outside", "a table", "a table"];
        for (bad, stays) in splits.bad_files.iter().zip(stays) {
            assert_eq!(bad.quarantined, None, "{bad:?}");
            assert!(bad.problem.contains("not moved") && bad.problem.contains(stays));
            assert!(bad.path.exists(), "{bad:?}");
        }
        assert_eq!(std::fs::read(&table).unwrap(), before);
        let moved: Vec<_> = (splits.bad_files[4..].iter())
            .map(|bad| bad.quarantined.as_deref().expect("it lies inside"))
            .collect();
        assert!(moved[0].ends_with("notes.txt") && moved[1].ends_with("inside/cat.png"));
        assert!(moved.iter().all(|path| path.exists()));
        // Moved files are ignored from then on, however the table names them.
        let again = read(data, &QUARANTINE)?;
        assert_eq!(again.bad_files.len(), 4);
        assert!(
            again
                .notes
                .iter()
                .any(|note| note
                    .starts_with("2 of the files that labels.csv names lie in quarantine")),
            "{:?}",
            again.notes
        );
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn pictures_in_a_folder_elsewhere_to_which_a_link_leads_are_not_moved() -> Result<()> {
    let folder = with_two_bad_files();
    let root = folder.path().join("photos");
    std::fs::rename(root.join("cat"), folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), root.join("cat")).unwrap();
    let bad = read(&root, &QUARANTINE)?.bad_files;
    assert!(folder.path().join("elsewhere/1.png").exists());
    assert!(bad[0].problem.contains("outside") && bad[0].quarantined.is_none());
    assert!(bad[1].quarantined.is_some());
    Ok(())
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_that_a_table_names_are_bad_files_and_nobody_waits_for_them() -> Result<()> {
    let (_folder, table) = with_bad_names(&["pipe.png", "/dev/zero", "link.png"]);
    pipe(&table.with_file_name("pipe.png"));
    std::os::unix::fs::symlink("pipe.png", table.with_file_name("link.png")).unwrap();
    let text = read(&table, &WHOLE).unwrap_err().to_string();
    assert!(text.contains("a pipe or a device"), "{text}");
    let bad = read(&table, &QUARANTINE)?.bad_files;
    assert_eq!(bad.len(), 3);
    for bad in bad {
        assert!(bad.problem.contains("only files can be read"), "{bad:?}");
    }
    Ok(())
}

/// Changes `cat/0.png`, which is not kept in memory, and uses it in training: under each policy, also with another
/// size. Returns the message.
fn problems_after(change: impl Fn(&Path)) -> Vec<String> {
    let cases = [
        (BadFiles::Fail, 20),
        (BadFiles::Skip, 20),
        (BadFiles::Fail, 16),
    ];
    let problem = |(bad_files, height)| {
        let folder = with_two_bad_files();
        let root = folder.path().join("photos");
        for name in ["cat/1.png", "dog/4.png"] {
            std::fs::remove_file(root.join(name)).unwrap();
        }
        let options = Options {
            shape: Some(Shape::new(height, 24, 3)),
            cache: Some(0),
            bad_files,
            ..WHOLE
        };
        let data = read(&root, &options).unwrap().train;
        // With other settings than when it was read, so that pictures of another size are read again.
        let preparation = Preparation {
            resize: Resize::Stretch,
            ..Preparation::measure(&data).unwrap()
        };
        change(&root);
        let settings = FeedSettings {
            augmentation: Augmentation::default(),
            balance: Balance::None,
            batch_size: 2,
            seed: 1,
        };
        let mut tensors = vec![0.0; 2 * preparation.shape.len()];
        let feed = Feed::new(data, preparation, settings).unwrap();
        let mut draws = [0, 3];
        let filled = feed.fill(1, &mut draws, &mut tensors);
        let error: Error = match bad_files {
            BadFiles::Fail => filled.expect_err("it is another file"),
            _ => filled.unwrap().remove(0).into(),
        };
        assert_eq!(draws == [1, 3], bad_files == BadFiles::Skip);
        let text = error.to_string();
        text + ": " + &error.without_path()
    };
    cases.map(problem).into()
}

#[test]
fn a_picture_that_is_replaced_in_training_is_a_bad_file() {
    let problems = problems_after(|root| {
        std::fs::copy(root.join("dog/0.png"), root.join("cat/0.png")).unwrap();
    });
    for problem in problems {
        assert!(
            problem.contains("0.png") && problem.contains("have changed"),
            "{problem}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_picture_that_a_pipe_replaces_in_training_is_a_bad_file() {
    let problems = problems_after(|root| {
        std::fs::remove_file(root.join("cat/0.png")).unwrap();
        pipe(&root.join("cat/0.png"));
    });
    for problem in problems {
        assert!(
            problem.contains("0.png") && problem.contains("only files can be read"),
            "{problem}"
        );
    }
}
