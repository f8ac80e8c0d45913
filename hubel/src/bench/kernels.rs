//! Times of single convolutions: every algorithm on the shapes that networks have, plain and with what plans fuse to them.
use std::time::Instant;

use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{
    self, Algorithm, Destination, Epilogue, ForwardOperands, Fused, Geometry, GradientEpilogue,
    InputGradientOperands, OutputGradient, Pass, Sums, WeightGradientOperands,
};
use hubel_kernels::pool::{Pooled, Winner};
use hubel_kernels::{Buffer, Cpu, Input, Normalised};
use serde::Serialize;

use super::shapes::{ConvolutionShape, Fusion};
use super::{peak_gflops, random};
use crate::{Error, Result};

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
    let shapes: Vec<ConvolutionShape> = ConvolutionShape::matching(filter).collect();
    if shapes.is_empty() {
        let examples: Vec<String> = ConvolutionShape::matching("")
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
            .flat_map(|pass| shape.fusions().iter().map(move |fusion| (pass, *fusion)))
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
    let mut candidates: Vec<Candidate> = Algorithm::candidates(cpu, &geometry, pass, fused)
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
            weights: filled(geometry.weights_len()),
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
            shape: ConvolutionShape::matching("")
                .next()
                .expect("there are shapes"),
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
    fn a_filter_that_names_no_shape_is_refused() {
        let nothing = kernels(&Cpu::best(1), "9x9", 0.0, &mut |_| {});
        let message = nothing.expect_err("no such shape").to_string();
        assert!(
            message.contains("`9x9`") && message.contains("; give "),
            "{message}"
        );
    }
}
