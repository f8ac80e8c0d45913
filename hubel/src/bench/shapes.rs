//! The convolutions that `hubel bench kernels` times.
use std::fmt;

use hubel_kernels::conv::{self, Fused, Geometry, Pass};
use serde::Serialize;

/// A convolution with square maps and kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConvolutionShape {
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride on both axes.
    pub stride: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Height and width of the input.
    pub side: usize,
    /// Number of separate groups of channels.
    pub groups: usize,
    /// Number of images.
    pub batch: usize,
    #[serde(skip)]
    fusions: &'static [Fusion],
}

/// What a plan fuses to a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fusion {
    /// Nothing.
    None,
    /// Max pooling by 2×2 windows; the gradients read that of the pooled map.
    Pooled,
    /// In training between batch normalisations: the input is normalised on load, sums are taken of what is stored.
    Normalised,
}

impl fmt::Display for Fusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "",
            Self::Pooled => "pooled",
            Self::Normalised => "normalised",
        })
    }
}

impl Fusion {
    pub(super) fn fused(self, pass: Pass) -> Fused {
        let is_normalised = self == Self::Normalised;
        Fused {
            pooled: self == Self::Pooled,
            normalised: is_normalised,
            sums: is_normalised && pass != Pass::WeightGradient,
        }
    }
}

/// A convolution of square maps with nothing fused.
const fn conv(
    kernel: usize,
    stride: usize,
    inputs: usize,
    outputs: usize,
    side: usize,
    batch: usize,
) -> ConvolutionShape {
    ConvolutionShape {
        kernel,
        stride,
        inputs,
        outputs,
        side,
        groups: 1,
        batch,
        fusions: &[Fusion::None],
    }
}

/// The same of one filter for each channel.
const fn depthwise(
    kernel: usize,
    stride: usize,
    channels: usize,
    side: usize,
    batch: usize,
) -> ConvolutionShape {
    ConvolutionShape {
        groups: channels,
        ..conv(kernel, stride, channels, channels, side, batch)
    }
}

/// The layers of the zoo at their usual sizes, the deep ones also for a single image, with what a plan fuses to them.
#[rustfmt::skip]
const SHAPES: &[ConvolutionShape] = &[
    // mnist-cnn and its like
    conv(3, 1, 1, 20, 28, 128), conv(3, 1, 1, 32, 28, 128), conv(3, 1, 32, 32, 28, 128).pooled(),
    conv(3, 1, 32, 64, 14, 128), conv(3, 1, 64, 64, 14, 128).pooled(),
    // tutorial
    conv(3, 1, 3, 32, 32, 128), conv(3, 1, 32, 32, 32, 128).pooled(), conv(3, 1, 32, 64, 16, 128),
    conv(3, 1, 64, 64, 16, 128).pooled(), conv(3, 1, 64, 128, 8, 128), conv(3, 1, 128, 128, 8, 128).pooled(),
    // vgg16
    conv(3, 1, 3, 64, 32, 64), conv(3, 1, 64, 64, 32, 64).pooled(), conv(3, 1, 128, 128, 16, 64).pooled(),
    conv(3, 1, 256, 256, 8, 64).pooled(), conv(3, 1, 256, 512, 4, 64), conv(3, 1, 512, 512, 4, 64).pooled(),
    conv(3, 1, 512, 512, 2, 64), conv(3, 1, 512, 512, 4, 1), conv(3, 1, 512, 512, 2, 1),
    // resnet18 and resnet50
    conv(7, 2, 3, 64, 224, 16).normalised(), conv(3, 1, 64, 64, 56, 16).normalised(), conv(3, 1, 128, 128, 28, 16).normalised(),
    conv(3, 1, 256, 256, 14, 16).normalised(), conv(3, 1, 512, 512, 7, 16).normalised(), conv(3, 1, 64, 64, 56, 1),
    conv(3, 1, 128, 128, 28, 1), conv(3, 1, 256, 256, 14, 1), conv(3, 1, 512, 512, 7, 1),
    conv(3, 2, 64, 128, 56, 16).normalised(), conv(3, 2, 128, 256, 28, 16).normalised(), conv(3, 2, 256, 512, 14, 16).normalised(),
    conv(1, 2, 64, 128, 56, 16).normalised(), conv(1, 1, 64, 256, 56, 16).normalised(), conv(1, 1, 256, 64, 56, 16).normalised(),
    conv(1, 1, 1024, 256, 14, 16).normalised(), conv(1, 1, 512, 2048, 7, 1),
    // lenet5
    conv(5, 1, 1, 6, 28, 64).pooled(), conv(5, 1, 6, 16, 14, 64).pooled(),
    // mobilenet-v2
    conv(3, 2, 3, 32, 224, 16).normalised(), conv(1, 1, 16, 96, 112, 16).normalised(), conv(1, 1, 96, 24, 56, 16).normalised(),
    conv(1, 1, 320, 1280, 7, 16).normalised(), depthwise(3, 1, 32, 112, 16).normalised(), depthwise(3, 2, 96, 112, 16).normalised(),
    depthwise(3, 1, 144, 56, 16).normalised(), depthwise(3, 2, 144, 56, 16).normalised(), depthwise(3, 1, 384, 14, 16).normalised(),
    depthwise(3, 1, 960, 7, 16).normalised(), depthwise(3, 1, 960, 7, 1),
];

impl ConvolutionShape {
    /// Also pooled.
    const fn pooled(self) -> Self {
        Self {
            fusions: &[Fusion::None, Fusion::Pooled],
            ..self
        }
    }

    /// Also between two batch normalisations.
    const fn normalised(self) -> Self {
        Self {
            fusions: &[Fusion::None, Fusion::Normalised],
            ..self
        }
    }

    /// The shapes whose text contains `filter`.
    pub(super) fn matching(filter: &str) -> impl Iterator<Item = Self> {
        let shapes = SHAPES.iter().copied();
        shapes.filter(move |shape| shape.matches(filter))
    }

    pub(super) fn fusions(&self) -> &'static [Fusion] {
        self.fusions
    }

    pub(super) fn geometry(&self) -> Geometry {
        let side = self.side.div_ceil(self.stride);
        let settings = conv::Settings {
            batch: self.batch,
            input: [self.side, self.side, self.inputs],
            output: [side, side, self.outputs],
            kernel: [self.kernel; 2],
            stride: [self.stride; 2],
            dilation: [1; 2],
            padding: [self.kernel / 2; 2],
            groups: self.groups,
        };
        Geometry::new(settings).expect("a convolution of a network")
    }

    /// Whether its text contains `filter`, where `x` and `->` may stand for × and →, and `²` may be missing.
    fn matches(&self, filter: &str) -> bool {
        let plain = |text: &str| {
            let text = text.to_lowercase();
            text.replace('×', "x").replace('→', "->").replace('²', "")
        };
        plain(&self.to_string()).contains(&plain(filter))
    }
}

impl fmt::Display for ConvolutionShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stride = match self.stride {
            1 => String::new(),
            stride => format!("/{stride}"),
        };
        let channels = match self.groups {
            1 => format!("{}→{}", self.inputs, self.outputs),
            _ => format!("depthwise {}", self.inputs),
        };
        let text = format!(
            "{0}×{0}{stride} {channels} @{1}² b{2}",
            self.kernel, self.side, self.batch
        );
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_found_by_text_that_a_keyboard_has() {
        let found = |filter: &str| ConvolutionShape::matching(filter).count();
        assert_eq!(found(""), SHAPES.len());
        assert_eq!(found("3×3/2 64→128 @56²"), 1);
        assert_eq!(found("3x3/2 64->128 @56"), 1);
        assert!(found("Depthwise") > 3);
    }

    #[test]
    fn every_shape_is_there_once() {
        for (i, shape) in SHAPES.iter().enumerate() {
            assert!(!SHAPES[..i].contains(shape), "{shape}");
        }
    }
}
