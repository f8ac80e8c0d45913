//! Pooling: reduces a window of each channel to its largest value or its mean.
use super::{
    Misfit, Padding, Resolved, Round,
    arguments::{ArgumentError, Arguments},
    sides,
    window::{AXES, Pair, Windows},
};
use crate::{
    Shape,
    network::{Operation, Window},
};
use hubel_kernels::pool::Index;
use std::fmt;

/// The kind of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest value; padding never wins.
    Max,
    /// The mean.
    Average {
        /// Whether the divisor counts padding (PyTorch's `count_include_pad`; true by default, as there).
        count_padding: bool,
    },
}

/// Settings of pooling with windows (`torch.nn.MaxPool2d`, `torch.nn.AvgPool2d`). Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pool {
    /// Maximum or mean.
    pub kind: PoolKind,
    /// Size of a window.
    pub kernel: [usize; 2],
    /// Stride; the window's size by default.
    pub stride: [usize; 2],
    /// Padding around the map; none by default.
    pub padding: Padding,
    /// What to do if the output size is not a whole number.
    pub round: Round,
}

impl PoolKind {
    /// The mean over windows; the divisor counts padding.
    pub(super) const AVERAGE: Self = Self::Average {
        count_padding: true,
    };

    /// The same with the setting `count_padding`, if it has one.
    pub(super) fn parse_count_padding(
        self,
        arguments: &mut Arguments,
    ) -> Result<Self, ArgumentError> {
        Ok(match self {
            Self::Max => self,
            Self::Average { count_padding } => Self::Average {
                count_padding: arguments.switch("count_padding")?.unwrap_or(count_padding),
            },
        })
    }
}

impl Pool {
    /// Max pooling of `kernel`×`kernel` windows side by side.
    pub fn max(kernel: usize) -> Self {
        Self::new(PoolKind::Max, [kernel; 2])
    }

    /// Average pooling of `kernel`×`kernel` windows side by side.
    pub fn average(kernel: usize) -> Self {
        Self::new(PoolKind::AVERAGE, [kernel; 2])
    }

    fn new(kind: PoolKind, kernel: [usize; 2]) -> Self {
        Self {
            kind,
            kernel,
            stride: kernel,
            padding: Padding::default(),
            round: Round::Exact,
        }
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

    /// The same with this rounding of the output size.
    pub fn round(self, round: Round) -> Self {
        Self { round, ..self }
    }

    pub(crate) fn parse(kind: PoolKind, arguments: &mut Arguments) -> Result<Self, ArgumentError> {
        let default = Self::new(kind, arguments.pair("kernel")?.unwrap_or([2; 2]));
        let stride = arguments.pair("stride")?.unwrap_or(default.stride);
        let padding = arguments.padding()?;
        Ok(Self {
            kind: kind.parse_count_padding(arguments)?,
            stride,
            padding,
            round: arguments.round()?,
            ..default
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
        let fit = self.windows().fit([input.height, input.width]);
        let fit = fit.map_err(|problem| problem.in_words(axes))?;
        let [top, left, bottom, right] = fit.padding;
        for (padding, kernel) in [
            (top.max(bottom), self.kernel[0]),
            (left.max(right), self.kernel[1]),
        ] {
            if padding >= kernel {
                return Err(format!(
                    "with padding {padding}, a window of {kernel} would contain only padding"
                ));
            }
        }
        let window = Window {
            kernel: self.kernel,
            stride: self.stride,
            padding: fit.padding,
        };
        let operation = match self.kind {
            PoolKind::Max => {
                let map = [input.height, input.width];
                check_places([0, 1].map(|axis| self.kernel[axis].min(map[axis])))?;
                Operation::MaxPool(window)
            }
            PoolKind::Average { count_padding } => Operation::AvgPool {
                window,
                count_padding,
            },
        };
        let [height, width] = fit.output;
        let shape = Shape::new(height, width, input.channels).over(input.time);
        Resolved::new(operation, shape, Vec::new())
    }

    pub(super) fn windows(&self) -> Windows {
        Windows {
            kernel: self.kernel,
            stride: self.stride,
            dilation: [1; 2],
            padding: self.padding,
            round: self.round,
        }
    }

    /// Similar settings that were tried on the input and fit.
    fn ways_out(&self, input: Shape) -> Vec<String> {
        let size = [input.height, input.width];
        let mut ways = self.windows().candidates(size);
        if self.windows().fit(size).is_ok() {
            let padding = Padding::default();
            ways.push((
                "padding=0".into(),
                Windows {
                    padding,
                    ..self.windows()
                },
            ));
        }
        let in_two_steps = self.in_two_steps(input);
        (ways.into_iter())
            .filter_map(|(mut text, w)| {
                let pool = Self {
                    kernel: w.kernel,
                    stride: w.stride,
                    padding: w.padding,
                    round: w.round,
                    ..*self
                };
                if w.kernel != self.kernel && w.stride == self.stride {
                    // A kernel alone would also change the default stride.
                    text += &format!(" with stride={}", Pair(w.stride));
                }
                let output = pool.rule(input, AXES).ok()?.shape;
                let dropped = pool.windows().dropped(size);
                Some(format!("{text} gives {}{dropped}", sides(output)))
            })
            .chain(in_two_steps)
            .collect()
    }

    /// An alternative to max pooling with windows that are too large: two max poolings with smaller windows, one after the other.
    fn in_two_steps(&self, input: Shape) -> Option<String> {
        let size = [input.height, input.width];
        let fits = self.windows().fit(size).is_ok() && self.padding == Padding::default();
        if self.kind != PoolKind::Max || !fits || check_places(self.kernel).is_ok() {
            return None;
        }
        (2..=LARGEST_SIDE).find_map(|kernel| {
            let divides = |pair: [usize; 2]| pair.iter().all(|side| side.is_multiple_of(kernel));
            if ![self.kernel, self.stride, size].into_iter().all(divides) {
                return None;
            }
            let first = Self::max(kernel);
            let second = Self {
                kernel: self.kernel.map(|side| side / kernel),
                stride: self.stride.map(|side| side / kernel),
                ..*self
            };
            second
                .rule(first.rule(input, AXES).ok()?.shape, AXES)
                .ok()?;
            Some(format!("{first}-{second} gives the same"))
        })
    }
}

/// Largest side of a square max pooling window.
const LARGEST_SIDE: usize = 1 << (Index::BITS / 2);

/// Rejects a max pooling window with more positions than the backward pass can distinguish.
fn check_places(window: [usize; 2]) -> Result<(), String> {
    let most = LARGEST_SIDE * LARGEST_SIDE;
    let places = window[0].saturating_mul(window[1]);
    if places > most {
        return Err(format!(
            "a maximum can be taken over at most {most} places at once, and windows of {}×{} have {places}",
            window[0], window[1]
        ));
    }
    Ok(())
}

/// The largest value of each channel of the whole map.
pub(super) fn resolve_global_max(input: Shape) -> Result<Resolved, Misfit> {
    if let Err(reason) = check_places([input.height, input.width]) {
        let way_out = (2..=LARGEST_SIDE).find_map(|kernel| {
            let divides = input.height.is_multiple_of(kernel) && input.width.is_multiple_of(kernel);
            let first = Pool {
                round: if divides { Round::Exact } else { Round::Ceil },
                ..Pool::max(kernel)
            };
            resolve_global_max(first.rule(input, AXES).ok()?.shape).ok()?;
            Some(format!("{first}-globalmaxpool gives the same"))
        });
        let ways_out = way_out.into_iter().collect();
        return Err(Misfit { reason, ways_out });
    }
    let shape = Shape::new(1, 1, input.channels).over(input.time);
    Ok(Resolved::new(Operation::GlobalMaxPool, shape, Vec::new())?)
}

/// The largest value in each of `size` regions.
pub(super) fn resolve_adaptive_max(size: [usize; 2], input: Shape) -> Result<Resolved, Misfit> {
    // If the size is not divisible, neighbouring regions share a pixel at their border.
    let side = |map: usize, count: usize| match map % count {
        0 => map / count,
        _ => (map / count + 2).min(map),
    };
    let check =
        |size: [usize; 2]| check_places([side(input.height, size[0]), side(input.width, size[1])]);
    if let Err(reason) = check(size) {
        let larger = (1..usize::BITS)
            .map_while(|power| {
                let factor = 1_usize.checked_shl(power)?;
                Some([size[0].checked_mul(factor)?, size[1].checked_mul(factor)?])
            })
            .find(|size| check(*size).is_ok());
        let ways_out = (larger.into_iter())
            .map(|size| {
                format!(
                    "size={} gives {}",
                    Pair(size),
                    sides(Shape::new(size[0], size[1], 1))
                )
            })
            .collect();
        return Err(Misfit { reason, ways_out });
    }
    let shape = Shape::new(size[0], size[1], input.channels).over(input.time);
    Ok(Resolved::new(
        Operation::AdaptiveMaxPool,
        shape,
        Vec::new(),
    )?)
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            PoolKind::Max => "maxpool",
            PoolKind::Average { .. } => "avgpool",
        };
        write!(f, "{name}({}", Pair(self.kernel))?;
        if self.stride != self.kernel {
            write!(f, ", stride={}", Pair(self.stride))?;
        }
        if self.padding != Padding::default() {
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

#[cfg(test)]
mod tests;
