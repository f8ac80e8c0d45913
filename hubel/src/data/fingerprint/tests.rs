//! Copies of a picture are recognised, and different pictures are distinguished.
use image::{DynamicImage, ImageFormat, RgbImage, imageops::FilterType};
use proptest::prelude::*;

use super::frequencies::{Frequencies, KEYS};
use super::look::Look;
use super::search::{Reach, is_copy};
use super::thumbnail::cells;
use super::*;
use crate::data::picture;
use crate::{Purpose, Random};

/// A smooth picture of blobs of colour; another seed gives another picture.
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

/// Whether both are in one group, by the definition of a candidate.
fn is_same(one: &Fingerprint, other: &Fingerprint) -> bool {
    let looks = [one, other].map(|print| Look::new(&print.thumbnail));
    let reaches = [(one, &looks[0]), (other, &looks[1])]
        .map(|(print, look)| Reach::of(&print.thumbnail, look));
    let frequencies: [Frequencies; 2] = std::array::from_fn(|index| {
        Frequencies::new(&looks[index].grey, reaches[index].unsure_bits)
    });
    let distance = reaches[0].distance.min(reaches[1].distance);
    let (a, b) = (&frequencies[0], &frequencies[1]);
    one.content == other.content
        || looks.iter().all(Look::has_structure)
            && (0..KEYS).any(|key| a.reaches(b, key) || b.reaches(a, key))
            && a.distance(b) <= distance * distance
            && looks[0].light().is_near(looks[1].light())
            && is_copy([one, other], [&looks[0], &looks[1]])
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
            ("quality 75", coded(&picture, 75)),
            (
                "larger",
                picture.resize_exact(200, 150, FilterType::Lanczos3),
            ),
            (
                "smaller",
                picture.resize_exact(40, 40, FilterType::Triangle),
            ),
            ("brighter", picture.brighten(15)),
            ("more contrast", picture.adjust_contrast(4.0)),
            ("cropped", picture.crop_imm(1, 0, 88, 69)),
        ];
        for (what, copy) in &copies {
            let copy = fingerprint(copy);
            assert!(
                is_same(&print, &copy) && is_same(&copy, &print),
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
            assert!(!is_same(&print, &fingerprint(other)), "{seed}: {what}");
        }
    }
}

/// A cell on a pale background: its body in a stain, with a darker nucleus.
fn cell(stain: [f32; 3], nucleus: f32) -> DynamicImage {
    let pixel = |x: u32, y: u32| {
        let (x, y) = (x as f32 - 32.0, y as f32 - 32.0);
        let body = 0.6 / (1.0 + (0.5 * (x.hypot(1.3 * y) - 20.0)).exp());
        let core = 0.8 / (1.0 + ((x - nucleus).hypot(y) - 6.0).exp());
        let ground = [236.0, 230.0, 224.0];
        image::Rgb(std::array::from_fn(|colour| {
            let level = ground[colour] * (1.0 - body) + stain[colour] * body;
            (level * (1.0 - core) + 0.6 * stain[colour] * core) as u8
        }))
    };
    RgbImage::from_fn(64, 64, pixel).into()
}

#[test]
fn cells_of_other_stains_look_alike_and_are_not_the_same() {
    const GREEN: [f32; 3] = [70.0, 140.0, 80.0];
    const ORANGE: [f32; 3] = [215.0, 130.0, 50.0];
    const RED: [f32; 3] = [190.0, 60.0, 70.0];
    let cells = [
        cell(GREEN, 3.0),
        cell(ORANGE, 3.0),
        cell(RED, 3.0),
        cell(GREEN, 8.0),
    ];
    let mut prints: Vec<Fingerprint> = cells.iter().map(fingerprint).collect();
    prints.extend(cells.iter().map(|cell| fingerprint(&coded(cell, 75))));
    assert_eq!(Likenesses::of(&prints).same, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn figures_that_differ_in_a_face_look_alike_and_are_not_the_same() {
    let figure = |face: [u8; 3]| {
        let mut stream = Random::new(3).stream(Purpose::Augment, 0, 0);
        let blocks: Vec<[u8; 3]> = (0..64)
            .map(|_| std::array::from_fn(|_| 20 + stream.below(200) as u8))
            .collect();
        let mut picture = RgbImage::from_fn(64, 64, |x, y| {
            image::Rgb(blocks[(y / 8 * 8 + x / 8) as usize])
        });
        for (x, y) in (0..49).map(|place| (28 + place % 7, 8 + place / 7)) {
            picture.put_pixel(x, y, image::Rgb(face));
        }
        fingerprint(&picture.into())
    };
    let likenesses = Likenesses::of(&[figure([240, 200, 160]), figure([216, 174, 132])]);
    assert_eq!(likenesses.same, [0, 1]);
    assert_eq!(likenesses.alike, [0, 0]);
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
    let groups = Likenesses::of(&prints).same;
    assert!(groups.iter().copied().eq(0..digits.len()));
}

#[test]
fn pictures_of_one_colour_are_only_like_their_equals() {
    let plain = |level| {
        let pixels = vec![level; 300];
        Fingerprint::new(&pixels, &pixels, Shape::new(10, 10, 3))
    };
    let groups = Likenesses::of(&[plain(7), plain(8), plain(7), plain(8)]).same;
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
        let size = length as f64 / 32.0;
        let (start, end) = (area as f64 * size, (area + 1) as f64 * size);
        (end.min((pixel + 1) as f64) - start.max(pixel as f64)).max(0.0) / size
    };
    let mut cells = Vec::new();
    for (down, across) in (0..1024).map(|cell| (cell / 32, cell % 32)) {
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
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn signs_tell_no_more_than_the_distance(seeds in prop::array::uniform2(0u64..1000)) {
        let [one, other] = seeds.map(|seed| {
            let print = fingerprint(&photo(seed, 24, 20));
            Frequencies::new(&Look::new(&print.thumbnail).grey, 0)
        });
        prop_assert!(one.signs().distance(other.signs()) <= one.distance(&other));
        prop_assert_eq!(one.signs().distance(one.signs()), 0);
    }

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
                if is_same(&prints[one], &prints[other]) {
                    let (from, to) = (slow[one].max(slow[other]), slow[one].min(slow[other]));
                    slow.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
                }
            }
        }
        prop_assert_eq!(Likenesses::of(&prints).same, slow);
    }
}
