//! From a graph to steps, one for each node. What can be computed together is joined afterwards, in `fuse.rs`.
use std::ops::Range;

use hubel_kernels::Cpu;
use hubel_kernels::activation::Activation;
use hubel_kernels::conv;
use hubel_kernels::group_norm::Groups;
use hubel_kernels::multiply::Product;
use hubel_kernels::over_time;
use hubel_kernels::pad::Padding;
use hubel_kernels::pool::{self, Pooling};
use hubel_kernels::selection::Selection;

use super::convolution::{Convolution, Needs, Tensors};
use super::step::{
    Backward, Embedding, GroupNorm, Kind, LayerNorm, Normalisation, OverTime, Scale, Step,
};
use super::{Mode, PlanSettings};
use crate::layers;
use crate::network::{self, Graph, Node, Operation, Role, TimeWindow};
use crate::parameters::Parameters;
use crate::{Result, Shape};

/// Steps that name maps. `slots.rs` assigns the memory later.
pub(super) struct Lowered {
    pub(super) steps: Vec<Step>,
    /// Floats of each map; map 0 is the image, or what is given in its place.
    pub(super) maps: Vec<usize>,
    /// For each node from `settings.after` on, the map that holds its output.
    pub(super) map_of: Vec<usize>,
    pub(super) logits: usize,
}

/// Turns each node of `graph` into a step. Nodes that leave their input as it is have none.
///
/// # Errors
/// If a convolution is larger than any machine computes.
pub(super) fn lower(
    graph: &Graph,
    parameters: &Parameters,
    cpu: &Cpu,
    settings: PlanSettings,
) -> Result<Lowered> {
    let mut lowering = Lowering {
        graph,
        parameters,
        cpu,
        settings,
        map_of: vec![0],
        steps: Vec::new(),
        maps: vec![settings.batch * graph.nodes[settings.after].shape.len()],
    };
    for node in settings.after + 1..graph.nodes.len() {
        let map = lowering.lower(node)?;
        lowering.map_of.push(map);
    }
    Ok(Lowered {
        steps: lowering.steps,
        maps: lowering.maps,
        logits: lowering.map_of[lowering.map_of.len() - 1],
        map_of: lowering.map_of,
    })
}

struct Lowering<'a> {
    graph: &'a Graph,
    parameters: &'a Parameters,
    cpu: &'a Cpu,
    settings: PlanSettings,
    /// The map that holds the output of each node that was lowered.
    map_of: Vec<usize>,
    steps: Vec<Step>,
    maps: Vec<usize>,
}

impl Lowering<'_> {
    /// Appends the step of node `i`; returns the map of its output.
    fn lower(&mut self, i: usize) -> Result<usize> {
        let node = &self.graph.nodes[i];
        let inputs: Vec<usize> = node.inputs.iter().map(|input| self.map(*input)).collect();
        let from = self.graph.nodes[node.inputs[0]].shape;
        let kind = match &node.operation {
            Operation::Image | Operation::Tokens { .. } => unreachable!("only node 0 is the input"),
            Operation::Flatten => return Ok(inputs[0]),
            Operation::Dropout(_) if !self.settings.mode.trains() => return Ok(inputs[0]),
            Operation::Dropout(probability) => Kind::Dropout {
                probability: *probability,
                layer: i as u64,
            },
            Operation::Conv(settings) => {
                let (input, from) = self.pad(node, inputs[0], from, settings);
                let settings = settings.for_kernels(self.settings.batch, from, node.shape);
                let convolution = self.convolution(i, input, settings)?;
                let kind = Kind::Convolution(Box::new(convolution));
                return Ok(self.push(i, kind, vec![input]));
            }
            Operation::TimeConv(settings) => {
                let settings = settings.for_kernels(self.settings.batch, from, node.shape);
                Kind::Convolution(Box::new(self.convolution(i, inputs[0], settings)?))
            }
            Operation::Embedding { .. } => {
                let weights = self.parameters.range(i, Role::Weight);
                Kind::Embedding(Embedding {
                    weights: weights.expect("an embedding has weights"),
                    size: node.shape.channels,
                    tokens: self.settings.batch * node.shape.time,
                })
            }
            Operation::MaxOverTime(windows) => {
                Kind::OverTime(Box::new(self.over_time(true, windows, from)))
            }
            Operation::AvgOverTime(windows) => {
                Kind::OverTime(Box::new(self.over_time(false, windows, from)))
            }
            Operation::TimeMaxPool(window) => {
                max_pool(self.time_window(window, from, node.shape, false))
            }
            Operation::TimeAvgPool {
                window,
                count_padding,
            } => {
                let window = self.time_window(window, from, node.shape, *count_padding);
                Kind::AveragePool(Pooling::new(window))
            }
            Operation::Linear { .. } => {
                let settings = layers::linear_for_kernels(self.settings.batch, from, node.shape);
                let convolution = Convolution {
                    linear: true,
                    ..self.convolution(i, inputs[0], settings)?
                };
                Kind::Convolution(Box::new(convolution))
            }
            Operation::MaxPool(window) => max_pool(self.window(*window, from, node.shape, false)),
            Operation::AvgPool {
                window,
                count_padding,
            } => {
                let window = self.window(*window, from, node.shape, *count_padding);
                Kind::AveragePool(Pooling::new(window))
            }
            Operation::GlobalAvgPool => Kind::AveragePool(Pooling::new(self.whole_map(from))),
            Operation::GlobalMaxPool => max_pool(self.whole_map(from)),
            Operation::AdaptiveAvgPool => {
                Kind::AveragePool(Pooling::new(self.adaptive(from, node.shape)))
            }
            Operation::AdaptiveMaxPool => max_pool(self.adaptive(from, node.shape)),
            Operation::BatchNorm { epsilon, momentum } => {
                Kind::Normalisation(self.normalisation(i, *epsilon, *momentum))
            }
            Operation::Lrn(lrn) => Kind::Lrn(lrn.for_kernels(node.shape.channels)),
            Operation::LayerNorm { epsilon } => {
                let [scale, shift] = self.scale_and_shift(i);
                Kind::LayerNorm(LayerNorm {
                    epsilon: *epsilon,
                    scale,
                    shift,
                })
            }
            Operation::GroupNorm { groups, epsilon } => {
                let [scale, shift] = self.scale_and_shift(i);
                Kind::GroupNorm(GroupNorm {
                    groups: Groups {
                        samples: self.settings.batch,
                        pixels: node.shape.len() / node.shape.channels,
                        channels: node.shape.channels,
                        count: *groups,
                    },
                    epsilon: *epsilon,
                    scale,
                    shift,
                })
            }
            Operation::Scale { .. } => {
                let weight = self.parameters.range(i, Role::Scale);
                Kind::Scale(Scale {
                    length: self.settings.batch * node.shape.len(),
                    weight: weight.expect("a scale layer has factors"),
                    bias: self.parameters.range(i, Role::Shift),
                })
            }
            Operation::Pad { sides, mode } => Kind::Pad(self.border(from, *sides, *mode)),
            Operation::Upsample(upsample) => {
                Kind::Upsample(upsample.for_kernels(self.settings.batch, from))
            }
            Operation::Prelu => {
                let slopes = self.parameters.range(i, Role::Slope);
                Kind::Prelu(slopes.expect("a PReLU has slopes"))
            }
            Operation::Activation(activation) => Kind::Activation(*activation),
            Operation::Channels { .. } | Operation::Shuffle { .. } => {
                let taken = (0..node.shape.channels)
                    .filter_map(|channel| node.operation.moved_channel(channel, from.channels));
                let taken: Vec<usize> = taken.collect();
                Kind::Selection(Selection::new(from.channels, &taken))
            }
            Operation::Add => Kind::Add {
                activation: Activation::Identity,
            },
            Operation::Multiply => Kind::Multiply(Product {
                pixels: node.shape.frame().len()
                    / self.graph.nodes[node.inputs[1]].shape.frame().len(),
                channels: node.shape.channels,
            }),
            Operation::Concat => Kind::Concat {
                channels: node
                    .inputs
                    .iter()
                    .map(|input| self.graph.nodes[*input].shape.channels)
                    .collect(),
                pixels: self.settings.batch * node.shape.len() / node.shape.channels,
            },
        };
        Ok(self.push(i, kind, inputs))
    }

    /// Convolution or linear layer `i`, which reads map `input`. The image has a gradient only in a plan to explain.
    fn convolution(&self, i: usize, input: usize, settings: conv::Settings) -> Result<Convolution> {
        let mode = self.settings.mode;
        let has_gradient = input != 0 || mode == Mode::Explanation;
        let needs = Needs {
            input_gradient: mode.goes_back() && has_gradient,
            weight_gradient: mode.trains(),
            precise: self.settings.precise,
        };
        let weights = self.parameters.range(i, Role::Weight);
        let tensors = Tensors {
            weight: weights.expect("a convolution has weights"),
            bias: self.parameters.range(i, Role::Bias),
        };
        let name = &self.graph.nodes[i].name;
        Convolution::new(self.cpu, name, settings, needs, tensors)
    }

    /// Appends a step that writes the border, unless it holds zeros. Returns the map that the convolution reads, and its shape.
    fn pad(
        &mut self,
        node: &Node,
        input: usize,
        from: Shape,
        settings: &network::Convolution,
    ) -> (usize, Shape) {
        if settings.mode == layers::PaddingMode::Zeros {
            return (input, from);
        }
        let padding = self.border(from, settings.padding, settings.mode);
        let [height, width, _] = padding.output;
        let padded = Shape {
            height,
            width,
            ..from
        };
        let output = self.new_map(padded);
        self.steps.push(Step {
            name: format!("{} (padding)", node.name),
            first_layer: node.name.clone(),
            nodes: Vec::new(),
            kind: Kind::Pad(padding),
            inputs: vec![input],
            output,
            backward: Backward::default(),
        });
        (output, padded)
    }

    /// A map of `from` with padding `[top, left, bottom, right]`.
    fn border(
        &self,
        from: Shape,
        [top, left, bottom, right]: [usize; 4],
        mode: layers::PaddingMode,
    ) -> Padding {
        Padding {
            batch: self.settings.batch * from.time,
            input: dimensions(from),
            output: [
                from.height + top + bottom,
                from.width + left + right,
                from.channels,
            ],
            before: [top, left],
            mode: mode.for_kernels(),
        }
    }

    fn scale_and_shift(&self, i: usize) -> [Range<usize>; 2] {
        [Role::Scale, Role::Shift].map(|role| {
            let range = self.parameters.range(i, role);
            range.expect("a normalisation has two tensors")
        })
    }

    fn normalisation(&self, i: usize, epsilon: f32, momentum: f32) -> Normalisation {
        let range = |role: Role| -> Range<usize> {
            self.parameters
                .range(i, role)
                .expect("a batch normalisation has four tensors")
        };
        Normalisation {
            channels: self.graph.nodes[i].shape.channels,
            epsilon,
            momentum,
            scale: range(Role::Scale),
            shift: range(Role::Shift),
            running_mean: range(Role::RunningMean),
            running_variance: range(Role::RunningVariance),
            is_running: !self.settings.mode.trains() || self.settings.running_statistics,
            add: false,
            activation: Activation::Identity,
            forward_parts: None,
            backward_parts: None,
            by_reader: false,
            gradient_by_writer: false,
        }
    }

    fn window(
        &self,
        window: network::Window,
        from: Shape,
        to: Shape,
        count_padding: bool,
    ) -> pool::Window {
        let regions = pool::Regions::Sliding {
            kernel: window.kernel,
            stride: window.stride,
            padding: window.padding,
            count_padding,
        };
        let batch = self.settings.batch * from.time;
        pool::Window::new(batch, dimensions(from), dimensions(to), regions)
            .expect("the layer's rule placed the windows, and the plan's memory was checked")
    }

    fn time_window(
        &self,
        window: &TimeWindow,
        from: Shape,
        to: Shape,
        count_padding: bool,
    ) -> pool::Window {
        (window.for_kernels(self.settings.batch, from, to, count_padding))
            .expect("the layer's rule placed the windows, and the plan's memory was checked")
    }

    /// Pooling over all times of a map of `from`.
    fn over_time(&self, max: bool, windows: &Option<Vec<TimeWindow>>, from: Shape) -> OverTime {
        OverTime {
            max,
            maps: over_time::Maps {
                samples: self.settings.batch,
                times: from.time,
                values: from.frame().len(),
            },
            windows: windows.clone(),
        }
    }

    fn whole_map(&self, from: Shape) -> pool::Window {
        self.adaptive(from, Shape::new(1, 1, from.channels))
    }

    fn adaptive(&self, from: Shape, to: Shape) -> pool::Window {
        let (batch, regions) = (self.settings.batch * from.time, pool::Regions::Adaptive);
        pool::Window::new(batch, dimensions(from), dimensions(to), regions)
            .expect("no side is 0, and the plan's memory was checked")
    }

    fn map(&self, node: usize) -> usize {
        self.map_of[node - self.settings.after]
    }

    fn new_map(&mut self, shape: Shape) -> usize {
        self.maps.push(self.settings.batch * shape.len());
        self.maps.len() - 1
    }

    /// Appends the step of node `i`; returns the map of its output.
    fn push(&mut self, i: usize, kind: Kind, inputs: Vec<usize>) -> usize {
        let node = &self.graph.nodes[i];
        let output = self.new_map(node.shape);
        self.steps.push(Step {
            name: node.name.clone(),
            first_layer: node.name.clone(),
            nodes: vec![i],
            kind,
            inputs,
            output,
            backward: Backward::default(),
        });
        output
    }
}

fn max_pool(window: pool::Window) -> Kind {
    Kind::MaxPool {
        pooling: Pooling::new(window),
        normalised_by: None,
    }
}

fn dimensions(shape: Shape) -> [usize; 3] {
    [shape.height, shape.width, shape.channels]
}
