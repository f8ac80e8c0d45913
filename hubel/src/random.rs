//! Counter-based random numbers. Each depends only on (seed, purpose, epoch, sample, position),
//! so no thread, run or new feature can change the numbers of another.

/// The purpose of a stream of random numbers. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Initial values of the parameters.
    Initialise,
    /// The order of the samples in an epoch.
    Shuffle,
    /// Which activations dropout sets to zero.
    Dropout,
    /// Augmentation.
    Augment,
    /// Which samples are held out for validation.
    Split,
    /// Noise and random choices of explanations.
    Explain,
    /// The pictures of an experiment, and their changes.
    Experiment,
    /// The contents of a drawn scene.
    Scene,
    /// How the pictures of a batch are mixed with each other.
    Mix,
    /// Which images a resample of the bootstrap, or another sample of a data set, has.
    Bootstrap,
    /// Which pictures an examination looks at.
    Examine,
    /// The pictures on which an exported file is compared with its model.
    Export,
}

impl Purpose {
    /// The code of a purpose, part of every random number. It never changes, so that old seeds give the same numbers.
    fn code(self) -> u64 {
        match self {
            Self::Initialise => 1,
            Self::Shuffle => 2,
            Self::Dropout => 3,
            Self::Augment => 4,
            Self::Split => 5,
            Self::Explain => 6,
            Self::Experiment => 7,
            Self::Scene => 8,
            Self::Mix => 9,
            Self::Bootstrap => 10,
            Self::Examine => 11,
            Self::Export => 12,
        }
    }
}

/// The source of all random numbers of a run. Any stream can be opened at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    seed: u64,
}

impl Random {
    /// The source with this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed.
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// The stream for one purpose, epoch and sample (or layer, or another index); always the same.
    pub fn stream(self, purpose: Purpose, epoch: u64, sample: u64) -> Stream {
        let mut key = mix(self.seed.wrapping_add(GAMMA));
        for word in [purpose.code(), epoch, sample] {
            key = mix(key
                .wrapping_mul(MULTIPLIER)
                .wrapping_add(word)
                .wrapping_add(GAMMA));
        }
        Stream {
            start: key,
            mask: mix(key ^ GAMMA),
            counter: 0,
        }
    }
}

/// One stream of random numbers; its n-th number is a function of the key and n.
#[derive(Clone, Debug)]
pub struct Stream {
    start: u64,
    mask: u64,
    counter: u64,
}

impl Stream {
    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let position = self.counter.wrapping_mul(GAMMA);
        self.counter = self.counter.wrapping_add(1);
        // Without the mask between two rounds, streams whose starts lie on one orbit of GAMMA would share numbers.
        mix(mix(self.start.wrapping_add(position)) ^ self.mask)
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻²⁴ (every such number is an exact f32).
    #[inline]
    pub fn uniform(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 * (1.0 / (1u64 << 24) as f32)
    }

    /// Normal with mean 0 and variance 1 (Box and Muller, 1958), computed in f64.
    #[inline]
    pub fn normal(&mut self) -> f32 {
        self.normal_f64() as f32
    }

    #[inline]
    fn normal_f64(&mut self) -> f64 {
        let radius = self.positive();
        let angle = (self.next_u64() >> 11) as f64 * UNIT;
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Uniform in `(0, 1]`, so that its logarithm is finite.
    #[inline]
    fn positive(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 * UNIT
    }

    /// Beta distributed with these parameters, in `[0, 1]`: X / (X + Y) with X and Y gamma distributed. For tiny parameters nearly all values
    /// are 0 or 1. Takes a random number of steps along the stream.
    ///
    /// # Panics
    /// If a parameter is not positive and finite.
    pub fn beta(&mut self, alpha: f64, beta: f64) -> f64 {
        let (first, second) = (self.ln_gamma_variate(alpha), self.ln_gamma_variate(beta));
        1.0 / (1.0 + (second - first).exp())
    }

    /// The logarithm of a gamma distributed number of this shape and scale 1 (Marsaglia and Tsang 2000). The logarithm, because for small
    /// shapes most numbers are too small for f64.
    fn ln_gamma_variate(&mut self, shape: f64) -> f64 {
        assert!(
            shape > 0.0 && shape.is_finite(),
            "{shape} is no shape of a gamma distribution"
        );
        // A shape below 1 is computed from the shape plus 1, as in their section 6.
        let boost = match shape < 1.0 {
            true => self.positive().ln() / shape,
            false => 0.0,
        };
        let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        // Each turn succeeds with a probability of more than 0.95.
        loop {
            let normal = self.normal_f64();
            let root = 1.0 + c * normal;
            if root <= 0.0 {
                continue;
            }
            let ln_cube = 3.0 * root.ln();
            let limit = 0.5 * normal * normal + d * (1.0 - ln_cube.exp() + ln_cube);
            if self.positive().ln() < limit {
                return d.ln() + ln_cube + boost;
            }
        }
    }

    /// An integer in `0..bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "no number lies below 0");
        // The bias is below bound/2⁶⁴, too small to notice.
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// 2⁻⁵³: the distance of the numbers in [0, 1) that f64 represents evenly.
const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
/// 2⁶⁴ divided by the golden ratio, odd: the step of SplitMix64 (Steele, Lea and Flood, 2014).
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
/// Multiplier of Knuth's MMIX generator; makes (epoch, sample) differ from (sample, epoch).
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// The finaliser of SplitMix64: a bijection in which every bit of the input reaches every bit of the result.
#[inline]
fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64]) -> (f64, f64) {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / values.len() as f64;
        (mean, variance)
    }

    #[test]
    fn uniform_and_normal_have_their_moments_along_a_stream_and_across_streams() {
        let count = 200_000;
        let random = Random::new(7);
        let mut one = random.stream(Purpose::Initialise, 0, 0);
        let along: Vec<f64> = (0..count).map(|_| f64::from(one.uniform())).collect();
        let across: Vec<f64> = (0..count)
            .map(|sample| f64::from(random.stream(Purpose::Dropout, 3, sample).uniform()))
            .collect();
        let seeds: Vec<f64> = (0..count)
            .map(|seed| f64::from(Random::new(seed).stream(Purpose::Split, 0, 0).uniform()))
            .collect();
        for values in [along, across, seeds] {
            assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
            let (mean, variance) = moments(&values);
            // Four standard deviations of the mean of a uniform: 4·√(1/12/count) = 0.0026.
            assert!((mean - 0.5).abs() < 0.0026, "{mean}");
            assert!((variance - 1.0 / 12.0).abs() < 0.001, "{variance}");
        }
        let normal: Vec<f64> = (0..count).map(|_| f64::from(one.normal())).collect();
        let (mean, variance) = moments(&normal);
        assert!(mean.abs() < 0.009 && (variance - 1.0).abs() < 0.013);
        let fourth = normal.iter().map(|value| value.powi(4)).sum::<f64>() / count as f64;
        assert!((fourth - 3.0).abs() < 0.1, "{fourth}");
        assert!(normal.iter().all(|value| value.is_finite()));
    }

    /// The moments of a symmetric beta distribution: mean 1/2, variance 1/(4(2α + 1)), fourth central moment 3/(16(2α + 1)(2α + 3)).
    #[test]
    fn beta_has_its_moments_from_tiny_to_large_parameters() {
        let count = 100_000;
        for alpha in [0.001, 0.2, 0.5, 1.0, 1.7, 4.0, 50.0] {
            let mut stream = Random::new(5).stream(Purpose::Mix, 1, 2);
            let values: Vec<f64> = (0..count).map(|_| stream.beta(alpha, alpha)).collect();
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
            let (mean, variance) = moments(&values);
            let exact = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            let fourth = 3.0 / (16.0 * (2.0 * alpha + 1.0) * (2.0 * alpha + 3.0));
            let root = f64::from(count).sqrt();
            // Four standard deviations of the mean, and of the variance.
            assert!((mean - 0.5).abs() < 4.0 * exact.sqrt() / root, "{mean}");
            let spread = (fourth - exact * exact).max(0.0).sqrt() + 1e-6;
            assert!(
                (variance - exact).abs() < 4.0 * spread / root + 1e-5,
                "{alpha}: {variance}, not {exact}"
            );
        }
        // Mean a/(a + b), variance ab/((a + b)²(a + b + 1)).
        let mut stream = Random::new(6).stream(Purpose::Mix, 1, 2);
        let values: Vec<f64> = (0..count).map(|_| stream.beta(0.5, 3.0)).collect();
        let (mean, variance) = moments(&values);
        assert!((mean - 1.0 / 7.0).abs() < 0.002, "{mean}");
        assert!((variance - 1.5 / (12.25 * 4.5)).abs() < 0.001, "{variance}");
    }

    #[test]
    fn one_changed_input_bit_changes_half_of_the_output_bits() {
        let first = |seed, epoch, sample| {
            Random::new(seed)
                .stream(Purpose::Shuffle, epoch, sample)
                .next_u64()
        };
        let reference = first(1, 2, 3);
        let mut flipped = 0;
        for bit in 0..64 {
            flipped += (first(1 ^ (1 << bit), 2, 3) ^ reference).count_ones();
            flipped += (first(1, 2 ^ (1 << bit), 3) ^ reference).count_ones();
            flipped += (first(1, 2, 3 ^ (1 << bit)) ^ reference).count_ones();
        }
        let share = f64::from(flipped) / (3.0 * 64.0 * 64.0);
        assert!((share - 0.5).abs() < 0.02, "{share}");
        assert_ne!(first(1, 2, 3), first(1, 3, 2));
    }

    #[test]
    fn the_same_key_gives_the_same_numbers_and_another_purpose_gives_others() {
        let draw = |purpose| {
            let mut stream = Random::new(1).stream(purpose, 4, 9);
            [stream.next_u64(), stream.next_u64(), stream.next_u64()]
        };
        assert_eq!(draw(Purpose::Dropout), draw(Purpose::Dropout));
        assert_ne!(draw(Purpose::Dropout), draw(Purpose::Augment));
    }

    #[test]
    fn below_reaches_every_number_equally_and_shuffle_every_order() {
        let mut stream = Random::new(3).stream(Purpose::Shuffle, 0, 0);
        let mut counts = [0usize; 7];
        for _ in 0..70_000 {
            counts[stream.below(7)] += 1;
        }
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 450),
            "{counts:?}"
        );
        let mut orders = std::collections::HashMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            stream.shuffle(&mut items);
            *orders.entry(items).or_insert(0usize) += 1;
        }
        assert_eq!(orders.len(), 24);
        assert!(
            orders.values().all(|count| count.abs_diff(1_000) < 160),
            "{orders:?}"
        );
    }
}
