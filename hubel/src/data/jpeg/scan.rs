//! One scan of a JPEG, followed from code to code without computing a pixel (ITU T.81, annexes F and G).
use super::bits::{Bits, Codes, LAST, Stop};

/// Blocks of 8×8 of one component.
pub(super) struct Component {
    /// Its identifier in frame and scans.
    pub(super) name: u8,
    /// Blocks of one unit (MCU), across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Blocks with pixels.
    pub(super) blocks_wide: usize,
    pub(super) blocks_high: usize,
    /// Blocks across and down, including those that fill the last units.
    pub(super) padded_wide: usize,
    pub(super) padded_high: usize,
    /// Only for progressive JPEGs: for each block, one bit per coefficient that is known not to be zero.
    pub(super) nonzero: Vec<u64>,
    /// For each coefficient, the lowest bit so far; 255 if there is none.
    pub(super) precision: [u8; 64],
}

impl Component {
    /// The component `name` of a picture of `width` by `height` pixels. It has `across` and `down` blocks per unit; the component with
    /// the highest resolution has `most`.
    pub(super) fn new(
        name: u8,
        (width, height): (usize, usize),
        (across, down): (usize, usize),
        most: (usize, usize),
        is_progressive: bool,
    ) -> Self {
        let padded_wide = width.div_ceil(8 * most.0) * across;
        let padded_high = height.div_ceil(8 * most.1) * down;
        let blocks = if is_progressive {
            padded_wide * padded_high
        } else {
            0
        };
        Self {
            name,
            across,
            down,
            blocks_wide: (width * across).div_ceil(8 * most.0),
            blocks_high: (height * down).div_ceil(8 * most.1),
            padded_wide,
            padded_high,
            nonzero: vec![0; blocks],
            precision: [u8::MAX; 64],
        }
    }
}

/// A component in a scan, with its codes.
pub(super) struct Part<'a> {
    pub(super) component: usize,
    pub(super) dc: Option<&'a Codes>,
    pub(super) ac: Option<&'a Codes>,
}

/// The header of a scan.
pub(super) struct Scan<'a> {
    pub(super) parts: Vec<Part<'a>>,
    pub(super) is_progressive: bool,
    /// The first and the last of the coefficients, in zigzag order.
    pub(super) band: (u32, u32),
    /// Whether it refines coefficients of earlier scans.
    pub(super) refines: bool,
    /// Units between restart markers; 0 if there are none.
    pub(super) interval: usize,
}

/// The end of a scan.
pub(super) struct Followed {
    /// The position after it.
    pub(super) end: usize,
    /// Why it ends early, and before which row of units, if it does.
    pub(super) stopped: Option<(Stop, usize)>,
}

impl Scan<'_> {
    /// Follows the scan that begins at `at`. `None` if a table is missing.
    pub(super) fn follow(
        &self,
        components: &mut [Component],
        bytes: &[u8],
        at: usize,
    ) -> Option<Followed> {
        let mut bits = Bits::new(bytes, at);
        let mut run = 0;
        let (wide, high) = self.units(components);
        for unit in 0..wide * high {
            let restarts = self.interval > 0 && unit > 0 && unit % self.interval == 0;
            let mut followed = Ok(());
            if restarts {
                run = 0;
                followed = restart(&mut bits, bytes, unit / self.interval - 1);
            }
            let (row, column) = (unit / wide, unit % wide);
            followed = match followed {
                Ok(()) => self.unit(components, &mut bits, &mut run, (row, column))?,
                stop => stop,
            };
            if let Err(stop) = followed {
                let stopped = Some((stop, row));
                return Some(Followed {
                    end: bits.place(),
                    stopped,
                });
            }
        }
        Some(Followed {
            end: bits.place(),
            stopped: bits.has_rest().then_some((Stop::Excess, high)),
        })
    }

    /// Units across and down. A single component is not padded to whole units of all.
    fn units(&self, components: &[Component]) -> (usize, usize) {
        let first = &components[self.parts[0].component];
        match &self.parts[..] {
            [_] => (first.blocks_wide, first.blocks_high),
            _ => (
                first.padded_wide / first.across,
                first.padded_high / first.down,
            ),
        }
    }

    /// The blocks of one unit.
    fn unit(
        &self,
        components: &mut [Component],
        bits: &mut Bits<'_>,
        run: &mut u32,
        (row, column): (usize, usize),
    ) -> Option<Result<(), Stop>> {
        for part in &self.parts {
            let component = &mut components[part.component];
            let (down, across) = match &self.parts[..] {
                [_] => (1, 1),
                _ => (component.down, component.across),
            };
            for block in 0..down * across {
                let place = (row * down + block / across) * component.padded_wide
                    + column * across
                    + block % across;
                let nonzero = component.nonzero.get_mut(place);
                if let Err(stop) = self.block(part, bits, run, nonzero)? {
                    return Some(Err(stop));
                }
            }
        }
        Some(Ok(()))
    }

    fn block(
        &self,
        part: &Part<'_>,
        bits: &mut Bits<'_>,
        run: &mut u32,
        nonzero: Option<&mut u64>,
    ) -> Option<Result<(), Stop>> {
        Some(match (self.is_progressive, self.band.0, self.refines) {
            (false, ..) => sequential(bits, part.dc?, part.ac?),
            (true, 0, false) => dc(bits, part.dc?),
            (true, 0, true) => bits.skip(1),
            (true, _, false) => first(bits, part.ac?, self.band, run, nonzero?),
            (true, _, true) => refined(bits, part.ac?, self.band, run, nonzero?),
        })
    }
}

/// Reads restart marker number `number`, and continues with the bits after it.
fn restart<'a>(bits: &mut Bits<'a>, bytes: &'a [u8], number: usize) -> Result<(), Stop> {
    let mut at = bits.place();
    loop {
        at += memchr::memchr(0xff, bytes.get(at..).ok_or(Stop::End)?).ok_or(Stop::End)?;
        match *bytes.get(at + 1).ok_or(Stop::End)? {
            0 | 0xff => at += 1,
            marker @ 0xd0..=0xd7 if usize::from(marker) == 0xd0 + number % 8 => break,
            0xd0..=0xd7 => return Err(Stop::Damage),
            _ => return Err(Stop::End),
        }
    }
    *bits = Bits::new(bytes, at + 2);
    Ok(())
}

fn dc(bits: &mut Bits<'_>, codes: &Codes) -> Result<(), Stop> {
    let size = bits.symbol(codes)?;
    bits.skip(u32::from(size).min(16))
}

fn sequential(bits: &mut Bits<'_>, dc_codes: &Codes, ac_codes: &Codes) -> Result<(), Stop> {
    dc(bits, dc_codes)?;
    let mut place = 1;
    while place < LAST.into() {
        place += bits.coefficient(ac_codes)?;
    }
    Ok(())
}

/// The first bits of a band of coefficients; `run` counts the following blocks without any.
fn first(
    bits: &mut Bits<'_>,
    codes: &Codes,
    (start, end): (u32, u32),
    run: &mut u32,
    nonzero: &mut u64,
) -> Result<(), Stop> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let mut place = start;
    while place <= end {
        let symbol = u32::from(bits.symbol(codes)?);
        match (symbol >> 4, symbol & 15) {
            (15, 0) => place += 16,
            (log, 0) => {
                *run = (1 << log) - 1 + bits.number(log)?;
                break;
            }
            (zeros, size) => {
                bits.skip(size)?;
                place += zeros;
                *nonzero |= 1u64.checked_shl(place).unwrap_or(0);
                place += 1;
            }
        }
    }
    Ok(())
}

/// One more bit of a band of coefficients: those that are known not to be zero have their own bit between the codes.
fn refined(
    bits: &mut Bits<'_>,
    codes: &Codes,
    (start, end): (u32, u32),
    run: &mut u32,
    nonzero: &mut u64,
) -> Result<(), Stop> {
    let mut place = start;
    while *run == 0 && place <= end {
        let symbol = u32::from(bits.symbol(codes)?);
        let (mut zeros, size) = (symbol >> 4, symbol & 15);
        match (zeros, size) {
            (15, 0) => {}
            (log, 0) => {
                *run = (1 << log) + bits.number(log)?;
                break;
            }
            // Its sign.
            _ => bits.skip(1)?,
        }
        while place <= end {
            if *nonzero >> place & 1 == 1 {
                bits.skip(1)?;
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            place += 1;
        }
        if size > 0 && place <= end {
            *nonzero |= 1 << place;
        }
        place += 1;
    }
    if *run > 0 {
        *run -= 1;
        let rest = *nonzero & (u64::MAX >> (63 - end)) & u64::MAX.checked_shl(place).unwrap_or(0);
        let rest = rest.count_ones();
        bits.skip(rest.min(32))?;
        bits.skip(rest.saturating_sub(32))?;
    }
    Ok(())
}
