//! The end of a whole tile: the branches of the finish are taken once for all its vectors, which stay in registers.
use std::hint::black_box;

use super::{Finish, VectorPlace};
use crate::activation::{self, Activation};
use crate::simd::{self, Kernel, Simd};

/// Where the sums of a tile go.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct TargetTile<const P: usize> {
    /// The start of the map that is written.
    pub(in crate::conv) target: *mut f32,
    /// Elements of the map before the tile's first channel of each pixel.
    pub(in crate::conv) at: [usize; P],
    /// Pixels that differ; the others are copies of the first.
    pub(in crate::conv) count: usize,
    /// The tile's first channel.
    pub(in crate::conv) channel: usize,
    /// Lanes of the last vector.
    pub(in crate::conv) last: usize,
}

impl Finish<'_> {
    /// As [`Finish::store`] for the V vectors of each of P pixels.
    ///
    /// # Safety
    /// As for [`Finish::store`], for each vector.
    #[inline(always)]
    pub(in crate::conv) unsafe fn store_tile<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        sums: [[S::Vector; V]; P],
        tile: TargetTile<P>,
    ) {
        // SAFETY: each vector's place is as `Finish::store` asks.
        unsafe {
            if V == 1 || self.mask.is_some() {
                self.store_each(simd, sums, tile);
            } else if tile.last == S::LANES {
                self.store_lanes(simd, sums, tile, S::LANES);
            } else {
                self.store_lanes(simd, sums, tile, tile.last);
            }
        }
    }

    /// Stores vector by vector. This is a tenth faster where a pixel has one vector, and several times faster where there is a mask: its
    /// branches and loads would push the sums out of the registers.
    ///
    /// # Safety
    /// As [`Finish::store_tile`].
    #[inline(always)]
    unsafe fn store_each<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        sums: [[S::Vector; V]; P],
        tile: TargetTile<P>,
    ) {
        // A copy that the compiler cannot see through. It would keep the sums in memory for the other ends too (5–8 % of
        // `hubel bench infer mobilenet-v2 --batch 1`).
        let sums = black_box(sums);
        simd.call(StoreEach {
            finish: *self,
            sums: (&raw const sums).cast(),
            vectors: V,
            target: tile.target,
            at: &tile.at[..tile.count],
            channel: tile.channel,
            last: tile.last,
        });
    }

    /// Stores a tile that has no mask. It reads everything before it writes anything, so that copies of a pixel get the same value.
    ///
    /// # Safety
    /// As [`Finish::store_tile`].
    #[inline(always)]
    unsafe fn store_lanes<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        mut sums: [[S::Vector; V]; P],
        tile: TargetTile<P>,
        last: usize,
    ) {
        use Activation::{Identity, Relu, Relu6};
        let lanes = |v: usize| if v + 1 == V { last } else { S::LANES };
        // SAFETY: `Finish::forward` or `gradient` checked that the bias has all channels, and that the map to be added is as long as the
        // target, which has each vector's place.
        unsafe {
            if let Some(bias) = self.bias {
                for v in 0..V {
                    let bias = bias.as_ptr().add(tile.channel + v * S::LANES);
                    let bias = simd::load(simd, lanes(v), bias);
                    for sums in &mut sums {
                        sums[v] = simd.add(sums[v], bias);
                    }
                }
            }
            if let Some(add) = self.add {
                each(&mut sums, |p, v, sum| {
                    let add = add.as_ptr().add(tile.at[p] + v * S::LANES);
                    simd.add(sum, simd::load(simd, lanes(v), add))
                });
            }
            // The common activations have loops of their own.
            match self.activation {
                Identity => {}
                Relu => each(&mut sums, |_, _, sum| activation::apply(simd, Relu, sum)),
                Relu6 => each(&mut sums, |_, _, sum| activation::apply(simd, Relu6, sum)),
                other => {
                    // As in `store_each`.
                    let mut rest = black_box(sums);
                    simd.call(ApplyActivation {
                        activation: other,
                        values: (&raw mut rest).cast(),
                        vectors: P * V,
                    });
                    sums = rest;
                }
            }
            if self.accumulate {
                each(&mut sums, |p, v, sum| {
                    let old = tile.target.wrapping_add(tile.at[p] + v * S::LANES);
                    simd.add(sum, simd::load(simd, lanes(v), old))
                });
            }
            if self.sums.is_some() {
                self.sum_lanes(simd, &sums, &tile, last);
            }
            for (at, sums) in tile.at.into_iter().zip(sums) {
                let to = tile.target.wrapping_add(at);
                let stream = self.stream && to.addr().is_multiple_of(size_of::<S::Vector>());
                for (v, sum) in sums.into_iter().enumerate() {
                    let to = to.wrapping_add(v * S::LANES);
                    if stream && lanes(v) == S::LANES {
                        simd.stream(sum, to);
                    } else {
                        simd::store(simd, lanes(v), sum, to);
                    }
                }
            }
        }
    }
}

impl Finish<'_> {
    /// Adds the stored values of a tile to the sums.
    ///
    /// # Safety
    /// As [`Finish::store_tile`].
    #[inline(always)]
    unsafe fn sum_lanes<S: Simd, const P: usize, const V: usize>(
        &self,
        simd: S,
        values: &[[S::Vector; V]; P],
        tile: &TargetTile<P>,
        last: usize,
    ) {
        for v in 0..V {
            let lanes = if v + 1 == V { last } else { S::LANES };
            let channel = tile.channel + v * S::LANES;
            // SAFETY: the vector's channels are among those given at creation. They are this thread's alone in this part of the sums.
            unsafe {
                let Some(mut taken) = self.no_sums(simd, channel, lanes) else {
                    return;
                };
                for (p, values) in values.iter().enumerate() {
                    // The other pixels are copies.
                    if p < tile.count {
                        taken.add(simd, values[v]);
                    }
                }
                self.add_sums(simd, Some(taken), channel, lanes);
            }
        }
    }
}

/// Replaces each vector by `change(pixel, vector, old)`.
#[inline(always)]
fn each<T: Copy, const P: usize, const V: usize>(
    sums: &mut [[T; V]; P],
    mut change: impl FnMut(usize, usize, T) -> T,
) {
    for (p, sums) in sums.iter_mut().enumerate() {
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = change(p, v, *sum);
        }
    }
}

/// [`Finish::store_each`]. All tiles share this function, whatever their size.
struct StoreEach<'a> {
    finish: Finish<'a>,
    /// `[pixel][vector]`
    sums: *const f32,
    /// Vectors of a pixel.
    vectors: usize,
    target: *mut f32,
    /// For each pixel, the elements of the map before the tile's first channel.
    at: &'a [usize],
    channel: usize,
    /// Lanes of the last vector.
    last: usize,
}

impl Kernel for StoreEach<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // A copy, because the compiler would load what lies behind a reference again after each store.
        let finish = self.finish;
        for v in 0..self.vectors {
            let is_last = v + 1 == self.vectors;
            let lanes = if is_last { self.last } else { S::LANES };
            let channel = self.channel + v * S::LANES;
            // SAFETY: `store_each` gives sums of all vectors of all pixels. Each vector's place is as `Finish::store` asks, since its caller
            // said so of the tile. Its channels are this thread's alone in this part of the sums.
            unsafe {
                let mut taken = finish.no_sums(simd, channel, lanes);
                for (pixel, at) in self.at.iter().enumerate() {
                    let sum = simd.load(self.sums.add((pixel * self.vectors + v) * S::LANES));
                    let place = VectorPlace {
                        at: at + v * S::LANES,
                        channel,
                        lanes,
                    };
                    finish.store_summed(simd, sum, self.target, place, &mut taken);
                }
                finish.add_sums(simd, taken, channel, lanes);
            }
        }
    }
}

/// An activation that takes longer than reading and writing its values.
struct ApplyActivation {
    activation: Activation,
    values: *mut f32,
    vectors: usize,
}

impl Kernel for ApplyActivation {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for v in 0..self.vectors {
            let place = self.values.wrapping_add(v * S::LANES);
            // SAFETY: `store_lanes` gives as many vectors, which are its own.
            unsafe {
                let value = activation::apply(simd, self.activation, simd.load(place));
                simd.store(value, place);
            }
        }
    }
}
