//! The same key gives the same picture, and known operations follow their formulas.
use std::collections::HashSet;

use proptest::prelude::*;

use super::trivial::Choice;
use super::*;

/// Bytes without a pattern.
fn noise(shape: Shape, seed: u64) -> Vec<u8> {
    let mut stream = Random::new(seed).stream(Purpose::Initialise, 0, 0);
    (0..shape.len()).map(|_| stream.below(256) as u8).collect()
}

fn changed(text: &str, source: &[u8], shape: Shape, sample: u64) -> Vec<u8> {
    let mut pixels = source.to_vec();
    let augmentation: Augmentation = text.parse().unwrap();
    augmentation.apply(&mut pixels, shape, 5, 2, sample);
    pixels
}

/// The pixels after a change that has no random part.
fn after(source: &[u8], shape: Shape, change: impl Fn(&mut Picture<'_>)) -> Vec<u8> {
    let mut pixels = source.to_vec();
    change(&mut Picture {
        pixels: &mut pixels,
        shape,
    });
    pixels
}

fn shapes() -> impl Strategy<Value = Shape> {
    (1usize..12, 1usize..12, 1usize..5).prop_map(|(h, w, c)| Shape::new(h, w, c))
}

const EVERYTHING: &str = "flip, flip(alternating), vflip, crop(3), crop(0.3, mode=reflect), \
    affine(rotate=30, translate=0.3, scale=(0.5, 2), shear=20, mode=replicate), \
    jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.5), trivial, erase(1, value=random)";

proptest! {
    #[test]
    fn flipping_twice_changes_nothing_and_once_mirrors(shape in shapes(), seed: u64) {
        let source = noise(shape, seed);
        let at = |pixels: &[u8], row, column| {
            pixels[(row * shape.width + column) * shape.channels..][..shape.channels].to_vec()
        };
        let once = after(&source, shape, shift::flip);
        let down = after(&source, shape, shift::flip_vertically);
        for row in 0..shape.height {
            for column in 0..shape.width {
                prop_assert_eq!(at(&once, row, column), at(&source, row, shape.width - 1 - column));
                prop_assert_eq!(at(&down, row, column), at(&source, shape.height - 1 - row, column));
            }
        }
        prop_assert_eq!(&after(&once, shape, shift::flip), &source);
        prop_assert_eq!(&after(&down, shape, shift::flip_vertically), &source);
    }

    #[test]
    fn moved_windows_show_the_padded_picture(shape in shapes(), down in -30i64..30, right in -30i64..30, seed: u64) {
        let source = noise(shape, seed);
        for (_, mode) in Border::NAMES {
            let moved = after(&source, shape, |picture| shift::move_window(picture, down, right, mode));
            for (index, level) in moved.iter().enumerate() {
                let (pixel, channel) = (index / shape.channels, index % shape.channels);
                let row = mode.pixel((pixel / shape.width) as i64 + down, shape.height);
                let column = mode.pixel((pixel % shape.width) as i64 + right, shape.width);
                let expected = match (row, column) {
                    (Some(row), Some(column)) => source[(row * shape.width + column) * shape.channels + channel],
                    _ => 0,
                };
                prop_assert_eq!(*level, expected);
            }
        }
    }

    #[test]
    fn every_operation_takes_every_size_and_gives_the_same_for_the_same_key(shape in shapes(), seed: u64, epoch in 0u64..9, sample: u64) {
        let source = noise(shape, seed);
        let augmentation: Augmentation = EVERYTHING.parse().unwrap();
        let result = || after(&source, shape, |picture| augmentation.apply(picture.pixels, shape, seed, epoch, sample));
        prop_assert_eq!(result(), result());
    }

    #[test]
    fn parameters_that_mean_nothing_change_nothing(shape in shapes(), seed: u64, sample: u64) {
        let source = noise(shape, seed);
        for text in [
            "none", "flip(0)", "vflip(0)", "affine", "rotate(0)", "translate(0)", "scale(1, 1)", "shear(0)",
            "jitter", "hue(0)", "erase(0)", "erase(1, scale=(0, 0))",
        ] {
            prop_assert_eq!(&changed(text, &source, shape, sample), &source, "{}", text);
        }
        prop_assert_eq!(&after(&source, shape, |picture| colour::hue(picture, 1.0)), &source);
        let identity = affine::Map([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        prop_assert_eq!(&after(&source, shape, |picture| identity.warp(picture, Border::Zeros)), &source);
        // Factors of 1 and strengths of 0.
        for operation in (0..14).filter(|operation| !(11..=13).contains(operation)) {
            let choice = Choice::of(operation, 0, false);
            prop_assert_eq!(&after(&source, shape, |picture| choice.apply(picture)), &source, "{:?}", choice);
        }
    }

    #[test]
    fn text_never_panics(text in "[a-z(),=. 0-9éß-]{0,40}") {
        if let Ok(augmentation) = text.parse::<Augmentation>() {
            prop_assert_eq!(augmentation.to_string().parse::<Augmentation>().unwrap(), augmentation);
        }
    }
}

/// Half of the pictures in each epoch, each in every second one, and other halves for other seeds.
#[test]
fn alternating_flips_show_each_picture_both_ways_in_two_epochs() {
    let shape = Shape::new(4, 5, 3);
    let source = noise(shape, 1);
    let mirrored = after(&source, shape, shift::flip);
    let augmentation: Augmentation = "flip(alternating)".parse().unwrap();
    assert!(augmentation.flips() && augmentation.to_string() == "flip(alternating)");
    let is_flipped = |seed, epoch, sample| {
        let result = after(&source, shape, |picture| {
            augmentation.apply(picture.pixels, shape, seed, epoch, sample);
        });
        assert!(result == source || result == mirrored);
        result == mirrored
    };
    let count = |is: &dyn Fn(u64) -> bool| (0..1000).filter(|sample| is(*sample)).count();
    for epoch in 1..5 {
        assert!((400..600).contains(&count(&|sample| is_flipped(7, epoch, sample))));
        assert_eq!(
            count(&|sample| is_flipped(7, epoch, sample) == is_flipped(7, epoch + 1, sample)),
            0
        );
    }
    let agreeing = count(&|sample| is_flipped(7, 1, sample) == is_flipped(8, 1, sample));
    assert!((400..600).contains(&agreeing), "{agreeing}");
}

#[test]
fn other_samples_epochs_and_seeds_give_other_pictures() {
    let shape = Shape::new(32, 32, 3);
    let source = noise(shape, 1);
    let augmentation: Augmentation = "affine(rotate=30, translate=0.2)".parse().unwrap();
    let mut seen = HashSet::new();
    for (seed, epoch, sample) in [
        (0, 0, 0),
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (1, 1, 0),
        (0, 1, 1),
    ] {
        let result = after(&source, shape, |picture| {
            augmentation.apply(picture.pixels, shape, seed, epoch, sample);
        });
        assert!(seen.insert(result), "{seed} {epoch} {sample}");
    }
}

#[test]
fn an_operation_draws_the_same_whatever_stands_beside_it() {
    let shape = Shape::new(16, 16, 3);
    let source = noise(shape, 1);
    let mut crops = HashSet::new();
    for sample in 0..50 {
        let crop = changed("crop(4)", &source, shape, sample);
        assert_eq!(
            changed("flip(0), hue(0), crop(4)", &source, shape, sample),
            crop
        );
        // A second one of the same kind is another draw.
        let repeated = changed("crop(4)", &crop, shape, sample);
        if changed("crop(4), crop(4)", &source, shape, sample) != repeated {
            crops.insert(sample);
        }
    }
    assert!(crops.len() > 40, "{crops:?}");
}

#[test]
fn crops_reach_every_place_equally_and_half_of_the_pictures_are_flipped() {
    let shape = Shape::new(9, 9, 1);
    let mut source = vec![0; 81];
    source[4 * 9 + 4] = 255;
    let mut counts = std::collections::HashMap::new();
    let draws = 9_000;
    for sample in 0..draws {
        let result = changed("crop(1)", &source, shape, sample);
        let place = result.iter().position(|level| *level == 255).unwrap();
        *counts.entry(place).or_insert(0i32) += 1;
    }
    assert_eq!(counts.len(), 9);
    // Five standard deviations of a count of 1,000.
    assert!(
        counts.values().all(|count| (count - 1_000).abs() < 150),
        "{counts:?}"
    );
    let line = Shape::new(1, 2, 1);
    let flipped = (0..draws)
        .filter(|sample| changed("flip", &[1, 2], line, *sample) == [2, 1])
        .count();
    assert!(flipped.abs_diff(4_500) < 240, "{flipped}");
}

#[test]
fn shares_of_the_side_are_an_eighth_of_32_as_usual_for_cifar() {
    let shape = Shape::new(32, 32, 3);
    let source = noise(shape, 3);
    for sample in 0..20 {
        let share = changed("flip, crop(0.125)", &source, shape, sample);
        assert_eq!(share, changed("flip, crop(4)", &source, shape, sample));
    }
}

#[test]
fn levels_follow_their_formulas() {
    let shape = Shape::new(1, 4, 1);
    let source = [0, 50, 100, 250];
    let apply = |choice: Choice| after(&source, shape, |picture| choice.apply(picture));
    assert_eq!(apply(Choice::Brightness(1.5)), [0, 75, 150, 255]);
    // About the mean, which is 100.
    assert_eq!(apply(Choice::Contrast(0.5)), [50, 75, 100, 175]);
    assert_eq!(apply(Choice::Solarize(100.0)), [0, 50, 155, 5]);
    assert_eq!(apply(Choice::Posterize(2)), [0, 0, 64, 192]);
    assert_eq!(apply(Choice::AutoContrast), [0, 51, 102, 255]);
    assert_eq!(apply(Choice::TranslateX(1)), [0, 0, 50, 100]);
    assert_eq!(apply(Choice::TranslateX(-2)), [100, 250, 0, 0]);
    assert_eq!(apply(Choice::Colour(0.1)), source);
    assert_eq!(apply(Choice::Rotate(180.0)), [250, 100, 50, 0]);
    // Pillow: ImageOps.equalize leaves so few pixels alone; of many, levels become their share of all.
    assert_eq!(apply(Choice::Equalize), source);
    let shape = Shape::new(1, 1024, 1);
    let quarters: Vec<u8> = (0..1024)
        .map(|index| [10, 11, 12, 200][index / 256])
        .collect();
    let equalized = after(&quarters, shape, |picture| Choice::Equalize.apply(picture));
    // step = (1024 − 256)/255 = 3; (0 + 1)/3, (256 + 1)/3, (512 + 1)/3, (768 + 1)/3 cut to 255.
    assert_eq!(
        [0, 256, 512, 768].map(|index| equalized[index]),
        [0, 85, 171, 255]
    );
}

#[test]
fn shears_of_trivialaugment_lean_on_the_upper_left_corner() {
    // A shear of 1 moves the middle of row r by r + ½ columns: half of each of two pixels.
    let shape = Shape::new(2, 4, 1);
    let source = [0, 100, 200, 100, 0, 100, 200, 100];
    let sheared = after(&source, shape, |picture| Choice::ShearX(1.0).apply(picture));
    assert_eq!(sheared, [50, 150, 150, 50, 150, 150, 50, 0]);
}

#[test]
fn colours_follow_their_formulas() {
    let shape = Shape::new(1, 1, 3);
    let hue = |pixel: [u8; 3], turn| after(&pixel, shape, |picture| colour::hue(picture, turn));
    assert_eq!(hue([200, 10, 10], 1.0 / 3.0), [10, 200, 10]);
    assert_eq!(hue([200, 10, 10], -1.0 / 3.0), [10, 10, 200]);
    assert_eq!(hue([200, 10, 10], 0.5), [10, 200, 200]);
    // Half a sixth and 1.2 sixths: 0.7 of the way from yellow to green, 200 − 0.7·190 = 67.
    assert_eq!(hue([200, 105, 10], 0.2), [67, 200, 10]);
    assert_eq!(hue([77, 77, 77], 0.4), [77, 77, 77]);
    let saturation = |pixel: [u8; 3], factor| {
        after(&pixel, shape, |picture| colour::saturation(picture, factor))
    };
    // Grey is 0.299·200 + 0.587·100 + 0.114·50 = 124.2, as a byte 124.
    assert_eq!(saturation([200, 100, 50], 0.0), [124, 124, 124]);
    assert_eq!(saturation([200, 100, 50], 2.0), [255, 76, 0]);
}

#[test]
fn sharpness_mixes_with_a_mean_of_the_neighbours() {
    let shape = Shape::new(3, 3, 1);
    let mut source = [13; 9];
    source[4] = 130;
    // (8·13 + 5·130)/13 = 58 in the middle; the border stays.
    let smooth = after(&source, shape, |picture| colour::sharpness(picture, 0.0));
    assert_eq!(smooth, [13, 13, 13, 13, 58, 13, 13, 13, 13]);
    let sharp = after(&source, shape, |picture| colour::sharpness(picture, 1.5));
    assert_eq!(sharp[4], 166);
}

#[test]
fn erasing_fills_a_rectangle_of_the_share_asked_for() {
    let shape = Shape::new(40, 30, 3);
    let source = vec![200; shape.len()];
    for sample in 0..200 {
        let result = changed(
            "erase(1, scale=(0.1, 0.2), ratio=(0.5, 2), value=7)",
            &source,
            shape,
            sample,
        );
        let erased: Vec<(usize, usize)> = (0..1200)
            .filter(|pixel| result[3 * pixel..][..3] == [7; 3])
            .map(|pixel| (pixel / 30, pixel % 30))
            .collect();
        let rows: HashSet<usize> = erased.iter().map(|place| place.0).collect();
        let columns: HashSet<usize> = erased.iter().map(|place| place.1).collect();
        assert_eq!(rows.len() * columns.len(), erased.len());
        // Sides are rounded: half a pixel of at most 22 on each.
        let share = erased.len() as f64 / 1200.0;
        assert!((0.085..0.22).contains(&share), "{share}");
        assert!(
            erased.len() * 3 + result.iter().filter(|level| **level == 200).count() == shape.len()
        );
    }
    let even = changed("erase(1)", &source, shape, 0);
    assert_eq!(even, source, "the mean of an even picture is its colour");
}

#[test]
fn no_colour_is_made_of_grey() {
    let shape = Shape::new(5, 7, 1);
    let source = noise(shape, 8);
    for text in ["saturation(0.9)", "hue(0.5)"] {
        assert_eq!(changed(text, &source, shape, 3), source);
    }
}

#[test]
fn writing_is_never_mirrored() {
    for name in PRESETS {
        let text = Augmentation::preset(name, Presets::Simple)
            .unwrap()
            .to_string();
        assert!(
            !text.contains("flip") && !text.contains("trivial"),
            "{text}"
        );
    }
    assert!(
        Augmentation::parse("standard", Presets::Simple).unwrap() != "standard".parse().unwrap()
    );
}

#[test]
fn text_is_read_back_and_names_of_torchvision_are_known() {
    for text in [
        "none",
        "flip, crop(4), rotate(15)",
        "flip(0.25), vflip, crop(0.125, mode=reflect)",
        "affine(rotate=10, translate=0.1, scale=(0.8, 1.2), shear=5, mode=replicate)",
        "scale(0.5, 2)",
        "translate(0.1, mode=replicate), shear(10)",
        "jitter(brightness=0.4, hue=0.1), saturation(0.5)",
        "erase(0.25, scale=(0.1, 0.2), ratio=(0.5, 2), value=random), trivial",
    ] {
        let augmentation: Augmentation = text.parse().unwrap();
        assert_eq!(augmentation.to_string(), text);
        let json = serde_json::to_string(&augmentation).unwrap();
        assert_eq!(
            serde_json::from_str::<Augmentation>(&json).unwrap(),
            augmentation
        );
    }
    for presets in [Presets::Pictures, Presets::Unflipped, Presets::Simple] {
        for name in PRESETS {
            let preset = Augmentation::preset(name, presets).unwrap();
            assert_eq!(preset.to_string().parse::<Augmentation>().unwrap(), preset);
        }
    }
    let same =
        |a: &str, b: &str| assert_eq!(a.parse::<Augmentation>().unwrap(), b.parse().unwrap());
    same("RandomHorizontalFlip(p=0.3)", "flip(0.3)");
    same(
        "ColorJitter(0.1, 0.2, 0.3, 0.4)",
        "jitter(brightness=0.1, contrast=0.2, saturation=0.3, hue=0.4)",
    );
    same(
        "standard, rotate( 15 ) ,",
        "flip, crop(0.125, mode=reflect), rotate(15)",
    );
    same("TrivialAugmentWide", "trivial");
}

#[test]
fn mistakes_are_named_with_a_way_out() {
    for (text, part) in [
        ("", "an operation is missing here; the operations are flip"),
        ("flip,,crop(4)", "an operation is missing here"),
        (
            "flip, crp(4)",
            "there is no operation `crp`; did you mean `crop`?",
        ),
        ("stong", "did you mean `strong`?"),
        (
            "mosaic",
            "there is no operation `mosaic`; the operations are flip, vflip",
        ),
        ("strong(3)", "the preset `strong` takes no settings"),
        ("crop", "`crop` needs its padding: crop(4)"),
        ("crop(1.5)", "`padding` must be a whole number of pixels"),
        ("crop(nan)", "`padding` must be"),
        (
            "crop(4, mode=wrap)",
            "`mode` must be zeros, reflect, replicate",
        ),
        (
            "crop(4, moode=edge)",
            "unknown setting `moode`; did you mean `mode`?",
        ),
        ("flip(1.5)", "`p` must be a number from 0 to 1"),
        ("hue(0.7)", "`turn` must be a number from 0 to 0.5"),
        ("rotate", "`degrees` is missing, as in `rotate(15)`"),
        ("scale(1.2, 0.8)", "`min` 1.2 lies above `max` 0.8"),
        ("affine(scale=0.8)", "`scale` must be (min, max)"),
        ("trivial(9)", "it takes no settings"),
        ("flip(0.5", "this `(` is never closed"),
        ("flip)", "this `)` has no `(`"),
        ("flip(0.5, 0.5)", "too many"),
        (&"flip,".repeat(40), "more than 32 operations"),
    ] {
        let error = text.parse::<Augmentation>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let error = "flip, crp(4)".parse::<Augmentation>().unwrap_err();
    assert!(
        error.to_string().ends_with("\n  flip, crp(4)\n        ^^^"),
        "{error}"
    );
}

#[test]
fn padding_as_large_as_the_picture_is_refused() {
    let augmentation: Augmentation = "crop(28)".parse().unwrap();
    let problem = augmentation.check(Shape::new(28, 40, 1)).unwrap_err();
    assert!(
        problem.to_string().contains("padding below 28"),
        "{problem}"
    );
    assert!(augmentation.check(Shape::new(29, 40, 1)).is_ok());
}
