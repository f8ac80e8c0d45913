//! Explanations by the gradient of a score by the picture: the gradient itself (Simonyan et al. 2013), its mean over noisy copies (SmoothGrad,
//! Smilkov et al. 2017), and its mean along the path from a baseline (integrated gradients, Sundararajan et al. 2017).
use std::fmt;

use super::{Explainer, Heatmap, Score};
use crate::{Purpose, Random};

/// An attribution of a score to the values of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    /// One value for each value of the picture, `[h, w, c]`.
    pub values: Vec<f32>,
    /// The sum over the channels at each pixel.
    pub heatmap: Heatmap,
}

impl Attribution {
    /// The largest magnitude over the channels at each pixel. The signs of neighbouring pixels alternate in a gradient and say little.
    pub fn magnitude(&self) -> Heatmap {
        let pixels = self.heatmap.values.len().max(1);
        let channels = self.values.len() / pixels;
        let largest = |pixel: &[f32]| {
            pixel
                .iter()
                .fold(0.0f32, |most, value| most.max(value.abs()))
        };
        Heatmap {
            values: self.values.chunks_exact(channels).map(largest).collect(),
            ..self.heatmap.clone()
        }
    }
}

/// The gradient of the score by the prepared picture `[h, w, c]`.
pub fn input_gradient(explainer: &mut Explainer, image: &[f32], score: &Score) -> Attribution {
    let fill = |_, to: &mut [f32]| to.copy_from_slice(image);
    mean_gradient(explainer, score, 1, fill, &|_, _| {})
}

/// SmoothGrad: the mean gradient over `samples` copies of the picture with normal noise. Its standard deviation is `noise` times the range of the
/// picture's values (0.1 to 0.2 in the paper). The same `seed` gives the same noise.
pub fn smooth_grad(
    explainer: &mut Explainer,
    image: &[f32],
    score: &Score,
    samples: usize,
    noise: f32,
    seed: u64,
) -> Attribution {
    let copies = Copies {
        samples,
        noise,
        seed,
    };
    smooth_grad_with(explainer, image, score, copies, &|_, _| {})
}

/// The noisy copies of [`smooth_grad`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Copies {
    /// Number of copies.
    pub samples: usize,
    /// Standard deviation of the noise, as a share of the range of the picture's values.
    pub noise: f32,
    /// Seed of the noise.
    pub seed: u64,
}

/// As [`smooth_grad`]; `progress` gets the number of copies done and the total.
pub fn smooth_grad_with(
    explainer: &mut Explainer,
    image: &[f32],
    score: &Score,
    copies: Copies,
    progress: &dyn Fn(usize, usize),
) -> Attribution {
    let (low, high) = (image.iter())
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
    let deviation = copies.noise * (high - low);
    let random = Random::new(copies.seed);
    let fill = |sample: usize, to: &mut [f32]| {
        let mut stream = random.stream(Purpose::Explain, 0, sample as u64);
        for (to, value) in to.iter_mut().zip(image) {
            *to = value + deviation * stream.normal();
        }
    };
    mean_gradient(explainer, score, copies.samples, fill, progress)
}

/// The result of [`integrated`], with its error.
#[derive(Clone, Debug, PartialEq)]
pub struct Integrated {
    /// (picture − baseline) · mean gradient between them.
    pub attribution: Attribution,
    /// Steps of the quadrature.
    pub steps: usize,
    /// score(picture) − score(baseline).
    pub difference: f64,
    /// The sum of the attribution; it equals `difference` if there are enough steps.
    pub sum: f64,
}

impl Integrated {
    /// Whether the sum is within 1 % of the difference, or within 0.01 logits.
    pub fn is_complete(&self) -> bool {
        (self.sum - self.difference).abs() <= (0.01 * self.difference.abs()).max(0.01)
    }
}

impl fmt::Display for Integrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            steps,
            difference,
            sum,
            ..
        } = self;
        match self.is_complete() {
            true => write!(
                f,
                "complete: its sum of {sum:.3} is the change of the score by {difference:.3} from the baseline ({steps} steps)"
            ),
            false => write!(
                f,
                "FAILS completeness: its sum is {sum:.3}, and the score changes by {difference:.3} from the baseline (after {steps} steps)"
            ),
        }
    }
}

/// Least and most steps of integrated gradients.
const STEPS: [usize; 2] = [64, 1024];

/// Integrated gradients from the constant picture `baseline` (in normalised values: 0 is the mean of the training pictures). The integral is
/// a Gauss–Legendre sum of 64 steps. The steps are doubled, up to 1,024, until the sum is [complete](Integrated::is_complete).
pub fn integrated(
    explainer: &mut Explainer,
    image: &[f32],
    score: &Score,
    baseline: f32,
) -> Integrated {
    integrated_with(explainer, image, score, baseline, &|_, _| {})
}

/// As [`integrated`]; `progress` gets the number of steps done and the total. It starts again when the steps are doubled.
pub fn integrated_with(
    explainer: &mut Explainer,
    image: &[f32],
    score: &Score,
    baseline: f32,
    progress: &dyn Fn(usize, usize),
) -> Integrated {
    let start = vec![baseline; image.len()];
    let difference = value(explainer, image, score) - value(explainer, &start, score);
    let mut steps = STEPS[0];
    loop {
        let attribution = path(explainer, image, score, baseline, steps, progress);
        let result = Integrated {
            sum: attribution.values.iter().copied().map(f64::from).sum(),
            attribution,
            steps,
            difference,
        };
        if result.is_complete() || steps >= STEPS[1] {
            return result;
        }
        steps *= 2;
    }
}

/// Integrated gradients with this number of steps.
pub fn integrated_in(
    explainer: &mut Explainer,
    image: &[f32],
    score: &Score,
    baseline: f32,
    steps: usize,
) -> Attribution {
    path(explainer, image, score, baseline, steps, &|_, _| {})
}

/// The integral on the straight path from the baseline to the picture.
fn path(
    explainer: &mut Explainer,
    image: &[f32],
    score: &Score,
    baseline: f32,
    steps: usize,
    progress: &dyn Fn(usize, usize),
) -> Attribution {
    let quadrature = gauss_legendre(steps);
    let at = |place: f64, value: f32| {
        let (from, to) = (f64::from(baseline), f64::from(value));
        (from + place * (to - from)) as f32
    };
    let weights: Vec<f64> = quadrature.iter().map(|(_, weight)| *weight).collect();
    let fill = |step: usize, to: &mut [f32]| {
        for (to, value) in to.iter_mut().zip(image) {
            *to = at(quadrature[step].0, *value);
        }
    };
    let mean = weighted_gradient(explainer, score, &weights, fill, progress);
    let values = mean.iter().zip(image);
    let values = values.map(|(mean, value)| (mean * f64::from(value - baseline)) as f32);
    attribution(explainer, values.collect())
}

/// The score of one picture.
fn value(explainer: &mut Explainer, image: &[f32], score: &Score) -> f64 {
    let batch = explainer.plan.batch();
    explainer.look(&image.repeat(batch));
    let classes = explainer.plan.outputs();
    f64::from(score.value(&explainer.logits()[..classes]))
}

fn mean_gradient(
    explainer: &mut Explainer,
    score: &Score,
    samples: usize,
    fill: impl FnMut(usize, &mut [f32]),
    progress: &dyn Fn(usize, usize),
) -> Attribution {
    let weights = vec![1.0 / samples as f64; samples];
    let mean = weighted_gradient(explainer, score, &weights, fill, progress);
    attribution(
        explainer,
        mean.into_iter().map(|value| value as f32).collect(),
    )
}

fn attribution(explainer: &Explainer, values: Vec<f32>) -> Attribution {
    let shape = explainer.nodes()[0].shape;
    Attribution {
        heatmap: Heatmap::sum_of_channels("", shape, &values),
        values,
    }
}

/// Σ weight · gradient over the pictures that `fill` writes, one per weight. Computed batch by batch, and summed in order.
fn weighted_gradient(
    explainer: &mut Explainer,
    score: &Score,
    weights: &[f64],
    mut fill: impl FnMut(usize, &mut [f32]),
    progress: &dyn Fn(usize, usize),
) -> Vec<f64> {
    let length = explainer.nodes()[0].shape.len();
    let batch = explainer.plan.batch();
    let mut images = vec![0.0; batch * length];
    let mut sums = vec![0.0; length];
    let count = weights.len();
    for (first, weights) in weights.chunks(batch).enumerate() {
        // Unused places of the last batch keep the pictures of the batch before.
        for (i, image) in images
            .chunks_exact_mut(length)
            .take(weights.len())
            .enumerate()
        {
            fill(first * batch + i, image);
        }
        explainer.look(&images);
        explainer.trace_back(score);
        let gradients = explainer.gradient(0).chunks_exact(length);
        for (gradient, weight) in gradients.zip(weights) {
            for (sum, value) in sums.iter_mut().zip(gradient) {
                *sum += weight * f64::from(*value);
            }
        }
        progress(first * batch + weights.len(), count);
    }
    sums
}

/// The nodes in (0, 1) and the weights of Gauss–Legendre quadrature with this number of steps: exact for polynomials of degree 2·steps − 1.
/// Newton's method finds the zeros of the Legendre polynomial.
fn gauss_legendre(steps: usize) -> Vec<(f64, f64)> {
    let n = steps as f64;
    (0..steps)
        .rev()
        .map(|i| {
            let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5)).cos();
            let mut slope = 0.0;
            for _ in 0..100 {
                let (mut before, mut here) = (1.0, x);
                for k in 2..=steps {
                    let k = k as f64;
                    let next = ((2.0 * k - 1.0) * x * here - (k - 1.0) * before) / k;
                    (before, here) = (here, next);
                }
                slope = n * (x * here - before) / (x * x - 1.0);
                let step = here / slope;
                x -= step;
                if step.abs() < 1e-15 {
                    break;
                }
            }
            (0.5 * (x + 1.0), 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::gauss_legendre;

    #[test]
    fn the_quadrature_is_exact_for_polynomials() {
        for steps in [1, 2, 3, 8, 64] {
            for degree in (0..2 * steps as i32).step_by(3) {
                let sum: f64 = (gauss_legendre(steps).iter())
                    .map(|(place, weight)| weight * place.powi(degree))
                    .sum();
                let exact = 1.0 / f64::from(degree + 1);
                assert!(
                    (sum - exact).abs() < 1e-12,
                    "{steps} steps, x^{degree}: {sum}"
                );
            }
        }
        // With two steps at 1/2 ± 1/√12.
        let places: Vec<f64> = gauss_legendre(2).iter().map(|(place, _)| *place).collect();
        assert!(
            (places[0] - (0.5 - 12f64.sqrt().recip())).abs() < 1e-15,
            "{places:?}"
        );
    }
}
