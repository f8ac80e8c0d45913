//! Calibration: whether probabilities mean what they say. Of the answers given with 80 %, 80 % should be right.
use serde::Serialize;

use crate::evaluate::answers::Answers;
use crate::{Purpose, Random};

/// The answers in bins of equal width by confidence, and their expected calibration error (Guo et al. 2017).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Calibration {
    /// The bins, from confidence 0 to 1. Confidence 1 belongs to the last one.
    pub bins: Vec<Bin>,
    /// The expected calibration error: the mean of |confidence − accuracy| of the bins, weighted by their images. 0 without images.
    pub error: f64,
    /// What chance alone would give on these images: the error of a model whose probabilities are right, in 95 of 100 cases (consistency resampling, Bröcker and
    /// Smith 2007). An error above this range shows that the probabilities are wrong.
    pub by_chance: [f64; 2],
}

/// Answers of similar confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Bin {
    /// Number of images.
    pub count: usize,
    /// Mean confidence; 0 without images.
    pub confidence: f64,
    /// Share of right answers; 0 without images.
    pub accuracy: f64,
}

/// Number of bins, as in Guo et al.
const BINS: usize = 15;

/// How often answers of right probabilities are drawn.
const RESAMPLES: usize = 1000;

/// Fewer images give no temperature.
const FEWEST: usize = 50;

/// The temperatures among which the best is sought.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

impl Answers {
    /// The calibration in 15 bins.
    ///
    /// The error has no confidence interval: it is a sum of absolute values, so chance makes it larger, and no bootstrap undoes that. Of 95 % intervals, simulated for 300
    /// and 2,000 images, percentiles contain the true error of a calibrated model never, and the reflected bootstrap does so in 55 to 65 % of all cases.
    pub fn calibration(&self) -> Calibration {
        let alone: Vec<usize> = (0..self.len()).collect();
        self.calibration_by(&alone)
    }

    /// The same, where near-duplicates are right or wrong together. `groups` is [`Dataset::groups`](crate::Dataset::groups) of the data set that the answers are for.
    ///
    /// # Panics
    /// If `groups` is shorter than the data set.
    pub fn calibration_of_groups(&self, groups: &[usize]) -> Calibration {
        let groups = self.indices().iter().map(|index| groups[*index]);
        self.calibration_by(&groups.collect::<Vec<usize>>())
    }

    /// `groups` has the number of the group of the image at each place.
    fn calibration_by(&self, groups: &[usize]) -> Calibration {
        let confidence: Vec<f32> = (0..self.len())
            .map(|place| self.confidence(place))
            .collect();
        let right = (0..self.len()).map(|place| self.is_right(place));
        let bins = bins(confidence.iter().copied().zip(right));
        let mut stream = Random::new(0).stream(Purpose::Bootstrap, 0, 0);
        let mut draws = vec![0.0; groups.iter().max().map_or(0, |last| last + 1)];
        let mut errors: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                draws.fill_with(|| stream.uniform());
                let answers = std::iter::zip(&confidence, groups);
                let drawn =
                    answers.map(|(confidence, group)| (*confidence, draws[*group] < *confidence));
                error(&self::bins(drawn))
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        Calibration {
            error: error(&bins),
            by_chance: [0.025, 0.975].map(|share| errors[(share * RESAMPLES as f64) as usize]),
            bins,
        }
    }

    /// The temperature at which the mean cross-entropy of these answers is smallest (temperature scaling, Guo et al. 2017); `None` for fewer than 50 images.
    ///
    /// The targets are slightly softened, as in Platt 1999: of n images, the true class counts (n + 1)/(n + 2). Otherwise the temperature would be 0 where all
    /// answers are right, and the model would then claim to be always right.
    pub fn best_temperature(&self) -> Option<f32> {
        if self.len() < FEWEST {
            return None;
        }
        // The loss is convex in the inverse temperature: its slope has one zero, or none in the range.
        let (mut low, mut high) = (1.0 / TEMPERATURES[1], 1.0 / TEMPERATURES[0]);
        let mut inverse = 1.0;
        for _ in 0..100 {
            let (slope, curvature) = self.slope(inverse);
            match slope > 0.0 {
                true => high = inverse,
                false => low = inverse,
            }
            let newton = inverse - slope / curvature;
            let next = match newton > low && newton < high {
                true => newton,
                false => (low * high).sqrt(),
            };
            if (next / inverse - 1.0).abs() < 1e-9 {
                break;
            }
            inverse = next;
        }
        Some((1.0 / inverse) as f32)
    }

    /// The first and the second derivative of the mean cross-entropy with softened targets, by the inverse temperature.
    fn slope(&self, inverse: f64) -> (f64, f64) {
        let softened = 1.0 / (self.len() as f64 + 2.0);
        let (mut slope, mut curvature) = (0.0, 0.0);
        for place in 0..self.len() {
            let logits = self.logits(place);
            let largest = f64::from(logits[self.class(place)]);
            // Moments of the logits under the softmax.
            let (mut sum, mut first, mut second, mut all) = (0.0, 0.0, 0.0, 0.0);
            for &logit in logits {
                let logit = f64::from(logit) - largest;
                let weight = (inverse * logit).exp();
                sum += weight;
                first += weight * logit;
                second += weight * logit * logit;
                all += logit;
            }
            let (first, second) = (first / sum, second / sum);
            let own = f64::from(logits[self.labels()[place]]) - largest;
            let others = (all - own) / (self.classes() as f64 - 1.0).max(1.0);
            slope += first - (1.0 - softened) * own - softened * others;
            curvature += second - first * first;
        }
        (slope, curvature.max(f64::MIN_POSITIVE))
    }
}

/// Sorts answers (confidence, whether right) into bins.
fn bins(answers: impl Iterator<Item = (f32, bool)>) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); BINS];
    for (confidence, is_right) in answers {
        let confidence = f64::from(confidence);
        let place = ((confidence * BINS as f64) as usize).min(BINS - 1);
        let bin = &mut bins[place];
        bin.count += 1;
        bin.confidence += confidence;
        bin.accuracy += f64::from(u8::from(is_right));
    }
    for bin in &mut bins {
        let count = bin.count.max(1) as f64;
        bin.confidence /= count;
        bin.accuracy /= count;
    }
    bins
}

fn error(bins: &[Bin]) -> f64 {
    let count: usize = bins.iter().map(|bin| bin.count).sum();
    let sum: f64 = bins
        .iter()
        .map(|bin| bin.count as f64 * (bin.confidence - bin.accuracy).abs())
        .sum();
    sum / count.max(1) as f64
}
