//! The network of a file while it is read: a graph of layers, and of operations that become parts of layers.
use crate::Shape;
use crate::layers::{Layer, LayerInput};

/// A graph; the inputs of each node come before it. Node 0 is the image.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) nodes: Vec<Node>,
}

/// One operation.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) operation: Operation,
    pub(super) inputs: Vec<usize>,
    pub(super) shape: Shape,
    /// The values of its tensors, by the names and in the layouts of PyTorch.
    pub(super) tensors: Vec<(&'static str, Vec<f32>)>,
    /// The node of the file that it comes from, for messages: Conv `features.0`.
    pub(super) source: String,
    /// The name of its layer in the program that wrote the file, if it has one.
    pub(super) label: Option<String>,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    Image,
    Layer(Layer),
    Add,
    Concat,
    /// The product of a map and of factors of the same shape or one for each channel, in this order.
    Multiply,
    Affine(Affine),
    /// min(max(x, least), most)
    Clip {
        least: f32,
        most: f32,
    },
    /// The mean of the channels of each pixel, a map of one channel.
    ChannelMean,
    /// x minus the mean of the channels of its pixel.
    Centred,
    /// x²
    Square,
    /// √x
    Root,
    /// The error function.
    Erf,
    /// x³
    Cube,
    /// 1 where x lies above the threshold, 0 elsewhere.
    Above(f32),
    /// The value of the second input where the first is 1, of the third elsewhere.
    Choice,
}

/// scale · x + shift, with one value for all or one for each channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Affine {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

impl Affine {
    /// The same scale and shift for all.
    pub(super) fn of(scale: f32, shift: f32) -> Self {
        Self {
            scale: vec![scale],
            shift: vec![shift],
        }
    }

    /// The scale and shift, if they are the same for all.
    pub(super) fn single(&self) -> Option<(f32, f32)> {
        match (&self.scale[..], &self.shift[..]) {
            (&[scale], &[shift]) => Some((scale, shift)),
            _ => None,
        }
    }

    /// The scale and shift of a channel.
    pub(super) fn at(&self, channel: usize) -> (f32, f32) {
        let of = |values: &[f32]| values[channel % values.len()];
        (of(&self.scale), of(&self.shift))
    }
}

impl Draft {
    /// Adds a node; returns its index.
    pub(super) fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn shape(&self, node: usize) -> Shape {
        self.nodes[node].shape
    }

    /// The shape of a layer's output for the map of node `input`.
    pub(super) fn resolve(&self, layer: &Layer, input: usize) -> Result<Shape, String> {
        let input = LayerInput {
            shape: self.shape(input),
            vocabulary: None,
            classes: 0,
        };
        let resolved = layer.resolve(input).map_err(|misfit| misfit.reason)?;
        Ok(resolved.shape)
    }

    /// How many nodes read each node; the output counts as read once more.
    pub(super) fn readers(&self, output: usize) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len()];
        readers[output] = 1;
        let inputs = self.nodes.iter().flat_map(|node| &node.inputs);
        inputs.for_each(|input| readers[*input] += 1);
        readers
    }

    /// Removes the nodes that the output does not depend on; returns the new index of the output.
    pub(super) fn keep_only(&mut self, output: usize) -> usize {
        let mut is_needed = vec![false; self.nodes.len()];
        is_needed[0] = true;
        is_needed[output] = true;
        for node in (0..=output).rev() {
            if is_needed[node] {
                let inputs = &self.nodes[node].inputs;
                inputs.iter().for_each(|input| is_needed[*input] = true);
            }
        }
        let mut places = vec![0; self.nodes.len()];
        let mut kept = Vec::new();
        for (place, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            if is_needed[place] {
                node.inputs
                    .iter_mut()
                    .for_each(|input| *input = places[*input]);
                places[place] = kept.len();
                kept.push(node);
            }
        }
        self.nodes = kept;
        places[output]
    }
}
