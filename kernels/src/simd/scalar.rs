//! One lane of plain Rust. It runs on every processor.
use super::{Kernel, Simd};

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

// SAFETY of all blocks: the contract of `Simd` says that pointers are valid for the lanes that are touched.
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
/// Runs `kernel`; not inlined, so that its code is there once.
#[inline(never)]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Scalar)
}

impl Simd for Scalar {
    const LANES: usize = 1;
    const REGISTERS: usize = 16;
    type Vector = f32;

    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> f32 {
        value
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> f32 {
        unsafe { from.read() }
    }
    #[inline(always)]
    unsafe fn load_first(self, n: usize, from: *const f32) -> f32 {
        if n == 0 { 0.0 } else { unsafe { from.read() } }
    }
    #[inline(always)]
    unsafe fn store(self, value: f32, to: *mut f32) {
        unsafe { to.write(value) }
    }
    #[inline(always)]
    unsafe fn store_first(self, n: usize, value: f32, to: *mut f32) {
        if n > 0 {
            unsafe { to.write(value) }
        }
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }
    // Without an instruction for it, `f32::mul_add` is a slow library call.
    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn min(self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn sqrt(self, a: f32) -> f32 {
        a.sqrt()
    }
    #[inline(always)]
    fn select_greater(self, a: f32, b: f32, yes: f32, no: f32) -> f32 {
        if a > b { yes } else { no }
    }
    #[inline(always)]
    fn select_equal(self, a: f32, b: f32, yes: f32, no: f32) -> f32 {
        if a == b { yes } else { no }
    }
    #[inline(always)]
    fn select_nan(self, a: f32, yes: f32, no: f32) -> f32 {
        if a.is_nan() { yes } else { no }
    }
    #[inline(always)]
    fn round(self, a: f32) -> f32 {
        a.round_ties_even()
    }
    #[inline(always)]
    fn power_of_two(self, a: f32) -> f32 {
        f32::from_bits(((a as i32 + 127) as u32) << 23)
    }
    #[inline(always)]
    unsafe fn select_byte(self, n: usize, bytes: *const u8, byte: u8, value: f32) -> f32 {
        if n > 0 && unsafe { bytes.read() } == byte {
            value
        } else {
            0.0
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, n: usize, value: f32, to: *mut u8) {
        if n > 0 {
            unsafe { to.write(value as u8) }
        }
    }
    #[inline(always)]
    fn sum(self, a: f32) -> f32 {
        a
    }
}
