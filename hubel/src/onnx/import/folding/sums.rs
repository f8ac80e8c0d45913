//! Products of matrices, batch norm, sums and maxima of constants.
use super::{limited, places};
use crate::onnx::constant::{Constant, Values};
use crate::onnx::import::call::{Call, axes};

/// About how many values a node reads, if they may be many more than its results.
pub(in crate::onnx::import) fn work(call: &Call) -> Result<usize, String> {
    let input = |place| call.needed(place).map(|constant| &**constant);
    Ok(match call.kind() {
        "MatMul" => {
            let Sizes {
                batch,
                rows,
                between,
                columns,
            } = Sizes::of(input(0)?, input(1)?)?;
            let sizes = batch.iter().copied().chain([rows, between, columns]);
            sizes.fold(1, usize::saturating_mul)
        }
        "ReduceSum" | "ReduceMean" | "ReduceProd" | "ReduceMax" | "ReduceMin" | "Slice" => {
            input(0)?.values.len()
        }
        _ => 0,
    })
}

/// The sizes of a product, `[batch, rows, between]` by `[batch, between, columns]`. One of the factors has no batch.
struct Sizes {
    batch: Vec<usize>,
    rows: usize,
    between: usize,
    columns: usize,
}

impl Sizes {
    fn of(left: &Constant, right: &Constant) -> Result<Self, String> {
        let (Some((outer, &[rows, between])), Some((inner, &[below, columns]))) = (
            left.shape.split_last_chunk::<2>(),
            right.shape.split_last_chunk::<2>(),
        ) else {
            return Err("hubel multiplies constants with at least two axes".into());
        };
        if between != below || !(outer.is_empty() || inner.is_empty()) {
            return Err(format!(
                "hubel does not multiply constants of {:?} and {:?}",
                left.shape, right.shape
            ));
        }
        Ok(Self {
            batch: [outer, inner].concat(),
            rows,
            between,
            columns,
        })
    }
}

/// The product of two constants.
pub(super) fn product(left: &Constant, right: &Constant) -> Result<Constant, String> {
    let Sizes {
        batch,
        rows,
        between,
        columns,
    } = Sizes::of(left, right)?;
    let count = batch.iter().product();
    let shape = [&batch[..], &[rows, columns]].concat();
    let mut values = vec![0.0; limited(&shape)?];
    // The first of the values of image `place` of a factor, which may have no batch.
    let first = |factor: &Constant, place: usize, size: usize| match factor.shape.len() {
        2 => 0,
        _ => place * size,
    };
    let (a, b) = (left.to_floats(), right.to_floats());
    for place in 0..count {
        let a = &a[first(left, place, rows * between)..];
        let b = &b[first(right, place, between * columns)..];
        for row in 0..rows {
            let sums = &mut values[(place * rows + row) * columns..][..columns];
            for (at, factor) in a[row * between..][..between].iter().enumerate() {
                let others = &b[at * columns..][..columns];
                for (sum, other) in sums.iter_mut().zip(others) {
                    *sum += factor * other;
                }
            }
        }
    }
    Ok(Constant {
        shape,
        values: Values::Floats(values),
    })
}

/// Batch norm of a constant `[n, c, …]`, in training mode by its own mean and variance: so timm standardises weights.
pub(super) fn batch_norm(call: &Call) -> Result<Constant, String> {
    let constant = call.needed(0)?;
    let &[count, channels, ref places @ ..] = &constant.shape[..] else {
        return Err("its input has no channels".into());
    };
    let places: usize = places.iter().product();
    let tensor = |place: usize| {
        let values = call.needed(place)?.to_floats();
        match values.len() == channels {
            true => Ok(values),
            false => Err(format!("its input {place} does not have {channels} values")),
        }
    };
    let (scale, shift) = (tensor(1)?, tensor(2)?);
    let running = match call.int("training_mode") {
        Some(1) => None,
        _ => Some((tensor(3)?, tensor(4)?)),
    };
    let epsilon = f64::from(call.float("epsilon").unwrap_or(1e-5));
    let mut values = constant.to_floats();
    for channel in 0..channels {
        let own = |image: usize| (image * channels + channel) * places..;
        let of_channel = || (0..count).flat_map(|image| &values[own(image)][..places]);
        let mean_of = |function: &dyn Fn(f64) -> f64| {
            let sum: f64 = of_channel().map(|value| function((*value).into())).sum();
            sum / (count * places) as f64
        };
        let (mean, variance) = match &running {
            Some((mean, variance)) => (mean[channel].into(), variance[channel].into()),
            None => {
                let mean = mean_of(&|value| value);
                (mean, mean_of(&|value| (value - mean).powi(2)))
            }
        };
        let factor = f64::from(scale[channel]) / (variance + epsilon).sqrt();
        for image in 0..count {
            for value in &mut values[own(image)][..places] {
                *value = ((f64::from(*value) - mean) * factor + f64::from(shift[channel])) as f32;
            }
        }
    }
    Ok(Constant {
        shape: constant.shape.clone(),
        values: Values::Floats(values),
    })
}

/// Sums or maxima over axes, all if none is named; `first` is what the function begins with.
pub(super) fn reduced(
    call: &Call,
    first: f32,
    function: fn(f32, f32) -> f32,
) -> Result<Constant, String> {
    let constant = call.needed(0)?;
    let along = call.ints_of("axes", 1)?.unwrap_or_default();
    if along.is_empty() && call.int("noop_with_empty_axes") == Some(1) {
        return Ok((**constant).clone());
    }
    let count = constant.shape.len();
    let along = match along.is_empty() {
        true => (0..count).collect(),
        false => axes(&along, count)?,
    };
    let sizes = |size_of_reduced: Option<usize>| -> Vec<usize> {
        let size = |axis: usize| match along.contains(&axis) {
            true => size_of_reduced,
            false => Some(constant.shape[axis]),
        };
        (0..count).filter_map(size).collect()
    };
    let kept = sizes(Some(1));
    let mut step = 1;
    let mut steps = vec![0; count];
    for axis in (0..count).rev().filter(|axis| !along.contains(axis)) {
        steps[axis] = step;
        step *= constant.shape[axis];
    }
    let mut values = vec![first; kept.iter().product()];
    for (place, value) in places(&constant.shape, &steps)
        .into_iter()
        .zip(constant.to_floats())
    {
        values[place] = function(values[place], value);
    }
    let shape = match call.int("keepdims") {
        Some(0) => sizes(None),
        _ => kept,
    };
    let values = match constant.as_integers() {
        Some(_) => Values::Integers(values.into_iter().map(|value| value as i64).collect()),
        None => Values::Floats(values),
    };
    Ok(Constant { shape, values })
}
