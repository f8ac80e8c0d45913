//! Checks whether the data of a JPEG is complete. It follows the scans code by code, which takes a fraction of the time of decoding
//! (ITU T.81). Decoders fill missing parts with grey, or with whatever zeros decode to.
mod bits;
mod scan;

use std::borrow::Cow;

use crate::data::picture::LARGEST_PICTURE;
use bits::{Codes, Stop};
use scan::{Component, Followed, Part, Scan};

/// Most scans that are followed. Real files have fewer, and each may take as long as the whole picture.
const MOST_SCANS: usize = 100;

/// The marker that ends a JPEG (EOI).
const END: [u8; 2] = [0xff, 0xd9];

/// Why a JPEG is not supported, if so.
pub(super) fn foreign_kind(bytes: &[u8]) -> Option<&'static str> {
    let mut segments = Segments::new(bytes)?;
    loop {
        return match segments.next()? {
            Segment::Other(0xc0..=0xc2, body) => {
                (*body.first()? != 8).then_some("a JPEG of more than 8 bits")
            }
            Segment::Other(0xc3 | 0xc5..=0xc7, _) => Some("a lossless or hierarchical JPEG"),
            Segment::Other(0xc9..=0xcb | 0xcd..=0xcf, _) => Some("a JPEG with arithmetic coding"),
            Segment::Other(0xf7, _) => Some("a JPEG-LS"),
            Segment::Other(..) => continue,
            Segment::End | Segment::TooLong => None,
        };
    }
}

/// What is missing or damaged in a JPEG, if anything. A missing end marker does not count if all data is there.
pub(super) fn missing(bytes: &[u8]) -> Option<String> {
    let no_end = || {
        let length = bytes.len();
        Some(format!(
            "the marker that ends a JPEG (EOI) is missing after {length} bytes"
        ))
    };
    let mut segments = Segments::new(bytes)?;
    let mut frame = Frame::default();
    loop {
        match segments.next() {
            Some(Segment::Other(marker, body)) => {
                let Some(followed) = frame.take(marker, body, bytes, segments.at) else {
                    continue;
                };
                segments.at = followed.end;
                if let Some((stop, row)) = followed.stopped {
                    return Some(frame.lost(stop, row));
                }
            }
            Some(Segment::End) => return frame.without_data(),
            Some(Segment::TooLong) if bytes.ends_with(&END) => {
                return Some(format!(
                    "a segment of the JPEG is damaged: its length goes beyond the file's {} bytes",
                    bytes.len()
                ));
            }
            None if frame.is_complete() => return None,
            None | Some(Segment::TooLong) => return no_end(),
        }
    }
}

/// Adds the end marker to a JPEG, without which decoders drop its last rows; returns other bytes unchanged.
pub(super) fn with_end(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some(mut segments) = Segments::new(bytes).filter(|_| !bytes.ends_with(&END)) else {
        return bytes.into();
    };
    loop {
        match segments.next() {
            Some(Segment::Other(..)) => {}
            Some(Segment::End) => return bytes.into(),
            Some(Segment::TooLong) | None => return [bytes, &END].concat().into(),
        }
    }
}

/// Iterates over segments (B.1): a segment gives its length, and coded data contains no marker except RST.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Segment<'a> {
    /// A marker and the contents of its segment.
    Other(u8, &'a [u8]),
    /// A segment that is longer than the file.
    TooLong,
    /// The marker EOI.
    End,
}

impl<'a> Segments<'a> {
    /// `None` if it is no JPEG.
    fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes
            .starts_with(&[0xff, 0xd8])
            .then_some(Self { bytes, at: 2 })
    }

    /// The next segment; `None` at the end.
    fn next(&mut self) -> Option<Segment<'a>> {
        loop {
            // Fill bytes may come before a marker. Other bytes there are skipped, as decoders do.
            self.at += memchr::memchr(0xff, self.bytes.get(self.at..)?)?;
            let marker = *self.bytes.get(self.at + 1)?;
            self.at += 1;
            if matches!(marker, 0 | 0xff) {
                continue;
            }
            self.at += 1;
            match marker {
                0xd9 => return Some(Segment::End),
                0x01 | 0xd0..=0xd8 => {}
                _ => break Some(self.body(marker)),
            }
        }
    }

    fn body(&mut self, marker: u8) -> Segment<'a> {
        let rest = &self.bytes[self.at..];
        let body = rest
            .first_chunk()
            .and_then(|length| rest.get(2..u16::from_be_bytes(*length).into()));
        match body {
            Some(body) => {
                self.at += 2 + body.len();
                Segment::Other(marker, body)
            }
            None => Segment::TooLong,
        }
    }
}

/// The state after the segments so far.
#[derive(Default)]
struct Frame {
    is_progressive: bool,
    height: usize,
    /// Rows of pixels in a unit of all components.
    unit_height: usize,
    components: Vec<Component>,
    dc: [Option<Box<Codes>>; 4],
    ac: [Option<Box<Codes>>; 4],
    interval: usize,
    scans: usize,
    /// Of a kind that cannot be followed.
    is_unknown: bool,
}

impl Frame {
    /// Processes a segment. Follows a scan, whose data begins at `at`. `None` for other segments, and for scans that cannot be followed.
    fn take(&mut self, marker: u8, body: &[u8], bytes: &[u8], at: usize) -> Option<Followed> {
        match marker {
            0xc4 => self.is_unknown |= self.codes(body).is_none(),
            0xc0..=0xcf if marker != 0xc8 && marker != 0xcc => {
                let known = marker <= 0xc2 && self.components.is_empty();
                self.is_progressive = marker == 0xc2;
                self.is_unknown |= !known || self.frame(body).is_none();
            }
            0xdd => {
                self.interval = body
                    .first_chunk()
                    .map_or(0, |n| u16::from_be_bytes(*n).into())
            }
            0xda => {
                self.scans += 1;
                self.is_unknown |= self.scans > MOST_SCANS || self.components.is_empty();
                if !self.is_unknown {
                    let followed = self.scan(body, bytes, at);
                    self.is_unknown |= followed.is_none();
                    return followed;
                }
            }
            _ => {}
        }
        None
    }

    /// Tables of codes (B.2.4.2).
    fn codes(&mut self, mut body: &[u8]) -> Option<()> {
        while let [kind, rest @ ..] = body {
            let counts: &[u8; 16] = rest.first_chunk()?;
            let count: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let symbols = rest.get(16..16 + count)?;
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                _ => &mut self.ac,
            };
            let table = tables.get_mut(usize::from(kind & 15))?;
            *table = Some(Box::new(Codes::new(counts, symbols)?));
            body = &rest[16 + count..];
        }
        Some(())
    }

    /// Size and components (B.2.2).
    fn frame(&mut self, body: &[u8]) -> Option<()> {
        let &[8, a, b, c, d, count, ref rest @ ..] = body else {
            return None;
        };
        let (height, width) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let size = (usize::from(width), usize::from(height));
        let parts: Vec<&[u8]> = rest.chunks_exact(3).take(count.into()).collect();
        let across = |part: &&[u8]| usize::from(part[1] >> 4);
        let down = |part: &&[u8]| usize::from(part[1] & 15);
        let are_sampled = (parts.iter().map(across).chain(parts.iter().map(down)))
            .all(|factor| (1..=4).contains(&factor));
        let pixels = u64::from(height) * u64::from(width);
        if !are_sampled
            || !(1..=4).contains(&parts.len())
            || !(1..=LARGEST_PICTURE).contains(&pixels)
        {
            return None;
        }
        let most = (
            parts.iter().map(across).max()?,
            parts.iter().map(down).max()?,
        );
        (self.height, self.unit_height) = (size.1, 8 * most.1);
        let component = |part: &[u8]| {
            let own = (across(&part), down(&part));
            Component::new(part[0], size, own, most, self.is_progressive)
        };
        self.components = parts.into_iter().map(component).collect();
        Some(())
    }

    /// Follows a scan (B.2.3).
    fn scan(&mut self, body: &[u8], bytes: &[u8], at: usize) -> Option<Followed> {
        let (&count, rest) = body.split_first()?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[start, end, bits, ..] = rest else {
            return None;
        };
        let (start, end) = if self.is_progressive {
            (start, end)
        } else {
            (0, 63)
        };
        let part = |part: &[u8]| {
            let component = self
                .components
                .iter()
                .position(|component| component.name == part[0])?;
            Some(Part {
                component,
                dc: self.dc.get(usize::from(part[1] >> 4))?.as_deref(),
                ac: self.ac.get(usize::from(part[1] & 15))?.as_deref(),
            })
        };
        let parts: Vec<Part<'_>> = parts.chunks_exact(2).map(part).collect::<Option<_>>()?;
        let is_valid = start <= end
            && end < 64
            && (start == 0 || parts.len() == 1)
            && (start > 0 || end == 0 || !self.is_progressive);
        if parts.is_empty() || !is_valid {
            return None;
        }
        let scan = Scan {
            parts,
            is_progressive: self.is_progressive,
            band: (start.into(), end.into()),
            refines: self.is_progressive && bits >> 4 > 0,
            interval: self.interval,
        };
        let mut followed = scan.follow(&mut self.components, bytes, at)?;
        if let Some((_, row)) = &mut followed.stopped {
            // In pixels. The units of a single component are its blocks.
            *row *= match &scan.parts[..] {
                [part] => self.unit_height / self.components[part.component].down,
                _ => self.unit_height,
            };
        }
        let precision = if self.is_progressive { bits & 15 } else { 0 };
        for part in &scan.parts {
            self.components[part.component].precision[start.into()..=end.into()].fill(precision);
        }
        Some(followed)
    }

    /// Whether all scans were followed and are complete.
    fn is_complete(&self) -> bool {
        let complete = |component: &Component| component.precision.iter().all(|&bit| bit == 0);
        !self.is_unknown && !self.components.is_empty() && self.components.iter().all(complete)
    }

    /// The message if the JPEG ends before all components.
    fn without_data(&self) -> Option<String> {
        let came = |component: &Component| component.precision[0] != u8::MAX;
        let came = self
            .components
            .iter()
            .filter(|component| came(component))
            .count();
        let all = self.components.len();
        (!self.is_unknown && came < all)
            .then(|| format!("the JPEG ends after the data of {came} of its {all} components"))
    }

    /// The message if a scan ends before a row of pixels.
    fn lost(&self, stop: Stop, row: usize) -> String {
        let height = self.height;
        let row = row.min(height);
        match stop {
            Stop::End => format!("the data of the JPEG ends after {row} of its {height} rows"),
            Stop::Damage => {
                format!("the data of the JPEG is damaged after {row} of its {height} rows")
            }
            Stop::Excess => {
                format!(
                    "the data of the JPEG is damaged: it continues after the last of its {height} rows"
                )
            }
        }
    }
}
