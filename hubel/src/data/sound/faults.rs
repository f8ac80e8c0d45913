//! What a check reports about one recording: loudness, silence and clipping.

/// Recordings whose peak is below this are silent: −60 dBFS, a thousandth of full scale. The noise of a quiet room, recorded
/// with a usual gain, is louder.
pub(crate) const SILENT_PEAK: f32 = 0.001;

/// Samples from here on are at full scale. The largest positive value of 8-bit sound is 127/128 = 0.992.
pub(crate) const FULL_SCALE: f32 = 0.99;

/// A run of this many equal samples at full scale is clipped. The peak of a wave that just reaches full scale has one or two
/// equal samples, unless its frequency is very low.
pub(crate) const CLIPPED_RUN: usize = 3;

/// A recording with more than this share of clipped samples is worth a report: one sample in a thousand.
pub(crate) const CLIPPED_SHARE: f64 = 0.001;

/// Facts about one recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Facts {
    /// Length in seconds.
    pub(crate) seconds: f64,
    /// Largest absolute sample in dB of full scale; −∞ for zeros.
    pub(crate) peak: f32,
    /// Root of the mean square in dB of full scale: a full-scale sine has −3 dB. −∞ for zeros.
    pub(crate) rms: f32,
    /// Whether all samples are exactly 0.
    pub(crate) zero: bool,
    /// Whether the peak is below [`SILENT_PEAK`]; true for zeros.
    pub(crate) silent: bool,
    /// Share of samples in runs of at least [`CLIPPED_RUN`] equal samples at [`FULL_SCALE`].
    pub(crate) clipped: f64,
    /// The mean, a share of full scale. Far from 0 means a faulty sound card.
    pub(crate) offset: f32,
}

impl Facts {
    /// The facts about `samples` at `rate` Hz.
    pub(crate) fn of(samples: &[f32], rate: u32) -> Self {
        let count = samples.len().max(1) as f64;
        let peak = samples
            .iter()
            .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let squares: f64 = samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum();
        let sum: f64 = samples.iter().map(|sample| f64::from(*sample)).sum();
        let clipped: usize = samples
            .chunk_by(|a, b| a == b)
            .filter(|run| run.len() >= CLIPPED_RUN && run[0].abs() >= FULL_SCALE)
            .map(<[f32]>::len)
            .sum();
        Self {
            seconds: samples.len() as f64 / f64::from(rate),
            peak: 20.0 * peak.log10(),
            rms: 10.0 * (squares / count).log10() as f32,
            zero: peak == 0.0,
            silent: peak < SILENT_PEAK,
            clipped: clipped as f64 / count,
            offset: (sum / count) as f32,
        }
    }

    /// Whether so many samples are clipped that it is worth a report.
    pub(crate) fn is_clipped(&self) -> bool {
        self.clipped > CLIPPED_SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    fn sine(gain: f32) -> Vec<f32> {
        (0..8000)
            .map(|i| {
                (gain * (TAU * 220.0 * i as f32 / 8000.0).sin()).clamp(-1.0, 32767.0 / 32768.0)
            })
            .collect()
    }

    #[test]
    fn a_full_scale_sine_is_not_clipped_and_a_louder_one_is() {
        let facts = Facts::of(&sine(1.0), 8000);
        assert!(facts.peak.abs() < 0.01 && (facts.rms + 3.01).abs() < 0.01);
        assert!(!facts.is_clipped() && !facts.silent);
        assert_eq!(facts.seconds, 1.0);
        let facts = Facts::of(&sine(2.0), 8000);
        assert!((0.4..0.8).contains(&facts.clipped), "{}", facts.clipped);
    }

    #[test]
    fn silence_has_no_finite_level() {
        let facts = Facts::of(&[0.0; 100], 8000);
        assert!(facts.zero && facts.silent && !facts.is_clipped());
        assert_eq!([facts.peak, facts.rms], [f32::NEG_INFINITY; 2]);
        let hiss = Facts::of(&[0.0005, -0.0005], 8000);
        assert!(hiss.silent && !hiss.zero);
        assert!(Facts::of(&[], 8000).zero);
    }
}
