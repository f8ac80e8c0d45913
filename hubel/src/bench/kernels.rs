//! Times of single convolutions: every algorithm on the shapes of common networks.
use std::fmt;
use std::time::Instant;

use hubel_kernels::conv::{self, Algorithm, Epilogue, Geometry, GradientEpilogue, Pass};
use hubel_kernels::{Buffer, Cpu};
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
}

/// Kernel, stride, input and output channels, side, whether depthwise, batch: the layers of the zoo at their usual sizes, the deep
/// ones also for a single image.
#[rustfmt::skip]
const SHAPES: &[(usize, usize, usize, usize, usize, bool, usize)] = &[
    // mnist-cnn and similar networks
    (3, 1, 1, 20, 28, false, 128), (3, 1, 1, 32, 28, false, 128), (3, 1, 32, 32, 28, false, 128),
    (3, 1, 32, 64, 14, false, 128), (3, 1, 64, 64, 14, false, 128),
    // tutorial
    (3, 1, 3, 32, 32, false, 128), (3, 1, 32, 32, 32, false, 128), (3, 1, 32, 64, 16, false, 128),
    (3, 1, 64, 64, 16, false, 128), (3, 1, 64, 128, 8, false, 128), (3, 1, 128, 128, 8, false, 128),
    // vgg16
    (3, 1, 3, 64, 32, false, 64), (3, 1, 64, 64, 32, false, 64), (3, 1, 128, 128, 16, false, 64),
    (3, 1, 256, 256, 8, false, 64), (3, 1, 256, 512, 4, false, 64), (3, 1, 512, 512, 4, false, 64),
    (3, 1, 512, 512, 2, false, 64), (3, 1, 512, 512, 4, false, 1), (3, 1, 512, 512, 2, false, 1),
    // resnet18 and resnet50
    (7, 2, 3, 64, 224, false, 16), (3, 1, 64, 64, 56, false, 16), (3, 1, 128, 128, 28, false, 16),
    (3, 1, 256, 256, 14, false, 16), (3, 1, 512, 512, 7, false, 16), (3, 1, 64, 64, 56, false, 1),
    (3, 1, 128, 128, 28, false, 1), (3, 1, 256, 256, 14, false, 1), (3, 1, 512, 512, 7, false, 1),
    (3, 2, 64, 128, 56, false, 16), (3, 2, 128, 256, 28, false, 16), (3, 2, 256, 512, 14, false, 16),
    (1, 2, 64, 128, 56, false, 16), (1, 1, 64, 256, 56, false, 16), (1, 1, 256, 64, 56, false, 16),
    (1, 1, 1024, 256, 14, false, 16), (1, 1, 512, 2048, 7, false, 1),
    // lenet5
    (5, 1, 1, 6, 28, false, 64), (5, 1, 6, 16, 14, false, 64),
    // mobilenet-v2
    (3, 2, 3, 32, 224, false, 16), (1, 1, 16, 96, 112, false, 16), (1, 1, 96, 24, 56, false, 16),
    (1, 1, 320, 1280, 7, false, 16), (3, 1, 32, 32, 112, true, 16), (3, 2, 96, 96, 112, true, 16),
    (3, 1, 144, 144, 56, true, 16), (3, 2, 144, 144, 56, true, 16), (3, 1, 384, 384, 14, true, 16),
    (3, 1, 960, 960, 7, true, 16), (3, 1, 960, 960, 7, true, 1),
];

impl ConvolutionShape {
    fn all() -> impl Iterator<Item = Self> {
        (SHAPES.iter()).map(
            |&(kernel, stride, inputs, outputs, side, depthwise, batch)| Self {
                kernel,
                stride,
                inputs,
                outputs,
                side,
                groups: if depthwise { inputs } else { 1 },
                batch,
            },
        )
    }

    fn geometry(&self) -> Geometry {
        let side = self.side.div_ceil(self.stride);
        Geometry {
            batch: self.batch,
            input: [self.side, self.side, self.inputs],
            output: [side, side, self.outputs],
            kernel: [self.kernel; 2],
            stride: [self.stride; 2],
            dilation: [1; 2],
            padding: [self.kernel / 2; 2],
            groups: self.groups,
        }
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
    /// The algorithm.
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
    /// One row for each shape, pass and algorithm.
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
            let same = |other: &&KernelRow| other.shape == row.shape && other.pass == row.pass;
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
        for pass in Pass::ALL {
            table
                .rows
                .extend(measure(cpu, shape, pass, &mut maps, seconds));
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
    maps: &mut Maps,
    seconds: f64,
) -> Vec<KernelRow> {
    let geometry = shape.geometry();
    let mut candidates: Vec<Candidate> = Algorithm::candidates(&geometry)
        .into_iter()
        .map(|algorithm| Candidate::new(cpu, geometry, pass, algorithm, &maps.weights))
        .collect();
    let choice = Algorithm::choose(&geometry, pass);
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
        algorithm: candidate.algorithm.to_string(),
        milliseconds: 1e3 * candidate.fastest,
        gflops: 2e-9 * geometry.multiply_adds_inside() as f64 / candidate.fastest,
        peak_share: 0.0,
        chosen: candidate.algorithm == choice,
    });
    rows.collect()
}

/// The buffers of the three passes. Each pass writes one of the three and reads the others, so that values stay finite.
struct Maps {
    input: Buffer,
    output: Buffer,
    weights: Buffer,
}

impl Maps {
    fn new(geometry: &Geometry) -> Self {
        let size = |map: [usize; 3]| geometry.batch * map.iter().product::<usize>();
        let filled = |length: usize| {
            let mut buffer = Buffer::zeros(length);
            random(&mut buffer);
            buffer
        };
        Self {
            input: filled(size(geometry.input)),
            output: filled(size(geometry.output)),
            weights: filled(geometry.weights()),
        }
    }
}

/// One algorithm for one pass of a convolution.
struct Candidate {
    algorithm: Algorithm,
    computation: Computation,
    packed: Buffer,
    scratch: Buffer,
    /// Seconds of the fastest run of all turns.
    fastest: f64,
}

enum Computation {
    Forward(conv::Forward),
    InputGradient(conv::InputGradient),
    WeightGradient(conv::WeightGradient),
}

impl Candidate {
    fn new(
        cpu: &Cpu,
        geometry: Geometry,
        pass: Pass,
        algorithm: Algorithm,
        weights: &[f32],
    ) -> Self {
        let (computation, packed, scratch) = match pass {
            Pass::Forward => {
                let forward = conv::Forward::new(cpu, geometry, algorithm);
                let mut packed = Buffer::zeros(forward.packed_len());
                forward.pack(cpu, weights, &mut packed);
                let scratch = forward.scratch_len();
                (Computation::Forward(forward), packed, scratch)
            }
            Pass::InputGradient => {
                let gradient = conv::InputGradient::new(cpu, geometry, algorithm);
                let packed = Buffer::zeros(gradient.packed_len());
                let scratch = gradient.scratch_len();
                (Computation::InputGradient(gradient), packed, scratch)
            }
            Pass::WeightGradient => {
                let gradient = conv::WeightGradient::new(cpu, geometry, algorithm);
                let scratch = gradient.scratch_len();
                let packed = Buffer::zeros(0);
                (Computation::WeightGradient(gradient), packed, scratch)
            }
        };
        Self {
            algorithm,
            computation,
            packed,
            scratch: Buffer::zeros(scratch),
            fastest: f64::INFINITY,
        }
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
        let scratch = &mut self.scratch;
        let Maps {
            input,
            output,
            weights,
        } = maps;
        // Training changes the weights in every step, so packing them counts.
        if let Computation::InputGradient(gradient) = &self.computation {
            gradient.pack(cpu, weights, &mut self.packed);
        }
        // Some kernels read the weights unpacked.
        let packed = match &self.packed {
            none if none.is_empty() => &*weights,
            packed => packed,
        };
        match &self.computation {
            Computation::Forward(forward) => {
                let epilogue = Epilogue::default();
                forward.run(cpu, &*input, packed, &epilogue, output, scratch);
            }
            Computation::InputGradient(gradient) => {
                let epilogue = GradientEpilogue::default();
                gradient.run(cpu, output, packed, &epilogue, input, scratch);
            }
            Computation::WeightGradient(gradient) => {
                gradient.run(cpu, &*input, output, weights, None, scratch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pass: &str, algorithm: &str, milliseconds: f64, chosen: bool) -> KernelRow {
        KernelRow {
            shape: ConvolutionShape::all().next().expect("there are shapes"),
            pass: pass.into(),
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
