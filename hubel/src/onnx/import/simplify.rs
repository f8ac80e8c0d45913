//! Finds the layers that an exporter wrote in parts: biases, activations, padding.
use super::draft::{Affine, Draft, Node, Operation};
use crate::layers::{Activation, Layer, Pad, Padding, PaddingMode, PoolKind};

/// Most sweeps over a graph. Exporters need a few.
const SWEEPS: usize = 20;

/// Joins the parts of layers; returns the output's new index. Padding that found no layer stays one of its own, and factors stay.
pub(super) fn join_parts(draft: &mut Draft, output: usize) -> usize {
    let mut output = output;
    // Each sweep sees the results of the one before.
    for _ in 0..SWEEPS {
        let before = draft.nodes.len();
        output = sweep(draft, output);
        output = draft.keep_only(output);
        if draft.nodes.len() == before {
            break;
        }
    }
    padding(draft, output);
    draft.keep_only(output)
}

/// Looks at each node once; returns the node that is the output now. Replaced nodes stay until the draft is cleaned up.
fn sweep(draft: &mut Draft, output: usize) -> usize {
    // Nodes that are no longer needed still count as readers, so that a count is never too small.
    let mut readers = draft.readers(output);
    // What the readers of each node read now.
    let mut instead: Vec<usize> = (0..draft.nodes.len()).collect();
    for node in 1..draft.nodes.len() {
        for input in &mut draft.nodes[node].inputs {
            *input = instead[*input];
        }
        hard_sigmoid(draft, &readers, node);
        softplus_below(draft, node);
        gate(draft, &mut readers, node);
        join(draft, &readers, node);
        into_layer(draft, &readers, node);
        if is_identity(&draft.nodes[node]) {
            let input = draft.nodes[node].inputs[0];
            readers[input] += readers[node];
            instead[node] = input;
        }
    }
    instead[output]
}

/// Makes layers of the rest of the nodes.
///
/// # Errors
/// The nodes that cannot be layers, and why.
pub(super) fn to_layers(draft: &mut Draft) -> Result<(), Vec<String>> {
    let problems: Vec<String> = draft.nodes.iter_mut().filter_map(as_layer).collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems),
    }
}

/// How far numbers of an exporter may lie from those that they mean.
const CLOSE: f32 = 1e-5;

fn is_close(a: f32, b: f32) -> bool {
    (a - b).abs() <= CLOSE * b.abs().max(1.0)
}

/// Whether a node changes nothing.
fn is_identity(node: &Node) -> bool {
    match &node.operation {
        Operation::Affine(Affine { scale, shift }) => {
            scale.iter().all(|scale| is_close(*scale, 1.0))
                && shift.iter().all(|shift| *shift == 0.0)
        }
        Operation::Clip { least, most } => [*least, *most] == [f32::NEG_INFINITY, f32::INFINITY],
        Operation::Layer(Layer::Activation(Activation::Identity)) => true,
        Operation::Layer(Layer::Pad(Pad { sides, .. })) => *sides == [0; 4],
        _ => false,
    }
}

/// The scale and shift of an affine node, if they are the same for all.
fn single(operation: &Operation) -> Option<(f32, f32)> {
    match operation {
        Operation::Affine(affine) => affine.single(),
        _ => None,
    }
}

/// relu6(x + 3) / 6, as exporters write it.
fn hard_sigmoid(draft: &mut Draft, readers: &[usize], node: usize) {
    let Some((sixth, none)) = single(&draft.nodes[node].operation) else {
        return;
    };
    let relu6 = draft.nodes[node].inputs[0];
    let is_relu6 =
        draft.nodes[relu6].operation == Operation::Layer(Layer::Activation(Activation::Relu6));
    if !is_relu6 || readers[relu6] != 1 || none != 0.0 || !is_close(sixth, 1.0 / 6.0) {
        return;
    }
    let shifted = draft.nodes[relu6].inputs[0];
    match single(&draft.nodes[shifted].operation) {
        Some((one, three))
            if readers[shifted] == 1 && is_close(one, 1.0) && is_close(three, 3.0) =>
        {
            draft.nodes[node].operation =
                Operation::Layer(Layer::Activation(Activation::HardSigmoid));
            draft.nodes[node].inputs = draft.nodes[shifted].inputs.clone();
        }
        _ => {}
    }
}

/// Softplus below a threshold and x above it, as PyTorch's exporter writes it: the node becomes an identity behind softplus.
fn softplus_below(draft: &mut Draft, node: usize) {
    // ln(1 + eˣ) − x is e⁻ˣ, which is below the precision of x from here on.
    const LEAST: f32 = 15.0;
    if draft.nodes[node].operation != Operation::Choice {
        return;
    }
    let [above, x, soft] = [0, 1, 2].map(|place| draft.nodes[node].inputs[place]);
    // The node before a factor, and the factor.
    let unscaled = |node: usize| match single(&draft.nodes[node].operation) {
        Some((scale, 0.0)) => (draft.nodes[node].inputs[0], scale),
        _ => (node, 1.0),
    };
    let (function, scale) = unscaled(soft);
    if draft.nodes[function].operation != softplus() {
        return;
    }
    let input = draft.nodes[function].inputs[0];
    let is_above_it = match draft.nodes[above].operation {
        Operation::Above(threshold) => threshold >= LEAST && draft.nodes[above].inputs[0] == input,
        _ => false,
    };
    let (of, by) = unscaled(input);
    let is_x = input == x && scale == 1.0 || of == x && is_close(scale * by, 1.0);
    if is_above_it && is_x {
        draft.nodes[node].operation = Operation::Affine(Affine::of(1.0, 0.0));
        draft.nodes[node].inputs = vec![soft];
    }
}

fn softplus() -> Operation {
    Operation::Layer(Layer::Activation(Activation::Softplus))
}

/// If a node is x³: x.
fn cubed(draft: &Draft, node: usize) -> Option<usize> {
    let node = &draft.nodes[node];
    match (&node.operation, &node.inputs[..]) {
        (Operation::Cube, &[x]) => Some(x),
        (Operation::Multiply, &[a, b]) => [(a, b), (b, a)].into_iter().find_map(|(x, square)| {
            let square = &draft.nodes[square];
            let is_square = match square.operation {
                Operation::Square => square.inputs == [x],
                Operation::Multiply => square.inputs == [x, x],
                _ => false,
            };
            is_square.then_some(x)
        }),
        _ => None,
    }
}

/// If a node is √(2/π) · (x + 0.044715 · x³): x.
fn gelu_argument(draft: &Draft, node: usize) -> Option<usize> {
    let (root, 0.0) = single(&draft.nodes[node].operation)? else {
        return None;
    };
    let sum = &draft.nodes[draft.nodes[node].inputs[0]];
    let &[a, b] = &sum.inputs[..] else {
        return None;
    };
    // In files of 16 bits, √(2/π) is 0.79785 and the factor 0.044708.
    if sum.operation != Operation::Add || (root - 0.797_884_6).abs() >= 1e-3 {
        return None;
    }
    [(a, b), (b, a)].into_iter().find_map(|(x, share)| {
        let (factor, none) = single(&draft.nodes[share].operation)?;
        let is_share = (factor - 0.044_715).abs() < 1e-4
            && none == 0.0
            && cubed(draft, draft.nodes[share].inputs[0]) == Some(x);
        is_share.then_some(x)
    })
}

/// x · gate(x): SiLU, hard swish, GELU and Mish. The node becomes a factor behind the activation, which takes the place of the gate.
fn gate(draft: &mut Draft, readers: &mut [usize], node: usize) {
    if draft.nodes[node].operation != Operation::Multiply {
        return;
    }
    let &[a, b] = &draft.nodes[node].inputs[..] else {
        return;
    };
    for (x, gate) in [(a, b), (b, a)] {
        if readers[gate] != 1 {
            continue;
        }
        let Some((activation, of, factor)) = activation_by(draft, gate) else {
            continue;
        };
        // The other factor may be a multiple of the same map.
        let multiple = single(&draft.nodes[x].operation).filter(|(_, shift)| *shift == 0.0);
        let factor = match multiple {
            _ if x == of => factor,
            Some((scale, _)) if draft.nodes[x].inputs[0] == of => factor * scale,
            _ => continue,
        };
        draft.nodes[gate].operation = Operation::Layer(Layer::Activation(activation));
        draft.nodes[gate].inputs = vec![of];
        draft.nodes[node].operation = Operation::Affine(Affine::of(factor, 0.0));
        draft.nodes[node].inputs = vec![gate];
        readers[of] += 1;
        return;
    }
}

/// If x · gate(x) is a multiple of an activation: the activation, x, and the factor.
fn activation_by(draft: &Draft, gate: usize) -> Option<(Activation, usize, f32)> {
    let (scale, shift, at) = match single(&draft.nodes[gate].operation) {
        Some((scale, shift)) => (scale, shift, draft.nodes[gate].inputs[0]),
        None => (1.0, 0.0, gate),
    };
    let node = &draft.nodes[at];
    let of = *node.inputs.first()?;
    match node.operation {
        Operation::Layer(Layer::Activation(Activation::Sigmoid)) if shift == 0.0 => {
            Some((Activation::Silu, of, scale))
        }
        Operation::Layer(Layer::Activation(Activation::HardSigmoid)) if shift == 0.0 => {
            Some((Activation::HardSwish, of, scale))
        }
        // relu6(x + 3) is 6 times the gate of hard swish.
        Operation::Layer(Layer::Activation(Activation::Relu6)) if shift == 0.0 => {
            let (slope, three) = single(&draft.nodes[of].operation)?;
            let is_gate = is_close(slope, 1.0) && is_close(three, 3.0);
            is_gate.then(|| {
                (
                    Activation::HardSwish,
                    draft.nodes[of].inputs[0],
                    6.0 * scale,
                )
            })
        }
        // The gate of Mish is tanh(ln(1 + eˣ)).
        Operation::Layer(Layer::Activation(Activation::Tanh))
            if shift == 0.0 && draft.nodes[of].operation == softplus() =>
        {
            Some((Activation::Mish, draft.nodes[of].inputs[0], scale))
        }
        // scale · tanh u + shift is 2 · shift · (1 + tanh u) / 2, if both are equal.
        Operation::Layer(Layer::Activation(Activation::Tanh)) if is_close(scale, shift) => {
            let x = gelu_argument(draft, of)?;
            Some((Activation::GeluTanh, x, 2.0 * shift))
        }
        // scale · erf(x / √2) + shift is 2 · shift · Φ(x), if both are equal.
        Operation::Erf if is_close(scale, shift) => {
            let (slope, none) = single(&draft.nodes[of].operation)?;
            // In files of 16 bits, 1/√2 is 0.70703.
            let is_root = (slope - std::f32::consts::FRAC_1_SQRT_2).abs() < 2e-4;
            let is_gate = is_root && none == 0.0;
            is_gate.then(|| (Activation::Gelu, draft.nodes[of].inputs[0], 2.0 * shift))
        }
        _ => None,
    }
}

/// Joins a node with the one before it, if both are limits or both are affine.
fn join(draft: &mut Draft, readers: &[usize], node: usize) {
    let Some(&before) = draft.nodes[node].inputs.first() else {
        return;
    };
    let joined = match (&draft.nodes[before].operation, &draft.nodes[node].operation) {
        (first, Operation::Clip { least, most }) => match limits(first) {
            Some((low, high)) if readers[before] == 1 => {
                let within = |value: f32| value.max(*least).min(*most);
                limited(within(low), within(high))
            }
            _ => {
                draft.nodes[node].operation = limited(*least, *most);
                return;
            }
        },
        (Operation::Affine(first), Operation::Affine(next)) if readers[before] == 1 => {
            let count = first.scale.len().max(next.scale.len());
            let pairs = (0..count).map(|channel| {
                let ((scale, shift), (by, then)) = (first.at(channel), next.at(channel));
                (scale * by, shift * by + then)
            });
            let (scale, shift) = pairs.unzip();
            Operation::Affine(Affine { scale, shift })
        }
        _ => return,
    };
    draft.nodes[node].operation = joined;
    draft.nodes[node].inputs = draft.nodes[before].inputs.clone();
}

/// A limit that is not there: values of networks are nearer.
const FAR: f32 = 1e30;

/// The limits of a node that limits its input.
fn limits(operation: &Operation) -> Option<(f32, f32)> {
    match operation {
        Operation::Clip { least, most } => Some((*least, *most)),
        Operation::Layer(Layer::Activation(Activation::Relu)) => Some((0.0, f32::INFINITY)),
        Operation::Layer(Layer::Activation(Activation::Relu6)) => Some((0.0, 6.0)),
        Operation::Layer(Layer::Activation(Activation::Clip { least, most })) => {
            Some((*least, *most))
        }
        _ => None,
    }
}

/// The layer with these limits, if hubel has it.
fn limited(least: f32, most: f32) -> Operation {
    let activation = match (least, most) {
        (0.0, f32::INFINITY) => Activation::Relu,
        (0.0, 6.0) => Activation::Relu6,
        (f32::NEG_INFINITY, f32::INFINITY) => Activation::Identity,
        // Limits that exclude each other are damage, and stay for the message.
        // A network's text has no infinite numbers.
        _ if least <= most => Activation::Clip {
            least: least.max(-FAR),
            most: most.min(FAR),
        },
        _ => return Operation::Clip { least, most },
    };
    Operation::Layer(Layer::Activation(activation))
}

/// Puts an affine node into the weights of the convolution, linear layer or normalisation before it. A factor for each channel after a convolution or linear
/// layer has been learned on its own, and goes on being learned as a layer of its own.
fn into_layer(draft: &mut Draft, readers: &[usize], node: usize) {
    let Operation::Affine(affine) = draft.nodes[node].operation.clone() else {
        return;
    };
    let before = draft.nodes[node].inputs[0];
    if readers[before] != 1 {
        return;
    }
    let layer = &mut draft.nodes[before];
    let channels = layer.shape.channels;
    let is_one_factor = affine.scale.windows(2).all(|pair| pair[0] == pair[1]);
    match &mut layer.operation {
        Operation::Layer(Layer::Conv(conv)) if is_one_factor => conv.bias = true,
        Operation::Layer(Layer::Linear { bias, .. }) if is_one_factor => *bias = true,
        Operation::Layer(
            Layer::BatchNorm { .. } | Layer::LayerNorm { .. } | Layer::GroupNorm { .. },
        ) => {}
        _ => return,
    }
    if layer.tensors.iter().all(|(name, _)| *name != "bias") {
        layer.tensors.push(("bias", vec![0.0; channels]));
    }
    for (name, values) in &mut layer.tensors {
        if !matches!(*name, "weight" | "bias") {
            continue;
        }
        // The values of each channel lie side by side.
        let each = values.len() / channels;
        for (channel, values) in values.chunks_exact_mut(each).enumerate() {
            let (scale, shift) = affine.at(channel);
            for value in values {
                *value *= scale;
                if *name == "bias" {
                    *value += shift;
                }
            }
        }
    }
    draft.nodes[node].operation = Operation::Affine(Affine::of(1.0, 0.0));
}

/// Puts padding into the layers that read it, where that gives the same values.
fn padding(draft: &mut Draft, output: usize) {
    for pad in 1..draft.nodes.len() {
        let Operation::Layer(Layer::Pad(Pad { sides, mode })) = draft.nodes[pad].operation else {
            continue;
        };
        let before = draft.nodes[pad].inputs[0];
        let is_positive =
            limits(&draft.nodes[before].operation).is_some_and(|(least, _)| least >= 0.0);
        let reading: Vec<usize> = (pad + 1..draft.nodes.len())
            .filter(|node| draft.nodes[*node].inputs.contains(&pad))
            .collect();
        let padded = |node: &usize| {
            let layer = with_padding(&draft.nodes[*node].operation, sides, mode, is_positive)?;
            // A last window that begins in the padding of a layer is left out.
            let shape = draft.resolve(&layer, before).ok();
            (shape == Some(draft.shape(*node))).then_some(layer)
        };
        let padded: Option<Vec<Layer>> = reading.iter().map(padded).collect();
        let Some(padded) = padded.filter(|_| pad != output) else {
            continue;
        };
        for (node, layer) in reading.into_iter().zip(padded) {
            draft.nodes[node].operation = Operation::Layer(layer);
            draft.nodes[node].inputs = vec![before];
        }
    }
}

/// The layer with additional padding. `is_positive` says that its input has no negative values.
fn with_padding(
    operation: &Operation,
    sides: [usize; 4],
    mode: PaddingMode,
    is_positive: bool,
) -> Option<Layer> {
    let sum = |padding: Padding| match padding {
        Padding::Sides(own) => Some(Padding::Sides(std::array::from_fn(|side| {
            own[side] + sides[side]
        }))),
        Padding::Same => None,
    };
    match operation {
        Operation::Layer(Layer::Conv(conv)) => {
            let is_alone = conv.padding == Padding::default();
            if !is_alone && (mode, conv.mode) != (PaddingMode::Zeros, PaddingMode::Zeros) {
                return None;
            }
            Some(Layer::Conv(crate::layers::Conv {
                padding: sum(conv.padding)?,
                mode,
                ..*conv
            }))
        }
        Operation::Layer(Layer::Pool(pool)) => {
            let is_alone = pool.padding == Padding::default();
            let kind = match (pool.kind, mode) {
                // Neither 0 nor −∞ wins against values that are not negative.
                (PoolKind::Max, PaddingMode::Zeros) if is_positive => PoolKind::Max,
                (PoolKind::Max, PaddingMode::Constant(f32::NEG_INFINITY)) => PoolKind::Max,
                (PoolKind::Average { count_padding }, PaddingMode::Zeros)
                    if is_alone || count_padding =>
                {
                    PoolKind::Average {
                        count_padding: true,
                    }
                }
                _ => return None,
            };
            Some(Layer::Pool(crate::layers::Pool {
                kind,
                padding: sum(pool.padding)?,
                ..*pool
            }))
        }
        _ => None,
    }
}

/// Makes the rest a layer; otherwise says why it cannot be one.
fn as_layer(node: &mut Node) -> Option<String> {
    let reason = match &node.operation {
        Operation::Layer(Layer::Pad(Pad {
            mode: PaddingMode::Constant(value),
            ..
        })) if !value.is_finite() => {
            format!("it pads with {value}, which hubel does as a part of max pooling only")
        }
        Operation::Image
        | Operation::Layer(_)
        | Operation::Add
        | Operation::Concat
        | Operation::Multiply => return None,
        Operation::Affine(affine) => {
            let channels = node.shape.channels;
            let (weight, shift): (Vec<f32>, Vec<f32>) =
                (0..channels).map(|channel| affine.at(channel)).unzip();
            let bias = shift.iter().any(|shift| *shift != 0.0);
            node.tensors = vec![("weight", weight)];
            node.tensors.extend(bias.then_some(("bias", shift)));
            node.operation = Operation::Layer(Layer::Scale { bias });
            return None;
        }
        Operation::Clip { least, most } => {
            format!("its limits, {least} and {most}, exclude each other")
        }
        Operation::ChannelMean | Operation::Centred => {
            "hubel computes the mean over channels as a part of layer norm only".into()
        }
        Operation::Square | Operation::Root => {
            "hubel computes squares and roots as a part of layer norm only".into()
        }
        Operation::Cube => "hubel computes cubes as a part of GELU by tanh only".into(),
        Operation::Above(_) | Operation::Choice => {
            "hubel compares values as a part of softplus only".into()
        }
        Operation::Erf => "hubel has the error function as a part of GELU only".into(),
    };
    Some(format!("{}: {reason}", node.source))
}
