//! Which files of class folders are clips, and which are plain pictures.
use super::*;
use crate::data::catalogue::{Catalogue, Found};
use crate::data::tests::damaged::ANIMATION;

/// A frame, which says little.
fn frame(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder")).unwrap();
    std::fs::write(path, b"P5 2 2 255\nabcd").unwrap();
}

/// Two classes of four folders of five frames each.
fn clips(root: &Path, step: usize) {
    for class in ["left", "right"] {
        for clip in 0..4 {
            for number in 0..5 {
                let name = format!("{class}/{class}{clip}/{:02}.pgm", number * step);
                frame(&root.join(name));
            }
        }
    }
}

fn file(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn found(root: &Path, wanted: Option<Kind>) -> Catalogue {
    match catalogue::find(root, wanted).map(|located| located.found) {
        Ok(Found::Files(catalogue)) => catalogue,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_odd_thing_does_not_turn_clips_into_pictures() {
    let still = {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = DynamicImage::from(colours(4, 4, 1)).into_rgba8();
        picture
            .write_to(&mut bytes, image::ImageFormat::Gif)
            .unwrap();
        bytes.into_inner()
    };
    type Odd<'a> = (&'a str, &'a dyn Fn(&Path));
    let odd: [Odd; 7] = [
        ("left/single", &|clip| frame(&clip.join("00.pgm"))),
        ("left/gap", &|clip| {
            for name in ["00", "01", "05", "06"] {
                frame(&clip.join(format!("{name}.pgm")));
            }
        }),
        ("left/words", &|clip| {
            for name in ["first", "second", "third"] {
                frame(&clip.join(format!("{name}.pgm")));
            }
        }),
        ("left/animated.gif", &|clip| file(clip, &ANIMATION)),
        ("left/still.gif", &|clip| file(clip, &still)),
        ("left/text.gif", &|clip| file(clip, b"hello")),
        ("left/film.mp4", &|clip| file(clip, b"film")),
    ];
    for (name, make) in odd {
        let folder = tempfile::tempdir().unwrap();
        clips(folder.path(), 1);
        make(&folder.path().join(name));
        let catalogue = found(folder.path(), None);
        assert_eq!(
            (catalogue.kind, catalogue.files.len()),
            (Kind::Clips, 9),
            "{name}"
        );
        let odd = catalogue.files.iter().any(|file| file.path.ends_with(name));
        assert!(odd, "{name}");
    }
}

#[test]
fn a_missing_frame_is_a_finding_and_a_single_one_is_unreadable() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    clips(folder.path(), 1);
    let left = folder.path().join("left");
    std::fs::remove_file(left.join("left1/03.pgm")).unwrap();
    for number in 1..5 {
        std::fs::remove_file(left.join(format!("left2/{number:02}.pgm"))).unwrap();
    }
    file(&left.join("left3/04.pgm"), b"P5 2 2 255\na");
    file(&left.join("photo.jpg"), b"");
    let found = crate::check::check(folder.path(), &|_, _| ())?;
    let said = |end: &str| {
        let mut findings = found.findings.iter();
        let finding = findings.find(|finding| finding.paths[0].ends_with(end));
        let finding = finding.expect(end);
        format!("{}: {}", finding.kind, finding.detail)
    };
    assert_eq!(
        said("left1"),
        "frame-numbers: its frames are numbered 0, 1, 2, 4: there is a gap"
    );
    assert!(said("left2").starts_with("unreadable: it has a single frame"));
    assert!(said("left3").starts_with("unreadable: its frame 04.pgm: "));
    let note = "1 picture was ignored, left/photo.jpg: clips are expected";
    assert!(
        found.notes.iter().any(|known| known == note),
        "{:?}",
        found.notes
    );
    Ok(())
}

#[test]
fn every_second_frame_is_a_steady_step() {
    let folder = tempfile::tempdir().unwrap();
    clips(folder.path(), 2);
    assert_eq!(found(folder.path(), None).kind, Kind::Clips);
}

#[test]
fn plain_pictures_stay_pictures_unless_clips_are_wanted() {
    let photos = |name: &dyn Fn(&str, usize) -> String| {
        let folder = tempfile::tempdir().unwrap();
        for class in ["left", "right"] {
            for number in 0..20 {
                let name = format!("{class}/{}", name(class, number));
                frame(&folder.path().join(name));
            }
        }
        folder
    };
    let direct = photos(&|_, number| format!("IMG_{number:04}.pgm"));
    let grouped = photos(&|class, number| {
        let (group, number) = (number % 4, number * number);
        format!("{class} {group}/IMG_{number}.pgm")
    });
    for folder in [&direct, &grouped] {
        let catalogue = found(folder.path(), None);
        assert_eq!(
            (catalogue.kind, catalogue.files.len()),
            (Kind::Pictures, 40)
        );
    }
    let catalogue = found(grouped.path(), Some(Kind::Clips));
    assert_eq!((catalogue.kind, catalogue.files.len()), (Kind::Clips, 8));
    let mixed = tempfile::tempdir().unwrap();
    clips(mixed.path(), 1);
    let catalogue = found(mixed.path(), Some(Kind::Pictures));
    assert_eq!(
        (catalogue.kind, catalogue.files.len()),
        (Kind::Pictures, 40)
    );
}

#[test]
fn a_folder_that_is_named_is_a_clip_or_holds_clips() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    clips(folder.path(), 1);
    let left = folder.path().join("left");
    file(&left.join("a.gif"), &ANIMATION);
    let names = |path: &Path| -> Result<Vec<String>> {
        let (clips, _) = samples(path, Kind::Clips)?;
        Ok(clips.iter().map(|clip| catalogue::name_of(clip)).collect())
    };
    assert_eq!(names(&left.join("left0"))?, ["left0"]);
    assert_eq!(
        names(&left)?,
        ["a.gif", "left0", "left1", "left2", "left3"]
            .map(String::from)
            .into_iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(names(folder.path())?.len(), 9);
    Ok(())
}
