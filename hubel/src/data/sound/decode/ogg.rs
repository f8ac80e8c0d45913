//! The pages of Ogg files: whether the end is there, and whether the Vorbis tables are of a sane size.

/// How an Ogg file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a page that is marked as the last one.
    Marked,
    /// With a whole page that is not marked as the last one.
    Unmarked,
    /// In the middle of a page.
    Torn,
}

/// The most entries and values of all tables together: some hundred megabytes in the decoder. Those of real encoders have some ten thousand.
const MOST_ENTRIES: u64 = 1 << 18;
const MOST_VALUES: u64 = 1 << 22;

/// A page: its flags, its position, its table of packet lengths in segments, and its payload.
struct Page<'a> {
    flags: u8,
    /// Samples up to the end of the page; all bits are set if no packet ends in it.
    position: u64,
    segments: &'a [u8],
    payload: &'a [u8],
}

/// The page at the start of `bytes`, and the bytes after it; `None` if it is incomplete or no page.
fn page(bytes: &[u8]) -> Option<(Page<'_>, &[u8])> {
    let rest = bytes.strip_prefix(b"OggS")?;
    let (header, rest) = rest.split_at_checked(23)?;
    let (segments, rest) = rest.split_at_checked(usize::from(header[22]))?;
    let length = segments.iter().map(|&segment| usize::from(segment)).sum();
    let (payload, rest) = rest.split_at_checked(length)?;
    let page = Page {
        flags: header[1],
        position: u64::from_le_bytes(*header[2..].first_chunk()?),
        segments,
        payload,
    };
    Some((page, rest))
}

/// How `bytes` end, and the position of the last whole page.
pub(super) fn end(mut bytes: &[u8]) -> (End, u64) {
    let mut end = End::Unmarked;
    let mut position = 0;
    while let Some((page, rest)) = page(bytes) {
        end = match page.flags & 4 {
            0 => End::Unmarked,
            _ => End::Marked,
        };
        position = page.position;
        bytes = rest;
    }
    if !bytes.is_empty() && end != End::Marked {
        end = End::Torn;
    }
    (end, position)
}

/// The error for damaged headers.
const DAMAGED: &str = "its Vorbis or FLAC header is damaged; copy or download it again";

/// An error if the lengths of titles in the second packet contradict its size: the reader takes as much memory as they say.
pub(super) fn check_comments(bytes: &[u8]) -> Result<(), String> {
    let Some(comments) = packet(bytes, 2) else {
        return Ok(());
    };
    // In FLAC, the first byte is the type of the block, and three more are its length.
    let comments = match comments.as_slice() {
        [0x03, b'v', b'o', b'r', b'b', b'i', b's', comments @ ..] => comments,
        [0x04 | 0x84, _, _, _, comments @ ..] => comments,
        _ => return Ok(()),
    };
    let number = |bytes: &[u8]| {
        let (number, rest) = bytes.split_first_chunk()?;
        Some((u32::from_le_bytes(*number) as usize, rest.len()))
    };
    let skip = |bytes: &'_ [u8]| {
        let (length, rest) = number(bytes)?;
        (length <= rest).then_some(4 + length)
    };
    let are_sane = || {
        let mut at = skip(comments)?;
        let (count, _) = number(&comments[at..])?;
        at += 4;
        for _ in 0..count {
            at += skip(&comments[at..])?;
        }
        Some(())
    };
    are_sane().ok_or_else(|| DAMAGED.to_owned())
}

/// An error if the Vorbis tables are too large for memory: their size is the product of two numbers in the file.
pub(super) fn check_tables(bytes: &[u8]) -> Result<(), String> {
    let damaged = || DAMAGED.to_owned();
    let Some(setup) = packet(bytes, 3) else {
        return Ok(());
    };
    let Some(setup) = setup.strip_prefix(b"\x05vorbis") else {
        return Ok(());
    };
    let mut bits = Bits {
        bytes: setup,
        at: 0,
    };
    let books = bits.take(8).ok_or_else(damaged)? + 1;
    let (mut all_entries, mut all_values) = (0, 0);
    for _ in 0..books {
        let (entries, values) = skip_codebook(&mut bits).ok_or_else(damaged)?;
        (all_entries, all_values) = (all_entries + entries, all_values + values);
        if all_entries > MOST_ENTRIES || all_values > MOST_VALUES {
            return Err(damaged());
        }
    }
    Ok(())
}

/// The packet with this number, from 1.
fn packet(mut bytes: &[u8], wanted: usize) -> Option<Vec<u8>> {
    let mut packet = Vec::new();
    let mut number = 1;
    while let Some((page, rest)) = page(bytes) {
        let mut payload = page.payload;
        for &segment in page.segments {
            let (part, later) = payload.split_at_checked(usize::from(segment))?;
            payload = later;
            if number == wanted {
                packet.extend_from_slice(part);
            }
            if segment < 255 {
                if number == wanted {
                    return Some(packet);
                }
                number += 1;
            }
        }
        bytes = rest;
    }
    None
}

/// Skips one codebook (Vorbis I specification, section 3.2.1) and returns the number of its entries and of the values in
/// its table; `None` if it is damaged.
fn skip_codebook(bits: &mut Bits<'_>) -> Option<(u64, u64)> {
    if bits.take(24)? != 0x56_4342 {
        return None;
    }
    let dimensions = bits.take(16)?;
    let entries = bits.take(24)?;
    if bits.take(1)? == 1 {
        bits.take(5)?;
        let mut entry = 0;
        while entry < entries {
            let left = entries - entry;
            entry += bits.take(64 - left.leading_zeros())?;
            if entry > entries {
                return None;
            }
        }
    } else if bits.take(1)? == 1 {
        for _ in 0..entries {
            if bits.take(1)? == 1 {
                bits.take(5)?;
            }
        }
    } else {
        bits.skip(5 * entries)?;
    }
    let kind = bits.take(4)?;
    let values = entries * dimensions;
    if kind == 0 {
        return Some((entries, entries));
    }
    bits.take(32)?;
    bits.take(32)?;
    let width = bits.take(4)? + 1;
    bits.take(1)?;
    let stored = match kind {
        1 => root(entries, dimensions),
        _ => values,
    };
    bits.skip(width * stored)?;
    Some((entries, values))
}

/// The greatest number whose power `dimensions` is at most `entries`.
fn root(entries: u64, dimensions: u64) -> u64 {
    let fits = |base: u64| {
        let dimensions = u32::try_from(dimensions).unwrap_or(u32::MAX);
        base.checked_pow(dimensions)
            .is_some_and(|power| power <= entries)
    };
    let (mut low, mut high) = (0, entries + 1);
    while high - low > 1 {
        let middle = low.midpoint(high);
        match fits(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    low
}

/// Reads bits, the least significant bit of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Bits<'_> {
    /// The next `count` bits, at most 32; `None` at the end.
    fn take(&mut self, count: u32) -> Option<u64> {
        let mut value = 0;
        for bit in 0..count {
            let byte = self.bytes.get((self.at / 8) as usize)?;
            value |= u64::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    /// Skips `count` bits.
    fn skip(&mut self, count: u64) -> Option<()> {
        self.at += count;
        (self.at <= 8 * self.bytes.len() as u64).then_some(())
    }
}
