//! Dropout. A seed and the place of a value decide whether it is dropped, so backward needs no mask in memory.
use crate::Cpu;
use crate::activation::PIECE;

/// Sets each value to 0 with `probability` (0 to 1) and multiplies the others by 1/(1 − probability). It is its own backward: call it
/// with the same seed on the gradient. `accumulate` adds to `output` instead of overwriting it.
///
/// # Panics
/// If the slices differ in length.
pub fn apply(
    cpu: &Cpu,
    probability: f32,
    seed: u64,
    input: &[f32],
    output: &mut [f32],
    accumulate: bool,
) {
    assert_eq!(input.len(), output.len(), "length of the output");
    let scale = 1.0 / (1.0 - probability);
    // A value is kept if its 32 random bits are at least this.
    let threshold = (f64::from(probability) * 4_294_967_296.0) as u64;
    cpu.parallel_chunks(output, PIECE, |i, output| {
        let start = i * PIECE;
        let input = &input[start..][..output.len()];
        cpu.vectorised(|| {
            for (k, (output, input)) in output.iter_mut().zip(input).enumerate() {
                let kept = random(seed, (start + k) as u64) >= threshold;
                let value = if kept { scale * input } else { 0.0 };
                *output = if accumulate { *output + value } else { value };
            }
        });
    });
}

/// 32 random bits for place `i` (the finaliser of SplitMix64; Steele, Lea and Flood 2014).
#[inline(always)]
fn random(seed: u64, i: u64) -> u64 {
    let z = seed ^ i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let input = vec![1.0; 100_000];
        let mut output = vec![0.0; input.len()];
        apply(&Cpu::best(2), 0.3, 7, &input, &mut output, false);
        let dropped = output.iter().filter(|value| **value == 0.0).count();
        assert!(
            (29_000..31_000).contains(&dropped),
            "{dropped} of 100,000 dropped"
        );
        let mean = output.iter().sum::<f32>() / input.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "mean {mean}");
        let mut again = vec![0.0; input.len()];
        apply(&Cpu::best(1), 0.3, 7, &input, &mut again, false);
        assert_eq!(output, again);
    }

    #[test]
    fn backward_drops_the_same_on_all_instruction_sets_and_adds_up() {
        let input: Vec<f32> = (1..=PIECE + 21).map(|i| i as f32).collect();
        let mut expected = vec![0.0; input.len()];
        apply(
            &Cpu::new(InstructionSet::Scalar, 1),
            0.5,
            3,
            &input,
            &mut expected,
            false,
        );
        assert!(
            expected
                .iter()
                .zip(&input)
                .all(|(y, x)| *y == 0.0 || *y == 2.0 * x)
        );
        for set in InstructionSet::available() {
            let mut output = vec![1.0; input.len()];
            apply(&Cpu::new(set, 3), 0.5, 3, &input, &mut output, true);
            assert!(
                output
                    .iter()
                    .zip(&expected)
                    .all(|(y, dropped)| *y == dropped + 1.0)
            );
        }
        let mut output = [7.0];
        apply(&Cpu::best(1), 1.0, 3, &[2.0], &mut output, false);
        assert_eq!(output, [0.0]);
    }
}
