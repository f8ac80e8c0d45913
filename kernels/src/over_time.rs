//! Pooling over all times of each sample: the largest value or the mean of each value of a frame. Samples may be shorter than the map.
use crate::Cpu;
use crate::pool::Index;

/// The maps of a batch: `samples` × `times` × `values`, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    /// Samples of the batch.
    pub samples: usize,
    /// Times of a sample's map.
    pub times: usize,
    /// Values of a frame.
    pub values: usize,
}

impl Maps {
    /// Values of all maps.
    #[allow(clippy::len_without_is_empty, reason = "no map is empty")]
    pub fn len(&self) -> usize {
        self.samples * self.times * self.values
    }

    fn check(&self, input: usize, output: usize) {
        assert!(self.times > 0 && self.values > 0, "an empty map");
        assert_eq!(input, self.len(), "length of the maps");
        assert_eq!(output, self.samples * self.values, "length of the frames");
    }
}

/// Values of a frame that a task computes at a time.
const PIECE: usize = 1024;

/// Writes the largest of the first `length(sample)` values of each place to `output`, `[samples, values]`, and its time to `index`. Of equal
/// values the first is taken.
///
/// # Panics
/// If a slice has another length, if a length is 0 or exceeds the times, or if there are more than 65,536 times.
pub fn max_forward(
    cpu: &Cpu,
    maps: Maps,
    length: impl Fn(usize) -> usize + Sync,
    input: &[f32],
    output: &mut [f32],
    index: Option<&mut [Index]>,
) {
    maps.check(input.len(), output.len());
    assert!(maps.times <= MOST_TIMES, "more times than an index counts");
    each_piece(cpu, maps, output, |(sample, first), output| {
        let frames = frames(maps, input, sample, length(sample));
        output.copy_from_slice(&frames[first..][..output.len()]);
        for frame in frames.chunks_exact(maps.values).skip(1) {
            for (output, value) in output.iter_mut().zip(&frame[first..]) {
                let is_larger = *value > *output || value.is_nan();
                *output = if is_larger { *value } else { *output };
            }
        }
    });
    let Some(index) = index else { return };
    let output = &*output;
    each_piece(cpu, maps, index, |(sample, first), index| {
        let frames = frames(maps, input, sample, length(sample));
        let largest = &output[sample * maps.values + first..][..index.len()];
        index.fill(0);
        // From the last time to the first, so that the first of equal values remains.
        for (time, frame) in frames.chunks_exact(maps.values).enumerate().rev() {
            for ((index, value), largest) in index.iter_mut().zip(&frame[first..]).zip(largest) {
                *index = if value == largest {
                    time as Index
                } else {
                    *index
                };
            }
        }
    });
}

/// Times that [`max_forward`] distinguishes at most.
pub const MOST_TIMES: usize = 1 << Index::BITS;

/// Writes the gradient of the input of [`max_forward`]: that of each output at the time of the largest value, 0 elsewhere. `accumulate`
/// adds it instead.
///
/// # Panics
/// If a slice has another length, or an index exceeds the times.
pub fn max_backward(
    cpu: &Cpu,
    maps: Maps,
    index: &[Index],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    maps.check(input_gradient.len(), output_gradient.len());
    assert_eq!(index.len(), output_gradient.len(), "length of the index");
    let sample_len = maps.times * maps.values;
    cpu.parallel_chunks(input_gradient, sample_len, |sample, gradient| {
        if !accumulate {
            gradient.fill(0.0);
        }
        let start = sample * maps.values;
        let gradients = &output_gradient[start..][..maps.values];
        let times = &index[start..][..maps.values];
        for (value, (of_output, time)) in gradients.iter().zip(times).enumerate() {
            gradient[usize::from(*time) * maps.values + value] += of_output;
        }
    });
}

/// Writes the mean of the first `length(sample)` values of each place to `output`, `[samples, values]`.
///
/// # Panics
/// If a slice has another length, or a length is 0 or exceeds the times.
pub fn average_forward(
    cpu: &Cpu,
    maps: Maps,
    length: impl Fn(usize) -> usize + Sync,
    input: &[f32],
    output: &mut [f32],
) {
    maps.check(input.len(), output.len());
    each_piece(cpu, maps, output, |(sample, first), output| {
        let length = length(sample);
        let frames = frames(maps, input, sample, length);
        output.fill(0.0);
        for frame in frames.chunks_exact(maps.values) {
            for (output, value) in output.iter_mut().zip(&frame[first..]) {
                *output += value;
            }
        }
        let share = 1.0 / length as f32;
        output.iter_mut().for_each(|output| *output *= share);
    });
}

/// Writes the gradient of the input of [`average_forward`]; 0 behind the length of a sample. `accumulate` adds it instead.
///
/// # Panics
/// If a slice has another length, or a length is 0 or exceeds the times.
pub fn average_backward(
    cpu: &Cpu,
    maps: Maps,
    length: impl Fn(usize) -> usize + Sync,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    accumulate: bool,
) {
    maps.check(input_gradient.len(), output_gradient.len());
    let sample_len = maps.times * maps.values;
    cpu.parallel_chunks(input_gradient, sample_len, |sample, gradient| {
        let length = length(sample);
        assert!((1..=maps.times).contains(&length), "length of a sample");
        if !accumulate {
            gradient[length * maps.values..].fill(0.0);
        }
        let share = 1.0 / length as f32;
        let gradients = &output_gradient[sample * maps.values..][..maps.values];
        cpu.vectorised(|| {
            for frame in gradient[..length * maps.values].chunks_exact_mut(maps.values) {
                for (gradient, of_output) in frame.iter_mut().zip(gradients) {
                    let value = share * of_output;
                    *gradient = if accumulate { *gradient + value } else { value };
                }
            }
        });
    });
}

/// The frames of a sample that count.
fn frames(maps: Maps, input: &[f32], sample: usize, length: usize) -> &[f32] {
    assert!((1..=maps.times).contains(&length), "length of a sample");
    &input[sample * maps.times * maps.values..][..length * maps.values]
}

/// Calls `body` with the place and the values of each piece of `frames`, `[samples, values]`.
fn each_piece<T: Send>(
    cpu: &Cpu,
    maps: Maps,
    frames: &mut [T],
    body: impl Fn((usize, usize), &mut [T]) + Sync,
) {
    if maps.values <= PIECE {
        return cpu.parallel_chunks(frames, maps.values, |sample, values| {
            cpu.vectorised(|| body((sample, 0), values));
        });
    }
    // Frames of more values, one after the other.
    for (sample, frame) in frames.chunks_exact_mut(maps.values).enumerate() {
        cpu.parallel_chunks(frame, PIECE, |i, values| {
            cpu.vectorised(|| body((sample, i * PIECE), values));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    /// Maps with frames of one piece and of several, and the lengths of their samples.
    fn cases() -> impl Iterator<Item = (Maps, Vec<usize>)> {
        let of = |samples, times, values| Maps {
            samples,
            times,
            values,
        };
        let cases = [
            (of(3, 7, 5), vec![7, 1, 4]),
            (of(2, 3, PIECE + 9), vec![2, 3]),
            (of(1, 1, 1), vec![1]),
        ];
        cases.into_iter()
    }

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 12.9898).sin()).collect()
    }

    #[test]
    fn the_largest_and_the_mean_are_those_of_the_times_that_count() {
        for (maps, lengths) in cases() {
            let input = numbers(maps.len());
            let column = |sample: usize, value: usize| {
                let at = |time| input[(sample * maps.times + time) * maps.values + value];
                (0..lengths[sample]).map(at).collect::<Vec<f32>>()
            };
            for set in InstructionSet::available() {
                let cpu = Cpu::new(set, 3);
                let mut largest = vec![0.0; maps.samples * maps.values];
                let mut means = largest.clone();
                let mut index = vec![0; largest.len()];
                let length = |sample: usize| lengths[sample];
                max_forward(&cpu, maps, length, &input, &mut largest, Some(&mut index));
                average_forward(&cpu, maps, length, &input, &mut means);
                for sample in 0..maps.samples {
                    for value in 0..maps.values {
                        let place = sample * maps.values + value;
                        let column = column(sample, value);
                        let most = column.iter().copied().fold(f32::MIN, f32::max);
                        assert_eq!(largest[place], most);
                        assert_eq!(column[usize::from(index[place])], most);
                        let mean = column.iter().sum::<f32>() / column.len() as f32;
                        assert!((means[place] - mean).abs() < 1e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn gradients_reach_the_largest_value_or_all_that_count_and_add_up() {
        for (maps, lengths) in cases() {
            let cpu = Cpu::best(2);
            let length = |sample: usize| lengths[sample];
            let input = numbers(maps.len());
            let of_output = numbers(maps.samples * maps.values);
            let mut largest = vec![0.0; of_output.len()];
            let mut index = vec![0; largest.len()];
            max_forward(&cpu, maps, length, &input, &mut largest, Some(&mut index));
            for accumulate in [false, true] {
                let before = if accumulate { 1.0 } else { f32::NAN };
                let mut of_max = vec![before; maps.len()];
                let mut of_mean = of_max.clone();
                max_backward(&cpu, maps, &index, &of_output, &mut of_max, accumulate);
                average_backward(&cpu, maps, length, &of_output, &mut of_mean, accumulate);
                let added = if accumulate { 1.0 } else { 0.0 };
                for (i, (max, mean)) in of_max.iter().zip(&of_mean).enumerate() {
                    let (sample, rest) = (
                        i / (maps.times * maps.values),
                        i % (maps.times * maps.values),
                    );
                    let (time, value) = (rest / maps.values, rest % maps.values);
                    let place = sample * maps.values + value;
                    let wins = usize::from(index[place]) == time;
                    let expected = if wins { of_output[place] } else { 0.0 };
                    assert_eq!(*max, expected + added);
                    let expected = match time < lengths[sample] {
                        true => of_output[place] / lengths[sample] as f32,
                        false => 0.0,
                    };
                    assert!((mean - expected - added).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn of_equal_values_the_first_wins_and_nan_does_not_panic() {
        let maps = Maps {
            samples: 1,
            times: 3,
            values: 2,
        };
        let input = [1.0, 3.0, 2.0, f32::NAN, 2.0, 6.0];
        let (mut output, mut index) = ([0.0; 2], [9; 2]);
        max_forward(
            &Cpu::best(1),
            maps,
            |_| 3,
            &input,
            &mut output,
            Some(&mut index),
        );
        assert_eq!((output[0], index[0]), (2.0, 1));
        assert!(output[1].is_nan(), "as PyTorch's");
    }
}
