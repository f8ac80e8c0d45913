//! The four passes, on whole rows of the map that is written: each number of it is gathered once, along the channels.
use super::{Grid, Index};
use crate::simd::{Kernel, Simd};

/// Loads the first `lanes`; the plain load where that is all is faster.
#[inline(always)]
unsafe fn load<S: Simd>(simd: S, lanes: usize, from: *const f32) -> S::Vector {
    // SAFETY: the caller's promise.
    unsafe {
        if lanes == S::LANES {
            simd.load(from)
        } else {
            simd.load_first(lanes, from)
        }
    }
}

#[inline(always)]
unsafe fn store<S: Simd>(simd: S, lanes: usize, value: S::Vector, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        if lanes == S::LANES {
            simd.store(value, to);
        } else {
            simd.store_first(lanes, value, to);
        }
    }
}

/// Stores the places of winners, lanes of floats which hold them exactly, at the beginning of `index`. Writes whole vectors where there
/// is room: what lies behind the channels is written later.
#[inline(always)]
fn store_index<S: Simd>(simd: S, lanes: usize, place: S::Vector, index: &mut [Index]) {
    let mut places = [0.0_f32; 16];
    // SAFETY: no instruction set has more than 16 lanes; places are whole numbers below 2¹⁶.
    unsafe {
        simd.store(place, places.as_mut_ptr());
        if let Some(whole) = index.get_mut(..S::LANES) {
            for k in 0..S::LANES {
                whole[k] = places[k].to_int_unchecked::<i32>() as Index;
            }
        } else {
            for (index, place) in index[..lanes].iter_mut().zip(places) {
                *index = place.to_int_unchecked::<i32>() as Index;
            }
        }
    }
}

/// The first places of `index` as floats; a vector of them where there are so many.
#[inline(always)]
fn load_index<S: Simd>(simd: S, index: &[Index]) -> S::Vector {
    let mut places = [0.0_f32; 16];
    // A loop of its own for whole vectors: only then does the compiler know the count and convert all at once.
    if let Some(whole) = index.get(..S::LANES) {
        for k in 0..S::LANES {
            places[k] = f32::from(whole[k]);
        }
    } else {
        for (place, index) in places.iter_mut().zip(index) {
            *place = f32::from(*index);
        }
    }
    // SAFETY: no instruction set has more than 16 lanes.
    unsafe { simd.load(places.as_ptr()) }
}

/// `gradient` where `winner` is `place`, elsewhere 0. Both are whole numbers: equal where neither is above the other by a half.
#[inline(always)]
fn won<S: Simd>(simd: S, winner: S::Vector, place: usize, gradient: S::Vector) -> S::Vector {
    let (above, below) = (
        simd.splat(place as f32 + 0.5),
        simd.splat(place as f32 - 0.5),
    );
    let not_before = simd.select_greater(winner, below, gradient, simd.zero());
    simd.select_greater(above, winner, not_before, simd.zero())
}

/// The pixels under a window, `lanes` channels of each.
#[derive(Clone, Copy)]
struct Pixels {
    start: *const f32,
    lanes: usize,
    rows: usize,
    columns: usize,
    /// Numbers from row to row.
    row: usize,
    channels: usize,
}

impl Pixels {
    /// The lanes at one pixel.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, y: usize, x: usize) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            let from = self.start.add(y * self.row + x * self.channels);
            load(simd, self.lanes, from)
        }
    }
}

/// Calls `body(place in output, pixels, divisor)` for each vector of the rows of output that fill `length` numbers, beginning with row
/// `first` of the batch.
#[inline(always)]
fn for_windows<S: Simd>(
    _: S,
    grid: &Grid,
    first: usize,
    input: &[f32],
    length: usize,
    mut body: impl FnMut(usize, Pixels, f32),
) {
    let (row, channels, height) = (grid.input_row(), grid.channels, grid.y.windows.len());
    for (i, output_row) in (first..).zip((0..length).step_by(grid.output_row())) {
        let (n, y) = (i / height, i % height);
        let image = &input[n * grid.input_len()..][..grid.input_len()];
        let rows = &grid.y.windows[y];
        for (x, columns) in grid.x.windows.iter().enumerate() {
            let divisor = grid.y.divisors[y] * grid.x.divisors[x];
            let corner = rows.start * row + columns.start * channels;
            // An empty window (all padding) may begin behind the map; it reads nothing.
            let start = image.as_ptr().wrapping_add(corner);
            let at = output_row + x * channels;
            let pixels = |channel: usize, lanes: usize| Pixels {
                start: start.wrapping_add(channel),
                lanes,
                rows: rows.len(),
                columns: columns.len(),
                row,
                channels,
            };
            let whole = channels / S::LANES * S::LANES;
            for channel in (0..whole).step_by(S::LANES) {
                body(at + channel, pixels(channel, S::LANES), divisor);
            }
            if whole < channels {
                body(at + whole, pixels(whole, channels - whole), divisor);
            }
        }
    }
}

/// The larger of each pair; NaN where either is.
#[inline(always)]
fn larger<S: Simd>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
    simd.select_nan(a, a, simd.max(a, b))
}

#[inline(always)]
unsafe fn largest<S: Simd>(simd: S, pixels: Pixels) -> S::Vector {
    // SAFETY: the pixels are there.
    unsafe {
        if (pixels.rows, pixels.columns) == (2, 2) {
            let above = larger(simd, pixels.load(simd, 0, 0), pixels.load(simd, 0, 1));
            let below = larger(simd, pixels.load(simd, 1, 0), pixels.load(simd, 1, 1));
            return larger(simd, above, below);
        }
        let mut best = simd.splat(f32::NEG_INFINITY);
        for y in 0..pixels.rows {
            for x in 0..pixels.columns {
                best = larger(simd, best, pixels.load(simd, y, x));
            }
        }
        best
    }
}

/// The first of the largest and its place; the last NaN where there is one.
#[inline(always)]
unsafe fn first_largest<S: Simd>(simd: S, pixels: Pixels) -> (S::Vector, S::Vector) {
    let mut lead = (simd.splat(f32::NEG_INFINITY), simd.zero());
    // SAFETY: the pixels are there.
    unsafe {
        if (pixels.rows, pixels.columns) == (2, 2) {
            for place in 0..4 {
                lead = challenge(simd, lead, pixels.load(simd, place / 2, place % 2), place);
            }
            return lead;
        }
        for y in 0..pixels.rows {
            for x in 0..pixels.columns {
                let place = y * pixels.columns + x;
                lead = challenge(simd, lead, pixels.load(simd, y, x), place);
            }
        }
    }
    lead
}

/// The larger of (best, winner) and `value` at `place`; the value where it is NaN.
#[inline(always)]
fn challenge<S: Simd>(
    simd: S,
    (best, winner): (S::Vector, S::Vector),
    value: S::Vector,
    place: usize,
) -> (S::Vector, S::Vector) {
    let place = simd.splat(place as f32);
    let winner = simd.select_greater(value, best, place, winner);
    let winner = simd.select_nan(value, place, winner);
    (larger(simd, best, value), winner)
}

/// `output` holds whole rows, from row `first` of the whole batch on.
pub(super) struct Max<'a> {
    pub(super) grid: &'a Grid,
    pub(super) first: usize,
    pub(super) input: &'a [f32],
    pub(super) output: &'a mut [f32],
    pub(super) index: Option<&'a mut [Index]>,
}

impl Kernel for Max<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            grid,
            first,
            input,
            output,
            index,
        } = self;
        let (length, output) = (output.len(), output.as_mut_ptr());
        match index {
            Some(index) => for_windows(
                simd,
                grid,
                first,
                input,
                length,
                #[inline(always)]
                // SAFETY: `pixels` lie in the image, and as many lanes at `at` in output.
                |at, pixels, _| unsafe {
                    let (best, winner) = first_largest(simd, pixels);
                    store(simd, pixels.lanes, best, output.add(at));
                    store_index(simd, pixels.lanes, winner, &mut index[at..]);
                },
            ),
            None => for_windows(
                simd,
                grid,
                first,
                input,
                length,
                #[inline(always)]
                // SAFETY: as above.
                |at, pixels, _| unsafe {
                    store(simd, pixels.lanes, largest(simd, pixels), output.add(at));
                },
            ),
        }
    }
}

/// `output` holds whole rows, from row `first` of the whole batch on.
pub(super) struct Average<'a> {
    pub(super) grid: &'a Grid,
    pub(super) first: usize,
    pub(super) input: &'a [f32],
    pub(super) output: &'a mut [f32],
}

impl Kernel for Average<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (length, output) = (self.output.len(), self.output.as_mut_ptr());
        for_windows(
            simd,
            self.grid,
            self.first,
            self.input,
            length,
            #[inline(always)]
            |at, pixels, divisor| {
                let mut total = simd.zero();
                // Rows are summed by themselves: the means of large maps are more precise so.
                // SAFETY: `pixels` lie in the image, and as many lanes at `at` in output.
                unsafe {
                    for y in 0..pixels.rows {
                        let mut sum = simd.zero();
                        for x in 0..pixels.columns {
                            sum = simd.add(sum, pixels.load(simd, y, x));
                        }
                        total = simd.add(total, sum);
                    }
                    let mean = simd.div(total, simd.splat(divisor));
                    store(simd, pixels.lanes, mean, output.add(at));
                }
            },
        );
    }
}

/// Whose gradient goes where: each window's to its winner, or to all its pixels by the mean's divisor.
#[derive(Clone, Copy)]
pub(super) enum Share<'a> {
    Winner(&'a [Index]),
    Mean,
}

/// Backward where windows may overlap. `target` holds whole rows, from row `first` of the whole batch on; each pixel gathers from the
/// outputs that read it, in their order.
pub(super) struct Gather<'a> {
    pub(super) grid: &'a Grid,
    pub(super) first: usize,
    pub(super) share: Share<'a>,
    pub(super) gradient: &'a [f32],
    pub(super) target: &'a mut [f32],
    pub(super) accumulate: bool,
}

impl Kernel for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (grid, channels) = (self.grid, self.grid.channels);
        let height = grid.y.covering.len();
        if !self.accumulate {
            self.target.fill(0.0);
        }
        for (i, target_row) in (self.first..).zip(self.target.chunks_mut(grid.input_row())) {
            let (image, row) = (i / height * grid.output_len(), i % height);
            let columns = grid.x.covering.iter().enumerate();
            for ((column, readers), target) in columns.zip(target_row.chunks_mut(channels)) {
                for y in grid.y.covering[row].clone() {
                    for x in readers.clone() {
                        let from = image + y * grid.output_row() + x * channels;
                        let gradient = &self.gradient[from..][..channels];
                        match self.share {
                            Share::Winner(index) => {
                                let (rows, columns) = (&grid.y.windows[y], &grid.x.windows[x]);
                                let place =
                                    (row - rows.start) * columns.len() + column - columns.start;
                                add_won(simd, &index[from..], place, gradient, target);
                            }
                            Share::Mean => {
                                let share = grid.y.shares[y] * grid.x.shares[x];
                                add_scaled(simd, share, gradient, target);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Adds to `target`, the channels of a pixel, the gradients that it won.
#[inline(always)]
fn add_won<S: Simd>(simd: S, index: &[Index], place: usize, gradient: &[f32], target: &mut [f32]) {
    assert!(gradient.len() == target.len());
    for at in (0..target.len()).step_by(S::LANES) {
        let lanes = (target.len() - at).min(S::LANES);
        let winner = load_index(simd, &index[at..]);
        // SAFETY: as many lanes as both slices hold from `at` on.
        unsafe {
            let gradient = load(simd, lanes, gradient.as_ptr().add(at));
            let target = target.as_mut_ptr().add(at);
            let sum = simd.add(
                load(simd, lanes, target),
                won(simd, winner, place, gradient),
            );
            store(simd, lanes, sum, target);
        }
    }
}

/// Adds `share` · `gradient` to `target`.
#[inline(always)]
fn add_scaled<S: Simd>(simd: S, share: f32, gradient: &[f32], target: &mut [f32]) {
    assert!(gradient.len() == target.len());
    let share = simd.splat(share);
    for at in (0..target.len()).step_by(S::LANES) {
        let lanes = (target.len() - at).min(S::LANES);
        // SAFETY: as many lanes as both slices hold from `at` on.
        unsafe {
            let gradient = load(simd, lanes, gradient.as_ptr().add(at));
            let target = target.as_mut_ptr().add(at);
            let sum = simd.mul_add(gradient, share, load(simd, lanes, target));
            store(simd, lanes, sum, target);
        }
    }
}

/// Backward where no windows overlap: each output is read once and writes its own pixels. `target` holds the rows that belong to `rows`
/// rows of output, from row `first` of the whole batch on.
pub(super) struct Spread<'a> {
    pub(super) grid: &'a Grid,
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) share: Share<'a>,
    pub(super) gradient: &'a [f32],
    pub(super) target: &'a mut [f32],
    pub(super) accumulate: bool,
}

impl Kernel for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (grid, channels) = (self.grid, self.grid.channels);
        let (height, input_row) = (grid.y.windows.len(), grid.input_row());
        let begin = grid.first_row_of(self.first);
        let mut own = 0..0;
        for i in self.first..self.first + self.rows {
            own = own.end..(grid.first_row_of(i + 1) - begin) * input_row;
            let rows = &grid.y.windows[i % height];
            let is_tiled = grid.x.is_tiled && own.len() == rows.len() * input_row;
            if !self.accumulate && !is_tiled {
                self.target[own.clone()].fill(0.0);
            }
            let top = grid.top_row_of(i) - begin;
            for (x, columns) in grid.x.windows.iter().enumerate() {
                let corner = top * input_row + columns.start * channels;
                let from = i * grid.output_row() + x * channels;
                let share = simd.splat(grid.y.shares[i % height] * grid.x.shares[x]);
                for channel in (0..channels).step_by(S::LANES) {
                    let lanes = (channels - channel).min(S::LANES);
                    let gradient = &self.gradient[from + channel..][..lanes];
                    // SAFETY: as many lanes as the slice holds.
                    let gradient = unsafe { load(simd, lanes, gradient.as_ptr()) };
                    let (winner, part) = match self.share {
                        Share::Winner(index) => {
                            (load_index(simd, &index[from + channel..]), gradient)
                        }
                        Share::Mean => (simd.zero(), simd.mul(gradient, share)),
                    };
                    let part = Part {
                        simd,
                        winner: matches!(self.share, Share::Winner(_)).then_some(winner),
                        gradient: part,
                        lanes,
                        accumulate: self.accumulate,
                    };
                    let size = [rows.len(), columns.len()];
                    let strides = [input_row, channels];
                    if size.contains(&0) {
                        continue;
                    }
                    let last = (size[0] - 1) * input_row + (size[1] - 1) * channels;
                    let target = &mut self.target[corner + channel..][..last + lanes];
                    // SAFETY: the slice ends with the window's last pixel, the others lie before it.
                    unsafe {
                        match size {
                            [2, 2] => part.spread([2, 2], strides, target.as_mut_ptr()),
                            _ => part.spread(size, strides, target.as_mut_ptr()),
                        }
                    }
                }
            }
        }
    }
}

/// What a window hands to its pixels: `lanes` channels.
struct Part<S: Simd> {
    simd: S,
    /// Where only the winner gets the gradient, its place.
    winner: Option<S::Vector>,
    gradient: S::Vector,
    lanes: usize,
    accumulate: bool,
}

impl<S: Simd> Part<S> {
    /// Writes or adds it to the pixels of a window of `size` at `target`.
    ///
    /// # Safety
    /// They lie behind `target`.
    #[inline(always)]
    unsafe fn spread(&self, size: [usize; 2], strides: [usize; 2], target: *mut f32) {
        let simd = self.simd;
        for y in 0..size[0] {
            for x in 0..size[1] {
                let mut part = match self.winner {
                    Some(winner) => won(simd, winner, y * size[1] + x, self.gradient),
                    None => self.gradient,
                };
                // SAFETY: the caller's promise.
                unsafe {
                    let target = target.add(y * strides[0] + x * strides[1]);
                    if self.accumulate {
                        part = simd.add(part, load(simd, self.lanes, target));
                    }
                    store(simd, self.lanes, part, target);
                }
            }
        }
    }
}
