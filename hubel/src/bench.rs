//! Timing of networks and kernels on this machine.
use std::time::Instant;

use hubel_kernels::conv::{self, Algorithm, Epilogue, Geometry, GradientEpilogue, Pass};
use hubel_kernels::{Buffer, Cpu, Kernel, Simd};
use serde::Serialize;

use crate::optimizer::OptimizerState;
use crate::plan::Mode;
use crate::random::{Purpose, Random};
use crate::{Network, Optimizer, Parameters, Plan, PlanSettings, Result, Shape, Workspace};

/// How long one pass takes.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// The median.
    pub median_ms: f64,
    /// Images per second at the median.
    pub images_per_second: f64,
    /// The most memory that the process has held so far (Linux; elsewhere what the plan needs).
    pub peak_memory_bytes: u64,
    /// Passes timed.
    pub runs: usize,
}

/// A network on random images, ready to be timed.
pub struct Bench {
    cpu: Cpu,
    parameters: Parameters,
    plan: Plan,
    workspace: Workspace,
    labels: Vec<u32>,
    optimizer: OptimizerState,
}

/// How long one step of a plan takes.
#[derive(Clone, Debug, Serialize)]
pub struct StepRow {
    /// The layers that it stands for.
    pub name: String,
    /// What it computes, and how.
    pub kind: String,
    /// The fastest forward pass.
    pub forward_ms: Option<f64>,
    /// Of the weight gradient; none where there are no weights.
    pub weight_gradient_ms: Option<f64>,
    /// Of the rest of the backward pass.
    pub input_gradient_ms: Option<f64>,
}

impl Bench {
    /// Compiles `network` for `settings`.
    ///
    /// # Errors
    /// If the network does not fit the input, or the plan the memory.
    pub fn new(
        cpu: &Cpu,
        network: &Network,
        input: Shape,
        classes: usize,
        settings: PlanSettings,
    ) -> Result<Self> {
        let graph = network.graph(input, classes)?;
        let parameters = Parameters::initial(&graph, 1);
        let plan = Plan::compile(&graph, &parameters, cpu, settings)?;
        let mut workspace = Workspace::new(&plan);
        random(workspace.images_mut());
        plan.pack(cpu, &parameters, &mut workspace);
        let optimizer = OptimizerState::new(
            Optimizer::Sgd {
                momentum: 0.9,
                nesterov: false,
            },
            &parameters,
        );
        Ok(Self {
            cpu: cpu.clone(),
            parameters,
            plan,
            workspace,
            labels: (0..settings.batch as u32)
                .map(|i| i % classes as u32)
                .collect(),
            optimizer,
        })
    }

    /// The plan that is timed.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Times whole runs for about `seconds`: inference, or forward, backward, and SGD with momentum.
    pub fn run(&mut self, seconds: f64) -> Timing {
        let (batch, bytes) = (self.plan.batch(), self.plan.bytes());
        timing(batch, bytes, seconds, || self.pass(&mut |_, _| {}))
    }

    /// Times each step for about `seconds`. The last rows stand for what the steps of training do not do: packing the weights, the
    /// loss, the update.
    pub fn steps(&mut self, seconds: f64) -> Vec<StepRow> {
        let row = |name: &str, kind: String| StepRow {
            name: name.to_string(),
            kind,
            forward_ms: None,
            weight_gradient_ms: None,
            input_gradient_ms: None,
        };
        let steps = self.plan.steps.iter();
        let mut rows: Vec<StepRow> = steps
            .map(|step| row(&step.name, step.kind.to_string()))
            .collect();
        if self.plan.settings.mode == Mode::Training {
            for kind in ["pack weights", "loss", "update"] {
                rows.push(row("", kind.into()));
            }
        }
        (0..2).for_each(|_| self.pass(&mut |_, _| {}));
        let (start, mut runs) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < seconds || runs < 5 {
            let mut last = Instant::now();
            self.pass(&mut |step, pass| {
                let milliseconds = 1e3 * last.elapsed().as_secs_f64();
                last = Instant::now();
                let row = &mut rows[step];
                let best = match pass {
                    Pass::Forward => &mut row.forward_ms,
                    Pass::WeightGradient => &mut row.weight_gradient_ms,
                    Pass::InputGradient => &mut row.input_gradient_ms,
                };
                *best = Some(best.map_or(milliseconds, |best| best.min(milliseconds)));
            });
            runs += 1;
        }
        rows
    }

    /// One run; `watch` is called after each step and, with indices beyond the steps, after what comes between.
    fn pass(&mut self, watch: &mut dyn FnMut(usize, Pass)) {
        let Self {
            cpu,
            parameters,
            plan,
            workspace,
            labels,
            optimizer,
        } = self;
        if plan.settings.mode == Mode::Inference {
            return plan.forward_watched(cpu, parameters, workspace, 0, watch);
        }
        let steps = plan.steps.len();
        plan.pack(cpu, parameters, workspace);
        watch(steps, Pass::Forward);
        plan.forward_watched(cpu, parameters, workspace, 1, watch);
        plan.loss(workspace, labels, 0.0);
        watch(steps + 1, Pass::Forward);
        plan.backward_watched(cpu, parameters, workspace, 1, watch);
        plan.update_running_statistics(parameters, workspace);
        optimizer.step(cpu, parameters, workspace.parameter_gradient(), 1e-3, 0.0);
        watch(steps + 2, Pass::Forward);
    }
}

/// One line of the table of kernels.
#[derive(Clone, Debug, Serialize)]
pub struct KernelRow {
    /// Channels, size, batch.
    pub shape: String,
    /// forward, input gradient or weight gradient
    pub pass: String,
    /// How it was computed.
    pub algorithm: String,
    /// Median time.
    pub milliseconds: f64,
    /// 2 · multiply-adds of the direct convolution / time.
    pub gflops: f64,
    /// Of the multiply-add peak measured just before.
    pub peak_share: f64,
    /// Whether a plan takes this algorithm.
    pub chosen: bool,
}

/// Times every algorithm on typical shapes, about `seconds` for each row.
///
/// # Errors
/// None so far.
pub fn kernels(cpu: &Cpu, seconds: f64) -> Result<Vec<KernelRow>> {
    // (input channels, output channels, side, kernel, stride, groups, batch)
    const SHAPES: [(usize, usize, usize, usize, usize, usize, usize); 10] = [
        (3, 32, 32, 3, 1, 1, 128),
        (32, 32, 32, 3, 1, 1, 128),
        (64, 64, 16, 3, 1, 1, 128),
        (128, 128, 8, 3, 1, 1, 128),
        (64, 64, 56, 3, 1, 1, 16),
        (128, 128, 28, 3, 1, 1, 16),
        (256, 256, 14, 3, 1, 1, 16),
        (512, 512, 7, 3, 1, 1, 16),
        (256, 64, 56, 1, 1, 1, 16),
        (96, 96, 56, 3, 1, 96, 16),
    ];
    let mut rows = Vec::new();
    for (inputs, outputs, side, kernel, stride, groups, batch) in SHAPES {
        let geometry = Geometry {
            batch,
            input: [side, side, inputs],
            output: [side / stride, side / stride, outputs],
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            padding: [kernel / 2; 2],
            groups,
        };
        let shape = match groups {
            1 => format!("{kernel}×{kernel} {inputs}→{outputs} @{side}² b{batch}"),
            _ => format!("{kernel}×{kernel} depthwise {inputs} @{side}² b{batch}"),
        };
        for algorithm in Algorithm::candidates(&geometry) {
            for (pass, milliseconds) in passes(cpu, geometry, algorithm, seconds) {
                let gflops = 2e-6 * geometry.multiply_adds() as f64 / milliseconds;
                rows.push(KernelRow {
                    shape: shape.clone(),
                    pass: pass.to_string(),
                    algorithm: algorithm.to_string(),
                    milliseconds,
                    gflops,
                    peak_share: gflops / peak_gflops(cpu),
                    chosen: algorithm == Algorithm::choose(&geometry, pass),
                });
            }
        }
    }
    Ok(rows)
}

fn passes(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, seconds: f64) -> [(Pass, f64); 3] {
    let size = |map: [usize; 3]| geometry.batch * map.iter().product::<usize>();
    let filled = |length: usize| {
        let mut buffer = Buffer::zeros(length);
        random(&mut buffer);
        buffer
    };
    let (mut input, mut output) = (filled(size(geometry.input)), filled(size(geometry.output)));
    let mut weights = filled(geometry.weights());
    let forward = conv::Forward::new(cpu, geometry, algorithm);
    let mut packed = Buffer::zeros(forward.packed_len());
    forward.pack(cpu, &weights, &mut packed);
    let packed = if packed.is_empty() { &weights } else { &packed };
    let mut scratch = Buffer::zeros(forward.scratch_len());
    let median = |run: &mut dyn FnMut()| timing(geometry.batch, 0, seconds, run).median_ms;
    let first = median(&mut || {
        forward.run(
            cpu,
            &input,
            packed,
            &Epilogue::default(),
            &mut output,
            &mut scratch,
        );
    });
    random(&mut output);
    let gradient = conv::WeightGradient::new(cpu, geometry, algorithm);
    let mut scratch = Buffer::zeros(gradient.scratch_len());
    let third =
        median(&mut || gradient.run(cpu, &input, &output, &mut weights, None, &mut scratch));
    random(&mut weights);
    let gradient = conv::InputGradient::new(cpu, geometry, algorithm);
    let mut packed = Buffer::zeros(gradient.packed_len());
    gradient.pack(cpu, &weights, &mut packed);
    let packed = if packed.is_empty() { &weights } else { &packed };
    let mut scratch = Buffer::zeros(gradient.scratch_len());
    let second = median(&mut || {
        gradient.run(
            cpu,
            &output,
            packed,
            &GradientEpilogue::default(),
            &mut input,
            &mut scratch,
        );
    });
    [
        (Pass::Forward, first),
        (Pass::InputGradient, second),
        (Pass::WeightGradient, third),
    ]
}

/// Multiply-adds in registers, as fast as they go: 10⁹ operations a second on all threads, best of some runs.
pub fn peak_gflops(cpu: &Cpu) -> f64 {
    const ROUNDS: usize = 50_000;
    let chains = 12;
    let operations = (2 * chains * ROUNDS * cpu.lanes() * cpu.threads()) as f64;
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            cpu.parallel(cpu.threads(), |_| {
                std::hint::black_box(cpu.dispatch(Chains(ROUNDS)));
            });
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    operations / best / 1e9
}

struct Chains(usize);

impl Kernel for Chains {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let (a, b) = (
            simd.splat(std::hint::black_box(0.999)),
            simd.splat(std::hint::black_box(0.001)),
        );
        let mut chains = [simd.splat(1.0); 12];
        for _ in 0..self.0 {
            for chain in &mut chains {
                *chain = simd.mul_add(*chain, a, b);
            }
        }
        chains.into_iter().map(|chain| simd.sum(chain)).sum()
    }
}

fn random(values: &mut [f32]) {
    let mut stream = Random::new(7).stream(Purpose::Initialise, 0, 0);
    values
        .iter_mut()
        .for_each(|value| *value = stream.uniform() * 2.0 - 1.0);
}

fn timing(batch: usize, bytes: usize, seconds: f64, mut run: impl FnMut()) -> Timing {
    (0..3).for_each(|_| run());
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed().as_secs_f64() < seconds || times.len() < 5 {
        let begin = Instant::now();
        run();
        times.push(1e3 * begin.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let median_ms = times[times.len() / 2];
    Timing {
        median_ms,
        images_per_second: 1e3 * batch as f64 / median_ms,
        peak_memory_bytes: peak_memory().unwrap_or(bytes as u64),
        runs: times.len(),
    }
}

fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
