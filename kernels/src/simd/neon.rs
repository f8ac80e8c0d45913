//! 128-bit vectors of aarch64, where every processor has them.
use std::arch::aarch64::*;

use super::{Kernel, Simd};

#[derive(Clone, Copy)]
pub(crate) struct Neon;

// SAFETY of all blocks: NEON is part of aarch64. The contract of `Simd` says that pointers are valid for the lanes that are touched.
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
impl Simd for Neon {
    const LANES: usize = 4;
    const REGISTERS: usize = 32;
    type Vector = float32x4_t;

    #[inline(never)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn load_first(self, n: usize, from: *const f32) -> float32x4_t {
        unsafe {
            let mut lanes = [0.0; 4];
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n);
            vld1q_f32(lanes.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store(self, value: float32x4_t, to: *mut f32) {
        unsafe { vst1q_f32(to, value) }
    }
    #[inline(always)]
    unsafe fn store_first(self, n: usize, value: float32x4_t, to: *mut f32) {
        unsafe {
            let mut lanes = [0.0; 4];
            vst1q_f32(lanes.as_mut_ptr(), value);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n);
        }
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    fn select_greater(
        self,
        a: float32x4_t,
        b: float32x4_t,
        yes: float32x4_t,
        no: float32x4_t,
    ) -> float32x4_t {
        unsafe { vbslq_f32(vcgtq_f32(a, b), yes, no) }
    }
    #[inline(always)]
    fn select_equal(
        self,
        a: float32x4_t,
        b: float32x4_t,
        yes: float32x4_t,
        no: float32x4_t,
    ) -> float32x4_t {
        unsafe { vbslq_f32(vceqq_f32(a, b), yes, no) }
    }
    #[inline(always)]
    fn select_nan(self, a: float32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vceqq_f32(a, a), no, yes) }
    }
    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        unsafe { vrndnq_f32(a) }
    }
    #[inline(always)]
    fn power_of_two(self, a: float32x4_t) -> float32x4_t {
        unsafe {
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(
                vcvtnq_s32_f32(a),
                vdupq_n_s32(127),
            )))
        }
    }
    #[inline(always)]
    unsafe fn select_byte(
        self,
        n: usize,
        bytes: *const u8,
        byte: u8,
        value: float32x4_t,
    ) -> float32x4_t {
        unsafe {
            let mut lanes = [0; 4];
            for (lane, own) in lanes[..n].iter_mut().enumerate() {
                *own = if bytes.add(lane).read() == byte {
                    u32::MAX
                } else {
                    0
                };
            }
            let equal = vld1q_u32(lanes.as_ptr());
            vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(value), equal))
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, n: usize, value: float32x4_t, to: *mut u8) {
        unsafe {
            let words = vmovn_u32(vcvtq_u32_f32(value));
            let mut bytes = [0_u8; 8];
            vst1_u8(bytes.as_mut_ptr(), vmovn_u16(vcombine_u16(words, words)));
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, n);
        }
    }
    #[inline(always)]
    fn sum(self, a: float32x4_t) -> f32 {
        unsafe {
            let two = vadd_f32(vget_low_f32(a), vget_high_f32(a));
            vpadds_f32(two)
        }
    }
}
