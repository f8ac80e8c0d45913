//! The windows of a convolution or pooling along one axis, one by one.
use serde::Serialize;

use super::window::{Padding, Round, WindowProblem, Windows};
use crate::{Error, Result};

/// Windows along one axis of a map. All lengths are in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisWindows {
    /// Length of the map.
    pub input: usize,
    /// Number of taps of the kernel.
    pub kernel: usize,
    /// Distance between neighbouring windows.
    pub stride: usize,
    /// Padding at each end.
    pub padding: usize,
    /// Distance between neighbouring taps.
    pub dilation: usize,
}

/// Where the windows lie, for each way of rounding. Places count from the start of the padded map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WindowPlaces {
    /// Length of the padded map.
    pub padded: usize,
    /// Distance from the first pixel under a kernel to behind its last one: dilation·(kernel − 1) + 1.
    pub reach: usize,
    /// The places of the kernel's taps, from its start.
    pub taps: Vec<usize>,
    /// The size formula with its values: `(14 + 2·0 − 5)/2 + 1 = 5.5`.
    pub formula: String,
    /// With `round=floor`.
    pub floor: Rounded,
    /// With `round=ceil`.
    pub ceil: Rounded,
    /// Why `round=exact` refuses; `None` if the size is a whole number.
    pub refusal: Option<Refusal>,
}

/// The windows for one way of rounding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rounded {
    /// Number of windows: the length of the output.
    pub output: usize,
    /// The start of each window.
    pub starts: Vec<usize>,
    /// Pixels of the map, without its padding, behind the last window.
    pub dropped: usize,
    /// Pixels of the padded map behind the last window.
    pub unread: usize,
    /// How far the last window reaches beyond the padded map.
    pub overhang: usize,
}

/// Why windows are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The reason, with the values.
    pub reason: String,
    /// Changes that help; each was tried.
    pub ways_out: Vec<String>,
}

impl AxisWindows {
    /// Longest map and kernel whose windows are listed one by one.
    pub const LONGEST: usize = 4096;

    /// Where the windows lie.
    ///
    /// # Errors
    /// [`Error::Settings`] if the kernel is larger than the padded map, for a map, kernel, stride or dilation of 0, and for lengths
    /// above [`LONGEST`](Self::LONGEST).
    pub fn places(&self) -> Result<WindowPlaces> {
        let Self {
            input,
            kernel,
            stride,
            padding,
            dilation,
        } = *self;
        let lengths = [input, kernel, stride, padding, dilation];
        if input == 0 || lengths.iter().any(|length| *length > Self::LONGEST) {
            let problem = format!(
                "the input has at least 1 pixel, and no length is above {}",
                Self::LONGEST
            );
            return Err(Error::Settings { problem });
        }
        let windows = Windows {
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [dilation; 2],
            padding: Padding::from(padding),
            round: Round::Exact,
        };
        let refusal = match windows.fit([input; 2]) {
            Ok(_) => None,
            Err(WindowProblem::NotWhole(axes)) => Some(Refusal {
                reason: WindowProblem::NotWhole(axes[..1].to_vec()).in_words(["size"; 2]),
                ways_out: windows.ways_out(input),
            }),
            Err(problem) => {
                let mut problem = problem.in_words(["size"; 2]);
                let ways = windows.ways_out(input);
                if !ways.is_empty() {
                    problem += &format!("\nways out: {}", ways.join("; "));
                }
                return Err(Error::Settings { problem });
            }
        };
        let axis = windows.axis([input; 2], 0);
        let axis = axis.expect("`fit` has checked its sums");
        let rounded = |round: Round| {
            let output = axis.count(round);
            let end = (output - 1) * stride + axis.reach();
            Rounded {
                output,
                starts: (0..output).map(|window| window * stride).collect(),
                dropped: axis.dropped(output),
                unread: axis.padded().saturating_sub(end),
                overhang: end.saturating_sub(axis.padded()),
            }
        };
        Ok(WindowPlaces {
            padded: axis.padded(),
            reach: axis.reach(),
            taps: (0..kernel).map(|tap| tap * dilation).collect(),
            formula: axis.formula(),
            floor: rounded(Round::Floor),
            ceil: rounded(Round::Ceil),
            refusal,
        })
    }
}

impl Windows {
    /// Similar settings that fit an input of this height and width, each with the size that it gives.
    fn ways_out(&self, input: usize) -> Vec<String> {
        let candidates = self.candidates([input; 2]).into_iter();
        let fitting = candidates.filter_map(|(text, windows)| {
            let [output, _] = windows.fit([input; 2]).ok()?.output;
            Some(format!("{text} gives {output}"))
        });
        fitting.collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Network, Shape};

    proptest! {
        /// The windows are those of the network's layer, lie one stride apart, and with what is left over fill the padded map.
        #[test]
        fn the_places_are_those_of_the_layer(
            input in 1..40usize,
            kernel in 1..9usize,
            stride in 1..6usize,
            padding in 0..5usize,
            dilation in 1..4usize,
        ) {
            let windows = AxisWindows { input, kernel, stride, padding, dilation };
            let layer = |round: &str| {
                let text = format!(
                    "conv(1, kernel={kernel}, stride={stride}, padding={padding}, dilation={dilation}, round={round})"
                );
                let summary = Network::parse(&text)?.summary(Shape::new(input, input, 1), 2);
                summary.map(|summary| summary.layers[0].clone())
            };
            let Ok(places) = windows.places() else {
                prop_assert!(layer("floor").is_err());
                return Ok(());
            };
            prop_assert_eq!(layer("exact").is_ok(), places.refusal.is_none());
            for (round, rounded) in [("floor", &places.floor), ("ceil", &places.ceil)] {
                let layer = layer(round).expect("it fits");
                prop_assert_eq!(layer.output.height, rounded.output);
                prop_assert_eq!(layer.dropped[0], rounded.dropped);
                prop_assert!(rounded.starts.windows(2).all(|pair| pair[1] - pair[0] == stride));
                let end = rounded.starts[rounded.output - 1] + places.reach;
                prop_assert_eq!(end + rounded.unread, places.padded + rounded.overhang);
            }
        }
    }

    #[test]
    fn a_size_that_is_not_whole_is_refused_with_ways_out() {
        let windows = AxisWindows {
            input: 14,
            kernel: 5,
            stride: 2,
            padding: 0,
            dilation: 1,
        };
        let places = windows.places().expect("it fits with rounding");
        assert_eq!(places.formula, "(14 + 2·0 − 5)/2 + 1 = 5.5");
        let refusal = places.refusal.expect("5.5 is no size");
        assert!(refusal.reason.contains("not a whole number"));
        assert!(refusal.ways_out.contains(&"kernel=4 gives 6".to_owned()));
        let too_large = AxisWindows {
            kernel: 20,
            ..windows
        };
        let problem = too_large.places().unwrap_err().to_string();
        assert!(
            problem.contains("larger than the padded input's 14"),
            "{problem}"
        );
        assert!(
            AxisWindows {
                stride: 0,
                ..windows
            }
            .places()
            .is_err()
        );
    }
}
