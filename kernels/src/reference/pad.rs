//! Padding by its definition, one step at a time.
use crate::pad::{Padding, PaddingMode};

/// The place of the input whose pixel is at `place`, along an axis of `size` pixels. `None` for a constant.
fn source(mode: PaddingMode, size: isize, mut place: isize) -> Option<isize> {
    while !(0..size).contains(&place) {
        place = match mode {
            PaddingMode::Constant(_) => return None,
            PaddingMode::Replicate => place.clamp(0, size - 1),
            PaddingMode::Circular if place < 0 => place + size,
            PaddingMode::Circular => place - size,
            PaddingMode::Reflect if size == 1 => 0,
            PaddingMode::Reflect if place < 0 => -place,
            PaddingMode::Reflect => 2 * (size - 1) - place,
        };
    }
    Some(place)
}

/// For each value of the output its place in the input. `None` for a constant.
fn sources(padding: &Padding) -> Vec<Option<usize>> {
    let [height, width, channels] = padding.input;
    let along = |axis: usize, place: usize| {
        let from = place as isize - padding.before[axis] as isize;
        source(padding.mode, padding.input[axis] as isize, from)
    };
    let mut sources = Vec::new();
    for n in 0..padding.batch {
        for out_y in 0..padding.output[0] {
            for out_x in 0..padding.output[1] {
                let pixel = along(0, out_y)
                    .zip(along(1, out_x))
                    .map(|(y, x)| (n * height + y as usize) * width + x as usize);
                sources.extend((0..channels).map(|c| pixel.map(|pixel| pixel * channels + c)));
            }
        }
    }
    sources
}

/// The map with its padding.
pub fn forward(padding: &Padding, input: &[f32]) -> Vec<f32> {
    let outside = match padding.mode {
        PaddingMode::Constant(value) => value,
        _ => f32::NAN,
    };
    let value = |source: Option<usize>| source.map_or(outside, |place| input[place]);
    sources(padding).into_iter().map(value).collect()
}

/// The gradient by the input.
pub fn backward(padding: &Padding, output_gradient: &[f32]) -> Vec<f64> {
    let length = padding.batch * padding.input.iter().product::<usize>();
    let mut gradient = vec![0.0; length];
    for (source, share) in sources(padding).into_iter().zip(output_gradient) {
        if let Some(place) = source {
            gradient[place] += f64::from(*share);
        }
    }
    gradient
}
