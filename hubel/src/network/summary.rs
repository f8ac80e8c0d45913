//! The costs of a network for one input, layer by layer.
use super::graph::{Graph, Node, Operation};
use crate::Shape;
use crate::layers::{Interpolation, window::Axis};
use serde::Serialize;
use std::fmt;

/// Shapes, sizes and costs of a network for one image. `hubel inspect --json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The shape of the input, `[height, width, channels]` in JSON, with the time before them if there is more than one.
    #[serde(serialize_with = "crate::shape::as_sizes")]
    pub input: Shape,
    /// Number of trained values.
    pub parameters: usize,
    /// Bytes of the parameters.
    pub parameter_bytes: usize,
    /// Multiplications with an addition in convolutions and linear layers, for one image.
    pub multiply_adds: u64,
    /// Bytes of the outputs of all layers for one image.
    pub bytes: usize,
    /// The layers in evaluation order.
    pub layers: Vec<LayerSummary>,
}

/// One layer of a [`Summary`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Its name, the prefix of its tensors' names.
    pub name: String,
    /// `conv`, `relu`, `linear` …
    pub kind: &'static str,
    /// The shape of its output, in JSON as that of the input.
    #[serde(serialize_with = "crate::shape::as_sizes")]
    pub output: Shape,
    /// The size formula with its values, `(28 + 2·2 − 5)/1 + 1 = 28`, for the height, and for the width if it differs; for the time of a layer along time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// Number of trained values.
    pub parameters: usize,
    /// Multiplications with an addition, for one image.
    pub multiply_adds: u64,
    /// Height and width of the receptive field of one output pixel. Near the end of a network it may reach into the padding
    /// around the image, which counts here; the table shows at most the image.
    pub receptive_field: [usize; 2],
    /// Number of times of the input that an output depends on, as for height and width.
    #[serde(skip_serializing_if = "is_one")]
    pub receptive_times: usize,
    /// Bytes of its output for one image.
    pub bytes: usize,
    /// Rows and columns at the end of its input that no window reads because `round=floor` drops them.
    pub dropped: [usize; 2],
    /// Times at the end of its input that no window reads.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_times: usize,
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The receptive field of one pixel at one time, `[time, height, width]`: its extent, and the distance to that of the neighbour.
#[derive(Clone, Copy)]
struct View {
    extent: [usize; 3],
    distance: [usize; 3],
    /// How many neighbours share this distance, because the map was upsampled.
    sharing: [usize; 3],
}

impl View {
    /// The larger distance to a neighbour along an axis, with the number of neighbours that share it.
    fn larger_distance(a: &Self, b: &Self, axis: usize) -> (usize, usize) {
        let product = |a: usize, b: usize| a as u128 * b as u128;
        let [a, b] = [a, b].map(|view| (view.distance[axis], view.sharing[axis]));
        match product(a.0, b.1) >= product(b.0, a.1) {
            true => a,
            false => b,
        }
    }
}

impl Summary {
    /// Adds up a graph.
    pub fn new(graph: &Graph) -> Self {
        let mut views: Vec<View> = Vec::with_capacity(graph.nodes.len());
        let mut layers = Vec::new();
        for node in &graph.nodes {
            let Some(&first) = node.inputs.first() else {
                views.push(View {
                    extent: [1; 3],
                    distance: [1; 3],
                    sharing: [1; 3],
                });
                continue;
            };
            let input = graph.nodes[first].shape;
            // With several inputs, the largest receptive field.
            let seen = (node.inputs.iter().map(|&input| views[input]))
                .reduce(|a, b| View {
                    extent: [0, 1, 2].map(|i| a.extent[i].max(b.extent[i])),
                    distance: [0, 1, 2].map(|i| View::larger_distance(&a, &b, i).0),
                    sharing: [0, 1, 2].map(|i| View::larger_distance(&a, &b, i).1),
                })
                .expect("there is a first input");
            let view = view(node, input, seen);
            views.push(view);
            layers.push(layer(node, input, view));
        }
        let parameters = graph.parameters();
        let bytes = layers.iter().map(|layer| layer.bytes);
        let multiply_adds = layers.iter().map(|layer| layer.multiply_adds);
        Self {
            input: graph.nodes[0].shape,
            parameters,
            parameter_bytes: parameters.saturating_mul(size_of::<f32>()),
            multiply_adds: multiply_adds.fold(0, u64::saturating_add),
            bytes: bytes.fold(0, usize::saturating_add),
            layers,
        }
    }
}

fn layer(node: &Node, input: Shape, view: View) -> LayerSummary {
    let output = node.shape;
    let axes = axes(node, input);
    let time = time_axis(node, input);
    let of_space = axes.map(|axes| formula(axes, [output.height, output.width]));
    let of_time = time.map(|axis| formula_of(axis, output.time));
    let dropped = |axis: usize| {
        let size = [output.height, output.width][axis];
        axes.map_or(0, |axes| axes[axis].dropped(size))
    };
    LayerSummary {
        name: node.name.clone(),
        kind: node.operation.kind(),
        output,
        formula: of_space.or(of_time),
        parameters: node.parameters(),
        multiply_adds: multiply_adds(node, input),
        receptive_field: [view.extent[1], view.extent[2]],
        receptive_times: view.extent[0],
        bytes: node.shape.len() * size_of::<f32>(),
        dropped: [dropped(0), dropped(1)],
        dropped_times: time.map_or(0, |axis| axis.dropped(output.time)),
    }
}

/// The time of a layer with windows along time.
fn time_axis(node: &Node, input: Shape) -> Option<Axis> {
    let window = match &node.operation {
        Operation::TimeConv(conv) => &conv.window,
        Operation::TimeMaxPool(window) | Operation::TimeAvgPool { window, .. } => window,
        _ => return None,
    };
    Some(Axis {
        index: 0,
        input: input.time,
        before: window.padding[0],
        after: window.padding[1],
        kernel: window.kernel,
        stride: window.stride,
        dilation: window.dilation,
    })
}

/// The axes of a layer with windows in the frame.
fn axes(node: &Node, input: Shape) -> Option<[Axis; 2]> {
    let (kernel, stride, dilation, padding) = match &node.operation {
        Operation::Conv(conv) => (conv.kernel, conv.stride, conv.dilation, conv.padding),
        Operation::MaxPool(window) | Operation::AvgPool { window, .. } => {
            (window.kernel, window.stride, [1; 2], window.padding)
        }
        _ => return None,
    };
    let size = [input.height, input.width];
    Some([0, 1].map(|index| Axis {
        index,
        input: size[index],
        before: padding[index],
        after: padding[index + 2],
        kernel: kernel[index],
        stride: stride[index],
        dilation: dilation[index],
    }))
}

fn formula(axes: [Axis; 2], output: [usize; 2]) -> String {
    let [height, width] = [0, 1].map(|i| formula_of(axes[i], output[i]));
    if height == width {
        height
    } else {
        format!("{height}; {width}")
    }
}

fn formula_of(axis: Axis, output: usize) -> String {
    let rounded = match axis.rest() {
        0 => String::new(),
        _ => format!(" → {output}"),
    };
    axis.formula() + &rounded
}

fn multiply_adds(node: &Node, input: Shape) -> u64 {
    let factors = match &node.operation {
        Operation::Conv(conv) => vec![
            node.shape.len(),
            conv.kernel[0],
            conv.kernel[1],
            input.channels / conv.groups,
        ],
        Operation::TimeConv(conv) => vec![
            node.shape.len(),
            conv.window.kernel,
            input.channels / conv.groups,
        ],
        Operation::Linear { outputs, .. } => vec![input.channels, *outputs],
        _ => return 0,
    };
    (factors.into_iter()).fold(1, |product: u64, factor| {
        product.saturating_mul(factor as u64)
    })
}

/// The longest of the regions ⌊i·size/regions⌋ to ⌈(i + 1)·size/regions⌉: a region begins i·size mod regions fractions of a pixel
/// early, which is at most regions less the greatest common divisor.
fn longest_region(size: usize, regions: usize) -> usize {
    let (mut divisor, mut rest) = (regions, size % regions);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    size.saturating_add(regions - divisor).div_ceil(regions)
}

/// The receptive field of an output pixel, given that of an input pixel.
fn view(node: &Node, input: Shape, seen: View) -> View {
    let [time, height, width, _] = input.sizes();
    let mut sharing = seen.sharing;
    let (reach, stride) = match &node.operation {
        Operation::Upsample(upsample) => {
            let [down, across] = upsample.factor;
            sharing = [
                sharing[0],
                sharing[1].saturating_mul(down),
                sharing[2].saturating_mul(across),
            ];
            let pixels = |factor: usize| match upsample.interpolation {
                Interpolation::Bilinear if factor > 1 => 2,
                _ => 1,
            };
            ([1, pixels(down), pixels(across)], [1; 3])
        }
        Operation::GlobalAvgPool | Operation::GlobalMaxPool => ([1, height, width], [1; 3]),
        Operation::Flatten | Operation::GroupNorm { .. } => ([time, height, width], [1; 3]),
        Operation::MaxOverTime(_) | Operation::AvgOverTime(_) => ([time, 1, 1], [1; 3]),
        Operation::AdaptiveAvgPool | Operation::AdaptiveMaxPool => {
            let [rows, columns] = [node.shape.height, node.shape.width];
            let reach = [
                1,
                longest_region(height, rows),
                longest_region(width, columns),
            ];
            (reach, [1, (height / rows).max(1), (width / columns).max(1)])
        }
        _ => match (axes(node, input), time_axis(node, input)) {
            (Some([y, x]), _) => ([1, y.reach(), x.reach()], [1, y.stride, x.stride]),
            (None, Some(time)) => ([time.reach(), 1, 1], [time.stride, 1, 1]),
            (None, None) => return seen,
        },
    };
    View {
        extent: [0, 1, 2].map(|i| {
            let more = (reach[i] - 1).saturating_mul(seen.distance[i]);
            seen.extent[i].saturating_add(more.div_ceil(seen.sharing[i]))
        }),
        distance: [0, 1, 2].map(|i| seen.distance[i].saturating_mul(stride[i])),
        sharing,
    }
}

/// An aligned table, with the totals below it.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = [
            "layer",
            "kind",
            "output",
            "parameters",
            "multiply-adds",
            "sees",
            "bytes",
            "size",
        ];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(self.layers.iter().map(|layer| row(layer, self.input)));
        let widths: Vec<usize> = (0..header.len())
            .map(|i| {
                rows.iter()
                    .map(|row| row[i].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for row in &rows {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                let width = widths[i];
                // Numbers are right-aligned, words left-aligned.
                line += &match i {
                    3..=6 => format!("{cell:>width$}  "),
                    _ => format!("{cell:<width$}  "),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        let part = match self.input.time {
            1 => "rows×columns",
            _ => "times×rows×columns",
        };
        write!(
            f,
            "\nsees: the part of the input ({part}) that a value of the layer's output depends on\ninput {}: {} parameters ({} bytes), {} multiply-adds and {} bytes of maps per example",
            self.input,
            grouped(self.parameters as u64),
            grouped(self.parameter_bytes as u64),
            grouped(self.multiply_adds),
            grouped(self.bytes as u64),
        )
    }
}

impl LayerSummary {
    /// The part of an input of this shape that an output depends on, rows×columns, with the times before them if there are several. At most the input.
    pub fn sees(&self, input: Shape) -> String {
        let [down, across] = self.receptive_field;
        let (down, across) = (down.min(input.height), across.min(input.width));
        match input.time {
            1 => format!("{down}×{across}"),
            time => format!("{}×{down}×{across}", self.receptive_times.min(time)),
        }
    }
}

fn row(layer: &LayerSummary, input: Shape) -> [String; 8] {
    let mut size = layer.formula.clone().unwrap_or_default();
    if layer.dropped != [0; 2] {
        let [rows, columns] = layer.dropped;
        size += &format!(
            " (drops {}, {})",
            counted(rows, "row"),
            counted(columns, "column")
        );
    }
    if layer.dropped_times > 0 {
        size += &format!(" (drops {})", counted(layer.dropped_times, "time"));
    }
    [
        layer.name.clone(),
        layer.kind.into(),
        layer.output.to_string(),
        grouped(layer.parameters as u64),
        grouped(layer.multiply_adds),
        layer.sees(input),
        grouped(layer.bytes as u64),
        size,
    ]
}

/// `1 row`, `2 rows`.
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// `11,181,642`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_layer_sees_more_than_the_image_in_the_table() {
        let network =
            crate::Network::parse("conv(2, padding=1)-pool-conv(2, padding=1)-flatten-fc(classes)");
        let summary = network.unwrap().summary(Shape::new(6, 20, 1), 2).unwrap();
        assert_eq!(summary.layers[2].receptive_field, [8, 8]);
        let text = summary.to_string();
        assert!(text.contains(" 6×8 ") && !text.contains(" 8×8 "), "{text}");
        assert!(
            text.contains("sees: the part of the input (rows×columns)"),
            "{text}"
        );
    }

    #[test]
    fn the_longest_region_is_that_of_all_regions() {
        assert_eq!(longest_region(28, 3), 10); // 0..10, 9..19, 18..28
        assert_eq!(longest_region(5, 3), 3); // 0..2, 1..4, 3..5
        for size in 1..40_usize {
            for regions in 1..60 {
                let lengths =
                    (0..regions).map(|i| ((i + 1) * size).div_ceil(regions) - i * size / regions);
                assert_eq!(Some(longest_region(size, regions)), lengths.max());
            }
        }
    }
}
