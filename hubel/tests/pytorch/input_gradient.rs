//! The gradient by the input of one layer. A plan never computes it for the image, so the kernels are called here.
use hubel::layers::PaddingMode;
use hubel::network::{Convolution, Graph, Operation, Role};
use hubel::{Cpu, Parameters, Shape};
use hubel_kernels::conv::{
    Algorithm, Fused, Geometry, GradientEpilogue, InputGradient, InputGradientOperands,
    OutputGradient, Settings,
};
use hubel_kernels::group_norm::{GroupNorm, Groups};
use hubel_kernels::layer_norm::LayerNorm;
use hubel_kernels::pool::{Pooling, Regions, Window};
use hubel_kernels::prelu::Prelu;
use hubel_kernels::scale::Scale;
use hubel_kernels::selection::Selection;
use hubel_kernels::upsample::Upsampling;
use hubel_kernels::{activation, batch_norm, pad, pool};

pub(crate) struct Run<'a> {
    pub(crate) cpu: &'a Cpu,
    pub(crate) parameters: &'a Parameters,
    pub(crate) batch: usize,
    pub(crate) input: &'a [f32],
    pub(crate) output: &'a [f32],
    pub(crate) output_gradient: &'a [f32],
}

/// The gradient by the image for the first layer of `graph`, by each available algorithm.
pub(crate) fn input_gradients(graph: &Graph, run: &Run) -> Vec<Vec<f32>> {
    let (from, node) = (graph.nodes[0].shape, &graph.nodes[1]);
    let pooling = |regions| {
        let window = Window::new(run.batch, sides(from), sides(node.shape), regions);
        Pooling::new(window.expect("the layer's rule placed the windows"))
    };
    let sliding = |window: hubel::network::Window, count_padding| Regions::Sliding {
        kernel: window.kernel,
        stride: window.stride,
        padding: window.padding,
        count_padding,
    };
    match &node.operation {
        Operation::Conv(settings) => run.convolution(settings, from, node.shape),
        Operation::Linear { outputs, bias } => {
            let settings = Convolution {
                filters: *outputs,
                kernel: [1; 2],
                stride: [1; 2],
                dilation: [1; 2],
                groups: 1,
                padding: [0; 4],
                mode: PaddingMode::Zeros,
                bias: *bias,
            };
            run.convolution(&settings, from, node.shape)
        }
        Operation::MaxPool(settings) => vec![run.maximum(&pooling(sliding(*settings, false)))],
        Operation::GlobalMaxPool | Operation::AdaptiveMaxPool => {
            vec![run.maximum(&pooling(Regions::Adaptive))]
        }
        Operation::AvgPool {
            window: settings,
            count_padding,
        } => vec![run.average(&pooling(sliding(*settings, *count_padding)))],
        Operation::GlobalAvgPool | Operation::AdaptiveAvgPool => {
            vec![run.average(&pooling(Regions::Adaptive))]
        }
        Operation::BatchNorm { epsilon, .. } => vec![run.normalisation(*epsilon, from.channels)],
        Operation::Activation(function) => {
            let mut gradient = run.zeros();
            let x_or_y = match function.follows_from_output() {
                true => run.output,
                false => run.input,
            };
            let (cpu, function) = (run.cpu, *function);
            activation::backward(
                cpu,
                function,
                x_or_y,
                run.output_gradient,
                &mut gradient,
                false,
            );
            vec![gradient]
        }
        Operation::LayerNorm { epsilon } => {
            let norm = LayerNorm {
                epsilon: *epsilon,
                scale: run.tensor(Role::Scale),
                shift: run.tensor(Role::Shift),
            };
            let mut gradient = run.zeros();
            norm.input_gradient(
                run.cpu,
                run.input,
                run.output_gradient,
                &mut gradient,
                false,
            );
            vec![gradient]
        }
        Operation::Pad {
            sides: [top, left, ..],
            mode,
        } => {
            let padding = pad::Padding {
                batch: run.batch,
                input: sides(from),
                output: sides(node.shape),
                before: [*top, *left],
                mode: border(*mode).unwrap_or(pad::PaddingMode::Constant(0.0)),
            };
            let mut gradient = run.zeros();
            pad::backward(run.cpu, &padding, run.output_gradient, &mut gradient, false);
            vec![gradient]
        }
        Operation::Upsample(upsample) => {
            let upsampling = Upsampling {
                batch: run.batch,
                input: sides(from),
                factor: upsample.factor,
                interpolation: upsample.interpolation,
            };
            let mut gradient = run.zeros();
            upsampling.backward(run.cpu, run.output_gradient, &mut gradient, false);
            vec![gradient]
        }
        Operation::Prelu => {
            let slopes = run.tensor(Role::Slope);
            let mut gradient = run.zeros();
            Prelu { slopes }.input_gradient(
                run.cpu,
                run.input,
                run.output_gradient,
                &mut gradient,
                false,
            );
            vec![gradient]
        }
        Operation::GroupNorm { groups, epsilon } => {
            let norm = GroupNorm {
                groups: Groups {
                    samples: run.batch,
                    pixels: from.height * from.width,
                    channels: from.channels,
                    count: *groups,
                },
                epsilon: *epsilon,
                scale: run.tensor(Role::Scale),
                shift: run.tensor(Role::Shift),
            };
            let (groups, maps) = (norm.groups, [run.input, run.output_gradient]);
            let mut scratch = vec![0.0; groups.scratch_len()];
            norm.gradient_sums(run.cpu, run.input, run.output_gradient, &mut scratch);
            let mut gradient = run.zeros();
            groups.input_gradient(run.cpu, maps, &mut scratch, &mut gradient, false);
            vec![gradient]
        }
        Operation::Scale { .. } => {
            let scale = Scale {
                weight: run.tensor(Role::Scale),
                bias: None,
            };
            let mut gradient = run.zeros();
            scale.input_gradient(run.cpu, run.output_gradient, &mut gradient, false);
            vec![gradient]
        }
        Operation::Channels { first, count } => {
            let taken: Vec<usize> = (*first..first + count).collect();
            vec![run.selection(from.channels, &taken)]
        }
        Operation::Shuffle { groups } => {
            let of_group = from.channels / groups;
            // The first channel of each group, then the second ones.
            let taken = (0..of_group)
                .flat_map(|place| (0..*groups).map(move |group| group * of_group + place));
            vec![run.selection(from.channels, &taken.collect::<Vec<_>>())]
        }
        operation => panic!("no input gradient of {operation:?}"),
    }
}

impl Run<'_> {
    fn zeros(&self) -> Vec<f32> {
        vec![0.0; self.input.len()]
    }

    fn tensor(&self, role: Role) -> &[f32] {
        let entries = self.parameters.entries().iter();
        let mut entries = entries.filter(|entry| entry.role == role);
        self.parameters.tensor(entries.next().unwrap())
    }

    fn convolution(&self, settings: &Convolution, from: Shape, to: Shape) -> Vec<Vec<f32>> {
        let [top, left, bottom, right] = settings.padding;
        let bordered = Shape::new(
            from.height + top + bottom,
            from.width + left + right,
            from.channels,
        );
        let mode = border(settings.mode);
        let read = if mode.is_some() { bordered } else { from };
        let geometry = Geometry::new(Settings {
            batch: self.batch,
            input: sides(read),
            output: sides(to),
            kernel: settings.kernel,
            stride: settings.stride,
            dilation: settings.dilation,
            padding: if mode.is_some() { [0; 2] } else { [top, left] },
            groups: settings.groups,
        })
        .expect("a usual convolution");
        let gradient = |algorithm| {
            let pass = InputGradient::new(self.cpu, geometry, algorithm, Fused::default())?;
            let weights = self.tensor(Role::Weight);
            let mut packed = vec![0.0; pass.packed_len()];
            pass.pack(self.cpu, weights, &mut packed);
            let mut gradient = vec![f32::NAN; self.batch * read.len()];
            let operands = InputGradientOperands {
                output_gradient: OutputGradient::Map(self.output_gradient),
                packed: if packed.is_empty() { weights } else { &packed },
                epilogue: GradientEpilogue::default(),
                input_gradient: &mut gradient,
                scratch: &mut vec![0.0; pass.scratch_len()],
            };
            pass.run(self.cpu, operands);
            let Some(mode) = mode else {
                return Some(gradient);
            };
            let padding = pad::Padding {
                batch: self.batch,
                input: sides(from),
                output: sides(bordered),
                before: [top, left],
                mode,
            };
            let mut inner = self.zeros();
            pad::backward(self.cpu, &padding, &gradient, &mut inner, false);
            Some(inner)
        };
        Algorithm::ORDER.into_iter().filter_map(gradient).collect()
    }

    fn maximum(&self, pooling: &Pooling) -> Vec<f32> {
        let mut output = vec![0.0; self.output.len()];
        let mut index = vec![Default::default(); self.output.len()];
        pool::max_forward(self.cpu, pooling, self.input, &mut output, Some(&mut index));
        let mut gradient = self.zeros();
        let to = &mut gradient;
        pool::max_backward(self.cpu, pooling, &index, self.output_gradient, to, false);
        gradient
    }

    fn average(&self, pooling: &Pooling) -> Vec<f32> {
        let mut gradient = self.zeros();
        pool::average_backward(
            self.cpu,
            pooling,
            self.output_gradient,
            &mut gradient,
            false,
        );
        gradient
    }

    fn selection(&self, total: usize, taken: &[usize]) -> Vec<f32> {
        let mut gradient = self.zeros();
        let selection = Selection::new(total, taken);
        selection.backward(self.cpu, self.output_gradient, &mut gradient, false);
        gradient
    }

    fn normalisation(&self, epsilon: f32, channels: usize) -> Vec<f32> {
        let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
        batch_norm::statistics(self.cpu, self.input, &mut mean, &mut variance);
        let batch = batch_norm::Batch {
            input: self.input,
            mean: &mean,
            variance: &variance,
            epsilon,
            scale: self.tensor(Role::Scale),
            shift: self.tensor(Role::Shift),
        };
        let mut gradient = self.zeros();
        batch_norm::backward(
            self.cpu,
            batch,
            self.output_gradient,
            None,
            &mut vec![0.0; channels],
            &mut vec![0.0; channels],
            &mut vec![0.0; 3 * channels],
        )
        .write(self.cpu, &mut gradient, false);
        gradient
    }
}

/// The values in a padding; `None` for zeros, with which convolutions pad by themselves.
fn border(mode: PaddingMode) -> Option<pad::PaddingMode> {
    match mode {
        PaddingMode::Zeros => None,
        PaddingMode::Constant(value) => Some(pad::PaddingMode::Constant(value)),
        PaddingMode::Reflect => Some(pad::PaddingMode::Reflect),
        PaddingMode::Replicate => Some(pad::PaddingMode::Replicate),
        PaddingMode::Circular => Some(pad::PaddingMode::Circular),
    }
}

fn sides(shape: Shape) -> [usize; 3] {
    [shape.height, shape.width, shape.channels]
}
