//! Checks whether a picture file is complete. Decoders are lenient and fill missing parts with grey.
use crate::data::jpeg;

/// What is missing at the end of a file, or damaged before it, for JPEG, PNG, GIF, WebP, BMP and binary PNM. `None` if nothing is, or for other contents.
pub(crate) fn missing_end(bytes: &[u8]) -> Option<String> {
    let (ends, what) = match bytes {
        [0xff, 0xd8, ..] => return jpeg::missing(bytes),
        [0x89, b'P', b'N', b'G', ..] => (png_ends(bytes), "the chunk that ends a PNG (IEND)"),
        [b'G', b'I', b'F', b'8', ..] => (gif_ends(bytes), "the byte that ends a GIF"),
        [b'R', b'I', b'F', b'F', ..] => (
            riff_ends(bytes),
            "a part of the length that its header gives",
        ),
        [b'B', b'M', ..] => (
            bmp_ends(bytes),
            "a part of the pixels that its header gives",
        ),
        [b'P', b'5' | b'6', ..] => (
            pnm_ends(bytes),
            "a part of the pixels that its header gives",
        ),
        [b'P', b'7', ..] => (
            pam_ends(bytes),
            "a part of the pixels that its header gives",
        ),
        _ => return None,
    };
    // A truncated header counts as a missing end.
    (ends != Some(true)).then(|| format!("{what} is missing after {} bytes", bytes.len()))
}

fn big_endian(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + length)?;
    Some(
        bytes
            .iter()
            .fold(0, |number, &byte| number << 8 | usize::from(byte)),
    )
}

fn little_endian(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?;
    Some(
        bytes
            .iter()
            .rfold(0, |number, &byte| number << 8 | usize::from(byte)),
    )
}

fn png_ends(bytes: &[u8]) -> Option<bool> {
    let mut at = 8_usize;
    loop {
        let end = at.checked_add(big_endian(bytes, at, 4)?)?.checked_add(12)?;
        if bytes.get(at + 4..at + 8)? == b"IEND" {
            return Some(end <= bytes.len());
        }
        at = end;
    }
}

fn gif_ends(bytes: &[u8]) -> Option<bool> {
    let table = |flags: u8| {
        if flags & 0x80 == 0 {
            0
        } else {
            3 << ((flags & 7) + 1)
        }
    };
    let mut at = 13 + table(*bytes.get(10)?);
    loop {
        match bytes.get(at)? {
            0x3b => return Some(true),
            0x21 => at += 2,
            0x2c => at += 11 + table(*bytes.get(at + 9)?),
            // No block begins like this; the decoder will report it.
            _ => return Some(true),
        }
        // Blocks of data, until an empty one.
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
}

fn riff_ends(bytes: &[u8]) -> Option<bool> {
    Some(little_endian(bytes, 4)?.checked_add(8)? <= bytes.len())
}

fn bmp_ends(bytes: &[u8]) -> Option<bool> {
    let (start, head) = (little_endian(bytes, 10)?, little_endian(bytes, 14)?);
    // Older headers and compressed pixels do not tell the number of bytes.
    if head < 40 || !matches!(little_endian(bytes, 30)?, 0 | 3) {
        return Some(true);
    }
    let width = little_endian(bytes, 18)?;
    let height = (little_endian(bytes, 22)? as u32)
        .cast_signed()
        .unsigned_abs() as usize;
    let depth = little_endian(bytes, 26)? >> 16;
    let line = width.checked_mul(depth)?.div_ceil(32) * 4;
    Some(line.checked_mul(height)?.checked_add(start)? <= bytes.len())
}

fn pnm_ends(bytes: &[u8]) -> Option<bool> {
    let mut at = 2;
    let mut numbers = [0usize; 3];
    for number in &mut numbers {
        // White space and comments before a number.
        loop {
            match bytes.get(at)? {
                b'#' => at += bytes[at..].iter().position(|&byte| byte == b'\n')? + 1,
                byte if byte.is_ascii_whitespace() => at += 1,
                _ => break,
            }
        }
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.count();
        *number = std::str::from_utf8(&bytes[at..at + digits])
            .ok()?
            .parse()
            .ok()?;
        at += digits;
    }
    let [width, height, most] = numbers;
    let channels = if bytes[1] == b'6' { 3 } else { 1 };
    let sample = if most > 255 { 2 } else { 1 };
    let pixels = width.checked_mul(height)?.checked_mul(channels * sample)?;
    Some(pixels.checked_add(at + 1)? <= bytes.len())
}

fn pam_ends(bytes: &[u8]) -> Option<bool> {
    const END: &[u8] = b"ENDHDR\n";
    let end = bytes.windows(END.len()).position(|window| window == END)?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let number = |name: &str| -> Option<usize> {
        let mut values = head.lines().filter_map(|line| line.strip_prefix(name));
        values.next()?.trim().parse().ok()
    };
    let sample = if number("MAXVAL ")? > 255 { 2 } else { 1 };
    let pixels = number("WIDTH ")?.checked_mul(number("HEIGHT ")?)?;
    let pixels = pixels.checked_mul(number("DEPTH ")?.checked_mul(sample)?)?;
    Some(pixels.checked_add(end + END.len())? <= bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_whose_segment_leads_beyond_its_end_is_damaged_and_not_cut_off() {
        let whole = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xd9];
        assert_eq!(missing_end(&whole), None);
        let cut_off = missing_end(&whole[..8]).expect("no end");
        assert!(cut_off.contains("EOI"), "{cut_off}");
        let mut damaged = whole;
        damaged[4] = 0x7f;
        let damaged = missing_end(&damaged).expect("no way to the end");
        assert!(damaged.contains("damaged"), "{damaged}");
    }
}
