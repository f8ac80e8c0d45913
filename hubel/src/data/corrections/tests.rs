//! Corrected labels of class folders.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::{
    Correction, Corrections, Options, Part, Preparation, Splits, evaluation, files_of, open_with,
};
use crate::{Error, Result};

/// Two classes of 40 grey pictures, each with its own noise.
fn pictures(root: &Path) {
    let mut state = 1_u32;
    for class in ["ants", "bees"] {
        fs::create_dir_all(root.join(class)).unwrap();
        for number in 0..40 {
            let mut bytes = b"P5 16 16 255\n".to_vec();
            bytes.extend((0..256).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            }));
            fs::write(root.join(class).join(format!("{number}.pgm")), bytes).unwrap();
        }
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    folder
}

fn write(root: &Path, lines: &str) {
    fs::write(root.join(Corrections::FILE), format!("path,class\n{lines}")).unwrap();
}

fn opened(root: &Path) -> Result<Splits> {
    open_with(root, &Options::default(), &|_, _| ())
}

/// The split and the class of each sample by its path.
fn samples(root: &Path, splits: &Splits) -> BTreeMap<PathBuf, (Part, String)> {
    let mut samples = BTreeMap::new();
    for (part, dataset) in splits.parts() {
        for (index, label) in dataset.labels().iter().enumerate() {
            let path = dataset.path(index).unwrap().strip_prefix(root).unwrap();
            samples.insert(path.to_owned(), (part, dataset.classes()[*label].clone()));
        }
    }
    samples
}

fn problem(root: &Path) -> String {
    opened(root).expect_err("the file is wrong").to_string()
}

#[test]
fn labels_are_corrected_and_no_other_sample_moves() {
    let folder = folder();
    let root = folder.path();
    let before = samples(root, &opened(root).unwrap());
    write(
        root,
        "ants/3.pgm,bees\n\"bees/7.pgm\",ants\r\nants/9.pgm,\nbees/1.pgm,bees\n",
    );
    let splits = opened(root).unwrap();
    let notes = splits.notes.join("\n");
    assert_eq!(
        notes,
        "2 labels are corrected by hubel-labels.csv, and 1 image is left out"
    );
    let mut expected = before.clone();
    expected.get_mut(Path::new("ants/3.pgm")).unwrap().1 = "bees".into();
    expected.get_mut(Path::new("bees/7.pgm")).unwrap().1 = "ants".into();
    expected.remove(Path::new("ants/9.pgm"));
    assert_eq!(samples(root, &splits), expected);
    // Whoever removes the file has the data as it was.
    fs::remove_file(root.join(Corrections::FILE)).unwrap();
    assert_eq!(samples(root, &opened(root).unwrap()), before);
}

#[test]
fn the_evaluation_and_the_check_use_the_same_labels() {
    let folder = folder();
    let root = folder.path();
    let splits = opened(root).unwrap();
    let preparation = Preparation::measure(&splits.train).unwrap();
    let classes = splits.train.classes().to_vec();
    write(root, "ants/3.pgm,bees\nbees/7.pgm,\n");
    let options = Options::default();
    let judged = evaluation(root, &preparation, &classes, None, &options, &|_, _| ()).unwrap();
    assert_eq!(judged.dataset.counts(), [39, 40]);
    let note = "1 label is corrected by hubel-labels.csv, and 1 image is left out";
    assert_eq!(judged.notes, [note]);
    let inspection = crate::check::check(root, &|_, _| ()).unwrap();
    assert_eq!(inspection.pictures, 79);
    assert!(inspection.notes.iter().any(|known| known == note));
    assert!(inspection.findings.is_empty(), "{:?}", inspection.findings);
    let counts: Vec<(String, usize)> = (inspection.classes().into_iter())
        .map(|own| (own.class, own.training))
        .collect();
    assert_eq!(counts, [("ants".to_owned(), 39), ("bees".to_owned(), 40)]);
    // The file is none of the samples.
    assert_eq!(files_of(root).unwrap().len(), 80);
}

#[test]
fn a_file_that_cannot_be_read_may_be_left_out() {
    let folder = folder();
    let root = folder.path();
    fs::write(root.join("ants/torn.png"), "no picture").unwrap();
    assert!(matches!(opened(root), Err(Error::BadFiles { bad: 1, .. })));
    write(root, "ants/torn.png,\n");
    assert_eq!(opened(root).unwrap().bad_files, []);
}

#[test]
fn a_wrong_line_is_an_error_with_its_number_and_what_to_do() {
    let folder = folder();
    let root = folder.path();
    fs::write(root.join("notes.md"), "").unwrap();
    for (lines, expected) in [
        (
            "ants/3.pgm,bees\nants/99.pgm,bees\n",
            "line 3: there is no file `ants/99.pgm`; correct the path, or delete the line",
        ),
        (
            "\nants/3.pgm,wasps\n",
            "line 3: no folder has the class `wasps`; the classes are ants, bees. Write one of them, or make a folder for a new class",
        ),
        (
            "../ants/3.pgm,bees\n",
            "line 2: `../ants/3.pgm` is no path inside the folder",
        ),
        (
            "notes.md,bees\n",
            "line 2: `notes.md` is none of the images in the class folders",
        ),
        (
            "ants/3.pgm,bees\nants/3.pgm,ants\n",
            "line 3: `ants/3.pgm` is also in line 2",
        ),
        ("ants/3.pgm\n", "line 2 has 1 field instead of 2"),
        (
            "\"ants/3.pgm,bees\n",
            "line 2 has a quote that is never closed",
        ),
    ] {
        write(root, lines);
        let problem = problem(root);
        assert!(problem.contains(expected), "{problem}");
        assert!(problem.contains(Corrections::FILE), "{problem}");
    }
    fs::write(root.join(Corrections::FILE), "ants/3.pgm,bees\n").unwrap();
    assert!(problem(root).contains("its first line must be `path,class`"));
    let own = opened(&root.join(Corrections::FILE))
        .unwrap_err()
        .to_string();
    assert!(own.contains("it holds corrected labels"), "{own}");
}

#[test]
fn a_class_needs_a_sample_to_train_on_after_the_corrections() {
    let folder = folder();
    let root = folder.path();
    let lines: Vec<String> = (0..40)
        .map(|number| format!("ants/{number}.pgm,bees\n"))
        .collect();
    write(root, &lines.concat());
    let problem = problem(root);
    assert!(
        problem.contains("leaves the class `ants` no image to train on"),
        "{problem}"
    );
}

#[test]
fn corrections_are_set_changed_and_taken_back() {
    let folder = folder();
    let root = folder.path();
    let class = |name: &str| Some(Correction::Class(name.into()));
    let odd = "ants/a, \"b\".pgm";
    fs::copy(root.join("ants/0.pgm"), root.join(odd)).unwrap();
    Corrections::change(root, odd, class("bees")).unwrap();
    let left_out = Corrections::change(root, "bees/7.pgm", Some(Correction::LeftOut));
    assert_eq!(left_out.unwrap(), None);
    let text = fs::read_to_string(root.join(Corrections::FILE)).unwrap();
    assert_eq!(
        text,
        "path,class\n\"ants/a, \"\"b\"\".pgm\",bees\nbees/7.pgm,\n"
    );
    let read = Corrections::read(root).unwrap();
    assert_eq!(read.of(odd), class("bees").as_ref());
    assert_eq!((read.len(), read.of("ants/1.pgm")), (2, None));
    let changed = Corrections::change(root, "bees/7.pgm", class("ants")).unwrap();
    assert_eq!(changed.as_deref(), Some("ants"));
    assert_eq!(
        Corrections::read(root).unwrap().of("bees/7.pgm"),
        class("ants").as_ref()
    );
    // Refused changes leave the file as it is.
    let before = fs::read(root.join(Corrections::FILE)).unwrap();
    for (sample, name) in [
        ("ants/99.pgm", "bees"),
        ("../x.pgm", "bees"),
        ("ants/1.pgm", "wasps"),
    ] {
        assert!(
            Corrections::change(root, sample, class(name)).is_err(),
            "{sample}"
        );
    }
    assert_eq!(fs::read(root.join(Corrections::FILE)).unwrap(), before);
    // The class of the folder is no correction.
    Corrections::change(root, "bees/7.pgm", class("bees")).unwrap();
    let last = Corrections::change(root, odd, None).unwrap();
    assert_eq!(last.as_deref(), Some("ants"));
    assert!(!root.join(Corrections::FILE).exists());
}

#[test]
fn other_separators_and_a_byte_order_mark_are_read() {
    let folder = folder();
    let root = folder.path();
    for text in [
        "\u{feff}path;class\r\nants/3.pgm;bees\r\n;\r\n",
        "path\tclass\nants/3.pgm\tbees",
        "path,class\n\"ants/3.pgm\", bees \n\n",
    ] {
        fs::write(root.join(Corrections::FILE), text).unwrap();
        let read = Corrections::read(root).unwrap();
        assert_eq!(read.len(), 1, "{text:?}");
        let right = Correction::Class("bees".into());
        assert_eq!(read.of("ants/3.pgm"), Some(&right), "{text:?}");
    }
}

#[test]
fn the_labels_of_a_table_are_corrected_in_the_table() {
    let folder = folder();
    let root = folder.path();
    fs::write(
        root.join("labels.csv"),
        "path,label\nants/1.pgm,ants\nbees/1.pgm,bees\n",
    )
    .unwrap();
    write(root, "ants/1.pgm,bees\n");
    let problem = problem(root);
    assert!(
        problem.contains("correct them there, and delete this file"),
        "{problem}"
    );
    let change = Corrections::change(root, "ants/1.pgm", Some(Correction::LeftOut));
    assert!(
        change
            .unwrap_err()
            .to_string()
            .contains("correct them there")
    );
}

#[test]
fn texts_and_recordings_are_corrected_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for class in ["good", "bad"] {
        fs::create_dir_all(root.join(class)).unwrap();
        for number in 0..30 {
            let text = format!("this is the {class} text with the number {number}");
            fs::write(root.join(class).join(format!("{number}.txt")), text).unwrap();
        }
    }
    let before = samples(root, &opened(root).unwrap());
    fs::write(root.join("good/empty.txt"), " ").unwrap();
    write(root, "good/3.txt,bad\nbad/4.txt,\ngood/empty.txt,\n");
    let splits = opened(root).unwrap();
    let mut expected = before;
    expected.get_mut(Path::new("good/3.txt")).unwrap().1 = "bad".into();
    expected.remove(Path::new("bad/4.txt"));
    assert_eq!(samples(root, &splits), expected);
    assert!(
        splits.notes.iter().all(|note| !note.contains("empty")),
        "{:?}",
        splits.notes
    );
    #[cfg(feature = "sound")]
    {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (place, class) in ["high", "low"].into_iter().enumerate() {
            fs::create_dir_all(root.join(class)).unwrap();
            for number in 0..20 {
                let step = 0.1 + 0.3 * place as f32 + 0.01 * number as f32;
                let wave = (0..4000).map(|time| 0.5 * (step * time as f32).sin());
                let wav = crate::data::sound::tests::wav(8000, wave);
                fs::write(root.join(class).join(format!("{number}.wav")), wav).unwrap();
            }
        }
        let before = samples(root, &opened(root).unwrap());
        write(root, "low/3.wav,high\n");
        let mut expected = before;
        expected.get_mut(Path::new("low/3.wav")).unwrap().1 = "high".into();
        assert_eq!(samples(root, &opened(root).unwrap()), expected);
    }
}

#[test]
fn a_folder_of_frames_is_one_clip() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut state = 1_u32;
    for class in ["jump", "run"] {
        for clip in 0..6 {
            let clip = root.join(class).join(format!("clip{clip}"));
            fs::create_dir_all(&clip).unwrap();
            for frame in 0..4 {
                let mut bytes = b"P5 16 16 255\n".to_vec();
                bytes.extend((0..256).map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                }));
                fs::write(clip.join(format!("{frame:03}.pgm")), bytes).unwrap();
            }
        }
    }
    let before = samples(root, &opened(root).unwrap());
    assert_eq!(before.len(), 12);
    write(root, "jump/clip3,run\nrun/clip1,\n");
    let splits = opened(root).unwrap();
    let note = "1 label is corrected by hubel-labels.csv, and 1 clip is left out";
    assert!(
        splits.notes.iter().any(|known| known == note),
        "{:?}",
        splits.notes
    );
    let mut expected = before;
    expected.get_mut(Path::new("jump/clip3")).unwrap().1 = "run".into();
    expected.remove(Path::new("run/clip1"));
    assert_eq!(samples(root, &splits), expected);
    // A frame is no sample.
    write(root, "jump/clip3/001.pgm,run\n");
    assert!(problem(root).contains("is none of the clips"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_corrections_or_an_error(lines in "[a-b,;\"\t \r\n]{0,60}") {
        for header in ["path,class\n", "path;class\n", "path\tclass\r\n"] {
            super::fuzzed(format!("{header}{lines}").as_bytes());
        }
    }
}
