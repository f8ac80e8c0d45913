//! Sums over the pixels of a map, taken while a pass stores it.
use std::sync::atomic::{AtomicBool, Ordering};

use crate::DisjointMut;
use crate::simd::{self, Simd};

/// Two sums for each channel of the map that a pass stores, over all its pixels: of a and a · b, where a forward is the number that is
/// stored less the origin, and b the same; backward a is the gradient that is stored, and b the number y of the
/// [mask](crate::conv::GradientEpilogue::mask) less the origin. A batch normalisation needs no more of a map.
#[derive(Debug)]
pub struct Sums<'a> {
    origin: &'a [f32],
    parts: DisjointMut<'a, f32>,
    is_taken: AtomicBool,
}

impl<'a> Sums<'a> {
    /// Sums to be taken by one pass. `origin` is a number for each channel: the nearer it is to the mean, the more exact is the second
    /// sum. `parts` are `[part, 2, channels]`: what each of the pass's [parts](crate::conv::Forward::sums_parts) adds up.
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
pub(in crate::conv) struct Part<'a> {
    sums: &'a Sums<'a>,
    part: usize,
}

impl<'a> Part<'a> {
    /// All `parts` set to 0, of which this is the first.
    ///
    /// # Panics
    /// When another pass has had these sums, or their lengths are not those of this pass.
    pub(in crate::conv) fn first(sums: &'a Sums<'a>, channels: usize, parts: usize) -> Self {
        assert_eq!(sums.origin.len(), channels, "origin of the sums");
        let is_taken = sums.is_taken.swap(true, Ordering::Relaxed);
        assert!(!is_taken, "one pass takes the sums");
        // SAFETY: this is the only pass that ever has them, and it does not run yet.
        unsafe { sums.parts.slice(0..parts * 2 * channels) }.fill(0.0);
        Self { sums, part: 0 }
    }

    pub(in crate::conv) fn with_part(self, part: usize) -> Self {
        Self { part, ..self }
    }

    /// Where the first sums lie, from `channel` on, and from there to the second.
    #[inline(always)]
    fn place(&self, channel: usize) -> (*mut f32, usize) {
        let channels = self.sums.origin.len();
        let start = self.sums.parts.as_mut_ptr();
        (
            start.wrapping_add(2 * self.part * channels + channel),
            channels,
        )
    }

    /// Nothing yet, of `lanes` channels, and their origin.
    ///
    /// # Safety
    /// The channels are among those given to [`Part::first`].
    #[inline(always)]
    pub(in crate::conv) unsafe fn no_sums<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        lanes: usize,
    ) -> Taken<S> {
        Taken {
            // SAFETY: the caller's promise.
            origin: unsafe { simd::load(simd, lanes, self.sums.origin.as_ptr().add(channel)) },
            sums: [simd.zero(); 2],
        }
    }

    /// Adds `taken` to the part: sums of few pixels, so that the part is a sum of so many fewer numbers.
    ///
    /// # Safety
    /// The part and the channels are among those given to [`Part::first`], and no other thread has them.
    #[inline(always)]
    pub(in crate::conv) unsafe fn add_sums<S: Simd>(
        &self,
        simd: S,
        taken: Taken<S>,
        channel: usize,
        lanes: usize,
    ) {
        let (start, second) = self.place(channel);
        // SAFETY: the caller's promise.
        unsafe {
            for (sum, place) in taken
                .sums
                .into_iter()
                .zip([start, start.wrapping_add(second)])
            {
                let sum = simd.add(simd::load(simd, lanes, place), sum);
                simd::store(simd, lanes, sum, place);
            }
        }
    }
}

/// The sums of a vector of channels over some pixels.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Taken<S: Simd> {
    origin: S::Vector,
    sums: [S::Vector; 2],
}

impl<S: Simd> Taken<S> {
    /// Adds a pixel that is stored forward.
    #[inline(always)]
    pub(in crate::conv) fn add(&mut self, simd: S, value: S::Vector) {
        let difference = simd.sub(value, self.origin);
        self.sums = [
            simd.add(self.sums[0], difference),
            simd.mul_add(difference, difference, self.sums[1]),
        ];
    }

    /// Adds a gradient and the y that belongs to it.
    #[inline(always)]
    pub(in crate::conv) fn add_gradient(&mut self, simd: S, gradient: S::Vector, y: S::Vector) {
        self.sums = [
            simd.add(self.sums[0], gradient),
            simd.mul_add(gradient, simd.sub(y, self.origin), self.sums[1]),
        ];
    }
}
