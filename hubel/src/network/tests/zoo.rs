//! The named networks.
use super::*;

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
    // `sum(p.numel() for p in net.parameters())` of the same networks in PyTorch; `mlp` by hand.
    for (name, parameters) in [
        ("lenet5", 61_706),
        ("mnist-cnn", 467_818),
        ("tutorial", 307_498),
        ("vgg16", 14_724_042),
        ("resnet18", 11_181_642),
        ("resnet50", 23_528_522),
        ("mobilenet-v2", 2_236_682),
        // Those of the PyPI package efficientnet-lite-pytorch, whose last layer has 1000 classes.
        ("efficientnet-lite0", 4_652_008 - 990 * 1281),
        ("efficientnet-lite1", 5_416_680 - 990 * 1281),
        ("efficientnet-lite2", 6_092_072 - 990 * 1281),
        ("efficientnet-lite3", 8_197_096 - 990 * 1281),
        ("efficientnet-lite4", 13_006_568 - 990 * 1281),
        (
            "kim2014",
            10_000 * 128 + 128 * 100 * (3 + 4 + 5) + 300 + 3010,
        ),
        ("clip-cnn", 40_410),
        ("sound-cnn", 98_682),
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
            "efficientnet-lite0",
            "_conv_stem.weight _bn0.running_mean _blocks.0._depthwise_conv.weight _blocks.0._bn2.bias _blocks.1._expand_conv.weight \
             _blocks.2._bn0.weight _blocks.15._project_conv.weight _conv_head.weight _bn1.running_var _fc.bias",
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
    assert_eq!(weights(&zoo("efficientnet-lite0")).len(), 296 - 49);
}
