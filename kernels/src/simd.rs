//! A small trait of f32 lanes and its four instances. A kernel is generic over [`Simd`], and [`crate::Cpu::dispatch`] picks the
//! instance.
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use crate::InstructionSet;

/// A computation that can be compiled for each instruction set.
pub trait Kernel {
    /// The result.
    type Output;

    /// The computation. It must be `#[inline(always)]`, as must all that it calls with `simd`, and no other thread may run one of its
    /// closures. Only then is it compiled with the instructions of `S`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Vectors of `LANES` floats. A value of the type proves that the processor has the instructions.
///
/// All unsafe functions have one contract: a pointer is valid for reads or writes of the lanes that the function touches, and `n`, the
/// number of first lanes, is at most `LANES`. Lanes from `n` on are neither read nor written. A pointer need not be aligned.
#[allow(
    clippy::missing_safety_doc,
    reason = "the trait's documentation has one contract for all of them"
)]
pub trait Simd: Copy + Send + Sync + 'static {
    /// Floats in a vector.
    const LANES: usize;
    /// Vector registers of the processor.
    const REGISTERS: usize;
    /// A vector.
    type Vector: Copy;

    /// Runs `kernel` as a function that is not inlined. It has all registers to itself, and all callers share its code.
    fn call<K: Kernel>(self, kernel: K) -> K::Output;
    /// All lanes `value`.
    fn splat(self, value: f32) -> Self::Vector;
    /// `LANES` floats from `from`.
    unsafe fn load(self, from: *const f32) -> Self::Vector;
    /// The first `n` lanes from `from`. The other lanes are 0.
    unsafe fn load_first(self, n: usize, from: *const f32) -> Self::Vector;
    /// Writes all lanes.
    unsafe fn store(self, value: Self::Vector, to: *mut f32);
    /// As [`Simd::store`], but past the caches, which then need not fetch what is overwritten. `to` must be aligned to the vector.
    /// Other threads see the values once [`crate::Cpu::dispatch`] has returned. By default it is an ordinary store.
    #[inline(always)]
    unsafe fn stream(self, value: Self::Vector, to: *mut f32) {
        // SAFETY: the contract of `store` is part of this function's.
        unsafe { self.store(value, to) }
    }
    /// Writes the first `n` lanes.
    unsafe fn store_first(self, n: usize, value: Self::Vector, to: *mut f32);
    /// a + b
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a − b
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a / b
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a · b + c, rounded once (twice in scalar code)
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of each pair of lanes; b where either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of each pair of lanes; b where either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// √a
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `yes` where a > b, `no` elsewhere and where either is NaN.
    fn select_greater(
        self,
        a: Self::Vector,
        b: Self::Vector,
        yes: Self::Vector,
        no: Self::Vector,
    ) -> Self::Vector;
    /// `yes` where a = b, `no` elsewhere and where either is NaN.
    fn select_equal(
        self,
        a: Self::Vector,
        b: Self::Vector,
        yes: Self::Vector,
        no: Self::Vector,
    ) -> Self::Vector;
    /// `yes` where a is NaN, `no` elsewhere.
    fn select_nan(self, a: Self::Vector, yes: Self::Vector, no: Self::Vector) -> Self::Vector;
    /// The nearest whole number, ties to even, for |a| < 2³¹.
    fn round(self, a: Self::Vector) -> Self::Vector;
    /// 2^a for whole −126 ≤ a ≤ 127.
    fn power_of_two(self, a: Self::Vector) -> Self::Vector;
    /// `value` in those of the first `n` lanes whose element of `bytes` is `byte`, 0 in the other lanes.
    unsafe fn select_byte(
        self,
        n: usize,
        bytes: *const u8,
        byte: u8,
        value: Self::Vector,
    ) -> Self::Vector;
    /// Writes the first `n` lanes as bytes. They hold whole numbers below 256.
    unsafe fn store_bytes(self, n: usize, value: Self::Vector, to: *mut u8);
    /// The sum of all lanes. It adds the upper half to the lower half until one lane is left.
    fn sum(self, a: Self::Vector) -> f32;

    /// All lanes 0.
    #[inline(always)]
    fn zero(self) -> Self::Vector {
        self.splat(0.0)
    }
}

/// Loads the first `lanes` lanes. Uses the plain load where that is all of them, because it is faster.
///
/// # Safety
/// The contract of [`Simd::load_first`].
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(simd: S, lanes: usize, from: *const f32) -> S::Vector {
    // SAFETY: this function's contract is that of `load_first`, and with all lanes also that of `load`.
    unsafe {
        if lanes == S::LANES {
            simd.load(from)
        } else {
            simd.load_first(lanes, from)
        }
    }
}

/// Writes the first `lanes` lanes, with the plain store where that is all of them.
///
/// # Safety
/// As [`Simd::store_first`].
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(simd: S, lanes: usize, value: S::Vector, to: *mut f32) {
    // SAFETY: this function's contract is that of `store_first`, and with all lanes also that of `store`.
    unsafe {
        if lanes == S::LANES {
            simd.store(value, to);
        } else {
            simd.store_first(lanes, value, to);
        }
    }
}

pub(crate) fn is_available(set: InstructionSet) -> bool {
    match set {
        InstructionSet::Scalar => true,
        InstructionSet::Neon => cfg!(target_arch = "aarch64"),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
        }
        #[cfg(not(target_arch = "x86_64"))]
        InstructionSet::Avx2 | InstructionSet::Avx512 => false,
    }
}

#[inline]
pub(crate) fn dispatch<K: Kernel>(set: InstructionSet, kernel: K) -> K::Output {
    match set {
        // SAFETY: only a `Cpu` calls this with its set, and `Cpu::new` checked `is_available`, which asks for all that `run` needs.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { avx512::run(kernel) },
        // SAFETY: only a `Cpu` calls this with its set, and `Cpu::new` checked `is_available`, which asks for all that `run` needs.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { avx2::run(kernel) },
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => kernel.run(neon::Neon),
        _ => scalar::run(kernel),
    }
}

#[cfg(test)]
mod tests;
