//! Adding maps, and copying channels from one map to another.
use crate::Cpu;
use crate::activation::PIECE;

/// Writes a + b to `output`.
///
/// # Panics
/// If the slices differ in length.
pub fn add(cpu: &Cpu, a: &[f32], b: &[f32], output: &mut [f32]) {
    assert_eq!([a.len(), b.len()], [output.len(); 2], "lengths of the maps");
    cpu.parallel_chunks(output, PIECE, |i, output| {
        let (a, b) = (
            &a[i * PIECE..][..output.len()],
            &b[i * PIECE..][..output.len()],
        );
        cpu.vectorised(|| {
            for ((output, a), b) in output.iter_mut().zip(a).zip(b) {
                *output = a + b;
            }
        });
    });
}

/// Writes `from` to `to`. `accumulate` adds it instead.
///
/// # Panics
/// If the slices differ in length.
pub fn copy(cpu: &Cpu, from: &[f32], to: &mut [f32], accumulate: bool) {
    assert_eq!(from.len(), to.len(), "lengths of the maps");
    cpu.parallel_chunks(to, PIECE, |i, to| {
        let from = &from[i * PIECE..][..to.len()];
        if !accumulate {
            return to.copy_from_slice(from);
        }
        cpu.vectorised(|| to.iter_mut().zip(from).for_each(|(to, from)| *to += from));
    });
}

/// Adds `factor` · `from` to `to`.
///
/// # Panics
/// If the slices differ in length.
pub fn add_scaled(cpu: &Cpu, factor: f32, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len(), "lengths of the maps");
    cpu.parallel_chunks(to, PIECE, |i, to| {
        let from = &from[i * PIECE..][..to.len()];
        cpu.vectorised(|| {
            for (to, from) in to.iter_mut().zip(from) {
                *to += factor * from;
            }
        });
    });
}

/// Writes `factor` · `from` to `to`.
///
/// # Panics
/// If the slices differ in length.
pub fn scale(cpu: &Cpu, factor: f32, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len(), "lengths of the maps");
    cpu.parallel_chunks(to, PIECE, |i, to| {
        let from = &from[i * PIECE..][..to.len()];
        cpu.vectorised(|| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = factor * from;
            }
        });
    });
}

/// Where some channels lie in a map.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// All channels of the map.
    pub total: usize,
    /// The first of those that are copied.
    pub offset: usize,
}

impl Channels {
    /// Pixels of `map`.
    ///
    /// # Panics
    /// If the map has no whole pixels, or if `count` channels from the offset on are not all among its channels.
    fn pixels(&self, map: &[f32], count: usize) -> usize {
        assert!(
            self.total > 0 && map.len().is_multiple_of(self.total),
            "a map has whole pixels"
        );
        assert!(
            self.offset
                .checked_add(count)
                .is_some_and(|end| end <= self.total),
            "{count} channels from channel {} on, of {}",
            self.offset,
            self.total
        );
        map.len() / self.total
    }
}

/// Copies `count` channels of each pixel of `from` to `to`. `accumulate` adds them instead.
///
/// # Panics
/// If a map has no whole pixels, if the maps differ in the number of pixels, or if a map has not all the channels.
pub fn copy_channels(
    cpu: &Cpu,
    (from, source): (&[f32], Channels),
    (to, target): (&mut [f32], Channels),
    count: usize,
    accumulate: bool,
) {
    let pixels = [source.pixels(from, count), target.pixels(to, count)];
    assert_eq!(pixels[0], pixels[1], "pixels of the maps");
    let pixels = PIECE.div_ceil(target.total);
    cpu.parallel_chunks(to, pixels * target.total, |i, to| {
        let from = from.chunks(source.total).skip(i * pixels);
        for (to, from) in to.chunks_mut(target.total).zip(from) {
            let (to, from) = (
                &mut to[target.offset..][..count],
                &from[source.offset..][..count],
            );
            if accumulate {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            } else {
                to.copy_from_slice(from);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    #[test]
    fn sums_and_copies_are_exact_on_all_instruction_sets() {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 3);
            for count in [1, 37, PIECE + 5] {
                let a: Vec<f32> = (0..count).map(|i| i as f32).collect();
                let b: Vec<f32> = (0..count).map(|i| 0.5 * i as f32).collect();
                let sums: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
                let mut output = vec![7.0; count];
                add(&cpu, &a, &b, &mut output);
                assert_eq!(output, sums);
                copy(&cpu, &a, &mut output, false);
                assert_eq!(output, a);
                copy(&cpu, &b, &mut output, true);
                assert_eq!(output, sums);
                // b is half of a.
                add_scaled(&cpu, -2.0, &b, &mut output);
                assert_eq!(output, b);
                scale(&cpu, 2.0, &b, &mut output);
                assert_eq!(output, a);
            }
        }
    }

    #[test]
    fn channels_go_to_their_place_and_come_back() {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 3);
            let pixels = PIECE / 8 + 3;
            let from: Vec<f32> = (0..pixels * 3).map(|i| i as f32).collect();
            let mut to = vec![-1.0; pixels * 8];
            let (narrow, wide) = (
                Channels {
                    total: 3,
                    offset: 0,
                },
                Channels {
                    total: 8,
                    offset: 4,
                },
            );
            copy_channels(&cpu, (&from, narrow), (&mut to, wide), 3, false);
            for (to, from) in to.chunks(8).zip(from.chunks(3)) {
                assert_eq!((&to[4..7], to[3], to[7]), (from, -1.0, -1.0));
            }
            let mut back = from.clone();
            copy_channels(&cpu, (&to, wide), (&mut back, narrow), 3, true);
            assert!(
                back.iter()
                    .zip(&from)
                    .all(|(back, from)| *back == 2.0 * from)
            );
        }
    }
}
