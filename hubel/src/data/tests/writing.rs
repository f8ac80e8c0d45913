//! Digits from files and photographs.
use super::*;
use crate::{Purpose, Random};

fn digits() -> (Dataset, Preparation) {
    let splits = mnist().expect("it is embedded");
    let preparation = Preparation::measure(&splits.train).expect("it is in memory");
    (splits.test.expect("MNIST has test images"), preparation)
}

#[test]
fn the_writing_of_mnist_is_recognised_for_what_it_is() {
    let ground = digits().1.ground;
    assert_eq!(
        ground,
        Some(Ground {
            color: [0; 3],
            ink_side: Some(20)
        })
    );
}

#[test]
fn no_image_of_mnist_is_changed_on_the_way() -> Result<()> {
    let (test, preparation) = digits();
    let without_ground = Preparation {
        ground: None,
        ..preparation.clone()
    };
    let train = mnist()?.train;
    let cpu = Cpu::best(2);
    for dataset in [&test, &train] {
        let indices: Vec<usize> = (0..dataset.len()).collect();
        for indices in indices.chunks(1000) {
            let mut tensors = [vec![0.0; 784_000], vec![0.0; 784_000]];
            dataset.fill(&cpu, indices, &preparation, &mut tensors[0])?;
            dataset.fill(&cpu, indices, &without_ground, &mut tensors[1])?;
            assert!(tensors[0] == tensors[1]);
        }
    }
    Ok(())
}

#[test]
fn a_digit_from_a_png_is_the_same_bits_as_from_the_data_set_in_either_polarity() -> Result<()> {
    let (test, preparation) = digits();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ein Zeichen.png");
    for index in 0..50 {
        let mut expected = vec![0.0; 784];
        test.fill(&Cpu::best(1), &[index], &preparation, &mut expected)?;
        let bytes = &test.bytes(index)?.expect("MNIST is of bytes")[..];
        save(grey(bytes, 28, 28), &path);
        let prepared = preparation.picture(&path)?;
        assert_eq!(
            (prepared.tensor, prepared.inverted),
            (expected.clone(), false)
        );
        let negative: Vec<u8> = bytes.iter().map(|level| 255 - level).collect();
        save(grey(&negative, 28, 28), &path);
        let prepared = preparation.picture(&path)?;
        assert_eq!((prepared.tensor, prepared.inverted), (expected, true));
    }
    Ok(())
}

/// Bytes of 640×480: dark ink on paper with grain that gets darker to one side. The digit is at a random position, eight times as large.
fn photograph(digit: &[u8], seed: u64) -> Vec<u8> {
    let mut stream = Random::new(seed).stream(Purpose::Augment, 0, 0);
    let large = resize::fit(digit, (28, 28), (224, 224), &[0], Resize::Stretch);
    let (top, left) = (stream.below(480 - 224), stream.below(640 - 224));
    (0..480 * 640)
        .map(|at| {
            let (row, column) = (at / 640, at % 640);
            let inside = (top..top + 224).contains(&row) && (left..left + 224).contains(&column);
            let ink = if inside {
                f32::from(large[(row - top) * 224 + column - left]) / 255.0
            } else {
                0.0
            };
            let paper = 225.0 - 90.0 * column as f32 / 640.0;
            let level = paper * (1.0 - ink) + 40.0 * ink + 4.0 * stream.normal();
            level.clamp(0.0, 255.0) as u8
        })
        .collect()
}

#[test]
fn a_photograph_of_dark_ink_becomes_nearly_the_digit_that_was_written() -> Result<()> {
    let (test, preparation) = digits();
    for index in 0..30 {
        let bytes = &test.bytes(index)?.expect("MNIST is of bytes")[..];
        let photograph = photograph(bytes, index as u64);
        for (turned, inverted) in [(false, true), (true, false)] {
            let mut photograph = photograph.clone();
            if turned {
                photograph
                    .iter_mut()
                    .for_each(|level| *level = 255 - *level);
            }
            let prepared = preparation.decoded(grey(&photograph, 480, 640))?;
            assert_eq!(prepared.inverted, inverted);
            let likeness = correlation(bytes, &prepared.pixels);
            // Most are above 0.94; a few are shifted by a pixel, since their centre of mass is between two.
            assert!(likeness > 0.8, "test image {index}: {likeness}");
        }
    }
    Ok(())
}

fn correlation(one: &[u8], other: &[u8]) -> f64 {
    let mean =
        |levels: &[u8]| levels.iter().map(|&l| f64::from(l)).sum::<f64>() / levels.len() as f64;
    let (mean_one, mean_other) = (mean(one), mean(other));
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (&one, &other) in one.iter().zip(other) {
        let (one, other) = (f64::from(one) - mean_one, f64::from(other) - mean_other);
        both += one * other;
        first += one * one;
        second += other * other;
    }
    both / (first * second).sqrt()
}

#[test]
fn an_empty_sheet_is_left_alone() -> Result<()> {
    let (_, preparation) = digits();
    let prepared = preparation.decoded(grey(&[200; 40 * 60], 40, 60))?;
    assert!(!prepared.inverted);
    for (height, width) in [(1, 1), (1, 500), (500, 1), (2, 2)] {
        let checks: Vec<u8> = (0..height * width).map(|at| (at % 2 * 255) as u8).collect();
        let prepared = preparation.decoded(grey(&checks, height, width))?;
        assert_eq!(prepared.tensor.len(), 784);
        assert!(prepared.tensor.iter().all(|value| value.is_finite()));
    }
    Ok(())
}

#[test]
fn a_digit_on_transparent_ground_is_read_as_on_white_paper() -> Result<()> {
    let (test, preparation) = digits();
    let bytes = &test.bytes(3)?.expect("MNIST is of bytes")[..];
    let picture = image::RgbaImage::from_fn(28, 28, |x, y| {
        image::Rgba([0, 0, 0, bytes[(y * 28 + x) as usize]])
    });
    let prepared = preparation.decoded(picture.into())?;
    assert!(prepared.inverted);
    assert_eq!(prepared.pixels, bytes);
    Ok(())
}

#[test]
fn pictures_of_other_things_are_not_taken_for_writing() -> Result<()> {
    let bytes: Vec<u8> = (0..100 * 256)
        .map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let labels = (0..100).map(|index| index % 2).collect();
    let classes = vec!["a".to_string(), "b".to_string()];
    let noise = Dataset::from_bytes("noise", classes, Shape::new(16, 16, 1), bytes, labels)?;
    assert_eq!(Preparation::measure(&noise)?.ground, None);
    Ok(())
}
