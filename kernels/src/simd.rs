//! One small trait of f32 lanes and its four instances. A kernel is generic over [`Simd`]; [`crate::Cpu::dispatch`] picks the instance.
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
    /// What it returns.
    type Output;

    /// The computation. Must be `#[inline(always)]`, as everything it calls with `simd`, and contain no closure that another
    /// thread runs: only then is it compiled with the instructions of `S`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Vectors of `LANES` floats. A value of the type is the proof that the processor has the instructions.
///
/// Loads and stores take pointers that need no alignment; "the first n lanes" means 0 ≤ n ≤ `LANES`.
#[allow(
    clippy::missing_safety_doc,
    reason = "said once: pointers must be valid for the lanes that are touched"
)]
pub trait Simd: Copy + Send + Sync + 'static {
    /// Floats in a vector.
    const LANES: usize;
    /// Vector registers of the processor.
    const REGISTERS: usize;
    /// A vector.
    type Vector: Copy;

    /// Runs `kernel` as a function of its own, which its caller's registers do not crowd and which all callers share.
    fn call<K: Kernel>(self, kernel: K) -> K::Output;
    /// All lanes `value`.
    fn splat(self, value: f32) -> Self::Vector;
    /// `LANES` floats from `from`.
    unsafe fn load(self, from: *const f32) -> Self::Vector;
    /// The first `n` lanes from `from`, the others 0 and not read.
    unsafe fn load_first(self, n: usize, from: *const f32) -> Self::Vector;
    /// Writes all lanes.
    unsafe fn store(self, value: Self::Vector, to: *mut f32);
    /// As [`Simd::store`], past the caches, which then need not fetch what is overwritten; `to` must be aligned to the vector. Other
    /// threads see it once [`crate::Cpu::dispatch`] has returned. An ordinary store where there is nothing better.
    #[inline(always)]
    unsafe fn stream(self, value: Self::Vector, to: *mut f32) {
        // SAFETY: the caller's promise.
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
    /// Where a > b: yes, elsewhere (NaN too): no.
    fn select_greater(
        self,
        a: Self::Vector,
        b: Self::Vector,
        yes: Self::Vector,
        no: Self::Vector,
    ) -> Self::Vector;
    /// Where a = b: yes, elsewhere (NaN too): no.
    fn select_equal(
        self,
        a: Self::Vector,
        b: Self::Vector,
        yes: Self::Vector,
        no: Self::Vector,
    ) -> Self::Vector;
    /// Where a is NaN: yes, elsewhere: no.
    fn select_nan(self, a: Self::Vector, yes: Self::Vector, no: Self::Vector) -> Self::Vector;
    /// The nearest whole number, ties to even, for |a| < 2³¹.
    fn round(self, a: Self::Vector) -> Self::Vector;
    /// 2^a for whole −126 ≤ a ≤ 127.
    fn power_of_two(self, a: Self::Vector) -> Self::Vector;
    /// `value` in the first `n` lanes whose byte, of those from `bytes` on, is `byte`; elsewhere 0.
    unsafe fn select_byte(
        self,
        n: usize,
        bytes: *const u8,
        byte: u8,
        value: Self::Vector,
    ) -> Self::Vector;
    /// Writes the first `n` lanes, whole numbers below 256, as bytes.
    unsafe fn store_bytes(self, n: usize, value: Self::Vector, to: *mut u8);
    /// The sum of all lanes: halves added to halves until one is left.
    fn sum(self, a: Self::Vector) -> f32;

    /// All lanes 0.
    #[inline(always)]
    fn zero(self) -> Self::Vector {
        self.splat(0.0)
    }
}

/// Loads the first `lanes`; the plain load where that is all is faster.
///
/// # Safety
/// As [`Simd::load_first`].
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(simd: S, lanes: usize, from: *const f32) -> S::Vector {
    // SAFETY: the caller's promise.
    unsafe {
        if lanes == S::LANES {
            simd.load(from)
        } else {
            simd.load_first(lanes, from)
        }
    }
}

/// Writes the first `lanes`, likewise.
///
/// # Safety
/// As [`Simd::store_first`].
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(simd: S, lanes: usize, value: S::Vector, to: *mut f32) {
    // SAFETY: the caller's promise.
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
            is_x86_feature_detected!("avx512f")
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
        // SAFETY: `Cpu::new` has checked that the processor has the instructions.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { avx512::run(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { avx2::run(kernel) },
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => kernel.run(neon::Neon),
        _ => kernel.run(scalar::Scalar),
    }
}

#[cfg(test)]
mod tests;
