//! The order of a tensor's values in memory, and in a file with PyTorch's layouts.
use crate::Shape;
use crate::network::{Graph, Operation};
use crate::parameters::Entry;

/// The two orders of a tensor's values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Layout {
    /// Memory `[kernel y, kernel x, inputs / groups, filters]`; file `[filters, inputs / groups, kernel y, kernel x]`.
    Convolution {
        kernel: [usize; 2],
        inputs: usize,
        filters: usize,
    },
    /// Along time: memory `[kernel, inputs / groups, filters]`; file `[filters, inputs / groups, kernel]`, as of `torch.nn.Conv1d`.
    TimeConvolution {
        kernel: usize,
        inputs: usize,
        filters: usize,
    },
    /// `[vocabulary, length]` in both.
    Embedding { vocabulary: usize, size: usize },
    /// Memory `[inputs, outputs]`; file `[outputs, inputs]`. The inputs are `maps` flattened: `[t, y, x, c]` in memory, `[c, t, y, x]` in a file.
    Linear { maps: Vec<Shape>, outputs: usize },
    /// One value per channel; the channels are `maps` flattened, as for [`Layout::Linear`].
    Channels { maps: Vec<Shape> },
}

impl Layout {
    /// The layout of a tensor of `graph`.
    pub(crate) fn of(graph: &Graph, entry: &Entry) -> Self {
        let node = &graph.nodes[entry.node];
        match (&node.operation, &entry.shape[..]) {
            (Operation::Conv(_), &[height, width, inputs, filters]) => Self::Convolution {
                kernel: [height, width],
                inputs,
                filters,
            },
            (Operation::Linear { .. }, &[_, outputs]) => Self::Linear {
                maps: graph.flattened_maps(node.inputs[0]),
                outputs,
            },
            (Operation::TimeConv(_), &[kernel, inputs, filters]) => Self::TimeConvolution {
                kernel,
                inputs,
                filters,
            },
            (Operation::Embedding { .. }, &[vocabulary, size]) => {
                Self::Embedding { vocabulary, size }
            }
            (
                Operation::BatchNorm { .. }
                | Operation::LayerNorm { .. }
                | Operation::GroupNorm { .. }
                | Operation::Scale { .. }
                | Operation::Prelu,
                _,
            ) if node.shape.is_row() => Self::Channels {
                maps: graph.flattened_maps(entry.node),
            },
            _ => Self::Channels {
                maps: vec![Shape::new(1, 1, entry.range.len())],
            },
        }
    }

    /// The sizes of the axes in a file.
    pub(crate) fn file_shape(&self) -> Vec<usize> {
        match self {
            Self::Convolution {
                kernel: [height, width],
                inputs,
                filters,
            } => vec![*filters, *inputs, *height, *width],
            Self::TimeConvolution {
                kernel,
                inputs,
                filters,
            } => vec![*filters, *inputs, *kernel],
            Self::Embedding { vocabulary, size } => vec![*vocabulary, *size],
            Self::Linear { maps, outputs } => vec![*outputs, total(maps)],
            Self::Channels { maps } => vec![total(maps)],
        }
    }

    /// The maps whose values the tensor has weights for; empty for a convolution and an embedding, whose weights are the same everywhere.
    pub(crate) fn maps(&self) -> &[Shape] {
        match self {
            Self::Convolution { .. } | Self::TimeConvolution { .. } | Self::Embedding { .. } => &[],
            Self::Linear { maps, .. } | Self::Channels { maps } => maps,
        }
    }

    fn numbers(&self) -> usize {
        self.file_shape().iter().product()
    }

    /// The values in the order of a file.
    pub(crate) fn to_file(&self, memory: &[f32]) -> Vec<f32> {
        assert_eq!(memory.len(), self.numbers());
        let mut file = Vec::with_capacity(memory.len());
        self.each_of_file(|place| file.push(memory[place]));
        file
    }

    /// The values of a file in the order of memory.
    pub(crate) fn to_memory(&self, file: &[f32], memory: &mut [f32]) {
        assert_eq!([file.len(), memory.len()], [self.numbers(); 2]);
        let mut file = file.iter();
        self.each_of_file(|place| {
            if let Some(number) = file.next() {
                memory[place] = *number;
            }
        });
    }

    /// Calls `body` with the index in memory of each value of the file, in the file's order.
    fn each_of_file(&self, mut body: impl FnMut(usize)) {
        match self {
            Self::Convolution {
                kernel: [height, width],
                inputs,
                filters,
            } => each_of_filters(height * width, *inputs, *filters, body),
            Self::TimeConvolution {
                kernel,
                inputs,
                filters,
            } => each_of_filters(*kernel, *inputs, *filters, body),
            Self::Embedding { vocabulary, size } => (0..vocabulary * size).for_each(body),
            Self::Linear { maps, outputs } => {
                for output in 0..*outputs {
                    each_flattened(maps, |input| body(input * outputs + output));
                }
            }
            Self::Channels { maps } => each_flattened(maps, body),
        }
    }
}

/// Calls `body` with the index in memory of each value of filters of `taps` taps, in the order of a file.
fn each_of_filters(taps: usize, inputs: usize, filters: usize, mut body: impl FnMut(usize)) {
    for filter in 0..filters {
        for input in 0..inputs {
            for tap in 0..taps {
                body((tap * inputs + input) * filters + filter);
            }
        }
    }
}

/// Calls `body` with the index in memory of each value of flattened maps, channels first.
fn each_flattened(maps: &[Shape], mut body: impl FnMut(usize)) {
    let mut start = 0;
    for map in maps {
        for channel in 0..map.channels {
            for pixel in 0..map.len() / map.channels {
                body(start + pixel * map.channels + channel);
            }
        }
        start += map.len();
    }
}

fn total(maps: &[Shape]) -> usize {
    maps.iter().map(|map| map.len()).sum()
}

#[cfg(test)]
mod tests;
