//! Where a filter responds: the map of a filter, learned or made by hand, and its strongest places.
use std::ops::Range;

use hubel_kernels::Cpu;
use image::DynamicImage;

use super::arithmetic::{self, Arithmetic};
use super::{Explainer, Heatmap, Kernel};
use crate::data::{picture, transparency};
use crate::layers::PaddingMode;
use crate::network::{Graph, Node, Operation, TimeWindow};
use crate::{Error, Network, Parameters, Place, PlanSettings, Result, Shape};

/// The response of a filter at each place, and its strongest places.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The responses.
    pub map: Heatmap,
    /// The strongest places, strongest first; empty if no response is above 0.
    pub strongest: Vec<Fire>,
}

/// A place at which a filter responds.
#[derive(Clone, Debug, PartialEq)]
pub struct Fire {
    /// Row and column in the map.
    pub at: [usize; 2],
    /// The response.
    pub value: f32,
    /// The rows and columns of the picture that the response depends on.
    pub sees: [Range<usize>; 2],
}

/// The responses of filter `channel` of the layer `node` for the first picture of the last [`look`](Explainer::look), and its `count` strongest
/// places. If places see mostly the same part of the picture, only the strongest is listed.
///
/// # Errors
/// If the layer has no such channel.
pub fn of_filter(
    explainer: &Explainer,
    node: usize,
    channel: usize,
    count: usize,
) -> Result<Response> {
    let Node { name, shape, .. } = &explainer.nodes()[node];
    if channel >= shape.channels {
        return Err(Error::Settings {
            problem: format!(
                "layer `{name}` has {} filters, which count from 0; there is no filter {channel}",
                shape.channels
            ),
        });
    }
    if shape.time > 1 {
        return Err(Error::Settings {
            problem: format!(
                "layer `{name}` has a map for each frame; where a filter responds is shown for layers of pictures only"
            ),
        });
    }
    let map = Heatmap {
        layer: name.clone(),
        time: shape.time,
        height: shape.height,
        width: shape.width,
        values: explainer.channel(node, channel),
    };
    Ok(Response {
        strongest: strongest(&explainer.graph, node, &map, count),
        map,
    })
}

/// A convolution with one hand-made filter, ready for pictures of `shape`. Its map is that of node 1, and has the picture's size. The
/// border is replicated, so that the edge of the picture is no feature.
///
/// # Errors
/// If the kernel has other channels, or memory does not suffice.
pub fn explainer_of_kernel(cpu: &Cpu, kernel: &Kernel, shape: Shape) -> Result<Explainer> {
    if kernel.channels != shape.channels {
        return Err(Error::Settings {
            problem: format!(
                "the kernel `{}` has {} {}, and the picture is {shape}",
                kernel.name,
                kernel.channels,
                if kernel.channels == 1 {
                    "channel"
                } else {
                    "channels"
                }
            ),
        });
    }
    let (height, width) = (kernel.height, kernel.width);
    let [top, left] = [height, width].map(|side| (side - 1) / 2);
    let (bottom, right) = (height - 1 - top, width - 1 - left);
    let text = format!(
        "conv(1, kernel=({height},{width}), padding=({top},{bottom},{left},{right}), mode=replicate, bias=false)"
    );
    let graph = Network::parse(&text)?.graph(shape, 1)?;
    let mut parameters = Parameters::initial(&graph, 0)?;
    let weights = parameters.entries()[0].range.clone();
    parameters.values_mut()[weights].copy_from_slice(&kernel.weights);
    Explainer::of_graph(cpu, graph, parameters, PlanSettings::explanation(1))
}

/// The response of a hand-made filter to a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelResponse {
    /// The responses and the strongest places.
    pub response: Response,
    /// How the strongest response is computed; values of the picture are from 0 to 1.
    pub arithmetic: Arithmetic,
    /// The picture's bytes, `[h, w, c]`.
    pub pixels: Vec<u8>,
    /// Its shape.
    pub shape: Shape,
}

/// Applies a hand-made filter to a decoded picture at its own size: in grey for a kernel of one channel, in colour for one of three.
///
/// # Errors
/// If memory does not suffice.
pub fn of_kernel(
    cpu: &Cpu,
    kernel: &Kernel,
    picture: DynamicImage,
    count: usize,
) -> Result<KernelResponse> {
    let behind = transparency::level_for(&picture, kernel.channels, None);
    let (pixels, shape) = picture::bytes(picture, kernel.channels, behind)?;
    let mut explainer = explainer_of_kernel(cpu, kernel, shape)?;
    let levels = pixels.iter().map(|level| f32::from(*level) / 255.0);
    explainer.look(&levels.collect::<Vec<f32>>());
    let response = of_filter(&explainer, 1, 0, count)?;
    let [_, y, x] = response.map.brightest();
    Ok(KernelResponse {
        arithmetic: arithmetic::of(&explainer, 1, Place::new(y, x, 0))?,
        response,
        pixels,
        shape,
    })
}

/// The largest values above 0 of a map whose receptive fields overlap by less than half.
fn strongest(graph: &Graph, node: usize, map: &Heatmap, count: usize) -> Vec<Fire> {
    let mut places: Vec<usize> = (0..map.values.len()).collect();
    places.sort_by(|a, b| map.values[*b].total_cmp(&map.values[*a]));
    let mut fires: Vec<Fire> = Vec::new();
    for place in places {
        if fires.len() == count || map.values[place] <= 0.0 {
            break;
        }
        let at = [place / map.width, place % map.width];
        let [_, sees @ ..] = view(graph, node, Place::new(at[0], at[1], 0));
        if fires.iter().all(|fire| overlap(&fire.sees, &sees) < 0.5) {
            fires.push(Fire {
                at,
                value: map.values[place],
                sees,
            });
        }
    }
    fires
}

/// The overlap of two receptive fields, as a share of the smaller one.
fn overlap(one: &[Range<usize>; 2], other: &[Range<usize>; 2]) -> f64 {
    let area = |view: &[Range<usize>; 2]| (view[0].len() * view[1].len()) as f64;
    let common = [0, 1].map(|axis| {
        let start = one[axis].start.max(other[axis].start);
        start..one[axis].end.min(other[axis].end).max(start)
    });
    area(&common) / area(one).min(area(other)).max(1.0)
}

/// The times, rows and columns of the input that the value at `at` in a node's map depends on.
pub fn of_place(explainer: &Explainer, node: usize, at: Place) -> [Range<usize>; 3] {
    view(&explainer.graph, node, at)
}

/// The times, rows and columns of the input that the value at `at` in a node's map depends on.
pub fn view(graph: &Graph, node: usize, at: Place) -> [Range<usize>; 3] {
    let mut seen: Vec<Option<[Range<isize>; 3]>> = vec![None; node + 1];
    let single = |place: usize| place as isize..place as isize + 1;
    seen[node] = Some([at.time, at.row, at.column].map(single));
    for i in (1..=node).rev() {
        let Some(own) = seen[i].clone() else { continue };
        // A value of the padding depends on nothing.
        if own.iter().any(Range::is_empty) {
            continue;
        }
        for &input in &graph.nodes[i].inputs {
            let shape = graph.nodes[input].shape;
            let sides = [shape.time, shape.height, shape.width];
            let reads = [0, 1, 2].map(|axis| {
                let read = reads(&graph.nodes[i], axis, sides[axis], own[axis].clone());
                let mode = match &graph.nodes[i].operation {
                    Operation::Conv(conv) if axis > 0 => conv.mode,
                    Operation::Pad { mode, .. } if axis > 0 => *mode,
                    _ => PaddingMode::Zeros,
                };
                shown(read, sides[axis] as isize, mode)
            });
            seen[input] = Some(match seen[input].take() {
                None => reads,
                Some(other) => [0, 1, 2].map(|axis| {
                    let start = other[axis].start.min(reads[axis].start);
                    start..other[axis].end.max(reads[axis].end)
                }),
            });
        }
    }
    let input = seen[0].take().unwrap_or([0..0, 0..0, 0..0]);
    input.map(|side| side.start as usize..side.end as usize)
}

/// The rows or columns of an input of `size` that `places` of the padded input read: padding such as `circular` reads distant ones.
fn shown(places: Range<isize>, size: isize, mode: PaddingMode) -> Range<isize> {
    let inside = places.start.clamp(0, size)..places.end.clamp(0, size);
    match mode {
        PaddingMode::Zeros | PaddingMode::Constant(_) => inside,
        _ if inside == places => inside,
        PaddingMode::Replicate => {
            let (first, last) = (places.start, places.end - 1);
            first.clamp(0, size - 1)..last.clamp(0, size - 1) + 1
        }
        // Rows `-1`, `size` show rows `1`, `size - 2`.
        PaddingMode::Reflect => {
            let mirrored = |place: isize| match place {
                place if place < 0 => -place,
                place if place >= size => 2 * (size - 1) - place,
                place => place,
            };
            let places = || places.clone().map(mirrored);
            let (first, last) = (places().min(), places().max());
            first.unwrap_or(0)..last.map_or(0, |last| last + 1)
        }
        PaddingMode::Circular => 0..size,
    }
}

/// The times (axis 0), rows or columns of an input that `places` of a node's map read.
fn reads(node: &Node, axis: usize, size: usize, places: Range<isize>) -> Range<isize> {
    let sliding = |kernel: usize, stride: usize, dilation: usize, before: usize| {
        let start = places.start * stride as isize - before as isize;
        let last = (places.end - 1) * stride as isize - before as isize;
        start..last + (dilation * (kernel - 1)) as isize + 1
    };
    let all = || 0..size as isize;
    match (&node.operation, axis.checked_sub(1)) {
        (Operation::Linear { .. } | Operation::Flatten | Operation::GroupNorm { .. }, _) => all(),
        (Operation::MaxOverTime(_) | Operation::AvgOverTime(_), None) => all(),
        (Operation::TimeConv(conv), None) => along_time(&conv.window, sliding),
        (Operation::TimeMaxPool(window) | Operation::TimeAvgPool { window, .. }, None) => {
            along_time(window, sliding)
        }
        (Operation::Conv(conv), Some(axis)) => sliding(
            conv.kernel[axis],
            conv.stride[axis],
            conv.dilation[axis],
            conv.padding[axis],
        ),
        (Operation::MaxPool(window) | Operation::AvgPool { window, .. }, Some(axis)) => sliding(
            window.kernel[axis],
            window.stride[axis],
            1,
            window.padding[axis],
        ),
        (Operation::AdaptiveAvgPool | Operation::AdaptiveMaxPool, Some(axis)) => {
            let count = [node.shape.height, node.shape.width][axis] as isize;
            let size = size as isize;
            places.start * size / count..(places.end * size + count - 1) / count
        }
        // A factor of a channel is read at all places.
        (Operation::Multiply, _) if size == 1 => all(),
        (Operation::Pad { sides, .. }, Some(axis)) => sliding(1, 1, 1, sides[axis]),
        (Operation::Upsample(upsample), Some(axis)) => {
            let upsampling = upsample.for_kernels(1, Shape::new(size, size, 1));
            let sources = |place: isize| upsampling.sources(axis, place as usize);
            let ((first, ..), (last, _, behind)) = (sources(places.start), sources(places.end - 1));
            let last = behind.map_or(last, |(behind, _)| behind);
            first as isize..last as isize + 1
        }
        (Operation::GlobalAvgPool | Operation::GlobalMaxPool, Some(_)) => all(),
        _ => places,
    }
}

fn along_time(
    window: &TimeWindow,
    sliding: impl Fn(usize, usize, usize, usize) -> Range<isize>,
) -> Range<isize> {
    sliding(
        window.kernel,
        window.stride,
        window.dilation,
        window.padding[0],
    )
}
