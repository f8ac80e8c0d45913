//! The zoo has exactly the tensors of its PyTorch originals, with the same names and shapes.
use hubel::{
    Network,
    network::{Node, Tensor},
};
use std::collections::{BTreeMap, BTreeSet};

/// A tensor's name and shape in PyTorch's order: OIHW, `[out, in]`.
fn as_in_pytorch(node: &Node, tensor: &Tensor) -> String {
    let shape = match tensor.shape[..] {
        [height, width, inputs, outputs] => vec![outputs, inputs, height, width],
        [inputs, outputs] => vec![outputs, inputs],
        _ => tensor.shape.clone(),
    };
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("{}.{} {}", node.name, tensor.name, shape.join(" "))
}

#[test]
fn the_zoo_has_pytorchs_tensors() {
    let mut expected: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in include_str!("fixtures/zoo_tensors.txt").lines() {
        let (network, tensor) = line
            .split_once(' ')
            .expect("a line is `network tensor shape`");
        expected.entry(network).or_default().insert(tensor.into());
    }
    assert_eq!(expected.len(), 7);
    for (name, expected) in expected {
        let input = Network::usual_input(name).expect("the zoo has it");
        let graph = Network::named(name).unwrap().graph(input, 10).unwrap();
        let found: BTreeSet<String> = (graph.nodes.iter())
            .flat_map(|node| {
                node.tensors
                    .iter()
                    .map(|tensor| as_in_pytorch(node, tensor))
            })
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
