//! From the tree to the flat graph: names, shapes, tensors and their initialisation. All shape errors are found here.
use super::{
    Block, Input, Item,
    graph::{Graph, Initial, Node, Operation, Role, Tensor, TimeConvolution, TimeWindow},
};
use crate::{
    Error, LayerError, Result, Shape,
    data::limit::LARGEST_PICTURE,
    layers::{self, Conv, Layer, LayerInput, Misfit, Round, activation, addressable},
};
use std::collections::HashSet;

/// The initialisation of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Initialisation {
    /// He normal before ReLU-like activations, Xavier normal otherwise; biases 0.
    #[default]
    HeOrXavier,
    /// As in PyTorch: weights and biases uniform within ±1/√fan_in.
    PyTorch,
}

pub(super) fn graph(items: &[Item], input: Input, classes: usize) -> Result<Graph> {
    let Input {
        shape: input,
        vocabulary,
    } = input;
    let size = addressable(&input.sizes());
    if size.is_none_or(|size| size == 0) {
        return Err(Error::Input { shape: input });
    }
    if (input.height * input.width) as u64 > LARGEST_PICTURE {
        return Err(Error::Settings {
            problem: format!(
                "an input of {input} is larger than any picture that is read ({} million pixels)",
                LARGEST_PICTURE / 1_000_000
            ),
        });
    }
    let image = Node {
        name: String::new(),
        operation: match vocabulary {
            Some(vocabulary) => Operation::Tokens { vocabulary },
            None => Operation::Image,
        },
        inputs: Vec::new(),
        shape: input,
        tensors: Vec::new(),
    };
    let mut layout = Layout {
        graph: Graph { nodes: vec![image] },
        names: HashSet::new(),
        since_tokens: vec![vocabulary.map(|_| Vec::new())],
        layers: 0,
        weights: 0,
        classes,
    };
    layout.chain(items, "", 0)?;
    let mut graph = layout.graph;
    graph.initialise(Initialisation::default());
    Ok(graph)
}

struct Layout {
    graph: Graph,
    names: HashSet<String>,
    /// For each node that has the times of a text, the windows along time between the tokens and its map.
    since_tokens: Vec<Option<Vec<TimeWindow>>>,
    /// Number of layers so far, in the order of [`Network::layers`](super::Network::layers).
    layers: usize,
    /// Number of values in all tensors so far.
    weights: usize,
    classes: usize,
}

impl Layout {
    /// Adds a chain that reads node `at`; returns the node with its result.
    fn chain(&mut self, items: &[Item], prefix: &str, mut at: usize) -> Result<usize> {
        for (place, item) in items.iter().enumerate() {
            let name = match &item.label {
                Some(label) => format!("{prefix}{label}"),
                None => format!("{prefix}{place}"),
            };
            at = match &item.block {
                Block::Layer(layer) => self.layer(layer, name, at)?,
                Block::Chain(items) => self.chain(items, &format!("{name}."), at)?,
                Block::Residual { body, shortcut } => {
                    let ends = [
                        self.chain(body, &branch_prefix(&name, "body", body), at)?,
                        self.chain(shortcut, &branch_prefix(&name, "shortcut", shortcut), at)?,
                    ];
                    self.add(item, name, at, ends)?
                }
                Block::Multiply { map, factors } => {
                    let ends = [
                        self.chain(map, &branch_prefix(&name, "map", map), at)?,
                        self.chain(factors, &branch_prefix(&name, "factors", factors), at)?,
                    ];
                    self.multiply(item, name, at, ends)?
                }
                Block::Concat(branches) => {
                    let mut ends = Vec::with_capacity(branches.len());
                    for (place, branch) in branches.iter().enumerate() {
                        let prefix = branch_prefix(&name, &place.to_string(), branch);
                        ends.push(self.chain(branch, &prefix, at)?);
                    }
                    self.concat(item, name, at, ends)?
                }
            };
        }
        Ok(at)
    }

    fn layer(&mut self, layer: &Layer, name: String, at: usize) -> Result<usize> {
        let vocabulary = match self.graph.nodes[at].operation {
            Operation::Tokens { vocabulary } => Some(vocabulary),
            _ => None,
        };
        let input = LayerInput {
            shape: self.graph.nodes[at].shape,
            vocabulary,
            classes: self.classes,
        };
        let index = Some(self.layers);
        self.layers += 1;
        let resolved = match layer.resolve(input) {
            Ok(resolved) => resolved,
            Err(misfit) => return Err(self.error(name, index, layer.to_string(), at, misfit)),
        };
        let operation = &resolved.operation;
        let depends_on_order = match operation {
            Operation::GroupNorm { groups, .. } => *groups > 1,
            _ => operation.moved_channel(0, input.shape.channels).is_some(),
        };
        if depends_on_order && !self.graph.order_of_row(at).is_empty() {
            let reason = "PyTorch would take other values: its input is a flattened map, which PyTorch flattens channel by channel".to_owned();
            let ways_out = vec![format!(
                "`{layer}` before `flatten`, on the channels of the map"
            )];
            let misfit = Misfit { reason, ways_out };
            return Err(self.error(name, index, layer.to_string(), at, misfit));
        }
        for tensor in &resolved.tensors {
            self.weights = self.weights.saturating_add(tensor.len());
        }
        if addressable(&[self.weights]).is_none() {
            let reason = "up to it, the network's weights are larger than any memory".to_owned();
            return Err(self.error(name, index, layer.to_string(), at, reason.into()));
        }
        let (operation, inputs) = match (resolved.operation, &self.since_tokens[at]) {
            (Operation::MaxOverTime(_), Some(windows)) => {
                let windows = Some(windows.clone());
                (Operation::MaxOverTime(windows), vec![at, 0])
            }
            (Operation::AvgOverTime(_), Some(windows)) => {
                let windows = Some(windows.clone());
                (Operation::AvgOverTime(windows), vec![at, 0])
            }
            (operation, _) => (operation, vec![at]),
        };
        self.push(Node {
            name,
            operation,
            inputs,
            shape: resolved.shape,
            tensors: resolved.tensors,
        })
    }

    fn add(&mut self, item: &Item, name: String, at: usize, ends: [usize; 2]) -> Result<usize> {
        self.refuse_tokens(item, &name, at, &ends)?;
        let [body, shortcut] = ends.map(|end| self.graph.nodes[end].shape);
        if body != shortcut {
            let reason = format!("the body gives {body}, the shortcut {shortcut}");
            let ways_out = projection(self.graph.nodes[at].shape, body)
                .into_iter()
                .collect();
            let misfit = Misfit { reason, ways_out };
            return Err(self.error(name, None, shortened(item), at, misfit));
        }
        let [body_order, shortcut_order] = ends.map(|end| self.graph.order_of_row(end));
        if body_order != shortcut_order {
            let reason = "PyTorch would add other pairs of values: one of the vectors is a flattened map, which PyTorch flattens channel by channel".to_owned();
            let ways_out = vec!["a linear layer after `flatten`, before the residual".to_owned()];
            return Err(self.error(name, None, shortened(item), at, Misfit { reason, ways_out }));
        }
        self.push(Node {
            name,
            operation: Operation::Add,
            inputs: ends.into(),
            shape: body,
            tensors: Vec::new(),
        })
    }

    fn multiply(
        &mut self,
        item: &Item,
        name: String,
        at: usize,
        ends: [usize; 2],
    ) -> Result<usize> {
        self.refuse_tokens(item, &name, at, &ends)?;
        let [map, factors] = ends.map(|end| self.graph.nodes[end].shape);
        let of_channels = Shape::new(1, 1, map.channels).over(map.time);
        if factors != map && factors != of_channels {
            let reason = format!(
                "the map is {map}, and the factors are {factors}; they must be {map}, or {of_channels} for one factor for each channel"
            );
            return Err(self.error(name, None, shortened(item), at, reason.into()));
        }
        let [map_order, factor_order] = ends.map(|end| self.graph.order_of_row(end));
        if map_order != factor_order {
            let reason = "PyTorch would multiply other pairs of values: one of the vectors is a flattened map, which PyTorch flattens channel by channel".to_owned();
            return Err(self.error(name, None, shortened(item), at, reason.into()));
        }
        self.push(Node {
            name,
            operation: Operation::Multiply,
            inputs: ends.into(),
            shape: map,
            tensors: Vec::new(),
        })
    }

    fn concat(&mut self, item: &Item, name: String, at: usize, ends: Vec<usize>) -> Result<usize> {
        self.refuse_tokens(item, &name, at, &ends)?;
        if ends.len() < 2 {
            let reason = "`concat` needs at least two branches".to_owned();
            return Err(self.error(name, None, shortened(item), at, reason.into()));
        }
        let shapes: Vec<Shape> = ends
            .iter()
            .map(|end| self.graph.nodes[*end].shape)
            .collect();
        let side_by_side = |shape: &Shape| shape.sizes()[..3] == shapes[0].sizes()[..3];
        let channels =
            (shapes.iter()).try_fold(0usize, |sum, shape| sum.checked_add(shape.channels));
        let shape = channels.map(|channels| Shape {
            channels,
            ..shapes[0]
        });
        let fits = |shape: &Shape| addressable(&shape.sizes()).is_some();
        match shape.filter(fits) {
            Some(shape) if shapes.iter().all(side_by_side) => self.push(Node {
                name,
                operation: Operation::Concat,
                inputs: ends,
                shape,
                tensors: Vec::new(),
            }),
            _ => {
                let sides = match shapes.iter().all(|shape| shape.time == 1) {
                    true => "height and width",
                    false => "time, height and width",
                };
                let shapes: Vec<String> = shapes.iter().map(Shape::to_string).collect();
                let reason = format!(
                    "its branches give {}; they must agree in {sides}",
                    shapes.join(", ")
                );
                Err(self.error(name, None, shortened(item), at, reason.into()))
            }
        }
    }

    /// Refuses to add or concatenate the tokens themselves.
    fn refuse_tokens(&self, item: &Item, name: &str, at: usize, ends: &[usize]) -> Result<()> {
        let is_tokens = |node: &Node| matches!(node.operation, Operation::Tokens { .. });
        match ends.iter().any(|end| is_tokens(&self.graph.nodes[*end])) {
            true => {
                let misfit = layers::missing_embedding();
                Err(self.error(name.to_owned(), None, shortened(item), at, misfit))
            }
            false => Ok(()),
        }
    }

    /// The windows along time between the tokens of a text and the map of `node`; `None` if the map does not have the text's times.
    fn windows_since_tokens(&self, node: &Node) -> Option<Vec<TimeWindow>> {
        let inputs = node.inputs.iter().map(|input| &self.since_tokens[*input]);
        // Maps that are added or concatenated are equally long, so the path with the fewest windows stands for all.
        let mut windows = inputs
            .map(Option::as_ref)
            .min_by_key(|windows| windows.map_or(usize::MAX, Vec::len))??
            .clone();
        match &node.operation {
            Operation::Flatten | Operation::MaxOverTime(_) | Operation::AvgOverTime(_) => {
                return None;
            }
            Operation::TimeConv(TimeConvolution { window, .. })
            | Operation::TimeMaxPool(window)
            | Operation::TimeAvgPool { window, .. } => windows.push(*window),
            _ => {}
        }
        Some(windows)
    }

    fn push(&mut self, node: Node) -> Result<usize> {
        if !self.names.insert(node.name.clone()) {
            return Err(Error::Names { name: node.name });
        }
        self.since_tokens.push(self.windows_since_tokens(&node));
        self.graph.nodes.push(node);
        Ok(self.graph.nodes.len() - 1)
    }

    /// `index` is that of the layer; `None` for a sum or a concatenation.
    fn error(
        &self,
        name: String,
        index: Option<usize>,
        layer: String,
        at: usize,
        misfit: Misfit,
    ) -> Error {
        Error::Layer(Box::new(LayerError {
            name,
            index,
            layer,
            input: self.graph.nodes[at].shape,
            reason: misfit.reason,
            ways_out: misfit.ways_out,
            so_far: self.so_far(at),
        }))
    }

    /// The path from the image to node `at`, with shapes where they change. Leaves out the middle of a long path.
    fn so_far(&self, at: usize) -> String {
        const SHOWN: usize = 6;
        let mut way = vec![at];
        while let Some(&before) = self.graph.nodes[way[way.len() - 1]].inputs.first() {
            way.push(before);
        }
        way.reverse();
        let mut parts = Vec::new();
        for (place, &index) in way.iter().enumerate() {
            if way.len() > SHOWN + 2 && place > 0 && place + SHOWN < way.len() {
                if place == 1 {
                    parts.push("…".to_string());
                }
                continue;
            }
            let node = &self.graph.nodes[index];
            let kind = node.operation.kind();
            let same = (node.inputs.first())
                .is_some_and(|input| self.graph.nodes[*input].shape == node.shape);
            let is_conv = matches!(node.operation, Operation::Conv(_) | Operation::TimeConv(_));
            parts.push(match same && !is_conv {
                true => kind.to_owned(),
                false => format!("{kind} {}", node.shape),
            });
        }
        parts.push("[here]".into());
        parts.join(" → ")
    }
}

/// The names of labelled layers follow the block's name directly, as in torchvision; the others follow the branch's name.
fn branch_prefix(name: &str, branch: &str, items: &[Item]) -> String {
    if items.iter().any(|item| item.label.is_some()) {
        format!("{name}.")
    } else {
        format!("{name}.{branch}.")
    }
}

/// A 1×1 convolution that would give the shortcut the body's shape, if there is one.
fn projection(input: Shape, body: Shape) -> Option<String> {
    let stride = [
        input.height.div_ceil(body.height),
        input.width.div_ceil(body.width),
    ];
    let filters = body.channels;
    let conv = |round| Conv {
        stride,
        ..Conv::new(filters).kernel(1).round(round)
    };
    let fits = |conv: &Conv| {
        conv.resolve(input)
            .is_ok_and(|resolved| resolved.shape == body)
    };
    let conv = [conv(Round::Exact), conv(Round::Floor)]
        .into_iter()
        .find(fits)?;
    Some(format!(
        "the shortcut `residual[ … | {conv} ]` gives {body}"
    ))
}

/// The text of a block, shortened to fit a line.
fn shortened(item: &Item) -> String {
    const SHOWN: usize = 60;
    let text = item.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The standard deviation of initial embeddings: that of the uniform distribution in ±0.25 of Kim's networks (2014).
const EMBEDDING_DEVIATION: f32 = 0.144;

impl Graph {
    /// The same graph with this initialisation.
    pub fn with_initialisation(mut self, initialisation: Initialisation) -> Self {
        self.initialise(initialisation);
        self
    }

    fn initialise(&mut self, initialisation: Initialisation) {
        let before_relu = self.before_relu();
        for (node, before_relu) in self.nodes.iter_mut().zip(before_relu) {
            let groups = match &node.operation {
                Operation::Conv(conv) => conv.groups,
                Operation::TimeConv(conv) => conv.groups,
                Operation::Linear { .. } => 1,
                Operation::Embedding { .. } => {
                    let deviation = match initialisation {
                        Initialisation::HeOrXavier => EMBEDDING_DEVIATION,
                        Initialisation::PyTorch => 1.0,
                    };
                    let size = node.shape.channels;
                    node.tensors[0].initial = Initial::Tokens { deviation, size };
                    continue;
                }
                _ => continue,
            };
            // Memory order [taps…, inputs, outputs]: one output sums everything but the last dimension.
            let fans = node
                .tensors
                .iter()
                .find(|t| t.role == Role::Weight)
                .map(|weight| {
                    let outputs = weight.shape[weight.shape.len() - 1];
                    let inputs = weight.shape[weight.shape.len() - 2];
                    let fan_in = weight.len() / outputs;
                    (fan_in, fan_in / inputs * (outputs / groups))
                });
            let (fan_in, fan_out) = fans.expect("convolutions and linear layers have weights");
            for tensor in &mut node.tensors {
                tensor.initial = initial(initialisation, tensor, before_relu, fan_in, fan_out);
            }
        }
    }

    /// For each node: whether a ReLU-like activation reads it before any other layer with weights does.
    fn before_relu(&self) -> Vec<bool> {
        let mut before_relu = vec![false; self.nodes.len()];
        // Nodes come after their inputs, so one pass from the end is enough.
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let reads = match node.operation {
                Operation::Activation(activation) => activation::is_relu_like(activation),
                Operation::Prelu => true,
                Operation::Conv(_) | Operation::TimeConv(_) | Operation::Linear { .. } => false,
                _ => before_relu[index],
            };
            for &input in &node.inputs {
                before_relu[input] |= reads;
            }
        }
        before_relu
    }
}

fn initial(
    initialisation: Initialisation,
    tensor: &Tensor,
    before_relu: bool,
    fan_in: usize,
    fan_out: usize,
) -> Initial {
    match (initialisation, tensor.role) {
        (Initialisation::PyTorch, _) => Initial::Uniform {
            bound: 1.0 / (fan_in as f32).sqrt(),
        },
        (Initialisation::HeOrXavier, Role::Weight) if before_relu => Initial::HeNormal { fan_in },
        (Initialisation::HeOrXavier, Role::Weight) => Initial::XavierNormal { fan_in, fan_out },
        (Initialisation::HeOrXavier, _) => Initial::Zero,
    }
}
