//! Pixels that read alike, taken together: what the depthwise passes share.
use crate::conv::axis::Axis;
use crate::stream::prefetch_far;

/// Taps of a kernel at most: their places lie on the stack.
pub(in crate::conv) const MOST_TAPS: usize = 64;
/// Pixels of a tile: as many chains of multiply-adds hide their latency.
pub(in crate::conv) const TILE: usize = 8;
/// Numbers of a pixel that are taken at once: nine taps' weights and the rows of a tile stay in L1.
const BLOCK: usize = 256;

/// Target columns of one phase, each the next of its phase, that use the same taps.
#[derive(Debug)]
pub(in crate::conv) struct Run {
    pub(in crate::conv) start: usize,
    pub(in crate::conv) count: usize,
    /// The taps that read something, and the source column that each reads for the first target column. For the next one, it reads
    /// `step` columns further.
    taps: Vec<[usize; 2]>,
}

/// All columns of `axis`, of whose `taps` taps each reads `step` columns further from target column to target column of a phase.
pub(in crate::conv) fn runs(axis: &Axis, taps: usize, step: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for phase in 0..axis.phases {
        let mut first = true;
        for x in (phase..axis.target).step_by(axis.phases) {
            let taps: Vec<[usize; 2]> = (0..taps)
                .filter_map(|tap| {
                    let position = usize::try_from(axis.position(x, tap)).ok()?;
                    Some([tap, position])
                })
                .collect();
            match runs.last_mut() {
                Some(run) if !first && run.reads(run.count * step).eq(taps.iter().copied()) => {
                    run.count += 1;
                }
                _ => runs.push(Run {
                    start: x,
                    count: 1,
                    taps,
                }),
            }
            first = false;
        }
    }
    runs
}

impl Run {
    /// Its taps and what they read `shift` columns further.
    fn reads(&self, shift: usize) -> impl Iterator<Item = [usize; 2]> {
        self.taps.iter().map(move |[tap, x]| [*tap, x + shift])
    }
}

/// Calls `tile(first pixel, pixels)` for tiles of 8, 4 and 1 pixels that make up `count`.
#[inline(always)]
pub(in crate::conv) fn for_tiles(count: usize, mut tile: impl FnMut(usize, usize)) {
    let mut pixel = 0;
    while pixel < count {
        let pixels = match count - pixel {
            TILE.. => TILE,
            4.. => 4,
            _ => 1,
        };
        tile(pixel, pixels);
        pixel += pixels;
    }
}

/// The blocks of `channels`: one or several of equal size, but for the last.
pub(in crate::conv) fn blocks(channels: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let size = channels
        .div_ceil(channels.div_ceil(BLOCK))
        .next_multiple_of(16);
    (0..channels)
        .step_by(size)
        .map(move |start| start..(start + size).min(channels))
}

/// The taps of a run in a certain row, each with the place of its number in the source (of the first pixel) and in the weights.
pub(in crate::conv) struct Taps {
    count: usize,
    /// How many read in one row.
    columns: usize,
    places: [[usize; 2]; MOST_TAPS],
}

impl Taps {
    /// Those of `run` in row `y` of the target of an image: `source` is the height, width and channels of an image of the source.
    #[inline(always)]
    pub(in crate::conv) fn new(
        rows: &Axis,
        taps: [usize; 2],
        source: [usize; 3],
        [image, y]: [usize; 2],
        run: &Run,
    ) -> Self {
        let [height, width, channels] = source;
        let mut places = [[0; 2]; MOST_TAPS];
        let mut count = 0;
        for tap_y in 0..taps[0] {
            let Ok(source_y) = usize::try_from(rows.position(y, tap_y)) else {
                continue;
            };
            for [tap_x, x] in &run.taps {
                places[count] = [
                    ((image * height + source_y) * width + x) * channels,
                    (tap_y * taps[1] + tap_x) * channels,
                ];
                count += 1;
            }
        }
        Self {
            count,
            columns: run.taps.len(),
            places,
        }
    }

    #[inline(always)]
    pub(in crate::conv) fn places(&self) -> &[[usize; 2]] {
        &self.places[..self.count]
    }

    /// Asks for what a tile of `numbers` numbers at `source` will be the first to read `new_rows` rows of `row` numbers further down, where
    /// the target's next row reads: so far ahead, L2 has a whole row's time to fetch it.
    #[inline(always)]
    pub(in crate::conv) fn prefetch(
        &self,
        source: *const f32,
        numbers: usize,
        new_rows: usize,
        row: usize,
    ) {
        let rows = self.places().chunks_exact(self.columns.max(1));
        for [place, _] in rows.rev().take(new_rows).filter_map(<[_]>::last) {
            prefetch_far(source.wrapping_add(place + new_rows * row), numbers);
        }
    }
}
