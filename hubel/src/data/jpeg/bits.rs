//! The bits of a JPEG's scan and its Huffman codes (ITU T.81, annexes C and F).

/// Why a scan cannot be followed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The data ends, or another segment begins.
    End,
    /// The bits are no valid code, or a restart marker is out of order.
    Damage,
    /// There is more data than blocks.
    Excess,
}

/// The bits of a scan up to a marker, without the zeros after 0xff.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The first byte that is not in the buffer.
    at: usize,
    /// The next bit is the highest; zeros follow the last one.
    buffer: u64,
    count: u32,
}

/// Number of bytes that may follow the last code, or have one value, by chance.
const FILLING: usize = 16;

/// Most bits that are requested at once: those of a code and of its value.
const LONGEST: u32 = 32;

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            buffer: 0,
            count: 0,
        }
    }

    /// The position from which to search the next marker.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Whether many bytes are left before the next marker, which means that earlier codes were misread. Some cameras fill their files with bytes of one
    /// value; that does not count, unless codes were also read from the filling.
    pub(super) fn has_rest(&self) -> bool {
        let (read, rest) = self.bytes.split_at(self.at);
        let is_marker = |&at: &usize| rest.get(at + 1).is_some_and(|&next| next != 0);
        let end = memchr::memchr_iter(0xff, rest).find(is_marker);
        let rest = &rest[..end.unwrap_or(rest.len())];
        let is_filling = |bytes: &[u8]| bytes.iter().all(|byte| *byte == rest[0]);
        // The last codes may still be in the buffer.
        let read = &read[read.len().saturating_sub(FILLING)..];
        rest.len() > FILLING && (!is_filling(rest) || is_filling(read))
    }

    /// Fills the buffer with [`LONGEST`] bits or more, if there are enough.
    fn fill(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if let Some(word) = rest.first_chunk() {
            let word = u32::from_be_bytes(*word);
            // Whether no byte is 0xff: none of the inverted bytes is zero.
            if (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 == 0 {
                self.buffer |= u64::from(word) << (32 - self.count);
                self.count += 32;
                self.at += 4;
                return;
            }
        }
        while self.count < LONGEST {
            let (byte, length) = match self.bytes.get(self.at..) {
                Some([0xff, 0, ..]) => (0xff, 2),
                Some([byte, ..]) if *byte != 0xff => (*byte, 1),
                _ => return,
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
            self.at += length;
        }
    }

    /// Skips `count` bits, at most [`LONGEST`].
    pub(super) fn skip(&mut self, count: u32) -> Result<(), Stop> {
        if self.count < count {
            self.fill();
            if self.count < count {
                return Err(Stop::End);
            }
        }
        self.buffer <<= count;
        self.count -= count;
        Ok(())
    }

    /// Skips a coefficient of a sequential scan: its code, which gives the zeros before it, and its bits. Returns the number of coefficients
    /// to advance, or [`LAST`] if the rest are zeros.
    pub(super) fn coefficient(&mut self, codes: &Codes) -> Result<u32, Stop> {
        if self.count < LONGEST {
            self.fill();
        }
        let short = codes.short[(self.buffer >> (64 - SHORT)) as usize];
        let all = u32::from(short.all);
        if short.length > 0 && all <= self.count {
            self.buffer <<= all;
            self.count -= all;
            return Ok(short.steps.into());
        }
        let symbol = self.symbol(codes)?;
        self.skip((symbol & 15).into())?;
        Ok(steps(symbol).into())
    }

    /// The value of `count` bits, at most 15.
    pub(super) fn number(&mut self, count: u32) -> Result<u32, Stop> {
        if self.count < count {
            self.fill();
        }
        let number = (self.buffer >> 32 >> (32 - count)) as u32;
        self.skip(count)?;
        Ok(number)
    }

    /// The symbol of the next code.
    pub(super) fn symbol(&mut self, codes: &Codes) -> Result<u8, Stop> {
        if self.count < LONGEST {
            self.fill();
        }
        let (length, symbol) = codes.find((self.buffer >> 48) as u16).ok_or({
            // After the last bit, data is missing.
            if self.count < 16 {
                Stop::End
            } else {
                Stop::Damage
            }
        })?;
        self.skip(length)?;
        Ok(symbol)
    }
}

/// A step past all coefficients of a block.
pub(super) const LAST: u8 = 64;

/// The number of coefficients that a symbol of a sequential scan advances (F.1.2.2).
fn steps(symbol: u8) -> u8 {
    match symbol {
        0xf0 => 16,
        symbol if symbol & 15 == 0 => LAST,
        symbol => (symbol >> 4) + 1,
    }
}

/// The code at the start of certain bits.
#[derive(Clone, Copy)]
struct Short {
    /// Bits of the code; 0 if it is longer than [`SHORT`].
    length: u8,
    symbol: u8,
    /// Bits of the code and of the value after it.
    all: u8,
    /// See [`steps`].
    steps: u8,
}

/// Number of bits that suffice to look up most codes.
const SHORT: usize = 9;

/// A table of Huffman codes.
pub(super) struct Codes {
    /// Indexed by the next [`SHORT`] bits.
    short: [Short; 1 << SHORT],
    /// For each longer length: one more than the last code, left-aligned in 16 bits, and the index of its first symbol if its codes began at 0.
    long: [(u32, i32); 17],
    symbols: [u8; 256],
}

impl Codes {
    /// The codes for `symbols` in order, with `counts[length − 1]` codes of each length; `None` if there are too many.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let longer = Short {
            length: 0,
            symbol: 0,
            all: 0,
            steps: 0,
        };
        let mut codes = Self {
            short: [longer; 1 << SHORT],
            long: [(0, 0); 17],
            symbols: [0; 256],
        };
        codes
            .symbols
            .get_mut(..symbols.len())?
            .copy_from_slice(symbols);
        let (mut code, mut place) = (0_usize, 0);
        for length in 1..=16 {
            let first = place as i32 - code as i32;
            for _ in 0..counts[length - 1] {
                if code >> length != 0 {
                    return None;
                }
                if let Some(rest) = SHORT.checked_sub(length) {
                    let (length, symbol) = (length as u8, *symbols.get(place)?);
                    codes.short[code << rest..][..1 << rest].fill(Short {
                        length,
                        symbol,
                        all: length + (symbol & 15),
                        steps: steps(symbol),
                    });
                }
                (code, place) = (code + 1, place + 1);
            }
            codes.long[length] = ((code << (16 - length)) as u32, first);
            code <<= 1;
        }
        Some(codes)
    }

    /// The length and the symbol of the code at the upper end of `bits`.
    fn find(&self, bits: u16) -> Option<(u32, u8)> {
        let short = self.short[usize::from(bits >> (16 - SHORT))];
        if short.length > 0 {
            return Some((short.length.into(), short.symbol));
        }
        let bits = u32::from(bits);
        let length = (SHORT + 1..=16).find(|&length| bits < self.long[length].0)?;
        let place = (bits >> (16 - length)) as i32 + self.long[length].1;
        let symbol = self.symbols.get(usize::try_from(place).ok()?)?;
        Some((length as u32, *symbol))
    }
}
