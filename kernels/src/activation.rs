//! The functions between layers, forward and backward.
use crate::Cpu;
use crate::simd::{Kernel, Simd};

/// A function applied to each number. `LeakyRelu` carries its slope for negative numbers.
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
}

impl Activation {
    /// The function of one number.
    fn of(self, x: f32) -> f32 {
        match self {
            Self::Identity => x,
            Self::Relu => x.max(0.0),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::LeakyRelu(slope) => x.max(0.0) + slope * x.min(0.0),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Self::Gelu => x * normal_distribution(x),
        }
    }
}

/// Φ(x) by formula 7.1.26 of Abramowitz and Stegun, error below 1e-7.
fn normal_distribution(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = t
        * (0.254_829_6
            + t * (-0.284_496_74 + t * (1.421_413_7 + t * (-1.453_152 + t * 1.061_405_4))));
    let upper = 0.5 * series * (-z * z).exp();
    if x > 0.0 { 1.0 - upper } else { upper }
}

/// `activation` of each lane.
#[inline(always)]
pub(crate) fn apply<S: Simd>(simd: S, activation: Activation, x: S::Vector) -> S::Vector {
    match activation {
        Activation::Identity => x,
        Activation::Relu => simd.max(x, simd.zero()),
        Activation::Relu6 => simd.min(simd.max(x, simd.zero()), simd.splat(6.0)),
        Activation::LeakyRelu(slope) => {
            simd.select_greater(x, simd.zero(), x, simd.mul(x, simd.splat(slope)))
        }
        _ => {
            let mut lanes = [0.0; 16];
            // SAFETY: no instruction set has more than 16 lanes.
            unsafe {
                simd.store(x, lanes.as_mut_ptr());
                for lane in &mut lanes[..S::LANES] {
                    *lane = activation.of(*lane);
                }
                simd.load(lanes.as_ptr())
            }
        }
    }
}

/// The derivative of `activation` where it gave `y`.
///
/// # Panics
/// If the derivative does not follow from y (SiLU, hard swish, GELU).
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
        Activation::Silu | Activation::HardSwish | Activation::Gelu => {
            panic!("the derivative of {activation:?} does not follow from its value")
        }
    }
}

impl Activation {
    /// Whether the derivative follows from the output alone, so that the input need not be kept.
    pub fn follows_from_output(self) -> bool {
        !matches!(self, Self::Silu | Self::HardSwish | Self::Gelu)
    }

    /// The derivative at `x`.
    fn derivative(self, x: f32) -> f32 {
        match self {
            Self::Silu => {
                let sigmoid = 1.0 / (1.0 + (-x).exp());
                sigmoid * (1.0 + x * (1.0 - sigmoid))
            }
            Self::HardSwish if x <= -3.0 => 0.0,
            Self::HardSwish if x >= 3.0 => 1.0,
            Self::HardSwish => x / 3.0 + 0.5,
            Self::Gelu => normal_distribution(x) + x * (-0.5 * x * x).exp() * 0.398_942_3,
            _ => unreachable!("the others' derivatives follow from the output"),
        }
    }
}

/// Elements of one task: 64 kB in and out, of the order of a core's L2 share.
pub(crate) const PIECE: usize = 16 * 1024;

struct Forward<'a> {
    function: Activation,
    input: &'a [f32],
    output: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (input, output) in self
            .input
            .chunks(S::LANES)
            .zip(self.output.chunks_mut(S::LANES))
        {
            // SAFETY: `input.len()` lanes are read and as many written to a chunk of the same length.
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

/// `function` of each number.
pub fn forward(cpu: &Cpu, function: Activation, input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), output.len());
    cpu.parallel_chunks(output, PIECE, |i, output| {
        let input = &input[i * PIECE..][..output.len()];
        cpu.dispatch(Forward {
            function,
            input,
            output,
        });
    });
}

/// [`forward`], where it stands.
pub fn forward_in_place(cpu: &Cpu, function: Activation, values: &mut [f32]) {
    cpu.parallel_chunks(values, PIECE, |_, values| {
        cpu.dispatch(InPlace { function, values });
    });
}

struct InPlace<'a> {
    function: Activation,
    values: &'a mut [f32],
}

impl Kernel for InPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for values in self.values.chunks_mut(S::LANES) {
            // SAFETY: as many lanes as the chunk holds are read and written.
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

struct Backward<'a> {
    function: Activation,
    x_or_y: &'a [f32],
    gradient: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if !self.function.follows_from_output() {
            for (gradient, x) in self.gradient.iter_mut().zip(self.x_or_y) {
                *gradient *= self.function.derivative(*x);
            }
            return;
        }
        for (y, gradient) in self
            .x_or_y
            .chunks(S::LANES)
            .zip(self.gradient.chunks_mut(S::LANES))
        {
            // SAFETY: `y.len()` lanes are read, and as many of a chunk of the same length written.
            unsafe {
                let derivative = derivative_from_output(
                    simd,
                    self.function,
                    simd.load_first(y.len(), y.as_ptr()),
                );
                let product = simd.mul(simd.load_first(y.len(), gradient.as_ptr()), derivative);
                simd.store_first(y.len(), product, gradient.as_mut_ptr());
            }
        }
    }
}

/// Multiplies `gradient` by the derivative. `x_or_y` is the function's output where that
/// [suffices](Activation::follows_from_output), else its input.
pub fn backward_in_place(cpu: &Cpu, function: Activation, x_or_y: &[f32], gradient: &mut [f32]) {
    assert_eq!(x_or_y.len(), gradient.len());
    cpu.parallel_chunks(gradient, PIECE, |i, gradient| {
        let x_or_y = &x_or_y[i * PIECE..][..gradient.len()];
        cpu.dispatch(Backward {
            function,
            x_or_y,
            gradient,
        });
    });
}

/// [`backward_in_place`] of `output_gradient`, written to `input_gradient` or added to it where `accumulate`.
pub fn backward(
    cpu: &Cpu,
    function: Activation,
    x_or_y: &[f32],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    if !accumulate {
        input_gradient.copy_from_slice(output_gradient);
        return backward_in_place(cpu, function, x_or_y, input_gradient);
    }
    assert!(x_or_y.len() == output_gradient.len() && input_gradient.len() == x_or_y.len());
    cpu.parallel_chunks(input_gradient, PIECE, |i, input_gradient| {
        let range = i * PIECE..i * PIECE + input_gradient.len();
        let mut share = output_gradient[range.clone()].to_vec();
        cpu.dispatch(Backward {
            function,
            x_or_y: &x_or_y[range],
            gradient: &mut share,
        });
        input_gradient
            .iter_mut()
            .zip(share)
            .for_each(|(gradient, share)| *gradient += share);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    const ALL: [Activation; 9] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu(0.1),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::HardSwish,
        Activation::Gelu,
    ];

    #[test]
    fn derivatives_are_finite_differences_of_the_functions() {
        // Off the kinks at −3, 0, 3 and 6; 37 numbers, which fill no vector.
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

    #[test]
    fn the_derivative_of_relu_at_0_is_0() {
        let mut gradient = [1.0];
        backward_in_place(&Cpu::best(1), Activation::Relu, &[0.0], &mut gradient);
        assert_eq!(gradient, [0.0]);
    }
}
