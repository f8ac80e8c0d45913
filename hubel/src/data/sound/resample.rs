//! Resamples mono recordings.
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Samples of one block on the side with the higher rate, at least. Longer blocks make a steeper filter. With these, sines up
/// to 0.95 of the lower Nyquist frequency lose less than 0.01 dB, and those from 1.02 of it on are below −135 dB, measured
/// for 44.1 and 48 kHz to 8 and 16 kHz.
const BLOCK: usize = 4096;

/// Resamples whole recordings from one rate to another: a low-pass filter by FFT, whose delay is compensated.
///
/// The same samples give the same result on the same processor. Other processors use other vector instructions, so their
/// last bits may differ.
pub(crate) struct Resampler {
    from: u32,
    to: u32,
    /// `None` if the rates are equal.
    filter: Option<Fft<f32>>,
}

impl Resampler {
    /// Plans the filter from `from` to `to` Hz. Costs some milliseconds, so keep it for many recordings.
    ///
    /// # Errors
    /// If a rate is 0.
    pub(crate) fn new(from: u32, to: u32) -> Result<Self, String> {
        let filter = match from == to && from > 0 {
            true => None,
            false => Some(Self::filter(from as usize, to as usize)?),
        };
        Ok(Self { from, to, filter })
    }

    fn filter(from: usize, to: usize) -> Result<Fft<f32>, String> {
        let divisor = greatest_common_divisor(from, to).max(1);
        let [step_from, step_to] = [from, to].map(|rate| rate / divisor);
        // An even block: the filter of an odd one delays by half a sample more than it says (rubato 5.1).
        let steps = BLOCK
            .div_ceil(step_from.max(step_to).max(1))
            .next_multiple_of(2);
        let block = (steps * step_from).max(1);
        Fft::new_custom(
            from,
            to,
            block,
            1,
            1,
            WindowFunction::BlackmanHarris2,
            FixedSync::Input,
        )
        .map_err(|error| format!("cannot resample from {from} to {to} Hz: {error}"))
    }

    /// Number of samples that [`resample`](Self::resample) makes of `samples`: rounded, halves up.
    pub(crate) fn length(&self, samples: usize) -> usize {
        let [from, to] = [self.from, self.to].map(u128::from);
        let doubled = 2 * samples as u128 * to + from;
        (doubled / (2 * from)) as usize
    }

    /// The recording at the new rate. A click stays at its time.
    pub(crate) fn resample(&mut self, samples: &[f32]) -> Vec<f32> {
        let length = self.length(samples.len());
        let Some(filter) = &mut self.filter else {
            return samples.to_vec();
        };
        if samples.is_empty() {
            return Vec::new();
        }
        let mut resampled = InterleavedSlice::new(samples, 1, samples.len())
            .ok()
            .and_then(|input| filter.process_all(&input, samples.len(), None).ok())
            .map(|output| output.take_data())
            .expect("the buffer has the length that it is said to have");
        resampled.resize(length, 0.0);
        resampled
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(rate: u32, hertz: f64, length: usize) -> Vec<f32> {
        (0..length)
            .map(|i| (TAU * hertz * i as f64 / f64::from(rate) + 0.3).sin() as f32)
            .collect()
    }

    /// Pairs of rates that people have.
    const PAIRS: [(u32, u32); 9] = [
        (8000, 16_000),
        (16_000, 8000),
        (44_100, 16_000),
        (48_000, 16_000),
        (22_050, 16_000),
        (44_100, 48_000),
        (11_025, 16_000),
        (96_000, 44_100),
        (16_000, 22_050),
    ];

    #[test]
    fn a_sine_keeps_its_frequency_and_phase() {
        for (from, to) in PAIRS {
            let hertz = 0.9 * f64::from(from.min(to)) / 2.0;
            for hertz in [440.0, hertz] {
                let output =
                    Resampler::new(from, to)
                        .unwrap()
                        .resample(&sine(from, hertz, from as usize));
                let wanted = sine(to, hertz, output.len());
                assert_eq!(output.len(), to as usize);
                // The ends ring, because the sine starts and ends suddenly.
                let edge = to as usize / 5;
                let worst = output[edge..output.len() - edge]
                    .iter()
                    .zip(&wanted[edge..])
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(worst < 0.01, "{from} to {to}, {hertz} Hz: {worst}");
            }
        }
    }

    #[test]
    fn frequencies_above_the_limit_vanish() {
        for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
            for above in [1.02, 1.1, 1.5] {
                let hertz = above * f64::from(to) / 2.0;
                if hertz >= f64::from(from) / 2.0 {
                    continue;
                }
                let output =
                    Resampler::new(from, to)
                        .unwrap()
                        .resample(&sine(from, hertz, from as usize));
                let edge = to as usize / 5;
                let peak = output[edge..output.len() - edge]
                    .iter()
                    .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
                let decibels = 20.0 * peak.log10();
                assert!(
                    decibels < -60.0,
                    "{from} to {to}, {hertz} Hz: {decibels} dB"
                );
            }
        }
    }

    #[test]
    fn a_click_stays_in_its_place() {
        for (from, to) in PAIRS {
            let mut resampler = Resampler::new(from, to).unwrap();
            for at in [0, 100, 5000, 7990] {
                let mut click = vec![0.0; 8000];
                click[at] = 1.0;
                let output = resampler.resample(&click);
                let largest =
                    (0..output.len()).max_by(|&a, &b| output[a].abs().total_cmp(&output[b].abs()));
                let wanted = at as f64 * f64::from(to) / f64::from(from);
                let shift = (largest.unwrap() as f64 - wanted).abs();
                assert!(shift <= 1.0, "{from} to {to}, {at}: {shift}");
            }
        }
    }

    #[test]
    fn lengths_are_rounded_and_results_repeat() {
        for (from, to) in PAIRS {
            let mut resampler = Resampler::new(from, to).unwrap();
            for length in [0, 1, 2, 3, 1000, 4097, 20_001] {
                let input = sine(from, 440.0, length);
                let output = resampler.resample(&input);
                let exact = length as f64 * f64::from(to) / f64::from(from);
                assert_eq!(output.len(), (exact + 0.5).floor() as usize);
                assert_eq!(output, Resampler::new(from, to).unwrap().resample(&input));
            }
        }
        let same = sine(8000, 440.0, 100);
        assert_eq!(Resampler::new(8000, 8000).unwrap().resample(&same), same);
        assert!(Resampler::new(0, 8000).is_err() && Resampler::new(0, 0).is_err());
    }
}
