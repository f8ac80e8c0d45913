//! eˣ of each lane, and functions computed from it.
use crate::simd::Simd;

/// eˣ with an error of at most 2 units in the last place for −87.3 ≤ x ≤ 88. Beyond, it is the value at that end. NaN stays NaN.
#[inline(always)]
pub(crate) fn exponential<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // The limits are the first arguments, because `min` and `max` return the second where one is NaN.
    let x = simd.max(simd.splat(-87.3), simd.min(simd.splat(88.0), x));
    // x = n · ln 2 + r with |r| ≤ ln 2 / 2. ln 2 is a sum of two; the first has so few bits that its product with n is exact.
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-0.693_359_4), x);
    let r = simd.mul_add(n, simd.splat(2.121_944_4e-4), r);
    // (eʳ − 1 − r) / r² with the coefficients of Cephes' expf.
    let series = polynomial(
        simd,
        r,
        [
            0.5,
            0.166_666_66,
            0.041_665_796,
            8.333_452e-3,
            1.398_199_9e-3,
            1.987_569_1e-4,
        ],
    );
    let fraction = simd.mul_add(simd.mul(r, r), series, r);
    simd.mul(simd.add(fraction, simd.splat(1.0)), simd.power_of_two(n))
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    let inverse = exponential(simd, simd.sub(simd.zero(), x));
    simd.div(one, simd.add(one, inverse))
}

/// ln(1 + eˣ)
#[inline(always)]
pub(crate) fn softplus<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let zero = simd.zero();
    // max(x, 0) + ln(1 + e^(−|x|)). With power = e^(−|x|) and s = power / (power + 2), the logarithm is 2 · artanh s, and s is at most 1/3.
    let negative = simd.sub(zero, x);
    let power = exponential(simd, simd.select_greater(x, zero, negative, x));
    let s = simd.div(power, simd.add(power, simd.splat(2.0)));
    // The coefficients of Taylor's series; the next one is below 1e-8 of the whole.
    let series = polynomial(
        simd,
        simd.mul(s, s),
        [
            2.0,
            2.0 / 3.0,
            2.0 / 5.0,
            2.0 / 7.0,
            2.0 / 9.0,
            2.0 / 11.0,
            2.0 / 13.0,
        ],
    );
    simd.mul_add(s, series, simd.max(zero, x))
}

/// tanh x: 1 − 2 / (e²ˣ + 1), and near 0 a series that keeps the relative precision.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let one = simd.splat(1.0);
    let square = simd.mul(x, x);
    // (tanh x − x) / x³ for |x| < 0.625 with the coefficients of Cephes' tanhf.
    let series = polynomial(
        simd,
        square,
        [
            -0.333_332_8,
            0.133_314_42,
            -0.053_739_715,
            0.020_639_088,
            -5.704_988_7e-3,
        ],
    );
    let near = simd.mul_add(simd.mul(square, x), series, x);
    let power = exponential(simd, simd.add(x, x));
    let far = simd.sub(one, simd.div(simd.splat(2.0), simd.add(power, one)));
    simd.select_greater(simd.splat(0.625 * 0.625), square, near, far)
}

/// Φ(x), the normal distribution's function, and its density e^(−x²/2) / √(2π).
#[inline(always)]
pub(crate) fn normal<S: Simd>(simd: S, x: S::Vector) -> (S::Vector, S::Vector) {
    let (one, zero) = (simd.splat(1.0), simd.zero());
    let magnitude = simd.select_greater(zero, x, simd.sub(zero, x), x);
    let power = exponential(simd, simd.mul(simd.mul(x, x), simd.splat(-0.5)));
    // 1 − Φ(|x|) = e^(−x²/2) · t · series(t), fitted to a relative error of 1e-7 for |x| < 13. At 13 the power is near the smallest
    // normal float.
    let t = simd.div(one, simd.mul_add(magnitude, simd.splat(0.233_345_24), one));
    let series = polynomial(
        simd,
        t,
        [
            0.093_178_9,
            0.091_478_035,
            0.100_611_51,
            0.023_611_797,
            0.204_247_12,
            -0.175_571_62,
            0.230_116_6,
            -0.067_672_36,
        ],
    );
    let tail = simd.mul(simd.mul(power, t), series);
    let distribution = simd.select_greater(x, zero, simd.sub(one, tail), tail);
    (distribution, simd.mul(power, simd.splat(0.398_942_3)))
}

/// c₀ + c₁·x + c₂·x² + …
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::Vector, coefficients: [f32; N]) -> S::Vector {
    let mut sum = simd.splat(coefficients[N - 1]);
    for i in (0..N - 1).rev() {
        sum = simd.mul_add(sum, x, simd.splat(coefficients[i]));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Kernel;
    use crate::{Cpu, InstructionSet};

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exponential,
        Sigmoid,
        Tanh,
        Distribution,
        Softplus,
    }

    struct Of(Function, f32);

    impl Kernel for Of {
        type Output = f32;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            let x = simd.splat(self.1);
            let y = match self.0 {
                Function::Exponential => exponential(simd, x),
                Function::Sigmoid => sigmoid(simd, x),
                Function::Tanh => tanh(simd, x),
                Function::Distribution => normal(simd, x).0,
                Function::Softplus => softplus(simd, x),
            };
            let mut first = 0.0;
            // SAFETY: `first` holds the one lane that is written.
            unsafe { simd.store_first(1, y, &raw mut first) };
            first
        }
    }

    /// Φ in f64: by its continued fraction for |x| > 2, else by its series.
    fn distribution(x: f64) -> f64 {
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        if x.abs() > 2.0 {
            let fraction = (1..400)
                .rev()
                .fold(0.0, |rest, k| f64::from(k) / (x.abs() + rest));
            let tail = density / (x.abs() + fraction);
            return if x > 0.0 { 1.0 - tail } else { tail };
        }
        let (mut term, mut sum) = (x, x);
        for k in 1..100 {
            term *= x * x / f64::from(2 * k + 1);
            sum += term;
        }
        0.5 + density * sum
    }

    #[test]
    fn functions_keep_their_relative_precision() {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 1);
            for i in -2000..=2000 {
                let x = i as f32 * 0.0431 + 1e-4;
                let exact = f64::from(x);
                // x²/2 is up to 90, and the exponential turns its rounding into a relative error.
                for (function, least, expected, bound) in [
                    (Function::Exponential, -87.0, exact.exp(), 2.5e-7),
                    (Function::Sigmoid, -87.0, 1.0 / (1.0 + (-exact).exp()), 4e-7),
                    (Function::Tanh, -100.0, exact.tanh(), 4e-7),
                    (
                        Function::Softplus,
                        -87.0,
                        exact.max(0.0) + (-exact.abs()).exp().ln_1p(),
                        4e-7,
                    ),
                    (Function::Distribution, -5.0, distribution(exact), 2e-6),
                    (Function::Distribution, -12.0, distribution(exact), 8e-6),
                ] {
                    if x < least {
                        continue;
                    }
                    let y = f64::from(cpu.dispatch(Of(function, x)));
                    assert!(
                        (y - expected).abs() <= bound * expected.abs(),
                        "{set}: {function:?}({x}) = {y}, not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn ends_are_finite_and_nan_stays() {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 1);
            for function in [
                Function::Exponential,
                Function::Sigmoid,
                Function::Tanh,
                Function::Distribution,
            ] {
                for x in [-f32::INFINITY, -1e30, 0.0, 1e30, f32::INFINITY] {
                    assert!(
                        cpu.dispatch(Of(function, x)).is_finite(),
                        "{function:?}({x})"
                    );
                }
                assert!(cpu.dispatch(Of(function, f32::NAN)).is_nan());
            }
        }
    }
}
