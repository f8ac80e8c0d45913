//! TIFF pictures that the `image` crate does not read: palettes, few bits, floats, and wide or signed integers.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer};
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{PhotometricInterpretation, SampleFormat, Tag};
use tiff::{ColorType, TiffError};

use crate::data::catalogue::thousands;
use crate::data::picture::LARGEST_FILE;

/// A TIFF of such a kind, with only its header read.
pub(super) struct Tiff<'a> {
    decoder: Decoder<Cursor<Cow<'a, [u8]>>>,
    kind: Kind,
    width: u32,
    height: u32,
}

#[derive(Clone)]
enum Kind {
    /// Indices into a palette of red, green and blue, with this many bits.
    Palette(u8, Vec<u16>),
    /// Grey levels of less than 8 bits.
    FewBits(u8),
    /// Values whose range decides which one is white; number of values per pixel.
    Numbers(usize),
}

/// The detected range of a picture's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Levels {
    /// Floats from 0 to 1.
    One,
    /// From 0 to 255.
    Byte,
    /// From 0 to 65535.
    Word,
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "0…1",
            Self::Byte => "0…255",
            Self::Word => "0…65535",
        })
    }
}

impl Levels {
    /// The smallest range for values from `least` to `most`. For floats up to 1, 1 is white.
    fn of(least: f32, most: f32, are_floats: bool) -> Option<Self> {
        match most {
            _ if least < 0.0 => None,
            _ if most <= 1.0 && are_floats => Some(Self::One),
            _ if most <= 255.0 => Some(Self::Byte),
            _ if most <= 65535.0 => Some(Self::Word),
            _ => None,
        }
    }

    fn white(self) -> f32 {
        match self {
            Self::One => 1.0,
            Self::Byte => 255.0,
            Self::Word => 65535.0,
        }
    }
}

/// The range of a TIFF's values, if the file does not give it.
pub(crate) fn levels(bytes: &[u8]) -> Option<Levels> {
    let mut tiff = Tiff::open(bytes)?;
    let Kind::Numbers(_) = tiff.kind else {
        return None;
    };
    let (numbers, are_floats) = tiff.numbers().ok()?;
    let (least, most) = range(&numbers)?;
    Levels::of(least, most, are_floats)
}

/// A note on the pictures with detected [`levels`].
pub(crate) fn levels_note(all: impl Iterator<Item = Levels>) -> Option<String> {
    let mut counts: BTreeMap<Levels, usize> = BTreeMap::new();
    all.for_each(|levels| *counts.entry(levels).or_default() += 1);
    let total: usize = counts.values().sum();
    let taken: Vec<String> = (counts.iter())
        .map(|(levels, count)| format!("{} for {levels}", thousands(*count)))
        .collect();
    let advice = match counts.len() {
        0 => return None,
        1 => "",
        _ => "; if all of them have the same meaning, save them with the same levels",
    };
    Some(format!(
        "{} of the pictures contain floats or integers without a defined white; by their values, these ranges were used: {}{advice}",
        thousands(total),
        taken.join(", ")
    ))
}

impl<'a> Tiff<'a> {
    /// `None` if it is no TIFF, has a damaged header, or can be read by the `image` crate.
    pub(super) fn open(bytes: &'a [u8]) -> Option<Self> {
        if !matches!(
            bytes,
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..]
        ) {
            return None;
        }
        let (bytes, is_palette) = match as_grey(bytes) {
            Some(grey) => (Cow::Owned(grey), true),
            None => (Cow::Borrowed(bytes), false),
        };
        let mut limits = Limits::default();
        limits.decoding_buffer_size = LARGEST_FILE as usize;
        limits.intermediate_buffer_size = LARGEST_FILE as usize;
        let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?.with_limits(limits);
        let formats = decoder
            .find_tag_unsigned_vec::<u16>(Tag::SampleFormat)
            .ok()?;
        let unsigned = SampleFormat::Uint.to_u16();
        let are_unsigned =
            formats.is_none_or(|formats| formats.iter().all(|&format| format == unsigned));
        let kind = match decoder.colortype().ok()? {
            ColorType::Gray(bits @ (1 | 2 | 4 | 8)) if is_palette => {
                Kind::Palette(bits, decoder.get_tag_u16_vec(Tag::ColorMap).ok()?)
            }
            ColorType::Gray(bits @ (2 | 4)) if are_unsigned => Kind::FewBits(bits),
            ColorType::Gray(bits) if bits > 16 || !are_unsigned => Kind::Numbers(1),
            ColorType::RGB(bits) if bits > 16 || !are_unsigned => Kind::Numbers(3),
            ColorType::RGBA(bits) if bits > 16 || !are_unsigned => Kind::Numbers(4),
            _ => return None,
        };
        let (width, height) = decoder.dimensions().ok()?;
        Some(Self {
            decoder,
            kind,
            width,
            height,
        })
    }

    pub(super) fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The picture as stored, and its orientation.
    ///
    /// # Errors
    /// A message.
    pub(super) fn decode(mut self) -> Result<(DynamicImage, Orientation), String> {
        let orientation = self.decoder.find_tag_unsigned(Tag::Orientation);
        let orientation = orientation.ok().flatten().and_then(Orientation::from_exif);
        let picture = match self.kind.clone() {
            Kind::Palette(bits, colours) => self.coloured(bits, &colours)?,
            Kind::FewBits(bits) => self.grey(bits)?,
            Kind::Numbers(channels) => self.levelled(channels)?,
        };
        Ok((picture, orientation.unwrap_or(Orientation::NoTransforms)))
    }

    /// Grey levels of few bits.
    fn grey(&mut self, bits: u8) -> Result<DynamicImage, String> {
        let factor = 255 / ((1u8 << bits) - 1);
        let levels = self
            .unpacked(bits)?
            .into_iter()
            .map(|level| level * factor)
            .collect();
        let picture = ImageBuffer::from_raw(self.width, self.height, levels);
        picture.map(DynamicImage::ImageLuma8).ok_or_else(cut_off)
    }

    /// Colours from a palette: all reds, then all greens, then all blues (TIFF 6.0, section 5).
    fn coloured(&mut self, bits: u8, colours: &[u16]) -> Result<DynamicImage, String> {
        let count = 1 << bits;
        if colours.len() != 3 * count {
            return Err(format!(
                "it is damaged (a palette of {} numbers instead of {})",
                colours.len(),
                3 * count
            ));
        }
        // Some programs write bytes instead of the 16 bits of the format.
        let shift = if colours.iter().all(|&level| level < 256) {
            0
        } else {
            8
        };
        let colour = |place: u8| {
            [0, 1, 2].map(|channel| (colours[channel * count + usize::from(place)] >> shift) as u8)
        };
        let pixels = self.unpacked(bits)?.into_iter().flat_map(colour).collect();
        let picture = ImageBuffer::from_raw(self.width, self.height, pixels);
        picture.map(DynamicImage::ImageRgb8).ok_or_else(cut_off)
    }

    /// Values of at most 8 bits, one byte each. Each row begins at a whole byte.
    fn unpacked(&mut self, bits: u8) -> Result<Vec<u8>, String> {
        let DecodingResult::U8(packed) = self.decoder.read_image().map_err(plainly)? else {
            return Err(cut_off());
        };
        let (width, each) = (self.width as usize, 8 / usize::from(bits));
        let mask = u8::MAX >> (8 - bits);
        let row = |row: &[u8]| -> Vec<u8> {
            let number =
                |x: usize| row[x / each] >> (8 - usize::from(bits) * (x % each + 1)) & mask;
            (0..width).map(number).collect()
        };
        Ok(packed
            .chunks_exact(width.div_ceil(each))
            .flat_map(row)
            .collect())
    }

    /// Values scaled to 16 bits.
    fn levelled(&mut self, channels: usize) -> Result<DynamicImage, String> {
        let (numbers, are_floats) = self.numbers()?;
        let (least, most) = range(&numbers).ok_or(
            "it holds values that are no numbers (NaN); replace them, or leave the picture out",
        )?;
        let levels = Levels::of(least, most, are_floats).ok_or_else(|| {
            format!("its levels go from {least} to {most}; save it with levels of 0…1 (floats), 0…255 or 0…65535")
        })?;
        let factor = 65535.0 / levels.white();
        let level = |number: f32| (number * factor).round() as u16;
        // Planes of one channel each follow each other.
        let size = self.width as usize * self.height as usize;
        let is_planar = self.decoder.find_tag_unsigned(Tag::PlanarConfiguration);
        let levels: Vec<u16> = match is_planar {
            Ok(Some(2_u16)) if numbers.len() == channels * size => (0..size)
                .flat_map(|pixel| (0..channels).map(move |channel| channel * size + pixel))
                .map(|place| level(numbers[place]))
                .collect(),
            _ => numbers.into_iter().map(level).collect(),
        };
        let (width, height) = self.dimensions();
        let picture = match channels {
            1 => ImageBuffer::from_raw(width, height, levels).map(DynamicImage::ImageLuma16),
            3 => ImageBuffer::from_raw(width, height, levels).map(DynamicImage::ImageRgb16),
            _ => ImageBuffer::from_raw(width, height, levels).map(DynamicImage::ImageRgba16),
        };
        picture.ok_or_else(cut_off)
    }

    /// All values, and whether they are floats.
    fn numbers(&mut self) -> Result<(Vec<f32>, bool), String> {
        let mut result = DecodingResult::U8(Vec::new());
        self.decoder
            .read_image_to_buffer(&mut result)
            .map_err(plainly)?;
        Ok(match result {
            DecodingResult::F16(numbers) => (numbers.into_iter().map(f32::from).collect(), true),
            DecodingResult::F32(numbers) => (numbers, true),
            DecodingResult::F64(numbers) => (numbers.into_iter().map(|x| x as f32).collect(), true),
            DecodingResult::U8(numbers) => (numbers.into_iter().map(f32::from).collect(), false),
            DecodingResult::U16(numbers) => (numbers.into_iter().map(f32::from).collect(), false),
            DecodingResult::U32(numbers) => {
                (numbers.into_iter().map(|x| x as f32).collect(), false)
            }
            DecodingResult::U64(numbers) => {
                (numbers.into_iter().map(|x| x as f32).collect(), false)
            }
            DecodingResult::I8(numbers) => (numbers.into_iter().map(f32::from).collect(), false),
            DecodingResult::I16(numbers) => (numbers.into_iter().map(f32::from).collect(), false),
            DecodingResult::I32(numbers) => {
                (numbers.into_iter().map(|x| x as f32).collect(), false)
            }
            DecodingResult::I64(numbers) => {
                (numbers.into_iter().map(|x| x as f32).collect(), false)
            }
        })
    }
}

/// The least and largest value; `None` if one is NaN or infinite.
fn range(numbers: &[f32]) -> Option<(f32, f32)> {
    let all = numbers.iter().all(|number| !number.is_nan());
    let least = numbers.iter().copied().fold(f32::INFINITY, f32::min);
    let most = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    all.then_some((least, most))
}

/// The file with its palette indices declared as grey levels, which the decoder can read; `None` if it has no palette.
fn as_grey(bytes: &[u8]) -> Option<Vec<u8>> {
    let at = interpretation(bytes)?;
    let is_little = bytes[0] == b'I';
    let value = |interpretation: PhotometricInterpretation| match is_little {
        true => interpretation.to_u16().to_le_bytes(),
        false => interpretation.to_u16().to_be_bytes(),
    };
    if bytes.get(at..at + 2)? != value(PhotometricInterpretation::RGBPalette) {
        return None;
    }
    let mut grey = bytes.to_vec();
    grey[at..at + 2].copy_from_slice(&value(PhotometricInterpretation::BlackIsZero));
    Some(grey)
}

/// The position of the entry for the meaning of values in the first directory of a TIFF or BigTIFF.
fn interpretation(bytes: &[u8]) -> Option<usize> {
    let is_little = bytes[0] == b'I';
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number = match is_little {
            true => bytes.iter().rfold(0, add),
            false => bytes.iter().fold(0, add),
        };
        usize::try_from(number).ok()
    };
    // In BigTIFF all fields except the tag are wider.
    let is_big = number(2, 2)? == 43;
    let (directory, width, entry, value) = match is_big {
        true => (number(8, 8)?, 8, 20, 12),
        false => (number(4, 4)?, 2, 12, 8),
    };
    let count = number(directory, width)?.min(bytes.len() / entry);
    let entries = (0..count).map(|index| directory + width + index * entry);
    let tag = usize::from(Tag::PhotometricInterpretation.to_u16());
    let mut found = entries.filter(|&at| number(at, 2) == Some(tag));
    found.next().map(|at| at + value)
}

fn plainly(error: TiffError) -> String {
    let advice = "open it in a picture viewer, save it again as PNG or JPEG, or leave it out";
    match error {
        TiffError::UnsupportedError(error) => {
            format!("its kind is not supported ({error}); {advice}")
        }
        TiffError::LimitsExceeded => format!("it would take more memory than is allowed; {advice}"),
        error => format!("it is damaged ({error}); {advice}"),
    }
}

fn cut_off() -> String {
    "it is damaged (it has fewer pixels than its header says); copy or download it again".into()
}
