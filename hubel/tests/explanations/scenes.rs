//! Scenes for which the cause of the label is known.
use std::ops::Range;

use hubel::{Dataset, Purpose, Random, Shape};

/// Pictures, with the rows and columns that decide the label of each.
pub(crate) struct Scenes {
    pub(crate) dataset: Dataset,
    pub(crate) decides: Vec<[Range<usize>; 2]>,
}

/// Two digits side by side; the left one is the label.
pub(crate) fn two_digits(digits: &Dataset, count: usize, seed: u64) -> Scenes {
    const SIDE: usize = 28;
    let random = Random::new(seed);
    let mut pixels = Vec::with_capacity(count * 2 * SIDE * SIDE);
    let mut labels = Vec::with_capacity(count);
    for scene in 0..count {
        let mut stream = random.stream(Purpose::Explain, 0, scene as u64);
        let [left, right] = [stream.below(digits.len()), stream.below(digits.len())];
        let bytes = |digit: usize| digits.bytes(digit).unwrap().expect("digits are bytes");
        let both = [bytes(left), bytes(right)];
        for row in 0..SIDE {
            (both.iter()).for_each(|digit| pixels.extend(&digit[row * SIDE..][..SIDE]));
        }
        labels.push(digits.labels()[left]);
    }
    let names = digits.classes().to_vec();
    let shape = Shape::new(SIDE, 2 * SIDE, 1);
    Scenes {
        dataset: Dataset::from_bytes("two digits", names, shape, pixels, labels).unwrap(),
        decides: vec![[0..SIDE, 0..SIDE]; count],
    }
}

/// Grey noise with a square of one colour at a random place; the colour is the label.
pub(crate) fn squares(count: usize, seed: u64) -> Scenes {
    const SIDE: usize = 32;
    const SQUARE: usize = 8;
    const COLOURS: [(&str, [u8; 3]); 4] = [
        ("red", [220, 60, 50]),
        ("green", [60, 170, 70]),
        ("blue", [60, 90, 210]),
        ("yellow", [220, 200, 60]),
    ];
    let random = Random::new(seed);
    let mut pixels = Vec::with_capacity(count * SIDE * SIDE * 3);
    let (mut labels, mut decides) = (Vec::new(), Vec::new());
    for scene in 0..count {
        let mut stream = random.stream(Purpose::Explain, 1, scene as u64);
        let colour = stream.below(COLOURS.len());
        let [top, left] = [0, 1].map(|_| stream.below(SIDE - SQUARE + 1));
        let place = [top..top + SQUARE, left..left + SQUARE];
        for y in 0..SIDE {
            for x in 0..SIDE {
                let grey = stream.below(256) as u8;
                let is_square = place[0].contains(&y) && place[1].contains(&x);
                pixels.extend(if is_square {
                    COLOURS[colour].1
                } else {
                    [grey; 3]
                });
            }
        }
        labels.push(colour);
        decides.push(place);
    }
    let names = COLOURS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let shape = Shape::new(SIDE, SIDE, 3);
    Scenes {
        dataset: Dataset::from_bytes("squares", names, shape, pixels, labels).unwrap(),
        decides,
    }
}
