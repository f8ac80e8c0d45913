//! Finds copies of recordings, even if they have another format, rate or gain: a short description of each recording finds
//! candidates, and the correlation of their waveforms decides.
use realfft::RealFftPlanner;

use super::Spectrogram;
use super::length::loudest;
use super::resample::Resampler;

/// Slices of time.
const SLICES: usize = 32;

/// Bands of frequency.
const BANDS: usize = 16;

/// The bands cover telephone speech, so recordings at all rates from 8 kHz on have them.
const RANGE: [f32; 2] = [150.0, 3400.0];

/// Powers this far below the mean count as this: codecs replace quieter ones by others.
const QUIETEST: f32 = 1e-3;

/// The slices lie between the times at which this share of the energy is over, and the same share is left: unlike the first
/// and last sounds, these times hardly change by a codec.
const EDGE: f64 = 0.01;

/// Two recordings with a smaller distance may be copies. Of 1000 spoken digits at 8 kHz, 991 copies by MP3 at half the
/// amplitude have one; of the pairs of 3000 different ones, 1 in 1500.
pub(crate) const CANDIDATE_DISTANCE: f32 = 0.04;

/// Two recordings with a greater correlation are copies. The same 1000 copies by MP3 have 0.87 or more; the 2885 candidates
/// among different digits have 0.76 or less.
pub(crate) const COPY_CORRELATION: f32 = 0.83;

/// Of longer recordings, only this many seconds are correlated, the loudest.
const CORRELATED_SECONDS: usize = 20;

/// Two recordings are compared if their lengths differ by less than this share.
const LENGTH_TOLERANCE: f32 = 0.08;

/// The shape of a recording's energy in time and frequency.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fingerprint {
    /// Length in seconds, without the ends that have little energy. A list that is sorted by it has copies close together.
    pub(crate) seconds: f32,
    /// Logarithms of energy, `[BANDS, SLICES]`, with mean 0 and a sum of squares of 1.
    cells: Vec<f32>,
}

impl Fingerprint {
    /// The fingerprint of `samples` at `rate` Hz; `None` if they are all 0, or the rate is below 7 kHz.
    pub(crate) fn of(samples: &[f32], rate: u32) -> Option<Self> {
        let settings = Spectrogram {
            window: (rate / 31) as usize,
            hop: (rate / 250) as usize,
            bands: BANDS,
            lowest: RANGE[0],
            highest: RANGE[1],
            ..Spectrogram::at(rate)
        };
        let frames = settings.frames(samples.len());
        let mut power = vec![0.0; BANDS * frames];
        settings.plan().ok()?.power(samples, &mut power);
        let loudness: Vec<f64> = (0..frames)
            .map(|frame| {
                power[frame..]
                    .iter()
                    .step_by(frames)
                    .map(|power| f64::from(*power))
                    .sum()
            })
            .collect();
        let total: f64 = loudness.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return None;
        }
        let [start, end] = [EDGE, 1.0 - EDGE].map(|share| time_of(&loudness, share * total));
        let width = (end - start) / SLICES as f64;
        let mut cells: Vec<f32> = power
            .chunks_exact(frames)
            .flat_map(|band| {
                (0..SLICES).map(move |slice| slice_mean(band, start + slice as f64 * width, width))
            })
            .collect();
        let floor = QUIETEST * cells.iter().sum::<f32>() / cells.len() as f32;
        cells
            .iter_mut()
            .for_each(|cell| *cell = (*cell + floor).ln());
        let mean = cells.iter().sum::<f32>() / cells.len() as f32;
        cells.iter_mut().for_each(|cell| *cell -= mean);
        let norm = cells.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
        cells
            .iter_mut()
            .for_each(|cell| *cell /= norm.max(f32::MIN_POSITIVE));
        Some(Self {
            seconds: ((end - start) * settings.hop as f64 / f64::from(rate)) as f32,
            cells,
        })
    }

    /// 0 for equal recordings, 1 for unrelated ones, at most 2: one minus the correlation. Infinite if the lengths differ.
    pub(crate) fn distance(&self, other: &Self) -> f32 {
        let longest = self.seconds.max(other.seconds);
        if (self.seconds - other.seconds).abs() > LENGTH_TOLERANCE * longest {
            return f32::INFINITY;
        }
        1.0 - self
            .cells
            .iter()
            .zip(&other.cells)
            .map(|(a, b)| a * b)
            .sum::<f32>()
    }

    /// Whether the two recordings may be copies, which [`correlation`] can decide.
    pub(crate) fn is_candidate(&self, other: &Self) -> bool {
        self.distance(other) < CANDIDATE_DISTANCE
    }
}

/// The position at which the running sum of `values` reaches `wanted`, in values, linear within one.
fn time_of(values: &[f64], wanted: f64) -> f64 {
    let mut sum = 0.0;
    for (i, value) in values.iter().enumerate() {
        if sum + value >= wanted && *value > 0.0 {
            return i as f64 + (wanted - sum) / value;
        }
        sum += value;
    }
    values.len() as f64
}

/// The mean of `values` from `start` on. The first and the last value count by their share.
fn slice_mean(values: &[f32], start: f64, width: f64) -> f32 {
    let end = start + width;
    let mut sum = 0.0;
    for (i, value) in values.iter().enumerate().skip(start as usize) {
        let share = (i as f64 + 1.0).min(end) - (i as f64).max(start);
        if share <= 0.0 {
            break;
        }
        sum += share * f64::from(*value);
    }
    (sum / width.max(f64::MIN_POSITIVE)) as f32
}

/// A recording to compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waveform<'a> {
    /// Mono samples.
    pub(crate) samples: &'a [f32],
    /// Samples per second.
    pub(crate) rate: u32,
}

/// The greatest absolute correlation of two waveforms over all shifts in time, 0 to 1, at the lower of their rates: above
/// [`COPY_CORRELATION`] for copies, even by MP3. Before, each product of frequencies is divided by the root of its size
/// (Knapp and Carter, 1976, in part), or one strong low tone would decide. Of recordings longer than 20 s, the loudest 20 s
/// are compared. Takes less than a millisecond for each second of sound at 8 kHz.
///
/// # Errors
/// If a rate is 0.
pub(crate) fn correlation(a: Waveform<'_>, b: Waveform<'_>) -> Result<f32, String> {
    let rate = a.rate.min(b.rate);
    let prepared = |waveform: Waveform<'_>| -> Result<Vec<f32>, String> {
        let samples = waveform.samples;
        let length = samples
            .len()
            .min(CORRELATED_SECONDS * waveform.rate as usize);
        let stretch = &samples[loudest(samples, length)..][..length];
        Ok(Resampler::new(waveform.rate, rate)?.resample(stretch))
    };
    let [a, b] = [prepared(a)?, prepared(b)?];
    let size = (a.len() + b.len()).next_power_of_two().max(2);
    let mut planner = RealFftPlanner::<f32>::new();
    let forward = planner.plan_fft_forward(size);
    let inverse = planner.plan_fft_inverse(size);
    let spectrum = |samples: &[f32]| {
        let mut input = forward.make_input_vec();
        input[..samples.len()].copy_from_slice(samples);
        let mut output = forward.make_output_vec();
        forward.process(&mut input, &mut output).map(|()| output)
    };
    let failed = |error: realfft::FftError| error.to_string();
    let mut product = spectrum(&a).map_err(failed)?;
    let other = spectrum(&b).map_err(failed)?;
    let mut sum = 0.0;
    for (i, (value, other)) in product.iter_mut().zip(&other).enumerate() {
        *value *= other.conj();
        let weight = value.norm().sqrt();
        *value /= weight.max(f32::MIN_POSITIVE);
        // All frequencies but the first and the last exist twice, as in the inverse.
        let times = if i == 0 || 2 * i == size { 1.0 } else { 2.0 };
        sum += times * f64::from(value.norm());
    }
    if sum == 0.0 {
        return Ok(0.0);
    }
    // Rounding errors here would make the inverse fail: these two are real.
    let last = product.len() - 1;
    product[0].im = 0.0;
    product[last].im = 0.0;
    let mut correlations = inverse.make_output_vec();
    inverse
        .process(&mut product, &mut correlations)
        .map_err(failed)?;
    let largest = correlations
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    Ok((f64::from(largest) / sum) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gliding tone with overtones and pauses; `seed` chooses its melody.
    fn melody(seed: u32, rate: u32) -> Vec<f32> {
        (0..rate)
            .map(|i| {
                let time = f64::from(i) / f64::from(rate);
                let seed = f64::from(seed);
                let phase = 250.0 * time + 20.0 * (seed + 3.0 * seed * time).sin();
                let loudness = (0.3 + (9.0 * time + seed).sin()).max(0.0) * (1.0 - time);
                let tones = (1..6)
                    .map(|k| (std::f64::consts::TAU * f64::from(k) * phase).sin() / f64::from(k));
                (0.3 * loudness * tones.sum::<f64>()) as f32
            })
            .collect()
    }

    #[test]
    fn copies_are_found_by_both_steps() {
        let original = melody(1, 8000);
        let print = Fingerprint::of(&original, 8000).unwrap();
        let quieter: Vec<f32> = original.iter().map(|sample| 0.25 * sample).collect();
        let mut padded = vec![0.0; 500];
        padded.extend(&original);
        let other_rate = Resampler::new(8000, 22_050).unwrap().resample(&original);
        for (samples, rate) in [(quieter, 8000), (padded, 8000), (other_rate, 22_050)] {
            assert!(
                print.is_candidate(&Fingerprint::of(&samples, rate).unwrap()),
                "{rate}"
            );
            let [a, b] = [(&original, 8000), (&samples, rate)]
                .map(|(samples, rate)| Waveform { samples, rate });
            assert!(correlation(a, b).unwrap() > 0.95, "{rate}");
        }
    }

    #[test]
    fn different_recordings_are_no_copies() {
        let all: Vec<_> = (1..9).map(|seed| melody(seed, 8000)).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[..i] {
                let prints = [a, b].map(|samples| Fingerprint::of(samples, 8000).unwrap());
                assert!(!prints[0].is_candidate(&prints[1]));
                let [a, b] = [a, b].map(|samples| Waveform {
                    samples,
                    rate: 8000,
                });
                assert!(correlation(a, b).unwrap() < 0.6);
            }
        }
    }

    #[test]
    fn silence_and_low_rates_have_no_fingerprint() {
        assert_eq!(Fingerprint::of(&[0.0; 1000], 8000), None);
        assert_eq!(Fingerprint::of(&[], 8000), None);
        assert_eq!(Fingerprint::of(&[0.5; 1000], 2000), None);
    }
}
