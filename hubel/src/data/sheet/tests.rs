//! A sheet shows exactly the inputs of the network.
use super::*;
use crate::data::{Augmentation, Balance, Dataset, FeedSettings, Mixing, Preparation};

fn feed(shape: Shape, count: usize, augmentation: &str) -> Feed {
    let labels: Vec<usize> = (0..count).map(|index| index % 3).collect();
    let pixels = (0..count * shape.len()).map(|index| (index * 7919 % 251) as u8);
    let classes = ["cat", "a name far too long for its place", "猫"];
    let dataset = Dataset::from_bytes(
        "test",
        classes.map(String::from).to_vec(),
        shape,
        pixels.collect(),
        labels,
    );
    let dataset = dataset.expect("the lengths fit");
    let preparation = Preparation::measure(&dataset).expect("it is in memory");
    let settings = FeedSettings {
        augmentation: augmentation.parse::<Augmentation>().expect("it is one"),
        balance: Balance::None,
        batch_size: 7,
        seed: 3,
    };
    Feed::new(dataset, preparation, settings).expect("bytes can be augmented")
}

const SECOND: SheetSettings = SheetSettings {
    epoch: 2,
    step: 2,
    original: false,
    count: None,
};

/// The pixels of a picture in the sheet; checks that they are uniform squares.
fn read_back(sheet: &Sheet, shown: &Shown, shape: Shape) -> Vec<u8> {
    let at = |row: usize, column: usize| {
        &sheet.drawing().pixels()[(row * sheet.drawing().shape().width + column) * 3..][..3]
    };
    let mut pixels = Vec::new();
    for row in 0..shape.height {
        for column in 0..shape.width {
            let (left, top) = shown.corner;
            let (left, top) = (left + column * shown.factor, top + row * shown.factor);
            let first = at(top, left);
            for down in 0..shown.factor {
                for right in 0..shown.factor {
                    assert_eq!(at(top + down, left + right), first);
                }
            }
            pixels.extend_from_slice(&first[..shape.channels]);
        }
    }
    pixels
}

/// The mixed bytes, normalised, are the mixed batch of training up to half a level; each text names the partner's share of the target.
#[test]
fn the_sheet_shows_mixed_pictures() {
    let shape = Shape::new(8, 9, 3);
    for mixing in [Mixing::Mixup { alpha: 1.0 }, Mixing::CutMix { alpha: 1.0 }] {
        let feed = feed(shape, 20, "flip")
            .with_mixing(mixing)
            .expect("it is one");
        let (epoch, step) = (SECOND.epoch, SECOND.step - 1);
        let mut draws = feed.step(&feed.order(epoch), step).to_vec();
        let mut images = vec![0.0; draws.len() * shape.len()];
        feed.fill(epoch, &mut draws, &mut images)
            .expect("in memory");
        let unmixed = images.clone();
        feed.mix(epoch, step, &mut images);
        assert_ne!(unmixed, images);
        let targets = feed.targets(epoch, step, &draws).expect("they are mixed");
        let tables = feed.preparation().tables();
        let few = SheetSettings {
            count: Some(3),
            ..SECOND
        };
        for settings in [SECOND, few] {
            let sheet = Sheet::new(&feed, settings, "mixed").expect("it is small");
            assert_eq!(
                sheet.pictures().len(),
                settings.count.unwrap_or(draws.len())
            );
            for (place, shown) in sheet.pictures().iter().enumerate() {
                let pixels = read_back(&sheet, shown, shape);
                for (i, byte) in pixels.iter().enumerate() {
                    let table = &tables[i % 3];
                    let level = (table[255] - table[0]) / 255.0;
                    let value = images[place * shape.len() + i];
                    assert!((table[usize::from(*byte)] - value).abs() < 0.501 * level);
                }
                let partner = shown.partner.expect("the batch has several pictures");
                let others = if partner.label == shown.label {
                    1.0
                } else {
                    partner.share
                };
                assert!((targets[place * 3 + partner.label] - others).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn the_sheet_shows_the_bytes_of_which_training_makes_its_batch() {
    for (shape, augmentation) in [
        (Shape::new(8, 8, 3), "strong"),
        (Shape::new(5, 9, 1), "rotate(20), crop(2)"),
        (Shape::new(100, 30, 3), "standard"),
    ] {
        let feed = feed(shape, 19, augmentation);
        let sheet = Sheet::new(&feed, SECOND, "title").unwrap();
        let mut draws = feed.order(2)[7..14].to_vec();
        let mut batch = vec![0.0; 7 * shape.len()];
        feed.fill(2, &mut draws, &mut batch).unwrap();
        assert_eq!(sheet.pictures().len(), 7);
        let preparation = feed.preparation();
        let mut differ = 0;
        for ((shown, &draw), tensor) in (sheet.pictures().iter())
            .zip(&draws)
            .zip(batch.chunks_exact(shape.len()))
        {
            assert_eq!(
                (shown.index, shown.label),
                (feed.index(draw), feed.label(draw))
            );
            let seen = read_back(&sheet, shown, shape);
            for (place, (&byte, &number)) in seen.iter().zip(tensor).enumerate() {
                let channel = place % shape.channels;
                let (mean, std) = (preparation.mean[channel], preparation.std[channel]);
                assert_eq!((f32::from(byte) / 255.0 - mean) / std, number);
            }
            differ += usize::from(seen != feed.pixels(0, draw).unwrap().unwrap());
        }
        assert!(differ > 0, "augmented");
    }
}

#[test]
fn originals_stand_to_the_left() {
    let shape = Shape::new(6, 6, 3);
    let feed = feed(shape, 19, "flip(1)");
    let settings = SheetSettings {
        original: true,
        count: Some(4),
        ..SECOND
    };
    let sheet = Sheet::new(&feed, settings, "title").unwrap();
    assert_eq!(sheet.pictures().len(), 4);
    for shown in sheet.pictures() {
        let mut original = shown.clone();
        original.corner.0 -= shape.width * shown.factor + SEAM;
        let original = read_back(&sheet, &original, shape);
        assert_eq!(
            Some(original.as_slice()),
            feed.dataset().bytes(shown.index).unwrap().as_deref()
        );
        assert_ne!(read_back(&sheet, shown, shape), original);
    }
}

#[test]
fn the_last_step_is_what_is_left_and_others_are_refused() {
    let feed = feed(Shape::new(4, 4, 1), 19, "none");
    let at = |epoch, step, count| {
        let settings = SheetSettings {
            epoch,
            step,
            original: false,
            count,
        };
        Sheet::new(&feed, settings, "").map(|sheet| sheet.pictures().len())
    };
    assert_eq!(at(1, 3, None).unwrap(), 5);
    assert_eq!(at(1_000, 1, Some(100)).unwrap(), 7);
    for (epoch, step, count, part) in [
        (1, 4, None, "has the steps 1 to 3"),
        (1, 0, None, "there is no step 0"),
        (0, 1, None, "epochs count from 1"),
        (1, 1, Some(0), "shows nothing"),
    ] {
        let problem = at(epoch, step, count).unwrap_err().to_string();
        assert!(problem.contains(part), "{problem}");
    }
}

#[test]
fn the_file_is_a_png_that_reads_back() {
    let feed = feed(Shape::new(4, 4, 3), 19, "none");
    let sheet = Sheet::new(&feed, SECOND, "a title, far too long for the sheet").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sheet.png");
    sheet.drawing().save(&path).unwrap();
    let read = image::open(&path).unwrap().into_rgb8();
    assert_eq!(read.as_raw(), sheet.drawing().pixels());
}

#[test]
fn images_of_numbers_are_spread_over_all_levels() {
    let shape = Shape::new(2, 2, 1);
    let labels = [0, 1, 0, 1];
    let images: Vec<f32> = (0..16).map(|number| number as f32 / 4.0 - 1.0).collect();
    let dataset = Dataset::from_arrays(&images, shape, &labels).unwrap();
    let preparation = Preparation::measure(&dataset).unwrap();
    let settings = FeedSettings {
        augmentation: Augmentation::none(),
        balance: Balance::None,
        batch_size: 4,
        seed: 1,
    };
    let feed = Feed::new(dataset, preparation, settings).unwrap();
    let settings = SheetSettings { step: 1, ..SECOND };
    let sheet = Sheet::new(&feed, settings, "numbers").unwrap();
    for shown in sheet.pictures() {
        let expected: Vec<u8> = (0..4)
            .map(|pixel| (17 * (4 * shown.index + pixel)) as u8)
            .collect();
        assert_eq!(read_back(&sheet, shown, shape), expected);
    }
}
