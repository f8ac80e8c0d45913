//! The same picture is recognised after what happens to copies, and different pictures are told apart.
use image::{DynamicImage, ImageFormat, RgbImage, imageops::FilterType};
use proptest::prelude::*;

use super::*;
use crate::data::picture;
use crate::{Purpose, Random};

/// A smooth picture of blobs of colour, as different from others as its seed.
pub(crate) fn photo(seed: u64, width: u32, height: u32) -> DynamicImage {
    let mut stream = Random::new(seed).stream(Purpose::Augment, 0, 0);
    let blobs: Vec<[f32; 6]> = (0..14)
        .map(|_| std::array::from_fn(|_| stream.uniform()))
        .collect();
    let pixel = |x: u32, y: u32| {
        let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
        let mut colour = [90.0f32, 110.0, 100.0];
        for [left, top, size, red, green, blue] in &blobs {
            let distance = (x - left).powi(2) + (y - top).powi(2);
            let weight = (-distance / (0.01 + 0.02 * size)).exp();
            for (level, blob) in colour.iter_mut().zip([red, green, blue]) {
                *level += weight * (blob * 220.0 - *level);
            }
        }
        image::Rgb(colour.map(|level| level as u8))
    };
    RgbImage::from_fn(width, height, pixel).into()
}

fn fingerprint(picture: &DynamicImage) -> Fingerprint {
    let (pixels, shape) = picture::bytes(picture.clone(), 3, 255).unwrap();
    Fingerprint::new(&pixels, &pixels, shape)
}

fn coded(picture: &DynamicImage, quality: u8) -> DynamicImage {
    let mut file = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, quality);
    picture.write_with_encoder(encoder).unwrap();
    image::load_from_memory_with_format(&file, ImageFormat::Jpeg).unwrap()
}

#[test]
fn copies_are_recognised_and_other_pictures_are_not() {
    for seed in 0..40u64 {
        let picture = photo(seed, 90, 70);
        let print = fingerprint(&picture);
        let copies = [
            ("quality 40", coded(&picture, 40)),
            (
                "larger",
                picture.resize_exact(200, 150, FilterType::Lanczos3),
            ),
            (
                "smaller",
                picture.resize_exact(40, 40, FilterType::Triangle),
            ),
            ("brighter", picture.brighten(15)),
            ("more contrast", picture.adjust_contrast(8.0)),
        ];
        for (what, copy) in &copies {
            let copy = fingerprint(copy);
            assert!(
                print.is_near(&copy) && copy.is_near(&print),
                "{seed}: {what}"
            );
            assert_ne!(print.content, copy.content, "{seed}: {what}");
        }
        let others = [
            ("another", photo(seed + 1000, 90, 70)),
            ("mirrored", picture.fliph()),
            ("other colours", picture.huerotate(90)),
            ("inverted", {
                let mut inverted = picture.clone();
                inverted.invert();
                inverted
            }),
        ];
        for (what, other) in &others {
            assert!(!print.is_near(&fingerprint(other)), "{seed}: {what}");
        }
    }
}

#[test]
fn no_digits_are_taken_for_each_other() {
    let digits = crate::data::mnist().unwrap().test.unwrap();
    let prints: Vec<Fingerprint> = (0..digits.len())
        .map(|index| {
            let pixels = digits.bytes(index).unwrap().unwrap();
            Fingerprint::new(&pixels, &pixels, digits.shape())
        })
        .collect();
    let groups = near_duplicate_groups(&prints);
    assert!(groups.iter().copied().eq(0..digits.len()));
}

#[test]
fn pictures_of_one_colour_are_only_like_their_equals() {
    let plain = |level| {
        let pixels = vec![level; 300];
        Fingerprint::new(&pixels, &pixels, Shape::new(10, 10, 3))
    };
    let groups = near_duplicate_groups(&[plain(7), plain(8), plain(7), plain(8)]);
    assert_eq!(groups, [0, 1, 0, 1]);
}

#[test]
fn content_hashes_are_the_ones_of_xxh3_for_ever() {
    let print = |content: &[u8]| Fingerprint::new(content, &[0], Shape::new(1, 1, 1)).content;
    // From the reference implementation, by the Python package `xxhash`.
    assert_eq!(print(b""), 0x2d06_8005_38d3_94c2);
    assert_eq!(print(b"hubel"), 0x8c27_23b9_6645_9a2f);
}

/// The mean of each area, by its definition in f64.
fn slow_cells(pixels: &[u8], shape: Shape, colour: usize) -> Vec<f64> {
    let overlap = |pixel: usize, area: usize, length: usize| {
        let size = length as f64 / 16.0;
        let (start, end) = (area as f64 * size, (area + 1) as f64 * size);
        (end.min((pixel + 1) as f64) - start.max(pixel as f64)).max(0.0) / size
    };
    let mut cells = Vec::new();
    for (down, across) in (0..256).map(|cell| (cell / 16, cell % 16)) {
        let mut mean = 0.0;
        for row in 0..shape.height {
            for column in 0..shape.width {
                let weight =
                    overlap(row, down, shape.height) * overlap(column, across, shape.width);
                let pixel = (row * shape.width + column) * shape.channels;
                mean += weight * f64::from(pixels[pixel + colour]);
            }
        }
        cells.push(mean);
    }
    cells
}

proptest! {
    #[test]
    fn a_thumbnail_is_the_mean_over_equal_areas(height in 1usize..50, width in 1usize..50, channels in 1usize..5, seed: u64) {
        let shape = Shape::new(height, width, channels);
        let mut stream = Random::new(seed).stream(Purpose::Augment, 0, 0);
        let pixels: Vec<u8> = (0..shape.len()).map(|_| stream.below(256) as u8).collect();
        for colour in 0..if channels == 3 { 3 } else { 1 } {
            for (cell, slow) in cells(&pixels, shape).iter().zip(slow_cells(&pixels, shape, colour)) {
                prop_assert!((f64::from(cell[colour]) - slow).abs() < 0.5 + 1e-6);
            }
        }
    }

    #[test]
    fn the_groups_are_those_of_comparing_all_pairs(seeds in prop::collection::vec((0u64..12, 0u64..4), 1..40)) {
        let prints: Vec<Fingerprint> = seeds
            .iter()
            .map(|&(seed, change)| fingerprint(&photo(seed, 24, 20).brighten(4 * change as i32)))
            .collect();
        let mut slow: Vec<usize> = (0..prints.len()).collect();
        for one in 0..prints.len() {
            for other in 0..one {
                if prints[one].is_near(&prints[other]) {
                    let (from, to) = (slow[one].max(slow[other]), slow[one].min(slow[other]));
                    slow.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
                }
            }
        }
        prop_assert_eq!(near_duplicate_groups(&prints), slow);
    }
}
