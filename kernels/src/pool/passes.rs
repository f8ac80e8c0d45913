//! The four passes, on whole rows of the map that is written: each number of it is gathered once, along the channels.
use super::{Index, Pooling};
use crate::map::Input;
use crate::simd::{Kernel, Simd, load, store};

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

/// `lanes` places as floats.
#[inline(always)]
unsafe fn load_index<S: Simd>(simd: S, lanes: usize, index: *const Index) -> S::Vector {
    let mut places = [0.0_f32; 16];
    // SAFETY: the caller's promise; no instruction set has more than 16 lanes.
    unsafe {
        // A loop of its own for whole vectors: only then does the compiler know the count and convert all at once.
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

/// `gradient` where `winner` is `place`, elsewhere 0.
#[inline(always)]
fn won<S: Simd>(simd: S, winner: S::Vector, place: usize, gradient: S::Vector) -> S::Vector {
    simd.select_equal(winner, simd.splat(place as f32), gradient, simd.zero())
}

/// The pixels under a window, `lanes` channels of each.
#[derive(Clone, Copy)]
struct Pixels {
    start: *const f32,
    /// The first channel.
    channel: usize,
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
    pooling: &Pooling,
    first: usize,
    input: &[f32],
    length: usize,
    mut body: impl FnMut(usize, Pixels, f32),
) {
    let (row, channels, height) = (
        pooling.input_row(),
        pooling.channels,
        pooling.y.windows.len(),
    );
    for (i, output_row) in (first..).zip((0..length).step_by(pooling.output_row())) {
        let (n, y) = (i / height, i % height);
        let image = &input[n * pooling.input_len()..][..pooling.input_len()];
        let rows = &pooling.y.windows[y];
        for (x, columns) in pooling.x.windows.iter().enumerate() {
            let divisor = pooling.y.divisors[y] * pooling.x.divisors[x];
            let corner = rows.start * row + columns.start * channels;
            // An empty window (all padding) may begin behind the map; it reads nothing.
            let start = image.as_ptr().wrapping_add(corner);
            let at = output_row + x * channels;
            let pixels = |channel: usize, lanes: usize| Pixels {
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

/// The larger of each pair; NaN where either is.
#[inline(always)]
pub(crate) fn larger<S: Simd>(simd: S, a: S::Vector, b: S::Vector) -> S::Vector {
    simd.select_nan(a, a, simd.max(a, b))
}

#[inline(always)]
unsafe fn largest<S: Simd>(
    simd: S,
    pixels: Pixels,
    made: impl Fn(S::Vector) -> S::Vector,
) -> S::Vector {
    // SAFETY: the pixels are there.
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

/// The first of the largest and its place; the last NaN where there is one.
#[inline(always)]
unsafe fn first_largest<S: Simd>(
    simd: S,
    pixels: Pixels,
    made: impl Fn(S::Vector) -> S::Vector,
) -> (S::Vector, S::Vector) {
    let mut lead = (simd.splat(f32::NEG_INFINITY), simd.zero());
    // SAFETY: the pixels are there.
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

/// The larger of (best, winner) and `value` at `place`; the value where it is NaN.
#[inline(always)]
pub(crate) fn challenge<S: Simd>(
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
    pub(super) pooling: &'a Pooling,
    pub(super) first: usize,
    pub(super) input: Input<'a>,
    pub(super) output: &'a mut [f32],
    pub(super) index: Option<&'a mut [Index]>,
}

impl Kernel for Max<'_> {
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
                // SAFETY: the channels of these pixels are those that were checked.
                |pixels: &Pixels, x| unsafe {
                    by.of(simd, pixels.channel, pixels.lanes).apply(simd, x)
                },
            ),
        }
    }
}

impl Max<'_> {
    /// Of what `made` makes of the numbers of pixels.
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, made: impl Fn(&Pixels, S::Vector) -> S::Vector) {
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
                // SAFETY: `pixels` lie in the image, and as many lanes at `at` in output.
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
                // SAFETY: as above.
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

/// `output` holds whole rows, from row `first` of the whole batch on.
pub(super) struct Average<'a> {
    pub(super) pooling: &'a Pooling,
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
            self.pooling,
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
    pub(super) pooling: &'a Pooling,
    pub(super) first: usize,
    pub(super) share: Share<'a>,
    pub(super) gradient: &'a [f32],
    pub(super) target: &'a mut [f32],
    pub(super) accumulate: bool,
    /// Whether the target is written past the caches.
    pub(super) is_streamed: bool,
}

impl Kernel for Gather<'_> {
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
                let mut channel = 0;
                // SAFETY: the target holds `width` pixels for each row and the other maps an output for each window of each image.
                unsafe {
                    while channel + 4 * S::LANES <= channels {
                        self.gather::<S, 4>(
                            simd,
                            image + channel,
                            [i % height, column],
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
                            [i % height, column],
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

impl Gather<'_> {
    /// V vectors of a pixel, of which the only one may have fewer than all lanes. `first` is the place of its channels in the image's
    /// first output.
    ///
    /// # Safety
    /// They lie behind `target`, and those of the pixel's readers in the other maps.
    #[inline(always)]
    unsafe fn gather<S: Simd, const V: usize>(
        &self,
        simd: S,
        first: usize,
        [row, column]: [usize; 2],
        lanes: usize,
        target: *mut f32,
    ) {
        let pooling = self.pooling;
        let lanes = if V > 1 { S::LANES } else { lanes };
        let mut sums = [simd.zero(); V];
        // SAFETY: the caller's promise.
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

/// Backward where no windows overlap: each output is read once and writes its own pixels. `target` holds the rows that belong to `rows`
/// rows of output, from row `first` of the whole batch on.
pub(super) struct Spread<'a> {
    pub(super) pooling: &'a Pooling,
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
                    // SAFETY: as many lanes as the slice holds.
                    let gradient = unsafe { load(simd, lanes, gradient.as_ptr()) };
                    let (winner, part) = match self.share {
                        Share::Winner(index) => {
                            let index = &index[from + channel..][..lanes];
                            // SAFETY: as above.
                            (unsafe { load_index(simd, lanes, index.as_ptr()) }, gradient)
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
