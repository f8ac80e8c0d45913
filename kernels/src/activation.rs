//! Activation functions, forward and backward.
use crate::Cpu;
use crate::exponential::{exponential, normal, sigmoid, softplus, tanh};
use crate::simd::{Kernel, Simd};

/// A function of each value. `LeakyRelu` has the slope for negative values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// x
    #[default]
    Identity,
    /// max(x, 0); derivative 0 at 0, as in PyTorch
    Relu,
    /// min(max(x, 0), 6)
    Relu6,
    /// x where positive, slope · x elsewhere
    LeakyRelu(f32),
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// tanh x
    Tanh,
    /// x · sigmoid(x)
    Silu,
    /// x · relu6(x + 3) / 6
    HardSwish,
    /// x · Φ(x), Φ the normal distribution's function
    Gelu,
    /// relu6(x + 3) / 6, the piecewise approximation of the logistic function
    HardSigmoid,
    /// x where positive, alpha · (eˣ − 1) elsewhere
    Elu(f32),
    /// x · tanh(ln(1 + eˣ))
    Mish,
    /// ln(1 + eˣ)
    Softplus,
    /// x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2, the approximation of GELU by Hendrycks and Gimpel (2016)
    GeluTanh,
    /// min(max(x, least), most)
    Clip {
        /// The smallest value.
        least: f32,
        /// The largest value.
        most: f32,
    },
}

/// `activation` of each lane. NaN stays NaN, so that a diverged training shows.
#[inline(always)]
pub(crate) fn apply<S: Simd>(simd: S, activation: Activation, x: S::Vector) -> S::Vector {
    // `max` and `min` give their second argument where one is NaN.
    match activation {
        Activation::Identity => x,
        Activation::Relu => simd.max(simd.zero(), x),
        Activation::Relu6 => relu6(simd, x),
        Activation::LeakyRelu(slope) => {
            simd.select_greater(x, simd.zero(), x, simd.mul(x, simd.splat(slope)))
        }
        Activation::Sigmoid => sigmoid(simd, x),
        Activation::Tanh => tanh(simd, x),
        Activation::Silu => simd.mul(at_least(simd, -SATURATED, x), sigmoid(simd, x)),
        Activation::HardSwish => {
            // The gate is brought to 0 … 1 first: 6x would overflow for the largest x.
            simd.mul(x, hard_sigmoid(simd, x))
        }
        Activation::Gelu => simd.mul(x, normal(simd, x).0),
        Activation::HardSigmoid => hard_sigmoid(simd, x),
        Activation::Elu(alpha) => {
            let below = simd.sub(exponential(simd, x), simd.splat(1.0));
            simd.select_greater(x, simd.zero(), x, simd.mul(below, simd.splat(alpha)))
        }
        Activation::Mish => simd.mul(at_least(simd, -SATURATED, x), mish_gate(simd, x).0),
        Activation::Softplus => softplus(simd, x),
        Activation::GeluTanh => simd.mul(at_least(simd, -SATURATED, x), gelu_gate(simd, x).0),
        Activation::Clip { least, most } => {
            simd.min(simd.splat(most), simd.max(simd.splat(least), x))
        }
    }
}

/// From this x on, the e⁻ˣ of [`exponential`](crate::exponential) stays at its smallest value, which is not 0. The product with a
/// larger x would grow again, so x is limited first.
const SATURATED: f32 = 90.0;

#[inline(always)]
fn at_least<S: Simd>(simd: S, limit: f32, x: S::Vector) -> S::Vector {
    simd.max(simd.splat(limit), x)
}

#[inline(always)]
fn relu6<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    simd.min(simd.splat(6.0), simd.max(simd.zero(), x))
}

/// tanh(ln(1 + eˣ)) and its derivative. With w = eˣ and n = w · (w + 2) they are n / (n + 2) and 4 · w · (w + 1) / (n + 2)².
#[inline(always)]
fn mish_gate<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector) {
    let two = simd.splat(2.0);
    // From here on the gate is 1, and w² would overflow later.
    let w = exponential(simd, simd.min(simd.splat(20.0), x));
    let n = simd.mul(w, simd.add(w, two));
    let divisor = simd.add(n, two);
    let above = simd.mul(simd.splat(4.0), simd.mul(w, simd.add(w, simd.splat(1.0))));
    let slope = simd.div(simd.div(above, divisor), divisor);
    (simd.div(n, divisor), slope)
}

/// (1 + tanh u) / 2 and its derivative, where u = √(2/π) · (x + 0.044715 · x³). The gate is the logistic function of 2u.
#[inline(always)]
fn gelu_gate<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector) {
    const TWICE_ROOT: f32 = 1.595_769;
    // Beyond, the gate is 0 or 1, and x³ would overflow later.
    let x = simd.max(simd.splat(-10.0), simd.min(simd.splat(10.0), x));
    let square = simd.mul(x, x);
    let by_x = simd.mul_add(
        square,
        simd.splat(TWICE_ROOT * 0.044_715),
        simd.splat(TWICE_ROOT),
    );
    let gate = sigmoid(simd, simd.mul(x, by_x));
    let slope = simd.mul_add(
        square,
        simd.splat(3.0 * TWICE_ROOT * 0.044_715),
        simd.splat(TWICE_ROOT),
    );
    let rest = simd.sub(simd.splat(1.0), gate);
    (gate, simd.mul(simd.mul(gate, rest), slope))
}

#[inline(always)]
fn hard_sigmoid<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let gate = relu6(simd, simd.add(x, simd.splat(3.0)));
    simd.mul(gate, simd.splat(1.0 / 6.0))
}

/// The derivative of `activation` where its output is `y`. For a leaky ReLU with a negative slope it is wrong: see
/// [`Activation::follows_from_output`].
///
/// # Panics
/// For SiLU, hard swish, GELU and Mish, whose derivative does not follow from y, and for softplus, whose derivative is more precise from x.
#[inline(always)]
pub(crate) fn derivative_from_output<S: Simd>(
    simd: S,
    activation: Activation,
    y: S::Vector,
) -> S::Vector {
    let (zero, one) = (simd.zero(), simd.splat(1.0));
    match activation {
        Activation::Identity => one,
        Activation::Relu => simd.select_greater(y, zero, one, zero),
        Activation::Relu6 => {
            let positive = simd.select_greater(y, zero, one, zero);
            simd.select_greater(simd.splat(6.0), y, positive, zero)
        }
        Activation::LeakyRelu(slope) => simd.select_greater(y, zero, one, simd.splat(slope)),
        Activation::Sigmoid => simd.mul(y, simd.sub(one, y)),
        Activation::Tanh => simd.sub(one, simd.mul(y, y)),
        Activation::HardSigmoid => {
            let inside = simd.select_greater(y, zero, simd.splat(1.0 / 6.0), zero);
            simd.select_greater(one, y, inside, zero)
        }
        Activation::Elu(alpha) => simd.select_greater(y, zero, one, simd.add(y, simd.splat(alpha))),
        Activation::Clip { least, most } => {
            let above = simd.select_greater(y, simd.splat(least), one, zero);
            simd.select_greater(simd.splat(most), y, above, zero)
        }
        Activation::Silu
        | Activation::HardSwish
        | Activation::Gelu
        | Activation::GeluTanh
        | Activation::Mish
        | Activation::Softplus => {
            panic!("the derivative of {activation:?} does not follow from its output")
        }
    }
}

impl Activation {
    /// Whether the derivative follows from the output alone. The input then need not be kept.
    pub fn follows_from_output(self) -> bool {
        match self {
            Self::Silu | Self::HardSwish | Self::Gelu | Self::GeluTanh | Self::Mish => false,
            // 1 − e⁻ʸ has no precision where y is small.
            Self::Softplus => false,
            // With a negative slope the output is positive on both sides.
            Self::LeakyRelu(slope) | Self::Elu(slope) => slope >= 0.0,
            _ => true,
        }
    }
}

/// The derivative of `activation` at `x`, for those whose derivative does not follow from the output.
///
/// # Panics
/// For the others.
#[inline(always)]
fn derivative_from_input<S: Simd>(simd: S, activation: Activation, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    match activation {
        Activation::LeakyRelu(slope) => simd.select_greater(x, simd.zero(), one, simd.splat(slope)),
        Activation::Silu => {
            let sigmoid = sigmoid(simd, x);
            let rest = simd.mul(at_least(simd, -SATURATED, x), simd.sub(one, sigmoid));
            simd.mul(sigmoid, simd.add(one, rest))
        }
        Activation::HardSwish => {
            let three = simd.splat(3.0);
            let slope = simd.mul_add(x, simd.splat(1.0 / 3.0), simd.splat(0.5));
            let inside = simd.select_greater(three, x, slope, one);
            simd.select_greater(x, simd.splat(-3.0), inside, simd.zero())
        }
        Activation::Gelu => {
            let (distribution, density) = normal(simd, x);
            let x = at_least(simd, -SATURATED, simd.min(simd.splat(SATURATED), x));
            simd.mul_add(x, density, distribution)
        }
        Activation::Elu(alpha) => {
            let below = simd.mul(simd.splat(alpha), exponential(simd, x));
            simd.select_greater(x, simd.zero(), one, below)
        }
        Activation::Mish => {
            let (gate, slope) = mish_gate(simd, x);
            let x = at_least(simd, -SATURATED, simd.min(simd.splat(SATURATED), x));
            simd.mul_add(x, slope, gate)
        }
        Activation::Softplus => sigmoid(simd, x),
        Activation::GeluTanh => {
            let (gate, slope) = gelu_gate(simd, x);
            let x = at_least(simd, -SATURATED, simd.min(simd.splat(SATURATED), x));
            simd.mul_add(x, slope, gate)
        }
        _ => unreachable!("the derivative of {activation:?} follows from its output"),
    }
}

/// Elements of one task: 64 kB in and 64 kB out, of the order of a core's share of L2.
pub(crate) const PIECE: usize = 16 * 1024;

/// Replaces `values` by their function.
struct ForwardInPlace<'a> {
    function: Activation,
    values: &'a mut [f32],
}

impl Kernel for ForwardInPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for values in self.values.chunks_mut(S::LANES) {
            // SAFETY: the chunk holds `values.len()` values, at most `LANES`; as many lanes are read and written.
            unsafe {
                let x = simd.load_first(values.len(), values.as_ptr());
                simd.store_first(
                    values.len(),
                    apply(simd, self.function, x),
                    values.as_mut_ptr(),
                );
            }
        }
    }
}

/// Writes the function of `input` to `output`, which is as long.
struct ForwardPiece<'a> {
    function: Activation,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Kernel for ForwardPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        assert_eq!(self.input.len(), self.output.len());
        for (input, output) in self
            .input
            .chunks(S::LANES)
            .zip(self.output.chunks_mut(S::LANES))
        {
            // SAFETY: both chunks hold `input.len()` values, since the slices have one length; as many lanes are read and written.
            unsafe {
                let x = simd.load_first(input.len(), input.as_ptr());
                simd.store_first(
                    input.len(),
                    apply(simd, self.function, x),
                    output.as_mut_ptr(),
                );
            }
        }
    }
}

/// Writes `function` of each value of `input` to `output`.
///
/// # Panics
/// If the slices differ in length.
pub fn forward(cpu: &Cpu, function: Activation, input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), output.len(), "length of the output");
    cpu.parallel_chunks(output, PIECE, |i, output| {
        let input = &input[i * PIECE..][..output.len()];
        cpu.dispatch(ForwardPiece {
            function,
            input,
            output,
        });
    });
}

/// Replaces each value by its `function`, as [`forward`] computes it.
pub fn forward_in_place(cpu: &Cpu, function: Activation, values: &mut [f32]) {
    cpu.parallel_chunks(values, PIECE, |_, values| {
        cpu.dispatch(ForwardInPlace { function, values });
    });
}

/// Writes derivative · gradient to `target`, or adds it where `accumulate`.
struct BackwardPiece<'a> {
    function: Activation,
    /// As long as the target: the function's output where the derivative follows from it, else its input.
    x_or_y: &'a [f32],
    /// `None` where `target` holds the gradient.
    gradient: Option<&'a [f32]>,
    target: &'a mut [f32],
    accumulate: bool,
}

impl Kernel for BackwardPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        assert_eq!(self.x_or_y.len(), self.target.len());
        let from_output = self.function.follows_from_output();
        let targets = self.target.chunks_mut(S::LANES);
        for (i, (x_or_y, target)) in self.x_or_y.chunks(S::LANES).zip(targets).enumerate() {
            let lanes = target.len();
            let gradient = match self.gradient {
                Some(gradient) => gradient[i * S::LANES..][..lanes].as_ptr(),
                None => target.as_ptr(),
            };
            // SAFETY: all three hold `lanes` values: `gradient` because it was sliced to them, `x_or_y` because the two slices have one
            // length.
            unsafe {
                let x_or_y = simd.load_first(lanes, x_or_y.as_ptr());
                let derivative = if from_output {
                    derivative_from_output(simd, self.function, x_or_y)
                } else {
                    derivative_from_input(simd, self.function, x_or_y)
                };
                let mut product = simd.mul(simd.load_first(lanes, gradient), derivative);
                if self.accumulate {
                    product = simd.add(product, simd.load_first(lanes, target.as_ptr()));
                }
                simd.store_first(lanes, product, target.as_mut_ptr());
            }
        }
    }
}

/// Multiplies `gradient` by the derivative. `x_or_y` is the function's output where the derivative
/// [follows from it](Activation::follows_from_output), else its input.
///
/// # Panics
/// If the slices differ in length.
pub fn backward_in_place(cpu: &Cpu, function: Activation, x_or_y: &[f32], gradient: &mut [f32]) {
    assert_eq!(x_or_y.len(), gradient.len(), "length of the gradient");
    cpu.parallel_chunks(gradient, PIECE, |i, target| {
        let x_or_y = &x_or_y[i * PIECE..][..target.len()];
        cpu.dispatch(BackwardPiece {
            function,
            x_or_y,
            gradient: None,
            target,
            accumulate: false,
        });
    });
}

/// As [`backward_in_place`], but reads `output_gradient` and writes `input_gradient`. `accumulate` adds to it instead.
///
/// # Panics
/// If the slices differ in length.
pub fn backward(
    cpu: &Cpu,
    function: Activation,
    x_or_y: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    let lengths = [output_gradient.len(), input_gradient.len()];
    assert_eq!(lengths, [x_or_y.len(); 2], "lengths of the gradients");
    cpu.parallel_chunks(input_gradient, PIECE, |i, target| {
        let range = i * PIECE..i * PIECE + target.len();
        cpu.dispatch(BackwardPiece {
            function,
            x_or_y: &x_or_y[range.clone()],
            gradient: Some(&output_gradient[range]),
            target,
            accumulate,
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    const ALL: [Activation; 16] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu(0.1),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::HardSwish,
        Activation::Gelu,
        Activation::HardSigmoid,
        Activation::Elu(0.7),
        Activation::Elu(-0.3),
        Activation::Mish,
        Activation::Softplus,
        Activation::GeluTanh,
        Activation::Clip {
            least: -1.3,
            most: 2.1,
        },
    ];

    #[test]
    fn derivatives_are_finite_differences_of_the_functions() {
        // No x is at a kink (−3, 0, 3 and 6). 37 values do not fill the last vector.
        let x: Vec<f32> = (0..37).map(|i| i as f32 * 0.4 - 7.03).collect();
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            for function in ALL {
                let at = |shift: f32| {
                    let moved: Vec<f32> = x.iter().map(|x| x + shift).collect();
                    let mut y = vec![0.0; x.len()];
                    forward(&cpu, function, &moved, &mut y);
                    y
                };
                let (low, y, high) = (at(-0.01), at(0.0), at(0.01));
                let mut gradient = vec![1.0; x.len()];
                let kept = if function.follows_from_output() {
                    &y
                } else {
                    &x
                };
                backward_in_place(&cpu, function, kept, &mut gradient);
                for i in 0..x.len() {
                    let difference = (high[i] - low[i]) / 0.02;
                    assert!(
                        (gradient[i] - difference).abs() < 2e-3,
                        "{function:?} at {}",
                        x[i]
                    );
                }
            }
        }
    }

    /// The definitions, in f64 (Φ to 1e-7).
    fn exact(function: Activation, x: f64) -> f64 {
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        match function {
            Activation::Identity => x,
            Activation::Relu => x.max(0.0),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::LeakyRelu(slope) => x.max(0.0) + f64::from(slope) * x.min(0.0),
            Activation::Sigmoid => sigmoid,
            Activation::Tanh => x.tanh(),
            Activation::Silu => x * sigmoid,
            Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Activation::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Activation::Elu(alpha) => x.max(0.0) + f64::from(alpha) * (x.min(0.0).exp() - 1.0),
            Activation::Mish => x * x.exp().ln_1p().tanh(),
            Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Activation::GeluTanh => {
                let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                x * 0.5 * (1.0 + u.tanh())
            }
            Activation::Clip { least, most } => x.clamp(least.into(), most.into()),
            Activation::Gelu => {
                // Formula 7.1.26 of Abramowitz and Stegun.
                let z = x.abs() / std::f64::consts::SQRT_2;
                let t = 1.0 / (1.0 + 0.3275911 * z);
                let series = t
                    * (0.254829592
                        + t * (-0.284496736
                            + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
                let tail = 0.5 * series * (-z * z).exp();
                x * if x > 0.0 { 1.0 - tail } else { tail }
            }
        }
    }

    #[test]
    fn functions_are_their_definitions_and_nan_stays_nan() {
        let x: Vec<f32> = (0..531).map(|i| i as f32 * 0.4 - 106.03).collect();
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            for function in ALL {
                let mut y = vec![0.0; x.len()];
                forward(&cpu, function, &x, &mut y);
                for (x, y) in x.iter().zip(&y) {
                    let expected = exact(function, f64::from(*x));
                    let error = (f64::from(*y) - expected).abs();
                    assert!(
                        error < 1e-6 * expected.abs().max(1.0),
                        "{function:?} at {x}"
                    );
                }
                let mut values = x.clone();
                forward_in_place(&cpu, function, &mut values);
                assert_eq!(values, y);
                let mut nan = [f32::NAN, 1.0];
                forward_in_place(&cpu, function, &mut nan);
                assert!(nan[0].is_nan() && !nan[1].is_nan(), "{function:?}");
            }
        }
    }

    #[test]
    fn the_largest_values_do_not_overflow() {
        let x = [f32::MAX, 5.8e37, 1e20, -1e20, -5.8e37, f32::MIN, 1.0];
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 1);
            for function in ALL {
                let (mut y, mut slope) = ([0.0; 7], [1.0; 7]);
                forward(&cpu, function, &x, &mut y);
                let kept = match function.follows_from_output() {
                    true => &y,
                    false => &x,
                };
                backward_in_place(&cpu, function, kept, &mut slope);
                for ((x, y), slope) in x.iter().zip(&y).zip(&slope) {
                    let expected = exact(function, f64::from(*x));
                    let error = (f64::from(*y) - expected).abs();
                    assert!(
                        error <= 1e-6 * expected.abs().max(1.0),
                        "{function:?} of {x:e} is {y:e} on {set:?}"
                    );
                    assert!(
                        slope.abs() < 1.2,
                        "the derivative of {function:?} at {x:e} is {slope:e} on {set:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn backward_accumulates() {
        let x = [0.5, -0.25, 1.5];
        let cpu = Cpu::best(1);
        for function in ALL {
            let (mut once, mut twice, mut in_place) = ([7.0; 3], [0.0; 3], [2.0, -1.0, 0.5]);
            backward(&cpu, function, &x, &[2.0, -1.0, 0.5], &mut once, false);
            backward(&cpu, function, &x, &[2.0, -1.0, 0.5], &mut twice, true);
            backward_in_place(&cpu, function, &x, &mut in_place);
            assert_eq!((once, once), (twice, in_place));
        }
    }

    #[test]
    fn the_derivative_of_relu_at_0_is_0() {
        let mut gradient = [1.0];
        backward_in_place(&Cpu::best(1), Activation::Relu, &[0.0], &mut gradient);
        assert_eq!(gradient, [0.0]);
    }
}
