//! The chunks of WAV and AIFF files, with the headers that real programs write: sizes of streams, odd chunks, lost ends.
use super::pcm::{Coding, Pcm};
use super::{Decoded, check_rate, compressed};

/// Sizes from here on mean "unknown": programs that write to a pipe put 0xFFFFFFFF, 0x7FFFFFFF or slightly less.
const UNKNOWN_SIZE: u32 = 0x7fff_0000;

/// More channels than any microphone array in use; a larger number comes from a damaged header.
const MOST_CHANNELS: u16 = 256;

/// The sound in a WAV or AIFF file.
pub(super) enum Contents<'a> {
    /// Uncompressed.
    Pcm(Pcm<'a>),
    /// ADPCM in WAV.
    Adpcm(Adpcm<'a>),
}

/// ADPCM blocks and what the header says about them.
pub(super) struct Adpcm<'a> {
    /// The payload of the `fmt ` chunk.
    pub(super) format: &'a [u8],
    /// Whole blocks.
    pub(super) blocks: &'a [u8],
    /// Samples per channel: from the `fact` chunk, which excludes the padding of the last block, if it exists.
    pub(super) samples: u64,
    /// Samples that the header announces.
    pub(super) announced: Option<u64>,
    pub(super) notes: Vec<String>,
}

impl Contents<'_> {
    pub(super) fn decode(self) -> Result<Decoded, String> {
        match self {
            Self::Pcm(pcm) => pcm.decode(),
            Self::Adpcm(adpcm) => compressed::adpcm(adpcm),
        }
    }
}

/// A chunk's name, announced size, and position of its payload.
struct Chunk {
    name: [u8; 4],
    size: u32,
    start: usize,
}

/// The chunks after the 12 bytes of the file header. Ends at the first chunk whose header is incomplete.
fn chunks(bytes: &[u8], big_endian: bool) -> impl Iterator<Item = Chunk> {
    let mut at = 12_usize;
    std::iter::from_fn(move || {
        let &[a, b, c, d, e, f, g, h] = bytes.get(at..)?.first_chunk()?;
        let size = match big_endian {
            true => u32::from_be_bytes([e, f, g, h]),
            false => u32::from_le_bytes([e, f, g, h]),
        };
        let start = at + 8;
        // Chunks start at even positions.
        at = start
            .saturating_add(size as usize)
            .saturating_add(size as usize & 1);
        Some(Chunk {
            name: [a, b, c, d],
            size,
            start,
        })
    })
}

/// The payload of a chunk: the bytes that exist, how many are announced if known, and a note about the size.
struct Payload<'a> {
    bytes: &'a [u8],
    announced: Option<u64>,
    note: Option<String>,
}

/// The samples after `start`, for which the header announces `size` bytes. `file_size` is the size in the file header.
fn payload(bytes: &[u8], start: usize, size: u32, file_size: u32) -> Payload<'_> {
    let rest = bytes.get(start..).unwrap_or_default();
    // A size of 0 is true only if the size of the whole file agrees.
    let is_unknown =
        size >= UNKNOWN_SIZE || size == 0 && u64::from(file_size) + 8 < bytes.len() as u64;
    if is_unknown && rest.len() < UNKNOWN_SIZE as usize {
        return Payload {
            bytes: rest,
            announced: None,
            note: Some(
                "its header does not state its length, which was taken from the size of the file"
                    .to_owned(),
            ),
        };
    }
    Payload {
        bytes: rest.get(..size as usize).unwrap_or(rest),
        announced: Some(u64::from(size)),
        note: None,
    }
}

/// Reads the header of a WAV file.
pub(super) fn wav(bytes: &[u8]) -> Result<Contents<'_>, String> {
    let mut format = None;
    let mut fact = None;
    let mut data = None;
    for chunk in chunks(bytes, false) {
        let end = chunk.start.saturating_add(chunk.size as usize);
        match &chunk.name {
            b"fmt " => format = bytes.get(chunk.start..end),
            b"fact" => fact = bytes.get(chunk.start..).and_then(|fact| u32_at(fact, 0)),
            b"data" => {
                data = Some(chunk);
                break;
            }
            _ => (),
        }
    }
    let format = format.ok_or(
        "it is WAV without a format (a `fmt ` chunk before the samples); save it again with another program",
    )?;
    let data =
        data.ok_or("it is WAV without samples (no `data` chunk); copy or download it again")?;
    let file_size = u32_at(bytes, 4).unwrap_or(0);
    let payload = payload(bytes, data.start, data.size, file_size);
    let (Some(tag), Some(channels), Some(rate), Some(block), Some(bits)) = (
        u16_at(format, 0),
        u16_at(format, 2),
        u32_at(format, 4),
        u16_at(format, 12),
        u16_at(format, 14),
    ) else {
        return Err("it is WAV with an incomplete format (`fmt ` chunk)".to_owned());
    };
    check_channels(channels)?;
    check_rate(rate)?;
    // The extensible format has the actual tag at the start of a GUID.
    let tag = match tag {
        0xfffe => u16_at(format, 24).unwrap_or(tag),
        _ => tag,
    };
    if let 2 | 0x11 = tag {
        return adpcm(format, fact, payload).map(Contents::Adpcm);
    }
    // 20 bits are stored in 3 bytes or, if the block says so, in 4; unused bits are the lowest.
    let stored = usize::from(bits.div_ceil(8));
    let per_block = usize::from(block / channels);
    let width = match usize::from(block % channels) == 0 && (stored..=8).contains(&per_block) {
        true => per_block,
        false => stored,
    };
    let coding = match (tag, width) {
        (1, 1) => Coding::Unsigned8,
        (1, 2..=4) => Coding::Signed(width),
        (3, 4 | 8) => Coding::Float(width),
        (6, 1) => Coding::ALaw,
        (7, 1) => Coding::MuLaw,
        (1 | 3 | 6 | 7, _) => {
            return Err(format!(
                "its header states {bits} bits per sample, which is impossible for its format; save it again with another program"
            ));
        }
        _ => {
            return Err(format!(
                "its samples are coded as {} in WAV, which hubel cannot decode; save it as PCM",
                coding_name(tag)
            ));
        }
    };
    Ok(Contents::Pcm(Pcm {
        coding,
        big_endian: false,
        channels: usize::from(channels),
        rate,
        bytes: payload.bytes,
        announced: payload.announced,
        container: "WAV",
        notes: payload.note.into_iter().collect(),
    }))
}

/// Checks the sizes of ADPCM blocks.
fn adpcm<'a>(
    format: &'a [u8],
    fact: Option<u32>,
    payload: Payload<'a>,
) -> Result<Adpcm<'a>, String> {
    let at = |position| u16_at(format, position).map_or(0, usize::from);
    let [tag, channels, block, bits] = [0, 2, 12, 14].map(at);
    let header = if tag == 2 { 7 } else { 4 } * channels;
    // The decoder has only these.
    if channels > 2 || bits != 4 || block <= header || block >= 8192 || format.len() < 20 {
        return Err(
            "it is ADPCM with an unusual or damaged header, which hubel cannot decode; save it as PCM"
                .to_owned(),
        );
    }
    let per_block = (2 * (block - header) / channels + if tag == 2 { 2 } else { 1 }) as u64;
    let whole = payload.bytes.len() / block;
    let stored = whole as u64 * per_block;
    let announced = payload
        .announced
        .map(|bytes| bytes / block as u64 * per_block);
    // The `fact` chunk is believed only within the last block.
    let fact = fact.map(u64::from);
    let total = announced.unwrap_or(stored);
    let exact = fact.filter(|fact| (total.saturating_sub(per_block)..=total).contains(fact));
    Ok(Adpcm {
        format,
        blocks: payload.bytes.get(..whole * block).unwrap_or_default(),
        samples: exact.unwrap_or(total).min(stored),
        announced: announced.map(|announced| exact.unwrap_or(announced)),
        notes: payload.note.into_iter().collect(),
    })
}

/// Reads the header of an AIFF or AIFF-C file.
pub(super) fn aiff(bytes: &[u8]) -> Result<Contents<'_>, String> {
    let mut common = None;
    let mut sound = None;
    for chunk in chunks(bytes, true) {
        match &chunk.name {
            b"COMM" => common = bytes.get(chunk.start..),
            b"SSND" => sound = Some(chunk),
            _ => (),
        }
    }
    let common = common.ok_or("it is AIFF without a format (no `COMM` chunk)")?;
    let sound =
        sound.ok_or("it is AIFF without samples (no `SSND` chunk); copy or download it again")?;
    let (Some(&[c, d, _, _, _, _, e, f]), Some(rate)) = (
        common.first_chunk(),
        common.get(8..).and_then(|rate| rate.first_chunk()),
    ) else {
        return Err("it is AIFF with an incomplete format (`COMM` chunk)".to_owned());
    };
    let channels = u16::from_be_bytes([c, d]);
    let bits = u16::from_be_bytes([e, f]);
    let rate = extended(*rate);
    check_channels(channels)?;
    check_rate(rate)?;
    let compression = match bytes.get(8..12) {
        Some(b"AIFC") => common.get(18..22).unwrap_or(b"NONE"),
        _ => b"NONE",
    };
    let width = usize::from(bits.div_ceil(8));
    let (coding, big_endian) = match (compression.to_ascii_lowercase().as_slice(), width) {
        (b"none" | b"twos", 1..=4) => (Coding::Signed(width), true),
        (b"sowt", 1..=4) => (Coding::Signed(width), false),
        (b"in24", _) => (Coding::Signed(3), true),
        (b"in32", _) => (Coding::Signed(4), true),
        (b"fl32", _) => (Coding::Float(4), true),
        (b"fl64", _) => (Coding::Float(8), true),
        (b"alaw", _) => (Coding::ALaw, true),
        (b"ulaw", _) => (Coding::MuLaw, true),
        _ => {
            return Err(format!(
                "its samples are coded as {bits}-bit {:?} in AIFF, which hubel cannot decode; save it as PCM",
                String::from_utf8_lossy(compression)
            ));
        }
    };
    // The samples start after a block size and an offset, which is 0 in practice.
    let offset = bytes
        .get(sound.start..)
        .and_then(|start| start.first_chunk())
        .map_or(0, |offset| u32::from_be_bytes(*offset));
    let skipped = offset.saturating_add(8);
    let file_size = bytes
        .get(4..)
        .and_then(|size| size.first_chunk())
        .map_or(0, |size| u32::from_be_bytes(*size));
    let payload = payload(
        bytes,
        sound.start.saturating_add(skipped as usize),
        sound.size.saturating_sub(skipped),
        file_size,
    );
    Ok(Contents::Pcm(Pcm {
        coding,
        big_endian,
        channels: usize::from(channels),
        rate,
        bytes: payload.bytes,
        announced: payload.announced,
        container: "AIFF",
        notes: payload.note.into_iter().collect(),
    }))
}

fn check_channels(channels: u16) -> Result<(), String> {
    if (1..=MOST_CHANNELS).contains(&channels) {
        return Ok(());
    }
    Err(format!(
        "its header states {channels} channels, outside 1 to {MOST_CHANNELS}; it is probably damaged"
    ))
}

/// The whole part of an 80-bit float, most significant byte first; 0 if it is negative, `u32::MAX` if it is too large.
fn extended([a, b, rest @ ..]: [u8; 10]) -> u32 {
    let exponent = i32::from(u16::from_be_bytes([a, b])) - 16383;
    let mantissa = u64::from_be_bytes(rest);
    match exponent {
        0..=31 => (mantissa >> (63 - exponent)) as u32,
        32..=16384 => u32::MAX,
        _ => 0,
    }
}

/// The name of a coding in WAV, by its registered tag.
fn coding_name(tag: u16) -> String {
    let name = match tag {
        0x31 => "GSM 6.10",
        0x40 => "G.721",
        0x45 => "G.726",
        0x50 => "MP2",
        0x55 => "MP3",
        0xff | 0x1600 | 0x1610 => "AAC",
        0x160..=0x163 => "Windows Media",
        _ => return format!("format {tag:#06x}"),
    };
    name.to_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|value| u16::from_le_bytes(*value))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|value| u32::from_le_bytes(*value))
}
