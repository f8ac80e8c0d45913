//! Whole plans of generated networks: what is computed together is what is computed step by step, forward and backward.
use hubel_kernels::InstructionSet;
use proptest::prelude::*;

use super::*;
use crate::layers::{
    Activation, Conv, Layer, Padding, PaddingMode, Pool, PoolKind, Round, TimeConv, TimePadding,
    TimePool,
};
use crate::{Network, Shape, Workspace};

/// A layer of a chain, before the map that it reads is known.
#[derive(Clone, Debug)]
enum Link {
    Layer(Layer),
    /// As many groups as the map has channels, or two, with as many filters as the settings say times that.
    Grouped(Conv, bool),
    /// A 1×1 convolution that keeps the shape, with a batch norm behind it, and the map added.
    Residual,
}

/// A large epsilon, for a channel whose numbers are nearly alike would make much of what is rounded otherwise.
const NORM: Layer = Layer::BatchNorm {
    epsilon: 0.1,
    momentum: 0.1,
};

/// An image, a chain of layers, and how many images make a step.
#[derive(Clone, Debug)]
struct Problem {
    image: Shape,
    links: Vec<Link>,
    batch: usize,
    set: InstructionSet,
}

/// Few as often as many.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![1..=5usize, 1..=40usize]
}

fn convs() -> impl Strategy<Value = Conv> {
    let pair = |most: usize| prop_oneof![2 => Just([1, 1]), 1 => [1..=most, 1..=most]];
    let paddings = prop_oneof![
        Just(Padding::Same),
        Just(Padding::from(1)),
        [0..3usize, 0..3, 0..3, 0..3].prop_map(Padding::from),
    ];
    let modes = prop_oneof![
        4 => Just(PaddingMode::Zeros),
        1 => prop::sample::select(vec![
            PaddingMode::Reflect,
            PaddingMode::Replicate,
            PaddingMode::Circular,
            PaddingMode::Constant(0.5),
        ]),
    ];
    let kernels = prop_oneof![Just([1, 1]), Just([3, 3]), [1..=5usize, 1..=5usize]];
    let settings = (channels(), kernels, pair(3), pair(2), any::<bool>());
    (settings, paddings, modes).prop_map(
        |((filters, kernel, stride, dilation, bias), padding, mode)| Conv {
            kernel,
            stride,
            dilation,
            padding,
            bias,
            mode,
            round: Round::Floor,
            ..Conv::new(filters)
        },
    )
}

fn pools() -> impl Strategy<Value = Layer> {
    let settings = (
        any::<bool>(),
        prop_oneof![Just([2, 2]), [1..=3usize, 1..=3usize]],
        prop_oneof![Just([2, 2]), [1..=3usize, 1..=3usize]],
        0..2usize,
        any::<bool>(),
    );
    settings.prop_map(|(is_max, kernel, stride, padding, up)| {
        let count_padding = true;
        Layer::Pool(Pool {
            kind: match is_max {
                true => PoolKind::Max,
                false => PoolKind::Average { count_padding },
            },
            kernel,
            stride,
            padding: padding.into(),
            round: if up { Round::Ceil } else { Round::Floor },
        })
    })
}

/// Layers along time; of a single picture those with a window of 1 or with padding fit.
fn along_time() -> impl Strategy<Value = Layer> {
    let settings = (channels(), 1..=3usize, 1..=2usize, any::<bool>());
    let convs = settings.prop_map(|(filters, kernel, stride, is_same)| {
        Layer::TimeConv(TimeConv {
            kernel,
            stride,
            padding: match is_same {
                true => TimePadding::Same,
                false => TimePadding::default(),
            },
            round: Round::Floor,
            ..TimeConv::new(filters)
        })
    });
    let pools = (any::<bool>(), 1..=2usize).prop_map(|(is_max, kernel)| {
        let count_padding = false;
        let kind = match is_max {
            true => PoolKind::Max,
            false => PoolKind::Average { count_padding },
        };
        Layer::TimePool(TimePool {
            round: Round::Ceil,
            ..TimePool::new(kind, kernel)
        })
    });
    let over = prop::sample::select(vec![Layer::MaxOverTime, Layer::AvgOverTime]);
    prop_oneof![4 => convs, 1 => pools, 1 => over]
}

fn links() -> impl Strategy<Value = Link> {
    let activations = prop::sample::select(vec![
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu(0.1),
        Activation::Tanh,
        Activation::Silu,
    ]);
    prop_oneof![
        4 => convs().prop_map(|conv| Link::Layer(Layer::Conv(conv))),
        1 => (convs(), any::<bool>()).prop_map(|(conv, all)| Link::Grouped(conv, all)),
        4 => Just(Link::Layer(NORM)),
        3 => activations.prop_map(|activation| Link::Layer(Layer::Activation(activation))),
        2 => pools().prop_map(Link::Layer),
        2 => along_time().prop_map(Link::Layer),
        1 => Just(Link::Residual),
    ]
}

/// Links of all kinds.
fn chains() -> impl Strategy<Value = Vec<Link>> {
    prop::collection::vec(links(), 1..8)
}

/// A few channels, a convolution of one tap that may have zeros around its map, and a batch norm, with anything behind them.
fn few_channels() -> impl Strategy<Value = Vec<Link>> {
    let first = (convs(), 1..=5usize).prop_map(|(conv, filters)| Conv {
        filters,
        stride: [1, 1],
        ..conv
    });
    let second = (convs(), 0..3usize, 0..3usize).prop_map(|(conv, rows, columns)| Conv {
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [rows, rows, columns, columns].into(),
        mode: PaddingMode::Zeros,
        ..conv
    });
    let rest = prop::collection::vec(links(), 0..4);
    (first, second, rest).prop_map(|(first, second, rest)| {
        let convs = [first, second].map(|conv| Link::Layer(Layer::Conv(conv)));
        let all = convs.into_iter().chain([Link::Layer(NORM)]).chain(rest);
        all.collect()
    })
}

fn problems() -> impl Strategy<Value = Problem> {
    let times = prop_oneof![3 => Just(1), 1 => 2..=4usize];
    // Some passes are joined for large maps only.
    let sides = prop_oneof![
        [1..=9usize, 1..=9usize],
        [22..=28usize, 22..=28usize],
        [1..=28usize, 1..=28usize],
    ];
    (
        (sides, channels(), times),
        prop_oneof![chains().boxed(), few_channels().boxed()],
        prop_oneof![2 => Just(1), 1 => 2..=3usize, 1 => 9..=11usize],
        prop::sample::select(InstructionSet::available()),
    )
        .prop_map(
            |(([height, width], channels, times), links, batch, set)| Problem {
                image: Shape::new(height, width, channels).over(times),
                links,
                batch,
                set,
            },
        )
}

impl Link {
    /// The text of the layer for a map of so many channels.
    fn text(&self, channels: usize) -> String {
        match self {
            Self::Layer(layer) => layer.to_string(),
            Self::Grouped(conv, all) => {
                let groups = if *all { channels } else { 2 };
                let filters = groups * conv.filters.div_ceil(groups);
                Conv {
                    groups,
                    filters,
                    ..*conv
                }
                .to_string()
            }
            Self::Residual => {
                format!("residual[conv({channels}, kernel=1)-batchnorm(epsilon=0.1)]")
            }
        }
    }
}

impl Problem {
    /// The network of those layers that fit what stands before them.
    fn graph(&self) -> (String, Graph) {
        let whole = |text: &str| {
            let network = Network::parse(&format!("{text}flatten-fc(classes)")).unwrap();
            network.graph(self.image, 3)
        };
        let mut text = String::new();
        let mut graph = whole(&text).unwrap();
        for link in &self.links {
            // The last two nodes are the row and the logits.
            let channels = graph.nodes[graph.nodes.len() - 3].shape.channels;
            let longer = format!("{text}{}-", link.text(channels));
            if let Ok(found) = whole(&longer) {
                (text, graph) = (longer, found);
            }
        }
        (text, graph)
    }

    /// Logits, gradients, and weights with the new running statistics; `seed` is that of weights and pixels.
    fn run(
        &self,
        graph: &Graph,
        mode: Mode,
        fuse: bool,
        threads: usize,
        seed: u64,
    ) -> [Vec<f32>; 3] {
        let cpu = Cpu::new(self.set, threads);
        let mut parameters = Parameters::initial(graph, seed).unwrap();
        for (i, value) in parameters.values_mut().iter_mut().enumerate() {
            *value += 0.1 + 0.1 * (i as f32 * 0.37).sin();
        }
        let settings = PlanSettings {
            mode,
            fuse,
            ..PlanSettings::training(self.batch)
        };
        let plan = Plan::compile(graph, &parameters, &cpu, settings).unwrap();
        let mut workspace = Workspace::new(&plan);
        for (i, pixel) in workspace.images_mut().iter_mut().enumerate() {
            *pixel = ((i as f32 + 0.3 * seed as f32) * 12.9898).sin();
        }
        plan.pack(&cpu, &parameters, &mut workspace);
        plan.forward(&cpu, &parameters, &mut workspace, 0);
        let logits = plan.logits(&workspace).to_vec();
        if mode == Mode::Training {
            let labels: Vec<u32> = (0..self.batch as u32).map(|i| i % 3).collect();
            plan.loss(&mut workspace, &labels, 0.0, None);
            plan.backward(&cpu, &parameters, &mut workspace, 0);
            plan.update_running_statistics(&mut parameters, &workspace);
        }
        let gradient = workspace.parameter_gradient().to_vec();
        [logits, gradient, parameters.values().to_vec()]
    }

    /// How far the fused plan is from the other, as a share of the largest number.
    fn distance(&self, graph: &Graph, mode: Mode, seed: u64) -> f32 {
        let [one, three] = [1, 3].map(|threads| self.run(graph, mode, true, threads, seed));
        assert!(one == three, "other bits by three threads than by one");
        let plain = self.run(graph, mode, false, 1, seed);
        let distances = one.iter().zip(&plain).map(|(fused, plain)| {
            assert_eq!(fused.len(), plain.len());
            let largest = plain.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
            let each = fused.iter().zip(plain).map(|(a, b)| (a - b).abs());
            // By the order in which a NaN is largest.
            each.max_by(f32::total_cmp).unwrap_or(0.0) / largest
        });
        distances.max_by(f32::total_cmp).unwrap_or(0.0)
    }
}

/// Rounding in another order, through all layers. Sums over 20,000 pixels in a row reach 1.4e-4; a fault is far larger.
const TOLERANCE: f32 = 3e-4;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_fused_plan_computes_what_its_steps_compute_one_by_one(problem in problems()) {
        let (text, graph) = problem.graph();
        for mode in [Mode::Inference, Mode::Training] {
            // Rounded otherwise, a number may lie on the other side of a ReLU's kink, and another one of a window be the largest: that
            // happens for one seed. A fault shows for every one.
            let distances = (1..=3).map(|seed| problem.distance(&graph, mode, seed));
            let near = |distance: &f32| *distance <= TOLERANCE;
            let far: Vec<f32> = distances.take_while(|distance| !near(distance)).collect();
            prop_assert!(far.len() < 3, "{mode:?} of {text}: {far:?}");
        }
    }
}
