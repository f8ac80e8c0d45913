//! Depthwise convolution: one filter for each channel, vectors along the channels.
pub(super) mod runs;

use std::hint::black_box;
use std::ops::Range;

use crate::Cpu;
use crate::activation::{self, Activation};
use crate::simd::{Kernel, Simd, load, store};
use crate::stream::{LINE, is_streamed, prefetch_far};
use crate::threads::DisjointMut;

use super::axis::Axis;
use super::finish::Finish;
use super::finish::sums::{Part, Taken};
use super::{Epilogue, Geometry, GradientEpilogue, Input, Link, Normalised};
use runs::{MOST_TAPS, Run, TILE, Taps, blocks, for_tiles, runs};

/// Numbers of the target that a task writes about, in whole rows.
const TASK: usize = 1 << 16;
/// Tasks that a pass has at least, if there are so many rows.
const TASKS: usize = 16;

/// Whether the channels of `geometry` do not see each other and the kernel is of a common size.
pub(super) fn supports(geometry: &Geometry) -> bool {
    geometry.groups == geometry.input[2]
        && geometry.groups == geometry.output[2]
        && geometry.kernel[0] * geometry.kernel[1] <= MOST_TAPS
}

/// Forward pass of a depthwise convolution.
#[derive(Debug)]
pub(super) struct Forward(Gather);

impl Forward {
    pub(super) fn new(geometry: Geometry) -> Self {
        let axis = |i: usize| {
            Axis::forward(
                [geometry.input[i], geometry.output[i]],
                geometry.kernel[i],
                geometry.stride[i],
                geometry.dilation[i],
                geometry.padding[i],
            )
        };
        Self(Gather::new(
            [axis(0), axis(1)],
            geometry.stride,
            &geometry,
            geometry.input,
        ))
    }

    pub(super) fn packed_len(&self) -> usize {
        self.0.weights()
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        input: Input,
        packed: &[f32],
        epilogue: &Epilogue,
        output: &mut [f32],
    ) {
        let end = self.end(epilogue, output);
        self.0.run(cpu, input, packed, end, output);
    }

    /// Parts in which a pass sums what it stores.
    pub(super) fn sums_parts(&self) -> usize {
        self.0.tasks()
    }

    /// Some rows of the output, counted through all images, on this thread alone. `input` and `output` are where the maps start or
    /// would start.
    ///
    /// # Safety
    /// What the rows read and write is there, and no other thread writes it.
    pub(super) unsafe fn rows(
        &self,
        cpu: &Cpu,
        input: *const f32,
        link: Link,
        output: *mut f32,
        rows: Range<usize>,
    ) {
        assert_eq!(link.packed.len(), self.packed_len(), "packed weights");
        let plain = link.epilogue.add.is_none() && link.epilogue.sums.is_none();
        assert!(plain, "a map to add, or sums to take");
        cpu.dispatch(Task {
            gather: &self.0,
            source: input,
            normalised: None,
            weights: link.packed,
            end: &self.end(&link.epilogue, &[]),
            target: output,
            part: 0,
            rows,
            is_streamed: false,
        });
    }

    /// What happens to the sums of `output`.
    fn end<'a>(&self, epilogue: &Epilogue<'a>, output: &[f32]) -> End<'a> {
        let channels = self.0.source[2];
        let finish = Finish::forward(epilogue, output, channels);
        let finish = finish.summing(epilogue.sums, channels, Some(self.sums_parts()));
        match *epilogue {
            Epilogue {
                bias: None,
                add: None,
                activation: Activation::Identity,
                sums: _,
            } => End::Nothing(finish.sums),
            Epilogue {
                bias: Some(bias),
                add: None,
                activation,
                sums: None,
            } => End::Activation(bias, activation),
            _ => End::Other(finish),
        }
    }
}

/// Input gradient of a depthwise convolution.
#[derive(Debug)]
pub(super) struct InputGradient(Gather);

impl InputGradient {
    pub(super) fn new(geometry: Geometry) -> Self {
        let axis = |i: usize| {
            Axis::backward(
                [geometry.output[i], geometry.input[i]],
                geometry.kernel[i],
                geometry.stride[i],
                geometry.dilation[i],
                geometry.padding[i],
            )
        };
        Self(Gather::new(
            [axis(0), axis(1)],
            [1; 2],
            &geometry,
            geometry.output,
        ))
    }

    pub(super) fn packed_len(&self) -> usize {
        self.0.weights()
    }

    /// Parts in which a pass sums what it stores.
    pub(super) fn sums_parts(&self) -> usize {
        self.0.tasks()
    }

    /// Turns the kernel by 180°.
    pub(super) fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        assert_eq!(weights.len(), packed.len(), "packed weights");
        let channels = self.0.source[2];
        let taps = packed.chunks_mut(channels);
        for (to, from) in taps.zip(weights.chunks(channels).rev()) {
            to.copy_from_slice(from);
        }
    }

    pub(super) fn run(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        packed: &[f32],
        epilogue: &GradientEpilogue,
        input_gradient: &mut [f32],
    ) {
        let channels = self.0.source[2];
        let finish = Finish::gradient(epilogue, input_gradient, channels);
        let finish = finish.summing(epilogue.sums, channels, Some(self.sums_parts()));
        let end = match *epilogue {
            GradientEpilogue {
                accumulate: false,
                mask: None,
                sums: None,
            } => End::Nothing(None),
            GradientEpilogue {
                accumulate: false,
                mask: Some((y, activation)),
                sums: _,
            } => End::Derivative(y, activation, finish.sums),
            _ => End::Other(finish),
        };
        self.0
            .run(cpu, output_gradient.into(), packed, end, input_gradient);
    }
}

/// The loop that both share: target pixels gather source pixels.
#[derive(Debug)]
struct Gather {
    images: usize,
    rows: Axis,
    runs: Vec<Run>,
    /// Height, width, channels.
    target: [usize; 3],
    /// Target columns from pixel to pixel of a run.
    phases: usize,
    /// Source columns from pixel to pixel of a run.
    step: usize,
    /// Source rows that a target row reads and the one above does not.
    new_rows: usize,
    taps: [usize; 2],
    /// Height, width, channels.
    source: [usize; 3],
}

/// What happens to a sum before it is stored. The common cases have a loop of their own.
#[derive(Clone, Copy)]
enum End<'a> {
    /// sum, summed in turn if asked
    Nothing(Option<Part<'a>>),
    /// activation(sum + bias)
    Activation(&'a [f32], Activation),
    /// sum · derivative where it gave this map, summed in turn if asked
    Derivative(Input<'a>, Activation, Option<Part<'a>>),
    Other(Finish<'a>),
}

impl Gather {
    /// `steps`: source rows and columns from one target pixel of a phase to the next.
    fn new(
        [rows, columns]: [Axis; 2],
        steps: [usize; 2],
        geometry: &Geometry,
        source: [usize; 3],
    ) -> Self {
        Self {
            images: geometry.batch,
            target: [rows.target, columns.target, source[2]],
            runs: runs(&columns, geometry.kernel[1], steps[1]),
            phases: columns.phases,
            rows,
            step: steps[1],
            new_rows: steps[0],
            taps: geometry.kernel,
            source,
        }
    }

    fn weights(&self) -> usize {
        self.taps[0] * self.taps[1] * self.source[2]
    }

    /// Rows of the target of all images, and those of a task.
    fn all_rows(&self) -> [usize; 2] {
        let [height, width, channels] = self.target;
        let rows = self.images * height;
        [rows, (TASK / (width * channels)).min(rows / TASKS).max(1)]
    }

    fn tasks(&self) -> usize {
        let [rows, of_task] = self.all_rows();
        rows.div_ceil(of_task)
    }

    fn run(&self, cpu: &Cpu, source: Input, weights: &[f32], end: End, target: &mut [f32]) {
        let length = |image: [usize; 3]| self.images * image.iter().product::<usize>();
        assert_eq!(source.map.len(), length(self.source), "source");
        let normalised = source.normalised.as_ref();
        normalised.iter().for_each(|by| by.check(self.source[2]));
        assert_eq!(weights.len(), self.weights(), "packed weights");
        assert_eq!(target.len(), length(self.target), "target");
        let [rows, rows_of_task] = self.all_rows();
        let is_streamed = !matches!(end, End::Other(_)) && is_streamed(target, self.target[2]);
        let target = DisjointMut::new(target);
        cpu.parallel(self.tasks(), |task| {
            cpu.dispatch(Task {
                gather: self,
                source: source.map.as_ptr(),
                normalised,
                weights,
                end: &end,
                target: target.as_mut_ptr(),
                part: task,
                rows: task * rows_of_task..((task + 1) * rows_of_task).min(rows),
                is_streamed,
            });
        });
    }
}

/// Some rows of the target.
struct Task<'a> {
    gather: &'a Gather,
    /// The starts of the maps; only what the rows read and write need be there.
    source: *const f32,
    /// What is made of the source's numbers.
    normalised: Option<&'a Normalised<'a>>,
    weights: &'a [f32],
    end: &'a End<'a>,
    target: *mut f32,
    /// Of the sums of what is stored.
    part: usize,
    /// Counted through all images.
    rows: Range<usize>,
    /// Whether the target is written past the caches.
    is_streamed: bool,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let gather = self.gather;
        let [height, width, channels] = gather.target;
        for block in blocks(channels) {
            for row in self.rows.clone() {
                let place = [row / height, row % height];
                for run in &gather.runs {
                    let taps = Taps::new(&gather.rows, gather.taps, gather.source, place, run);
                    let start = (row * width + run.start) * channels;
                    self.run_of_pixels(simd, &taps, run.count, start, block.clone());
                }
            }
        }
    }
}

impl Task<'_> {
    /// The channels `block` of `count` pixels that have the same taps, of which the first begins at `start` in the target.
    #[inline(always)]
    fn run_of_pixels<S: Simd>(
        &self,
        simd: S,
        taps: &Taps,
        count: usize,
        start: usize,
        block: Range<usize>,
    ) {
        let channels = self.gather.target[2];
        let step = self.gather.step * channels;
        let pitch = self.gather.phases * channels;
        let source_row = self.gather.source[1] * channels;
        for_tiles(
            count,
            #[inline(always)]
            |pixel, pixels| {
                let source = self.source.wrapping_add(pixel * step);
                if block.len() == channels {
                    taps.prefetch(source, pixels * step, self.gather.new_rows, source_row);
                }
                let at = start + pixel * pitch;
                // SAFETY: the taps lie within the source for all pixels of the run, and the pixels in the target.
                unsafe {
                    match pixels {
                        TILE => self.tile::<S, TILE>(simd, taps, source, at, block.clone()),
                        4 => self.tile::<S, 4>(simd, taps, source, at, block.clone()),
                        _ => self.tile::<S, 1>(simd, taps, source, at, block.clone()),
                    }
                }
            },
        );
    }

    /// P pixels of a run, the first of which begins at `at` in the target and reads `taps` from `source` on.
    ///
    /// # Safety
    /// They are in the target, and what they read in the source.
    #[inline(always)]
    unsafe fn tile<S: Simd, const P: usize>(
        &self,
        simd: S,
        taps: &Taps,
        source: *const f32,
        at: usize,
        block: Range<usize>,
    ) {
        let step = self.gather.step * self.gather.target[2];
        let mut channel = block.start;
        // SAFETY: the caller's promise.
        unsafe {
            while channel + S::LANES <= block.end {
                let sums = self.sums::<S, P>(simd, taps, source, step, channel, S::LANES);
                self.finish(simd, sums, at + channel, channel, S::LANES);
                channel += S::LANES;
            }
            if channel < block.end {
                let lanes = block.end - channel;
                let sums = self.sums::<S, P>(simd, taps, source, step, channel, lanes);
                self.finish(simd, sums, at + channel, channel, lanes);
            }
        }
    }

    /// The sums of P pixels, the first `lanes` lanes from `channel` on.
    ///
    /// # Safety
    /// What the taps read lies behind `source`.
    #[inline(always)]
    unsafe fn sums<S: Simd, const P: usize>(
        &self,
        simd: S,
        taps: &Taps,
        source: *const f32,
        step: usize,
        channel: usize,
        lanes: usize,
    ) -> [S::Vector; P] {
        // SAFETY: the caller's promise; the normalisation was checked.
        unsafe {
            let places = [step, channel, lanes];
            match self.normalised {
                None => self.sums_of::<S, P>(simd, taps, source, places, |x| x),
                Some(by) => {
                    let by = by.of(simd, channel, lanes);
                    self.sums_of::<S, P>(
                        simd,
                        taps,
                        source,
                        places,
                        #[inline(always)]
                        |x| by.apply(simd, x),
                    )
                }
            }
        }
    }

    /// As [`Task::sums`], of what `made` makes of the source's numbers.
    ///
    /// # Safety
    /// As [`Task::sums`].
    #[inline(always)]
    unsafe fn sums_of<S: Simd, const P: usize>(
        &self,
        simd: S,
        taps: &Taps,
        source: *const f32,
        [step, channel, lanes]: [usize; 3],
        made: impl Fn(S::Vector) -> S::Vector,
    ) -> [S::Vector; P] {
        let mut sums = [simd.zero(); P];
        // SAFETY: the caller's promise.
        unsafe {
            for [from, tap] in taps.places() {
                let weight = load(simd, lanes, self.weights.as_ptr().add(tap + channel));
                let source = source.wrapping_add(from + channel);
                for (p, sum) in sums.iter_mut().enumerate() {
                    let x = made(load(simd, lanes, source.add(p * step)));
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
    unsafe fn finish<S: Simd, const P: usize>(
        &self,
        simd: S,
        sums: [S::Vector; P],
        at: usize,
        channel: usize,
        lanes: usize,
    ) {
        use Activation::{Identity, Relu, Relu6};
        let pitch = self.gather.phases * self.gather.target[2];
        // SAFETY: the caller's promise; the bias has a number for each channel, and `y` is as long as the target.
        unsafe {
            // The common functions find the sums in registers. The others get a copy in memory, so that theirs do not force these there.
            match *self.end {
                End::Nothing(None) => self.store(simd, sums, at, lanes),
                End::Nothing(Some(part)) => {
                    let part = part.with_part(self.part);
                    let mut taken = part.no_sums(simd, channel, lanes);
                    for sum in sums {
                        taken.add(simd, sum);
                    }
                    part.add_sums(simd, taken, channel, lanes);
                    self.store(simd, sums, at, lanes);
                }
                End::Activation(bias, activation) => {
                    let bias = load(simd, lanes, bias.as_ptr().add(channel));
                    let mut sums = sums;
                    for sum in &mut sums {
                        *sum = simd.add(*sum, bias);
                    }
                    match activation {
                        Identity => self.store(simd, sums, at, lanes),
                        Relu => self.activate(simd, sums, at, lanes, Relu),
                        Relu6 => self.activate(simd, sums, at, lanes, Relu6),
                        other => self.activate(simd, black_box(sums), at, lanes, other),
                    }
                }
                End::Derivative(y, activation, part) => {
                    let part = part.map(|part| part.with_part(self.part));
                    let mut taken = part.map(|part| part.no_sums(simd, channel, lanes));
                    let taken_by = &mut taken;
                    match activation {
                        Relu => self.derive(simd, sums, [at, channel, lanes], y, Relu, taken_by),
                        Relu6 => self.derive(simd, sums, [at, channel, lanes], y, Relu6, taken_by),
                        other => {
                            let sums = black_box(sums);
                            self.derive(simd, sums, [at, channel, lanes], y, other, taken_by);
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
                        let (target, at) = (self.target, at + p * pitch);
                        finish.store_summed(simd, *sum, target, at, channel, lanes, &mut taken);
                    }
                    finish.add_sums(simd, taken, channel, lanes);
                }
            }
        }
    }

    /// Stores activation(sum), as [`Task::finish`].
    ///
    /// # Safety
    /// As [`Task::finish`].
    #[inline(always)]
    unsafe fn activate<S: Simd, const P: usize>(
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
        unsafe { self.store(simd, sums, at, lanes) };
    }

    /// Stores sum · derivative, as [`Task::finish`].
    ///
    /// # Safety
    /// As [`Task::finish`].
    #[inline(always)]
    unsafe fn derive<S: Simd, const P: usize>(
        &self,
        simd: S,
        mut sums: [S::Vector; P],
        [at, channel, lanes]: [usize; 3],
        y: Input,
        activation: Activation,
        taken: &mut Option<Taken<S>>,
    ) {
        let [_, width, channels] = self.gather.target;
        let pitch = self.gather.phases * channels;
        for (p, sum) in sums.iter_mut().enumerate() {
            let at = at + p * pitch;
            let from = y.map.as_ptr().wrapping_add(at);
            // Once for each cache line.
            if from.addr() / size_of::<f32>() % LINE < S::LANES {
                prefetch_far(from.wrapping_add(width * channels), LINE);
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
        unsafe { self.store(simd, sums, at, lanes) };
    }

    /// Stores the first `lanes` lanes of P pixels, the first at `at` in the target.
    ///
    /// # Safety
    /// As [`Task::finish`].
    #[inline(always)]
    unsafe fn store<S: Simd, const P: usize>(
        &self,
        simd: S,
        values: [S::Vector; P],
        at: usize,
        lanes: usize,
    ) {
        let pitch = self.gather.phases * self.gather.target[2];
        let to = self.target.wrapping_add(at);
        // SAFETY: the caller's promise; where the target is streamed, no vector is cut.
        unsafe {
            if self.is_streamed {
                debug_assert!(lanes == S::LANES);
                for (p, value) in values.into_iter().enumerate() {
                    simd.stream(value, to.wrapping_add(p * pitch));
                }
            } else {
                for (p, value) in values.into_iter().enumerate() {
                    store(simd, lanes, value, to.wrapping_add(p * pitch));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
