//! What happens to a vector of sums before it is stored, in one form for outputs and input gradients.
pub(super) mod sums;
pub(super) mod tile;

use crate::activation::{self, Activation};
use crate::simd::{self, Simd};
use crate::stream::is_streamed;

use super::prefetch::prefetch;
use crate::map::Input;
use sums::{RunningSums, Sums, SumsPart};

/// What happens to a sum of products before it is stored: `activation(sum + bias + add)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One value for each output channel.
    pub bias: Option<&'a [f32]>,
    /// A map of the output's shape (a residual connection).
    pub add: Option<&'a [f32]>,
    /// The function that is applied last.
    pub activation: Activation,
    /// The sums to take of the map that is stored.
    pub sums: Option<&'a Sums<'a>>,
}

/// What happens to an input gradient before it is stored: `(sum + old) · activation'(y)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradientEpilogue<'a> {
    /// Whether the sum is added to the gradient that is stored already.
    pub accumulate: bool,
    /// The convolution's input y and the activation that computed it. Its derivative must [follow from
    /// y](Activation::follows_from_output).
    pub mask: Option<(Input<'a>, Activation)>,
    /// The sums to take of the gradient that is stored. They need the mask.
    pub sums: Option<&'a Sums<'a>>,
}

/// `(activation(sum + bias + add) + old) · derivative(mask)`, each part optional.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Finish<'a> {
    pub(super) bias: Option<&'a [f32]>,
    pub(super) add: Option<&'a [f32]>,
    pub(super) activation: Activation,
    pub(super) accumulate: bool,
    pub(super) mask: Option<(Input<'a>, Activation)>,
    /// Whether whole, aligned vectors of the target are written past the caches.
    pub(super) stream: bool,
    /// Where the sums of what is stored go.
    pub(super) sums: Option<SumsPart<'a>>,
}

/// Where a vector lies in a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct VectorPlace {
    /// Elements of the map before it.
    pub(super) at: usize,
    /// The channel of its first lane.
    pub(super) channel: usize,
    /// Lanes that are elements of the map; the others are ignored.
    pub(super) lanes: usize,
}

impl<'a> Finish<'a> {
    /// The end of a forward pass into `target`, a map of `channels` channels.
    pub(super) fn forward(epilogue: &Epilogue<'a>, target: &[f32], channels: usize) -> Self {
        assert!(epilogue.bias.is_none_or(|bias| bias.len() == channels));
        assert!(epilogue.add.is_none_or(|add| add.len() == target.len()));
        Self {
            bias: epilogue.bias,
            add: epilogue.add,
            activation: epilogue.activation,
            stream: is_streamed(target, channels),
            ..Self::default()
        }
    }

    /// The end of a forward pass whose map of `channels` channels is pooled before it is stored.
    pub(super) fn pooled(epilogue: &Epilogue<'a>, channels: usize) -> Self {
        assert!(epilogue.bias.is_none_or(|bias| bias.len() == channels));
        let plain = epilogue.add.is_none() && epilogue.sums.is_none();
        assert!(plain, "nothing is added or summed before pooling");
        Self {
            bias: epilogue.bias,
            activation: epilogue.activation,
            ..Self::default()
        }
    }

    /// The end of an input gradient into `target`, a map of `channels` channels.
    pub(super) fn gradient(
        epilogue: &GradientEpilogue<'a>,
        target: &[f32],
        channels: usize,
    ) -> Self {
        if let Some((mask, activation)) = epilogue.mask {
            assert!(
                activation.follows_from_output(),
                "derivative of {activation:?}"
            );
            assert_eq!(mask.map.len(), target.len(), "mask");
            mask.normalised.iter().for_each(|by| by.check(channels));
        }
        let has_terms = epilogue.sums.is_none() || epilogue.mask.is_some();
        assert!(has_terms, "gradients are summed with the y of a mask");
        Self {
            accumulate: epilogue.accumulate,
            mask: epilogue.mask,
            stream: !epilogue.accumulate && is_streamed(target, channels),
            ..Self::default()
        }
    }

    /// The same end, which also takes sums of what is stored, in `parts` parts.
    pub(super) fn summing(self, sums: Option<&'a Sums<'a>>, channels: usize, parts: usize) -> Self {
        Self {
            sums: sums.map(|sums| SumsPart::first(sums, channels, parts)),
            ..self
        }
    }

    /// The same end, for a task that adds to this part of the sums.
    #[inline(always)]
    pub(super) fn with_part(self, part: usize) -> Self {
        Self {
            sums: self.sums.map(|sums| sums.with_part(part)),
            ..self
        }
    }

    /// Sums of no pixels for `lanes` channels, to which [`Finish::store_summed`] adds. None where no sums are asked for.
    ///
    /// # Safety
    /// The channels are among those given at creation.
    #[inline(always)]
    pub(super) unsafe fn no_sums<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        lanes: usize,
    ) -> Option<RunningSums<S>> {
        // SAFETY: the channels are among those that `summing` passed to `SumsPart::first`, which are those given at creation.
        self.sums
            .map(|sums| unsafe { sums.no_sums(simd, channel, lanes) })
    }

    /// Adds what was summed to the part.
    ///
    /// # Safety
    /// The channels are among those given at creation, and no other thread has them in this part of the sums.
    #[inline(always)]
    pub(super) unsafe fn add_sums<S: Simd>(
        &self,
        simd: S,
        taken: Option<RunningSums<S>>,
        channel: usize,
        lanes: usize,
    ) {
        if let (Some(sums), Some(taken)) = (&self.sums, taken) {
            // SAFETY: `summing` passed the channels of creation to `SumsPart::first`; no other thread has them in this part.
            unsafe { sums.add_sums(simd, taken, channel, lanes) };
        }
    }

    /// As [`Finish::store`], and adds to the sums.
    ///
    /// # Safety
    /// As [`Finish::store`].
    #[inline(always)]
    pub(super) unsafe fn store_summed<S: Simd>(
        &self,
        simd: S,
        sum: S::Vector,
        target: *mut f32,
        place: VectorPlace,
        taken: &mut Option<RunningSums<S>>,
    ) {
        // SAFETY: the place lies within the target and has channels of it, as `value` asks; only this thread writes there.
        unsafe {
            let value = self.value(simd, sum, target, place, taken);
            self.store_value(simd, value, target.wrapping_add(place.at), place.lanes);
        }
    }

    /// Fetches `floats` floats from each of `at`, `at + step`, … (P places) of the maps that [`Finish::store`] reads. A map that is only
    /// written needs no prefetch.
    #[inline(always)]
    pub(super) fn prefetch<const P: usize>(
        &self,
        target: *const f32,
        at: usize,
        step: usize,
        floats: usize,
    ) {
        let each = |map: *const f32| {
            let mut from = map.wrapping_add(at);
            for _ in 0..P {
                prefetch(from, floats);
                from = from.wrapping_add(step);
            }
        };
        if self.accumulate {
            each(target);
        }
        if let Some((mask, _)) = self.mask {
            each(mask.map.as_ptr());
        }
        if let Some(add) = self.add {
            each(add.as_ptr());
        }
    }

    /// Finishes `sum` and stores it at its place in `target`.
    ///
    /// # Safety
    /// `target` has the elements of the place, and no other thread accesses them. If the finish reads a map (`add` or a mask), the target
    /// given at creation has them too. The channels of the place are among those given at creation.
    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(
        &self,
        simd: S,
        sum: S::Vector,
        target: *mut f32,
        place: VectorPlace,
    ) {
        // SAFETY: the place lies within the target and has channels of it, as `value` asks; only this thread writes there.
        unsafe {
            let value = self.value(simd, sum, target, place, &mut None);
            self.store_value(simd, value, target.wrapping_add(place.at), place.lanes);
        }
    }

    /// # Safety
    /// The first `lanes` lanes may be written at `to`.
    #[inline(always)]
    unsafe fn store_value<S: Simd>(&self, simd: S, value: S::Vector, to: *mut f32, lanes: usize) {
        // SAFETY: `lanes` lanes may be written at `to`: all of them where they are as many as the vector has. Streamed vectors are aligned.
        unsafe {
            if lanes != S::LANES {
                simd.store_first(lanes, value, to);
            } else if self.stream && to.addr().is_multiple_of(size_of::<S::Vector>()) {
                simd.stream(value, to);
            } else {
                simd.store(value, to);
            }
        }
    }

    /// A sum as it is pooled: activation(sum + bias), where all lanes belong to one channel.
    ///
    /// # Safety
    /// The channel is one of those given to [`Finish::pooled`].
    #[inline(always)]
    pub(super) unsafe fn value_of_channel<S: Simd>(
        &self,
        simd: S,
        sum: S::Vector,
        channel: usize,
    ) -> S::Vector {
        let mut value = sum;
        if let Some(bias) = self.bias {
            // SAFETY: `Finish::pooled` checked that the bias has a value for each channel, and this is one of them.
            value = simd.add(value, simd.splat(unsafe { *bias.as_ptr().add(channel) }));
        }
        activation::apply(simd, self.activation, value)
    }

    /// The value that [`Finish::store`] stores, which is added to the sums.
    ///
    /// # Safety
    /// As of [`Finish::store`]. After [`Finish::pooled`], which reads no map, `target` and `place.at` may be anything.
    #[inline(always)]
    pub(super) unsafe fn value<S: Simd>(
        &self,
        simd: S,
        sum: S::Vector,
        target: *const f32,
        place: VectorPlace,
        taken: &mut Option<RunningSums<S>>,
    ) -> S::Vector {
        let VectorPlace { at, channel, lanes } = place;
        // SAFETY: `Finish::forward`, `pooled` or `gradient` checked that the bias and the normalisation of the mask have all channels, and
        // that the other maps are as long as the target of creation, which has the elements of the place if there are any.
        unsafe {
            let load = |from: *const f32| simd::load(simd, lanes, from);
            let mut value = sum;
            if let Some(bias) = self.bias {
                value = simd.add(value, load(bias.as_ptr().add(channel)));
            }
            if let Some(add) = self.add {
                value = simd.add(value, load(add.as_ptr().add(at)));
            }
            if self.activation != Activation::Identity {
                value = activation::apply(simd, self.activation, value);
            }
            if self.accumulate {
                value = simd.add(value, load(target.add(at)));
            }
            match self.mask {
                None => {
                    if let Some(taken) = taken {
                        taken.add(simd, value);
                    }
                }
                Some((mask, activation)) => {
                    let y = mask.load(simd, at, channel, lanes);
                    let derivative = activation::derivative_from_output(simd, activation, y);
                    value = simd.mul(value, derivative);
                    if let Some(taken) = taken {
                        taken.add_gradient(simd, value, y);
                    }
                }
            }
            value
        }
    }
}
