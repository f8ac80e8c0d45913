//! Shapes, sizes that do not fit, initialisation, the summary.
use super::*;

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
  network so far: input 28×28×1 → conv 28×28×32 → relu → maxpool 14×14×32 → [here]";
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
        (
            "pad((0,0,1,8), mode=reflect)",
            "mode=reflect can pad 8 pixels by at most 7, not 8",
        ),
        (
            "pad(9, mode=circular)",
            "mode=circular can pad 8 pixels by at most 8, not 9",
        ),
        ("upsample(0)", "factor must be at least 1"),
        ("upsample(18446744073709551615)", "larger than any memory"),
        ("pad(18446744073709551615)", "too large a number"),
        ("pad(2305843009213693952)", "larger than any memory"),
        ("maxpool(2, padding=2)", "contain only padding"),
        (
            "conv(4)-flatten-residual[linear(144)-relu]",
            "a linear layer after `flatten`, before the residual",
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
        (
            "conv(6)-channels(4, 3)",
            "it takes 3 channels from channel 4 on, and the input has 6, which count from 0\n  ways out: `channels(4, 2)`",
        ),
        ("channels(3, 1)", "the input has 3, which count from 0"),
        ("channels(0, 0)", "at least one channel"),
        ("channels(1, 18446744073709551615)", "the input has 3"),
        (
            "conv(6)-shuffle(4)",
            "6 channels do not divide into 4 groups\n  ways out: `shuffle(3)`",
        ),
        ("shuffle(0)", "3 channels do not divide into 0 groups"),
        (
            "pool-flatten-channels(0, 4)",
            "`channels(0, 4)` before `flatten`, on the channels of the map",
        ),
        ("flatten-shuffle(2)", "PyTorch would take other values"),
        (
            "conv(1)-layernorm",
            "normalising one value gives a constant",
        ),
        ("layernorm(0)", "epsilon must be above 0"),
        (
            "conv(6)-groupnorm(4)",
            "6 channels do not divide into 4 groups\n  ways out: `groupnorm(3)`",
        ),
        ("groupnorm(0)", "3 channels do not divide into 0 groups"),
        ("groupnorm", "it needs the number of groups: `groupnorm(8)`"),
        (
            "GroupNorm(3, 6)",
            "finds the number of channels automatically",
        ),
        ("groupnorm(3, eps=0)", "epsilon must be above 0"),
        (
            "globalavgpool-groupnorm(3)",
            "each of its groups has one value, and normalising one value gives a constant\n  ways out: `groupnorm(1)`",
        ),
        ("flatten-groupnorm(2)", "PyTorch would take other values"),
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
        // The third window would begin in the padding at the end, so PyTorch drops it.
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
fn slopes_begin_at_a_quarter_for_each_channel() {
    let graph = graph("conv(4)-prelu-flatten-linear(classes)", [8, 8, 3]).unwrap();
    assert_eq!(
        graph.nodes[1].tensors[0].initial,
        Initial::HeNormal { fan_in: 27 }
    );
    let slopes = &graph.nodes[2].tensors[0];
    assert_eq!((slopes.len(), slopes.initial), (4, Initial::All(0.25)));
}

#[test]
fn upsampled_maps_see_as_much_as_their_pixels() {
    let sees = |text: &str| {
        let summary = Network::parse(text).unwrap();
        let summary = summary.summary(Shape::new(16, 16, 3), 10).unwrap();
        summary.layers.last().unwrap().receptive_field
    };
    assert_eq!(sees("conv(4)-upsample((2,3))"), [3, 3]);
    assert_eq!(sees("conv(4)-upsample((2,1), mode=bilinear)"), [4, 3]);
    // Three rows of the larger map lie in two of the smaller one.
    assert_eq!(sees("conv(4)-upsample((2,1))-conv(4)"), [4, 5]);
    assert_eq!(sees("maxpool(2)-upsample(2)-conv(4)"), [4, 4]);
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
    // With one channel, both orders are the same.
    graph("flatten-residual[linear(64)]", [8, 8, 1]).unwrap();
    graph("flatten-residual[linear(192)]", [8, 8, 3]).unwrap_err();
}
