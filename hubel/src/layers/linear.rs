//! The fully connected layer: every output is a weighted sum of every input.
use super::{
    Layer, Misfit, Outputs, Resolved,
    arguments::{ArgumentError, Arguments, Value},
    tensor_weight, tensor_zero,
};
use crate::{
    Shape,
    network::{Operation, Role},
};
use hubel_kernels::conv;

pub(super) fn parse(arguments: &mut Arguments) -> Result<Layer, ArgumentError> {
    let expected = "a whole number or `classes`";
    let outputs = arguments.parse("outputs", expected, |value| match value {
        Value::Word(word) if word == "classes" => Some(Outputs::Classes),
        _ => value.number().map(Outputs::Number),
    })?;
    let message = "`linear` needs the number of its outputs, or `classes`";
    Ok(Layer::Linear {
        outputs: outputs.ok_or_else(|| ArgumentError::layer(message))?,
        bias: arguments.switch("bias")?.unwrap_or(true),
    })
}

/// From 1×1×n to 1×1×outputs, at one time.
pub(super) fn resolve(
    outputs: Outputs,
    bias: bool,
    input: Shape,
    classes: usize,
) -> Result<Resolved, Misfit> {
    if !input.is_row() {
        return Err(Misfit {
            reason: format!("it takes one row of numbers, and {input} is a map"),
            ways_out: [("flatten", input.len()), (pooled(input), input.channels)]
                .map(|(before, inputs)| format!("`{before}` before it gives it {inputs} inputs"))
                .into(),
        });
    }
    let outputs = match outputs {
        Outputs::Number(outputs) => outputs,
        Outputs::Classes => classes,
    };
    if outputs == 0 {
        return Err("it needs at least 1 output".to_string().into());
    }
    let mut tensors = vec![tensor_weight(vec![input.channels, outputs])?];
    if bias {
        tensors.push(tensor_zero("bias", Role::Bias, outputs));
    }
    let operation = Operation::Linear { outputs, bias };
    Ok(Resolved::new(
        operation,
        Shape::new(1, 1, outputs),
        tensors,
    )?)
}

/// The layers that reduce a map to one value of each channel.
fn pooled(input: Shape) -> &'static str {
    match (input.time, input.height * input.width) {
        (1, _) => "globalavgpool",
        (_, 1) => "maxovertime",
        _ => "globalavgpool-maxovertime",
    }
}

/// The layer as the kernels compute it: a 1×1 convolution of 1×1 maps, for `batch` images.
pub(crate) fn for_kernels(batch: usize, input: Shape, output: Shape) -> conv::Settings {
    conv::Settings {
        batch,
        input: [1, 1, input.len()],
        output: [1, 1, output.len()],
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0, 0],
        groups: 1,
    }
}
