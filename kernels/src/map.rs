//! Maps as passes read and write them. A pass may normalise its input on load, so that the normalised map is never in memory. It may expand
//! the gradient of a pooled map on load. It may pool its output before it writes it.
use std::mem::MaybeUninit;
use std::ops::Range;

use crate::activation::Activation;
use crate::simd::{Simd, load, store};
use crate::{Cpu, DisjointMut};

/// A map that a pass reads.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[n, h, w, c]`
    pub map: &'a [f32],
    /// Normalisation applied on load; `None` reads the map unchanged.
    pub normalised: Option<Normalised<'a>>,
}

impl<'a> Input<'a> {
    /// The map, for a pass that cannot normalise.
    ///
    /// # Panics
    /// If it is to be normalised.
    pub(crate) fn plain(self) -> &'a [f32] {
        assert!(self.normalised.is_none(), "this pass does not normalise");
        self.map
    }

    /// `lanes` values from index `at` on, which belong to the channels from `channel` on. They are normalised if asked.
    ///
    /// # Safety
    /// The values are on the map, and the channels are among those [checked](Normalised::check).
    #[inline(always)]
    pub(crate) unsafe fn load<S: Simd>(
        &self,
        simd: S,
        at: usize,
        channel: usize,
        lanes: usize,
    ) -> S::Vector {
        // SAFETY: the values are on the map; `of` may read the channels, which were checked.
        unsafe {
            let x = load(simd, lanes, self.map.as_ptr().add(at));
            match &self.normalised {
                None => x,
                Some(by) => by.of(simd, channel, lanes).apply(simd, x),
            }
        }
    }
}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for Input<'a> {
    fn from(map: &'a T) -> Self {
        Self {
            map: map.as_ref(),
            normalised: None,
        }
    }
}

/// activation(factor · x + summand), as [`batch_norm::normalise`](crate::batch_norm::normalise) computes it, to the bit.
#[derive(Clone, Copy, Debug)]
pub struct Normalised<'a> {
    /// One for each channel.
    pub factor: &'a [f32],
    /// One for each channel.
    pub summand: &'a [f32],
    /// One that is [supported](Normalised::supports).
    pub activation: Activation,
}

impl Normalised<'_> {
    /// Whether a pass can apply `activation` on load: the identity, ReLU, ReLU6.
    pub fn supports(activation: Activation) -> bool {
        limits(activation).is_some()
    }

    /// # Panics
    /// If there are not `channels` channels, or the activation is not [supported](Normalised::supports).
    pub(crate) fn check(&self, channels: usize) {
        assert!(self.factor.len() == channels && self.summand.len() == channels);
        assert!(Self::supports(self.activation), "{:?}", self.activation);
    }

    /// The normalisation of `lanes` channels from `channel` on.
    ///
    /// # Safety
    /// The channels are among those [checked](Normalised::check).
    #[inline(always)]
    pub(crate) unsafe fn of<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        lanes: usize,
    ) -> Normaliser<S> {
        let [low, high] = limits(self.activation).unwrap_or_default();
        // SAFETY: `check` has found a factor and a summand for each channel, and these channels are among them.
        unsafe {
            Normaliser {
                factor: load(simd, lanes, self.factor.as_ptr().add(channel)),
                summand: load(simd, lanes, self.summand.as_ptr().add(channel)),
                limits: [simd.splat(low), simd.splat(high)],
            }
        }
    }

    /// Writes some channels of some pixels of a map of `all` channels, normalised and densely, to `to`.
    ///
    /// # Safety
    /// The map has the pixels, the channels are among those [checked](Normalised::check), and `to` has memory for them.
    #[inline(always)]
    pub(crate) unsafe fn write<S: Simd>(
        &self,
        simd: S,
        map: *const f32,
        all: usize,
        pixels: Range<usize>,
        channels: Range<usize>,
        to: *mut f32,
    ) {
        let start = channels.start;
        for (i, pixel) in pixels.enumerate() {
            let from = map.wrapping_add(pixel * all + start);
            let to = to.wrapping_add(i * channels.len());
            for at in (0..channels.len()).step_by(S::LANES) {
                let lanes = (channels.len() - at).min(S::LANES);
                // SAFETY: the pixel is on the map and has these channels, which were checked; `to` has memory for all of them.
                unsafe {
                    let by = self.of(simd, start + at, lanes);
                    let x = load(simd, lanes, from.add(at));
                    store(simd, lanes, by.apply(simd, x), to.add(at));
                }
            }
        }
    }
}

/// The limits between which an activation keeps its input.
#[inline(always)]
fn limits(activation: Activation) -> Option<[f32; 2]> {
    match activation {
        Activation::Identity => Some([f32::NEG_INFINITY, f32::INFINITY]),
        Activation::Relu => Some([0.0, f32::INFINITY]),
        Activation::Relu6 => Some([0.0, 6.0]),
        _ => None,
    }
}

/// [`Normalised`] for the channels of a vector.
#[derive(Clone, Copy)]
pub(crate) struct Normaliser<S: Simd> {
    factor: S::Vector,
    summand: S::Vector,
    limits: [S::Vector; 2],
}

impl<S: Simd> Normaliser<S> {
    #[inline(always)]
    pub(crate) fn apply(&self, simd: S, x: S::Vector) -> S::Vector {
        let y = simd.mul_add(x, self.factor, self.summand);
        // `min` and `max` return their second argument if one is NaN.
        simd.min(self.limits[1], simd.max(self.limits[0], y))
    }
}

/// What a loop reads: a map, or the gradient of a pooled map, which is expanded to one on load.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The map, or the gradient of the pooled map.
    pub(crate) values: &'a [f32],
    /// For each value of a pooled map, the pixel of its window that it belongs to. `None` for a map.
    pub(crate) winners: Option<&'a [Winner]>,
    pub(crate) normalised: Option<Normalised<'a>>,
}

impl<'a> Source<'a> {
    pub(crate) fn map(input: impl Into<Input<'a>>) -> Self {
        let Input { map, normalised } = input.into();
        Self {
            values: map,
            winners: None,
            normalised,
        }
    }

    /// # Panics
    /// If not every value has a winner.
    pub(crate) fn pooled(pooled: Pooled<'a>) -> Self {
        assert_eq!(pooled.gradient.len(), pooled.winners.len(), "winners");
        Self {
            values: pooled.gradient,
            winners: Some(pooled.winners),
            normalised: None,
        }
    }

    /// The map, for a pass that reads no pooled gradient.
    ///
    /// # Panics
    /// If this is a pooled gradient.
    pub(crate) fn unpooled(&self) -> &'a [f32] {
        assert!(self.winners.is_none(), "this pass reads no pooled gradient");
        self.values
    }

    /// The address at which the map would begin if `rows` lay at their place in it. These rows can be read there: in the map itself, or in
    /// `buffer`, into which a pooled gradient is expanded.
    ///
    /// # Safety
    /// The map has these rows.
    ///
    /// # Panics
    /// If they do not fit into the buffer.
    #[inline(always)]
    pub(crate) unsafe fn rows<S: Simd>(
        &self,
        simd: S,
        buffer: &mut TaskBuffer,
        width: usize,
        channels: usize,
        rows: Range<usize>,
    ) -> *const f32 {
        let Some(expansion) = self.expansion(width, channels) else {
            return self.values.as_ptr();
        };
        let floats = rows.len() * width * channels;
        assert!(floats <= BUFFER_FLOATS, "{rows:?} expanded");
        let (start, to) = (rows.start * width * channels, buffer.as_mut_ptr());
        // SAFETY: the map has the rows, and the assertion says that the buffer holds them.
        unsafe { expansion.write(simd, rows, 0..channels, to, channels) };
        to.wrapping_sub(start)
    }

    /// The map that a pooled gradient is expanded to; `None` for a map.
    #[inline(always)]
    pub(crate) fn expansion(&self, width: usize, channels: usize) -> Option<Expansion> {
        self.winners.map(|winners| Expansion {
            gradient: self.values.as_ptr(),
            winners: winners.as_ptr(),
            width,
            channels,
        })
    }

    /// Elements of the map, for a pooled gradient after its expansion.
    pub(crate) fn len(&self) -> usize {
        match self.winners {
            None => self.values.len(),
            Some(_) => 4 * self.values.len(),
        }
    }
}

/// The map that the gradient of a pooled map is expanded to: each value at its winner's place, zeros elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Expansion {
    gradient: *const f32,
    winners: *const Winner,
    /// Pixels of a row of the map.
    width: usize,
    /// Channels of the map.
    channels: usize,
}

impl Expansion {
    /// Writes some channels of some rows to `to`, where pixels are `pixel` floats apart.
    ///
    /// # Safety
    /// The map has the rows and channels, and `to` has memory for them.
    #[inline(always)]
    pub(crate) unsafe fn write<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        channels: Range<usize>,
        to: *mut f32,
        pixel: usize,
    ) {
        for (i, row) in rows.enumerate() {
            // A batch of maps of even height is one high map.
            let place = (row % 2 * 2) as Winner;
            for x in 0..self.width / 2 {
                let from = (row / 2 * (self.width / 2) + x) * self.channels;
                for channel in channels.clone().step_by(S::LANES) {
                    let lanes = (channels.end - channel).min(S::LANES);
                    // SAFETY: the map has the row and the channels, so the pooled map has the window with them. `to` has memory for whole
                    // rows of `width` pixels.
                    unsafe {
                        let winners = self.winners.add(from + channel);
                        let value = load(simd, lanes, self.gradient.add(from + channel));
                        let left = simd.select_byte(lanes, winners, place, value);
                        let right = simd.select_byte(lanes, winners, place + 1, value);
                        let to =
                            to.add((i * self.width + 2 * x) * pixel + channel - channels.start);
                        store(simd, lanes, left, to);
                        store(simd, lanes, right, to.add(pixel));
                    }
                }
            }
        }
    }
}

/// The place of the largest pixel within a 2×2 window: row by row.
pub type Winner = u8;

/// The gradient of a map that was pooled by 2×2 windows side by side. Each value belongs to one pixel of its window.
#[derive(Clone, Copy, Debug)]
pub struct Pooled<'a> {
    /// `[n, y, x, c]` of the pooled map.
    pub gradient: &'a [f32],
    /// For each value of `gradient`, the pixel that it belongs to.
    pub winners: &'a [Winner],
}

/// The larger of each pair of lanes, NaN where either is NaN.
#[inline(always)]
pub(crate) fn larger<S: Simd>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
    simd.select_nan(a, a, simd.max(a, b))
}

/// `value` and `place` in the lanes where `value` is larger than `best` or NaN, `best` and `winner` in the others.
#[inline(always)]
pub(crate) fn challenge<S: Simd>(
    simd: S,
    (best, winner): (S::Vector, S::Vector),
    value: S::Vector,
    place: usize,
) -> (S::Vector, S::Vector) {
    let place = simd.splat(place as f32);
    let winner = simd.select_greater(value, best, place, winner);
    let winner = simd.select_nan(value, place, winner);
    (larger(simd, best, value), winner)
}

/// A pooled map that is written.
#[derive(Clone, Copy)]
pub(crate) struct PooledTarget<'a> {
    pub(crate) values: &'a DisjointMut<'a, f32>,
    /// For each value, the pixel of its window that it came from; as long as `values`. Training needs it.
    pub(crate) winners: Option<&'a DisjointMut<'a, Winner>>,
}

impl PooledTarget<'_> {
    /// Pools the four pixels of a window, given row by row, and writes the first `lanes` lanes from element `at` on.
    ///
    /// # Safety
    /// These elements lie within the pooled map, and no other thread accesses them.
    #[inline(always)]
    pub(crate) unsafe fn store<S: Simd>(
        &self,
        simd: S,
        window: [S::Vector; 4],
        at: usize,
        lanes: usize,
    ) {
        // As `max_forward` does it, so that the bits are the same.
        // SAFETY: the elements lie within `values`, and within `winners`, which is as long. No other thread accesses them.
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

    /// Pools two rows and writes them from element `at` on.
    ///
    /// # Safety
    /// The rows can be read. Their windows lie within the target from `at` on, and no other thread accesses those.
    #[inline(always)]
    pub(crate) unsafe fn store_rows<S: Simd>(&self, simd: S, rows: TwoRows, at: usize) {
        let TwoRows {
            starts,
            pixel,
            windows,
            channels,
            all,
        } = rows;
        for x in 0..windows {
            for channel in (0..channels).step_by(S::LANES) {
                let left = channels - channel;
                // Masked stores are slow. A whole vector may read beyond a pixel, since values of the row follow. What it writes beyond the
                // window, the next windows overwrite.
                let is_dense = pixel == channels && all == channels;
                let lanes = match left {
                    _ if is_dense && (windows - x) * channels >= channel + S::LANES => S::LANES,
                    left => left.min(S::LANES),
                };
                // SAFETY: the rows can be read, and their windows lie within the target and are this thread's. The vector ends with the last
                // window at the latest.
                unsafe {
                    let place = |place: usize| {
                        let from = (2 * x + place % 2) * pixel + channel;
                        load(simd, lanes, starts[place / 2].add(from))
                    };
                    let window = [place(0), place(1), place(2), place(3)];
                    self.store(simd, window, at + x * all + channel, lanes);
                }
            }
        }
    }
}

/// Two rows of a map that are pooled, with all channels or some.
#[derive(Clone, Copy)]
pub(crate) struct TwoRows {
    pub(crate) starts: [*const f32; 2],
    /// Floats from pixel to pixel.
    pub(crate) pixel: usize,
    /// Windows side by side.
    pub(crate) windows: usize,
    /// Channels that are pooled.
    pub(crate) channels: usize,
    /// Channels of the pooled map.
    pub(crate) all: usize,
}

/// Floats that a task expands or pools at a time: they stay in L2 at worst.
pub(crate) const BUFFER_FLOATS: usize = 16 << 10;

/// A task's own memory for [`BUFFER_FLOATS`] floats, on its stack.
pub(crate) struct TaskBuffer(MaybeUninit<[f32; BUFFER_FLOATS]>);

impl TaskBuffer {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    #[inline(always)]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

/// Scratch for the rows that tasks normalise before they read them: one slot for each task that runs at the same time. Empty unless the
/// pass was prepared to normalise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SlotScratch {
    /// Floats of a slot.
    slot_len: usize,
    slots: usize,
}

impl SlotScratch {
    /// Scratch with a slot of `slot_len` floats for each thread.
    pub(crate) fn new(cpu: &Cpu, slot_len: usize) -> Self {
        Self {
            slot_len,
            slots: cpu.threads(),
        }
    }

    /// Floats of all slots.
    pub(crate) fn len(&self) -> usize {
        self.slot_len * self.slots
    }

    /// Runs tasks `0..tasks`, each with the start of a slot of `memory` if `needs_slot`, else with null.
    ///
    /// # Panics
    /// If the tasks need slots and there are none.
    pub(crate) fn parallel(
        &self,
        cpu: &Cpu,
        tasks: usize,
        needs_slot: bool,
        memory: &mut [f32],
        task: impl Fn(usize, *mut f32) + Sync,
    ) {
        if !needs_slot {
            return cpu.parallel(tasks, |i| task(i, std::ptr::null_mut()));
        }
        assert!(self.len() > 0, "this pass was not prepared to normalise");
        let memory = &DisjointMut::new(&mut memory[..self.len()]);
        cpu.parallel_in_slots(self.slots, tasks, |slot, i| {
            task(i, memory.as_mut_ptr().wrapping_add(slot * self.slot_len));
        });
    }
}
