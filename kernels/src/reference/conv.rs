//! Convolution and its gradients by definition.
use crate::conv::Geometry;

/// Calls `term(input, weight, output)` with the three indices of each multiply-add.
fn for_each_term(geometry: &Geometry, mut term: impl FnMut(usize, usize, usize)) {
    let [height, width, channels] = geometry.input;
    let [out_height, out_width, filters] = geometry.output;
    let [taps_y, taps_x] = geometry.kernel;
    let (channels_of_group, filters_of_group) =
        (channels / geometry.groups, filters / geometry.groups);
    let position = |axis: usize, output: usize, tap: usize| {
        (output * geometry.stride[axis] + tap * geometry.dilation[axis])
            .checked_sub(geometry.padding[axis])
            .filter(|position| *position < [height, width][axis])
    };
    for n in 0..geometry.batch {
        for (out_y, tap_y) in (0..out_height).flat_map(|y| (0..taps_y).map(move |tap| (y, tap))) {
            let Some(y) = position(0, out_y, tap_y) else {
                continue;
            };
            for (out_x, tap_x) in (0..out_width).flat_map(|x| (0..taps_x).map(move |tap| (x, tap)))
            {
                let Some(x) = position(1, out_x, tap_x) else {
                    continue;
                };
                for c in 0..channels_of_group {
                    for filter in 0..filters {
                        let group = filter / filters_of_group;
                        let input = (n * height + y) * width + x;
                        let weight = (tap_y * taps_x + tap_x) * channels_of_group + c;
                        let output = (n * out_height + out_y) * out_width + out_x;
                        term(
                            input * channels + group * channels_of_group + c,
                            weight * filters + filter,
                            output * filters + filter,
                        );
                    }
                }
            }
        }
    }
}

/// The output without bias, and the sums of the products' magnitudes.
pub fn forward(geometry: &Geometry, input: &[f32], weights: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let [height, width, filters] = geometry.output;
    let mut sums = vec![0.0; geometry.batch * height * width * filters];
    let mut magnitudes = sums.clone();
    for_each_term(geometry, |i, w, o| {
        let product = f64::from(input[i]) * f64::from(weights[w]);
        sums[o] += product;
        magnitudes[o] += product.abs();
    });
    (sums, magnitudes)
}

/// The input gradient, and the sums of the products' magnitudes.
pub fn input_gradient(
    geometry: &Geometry,
    output_gradient: &[f32],
    weights: &[f32],
) -> (Vec<f64>, Vec<f64>) {
    let [height, width, channels] = geometry.input;
    let mut sums = vec![0.0; geometry.batch * height * width * channels];
    let mut magnitudes = sums.clone();
    for_each_term(geometry, |i, w, o| {
        let product = f64::from(output_gradient[o]) * f64::from(weights[w]);
        sums[i] += product;
        magnitudes[i] += product.abs();
    });
    (sums, magnitudes)
}

/// The weight gradient, and the sums of the products' magnitudes.
pub fn weight_gradient(
    geometry: &Geometry,
    input: &[f32],
    output_gradient: &[f32],
) -> (Vec<f64>, Vec<f64>) {
    let mut sums = vec![0.0; geometry.weights_len()];
    let mut magnitudes = sums.clone();
    for_each_term(geometry, |i, w, o| {
        let product = f64::from(input[i]) * f64::from(output_gradient[o]);
        sums[w] += product;
        magnitudes[w] += product.abs();
    });
    (sums, magnitudes)
}

/// The bias gradient (the output gradient's sum over pixels), and the sums of the magnitudes.
pub fn bias_gradient(geometry: &Geometry, output_gradient: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let filters = geometry.output[2];
    let mut sums = vec![0.0; filters];
    let mut magnitudes = sums.clone();
    for (i, gradient) in output_gradient.iter().enumerate() {
        sums[i % filters] += f64::from(*gradient);
        magnitudes[i % filters] += f64::from(gradient.abs());
    }
    (sums, magnitudes)
}
