//! Pixels that read alike, taken together: what the depthwise passes share.
use crate::conv::classes::Classes;
use crate::stream::prefetch_far;

/// Taps of a kernel at most: their places lie on the stack.
pub(super) const MOST_TAPS: usize = 64;
/// Pixels of a tile: as many chains of multiply-adds hide their latency.
pub(super) const TILE: usize = 8;
/// Numbers of a pixel that are taken at once: nine taps' weights and the rows of a tile stay in L1.
const BLOCK: usize = 256;

/// A tap of a kernel's row or column that reads something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Where its weight is among those of the row or column.
    pub(super) tap: usize,
    /// The row or column of the source that it reads.
    pub(super) source: usize,
}

/// What each coordinate of the target reads. `is_turned` says that the weights are packed from the last tap to the first.
pub(super) fn reads(classes: &Classes, is_turned: bool) -> Vec<Vec<Read>> {
    let last = classes.order.len() - 1;
    let weight = |tap: usize| if is_turned { last - tap } else { tap };
    let of_target = |reads: Vec<Option<usize>>| {
        let reads = classes.order.iter().zip(reads);
        let reads = reads.filter_map(|(tap, source)| {
            let tap = weight(*tap);
            source.map(|source| Read { tap, source })
        });
        reads.collect()
    };
    classes.reads_of_each().into_iter().map(of_target).collect()
}

/// Whether target `at + 1` reads all that `at` does, `step` rows or columns further.
pub(super) fn reads_alike(reads: &[Vec<Read>], step: usize, at: usize) -> bool {
    let further = |read: &Read| Read {
        source: read.source + step,
        ..*read
    };
    let next = reads.get(at + 1);
    next.is_some_and(|next| reads[at].iter().map(further).eq(next.iter().copied()))
}

/// Target columns of one phase, each the next of its phase, that use the same taps.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) count: usize,
    /// What the first of them reads. The next one reads so many columns further as [`runs`] were told.
    reads: Vec<Read>,
}

/// All columns of the target as runs.
pub(super) fn runs(columns: &Classes, is_turned: bool) -> Vec<Run> {
    let reads = reads(columns, is_turned);
    let mut runs: Vec<Run> = Vec::new();
    for phase in 0..columns.steps.target {
        let mut first = true;
        for x in (phase..columns.target).step_by(columns.steps.target) {
            match runs.last_mut() {
                Some(run)
                    if !first && run.reads(columns.steps.source).eq(reads[x].iter().copied()) =>
                {
                    run.count += 1;
                }
                _ => runs.push(Run {
                    start: x,
                    count: 1,
                    reads: reads[x].clone(),
                }),
            }
            first = false;
        }
    }
    runs
}

impl Run {
    /// What the column behind the run would read, each column of the run reading `step` columns further than the last.
    fn reads(&self, step: usize) -> impl Iterator<Item = Read> {
        let shift = self.count * step;
        self.reads.iter().map(move |read| Read {
            source: read.source + shift,
            ..*read
        })
    }
}

/// Calls `tile(first pixel, pixels)` for tiles of 8, 4 and 1 pixels that make up `count`.
#[inline(always)]
pub(super) fn for_tiles(count: usize, mut tile: impl FnMut(usize, usize)) {
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
pub(super) fn blocks(channels: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let size = channels
        .div_ceil(channels.div_ceil(BLOCK))
        .next_multiple_of(16);
    (0..channels)
        .step_by(size)
        .map(move |start| start..(start + size).min(channels))
}

/// Where a tap reads and where its weights lie, for the first pixel of a run.
#[derive(Clone, Copy)]
pub(super) struct TapPlace {
    /// Floats of the source before it.
    pub(super) source: usize,
    /// Floats of the packed weights before it.
    pub(super) weight: usize,
}

/// The taps of a run in a certain row.
pub(super) struct Taps {
    count: usize,
    /// How many read in one row.
    columns: usize,
    places: [TapPlace; MOST_TAPS],
}

impl Taps {
    /// The taps of `run` in a row that reads `rows` of an image: `source` is the height, width and channels of an image of the source, and a
    /// row of the kernel has `row_taps` taps.
    #[inline(always)]
    pub(super) fn new(
        rows: &[Read],
        row_taps: usize,
        source: [usize; 3],
        image: usize,
        run: &Run,
    ) -> Self {
        let [height, width, channels] = source;
        let mut places = [TapPlace {
            source: 0,
            weight: 0,
        }; MOST_TAPS];
        let mut count = 0;
        for row in rows {
            for column in &run.reads {
                let pixel = (image * height + row.source) * width + column.source;
                places[count] = TapPlace {
                    source: pixel * channels,
                    weight: (row.tap * row_taps + column.tap) * channels,
                };
                count += 1;
            }
        }
        Self {
            count,
            columns: run.reads.len(),
            places,
        }
    }

    #[inline(always)]
    pub(super) fn places(&self) -> &[TapPlace] {
        &self.places[..self.count]
    }

    /// Asks for what a tile of `numbers` numbers at `source` will be the first to read `new_rows` rows of `row` numbers further down, where
    /// the target's next row reads: so far ahead, L2 has a whole row's time to fetch it.
    #[inline(always)]
    pub(super) fn prefetch(&self, source: *const f32, numbers: usize, new_rows: usize, row: usize) {
        let rows = self.places().chunks_exact(self.columns.max(1));
        for place in rows.rev().take(new_rows).filter_map(<[_]>::last) {
            prefetch_far(source.wrapping_add(place.source + new_rows * row), numbers);
        }
    }
}
