//! Uncompressed samples: integers, floats, A-law and µ-law.
use super::{Decoded, check_length};

/// How one sample is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Unsigned 8-bit integers, in WAV.
    Unsigned8,
    /// Signed integers of 1 to 4 bytes.
    Signed(usize),
    /// Floats of 4 or 8 bytes.
    Float(usize),
    /// ITU-T G.711 A-law.
    ALaw,
    /// ITU-T G.711 µ-law.
    MuLaw,
}

impl Coding {
    /// Bytes per sample.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Unsigned8 | Self::ALaw | Self::MuLaw => 1,
            Self::Signed(bytes) | Self::Float(bytes) => bytes,
        }
    }

    /// The name for people.
    fn name(self) -> String {
        match self {
            Self::Unsigned8 => "8-bit PCM".to_owned(),
            Self::Signed(bytes) => format!("{}-bit PCM", 8 * bytes),
            Self::Float(bytes) => format!("{}-bit float", 8 * bytes),
            Self::ALaw => "A-law".to_owned(),
            Self::MuLaw => "µ-law".to_owned(),
        }
    }

    /// The value of one sample, whose bytes are `bytes`, least significant first.
    fn value(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::Unsigned8, &[a]) => (f32::from(a) - 128.0) / 128.0,
            (Self::Signed(1), &[a]) => f32::from(a as i8) / 128.0,
            (Self::Signed(2), &[a, b]) => f32::from(i16::from_le_bytes([a, b])) / 32768.0,
            (Self::Signed(3), &[a, b, c]) => integer([0, a, b, c]),
            (Self::Signed(4), &[a, b, c, d]) => integer([a, b, c, d]),
            (Self::Float(4), &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::Float(8), &[a, b, c, d, e, f, g, h]) => {
                f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
            }
            (Self::ALaw, &[a]) => f32::from(a_law(a)) / 32768.0,
            (Self::MuLaw, &[a]) => f32::from(mu_law(a)) / 32768.0,
            _ => 0.0,
        }
    }
}

fn integer(bytes: [u8; 4]) -> f32 {
    (f64::from(i32::from_le_bytes(bytes)) / 2_147_483_648.0) as f32
}

/// 16-bit value of an A-law byte.
fn a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let exponent = byte >> 4 & 7;
    let mantissa = i16::from(byte & 15) << 4;
    let size = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    if byte & 0x80 == 0 { -size } else { size }
}

/// 16-bit value of a µ-law byte.
fn mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let size = (((i16::from(byte & 15) << 3) + 0x84) << (byte >> 4 & 7)) - 0x84;
    if byte & 0x80 == 0 { size } else { -size }
}

/// Interleaved samples and what the header says about them.
#[derive(Clone, Debug)]
pub(super) struct Pcm<'a> {
    pub(super) coding: Coding,
    pub(super) big_endian: bool,
    /// At least 1.
    pub(super) channels: usize,
    pub(super) rate: u32,
    pub(super) bytes: &'a [u8],
    /// Bytes that the header announces.
    pub(super) announced: Option<u64>,
    /// The file format, such as "WAV".
    pub(super) container: &'static str,
    pub(super) notes: Vec<String>,
}

impl Pcm<'_> {
    /// The mean of all channels.
    pub(super) fn decode(self) -> Result<Decoded, String> {
        let sample = self.coding.bytes();
        let frame = sample * self.channels;
        check_length((self.bytes.len() / frame) as u64)?;
        let value = |bytes: &[u8]| {
            if self.big_endian {
                let mut turned = [0; 8];
                let turned = &mut turned[..bytes.len()];
                turned.copy_from_slice(bytes);
                turned.reverse();
                self.coding.value(turned)
            } else {
                self.coding.value(bytes)
            }
        };
        let scale = 1.0 / self.channels as f32;
        let samples = self
            .bytes
            .chunks_exact(frame)
            .map(|frame| frame.chunks_exact(sample).map(value).sum::<f32>() * scale)
            .collect();
        Ok(Decoded {
            samples,
            rate: self.rate,
            channels: self.channels,
            coding: format!("{} in {}", self.coding.name(), self.container),
            notes: self.notes,
            announced: self.announced.map(|bytes| bytes / frame as u64),
            damaged: false,
        })
    }
}
