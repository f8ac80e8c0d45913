//! Depthwise convolution: one filter for each channel, vectors along the channels.
pub(super) mod runs;
mod tile;

use std::ops::Range;

use crate::Cpu;
use crate::activation::Activation;
use crate::simd::{Kernel, Simd};
use crate::stream::is_streamed;
use crate::threads::DisjointMut;

use super::axis::Axis;
use super::finish::Finish;
use super::finish::sums::Part;
use super::{Epilogue, Geometry, GradientEpilogue, Input, Link, Normalised};
use runs::{MOST_TAPS, Run, Taps, blocks, runs};
use tile::Place;

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
    /// For each row of the target, whether it is computed together with the next.
    paired: Vec<bool>,
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
            paired: (0..rows.target)
                .map(|y| geometry.dilation[0] == 1 && reads_alike(&rows, steps[0], y))
                .collect(),
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

/// Whether row `y + 1` reads all that row `y` does, `new_rows` rows further down.
fn reads_alike(rows: &Axis, new_rows: usize, y: usize) -> bool {
    let alike = |tap: usize| {
        let [here, next] = [y, y + 1].map(|y| usize::try_from(rows.position(y, tap)).ok());
        here.map(|row| row + new_rows) == next
    };
    y + 1 < rows.target && (0..rows.taps).all(alike)
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
            let mut rows = self.rows.clone();
            while let Some(row) = rows.next() {
                let (image, y) = (row / height, row % height);
                // Two rows that read alike share (with stride 1) most of what they read while it is in L1.
                let is_pair = gather.paired[y] && !rows.is_empty();
                if is_pair {
                    rows.next();
                }
                for run in &gather.runs {
                    let taps = Taps::new(&gather.rows, gather.taps, gather.source, [image, y], run);
                    let place = Place {
                        taps: &taps,
                        source: self.source,
                        at: (row * width + run.start) * channels,
                    };
                    if is_pair {
                        self.two_runs(simd, place, run.count, block.clone());
                    } else {
                        self.one_run(simd, place, run.count, block.clone());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
