//! Some channels of each pixel in another order: a part of the channels, or a channel shuffle.
use crate::Cpu;
use crate::activation::PIECE;

/// The channels of a map that another map consists of, each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Channels of the map that they are taken from.
    total: usize,
    /// Number of channels that are taken.
    count: usize,
    /// Neighbouring channels that stay neighbours, in the order in which they are taken.
    runs: Vec<Run>,
}

/// Channels that lie side by side in both maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: usize,
    to: usize,
    count: usize,
}

impl Selection {
    /// The channels `taken`, in this order, of a map with `total` channels.
    ///
    /// # Panics
    /// If none is taken, if one is taken twice, or if the map does not have one.
    pub fn new(total: usize, taken: &[usize]) -> Self {
        assert!(!taken.is_empty(), "a map has channels");
        let mut is_taken = vec![false; total];
        let mut runs: Vec<Run> = Vec::new();
        for (to, &from) in taken.iter().enumerate() {
            let before = std::mem::replace(&mut is_taken[from], true);
            assert!(!before, "channel {from} is taken twice");
            match runs.last_mut() {
                Some(run) if run.from + run.count == from => run.count += 1,
                _ => runs.push(Run { from, to, count: 1 }),
            }
        }
        Self {
            total,
            count: taken.len(),
            runs,
        }
    }

    /// Floats of the map that the channels are taken from, if the other one has `length`.
    pub fn input_len(&self, length: usize) -> usize {
        length / self.count * self.total
    }

    /// # Panics
    /// If the maps do not have whole pixels, or not equally many.
    fn check(&self, input: usize, output: usize) {
        assert!(
            input.is_multiple_of(self.total) && output.is_multiple_of(self.count),
            "maps have whole pixels"
        );
        assert_eq!(input / self.total, output / self.count, "pixels");
    }

    /// Copies the channels of each pixel of `input` to `output`.
    ///
    /// # Panics
    /// If the maps do not have whole pixels, or not equally many.
    pub fn forward(&self, cpu: &Cpu, input: &[f32], output: &mut [f32]) {
        self.check(input.len(), output.len());
        let pixels = PIECE.div_ceil(self.count);
        cpu.parallel_chunks(output, pixels * self.count, |i, output| {
            let input = input[i * pixels * self.total..].chunks_exact(self.total);
            for (output, input) in output.chunks_exact_mut(self.count).zip(input) {
                for run in &self.runs {
                    copy(&input[run.from..], &mut output[run.to..], run.count);
                }
            }
        });
    }

    /// Writes the gradient of the input, which is 0 for channels that are not taken. `accumulate` adds it instead.
    ///
    /// # Panics
    /// If the maps do not have whole pixels, or not equally many.
    pub fn backward(
        &self,
        cpu: &Cpu,
        output_gradient: &[f32],
        input_gradient: &mut [f32],
        accumulate: bool,
    ) {
        self.check(input_gradient.len(), output_gradient.len());
        let pixels = PIECE.div_ceil(self.total);
        cpu.parallel_chunks(input_gradient, pixels * self.total, |i, targets| {
            let sources = output_gradient[i * pixels * self.count..].chunks_exact(self.count);
            for (target, source) in targets.chunks_exact_mut(self.total).zip(sources) {
                if !accumulate && self.count < self.total {
                    target.fill(0.0);
                }
                for run in &self.runs {
                    let (source, target) = (&source[run.to..], &mut target[run.from..]);
                    match accumulate {
                        true => add(source, target, run.count),
                        false => copy(source, target, run.count),
                    }
                }
            }
        });
    }
}

/// Copies the first `count` values. A call to copy memory would take longer than a single value.
fn copy(from: &[f32], to: &mut [f32], count: usize) {
    match count {
        1 => to[0] = from[0],
        _ => to[..count].copy_from_slice(&from[..count]),
    }
}

/// Adds the first `count` values.
fn add(from: &[f32], to: &mut [f32], count: usize) {
    for (to, from) in to[..count].iter_mut().zip(&from[..count]) {
        *to += from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    #[test]
    fn channels_are_those_of_the_list_and_gradients_return_to_them() {
        let shuffled: Vec<usize> = (0..24).map(|to| to % 3 * 8 + to / 3).collect();
        let long: Vec<usize> = (4000..9000).chain(100..300).collect();
        let cases: [(usize, &[usize]); 5] = [
            (1, &[0]),
            (7, &[3, 4, 5]),
            (7, &[6, 0, 1, 5]),
            (24, &shuffled),
            (9000, &long),
        ];
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 3);
            for (total, taken) in cases {
                let selection = Selection::new(total, taken);
                for pixels in [1, 5, PIECE / total + 3] {
                    let number = |i: usize| (i % 1001) as f32;
                    let input: Vec<f32> = (0..pixels * total).map(number).collect();
                    let mut output = vec![-1.0; pixels * taken.len()];
                    assert_eq!(selection.input_len(output.len()), input.len());
                    selection.forward(&cpu, &input, &mut output);
                    let mut gradient = vec![-1.0; input.len()];
                    selection.backward(&cpu, &output, &mut gradient, false);
                    for pixel in 0..pixels {
                        let [input, gradient] =
                            [&input, &gradient].map(|map| &map[pixel * total..][..total]);
                        let output = &output[pixel * taken.len()..][..taken.len()];
                        let expected: Vec<f32> = taken.iter().map(|from| input[*from]).collect();
                        assert_eq!(output, expected);
                        for channel in 0..total {
                            let is_taken = f32::from(u8::from(taken.contains(&channel)));
                            assert_eq!(gradient[channel], is_taken * input[channel]);
                        }
                    }
                    let once = gradient.clone();
                    selection.backward(&cpu, &output, &mut gradient, true);
                    let mut pairs = gradient.iter().zip(&once);
                    assert!(pairs.all(|(twice, once)| *twice == 2.0 * once));
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "taken twice")]
    fn a_channel_goes_to_one_place() {
        Selection::new(3, &[0, 1, 0]);
    }

    #[test]
    #[should_panic(expected = "pixels")]
    fn maps_have_equally_many_pixels() {
        let selection = Selection::new(3, &[0, 1]);
        selection.forward(&Cpu::best(1), &[0.0; 9], &mut [0.0; 4]);
    }
}
