//! The tiles of a task: some columns of one row of the target, or of two that read alike.
use std::hint::black_box;
use std::ops::Range;

use crate::activation::{self, Activation};
use crate::conv::Input;
use crate::conv::finish::sums::Taken;
use crate::simd::{Simd, load, store};
use crate::stream::{LINE, prefetch_far};

use super::runs::{TILE, Taps, for_tiles};
use super::{DepthwiseTask, End};

/// Where pixels lie that have the same taps: some columns of one row or of two.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    /// Those of the first row.
    pub(super) taps: &'t Taps,
    /// From where on the first pixel reads them.
    pub(super) source: *const f32,
    /// Where the first pixel begins in the target.
    pub(super) at: usize,
}

impl DepthwiseTask<'_> {
    /// The channels `block` of `count` pixels of a row.
    #[inline(always)]
    pub(super) fn one_run<S: Simd>(&self, simd: S, run: Place, count: usize, block: Range<usize>) {
        for_tiles(
            count,
            #[inline(always)]
            |pixel, pixels| {
                let place = self.at_pixel::<1>(run, pixel, pixels, &block);
                // SAFETY: the taps lie within the source for all pixels of the run, and the pixels in the target.
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
    pub(super) fn two_runs<S: Simd>(&self, simd: S, run: Place, count: usize, block: Range<usize>) {
        const HALF: usize = TILE / 2;
        let mut pixel = 0;
        while pixel < count {
            let pixels = if count - pixel < HALF { 1 } else { HALF };
            let place = self.at_pixel::<2>(run, pixel, pixels, &block);
            // SAFETY: as for one row; the second is the task's too, and reads what is there: `reads_alike` says so of the pairs.
            unsafe {
                match pixels {
                    HALF => self.tile::<S, TILE, HALF>(simd, place, block.clone()),
                    _ => self.tile::<S, 2, 1>(simd, place, block.clone()),
                }
            }
            pixel += pixels;
        }
    }

    /// The place of `pixels` pixels of a run of R rows, from `pixel` on; fetches what the rows below them will be the first to read.
    #[inline(always)]
    fn at_pixel<'t, const R: usize>(
        &self,
        run: Place<'t>,
        pixel: usize,
        pixels: usize,
        block: &Range<usize>,
    ) -> Place<'t> {
        let channels = self.depthwise.target[2];
        let step = self.depthwise.step * channels;
        let new_rows = self.depthwise.new_rows;
        let row = self.depthwise.source[1] * channels;
        let place = Place {
            source: run.source.wrapping_add(pixel * step),
            at: run.at + pixel * self.depthwise.phases * channels,
            ..run
        };
        if block.len() == channels {
            for further in R - 1..2 * R - 1 {
                let source = place.source.wrapping_add(further * new_rows * row);
                place.taps.prefetch(source, pixels * step, new_rows, row);
            }
        }
        place
    }

    /// P pixels, W beside each other.
    ///
    /// # Safety
    /// They are in the target, and what they read in the source.
    #[inline(always)]
    unsafe fn tile<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        place: Place,
        block: Range<usize>,
    ) {
        let mut channel = block.start;
        // SAFETY: the caller's promise.
        unsafe {
            while channel + S::LANES <= block.end {
                let sums = self.sums::<S, P, W>(simd, place, channel, S::LANES);
                self.finish::<S, P, W>(simd, sums, place.at + channel, channel, S::LANES);
                channel += S::LANES;
            }
            if channel < block.end {
                let lanes = block.end - channel;
                let sums = self.sums::<S, P, W>(simd, place, channel, lanes);
                self.finish::<S, P, W>(simd, sums, place.at + channel, channel, lanes);
            }
        }
    }

    /// How far pixel `p` of a tile of W columns lies behind its first in the target.
    #[inline(always)]
    fn behind<const W: usize>(&self, p: usize) -> usize {
        let [_, width, channels] = self.depthwise.target;
        (p % W * self.depthwise.phases + p / W * width) * channels
    }

    /// The sums of P pixels, the first `lanes` lanes from `channel` on.
    ///
    /// # Safety
    /// What the taps read is there.
    #[inline(always)]
    unsafe fn sums<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        place: Place,
        channel: usize,
        lanes: usize,
    ) -> [S::Vector; P] {
        // SAFETY: the caller's promise; the normalisation was checked.
        unsafe {
            match self.normalised {
                None => self.sums_of::<S, P, W>(simd, place, channel, lanes, |x| x),
                Some(by) => {
                    let by = by.of(simd, channel, lanes);
                    self.sums_of::<S, P, W>(
                        simd,
                        place,
                        channel,
                        lanes,
                        #[inline(always)]
                        |x| by.apply(simd, x),
                    )
                }
            }
        }
    }

    /// As [`DepthwiseTask::sums`], of what `made` makes of the source's numbers.
    ///
    /// # Safety
    /// As [`DepthwiseTask::sums`].
    #[inline(always)]
    unsafe fn sums_of<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        place: Place,
        channel: usize,
        lanes: usize,
        made: impl Fn(S::Vector) -> S::Vector,
    ) -> [S::Vector; P] {
        let channels = self.depthwise.target[2];
        let step = self.depthwise.step * channels;
        let row_step = self.depthwise.new_rows * self.depthwise.source[1] * channels;
        let mut sums = [simd.zero(); P];
        // SAFETY: the caller's promise.
        unsafe {
            for tap in place.taps.places() {
                let weight = self.weights.as_ptr().add(tap.weight + channel);
                let weight = load(simd, lanes, weight);
                let source = place.source.wrapping_add(tap.source + channel);
                for (p, sum) in sums.iter_mut().enumerate() {
                    let from = source.add(p % W * step + p / W * row_step);
                    let x = made(load(simd, lanes, from));
                    *sum = simd.mul_add(x, weight, *sum);
                }
            }
        }
        sums
    }

    /// Finishes the sums of P pixels and stores their first `lanes` lanes, from `channel` on, the first at `at` in the target.
    ///
    /// # Safety
    /// They are in the target; where that is streamed, these are all lanes.
    #[inline(always)]
    unsafe fn finish<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        sums: [S::Vector; P],
        at: usize,
        channel: usize,
        lanes: usize,
    ) {
        use Activation::{Identity, Relu, Relu6};
        // SAFETY: the caller's promise; the bias has a number for each channel, and `y` is as long as the target.
        unsafe {
            // The common functions find the sums in registers. The others get a copy in memory, so that theirs do not force these there.
            match *self.end {
                End::Nothing(None) => self.store::<S, P, W>(simd, sums, at, lanes),
                End::Nothing(Some(part)) => {
                    let part = part.with_part(self.part);
                    let mut taken = part.no_sums(simd, channel, lanes);
                    for sum in sums {
                        taken.add(simd, sum);
                    }
                    part.add_sums(simd, taken, channel, lanes);
                    self.store::<S, P, W>(simd, sums, at, lanes);
                }
                End::Activation(bias, activation) => {
                    let bias = load(simd, lanes, bias.as_ptr().add(channel));
                    let mut sums = sums;
                    for sum in &mut sums {
                        *sum = simd.add(*sum, bias);
                    }
                    match activation {
                        Identity => self.store::<S, P, W>(simd, sums, at, lanes),
                        Relu => self.activate::<S, P, W>(simd, sums, at, lanes, Relu),
                        Relu6 => self.activate::<S, P, W>(simd, sums, at, lanes, Relu6),
                        other => self.activate::<S, P, W>(simd, black_box(sums), at, lanes, other),
                    }
                }
                End::Derivative(y, activation, part) => {
                    let part = part.map(|part| part.with_part(self.part));
                    let mut taken = part.map(|part| part.no_sums(simd, channel, lanes));
                    let taken_by = &mut taken;
                    match activation {
                        Relu => self.derive::<S, P, W>(
                            simd,
                            sums,
                            [at, channel, lanes],
                            y,
                            Relu,
                            taken_by,
                        ),
                        Relu6 => self.derive::<S, P, W>(
                            simd,
                            sums,
                            [at, channel, lanes],
                            y,
                            Relu6,
                            taken_by,
                        ),
                        other => {
                            let sums = black_box(sums);
                            self.derive::<S, P, W>(
                                simd,
                                sums,
                                [at, channel, lanes],
                                y,
                                other,
                                taken_by,
                            );
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
                        let (target, at) = (self.target, at + self.behind::<W>(p));
                        finish.store_summed(simd, *sum, target, at, channel, lanes, &mut taken);
                    }
                    finish.add_sums(simd, taken, channel, lanes);
                }
            }
        }
    }

    /// Stores activation(sum), as [`DepthwiseTask::finish`].
    ///
    /// # Safety
    /// As [`DepthwiseTask::finish`].
    #[inline(always)]
    unsafe fn activate<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        mut sums: [S::Vector; P],
        at: usize,
        lanes: usize,
        activation: Activation,
    ) {
        for sum in &mut sums {
            *sum = activation::apply(simd, activation, *sum);
        }
        // SAFETY: the caller's promise.
        unsafe { self.store::<S, P, W>(simd, sums, at, lanes) };
    }

    /// Stores sum · derivative, as [`DepthwiseTask::finish`].
    ///
    /// # Safety
    /// As [`DepthwiseTask::finish`].
    #[inline(always)]
    unsafe fn derive<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        mut sums: [S::Vector; P],
        [at, channel, lanes]: [usize; 3],
        y: Input,
        activation: Activation,
        taken: &mut Option<Taken<S>>,
    ) {
        let [_, width, channels] = self.depthwise.target;
        for (p, sum) in sums.iter_mut().enumerate() {
            let at = at + self.behind::<W>(p);
            let from = y.map.as_ptr().wrapping_add(at);
            // Once for each cache line.
            if from.addr() / size_of::<f32>() % LINE < S::LANES {
                prefetch_far(from.wrapping_add(P / W * width * channels), LINE);
            }
            // SAFETY: the caller's promise; y is as long as the target.
            let y = unsafe { y.load(simd, at, channel, lanes) };
            *sum = simd.mul(
                *sum,
                activation::derivative_from_output(simd, activation, y),
            );
            if let Some(taken) = taken {
                taken.add_gradient(simd, *sum, y);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.store::<S, P, W>(simd, sums, at, lanes) };
    }

    /// Stores the first `lanes` lanes of P pixels, the first at `at` in the target.
    ///
    /// # Safety
    /// As [`DepthwiseTask::finish`].
    #[inline(always)]
    unsafe fn store<S: Simd, const P: usize, const W: usize>(
        &self,
        simd: S,
        values: [S::Vector; P],
        at: usize,
        lanes: usize,
    ) {
        let to = self.target.wrapping_add(at);
        // SAFETY: the caller's promise; where the target is streamed, no vector is cut.
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
