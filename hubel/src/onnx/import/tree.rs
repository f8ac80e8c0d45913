//! From the graph of a file to a network: a chain of layers, residual additions, concatenations and products.
use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Draft, Node, Operation};
use crate::network::{Block, Item, Network};

/// A network, and for each node of its graph after the image the draft's node; for a concatenation that the draft does not have, the node before it.
pub(super) struct Tree {
    pub(super) network: Network,
    pub(super) order: Vec<usize>,
}

/// The network of a draft with layers, sums, concatenations and products.
///
/// # Errors
/// The nodes that fit into no such network.
pub(super) fn of(draft: &mut Draft, output: usize, with_labels: bool) -> Result<Tree, Vec<String>> {
    share_concatenations(draft);
    let mut maker = Maker {
        dominators: dominators(draft),
        is_placed: vec![false; draft.nodes.len()],
        draft,
        with_labels,
        depth: 0,
        order: Vec::new(),
        crossing: BTreeSet::new(),
    };
    let items = maker.chain(0, output);
    let (order, crossing) = (maker.order, maker.crossing);
    let crossing = crossing.into_iter().map(|node| {
        format!(
            "{}: its result is read in branches that do not begin and end together; hubel's networks are chains, residual additions, concatenations and products",
            draft.nodes[node].source
        )
    });
    let problems: Vec<String> = crossing.collect();
    match problems.is_empty() {
        true => Ok(Tree {
            network: Network::of_items(items),
            order,
        }),
        false => Err(problems),
    }
}

/// Lets a concatenation read an earlier one that has its first inputs, as in DenseNet: [a, b, c] becomes [[a, b], c].
fn share_concatenations(draft: &mut Draft) {
    let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    for place in 0..draft.nodes.len() {
        let node = &mut draft.nodes[place];
        if node.operation != Operation::Concat {
            continue;
        }
        let own = node.inputs.clone();
        let lengths: BTreeSet<usize> = known.keys().map(Vec::len).collect();
        let shorter = lengths.range(..own.len()).rev();
        let mut shared = shorter.filter_map(|length| Some((*length, *known.get(&own[..*length])?)));
        if let Some((length, earlier)) = shared.next() {
            node.inputs = [&[earlier], &own[length..]].concat();
        }
        known.entry(own).or_insert(place);
    }
}

/// For each node the nearest earlier one through which all ways from the image lead.
fn dominators(draft: &Draft) -> Vec<usize> {
    let mut dominators = vec![0; draft.nodes.len()];
    for (node, own) in draft.nodes.iter().enumerate().skip(1) {
        let inputs = own.inputs.iter().copied();
        dominators[node] = inputs.reduce(|a, b| common(&dominators, a, b)).unwrap_or(0);
    }
    dominators
}

fn common(dominators: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        match a > b {
            true => a = dominators[a],
            false => b = dominators[b],
        }
    }
    a
}

struct Maker<'d> {
    draft: &'d Draft,
    dominators: Vec<usize>,
    with_labels: bool,
    /// How many blocks are open.
    depth: usize,
    order: Vec<usize>,
    is_placed: Vec<bool>,
    /// Nodes that would have to be at two places.
    crossing: BTreeSet<usize>,
}

/// The deepest nesting of blocks.
const DEEPEST: usize = 64;

impl Maker<'_> {
    /// The items after node `from` up to node `to`. Layers in branches get labels, if one before them has one.
    fn chain(&mut self, from: usize, to: usize) -> Vec<Item> {
        let in_branch = self.depth > 0;
        // From the end to the beginning, since each node knows what it reads.
        let mut ends = Vec::new();
        let mut at = to;
        while at != from {
            ends.push(at);
            // It is the input of a node with one.
            at = self.dominators[at];
        }
        let mut items: Vec<Item> = Vec::new();
        let mut taken = BTreeMap::new();
        let mut last_label = String::new();
        for &end in ends.iter().rev() {
            if self.is_placed[end] || self.depth > DEEPEST {
                self.crossing.insert(end);
                continue;
            }
            self.is_placed[end] = true;
            let mut item = self.item(end);
            match &item.label {
                Some(label) => last_label.clone_from(label),
                None if in_branch && !last_label.is_empty() => {
                    item.label = Some(following(&last_label, &item, &mut taken));
                }
                None => {}
            }
            if let Some(label) = &item.label {
                taken.entry(label.clone()).or_insert(2);
            }
            items.push(item);
        }
        items
    }

    /// The branches of a concatenation after node `from`. Neighbouring ones that begin together become one branch, with a concatenation of its own: exporters
    /// join concatenations that follow each other.
    fn branches(&mut self, from: usize, inputs: &[usize]) -> Vec<Vec<Item>> {
        let begins: Vec<usize> = inputs
            .iter()
            .map(|input| self.first_after(from, *input))
            .collect();
        let runs = begins.chunk_by(|a, b| a == b && *a != from);
        let mut branches = Vec::new();
        let mut start = 0;
        for run in runs {
            let own = &inputs[start..start + run.len()];
            start += run.len();
            branches.push(match own {
                [input] => self.chain(from, *input),
                _ => {
                    let shared = own.iter().copied();
                    let shared = shared
                        .reduce(|a, b| common(&self.dominators, a, b))
                        .unwrap_or(from);
                    if self.depth > DEEPEST {
                        self.crossing.insert(shared);
                        continue;
                    }
                    self.depth += 1;
                    let mut items = self.chain(from, shared);
                    let mut inner = self.branches(shared, own);
                    self.depth -= 1;
                    self.order.push(shared);
                    let label = common_label(&mut inner);
                    items.push(Item {
                        label,
                        block: Block::Concat(inner),
                    });
                    items
                }
            });
        }
        branches
    }

    /// The first node after `from` through which all ways to `node` lead; `from` for itself.
    fn first_after(&self, from: usize, mut node: usize) -> usize {
        while node != from && self.dominators[node] != from {
            node = self.dominators[node];
        }
        node
    }

    fn item(&mut self, node: usize) -> Item {
        let own = self.draft.nodes[node].clone();
        if own.inputs.len() < 2 {
            self.order.push(node);
            let Operation::Layer(layer) = own.operation else {
                unreachable!(
                    "a draft that was simplified has layers, sums, concatenations and products"
                );
            };
            return Item {
                label: own.label.filter(|_| self.with_labels),
                block: Block::Layer(layer),
            };
        }
        let from = self.dominators[node];
        let inputs = in_text_order(&own, from);
        self.depth += 1;
        let mut branches = match own.operation {
            Operation::Concat => self.branches(from, &inputs),
            _ => inputs
                .iter()
                .map(|input| self.chain(from, *input))
                .collect(),
        };
        self.depth -= 1;
        self.order.push(node);
        let label = common_label(&mut branches);
        let block = match (own.operation, <[Vec<Item>; 2]>::try_from(branches)) {
            (Operation::Add, Ok([body, shortcut])) => Block::Residual { body, shortcut },
            (Operation::Multiply, Ok([map, factors])) => Block::Multiply { map, factors },
            (_, Ok(branches)) => Block::Concat(branches.into()),
            (_, Err(branches)) => Block::Concat(branches),
        };
        Item { label, block }
    }
}

/// The inputs of a node with several. Of an addition the longer way is the body, so the one that ends where both begin is last.
fn in_text_order(node: &Node, from: usize) -> Vec<usize> {
    let mut inputs = node.inputs.clone();
    if node.operation == Operation::Add && inputs[0] == from {
        inputs.swap(0, 1);
    }
    inputs
}

/// A label for a layer without one, from that of a layer before it: `conv1.relu`. `taken` are the labels before it, each with the number of the next one of
/// its name.
fn following(label: &str, item: &Item, taken: &mut BTreeMap<String, usize>) -> String {
    let kind = match &item.block {
        Block::Layer(layer) => {
            let text = layer.to_string();
            text.split('(').next().unwrap_or_default().to_owned()
        }
        Block::Residual { .. } => "residual".to_owned(),
        Block::Multiply { .. } => "multiply".to_owned(),
        _ => "concat".to_owned(),
    };
    let name = format!("{label}.{kind}");
    let Some(mut number) = taken.get(&name).copied() else {
        return name;
    };
    let mut numbered = format!("{name}{number}");
    while taken.contains_key(&numbered) {
        number += 1;
        numbered = format!("{name}{number}");
    }
    taken.insert(name, number + 1);
    numbered
}

/// What all labels of the branches begin with; it is taken out of them.
fn common_label(branches: &mut [Vec<Item>]) -> Option<String> {
    let labels = branches.iter().flatten().map(|item| item.label.as_deref());
    let labels: Option<Vec<&str>> = labels.collect();
    let labels = labels.filter(|labels| !labels.is_empty())?;
    let parts: Vec<Vec<&str>> = labels
        .iter()
        .map(|label| label.split('.').collect())
        .collect();
    let shortest = parts.iter().map(Vec::len).min()?;
    let is_common = |place: &usize| parts.iter().all(|label| label[*place] == parts[0][*place]);
    // Each label keeps a part of its own.
    let length = (0..shortest.saturating_sub(1))
        .take_while(is_common)
        .count();
    let prefix = parts[0][..length].join(".");
    if prefix.is_empty() {
        return None;
    }
    for item in branches.iter_mut().flatten() {
        if let Some(label) = &mut item.label {
            *label = label[prefix.len() + 1..].to_owned();
        }
    }
    Some(prefix)
}
