//! A plan as something to read.
use std::fmt;

use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{Geometry, Pass};
use serde::Serialize;

use super::{Convolution, Kind, Mode, Plan, Step};
use crate::Shape;

/// What a plan computes, and how; serialised it is what `hubel inspect --plan --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlanReport {
    /// `training`, `inference` or `explanation`
    pub mode: &'static str,
    /// Images in a batch.
    pub batch: usize,
    /// The shape of a sample, in JSON `[height, width, channels]`, with the time before them if there is more than one.
    #[serde(serialize_with = "crate::shape::as_sizes")]
    pub input: Shape,
    /// Whether Winograd is avoided.
    pub precise: bool,
    /// What is computed, in the order of the forward pass.
    pub steps: Vec<StepReport>,
    /// The memory that it takes.
    pub memory: PlanMemory,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StepReport {
    /// The layers that it stands for, by name; several were fused.
    pub layers: String,
    /// What it computes, with what was fused to it.
    pub kind: String,
    /// The numbers of a convolution: kernel, stride, channels, size of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geometry: Option<String>,
    /// The algorithm of a convolution's forward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<String>,
    /// The algorithm of its input gradient; none in inference, and where nothing before it learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_gradient: Option<String>,
    /// The algorithm of its weight gradient; none in inference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_gradient: Option<String>,
    /// What else its backward pass computes in the same go, or as a pass of its own.
    pub backward: Vec<String>,
    /// Bytes of its output.
    pub output_bytes: usize,
}

/// Bytes that a plan takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanMemory {
    /// All that follows.
    pub bytes: usize,
    /// The maps of the forward pass, images included.
    pub value_bytes: usize,
    /// Slots that these maps take turns in.
    pub value_slots: usize,
    /// The gradients of the maps.
    pub gradient_bytes: usize,
    /// Slots that they take turns in.
    pub gradient_slots: usize,
    /// Weights as the kernels want them.
    pub packed_bytes: usize,
    /// What one step needs besides while it runs.
    pub scratch_bytes: usize,
    /// Weights; in training their gradient and what the optimizer remembers as well.
    pub parameter_bytes: usize,
    /// Which of each pooling window was the largest.
    pub index_bytes: usize,
    /// Means, variances, factors and sums of batch normalisations, folded biases.
    pub statistics_bytes: usize,
}

impl Plan {
    /// The plan as something to read.
    pub fn report(&self) -> PlanReport {
        let mode = self.settings.mode;
        PlanReport {
            mode: match mode {
                Mode::Training => "training",
                Mode::Inference => "inference",
                Mode::Explanation => "explanation",
            },
            batch: self.settings.batch,
            input: self.input,
            precise: self.settings.precise,
            steps: (self.steps.iter().zip(&self.output_lengths))
                .map(|(step, floats)| {
                    let written = if step.kind.output_is_input() {
                        0
                    } else {
                        *floats
                    };
                    step.report(size_of::<f32>() * written)
                })
                .collect(),
            memory: self.memory(),
        }
    }

    /// The memory that a run takes.
    pub fn memory(&self) -> PlanMemory {
        let mode = self.settings.mode;
        let kinds = || self.steps.iter().map(|step| &step.kind);
        let packed = kinds().map(|kind| match mode.goes_back() {
            true => kind.packed_forward() + kind.packed_input_gradient(),
            false => kind.packed_forward(),
        });
        let bytes = |floats: usize| size_of::<f32>() * floats;
        let mut memory = PlanMemory {
            bytes: 0,
            value_bytes: bytes(self.values.iter().sum()),
            value_slots: self.values.len(),
            gradient_bytes: bytes(self.gradients.iter().sum()),
            gradient_slots: self.gradients.len(),
            packed_bytes: bytes(packed.sum()),
            scratch_bytes: bytes(self.scratch),
            parameter_bytes: bytes(self.parameters) * if mode.trains() { 3 } else { 1 },
            index_bytes: match mode.goes_back() {
                true => kinds().map(Kind::index_bytes).sum(),
                false => 0,
            },
            statistics_bytes: bytes(
                kinds()
                    .map(|kind| kind.statistics_len() + kind.sums_len())
                    .sum(),
            ),
        };
        memory.bytes = memory.value_bytes
            + memory.gradient_bytes
            + memory.packed_bytes
            + memory.scratch_bytes
            + memory.parameter_bytes
            + memory.index_bytes
            + memory.statistics_bytes;
        memory
    }
}

impl Step {
    fn report(&self, output_bytes: usize) -> StepReport {
        let convolutions: &[Box<Convolution>] = match &self.kind {
            Kind::Convolution(convolution) => std::slice::from_ref(convolution),
            Kind::Chain(chain) => &chain.convolutions,
            _ => &[],
        };
        let geometries = convolutions.iter().map(|step| geometry(&step.geometry));
        let joined = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(", "));
        let algorithm = |pass: Pass| {
            let algorithms = convolutions
                .iter()
                .filter_map(|step| step.passes.algorithm(pass));
            joined(algorithms.map(|by| by.to_string()).collect())
        };
        let mut backward = Vec::new();
        if let Some(activation) = self.backward.own_mask {
            backward.push(format!(
                "derivative of its {} as a pass of its own",
                name(activation)
            ));
        }
        if let Kind::Convolution(convolution) = &self.kind
            && convolution.joint.is_some()
        {
            backward.push("all in one pass with the gradient of the batch norm behind it".into());
        }
        let summands = self.kind.summands(self.inputs.len());
        for (i, target) in self.backward.inputs.iter().enumerate() {
            let Some(target) = target else { continue };
            if summands.contains(&i) && self.backward.in_place != Some(i) && !target.accumulate {
                backward.push("copy for a summand".into());
            }
            if let Some(activation) = target.mask {
                backward.push(format!("derivative of the {} before it", name(activation)));
            }
            if target.sums.is_some() {
                backward.push("sums of the batch norm before it".into());
            }
            if target.accumulate {
                backward.push("sum with another branch's gradient".into());
            }
        }
        StepReport {
            layers: self.name.clone(),
            kind: self.kind.summary(),
            geometry: joined(geometries.collect()),
            forward: algorithm(Pass::Forward),
            input_gradient: algorithm(Pass::InputGradient),
            weight_gradient: algorithm(Pass::WeightGradient),
            backward,
            output_bytes,
        }
    }
}

/// `3×3/2 64→128 @56×56`
fn geometry(geometry: &Geometry) -> String {
    let [height, width, inputs] = geometry.input;
    let [rows, columns] = geometry.kernel;
    let [_, _, outputs] = geometry.output;
    let part = |sign: &str, values: [usize; 2]| match values {
        [1, 1] => String::new(),
        [down, right] if down == right => format!("{sign}{down}"),
        [down, right] => format!("{sign}{down},{right}"),
    };
    let groups = match geometry.groups {
        1 => String::new(),
        groups => format!(" in {groups} groups"),
    };
    format!(
        "{rows}×{columns}{}{} {inputs}→{outputs}{groups} @{height}×{width}",
        part("/", geometry.stride),
        part(" dilation ", geometry.dilation)
    )
}

fn name(activation: Activation) -> String {
    format!("{activation:?}").to_lowercase()
}

impl fmt::Display for PlanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precise = if self.precise { ", precise" } else { "" };
        writeln!(
            f,
            "{}, batch {}, input {}{precise}\n",
            self.mode, self.batch, self.input
        )?;
        let training = self.mode == "training";
        let mut titles = vec!["", "layers", "step", "convolution", "forward"];
        if training {
            titles.extend(["input grad.", "weight grad.", "backward, besides"]);
        }
        let mut lines = vec![titles.iter().map(|title| title.to_string()).collect()];
        for (i, step) in self.steps.iter().enumerate() {
            let cell = |text: &Option<String>| text.clone().unwrap_or_default();
            let mut line = vec![
                i.to_string(),
                in_short(&step.layers),
                step.kind.clone(),
                cell(&step.geometry),
                cell(&step.forward),
            ];
            if training {
                line.push(cell(&step.input_gradient));
                line.push(cell(&step.weight_gradient));
                line.push(step.backward.join(", "));
            }
            lines.push(line);
        }
        table(f, &lines)?;
        if training {
            writeln!(
                f,
                "   then, layer by layer: the optimizer's update, and the new weights packed for the next step"
            )?;
        }
        write!(f, "\n{}", self.memory)
    }
}

/// The names of a step's layers for a table: of many the first and the last.
pub(crate) fn in_short(layers: &str) -> String {
    let names: Vec<&str> = layers.split(" + ").collect();
    match names[..] {
        [first, _, _, .., last] => format!("{first} … {last}"),
        _ => layers.into(),
    }
}

/// Columns as wide as their longest cell.
fn table(f: &mut fmt::Formatter<'_>, lines: &[Vec<String>]) -> fmt::Result {
    let length = |cell: &String| cell.chars().count();
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| {
            lines
                .iter()
                .map(|line| length(&line[column]))
                .max()
                .unwrap_or(0)
        })
        .collect();
    for line in lines {
        let cells = line.iter().zip(&widths);
        let text: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        writeln!(f, "{}", text.trim_end())?;
    }
    Ok(())
}

impl fmt::Display for PlanMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, bytes: usize, note: String| {
            let line = format!("{name:16} {:>9.1} MB  {note}", bytes as f64 / 1e6);
            writeln!(f, "{}", line.trim_end())
        };
        let slots = |slots: usize| format!("in {slots} slots");
        line("memory", self.bytes, String::new())?;
        line("  maps", self.value_bytes, slots(self.value_slots))?;
        if self.gradient_slots > 0 {
            line(
                "  gradients",
                self.gradient_bytes,
                slots(self.gradient_slots),
            )?;
        }
        line("  packed weights", self.packed_bytes, String::new())?;
        line("  scratch", self.scratch_bytes, String::new())?;
        let with = match self.gradient_slots {
            0 => "weights",
            _ => "weights, their gradient, the optimizer's memory",
        };
        line("  parameters", self.parameter_bytes, with.into())?;
        line("  winners", self.index_bytes, "of max pooling".into())?;
        line(
            "  statistics",
            self.statistics_bytes,
            "of batch normalisation".into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Network, Parameters, PlanSettings, Result, Shape};

    fn report(settings: PlanSettings) -> Result<PlanReport> {
        let text = "conv(16, padding=1, bias=false)-batchnorm-relu-conv(32, padding=1)-relu-pool-flatten-fc(classes)";
        report_of(text, 8, settings)
    }

    /// The plan of a network for square images in colour.
    fn report_of(text: &str, side: usize, settings: PlanSettings) -> Result<PlanReport> {
        let graph = Network::parse(text)?.graph(Shape::new(side, side, 3), 10)?;
        let parameters = Parameters::initial(&graph, 1)?;
        let plan = Plan::compile(&graph, &parameters, &Cpu::best(1), settings)?;
        assert_eq!(plan.bytes(), plan.report().memory.bytes);
        Ok(plan.report())
    }

    /// The training plans with and without fusions.
    fn fused_and_plain(text: &str, side: usize, batch: usize) -> Result<[PlanReport; 2]> {
        let report = |fuse| {
            let settings = PlanSettings {
                fuse,
                ..PlanSettings::training(batch)
            };
            report_of(text, side, settings)
        };
        Ok([report(true)?, report(false)?])
    }

    #[test]
    fn a_report_says_what_is_fused_and_which_algorithm_computes_it() -> Result<()> {
        let training = report(PlanSettings::training(4))?;
        let kinds: Vec<&str> = training.steps.iter().map(|step| &*step.kind).collect();
        assert_eq!(
            kinds,
            [
                "conv + sums",
                "batch norm + relu",
                "conv + relu + max pool",
                "linear"
            ]
        );
        let second = &training.steps[2];
        assert_eq!(second.geometry.as_deref(), Some("3×3 16→32 @8×8"));
        assert_eq!(second.forward.as_deref(), Some("winograd"));
        let backward = [
            "derivative of the relu before it",
            "sums of the batch norm before it",
        ];
        assert_eq!(second.backward, backward);
        assert_eq!(training.steps[0].input_gradient, None, "nothing reads it");

        let inference = report(PlanSettings::inference(4))?;
        assert_eq!(inference.steps[0].kind, "conv + folded batch norm + relu");
        assert_eq!(inference.steps[0].weight_gradient, None);
        assert_eq!(inference.memory.gradient_bytes, 0);
        Ok(())
    }

    #[test]
    fn a_scale_layer_is_folded_into_what_it_alone_reads() -> Result<()> {
        let text = "conv(4)-scale-relu-flatten-fc(5)-scale(bias=false)-tanh-fc(classes)";
        let kinds = |settings| -> Result<Vec<String>> {
            let steps = report_of(text, 8, settings)?.steps;
            Ok(steps.into_iter().map(|step| step.kind).collect())
        };
        assert_eq!(
            kinds(PlanSettings::inference(4))?,
            [
                "conv + folded scale + relu",
                "linear + folded scale + tanh",
                "linear"
            ]
        );
        assert_eq!(
            kinds(PlanSettings::training(4))?,
            ["conv", "scale", "relu", "linear", "scale", "tanh", "linear"]
        );
        Ok(())
    }

    #[test]
    fn what_alone_reads_a_batch_normalisation_normalises() -> Result<()> {
        let report = report_of(
            "conv(16, padding=1)-batchnorm-relu-conv(16, kernel=1)-batchnorm-relu6-conv(16, groups=16, padding=1)\
             -batchnorm-relu-maxpool(3, stride=2, padding=1)-conv(32, padding=1)-batchnorm-tanh-conv(8)\
             -batchnorm-relu-residual[conv(8, padding=1)]-flatten-fc(classes)",
            17,
            PlanSettings::training(4),
        )?;
        let kinds: Vec<&str> = report.steps.iter().map(|step| &*step.kind).collect();
        assert_eq!(
            kinds,
            [
                "conv + sums",
                "batch norm statistics",
                "normalise + relu + conv + sums",
                "batch norm statistics",
                "normalise + relu6 + conv + sums",
                "batch norm statistics",
                "normalise + relu + max pool",
                "conv + sums",
                // A function other than a limit has a pass of its own, and so has a map that two read.
                "batch norm + tanh",
                "conv + sums",
                "batch norm + relu",
                "conv",
                "add",
                "linear"
            ]
        );
        Ok(())
    }

    #[test]
    fn convolutions_that_can_make_the_gradient_of_the_batch_norm_behind_them() -> Result<()> {
        let [fused, plain] = fused_and_plain(
            "conv(24, padding=1)-batchnorm-relu-conv(20, kernel=1)-batchnorm-relu6-conv(32, padding=1)-batchnorm-tanh\
             -residual[conv(40, kernel=1)-batchnorm-relu-conv(32, kernel=1)-batchnorm]-conv(24, kernel=1)-relu-flatten-fc(classes)",
            16,
            8,
        )?;
        let in_one_pass: Vec<&str> = (fused.steps.iter())
            .filter(|step| step.backward.iter().any(|text| text.contains("one pass")))
            .map(|step| step.geometry.as_deref().unwrap_or_default())
            .collect();
        // Not where the input gradient is by Winograd, where a summand inherits the gradient, or nothing is normalised.
        let expected = ["3×3 3→24 @16×16", "1×1 24→20 @16×16", "1×1 32→40 @16×16"];
        assert_eq!(in_one_pass, expected);
        assert!(!plain.to_string().contains("one pass"));
        assert!(fused.memory.gradient_bytes < plain.memory.gradient_bytes);
        Ok(())
    }

    #[test]
    fn a_residual_block_adds_in_the_pass_that_normalises() -> Result<()> {
        let [fused, plain] = fused_and_plain(
            "conv(8)-batchnorm-relu-residual[conv(8, padding=1)-batchnorm]-relu-globalavgpool-fc(classes)",
            8,
            4,
        )?;
        let step = &fused.steps[3];
        assert_eq!(step.kind, "batch norm + add + relu");
        assert_eq!(
            step.backward,
            ["derivative of its relu as a pass of its own"]
        );
        assert!(plain.to_string().contains("copy for a summand"));
        assert!(!fused.to_string().contains("copy for a summand"));
        assert!(fused.memory.bytes < plain.memory.bytes);
        Ok(())
    }

    #[test]
    fn a_precise_report_has_no_winograd() -> Result<()> {
        let precise = report(PlanSettings {
            precise: true,
            ..PlanSettings::training(4)
        })?;
        assert!(precise.precise);
        assert!(!precise.to_string().contains("winograd"), "{precise}");
        Ok(())
    }
}
