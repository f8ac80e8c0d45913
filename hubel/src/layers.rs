//! The closed list of layers: settings, architecture text, shape rule, tensors. Layers with more than a line of code have their own file.
pub(crate) mod activation;
mod along_axis;
pub(crate) mod arguments;
mod batch_norm;
mod channels;
mod conv;
mod embedding;
mod group_norm;
mod layer_norm;
mod linear;
mod lrn;
mod pad;
mod pool;
mod prelu;
mod scale;
mod time;
pub(crate) mod torch;
mod upsample;
pub(crate) mod window;

use crate::{
    Shape,
    network::{Initial, Operation, Role, Tensor},
};
pub use activation::Activation;
pub use along_axis::{AxisWindows, Refusal, Rounded, WindowPlaces};
use arguments::{ArgumentError, Arguments};
pub use conv::Conv;
pub(crate) use embedding::missing as missing_embedding;
use hubel_kernels::over_time;
pub(crate) use linear::for_kernels as linear_for_kernels;
pub use lrn::LocalResponse;
pub use pad::Pad;
pub use pool::{Pool, PoolKind};
use std::fmt;
pub use time::{TimeConv, TimePadding, TimePool};
pub use upsample::{Interpolation, Upsample};
use window::Pair;
pub use window::{Padding, Round};

/// A layer with its settings. Pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    /// Convolution.
    Conv(Conv),
    /// Maximum or average pooling with windows.
    Pool(Pool),
    /// The mean of each channel of each frame: H×W×C to 1×1×C.
    GlobalAvgPool,
    /// The largest value of each channel of each frame: H×W×C to 1×1×C.
    GlobalMaxPool,
    /// Mean over this many regions, for any input size.
    AdaptiveAvgPool([usize; 2]),
    /// Maximum over this many regions, for any input size.
    AdaptiveMaxPool([usize; 2]),
    /// Batch normalisation (Ioffe and Szegedy 2015).
    BatchNorm {
        /// Added to the variance; 1e-5 by default.
        epsilon: f32,
        /// Weight of the new batch in the running statistics; 0.1 by default.
        momentum: f32,
    },
    /// Local response normalisation over the channels of each pixel.
    Lrn(LocalResponse),
    /// Layer normalisation (Ba, Kiros and Hinton 2016) of the channels of each pixel.
    LayerNorm {
        /// Added to the variance; 1e-6 by default.
        epsilon: f32,
    },
    /// Group normalisation (Wu and He 2018): some channels of a sample are normalised together, over all its pixels and times.
    GroupNorm {
        /// Number of groups, which divides the number of channels.
        groups: usize,
        /// Added to the variance; 1e-5 by default.
        epsilon: f32,
    },
    /// A learned factor for each channel, and perhaps a summand.
    Scale {
        /// Whether a summand is added; yes by default.
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
    Pad(Pad),
    /// Upsampling.
    Upsample(Upsample),
    /// A leaky ReLU with a learned slope for each channel (He et al. 2015).
    Prelu,
    /// The channels in another order (Zhang et al. 2018): as if seen as `[groups, channels/groups]` and transposed.
    Shuffle {
        /// Number of groups, which divides the number of channels.
        groups: usize,
    },
    /// Zeroes each value with this probability in training.
    Dropout(f32),
    /// Convolution along time.
    TimeConv(TimeConv),
    /// Maximum or average pooling along time with windows.
    TimePool(TimePool),
    /// The largest value of each place and channel over all times: T×H×W×C to H×W×C. Of a text, only over its tokens, without the padding.
    MaxOverTime,
    /// The mean of each place and channel over all times, as for [`Layer::MaxOverTime`].
    AvgOverTime,
    /// A vector of this length for each token of a text: T×1×1×1 to T×1×1×length.
    Embedding(usize),
    /// A map as one row: T×H×W×C to 1×1×(T·H·W·C).
    Flatten,
    /// A fully connected layer.
    Linear {
        /// Number of outputs.
        outputs: Outputs,
        /// Whether a bias is added; yes by default.
        bias: bool,
    },
    /// An elementwise function.
    Activation(Activation),
}

/// Number of outputs of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// This many.
    Number(usize),
    /// The number of classes of the data.
    Classes,
}

/// The values in the padding of a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum PaddingMode {
    /// 0.
    #[default]
    Zeros,
    /// The map mirrored at its edge, without repeating the edge.
    Reflect,
    /// The nearest pixel of the edge.
    Replicate,
    /// The opposite side of the map.
    Circular,
    /// This value.
    Constant(f32),
}

/// What a layer reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerInput {
    pub(crate) shape: Shape,
    /// Number of different tokens, if these are the tokens of a text.
    pub(crate) vocabulary: Option<usize>,
    /// Number of classes of the data.
    pub(crate) classes: usize,
}

/// A layer applied to one input shape.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) operation: Operation,
    pub(crate) shape: Shape,
    pub(crate) tensors: Vec<Tensor>,
}

/// Why a layer does not fit its input, and changes that were tried and work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Misfit {
    pub(crate) reason: String,
    pub(crate) ways_out: Vec<String>,
}

/// The layer names of the architecture text; [`canonical`] has their synonyms.
pub(crate) const NAMES: [&str; 46] = [
    "conv",
    "maxpool",
    "avgpool",
    "pool",
    "globalavgpool",
    "globalmaxpool",
    "adaptiveavgpool",
    "adaptivemaxpool",
    "batchnorm",
    "lrn",
    "layernorm",
    "groupnorm",
    "scale",
    "channels",
    "shuffle",
    "prelu",
    "pad",
    "upsample",
    "dropout",
    "timeconv",
    "timemaxpool",
    "timeavgpool",
    "maxovertime",
    "avgovertime",
    "embedding",
    "flatten",
    "linear",
    "fc",
    "identity",
    "relu",
    "relu6",
    "leakyrelu",
    "sigmoid",
    "tanh",
    "silu",
    "hardswish",
    "gelu",
    "hardsigmoid",
    "elu",
    "mish",
    "softplus",
    "gelutanh",
    "clip",
    "residual",
    "concat",
    "multiply",
];

/// A layer's name without case, underscores and PyTorch's `2d`. PyTorch's `1d` is along time.
pub(crate) fn canonical(name: &str) -> String {
    let name = name.to_lowercase().replace('_', "");
    match name.strip_suffix("2d").unwrap_or(&name) {
        "pool" => "maxpool",
        "localresponsenorm" => "lrn",
        "fc" => "linear",
        "swish" => "silu",
        "channelshuffle" => "shuffle",
        "conv1d" => "timeconv",
        "maxpool1d" => "timemaxpool",
        "avgpool1d" => "timeavgpool",
        other => other,
    }
    .into()
}

impl Layer {
    /// Batch normalisation with PyTorch's settings: epsilon 1e-5, momentum 0.1.
    pub fn batch_norm() -> Self {
        Self::BatchNorm {
            epsilon: 1e-5,
            momentum: 0.1,
        }
    }

    /// Layer normalisation with torchvision's epsilon, 1e-6.
    pub fn layer_norm() -> Self {
        Self::LayerNorm {
            epsilon: layer_norm::EPSILON,
        }
    }

    /// Group normalisation with PyTorch's epsilon, 1e-5.
    pub fn group_norm(groups: usize) -> Self {
        let epsilon = group_norm::EPSILON;
        Self::GroupNorm { groups, epsilon }
    }

    /// A fully connected layer with bias.
    pub fn linear(outputs: usize) -> Self {
        Self::Linear {
            outputs: Outputs::Number(outputs),
            bias: true,
        }
    }

    /// A fully connected layer with bias and one output for each class.
    pub fn classes() -> Self {
        Self::Linear {
            outputs: Outputs::Classes,
            bias: true,
        }
    }

    /// The layer with a [`canonical`] name; `None` if there is none.
    pub(crate) fn parse(
        name: &str,
        arguments: &mut Arguments,
    ) -> Result<Option<Self>, ArgumentError> {
        Ok(Some(match name {
            "conv" => Self::Conv(Conv::parse(arguments)?),
            "maxpool" => Self::Pool(Pool::parse(PoolKind::Max, arguments)?),
            "avgpool" => Self::Pool(Pool::parse(PoolKind::AVERAGE, arguments)?),
            "globalavgpool" => Self::GlobalAvgPool,
            "globalmaxpool" => Self::GlobalMaxPool,
            "adaptiveavgpool" => Self::AdaptiveAvgPool(regions(arguments)?),
            "adaptivemaxpool" => Self::AdaptiveMaxPool(regions(arguments)?),
            "batchnorm" => batch_norm::parse(arguments)?,
            "lrn" => Self::Lrn(LocalResponse::parse(arguments)?),
            "layernorm" => layer_norm::parse(arguments)?,
            "groupnorm" => group_norm::parse(arguments)?,
            "scale" => scale::parse(arguments)?,
            "channels" => channels::parse_part(arguments)?,
            "shuffle" => channels::parse_shuffle(arguments)?,
            "prelu" => Self::Prelu,
            "pad" => Self::Pad(Pad::parse(arguments)?),
            "upsample" => Self::Upsample(Upsample::parse(arguments)?),
            "dropout" => Self::Dropout(arguments.number("probability")?.unwrap_or(0.5)),
            "timeconv" => Self::TimeConv(TimeConv::parse(arguments)?),
            "timemaxpool" => Self::TimePool(TimePool::parse(PoolKind::Max, arguments)?),
            "timeavgpool" => Self::TimePool(TimePool::parse(PoolKind::AVERAGE, arguments)?),
            "maxovertime" => Self::MaxOverTime,
            "avgovertime" => Self::AvgOverTime,
            "embedding" => embedding::parse(arguments)?,
            "flatten" => Self::Flatten,
            "linear" => linear::parse(arguments)?,
            _ => return Ok(activation::parse(name, arguments)?.map(Self::Activation)),
        }))
    }

    /// The layer's output for this input.
    pub(crate) fn resolve(&self, given: LayerInput) -> Result<Resolved, Misfit> {
        let input = given.shape;
        let frame = |height, width| Shape::new(height, width, input.channels).over(input.time);
        let plain = |operation, shape| Ok(Resolved::new(operation, shape, Vec::new())?);
        match *self {
            Self::Embedding(size) => embedding::resolve(size, given),
            _ if given.vocabulary.is_some() => Err(embedding::missing()),
            Self::Conv(conv) => conv.resolve(input),
            Self::Pool(pool) => pool.resolve(input),
            Self::GlobalAvgPool => plain(Operation::GlobalAvgPool, frame(1, 1)),
            Self::GlobalMaxPool => pool::resolve_global_max(input),
            Self::AdaptiveAvgPool([0, _] | [_, 0]) | Self::AdaptiveMaxPool([0, _] | [_, 0]) => {
                Err("it needs at least 1×1 regions".to_string().into())
            }
            Self::AdaptiveAvgPool([rows, columns]) => {
                plain(Operation::AdaptiveAvgPool, frame(rows, columns))
            }
            Self::AdaptiveMaxPool(size) => pool::resolve_adaptive_max(size, input),
            Self::BatchNorm { epsilon, momentum } => batch_norm::resolve(epsilon, momentum, input),
            Self::Lrn(lrn) => lrn.resolve(input),
            Self::LayerNorm { epsilon } => layer_norm::resolve(epsilon, input),
            Self::GroupNorm { groups, epsilon } => group_norm::resolve(groups, epsilon, input),
            Self::Scale { bias } => scale::resolve(bias, input),
            Self::Channels { first, count } => channels::resolve_part(first, count, input),
            Self::Shuffle { groups } => channels::resolve_shuffle(groups, input),
            Self::Prelu => prelu::resolve(input),
            Self::Pad(pad) => pad.resolve(input),
            Self::Upsample(upsample) => upsample.resolve(input),
            Self::Dropout(probability) => {
                if !(0.0..1.0).contains(&probability) {
                    let reason = "the probability must be at least 0 and below 1";
                    return Err(reason.to_string().into());
                }
                plain(Operation::Dropout(probability), input)
            }
            Self::TimeConv(conv) => conv.resolve(input),
            Self::TimePool(pool) => pool.resolve(input),
            Self::MaxOverTime if input.time > over_time::MOST_TIMES => Err(Misfit {
                reason: format!(
                    "a maximum can be taken over at most {} times, and the input has {}",
                    over_time::MOST_TIMES,
                    input.time
                ),
                ways_out: vec!["`timemaxpool(2, round=ceil)` before it".into()],
            }),
            Self::MaxOverTime => plain(Operation::MaxOverTime(None), input.frame()),
            Self::AvgOverTime => plain(Operation::AvgOverTime(None), input.frame()),
            Self::Flatten => plain(Operation::Flatten, Shape::new(1, 1, input.len())),
            Self::Linear { outputs, bias } => linear::resolve(outputs, bias, input, given.classes),
            Self::Activation(activation) => plain(Operation::Activation(activation), input),
        }
    }
}

fn regions(arguments: &mut Arguments) -> Result<[usize; 2], ArgumentError> {
    (arguments.pair("size")?).ok_or_else(|| {
        ArgumentError::layer("it needs a size: one number for both axes or (height, width)")
    })
}

impl Resolved {
    /// Rejects a map whose size in bytes cannot be addressed.
    fn new(operation: Operation, shape: Shape, tensors: Vec<Tensor>) -> Result<Self, String> {
        addressable(&shape.sizes())
            .ok_or_else(|| format!("its output {shape} is larger than any memory"))?;
        Ok(Self {
            operation,
            shape,
            tensors,
        })
    }
}

/// Number of values in a tensor of this shape, if their bytes can be addressed.
pub(crate) fn addressable(shape: &[usize]) -> Option<usize> {
    let count = (shape.iter()).try_fold(1usize, |product, size| product.checked_mul(*size))?;
    let bytes = count.checked_mul(size_of::<f32>())?;
    (bytes <= isize::MAX as usize).then_some(count)
}

/// The weights of a layer. Their initialisation is decided when the following layers are known.
fn tensor_weight(shape: Vec<usize>) -> Result<Tensor, String> {
    addressable(&shape)
        .ok_or_else(|| format!("its weights {shape:?} are larger than any memory"))?;
    Ok(Tensor {
        name: "weight",
        shape,
        role: Role::Weight,
        initial: Initial::Zero,
    })
}

fn tensor_zero(name: &'static str, role: Role, len: usize) -> Tensor {
    Tensor {
        name,
        shape: vec![len],
        role,
        initial: Initial::Zero,
    }
}

/// The learned factor, 1 at first, and the learned summand of each channel.
fn scale_and_shift(channels: usize) -> Vec<Tensor> {
    let scale = Tensor {
        initial: Initial::One,
        ..tensor_zero("weight", Role::Scale, channels)
    };
    vec![scale, tensor_zero("bias", Role::Shift, channels)]
}

/// Height and width of a shape; one value if it is square.
fn sides(shape: Shape) -> String {
    match (shape.height, shape.width) {
        (height, width) if height == width => height.to_string(),
        (height, width) => format!("{height}×{width}"),
    }
}

impl From<String> for Misfit {
    fn from(reason: String) -> Self {
        let ways_out = Vec::new();
        Self { reason, ways_out }
    }
}

impl From<Conv> for Layer {
    fn from(conv: Conv) -> Self {
        Self::Conv(conv)
    }
}

impl From<Pool> for Layer {
    fn from(pool: Pool) -> Self {
        Self::Pool(pool)
    }
}

impl From<TimeConv> for Layer {
    fn from(conv: TimeConv) -> Self {
        Self::TimeConv(conv)
    }
}

impl From<TimePool> for Layer {
    fn from(pool: TimePool) -> Self {
        Self::TimePool(pool)
    }
}

impl From<Activation> for Layer {
    fn from(activation: Activation) -> Self {
        Self::Activation(activation)
    }
}

impl fmt::Display for PaddingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zeros => f.write_str("zeros"),
            Self::Reflect => f.write_str("reflect"),
            Self::Replicate => f.write_str("replicate"),
            Self::Circular => f.write_str("circular"),
            Self::Constant(value) => write!(f, "constant({value})"),
        }
    }
}

impl fmt::Display for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(outputs) => write!(f, "{outputs}"),
            Self::Classes => f.write_str("classes"),
        }
    }
}

/// The layer's architecture text, without settings at their default.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv(conv) => conv.fmt(f),
            Self::Pool(pool) => pool.fmt(f),
            Self::GlobalAvgPool => f.write_str("globalavgpool"),
            Self::GlobalMaxPool => f.write_str("globalmaxpool"),
            Self::AdaptiveAvgPool(size) => write!(f, "adaptiveavgpool({})", Pair(*size)),
            Self::AdaptiveMaxPool(size) => write!(f, "adaptivemaxpool({})", Pair(*size)),
            usual if *usual == Self::batch_norm() => f.write_str("batchnorm"),
            Self::BatchNorm { epsilon, momentum } => {
                write!(f, "batchnorm(epsilon={epsilon}, momentum={momentum})")
            }
            Self::Lrn(lrn) => lrn.fmt(f),
            usual if *usual == Self::layer_norm() => f.write_str("layernorm"),
            Self::LayerNorm { epsilon } => write!(f, "layernorm(epsilon={epsilon})"),
            Self::GroupNorm { groups, epsilon } if *epsilon == group_norm::EPSILON => {
                write!(f, "groupnorm({groups})")
            }
            Self::GroupNorm { groups, epsilon } => {
                write!(f, "groupnorm({groups}, epsilon={epsilon})")
            }
            Self::Scale { bias: true } => f.write_str("scale"),
            Self::Scale { bias: false } => f.write_str("scale(bias=false)"),
            Self::Channels { first, count } => write!(f, "channels({first}, {count})"),
            Self::Shuffle { groups } => write!(f, "shuffle({groups})"),
            Self::Prelu => f.write_str("prelu"),
            Self::Pad(pad) => pad.fmt(f),
            Self::Upsample(upsample) => upsample.fmt(f),
            Self::Dropout(probability) => write!(f, "dropout({probability})"),
            Self::TimeConv(conv) => conv.fmt(f),
            Self::TimePool(pool) => pool.fmt(f),
            Self::MaxOverTime => f.write_str("maxovertime"),
            Self::AvgOverTime => f.write_str("avgovertime"),
            Self::Embedding(size) => write!(f, "embedding({size})"),
            Self::Flatten => f.write_str("flatten"),
            Self::Linear {
                outputs,
                bias: true,
            } => write!(f, "linear({outputs})"),
            Self::Linear {
                outputs,
                bias: false,
            } => write!(f, "linear({outputs}, bias=false)"),
            Self::Activation(activation) => f.write_str(&activation::text(*activation)),
        }
    }
}
