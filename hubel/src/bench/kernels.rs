//! Times of single convolutions: every algorithm on the shapes that networks have, plain and with what plans fuse to them.
use std::fmt;
use std::time::Instant;

use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{
    self, Algorithm, Destination, Epilogue, ForwardOperands, Fused, Geometry, GradientEpilogue,
    InputGradientOperands, OutputGradient, Pass, Sums, WeightGradientOperands,
};
use hubel_kernels::pool::{Pooled, Winner};
use hubel_kernels::{Buffer, Cpu, Input, Normalised};
use serde::Serialize;

use super::{peak_gflops, random};
use crate::{Error, Result};

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
    fn fused(self, pass: Pass) -> Fused {
        let is_normalised = self == Self::Normalised;
        Fused {
            pooled: self == Self::Pooled,
            normalised: is_normalised,
            sums: is_normalised && pass != Pass::WeightGradient,
        }
    }
}

const ALONE: &[Fusion] = &[Fusion::None];
const POOL: &[Fusion] = &[Fusion::None, Fusion::Pooled];
const NORM: &[Fusion] = &[Fusion::None, Fusion::Normalised];

/// Kernel, stride, channels in and out, side, whether depthwise, batch, what is fused: the layers of the zoo where they are usually trained, the deep
/// ones for a single image too.
#[rustfmt::skip]
const SHAPES: &[(usize, usize, usize, usize, usize, bool, usize, &[Fusion])] = &[
    // mnist-cnn and its like
    (3, 1, 1, 20, 28, false, 128, ALONE), (3, 1, 1, 32, 28, false, 128, ALONE), (3, 1, 32, 32, 28, false, 128, POOL),
    (3, 1, 32, 64, 14, false, 128, ALONE), (3, 1, 64, 64, 14, false, 128, POOL),
    // tutorial
    (3, 1, 3, 32, 32, false, 128, ALONE), (3, 1, 32, 32, 32, false, 128, POOL), (3, 1, 32, 64, 16, false, 128, ALONE),
    (3, 1, 64, 64, 16, false, 128, POOL), (3, 1, 64, 128, 8, false, 128, ALONE), (3, 1, 128, 128, 8, false, 128, POOL),
    // vgg16
    (3, 1, 3, 64, 32, false, 64, ALONE), (3, 1, 64, 64, 32, false, 64, POOL), (3, 1, 128, 128, 16, false, 64, POOL),
    (3, 1, 256, 256, 8, false, 64, POOL), (3, 1, 256, 512, 4, false, 64, ALONE), (3, 1, 512, 512, 4, false, 64, POOL),
    (3, 1, 512, 512, 2, false, 64, ALONE), (3, 1, 512, 512, 4, false, 1, ALONE), (3, 1, 512, 512, 2, false, 1, ALONE),
    // resnet18 and resnet50
    (7, 2, 3, 64, 224, false, 16, NORM), (3, 1, 64, 64, 56, false, 16, NORM), (3, 1, 128, 128, 28, false, 16, NORM),
    (3, 1, 256, 256, 14, false, 16, NORM), (3, 1, 512, 512, 7, false, 16, NORM), (3, 1, 64, 64, 56, false, 1, ALONE),
    (3, 1, 128, 128, 28, false, 1, ALONE), (3, 1, 256, 256, 14, false, 1, ALONE), (3, 1, 512, 512, 7, false, 1, ALONE),
    (3, 2, 64, 128, 56, false, 16, NORM), (3, 2, 128, 256, 28, false, 16, NORM), (3, 2, 256, 512, 14, false, 16, NORM),
    (1, 2, 64, 128, 56, false, 16, NORM), (1, 1, 64, 256, 56, false, 16, NORM), (1, 1, 256, 64, 56, false, 16, NORM),
    (1, 1, 1024, 256, 14, false, 16, NORM), (1, 1, 512, 2048, 7, false, 1, ALONE),
    // lenet5
    (5, 1, 1, 6, 28, false, 64, POOL), (5, 1, 6, 16, 14, false, 64, POOL),
    // mobilenet-v2
    (3, 2, 3, 32, 224, false, 16, NORM), (1, 1, 16, 96, 112, false, 16, NORM), (1, 1, 96, 24, 56, false, 16, NORM),
    (1, 1, 320, 1280, 7, false, 16, NORM), (3, 1, 32, 32, 112, true, 16, NORM), (3, 2, 96, 96, 112, true, 16, NORM),
    (3, 1, 144, 144, 56, true, 16, NORM), (3, 2, 144, 144, 56, true, 16, NORM), (3, 1, 384, 384, 14, true, 16, NORM),
    (3, 1, 960, 960, 7, true, 16, NORM), (3, 1, 960, 960, 7, true, 1, ALONE),
];

impl ConvolutionShape {
    fn all() -> impl Iterator<Item = Self> {
        (SHAPES.iter()).map(
            |&(kernel, stride, inputs, outputs, side, depthwise, batch, fusions)| Self {
                kernel,
                stride,
                inputs,
                outputs,
                side,
                groups: if depthwise { inputs } else { 1 },
                batch,
                fusions,
            },
        )
    }

    fn geometry(&self) -> Geometry {
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

/// One row of the table of kernels.
#[derive(Clone, Debug, Serialize)]
pub struct KernelRow {
    /// The convolution.
    pub shape: ConvolutionShape,
    /// forward, input gradient or weight gradient
    pub pass: String,
    /// What was computed together with it.
    pub fusion: Fusion,
    /// How it was computed.
    pub algorithm: String,
    /// The time of the fastest run.
    pub milliseconds: f64,
    /// 2 · multiply-adds of a direct convolution with pixels of the image (not of the padding) / time. Winograd can exceed
    /// the peak.
    pub gflops: f64,
    /// Share of [`KernelTable::peak_gflops`].
    pub peak_share: f64,
    /// Whether a plan chooses this algorithm.
    pub chosen: bool,
}

/// The result of [`kernels`].
#[derive(Clone, Debug, Serialize)]
pub struct KernelTable {
    /// Multiply-adds in registers on all threads, in 10⁹ operations per second; the best of the measurements between the kernels.
    pub peak_gflops: f64,
    /// One row for each shape, pass, fusion and algorithm.
    pub rows: Vec<KernelRow>,
}

/// The plan's choice may be slower than the best by this factor. Smaller differences are noise.
const TOLERANCE: f64 = 1.10;

/// Number of turns per algorithm. They take turns, so that other work on the machine affects all of them.
const ROUNDS: usize = 3;

impl KernelTable {
    /// The rows of the plan's choices that are more than 10 % slower than another algorithm, each with the fastest one.
    pub fn slow_choices(&self) -> Vec<(&KernelRow, &KernelRow)> {
        let chosen = self.rows.iter().filter(|row| row.chosen);
        let slow = chosen.filter_map(|row| {
            let of = |row: &KernelRow| (row.shape, row.pass.clone(), row.fusion);
            let same = |other: &&KernelRow| of(other) == of(row);
            let best = (self.rows.iter().filter(same))
                .min_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds))?;
            (row.milliseconds > TOLERANCE * best.milliseconds).then_some((row, best))
        });
        slow.collect()
    }
}

/// Times every suitable algorithm on the shapes whose text contains `filter`, about `seconds` per row. Algorithms
/// take turns. If the plan's choice seems slow, they take the same number of turns again. `watch` gets each shape before it is measured.
///
/// # Errors
/// If no shape contains `filter`.
pub fn kernels(
    cpu: &Cpu,
    filter: &str,
    seconds: f64,
    watch: &mut dyn FnMut(&ConvolutionShape),
) -> Result<KernelTable> {
    let shapes: Vec<ConvolutionShape> = ConvolutionShape::all()
        .filter(|shape| shape.matches(filter))
        .collect();
    if shapes.is_empty() {
        let examples: Vec<String> = ConvolutionShape::all()
            .step_by(9)
            .map(|shape| format!("`{shape}`"))
            .collect();
        return Err(Error::Settings {
            problem: format!(
                "no shape of the table contains `{filter}`; give a part of one, such as of {}",
                examples.join(", ")
            ),
        });
    }
    let mut table = KernelTable {
        peak_gflops: 0.0,
        rows: Vec::new(),
    };
    for shape in shapes {
        watch(&shape);
        table.peak_gflops = table.peak_gflops.max(peak_gflops(cpu));
        let mut maps = Maps::new(&shape.geometry());
        for (pass, fusion) in Pass::ALL
            .into_iter()
            .flat_map(|pass| shape.fusions.iter().map(move |fusion| (pass, *fusion)))
        {
            let rows = measure(cpu, shape, pass, fusion, &mut maps, seconds);
            table.rows.extend(rows);
        }
    }
    for row in &mut table.rows {
        row.peak_share = row.gflops / table.peak_gflops;
    }
    Ok(table)
}

fn measure(
    cpu: &Cpu,
    shape: ConvolutionShape,
    pass: Pass,
    fusion: Fusion,
    maps: &mut Maps,
    seconds: f64,
) -> Vec<KernelRow> {
    let (geometry, fused) = (shape.geometry(), fusion.fused(pass));
    let mut candidates: Vec<Candidate> = Algorithm::ORDER
        .into_iter()
        .filter_map(|by| Candidate::new(cpu, geometry, pass, by, fused, &maps.weights))
        .collect();
    let choice = Algorithm::choose(cpu, &geometry, pass, fused, false);
    candidates
        .iter_mut()
        .for_each(|candidate| candidate.run(cpu, maps)); // warms caches, touches pages
    let mut take_turns = |candidates: &mut [Candidate]| {
        for _ in 0..ROUNDS {
            for candidate in &mut *candidates {
                candidate.take_turn(cpu, maps, seconds / ROUNDS as f64);
            }
        }
    };
    take_turns(&mut candidates);
    let fastest = candidates.iter().map(|candidate| candidate.fastest);
    let fastest = fastest.fold(f64::INFINITY, f64::min);
    let is_slow = |candidate: &Candidate| {
        candidate.algorithm == choice && candidate.fastest > TOLERANCE * fastest
    };
    if candidates.iter().any(is_slow) {
        take_turns(&mut candidates);
    }
    let rows = candidates.iter().map(|candidate| KernelRow {
        shape,
        pass: pass.to_string(),
        fusion,
        algorithm: candidate.algorithm.to_string(),
        milliseconds: 1e3 * candidate.fastest,
        gflops: 2e-9 * geometry.multiply_adds_inside() as f64 / candidate.fastest,
        peak_share: 0.0,
        chosen: candidate.algorithm == choice,
    });
    rows.collect()
}

/// What the three passes read and write. Each pass writes one of the three and reads the others, so that values stay finite.
struct Maps {
    input: Buffer,
    output: Buffer,
    weights: Buffer,
    /// Of the pooled output.
    winners: Vec<Winner>,
    /// A map as large as the input, that the input gradient's mask reads.
    y: Buffer,
    /// A value for each channel of the input: factors, summands, origins of sums.
    of_inputs: Buffer,
    /// The same of the output.
    of_outputs: Buffer,
}

impl Maps {
    fn new(geometry: &Geometry) -> Self {
        let filled = |length: usize| {
            let mut buffer = Buffer::zeros(length);
            random(&mut buffer);
            buffer
        };
        Self {
            input: filled(geometry.input_len()),
            output: filled(geometry.output_len()),
            weights: filled(geometry.weights()),
            winners: (0..geometry.pooled_len())
                .map(|i| (i % 4) as Winner)
                .collect(),
            y: filled(geometry.input_len()),
            of_inputs: filled(geometry.input[2]),
            of_outputs: filled(geometry.output[2]),
        }
    }
}

/// One algorithm for one pass of a convolution.
struct Candidate {
    algorithm: Algorithm,
    computation: Computation,
    geometry: Geometry,
    fused: Fused,
    packed: Buffer,
    scratch: Buffer,
    sums: Buffer,
    /// Seconds of the fastest run in its turns.
    fastest: f64,
}

enum Computation {
    Forward(conv::Forward),
    InputGradient(conv::InputGradient),
    WeightGradient(conv::WeightGradient),
}

impl Candidate {
    /// None where the algorithm cannot compute this.
    fn new(
        cpu: &Cpu,
        geometry: Geometry,
        pass: Pass,
        algorithm: Algorithm,
        fused: Fused,
        weights: &[f32],
    ) -> Option<Self> {
        let (computation, packed, scratch, parts, channels) = match pass {
            Pass::Forward => {
                let forward = conv::Forward::new(cpu, geometry, algorithm, fused)?;
                let mut packed = Buffer::zeros(forward.packed_len());
                forward.pack(cpu, weights, &mut packed);
                let (scratch, parts) = (forward.scratch_len(), forward.sums_parts());
                let computation = Computation::Forward(forward);
                (computation, packed, scratch, parts, geometry.output[2])
            }
            Pass::InputGradient => {
                let gradient = conv::InputGradient::new(cpu, geometry, algorithm, fused)?;
                let packed = Buffer::zeros(gradient.packed_len());
                let (scratch, parts) = (gradient.scratch_len(), gradient.sums_parts());
                let computation = Computation::InputGradient(gradient);
                (computation, packed, scratch, parts, geometry.input[2])
            }
            Pass::WeightGradient => {
                let gradient = conv::WeightGradient::new(cpu, geometry, algorithm, fused)?;
                let scratch = gradient.scratch_len();
                let computation = Computation::WeightGradient(gradient);
                (computation, Buffer::zeros(0), scratch, 0, 0)
            }
        };
        let parts = if fused.sums { parts } else { 0 };
        Some(Self {
            algorithm,
            computation,
            geometry,
            fused,
            packed,
            scratch: Buffer::zeros(scratch),
            sums: Buffer::zeros(2 * parts * channels),
            fastest: f64::INFINITY,
        })
    }

    /// Runs for `seconds`, at least once.
    fn take_turn(&mut self, cpu: &Cpu, maps: &mut Maps, seconds: f64) {
        let turn = Instant::now();
        loop {
            let start = Instant::now();
            self.run(cpu, maps);
            self.fastest = self.fastest.min(start.elapsed().as_secs_f64());
            if turn.elapsed().as_secs_f64() >= seconds {
                return;
            }
        }
    }

    fn run(&mut self, cpu: &Cpu, maps: &mut Maps) {
        let Maps {
            input,
            output,
            weights,
            winners,
            y,
            of_inputs,
            of_outputs,
        } = maps;
        let (geometry, fused) = (&self.geometry, self.fused);
        // Training changes the weights at every step, so packing them for the gradient belongs to the step.
        if let Computation::InputGradient(gradient) = &self.computation {
            gradient.pack(cpu, weights, &mut self.packed);
        }
        // Some kernels read the weights unpacked.
        let packed = match &self.packed {
            none if none.is_empty() => &*weights,
            packed => packed,
        };
        let normalised = fused.normalised.then_some(Normalised {
            factor: of_inputs,
            summand: of_inputs,
            activation: Activation::Relu,
        });
        let (pooled_len, scratch) = (geometry.pooled_len(), &mut self.scratch[..]);
        match &self.computation {
            Computation::Forward(forward) => {
                let sums = Sums::new(of_outputs, &mut self.sums);
                let operands = ForwardOperands {
                    input: Input {
                        map: input,
                        normalised,
                    },
                    packed,
                    epilogue: Epilogue {
                        sums: fused.sums.then_some(&sums),
                        ..Epilogue::default()
                    },
                    output: match fused.pooled {
                        false => Destination::Map(output),
                        true => Destination::Pooled {
                            values: &mut output[..pooled_len],
                            winners: Some(winners),
                        },
                    },
                    scratch,
                };
                forward.run(cpu, operands);
            }
            Computation::InputGradient(gradient) => {
                let sums = Sums::new(of_inputs, &mut self.sums);
                let y = Input { map: y, normalised };
                let operands = InputGradientOperands {
                    output_gradient: output_gradient(fused, output, winners, pooled_len),
                    packed,
                    epilogue: GradientEpilogue {
                        mask: fused.sums.then_some((y, Activation::Relu)),
                        sums: fused.sums.then_some(&sums),
                        ..GradientEpilogue::default()
                    },
                    input_gradient: input,
                    scratch,
                };
                gradient.run(cpu, operands);
            }
            Computation::WeightGradient(gradient) => {
                let operands = WeightGradientOperands {
                    input: Input {
                        map: input,
                        normalised,
                    },
                    output_gradient: output_gradient(fused, output, winners, pooled_len),
                    weight_gradient: weights,
                    bias_gradient: None,
                    scratch,
                };
                gradient.run(cpu, operands);
            }
        }
    }
}

/// The gradient that a pass reads.
fn output_gradient<'a>(
    fused: Fused,
    output: &'a [f32],
    winners: &'a [Winner],
    pooled_len: usize,
) -> OutputGradient<'a> {
    match fused.pooled {
        false => OutputGradient::Map(output),
        true => OutputGradient::Pooled(Pooled {
            gradient: &output[..pooled_len],
            winners,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pass: &str, algorithm: &str, milliseconds: f64, chosen: bool) -> KernelRow {
        KernelRow {
            shape: ConvolutionShape::all().next().expect("there are shapes"),
            pass: pass.into(),
            fusion: Fusion::None,
            algorithm: algorithm.into(),
            milliseconds,
            gflops: 1.0,
            peak_share: 1.0,
            chosen,
        }
    }

    #[test]
    fn a_choice_is_slow_only_beside_the_same_pass_and_by_more_than_a_tenth() {
        let table = KernelTable {
            peak_gflops: 1.0,
            rows: vec![
                row("forward", "winograd", 1.09, true),
                row("forward", "direct", 1.0, false),
                row("input gradient", "winograd", 1.2, false),
                row("input gradient", "direct", 0.9, true),
                row("weight gradient", "winograd", 2.0, true),
                row("weight gradient", "direct", 1.5, false),
            ],
        };
        let slow = table.slow_choices();
        assert_eq!(slow.len(), 1);
        assert_eq!(slow[0].0.pass, "weight gradient");
        assert_eq!(slow[0].1.algorithm, "direct");
    }

    #[test]
    fn shapes_are_found_by_text_that_a_keyboard_has() {
        let found = |filter: &str| {
            ConvolutionShape::all()
                .filter(|s| s.matches(filter))
                .count()
        };
        assert_eq!(found(""), SHAPES.len());
        assert_eq!(found("3×3/2 64→128 @56²"), 1);
        assert_eq!(found("3x3/2 64->128 @56"), 1);
        assert!(found("Depthwise") > 3);
        let nothing = kernels(&Cpu::best(1), "9x9", 0.0, &mut |_| {});
        let message = nothing.expect_err("no such shape").to_string();
        assert!(
            message.contains("`9x9`") && message.contains("; give "),
            "{message}"
        );
    }

    #[test]
    fn every_shape_is_there_once() {
        let shapes: Vec<ConvolutionShape> = ConvolutionShape::all().collect();
        for (i, shape) in shapes.iter().enumerate() {
            assert!(!shapes[..i].contains(shape), "{shape}");
        }
    }
}
