//! The detected kind of data, and that pictures are not flipped if the mirror image may mean something else.
use super::*;
use crate::data::mnist;
use crate::{Purpose, Random};

fn dataset(pictures: impl Iterator<Item = (Vec<u8>, usize)>, shape: Shape) -> Dataset {
    let (images, labels): (Vec<_>, Vec<_>) = pictures.unzip();
    let classes = labels.iter().max().map_or(0, |largest| largest + 1);
    let classes = (0..classes.max(2)).map(|class| class.to_string()).collect();
    Dataset::from_bytes("pictures", classes, shape, images.concat(), labels).unwrap()
}

/// MNIST's digits at another size, without their margin of 4 pixels: ink touches the border, as in the 8×8 digits of scikit-learn.
fn digits(count: usize, side: usize) -> Dataset {
    let digits = mnist().unwrap().test.unwrap();
    let pictures = (0..count).map(|index| {
        let pixels = digits.bytes(index).unwrap().unwrap();
        let rows = pixels.chunks_exact(28).skip(4).take(20);
        let inner: Vec<u8> = rows.flat_map(|row| row[4..24].to_vec()).collect();
        let small = resize::fit(&inner, (20, 20), (side, side), &[0], Resize::Stretch);
        (small, digits.labels()[index])
    });
    dataset(pictures, Shape::new(side, side, 1))
}

/// Blobs of noise that are as often on the left as on the right.
fn symmetric(count: usize, channels: usize) -> Dataset {
    let pictures = (0..count).map(|index| {
        let mut stream = Random::new(index as u64).stream(Purpose::Augment, 0, 0);
        let (row, column) = (stream.below(12) as i32 + 6, stream.below(12) as i32 + 6);
        let pixels = (0..24 * 24).flat_map(|at| {
            let away = (at / 24 - row).abs() + (at % 24 - column).abs();
            let level = (220 - 20 * away.min(11)) as u8;
            vec![level; channels]
        });
        (pixels.collect(), index % 2)
    });
    dataset(pictures, Shape::new(24, 24, channels))
}

/// Triangles that point to the left or to the right, at various heights.
fn arrows(count: usize, channels: usize) -> Dataset {
    let pictures = (0..count).map(|index| {
        let middle = 8 + (index / 2 % 8) as i32;
        let pixels = (0..24 * 24).flat_map(|at| {
            let (row, column) = (at / 24, at % 24);
            let along = if index % 2 == 0 { column } else { 23 - column };
            let inside = 2 * (row - middle).abs() < along - 4;
            let level = if inside { 200 + (index % 40) as u8 } else { 10 };
            // In colour, of which grey pictures have none.
            (0..channels).map(move |channel| if channel == 1 { 255 - level } else { level })
        });
        (pixels.collect(), index % 2)
    });
    dataset(pictures, Shape::new(24, 24, channels))
}

#[test]
fn digits_are_not_flipped_wherever_their_ink_is() -> Result<()> {
    for dataset in [digits(400, 8), digits(400, 28), mnist()?.train] {
        let subject = dataset.subject()?;
        assert_eq!(subject.mirrored, Mirrored::OfOtherClasses, "{subject}");
        assert!(!subject.may_be_flipped() && subject.is_simple());
        assert!(
            !Augmentation::preset("standard", subject.presets())
                .unwrap()
                .flips()
        );
    }
    Ok(())
}

#[test]
fn what_comes_in_both_directions_is_flipped_and_arrows_are_not_in_colour_too() -> Result<()> {
    for channels in [1, 3] {
        let subject = symmetric(300, channels).subject()?;
        assert_eq!(subject.mirrored, Mirrored::Alike, "{subject}");
        let subject = arrows(300, channels).subject()?;
        assert_eq!(subject.mirrored, Mirrored::OfOtherClasses, "{subject}");
        assert_eq!(subject.is_grey, channels == 1);
        assert!(!subject.may_be_flipped());
    }
    Ok(())
}

#[test]
fn in_doubt_grey_pictures_are_not_flipped_and_colour_pictures_are() -> Result<()> {
    // Too few to decide.
    let grey = symmetric(20, 1).subject()?;
    assert_eq!(grey.mirrored, Mirrored::Uncertain);
    assert!(!grey.may_be_flipped());
    let colour = Subject {
        is_grey: false,
        ..grey
    };
    assert!(colour.may_be_flipped());
    Ok(())
}
