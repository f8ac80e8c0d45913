//! The log-mel spectrogram, equal to librosa's.
use std::f64::consts::TAU;
use std::sync::Arc;

use super::{SoundSettings, Spectrogram};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

impl Spectrogram {
    /// Plans the computation.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(in crate::data) fn plan(self) -> Result<MelPlan, String> {
        self.check()?;
        let fft = RealFftPlanner::new().plan_fft_forward(self.window);
        let hann = (0..self.window)
            .map(|i| (0.5 - 0.5 * (TAU * i as f64 / self.window as f64).cos()) as f32)
            .collect();
        Ok(MelPlan {
            settings: self,
            hann,
            filters: filters(&self),
            windowed: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            powers: vec![0.0; self.window / 2 + 1],
            fft,
        })
    }
}

/// The weights of one band: those of `first` and the following frequencies of the FFT.
#[derive(Debug)]
struct Filter {
    first: usize,
    weights: Vec<f32>,
}

/// A planned spectrogram with its buffers. Computes many recordings without allocating memory.
pub(in crate::data) struct MelPlan {
    settings: Spectrogram,
    hann: Vec<f32>,
    /// The lowest band first.
    filters: Vec<Filter>,
    fft: Arc<dyn RealToComplex<f32>>,
    windowed: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    powers: Vec<f32>,
}

impl MelPlan {
    /// The settings.
    pub(in crate::data) fn settings(&self) -> &Spectrogram {
        &self.settings
    }

    #[cfg(test)]
    /// Number of bands that are so narrow that they lie between two frequencies of the FFT, and therefore are always empty.
    pub(in crate::data) fn empty_bands(&self) -> usize {
        let is_empty = |filter: &&Filter| filter.weights.is_empty();
        self.filters.iter().filter(is_empty).count()
    }

    /// Writes the power of each band. `out` is `[bands, frames]`; the lowest band is the last row, as in a picture of it.
    ///
    /// # Panics
    /// If `out` has not `bands · frames(samples.len())` values.
    pub(in crate::data) fn power(&mut self, samples: &[f32], out: &mut [f32]) {
        let Spectrogram {
            window, hop, bands, ..
        } = self.settings;
        let frames = self.settings.frames(samples.len());
        assert_eq!(out.len(), bands * frames, "values of the spectrogram");
        for frame in 0..frames {
            self.fill_window(samples, frame * hop, window / 2);
            self.fft
                .process_with_scratch(&mut self.windowed, &mut self.spectrum, &mut self.scratch)
                .expect("the buffers have the sizes of the plan");
            for (power, value) in self.powers.iter_mut().zip(&self.spectrum) {
                *power = value.norm_sqr();
            }
            for (band, filter) in self.filters.iter().enumerate() {
                let powers = self.powers[filter.first..].iter();
                let sum: f32 = powers.zip(&filter.weights).map(|(a, b)| a * b).sum();
                out[(bands - 1 - band) * frames + frame] = sum;
            }
        }
    }

    /// Writes the power of each band in dB: `10·log10(max(power, floor))`. Layout and panics as in [`power`](Self::power).
    pub(in crate::data) fn log(&mut self, samples: &[f32], out: &mut [f32]) {
        self.power(samples, out);
        let floor = self.settings.floor;
        for value in out {
            *value = 10.0 * value.max(floor).log10();
        }
    }

    /// Multiplies the samples around `centre` by the window. Samples outside the recording are 0.
    fn fill_window(&mut self, samples: &[f32], centre: usize, before: usize) {
        self.windowed.fill(0.0);
        let skipped = before.saturating_sub(centre);
        let start = centre.saturating_sub(before).min(samples.len());
        let inside = self.windowed.iter_mut().zip(&self.hann).skip(skipped);
        for ((value, hann), sample) in inside.zip(&samples[start..]) {
            *value = hann * sample;
        }
    }
}

impl SoundSettings {
    /// The time in seconds, from the start of the input, and the frequency in Hz at the centre of the value `at` (row and column) of a map of
    /// `size` (rows and columns) that covers the spectrogram.
    pub fn place(&self, size: [usize; 2], at: [usize; 2]) -> (f64, f64) {
        let Spectrogram {
            rate,
            hop,
            bands,
            lowest,
            highest,
            ..
        } = self.spectrogram;
        let share = |axis: usize| (at[axis] as f64 + 0.5) / size[axis] as f64;
        let frame = share(1) * self.shape().width as f64 - 0.5;
        // Band 0 is the last row, and its triangle's centre is the second edge.
        let edge = (1.0 - share(0)) * bands as f64 + 0.5;
        let [low, high] = [lowest, highest].map(|hertz| mel(f64::from(hertz)));
        let mel = low + (high - low) * edge / (bands + 1) as f64;
        let seconds = frame.max(0.0) * hop as f64 / f64::from(rate);
        (seconds.min(self.seconds()), hertz(mel))
    }
}

/// Triangles that are equally wide on the mel scale, each with an area of 1 (Slaney's Auditory Toolbox, 1998).
fn filters(settings: &Spectrogram) -> Vec<Filter> {
    let [lowest, highest] = [settings.lowest, settings.highest].map(|hertz| mel(f64::from(hertz)));
    let step = (highest - lowest) / (settings.bands + 1) as f64;
    let edge = |i: usize| hertz(lowest + step * i as f64);
    let frequency = f64::from(settings.rate) / settings.window as f64;
    (0..settings.bands)
        .map(|band| {
            let [left, centre, right] = [edge(band), edge(band + 1), edge(band + 2)];
            let weight = |i: usize| {
                let hertz = i as f64 * frequency;
                let rising = (hertz - left) / (centre - left);
                let falling = (right - hertz) / (right - centre);
                rising.min(falling).max(0.0) * 2.0 / (right - left)
            };
            let is_inside = |&i: &usize| weight(i) > 0.0;
            let all = 0..=settings.window / 2;
            let first = all.clone().find(is_inside).unwrap_or(0);
            Filter {
                first,
                weights: all
                    .skip(first)
                    .take_while(is_inside)
                    .map(|i| weight(i) as f32)
                    .collect(),
            }
        })
        .collect()
}

/// Up to 1000 Hz, Slaney's scale is linear with this many Hz per mel.
const HERTZ_PER_MEL: f64 = 200.0 / 3.0;

/// Above 1000 Hz, 27 mels are a factor of 6.4.
fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

/// Slaney's mel scale.
fn mel(hertz: f64) -> f64 {
    match hertz < 1000.0 {
        true => hertz / HERTZ_PER_MEL,
        false => 1000.0 / HERTZ_PER_MEL + (hertz / 1000.0).ln() / log_step(),
    }
}

/// The inverse of [`mel`].
fn hertz(mel: f64) -> f64 {
    match mel < 1000.0 / HERTZ_PER_MEL {
        true => mel * HERTZ_PER_MEL,
        false => 1000.0 * ((mel - 1000.0 / HERTZ_PER_MEL) * log_step()).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The signal of `hubel/tests/sound/mel.py`.
    fn signal(rate: u32, length: usize) -> Vec<f32> {
        let mut state = 1_u32;
        (0..length)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = f64::from(state) / 2_f64.powi(31) - 1.0;
                let i = i as f64;
                let sweep = 0.5 * (TAU * (100.0 + 0.02 * i) * i / f64::from(rate)).sin();
                (sweep + 0.1 * (TAU * 0.11 * i).sin() + 0.05 * noise) as f32
            })
            .collect()
    }

    #[test]
    fn powers_equal_those_of_librosa() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/sound/mel.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let count = |name: &str| case[name].as_u64().unwrap() as usize;
            let settings = Spectrogram {
                rate: count("rate") as u32,
                window: count("window"),
                hop: count("hop"),
                bands: count("bands"),
                lowest: case["lowest"].as_f64().unwrap() as f32,
                highest: case["highest"].as_f64().unwrap() as f32,
                floor: 1e-10,
            };
            let samples = signal(settings.rate, count("samples"));
            let frames = settings.frames(samples.len());
            assert_eq!(frames, count("frames"));
            let mut power = vec![0.0; settings.bands * frames];
            let mut plan = settings.plan().unwrap();
            assert_eq!(plan.empty_bands(), 0);
            plan.power(&samples, &mut power);
            let wanted: Vec<f32> = case["power"]
                .as_array()
                .unwrap()
                .iter()
                .map(|value| value.as_f64().unwrap() as f32)
                .collect();
            // librosa has the lowest band in the first row.
            let turned = wanted.chunks(frames).rev().flatten();
            let largest = wanted.iter().copied().fold(0.0, f32::max);
            for (index, (value, wanted)) in power.iter().zip(turned).enumerate() {
                assert!(
                    (value - wanted).abs() <= 1e-5 * largest,
                    "{settings:?}, {index}"
                );
                // Small values count in the logarithm.
                assert!(
                    (value - wanted).abs() <= 1e-3 * wanted + 1e-7 * largest,
                    "{settings:?}, {index}"
                );
            }
        }
    }

    #[test]
    fn defaults_have_no_empty_band() {
        for rate in [
            8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000,
        ] {
            let plan = Spectrogram::at(rate).plan().unwrap();
            assert_eq!(plan.empty_bands(), 0, "{rate}");
        }
    }

    #[test]
    fn a_tone_is_at_its_place() {
        let spectrogram = Spectrogram::at(8000);
        let settings = SoundSettings::new(8000, spectrogram);
        let shape = settings.shape();
        // A tone of 1 kHz between 0.5 and 0.6 s.
        let sample = |i: usize| match (4000..4800).contains(&i) {
            true => (i as f32 * std::f32::consts::TAU / 8.0).sin(),
            false => 0.0,
        };
        let samples: Vec<f32> = (0..8000).map(sample).collect();
        let mut power = vec![0.0; shape.len()];
        let mut plan = spectrogram.plan().unwrap();
        plan.power(&samples, &mut power);
        let loudest = hubel_kernels::softmax::largest(&power);
        let at = [loudest / shape.width, loudest % shape.width];
        let (seconds, hertz) = settings.place([shape.height, shape.width], at);
        assert!((0.5..=0.6).contains(&seconds), "{seconds}");
        assert!((900.0..1100.0).contains(&hertz), "{hertz}");
    }

    #[test]
    fn silence_is_the_floor() {
        let mut plan = Spectrogram::at(8000).plan().unwrap();
        let mut out = vec![0.0; 40 * plan.settings().frames(0)];
        plan.log(&[], &mut out);
        assert!(out.iter().all(|value| (value + 100.0).abs() < 1e-3));
    }

    proptest! {
        #[test]
        fn any_length_and_setting_gives_finite_values(
            rate in 1000_u32..=50_000,
            window in 2_usize..400,
            hop in 1_usize..300,
            bands in 1_usize..80,
            length in 0_usize..1000,
        ) {
            let settings = Spectrogram { window, hop, bands, ..Spectrogram::at(rate) };
            let mut out = vec![f32::NAN; bands * settings.frames(length)];
            settings.plan().unwrap().log(&signal(rate, length), &mut out);
            prop_assert!(out.iter().all(|value| value.is_finite()));
        }
    }
}
