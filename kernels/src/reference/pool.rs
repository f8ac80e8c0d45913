//! Pooling by its definition.
use crate::pool::{Regions, Window};

/// Calls `body(place in output, places in input, divisor of the mean)` for each output.
fn for_each_output(window: &Window, mut body: impl FnMut(usize, &[usize], f64)) {
    let [height, width, channels] = window.input();
    // The places of window `i` along one axis, also those in the padding.
    let places = |axis: usize, i: usize| -> Vec<isize> {
        let size = window.input()[axis];
        match window.regions() {
            Regions::Sliding {
                kernel,
                stride,
                padding,
                ..
            } => (0..kernel[axis])
                .map(|tap| (i * stride[axis] + tap) as isize - padding[axis] as isize)
                .filter(|place| *place < (size + padding[axis + 2]) as isize)
                .collect(),
            Regions::Adaptive => {
                let count = window.output()[axis];
                let (start, end) = (i * size / count, ((i + 1) * size).div_ceil(count));
                (start as isize..end as isize).collect()
            }
        }
    };
    let count_padding = matches!(
        window.regions(),
        Regions::Sliding {
            count_padding: true,
            ..
        }
    );
    let mut output = 0;
    for n in 0..window.batch() {
        for out_y in 0..window.output()[0] {
            for out_x in 0..window.output()[1] {
                for c in 0..channels {
                    let (rows, columns) = (places(0, out_y), places(1, out_x));
                    let inside = |place: &&isize, size: usize| (0..size as isize).contains(*place);
                    let mut inputs = Vec::new();
                    for y in rows.iter().filter(|y| inside(y, height)) {
                        for x in columns.iter().filter(|x| inside(x, width)) {
                            let pixel = (n * height + *y as usize) * width + *x as usize;
                            inputs.push(pixel * channels + c);
                        }
                    }
                    let divisor = if count_padding {
                        rows.len() * columns.len()
                    } else {
                        inputs.len()
                    };
                    body(output, &inputs, divisor as f64);
                    output += 1;
                }
            }
        }
    }
}

/// The largest value of each window and its place in `input`: the first of equal values, the last NaN.
pub fn largest(window: &Window, input: &[f32]) -> (Vec<f32>, Vec<usize>) {
    let (mut values, mut winners) = (Vec::new(), Vec::new());
    for_each_output(window, |_, inputs, _| {
        let mut winner = inputs[0];
        for place in inputs {
            if input[*place] > input[winner] || input[*place].is_nan() {
                winner = *place;
            }
        }
        values.push(input[winner]);
        winners.push(winner);
    });
    (values, winners)
}

/// The gradient of the largest values by the input.
pub fn largest_backward(window: &Window, input: &[f32], output_gradient: &[f32]) -> Vec<f64> {
    let mut gradient = vec![0.0; input.len()];
    let (_, winners) = largest(window, input);
    for (winner, share) in winners.into_iter().zip(output_gradient) {
        gradient[winner] += f64::from(*share);
    }
    gradient
}

/// The mean of each window.
pub fn average(window: &Window, input: &[f32]) -> Vec<f64> {
    let mut means = Vec::new();
    for_each_output(window, |_, inputs, divisor| {
        let sum: f64 = inputs.iter().map(|place| f64::from(input[*place])).sum();
        means.push(sum / divisor);
    });
    means
}

/// The gradient of the means by the input, which has `length` values.
pub fn average_backward(window: &Window, output_gradient: &[f32], length: usize) -> Vec<f64> {
    let mut gradient = vec![0.0; length];
    for_each_output(window, |output, inputs, divisor| {
        for place in inputs {
            gradient[*place] += f64::from(output_gradient[output]) / divisor;
        }
    });
    gradient
}
