//! The bits of a JPEG's scan and its Huffman codes (ITU T.81, annexes C and F).

/// Why a scan cannot be followed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The data ends, or another segment begins.
    End,
    /// The bits are no code, or a restart marker is not the next one.
    Damage,
    /// There is more data than blocks.
    Excess,
}

/// The bits of a scan up to a marker, without the zeros that follow 0xff in it.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The first byte that is not in the buffer.
    at: usize,
    /// The next bit is the highest; behind the last there are zeros.
    buffer: u64,
    count: u32,
}

/// Bytes that may follow the last code, or be of one value, by chance.
const FILLING: usize = 16;

/// So many bits are asked for at once, at most: those of a code and those of its number.
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

    /// Where a marker is to be looked for that follows the bits.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Whether much is left in front of the next marker, so that what came before was misread. Some cameras fill their files with bytes of one
    /// value: that is no such sign, unless codes were read out of the filling too.
    pub(super) fn has_rest(&self) -> bool {
        let (read, rest) = self.bytes.split_at(self.at);
        let is_marker = |&at: &usize| rest.get(at + 1).is_some_and(|&next| next != 0);
        let end = memchr::memchr_iter(0xff, rest).find(is_marker);
        let rest = &rest[..end.unwrap_or(rest.len())];
        let is_filling = |bytes: &[u8]| bytes.iter().all(|byte| *byte == rest[0]);
        // The last of what was read may still be in the buffer.
        let read = &read[read.len().saturating_sub(FILLING)..];
        rest.len() > FILLING && (!is_filling(rest) || is_filling(read))
    }

    /// Fills the buffer with [`LONGEST`] bits or more, if there are so many.
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

    /// Passes over `count` bits, at most [`LONGEST`].
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

    /// Passes over a coefficient of a sequential scan: its code, which says how many zeros come before it, and its bits. Returns by how much it
    /// goes on, [`LAST`] where the rest is zeros.
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

    /// The number that `count` bits make, at most 15.
    pub(super) fn number(&mut self, count: u32) -> Result<u32, Stop> {
        if self.count < count {
            self.fill();
        }
        let number = (self.buffer >> 32 >> (32 - count)) as u32;
        self.skip(count)?;
        Ok(number)
    }

    /// The symbol that the next code stands for.
    pub(super) fn symbol(&mut self, codes: &Codes) -> Result<u8, Stop> {
        if self.count < LONGEST {
            self.fill();
        }
        let (length, symbol) = codes.find((self.buffer >> 48) as u16).ok_or({
            // Behind the last bit anything may be missing.
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

/// Steps over all coefficients of a block.
pub(super) const LAST: u8 = 64;

/// By how many coefficients a symbol of a sequential scan goes on (F.1.2.2).
fn steps(symbol: u8) -> u8 {
    match symbol {
        0xf0 => 16,
        symbol if symbol & 15 == 0 => LAST,
        symbol => (symbol >> 4) + 1,
    }
}

/// What begins with certain bits.
#[derive(Clone, Copy)]
struct Short {
    /// Bits of the code; 0 where it is longer than [`SHORT`].
    length: u8,
    symbol: u8,
    /// Bits of the code and of the number behind it.
    all: u8,
    /// See [`steps`].
    steps: u8,
}

/// Bits by which most codes are found at once.
const SHORT: usize = 9;

/// A table of Huffman codes.
pub(super) struct Codes {
    /// By the next [`SHORT`] bits.
    short: [Short; 1 << SHORT],
    /// Of each longer length: one more than the last code, at the upper end of 16 bits, and where its first symbol would be if its codes began at 0.
    long: [(u32, i32); 17],
    symbols: [u8; 256],
}

impl Codes {
    /// The codes of which there are `counts[length − 1]` of each length, for `symbols` in order; `None` where there cannot be so many.
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
