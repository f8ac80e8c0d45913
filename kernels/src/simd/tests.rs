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
        assert_eq!(streamed[..S::LANES], input);
        assert_eq!(streamed[S::LANES..], vec![2.0; S::LANES]);
        assert_eq!(simd.sum(x), input.iter().sum::<f32>());
        check_sum_of_halves(simd);
        for n in 0..=S::LANES {
            let mut lanes = vec![7.0; S::LANES + 1];
            // SAFETY: `n` lanes are read and written, and the slices hold so many.
            unsafe { simd.store_first(n, simd.load_first(n, input.as_ptr()), lanes.as_mut_ptr()) };
            assert_eq!(lanes[..n], input[..n]);
            assert!(lanes[n..].iter().all(|lane| *lane == 7.0));
            let mut bytes = vec![7; S::LANES + 1];
            // SAFETY: `n` bytes are written, and the slice holds so many.
            unsafe { simd.store_bytes(n, simd.sub(x, simd.splat(1.0)), bytes.as_mut_ptr()) };
            assert!(
                bytes[..n]
                    .iter()
                    .enumerate()
                    .all(|(i, byte)| usize::from(*byte) == i)
            );
            assert!(bytes[n..].iter().all(|byte| *byte == 7));
            for byte in 0..S::LANES as u8 {
                // SAFETY: `n` bytes are read, and the slice holds so many.
                let selected = unsafe { simd.select_byte(n, bytes.as_ptr(), byte, two) };
                // SAFETY: the slice holds a vector.
                unsafe { simd.store(selected, lanes.as_mut_ptr()) };
                for (lane, value) in lanes[..S::LANES].iter().enumerate() {
                    let is_equal = lane < n && lane == usize::from(byte);
                    assert_eq!(*value, if is_equal { 2.0 } else { 0.0 });
                }
            }
        }
    }
}

/// Lanes ±2²⁴ and 1, whose sum depends on the order of the additions.
#[inline(always)]
fn check_sum_of_halves<S: Simd>(simd: S) {
    let lanes: Vec<f32> = (0..S::LANES)
        .map(|lane| [16_777_216.0, 1.0, -16_777_216.0, 1.0][lane % 4])
        .collect();
    let mut halves = lanes.clone();
    while halves.len() > 1 {
        let (low, high) = halves.split_at(halves.len() / 2);
        halves = low.iter().zip(high).map(|(a, b)| a + b).collect();
    }
    // SAFETY: the slice holds a vector.
    assert_eq!(simd.sum(unsafe { simd.load(lanes.as_ptr()) }), halves[0]);
}

#[test]
fn lanes_compute_what_plain_rust_computes() {
    for set in InstructionSet::available() {
        Cpu::new(set, 1).dispatch(Operations);
    }
}

#[test]
fn the_best_instruction_set_is_the_widest_that_can_be_named_here() {
    let cpu = Cpu::best(1);
    let available = InstructionSet::available();
    assert_eq!(available.first(), Some(&InstructionSet::Scalar));
    assert_eq!(available.last(), Some(&cpu.instruction_set()));
    assert_eq!("auto".parse(), Ok(cpu.instruction_set()));
    for set in InstructionSet::ALL {
        assert_eq!(
            set.to_string().parse().ok(),
            available.contains(&set).then_some(set)
        );
        assert!(!available.contains(&set) || Cpu::new(set, 1).lanes() <= cpu.lanes());
    }
    // Every aarch64 processor has NEON, and no other has.
    assert_eq!(
        cpu.instruction_set() == InstructionSet::Neon,
        cfg!(target_arch = "aarch64")
    );
}

struct Lanes;

impl Kernel for Lanes {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::LANES
    }
}

#[test]
fn dispatch_runs_the_instance_that_was_asked_for() {
    for set in InstructionSet::available() {
        let cpu = Cpu::new(set, 1);
        assert_eq!(cpu.dispatch(Lanes), cpu.lanes());
    }
}
