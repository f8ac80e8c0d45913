//! The windows of convolutions and poolings over time, rows and columns: which values of its input a value is computed from.
use std::ops::Range;

use hubel_kernels::pad::{self, Padding};
use hubel_kernels::pool::{self, Regions};
use hubel_kernels::upsample::Upsampling;

use super::Explainer;
use crate::layers::{PaddingMode, Upsample};
use crate::network::{self, Operation, TimeWindow};
use crate::{Place, Shape};

/// The windows of a convolution, of frames or along time. Arrays are `[time, height, width]`.
pub(super) struct ConvolutionWindows {
    /// Size of a filter.
    pub(super) kernel: [usize; 3],
    stride: [usize; 3],
    dilation: [usize; 3],
    /// Number of filters.
    pub(super) filters: usize,
    groups: usize,
    /// Channels of the input.
    channels: usize,
    /// The padded times, as rows.
    times: Padding,
    /// A padded frame.
    frame: Padding,
}

/// Where a value under a filter comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// A place of the input, without its channel.
    Inside(Place),
    /// Padding of this value.
    Border(f32),
}

impl ConvolutionWindows {
    /// The windows of a convolution of a map of `from`; `None` for other operations.
    pub(super) fn of(operation: &Operation, from: Shape) -> Option<Self> {
        let along = |time: usize, [height, width]: [usize; 2]| [time, height, width];
        let plain = TimeWindow {
            kernel: 1,
            stride: 1,
            dilation: 1,
            padding: [0; 2],
        };
        let zeros = pad::PaddingMode::Constant(0.0);
        let frame = [from.height, from.width];
        Some(match operation {
            Operation::Conv(settings) => Self {
                kernel: along(1, settings.kernel),
                stride: along(1, settings.stride),
                dilation: along(1, settings.dilation),
                filters: settings.filters,
                groups: settings.groups,
                channels: from.channels,
                times: times(&plain, from),
                frame: padding(frame, settings.padding, settings.mode.for_kernels()),
            },
            Operation::TimeConv(settings) => Self {
                kernel: along(settings.window.kernel, [1; 2]),
                stride: along(settings.window.stride, [1; 2]),
                dilation: along(settings.window.dilation, [1; 2]),
                filters: settings.filters,
                groups: settings.groups,
                channels: from.channels,
                times: times(&settings.window, from),
                frame: padding(frame, [0; 4], zeros),
            },
            _ => return None,
        })
    }

    /// The times, rows and columns of a filter, in the order of its weights.
    pub(super) fn taps(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let [times, height, width] = self.kernel;
        let frame = height * width;
        (0..times * frame).map(move |tap| [tap / frame, tap % frame / width, tap % width])
    }

    /// The channels of the input that a filter reads: those of its group.
    pub(super) fn channels_of(&self, filter: usize) -> Range<usize> {
        let depth = self.channels / self.groups;
        let first = filter / (self.filters / self.groups) * depth;
        first..first + depth
    }

    /// The filters that read a channel of the input: those of its group.
    pub(super) fn filters_of(&self, channel: usize) -> Range<usize> {
        let count = self.filters / self.groups;
        let first = channel / (self.channels / self.groups) * count;
        first..first + count
    }

    /// The index of the weight of `filter` for a channel of the input, at the tap of this number.
    pub(super) fn weight(&self, tap: usize, channel: usize, filter: usize) -> usize {
        let depth = self.channels / self.groups;
        (tap * depth + channel % depth) * self.filters + filter
    }

    /// The source of the value under `tap` of the filter, for the output at `at`.
    pub(super) fn source(&self, at: Place, tap: [usize; 3]) -> Source {
        let output = at.numbers();
        let place = [0, 1, 2].map(|axis| self.place(axis, output[axis], tap[axis]));
        // With `round=ceil` a window may reach beyond the border; the values there are zeros.
        if (0..3).any(|axis| place[axis] >= self.padded(axis)) {
            return Source::Border(0.0);
        }
        let source = [0, 1, 2].map(|axis| self.inside(axis, place[axis]));
        match source {
            [Some(time), Some(row), Some(column)] => {
                Source::Inside(Place::new(row, column, 0).over(time))
            }
            [None, ..] => Source::Border(constant(self.times.mode)),
            _ => Source::Border(constant(self.frame.mode)),
        }
    }

    /// The places of a map of `to`, without their channels, whose windows read a place of the input, each with the number of its tap.
    pub(super) fn readers(&self, read: Place, to: Shape) -> Vec<(Place, usize)> {
        let [times, rows, columns] =
            [0, 1, 2].map(|axis| self.readers_along(axis, read.numbers()[axis], to.sizes()[axis]));
        let [_, height, width] = self.kernel;
        let mut readers = Vec::new();
        for [time, after] in &times {
            for [row, down] in &rows {
                for [column, across] in &columns {
                    let tap = (after * height + down) * width + across;
                    readers.push((Place::new(*row, *column, 0).over(*time), tap));
                }
            }
        }
        readers
    }

    /// The outputs along an axis whose window reads `read`, each with the tap along this axis.
    fn readers_along(&self, axis: usize, read: usize, outputs: usize) -> Vec<[usize; 2]> {
        let mut readers = Vec::new();
        for output in 0..outputs {
            for tap in 0..self.kernel[axis] {
                let place = self.place(axis, output, tap);
                if place < self.padded(axis) && self.inside(axis, place) == Some(read) {
                    readers.push([output, tap]);
                }
            }
        }
        readers
    }

    /// The time, row or column of the padded input.
    fn place(&self, axis: usize, output: usize, tap: usize) -> usize {
        output * self.stride[axis] + tap * self.dilation[axis]
    }

    /// The length of the padded input.
    fn padded(&self, axis: usize) -> usize {
        match axis {
            0 => self.times.output[0],
            _ => self.frame.output[axis - 1],
        }
    }

    /// What a place of the padded input shows; `None` for a constant.
    fn inside(&self, axis: usize, place: usize) -> Option<usize> {
        match axis {
            0 => self.times.source(0, place),
            _ => self.frame.source(axis - 1, place),
        }
    }
}

/// The times of a map as the rows of a padded one.
fn times(window: &TimeWindow, from: Shape) -> Padding {
    let [before, after] = window.padding;
    let zeros = pad::PaddingMode::Constant(0.0);
    padding([from.time, 1], [before, 0, after, 0], zeros)
}

/// The padding of one channel of a map, by `[top, left, bottom, right]`.
fn padding(
    [height, width]: [usize; 2],
    [top, left, bottom, right]: [usize; 4],
    mode: pad::PaddingMode,
) -> Padding {
    Padding {
        batch: 1,
        input: [height, width, 1],
        output: [height + top + bottom, width + left + right, 1],
        before: [top, left],
        mode,
    }
}

fn constant(mode: pad::PaddingMode) -> f32 {
    match mode {
        pad::PaddingMode::Constant(value) => value,
        _ => unreachable!("only a constant shows no pixel"),
    }
}

/// The sources of the places of a padded frame.
pub(super) struct Border(Padding);

impl Border {
    /// A map of `from` padded by `[top, left, bottom, right]`.
    pub(super) fn of(from: Shape, sides: [usize; 4], mode: PaddingMode) -> Self {
        let frame = [from.height, from.width];
        Self(padding(frame, sides, mode.for_kernels()))
    }

    /// The source of the value at `at`.
    pub(super) fn source(&self, at: Place) -> Source {
        match (self.0.source(0, at.row), self.0.source(1, at.column)) {
            (Some(row), Some(column)) => Source::Inside(Place { row, column, ..at }),
            _ => Source::Border(constant(self.0.mode)),
        }
    }

    /// The places that show the value at `read`.
    pub(super) fn readers(&self, read: Place) -> Vec<Place> {
        let along = |axis: usize, source: usize| {
            (0..self.0.output[axis]).filter(move |i| self.0.source(axis, *i) == Some(source))
        };
        crossed(along(0, read.row), || along(1, read.column), read)
    }
}

/// The places in these rows and columns, with the rest of `at`.
fn crossed<R, C>(rows: R, columns: impl Fn() -> C, at: Place) -> Vec<Place>
where
    R: Iterator<Item = usize>,
    C: Iterator<Item = usize>,
{
    rows.flat_map(|row| columns().map(move |column| Place { row, column, ..at }))
        .collect()
}

/// The places of a map that are upsampled to the places of a larger one.
pub(super) struct Upsampled(Upsampling);

impl Upsampled {
    /// A map of `from`.
    pub(super) fn of(from: Shape, upsample: Upsample) -> Self {
        Self(upsample.for_kernels(1, from))
    }

    /// The places that the value at `at` is the weighted sum of, row by row, with their weights.
    pub(super) fn sources(&self, at: Place) -> Vec<(Place, f32)> {
        let along = |axis: usize, i: usize| {
            let (first, weight, second) = self.0.sources(axis, i);
            [Some((first, weight)), second].into_iter().flatten()
        };
        along(0, at.row)
            .flat_map(|(row, down)| {
                along(1, at.column)
                    .map(move |(column, across)| (Place { row, column, ..at }, down * across))
            })
            .collect()
    }

    /// The places that read the value at `read`.
    pub(super) fn readers(&self, read: Place) -> Vec<Place> {
        let output = self.0.output();
        let along = |axis: usize, source: usize| {
            (0..output[axis]).filter(move |i| {
                let (first, _, second) = self.0.sources(axis, *i);
                first == source || second.is_some_and(|(second, _)| second == source)
            })
        };
        crossed(along(0, read.row), || along(1, read.column), read)
    }
}

/// The windows of a pooling, of frames or along time.
pub(super) struct PoolingWindows {
    /// The windows along time, as rows.
    times: pool::Window,
    /// The windows within a frame.
    frame: pool::Window,
}

impl PoolingWindows {
    /// The windows of a pooling; `None` for other nodes. Over all times of a text only its tokens count.
    pub(super) fn of(explainer: &Explainer, node: usize) -> Option<Self> {
        let own = &explainer.nodes()[node];
        let from = explainer.nodes()[*own.inputs.first()?].shape;
        let regions = match &own.operation {
            Operation::MaxPool(window) => sliding(window, false),
            Operation::AvgPool {
                window,
                count_padding,
            } => sliding(window, *count_padding),
            Operation::GlobalMaxPool
            | Operation::GlobalAvgPool
            | Operation::AdaptiveMaxPool
            | Operation::AdaptiveAvgPool => Regions::Adaptive,
            Operation::TimeMaxPool(window) => {
                return Some(Self::along_time(
                    from,
                    own.shape,
                    sliding_times(window, false),
                ));
            }
            Operation::TimeAvgPool {
                window,
                count_padding,
            } => {
                let regions = sliding_times(window, *count_padding);
                return Some(Self::along_time(from, own.shape, regions));
            }
            Operation::MaxOverTime(windows) | Operation::AvgOverTime(windows) => {
                let time = windows.as_ref().map_or(from.time, |windows| {
                    let tokens = own.inputs[1];
                    let length = explainer.nodes()[tokens].shape.len();
                    let tokens = &explainer.map(tokens)[..length];
                    TimeWindow::count_within(windows, tokens).min(from.time)
                });
                return Some(Self::along_time(
                    from.over(time),
                    own.shape,
                    Regions::Adaptive,
                ));
            }
            _ => return None,
        };
        Some(Self {
            times: placed([from.time, 1], [own.shape.time, 1], one_by_one()),
            frame: placed(frame_of(from), frame_of(own.shape), regions),
        })
    }

    fn along_time(from: Shape, to: Shape, regions: Regions) -> Self {
        Self {
            times: placed([from.time, 1], [to.time, 1], regions),
            frame: placed(frame_of(from), frame_of(to), one_by_one()),
        }
    }

    /// The times, rows and columns of the input under the window at `at`.
    pub(super) fn ranges(&self, at: Place) -> [Range<usize>; 3] {
        let [time, row, column, _] = at.numbers();
        [
            self.times.range(0, time),
            self.frame.range(0, row),
            self.frame.range(1, column),
        ]
    }

    /// The divisor of the mean at `at`.
    pub(super) fn divisor(&self, at: Place) -> usize {
        let [time, row, column, _] = at.numbers();
        let frame = self.frame.divisor(0, row) * self.frame.divisor(1, column);
        self.times.divisor(0, time) * frame
    }

    /// The places of a map of `to` whose windows read a place of the input.
    pub(super) fn readers(&self, read: Place, to: Shape) -> Vec<Place> {
        let along = |windows: &pool::Window, axis: usize, read: usize, outputs: usize| {
            let reads = |output: &usize| windows.range(axis, *output).contains(&read);
            (0..outputs).filter(reads).collect::<Vec<_>>()
        };
        let times = along(&self.times, 0, read.time, to.time);
        let rows = along(&self.frame, 0, read.row, to.height);
        let columns = along(&self.frame, 1, read.column, to.width);
        let mut readers = Vec::new();
        for &time in &times {
            for &row in &rows {
                let at = |column: &usize| Place::new(row, *column, read.channel).over(time);
                readers.extend(columns.iter().map(at));
            }
        }
        readers
    }
}

fn frame_of(shape: Shape) -> [usize; 2] {
    [shape.height, shape.width]
}

/// Windows over one channel of a map.
fn placed(from: [usize; 2], to: [usize; 2], regions: Regions) -> pool::Window {
    let channel = |[height, width]: [usize; 2]| [height, width, 1];
    pool::Window::new(1, channel(from), channel(to), regions)
        .expect("the layer's rule placed the windows")
}

fn sliding(window: &network::Window, count_padding: bool) -> Regions {
    Regions::Sliding {
        kernel: window.kernel,
        stride: window.stride,
        padding: window.padding,
        count_padding,
    }
}

/// Windows over times that are rows.
fn sliding_times(window: &TimeWindow, count_padding: bool) -> Regions {
    let [before, after] = window.padding;
    Regions::Sliding {
        kernel: [window.kernel, 1],
        stride: [window.stride, 1],
        padding: [before, 0, after, 0],
        count_padding,
    }
}

/// A window for each place.
fn one_by_one() -> Regions {
    Regions::Sliding {
        kernel: [1; 2],
        stride: [1; 2],
        padding: [0; 4],
        count_padding: false,
    }
}
