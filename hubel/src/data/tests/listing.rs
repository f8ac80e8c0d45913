//! The contents of folders: splits and classes, ignored files with reasons, and folders that are no data set.
use super::catalogue::{Catalogue, Found};
use super::*;

fn touch(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, b"not looked at").unwrap();
}

fn tree(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    names
        .iter()
        .for_each(|name| touch(&folder.path().join(name)));
    folder
}

fn listed(root: &Path) -> Catalogue {
    match find(root).unwrap_or_else(|error| panic!("{error}")) {
        Found::Files(catalogue) => catalogue,
        Found::Arrays(splits) => panic!("{}", splits.description),
    }
}

fn refused(root: &Path) -> String {
    find(root).expect_err("it is no data set").to_string()
}

/// Names below `root` with their classes.
fn files(catalogue: &Catalogue, root: &Path) -> Vec<(String, String)> {
    let name = |path: &Path| {
        path.strip_prefix(root)
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    let files = catalogue.files.iter();
    files
        .map(|file| (name(&file.path), catalogue.classes[file.label].clone()))
        .collect()
}

#[test]
fn folders_in_class_folders_are_listed_with_them() {
    let folder = tree(&[
        "cat/b/z.png",
        "cat/b/deep/y.jpg",
        "cat/a/x.JPG",
        "cat/w.TIFF",
        "dog ü/v w.png",
    ]);
    let catalogue = listed(folder.path());
    assert_eq!(
        catalogue.description(None),
        "class folders, 2 classes, 5 images"
    );
    let files = files(&catalogue, folder.path());
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cat/w.TIFF",
            "cat/a/x.JPG",
            "cat/b/z.png",
            "cat/b/deep/y.jpg",
            "dog ü/v w.png"
        ]
    );
    assert_eq!(files[3].1, "cat");
    assert_eq!(catalogue.notes, [""; 0]);
}

#[test]
fn parts_are_told_by_their_folders() {
    let folder = tree(&[
        "Train/a/1.png",
        "Train/b/2.png",
        "valid/a/3.png",
        "test/b/4.png",
        "test/c/5.png",
        "test/d/no.txt",
        "docs/x.png",
    ]);
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.classes, ["a", "b", "c", "d"]);
    assert_eq!(
        catalogue.description(None),
        "class folders, 4 classes, 2 + 1 + 2 images (training + validation + test)"
    );
    let parts: Vec<_> = catalogue
        .files
        .iter()
        .map(|file| (file.label, file.part))
        .collect();
    let [train, validation, test] = [Part::Train, Part::Validation, Part::Test].map(Some);
    assert_eq!(
        parts,
        [
            (0, train),
            (1, train),
            (0, validation),
            (1, test),
            (2, test)
        ]
    );
    assert!(
        catalogue
            .notes
            .iter()
            .any(|note| note.starts_with("1 folder was ignored, docs: ")),
        "{:?}",
        catalogue.notes
    );

    touch(&folder.path().join("val/a/6.png"));
    let text = refused(folder.path());
    assert!(
        text.contains("`val` and `valid` both hold validation images"),
        "{text}"
    );
}

#[test]
fn trains_and_tests_may_be_classes() {
    let folder = tree(&["train/1.png", "car/2.png", "test/3.png"]);
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.classes, ["car", "test", "train"]);
    let [note] = &catalogue.notes[..] else {
        panic!("{:?}", catalogue.notes)
    };
    assert!(note.starts_with("`test` is used as a class"), "{note}");
    // Unlabelled test pictures are no class beside `train`.
    let folder = tree(&["train/cat/1.png", "train/dog/2.png", "test/3.png"]);
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.classes, ["cat", "dog"]);
    let ignored = "1 folder was ignored, test: ";
    assert!(
        catalogue.notes[0].starts_with(ignored),
        "{:?}",
        catalogue.notes
    );
    let folder = tree(&["train/steam/1.png", "train/diesel/2.png", "car/3.png"]);
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.classes, ["car", "train"]);
    let taken = "`train` is used as a class, since `car` beside it contains pictures";
    assert!(catalogue.notes[0].contains(taken), "{:?}", catalogue.notes);
    let folder = tree(&[
        "train/a/1.png",
        "train/b/2.png",
        "train/overview.png",
        "test/a/3.png",
    ]);
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.classes, ["a", "b"]);
    assert!(
        catalogue.notes[0].contains("overview.png: it is beside the class folders"),
        "{:?}",
        catalogue.notes
    );
}

#[test]
fn classes_that_differ_in_case_and_spaces_alone_are_named() {
    let folder = tree(&["a cat/1.png", "A  Cat/2.png", "a cat /3.png", "dog/4.png"]);
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.classes.len(), 4);
    assert_eq!(
        catalogue.notes,
        [
            "the classes `A  Cat` and `a cat` and `a cat ` differ only in case or spaces; if they are the same class, give them the same name"
        ]
    );
}

#[test]
fn what_is_passed_over_is_counted_by_reason() {
    let folder = tree(&[
        "cat/1.png",
        "cat/.2.png",
        "cat/Thumbs.db",
        "cat/DESKTOP.INI",
        "__MACOSX/cat/._1.png",
        ".git/x.png",
        "cat/.ipynb_checkpoints/1.png",
        "cat/3.heic",
        "cat/4.AVIF",
        "cat/5.txt",
        "cat/6.png.part",
        "dog/7.png",
        "dog/README",
        "readme.md",
    ]);
    // A picture without an extension is recognised by its first bytes.
    std::fs::write(
        folder.path().join("dog/8"),
        bad_bytes::encoded(colours(2, 2, 1), image::ImageFormat::Png),
    )
    .unwrap();
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.counts(), [1, 2]);
    let expected = [
        "6 hidden or system files and folders were ignored, such as .git",
        "3 files were ignored, such as cat/5.txt: no picture extension (png, ",
        "2 pictures were ignored, such as cat/3.heic: this format is not supported; convert it to JPEG or PNG",
        "1 file was ignored, readme.md: it is beside the class folders and not in one",
    ];
    assert_eq!(
        catalogue.notes.len(),
        expected.len(),
        "{:?}",
        catalogue.notes
    );
    for (note, expected) in catalogue.notes.iter().zip(expected) {
        assert!(note.starts_with(expected), "{note}");
    }
}

#[test]
fn classes_without_pictures_stay_in_the_listing_and_are_named_in_training() {
    let folder = tree(&["cat/1.png", "dog/2.png", "owl/none.txt"]);
    let catalogue = listed(folder.path());
    assert_eq!(
        (catalogue.classes.len(), catalogue.counts()),
        (3, vec![1, 1, 0])
    );
    let text = open(folder.path()).unwrap_err().to_string();
    assert!(text.contains("`owl` holds no picture"), "{text}");
}

#[test]
fn what_is_no_data_set_is_said_with_a_way_out() {
    let folder = tree(&["photos/cat/1.png", "photos/dog/2.png"]);
    let text = refused(folder.path());
    assert!(
        text.contains("only one class folder is there, `photos`")
            && text.contains(&format!(
                "do you mean {}?",
                folder.path().join("photos").display()
            )),
        "{text}"
    );
    let folder = tree(&["cat/1.png", "2.png"]);
    let text = refused(folder.path());
    assert!(
        text.contains("only one class folder") && !text.contains("you mean"),
        "{text}"
    );
    let folder = tree(&["1.png", "2.png", "x.pdf"]);
    let text = refused(folder.path());
    assert!(
        text.contains("2 pictures, but neither class folders"),
        "{text}"
    );
    let folder = tree(&["train/1.png", "train/2.png", "test/3.png", "train.csv"]);
    let text = refused(folder.path());
    assert!(
        text.contains("test and train hold pictures and no class folders"),
        "{text}"
    );
    let folder = tree(&["data_batch_1", "data_batch_2", "test_batch", "batches.meta"]);
    assert!(refused(folder.path()).contains("binary version"));

    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        refused(&folder.path().join(name))
    };
    for (name, bytes, expected) in [
        ("a.zip", &b"PK\x03\x04..."[..], "unpack it"),
        ("a.tar.gz", b"\x1f\x8b\x08...", "unpack it"),
        (
            "labels",
            &bad_bytes::idx_bytes(&[1], &[0]),
            "labels of an IDX pair",
        ),
        ("empty", b"", "the file is empty"),
        ("a.pt", b"\x80\x02...", "must be a table"),
    ] {
        let text = file(name, bytes);
        assert!(text.contains(expected) && text.contains(name), "{text}");
    }
    let png = bad_bytes::encoded(colours(2, 2, 1), image::ImageFormat::Png);
    assert!(file("a.png", &png).contains("give the folder instead"));
    assert!(
        folder::contents(&folder.path().join("a.png"))
            .unwrap_err()
            .to_string()
            .contains("a.png")
    );
}

#[cfg(unix)]
#[test]
fn links_in_circles_end_and_other_links_are_followed() {
    use std::os::unix::fs::symlink;
    let elsewhere = tree(&["more/1.png"]);
    let folder = tree(&["cat/1.png", "cat/in/2.png", "dog/3.png"]);
    let root = folder.path();
    symlink("..", root.join("cat/up")).unwrap();
    symlink("../..", root.join("cat/in/up")).unwrap();
    symlink("../in", root.join("cat/in/again")).unwrap();
    symlink(".", root.join("owl")).unwrap();
    symlink("self", root.join("dog/self")).unwrap();
    symlink("nowhere.png", root.join("dog/gone.png")).unwrap();
    symlink("3.png", root.join("dog/4.png")).unwrap();
    symlink(elsewhere.path(), root.join("dog/elsewhere")).unwrap();
    let catalogue = listed(root);
    assert_eq!(catalogue.classes, ["cat", "dog"]);
    let names: Vec<String> = files(&catalogue, root)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    // A dangling link is listed, so that it is reported as a file that cannot be read.
    assert_eq!(
        names,
        [
            "cat/1.png",
            "cat/in/2.png",
            "dog/3.png",
            "dog/4.png",
            "dog/gone.png",
            "dog/elsewhere/more/1.png"
        ]
    );
    assert!(
        catalogue
            .notes
            .iter()
            .any(|note| note.starts_with("4 links to folders were ignored")),
        "{:?}",
        catalogue.notes
    );
}

#[cfg(unix)]
#[test]
fn links_that_cost_a_class_are_refused() {
    use std::os::unix::fs::symlink;
    let folder = tree(&["cat/1.png", "dog/2.png"]);
    symlink("cat", folder.path().join("kitten")).unwrap();
    let text = refused(folder.path());
    assert!(
        text.contains("kitten") && text.contains("the same folder as `cat`"),
        "{text}"
    );
    let folder = tree(&["cat/1.png", "dog/2.png"]);
    symlink("/nowhere/bird", folder.path().join("bird")).unwrap();
    let text = refused(folder.path());
    assert!(
        text.contains("bird") && text.contains("a dangling link"),
        "{text}"
    );
}

#[test]
fn runs_that_left_no_model_are_no_class() {
    let folder = tree(&["cat/1.png", "dog/2.png"]);
    let run = folder.path().join("runs/here-tutorial");
    std::fs::create_dir_all(&run).unwrap();
    assert_eq!(listed(folder.path()).classes, ["cat", "dog"]);
    touch(&run.join("interrupted.safetensors"));
    assert_eq!(listed(folder.path()).classes, ["cat", "dog"]);
    touch(&folder.path().join("runs/5.png"));
    assert_eq!(listed(folder.path()).classes, ["cat", "dog", "runs"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_unicode_are_read() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tree(&["cat/1.png"]);
    let name = |bytes: &'static [u8]| folder.path().join(OsStr::from_bytes(bytes));
    touch(&name(b"caf\xe9/p\xff.png"));
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.classes, ["caf\u{fffd}", "cat"]);
    assert_eq!(catalogue.files[0].path, name(b"caf\xe9/p\xff.png"));
    touch(&name(b"caf\xe8/2.png"));
    let text = refused(folder.path());
    assert!(text.contains("rename it"), "{text}");
}
