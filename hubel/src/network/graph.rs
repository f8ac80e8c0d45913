//! The flat form of a network for one input: nodes in evaluation order, with shapes, names and tensors.
use crate::layers::{Activation, LocalResponse, PaddingMode, Upsample, activation};
use crate::nearest::nearest;
use crate::{Error, Result, Shape};

/// A network for one input shape. The inputs of each node come before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Node 0 is the input: an image, a clip or tokens; the last node gives the logits.
    pub nodes: Vec<Node>,
}

/// One operation of a [`Graph`].
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The prefix of its tensors' names in PyTorch: `0`, `layer1.0.conv1`; empty for the image.
    pub name: String,
    /// Its operation.
    pub operation: Operation,
    /// The indices of its input nodes.
    pub inputs: Vec<usize>,
    /// The shape of its output for one sample.
    pub shape: Shape,
    /// Its weights and running statistics.
    pub tensors: Vec<Tensor>,
}

/// The operation of a node, with all settings as numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// The network's input, an image or a clip.
    Image,
    /// The network's input, the tokens of a text: whole numbers below `vocabulary`. Token 0 is padding at the end.
    Tokens {
        /// Number of different tokens.
        vocabulary: usize,
    },
    /// A vector for each token.
    Embedding {
        /// Number of different tokens.
        vocabulary: usize,
    },
    /// Convolution along time.
    TimeConv(TimeConvolution),
    /// The largest value under each window along time.
    TimeMaxPool(TimeWindow),
    /// The mean under each window along time.
    TimeAvgPool {
        /// The windows.
        window: TimeWindow,
        /// Whether the divisor counts zeros of the padding. The overhang of `round=ceil` never counts.
        count_padding: bool,
    },
    /// The largest value of each place and channel over all times. For a text with the windows along time between the tokens, its second
    /// input, and its map: they say how many times of the map are not padding.
    MaxOverTime(Option<Vec<TimeWindow>>),
    /// The mean over all times, as for [`Operation::MaxOverTime`].
    AvgOverTime(Option<Vec<TimeWindow>>),
    /// Convolution.
    Conv(Convolution),
    /// The largest value under each window; padding never wins.
    MaxPool(Window),
    /// The mean under each window.
    AvgPool {
        /// The windows.
        window: Window,
        /// Whether the divisor counts zeros of the padding. The overhang of `round=ceil` never counts.
        count_padding: bool,
    },
    /// The mean of each channel.
    GlobalAvgPool,
    /// The largest value of each channel.
    GlobalMaxPool,
    /// Mean over `height × width` regions that cover the input (the node's shape says how many).
    AdaptiveAvgPool,
    /// Maximum over `height × width` regions that cover the input (the node's shape says how many).
    AdaptiveMaxPool,
    /// Batch norm: normalises each channel over batch and pixels.
    BatchNorm {
        /// Added to the variance.
        epsilon: f32,
        /// Weight of the new batch in the running statistics.
        momentum: f32,
    },
    /// Local response normalisation over the channels of each pixel.
    Lrn(LocalResponse),
    /// Layer norm: normalises the channels of each pixel.
    LayerNorm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// Group norm: normalises each group of neighbouring channels over all pixels and times of a sample.
    GroupNorm {
        /// Number of groups.
        groups: usize,
        /// Added to the variance.
        epsilon: f32,
    },
    /// A learned factor for each channel, and perhaps a summand.
    Scale {
        /// Whether a summand is added.
        bias: bool,
    },
    /// A part of the channels.
    Channels {
        /// The first one.
        first: usize,
        /// How many.
        count: usize,
    },
    /// Padding.
    Pad {
        /// Rows and columns: `[top, left, bottom, right]`.
        sides: [usize; 4],
        /// The values in the padding.
        mode: PaddingMode,
    },
    /// Upsampling by whole factors.
    Upsample(Upsample),
    /// PReLU: a leaky ReLU with a slope for each channel.
    Prelu,
    /// The channels seen as `[groups, channels/groups]` and transposed.
    Shuffle {
        /// Number of groups.
        groups: usize,
    },
    /// Zeroes each value with this probability in training.
    Dropout(f32),
    /// A map as one vector.
    Flatten,
    /// A fully connected layer.
    Linear {
        /// Number of outputs.
        outputs: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// An elementwise function.
    Activation(Activation),
    /// The sum of its inputs.
    Add,
    /// The concatenated channels of its inputs.
    Concat,
    /// The first input times the second, which has the same shape, or one value for each channel of a frame.
    Multiply,
}

/// A convolution with all settings as numbers. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convolution {
    /// Output channels.
    pub filters: usize,
    /// Size of a filter.
    pub kernel: [usize; 2],
    /// Stride of the filters.
    pub stride: [usize; 2],
    /// Distance between neighbouring taps of a filter.
    pub dilation: [usize; 2],
    /// Number of separate groups of channels.
    pub groups: usize,
    /// Padding: `[top, left, bottom, right]`. With `round=ceil` the last window may reach beyond the padding; it reads zeros there.
    pub padding: [usize; 4],
    /// The values in the padding.
    pub mode: PaddingMode,
    /// Whether a bias is added.
    pub bias: bool,
}

/// The windows of a pooling. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Size of a window.
    pub kernel: [usize; 2],
    /// Stride of the windows.
    pub stride: [usize; 2],
    /// Padding: `[top, left, bottom, right]`. With `round=ceil` the last window may reach beyond the padding.
    pub padding: [usize; 4],
}

/// A convolution along time with all settings as numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeConvolution {
    /// Output channels.
    pub filters: usize,
    /// The windows of the filters.
    pub window: TimeWindow,
    /// Number of separate groups of channels.
    pub groups: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

/// Windows along time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// Times in a window.
    pub kernel: usize,
    /// Stride of the windows.
    pub stride: usize,
    /// Distance between neighbouring times of a window.
    pub dilation: usize,
    /// Padding before and after. With `round=ceil` the last window may reach beyond it.
    pub padding: [usize; 2],
}

/// A tensor that a node owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// `weight`, `bias`, `running_mean` or `running_var`, as in PyTorch.
    pub name: &'static str,
    /// Its shape in memory: convolution `[kh, kw, input channels/groups, filters]`, convolution along time `[k, input channels/groups, filters]`,
    /// linear `[inputs, outputs]`, embedding `[vocabulary, length]`, otherwise a vector.
    pub shape: Vec<usize>,
    /// Its role in the layer.
    pub role: Role,
    /// Its initialisation.
    pub initial: Initial,
}

/// The role of a tensor in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weights of a convolution or linear layer.
    Weight,
    /// The bias per output channel.
    Bias,
    /// The factor of a normalisation or a scale layer per channel (PyTorch: `weight`).
    Scale,
    /// The summand of a normalisation or a scale layer per channel (PyTorch: `bias`).
    Shift,
    /// The slope of PReLU per channel (PyTorch: `weight`).
    Slope,
    /// Running mean of a channel; not trained.
    RunningMean,
    /// Running variance of a channel; not trained.
    RunningVariance,
}

/// The distribution of a tensor's initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Normal with variance 2/fan_in (He et al. 2015).
    HeNormal {
        /// Inputs that one output sums.
        fan_in: usize,
    },
    /// Normal with variance 2/(fan_in + fan_out) (Glorot and Bengio 2010).
    XavierNormal {
        /// Inputs that one output sums.
        fan_in: usize,
        /// Outputs that one input reaches.
        fan_out: usize,
    },
    /// Normal with this deviation; the first `size` values, the vector of the padding token, are 0.
    Tokens {
        /// Standard deviation.
        deviation: f32,
        /// Length of a token's vector.
        size: usize,
    },
    /// Uniform in (−bound, bound).
    Uniform {
        /// The largest magnitude.
        bound: f32,
    },
    /// All 0.
    Zero,
    /// All 1.
    One,
    /// All this value.
    All(f32),
}

impl Graph {
    /// The index of the layer with this name.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is none; the message suggests the nearest name.
    pub fn node(&self, name: &str) -> Result<usize> {
        let names = || self.nodes[1..].iter().map(|node| &*node.name);
        names()
            .position(|known| known == name)
            .map(|place| place + 1)
            .ok_or_else(|| {
                let hint = match nearest(name, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`Network::summary` lists the layers".to_owned(),
                };
                Error::Settings {
                    problem: format!("the network has no layer `{name}`; {hint}"),
                }
            })
    }

    /// The index of the last node of the layer or block with this name. All later nodes depend only on its output.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is none, or if later nodes read earlier ones; the message suggests suitable layers nearby.
    pub fn passage(&self, name: &str) -> Result<usize> {
        let of_block = |node: &Node| {
            let rest = node.name.strip_prefix(name);
            !name.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let place = match self.nodes.iter().rposition(of_block) {
            Some(place) => place,
            None => self.node(name)?,
        };
        if self.is_passage(place) {
            return Ok(place);
        }
        let name_of = |place: usize| format!("`{}`", self.nodes[place].name);
        let before = (1..place).rev().find(|&place| self.is_passage(place));
        let behind = (place..self.nodes.len()).find(|&place| self.is_passage(place));
        let ways_out: Vec<String> = before.into_iter().chain(behind).map(name_of).collect();
        Err(Error::Settings {
            problem: format!(
                "layers after `{name}` also read layers before it; freeze up to {}",
                ways_out.join(" or ")
            ),
        })
    }

    /// The nodes up to node `last`, which becomes the output.
    pub(crate) fn up_to(&self, last: usize) -> Self {
        Self {
            nodes: self.nodes[..=last].to_vec(),
        }
    }

    /// Whether all nodes after node `index` depend only on its output, and not on earlier nodes.
    pub fn is_passage(&self, index: usize) -> bool {
        let mut after = self.nodes.iter().skip(index + 1);
        index < self.nodes.len()
            && after.all(|node| node.inputs.iter().all(|&input| input >= index))
    }

    /// The last node, which gives the logits.
    pub fn output(&self) -> &Node {
        self.nodes.last().expect("a graph holds at least its input")
    }

    /// The maps that were flattened and concatenated into the output vector of node `index`, or the node's own
    /// shape if nothing was flattened. Layers after `flatten` have their inputs in the order `[h, w, c]` here and
    /// `[c, h, w]` in PyTorch. Code that reads or writes PyTorch's weights must reorder within each of these maps.
    pub fn flattened_maps(&self, index: usize) -> Vec<Shape> {
        let node = &self.nodes[index];
        match &node.operation {
            Operation::Flatten => {
                let before = self.nodes[node.inputs[0]].shape;
                match before.is_row() {
                    true => self.flattened_maps(node.inputs[0]),
                    false => vec![before],
                }
            }
            Operation::Concat if node.shape.is_row() => (node.inputs.iter())
                .flat_map(|&input| self.flattened_maps(input))
                .collect(),
            Operation::BatchNorm { .. }
            | Operation::Lrn(_)
            | Operation::LayerNorm { .. }
            | Operation::Prelu
            | Operation::GroupNorm { .. }
            | Operation::Scale { .. }
            | Operation::Dropout(_)
            | Operation::Activation(_)
            | Operation::Add
            | Operation::Multiply => self.flattened_maps(node.inputs[0]),
            Operation::Pad { .. } | Operation::Upsample(_) if node.shape.is_row() => {
                self.flattened_maps(node.inputs[0])
            }
            Operation::GlobalAvgPool
            | Operation::GlobalMaxPool
            | Operation::MaxOverTime(_)
            | Operation::AvgOverTime(_) => {
                let before = node.inputs[0];
                let before_is_row = self.nodes[before].shape == node.shape;
                match before_is_row {
                    true => self.flattened_maps(before),
                    false => vec![node.shape],
                }
            }
            _ => vec![node.shape],
        }
    }

    /// The parts of the output vector of node `index` whose order differs from PyTorch's: the start and shape of each flattened map.
    pub(super) fn order_of_row(&self, index: usize) -> Vec<(usize, Shape)> {
        let mut start = 0;
        let mut reordered = Vec::new();
        let shape = self.nodes[index].shape;
        if !shape.is_row() {
            return reordered;
        }
        for map in self.flattened_maps(index) {
            if map.len() > map.channels && map.channels > 1 {
                reordered.push((start, map));
            }
            start += map.len();
        }
        reordered
    }

    /// Number of trained values.
    pub fn parameters(&self) -> usize {
        self.nodes.iter().map(Node::parameters).sum()
    }
}

impl Node {
    /// Its tensor with this role.
    pub(crate) fn tensor(&self, role: Role) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.role == role)
    }

    /// Number of trained values of this node.
    pub fn parameters(&self) -> usize {
        (self
            .tensors
            .iter()
            .filter(|tensor| tensor.role.is_trained()))
        .map(Tensor::len)
        .sum()
    }
}

impl Tensor {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Role {
    /// Whether it is trained (running statistics are measured, not trained).
    pub fn is_trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVariance)
    }
}

impl Operation {
    /// For an operation that moves channels, the channel of its input that `channel` of its output is. The input has `channels` channels.
    pub(crate) fn moved_channel(&self, channel: usize, channels: usize) -> Option<usize> {
        match self {
            Self::Channels { first, .. } => Some(first + channel),
            Self::Shuffle { groups } => {
                Some(channel % groups * (channels / groups) + channel / groups)
            }
            _ => None,
        }
    }

    /// Its kind, by its name in architecture text.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Image => "input",
            Self::Tokens { .. } => "tokens",
            Self::Embedding { .. } => "embedding",
            Self::TimeConv(_) => "timeconv",
            Self::TimeMaxPool(_) => "timemaxpool",
            Self::TimeAvgPool { .. } => "timeavgpool",
            Self::MaxOverTime(_) => "maxovertime",
            Self::AvgOverTime(_) => "avgovertime",
            Self::Conv(_) => "conv",
            Self::MaxPool(_) => "maxpool",
            Self::AvgPool { .. } => "avgpool",
            Self::GlobalAvgPool => "globalavgpool",
            Self::GlobalMaxPool => "globalmaxpool",
            Self::AdaptiveAvgPool => "adaptiveavgpool",
            Self::AdaptiveMaxPool => "adaptivemaxpool",
            Self::BatchNorm { .. } => "batchnorm",
            Self::Lrn(_) => "lrn",
            Self::LayerNorm { .. } => "layernorm",
            Self::GroupNorm { .. } => "groupnorm",
            Self::Scale { .. } => "scale",
            Self::Channels { .. } => "channels",
            Self::Shuffle { .. } => "shuffle",
            Self::Prelu => "prelu",
            Self::Pad { .. } => "pad",
            Self::Upsample(_) => "upsample",
            Self::Dropout(_) => "dropout",
            Self::Flatten => "flatten",
            Self::Linear { .. } => "linear",
            Self::Activation(activation) => activation::name(*activation),
            Self::Add => "add",
            Self::Concat => "concat",
            Self::Multiply => "multiply",
        }
    }
}
