//! Which source pixel each tap of each target pixel reads, for maps of so few pixels that classes of pixels with the same taps would be
//! tiles of one or two: too few sums for the processor to add at once. Taps beyond the border read zeros instead
//! (the indirect convolution of Dukhan, <https://arxiv.org/abs/1907.02129>).
use crate::Cpu;
use crate::conv::classes::Classes;

/// What a tap beyond the border reads; no more channels than these are read indirectly.
static ZEROS: [f32; 4096] = [0.0; 4096];
/// Target pixels at most.
const MOST_PIXELS: usize = 64;
/// Cycles that each addition to a sum waits for the one before: what a tile takes for a term at least.
const LATENCY: usize = 4;

/// A table of source pixels.
#[derive(Debug)]
pub(super) struct Indirect {
    taps: usize,
    /// `[target pixel][tap in the order of the packed weights]`
    sources: Vec<Option<u32>>,
}

impl Indirect {
    /// The table for `images` maps, where it is faster than classes.
    pub(super) fn new(
        cpu: &Cpu,
        [rows, columns]: [&Classes; 2],
        images: usize,
        terms: usize,
    ) -> Option<Self> {
        let pixels = images * rows.target * columns.target;
        let taps = rows.order.len() * columns.order.len();
        let tile = cpu.registers() * 3 / 8;
        let mut by_class = 0;
        for row in &rows.list {
            for column in &columns.list {
                let pixels = images * row.count * column.count;
                by_class += row.taps.len() * column.taps.len() * cycles(pixels, tile);
            }
        }
        let is_faster = 5 * taps * cycles(pixels, tile) < 4 * by_class;
        if pixels > MOST_PIXELS || terms > ZEROS.len() || !is_faster {
            return None;
        }
        let [row_reads, column_reads] = [rows, columns].map(Classes::reads_of_each);
        let mut sources = Vec::with_capacity(pixels * taps);
        for image in 0..images {
            for row in &row_reads {
                for column in &column_reads {
                    for row in row {
                        for column in column {
                            sources.push(row.zip(*column).map(|(row, column)| {
                                ((image * rows.source + row) * columns.source + column) as u32
                            }));
                        }
                    }
                }
            }
        }
        Some(Self { taps, sources })
    }

    /// Where each of the target pixels reads its `tap`, in a source that begins at `source`, with `channels` numbers for a pixel.
    #[inline(always)]
    pub(super) fn pointers<const P: usize>(
        &self,
        source: *const f32,
        channels: usize,
        pixels: &[usize; P],
        tap: usize,
    ) -> [*const f32; P] {
        pixels.map(|pixel| match self.sources[pixel * self.taps + tap] {
            Some(at) => source.wrapping_add(at as usize * channels),
            None => ZEROS.as_ptr(),
        })
    }

    pub(super) fn taps(&self) -> usize {
        self.taps
    }
}

/// Cycles that so many pixels take for each term, in units of two vectors.
fn cycles(pixels: usize, tile: usize) -> usize {
    let rest = match pixels % tile {
        0 => 0,
        rest if rest <= LATENCY => LATENCY,
        rest => rest.next_multiple_of(2),
    };
    pixels / tile * tile + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table for square maps under 3×3 filters with a border of one.
    fn table(cpu: &Cpu, side: usize, images: usize, terms: usize) -> Option<Indirect> {
        let axis = Classes::forward([side, side], 3, 1, 1, 1);
        Indirect::new(cpu, [&axis, &axis], images, terms)
    }

    #[test]
    fn small_maps_alone_are_read_by_a_table() {
        let cpu = Cpu::best(1);
        for side in 2..=4 {
            assert!(table(&cpu, side, 1, 512).is_some(), "{side}");
        }
        assert!(table(&cpu, 4, 64, 512).is_none(), "many images fill tiles");
        assert!(table(&cpu, 16, 1, 64).is_none(), "most pixels read all");
        assert!(table(&cpu, 4, 1, 5000).is_none(), "zeros are short");
    }

    #[test]
    fn a_table_names_what_taps_read_and_zeros_beyond_the_border() {
        let table = table(&Cpu::best(1), 4, 1, 3).expect("small maps");
        let source = [0f32; 4 * 4 * 3];
        let first = source.as_ptr();
        let reads = |pixel: usize, tap: usize| {
            let [pointer] = table.pointers(first, 3, &[pixel], tap);
            (pointer != ZEROS.as_ptr()).then(|| (pointer.addr() - first.addr()) / 12)
        };
        // Pixel (1, 3): the taps to the right lie beyond the border.
        let expected = [
            [Some(2), Some(3), None],
            [Some(6), Some(7), None],
            [Some(10), Some(11), None],
        ];
        let tap = |row: usize, column: usize| reads(7, 3 * row + column);
        assert_eq!(
            [0, 1, 2].map(|row| [0, 1, 2].map(|c| tap(row, c))),
            expected
        );
    }
}
