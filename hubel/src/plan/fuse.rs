//! From a graph to steps: what is computed together.
use std::ops::Range;

use hubel_kernels::activation::Activation;
use hubel_kernels::conv::{self, Algorithm, Pass};
use hubel_kernels::pad::{Padding, PaddingMode};
use hubel_kernels::pool::{self, Pooling};
use hubel_kernels::{Cpu, Normalised};

use super::step::{Backward, Convolution, Joint, Kind, Normalisation, NormalisedBy, Step, SumsFor};
use super::{Mode, PlanSettings};
use crate::Shape;
use crate::layers;
use crate::network::{self, Graph, Node, Operation, Role};
use crate::parameters::Parameters;

/// Steps over maps (not yet slots).
pub(super) struct Lowered {
    pub(super) steps: Vec<Step>,
    /// Floats of each map; map 0 is the image, or what is given in its place.
    pub(super) maps: Vec<usize>,
    /// The map that holds the output of each node, from that on whose output is given.
    pub(super) map_of: Vec<usize>,
    pub(super) logits: usize,
}

/// Turns the nodes of `graph` into steps, joining those that can be computed together.
pub(super) fn lower(
    graph: &Graph,
    parameters: &Parameters,
    cpu: &Cpu,
    settings: PlanSettings,
) -> Lowered {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|input| readers[*input].push(i));
    }
    let mut lowering = Lowering {
        graph,
        parameters,
        cpu,
        settings,
        readers,
        map_of: vec![None; graph.nodes.len()],
        steps: Vec::new(),
        maps: vec![settings.batch * graph.nodes[settings.after].shape.len()],
    };
    lowering.map_of[settings.after] = Some(0);
    for node in settings.after + 1..graph.nodes.len() {
        if lowering.map_of[node].is_none() {
            lowering.lower(node);
        }
    }
    let map_of: Vec<usize> = (settings.after..graph.nodes.len())
        .map(|node| lowering.map(node))
        .collect();
    Lowered {
        steps: lowering.steps,
        maps: lowering.maps,
        logits: map_of[map_of.len() - 1],
        map_of,
    }
}

struct Lowering<'a> {
    graph: &'a Graph,
    parameters: &'a Parameters,
    cpu: &'a Cpu,
    settings: PlanSettings,
    /// Who reads each node.
    readers: Vec<Vec<usize>>,
    /// The map that holds each node's output; none while it has not been lowered.
    map_of: Vec<Option<usize>>,
    steps: Vec<Step>,
    maps: Vec<usize>,
}

impl Lowering<'_> {
    fn lower(&mut self, i: usize) {
        let node = &self.graph.nodes[i];
        let inputs: Vec<usize> = node.inputs.iter().map(|input| self.map(*input)).collect();
        let from = self.graph.nodes[node.inputs[0]].shape;
        let kind = match &node.operation {
            Operation::Image => unreachable!("only node 0 is the image"),
            Operation::Flatten => return self.alias(i),
            Operation::Dropout(_) if !self.settings.mode.trains() => return self.alias(i),
            Operation::Dropout(probability) => Kind::Dropout {
                probability: *probability,
                layer: i as u64,
            },
            Operation::Conv(settings) => {
                return self.convolution(i, inputs[0], from, Some(settings));
            }
            Operation::Linear { .. } => return self.convolution(i, inputs[0], from, None),
            Operation::MaxPool(window) => {
                let window = self.window(*window, from, node.shape, false);
                self.max_pool(i, inputs[0], window)
            }
            Operation::AvgPool {
                window,
                count_padding,
            } => {
                let window = self.window(*window, from, node.shape, *count_padding);
                Kind::AveragePool(Pooling::new(window))
            }
            Operation::GlobalAvgPool => Kind::AveragePool(Pooling::new(self.whole_map(from))),
            Operation::GlobalMaxPool => self.max_pool(i, inputs[0], self.whole_map(from)),
            Operation::AdaptiveAvgPool => {
                Kind::AveragePool(Pooling::new(self.adaptive(from, node.shape)))
            }
            Operation::AdaptiveMaxPool => {
                self.max_pool(i, inputs[0], self.adaptive(from, node.shape))
            }
            Operation::BatchNorm { .. } => return self.batch_norm(i, inputs),
            Operation::Activation(activation) => Kind::Activation(*activation),
            Operation::Add => {
                let (activation, nodes) = self.following_activation(vec![i]);
                return self.push(nodes, Kind::Add { activation }, inputs);
            }
            Operation::Concat => Kind::Concat {
                channels: node
                    .inputs
                    .iter()
                    .map(|input| self.graph.nodes[*input].shape.channels)
                    .collect(),
                pixels: self.settings.batch * node.shape.height * node.shape.width,
            },
        };
        self.push(vec![i], kind, inputs);
    }

    fn convolution(
        &mut self,
        i: usize,
        input: usize,
        from: Shape,
        settings: Option<&network::Convolution>,
    ) {
        let node = &self.graph.nodes[i];
        let (input, from) = match settings {
            Some(settings) => self.pad(node, input, from, settings),
            None => (input, Shape::new(1, 1, from.len())),
        };
        let geometry = match settings {
            Some(settings) => conv::Geometry {
                batch: self.settings.batch,
                input: dimensions(from),
                output: dimensions(node.shape),
                kernel: settings.kernel,
                stride: settings.stride,
                dilation: settings.dilation,
                padding: match settings.mode {
                    layers::PaddingMode::Zeros => [settings.padding[0], settings.padding[1]],
                    _ => [0, 0],
                },
                groups: settings.groups,
            },
            None => conv::Geometry {
                batch: self.settings.batch,
                input: dimensions(from),
                output: [1, 1, node.shape.len()],
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                padding: [0, 0],
                groups: 1,
            },
        };
        let mut nodes = vec![i];
        let mut inputs = vec![input];
        let mut folded = None;
        let inference = self.settings.mode == Mode::Inference && self.settings.fuse;
        if inference
            && let Some(next) = self.only_reader(i)
            && matches!(
                self.graph.nodes[next].operation,
                Operation::BatchNorm { .. }
            )
        {
            folded = Some(self.normalisation(next, Activation::Identity));
            nodes.push(next);
        }
        if inference {
            self.following_add(&mut nodes, &mut inputs);
        }
        let (activation, mut nodes) = self.following_activation(nodes);
        let algorithm = |pass: Pass| match self.settings.precise {
            true => Algorithm::choose_precise(&geometry),
            false => Algorithm::choose(&geometry, pass),
        };
        let algorithms = Pass::ALL.map(algorithm);
        let plain = || Passes::plain(self.cpu, geometry, algorithms);
        let pool = self.following_pool(&nodes).filter(|_| inputs.len() == 1);
        let pooled = pool.and_then(|_| {
            let backward = self.settings.mode == Mode::Training;
            Passes::pooled(self.cpu, geometry, algorithms, backward, input != 0)
        });
        nodes.extend(pool.filter(|_| pooled.is_some()));
        let is_pooled = pooled.is_some();
        let mut passes = pooled.unwrap_or_else(plain);
        let cpu = self.cpu;
        let can = || passes.normalise_input(cpu);
        let normalised_by = self.normalisation_by_reader(i, input, geometry.input[2], can);
        let kind = Kind::Convolution(Box::new(Convolution {
            linear: settings.is_none(),
            geometry,
            forward: passes.forward,
            input_gradient: passes.input_gradient,
            weight_gradient: passes.weight_gradient,
            joint: None,
            weight: self
                .parameters
                .range(i, Role::Weight)
                .expect("a convolution has weights"),
            bias: self.parameters.range(i, Role::Bias),
            folded,
            add: inputs.len() == 2,
            activation,
            pooled: is_pooled,
            sums: None,
            normalised_by,
        }));
        self.push(nodes, kind, inputs);
    }

    /// A batch normalisation with the addition and the activation after it.
    fn batch_norm(&mut self, i: usize, mut inputs: Vec<usize>) {
        let mut nodes = vec![i];
        self.following_add(&mut nodes, &mut inputs);
        let (activation, nodes) = self.following_activation(nodes);
        let forward_parts = self.sums_by_convolution(i, inputs[0]);
        let gradient_by_writer = inputs.len() == 1 && self.gradient_by_convolution(i, inputs[0]);
        let kind = Kind::Normalisation(Normalisation {
            add: inputs.len() == 2,
            forward_parts,
            gradient_by_writer,
            ..self.normalisation(i, activation)
        });
        self.push(nodes, kind, inputs);
    }

    /// Whether steps are joined that training alone joins.
    fn fuses_training(&self) -> bool {
        self.settings.mode == Mode::Training && self.settings.fuse
    }

    fn max_pool(&mut self, i: usize, map: usize, window: pool::Window) -> Kind {
        Kind::MaxPool {
            normalised_by: self.normalisation_by_reader(i, map, window.input()[2], || true),
            pooling: Pooling::new(window),
        }
    }

    /// Leaves it to node `i` to normalise what it reads, if `map` of so many channels comes from a batch normalisation that nothing else
    /// reads, and if it `can`.
    fn normalisation_by_reader(
        &mut self,
        i: usize,
        map: usize,
        channels: usize,
        can: impl FnOnce() -> bool,
    ) -> Option<NormalisedBy> {
        if !self.fuses_training() {
            return None;
        }
        let step = self.steps.iter().position(|step| step.output == map)?;
        let is_only_reader = self.is_only_reader(i, map);
        let Kind::Normalisation(norm) = &mut self.steps[step].kind else {
            return None;
        };
        let is_same = norm.channels == channels && !norm.add;
        let activation = norm.activation;
        if !is_only_reader || !is_same || !Normalised::supports(activation) || !can() {
            return None;
        }
        norm.by_reader = true;
        Some(NormalisedBy { step, activation })
    }

    /// The same of what has to do with the statistics of a batch.
    fn fuses_statistics(&self) -> bool {
        self.fuses_training() && !self.settings.running_statistics
    }

    /// Has the convolution that writes `map` take the sums of batch normalisation `i`, the next step, if it can; in how many parts.
    fn sums_by_convolution(&mut self, i: usize, map: usize) -> Option<usize> {
        if !self.fuses_statistics() {
            return None;
        }
        let step = self.steps.len();
        let origin = self.parameters.range(i, Role::RunningMean)?;
        let (convolution, _) = self.convolution_before(map, origin.len())?;
        let parts = convolution.forward.sums_parts()?;
        if convolution.sums.is_some() {
            return None;
        }
        convolution.sums = Some(SumsFor { step, origin });
        Some(parts)
    }

    /// Has the convolution that writes `map`, which batch normalisation `i`, the next step, alone reads, make the gradient of that map
    /// where it reads it, if it can.
    fn gradient_by_convolution(&mut self, i: usize, map: usize) -> bool {
        if !self.fuses_statistics() || !self.is_only_reader(i, map) {
            return false;
        }
        let (cpu, step, channels) = (
            self.cpu,
            self.steps.len(),
            self.graph.nodes[i].shape.channels,
        );
        let Some((convolution, reaches_back)) = self.convolution_before(map, channels) else {
            return false;
        };
        let inputs = reaches_back.then_some(&convolution.input_gradient);
        let pass = conv::JointGradients::new(cpu, &convolution.weight_gradient, inputs);
        convolution.joint = pass.map(|pass| Joint { pass, step });
        convolution.joint.is_some()
    }

    /// The convolution that writes `map` of so many channels, if that is what a batch normalisation reads; and whether its input has a
    /// gradient.
    fn convolution_before(
        &mut self,
        map: usize,
        channels: usize,
    ) -> Option<(&mut Convolution, bool)> {
        let writer = self.steps.iter_mut().find(|step| step.output == map)?;
        let reaches_back = writer.inputs[0] != 0;
        let Kind::Convolution(convolution) = &mut writer.kind else {
            return None;
        };
        let is_plain = convolution.activation == Activation::Identity
            && convolution.geometry.output[2] == channels
            && !convolution.pooled;
        is_plain.then_some((convolution, reaches_back))
    }

    /// A step that writes the border, where it does not hold zeros.
    fn pad(
        &mut self,
        node: &Node,
        input: usize,
        from: Shape,
        settings: &network::Convolution,
    ) -> (usize, Shape) {
        let mode = match settings.mode {
            layers::PaddingMode::Zeros => return (input, from),
            layers::PaddingMode::Constant(value) => PaddingMode::Constant(value),
            layers::PaddingMode::Reflect => PaddingMode::Reflect,
            layers::PaddingMode::Replicate => PaddingMode::Replicate,
            layers::PaddingMode::Circular => PaddingMode::Circular,
        };
        let [top, left, bottom, right] = settings.padding;
        let padded = Shape::new(
            from.height + top + bottom,
            from.width + left + right,
            from.channels,
        );
        let padding = Padding {
            batch: self.settings.batch,
            input: dimensions(from),
            output: dimensions(padded),
            before: [top, left],
            mode,
        };
        let map = self.new_map(padded);
        self.steps.push(Step {
            name: format!("{} (padding)", node.name),
            first_layer: node.name.clone(),
            kind: Kind::Pad(padding),
            inputs: vec![input],
            output: map,
            backward: Backward::default(),
        });
        (map, padded)
    }

    fn normalisation(&self, i: usize, activation: Activation) -> Normalisation {
        let node = &self.graph.nodes[i];
        let Operation::BatchNorm { epsilon, momentum } = node.operation else {
            unreachable!("called for batch normalisations");
        };
        let range = |role: Role| -> Range<usize> {
            self.parameters
                .range(i, role)
                .expect("a batch normalisation has four tensors")
        };
        Normalisation {
            channels: node.shape.channels,
            epsilon,
            momentum,
            scale: range(Role::Scale),
            shift: range(Role::Shift),
            running_mean: range(Role::RunningMean),
            running_variance: range(Role::RunningVariance),
            is_running: !self.settings.mode.trains() || self.settings.running_statistics,
            add: false,
            activation,
            forward_parts: None,
            backward_parts: None,
            by_reader: false,
            gradient_by_writer: false,
        }
    }

    /// Appends the addition after the last of `nodes`, if that is its only reader and adds one other map, which has been computed, and
    /// that map.
    fn following_add(&self, nodes: &mut Vec<usize>, inputs: &mut Vec<usize>) {
        if self.settings.fuse
            && let Some(last) = nodes.last().copied()
            && let Some(next) = self.only_reader(last)
            && self.graph.nodes[next].operation == Operation::Add
            && let [a, b] = self.graph.nodes[next].inputs[..]
            && let Some(other) = self.map_of[if a == last { b } else { a }]
        {
            nodes.push(next);
            inputs.push(other);
        }
    }

    /// The activation after the last of `nodes`, if that is its only reader and its derivative can be had from its output.
    fn following_activation(&self, mut nodes: Vec<usize>) -> (Activation, Vec<usize>) {
        if self.settings.fuse
            && let Some(next) = nodes.last().and_then(|last| self.only_reader(*last))
            && let Operation::Activation(activation) = self.graph.nodes[next].operation
            && (self.settings.mode == Mode::Inference || activation.follows_from_output())
        {
            nodes.push(next);
            return (activation, nodes);
        }
        (Activation::Identity, nodes)
    }

    /// The max pooling after the last of `nodes` that a convolution can do at its end, if that is its only reader: by 2×2 windows side by
    /// side.
    fn following_pool(&self, nodes: &[usize]) -> Option<usize> {
        let last = *nodes.last()?;
        let next = self.only_reader(last).filter(|_| self.settings.fuse)?;
        let Operation::MaxPool(window) = self.graph.nodes[next].operation else {
            return None;
        };
        let [from, to] = [last, next].map(|node| self.graph.nodes[node].shape);
        // A map of odd size loses its last row or column; where it has a window of its own, that is a step of its own.
        let is_whole = [to.height, to.width] == [from.height / 2, from.width / 2];
        let is_square = window.kernel == [2; 2] && window.stride == [2; 2];
        (is_square && window.padding == [0; 4] && is_whole).then_some(next)
    }

    /// Whether nothing but node `i`, which has no map yet, reads `map`. Several nodes may be one map: they read one another.
    fn is_only_reader(&self, i: usize, map: usize) -> bool {
        let nodes = (0..self.map_of.len()).filter(|node| self.map_of[*node] == Some(map));
        let mut readers = nodes.flat_map(|node| self.readers[node].iter().copied());
        readers.all(|reader| reader == i || self.map_of[reader] == Some(map))
    }

    fn only_reader(&self, i: usize) -> Option<usize> {
        match self.readers[i][..] {
            [reader] => Some(reader),
            _ => None,
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
        pool::Window::new(
            self.settings.batch,
            dimensions(from),
            dimensions(to),
            regions,
        )
        .expect("the layer's rule placed the windows, and the plan's memory was checked")
    }

    fn whole_map(&self, from: Shape) -> pool::Window {
        self.adaptive(from, Shape::new(1, 1, from.channels))
    }

    fn adaptive(&self, from: Shape, to: Shape) -> pool::Window {
        let (batch, regions) = (self.settings.batch, pool::Regions::Adaptive);
        pool::Window::new(batch, dimensions(from), dimensions(to), regions)
            .expect("no side is 0, and the plan's memory was checked")
    }

    fn map(&self, node: usize) -> usize {
        self.map_of[node].expect("inputs come before their readers")
    }

    fn new_map(&mut self, shape: Shape) -> usize {
        self.maps.push(self.settings.batch * shape.len());
        self.maps.len() - 1
    }

    /// Node `i` is its input in other words.
    fn alias(&mut self, i: usize) {
        self.map_of[i] = Some(self.map(self.graph.nodes[i].inputs[0]));
    }

    fn push(&mut self, nodes: Vec<usize>, kind: Kind, inputs: Vec<usize>) {
        let last = *nodes.last().expect("a step stands for at least one node");
        let output = self.new_map(self.graph.nodes[last].shape);
        let names: Vec<&str> = nodes
            .iter()
            .map(|i| self.graph.nodes[*i].name.as_str())
            .collect();
        self.steps.push(Step {
            name: names.join(" + "),
            first_layer: names[0].to_string(),
            kind,
            inputs,
            output,
            backward: Backward::default(),
        });
        nodes.iter().for_each(|i| self.map_of[*i] = Some(output));
    }
}

/// The passes of a convolution.
struct Passes {
    forward: conv::Forward,
    input_gradient: conv::InputGradient,
    weight_gradient: conv::WeightGradient,
}

impl Passes {
    fn plain(
        cpu: &Cpu,
        geometry: conv::Geometry,
        [forward, input, weight]: [Algorithm; 3],
    ) -> Self {
        Self {
            forward: conv::Forward::new(cpu, geometry, forward),
            input_gradient: conv::InputGradient::new(cpu, geometry, input),
            weight_gradient: conv::WeightGradient::new(cpu, geometry, weight),
        }
    }

    /// Has all of them normalise what they read, where they are asked to; false if one cannot.
    fn normalise_input(&mut self, cpu: &Cpu) -> bool {
        self.input_gradient.normalises_mask()
            && self.forward.normalise_input(cpu)
            && self.weight_gradient.normalise_input(cpu)
    }

    /// Those that pool what they write and read pooled gradients, if all can that are needed: for the way back, and for the gradient
    /// of the input.
    fn pooled(
        cpu: &Cpu,
        geometry: conv::Geometry,
        [forward, input, weight]: [Algorithm; 3],
        backward: bool,
        reaches_back: bool,
    ) -> Option<Self> {
        Some(Self {
            forward: conv::Forward::pooled(cpu, geometry, forward)?,
            input_gradient: match backward && reaches_back {
                true => conv::InputGradient::pooled(cpu, geometry, input)?,
                false => conv::InputGradient::new(cpu, geometry, input),
            },
            weight_gradient: match backward {
                true => conv::WeightGradient::pooled(cpu, geometry, weight)?,
                false => conv::WeightGradient::new(cpu, geometry, weight),
            },
        })
    }
}

fn dimensions(shape: Shape) -> [usize; 3] {
    [shape.height, shape.width, shape.channels]
}
