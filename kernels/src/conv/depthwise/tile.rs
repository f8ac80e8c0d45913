//! The tiles of a task: some columns of one row of the target, or of two that read alike.
use std::hint::black_box;
use std::ops::Range;

use crate::activation::{self, Activation};
use crate::conv::finish::VectorPlace;
use crate::conv::finish::sums::RunningSums;
use crate::map::Input;
use crate::simd::{Simd, load, store};
use crate::stream::{LINE, prefetch_far};

use super::runs::{TILE, Taps, for_tiles};
use super::{DepthwiseTask, End};

/// Where the pixels of a run lie, which have the same taps, in one row or in two.
#[derive(Clone, Copy)]
pub(super) struct RunPixels<'t> {
    /// The taps of the first row.
    pub(super) taps: &'t Taps,
    /// What the first pixel's [`TapPlace::source`](super::runs::TapPlace) counts from.
    pub(super) source: *const f32,
    /// Elements of the target before the first pixel.
    pub(super) at: usize,
}

impl DepthwiseTask<'_> {
    /// The channels `block` of `count` pixels of a row.
    #[inline(always)]
    pub(super) fn one_run<S: Simd>(
        &self,
        simd: S,
        run: RunPixels,
        count: usize,
        block: Range<usize>,
    ) {
        for_tiles(
            count,
            #[inline(always)]
            |pixel, pixels| {
                let place = self.at_pixel::<1>(run, pixel, pixels, &block);
                // SAFETY: the pixels are of a task's row, and the taps of a run read inside the source for each of them. The task's source
                // and target hold both.
                unsafe {
                    match pixels {
                        TILE => self.tile::<S, TILE, TILE>(simd, place, block.clone()),
                        4 => self.tile::<S, 4, 4>(simd, place, block.clone()),
                        _ => self.tile::<S, 1, 1>(simd, place, block.clone()),
                    }
                }
            },
        );
    }

    /// The channels `block` of `count` pixels of each of two rows.
    #[inline(always)]
    pub(super) fn two_runs<S: Simd>(
        &self,
        simd: S,
        run: RunPixels,
        count: usize,
        block: Range<usize>,
    ) {
        const HALF: usize = TILE / 2;
        let mut pixel = 0;
        while pixel < count {
            let pixels = if count - pixel < HALF { 1 } else { HALF };
            let place = self.at_pixel::<2>(run, pixel, pixels, &block);
            // SAFETY: the pixels are of a task's row, and the taps of a run read inside the source for each of them. So it is with the next
            // row: `run` took it from the task's rows, and `reads_alike` says that its taps are the same, `new_rows` further down. The
            // task's source and target hold all of it.
            unsafe {
                match pixels {
                    HALF => self.tile::<S, TILE, HALF>(simd, place, block.clone()),
                    _ => self.tile::<S, 2, 1>(simd, place, block.clone()),
                }
            }
            pixel += pixels;
        }
    }

    /// Where `pixels` pixels of a run of R rows lie, from `pixel` on. Prefetches the source rows that the rows below them will read first.
    #[inline(always)]
    fn at_pixel<'t, const R: usize>(
        &self,
        run: RunPixels<'t>,
        pixel: usize,
        pixels: usize,
        block: &Range<usize>,
    ) -> RunPixels<'t> {
        let channels = self.depthwise.target[2];
        let step = self.depthwise.step * channels;
        let new_rows = self.depthwise.new_rows;
        let row_len = self.depthwise.source[1] * channels;
        let place = RunPixels {
            source: run.source.wrapping_add(pixel * step),
            at: run.at + pixel * self.depthwise.phases * channels,
            ..run
        };
        if block.len() == channels {
            for further in R - 1..2 * R - 1 {
                let source = place.source.wrapping_add(further * new_rows * row_len);
                place
                    .taps
                    .prefetch(source, pixels * step, new_rows, row_len);
            }
        }
        place
    }

    /// Computes P pixels, W beside each other.
    ///
    /// # Safety
    /// The task's target holds the pixels, and its source holds what their taps read. No other task has the pixels.
    #[inline(always)]
    unsafe fn tile<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        pixels: RunPixels,
        block: Range<usize>,
    ) {
        let mut channel = block.start;
        // SAFETY: target and source hold the pixels and what they read, with all channels; `block` is a range of these.
        unsafe {
            while channel + S::LANES <= block.end {
                let sums = self.sums::<S, P, W>(simd, pixels, channel, S::LANES);
                let place = VectorPlace {
                    at: pixels.at + channel,
                    channel,
                    lanes: S::LANES,
                };
                self.finish::<S, P, W>(simd, sums, place);
                channel += S::LANES;
            }
            if channel < block.end {
                let lanes = block.end - channel;
                let sums = self.sums::<S, P, W>(simd, pixels, channel, lanes);
                let place = VectorPlace {
                    at: pixels.at + channel,
                    channel,
                    lanes,
                };
                self.finish::<S, P, W>(simd, sums, place);
            }
        }
    }

    /// Floats of the target from the first pixel of a tile of W columns to pixel `p`.
    #[inline(always)]
    fn behind<const W: usize>(&self, p: usize) -> usize {
        let [_, width, channels] = self.depthwise.target;
        (p % W * self.depthwise.phases + p / W * width) * channels
    }

    /// The place of pixel `p` of a tile of W columns; `place` is that of the first.
    #[inline(always)]
    fn moved<const W: usize>(&self, place: VectorPlace, p: usize) -> VectorPlace {
        VectorPlace {
            at: place.at + self.behind::<W>(p),
            ..place
        }
    }

    /// The sums of P pixels for `lanes` channels from `channel` on.
    ///
    /// # Safety
    /// The task's source holds what the taps of the pixels read, with these channels.
    #[inline(always)]
    unsafe fn sums<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        pixels: RunPixels,
        channel: usize,
        lanes: usize,
    ) -> [S::Vector; P] {
        // SAFETY: the source holds what the taps read. `pass.rs` checked that the normalisation has all channels.
        unsafe {
            match self.normalised {
                None => self.sums_of::<S, P, W>(simd, pixels, channel, lanes, |x| x),
                Some(by) => {
                    let by = by.of(simd, channel, lanes);
                    self.sums_of::<S, P, W>(
                        simd,
                        pixels,
                        channel,
                        lanes,
                        #[inline(always)]
                        |x| by.apply(simd, x),
                    )
                }
            }
        }
    }

    /// As [`DepthwiseTask::sums`], of the values that `change` computes from those of the source.
    ///
    /// # Safety
    /// As [`DepthwiseTask::sums`].
    #[inline(always)]
    unsafe fn sums_of<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        pixels: RunPixels,
        channel: usize,
        lanes: usize,
        change: impl Fn(S::Vector) -> S::Vector,
    ) -> [S::Vector; P] {
        let channels = self.depthwise.target[2];
        let step = self.depthwise.step * channels;
        let row_step = self.depthwise.new_rows * self.depthwise.source[1] * channels;
        let mut sums = [simd.zero(); P];
        // SAFETY: the source holds what the taps read. `pass.rs` and `bands.rs` checked that the packed weights have each tap with all
        // channels.
        unsafe {
            for tap in pixels.taps.places() {
                let weight = self.weights.as_ptr().add(tap.weight + channel);
                let weight = load(simd, lanes, weight);
                let source = pixels.source.wrapping_add(tap.source + channel);
                for (p, sum) in sums.iter_mut().enumerate() {
                    let from = source.add(p % W * step + p / W * row_step);
                    let x = change(load(simd, lanes, from));
                    *sum = simd.mul_add(x, weight, *sum);
                }
            }
        }
        sums
    }

    /// Finishes the sums of P pixels and stores them. `place` is that of the first pixel.
    ///
    /// # Safety
    /// The task's target holds the pixels with these channels, and no other task has them. If the target is streamed, the vectors are whole
    /// and aligned.
    #[inline(always)]
    unsafe fn finish<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        sums: [S::Vector; P],
        place: VectorPlace,
    ) {
        use Activation::{Identity, Relu, Relu6};
        let VectorPlace { channel, lanes, .. } = place;
        // SAFETY: the target holds the pixels, which no other task has, nor their channels in this part of the sums. `Finish` checked that
        // the bias has all channels and `y` is as long as the target.
        unsafe {
            // The common activations keep the sums in registers. The others get a copy, which may lie in memory.
            match *self.end {
                End::Nothing(None) => self.store::<S, P, W>(simd, sums, place),
                End::Nothing(Some(part)) => {
                    let part = part.with_part(self.part);
                    let mut taken = part.no_sums(simd, channel, lanes);
                    for sum in sums {
                        taken.add(simd, sum);
                    }
                    part.add_sums(simd, taken, channel, lanes);
                    self.store::<S, P, W>(simd, sums, place);
                }
                End::Activation { bias, activation } => {
                    let bias = load(simd, lanes, bias.as_ptr().add(channel));
                    let mut sums = sums;
                    for sum in &mut sums {
                        *sum = simd.add(*sum, bias);
                    }
                    match activation {
                        Identity => self.store::<S, P, W>(simd, sums, place),
                        Relu => self.activate::<S, P, W>(simd, sums, place, Relu),
                        Relu6 => self.activate::<S, P, W>(simd, sums, place, Relu6),
                        other => self.activate::<S, P, W>(simd, black_box(sums), place, other),
                    }
                }
                End::Derivative {
                    y,
                    activation,
                    sums: part,
                } => {
                    let part = part.map(|part| part.with_part(self.part));
                    let mut taken = part.map(|part| part.no_sums(simd, channel, lanes));
                    let taken_by = &mut taken;
                    match activation {
                        Relu => self.derive::<S, P, W>(simd, sums, place, y, Relu, taken_by),
                        Relu6 => self.derive::<S, P, W>(simd, sums, place, y, Relu6, taken_by),
                        other => {
                            let sums = black_box(sums);
                            self.derive::<S, P, W>(simd, sums, place, y, other, taken_by);
                        }
                    }
                    if let (Some(part), Some(taken)) = (part, taken) {
                        part.add_sums(simd, taken, channel, lanes);
                    }
                }
                End::Other(finish) => {
                    let finish = finish.with_part(self.part);
                    let mut taken = finish.no_sums(simd, channel, lanes);
                    for (p, sum) in black_box(sums).iter().enumerate() {
                        let place = self.moved::<W>(place, p);
                        finish.store_summed(simd, *sum, self.target, place, &mut taken);
                    }
                    finish.add_sums(simd, taken, channel, lanes);
                }
            }
        }
    }

    /// Stores activation(sum).
    ///
    /// # Safety
    /// As [`DepthwiseTask::finish`].
    #[inline(always)]
    unsafe fn activate<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        mut sums: [S::Vector; P],
        place: VectorPlace,
        activation: Activation,
    ) {
        for sum in &mut sums {
            *sum = activation::apply(simd, activation, *sum);
        }
        // SAFETY: the target holds the pixels, and its vectors are whole and aligned if it is streamed, as `finish` asks too.
        unsafe { self.store::<S, P, W>(simd, sums, place) };
    }

    /// Stores sum · derivative and adds to the sums. `y` is the map of the mask.
    ///
    /// # Safety
    /// As [`DepthwiseTask::finish`].
    #[inline(always)]
    unsafe fn derive<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        mut sums: [S::Vector; P],
        place: VectorPlace,
        y: Input,
        activation: Activation,
        taken: &mut Option<RunningSums<S>>,
    ) {
        let [_, width, channels] = self.depthwise.target;
        for (p, sum) in sums.iter_mut().enumerate() {
            let VectorPlace { at, channel, lanes } = self.moved::<W>(place, p);
            let from = y.map.as_ptr().wrapping_add(at);
            // Once for each cache line.
            if from.addr() / size_of::<f32>() % LINE < S::LANES {
                prefetch_far(from.wrapping_add(P / W * width * channels), LINE);
            }
            // SAFETY: `Finish::gradient` checked that y is as long as the target, which holds the pixel, and that its normalisation has all
            // channels.
            let y = unsafe { y.load(simd, at, channel, lanes) };
            *sum = simd.mul(
                *sum,
                activation::derivative_from_output(simd, activation, y),
            );
            if let Some(taken) = taken {
                taken.add_gradient(simd, *sum, y);
            }
        }
        // SAFETY: the target holds the pixels, and its vectors are whole and aligned if it is streamed, as `finish` asks too.
        unsafe { self.store::<S, P, W>(simd, sums, place) };
    }

    /// Stores P pixels; `place` is that of the first.
    ///
    /// # Safety
    /// As [`DepthwiseTask::finish`].
    #[inline(always)]
    unsafe fn store<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        values: [S::Vector; P],
        place: VectorPlace,
    ) {
        let lanes = place.lanes;
        let to = self.target.wrapping_add(place.at);
        // SAFETY: the target holds the pixels, which no other task has. If it is streamed, `is_streamed` found that each pixel begins on a
        // cache line and ends with one, so that all vectors are whole and aligned.
        unsafe {
            if self.is_streamed {
                debug_assert!(lanes == S::LANES);
                for (p, value) in values.into_iter().enumerate() {
                    simd.stream(value, to.wrapping_add(self.behind::<W>(p)));
                }
            } else {
                for (p, value) in values.into_iter().enumerate() {
                    store(simd, lanes, value, to.wrapping_add(self.behind::<W>(p)));
                }
            }
        }
    }
}
