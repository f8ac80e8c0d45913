//! Sums of maps, and channels copied from map to map.
use crate::Cpu;
use crate::activation::PIECE;

/// output = a + b
pub fn add(cpu: &Cpu, a: &[f32], b: &[f32], output: &mut [f32]) {
    assert!(a.len() == output.len() && b.len() == output.len());
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

/// Writes `from` to `to`, or adds it where `accumulate`.
pub fn copy(cpu: &Cpu, from: &[f32], to: &mut [f32], accumulate: bool) {
    assert_eq!(from.len(), to.len());
    cpu.parallel_chunks(to, PIECE, |i, to| {
        let from = &from[i * PIECE..][..to.len()];
        if !accumulate {
            return to.copy_from_slice(from);
        }
        cpu.vectorised(|| to.iter_mut().zip(from).for_each(|(to, from)| *to += from));
    });
}

/// Some of the channels of a map.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    /// Channels of the whole map.
    pub total: usize,
    /// The first one meant.
    pub offset: usize,
}

/// Copies `count` channels of each pixel of `from` to `to`, or adds them where `accumulate`.
pub fn copy_channels(
    cpu: &Cpu,
    (from, source): (&[f32], Channels),
    (to, target): (&mut [f32], Channels),
    count: usize,
    accumulate: bool,
) {
    assert_eq!(from.len() / source.total, to.len() / target.total);
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
