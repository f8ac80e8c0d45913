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

/// The sizes of an attribute for rows and columns; of maps of a single row, which have one axis, it has one size.
fn pair(call: &Call, axes: usize, name: &str) -> Result<Option<[usize; 2]>, String> {
    match (call.ints(name), axes) {
        (None, _) => Ok(None),
        (Some(&[height, width]), 2) => sizes([height, width], name).map(Some),
        (Some(&[width]), 1) => sizes([1, width], name).map(Some),
        (Some(other), _) => Err(format!(
            "its `{name}` is {other:?}, and its input has {axes} axes beside its channels"
        )),
    }
}

/// The windows of a node with kernels of this size, whose input has this number of axes beside its channels.
pub(super) fn read(
    call: &Call,
    axes: usize,
    kernel: [usize; 2],
    input: Shape,
) -> Result<Windows, String> {
    if let Some(given) = pair(call, axes, "kernel_shape")?
        && given != kernel
    {
        return Err(format!(
            "its kernel is {given:?}, and its weights are for {kernel:?}"
        ));
    }
    let [stride, dilation] = ["strides", "dilations"]
        .map(|name| Ok::<_, String>(pair(call, axes, name)?.unwrap_or([1; 2])));
    let (stride, dilation) = (stride?, dilation?);
    let size = [input.height, input.width];
    let padding = match call.text("auto_pad") {
        None | Some("NOTSET") => match (call.ints("pads"), axes) {
            (None, _) => Padding::default(),
            (Some(&[top, left, bottom, right]), 2) => {
                Padding::Sides(sizes([top, bottom, left, right], "pads")?)
            }
            (Some(&[left, right]), 1) => Padding::Sides(sizes([0, 0, left, right], "pads")?),
            (Some(other), _) => {
                return Err(format!(
                    "its `pads` is {other:?}, and its input has {axes} axes beside its channels"
                ));
            }
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
pub(super) fn pool(call: &Call, axes: usize, input: Shape) -> Result<Pool, String> {
    let kernel = pair(call, axes, "kernel_shape")?.ok_or("its kernel is missing")?;
    let windows = read(call, axes, kernel, input)?;
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

/// The sides `[top, bottom, left, right]` and values of Pad, whose input has this number of axes.
pub(super) fn pad(call: &Call, count: usize) -> Result<([usize; 4], PaddingMode), String> {
    let pads = call.ints_of("pads", 1)?.ok_or("its pads are missing")?;
    let along: Vec<i64> = match call.constant(3)?.and_then(|axes| axes.as_integers()) {
        Some(axes) => axes.to_vec(),
        None => (0..count as i64).collect(),
    };
    if pads.len() != 2 * along.len() {
        return Err("its pads and axes differ in number".into());
    }
    // Before and after each axis: images, channels, rows, columns.
    let mut sides = [[0; 2]; 4];
    for (place, &axis) in along.iter().enumerate() {
        // A map of a single row has no axis for its rows.
        let axis = match super::call::axis(axis, count)? {
            2 if count == 3 => 3,
            axis => axis,
        };
        sides[axis] = [pads[place], pads[place + along.len()]];
    }
    let [[0, 0], [0, 0], [top, bottom], [left, right]] = sides else {
        return Err("hubel pads rows and columns, and this node pads images or channels".into());
    };
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
