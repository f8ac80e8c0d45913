//! Maps that are normalised while a convolution or a pooling reads them, so that the normalised map is never in memory.
use std::ops::Range;

use crate::activation::Activation;
use crate::simd::{Simd, load, store};
use crate::{Cpu, DisjointMut};

/// A map that a pass reads: as it lies in memory, or normalised on the way.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[n, h, w, c]`
    pub map: &'a [f32],
    /// What is made of its numbers, if not they are taken.
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

    /// What the pass sees of `lanes` numbers from `at` on, the first of which is of channel `channel`.
    ///
    /// # Safety
    /// They are on the map, and the channels among those [checked](Normalised::check).
    #[inline(always)]
    pub(crate) unsafe fn load<S: Simd>(
        &self,
        simd: S,
        at: usize,
        channel: usize,
        lanes: usize,
    ) -> S::Vector {
        // SAFETY: the caller's promise.
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
    /// Whether a pass can apply `activation` while it reads: the identity, ReLU, ReLU6.
    pub fn supports(activation: Activation) -> bool {
        limits(activation).is_some()
    }

    /// # Panics
    /// If there are not `channels` channels, or the activation is none of those.
    pub(crate) fn check(&self, channels: usize) {
        assert!(self.factor.len() == channels && self.summand.len() == channels);
        assert!(Self::supports(self.activation), "{:?}", self.activation);
    }

    /// For `lanes` channels from `channel` on.
    ///
    /// # Safety
    /// They are among those [checked](Normalised::check).
    #[inline(always)]
    pub(crate) unsafe fn of<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        lanes: usize,
    ) -> Normaliser<S> {
        let [low, high] = limits(self.activation).unwrap_or_default();
        // SAFETY: the caller's promise.
        unsafe {
            Normaliser {
                factor: load(simd, lanes, self.factor.as_ptr().add(channel)),
                summand: load(simd, lanes, self.summand.as_ptr().add(channel)),
                limits: [simd.splat(low), simd.splat(high)],
            }
        }
    }

    /// Writes some channels of some pixels of a map of `all` channels, densely, to `to`.
    ///
    /// # Safety
    /// The pixels and channels exist, the channels are among those [checked](Normalised::check), and so does the room for them.
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
                // SAFETY: the caller's promise.
                unsafe {
                    let by = self.of(simd, start + at, lanes);
                    let x = load(simd, lanes, from.add(at));
                    store(simd, lanes, by.apply(simd, x), to.add(at));
                }
            }
        }
    }
}

/// Memory for what the tasks of a pass make of the maps that they read: a room for each that runs at a time; none unless the pass was
/// asked for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rooms {
    /// Of a room.
    numbers: usize,
    rooms: usize,
}

impl Rooms {
    pub(crate) fn new(cpu: &Cpu, numbers: usize) -> Self {
        Self {
            numbers,
            rooms: cpu.threads(),
        }
    }

    /// Numbers of all rooms.
    pub(crate) fn len(&self) -> usize {
        self.numbers * self.rooms
    }

    /// Runs tasks `0..tasks`, each with the start of a room in `memory` if it `needs_room`, else with null.
    ///
    /// # Panics
    /// If they need rooms and there are none.
    pub(crate) fn parallel(
        &self,
        cpu: &Cpu,
        tasks: usize,
        needs_room: bool,
        memory: &mut [f32],
        task: impl Fn(usize, *mut f32) + Sync,
    ) {
        if !needs_room {
            return cpu.parallel(tasks, |i| task(i, std::ptr::null_mut()));
        }
        assert!(self.len() > 0, "this pass was not asked to normalise");
        let memory = &DisjointMut::new(&mut memory[..self.len()]);
        cpu.parallel_in_slots(self.rooms, tasks, |room, i| {
            task(i, memory.as_mut_ptr().wrapping_add(room * self.numbers));
        });
    }
}

/// What an activation does is to keep a number within these.
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
        // Both give their second argument where one is NaN.
        simd.min(self.limits[1], simd.max(self.limits[0], y))
    }
}
