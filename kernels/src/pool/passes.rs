//! The four passes of pooling. Each task writes whole rows of its map, each value once, with the channels as lanes.
use super::{Index, Pooling};
use crate::map::{Input, challenge, larger};
use crate::simd::{Kernel, Simd, load, store};

/// Writes `place`, whole numbers below 2¹⁶ as floats, to the first `lanes` elements of `index`. Writes a whole vector where `index`
/// is long enough: the elements behind `lanes` belong to pixels that are written later.
#[inline(always)]
fn store_index<S: Simd>(simd: S, lanes: usize, place: S::Vector, index: &mut [Index]) {
    let mut places = [0.0_f32; 16];
    // SAFETY: `places` holds a vector, because no instruction set of this crate has more than 16 lanes. `max_forward` checked that a
    // window has at most 2¹⁶ places, so each place converts exactly.
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

/// The first `lanes` elements of `index` as floats.
///
/// # Safety
/// `index` is valid for reads of `lanes` elements, at most a vector.
#[inline(always)]
unsafe fn load_index<S: Simd>(simd: S, lanes: usize, index: *const Index) -> S::Vector {
    let mut places = [0.0_f32; 16];
    // SAFETY: this function's contract covers the reads. `places` holds a vector, because no instruction set of this crate has more
    // than 16 lanes.
    unsafe {
        // Whole vectors have a loop of their own: only with a constant count does the compiler convert all lanes at once.
        if lanes == S::LANES {
            for (k, place) in places[..S::LANES].iter_mut().enumerate() {
                *place = f32::from(index.add(k).read());
            }
        } else {
            for (k, place) in places[..lanes].iter_mut().enumerate() {
                *place = f32::from(index.add(k).read());
            }
        }
        simd.load(places.as_ptr())
    }
}

/// `gradient` in the lanes whose winner is `place`, 0 in the others.
#[inline(always)]
fn won<S: Simd>(simd: S, winner: S::Vector, place: usize, gradient: S::Vector) -> S::Vector {
    simd.select_equal(winner, simd.splat(place as f32), gradient, simd.zero())
}

/// The pixels under a window, `lanes` channels of each. [`for_windows`] alone makes it: all `rows` × `columns` pixels lie within the
/// image that it has borrowed.
#[derive(Clone, Copy)]
struct WindowPixels {
    /// The first channel of the first pixel.
    start: *const f32,
    /// The number of that channel.
    channel: usize,
    lanes: usize,
    rows: usize,
    columns: usize,
    /// Values from row to row.
    row: usize,
    /// Values from column to column.
    channels: usize,
}

impl WindowPixels {
    /// The lanes at one pixel.
    ///
    /// # Safety
    /// `y < rows`, `x < columns`, and the image is still borrowed.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, y: usize, x: usize) -> S::Vector {
        // SAFETY: this function's contract and that of the type: `lanes` channels of this pixel lie within the image.
        unsafe {
            let from = self.start.add(y * self.row + x * self.channels);
            load(simd, self.lanes, from)
        }
    }
}

/// Calls `body(place, pixels, divisor)` for each vector of some whole output rows: those from row `first` of the batch on that have
/// `length` values together. `place` is the place of the vector in these values; its `pixels.lanes` lanes lie below `length`.
#[inline(always)]
fn for_windows<S: Simd>(
    _: S,
    pooling: &Pooling,
    first: usize,
    input: &[f32],
    length: usize,
    mut body: impl FnMut(usize, WindowPixels, f32),
) {
    let (row, channels, height) = (
        pooling.input_row(),
        pooling.channels,
        pooling.y.windows.len(),
    );
    assert!(length.is_multiple_of(pooling.output_row()), "whole rows");
    for (i, output_row) in (first..).zip((0..length).step_by(pooling.output_row())) {
        let (n, y) = (i / height, i % height);
        let image = &input[n * pooling.input_len()..][..pooling.input_len()];
        let rows = &pooling.y.windows[y];
        for (x, columns) in pooling.x.windows.iter().enumerate() {
            let divisor = pooling.y.divisors[y] * pooling.x.divisors[x];
            let corner = rows.start * row + columns.start * channels;
            let start = image.as_ptr().wrapping_add(corner);
            let at = output_row + x * channels;
            let pixels = |channel: usize, lanes: usize| WindowPixels {
                start: start.wrapping_add(channel),
                channel,
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

/// The largest of `made(pixel)`.
///
/// # Safety
/// The image of `pixels` is still borrowed.
#[inline(always)]
unsafe fn largest<S: Simd>(
    simd: S,
    pixels: WindowPixels,
    made: impl Fn(S::Vector) -> S::Vector,
) -> S::Vector {
    // SAFETY: the loops stay below `rows` and `columns`; the image is borrowed by this function's contract.
    unsafe {
        if (pixels.rows, pixels.columns) == (2, 2) {
            let [a, b] = [0, 1].map(
                #[inline(always)]
                |x| made(pixels.load(simd, 0, x)),
            );
            let [c, d] = [0, 1].map(
                #[inline(always)]
                |x| made(pixels.load(simd, 1, x)),
            );
            return larger(simd, larger(simd, a, b), larger(simd, c, d));
        }
        let mut best = simd.splat(f32::NEG_INFINITY);
        for y in 0..pixels.rows {
            for x in 0..pixels.columns {
                best = larger(simd, best, made(pixels.load(simd, y, x)));
            }
        }
        best
    }
}

/// The largest of `made(pixel)` and its place: the first of equal values, the last NaN if there is one.
///
/// # Safety
/// The image of `pixels` is still borrowed.
#[inline(always)]
unsafe fn first_largest<S: Simd>(
    simd: S,
    pixels: WindowPixels,
    made: impl Fn(S::Vector) -> S::Vector,
) -> (S::Vector, S::Vector) {
    let mut lead = (simd.splat(f32::NEG_INFINITY), simd.zero());
    // SAFETY: the loops stay below `rows` and `columns`; the image is borrowed by this function's contract.
    unsafe {
        if (pixels.rows, pixels.columns) == (2, 2) {
            for place in 0..4 {
                let value = made(pixels.load(simd, place / 2, place % 2));
                lead = challenge(simd, lead, value, place);
            }
            return lead;
        }
        for y in 0..pixels.rows {
            for x in 0..pixels.columns {
                let place = y * pixels.columns + x;
                lead = challenge(simd, lead, made(pixels.load(simd, y, x)), place);
            }
        }
    }
    lead
}

/// Max pooling of some output rows.
pub(super) struct MaxForward<'a> {
    pub(super) pooling: &'a Pooling,
    /// The first output row, counted through the batch.
    pub(super) first: usize,
    /// The whole batch.
    pub(super) input: Input<'a>,
    /// Whole rows.
    pub(super) output: &'a mut [f32],
    /// As long as `output`.
    pub(super) index: Option<&'a mut [Index]>,
}

impl Kernel for MaxForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.input.normalised {
            None => self.of(
                simd,
                #[inline(always)]
                |_, x| x,
            ),
            Some(by) => self.of(
                simd,
                #[inline(always)]
                // SAFETY: the channels of `pixels` are below those of the pooling, for which `max_forward` checked `by`.
                |pixels: &WindowPixels, x| unsafe {
                    by.of(simd, pixels.channel, pixels.lanes).apply(simd, x)
                },
            ),
        }
    }
}

impl MaxForward<'_> {
    /// Pools `made(pixel)`.
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, made: impl Fn(&WindowPixels, S::Vector) -> S::Vector) {
        let Self {
            pooling,
            first,
            input,
            output,
            index,
        } = self;
        let (length, output) = (output.len(), output.as_mut_ptr());
        match index {
            Some(index) => for_windows(
                simd,
                pooling,
                first,
                input.map,
                length,
                #[inline(always)]
                // SAFETY: `input.map` is borrowed during the call, and `for_windows` keeps `at` and the lanes below `length`.
                |at, pixels, _| unsafe {
                    let (best, winner) = first_largest(
                        simd,
                        pixels,
                        #[inline(always)]
                        |x| made(&pixels, x),
                    );
                    store(simd, pixels.lanes, best, output.add(at));
                    store_index(simd, pixels.lanes, winner, &mut index[at..]);
                },
            ),
            None => for_windows(
                simd,
                pooling,
                first,
                input.map,
                length,
                #[inline(always)]
                // SAFETY: `input.map` is borrowed during the call, and `for_windows` keeps `at` and the lanes below `length`.
                |at, pixels, _| unsafe {
                    let best = largest(
                        simd,
                        pixels,
                        #[inline(always)]
                        |x| made(&pixels, x),
                    );
                    store(simd, pixels.lanes, best, output.add(at));
                },
            ),
        }
    }
}

/// Average pooling of some output rows.
pub(super) struct AverageForward<'a> {
    pub(super) pooling: &'a Pooling,
    /// The first output row, counted through the batch.
    pub(super) first: usize,
    /// The whole batch.
    pub(super) input: &'a [f32],
    /// Whole rows.
    pub(super) output: &'a mut [f32],
}

impl Kernel for AverageForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (length, output) = (self.output.len(), self.output.as_mut_ptr());
        for_windows(
            simd,
            self.pooling,
            self.first,
            self.input,
            length,
            #[inline(always)]
            |at, pixels, divisor| {
                let mut total = simd.zero();
                // Each row has a sum of its own, which makes the means of large maps more precise.
                // SAFETY: `input` is borrowed during the call, the loops stay below `rows` and `columns`, and `for_windows` keeps
                // `at` and the lanes below `length`.
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

/// How a window divides its gradient among its pixels.
#[derive(Clone, Copy)]
pub(super) enum Share<'a> {
    /// All of it goes to the pixel at this place.
    Winner(&'a [Index]),
    /// Each pixel gets gradient / divisor.
    Mean,
}

/// Backward for some input rows where windows may overlap. Each pixel gathers from the outputs that read it, in their order.
pub(super) struct GatherBackward<'a> {
    pub(super) pooling: &'a Pooling,
    /// The first input row, counted through the batch.
    pub(super) first: usize,
    pub(super) share: Share<'a>,
    /// The gradient of the output, of the whole batch.
    pub(super) gradient: &'a [f32],
    /// Whole rows of the gradient of the input.
    pub(super) target: &'a mut [f32],
    pub(super) accumulate: bool,
    /// Whether the target is written past the caches; only where [`is_streamed`](crate::stream::is_streamed) said so.
    pub(super) is_streamed: bool,
}

impl Kernel for GatherBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (pooling, channels) = (self.pooling, self.pooling.channels);
        let (height, width) = (pooling.y.covering.len(), pooling.x.covering.len());
        let rows = self.target.len() / pooling.input_row();
        let images = (self.first + rows).div_ceil(height);
        assert!(self.gradient.len() >= images * pooling.output_len());
        if let Share::Winner(index) = self.share {
            assert!(index.len() >= images * pooling.output_len());
        }
        let mut target = self.target.as_mut_ptr();
        for i in self.first..self.first + rows {
            let image = i / height * pooling.output_len();
            for column in 0..width {
                let row = i % height;
                let place = Place { row, column };
                let mut channel = 0;
                // SAFETY: the target holds `width` pixels for each of the `rows`. The assertions above say that `gradient` and `index`
                // have a value for each window of these images. `is_streamed` said that each vector is whole and aligned.
                unsafe {
                    while channel + 4 * S::LANES <= channels {
                        self.gather::<S, 4>(
                            simd,
                            image + channel,
                            place,
                            S::LANES,
                            target.add(channel),
                        );
                        channel += 4 * S::LANES;
                    }
                    while channel < channels {
                        let lanes = (channels - channel).min(S::LANES);
                        self.gather::<S, 1>(
                            simd,
                            image + channel,
                            place,
                            lanes,
                            target.add(channel),
                        );
                        channel += lanes;
                    }
                    target = target.add(channels);
                }
            }
        }
    }
}

/// A pixel of an image.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
}

impl GatherBackward<'_> {
    /// Writes V vectors of one pixel to `target`. A single vector may have fewer than all lanes. `first` is the place of the vectors'
    /// first channel in the first output of the image.
    ///
    /// # Safety
    /// `target` is valid for the V vectors, aligned and whole if the pass streams; `gradient` and `index` hold every output of the image.
    #[inline(always)]
    unsafe fn gather<S: Simd, const V: usize>(
        &self,
        simd: S,
        first: usize,
        Place { row, column }: Place,
        lanes: usize,
        target: *mut f32,
    ) {
        let pooling = self.pooling;
        let lanes = if V > 1 { S::LANES } else { lanes };
        let mut sums = [simd.zero(); V];
        // SAFETY: `covering` holds outputs of this image alone, so all reads lie within `gradient` and `index` by this function's
        // contract, as does what is read and written at `target`.
        unsafe {
            if self.accumulate {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = load(simd, lanes, target.add(v * S::LANES));
                }
            }
            for y in pooling.y.covering[row].clone() {
                for x in pooling.x.covering[column].clone() {
                    let from = first + y * pooling.output_row() + x * pooling.channels;
                    let gradient = self.gradient.as_ptr().add(from);
                    match self.share {
                        Share::Winner(index) => {
                            let (rows, columns) = (&pooling.y.windows[y], &pooling.x.windows[x]);
                            let place = (row - rows.start) * columns.len() + column - columns.start;
                            for (v, sum) in sums.iter_mut().enumerate() {
                                let at = v * S::LANES;
                                let winner = load_index(simd, lanes, index.as_ptr().add(from + at));
                                let gradient = load(simd, lanes, gradient.add(at));
                                *sum = simd.add(*sum, won(simd, winner, place, gradient));
                            }
                        }
                        Share::Mean => {
                            let share = simd.splat(pooling.y.shares[y] * pooling.x.shares[x]);
                            for (v, sum) in sums.iter_mut().enumerate() {
                                let gradient = load(simd, lanes, gradient.add(v * S::LANES));
                                *sum = simd.mul_add(gradient, share, *sum);
                            }
                        }
                    }
                }
            }
            for (v, sum) in sums.into_iter().enumerate() {
                let target = target.add(v * S::LANES);
                if self.is_streamed {
                    simd.stream(sum, target);
                } else {
                    store(simd, lanes, sum, target);
                }
            }
        }
    }
}

/// Backward for some output rows where no windows overlap: each output is read once and writes its own pixels.
pub(super) struct SpreadBackward<'a> {
    pub(super) pooling: &'a Pooling,
    /// The first output row, counted through the batch.
    pub(super) first: usize,
    /// Output rows.
    pub(super) rows: usize,
    pub(super) share: Share<'a>,
    /// The gradient of the output, of the whole batch.
    pub(super) gradient: &'a [f32],
    /// The rows of the input's gradient that belong to these output rows (`Pooling::first_row_of`).
    pub(super) target: &'a mut [f32],
    pub(super) accumulate: bool,
}

impl Kernel for SpreadBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (pooling, channels) = (self.pooling, self.pooling.channels);
        let (height, input_row) = (pooling.y.windows.len(), pooling.input_row());
        let begin = pooling.first_row_of(self.first);
        let mut own = 0..0;
        for i in self.first..self.first + self.rows {
            own = own.end..(pooling.first_row_of(i + 1) - begin) * input_row;
            let rows = &pooling.y.windows[i % height];
            let is_tiled = pooling.x.is_tiled && own.len() == rows.len() * input_row;
            if !self.accumulate && !is_tiled {
                self.target[own.clone()].fill(0.0);
            }
            let top = pooling.top_row_of(i) - begin;
            for (x, columns) in pooling.x.windows.iter().enumerate() {
                let corner = top * input_row + columns.start * channels;
                let from = i * pooling.output_row() + x * channels;
                let share = simd.splat(pooling.y.shares[i % height] * pooling.x.shares[x]);
                for channel in (0..channels).step_by(S::LANES) {
                    let lanes = (channels - channel).min(S::LANES);
                    let gradient = &self.gradient[from + channel..][..lanes];
                    // SAFETY: the slice holds `lanes` values.
                    let gradient = unsafe { load(simd, lanes, gradient.as_ptr()) };
                    let (winner, part) = match self.share {
                        Share::Winner(index) => {
                            let index = &index[from + channel..][..lanes];
                            // SAFETY: the slice holds `lanes` places.
                            (unsafe { load_index(simd, lanes, index.as_ptr()) }, gradient)
                        }
                        Share::Mean => (simd.zero(), simd.mul(gradient, share)),
                    };
                    let part = WindowGradient {
                        simd,
                        winner: matches!(self.share, Share::Winner(_)).then_some(winner),
                        gradient: part,
                        lanes,
                        accumulate: self.accumulate,
                    };
                    let size = [rows.len(), columns.len()];
                    let strides = [input_row, channels];
                    let last = (size[0] - 1) * input_row + (size[1] - 1) * channels;
                    let target = &mut self.target[corner + channel..][..last + lanes];
                    // SAFETY: the slice ends with the last lane of the window's last pixel; the other pixels lie before it.
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

/// The gradient that a window gives to its pixels: `lanes` channels.
struct WindowGradient<S: Simd> {
    simd: S,
    /// The place of the pixel that gets the gradient; `None` where all pixels get it.
    winner: Option<S::Vector>,
    gradient: S::Vector,
    lanes: usize,
    accumulate: bool,
}

impl<S: Simd> WindowGradient<S> {
    /// Writes the gradient to the pixels of a window that begins at `target`, or adds it to them. `size` is rows and columns of the
    /// window, `strides` are the values from row to row and from column to column.
    ///
    /// # Safety
    /// `target` is valid for reads and writes of `lanes` values at each of these pixels.
    #[inline(always)]
    unsafe fn spread(&self, size: [usize; 2], strides: [usize; 2], target: *mut f32) {
        let simd = self.simd;
        for y in 0..size[0] {
            for x in 0..size[1] {
                let mut part = match self.winner {
                    Some(winner) => won(simd, winner, y * size[1] + x, self.gradient),
                    None => self.gradient,
                };
                // SAFETY: the loops stay below `size`, so this is one of the pixels of this function's contract.
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
