//! Sums by channel over the pixels of a map, taken while a pass stores it.
use std::sync::atomic::{AtomicBool, Ordering};

use crate::DisjointMut;
use crate::simd::{self, Simd};

/// Two sums for each channel of the map that a pass stores, over all its pixels. With the origin o:
/// - forward, where the pass stores x: Σ(x − o) and Σ(x − o)²;
/// - backward, where it stores the gradient g and the [mask](crate::conv::GradientEpilogue::mask) is y: Σg and Σg(y − o).
///
/// Batch norm needs no more of a map.
#[derive(Debug)]
pub struct Sums<'a> {
    origin: &'a [f32],
    parts: DisjointMut<'a, f32>,
    is_taken: AtomicBool,
}

impl<'a> Sums<'a> {
    /// Sums for one pass. `origin` has a value for each channel: the nearer it is to the mean, the more exact is the second sum. `parts` is
    /// `[part, 2, channels]`: one pair of sums for each of the pass's [parts](crate::conv::MapPass::sums_parts).
    pub fn new(origin: &'a [f32], parts: &'a mut [f32]) -> Self {
        Self {
            origin,
            parts: DisjointMut::new(parts),
            is_taken: AtomicBool::new(false),
        }
    }
}

/// The sums of one part.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct SumsPart<'a> {
    sums: &'a Sums<'a>,
    part: usize,
}

impl<'a> SumsPart<'a> {
    /// Sets all `parts` to 0 and returns the first.
    ///
    /// # Panics
    /// If another pass has taken these sums, if the origin has another length, or if there is too little memory for the parts.
    pub(in crate::conv) fn first(sums: &'a Sums<'a>, channels: usize, parts: usize) -> Self {
        assert_eq!(sums.origin.len(), channels, "origin of the sums");
        let is_taken = sums.is_taken.swap(true, Ordering::Relaxed);
        assert!(!is_taken, "one pass takes the sums");
        // SAFETY: `is_taken` says that this is the only pass that ever has them, and it does not run yet.
        unsafe { sums.parts.slice(0..parts * 2 * channels) }.fill(0.0);
        Self { sums, part: 0 }
    }

    pub(in crate::conv) fn with_part(self, part: usize) -> Self {
        Self { part, ..self }
    }

    /// Where the first and the second sums lie, from `channel` on.
    #[inline(always)]
    fn places(&self, channel: usize) -> [*mut f32; 2] {
        let channels = self.sums.origin.len();
        let start = self.sums.parts.as_mut_ptr();
        let first = start.wrapping_add(2 * self.part * channels + channel);
        [first, first.wrapping_add(channels)]
    }

    /// Sums of no pixels, for `lanes` channels from `channel` on.
    ///
    /// # Safety
    /// The channels are among those given to [`SumsPart::first`].
    #[inline(always)]
    pub(in crate::conv) unsafe fn no_sums<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        lanes: usize,
    ) -> RunningSums<S> {
        RunningSums {
            // SAFETY: `SumsPart::first` checked that each of its channels has an origin, and these are among them.
            origin: unsafe { simd::load(simd, lanes, self.sums.origin.as_ptr().add(channel)) },
            sums: [simd.zero(); 2],
        }
    }

    /// Adds `taken`, the sums of some pixels, to the part: the part has fewer terms then and is more exact.
    ///
    /// # Safety
    /// The part and the channels are among those given to [`SumsPart::first`], and no other thread has them.
    #[inline(always)]
    pub(in crate::conv) unsafe fn add_sums<S: Simd>(
        &self,
        simd: S,
        taken: RunningSums<S>,
        channel: usize,
        lanes: usize,
    ) {
        // SAFETY: `SumsPart::first` sliced memory for all parts and channels, and no other thread has these.
        unsafe {
            for (sum, place) in taken.sums.into_iter().zip(self.places(channel)) {
                let sum = simd.add(simd::load(simd, lanes, place), sum);
                simd::store(simd, lanes, sum, place);
            }
        }
    }
}

/// The sums of a vector of channels over some pixels.
#[derive(Clone, Copy)]
pub(in crate::conv) struct RunningSums<S: Simd> {
    origin: S::Vector,
    sums: [S::Vector; 2],
}

impl<S: Simd> RunningSums<S> {
    /// Adds a pixel that a forward pass stores.
    #[inline(always)]
    pub(in crate::conv) fn add(&mut self, simd: S, value: S::Vector) {
        let difference = simd.sub(value, self.origin);
        self.sums = [
            simd.add(self.sums[0], difference),
            simd.mul_add(difference, difference, self.sums[1]),
        ];
    }

    /// Adds a gradient that is stored and the y that belongs to it.
    #[inline(always)]
    pub(in crate::conv) fn add_gradient(&mut self, simd: S, gradient: S::Vector, y: S::Vector) {
        self.sums = [
            simd.add(self.sums[0], gradient),
            simd.mul_add(gradient, simd.sub(y, self.origin), self.sums[1]),
        ];
    }
}
