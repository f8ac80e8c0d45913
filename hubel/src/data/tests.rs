//! Bad bytes give helpful errors, and a picture gives the same bits everywhere.
mod array_values;
mod arrays;
mod bad_bytes;
mod bad_files;
mod clips;
mod damaged;
mod divided;
mod folders;
mod given;
mod grounds;
mod jpegs;
mod layouts;
mod limits;
mod listing;
mod pictures;
mod tables;
mod writing;

use std::path::Path;

use image::{DynamicImage, GrayImage, RgbImage};

use super::*;

/// A colour picture in which every pixel differs from its neighbours.
fn colours(height: u32, width: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let level = |factor: u32| ((x * 7 + y * 13 + seed * 31) * factor % 251) as u8;
        image::Rgb([level(1), level(3), level(5)])
    })
}

fn grey(bytes: &[u8], height: usize, width: usize) -> DynamicImage {
    GrayImage::from_raw(width as u32, height as u32, bytes.to_vec())
        .expect("a byte for each pixel")
        .into()
}

/// The data at `path`, of the kind that is found there.
fn find(path: &Path) -> Result<catalogue::Found> {
    catalogue::find(path, None).map(|located| located.found)
}

/// A pipe without a writer.
#[cfg(unix)]
pub(crate) fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
}

fn save(picture: impl Into<DynamicImage>, path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
    picture.into().save(path).unwrap();
}

/// The tensors of all samples.
fn tensors(dataset: &Dataset, preparation: &Preparation) -> Vec<Vec<f32>> {
    (0..dataset.len())
        .map(|index| {
            let mut tensor = vec![f32::NAN; preparation.shape.len()];
            dataset
                .fill(&Cpu::best(1), &[index], preparation, &mut tensor)
                .expect("the pictures are there");
            tensor
        })
        .collect()
}

#[test]
fn arrays_whose_numbers_do_not_fit_are_refused_with_the_numbers() -> Result<()> {
    let images: Vec<f32> = (0..24).map(|number| number as f32).collect();
    let shape = Shape::new(1, 2, 3);
    let dataset = Dataset::from_arrays(&images, shape, &[0, 1, 2, 1])?;
    assert_eq!(dataset.classes(), ["0", "1", "2"]);
    assert_eq!(dataset.counts(), [1, 2, 1]);
    let message = |images: &[f32], shape, labels: &[usize]| {
        Dataset::from_arrays(images, shape, labels)
            .expect_err("these are wrong")
            .to_string()
    };
    assert!(message(&images[1..], shape, &[0, 1, 2, 1]).contains("23 values"));
    assert!(message(&images, shape, &[0, 1, 2]).contains("have 18"));
    assert!(message(&images, shape, &[0, 0, 0, 0]).contains("at least two classes"));
    assert!(message(&images, shape, &[0, 1, 2, 1 << 40]).contains("count the classes from 0"));
    assert!(message(&[], shape, &[]).contains("no samples"));
    assert!(message(&images, Shape::new(0, 2, 3), &[0, 1]).contains("have no values"));
    assert!(message(&images, Shape::new(usize::MAX, 2, 3), &[0, 1]).contains("memory"));
    let mut broken = images.clone();
    broken[7] = f32::NAN;
    assert!(message(&broken, shape, &[0, 1, 2, 1]).contains("image 1 holds NaN at position 1"));
    Ok(())
}

#[test]
fn arrays_are_shifted_and_scaled_by_channel() -> Result<()> {
    let images: Vec<f32> = (0..24).map(|number| (number * number) as f32).collect();
    let dataset = Dataset::from_arrays(&images, Shape::new(2, 2, 2), &[0, 1, 0])?;
    let preparation = Preparation::measure(&dataset)?;
    let tensors = tensors(&dataset, &preparation).concat();
    for channel in 0..2 {
        let values: Vec<f32> = tensors.iter().skip(channel).step_by(2).copied().collect();
        let mean = values.iter().sum::<f32>() / 12.0;
        let variance = values.iter().map(|value| value * value).sum::<f32>() / 12.0;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5);
    }
    // A sample's values do not depend on its batch.
    let mut batch = vec![0.0; 16];
    dataset.fill(&Cpu::best(2), &[2, 0], &preparation, &mut batch)?;
    assert_eq!(batch[..8], tensors[16..]);
    Ok(())
}

/// More pictures than a parallel region of the kernels has tasks.
#[test]
fn a_batch_of_more_than_a_million_is_filled() -> Result<()> {
    let dataset = Dataset::from_arrays(&[0.0, 1.0], Shape::new(1, 1, 1), &[0, 1])?;
    let preparation = Preparation::measure(&dataset)?;
    let indices: Vec<usize> = (0..(1 << 20) + 5).map(|place| place % 2).collect();
    let mut batch = vec![f32::NAN; indices.len()];
    dataset.fill(&Cpu::best(2), &indices, &preparation, &mut batch)?;
    let expected = tensors(&dataset, &preparation).concat();
    assert!((batch.iter().zip(&indices)).all(|(value, index)| *value == expected[*index]));
    Ok(())
}

#[test]
fn a_channel_that_never_changes_becomes_zero() -> Result<()> {
    let dataset = Dataset::from_arrays(&[0.3; 8], Shape::new(2, 2, 1), &[0, 1])?;
    let preparation = Preparation::measure(&dataset)?;
    assert!(
        tensors(&dataset, &preparation)
            .concat()
            .iter()
            .all(|value| value.abs() < 1e-6)
    );
    Ok(())
}

/// All pictures of a folder, without splits.
const WHOLE: Options = Options {
    sound: SoundOptions {
        model: None,
        rate: None,
        seconds: None,
        bands: None,
        window: None,
        hop: None,
    },
    shape: None,
    network: None,
    resize: Resize::Letterbox,
    largest_side: 64,
    validation: 0.0,
    test: 0.0,
    seed: 1,
    bad_files: BadFiles::Fail,
    tokens: Tokens::Words,
    length: None,
    frames: None,
    frame_rate: None,
    cache: None,
};

fn read(path: &Path, options: &Options) -> Result<Splits> {
    open_with(path, options, &|_, _| ())
}

/// The evaluation data of a model with this preparation.
fn judge(path: &Path, preparation: &Preparation, classes: &[String]) -> Result<(Dataset, Judged)> {
    let evaluation = evaluation(path, preparation, classes, None, &WHOLE, &|_, _| ())?;
    Ok((evaluation.dataset, evaluation.judged))
}

#[test]
fn channels_that_cannot_be_matched_are_refused() -> Result<()> {
    let dataset = Dataset::from_arrays(&[0.5; 16], Shape::new(2, 2, 2), &[0, 1])?;
    let preparation = Preparation::measure(&dataset)?;
    assert!(preparation.check(Shape::new(5, 7, 2)).is_ok());
    assert!(preparation.check(Shape::new(2, 2, 1)).is_err());
    assert!(preparation.decoded(grey(&[1; 4], 2, 2)).is_err());
    let damaged = Preparation {
        std: vec![0.0; 2],
        ..preparation
    };
    assert!(damaged.check(Shape::new(2, 2, 2)).is_err());
    Ok(())
}
