//! Depthwise convolution: one filter for each channel. The lanes of a vector are channels.
mod runs;
mod tile;
mod weight_gradient;

use std::ops::Range;

use crate::Cpu;
use crate::activation::Activation;
use crate::map::{Input, Normalised};
use crate::simd::{Kernel, Simd};

use super::Geometry;
use super::correlation::Correlation;
use super::finish::Finish;
use super::finish::sums::SumsPart;
use super::loops::{MapLoop, MapOperands, MapTarget, RowsLoop, RowsOperands};
use runs::{MOST_TAPS, Read, Run, Taps, blocks, reads, reads_alike, runs};
use tile::RunPixels;

pub(super) use weight_gradient::DepthwiseWeightGradient;

/// Floats of the target that a task writes, about: a task has whole rows.
const TASK_TARGET_FLOATS: usize = 1 << 16;
/// Tasks of a pass at least, if there are that many rows.
const LEAST_TASKS: usize = 16;

/// Whether each channel of `geometry` is a group of its own, with one filter, and the kernel has no more than [`MOST_TAPS`] taps.
pub(super) fn supports(geometry: &Geometry) -> bool {
    geometry.groups == geometry.input[2]
        && geometry.groups == geometry.output[2]
        && geometry.kernel[0] * geometry.kernel[1] <= MOST_TAPS
}

/// Forward pass or input gradient of a depthwise convolution: target pixels gather source pixels.
#[derive(Debug)]
pub(super) struct Depthwise {
    images: usize,
    /// What each row of the target reads.
    rows: Vec<Vec<Read>>,
    /// For each row of the target, whether it can be computed together with the next.
    paired: Vec<bool>,
    runs: Vec<Run>,
    /// Height, width, channels.
    target: [usize; 3],
    /// Target columns from pixel to pixel of a run.
    phases: usize,
    /// Source columns from pixel to pixel of a run.
    step: usize,
    /// Source rows that a target row reads beyond those of the row above.
    new_rows: usize,
    /// Taps down and across.
    taps: [usize; 2],
    /// Whether the packed weights are turned by 180°, as an input gradient reads them.
    is_turned: bool,
    /// Height, width, channels.
    source: [usize; 3],
}

/// What happens to a sum before it is stored. The common cases have loops of their own.
#[derive(Clone, Copy)]
enum End<'a> {
    /// Nothing. Sums of the stored values are taken if asked.
    Nothing(Option<SumsPart<'a>>),
    /// activation(sum + bias)
    Activation {
        bias: &'a [f32],
        activation: Activation,
    },
    /// sum · activation'(y). Sums of the stored values are taken if asked.
    Derivative {
        y: Input<'a>,
        activation: Activation,
        sums: Option<SumsPart<'a>>,
    },
    /// All else.
    Other(Finish<'a>),
}

impl<'a> End<'a> {
    fn new(finish: &Finish<'a>) -> Self {
        match *finish {
            Finish {
                bias: None,
                add: None,
                activation: Activation::Identity,
                accumulate: false,
                mask: None,
                sums,
                ..
            } => Self::Nothing(sums),
            Finish {
                bias: Some(bias),
                add: None,
                activation,
                accumulate: false,
                mask: None,
                sums: None,
                ..
            } => Self::Activation { bias, activation },
            Finish {
                bias: None,
                add: None,
                activation: Activation::Identity,
                accumulate: false,
                mask: Some((y, activation)),
                sums,
                ..
            } => Self::Derivative {
                y,
                activation,
                sums,
            },
            other => Self::Other(other),
        }
    }
}

impl Depthwise {
    /// The loop, where it is [supported](supports).
    pub(super) fn new(correlation: &Correlation) -> Self {
        let geometry = correlation.geometry();
        let is_turned = !correlation.is_forward();
        let ([rows, columns], [source, target]) = (correlation.axes(), correlation.maps());
        let new_rows = rows.steps.source;
        let row_reads = reads(&rows, is_turned);
        let is_pair = |y| geometry.dilation[0] == 1 && reads_alike(&row_reads, new_rows, y);
        Self {
            images: geometry.batch,
            target,
            runs: runs(&columns, is_turned),
            phases: columns.steps.target,
            paired: (0..rows.target).map(is_pair).collect(),
            step: columns.steps.source,
            new_rows,
            taps: geometry.kernel,
            is_turned,
            source,
            rows: row_reads,
        }
    }

    /// Rows of the target of all images.
    fn all_rows(&self) -> usize {
        self.images * self.target[0]
    }

    /// Rows of the target of a task.
    fn task_rows(&self) -> usize {
        let [_, width, channels] = self.target;
        (TASK_TARGET_FLOATS / (width * channels))
            .min(self.all_rows() / LEAST_TASKS)
            .max(1)
    }
}

impl MapLoop for Depthwise {
    fn packed_len(&self) -> usize {
        self.taps[0] * self.taps[1] * self.source[2]
    }

    fn pack(&self, _: &Cpu, weights: &[f32], packed: &mut [f32]) {
        if !self.is_turned {
            return packed.copy_from_slice(weights);
        }
        let channels = self.source[2];
        let taps = packed.chunks_mut(channels);
        for (to, from) in taps.zip(weights.chunks(channels).rev()) {
            to.copy_from_slice(from);
        }
    }

    fn sums_parts(&self) -> usize {
        self.all_rows().div_ceil(self.task_rows())
    }

    fn finished_pixel(&self) -> usize {
        self.target[2]
    }

    fn run(&self, cpu: &Cpu, operands: MapOperands) {
        let MapOperands {
            source,
            packed,
            finish,
            target,
            ..
        } = operands;
        let MapTarget::Map(target) = target else {
            unreachable!("`choose` makes no depthwise pass that pools");
        };
        let (all_rows, task_rows) = (self.all_rows(), self.task_rows());
        let end = End::new(&finish);
        let is_streamed = !matches!(end, End::Other(_)) && finish.stream;
        cpu.parallel(self.sums_parts(), |task| {
            cpu.dispatch(DepthwiseTask {
                depthwise: self,
                source: source.unpooled().as_ptr(),
                normalised: source.normalised.as_ref(),
                weights: packed,
                end: &end,
                target: target.as_mut_ptr(),
                part: task,
                rows: task * task_rows..((task + 1) * task_rows).min(all_rows),
                is_streamed,
            });
        });
    }

    fn by_rows(&self) -> Option<&dyn RowsLoop> {
        Some(self)
    }
}

impl RowsLoop for Depthwise {
    unsafe fn rows(&self, cpu: &Cpu, operands: RowsOperands) {
        let RowsOperands {
            source,
            packed,
            finish,
            target,
            rows,
            ahead: _,
        } = operands;
        cpu.dispatch(DepthwiseTask {
            depthwise: self,
            source,
            normalised: None,
            weights: packed,
            end: &End::new(&finish),
            target,
            part: 0,
            rows,
            is_streamed: false,
        });
    }
}

/// Some rows of the target.
struct DepthwiseTask<'a> {
    depthwise: &'a Depthwise,
    /// The virtual start of the source. The rows that the task reads are in memory.
    source: *const f32,
    /// Normalisation applied on load.
    normalised: Option<&'a Normalised<'a>>,
    weights: &'a [f32],
    end: &'a End<'a>,
    /// The virtual start of the target. The task's rows are in memory.
    target: *mut f32,
    /// The part of the sums by channel that the task adds to.
    part: usize,
    /// Counted through all images.
    rows: Range<usize>,
    /// Whether the target is written past the caches.
    is_streamed: bool,
}

impl Kernel for DepthwiseTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Depthwise {
            rows: reads,
            paired,
            runs,
            target: [height, width, channels],
            taps,
            source,
            ..
        } = self.depthwise;
        for block in blocks(*channels) {
            let mut rows = self.rows.clone();
            while let Some(row) = rows.next() {
                let (image, y) = (row / height, row % height);
                // Of two rows that read alike (with stride 1), the second reads most pixels while they are still in L1.
                let is_pair = paired[y] && !rows.is_empty();
                if is_pair {
                    rows.next();
                }
                for run in runs {
                    let taps = Taps::new(&reads[y], taps[1], *source, image, run);
                    let pixels = RunPixels {
                        taps: &taps,
                        source: self.source,
                        at: (row * width + run.start) * channels,
                    };
                    if is_pair {
                        self.two_runs(simd, pixels, run.count, block.clone());
                    } else {
                        self.one_run(simd, pixels, run.count, block.clone());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
