//! Times of networks, and of each step of their plans.
use std::time::Instant;

use hubel_kernels::Cpu;
use hubel_kernels::conv::Pass;
use serde::Serialize;

use super::{random, tokens};

use crate::network::Input;
use crate::optimizer::OptimizerState;
use crate::plan::{Mode, in_short};
use crate::{Network, Optimizer, Parameters, Plan, PlanSettings, Result, Workspace};

/// The time of one pass.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// The median.
    pub median_ms: f64,
    /// Images per second at the median.
    pub images_per_second: f64,
    /// The peak memory of the process so far (on Linux; elsewhere the memory of the plan).
    pub peak_memory_bytes: u64,
    /// Number of timed passes.
    pub runs: usize,
}

/// The usual training batch of a network of the zoo on a CPU; 64 for others.
pub fn usual_batch(network: &str) -> usize {
    match network.to_lowercase().as_str() {
        "mnist-cnn" | "tutorial" | "mlp" => 128,
        "resnet18" | "mobilenet-v2" => 16,
        "resnet50" => 8,
        _ => 64,
    }
}

/// A network on random images, ready for timing.
pub struct Bench {
    cpu: Cpu,
    parameters: Parameters,
    plan: Plan,
    workspace: Workspace,
    labels: Vec<u32>,
    optimizer: OptimizerState,
}

/// The time of one step of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct StepRow {
    /// The layers of the step.
    pub name: String,
    /// Its operation and algorithm.
    pub kind: String,
    /// The fastest forward pass.
    pub forward_ms: Option<f64>,
    /// The fastest weight gradient; `None` without weights.
    pub weight_gradient_ms: Option<f64>,
    /// The fastest rest of the backward pass.
    pub input_gradient_ms: Option<f64>,
}

impl StepRow {
    /// The layers of a step; if there are many, the first and the last.
    pub fn short_name(&self) -> String {
        in_short(&self.name)
    }
}

impl Bench {
    /// Compiles `network` for `settings`.
    ///
    /// # Errors
    /// If the network does not fit the input, or memory does not suffice for the plan.
    pub fn new(
        cpu: &Cpu,
        network: &Network,
        input: impl Into<Input>,
        classes: usize,
        settings: PlanSettings,
    ) -> Result<Self> {
        let input = input.into();
        let graph = network.graph(input, classes)?;
        let parameters = Parameters::initial(&graph, 1)?;
        let plan = Plan::compile(&graph, &parameters, cpu, settings)?;
        let mut workspace = Workspace::new(&plan);
        match input.vocabulary {
            None => random(workspace.images_mut()),
            Some(vocabulary) => tokens(workspace.images_mut(), vocabulary),
        }
        plan.pack(cpu, &parameters, &mut workspace);
        let optimizer = OptimizerState::new(
            cpu,
            Optimizer::Sgd {
                momentum: 0.9,
                nesterov: false,
            },
            &parameters,
        );
        Ok(Self {
            cpu: cpu.clone(),
            parameters,
            labels: (0..settings.batch)
                .map(|i| (i % plan.outputs()) as u32)
                .collect(),
            plan,
            workspace,
            optimizer,
        })
    }

    /// The timed plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Times whole runs for about `seconds`: inference, or forward, backward, and SGD with momentum.
    pub fn run(&mut self, seconds: f64) -> Timing {
        let (batch, bytes) = (self.plan.batch(), self.plan.bytes());
        timing(batch, bytes, seconds, || self.pass(&mut |_, _| {}))
    }

    /// The milliseconds of the fastest of `runs` whole runs, after one untimed run.
    pub fn fastest_ms(&mut self, runs: usize) -> f64 {
        self.pass(&mut |_, _| {});
        let times = (0..runs).map(|_| {
            let start = Instant::now();
            self.pass(&mut |_, _| {});
            1e3 * start.elapsed().as_secs_f64()
        });
        times.fold(f64::INFINITY, f64::min)
    }

    /// Times each step for about `seconds`. The last rows are the rest of a training step: the loss, and the update
    /// with the packing of the new weights.
    pub fn steps(&mut self, seconds: f64) -> Vec<StepRow> {
        let row = |name: &str, kind: String| StepRow {
            name: name.to_string(),
            kind,
            forward_ms: None,
            weight_gradient_ms: None,
            input_gradient_ms: None,
        };
        let mode = self.plan.settings.mode;
        let steps = self.plan.steps.iter();
        let mut rows: Vec<StepRow> = steps
            .map(|step| row(&step.name, step.with_algorithms()))
            .collect();
        if mode.trains() {
            for kind in ["loss", "update, pack weights"] {
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

    /// One run. `watch` is called after each step, and, with indices beyond the steps, after the rest.
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
        plan.forward_watched(cpu, parameters, workspace, 1, watch);
        plan.loss(workspace, labels, 0.0, None);
        watch(steps, Pass::Forward);
        plan.backward_watched(cpu, parameters, workspace, 1, watch);
        plan.update_running_statistics(parameters, workspace);
        plan.update(cpu, parameters, workspace, optimizer.begin(1e-3, 0.0, None));
        watch(steps + 1, Pass::Forward);
    }
}

/// Times `run` for about `seconds`, at least 5 times unless a run takes very long.
fn timing(batch: usize, bytes: usize, seconds: f64, mut run: impl FnMut()) -> Timing {
    let start = Instant::now();
    for _ in 0..3 {
        run();
        if start.elapsed().as_secs_f64() > seconds {
            break;
        }
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.is_empty()
        || start.elapsed().as_secs_f64() < seconds
        || (times.len() < 5 && start.elapsed().as_secs_f64() < 4.0 * seconds)
    {
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
