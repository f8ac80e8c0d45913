//! Properties of generated networks.
use proptest::prelude::*;

use super::*;

fn pair() -> impl Strategy<Value = [usize; 2]> {
    [1..9usize, 1..9usize]
}

fn rounds() -> impl Strategy<Value = Round> {
    prop_oneof![Just(Round::Exact), Just(Round::Floor), Just(Round::Ceil)]
}

fn paddings() -> impl Strategy<Value = Padding> {
    prop_oneof![
        Just(Padding::Same),
        (0..5usize).prop_map(Padding::from),
        [0..5usize, 0..5, 0..5, 0..5].prop_map(Padding::from),
    ]
}

fn number() -> impl Strategy<Value = f32> {
    proptest::num::f32::NORMAL | proptest::num::f32::ZERO | proptest::num::f32::SUBNORMAL
}

fn modes() -> impl Strategy<Value = PaddingMode> {
    prop_oneof![
        Just(PaddingMode::Zeros),
        Just(PaddingMode::Reflect),
        Just(PaddingMode::Replicate),
        Just(PaddingMode::Circular),
        number().prop_map(PaddingMode::Constant),
    ]
}

fn convs() -> impl Strategy<Value = Conv> {
    let settings = (1..99usize, pair(), pair(), pair(), 1..4usize);
    (settings, paddings(), any::<bool>(), modes(), rounds()).prop_map(
        |((filters, kernel, stride, dilation, groups), padding, bias, mode, round)| Conv {
            filters,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            bias,
            mode,
            round,
        },
    )
}

fn along_time() -> impl Strategy<Value = Layer> {
    let padding = || {
        let ends = any::<[usize; 2]>().prop_map(TimePadding::Ends);
        prop_oneof![Just(TimePadding::Same), ends]
    };
    let settings = (any::<[usize; 5]>(), padding(), any::<bool>(), rounds());
    let convs = settings.prop_map(
        |([filters, kernel, stride, dilation, groups], padding, bias, round)| {
            Layer::TimeConv(TimeConv {
                filters,
                kernel,
                stride,
                padding,
                dilation,
                groups,
                bias,
                round,
            })
        },
    );
    let settings = (
        any::<[usize; 2]>(),
        padding(),
        any::<Option<bool>>(),
        rounds(),
    );
    let pools = settings.prop_map(|([kernel, stride], padding, count_padding, round)| {
        Layer::TimePool(TimePool {
            kind: match count_padding {
                None => PoolKind::Max,
                Some(count_padding) => PoolKind::Average { count_padding },
            },
            kernel,
            stride,
            padding,
            round,
        })
    });
    prop_oneof![convs, pools]
}

fn layers() -> impl Strategy<Value = Layer> {
    let pools = (any::<Option<bool>>(), pair(), pair(), paddings(), rounds()).prop_map(
        |(count_padding, kernel, stride, padding, round)| Pool {
            kind: count_padding.map_or(PoolKind::Max, |count_padding| PoolKind::Average {
                count_padding,
            }),
            kernel,
            stride,
            padding,
            round,
        },
    );
    let activations = prop_oneof![
        prop::sample::select(vec![
            Activation::Identity,
            Activation::Relu,
            Activation::Relu6,
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Silu,
            Activation::HardSwish,
            Activation::Gelu,
            Activation::HardSigmoid,
            Activation::Mish,
            Activation::Softplus,
            Activation::GeluTanh
        ]),
        number().prop_map(Activation::LeakyRelu),
        number().prop_map(Activation::Elu),
        (number(), number()).prop_map(|(least, most)| Activation::Clip { least, most }),
    ];
    prop_oneof![
        convs().prop_map(Layer::Conv),
        pools.prop_map(Layer::Pool),
        activations.prop_map(Layer::Activation),
        pair().prop_map(Layer::AdaptiveAvgPool),
        pair().prop_map(Layer::AdaptiveMaxPool),
        number().prop_map(Layer::Dropout),
        (number(), number()).prop_map(|(epsilon, momentum)| Layer::BatchNorm { epsilon, momentum }),
        (any::<Option<usize>>(), any::<bool>()).prop_map(|(outputs, bias)| Layer::Linear {
            outputs: outputs.map_or(Outputs::Classes, Outputs::Number),
            bias,
        }),
        number().prop_map(|epsilon| Layer::LayerNorm { epsilon }),
        Just(Layer::layer_norm()),
        (any::<usize>(), number())
            .prop_map(|(groups, epsilon)| Layer::GroupNorm { groups, epsilon }),
        any::<usize>().prop_map(Layer::group_norm),
        any::<bool>().prop_map(|bias| Layer::Scale { bias }),
        (any::<usize>(), any::<usize>())
            .prop_map(|(first, count)| Layer::Channels { first, count }),
        any::<usize>().prop_map(|groups| Layer::Shuffle { groups }),
        Just(Layer::Prelu),
        (pair(), any::<bool>()).prop_map(|(factor, is_bilinear)| Layer::Upsample(Upsample {
            factor,
            interpolation: match is_bilinear {
                true => Interpolation::Bilinear,
                false => Interpolation::Nearest,
            },
        })),
        ([0..5usize, 0..5, 0..5, 0..5], modes())
            .prop_map(|(sides, mode)| Layer::Pad(Pad { sides, mode })),
        Just(Layer::Flatten),
        Just(Layer::MaxOverTime),
        Just(Layer::AvgOverTime),
        any::<usize>().prop_map(Layer::Embedding),
        along_time(),
        Just(Layer::GlobalAvgPool),
        Just(Layer::GlobalMaxPool),
        Just(Layer::batch_norm()),
    ]
}

fn chains() -> impl Strategy<Value = Vec<Item>> {
    let item = |block: BoxedStrategy<Block>| {
        ("[a-zA-Z0-9_.]{0,6}", block).prop_map(|(label, block)| {
            let needs_label = matches!(block, Block::Chain(_));
            let label = if needs_label {
                format!("g{label}")
            } else {
                label
            };
            let label = (!label.is_empty()).then_some(label);
            Item { label, block }
        })
    };
    let leaves = item(layers().prop_map(Block::Layer).boxed());
    let items = leaves.prop_recursive(3, 20, 4, move |inner| {
        let chain = prop::collection::vec(inner.clone(), 1..4);
        let maybe_empty = prop::collection::vec(inner, 0..3);
        let blocks = prop_oneof![
            chain.clone().prop_map(Block::Chain),
            (chain.clone(), maybe_empty.clone())
                .prop_map(|(body, shortcut)| Block::Residual { body, shortcut }),
            (chain.clone(), maybe_empty.clone())
                .prop_map(|(factors, map)| Block::Multiply { map, factors }),
            (chain, maybe_empty).prop_map(|(a, b)| Block::Concat(vec![b, a])),
        ];
        item(blocks.boxed())
    });
    prop::collection::vec(items, 1..5)
}

proptest! {
    #[test]
    fn printed_networks_parse_to_themselves(items in chains()) {
        let network = Network { items };
        prop_assert_eq!(Network::parse(&network.to_string()).unwrap(), network);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(conv|relu|pool|residual|concat|multiply|[\\[\\]()|x:=,. 0-9é\n-]){0,40}") {
        let _ = Network::parse(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn convolutions_agree_with_a_walk_over_the_map(conv in convs(), height in 1..40usize, width in 1..40usize) {
        let input = LayerInput { shape: Shape::new(height, width, 12), vocabulary: None, classes: 10 };
        let resolved = Layer::Conv(conv).resolve(input);
        match resolved {
            Ok(resolved) => {
                let Operation::Conv(found) = resolved.operation else { panic!("a conv is a conv") };
                for (axis, size) in [(0, height), (1, width)] {
                    let padded = found.padding[axis] + size + found.padding[axis + 2];
                    let reach = (conv.kernel[axis] - 1) * conv.dilation[axis] + 1;
                    let starts = (0..padded).step_by(conv.stride[axis]);
                    let whole = starts.clone().filter(|start| start + reach <= padded).count();
                    let ceil = usize::from(conv.round == Round::Ceil);
                    let output = [resolved.shape.height, resolved.shape.width][axis];
                    prop_assert!(output == whole || output == whole + ceil);
                }
            }
            Err(misfit) => {
                // Each suggested setting of this layer is tried, as a user would.
                for way in &misfit.ways_out {
                    let setting = way.split(" gives ").next().unwrap();
                    let text = conv.to_string();
                    let name = setting.split('=').next().unwrap();
                    let rest: Vec<&str> = split_settings(&text).into_iter().filter(|s| !s.starts_with(&format!("{name}="))).collect();
                    let rest = if name == "filters" { &rest[1..] } else { &rest[..] };
                    let mut settings = rest.to_vec();
                    settings.push(setting);
                    let text = format!("conv({})", settings.join(", "));
                    prop_assert!(graph(&text, [height, width, 12]).is_ok(), "{} does not work: {}", way, text);
                }
            }
        }
    }
}

/// `8`, `kernel=(3,4)`, … of `conv(8, kernel=(3,4), …)`.
fn split_settings(text: &str) -> Vec<&str> {
    text["conv(".len()..text.len() - 1].split(", ").collect()
}
