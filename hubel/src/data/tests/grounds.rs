//! Backgrounds: behind transparent pixels, beside letterboxed pictures, and plain backgrounds.
use super::*;
use crate::{Purpose, Random};

/// A stroke of a colour on a transparent background; its position depends on the number.
fn drawing(number: u32, color: [u8; 3], side: u32) -> image::RgbaImage {
    image::RgbaImage::from_fn(side, side, |x, y| {
        let stroke = (x + number) % side < side / 4 && (side / 8..side - side / 8).contains(&y);
        let [red, green, blue] = color;
        image::Rgba([red, green, blue, if stroke { 255 } else { 0 }])
    })
}

/// Class folders of such drawings, in white and black in a repeating pattern.
fn drawings(root: &Path, colors: &[u8]) {
    for number in 0..24 {
        let level = colors[number % colors.len()];
        let class = ["ink", "chalk"][number / 12];
        save(
            drawing(number as u32, [level; 3], 16),
            &root.join(format!("{class}/{number:02}.png")),
        );
    }
}

fn notes(splits: &Splits) -> String {
    splits.notes.join("\n")
}

#[test]
fn of_transparent_drawings_something_is_left_to_be_seen_in_training_and_in_prediction() -> Result<()>
{
    for (colors, level, name) in [
        (&[0u8][..], 255u8, "white"),
        (&[255], 0, "black"),
        (&[0, 255], 128, "grey"),
        // One in twelve, and none among those that a survey of every second one examines.
        (&[0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0], 128, "grey"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        drawings(folder.path(), colors);
        let splits = read(folder.path(), &WHOLE)?;
        let note = notes(&splits);
        assert!(note.contains(&format!("which show {name}")), "{note}");
        assert!(!note.contains("blank"), "{note}");
        let preparation = Preparation::measure(&splits.train)?;
        assert_eq!(preparation.transparent, Some(level));
        let stored = serde_json::to_string(&preparation).unwrap();
        assert_eq!(
            serde_json::from_str::<Preparation>(&stored).unwrap(),
            preparation
        );
        for (index, tensor) in tensors(&splits.train, &preparation).iter().enumerate() {
            let path = splits.train.path(index).expect("they are files");
            let predicted = preparation.picture(path)?;
            assert_eq!(&predicted.tensor, tensor);
            assert!(predicted.pixels.iter().any(|&pixel| pixel != level));
        }
    }
    Ok(())
}

#[test]
fn a_model_without_transparent_pictures_is_shown_what_is_drawn_on_them() -> Result<()> {
    let preparation = Preparation::measure(&mnist()?.train)?;
    assert_eq!(preparation.transparent, None);
    let [white, black] =
        [255, 0].map(|level| preparation.decoded(drawing(2, [level; 3], 28).into()));
    let (white, black) = (white?, black?);
    assert_eq!((white.inverted, black.inverted), (false, true));
    assert_eq!(white.pixels, black.pixels);
    assert!(white.pixels.contains(&255) && white.pixels.contains(&0));
    Ok(())
}

/// A grey thing on a plain background, which touches the upper and lower border.
fn thing(number: u64, ground: u8, height: usize, width: usize) -> Vec<u8> {
    let mut stream = Random::new(number).stream(Purpose::Augment, 0, 0);
    let (left, right) = (
        width / 3 + stream.below(2),
        width - width / 3 - stream.below(2),
    );
    let levels = (0..height * width).map(|at| {
        let (row, column) = (at / width, at % width);
        let is_thing = (left..right).contains(&column) || row == height / 2;
        let light = 120 + ((row * 7 + number as usize * 31) % 100) as u8;
        match (is_thing, ground) {
            (false, ground) => ground,
            (true, 0) => light,
            (true, _) => 255 - light,
        }
    });
    levels.collect()
}

#[test]
fn a_grey_thing_on_the_other_ground_is_inverted_and_that_is_said() -> Result<()> {
    for (ground, other) in [(0u8, 255u8), (255, 0)] {
        let pictures = (0..40).flat_map(|number| thing(number, ground, 28, 28));
        let classes = vec!["shirt".to_string(), "bag".to_string()];
        let labels = (0..40).map(|index| index % 2).collect();
        let images = pictures.collect();
        let dataset =
            Dataset::from_bytes("things", classes, Shape::new(28, 28, 1), images, labels)?;
        let preparation = Preparation::measure(&dataset)?;
        let found = preparation.ground.expect("all have one");
        assert_eq!((found.color, found.ink_side), ([ground; 3], None));
        assert_eq!(preparation.unlike(&dataset)?, Unlike::default());
        for number in 0..40 {
            let same = preparation.decoded(grey(&thing(number, ground, 28, 28), 28, 28))?;
            let negative = preparation.decoded(grey(&thing(number, other, 28, 28), 28, 28))?;
            assert_eq!((same.inverted, negative.inverted), (false, true));
            assert_eq!(same.pixels, thing(number, ground, 28, 28));
            assert_eq!(same.tensor, negative.tensor);
            // Also with another size and aspect ratio: the bars have the colour of the model's background.
            let wide = preparation.decoded(grey(&thing(number, other, 60, 90), 60, 90))?;
            assert!(wide.inverted && !wide.other_ground);
            assert_eq!(&wide.pixels[..28], &[ground; 28]);
        }
        let others = (0..40).flat_map(|number| thing(number, other, 28, 28));
        let labels = (0..40).map(|index| index % 2).collect();
        let classes = vec!["shirt".to_string(), "bag".to_string()];
        let images = others.collect();
        let others = Dataset::from_bytes("others", classes, Shape::new(28, 28, 1), images, labels)?;
        assert_eq!(preparation.unlike(&others)?.inverted, 40);
    }
    Ok(())
}

/// A coloured disc on a background, slightly off the middle.
fn disc(number: u32, ground: [u8; 3], height: u32, width: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let away = |at: u32, side: u32| at.abs_diff(side / 2 + number % 3).pow(2);
        match away(x, width) + away(y, height) < (height.min(width) / 3).pow(2) {
            true => image::Rgb([200, (number * 40) as u8, 60]),
            false => image::Rgb(ground),
        }
    })
}

#[test]
fn the_bars_of_letterbox_have_the_ground_s_colour_and_another_ground_is_said() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..20 {
        let class = ["a", "b"][number as usize % 2];
        // One in twenty has another background.
        let ground = if number == 7 { [0; 3] } else { [250, 240, 230] };
        save(
            disc(number, ground, 20, 30 + number),
            &folder.path().join(format!("{class}/{number}.png")),
        );
    }
    let splits = read(folder.path(), &WHOLE)?;
    let preparation = Preparation::measure(&splits.train)?;
    let ground = preparation.ground.expect("nearly all have one");
    assert_eq!(ground.color, [250, 240, 230]);
    let first = splits.train.bytes(0)?.expect("files are of bytes");
    assert_eq!(&first[..3], &[250, 240, 230]);
    let judged = preparation.decoded(disc(3, [250, 240, 230], 20, 40).into())?;
    assert!(!judged.other_ground && !judged.inverted);
    let judged = preparation.decoded(disc(3, [0; 3], 20, 40).into())?;
    assert!(judged.other_ground && !judged.inverted);
    // Photographs have no plain background, and get black bars.
    let judged = preparation.decoded(colours(20, 40, 5).into())?;
    assert!(!judged.other_ground);
    Ok(())
}

#[test]
fn blank_pictures_are_said_by_class() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..12 {
        let class = ["a", "b", "c"][number as usize % 3];
        let path = folder.path().join(format!("{class}/{number:02}.png"));
        match number {
            0 | 3 | 1 => save(grey(&[255; 400], 20, 20), &path),
            // The noise of a camera with its cap on.
            4 => save(
                grey(
                    &(0..400).map(|at| (at % 7) as u8).collect::<Vec<_>>(),
                    20,
                    20,
                ),
                &path,
            ),
            _ => save(grey(&thing(number, 0, 20, 20), 20, 20), &path),
        }
    }
    let note = notes(&read(folder.path(), &WHOLE)?);
    assert!(
        note.contains("2 of `a`, 1 and 1 nearly of `b`; `check::check` lists them"),
        "{note}"
    );
    Ok(())
}
