//! The windows of convolutions and pooling, and padding.
use super::call::Call;
use crate::Shape;
use crate::layers::{Padding, PaddingMode, Pool, PoolKind, Round};

/// Windows as hubel's layers have them.
pub(super) struct Windows {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) padding: Padding,
    pub(super) round: Round,
}

/// The windows of a node with kernels of this size.
pub(super) fn read(call: &Call, kernel: [usize; 2], input: Shape) -> Result<Windows, String> {
    let pair = |name: &str| match call.ints(name) {
        None => Ok([1; 2]),
        Some(&[height, width]) => sizes([height, width], name),
        Some(other) => Err(format!("its {name} are {other:?}, and hubel needs two")),
    };
    if let Some(given) = call.ints("kernel_shape")
        && given != kernel.map(|size| size as i64)
    {
        return Err(format!(
            "its kernel is {given:?}, and its weights are for {kernel:?}"
        ));
    }
    let (stride, dilation) = (pair("strides")?, pair("dilations")?);
    let size = [input.height, input.width];
    let padding = match call.text("auto_pad") {
        None | Some("NOTSET") => match call.ints("pads") {
            None => Padding::default(),
            Some(&[top, left, bottom, right]) => {
                Padding::Sides(sizes([top, bottom, left, right], "pads")?)
            }
            Some(other) => return Err(format!("its pads are {other:?}, and hubel needs four")),
        },
        Some("VALID") => Padding::default(),
        Some("SAME_UPPER") => Padding::Same,
        // One more before the map where `same` has one more behind it.
        Some("SAME_LOWER") => {
            let sides = |axis: usize| {
                let output = size[axis].div_ceil(stride[axis].max(1));
                let reach = dilation[axis].saturating_mul(kernel[axis].saturating_sub(1)) + 1;
                let last = output.saturating_sub(1).saturating_mul(stride[axis]);
                let total = last.saturating_add(reach).saturating_sub(size[axis]);
                [total - total / 2, total / 2]
            };
            let [[top, bottom], [left, right]] = [sides(0), sides(1)];
            Padding::Sides([top, bottom, left, right])
        }
        Some(other) => return Err(format!("it pads by `{other}`, which hubel does not know")),
    };
    // Without stride nothing is left over. With it, ONNX drops what is left.
    let round = match call.int("ceil_mode").unwrap_or(0) {
        0 if stride == [1; 2] || padding == Padding::Same => Round::Exact,
        0 => Round::Floor,
        _ => Round::Ceil,
    };
    Ok(Windows {
        kernel,
        stride,
        dilation,
        padding,
        round,
    })
}

/// The pooling of a node.
pub(super) fn pool(call: &Call, input: Shape) -> Result<Pool, String> {
    let Some(&[height, width]) = call.ints("kernel_shape") else {
        return Err("its kernel must have two sizes".into());
    };
    let windows = read(call, sizes([height, width], "kernel_shape")?, input)?;
    if windows.dilation != [1; 2] {
        return Err("hubel does not dilate pooling".into());
    }
    Ok(Pool {
        kind: match call.kind() {
            "MaxPool" => PoolKind::Max,
            _ => PoolKind::Average {
                count_padding: call.int("count_include_pad").unwrap_or(0) != 0,
            },
        },
        kernel: windows.kernel,
        stride: windows.stride,
        padding: windows.padding,
        round: windows.round,
    })
}

/// The sides `[top, bottom, left, right]` and values of Pad.
pub(super) fn pad(call: &Call) -> Result<([usize; 4], PaddingMode), String> {
    let pads = call.ints_of("pads", 1)?.ok_or("its pads are missing")?;
    let axes = call.constant(3)?.and_then(|axes| axes.as_integers());
    let pads: [i64; 8] = match (&pads[..], axes) {
        (pads, None) => pads
            .try_into()
            .map_err(|_| "hubel pads maps with four axes")?,
        (pads, Some(axes)) if pads.len() == 2 * axes.len() => {
            let mut all = [0; 8];
            for (place, &axis) in axes.iter().enumerate() {
                let axis = super::call::axis(axis, 4)?;
                all[axis] = pads[place];
                all[axis + 4] = pads[place + axes.len()];
            }
            all
        }
        _ => return Err("its pads and axes differ in number".into()),
    };
    let [
        before_n,
        before_c,
        top,
        left,
        after_n,
        after_c,
        bottom,
        right,
    ] = pads;
    if [before_n, before_c, after_n, after_c] != [0; 4] {
        return Err("hubel pads rows and columns, and this node pads images or channels".into());
    }
    if [top, bottom, left, right].iter().any(|side| *side < 0) {
        return Err("it crops its input by negative pads, which hubel does not".into());
    }
    let sides = sizes([top, bottom, left, right], "pads")?;
    let mode = match call.text("mode").unwrap_or("constant") {
        "constant" => match call.float_of("value", 2)?.unwrap_or(0.0) {
            0.0 => PaddingMode::Zeros,
            value => PaddingMode::Constant(value),
        },
        "reflect" => PaddingMode::Reflect,
        "edge" => PaddingMode::Replicate,
        "wrap" => PaddingMode::Circular,
        other => return Err(format!("it pads by `{other}`, which hubel does not know")),
    };
    Ok((sides, mode))
}

/// The largest size of a window or padding that is read; larger ones are damage.
const LARGEST: i64 = 1 << 20;

fn sizes<const COUNT: usize>(given: [i64; COUNT], what: &str) -> Result<[usize; COUNT], String> {
    match given.iter().all(|size| (0..=LARGEST).contains(size)) {
        true => Ok(given.map(|size| size as usize)),
        false => Err(format!(
            "its {what} are {given:?}, which hubel does not read"
        )),
    }
}
