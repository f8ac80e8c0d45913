use super::*;
use crate::{Buffer, Cpu};

/// Each operation on lanes 1, 2, … against plain Rust.
struct Operations;

impl Kernel for Operations {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let input: Vec<f32> = (1..=S::LANES).map(|lane| lane as f32).collect();
        let check = |vector: S::Vector, expected: fn(f32) -> f32| {
            let mut lanes = vec![f32::NAN; S::LANES];
            // SAFETY: the slice holds a vector.
            unsafe { simd.store(vector, lanes.as_mut_ptr()) };
            let expected: Vec<f32> = input.iter().map(|x| expected(*x)).collect();
            assert_eq!(lanes, expected);
        };
        // SAFETY: the slice holds a vector.
        let x = unsafe { simd.load(input.as_ptr()) };
        let (two, three) = (simd.splat(2.0), simd.splat(3.0));
        check(simd.add(x, two), |x| x + 2.0);
        check(simd.sub(x, two), |x| x - 2.0);
        check(simd.mul(x, two), |x| x * 2.0);
        check(simd.div(x, two), |x| x / 2.0);
        check(simd.mul_add(x, two, three), |x| x * 2.0 + 3.0);
        check(simd.max(x, three), |x| x.max(3.0));
        check(simd.min(x, three), |x| x.min(3.0));
        check(simd.max(simd.splat(f32::NAN), x), |x| x);
        check(simd.sqrt(x), f32::sqrt);
        check(simd.select_greater(x, three, two, x), |x| {
            if x > 3.0 { 2.0 } else { x }
        });
        check(simd.select_equal(x, three, two, x), |x| {
            if x == 3.0 { 2.0 } else { x }
        });
        let nan = simd.splat(f32::NAN);
        check(simd.select_equal(nan, nan, two, x), |x| x);
        check(simd.select_nan(x, two, x), |x| x);
        check(simd.select_nan(simd.splat(f32::NAN), two, x), |_| 2.0);
        check(simd.round(simd.div(x, two)), |x| {
            (x / 2.0).round_ties_even()
        });
        check(simd.power_of_two(simd.sub(x, three)), |x| (x - 3.0).exp2());
        let mut streamed = Buffer::zeros(2 * S::LANES);
        // SAFETY: the buffer begins on a cache line and holds two vectors.
        unsafe {
            simd.stream(x, streamed.as_mut_ptr());
            simd.stream(two, streamed.as_mut_ptr().add(S::LANES));
        }
        simd.end_of_stream();
        assert_eq!(streamed[..S::LANES], input);
        assert_eq!(streamed[S::LANES..], vec![2.0; S::LANES]);
        assert_eq!(simd.sum(x), input.iter().sum::<f32>());
        for n in 0..=S::LANES {
            let mut lanes = vec![7.0; S::LANES + 1];
            // SAFETY: `n` lanes are read and written, and the slices hold so many.
            unsafe { simd.store_first(n, simd.load_first(n, input.as_ptr()), lanes.as_mut_ptr()) };
            assert_eq!(lanes[..n], input[..n]);
            assert!(lanes[n..].iter().all(|lane| *lane == 7.0));
        }
    }
}

#[test]
fn lanes_compute_what_plain_rust_computes() {
    for set in InstructionSet::available() {
        Cpu::new(set, 1).dispatch(Operations);
    }
}
