//! The functions between layers, forward and backward.
use crate::simd::Simd;

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
