//! Borders that do not hold zeros: constant, reflected, replicated, circular. (Convolutions read zeros by themselves.)
use crate::Cpu;

/// What stands outside the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PaddingMode {
    /// One number.
    Constant(f32),
    /// The map mirrored at its outermost pixels, which are not repeated.
    Reflect,
    /// The outermost pixels.
    Replicate,
    /// The opposite side.
    Circular,
}

/// A map within a larger one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Padding {
    /// Images.
    pub batch: usize,
    /// Height, width, channels.
    pub input: [usize; 3],
    /// Height, width, channels with the border.
    pub output: [usize; 3],
    /// Rows above, columns to the left.
    pub before: [usize; 2],
    /// What the border holds.
    pub mode: PaddingMode,
}

impl Padding {
    /// The row (axis 0) or column (axis 1) of the input that place `i` of the output shows; none for a constant.
    pub fn source(&self, axis: usize, i: usize) -> Option<usize> {
        let size = self.input[axis] as isize;
        let place = i as isize - self.before[axis] as isize;
        let source = match self.mode {
            _ if (0..size).contains(&place) => place,
            PaddingMode::Constant(_) => return None,
            PaddingMode::Replicate => place.clamp(0, size - 1),
            PaddingMode::Circular => place.rem_euclid(size),
            PaddingMode::Reflect if size == 1 => 0,
            PaddingMode::Reflect => {
                let turn = place.rem_euclid(2 * size - 2);
                turn.min(2 * size - 2 - turn)
            }
        };
        Some(source as usize)
    }

    /// Calls `body` with (place of the output pixel, place of the input pixel it shows) for every pixel of an image.
    fn pixels(&self, mut body: impl FnMut(usize, Option<usize>)) {
        let channels = self.input[2];
        for y in 0..self.output[0] {
            let row = self.source(0, y);
            for x in 0..self.output[1] {
                let source = row
                    .zip(self.source(1, x))
                    .map(|(y, x)| (y * self.input[1] + x) * channels);
                body((y * self.output[1] + x) * channels, source);
            }
        }
    }
}

/// Writes the map with its border.
pub fn forward(cpu: &Cpu, padding: &Padding, input: &[f32], output: &mut [f32]) {
    let (length, channels) = (padding.input.iter().product::<usize>(), padding.input[2]);
    let size = padding.output.iter().product();
    assert!(input.len() == padding.batch * length && output.len() == padding.batch * size);
    cpu.parallel_chunks(output, size, |n, output| {
        let input = &input[n * length..][..length];
        padding.pixels(|to, from| {
            let target = &mut output[to..][..channels];
            match (from, padding.mode) {
                (Some(from), _) => target.copy_from_slice(&input[from..][..channels]),
                (None, PaddingMode::Constant(value)) => target.fill(value),
                (None, _) => unreachable!("only a constant shows no pixel"),
            }
        });
    });
}

/// Adds up, for each pixel, the gradients of all places that show it; on top of what is there where `accumulate`.
pub fn backward(
    cpu: &Cpu,
    padding: &Padding,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    let (length, channels) = (padding.input.iter().product(), padding.input[2]);
    let size: usize = padding.output.iter().product();
    assert!(
        output_gradient.len() == padding.batch * size
            && input_gradient.len() == padding.batch * length
    );
    cpu.parallel_chunks(input_gradient, length, |n, input_gradient| {
        if !accumulate {
            input_gradient.fill(0.0);
        }
        let gradient = &output_gradient[n * size..][..size];
        padding.pixels(|to, from| {
            if let Some(from) = from {
                let target = &mut input_gradient[from..][..channels];
                target
                    .iter_mut()
                    .zip(&gradient[to..][..channels])
                    .for_each(|(target, g)| *target += g);
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::InstructionSet;
    use crate::reference::pad as reference;

    #[test]
    fn borders_hold_what_they_should_and_backward_is_the_adjoint() {
        let input = [1.0, 2.0, 3.0];
        let cases = [
            (
                PaddingMode::Constant(9.0),
                [9.0, 9.0, 1.0, 2.0, 3.0, 9.0, 9.0],
            ),
            (PaddingMode::Reflect, [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]),
            (PaddingMode::Replicate, [1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0]),
            (PaddingMode::Circular, [2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0]),
        ];
        for (mode, expected) in cases {
            let padding = Padding {
                batch: 1,
                input: [1, 3, 1],
                output: [1, 7, 1],
                before: [0, 2],
                mode,
            };
            let mut output = [0.0; 7];
            forward(&Cpu::best(1), &padding, &input, &mut output);
            assert_eq!(output, expected);
            let gradient = [0.5, 1.0, -2.0, 4.0, 8.0, -16.0, 32.0];
            let mut back = [0.0; 3];
            backward(&Cpu::best(1), &padding, &gradient, &mut back, false);
            let outside: f32 = match mode {
                PaddingMode::Constant(value) => value * (0.5 + 1.0 - 16.0 + 32.0),
                _ => 0.0,
            };
            let there: f32 = gradient.iter().zip(&output).map(|(g, y)| g * y).sum();
            let back: f32 = back.iter().zip(&input).map(|(g, x)| g * x).sum();
            assert_eq!(there - outside, back);
        }
    }

    fn padding() -> impl Strategy<Value = Padding> {
        let mode = prop_oneof![
            Just(PaddingMode::Constant(0.5)),
            Just(PaddingMode::Reflect),
            Just(PaddingMode::Replicate),
            Just(PaddingMode::Circular),
        ];
        let sides = [0..4_usize, 0..4, 0..4, 0..4];
        (1..3_usize, [1..6_usize, 1..6, 1..20], sides, mode).prop_map(
            |(batch, input, [top, left, bottom, right], mode)| Padding {
                batch,
                input,
                output: [input[0] + top + bottom, input[1] + left + right, input[2]],
                before: [top, left],
                mode,
            },
        )
    }

    proptest! {
        #[test]
        fn both_ways_are_the_definition(padding in padding()) {
            let numbers = |shape: [usize; 3]| -> Vec<f32> {
                (0..padding.batch * shape.iter().product::<usize>()).map(|i| (i % 23) as f32 - 9.0).collect()
            };
            let (input, gradient) = (numbers(padding.input), numbers(padding.output));
            for set in InstructionSet::available() {
                let cpu = Cpu::new(set, 2);
                let mut output = vec![7.0; gradient.len()];
                forward(&cpu, &padding, &input, &mut output);
                prop_assert_eq!(&output, &reference::forward(&padding, &input));
                let mut back = vec![1.0; input.len()];
                backward(&cpu, &padding, &gradient, &mut back, true);
                let expected = reference::backward(&padding, &gradient);
                prop_assert!(back.iter().zip(&expected).all(|(value, sum)| f64::from(*value) == sum + 1.0));
            }
        }
    }
}
