//! Random changes to recordings and spectrograms. All randomness comes from the caller: a `draw` is uniform in [0, 1).

/// Moves the recording by up to ±`most` of its length, `most` in [0, 1]: a `draw` of 0 means earliest, 0.5 unmoved. Zeros
/// fill the gap.
pub(crate) fn shift(samples: &mut [f32], most: f32, draw: f32) {
    let offset = f64::from(most) * (2.0 * f64::from(draw) - 1.0) * samples.len() as f64;
    let distance = (offset.abs().round() as usize).min(samples.len());
    let kept = samples.len() - distance;
    if offset < 0.0 {
        samples.copy_within(distance.., 0);
        samples[kept..].fill(0.0);
    } else {
        samples.copy_within(..kept, distance);
        samples[..distance].fill(0.0);
    }
}

/// Makes the recording louder or quieter by up to ±`most` dB: a `draw` of 0 means quietest. Samples may leave [−1, 1].
pub(crate) fn gain(samples: &mut [f32], most: f32, draw: f32) {
    let factor = 10.0_f32.powf(most * (2.0 * draw - 1.0) / 20.0);
    samples.iter_mut().for_each(|sample| *sample *= factor);
}

/// Adds white Gaussian noise with a signal-to-noise ratio of `ratio` dB: that of the mean power of the whole recording to that
/// of the noise. Takes two draws per pair of samples. A recording of zeros stays as it is.
pub(crate) fn noise(samples: &mut [f32], ratio: f32, mut draw: impl FnMut() -> f32) {
    let squares: f64 = samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    let power = squares / samples.len().max(1) as f64;
    let deviation = (power / 10.0_f64.powf(f64::from(ratio) / 10.0)).sqrt() as f32;
    for pair in samples.chunks_mut(2) {
        // Box and Muller, 1958. 1 − draw is never 0.
        let radius = deviation * (-2.0 * (1.0 - draw()).ln()).sqrt();
        let (sine, cosine) = (std::f32::consts::TAU * draw()).sin_cos();
        for (sample, direction) in pair.iter_mut().zip([cosine, sine]) {
            *sample += radius * direction;
        }
    }
}

/// The mean of a spectrogram, which masks are filled with.
pub(crate) fn mean(spectrogram: &[f32]) -> f32 {
    let sum: f64 = spectrogram.iter().map(|value| f64::from(*value)).sum();
    (sum / spectrogram.len().max(1) as f64) as f32
}

/// The stretch that a mask covers, of `length` rows or columns: its width is 0 to `widest`, its start anywhere it fits
/// (Park et al., SpecAugment, 2019). `draws` are for the width and the start.
fn stretch(length: usize, widest: usize, draws: [f32; 2]) -> std::ops::Range<usize> {
    // A whole number below `count`.
    let pick = |draw: f32, count: usize| {
        ((f64::from(draw) * count as f64) as usize).min(count.saturating_sub(1))
    };
    let width = pick(draws[0], widest.min(length) + 1);
    let start = pick(draws[1], length - width + 1);
    start..start + width
}

/// Fills up to `widest` neighbouring columns (times) of a spectrogram `[bands, frames]` with `fill`.
///
/// # Panics
/// If `frames` is 0.
pub(crate) fn mask_time(
    spectrogram: &mut [f32],
    frames: usize,
    widest: usize,
    fill: f32,
    draws: [f32; 2],
) {
    let masked = stretch(frames, widest, draws);
    for band in spectrogram.chunks_exact_mut(frames) {
        band[masked.clone()].fill(fill);
    }
}

/// Fills up to `widest` neighbouring rows (bands) of a spectrogram `[bands, frames]` with `fill`.
///
/// # Panics
/// If `frames` is 0.
pub(crate) fn mask_bands(
    spectrogram: &mut [f32],
    frames: usize,
    widest: usize,
    fill: f32,
    draws: [f32; 2],
) {
    let masked = stretch(spectrogram.len() / frames, widest, draws);
    spectrogram[masked.start * frames..masked.end * frames].fill(fill);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Uniform numbers for tests.
    fn draws() -> impl FnMut() -> f32 {
        let mut state = 1_u32;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        }
    }

    #[test]
    fn shifts_go_both_ways() {
        let shifted = |draw| {
            let mut samples = [1.0, 2.0, 3.0, 4.0];
            shift(&mut samples, 0.5, draw);
            samples
        };
        assert_eq!(shifted(0.0), [3.0, 4.0, 0.0, 0.0]);
        assert_eq!(shifted(0.5), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(shifted(0.999), [0.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    fn gains_are_in_decibels() {
        let mut samples = [0.5];
        gain(&mut samples, 20.0, 0.0);
        assert!((samples[0] - 0.05).abs() < 1e-6);
        gain(&mut samples, 20.0, 0.5);
        assert!((samples[0] - 0.05).abs() < 1e-6);
    }

    #[test]
    fn noise_has_the_ratio_asked_for() {
        for ratio in [0.0, 10.0, 30.0] {
            let clean: Vec<f32> = (0..100_001).map(|i| (i as f32 * 0.1).sin()).collect();
            let mut noisy = clean.clone();
            noise(&mut noisy, ratio, draws());
            let energy = |samples: &mut dyn Iterator<Item = f32>| -> f64 {
                samples.map(|sample| f64::from(sample).powi(2)).sum()
            };
            let signal = energy(&mut clean.iter().copied());
            let added = energy(&mut noisy.iter().zip(&clean).map(|(a, b)| a - b));
            let measured = 10.0 * (signal / added).log10();
            assert!(
                (measured - f64::from(ratio)).abs() < 0.2,
                "{ratio}: {measured}"
            );
        }
        let mut silence = [0.0; 9];
        noise(&mut silence, 10.0, draws());
        assert_eq!(silence, [0.0; 9]);
    }

    proptest! {
        #[test]
        fn masks_are_no_wider_than_asked_for(
            bands in 1_usize..20,
            frames in 1_usize..20,
            widest in 0_usize..30,
            a in 0.0_f32..1.0,
            b in 0.0_f32..1.0,
        ) {
            let mut by_time = vec![1.0; bands * frames];
            mask_time(&mut by_time, frames, widest, 0.0, [a, b]);
            let masked = by_time.iter().filter(|value| **value == 0.0).count();
            prop_assert!(masked % bands == 0 && masked / bands <= widest.min(frames));
            let mut by_band = vec![1.0; bands * frames];
            mask_bands(&mut by_band, frames, widest, 0.0, [a, b]);
            let masked = by_band.iter().filter(|value| **value == 0.0).count();
            prop_assert!(masked % frames == 0 && masked / frames <= widest.min(bands));
        }
    }
}
