//! Each fault is planted in a folder: `check` finds exactly that fault, at its place. In a clean folder it finds nothing.
use std::fs;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat};
use proptest::prelude::*;

use super::*;
use crate::data::ending::missing_end;
use crate::data::fingerprint::tests::photo;
#[cfg(feature = "sound")]
use crate::data::sound::tests::tone;

const CLASSES: [&str; 3] = ["ant", "bee", "cow ä"];

fn jpeg(picture: &DynamicImage, quality: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut file, quality);
    picture.write_with_encoder(encoder).unwrap();
    file
}

fn coded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// The first so many percent of a file.
fn cut(file: &[u8], percent: usize) -> &[u8] {
    &file[..file.len() * percent / 100]
}

/// A JPEG with an EXIF rotation of 90°.
fn turned(file: &[u8]) -> Vec<u8> {
    let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    [&file[..2], exif, &file[2..]].concat()
}

/// Data without findings: pictures of the usual kinds, all different.
struct Planted {
    folder: tempfile::TempDir,
    seed: u64,
}

impl Planted {
    fn clean() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut planted = Self { folder, seed: 0 };
        for class in CLASSES {
            planted.fill("train", class, 14);
            planted.fill("test", class, 3);
        }
        planted
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fill(&mut self, part: &str, class: &str, count: usize) {
        for number in 0..count {
            let picture = self.another(60 + number as u32 % 10, 48);
            self.put(
                &format!("{part}/{class}/{number:02}.jpg"),
                &jpeg(&picture, 90),
            );
        }
    }

    /// A unique picture.
    fn another(&mut self, width: u32, height: u32) -> DynamicImage {
        self.seed += 1;
        photo(self.seed, width, height)
    }

    fn put(&self, name: &str, contents: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn read(&self, name: &str) -> (Vec<u8>, DynamicImage) {
        let contents = fs::read(self.path(name)).unwrap();
        let picture = image::load_from_memory(&contents).unwrap();
        (contents, picture)
    }

    /// Kinds and paths of the findings, in order.
    fn found(&self) -> Vec<(String, Vec<String>)> {
        let findings = check(self.folder.path(), &|_, _| ()).unwrap().findings;
        let relative = |path: &String| {
            let path = Path::new(path).strip_prefix(self.folder.path());
            path.unwrap().to_str().unwrap().replace('\\', "/")
        };
        let mut found: Vec<_> = findings
            .iter()
            .map(|finding| {
                assert!(!finding.detail.is_empty());
                (
                    finding.kind.to_string(),
                    finding.paths.iter().map(relative).collect(),
                )
            })
            .collect();
        found.sort();
        found
    }
}

fn expected(findings: &[(Kind, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |(kind, paths): &(Kind, &[&str])| {
        (
            kind.to_string(),
            paths.iter().map(|path| path.to_string()).collect(),
        )
    };
    let mut expected: Vec<_> = findings.iter().map(owned).collect();
    expected.sort();
    expected
}

#[test]
fn nothing_is_found_in_clean_data() {
    let planted = Planted::clean();
    assert_eq!(planted.found(), []);
    assert!(!check(planted.folder.path(), &|_, _| ()).unwrap().is_grave());
}

#[test]
fn every_planted_fault_is_found_and_nothing_else() {
    let mut planted = Planted::clean();
    planted.put("train/ant/text.jpg", b"these are words and no picture");
    planted.put("train/ant/empty.png", b"");
    let picture = planted.another(64, 48);
    let file = jpeg(&picture, 90);
    planted.put("train/bee/cut.jpg", cut(&file, 60));
    let end = file.len() - 2;
    let without_last_bytes = [&file[..end - 9], &file[end..]].concat();
    planted.put("train/bee/end.jpg", &without_last_bytes);
    let zeros = [cut(&file, 50), &vec![0; file.len() / 2]].concat();
    planted.put("train/bee/zeros.jpg", &zeros);
    for (ending, format) in [
        ("png", ImageFormat::Png),
        ("gif", ImageFormat::Gif),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("ppm", ImageFormat::Pnm),
    ] {
        planted.put(
            &format!("train/bee/cut.{ending}"),
            cut(&coded(&picture, format), 70),
        );
    }
    let picture = planted.another(64, 48);
    planted.put("train/cow ä/a png.jpg", &coded(&picture, ImageFormat::Png));
    planted.put("train/ant/copy.jpg", &planted.read("train/ant/03.jpg").0);
    planted.put(
        "train/bee/near.jpg",
        &jpeg(&planted.read("train/bee/05.jpg").1, 60),
    );
    planted.put("train/cow ä/ant.jpg", &planted.read("train/ant/07.jpg").0);
    let smaller = planted.read("train/bee/02.jpg").1.thumbnail_exact(50, 40);
    planted.put("test/bee/seen.png", &coded(&smaller, ImageFormat::Png));
    let mut figure = planted.read("train/cow ä/04.jpg").1.into_rgb8();
    for (x, y) in (0..48).map(|place| (30 + place % 8, 20 + place / 8)) {
        let level = if figure.get_pixel(x, y).0[0] > 128 {
            60
        } else {
            200
        };
        figure.put_pixel(x, y, image::Rgb([level, 90, 110]));
    }
    planted.put(
        "train/bee/alike.png",
        &coded(&figure.into(), ImageFormat::Png),
    );
    planted.fill("train", "dog", 3);
    planted.fill("test", "dog", 2);
    fs::create_dir(planted.path("train/emu")).unwrap();
    planted.fill("train", "fox", 60);
    planted.fill("test", "fox", 3);
    planted.fill("train", "gnu", 20);
    let picture = planted.another(800, 640);
    planted.put("train/ant/huge.jpg", &jpeg(&picture, 80));
    let picture = planted.another(1, 1);
    planted.put("train/ant/dot.png", &coded(&picture, ImageFormat::Png));
    let picture = planted.another(300, 50);
    planted.put("train/ant/strip.jpg", &jpeg(&picture, 90));
    let picture = planted.another(64, 48);
    planted.put("train/cow ä/turned.jpg", &turned(&jpeg(&picture, 90)));
    let picture = planted.another(64, 48).grayscale();
    planted.put("train/cow ä/grey.jpg", &jpeg(&picture, 90));
    let picture = planted.another(64, 48).grayscale().into_rgb8().into();
    planted.put("train/cow ä/grey rgb.jpg", &jpeg(&picture, 90));
    let blank = DynamicImage::new_luma8(64, 48).into_rgb8().into();
    planted.put("train/cow ä/blank.png", &coded(&blank, ImageFormat::Png));
    let picture = planted.another(150, 50);
    planted.put("train/cow ä/wide.jpg", &jpeg(&picture, 90));

    let expected = expected(&[
        (Kind::Unreadable, &["train/ant/text.jpg"]),
        (Kind::Unreadable, &["train/ant/empty.png"]),
        (Kind::Truncated, &["train/bee/cut.jpg"]),
        (Kind::Truncated, &["train/bee/end.jpg"]),
        (Kind::Truncated, &["train/bee/zeros.jpg"]),
        (Kind::Truncated, &["train/bee/cut.png"]),
        (Kind::Truncated, &["train/bee/cut.gif"]),
        (Kind::Truncated, &["train/bee/cut.webp"]),
        (Kind::Truncated, &["train/bee/cut.bmp"]),
        (Kind::Truncated, &["train/bee/cut.ppm"]),
        (Kind::WrongExtension, &["train/cow ä/a png.jpg"]),
        (
            Kind::ExactDuplicate,
            &["train/ant/03.jpg", "train/ant/copy.jpg"],
        ),
        (
            Kind::NearDuplicate,
            &["train/bee/05.jpg", "train/bee/near.jpg"],
        ),
        (
            Kind::LabelConflict,
            &["train/ant/07.jpg", "train/cow ä/ant.jpg"],
        ),
        (Kind::SplitLeak, &["train/bee/02.jpg", "test/bee/seen.png"]),
        (
            Kind::LookAlike,
            &["train/bee/alike.png", "train/cow ä/04.jpg"],
        ),
        (Kind::TinyClass, &["train/dog"]),
        (Kind::EmptyClass, &["train/emu"]),
        // There are no test pictures of gnus.
        (Kind::EmptyClass, &["train/gnu"]),
        (Kind::Imbalance, &["train/bee", "train/fox"]),
        (Kind::ExtremeSize, &["train/ant/huge.jpg"]),
        (Kind::ExtremeSize, &["train/ant/dot.png"]),
        (Kind::ExtremeSize, &["train/ant/strip.jpg"]),
        (Kind::Rotated, &["train/cow ä/turned.jpg"]),
        (Kind::GreyAmongColour, &["train/cow ä/grey.jpg"]),
        (Kind::GreyAmongColour, &["train/cow ä/grey rgb.jpg"]),
        (Kind::GreyAmongColour, &["train/cow ä/blank.png"]),
        (Kind::Blank, &["train/cow ä/blank.png"]),
        (Kind::Cropped, &["train/cow ä/wide.jpg"]),
        (Kind::Cropped, &["train/ant/strip.jpg"]),
    ]);
    let found = planted.found();
    for finding in &expected {
        assert!(found.contains(finding), "not found: {finding:?}");
    }
    for finding in &found {
        assert!(expected.contains(finding), "found beside: {finding:?}");
    }
    assert_eq!(found.len(), expected.len(), "something is found twice");
    let kinds: std::collections::HashSet<_> = found.iter().map(|(kind, _)| kind).collect();
    // Label errors are found by models, four kinds are of recordings, and one is of clips: in other tests.
    assert_eq!(kinds.len(), Kind::ALL.len() - 6);
    assert!(!kinds.contains(&Kind::LabelError.to_string()));

    let inspection = check(planted.folder.path(), &|_, _| ()).unwrap();
    assert!(inspection.is_grave());
    let leak = inspection
        .findings
        .iter()
        .find(|finding| finding.kind == Kind::SplitLeak)
        .unwrap();
    // The test has 15 pictures, of three classes 3, of bees one more, of dogs 2 and of foxes 3.
    assert!(leak.detail.contains("(1 of 15)"), "{}", leak.detail);
    for path in &leak.paths {
        let thumbnail = inspection.thumbnail(path, 32).unwrap();
        let thumbnail = image::load_from_memory(&thumbnail.bytes).unwrap();
        assert_eq!(thumbnail.width(), 32);
    }
    assert!(inspection.thumbnail("train/ant/text.jpg", 32).is_none());
}

#[test]
fn arrays_are_checked_too_and_their_pictures_named_by_their_places() {
    let pixels = |seed| photo(seed, 32, 32).into_rgb8().into_raw();
    let classes: Vec<String> = CLASSES.map(String::from).into();
    let dataset = |seeds: &[u64], labels: Vec<usize>| {
        let images = seeds.iter().flat_map(|&seed| pixels(seed)).collect();
        crate::Dataset::from_bytes(
            "arrays",
            classes.clone(),
            crate::Shape::new(32, 32, 3),
            images,
            labels,
        )
        .unwrap()
    };
    let seeds: Vec<u64> = (0..36)
        .map(|seed| if seed == 30 { 3 } else { seed })
        .collect();
    let train = dataset(&seeds, (0..36).map(|index| index % 3).collect());
    let test = dataset(&[100, 101, 102, 4], vec![0, 1, 2, 2]);
    let splits = catalogue::arrays("arrays", train, None, Some(test)).unwrap();
    let samples = Samples::of_arrays(&splits).unwrap();
    let found = duplicates::findings(&samples, &duplicates::likenesses(&samples));
    let found: Vec<_> = found
        .iter()
        .map(|finding| (finding.kind, &finding.paths[..]))
        .collect();
    assert_eq!(
        found,
        [
            (
                Kind::ExactDuplicate,
                &["train:3".to_owned(), "train:30".to_owned()][..]
            ),
            (
                Kind::LabelConflict,
                &["train:4".to_owned(), "test:3".to_owned()][..]
            ),
            (
                Kind::SplitLeak,
                &["train:4".to_owned(), "test:3".to_owned()][..]
            ),
        ]
    );
    assert_eq!(
        classes::findings(&samples).len() + looks::findings(&samples).len(),
        0
    );
}

#[test]
fn leaks_are_grave_from_a_point_of_the_accuracy_on() {
    for (test, leaks, is_grave) in [(200, 1, false), (200, 2, true), (99, 1, true)] {
        let classes: Vec<String> = CLASSES.map(String::from).into();
        let part = |first: u64, count: usize, others: std::ops::Range<u64>| {
            let shape = crate::Shape::new(8, 8, 1);
            let noise = |seed: u64| {
                let mut stream = crate::Random::new(seed).stream(crate::Purpose::Augment, 0, 0);
                (0..64).map(move |_| stream.below(256) as u8)
            };
            let seeds = (first..first + count as u64).chain(others);
            let labels: Vec<usize> = seeds.clone().map(|seed| seed as usize % 3).collect();
            let pixels = seeds.flat_map(noise).collect();
            crate::Dataset::from_bytes("noise", classes.clone(), shape, pixels, labels).unwrap()
        };
        let splits = catalogue::arrays(
            "noise",
            part(0, 60, 0..0),
            None,
            Some(part(1000, test - leaks, 0..leaks as u64)),
        );
        let samples = Samples::of_arrays(splits.as_ref().unwrap()).unwrap();
        let inspection = Inspection {
            description: String::new(),
            notes: Vec::new(),
            pictures: samples.all.len(),
            findings: duplicates::findings(&samples, &duplicates::likenesses(&samples)),
            found: Found::Arrays(splits.unwrap()),
            transparent: None,
        };
        assert_eq!(inspection.findings.len(), leaks);
        let points: f64 = inspection
            .findings
            .iter()
            .filter_map(|finding| finding.points)
            .sum();
        assert!((points - 100.0 * leaks as f64 / test as f64).abs() < 1e-9);
        assert_eq!(inspection.is_grave(), is_grave, "{leaks} of {test}");
        assert_eq!(inspection.is_grave_kind(Kind::SplitLeak), is_grave);
    }
}

#[test]
fn blank_pictures_are_grave_where_several_classes_have_them() {
    for (blank_of_second, points) in [(0, 0.0), (3, 100.0 * 6.0 / 60.0)] {
        let shape = crate::Shape::new(8, 8, 1);
        let mut pixels = Vec::new();
        for picture in 0..60u64 {
            let mut stream = crate::Random::new(picture).stream(crate::Purpose::Augment, 0, 0);
            let is_blank = picture < 3 || (30..30 + blank_of_second).contains(&picture);
            let level = 100 + picture as u8;
            pixels.extend((0..64).map(|_| match is_blank {
                true => level,
                false => stream.below(256) as u8,
            }));
        }
        let labels = (0..60).map(|picture| picture / 30).collect();
        let classes = vec!["ant".to_owned(), "bee".to_owned()];
        let train = crate::Dataset::from_bytes("x", classes, shape, pixels, labels).unwrap();
        let splits = catalogue::arrays("x", train, None, None).unwrap();
        let samples = Samples::of_arrays(&splits).unwrap();
        let inspection = Inspection {
            description: String::new(),
            notes: Vec::new(),
            pictures: samples.all.len(),
            findings: blank::findings(&samples),
            found: Found::Arrays(splits),
            transparent: None,
        };
        let sum: f64 = (inspection.findings.iter())
            .filter_map(|finding| finding.points)
            .sum();
        assert!((sum - points).abs() < 1e-9, "{sum}");
        assert_eq!(inspection.is_grave(), points > 0.0);
    }
}

#[test]
fn findings_come_in_the_same_order_whatever_thread_was_first() {
    let mut planted = Planted::clean();
    planted.fill("train", "fox", 60);
    let first = check(planted.folder.path(), &|_, _| ()).unwrap().findings;
    for _ in 0..3 {
        assert_eq!(
            check(planted.folder.path(), &|_, _| ()).unwrap().findings,
            first
        );
    }
}

proptest! {
    #[test]
    fn wherever_a_file_is_cut_its_end_is_missed(format in 0usize..6, share in 0.0f64..1.0, seed in 0u64..5) {
        let picture = photo(seed, 40, 30);
        let file = match format {
            0 => jpeg(&picture, 70),
            1 => coded(&picture, ImageFormat::Png),
            2 => coded(&picture, ImageFormat::Gif),
            3 => coded(&picture, ImageFormat::WebP),
            4 => coded(&picture, ImageFormat::Bmp),
            _ => coded(&picture, ImageFormat::Pnm),
        };
        prop_assert_eq!(missing_end(&file), None);
        let length = (file.len() as f64 * share) as usize;
        // A JPEG is whole without the two bytes that end it. The first bytes tell the format.
        let needed = if format == 0 { file.len() - 2 } else { file.len() };
        prop_assert!(length < 8 || length >= needed || missing_end(&file[..length]).is_some());
    }

    #[test]
    fn any_bytes_have_an_end_or_none(start in 0usize..7, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let starts: [&[u8]; 7] = [b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF", b"BM", b"P6 ", b""];
        let file = [starts[start], &bytes].concat();
        let missing = missing_end(&file);
        prop_assert!(missing.is_none_or(|missing| missing.contains(&file.len().to_string())));
    }
}

fn drawn(inspection: &Inspection, name: &str, side: u32) -> image::GrayImage {
    let thumbnail = inspection.thumbnail(name, side).unwrap();
    image::load_from_memory(&thumbnail.bytes)
        .unwrap()
        .into_luma8()
}

fn written(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[cfg(feature = "sound")]
#[test]
fn a_recording_is_shown_as_its_spectrogram() {
    let folder = tempfile::tempdir().unwrap();
    for (name, hertz, seconds) in [
        ("low/1.wav", 200.0, 0.4),
        ("low/2.wav", 200.0, 20.0),
        ("high/1.wav", 3500.0, 0.4),
    ] {
        written(&folder.path().join(name), &tone(hertz, 8000, seconds));
    }
    let silence = tone(0.0, 8000, 0.4);
    written(&folder.path().join("low/3.wav"), &silence);
    let inspection = check(folder.path(), &|_, _| ()).unwrap();
    assert_eq!(inspection.kind(), data::Kind::Sounds);
    let drawn = |name: &str| {
        let path = folder.path().join(name);
        let name = path.to_str().unwrap();
        assert_eq!(inspection.path(name), Some(&*path));
        drawn(&inspection, name, 160)
    };
    // The row of the loudest band, as a share of the height.
    let loudest = |name: &str| {
        let picture = drawn(name);
        let middle = picture.width() / 2;
        let row = (0..picture.height()).max_by_key(|row| picture.get_pixel(middle, *row).0[0]);
        f64::from(row.unwrap()) / f64::from(picture.height())
    };
    assert!(loudest("low/1.wav") > 0.8);
    assert!(loudest("high/1.wav") < 0.2);
    let long = drawn("low/2.wav");
    assert!(long.width() <= 4 * long.height(), "{:?}", long.dimensions());
    assert!(drawn("low/3.wav").pixels().all(|pixel| pixel.0 == [0]));
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let elsewhere = elsewhere.path().to_str().unwrap();
    assert_eq!(inspection.path(elsewhere), None);
    assert!(inspection.thumbnail(elsewhere, 160).is_none());
}

#[test]
fn a_clip_is_shown_as_some_of_its_frames_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for clip in 0..8 {
        for frame in 0..8u8 {
            let name = format!("{}/{clip}/{frame:02}.pgm", ["a", "b"][clip % 2]);
            let level = 30 * frame;
            let bytes = [&b"P5 9 9 255\n"[..], &[level; 81]].concat();
            written(&folder.path().join(name), &bytes);
        }
    }
    let inspection = check(folder.path(), &|_, _| ()).unwrap();
    assert_eq!(inspection.kind(), data::Kind::Clips);
    let path = folder.path().join("a/0");
    let film = drawn(&inspection, path.to_str().unwrap(), 64);
    let frames = [(0, 0), (1, 0), (0, 1), (1, 1)];
    let levels = frames.map(|(column, row)| film.get_pixel(4 + 10 * column, 4 + 10 * row).0[0]);
    assert!(levels.is_sorted_by(|one, other| one < other), "{levels:?}");
}

#[test]
fn a_text_is_found_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("texts.csv");
    fs::write(
        &table,
        "text,label\na fine day,good\na dull day,bad\na fine day,good\n",
    )
    .unwrap();
    let inspection = check(&table, &|_, _| ()).unwrap();
    assert_eq!(inspection.kind(), data::Kind::Texts);
    let twice = inspection
        .by_kind()
        .find(|(kind, _)| *kind == Kind::ExactDuplicate);
    let (_, findings) = twice.unwrap();
    let texts = findings[0].paths.iter().map(|name| inspection.text(name));
    assert_eq!(texts.collect::<Vec<_>>(), [Some("a fine day"); 2]);
    assert_eq!(inspection.text("line 9 of texts.csv"), None);
}
