//! The arithmetic of sliding windows: how many fit, and the error if they do not.
use std::fmt;

/// Zeros (or another [`PaddingMode`](super::PaddingMode)) around a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Rows and columns: `[top, bottom, left, right]`, the order of the architecture text.
    Sides([usize; 4]),
    /// Padding that makes the output size ⌈input/stride⌉. If it is odd, bottom and right get one more.
    Same,
}

/// No padding, also called `valid`.
impl Default for Padding {
    fn default() -> Self {
        Self::Sides([0; 4])
    }
}

impl From<usize> for Padding {
    fn from(all: usize) -> Self {
        Self::Sides([all; 4])
    }
}

impl From<[usize; 4]> for Padding {
    fn from(sides: [usize; 4]) -> Self {
        Self::Sides(sides)
    }
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("same"),
            Self::Sides([top, bottom, left, right]) => {
                if [top; 3] == [bottom, left, right] {
                    write!(f, "{top}")
                } else {
                    write!(f, "({top},{bottom},{left},{right})")
                }
            }
        }
    }
}

/// What to do if the output size is not a whole number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Round {
    /// Return an error that suggests settings.
    #[default]
    Exact,
    /// Drop the last rows and columns, as PyTorch does.
    Floor,
    /// Let the last window reach beyond the edge.
    Ceil,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
        })
    }
}

/// The settings that convolution and pooling share. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Windows {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) padding: Padding,
    pub(crate) round: Round,
}

/// The windows on one input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fit {
    /// Number of windows vertically and horizontally.
    pub(crate) output: [usize; 2],
    /// `[top, left, bottom, right]`.
    pub(crate) padding: [usize; 4],
}

/// Why windows do not fit, with the values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WindowProblem {
    /// A kernel, stride or dilation of 0.
    Zero(&'static str),
    /// One of the sums overflows.
    Overflow(&'static str),
    /// The kernel is larger than the padded input: axis, extent of the kernel, padded input.
    TooLarge(usize, usize, usize),
    /// The output size is not a whole number on these axes.
    NotWhole(Vec<Axis>),
}

/// One axis of the windows, with the padding as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) index: usize,
    pub(crate) input: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
}

/// The names of the axes.
pub(super) const AXES: [&str; 2] = ["height", "width"];

impl Windows {
    /// Applies the windows to an input of `[height, width]`.
    pub(crate) fn fit(&self, input: [usize; 2]) -> Result<Fit, WindowProblem> {
        let axes = [self.axis(input, 0)?, self.axis(input, 1)?];
        for axis in &axes {
            if axis.reach() > axis.padded() {
                return Err(WindowProblem::TooLarge(
                    axis.index,
                    axis.reach(),
                    axis.padded(),
                ));
            }
        }
        let uneven: Vec<Axis> = (axes.iter().filter(|axis| axis.rest() != 0))
            .copied()
            .collect();
        if self.round == Round::Exact && !uneven.is_empty() {
            return Err(WindowProblem::NotWhole(uneven));
        }
        let [vertical, horizontal] = axes;
        Ok(Fit {
            output: axes.map(|axis| axis.count(self.round)),
            padding: [
                vertical.before,
                horizontal.before,
                vertical.after,
                horizontal.after,
            ],
        })
    }

    /// One axis with its padding as numbers. Checks every sum of [`Axis`] for overflow.
    pub(super) fn axis(&self, input: [usize; 2], index: usize) -> Result<Axis, WindowProblem> {
        let (input, kernel) = (input[index], self.kernel[index]);
        let (stride, dilation) = (self.stride[index], self.dilation[index]);
        for (value, name) in [
            (kernel, "kernel"),
            (stride, "stride"),
            (dilation, "dilation"),
        ] {
            if value == 0 {
                return Err(WindowProblem::Zero(name));
            }
        }
        let reach = (kernel - 1)
            .checked_mul(dilation)
            .and_then(|reach| reach.checked_add(1))
            .ok_or(WindowProblem::Overflow("reach of the kernel"))?;
        let (before, after) = match self.padding {
            Padding::Sides(sides) => (sides[2 * index], sides[2 * index + 1]),
            Padding::Same => {
                let steps = input.div_ceil(stride).saturating_sub(1);
                // steps·stride < input, so only the sum with the reach can overflow.
                let total = (steps * stride)
                    .checked_add(reach)
                    .ok_or(WindowProblem::Overflow("padding"))?
                    .saturating_sub(input);
                (total / 2, total - total / 2)
            }
        };
        before
            .checked_add(after)
            .and_then(|sum| sum.checked_add(input))
            .and_then(|sum| sum.checked_add(stride))
            .ok_or(WindowProblem::Overflow("padded input"))?;
        Ok(Axis {
            index,
            input,
            before,
            after,
            kernel,
            stride,
            dilation,
        })
    }
}

impl Axis {
    /// Extent of the kernel in pixels: D·(F − 1) + 1.
    pub(crate) fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// The input with its padding.
    pub(crate) fn padded(&self) -> usize {
        self.before + self.input + self.after
    }

    /// Rows or columns left over at the end; 0 if the output size is a whole number. Needs reach ≤ padded.
    pub(crate) fn rest(&self) -> usize {
        (self.padded() - self.reach()) % self.stride
    }

    /// Rows or columns of the input, without padding, after the last of `output` windows.
    pub(crate) fn dropped(&self, output: usize) -> usize {
        let read = (output - 1) * self.stride + self.reach();
        (self.padded().saturating_sub(read)).saturating_sub(self.after)
    }

    /// Number of windows that fit.
    pub(super) fn count(&self, round: Round) -> usize {
        let span = self.padded() - self.reach();
        let floor = span / self.stride + 1;
        // A window that would begin beyond the input and its leading padding is dropped, as in PyTorch.
        let begins_inside = floor * self.stride < self.input + self.before;
        match round {
            Round::Ceil if self.rest() != 0 && begins_inside => floor + 1,
            _ => floor,
        }
    }

    /// T9's formula with the values of this axis: `(14 + 2·0 − 5)/2 + 1 = 5.5`.
    pub(crate) fn formula(&self) -> String {
        let padding = if self.before == self.after {
            format!("2·{}", self.before)
        } else {
            format!("{} + {}", self.before, self.after)
        };
        let kernel = if self.dilation == 1 {
            self.kernel.to_string()
        } else {
            format!("({}·({} − 1) + 1)", self.dilation, self.kernel)
        };
        let span = self.padded() - self.reach();
        let value = span as f64 / self.stride as f64 + 1.0;
        let hundredths = format!("{value:.2}");
        let value = hundredths.trim_end_matches('0').trim_end_matches('.');
        format!(
            "({} + {padding} − {kernel})/{} + 1 = {value}",
            self.input, self.stride
        )
    }
}

impl WindowProblem {
    /// The problem in words, with these names of the axes.
    pub(crate) fn in_words(&self, names: [&str; 2]) -> String {
        match self {
            Self::Zero(name) => format!("{name} must be at least 1"),
            Self::Overflow(what) => format!("{what} is too large a number"),
            Self::TooLarge(axis, reach, padded) => format!(
                "kernel {} {reach} is larger than the padded input's {padded}",
                names[*axis]
            ),
            Self::NotWhole(axes) => {
                let lines = axes.iter().map(|axis| {
                    let (name, formula) = (names[axis.index], axis.formula());
                    format!("output {name} = {formula}, which is not a whole number")
                });
                lines.collect::<Vec<_>>().join("\n  ")
            }
        }
    }
}

impl fmt::Display for WindowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_words(AXES))
    }
}

impl Windows {
    /// Similar settings that may fit `input`, as (text, settings). The caller tries each and suggests those that work.
    pub(crate) fn candidates(&self, input: [usize; 2]) -> Vec<(String, Windows)> {
        let mut ways = Vec::new();
        match self.fit(input) {
            Ok(_) | Err(WindowProblem::Overflow(_)) => {}
            Err(WindowProblem::Zero(name)) => {
                let mut fixed = *self;
                for pair in [&mut fixed.kernel, &mut fixed.stride, &mut fixed.dilation] {
                    *pair = pair.map(|value| value.max(1));
                }
                let pair = match name {
                    "kernel" => fixed.kernel,
                    "stride" => fixed.stride,
                    _ => fixed.dilation,
                };
                ways.push((format!("{name}={}", Pair(pair)), fixed));
            }
            Err(WindowProblem::TooLarge(..)) => {
                ways.extend(self.larger_padding(input));
                ways.extend(self.kernels(input));
            }
            Err(WindowProblem::NotWhole(axes)) => {
                ways.extend(self.even_padding(&axes));
                ways.extend(self.kernels(input));
                let round = Round::Floor;
                ways.push(("round=floor".into(), Windows { round, ..*self }));
            }
        }
        ways
    }

    /// The least additional padding at the end of each axis that does not fit.
    fn even_padding(&self, axes: &[Axis]) -> Option<(String, Windows)> {
        let Padding::Sides(mut sides) = self.padding else {
            return None;
        };
        for axis in axes {
            sides[2 * axis.index + 1] += axis.stride - axis.rest();
        }
        let padding = Padding::Sides(sides);
        Some((format!("padding={padding}"), Windows { padding, ..*self }))
    }

    /// The least equal padding on all sides with which the kernel fits and the output size is a whole number.
    fn larger_padding(&self, input: [usize; 2]) -> Option<(String, Windows)> {
        let reach = [0, 1].map(|i| (self.kernel[i] - 1) * self.dilation[i] + 1);
        let least = (0..2).map(|i| reach[i].saturating_sub(input[i]).div_ceil(2));
        let least = least.max().unwrap_or(0);
        (least..least.saturating_add(8))
            .map(|all| Windows {
                padding: all.into(),
                ..*self
            })
            .find(|windows| windows.fit(input).is_ok())
            .map(|windows| (format!("padding={}", windows.padding), windows))
    }

    /// The nearest kernel that fits; the kernel stays square if it is square.
    fn kernels(&self, input: [usize; 2]) -> Option<(String, Windows)> {
        let largest = self.kernel[0].max(self.kernel[1]);
        let excess = largest.saturating_sub(input[0].min(input[1]));
        // A smaller kernel is tried before a larger one at the same distance. 64 is far enough.
        let near = (1..=largest.min(64))
            .flat_map(|distance| [-(distance as isize), distance as isize])
            // A kernel of 1 neither mixes nor pools, so nobody means that.
            .filter(|change| largest.saturating_add_signed(*change) > 1)
            .chain([-(excess.min(isize::MAX as usize) as isize)]);
        near.map(|change| Windows {
            kernel: self.kernel.map(|k| k.saturating_add_signed(change).max(1)),
            ..*self
        })
        .find(|windows| windows.kernel != self.kernel && windows.fit(input).is_ok())
        .map(|windows| (format!("kernel={}", Pair(windows.kernel)), windows))
    }
}

/// Two numbers, written as one if they are equal.
pub(crate) struct Pair(pub(crate) [usize; 2]);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.0;
        if height == width {
            write!(f, "{height}")
        } else {
            write!(f, "({height},{width})")
        }
    }
}

impl Windows {
    /// The text for what rounding down drops, such as ` and drops the last row and column`; empty if it drops nothing.
    pub(crate) fn dropped(&self, input: [usize; 2]) -> String {
        in_words(self.dropped_on(input, 0), self.dropped_on(input, 1))
    }

    /// Rows of an input of `height` rows and one column that rounding down drops.
    pub(crate) fn dropped_rows(&self, height: usize) -> usize {
        self.dropped_on([height, 1], 0)
    }

    fn dropped_on(&self, input: [usize; 2], index: usize) -> usize {
        match self.axis(input, index) {
            Ok(axis) if axis.reach() <= axis.padded() => axis.dropped(axis.count(self.round)),
            _ => 0,
        }
    }
}

/// ` and drops the last row and column`, or several of them.
fn in_words(rows: usize, columns: usize) -> String {
    match (rows, columns) {
        (0, 0) => String::new(),
        (1, 1) => " and drops the last row and column".into(),
        (rows, columns) if rows == columns => {
            format!(" and drops the last {rows} rows and columns")
        }
        (rows, 0) => format!(" and drops the last {}", plural(rows, "row")),
        (0, columns) => format!(" and drops the last {}", plural(columns, "column")),
        (rows, columns) => {
            let (rows, columns) = (plural(rows, "row"), plural(columns, "column"));
            format!(" and drops the last {rows} and {columns}")
        }
    }
}

pub(crate) fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => noun.into(),
        _ => format!("{count} {noun}s"),
    }
}
