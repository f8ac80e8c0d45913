use super::*;
use crate::layers::{Activation, Conv, Outputs, Padding, PaddingMode, Pool, PoolKind, Round};
use proptest::prelude::*;

fn graph(text: &str, input: [usize; 3]) -> Result<Graph> {
    let [height, width, channels] = input;
    Network::parse(text)?.graph(Shape::new(height, width, channels), 10)
}

fn message(text: &str, input: [usize; 3]) -> String {
    graph(text, input).unwrap_err().to_string()
}

fn zoo(name: &str) -> Graph {
    let input = Network::usual_input(name).unwrap();
    Network::named(name).unwrap().graph(input, 10).unwrap()
}

fn weights(graph: &Graph) -> Vec<String> {
    (graph.nodes.iter())
        .flat_map(|node| {
            node.tensors
                .iter()
                .map(|t| format!("{}.{}", node.name, t.name))
        })
        .collect()
}

#[test]
fn zoo_networks_have_exactly_the_parameters_of_their_origin() {
    // `sum(p.numel() for p in net.parameters())` of shared/peers/nets.py; `mlp` by hand.
    for (name, parameters) in [
        ("lenet5", 61_706),
        ("mnist-cnn", 467_818),
        ("tutorial", 307_498),
        ("vgg16", 14_724_042),
        ("resnet18", 11_181_642),
        ("resnet50", 23_528_522),
        ("mobilenet-v2", 2_236_682),
        ("mlp", 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10),
    ] {
        assert_eq!(zoo(name).parameters(), parameters, "{name}");
        assert_eq!(zoo(name).output().shape, Shape::new(1, 1, 10), "{name}");
    }
}

#[test]
fn zoo_networks_have_torchvision_names() {
    for (name, expected) in [
        (
            "resnet18",
            "layer1.0.conv1.weight layer2.0.downsample.0.weight layer4.1.bn2.running_var fc.weight bn1.bias",
        ),
        (
            "resnet50",
            "layer1.0.conv3.weight layer1.0.downsample.1.weight layer3.5.bn3.bias fc.bias conv1.weight",
        ),
        (
            "mobilenet-v2",
            "features.0.0.weight features.1.conv.0.0.weight features.1.conv.1.weight features.1.conv.2.bias \
             features.2.conv.1.0.weight features.2.conv.3.running_mean features.18.1.weight classifier.1.weight",
        ),
        (
            "lenet5",
            "0.weight 0.bias 3.weight 7.weight 9.weight 11.bias",
        ),
    ] {
        let found = weights(&zoo(name));
        for tensor in expected.split_whitespace() {
            assert!(
                found.iter().any(|known| known == tensor),
                "{name} lacks {tensor}: {found:?}"
            );
        }
    }
    assert_eq!(
        weights(&zoo("resnet18")).len(),
        122 - 20,
        "state_dict without num_batches_tracked"
    );
    assert_eq!(weights(&zoo("mobilenet-v2")).len(), 314 - 52);
}

#[test]
fn the_text_is_forgiving_about_case_separators_and_usual_names() {
    let network =
        Network::parse("conv(8, padding=1)-relu-maxpool(2)-flatten-linear(classes)").unwrap();
    for text in [
        "Conv(8,padding=1) ReLU Pool FLATTEN FC(Classes)",
        "conv(8, 3, 1, 1), relu, max_pool2d(2), flatten, fc(classes)",
        " [conv( 8 , kernel=(3,3), padding=(1,1,1,1) )] - relu -pool\n- flatten - linear(outputs=classes) ",
    ] {
        assert_eq!(Network::parse(text).unwrap(), network, "{text}");
    }
}

#[test]
fn a_number_without_a_name_does_not_slide_into_the_next_setting() {
    for text in [
        "Conv2d(3, out_channels=32, kernel_size=3, padding=1)",
        "maxpool(2, kernel=3)",
        "conv(16, filters=8)",
        "Linear(784, out_features=10)",
    ] {
        let error = Network::parse(text).expect_err(text).to_string();
        assert!(error.contains("given twice"), "{error}");
    }
}

#[test]
fn torch_s_names_of_settings_mean_what_they_mean_there() {
    for (torch, hubel) in [
        (
            "MaxPool2d(3, stride=2, ceil_mode=True)",
            "maxpool(3, stride=2, round=ceil)",
        ),
        (
            "MaxPool2d(kernel_size=2, ceil_mode=False)",
            "maxpool(2, round=floor)",
        ),
        (
            "AvgPool2d(3, 2, 1, count_include_pad=False)",
            "avgpool(3, stride=2, padding=1, count_padding=false)",
        ),
        ("Dropout(p=0.25)", "dropout(0.25)"),
        ("LeakyReLU(negative_slope=0.2)", "leakyrelu(0.2)"),
        (
            "AdaptiveAvgPool2d(output_size=(3, 2))",
            "adaptiveavgpool((3,2))",
        ),
        (
            "Linear(out_features=10, bias=False)",
            "linear(10, bias=false)",
        ),
        (
            "Conv2d(out_channels=8, kernel_size=5, padding_mode=reflect)",
            "conv(8, kernel=5, mode=reflect)",
        ),
        (
            "BatchNorm2d(eps=0.001, momentum=0.3)",
            "batchnorm(0.001, 0.3)",
        ),
    ] {
        let read = Network::parse(torch).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read, Network::parse(hubel).unwrap(), "{torch}");
    }
}

#[test]
fn repeats_are_written_out() {
    let once = "conv(32, padding=same)-relu-conv(32, padding=same)-relu-pool";
    let repeated = Network::parse(&format!("[{once}]x3-flatten-fc(classes)")).unwrap();
    let written = Network::parse(&format!("{once}-{once}-{once}-flatten-linear(classes)")).unwrap();
    assert_eq!(repeated, written);
    let graph = graph(
        "a: [conv(4, padding=1)-relu]x2 residual[conv(4, padding=1)]x2",
        [8, 8, 3],
    )
    .unwrap();
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "", "a.0", "a.1", "a.2", "a.3", "1.body.0", "1", "2.body.0", "2"
        ]
    );
}

#[test]
fn mistakes_are_shown_with_a_caret() {
    for (text, expected) in [
        (
            "relu-Conv2d(1, 8, 3)",
            "begins with the input's channels, which hubel sees by itself: leave the first number out and name the others, \
             as in `conv(8, kernel=3)`\n  relu-Conv2d(1, 8, 3)\n              ^",
        ),
        ("conv2d(3, 64, kernel_size=7, stride=2)", "as in `conv(64)`"),
        ("BatchNorm2d(64)", "leave the number of channels out"),
        ("batchnorm(64)", "leave the number of channels out"),
        ("AvgPool2d(3, 2, 1, true)", "`round=ceil`"),
        ("maxpool2d(3, 2, 1, 1)", "`round=ceil`"),
        ("Linear(128, 10)", "leave it out: `linear(10)`"),
        (
            "linear(in_features=128, out_features=10)",
            "leave `in_features` out",
        ),
        ("conv(8, in_channels=3)", "leave `in_channels` out"),
        ("BatchNorm2d(num_features=8)", "leave `num_features` out"),
        ("ReLU(inplace=True)", "leave `inplace` out"),
        ("Dropout2d(0.5)", "drops whole channels"),
        (
            "maxpool(2, ceil_mode=yes)",
            "`ceil_mode` must be true or false",
        ),
        (
            "conv(8)-rellu",
            "there is no layer `rellu`; did you mean `relu`?\n  conv(8)-rellu\n          ^^^^^",
        ),
        (
            "conv(8, kernl=3)",
            "unknown setting `kernl`; did you mean `kernel`?\n  conv(8, kernl=3)\n          ^^^^^^^",
        ),
        (
            "conv()",
            "needs the number of its filters\n  conv()\n  ^^^^",
        ),
        (
            "conv(-3)",
            "`filters` must be a number\n  conv(-3)\n       ^^",
        ),
        (
            "relu-[conv(3)",
            "this `[` is never closed\n  relu-[conv(3)\n       ^",
        ),
        ("relu-conv(3", "this `(` is never closed"),
        ("relu]", "this `]` closes nothing\n  relu]\n      ^"),
        ("relu|relu", "`|` separates branches"),
        ("[relu]x0", "at least 1\n  [relu]x0\n        ^^"),
        ("[[relu]x9999]x9999", "more than 10000 layers"),
        ("concat[relu||||]x2500", "more than 10000 layers"),
        ("residual[]", "`residual[ body ]`"),
        ("concat[relu]", "two branches"),
        ("dropout(0.5, 0.5)", "too many"),
        ("relu(1)", "it takes no settings"),
        ("conv(3, kernel=3, kernel=4)", "given twice"),
        ("", "no layer in it"),
        ("löwe", "there is no layer `löwe`"),
        (
            "relu-→relu",
            "the name of a layer is missing here\n  relu-→relu\n       ^",
        ),
    ] {
        let error = Network::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}:\n{error}");
    }
    assert!(Network::parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn unknown_names_get_the_nearest() {
    let error = |name| Network::resolve(name).unwrap_err().to_string();
    assert_eq!(
        error("resnet81"),
        "there is no network `resnet81`; did you mean `resnet18`?"
    );
    assert!(error("mobilenetv2").contains("`mobilenet-v2`"));
    assert!(error("alexandria").contains("known names: lenet5"));
    assert!(error("conv(3)-rellu").contains("`relu`"));
    // One word may be a layer as well as a network.
    let layer = error("rellu");
    assert!(layer.contains("did you mean `relu`? The networks by name are lenet5, mnist-cnn"));
    assert!(layer.ends_with("\n  rellu\n  ^^^^^"), "{layer}");
    assert!(error("conv").contains("`conv` needs the number of its filters"));
    assert_eq!(
        Network::resolve("LeNet5").unwrap(),
        Network::named("lenet5").unwrap()
    );
    assert!(Network::resolve("flatten").is_ok());
}

#[test]
fn a_size_that_is_not_whole_is_refused_with_ways_out() {
    let error = message(
        "conv(32, padding=1)-relu-pool-conv(64, kernel=5, stride=2)",
        [28, 28, 1],
    );
    let expected = "layer 3 `conv(64, kernel=5, stride=2)` does not fit its input 14×14×32
  output height = (14 + 2·0 − 5)/2 + 1 = 5.5, which is not a whole number
  output width = (14 + 2·0 − 5)/2 + 1 = 5.5, which is not a whole number
  ways out: padding=(0,1,0,1) gives 6; kernel=4 gives 6; round=floor gives 5 and drops the last row and column
  network so far: image 28×28×1 → conv 28×28×32 → relu → maxpool 14×14×32 → [here]";
    assert_eq!(error, expected);
}

#[test]
fn impossible_layers_are_refused_by_name() {
    for (text, expected) in [
        ("relu-conv(4, kernel=9)", "layer 1 `conv(4, kernel=9)`"),
        (
            "conv(4, kernel=9)",
            "kernel height 9 is larger than the padded input's 8\n  ways out: padding=1 gives 2; kernel=8 gives 1",
        ),
        (
            "conv(4, stride=0)",
            "stride must be at least 1\n  ways out: stride=1 gives 6",
        ),
        ("maxpool(0)", "kernel must be at least 1"),
        (
            "conv(4, groups=2)",
            "3 input channels do not divide into 2 groups\n  ways out: groups=1 gives 6",
        ),
        (
            "conv(4, groups=3)",
            "4 filters do not divide into 3 groups\n  ways out: groups=1 gives 6; filters=6 gives 6",
        ),
        ("conv(0)", "at least 1 filter"),
        ("conv(4, groups=0)", "groups must be at least 1"),
        (
            "conv(4, padding=18446744073709551615)",
            "too large a number",
        ),
        (
            "conv(4, kernel=9223372036854775807, dilation=9)",
            "too large a number",
        ),
        (
            "conv(4, padding=2305843009213693952)",
            "larger than any memory",
        ),
        ("conv(18446744073709551615)", "larger than any memory"),
        (
            "flatten-[linear(1073741824)]x3",
            "up to it, the network's weights are larger than any memory",
        ),
        (
            "conv(4, padding=8, mode=reflect)",
            "mode=reflect can pad 8 pixels by at most 7, not 8\n  ways out: mode=replicate",
        ),
        ("maxpool(2, padding=2)", "nothing but padding"),
        (
            "conv(4)-flatten-residual[linear(144)-relu]",
            "a linear layer behind `flatten`, before the residual",
        ),
        (
            "conv(4, kernel=9223372036854775808)",
            "ways out: kernel=8 gives 1",
        ),
        ("maxpool(18446744073709551615)", "too large a number"),
        (
            "maxpool(2, stride=4)",
            "ways out: kernel=4 with stride=4 gives 2; round=floor gives 2 and drops the last 2 rows and columns",
        ),
        (
            "linear(10)",
            "8×8×3 is a map\n  ways out: `flatten` before it gives it 192 inputs",
        ),
        ("flatten-linear(0)", "at least 1 output"),
        ("dropout(1)", "below 1"),
        ("adaptiveavgpool(0)", "at least 1×1 regions"),
        (
            "residual[conv(4, stride=2, padding=1, round=floor)]",
            "the body gives 4×4×4, the shortcut 8×8×3\n  ways out: the shortcut `residual[ … | conv(4, kernel=1, stride=2, round=floor) ]` gives 4×4×4",
        ),
        ("concat[pool | relu]", "must agree in height and width"),
        ("0: relu-a: relu-a: relu", "two layers are named `a`"),
    ] {
        let error = message(text, [8, 8, 3]);
        assert!(error.contains(expected), "{text}:\n{error}");
    }
    let error = graph("relu", [0, 8, 3]).unwrap_err().to_string();
    assert!(error.contains("0×8×3"), "{error}");
}

#[test]
fn rounding_follows_pytorch() {
    for (text, side) in [
        ("maxpool(3, stride=2, round=floor)", 3),
        ("maxpool(3, stride=2, round=ceil)", 4),
        // The third window would begin in the padding at the end: PyTorch drops it.
        ("maxpool(2, stride=3, padding=1, round=ceil)", 4 - 1),
        ("conv(1, stride=2, padding=same)", 4),
        ("conv(1, kernel=4, padding=same)", 8),
        ("adaptiveavgpool(3)", 3),
        ("globalmaxpool", 1),
    ] {
        let shape = graph(text, [8, 8, 3]).unwrap().output().shape;
        assert_eq!([shape.height, shape.width], [side; 2], "{text}");
    }
}

#[test]
fn weights_begin_as_the_activation_behind_them_asks() {
    let text = "conv(4, padding=1)-batchnorm-relu-residual[conv(4, padding=1, groups=2)]-tanh-flatten-linear(classes)";
    let graph = graph(text, [8, 8, 3]).unwrap();
    let initial =
        |graph: &Graph, node: usize, tensor: usize| graph.nodes[node].tensors[tensor].initial;
    assert_eq!(initial(&graph, 1, 0), Initial::HeNormal { fan_in: 27 });
    assert_eq!(initial(&graph, 1, 1), Initial::Zero);
    assert_eq!(initial(&graph, 2, 0), Initial::One);
    assert_eq!(
        initial(&graph, 4, 0),
        Initial::XavierNormal {
            fan_in: 18,
            fan_out: 18
        }
    );
    let graph = graph.with_initialisation(Initialisation::PyTorch);
    assert_eq!(
        initial(&graph, 8, 1),
        Initial::Uniform { bound: 1.0 / 16.0 }
    );
    assert_eq!(initial(&graph, 2, 3), Initial::One);
}

#[test]
fn a_summary_counts_costs_and_dropped_rows() {
    let network = Network::parse(
        "conv(6, kernel=5, padding=2)-relu-maxpool(3, round=floor)-flatten-linear(10)",
    )
    .unwrap();
    let summary = network.summary(Shape::new(28, 28, 1), 10).unwrap();
    let pool = &summary.layers[2];
    assert_eq!(summary.layers[0].multiply_adds, 28 * 28 * 6 * 25);
    assert_eq!(summary.layers[0].receptive_field, [5, 5]);
    assert_eq!(
        (pool.receptive_field, pool.dropped, pool.bytes),
        ([7, 7], [1, 1], 9 * 9 * 6 * 4)
    );
    assert_eq!(
        pool.formula.as_deref(),
        Some("(28 + 2·0 − 3)/3 + 1 = 9.33 → 9")
    );
    assert_eq!(summary.layers[4].receptive_field, [31, 31]);
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["layers"][0]["output"], serde_json::json!([28, 28, 6]));
    assert_eq!(json["parameters"], 156 + 4870);
    let table = summary.to_string();
    assert!(
        table.contains("(drops 1 row, 1 column)") && table.contains("5,026 parameters"),
        "{table}"
    );
    // 1.81 G for ResNet-18, 0.30 G for MobileNet-V2 (torchvision's documentation gives them as "GFLOPS").
    let costs = |name: &str| Summary::new(&zoo(name)).multiply_adds;
    assert_eq!(costs("resnet18") / 1_000_000, 1813);
    assert_eq!(costs("mobilenet-v2") / 1_000_000, 299);
}

#[test]
fn flattened_channels_know_their_maps() {
    let text = "concat[pool-flatten-relu | globalavgpool]-batchnorm-linear(classes)";
    let graph = graph(text, [8, 8, 3]).unwrap();
    let linear = graph.nodes.len() - 1;
    let maps = graph.flattened_maps(graph.nodes[linear].inputs[0]);
    assert_eq!(maps, [Shape::new(4, 4, 3), Shape::new(1, 1, 3)]);
    assert_eq!(graph.flattened_maps(linear), [Shape::new(1, 1, 10)]);
}

#[test]
fn rows_are_added_where_pytorch_adds_the_same_pairs() {
    for text in [
        "flatten-linear(144)-residual[linear(144)-relu]-linear(classes)",
        "flatten-residual[relu]-linear(classes)",
        "globalavgpool-residual[flatten-linear(3)]-linear(classes)",
    ] {
        graph(text, [8, 8, 3]).unwrap();
    }
    // One channel lies in the same order everywhere.
    graph("flatten-residual[linear(64)]", [8, 8, 1]).unwrap();
    graph("flatten-residual[linear(192)]", [8, 8, 3]).unwrap_err();
}

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

fn convs() -> impl Strategy<Value = Conv> {
    let modes = prop_oneof![
        Just(PaddingMode::Zeros),
        Just(PaddingMode::Reflect),
        Just(PaddingMode::Replicate),
        Just(PaddingMode::Circular),
        number().prop_map(PaddingMode::Constant),
    ];
    let settings = (1..99usize, pair(), pair(), pair(), 1..4usize);
    (settings, paddings(), any::<bool>(), modes, rounds()).prop_map(
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
            Activation::Gelu
        ]),
        number().prop_map(Activation::LeakyRelu),
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
        Just(Layer::Flatten),
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
    fn no_text_makes_the_parser_panic(text in "(conv|relu|pool|residual|concat|[\\[\\]()|x:=,. 0-9é\n-]){0,40}") {
        let _ = Network::parse(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn convolutions_agree_with_a_walk_over_the_map(conv in convs(), height in 1..40usize, width in 1..40usize) {
        let resolved = Layer::Conv(conv).resolve(Shape::new(height, width, 12), 10);
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
                // Every way out that is a setting of this layer is tried once more, as a user would.
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
