//! Runs of pixels that read alike, which the depthwise passes share.
use crate::conv::classes::Classes;
use crate::stream::prefetch_far;

/// Taps of a kernel at most: their places are on the stack.
pub(super) const MOST_TAPS: usize = 64;
/// Pixels of a tile: so many independent sums hide the latency of a multiply-add.
pub(super) const TILE: usize = 8;
/// Channels that are computed at a time: the weights of nine taps and the rows of a tile stay in L1.
const BLOCK: usize = 256;

/// A tap of a kernel's row or column that reads something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Index of its weight in the packed row or column of the kernel.
    pub(super) tap: usize,
    /// The row or column of the source that the tap reads.
    pub(super) source: usize,
}

/// For each coordinate of the target, the taps that read something. `is_turned` says that the weights are packed from the last tap to the
/// first.
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

/// Whether the coordinate `at + 1` of the target has the same taps as `at`, each reading `step` rows or columns further.
pub(super) fn reads_alike(reads: &[Vec<Read>], step: usize, at: usize) -> bool {
    let further = |read: &Read| Read {
        source: read.source + step,
        ..*read
    };
    let next = reads.get(at + 1);
    next.is_some_and(|next| reads[at].iter().map(further).eq(next.iter().copied()))
}

/// Neighbouring target columns of one phase that have the same taps.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) start: usize,
    pub(super) count: usize,
    /// What the first of them reads. Each next one reads [`Classes::steps`]`.source` columns further.
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
    /// What the column behind the run would read, if each column reads `step` columns further than the one before.
    fn reads(&self, step: usize) -> impl Iterator<Item = Read> {
        let shift = self.count * step;
        self.reads.iter().map(move |read| Read {
            source: read.source + shift,
            ..*read
        })
    }
}

/// Calls `tile(first pixel, pixels)` for tiles of 8, 4 and 1 pixels that make up `count` pixels.
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

/// The blocks of `channels`: one, or several of equal size except for the last.
pub(super) fn blocks(channels: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let size = channels
        .div_ceil(channels.div_ceil(BLOCK))
        .next_multiple_of(16);
    (0..channels)
        .step_by(size)
        .map(move |start| start..(start + size).min(channels))
}

/// Where a tap of a run's first pixel reads, and where its weights lie.
#[derive(Clone, Copy)]
pub(super) struct TapPlace {
    /// Floats of the source before the pixel that it reads.
    pub(super) source: usize,
    /// Floats of the packed weights before its own.
    pub(super) weight: usize,
}

/// The taps of a run in a certain row.
pub(super) struct Taps {
    count: usize,
    /// How many of them read in one row.
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

    /// Prefetches for the target's next row, which reads `new_rows` rows of `row_len` floats further down: `floats` floats of each row that
    /// a tile at `source` will then read first. L2 has the time of a whole row to fetch them.
    #[inline(always)]
    pub(super) fn prefetch(
        &self,
        source: *const f32,
        floats: usize,
        new_rows: usize,
        row_len: usize,
    ) {
        let rows = self.places().chunks_exact(self.columns.max(1));
        for place in rows.rev().take(new_rows).filter_map(<[_]>::last) {
            prefetch_far(
                source.wrapping_add(place.source + new_rows * row_len),
                floats,
            );
        }
    }
}
