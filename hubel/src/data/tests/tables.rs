//! Tables of pictures.
use super::catalogue::{Catalogue, Found};
use super::*;

/// A folder with `pictures` and a table.
fn folder(pictures: &[&str], name: &str, table: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for picture in pictures {
        save(
            colours(4, 4, picture.len() as u32),
            &folder.path().join(picture),
        );
    }
    std::fs::write(folder.path().join(name), table).unwrap();
    folder
}

fn listed(path: &Path) -> Catalogue {
    match find(path).unwrap_or_else(|error| panic!("{error}")) {
        Found::Files(catalogue) => catalogue,
        Found::Arrays(splits) => panic!("{}", splits.description),
    }
}

const THREE: [&str; 3] = ["a.png", "in here/b ü.png", "c.png"];

#[test]
fn tables_of_all_dialects_say_the_same() {
    for table in [
        "path,label,split\na.png,cat,train\nin here/b ü.png,dog,train\nc.png,cat,test\n",
        "\u{feff}Label;Image;Set\r\ncat;a.png;TRAIN\r\ndog;in here/b ü.png;training\r\ncat;c.png;Test\r\n",
        "id\tsubset\tfilename\tclass\n1\ttrain\ta.png\tcat\n\n2\ttrain\tin here\\b ü.png\tdog\n3\ttest\tc.png\tcat",
        "\"file\",\"category\",\"part\"\n\"a.png\", cat ,train\n\"in here/b ü.png\",\"dog\",\"train\"\n\"c.png\",cat,test\n",
    ] {
        let folder = folder(&THREE, "of pictures.csv", table);
        let catalogue = listed(&folder.path().join("of pictures.csv"));
        assert_eq!(
            catalogue.description(None),
            "table of pictures, 2 classes, 2 + 1 images"
        );
        assert_eq!(catalogue.classes, ["cat", "dog"]);
        let files: Vec<_> = catalogue
            .files
            .iter()
            .map(|file| (file.path.clone(), file.label, file.part))
            .collect();
        let expected = [
            (THREE[0], 0, Part::Train),
            (THREE[1], 1, Part::Train),
            (THREE[2], 0, Part::Test),
        ];
        assert_eq!(
            files,
            expected.map(|(name, label, part)| (folder.path().join(name), label, Some(part)))
        );
        assert_eq!(
            open(folder.path()).unwrap().test.map(|test| test.len()),
            Some(1),
            "found by the folder too"
        );
    }
}

#[test]
fn without_a_header_the_first_columns_count_and_numbers_are_ordered_as_numbers() {
    let folder = folder(
        &THREE,
        "x.csv",
        "a.png,10\nin here/b ü.png,9,more\nc.png,10\nc.png,10\n",
    );
    let catalogue = listed(&folder.path().join("x.csv"));
    assert_eq!(catalogue.classes, ["9", "10"]);
    assert_eq!(catalogue.counts(), [1, 2]);
    assert_eq!(
        catalogue.notes,
        ["1 line of x.csv repeats another one and counts once"]
    );
}

#[test]
fn pictures_that_a_table_does_not_name_are_counted() {
    let folder = folder(
        &["a.png", "b.png", "c.png", "d.png"],
        "x.tsv",
        "a.png\tcat\nb.png\tdog\n",
    );
    let catalogue = listed(folder.path());
    assert_eq!(
        catalogue.notes,
        ["2 pictures beside x.tsv are not named in it and were ignored, such as c.png"]
    );
}

#[test]
fn class_folders_with_some_other_table_are_class_folders() {
    let folder = folder(
        &["cat/a.png", "dog/b.png"],
        "results.csv",
        "epoch,loss\n1,0.5\n",
    );
    assert_eq!(listed(folder.path()).form, "class folders");
    std::fs::write(
        folder.path().join("results.csv"),
        "path,label\ncat/a.png,x\ndog/b.png,y\n",
    )
    .unwrap();
    let catalogue = listed(folder.path());
    assert_eq!(catalogue.classes, ["x", "y"]);
    let wins = "the table results.csv defines the classes; the class folders beside it (cat, dog) are not used unless you move it away";
    assert_eq!(catalogue.notes, [wins]);
    save(colours(4, 4, 1), &folder.path().join("dog/in/c.png"));
    save(colours(4, 4, 1), &folder.path().join("dog/in/d.png"));
    assert_eq!(
        listed(folder.path()).notes,
        [
            "2 pictures beside results.csv are not named in it and were ignored, such as dog/in/c.png",
            wins
        ]
    );
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_the_line() {
    let many: String = (0..30)
        .map(|index| format!("{index}.png,{index}\n"))
        .collect();
    for (table, expected) in [
        (
            "path,label\na.png,cat\nb.png,dog\nc.png,dog\n",
            "1 of its 3 files is missing: b.png (line 3); paths are relative to the folder of the table, and in here/b.png is there; or let them be left out (`bad_files = skip`)",
        ),
        (
            "path,label\nq,cat\nr,dog\ns,dog\nt,dog\n",
            "4 of its 4 files are missing: q (line 2), r (line 3), s (line 4) and 1 more",
        ),
        (
            "path,label\nA.png,cat\n",
            "and a.png is there: write the name as it is",
        ),
        (
            "path,label\nIN here/B ü.png,cat\n",
            "1 of its 1 files is missing: IN here",
        ),
        (
            "path,label\nin here/B.PNG,cat\n",
            "and in here/b.png is there",
        ),
        ("\n\npath,label\na.png,cat\nq.png,dog\n", "q.png (line 5)"),
        (
            "sep=;\npath;label\na.png;cat\nq.png;dog\n",
            "q.png (line 4)",
        ),
        (
            "image,cat,dog\na.png,1,0\nc.png,1,1\n",
            "line 3 has 2 classes that are set to 1",
        ),
        (
            "path,label,split\na.png,cat,train\nc.png,dog,holdout\n",
            "line 3 names the split `holdout`; train,",
        ),
        (
            "path,label,split\na.png,cat,train\nc.png,dog\n",
            "line 3 has 2 fields and the first line has 3; complete the line",
        ),
        (
            "path,label\na.png,cat\nc.png,\n",
            "line 3 has no label (field 2 is empty)",
        ),
        ("path,label\na.png,cat\n\"\",cat\n", "line 3 has no path"),
        (
            "path,label\na.png,cat\nc.png,\"dog\nb.png,dog\n",
            "line 3 has a label that goes on over several lines; close its quote",
        ),
        (
            "path,label\na.png,cat\nc.png,dog\na.png,dog\n",
            "a.png is `cat` in line 2 and `dog` in line 4",
        ),
        (
            "path,label,split\na.png,cat,train\nc.png,dog,train\na.png,cat,test\n",
            "a.png is a training image in line 2 and a test image in line 4",
        ),
        (
            "path,label\na.png,cat\nc.png,cat\n",
            "all of its 2 pictures are `cat`; a classifier needs",
        ),
        ("path,label\n", "it has no lines with samples"),
        ("", "it has no lines with samples"),
        (
            "path,x,y\n",
            "its columns are path, x, y; name the one of the classes",
        ),
        (
            "path,label\na fine film .,good\na bad one .,bad\n",
            "if they are texts, call their column `text`",
        ),
        ("text,feeling\n", "or text,label for texts"),
        ("what is this\n", "single field"),
        ("\u{0}\u{1}", "no text"),
        (&many, "30 of its 30 files are missing"),
    ] {
        let folder = folder(&["a.png", "in here/b.png", "c.png"], "t.csv", table);
        let found = find(&folder.path().join("t.csv")).and_then(|found| match &found {
            Found::Files(catalogue) => catalogue.refuse_missing(BadFiles::Fail).map(|()| found),
            Found::Arrays(_) => Ok(found),
        });
        let text = found.expect_err(table).to_string();
        assert!(
            text.contains(expected) && text.contains("t.csv"),
            "expected `{expected}` in: {text}"
        );
    }
    for (bytes, expected) in [
        (
            &b"path,label\na.png,caf\xe9\n"[..],
            "line 2 is not UTF-8; save the table as `CSV UTF-8`",
        ),
        (
            b"path,label\r\n\r\na.png,caf\xe9\r\n",
            "line 3 is not UTF-8",
        ),
        (b"\xff\xfep\0a\0t\0h\0", "UTF-16"),
    ] {
        let folder = folder(&["a.png"], "t.csv", bytes);
        let text = find(&folder.path().join("t.csv")).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
    let names: Vec<String> = (0..30).map(|index| format!("{index}.png")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let folder = folder(&names, "t.csv", many);
    let text = find(folder.path()).unwrap_err().to_string();
    assert!(
        text.contains("each of its 30 pictures has a class of its own, such as `0`"),
        "{text}"
    );
}

#[test]
fn a_table_of_test_rows_alone_is_told_what_it_lacks() {
    let table = "path,label,split\na.png,cat,test\nc.png,dog,test\n";
    let folder = folder(&["a.png", "c.png"], "t.csv", table);
    for path in [folder.path(), &folder.path().join("t.csv")] {
        let text = open(path).unwrap_err().to_string();
        let expected = "2 images (test)); rows of the split `train` are needed to learn from";
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn tables_may_begin_with_blank_lines_or_name_their_separator() {
    for table in [
        "\r\n\r\npath;label\r\na.png;cat\r\nc.png;dog\r\n",
        "\u{feff}sep=;\npath;label\na.png;cat\nc.png;dog\n",
        ",,\npath,label,\na.png,cat,\n,,\nc.png,dog,\n,,\n",
        "image,cat,dog\na,1.0,0.0\nc,0.0,1.0\n",
    ] {
        let folder = folder(&THREE, "t.csv", table);
        let catalogue = listed(&folder.path().join("t.csv"));
        assert_eq!(catalogue.classes, ["cat", "dog"], "{table}");
        assert_eq!(catalogue.counts(), [1, 1]);
        assert_eq!(
            listed(folder.path()).classes,
            ["cat", "dog"],
            "found by the folder too"
        );
    }
}

#[test]
fn names_of_files_and_classes_may_be_composed_or_decomposed() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for (on_disk, named) in [(composed, decomposed), (decomposed, composed)] {
        let table = format!("{named}.png,{named}\n{on_disk}.png,{on_disk}\nc.png,dog\n");
        let folder = folder(&[&format!("{on_disk}.png"), "c.png"], "t.csv", table);
        let catalogue = listed(&folder.path().join("t.csv"));
        assert_eq!(catalogue.classes, [composed, "dog"]);
        assert_eq!(catalogue.counts(), [1, 1]);
        assert!(catalogue.files[0].path.is_file());
        assert_eq!(
            catalogue.notes,
            ["1 line of t.csv repeats another one and counts once"]
        );
    }
}

#[test]
fn tables_of_pixels_are_pictures() -> Result<()> {
    let table = |scale: f32, digits: usize| {
        let header: String = (0..16).map(|pixel| format!(",pixel{pixel}")).collect();
        let mut table = format!("label{header}\n");
        for label in [10, 2, 10] {
            let pixels = (0..16).map(|pixel| format!(",{:.digits$}", pixel as f32 * 17.0 * scale));
            table += &format!("{label}{}\n", pixels.collect::<String>());
        }
        table
    };
    for (scale, digits, said) in [(1.0, 0, 0), (1.0 / 255.0, 6, 1)] {
        let folder = folder(&[], "digits.csv", table(scale, digits));
        for path in [folder.path(), &folder.path().join("digits.csv")] {
            let splits = read(path, &WHOLE)?;
            assert_eq!(
                splits.description,
                "table of pixels, 2 classes, 3 images of 4×4×1"
            );
            assert_eq!(splits.train.classes(), ["2", "10"]);
            assert_eq!(splits.train.labels(), [1, 0, 1]);
            let levels: Vec<u8> = (0..16).map(|pixel| pixel * 17).collect();
            assert_eq!(splits.train.bytes(0)?.unwrap()[..], levels);
            let ranges = splits
                .notes
                .iter()
                .filter(|note| note.contains("converted to 8 bits"));
            assert_eq!(ranges.count(), said, "{:?}", splits.notes);
        }
    }
    let wrong = table(1.0, 0).replace(",34,", ",black,");
    let folder = folder(&[], "digits.csv", wrong);
    let text = open(folder.path()).unwrap_err().to_string();
    assert!(
        text.contains("line 2 has `black` in field 4 where a pixel is expected"),
        "{text}"
    );
    Ok(())
}
