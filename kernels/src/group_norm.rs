//! Group norm (Wu and He 2018): some neighbouring channels of a sample are normalised together, over all its pixels. With a group for each channel it is
//! instance norm. Maps are `[n, m, c]`, where m counts the pixels of a sample, over all its times.
//!
//! The passes over a map are those of batch norm. A block of a sample is summed about its own mean, which is exact where values are large and alike; blocks
//! are combined in order, in f64.
use std::ops::Range;

use crate::Cpu;
use crate::activation::Activation;
use crate::batch_norm::passes::{
    Coefficients, GradientSums, InputGradientRows, NormaliseRows, RowLayout, StatisticSums,
    WIDE_ROW,
};
use crate::shape::map_len;

/// The sizes of a map `[n, m, c]`, and its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Samples of the batch.
    pub samples: usize,
    /// Pixels of a sample, over all its times.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Number of groups. They have equally many channels.
    pub count: usize,
}

/// Group norm with its weights.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm<'a> {
    /// The map and its groups.
    pub groups: Groups,
    /// Added to the variance.
    pub epsilon: f32,
    /// The learned factor, `[c]`.
    pub scale: &'a [f32],
    /// The learned summand, `[c]`.
    pub shift: &'a [f32],
}

impl Groups {
    /// Floats of scratch memory, which the gradients read after their sums.
    ///
    /// # Panics
    /// If there is no pixel or channel, if the groups differ in size, or if the map is larger than any memory.
    pub fn scratch_len(&self) -> usize {
        let is_whole =
            self.pixels > 0 && self.count > 0 && self.channels.is_multiple_of(self.count);
        assert!(is_whole && self.channels > 0, "groups have equal sizes");
        let per_sample = self.blocks() * self.block_sums() + ROWS * self.channels;
        let length = map_len(self.samples, [1, 1, per_sample]);
        length.expect("the sums fit into memory")
    }

    /// Values of a map.
    fn map_len(&self) -> usize {
        let length = map_len(self.samples, [self.pixels, 1, self.channels]);
        length.expect("a map fits into memory")
    }

    /// Values of a sample.
    fn sample(&self) -> usize {
        self.pixels * self.channels
    }

    fn layout(&self) -> RowLayout {
        RowLayout::new(self.channels)
    }

    /// Blocks of a sample.
    fn blocks(&self) -> usize {
        self.sample().div_ceil(self.layout().piece())
    }

    /// Floats of a block's sums: two wide rows, and the values about which they are taken, `[c]`.
    fn block_sums(&self) -> usize {
        2 * self.layout().width + self.channels
    }

    /// A block, counted over all samples, as a part of the map.
    fn block(&self, index: usize) -> Range<usize> {
        let (sample, block) = (index / self.blocks(), index % self.blocks());
        let (first, piece) = (sample * self.sample(), self.layout().piece());
        first + block * piece..first + self.sample().min((block + 1) * piece)
    }

    /// The parts of a range of the map that lie in one sample each, with the number of the sample.
    fn by_sample(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let sample = self.sample();
        let samples = range.start / sample..range.end.div_ceil(sample);
        samples.map(move |i| {
            let (start, end) = (i * sample, (i + 1) * sample);
            (i, range.start.max(start)..range.end.min(end))
        })
    }

    /// The sums of all blocks, and what is known of the channels of each sample, `[n, ROWS, c]`.
    fn split<'s>(&self, scratch: &'s mut [f32]) -> [&'s mut [f32]; 2] {
        let blocks = self.samples * self.blocks() * self.block_sums();
        let (sums, rest) = scratch.split_at_mut(blocks);
        [sums, &mut rest[..self.samples * ROWS * self.channels]]
    }

    /// What is known of the channels of a sample.
    fn rows<'s>(&self, sample: &'s mut [f32]) -> [&'s mut [f32]; ROWS] {
        let mut rows = sample.chunks_exact_mut(self.channels);
        std::array::from_fn(|_| rows.next().expect("a sample has all rows"))
    }

    /// One of the rows of a sample.
    fn row<'s>(&self, of_samples: &'s [f32], sample: usize, row: usize) -> &'s [f32] {
        &of_samples[(sample * ROWS + row) * self.channels..][..self.channels]
    }
}

/// Number of values that are known of a channel of a sample. Forward they are factor and summand. Backward they are, in this order, the mean, 1 / deviation,
/// the coefficients a, b and d of the input's gradient, and the gradients of scale and shift.
const ROWS: usize = 7;

impl GroupNorm<'_> {
    /// # Panics
    /// If a length is not that of the map, of the channels or of the scratch memory.
    fn check(&self, maps: [&[f32]; 2], scratch: &[f32]) {
        let channels = self.groups.channels;
        assert_eq!(scratch.len(), self.groups.scratch_len(), "scratch memory");
        let lengths = [self.scale.len(), self.shift.len()];
        assert_eq!(lengths, [channels; 2], "length of scale and shift");
        let lengths = maps.map(<[f32]>::len);
        assert_eq!(lengths, [self.groups.map_len(); 2], "lengths of the maps");
    }

    /// Writes scale · (input − mean) / √(variance + epsilon) + shift, with mean and biased variance of each group.
    ///
    /// # Panics
    /// If the groups differ in size, or if a length is not that of the map, of the channels or of the [scratch memory](Groups::scratch_len).
    pub fn forward(&self, cpu: &Cpu, input: &[f32], scratch: &mut [f32], output: &mut [f32]) {
        self.check([input, output], scratch);
        let groups = self.groups;
        let [sums, of_samples] = groups.split(scratch);
        self.statistics(cpu, input, sums);
        cpu.parallel_chunks(of_samples, ROWS * groups.channels, |sample, rows| {
            let [factor, summand, ..] = groups.rows(rows);
            self.each_group(sums, sample, |channels, mean, inverse| {
                for c in channels {
                    let own = f64::from(self.scale[c]) * inverse;
                    factor[c] = own as f32;
                    summand[c] = (f64::from(self.shift[c]) - mean * own) as f32;
                }
            });
        });
        let (layout, of_samples) = (groups.layout(), &*of_samples);
        let piece = layout.piece();
        cpu.parallel_chunks(output, piece, |i, output| {
            let start = i * piece;
            for (sample, range) in groups.by_sample(start..start + output.len()) {
                let mut wide = [WIDE_ROW; 2];
                let [of_factor, of_summand] = &mut wide;
                let row = |row| groups.row(of_samples, sample, row);
                cpu.dispatch(NormaliseRows {
                    input: &input[range.clone()],
                    factor: layout.widen(row(0), of_factor),
                    summand: layout.widen(row(1), of_summand),
                    add: None,
                    activation: Activation::Identity,
                    output: &mut output[range.start - start..range.end - start],
                    is_streamed: false,
                });
            }
        });
    }

    /// Sums each block about its own mean: Σ(x − origin) and Σ(x − origin)² of the columns of its wide rows, and the origin of each channel.
    fn statistics(&self, cpu: &Cpu, input: &[f32], sums: &mut [f32]) {
        let (groups, layout) = (self.groups, self.groups.layout());
        cpu.parallel_chunks(sums, groups.block_sums(), |index, sums| {
            let block = &input[groups.block(index)];
            let pixels = (block.len() / groups.channels) as f64;
            let (sums, origin) = sums.split_at_mut(2 * layout.width);
            let (sum, square) = sums.split_at_mut(layout.width);
            origin.copy_from_slice(&block[..groups.channels]);
            // About the first pixel, then about the mean.
            sum_about(cpu, layout, block, origin, [&mut *sum, &mut *square]);
            for (c, origin) in origin.iter_mut().enumerate() {
                let difference = layout.total(sum, c) / pixels;
                *origin = (f64::from(*origin) + difference) as f32;
            }
            sum_about(cpu, layout, block, origin, [sum, square]);
        });
    }

    /// Calls `body` with the channels of each group of a sample, the mean of the group, and 1 / √(variance + epsilon).
    fn each_group(
        &self,
        sums: &[f32],
        sample: usize,
        mut body: impl FnMut(Range<usize>, f64, f64),
    ) {
        let (groups, layout) = (self.groups, self.groups.layout());
        let of_group = groups.channels / groups.count;
        let count = (groups.pixels * of_group) as f64;
        for group in 0..groups.count {
            let channels = group * of_group..(group + 1) * of_group;
            // Of each block and channel: pixels, origin, sum and sum of squares.
            let parts = || {
                (0..groups.blocks()).flat_map(|block| {
                    let index = sample * groups.blocks() + block;
                    let sums = &sums[index * groups.block_sums()..][..groups.block_sums()];
                    let (sums, origin) = sums.split_at(2 * layout.width);
                    let (sum, square) = sums.split_at(layout.width);
                    let pixels = (groups.block(index).len() / groups.channels) as f64;
                    channels.clone().map(move |c| {
                        let sums = [sum, square].map(|sums| layout.total(sums, c));
                        (pixels, f64::from(origin[c]), sums)
                    })
                })
            };
            let total = parts().map(|(pixels, origin, [sum, _])| pixels * origin + sum);
            let mean = total.sum::<f64>() / count;
            let squares = parts().map(|(pixels, origin, [sum, square])| {
                let away = origin - mean;
                square + away * (2.0 * sum + pixels * away)
            });
            let variance = squares.sum::<f64>().max(0.0) / count;
            body(
                channels.clone(),
                mean,
                1.0 / (variance + f64::from(self.epsilon)).sqrt(),
            );
        }
    }

    /// Takes the sums that the gradients need. They stay in the scratch memory for [`weight_gradients`](Groups::weight_gradients) and
    /// [`input_gradient`](Groups::input_gradient).
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn gradient_sums(
        &self,
        cpu: &Cpu,
        input: &[f32],
        output_gradient: &[f32],
        scratch: &mut [f32],
    ) {
        self.check([input, output_gradient], scratch);
        let (groups, layout) = (self.groups, self.groups.layout());
        let [sums, of_samples] = groups.split(scratch);
        self.statistics(cpu, input, sums);
        cpu.parallel_chunks(of_samples, ROWS * groups.channels, |sample, rows| {
            let [means, inverses, ..] = groups.rows(rows);
            self.each_group(sums, sample, |channels, mean, inverse| {
                means[channels.clone()].fill(mean as f32);
                inverses[channels].fill(inverse as f32);
            });
        });
        cpu.parallel_chunks(sums, groups.block_sums(), |index, sums| {
            let (range, mut wide) = (groups.block(index), WIDE_ROW);
            let mean = groups.row(of_samples, index / groups.blocks(), 0);
            let (sum, rest) = sums.split_at_mut(layout.width);
            cpu.dispatch(GradientSums {
                input: &input[range.clone()],
                gradient: &output_gradient[range],
                origin: layout.widen(mean, &mut wide),
                sum,
                product: &mut rest[..layout.width],
            });
        });
        cpu.parallel_chunks(of_samples, ROWS * groups.channels, |sample, rows| {
            self.coefficients(sums, sample, groups.rows(rows));
        });
    }

    /// Computes the coefficients of a sample from the sums of its blocks. With h = scale · gradient and the normalised input z, the gradient of the input is
    /// (h − mean of h − z · mean of h·z) / deviation, with means over the group.
    fn coefficients(&self, sums: &[f32], sample: usize, rows: [&mut [f32]; ROWS]) {
        let (groups, layout) = (self.groups, self.groups.layout());
        let [_, inverses, a, b, d, of_scale, of_shift] = rows;
        let of_group = groups.channels / groups.count;
        let count = (groups.pixels * of_group) as f64;
        let total = |c: usize, k: usize| -> f64 {
            let blocks = sample * groups.blocks()..(sample + 1) * groups.blocks();
            let totals = blocks.map(|index| {
                let sums = &sums[index * groups.block_sums() + k * layout.width..];
                layout.total(sums, c)
            });
            totals.sum()
        };
        for first in (0..groups.channels).step_by(of_group) {
            let inverse = f64::from(inverses[first]);
            let (mut mean, mut product) = (0.0, 0.0);
            for c in first..first + of_group {
                let (sum, with_normalised) = (total(c, 0), total(c, 1) * inverse);
                let scale = f64::from(self.scale[c]);
                mean += scale * sum / count;
                product += scale * with_normalised / count;
                a[c] = (scale * inverse) as f32;
                of_scale[c] = with_normalised as f32;
                of_shift[c] = sum as f32;
            }
            b[first..first + of_group].fill((-inverse * inverse * product) as f32);
            d[first..first + of_group].fill((-inverse * mean) as f32);
        }
    }
}

impl Groups {
    /// Writes the gradients of scale and shift, `[c]` each, from the [sums](GroupNorm::gradient_sums).
    ///
    /// # Panics
    /// If a length is not that of the channels or of the [scratch memory](Self::scratch_len).
    pub fn weight_gradients(
        &self,
        scratch: &mut [f32],
        scale_gradient: &mut [f32],
        shift_gradient: &mut [f32],
    ) {
        assert_eq!(scratch.len(), self.scratch_len(), "scratch memory");
        let lengths = [scale_gradient.len(), shift_gradient.len()];
        assert_eq!(lengths, [self.channels; 2], "lengths of the gradients");
        let [_, of_samples] = self.split(scratch);
        for (row, gradient) in [(5, scale_gradient), (6, shift_gradient)] {
            for (c, gradient) in gradient.iter_mut().enumerate() {
                let samples = 0..self.samples;
                let sums = samples.map(|sample| f64::from(self.row(of_samples, sample, row)[c]));
                *gradient = sums.sum::<f64>() as f32;
            }
        }
    }

    /// Writes the gradient of the input, from the [sums](GroupNorm::gradient_sums). `accumulate` adds it instead.
    ///
    /// # Panics
    /// If a length is not that of the map or of the [scratch memory](Self::scratch_len).
    pub fn input_gradient(
        &self,
        cpu: &Cpu,
        [input, output_gradient]: [&[f32]; 2],
        scratch: &mut [f32],
        input_gradient: &mut [f32],
        accumulate: bool,
    ) {
        assert_eq!(scratch.len(), self.scratch_len(), "scratch memory");
        let lengths = [input.len(), output_gradient.len(), input_gradient.len()];
        assert_eq!(lengths, [self.map_len(); 3], "lengths of the maps");
        let layout = self.layout();
        let [_, of_samples] = self.split(scratch);
        let of_samples = &*of_samples;
        let piece = layout.piece();
        cpu.parallel_chunks(input_gradient, piece, |i, target| {
            let start = i * piece;
            for (sample, range) in self.by_sample(start..start + target.len()) {
                let mut wide = [WIDE_ROW; 4];
                let [of_a, of_b, of_mean, of_d] = &mut wide;
                let row = |row| self.row(of_samples, sample, row);
                cpu.dispatch(InputGradientRows {
                    input: &input[range.clone()],
                    gradient: &output_gradient[range.clone()],
                    coefficients: Coefficients {
                        a: layout.widen(row(2), of_a),
                        b: layout.widen(row(3), of_b),
                        mean: layout.widen(row(0), of_mean),
                        d: layout.widen(row(4), of_d),
                    },
                    target: &mut target[range.start - start..range.end - start],
                    accumulate,
                    is_streamed: false,
                });
            }
        });
    }
}

/// Writes Σ(x − origin) and Σ(x − origin)² of the columns of a block's wide rows.
fn sum_about(
    cpu: &Cpu,
    layout: RowLayout,
    block: &[f32],
    origin: &[f32],
    [sum, square]: [&mut [f32]; 2],
) {
    let mut wide = WIDE_ROW;
    cpu.dispatch(StatisticSums {
        input: block,
        origin: layout.widen(origin, &mut wide),
        sum,
        square,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    const EPSILON: f64 = 1e-3;

    /// Group norm in f64.
    fn formula(groups: Groups, input: &[f64], scale: &[f64], shift: &[f64]) -> Vec<f64> {
        let mut output = input.to_vec();
        let of_group = groups.channels / groups.count;
        for sample in output.chunks_mut(groups.pixels * groups.channels) {
            for first in (0..groups.channels).step_by(of_group) {
                let is_own =
                    |place: usize| (first..first + of_group).contains(&(place % groups.channels));
                let own: Vec<usize> = (0..sample.len()).filter(|place| is_own(*place)).collect();
                let count = own.len() as f64;
                let mean = own.iter().map(|place| sample[*place]).sum::<f64>() / count;
                let squares = own.iter().map(|place| (sample[*place] - mean).powi(2));
                let deviation = (squares.sum::<f64>() / count + EPSILON).sqrt();
                for place in own {
                    let c = place % groups.channels;
                    sample[place] = scale[c] * (sample[place] - mean) / deviation + shift[c];
                }
            }
        }
        output
    }

    fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|value| *value as f32).collect()
    }

    /// Values that f32 has exactly.
    fn wave(count: usize, step: f64) -> Vec<f64> {
        let value = |i: usize| f64::from((i as f64 * step).sin() as f32);
        (0..count).map(value).collect()
    }

    /// One channel and many, one group and many, samples of less than a block and of several blocks, the last of which ends early.
    const CASES: [[usize; 4]; 8] = [
        [1, 2, 1, 1],
        [3, 5, 6, 3],
        [2, 1, 12, 4],
        [2, 49, 96, 1],
        [4, 9, 70, 70],
        [3, 700, 66, 33],
        [1, 40_000, 3, 3],
        [2, 20, 3000, 60],
    ];

    #[test]
    fn values_and_gradients_are_those_of_the_formula() {
        for set in InstructionSet::available() {
            for [samples, pixels, channels, count] in CASES {
                let groups = Groups {
                    samples,
                    pixels,
                    channels,
                    count,
                };
                let input = wave(samples * pixels * channels, 0.7371);
                let input: Vec<f64> = input.iter().map(|value| value + 3.0).collect();
                let [scale, shift] = [0.31, 0.17].map(|step| wave(channels, step));
                let gradient = wave(input.len(), 1.13);
                let [input32, scale32, shift32, gradient32] =
                    [&input, &scale, &shift, &gradient].map(|values| single(values));
                let norm = GroupNorm {
                    groups,
                    epsilon: EPSILON as f32,
                    scale: &scale32,
                    shift: &shift32,
                };
                let maps = [&input32[..], &gradient32];
                let mut scratch = vec![f32::NAN; groups.scratch_len()];
                let mut first = None;
                for threads in 1..4 {
                    let cpu = Cpu::new(set, threads);
                    let [mut output, mut of_input] = [(); 2].map(|()| vec![0.0; input.len()]);
                    let [mut of_scale, mut of_shift] = [(); 2].map(|()| vec![0.0; channels]);
                    norm.forward(&cpu, &input32, &mut scratch, &mut output);
                    norm.gradient_sums(&cpu, &input32, &gradient32, &mut scratch);
                    groups.input_gradient(&cpu, maps, &mut scratch, &mut of_input, false);
                    groups.weight_gradients(&mut scratch, &mut of_scale, &mut of_shift);
                    let all = [output, of_input, of_scale, of_shift];
                    assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "bits");
                }
                let [output, mut of_input, of_scale, of_shift] = first.unwrap();
                let expected = formula(groups, &input, &scale, &shift);
                for (output, expected) in output.iter().zip(expected) {
                    assert!((f64::from(*output) - expected).abs() < 1e-5);
                }
                let objective = |input: &[f64], scale: &[f64], shift: &[f64]| -> f64 {
                    let output = formula(groups, input, scale, shift);
                    output.iter().zip(&gradient).map(|(a, b)| a * b).sum()
                };
                let moved = |values: &[f64], place: usize, by: f64| {
                    let mut values = values.to_vec();
                    values[place] += by;
                    values
                };
                let step = 1e-5;
                let check = |own: f32, high: f64, low: f64| {
                    let expected = (high - low) / (2.0 * step);
                    let error = (f64::from(own) - expected).abs();
                    assert!(
                        error < 2e-4 * (1.0 + expected.abs()),
                        "{groups:?}: {own} {expected}"
                    );
                };
                for place in [0, input.len() / 2, input.len() - 1] {
                    let at = |by| objective(&moved(&input, place, by), &scale, &shift);
                    check(of_input[place], at(step), at(-step));
                }
                for channel in [0, channels - 1] {
                    let at = |by| objective(&input, &moved(&scale, channel, by), &shift);
                    check(of_scale[channel], at(step), at(-step));
                    let at = |by| objective(&input, &scale, &moved(&shift, channel, by));
                    check(of_shift[channel], at(step), at(-step));
                }
                let once = of_input.clone();
                groups.input_gradient(&Cpu::new(set, 2), maps, &mut scratch, &mut of_input, true);
                let mut pairs = of_input.iter().zip(&once);
                assert!(pairs.all(|(twice, once)| *twice == 2.0 * once));
            }
        }
    }

    #[test]
    fn large_values_that_are_alike_are_normalised_exactly() {
        let groups = Groups {
            samples: 1,
            pixels: 9000,
            channels: 8,
            count: 2,
        };
        // The first pixel lies far from the others.
        let mut input: Vec<f32> = (0..72_000)
            .map(|i| 4096.0 + (i % 2) as f32 / 64.0)
            .collect();
        input[..8].fill(0.0);
        let ones = [1.0; 8];
        let norm = GroupNorm {
            groups,
            epsilon: 1e-12,
            scale: &ones,
            shift: &[0.0; 8],
        };
        let mut scratch = vec![0.0; groups.scratch_len()];
        let mut output = vec![0.0; input.len()];
        norm.forward(&Cpu::best(2), &input, &mut scratch, &mut output);
        let [first, rest] = [output[0], output[72_000 - 1]].map(f64::from);
        let count = 9000.0_f64;
        assert!((first + (count - 1.0).sqrt()).abs() < 0.01, "{first}");
        // The others differ by 2 · 1/128 among themselves, with a deviation of 43.
        assert!((rest - 1.0 / (count - 1.0).sqrt()).abs() < 5e-4, "{rest}");
        input[..8].copy_from_slice(&[4096.0, 4096.0 + 1.0 / 64.0].repeat(4));
        norm.forward(&Cpu::best(2), &input, &mut scratch, &mut output);
        for (i, value) in output.iter().enumerate() {
            let expected = (2 * (i % 2)) as f32 - 1.0;
            assert!((value - expected).abs() < 0.05, "{value}");
        }
    }

    #[test]
    #[should_panic(expected = "groups have equal sizes")]
    fn groups_have_equal_sizes() {
        let groups = Groups {
            samples: 1,
            pixels: 4,
            channels: 6,
            count: 4,
        };
        groups.scratch_len();
    }
}
