//! Layers along time: convolution and pooling over the frames of a clip or the tokens of a text. They compute each place of the frame by itself.
use super::{
    Conv, Misfit, Padding, Pool, PoolKind, Resolved, Round,
    arguments::{ArgumentError, Arguments, Value},
    window::{Windows, plural},
};
use crate::{
    Shape,
    network::{Operation, TimeConvolution, TimeWindow},
};
use hubel_kernels::{conv, pool};
use std::fmt;

/// The names of the axes in messages. A layer along time is resolved on a map of `time` rows and one column.
const AXES: [&str; 2] = ["time", "width"];

/// Settings of a convolution along time: `torch.nn.Conv1d` for a text, `torch.nn.Conv3d` with a kernel of `(k, 1, 1)` for a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeConv {
    /// Output channels.
    pub filters: usize,
    /// Times that a filter reads; 3 by default.
    pub kernel: usize,
    /// Stride; 1 by default.
    pub stride: usize,
    /// Zeros before and after; none by default.
    pub padding: TimePadding,
    /// Distance between neighbouring taps of a filter; 1 by default.
    pub dilation: usize,
    /// Number of separate groups of channels; 1 by default.
    pub groups: usize,
    /// Whether a bias is added; yes by default.
    pub bias: bool,
    /// What to do if the output length is not a whole number.
    pub round: Round,
}

/// Settings of pooling along time with windows (`torch.nn.MaxPool1d`, `torch.nn.AvgPool1d`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimePool {
    /// Maximum or mean.
    pub kind: PoolKind,
    /// Times in a window.
    pub kernel: usize,
    /// Stride; the window's length by default.
    pub stride: usize,
    /// Padding before and after; none by default.
    pub padding: TimePadding,
    /// What to do if the output length is not a whole number.
    pub round: Round,
}

/// What is added before and after the times of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimePadding {
    /// Times before the first, and after the last.
    Ends([usize; 2]),
    /// Padding that makes the output length ⌈input/stride⌉. If it is odd, the end gets one more.
    Same,
}

impl Default for TimePadding {
    fn default() -> Self {
        Self::Ends([0; 2])
    }
}

impl From<TimePadding> for Padding {
    fn from(padding: TimePadding) -> Self {
        match padding {
            TimePadding::Same => Self::Same,
            TimePadding::Ends([before, after]) => Self::Sides([before, after, 0, 0]),
        }
    }
}

impl From<Padding> for TimePadding {
    fn from(padding: Padding) -> Self {
        match padding {
            Padding::Same => Self::Same,
            Padding::Sides([before, after, _, _]) => Self::Ends([before, after]),
        }
    }
}

impl TimeConv {
    /// `filters` filters that read 3 times, stride 1, no padding, with bias.
    pub fn new(filters: usize) -> Self {
        Self {
            filters,
            kernel: 3,
            stride: 1,
            padding: TimePadding::default(),
            dilation: 1,
            groups: 1,
            bias: true,
            round: Round::Exact,
        }
    }

    /// The same with filters that read this many times.
    pub fn kernel(self, kernel: usize) -> Self {
        Self { kernel, ..self }
    }

    /// The same with padding that keeps the length.
    pub fn same(self) -> Self {
        let padding = TimePadding::Same;
        Self { padding, ..self }
    }

    pub(crate) fn parse(arguments: &mut Arguments) -> Result<Self, ArgumentError> {
        let filters = (arguments.number("filters")?)
            .ok_or_else(|| ArgumentError::layer("`timeconv` needs the number of its filters"))?;
        let default = Self::new(filters);
        Ok(Self {
            filters,
            kernel: arguments.number("kernel")?.unwrap_or(default.kernel),
            stride: arguments.number("stride")?.unwrap_or(default.stride),
            padding: padding(arguments)?,
            dilation: arguments.number("dilation")?.unwrap_or(default.dilation),
            groups: arguments.number("groups")?.unwrap_or(default.groups),
            bias: arguments.switch("bias")?.unwrap_or(default.bias),
            round: arguments.round()?,
        })
    }

    /// The convolution of a map with a row for each time and one column.
    fn of_rows(&self) -> Conv {
        Conv {
            filters: self.filters,
            kernel: [self.kernel, 1],
            stride: [self.stride, 1],
            padding: self.padding.into(),
            dilation: [self.dilation, 1],
            groups: self.groups,
            bias: self.bias,
            round: self.round,
            ..Conv::new(self.filters)
        }
    }

    /// The output for this input: T' = (T + P − D·(F − 1) − 1)/S + 1.
    pub(crate) fn resolve(&self, input: Shape) -> Result<Resolved, Misfit> {
        let column = column(input);
        let rule = |conv: Self| conv.of_rows().rule(column, AXES);
        let resolved = rule(*self).map_err(|reason| {
            let changed = |windows: &Windows| Self {
                kernel: windows.kernel[0],
                stride: windows.stride[0],
                dilation: windows.dilation[0],
                padding: windows.padding.into(),
                round: windows.round,
                ..*self
            };
            let windows = self.of_rows().windows();
            let ways = candidates(&windows, column.height, |candidate| {
                Some(rule(changed(candidate)).ok()?.shape.height)
            });
            Misfit {
                reason,
                ways_out: ways,
            }
        })?;
        let Operation::Conv(settings) = resolved.operation else {
            unreachable!("the rule of a convolution gives a convolution");
        };
        let [before, _, after, _] = settings.padding;
        let mut tensors = resolved.tensors;
        tensors[0].shape.remove(1); // The kernel's width of 1.
        let operation = Operation::TimeConv(TimeConvolution {
            filters: self.filters,
            window: TimeWindow {
                kernel: self.kernel,
                stride: self.stride,
                dilation: self.dilation,
                padding: [before, after],
            },
            groups: self.groups,
            bias: self.bias,
        });
        let shape = Shape {
            channels: self.filters,
            ..input.over(resolved.shape.height)
        };
        Ok(Resolved::new(operation, shape, tensors)?)
    }
}

impl TimePool {
    /// Pooling of windows of `kernel` times side by side.
    pub fn new(kind: PoolKind, kernel: usize) -> Self {
        Self {
            kind,
            kernel,
            stride: kernel,
            padding: TimePadding::default(),
            round: Round::Exact,
        }
    }

    pub(crate) fn parse(kind: PoolKind, arguments: &mut Arguments) -> Result<Self, ArgumentError> {
        let default = Self::new(kind, arguments.number("kernel")?.unwrap_or(2));
        let stride = arguments.number("stride")?.unwrap_or(default.stride);
        let padding = padding(arguments)?;
        Ok(Self {
            kind: kind.parse_count_padding(arguments)?,
            stride,
            padding,
            round: arguments.round()?,
            ..default
        })
    }

    /// The pooling of a map with a row for each time and one column.
    fn of_rows(&self) -> Pool {
        Pool {
            kind: self.kind,
            kernel: [self.kernel, 1],
            stride: [self.stride, 1],
            padding: self.padding.into(),
            round: self.round,
        }
    }

    /// The output for this input: T' = (T + P − F)/S + 1.
    pub(crate) fn resolve(&self, input: Shape) -> Result<Resolved, Misfit> {
        let column = column(input);
        let rule = |pool: Self| pool.of_rows().rule(column, AXES);
        let resolved = rule(*self).map_err(|reason| {
            let changed = |windows: &Windows| Self {
                kernel: windows.kernel[0],
                stride: windows.stride[0],
                padding: windows.padding.into(),
                round: windows.round,
                ..*self
            };
            let windows = self.of_rows().windows();
            let ways = candidates(&windows, column.height, |candidate| {
                Some(rule(changed(candidate)).ok()?.shape.height)
            });
            Misfit {
                reason,
                ways_out: ways,
            }
        })?;
        let (window, operation): (_, fn(TimeWindow) -> Operation) = match resolved.operation {
            Operation::MaxPool(window) => (window, Operation::TimeMaxPool),
            Operation::AvgPool {
                window,
                count_padding: true,
            } => (window, |window| Operation::TimeAvgPool {
                window,
                count_padding: true,
            }),
            Operation::AvgPool { window, .. } => (window, |window| Operation::TimeAvgPool {
                window,
                count_padding: false,
            }),
            _ => unreachable!("the rule of a pooling gives a pooling"),
        };
        let [before, _, after, _] = window.padding;
        let window = TimeWindow {
            kernel: self.kernel,
            stride: self.stride,
            dilation: 1,
            padding: [before, after],
        };
        let shape = input.over(resolved.shape.height);
        Ok(Resolved::new(operation(window), shape, Vec::new())?)
    }
}

/// A map with a row for each time, and one column.
fn column(input: Shape) -> Shape {
    Shape::new(input.time, 1, input.channels)
}

/// Similar settings that fit an input of `time` times; `output` gives the length of the output with them.
fn candidates(
    windows: &Windows,
    time: usize,
    output: impl Fn(&Windows) -> Option<usize>,
) -> Vec<String> {
    let candidates = windows.candidates([time, 1]).into_iter();
    candidates
        .filter_map(|(_, candidate)| {
            let text = changed(windows, &candidate)?;
            let dropped = match candidate.dropped_rows(time) {
                0 => String::new(),
                times => format!(" and drops the last {}", plural(times, "time")),
            };
            Some(format!("{text} gives {}{dropped}", output(&candidate)?))
        })
        .collect()
}

/// The setting of the first axis that `candidate` changes: `kernel=4`.
fn changed(windows: &Windows, candidate: &Windows) -> Option<String> {
    let numbers = [
        ("kernel", windows.kernel[0], candidate.kernel[0]),
        ("stride", windows.stride[0], candidate.stride[0]),
        ("dilation", windows.dilation[0], candidate.dilation[0]),
    ];
    if let Some((name, _, number)) = numbers.into_iter().find(|(_, old, new)| old != new) {
        return Some(format!("{name}={number}"));
    }
    if windows.round != candidate.round {
        return Some(format!("round={}", candidate.round));
    }
    let padding = TimePadding::from(candidate.padding);
    (TimePadding::from(windows.padding) != padding).then(|| format!("padding={padding}"))
}

/// `same`, `valid`, a number, or `(before, after)`.
fn padding(arguments: &mut Arguments) -> Result<TimePadding, ArgumentError> {
    let expected = "a number, (before, after), same or valid";
    let padding = arguments.parse("padding", expected, |value| match value {
        Value::Word(word) if word == "same" => Some(TimePadding::Same),
        Value::Word(word) if word == "valid" => Some(TimePadding::default()),
        Value::Word(_) => value.number().map(|both| TimePadding::Ends([both; 2])),
        Value::Tuple(values) => match values.as_slice() {
            [before, after] => Some(TimePadding::Ends([before.number()?, after.number()?])),
            _ => None,
        },
        Value::Call(..) => None,
    })?;
    Ok(padding.unwrap_or_default())
}

/// A map as the kernels see it along time: `[y, x, c]`, of which `axis` is time. A frame of one pixel lies in a single row, which the kernels compute fastest.
fn along(shape: Shape) -> ([usize; 3], usize) {
    match [shape.height, shape.width] {
        [1, 1] => ([1, shape.time, shape.channels], 1),
        [height, width] => ([shape.time, height * width, shape.channels], 0),
    }
}

/// A pair with `value` on the axis of time, and `other` on the other axis.
fn pair(axis: usize, value: usize, other: usize) -> [usize; 2] {
    let mut pair = [other; 2];
    pair[axis] = value;
    pair
}

impl TimeConvolution {
    /// The layer as the kernels compute it, for `batch` samples: a convolution whose kernel has an extent along time alone.
    pub(crate) fn for_kernels(&self, batch: usize, input: Shape, output: Shape) -> conv::Settings {
        let (input, axis) = along(input);
        let window = &self.window;
        conv::Settings {
            batch,
            input,
            output: along(output).0,
            kernel: pair(axis, window.kernel, 1),
            stride: pair(axis, window.stride, 1),
            dilation: pair(axis, window.dilation, 1),
            padding: pair(axis, window.padding[0], 0),
            groups: self.groups,
        }
    }
}

impl TimeWindow {
    /// The pooling as the kernels compute it, for `batch` samples.
    pub(crate) fn for_kernels(
        &self,
        batch: usize,
        input: Shape,
        output: Shape,
        count_padding: bool,
    ) -> Option<pool::Window> {
        let (input, axis) = along(input);
        let [before, after] = self.padding.map(|padding| pair(axis, padding, 0));
        let regions = pool::Regions::Sliding {
            kernel: pair(axis, self.kernel, 1),
            stride: pair(axis, self.stride, 1),
            padding: [before[0], before[1], after[0], after[1]],
            count_padding,
        };
        pool::Window::new(batch, input, along(output).0, regions)
    }

    /// The length of the output for `time` times, at least 1: for a text, the windows that lie within its tokens.
    pub(crate) fn count(&self, time: usize) -> usize {
        let reach = (self.kernel - 1) * self.dilation + 1;
        let padded = time + self.padding[0] + self.padding[1];
        padded.saturating_sub(reach) / self.stride + 1
    }

    /// How many times of a map lie within a text, at least 1, if `windows` are the windows along time between its tokens and the map. Token 0 is padding.
    pub(crate) fn count_within(windows: &[Self], tokens: &[f32]) -> usize {
        let padding = tokens.iter().rev().take_while(|token| **token == 0.0);
        let length = (tokens.len() - padding.count()).max(1);
        windows
            .iter()
            .fold(length, |time, window| window.count(time))
    }
}

impl fmt::Display for TimePadding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("same"),
            Self::Ends([before, after]) if before == after => write!(f, "{before}"),
            Self::Ends([before, after]) => write!(f, "({before},{after})"),
        }
    }
}

impl fmt::Display for TimeConv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Self::new(self.filters);
        write!(f, "timeconv({}", self.filters)?;
        for (name, number, usual) in [
            ("kernel", self.kernel, default.kernel),
            ("stride", self.stride, default.stride),
            ("dilation", self.dilation, default.dilation),
            ("groups", self.groups, default.groups),
        ] {
            if number != usual {
                write!(f, ", {name}={number}")?;
            }
        }
        if self.padding != default.padding {
            write!(f, ", padding={}", self.padding)?;
        }
        if !self.bias {
            f.write_str(", bias=false")?;
        }
        if self.round != default.round {
            write!(f, ", round={}", self.round)?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for TimePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            PoolKind::Max => "timemaxpool",
            PoolKind::Average { .. } => "timeavgpool",
        };
        write!(f, "{name}({}", self.kernel)?;
        if self.stride != self.kernel {
            write!(f, ", stride={}", self.stride)?;
        }
        if self.padding != TimePadding::default() {
            write!(f, ", padding={}", self.padding)?;
        }
        if let PoolKind::Average {
            count_padding: false,
        } = self.kind
        {
            f.write_str(", count_padding=false")?;
        }
        if self.round != Round::Exact {
            write!(f, ", round={}", self.round)?;
        }
        f.write_str(")")
    }
}
