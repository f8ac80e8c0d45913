//! What happens to a vector of sums before it is stored, in one form for outputs and input gradients.
pub(super) mod sums;
pub(super) mod tile;

use crate::activation::{self, Activation};
use crate::simd::{self, Simd};
use crate::stream::is_streamed;

use super::Input;
use super::prefetch::prefetch;
use sums::{Part, Sums, Taken};

/// What happens to a sum of products before it is stored: `activation(sum + bias + add)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One number for each output channel.
    pub bias: Option<&'a [f32]>,
    /// A map of the output's shape (a residual connection).
    pub add: Option<&'a [f32]>,
    /// The function at the end.
    pub activation: Activation,
    /// What is summed of the map that is stored.
    pub sums: Option<&'a Sums<'a>>,
}

/// What happens to an input gradient before it is stored: `(sum + old) · activation'(y)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct GradientEpilogue<'a> {
    /// Whether what is stored already is added.
    pub accumulate: bool,
    /// The convolution's input y, which came out of the activation; its derivative must follow from y
    /// (ReLU, ReLU6, leaky ReLU, sigmoid, tanh).
    pub mask: Option<(Input<'a>, Activation)>,
    /// What is summed of the gradient that is stored; there is a mask then.
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
    /// Whether the target is written past the caches: its whole, aligned vectors, and that should be all of them.
    pub(super) stream: bool,
    /// Where what is stored is summed.
    pub(super) sums: Option<Part<'a>>,
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
        if let Some((mask, _)) = epilogue.mask {
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

    /// Also takes sums of what is stored, in `parts` parts.
    pub(super) fn summing(self, sums: Option<&'a Sums<'a>>, channels: usize, parts: usize) -> Self {
        Self {
            sums: sums.map(|sums| Part::first(sums, channels, parts)),
            ..self
        }
    }

    /// For one of its parts.
    #[inline(always)]
    pub(super) fn with_part(self, part: usize) -> Self {
        Self {
            sums: self.sums.map(|sums| sums.with_part(part)),
            ..self
        }
    }

    /// No sums of `lanes` channels yet, to which [`Finish::store_summed`] adds; None where none are asked for.
    ///
    /// # Safety
    /// As [`Finish::store`].
    #[inline(always)]
    pub(super) unsafe fn no_sums<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        lanes: usize,
    ) -> Option<Taken<S>> {
        // SAFETY: the caller's promise.
        self.sums
            .map(|sums| unsafe { sums.no_sums(simd, channel, lanes) })
    }

    /// Adds what was summed to the part.
    ///
    /// # Safety
    /// As [`Finish::store`], and no other thread has this part of the sums.
    #[inline(always)]
    pub(super) unsafe fn add_sums<S: Simd>(
        &self,
        simd: S,
        taken: Option<Taken<S>>,
        channel: usize,
        lanes: usize,
    ) {
        if let (Some(sums), Some(taken)) = (&self.sums, taken) {
            // SAFETY: the caller's promise.
            unsafe { sums.add_sums(simd, taken, channel, lanes) };
        }
    }

    /// As [`Finish::store`], and adds to the sums.
    ///
    /// # Safety
    /// As [`Finish::store`].
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "as `store`, and the sums")]
    pub(super) unsafe fn store_summed<S: Simd>(
        &self,
        simd: S,
        sum: S::Vector,
        target: *mut f32,
        at: usize,
        channel: usize,
        lanes: usize,
        taken: &mut Option<Taken<S>>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let value = self.value(simd, sum, target, at, channel, lanes, taken);
            self.store_value(simd, value, target.wrapping_add(at), lanes);
        }
    }

    /// Asks for the `numbers` from `at`, `at + step`, … on, P times, of the maps that [`Finish::store`] reads. What it only writes comes in
    /// time by itself.
    #[inline(always)]
    pub(super) fn prefetch<const P: usize>(
        &self,
        target: *const f32,
        at: usize,
        step: usize,
        numbers: usize,
    ) {
        let each = |map: *const f32| {
            let mut from = map.wrapping_add(at);
            for _ in 0..P {
                prefetch(from, numbers);
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

    /// Finishes `sum` and stores its first `lanes` lanes at `target[at]`, which is channel `channel`.
    ///
    /// # Safety
    /// `target` is a map of the length given at creation, in which `at + lanes` numbers lie; `channel + lanes` is at most the
    /// channels; no other thread touches them.
    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(
        &self,
        simd: S,
        sum: S::Vector,
        target: *mut f32,
        at: usize,
        channel: usize,
        lanes: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let value = self.value(simd, sum, target, at, channel, lanes, &mut None);
            self.store_value(simd, value, target.wrapping_add(at), lanes);
        }
    }

    /// # Safety
    /// The first `lanes` lanes may be written at `to`.
    #[inline(always)]
    unsafe fn store_value<S: Simd>(&self, simd: S, value: S::Vector, to: *mut f32, lanes: usize) {
        // SAFETY: the caller's promise.
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

    /// What becomes of a sum before it is pooled, where all lanes are of one channel.
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
            // SAFETY: the caller's promise.
            value = simd.add(value, simd.splat(unsafe { *bias.as_ptr().add(channel) }));
        }
        activation::apply(simd, self.activation, value)
    }

    /// What [`Finish::store`] stores, added to the sums.
    ///
    /// # Safety
    /// As of [`Finish::store`]; where nothing is added or accumulated or masked, `target` and `at` do not matter.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "as `store`, and the sums")]
    pub(super) unsafe fn value<S: Simd>(
        &self,
        simd: S,
        sum: S::Vector,
        target: *const f32,
        at: usize,
        channel: usize,
        lanes: usize,
        taken: &mut Option<Taken<S>>,
    ) -> S::Vector {
        // SAFETY: all slices have the lengths asserted at creation, the rest is the caller's promise.
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
