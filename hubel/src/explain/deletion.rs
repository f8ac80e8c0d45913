//! Whether a map finds what matters to the network: deletion and insertion (Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of
//! Black-box Models", 2018).
//!
//! Deletion blurs the places of a picture, the brightest of the map first. If the map is right, the probability of the class falls fast.
//! Insertion starts from a blurred picture and restores the places; the probability rises fast. Places are blurred, because black ones would be
//! a new feature. Any order has some effect, so the order of the map is compared with those of random maps and of the picture's edges.
use std::fmt;

use hubel_kernels::Cpu;

use super::{Heatmap, Score};
use crate::inference::Inference;
use crate::{Model, Purpose, Random, Result, Shape};

/// How the probability of a class changes during deletion and insertion, for several orders.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// Areas under the deletion curves: smaller is better.
    pub deletion: Areas,
    /// Areas under the insertion curves: larger is better.
    pub insertion: Areas,
    /// The probability of the class for the whole picture.
    pub whole: f64,
    /// The probability of the class for the blurred picture.
    pub blurred: f64,
}

/// The mean probability of the class along the curve, for each order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Areas {
    /// The order of the map.
    pub map: f64,
    /// Orders of random maps with the same resolution; the mean over several.
    pub random: f64,
    /// The order of the magnitude of the picture's Sobel filters.
    pub edges: f64,
}

/// The verdict on a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Better than random maps and than the picture's edges, in both directions.
    Passes,
    /// Better than random maps; but the edges, found without the network, are as good.
    NoBetterThanEdges,
    /// Random maps are as good.
    NoBetterThanRandom,
    /// The class is about as probable for the blurred picture, or more probable: there is nothing to delete.
    Undecided,
}

/// Least fall of the probability of the class when the whole picture is blurred.
const LEAST_FALL: f64 = 0.05;

impl Deletion {
    /// The verdict on the map.
    pub fn verdict(&self) -> Verdict {
        let Self {
            deletion,
            insertion,
            ..
        } = self;
        if self.whole - self.blurred < LEAST_FALL {
            Verdict::Undecided
        } else if deletion.map >= deletion.random || insertion.map <= insertion.random {
            Verdict::NoBetterThanRandom
        } else if deletion.map >= deletion.edges || insertion.map <= insertion.edges {
            Verdict::NoBetterThanEdges
        } else {
            Verdict::Passes
        }
    }
}

impl fmt::Display for Deletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict() {
            Verdict::Passes => "finds what matters to the network",
            Verdict::NoBetterThanEdges => {
                "FAILS deletion and insertion: the edges in the input find what matters to the network as well"
            }
            Verdict::NoBetterThanRandom => {
                "FAILS deletion and insertion: a random map finds what matters to the network as well"
            }
            Verdict::Undecided => {
                return write!(
                    f,
                    "deletion and insertion cannot judge it: the class is as probable for the blurred input ({:.2}) as for the input itself ({:.2})",
                    self.blurred, self.whole
                );
            }
        };
        let [deletion, insertion] = [self.deletion, self.insertion];
        write!(
            f,
            "{verdict}; blurring places in its order leaves a mean probability of {:.2} (random order {:.2}, edges {:.2}), \
             showing them in its order gives {:.2} ({:.2}, {:.2})",
            deletion.map,
            deletion.random,
            deletion.edges,
            insertion.map,
            insertion.random,
            insertion.edges
        )
    }
}

/// Steps from no pixels to all.
const STEPS: usize = 32;
/// Number of random maps.
const RANDOM: usize = 4;
/// The orders: one of the map, those of the random maps, one of the edges. Each has a deletion and an insertion.
const CURVES: usize = 2 * (1 + RANDOM + 1);

/// Measures deletion and insertion of the prepared picture `[h, w, c]`, or clip `[t, h, w, c]`, in the order of `map`, which may have another resolution. `seed` decides
/// the random maps. `progress` gets the number of classified pictures and the total.
///
/// # Errors
/// If memory does not suffice.
pub fn check(
    cpu: &Cpu,
    model: &Model,
    image: &[f32],
    score: &Score,
    map: &Heatmap,
    seed: u64,
    progress: &dyn Fn(usize, usize),
) -> Result<Deletion> {
    let shape = model.input();
    let blurred = blurred(image, shape);
    let random = Random::new(seed);
    // A map without time holds for all frames of a clip: its pixels change in all of them.
    let frames = match map.time {
        1 => 1,
        _ => shape.time,
    };
    let order = |map: &Heatmap, i: usize| {
        order(
            &map.resized([frames, shape.height, shape.width]),
            random.stream(Purpose::Explain, 1, i as u64),
        )
    };
    let mut orders = vec![order(map, 0)];
    for i in 1..=RANDOM {
        let mut stream = random.stream(Purpose::Explain, 2, i as u64);
        let noise = Heatmap {
            values: map.values.iter().map(|_| stream.uniform()).collect(),
            ..map.clone()
        };
        orders.push(order(&noise, i));
    }
    orders.push(order(&edges(image, shape).of_frames(frames), RANDOM + 1));

    let pixels = frames * shape.height * shape.width;
    let count = CURVES * (STEPS + 1);
    let temperature = model.temperature().unwrap_or(1.0);
    let mut found = Vec::with_capacity(count);
    Inference::new(model, cpu)?.run(
        count,
        &mut |indices, images| {
            for (picture, &i) in images.chunks_exact_mut(shape.len()).zip(indices) {
                let (curve, step) = (i / (STEPS + 1), i % (STEPS + 1));
                let (under, over) = match curve % 2 {
                    0 => (image, &blurred[..]),
                    _ => (&blurred[..], image),
                };
                picture.copy_from_slice(under);
                for &pixel in &orders[curve / 2][..pixels * step / STEPS] {
                    for copy in 0..shape.time / frames {
                        let start = copy * shape.frame().len() + pixel * shape.channels;
                        let numbers = start..start + shape.channels;
                        picture[numbers.clone()].copy_from_slice(&over[numbers]);
                    }
                }
            }
            Ok(Vec::new())
        },
        &mut |i, logits| {
            found.push(probability(score, logits, temperature));
            progress(i + 1, count);
            Ok(())
        },
    )?;
    let area = |curve: usize| {
        let points = &found[curve * (STEPS + 1)..][..STEPS + 1];
        let ends = (points[0] + points[STEPS]) / 2.0;
        (ends + points[1..STEPS].iter().sum::<f64>()) / STEPS as f64
    };
    let areas = |kind: usize| Areas {
        map: area(kind),
        random: (1..=RANDOM).map(|i| area(2 * i + kind)).sum::<f64>() / RANDOM as f64,
        edges: area(2 * (RANDOM + 1) + kind),
    };
    Ok(Deletion {
        deletion: areas(0),
        insertion: areas(1),
        whole: found[0],
        blurred: found[STEPS],
    })
}

/// The probability of the class among all classes; with `against`, among the two classes.
fn probability(score: &Score, logits: &[f32], temperature: f32) -> f64 {
    let own = f64::from(logits[score.class]);
    let others = match score.against {
        Some(other) => vec![logits[other]],
        None => (logits.iter().enumerate())
            .filter(|(class, _)| *class != score.class)
            .map(|(_, logit)| *logit)
            .collect(),
    };
    let above = |logit: f32| (f64::from(logit) - own) / f64::from(temperature);
    let odds = others.iter().map(|logit| above(*logit).exp());
    1.0 / (1.0 + odds.sum::<f64>())
}

/// The pixels, the brightest of the map first. Equal ones are in random order, so that their position does not matter.
fn order(map: &Heatmap, mut stream: crate::random::Stream) -> Vec<usize> {
    let mut pixels: Vec<usize> = (0..map.values.len()).collect();
    stream.shuffle(&mut pixels);
    pixels.sort_by(|a, b| map.values[*b].total_cmp(&map.values[*a]));
    pixels
}

/// The magnitude of the Sobel filters on the mean over the channels, frame by frame; the border is replicated.
pub fn edges(image: &[f32], shape: Shape) -> Heatmap {
    let grey = Heatmap::sum_of_channels("", shape, image);
    let at = |y: usize, x: usize, down: isize, across: isize| {
        let place = |at: usize, by: isize, size: usize| at.saturating_add_signed(by).min(size - 1);
        let (frame, y) = (y / shape.height, y % shape.height);
        let row = frame * shape.height + place(y, down, shape.height);
        grey.values[row * shape.width + place(x, across, shape.width)] / shape.channels as f32
    };
    let mut values = Vec::with_capacity(grey.values.len());
    for y in 0..shape.time * shape.height {
        for x in 0..shape.width {
            let (mut right, mut below) = (0.0, 0.0);
            for (along, weight) in [(-1, 1.0), (0, 2.0), (1, 1.0)] {
                right += weight * (at(y, x, along, 1) - at(y, x, along, -1));
                below += weight * (at(y, x, 1, along) - at(y, x, -1, along));
            }
            values.push(f32::hypot(right, below));
        }
    }
    Heatmap { values, ..grey }
}

/// The picture after a Gaussian blur with a standard deviation of an eighth of its longer side, which keeps only large areas. The border is mirrored.
fn blurred(image: &[f32], shape: Shape) -> Vec<f32> {
    let deviation = shape.height.max(shape.width) as f64 / 8.0;
    let reach = (3.0 * deviation).ceil() as isize;
    let weight = |by: isize| (-(by as f64 / deviation).powi(2) / 2.0).exp();
    let weights: Vec<f64> = (-reach..=reach).map(weight).collect();
    let total: f64 = weights.iter().sum();
    let along = |image: &[f32], size: usize, interval: usize| -> Vec<f32> {
        let numbers = 0..image.len();
        let blurred = numbers.map(|i| {
            let place = i / interval % size;
            let line = i - place * interval;
            let taps = weights.iter().zip(-reach..);
            let sum: f64 = taps
                .map(|(weight, by)| {
                    let place = (place as isize + by).rem_euclid(2 * size as isize) as usize;
                    let mirrored = place.min(2 * size - 1 - place);
                    weight * f64::from(image[line + mirrored * interval])
                })
                .sum();
            (sum / total) as f32
        });
        blurred.collect()
    };
    let rows = along(image, shape.height, shape.width * shape.channels);
    along(&rows, shape.width, shape.channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blurred_picture_has_the_same_light_and_no_detail() {
        let shape = Shape::new(16, 24, 3);
        let even = vec![0.7; shape.len()];
        for value in blurred(&even, shape) {
            assert!((value - 0.7).abs() < 1e-6);
        }
        // A chessboard of ±1 in one channel, zeros in the others.
        let board = |i: usize| match (i % 3, (i / 3 / 24 + i / 3 % 24) % 2) {
            (0, 0) => 1.0,
            (0, _) => -1.0,
            _ => 0.0,
        };
        let board: Vec<f32> = (0..shape.len()).map(board).collect();
        for (i, value) in blurred(&board, shape).into_iter().enumerate() {
            assert!(
                value.abs() < if i % 3 == 0 { 0.05 } else { 1e-9 },
                "{i}: {value}"
            );
        }
    }

    #[test]
    fn edges_are_where_it_becomes_brighter_or_darker() {
        let shape = Shape::new(8, 9, 2);
        let step = |i: usize| if i / 2 % 9 >= 4 { 1.0 } else { 0.0 };
        let found = edges(&(0..shape.len()).map(step).collect::<Vec<f32>>(), shape);
        for (i, value) in found.values.iter().enumerate() {
            let is_edge = [3, 4].contains(&(i % 9));
            assert_eq!(*value, if is_edge { 4.0 } else { 0.0 });
        }
    }

    #[test]
    fn a_verdict_needs_both_directions_and_something_to_delete() {
        let areas = |map: f64| Areas {
            map,
            random: 0.5,
            edges: 0.4,
        };
        let verdict = |deletion: f64, insertion: f64, blurred: f64| {
            Deletion {
                deletion: areas(deletion),
                insertion: Areas {
                    edges: 0.6,
                    ..areas(insertion)
                },
                whole: 0.9,
                blurred,
            }
            .verdict()
        };
        assert_eq!(verdict(0.3, 0.7, 0.1), Verdict::Passes);
        assert_eq!(verdict(0.45, 0.7, 0.1), Verdict::NoBetterThanEdges);
        assert_eq!(verdict(0.3, 0.55, 0.1), Verdict::NoBetterThanEdges);
        assert_eq!(verdict(0.3, 0.5, 0.1), Verdict::NoBetterThanRandom);
        assert_eq!(verdict(0.6, 0.7, 0.1), Verdict::NoBetterThanRandom);
        assert_eq!(verdict(0.3, 0.7, 0.9), Verdict::Undecided);
    }

    #[test]
    fn probabilities_are_the_softmax_s() {
        let logits = [1.0, -2.0, 1000.0];
        assert_eq!(probability(&Score::of(2), &logits, 1.0), 1.0);
        assert_eq!(probability(&Score::of(0), &logits, 1.0), 0.0);
        let score = Score {
            class: 0,
            against: Some(1),
        };
        assert!((probability(&score, &logits, 1.0) - 1.0 / (1.0 + (-3f64).exp())).abs() < 1e-12);
    }
}
