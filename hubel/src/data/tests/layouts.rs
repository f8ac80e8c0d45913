//! Which folders are splits and which are classes, and one class in two spellings.
use super::catalogue::{Catalogue, Found};
use super::*;

fn tree(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"not looked at").unwrap();
    }
    folder
}

fn listed(names: &[&str]) -> Catalogue {
    match find(tree(names).path()).unwrap_or_else(|error| panic!("{error}")) {
        Found::Files(catalogue) => catalogue,
        Found::Arrays(splits) => panic!("{}", splits.description),
    }
}

fn refused(names: &[&str]) -> String {
    find(tree(names).path())
        .expect_err("it is no data set")
        .to_string()
}

/// `root/inner/{cat,dog}/1.png` for each of `parts`.
fn divided(parts: &[&str]) -> Vec<String> {
    let classes = parts
        .iter()
        .flat_map(|part| ["cat", "dog"].map(|class| format!("{part}/{class}/1.png")));
    classes.collect()
}

#[test]
fn parts_may_have_other_names_than_their_own() {
    for (train, test) in [
        ("training_set/training_set", "test_set/test_set"),
        ("train_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train_images", "test_images"),
        ("train_data", "test_data"),
        ("1_train", "2_test"),
        ("TrainSet", "TestSet"),
        ("pets-train", "pets-test"),
        ("train/train", "test"),
    ] {
        let names = divided(&[train, test]);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let catalogue = listed(&names);
        assert_eq!(catalogue.classes, ["cat", "dog"], "{train}");
        assert_eq!(
            catalogue.description(None),
            "class folders, 2 classes, 2 + 2 images"
        );
        let said = catalogue.notes.join("\n");
        let plain = ["train/train", "test"].contains(&test);
        assert_eq!(
            said.contains("for the training images and"),
            !plain,
            "{said}"
        );
        assert_eq!(catalogue.folders.len(), 4);
    }
}

#[test]
fn pictures_that_nobody_has_labelled_are_said_and_take_no_part() {
    let mut names = divided(&["seg_train/seg_train", "seg_test/seg_test"]);
    names.push("seg_pred/seg_pred/1.png".into());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let catalogue = listed(&names);
    assert_eq!(catalogue.files.len(), 4);
    let said = catalogue.notes.join("\n");
    assert!(
        said.contains("the pictures in `seg_pred` (1) are not used"),
        "{said}"
    );
}

#[test]
fn classes_may_be_divided_each_by_itself() {
    let catalogue = listed(&[
        "cat/train/1.png",
        "cat/train/more/2.png",
        "cat/test/3.png",
        "cat/raw/4.png",
        "dog/Training/5.png",
        "dog/val/6.png",
    ]);
    assert_eq!(catalogue.classes, ["cat", "dog"]);
    assert_eq!(
        catalogue.description(None),
        "class folders, 2 classes, 3 + 1 + 1 images (training + validation + test)"
    );
    let said = catalogue.notes.join("\n");
    assert!(said.contains("1 folder was ignored, cat/raw"), "{said}");
    for other in ["dog/1.png", "dog/nose/1.png"] {
        let text = refused(&["cat/train/1.png", "cat/test/2.png", other]);
        let expected = "class `cat` is divided into folders such as `test` and `train`, and `dog` holds pictures outside";
        assert!(text.contains(expected), "{text}");
    }
    let text = refused(&[
        "cat/train/1.png",
        "cat/test/2.png",
        "dog/train/3.png",
        "dog/test/4.png",
        "dog/5.png",
    ]);
    assert!(text.contains("and `dog` holds pictures outside"), "{text}");
}

#[test]
fn folders_that_all_hold_the_same_folders_are_no_classes() {
    let text = refused(&[
        "north/cat/1.png",
        "north/dog/2.png",
        "south/cat/3.png",
        "south/dog/4.png",
    ]);
    assert!(
        text.contains(
            "`north`, `south` all hold the same folders, `cat`, `dog`, and no pictures of their own"
        ),
        "{text}"
    );
    // If they also contain pictures or other folders, they are.
    for last in ["south/6.png", "south/owl/6.png"] {
        let catalogue = listed(&[
            "north/cat/1.png",
            "north/dog/2.png",
            "south/cat/3.png",
            "south/dog/4.png",
            last,
        ]);
        assert_eq!(catalogue.classes, ["north", "south"]);
    }
    let catalogue = listed(&["n1/images/1.png", "n2/images/2.png"]);
    assert_eq!(catalogue.classes, ["n1", "n2"]);
}

#[test]
fn a_class_of_trains_beside_another_is_said() {
    let catalogue = listed(&[
        "train/steam/1.png",
        "train/diesel/2.png",
        "bus/front/3.png",
        "bus/side/4.png",
    ]);
    assert_eq!(catalogue.classes, ["diesel", "steam"]);
    let said = catalogue.notes.join("\n");
    let expected = "the pictures in `bus` (2) are not used, since the folders beside it are splits of the data; rename `train` if it is a class as well";
    assert!(said.contains(expected), "{said}");
    let catalogue = listed(&[
        "trains/steam/1.png",
        "trains/diesel/2.png",
        "bus/front/3.png",
        "bus/side/4.png",
    ]);
    assert_eq!(catalogue.classes, ["bus", "trains"]);
}

#[test]
fn a_class_in_two_spellings_is_one_class() -> Result<()> {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    let names = [
        format!("train/{composed}/1.png"),
        "train/bar/2.png".to_owned(),
        format!("test/{decomposed}/3.png"),
        "test/bar/4.png".to_owned(),
    ];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let catalogue = listed(&names);
    assert_eq!(catalogue.classes, ["bar", composed]);
    assert_eq!(catalogue.notes, [""; 0]);
    let names = [
        format!("{composed}/1.png"),
        format!("{decomposed}/2.png"),
        "bar/3.png".to_owned(),
    ];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let catalogue = listed(&names);
    assert_eq!(
        (&catalogue.classes[..], catalogue.counts()),
        (&["bar".to_owned(), composed.to_owned()][..], vec![1, 2])
    );
    assert!(
        catalogue.notes[0].starts_with("two folders are the class `caf\u{e9}`"),
        "{:?}",
        catalogue.notes
    );

    // Names given by a library user may be decomposed.
    let dataset = Dataset::from_arrays(&[0.5; 8], Shape::new(2, 2, 1), &[0, 1])?;
    let trained = ["bar".to_owned(), decomposed.to_owned()];
    let labels = dataset
        .renamed(&[composed, "bar"])?
        .with_classes(&trained)?;
    assert_eq!(labels.labels(), [1, 0]);
    Ok(())
}

#[test]
fn classes_in_folders_are_in_natural_order() {
    assert_eq!(
        listed(&["10/1.png", "2/2.png", "1/3.png"]).classes,
        ["1", "2", "10"]
    );
    assert_eq!(
        listed(&["c10/1.png", "c2/2.png", "b/3.png"]).classes,
        ["b", "c2", "c10"]
    );
}
