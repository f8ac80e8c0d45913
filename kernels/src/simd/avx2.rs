//! 256-bit vectors: AVX2 and FMA.
use std::arch::x86_64::*;

use super::{Kernel, Simd};

#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// # Safety
/// The processor must have avx2,fma.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    let output = kernel.run(Avx2(()));
    // Other threads see the streamed stores before all that follows.
    _mm_sfence();
    output
}

/// All ones in the first `n` of eight lanes.
///
/// # Safety
/// `n` is at most 8, and the processor has AVX2.
#[inline(always)]
unsafe fn first(n: usize) -> __m256i {
    const MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    debug_assert!(n <= 8);
    // SAFETY: `n` is at most 8, so these are eight of the sixteen values, from 8 − n on, and the processor has AVX2: both by this
    // function's contract.
    unsafe { _mm256_loadu_si256(MASKS.as_ptr().add(8 - n).cast()) }
}

// SAFETY of all blocks: only `run` makes a value of Avx2, and its contract says that the processor has the instructions. The
// contract of `Simd` says that pointers are valid for the lanes that are touched.
#[allow(clippy::undocumented_unsafe_blocks, reason = "said once, above")]
impl Simd for Avx2 {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    type Vector = __m256;

    #[inline(always)]
    fn call<K: Kernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        fn apart<K: Kernel>(kernel: K, simd: Avx2) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { apart(kernel, self) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_first(self, n: usize, from: *const f32) -> __m256 {
        unsafe { _mm256_maskload_ps(from, first(n)) }
    }
    #[inline(always)]
    unsafe fn store(self, value: __m256, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn stream(self, value: __m256, to: *mut f32) {
        unsafe { _mm256_stream_ps(to, value) }
    }
    #[inline(always)]
    unsafe fn store_first(self, n: usize, value: __m256, to: *mut f32) {
        unsafe { _mm256_maskstore_ps(to, first(n), value) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn select_greater(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) }
    }
    #[inline(always)]
    fn select_equal(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b)) }
    }
    #[inline(always)]
    fn select_nan(self, a: __m256, yes: __m256, no: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a)) }
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn power_of_two(self, a: __m256) -> __m256 {
        unsafe {
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(
                _mm256_cvtps_epi32(a),
                _mm256_set1_epi32(127),
            )))
        }
    }
    #[inline(always)]
    unsafe fn select_byte(self, n: usize, bytes: *const u8, byte: u8, value: __m256) -> __m256 {
        unsafe {
            let (bytes, value) = if n == Self::LANES {
                (_mm_loadl_epi64(bytes.cast()), value)
            } else {
                let mut eight = [0_u8; 8];
                std::ptr::copy_nonoverlapping(bytes, eight.as_mut_ptr(), n);
                let value = _mm256_and_ps(value, _mm256_castsi256_ps(first(n)));
                (_mm_loadl_epi64(eight.as_ptr().cast()), value)
            };
            let equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8));
            _mm256_and_ps(value, _mm256_castsi256_ps(_mm256_cvtepi8_epi32(equal)))
        }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, n: usize, value: __m256, to: *mut u8) {
        unsafe {
            let integers = _mm256_cvtps_epi32(value);
            let halves = (
                _mm256_castsi256_si128(integers),
                _mm256_extracti128_si256::<1>(integers),
            );
            let words = _mm_packus_epi32(halves.0, halves.1);
            let bytes = _mm_packus_epi16(words, words);
            if n == Self::LANES {
                _mm_storel_epi64(to.cast(), bytes);
            } else {
                let mut eight = [0_u8; 8];
                _mm_storel_epi64(eight.as_mut_ptr().cast(), bytes);
                std::ptr::copy_nonoverlapping(eight.as_ptr(), to, n);
            }
        }
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
}
