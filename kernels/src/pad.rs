//! Padding that is not zeros: constant, reflected, replicated, circular. Convolutions pad with zeros by themselves.
use crate::Cpu;
use crate::shape::map_len;

/// The values outside the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PaddingMode {
    /// This value.
    Constant(f32),
    /// The map mirrored at its outermost pixels, which are not repeated.
    Reflect,
    /// The outermost pixels.
    Replicate,
    /// The pixels of the opposite side.
    Circular,
}

/// A map and the larger map that it lies in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Padding {
    /// Images.
    pub batch: usize,
    /// Height, width, channels.
    pub input: [usize; 3],
    /// Height, width, channels with the padding.
    pub output: [usize; 3],
    /// Padding rows above the map, padding columns to its left.
    pub before: [usize; 2],
    /// The values of the padding.
    pub mode: PaddingMode,
}

/// Values of one image.
#[derive(Clone, Copy)]
struct Lengths {
    input: usize,
    output: usize,
}

impl Padding {
    /// # Panics
    /// If a size but the batch is 0, if the input does not lie within the output, if the channels differ, if the lengths of the whole
    /// batch are not these, or if no slice is so long.
    fn check(&self, input: usize, output: usize) -> Lengths {
        assert!(!self.input.contains(&0), "a map to be padded has pixels");
        let [height, width] = [0, 1].map(|axis| {
            let end = self.before[axis].checked_add(self.input[axis]);
            end.is_some_and(|end| end <= self.output[axis])
        });
        assert!(height && width, "the map lies within its padding");
        assert_eq!(self.input[2], self.output[2], "padding keeps the channels");
        let length = |batch: usize, shape: [usize; 3]| {
            map_len(batch, shape).expect("no slice is as long as this map")
        };
        assert_eq!(input, length(self.batch, self.input), "length of the input");
        assert_eq!(
            output,
            length(self.batch, self.output),
            "length of the output"
        );
        Lengths {
            input: length(1, self.input),
            output: length(1, self.output),
        }
    }

    /// The row (axis 0) or column (axis 1) of the input whose pixels are at place `i` of the output. `None` for a constant. It means
    /// nothing for a padding that [`forward`] refuses.
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

    /// Calls `body(place in the output, place in the input)` for every pixel of an image. The second is `None` for a constant.
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

/// Writes the map with its padding.
///
/// # Panics
/// If a size of `padding` but its batch is 0, if the input does not lie within the output, or if a length is not that of its map.
pub fn forward(cpu: &Cpu, padding: &Padding, input: &[f32], output: &mut [f32]) {
    let lengths = padding.check(input.len(), output.len());
    let channels = padding.input[2];
    cpu.parallel_chunks(output, lengths.output, |n, output| {
        let input = &input[n * lengths.input..][..lengths.input];
        padding.pixels(|to, from| {
            let target = &mut output[to..][..channels];
            match (from, padding.mode) {
                (Some(from), _) => target.copy_from_slice(&input[from..][..channels]),
                (None, PaddingMode::Constant(value)) => target.fill(value),
                (None, _) => unreachable!("only a constant is no pixel"),
            }
        });
    });
}

/// Writes to each pixel of `input_gradient` the sum of the gradients of all its copies. `accumulate` adds it instead.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    cpu: &Cpu,
    padding: &Padding,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    let lengths = padding.check(input_gradient.len(), output_gradient.len());
    let channels = padding.input[2];
    cpu.parallel_chunks(input_gradient, lengths.input, |n, input_gradient| {
        if !accumulate {
            input_gradient.fill(0.0);
        }
        let gradient = &output_gradient[n * lengths.output..][..lengths.output];
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
            let values = |shape: [usize; 3]| -> Vec<f32> {
                (0..padding.batch * shape.iter().product::<usize>()).map(|i| (i % 23) as f32 - 9.0).collect()
            };
            let (input, gradient) = (values(padding.input), values(padding.output));
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
