//! Convolution: a filter slides over the map and is multiplied with the values under it.
use super::{
    Misfit, Padding, PaddingMode, Resolved, Round,
    arguments::{ArgumentError, Arguments},
    pad::{check_reach, parse_mode},
    sides, tensor_weight, tensor_zero,
    window::{AXES, Pair, Windows},
};
use crate::{
    Shape,
    network::{Convolution, Operation, Role},
};
use hubel_kernels::conv;
use std::fmt;

/// Settings of a convolution (`torch.nn.Conv2d`). Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// Output channels.
    pub filters: usize,
    /// Size of a filter; 3×3 by default.
    pub kernel: [usize; 2],
    /// Stride; 1 by default.
    pub stride: [usize; 2],
    /// Padding around the map; none by default.
    pub padding: Padding,
    /// Distance between neighbouring taps of a filter; 1 by default.
    pub dilation: [usize; 2],
    /// Number of separate groups of channels; 1 by default.
    pub groups: usize,
    /// Whether a bias is added; yes by default.
    pub bias: bool,
    /// The values in the padding; zeros by default.
    pub mode: PaddingMode,
    /// What to do if the output size is not a whole number.
    pub round: Round,
}

impl Conv {
    /// `filters` filters of 3×3, stride 1, no padding, with bias.
    pub fn new(filters: usize) -> Self {
        Self {
            filters,
            kernel: [3; 2],
            stride: [1; 2],
            padding: Padding::default(),
            dilation: [1; 2],
            groups: 1,
            bias: true,
            mode: PaddingMode::Zeros,
            round: Round::Exact,
        }
    }

    /// The same with square filters of this size.
    pub fn kernel(self, kernel: usize) -> Self {
        let kernel = [kernel; 2];
        Self { kernel, ..self }
    }

    /// The same with this stride on both axes.
    pub fn stride(self, stride: usize) -> Self {
        let stride = [stride; 2];
        Self { stride, ..self }
    }

    /// The same with this padding: a number, `[top, bottom, left, right]` or [`Padding::Same`].
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        let padding = padding.into();
        Self { padding, ..self }
    }

    /// The same with this dilation on both axes.
    pub fn dilation(self, dilation: usize) -> Self {
        let dilation = [dilation; 2];
        Self { dilation, ..self }
    }

    /// The same in this many groups.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// The same with or without bias.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// The same with this padding mode.
    pub fn mode(self, mode: PaddingMode) -> Self {
        Self { mode, ..self }
    }

    /// The same with this rounding of the output size.
    pub fn round(self, round: Round) -> Self {
        Self { round, ..self }
    }

    pub(crate) fn parse(arguments: &mut Arguments) -> Result<Self, ArgumentError> {
        let filters = (arguments.number("filters")?)
            .ok_or_else(|| ArgumentError::layer("`conv` needs the number of its filters"))?;
        let default = Self::new(filters);
        Ok(Self {
            filters,
            kernel: arguments.pair("kernel")?.unwrap_or(default.kernel),
            stride: arguments.pair("stride")?.unwrap_or(default.stride),
            padding: arguments.padding()?,
            dilation: arguments.pair("dilation")?.unwrap_or(default.dilation),
            groups: arguments.number("groups")?.unwrap_or(default.groups),
            bias: arguments.switch("bias")?.unwrap_or(default.bias),
            mode: parse_mode(arguments)?,
            round: arguments.round()?,
        })
    }

    /// The output for this input, T9: OH = (H + 2P − FH)/S + 1.
    pub(crate) fn resolve(&self, input: Shape) -> Result<Resolved, Misfit> {
        self.rule(input, AXES).map_err(|reason| Misfit {
            reason,
            ways_out: self.ways_out(input),
        })
    }

    /// The output for one frame; `axes` are the names of height and width in messages.
    pub(super) fn rule(&self, input: Shape, axes: [&str; 2]) -> Result<Resolved, String> {
        if self.filters == 0 {
            return Err("it needs at least 1 filter".into());
        }
        if self.groups == 0 {
            return Err("groups must be at least 1".into());
        }
        let uneven = [
            ("input channels", input.channels),
            ("filters", self.filters),
        ];
        for (what, count) in uneven {
            if !count.is_multiple_of(self.groups) {
                return Err(format!(
                    "{count} {what} do not divide into {} groups",
                    self.groups
                ));
            }
        }
        let size = [input.height, input.width];
        let fit = (self.windows().fit(size)).map_err(|problem| problem.in_words(axes))?;
        check_reach(self.mode, fit.padding, size)?;
        let [kernel_height, kernel_width] = self.kernel;
        let weights = vec![
            kernel_height,
            kernel_width,
            input.channels / self.groups,
            self.filters,
        ];
        let mut tensors = vec![tensor_weight(weights)?];
        if self.bias {
            tensors.push(tensor_zero("bias", Role::Bias, self.filters));
        }
        let operation = Operation::Conv(Convolution {
            filters: self.filters,
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            groups: self.groups,
            padding: fit.padding,
            mode: self.mode,
            bias: self.bias,
        });
        let [height, width] = fit.output;
        let shape = Shape::new(height, width, self.filters).over(input.time);
        Resolved::new(operation, shape, tensors)
    }

    pub(super) fn windows(&self) -> Windows {
        Windows {
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            padding: self.padding,
            round: self.round,
        }
    }

    /// Similar settings that were tried on the input and fit.
    fn ways_out(&self, input: Shape) -> Vec<String> {
        let size = [input.height, input.width];
        let windows = self.windows();
        let mut ways: Vec<(String, Self)> = (windows.candidates(size).into_iter())
            .map(|(text, w)| {
                let conv = Self {
                    kernel: w.kernel,
                    stride: w.stride,
                    dilation: w.dilation,
                    padding: w.padding,
                    round: w.round,
                    ..*self
                };
                (text, conv)
            })
            .collect();
        if self.filters == 0 {
            ways.push((
                "filters=1".into(),
                Self {
                    filters: 1,
                    ..*self
                },
            ));
        }
        let divides = |groups: &usize| {
            input.channels.is_multiple_of(*groups) && self.filters.is_multiple_of(*groups)
        };
        if !(self.groups > 0 && divides(&self.groups)) {
            let most = self.groups.min(input.channels).min(self.filters).max(1);
            if let Some(groups) = (1..=most).rev().find(divides) {
                ways.push((format!("groups={groups}"), Self { groups, ..*self }));
            }
            if let Some(filters) = self.filters.checked_next_multiple_of(self.groups.max(1)) {
                ways.push((format!("filters={filters}"), Self { filters, ..*self }));
            }
        }
        if matches!(self.mode, PaddingMode::Reflect | PaddingMode::Circular) {
            for (text, mode) in [
                ("mode=replicate", PaddingMode::Replicate),
                ("mode=zeros", PaddingMode::Zeros),
            ] {
                ways.push((text.into(), Self { mode, ..*self }));
            }
        }
        (ways.iter())
            .filter_map(|(text, conv)| {
                let output = conv.rule(input, AXES).ok()?.shape;
                let dropped = conv.windows().dropped(size);
                Some(format!("{text} gives {}{dropped}", sides(output)))
            })
            .collect()
    }
}

impl Convolution {
    /// The layer as the kernels compute it, for `batch` samples, each frame by itself. If the padding is not zeros, `input` is the padded map.
    pub(crate) fn for_kernels(&self, batch: usize, input: Shape, output: Shape) -> conv::Settings {
        let dimensions = |shape: Shape| [shape.height, shape.width, shape.channels];
        conv::Settings {
            batch: batch * input.time,
            input: dimensions(input),
            output: dimensions(output),
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            padding: match self.mode {
                PaddingMode::Zeros => [self.padding[0], self.padding[1]],
                _ => [0, 0],
            },
            groups: self.groups,
        }
    }
}

impl fmt::Display for Conv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Self::new(self.filters);
        write!(f, "conv({}", self.filters)?;
        for (name, pair, usual) in [
            ("kernel", self.kernel, default.kernel),
            ("stride", self.stride, default.stride),
            ("dilation", self.dilation, default.dilation),
        ] {
            if pair != usual {
                write!(f, ", {name}={}", Pair(pair))?;
            }
        }
        if self.padding != default.padding {
            write!(f, ", padding={}", self.padding)?;
        }
        if self.groups != default.groups {
            write!(f, ", groups={}", self.groups)?;
        }
        if !self.bias {
            f.write_str(", bias=false")?;
        }
        if self.mode != default.mode {
            write!(f, ", mode={}", self.mode)?;
        }
        if self.round != default.round {
            write!(f, ", round={}", self.round)?;
        }
        f.write_str(")")
    }
}
