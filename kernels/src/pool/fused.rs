//! Max pooling by 2×2 windows within the kernels of a convolution: they pool what they are about to write, and expand the
//! pooled gradient while they read it, so that the large map is never in memory.
use std::mem::MaybeUninit;
use std::ops::Range;

use super::passes::{challenge, larger};
use super::{Pooled, Winner};
use crate::normalised::{Input, Normalised};
use crate::simd::{Simd, load, store};
use crate::threads::DisjointMut;

/// Numbers that a task expands or pools at a time: they stay in L2 at worst.
pub(crate) const ROOM: usize = 16 << 10;

/// Memory of a task for [`ROOM`] numbers.
pub(crate) struct Room(MaybeUninit<[f32; ROOM]>);

impl Room {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    #[inline(always)]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

/// A pooled map that is written.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) values: &'a DisjointMut<'a, f32>,
    /// Asked for in training.
    pub(crate) winners: Option<&'a DisjointMut<'a, Winner>>,
}

impl Target<'_> {
    /// Pools the four pixels of a window, row by row, and writes the first `lanes` lanes at `at`.
    ///
    /// # Safety
    /// They lie within the map, and no other thread touches them.
    #[inline(always)]
    pub(crate) unsafe fn store<S: Simd>(
        &self,
        simd: S,
        window: [S::Vector; 4],
        at: usize,
        lanes: usize,
    ) {
        // As `max_forward` does it, so that the bits are the same.
        // SAFETY: the caller's promise.
        unsafe {
            let to = self.values.as_mut_ptr().add(at);
            let Some(winners) = self.winners else {
                let above = larger(simd, window[0], window[1]);
                let below = larger(simd, window[2], window[3]);
                return store(simd, lanes, larger(simd, above, below), to);
            };
            let mut lead = (simd.splat(f32::NEG_INFINITY), simd.zero());
            for (place, value) in window.into_iter().enumerate() {
                lead = challenge(simd, lead, value, place);
            }
            store(simd, lanes, lead.0, to);
            simd.store_bytes(lanes, lead.1, winners.as_mut_ptr().add(at));
        }
    }

    /// Pools two rows at `rows`, `pixel` numbers from pixel to pixel, into `windows` windows from `at` on, of `channels` channels of
    /// the map's `all`.
    ///
    /// # Safety
    /// As of [`Target::store`]; the rows are there.
    #[inline(always)]
    pub(crate) unsafe fn store_rows<S: Simd>(
        &self,
        simd: S,
        rows: [*const f32; 2],
        pixel: usize,
        windows: usize,
        at: usize,
        [channels, all]: [usize; 2],
    ) {
        for x in 0..windows {
            for channel in (0..channels).step_by(S::LANES) {
                let left = channels - channel;
                // Masks are slow. What a whole vector reads beyond a pixel is numbers of the row, what it writes the next windows
                // write again.
                let is_dense = pixel == channels && all == channels;
                let lanes = match left {
                    _ if is_dense && (windows - x) * channels >= channel + S::LANES => S::LANES,
                    left => left.min(S::LANES),
                };
                // SAFETY: the caller's promise.
                unsafe {
                    let place = |place: usize| {
                        let from = (2 * x + place % 2) * pixel + channel;
                        load(simd, lanes, rows[place / 2].add(from))
                    };
                    let window = [place(0), place(1), place(2), place(3)];
                    self.store(simd, window, at + x * all + channel, lanes);
                }
            }
        }
    }
}

/// What a pass reads: a map, which may be normalised on the way, or the gradient of a pooled map that stands for one.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) winners: Option<&'a [Winner]>,
    pub(crate) normalised: Option<Normalised<'a>>,
}

impl<'a> Source<'a> {
    pub(crate) fn map(input: impl Into<Input<'a>>) -> Self {
        let Input { map, normalised } = input.into();
        Self {
            numbers: map,
            winners: None,
            normalised,
        }
    }

    /// # Panics
    /// If not every number has a winner.
    pub(crate) fn pooled(pooled: Pooled<'a>) -> Self {
        assert_eq!(pooled.gradient.len(), pooled.winners.len(), "winners");
        Self {
            numbers: pooled.gradient,
            winners: Some(pooled.winners),
            normalised: None,
        }
    }

    /// The map, for a pass that reads no pooled gradient.
    ///
    /// # Panics
    /// If a pooled gradient stands for it.
    pub(crate) fn unpooled(&self) -> &'a [f32] {
        assert!(self.winners.is_none(), "this pass reads no pooled gradient");
        self.numbers
    }

    /// The address that the first number of the map would have if `rows`, which are there, lay where they belong. A pooled gradient is
    /// expanded into `room`.
    ///
    /// # Safety
    /// The rows exist.
    ///
    /// # Panics
    /// If they do not fit into the room.
    #[inline(always)]
    pub(crate) unsafe fn rows<S: Simd>(
        &self,
        simd: S,
        room: &mut Room,
        [width, channels]: [usize; 2],
        rows: Range<usize>,
    ) -> *const f32 {
        let Some(winners) = self.winners else {
            return self.numbers.as_ptr();
        };
        assert!(rows.len() * width * channels <= ROOM, "{rows:?} expanded");
        let (start, to) = (rows.start * width * channels, room.as_mut_ptr());
        let (numbers, winners) = (self.numbers.as_ptr(), winners.as_ptr());
        // SAFETY: the room was checked, the rest is the caller's promise.
        unsafe {
            let size = [width, channels];
            expand(
                simd,
                numbers,
                winners,
                size,
                rows,
                0..channels,
                to,
                channels,
            );
        }
        to.wrapping_sub(start)
    }

    /// Numbers of the map that is read or stood for.
    pub(crate) fn len(&self) -> usize {
        match self.winners {
            None => self.numbers.len(),
            Some(_) => 4 * self.numbers.len(),
        }
    }
}

/// Writes some channels of rows of the map for which a pooled gradient stands, `pixel` numbers from pixel to pixel; `width` and
/// `channels` are the map's.
///
/// # Safety
/// The rows and channels exist, and so does the room for them at `to`.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "which part of which map goes where"
)]
pub(crate) unsafe fn expand<S: Simd>(
    simd: S,
    gradient: *const f32,
    winners: *const Winner,
    [width, all]: [usize; 2],
    rows: Range<usize>,
    channels: Range<usize>,
    to: *mut f32,
    pixel: usize,
) {
    for (i, row) in rows.enumerate() {
        // A batch of maps of even height is one high map.
        let place = (row % 2 * 2) as Winner;
        for x in 0..width / 2 {
            let from = (row / 2 * (width / 2) + x) * all;
            for channel in channels.clone().step_by(S::LANES) {
                let lanes = (channels.end - channel).min(S::LANES);
                // SAFETY: the caller's promise.
                unsafe {
                    let winners = winners.add(from + channel);
                    let value = load(simd, lanes, gradient.add(from + channel));
                    let left = simd.select_byte(lanes, winners, place, value);
                    let right = simd.select_byte(lanes, winners, place + 1, value);
                    let to = to.add((i * width + 2 * x) * pixel + channel - channels.start);
                    store(simd, lanes, left, to);
                    store(simd, lanes, right, to.add(pixel));
                }
            }
        }
    }
}
