//! Which loop computes a pass: the only place that knows all of them.
//!
//! [`Algorithm::choose`] takes the first loop in the order of [`Algorithm::ORDER`] that can compute the pass and is likely the fastest.
//! `hubel bench kernels --assert` times all loops that can and checks the choice.
use std::fmt;

use crate::Cpu;

use super::correlation::{Channels, Correlation};
use super::direct::gather::Gather;
use super::direct::gather::indirect::{Cycles, Indirect};
use super::direct::spread::Spread;
use super::direct::spread_weight_gradient::SpreadWeightGradient;
use super::direct::weight_gradient::DirectWeightGradient;
use super::loops::{Fused, MapLoop, Pass, WeightLoop};
use super::{Geometry, depthwise, windows, winograd};

/// A loop that computes a pass of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// F(4×4, 3×3): a quarter of the multiplications, for stride 1 and 3×3 kernels without dilation and groups.
    Winograd,
    /// One filter for each channel; the lanes are channels.
    Depthwise,
    /// Direct convolution of few channels with its max pooling. Forward, the lanes are pooling windows; the gradients skip the zeros of the
    /// pooled gradient.
    Windows,
    /// Direct convolution with few output channels; one vector holds several taps of the kernel.
    Spread,
    /// Direct convolution of small maps; a table tells which pixels each output pixel reads.
    Indirect,
    /// Direct convolution: reads the image in place, one multiply-add for each product; the lanes are output channels.
    Direct,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Winograd => "winograd",
            Self::Depthwise => "depthwise",
            Self::Windows => "windows",
            Self::Spread => "spread",
            Self::Indirect => "indirect",
            Self::Direct => "direct",
        })
    }
}

impl Algorithm {
    /// All algorithms, in the order in which they are asked.
    pub const ORDER: [Self; 6] = [
        Self::Winograd,
        Self::Depthwise,
        Self::Windows,
        Self::Spread,
        Self::Indirect,
        Self::Direct,
    ];

    /// The algorithm that is likely the fastest for this pass. `precise` excludes Winograd: every product of the direct convolution is then
    /// computed. The choice affects the bits, so it depends on the instruction set and never on the number of threads.
    ///
    /// The algorithm may be unable to fuse all that is asked for. The constructors of the passes return None then.
    pub fn choose(cpu: &Cpu, geometry: &Geometry, pass: Pass, fused: Fused, precise: bool) -> Self {
        // Winograd and depthwise convolutions are chosen before anything is fused.
        let part = pooled_part(geometry, fused);
        let is_fastest = |algorithm: &Self| match algorithm {
            Self::Winograd => !precise && winograd_is_faster(geometry, pass),
            // With one filter a channel, the vectors of every other loop are nearly empty.
            Self::Depthwise => true,
            Self::Windows => windows_is_faster(cpu, &part, pass),
            Self::Spread => spread_is_faster(cpu, &part, pass),
            Self::Indirect => indirect_is_faster(cpu, &part, pass),
            Self::Direct => true,
        };
        let mut order = Self::ORDER.into_iter();
        order
            .find(|algorithm| {
                algorithm.supports(cpu, geometry, pass, fused) && is_fastest(algorithm)
            })
            .expect("the direct algorithm computes everything")
    }

    /// Whether this algorithm can compute this pass of `geometry`. [`Windows`](Self::Windows) can only together with the pooling.
    pub fn supports(self, cpu: &Cpu, geometry: &Geometry, pass: Pass, fused: Fused) -> bool {
        let geometry = &pooled_part(geometry, fused);
        match (self, pass) {
            (Self::Winograd, _) => winograd::supports(geometry),
            (Self::Depthwise, _) => depthwise::supports(geometry),
            (Self::Windows, _) if !fused.pooled => false,
            (Self::Windows, Pass::Forward) => windows::WindowsForward::supports(cpu, geometry),
            (Self::Windows, Pass::InputGradient) => {
                windows::WindowsInputGradient::supports(cpu, geometry)
            }
            (Self::Windows, Pass::WeightGradient) => {
                windows::WindowsWeightGradient::supports(cpu, geometry)
            }
            (Self::Spread, Pass::WeightGradient) => SpreadWeightGradient::supports(cpu, geometry),
            (Self::Spread, _) => Spread::supports(cpu, &Correlation::new(*geometry, pass)),
            (Self::Indirect, Pass::WeightGradient) => false,
            (Self::Indirect, _) => Indirect::supports(&Correlation::new(*geometry, pass)),
            (Self::Direct, _) => true,
        }
    }

    /// The algorithms that can compute this pass with all fusions.
    pub fn candidates(cpu: &Cpu, geometry: &Geometry, pass: Pass, fused: Fused) -> Vec<Self> {
        let can = |algorithm: &Self| match pass {
            Pass::WeightGradient => algorithm.weight_loop(cpu, *geometry, fused).is_some(),
            _ => algorithm.map_loop(cpu, *geometry, pass, fused).is_some(),
        };
        Self::ORDER.into_iter().filter(can).collect()
    }

    /// The part of the convolution that a loop computes. None where it cannot, or where the output is pooled and has no window.
    fn supported_part(
        self,
        cpu: &Cpu,
        geometry: &Geometry,
        pass: Pass,
        fused: Fused,
    ) -> Option<Geometry> {
        let has_windows = geometry.pooled().is_some() || !fused.pooled;
        let is_computed = has_windows && self.supports(cpu, geometry, pass, fused);
        is_computed.then(|| pooled_part(geometry, fused))
    }

    /// The loop of a forward pass or input gradient. None where the algorithm cannot compute the pass with all that is to be fused.
    pub(super) fn map_loop(
        self,
        cpu: &Cpu,
        geometry: Geometry,
        pass: Pass,
        fused: Fused,
    ) -> Option<Box<dyn MapLoop>> {
        let geometry = self.supported_part(cpu, &geometry, pass, fused)?;
        let correlation = Correlation::new(geometry, pass);
        Some(match self {
            Self::Winograd => Box::new(winograd::Winograd::new(cpu, &correlation)),
            Self::Depthwise if fused.pooled => return None,
            Self::Depthwise => Box::new(depthwise::Depthwise::new(&correlation)),
            Self::Windows if fused.normalised || fused.sums => return None,
            Self::Windows if pass == Pass::Forward => {
                Box::new(windows::WindowsForward::new(cpu, geometry))
            }
            Self::Windows => Box::new(windows::WindowsInputGradient::new(cpu, geometry)),
            Self::Spread if fused.normalised || fused.sums => return None,
            Self::Spread => Box::new(Spread::new(cpu, correlation, fused)?),
            Self::Indirect | Self::Direct => {
                let by_table = self == Self::Indirect;
                Box::new(Gather::new(cpu, correlation, by_table).fusing(cpu, fused)?)
            }
        })
    }

    /// The loop of a weight gradient. None where the algorithm cannot compute the pass with all that is to be fused.
    pub(super) fn weight_loop(
        self,
        cpu: &Cpu,
        geometry: Geometry,
        fused: Fused,
    ) -> Option<Box<dyn WeightLoop>> {
        let geometry = self.supported_part(cpu, &geometry, Pass::WeightGradient, fused)?;
        Some(match self {
            Self::Winograd => Box::new(winograd::WinogradWeightGradient::new(cpu, geometry)),
            Self::Depthwise if fused.pooled => return None,
            Self::Depthwise => Box::new(depthwise::DepthwiseWeightGradient::new(geometry)),
            Self::Windows if fused.normalised => return None,
            Self::Windows => Box::new(windows::WindowsWeightGradient::new(cpu, geometry)),
            Self::Spread if fused.normalised => return None,
            Self::Spread => Box::new(SpreadWeightGradient::new(cpu, geometry)),
            Self::Indirect => return None,
            Self::Direct => Box::new(DirectWeightGradient::new(geometry).fusing(cpu, fused)?),
        })
    }
}

/// The part of a convolution that is computed: if it is pooled, only the rows and columns that the pooling reads.
fn pooled_part(geometry: &Geometry, fused: Fused) -> Geometry {
    let pooled = || geometry.pooled().unwrap_or(*geometry);
    if fused.pooled { pooled() } else { *geometry }
}

/// Whether Winograd is likely faster than the direct algorithm: it has fewer products, and transforms besides. Costs are in units of a
/// multiply-add. The cost of a transformed value was fitted to times on Zen 4 and on a Xeon of 2024.
fn winograd_is_faster(geometry: &Geometry, pass: Pass) -> bool {
    /// Cost of reading a weight, which dominates where there are few pixels. Weights come from memory: between two runs of a network, those
    /// of all its layers do not stay in the caches.
    const FETCH: usize = 12;
    /// Cost of finishing and storing a sum.
    const FINISH: usize = 4;
    /// Channels are counted in whole vectors of the widest instruction set.
    const WIDTH: usize = 16;
    use winograd::{PLANES, TILE};
    // Cost of transforming both maps, for each tile, and the weights. A forward pass is costed as in inference, where the weights are
    // transformed once.
    let (of_maps, of_weights) = match pass {
        Pass::Forward => (10, FETCH),
        Pass::InputGradient => (8, FETCH + 12),
        Pass::WeightGradient => (23, FETCH + 5),
    };
    let [inputs, outputs] = [geometry.input[2], geometry.output[2]];
    let padded = |channels: usize| channels.next_multiple_of(WIDTH);
    let (terms, padded_channels, map) = match pass {
        Pass::InputGradient => (outputs, padded(inputs), geometry.input),
        Pass::Forward | Pass::WeightGradient => (inputs, padded(outputs), geometry.output),
    };
    let tiles = geometry.batch * map[0].div_ceil(TILE) * map[1].div_ceil(TILE);
    let products = terms * padded_channels + of_maps * (padded(inputs) + padded(outputs));
    let winograd = PLANES * (tiles * products + of_weights * inputs * outputs);
    // The direct algorithm skips taps outside the input.
    let inside = |axis: usize| -> usize {
        let tap = |tap: usize| geometry.outputs_of_tap(axis, tap).len();
        (0..3).map(tap).sum()
    };
    // With few channels, its lanes hold the neighbouring taps of a row.
    let padded_channels = match pass {
        Pass::InputGradient if 3 * inputs <= WIDTH => WIDTH / 3,
        _ => padded_channels,
    };
    let products = geometry.batch * inside(0) * inside(1) * terms * padded_channels;
    let ends = FINISH * geometry.batch * map[0] * map[1] * padded_channels;
    winograd < products + ends + FETCH * geometry.weights_len()
}

/// Whether a pooled convolution is likely fastest window by window.
fn windows_is_faster(cpu: &Cpu, geometry: &Geometry, pass: Pass) -> bool {
    /// Terms of a sum at least: with fewer, copying the input and the pooled values takes as long as the sums.
    const LEAST_TERMS: usize = 9;
    let [taps_y, taps_x] = geometry.kernel;
    let [inputs, filters] = [geometry.input[2], geometry.output[2]];
    let lanes = cpu.lanes();
    match pass {
        // Windows must fill vectors better than filters do.
        Pass::Forward => {
            let width = geometry.output[1] / 2;
            let sums_of_filters = 4 * width * filters.div_ceil(lanes);
            let sums = windows::WindowsForward::sums_of_row(cpu, geometry);
            let is_fuller = sums.is_some_and(|sums| 10 * sums <= 9 * sums_of_filters);
            taps_y * taps_x * inputs >= LEAST_TERMS && is_fuller
        }
        // A multiply-add costs more here than where many pixels share their weights: 18 of them took half as long as 40 of those
        // (`hubel bench train lenet5 --steps --threads 1`).
        Pass::InputGradient => {
            let expanded = 4 * taps_y * (taps_x * inputs).div_ceil(lanes);
            let sums = windows::WindowsInputGradient::sums(cpu, geometry);
            3 * sums.rows * sums.vectors <= 2 * expanded
        }
        // A vector that does not begin on a cache line costs two loads, so that half empty vectors gain nothing. 5 taps of one channel in 16
        // lanes took as long as with an expanded gradient, 5 taps of six channels in 32 lanes half as long
        // (`hubel bench train lenet5 --steps --threads 1`).
        Pass::WeightGradient => {
            let row = taps_x * inputs;
            8 * row >= 5 * row.next_multiple_of(lanes)
        }
    }
}

/// Whether it is likely fastest to spread source pixels over target pixels.
fn spread_is_faster(cpu: &Cpu, geometry: &Geometry, pass: Pass) -> bool {
    /// Vector multiply-adds that must be saved for each pixel: adding the parts takes as long.
    const WORTHWHILE: usize = 12;
    let taps = geometry.kernel[1];
    let vectors = |channels: usize| (taps * channels).div_ceil(cpu.lanes());
    match pass {
        Pass::WeightGradient => 2 * vectors(geometry.output[2]) <= taps,
        Pass::Forward | Pass::InputGradient => {
            let Channels { source, target } = Correlation::new(*geometry, pass).channels();
            taps.saturating_sub(vectors(target)) * geometry.kernel[0] * source >= WORTHWHILE
        }
    }
}

/// Whether a table of source pixels is likely faster than classes of pixels that read the same taps. Where most pixels lie at the border,
/// classes fill tiles badly, and multiplying some zeros costs less.
fn indirect_is_faster(cpu: &Cpu, geometry: &Geometry, pass: Pass) -> bool {
    // Pixels of a tile of two vectors in `gather.rs`: 12 with 32 registers, 6 with 16.
    let tile = cpu.registers() * 3 / 8;
    let cycles = Cycles::new(&Correlation::new(*geometry, pass), tile);
    5 * cycles.by_table < 4 * cycles.by_classes
}
