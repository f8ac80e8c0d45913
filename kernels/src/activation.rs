//! The functions between layers, forward and backward.

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
