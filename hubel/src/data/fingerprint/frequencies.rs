//! The low frequencies of a thumbnail, which find similar pictures without comparing all pairs.
use std::sync::LazyLock;

/// Cells of the thumbnail along each side.
const SIDE: usize = 16;
/// Bits of a key.
pub(super) const BITS: usize = 16;
/// Keys of a picture.
pub(super) const KEYS: usize = 4;
/// Number of lowest frequencies whose values are compared.
const COMPARED: usize = 24;
/// Four keys from the signs of the 64 lowest frequencies of a cosine transform, lowest first (a perceptual hash as in Zauner,
/// "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), and the values of the lowest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frequencies {
    pub(super) keys: [u16; KEYS],
    /// The bits of each key that may differ in a copy.
    unsure: [u16; KEYS],
    /// The lowest frequencies, scaled so that the length of all of them is 127.
    values: [i8; COMPARED],
}

impl Frequencies {
    /// `unsure_bits` is the number of bits of each key that may differ in a copy: those whose frequencies are nearest to 0.
    pub(super) fn new(grey: &[u8; SIDE * SIDE], unsure_bits: usize) -> Self {
        let values = transform(grey);
        let (mut keys, mut unsure) = ([0; KEYS], [0; KEYS]);
        for (key, values) in values.chunks_exact(BITS).enumerate() {
            let mut bits: [usize; BITS] = std::array::from_fn(|bit| bit);
            bits.sort_unstable_by_key(|&bit| (values[bit].abs(), bit));
            keys[key] = (0..BITS).fold(0, |key, bit| key | u16::from(values[bit] > 0) << bit);
            unsure[key] = bits[..unsure_bits]
                .iter()
                .fold(0, |mask, bit| mask | 1 << bit);
        }
        // Integers far below 2⁵³ are exact, and a square root is rounded in one way.
        let squares = values[..COMPARED]
            .iter()
            .map(|&value| (value as f64) * (value as f64));
        let length = squares.sum::<f64>().sqrt().max(1.0);
        Self {
            keys,
            unsure,
            values: std::array::from_fn(|place| {
                (127.0 * values[place] as f64 / length).round() as i8
            }),
        }
    }

    /// The possible values of key number `key` in a copy.
    pub(super) fn probes(&self, key: usize) -> impl Iterator<Item = u16> {
        let (own, mask) = (self.keys[key], self.unsure[key]);
        // All subsets of a mask, from the whole to none.
        let mut next = Some(mask);
        std::iter::from_fn(move || {
            let subset = next?;
            next = (subset > 0).then(|| (subset - 1) & mask);
            Some(own ^ subset)
        })
    }

    /// Whether `other` has one of the [`probes`](Self::probes) of this.
    pub(super) fn reaches(&self, other: &Self, key: usize) -> bool {
        (self.keys[key] ^ other.keys[key]) & !self.unsure[key] == 0
    }

    /// The signs of the lowest frequencies.
    pub(super) fn signs(&self) -> Signs {
        let bits = |is_set: &dyn Fn(i8) -> bool| {
            let places = self.values.iter().enumerate();
            places.fold(0, |bits, (place, &value)| {
                bits | u32::from(is_set(value)) << place
            })
        };
        Signs {
            positive: bits(&|value| value > 0),
            sure: bits(&|value| value.unsigned_abs() >= Signs::SURE),
        }
    }

    /// The squared distance of the lowest frequencies, each of length 127.
    pub(super) fn distance(&self, other: &Self) -> u32 {
        let differences = self.values.iter().zip(&other.values);
        differences
            .map(|(&one, &other)| {
                let difference = i32::from(one) - i32::from(other);
                (difference * difference) as u32
            })
            .sum()
    }
}

/// The signs of the lowest frequencies, and which of them are far from 0. These alone show for most pairs that they are too far apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs {
    positive: u32,
    sure: u32,
}

impl Signs {
    /// Values from this magnitude on are far from 0.
    const SURE: u8 = 16;

    /// A lower bound of [`Frequencies::distance`]: the distance of values with different signs is the sum of their magnitudes.
    pub(super) fn distance(self, other: Self) -> u32 {
        let turned = self.positive ^ other.positive;
        let (both, any) = (self.sure & other.sure, self.sure | other.sure);
        let step = u32::from(Self::SURE).pow(2);
        // (a + b)² is at least a² + 3·a² if b is not less than a.
        step * ((turned & any).count_ones() + 3 * (turned & both).count_ones())
    }
}

/// The 64 lowest frequencies without the mean, from the lowest to the highest.
fn transform(grey: &[u8; SIDE * SIDE]) -> [i64; KEYS * BITS] {
    const FREQUENCIES: usize = 9;
    /// cos(π·k·(2x + 1)/32), times 2¹².
    static COSINES: LazyLock<[[i16; SIDE]; FREQUENCIES]> = LazyLock::new(|| {
        std::array::from_fn(|frequency| {
            std::array::from_fn(|place| {
                let angle =
                    std::f64::consts::PI * (frequency * (2 * place + 1)) as f64 / (2 * SIDE) as f64;
                (angle.cos() * 4096.0).round() as i16
            })
        })
    });
    static ORDER: LazyLock<Vec<(usize, usize)>> = LazyLock::new(|| {
        let all =
            (1..FREQUENCIES * FREQUENCIES).map(|place| (place / FREQUENCIES, place % FREQUENCIES));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|&(down, across)| (down * down + across * across, down));
        all
    });
    let cosines = &*COSINES;
    let mut along = [[0i32; SIDE]; FREQUENCIES];
    for (row, line) in grey.chunks_exact(SIDE).enumerate() {
        let line: [i16; SIDE] = std::array::from_fn(|column| i16::from(line[column]));
        for (frequency, cosines) in cosines.iter().enumerate() {
            along[frequency][row] = line
                .iter()
                .zip(cosines)
                .map(|(&level, &cosine)| i32::from(level) * i32::from(cosine))
                .sum();
        }
    }
    let order = &*ORDER;
    std::array::from_fn(|place| {
        let (down, across) = order[place];
        let products = along[across].iter().zip(&cosines[down]);
        products
            .map(|(&sum, &cosine)| i64::from(sum) * i64::from(cosine))
            .sum()
    })
}
