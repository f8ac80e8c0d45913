//! A table of the source pixel that each tap of each target pixel reads. Taps beyond the border read zeros (the indirect convolution of
//! Dukhan, <https://arxiv.org/abs/1907.02129>). It serves small maps: their classes of pixels with the same taps would be tiles of one or
//! two pixels, which give the processor too few independent sums.
use crate::conv::classes::Classes;
use crate::conv::correlation::Correlation;

/// Read by taps beyond the border. A group with more source channels has no table.
static ZEROS: [f32; 4096] = [0.0; 4096];
/// Target pixels of a table at most. Maps of more pixels fill tiles by classes.
const MOST_PIXELS: usize = 64;
/// Cycles that an addition to a sum waits for the one before. A tile takes at least as many for a term.
const LATENCY: usize = 4;

/// A table of source pixels.
#[derive(Debug)]
pub(in crate::conv) struct Indirect {
    taps: usize,
    /// `[target pixel][tap in the order of the packed weights]`
    sources: Vec<Option<u32>>,
}

impl Indirect {
    /// Whether the correlation can be computed by a table.
    pub(in crate::conv) fn supports(correlation: &Correlation) -> bool {
        let terms = correlation.channels().source / correlation.geometry().groups;
        correlation.target_pixels() <= MOST_PIXELS
            && u32::try_from(correlation.source_pixels()).is_ok()
            && terms <= ZEROS.len()
    }

    /// The table for `images` maps.
    pub(super) fn new(rows: &Classes, columns: &Classes, images: usize) -> Self {
        let pixels = images * rows.target * columns.target;
        let taps = rows.order.len() * columns.order.len();
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
        Self { taps, sources }
    }

    /// For each of the target pixels, where its `tap` reads in the source map, which begins at `source` and has `channels` channels.
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

/// Estimated cycles that all taps of a correlation take for a term, in units of two vectors.
#[derive(Clone, Copy, Debug)]
pub(in crate::conv) struct Cycles {
    pub(in crate::conv) by_table: usize,
    pub(in crate::conv) by_classes: usize,
}

impl Cycles {
    /// The estimate for tiles of `tile` pixels.
    pub(in crate::conv) fn new(correlation: &Correlation, tile: usize) -> Self {
        let [rows, columns] = correlation.axes();
        let images = correlation.geometry().batch;
        let pixels = images * rows.target * columns.target;
        let taps = rows.order.len() * columns.order.len();
        let mut by_classes = 0;
        for row in &rows.list {
            for column in &columns.list {
                let pixels = images * row.count * column.count;
                by_classes += row.taps.len() * column.taps.len() * of_tap(pixels, tile);
            }
        }
        Self {
            by_table: taps * of_tap(pixels, tile),
            by_classes,
        }
    }
}

/// Cycles of a tap that so many pixels read.
fn of_tap(pixels: usize, tile: usize) -> usize {
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
    use crate::Cpu;
    use crate::conv::{Algorithm, Fused, Geometry, Pass, Settings};

    /// Square maps under 3×3 filters with a border of one.
    fn geometry(side: usize, images: usize, terms: usize) -> Geometry {
        let settings = Settings {
            batch: images,
            input: [side, side, terms],
            output: [side, side, 1],
            kernel: [3; 2],
            stride: [1; 2],
            dilation: [1; 2],
            padding: [1; 2],
            groups: 1,
        };
        Geometry::new(settings).expect("a usual convolution")
    }

    #[test]
    fn small_maps_alone_are_read_by_a_table() {
        let cpu = Cpu::best(1);
        let is_chosen = |side: usize, images: usize, terms: usize| {
            let geometry = geometry(side, images, terms).with(|s| s.output[2] = 512);
            let algorithm =
                Algorithm::choose(&cpu, &geometry, Pass::Forward, Fused::default(), true);
            algorithm == Algorithm::Indirect
        };
        for side in 2..=4 {
            assert!(is_chosen(side, 1, 512), "{side}");
        }
        assert!(!is_chosen(4, 64, 512), "many images fill tiles");
        assert!(!is_chosen(16, 1, 64), "most pixels read all");
        assert!(!is_chosen(4, 1, 5000), "zeros are short");
    }

    #[test]
    fn a_table_names_what_taps_read_and_zeros_beyond_the_border() {
        let [rows, columns] = Correlation::new(geometry(4, 1, 3), Pass::Forward).axes();
        let table = Indirect::new(&rows, &columns, 1);
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
