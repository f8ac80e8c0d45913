//! The passes over the map, on blocks of whole rows.
//!
//! Few channels would leave lanes empty. A pass therefore reads a block in *wide rows* of `width` values: several rows of channels
//! each, the last wide row perhaps fewer. The values of the channels are repeated along a wide row.
use crate::activation::{self, Activation};
use crate::simd::{Kernel, Simd, load, store};
use crate::stream::prefetch_far;

/// Values of a block: 128 kB, which stay in a core's cache between two reads.
const BLOCK: usize = 32 * 1024;
/// The least values of a wide row: at most one vector of four or more is not full.
const WIDE: usize = 64;

/// Memory for a wide row of fewer than [`WIDE`] channels.
pub(crate) type WideRow = [f32; 2 * WIDE];
/// An empty [`WideRow`].
pub(crate) const WIDE_ROW: WideRow = [0.0; 2 * WIDE];

/// How many rows of channels make a wide row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowLayout {
    channels: usize,
    /// Values of a wide row: a multiple of the channels.
    pub(crate) width: usize,
}

impl RowLayout {
    /// The layout for `channels` channels, at least one.
    pub(crate) fn new(channels: usize) -> Self {
        Self {
            channels,
            width: channels * WIDE.div_ceil(channels),
        }
    }

    /// Values of a block of whole wide rows.
    pub(crate) fn piece(&self) -> usize {
        self.width * (BLOCK / self.width).max(1)
    }

    /// The values `of_channels` repeated along a wide row. They are copied to `wide` only if a wide row has several rows.
    pub(crate) fn widen<'a>(&self, of_channels: &'a [f32], wide: &'a mut WideRow) -> &'a [f32] {
        assert_eq!(of_channels.len(), self.channels);
        if self.width == self.channels {
            return of_channels;
        }
        let row = &mut wide[..self.width];
        for row in row.chunks_exact_mut(self.channels) {
            row.copy_from_slice(of_channels);
        }
        row
    }

    /// The sum of the values of one channel in a wide row.
    pub(crate) fn total(&self, wide: &[f32], channel: usize) -> f64 {
        let of_channel = wide[..self.width].iter().skip(channel);
        of_channel
            .step_by(self.channels)
            .map(|sum| f64::from(*sum))
            .sum()
    }
}

/// Writes Σ(x − origin) to `sum` and Σ(x − origin)² to `square`, down each column of the wide rows.
pub(crate) struct StatisticSums<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) origin: &'a [f32],
    pub(crate) sum: &'a mut [f32],
    pub(crate) square: &'a mut [f32],
}

impl Kernel for StatisticSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        column_sums(
            simd,
            [self.input],
            self.origin,
            [self.sum, self.square],
            #[inline(always)]
            |[x], origin, [sum, square]| {
                let difference = simd.sub(x, origin);
                [
                    simd.add(sum, difference),
                    simd.mul_add(difference, difference, square),
                ]
            },
        );
    }
}

/// Writes Σg to `sum` and Σg(x − origin) to `product`, down each column of the wide rows; g is the gradient.
pub(crate) struct GradientSums<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) gradient: &'a [f32],
    pub(crate) origin: &'a [f32],
    pub(crate) sum: &'a mut [f32],
    pub(crate) product: &'a mut [f32],
}

impl Kernel for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        column_sums(
            simd,
            [self.input, self.gradient],
            self.origin,
            [self.sum, self.product],
            #[inline(always)]
            |[x, gradient], origin, [sum, product]| {
                let difference = simd.sub(x, origin);
                [
                    simd.add(sum, gradient),
                    simd.mul_add(gradient, difference, product),
                ]
            },
        );
    }
}

/// Vectors of a row that are summed at once. Their eight chains of additions hide the latency of four cycles.
const COLUMNS: usize = 4;
/// Values between the one that is summed and the one that is prefetched.
const AHEAD: usize = 2048;

/// Writes two sums down each column of the wide rows of `inputs`. A last row that ends early adds to the columns that it has.
#[inline(always)]
fn column_sums<S: Simd, const N: usize>(
    simd: S,
    inputs: [&[f32]; N],
    origin: &[f32],
    [first, second]: [&mut [f32]; 2],
    step: impl Fn([S::Vector; N], S::Vector, [S::Vector; 2]) -> [S::Vector; 2],
) {
    let (width, length) = (origin.len(), inputs[0].len());
    assert!(first.len() == width && second.len() == width);
    assert!(inputs.iter().all(|input| input.len() == length));
    let rows = length / width;
    let mut column = 0;
    while column < width {
        let columns = if column + COLUMNS * S::LANES <= width {
            COLUMNS
        } else {
            1
        };
        let lanes = (width - column).min(S::LANES);
        // SAFETY: `column` + `columns` vectors, or `column` + `lanes`, is at most `width`. So the vectors lie within each of the `rows`
        // whole rows of the inputs, which have one length, and within the origin and both sums, which have `width` values. The
        // assertions above say so.
        unsafe {
            let inputs = inputs.map(
                #[inline(always)]
                |input| input.as_ptr().add(column),
            );
            let origin = origin.as_ptr().add(column);
            let targets = [
                first.as_mut_ptr().add(column),
                second.as_mut_ptr().add(column),
            ];
            if columns == COLUMNS {
                let rows = RowRange {
                    rows,
                    width,
                    lanes: S::LANES,
                };
                rows_sums::<S, N, COLUMNS>(simd, inputs, origin, targets, rows, &step);
            } else {
                let rows = RowRange { rows, width, lanes };
                rows_sums::<S, N, 1>(simd, inputs, origin, targets, rows, &step);
            }
        }
        column += columns * S::LANES;
    }
    // The row that ends early: lanes that are not read are 0, as is their origin, and add nothing.
    let start = rows * width;
    for column in (0..length - start).step_by(S::LANES) {
        let lanes = (length - start - column).min(S::LANES);
        // SAFETY: `start` + `column` + `lanes` is at most the length of each input. The row is shorter than `width`, so `column` + `lanes`
        // is within the origin and both sums.
        unsafe {
            let values = inputs.map(
                #[inline(always)]
                |input| simd.load_first(lanes, input.as_ptr().add(start + column)),
            );
            let origin = simd.load_first(lanes, origin.as_ptr().add(column));
            let sums = [
                simd.load_first(lanes, first.as_ptr().add(column)),
                simd.load_first(lanes, second.as_ptr().add(column)),
            ];
            let sums = step(values, origin, sums);
            simd.store_first(lanes, sums[0], first.as_mut_ptr().add(column));
            simd.store_first(lanes, sums[1], second.as_mut_ptr().add(column));
        }
    }
}

/// The part of wide rows that [`rows_sums`] sums.
#[derive(Clone, Copy)]
struct RowRange {
    rows: usize,
    /// Values from row to row.
    width: usize,
    /// Lanes of each vector that hold values.
    lanes: usize,
}

/// Sums V vectors down some rows and writes the sums to `targets`. Several vectors are always whole.
///
/// # Safety
/// Each of `inputs` is valid for reads of the V vectors in each row, `origin` for reads and `targets` for writes of V vectors.
#[inline(always)]
unsafe fn rows_sums<S: Simd, const N: usize, const V: usize>(
    simd: S,
    inputs: [*const f32; N],
    origin: *const f32,
    targets: [*mut f32; 2],
    RowRange { rows, width, lanes }: RowRange,
    step: &impl Fn([S::Vector; N], S::Vector, [S::Vector; 2]) -> [S::Vector; 2],
) {
    let lanes = if V > 1 { S::LANES } else { lanes };
    // SAFETY: the loops stay below V and `rows`, so all accesses are those of this function's contract.
    unsafe {
        let mut origins = [simd.zero(); V];
        for (v, vector) in origins.iter_mut().enumerate() {
            *vector = load(simd, lanes, origin.add(v * S::LANES));
        }
        let mut sums = [[simd.zero(); 2]; V];
        for row in 0..rows {
            // Only where this skips parts of rows: a processor prefetches better by itself what is read in order.
            for input in inputs.iter().filter(|_| width > V * S::LANES) {
                prefetch_far(input.wrapping_add(row * width + AHEAD), V * S::LANES);
            }
            for v in 0..V {
                let at = row * width + v * S::LANES;
                let mut values = [simd.zero(); N];
                for k in 0..N {
                    values[k] = load(simd, lanes, inputs[k].add(at));
                }
                sums[v] = step(values, origins[v], sums[v]);
            }
        }
        for (v, [first, second]) in sums.into_iter().enumerate() {
            store(simd, lanes, first, targets[0].add(v * S::LANES));
            store(simd, lanes, second, targets[1].add(v * S::LANES));
        }
    }
}

/// Writes activation(factor · x + summand + add) to `output`.
pub(crate) struct NormaliseRows<'a> {
    /// As long as `output`, as is `add`.
    pub(crate) input: &'a [f32],
    /// A wide row, as is `summand`.
    pub(crate) factor: &'a [f32],
    pub(crate) summand: &'a [f32],
    pub(crate) add: Option<&'a [f32]>,
    pub(crate) activation: Activation,
    pub(crate) output: &'a mut [f32],
    /// Whether the output is written past the caches; only where [`is_streamed`](crate::stream::is_streamed) said so.
    pub(crate) is_streamed: bool,
}

impl Kernel for NormaliseRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // The two most frequent activations have a loop of their own.
        match self.activation {
            Activation::Identity => self.rows(simd, Activation::Identity),
            Activation::Relu => self.rows(simd, Activation::Relu),
            activation => self.rows(simd, activation),
        }
    }
}

impl NormaliseRows<'_> {
    #[inline(always)]
    fn rows<S: Simd>(self, simd: S, activation: Activation) {
        match self.add {
            None => self.rows_with(
                simd,
                activation,
                #[inline(always)]
                |_, _, y| y,
            ),
            Some(add) => self.rows_with(
                simd,
                activation,
                #[inline(always)]
                |at, lanes, y| {
                    let add = &add[at..at + lanes];
                    // SAFETY: the slice holds `lanes` values.
                    simd.add(y, unsafe { load(simd, lanes, add.as_ptr()) })
                },
            ),
        }
    }

    /// Applies `then(place, lanes, y)` between normalisation and activation. `place` is the place of the vector in the block.
    #[inline(always)]
    fn rows_with<S: Simd>(
        self,
        simd: S,
        activation: Activation,
        then: impl Fn(usize, usize, S::Vector) -> S::Vector,
    ) {
        let width = self.factor.len();
        assert_eq!(self.summand.len(), width);
        assert_eq!(self.input.len(), self.output.len());
        let rows = self.input.chunks(width).zip(self.output.chunks_mut(width));
        for (row, (input, output)) in rows.enumerate() {
            for at in (0..output.len()).step_by(S::LANES) {
                let lanes = (output.len() - at).min(S::LANES);
                // SAFETY: the rows of input and output have one length, and factor and summand are at least as long, by the assertions
                // above. `is_streamed` said that each vector is whole and aligned.
                unsafe {
                    let y = simd.mul_add(
                        load(simd, lanes, input.as_ptr().add(at)),
                        load(simd, lanes, self.factor.as_ptr().add(at)),
                        load(simd, lanes, self.summand.as_ptr().add(at)),
                    );
                    let y = then(row * width + at, lanes, y);
                    let y = activation::apply(simd, activation, y);
                    if self.is_streamed {
                        simd.stream(y, output.as_mut_ptr().add(at));
                    } else {
                        store(simd, lanes, y, output.as_mut_ptr().add(at));
                    }
                }
            }
        }
    }
}

/// Values of the channels, each a wide row.
pub(crate) struct Coefficients<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) mean: &'a [f32],
    pub(crate) d: &'a [f32],
}

/// Writes a · gradient + b · (x − mean) + d to `target`, or adds it where `accumulate`.
pub(crate) struct InputGradientRows<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) gradient: &'a [f32],
    pub(crate) coefficients: Coefficients<'a>,
    pub(crate) target: &'a mut [f32],
    pub(crate) accumulate: bool,
    /// Whether the target is written past the caches; only where [`is_streamed`](crate::stream::is_streamed) said so.
    pub(crate) is_streamed: bool,
}

impl Kernel for InputGradientRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Coefficients { a, b, mean, d } = self.coefficients;
        let width = a.len();
        assert!([b, mean, d].iter().all(|row| row.len() == width));
        assert!(self.input.len() == self.target.len() && self.gradient.len() == self.target.len());
        let rows = self
            .input
            .chunks(width)
            .zip(self.gradient.chunks(width))
            .zip(self.target.chunks_mut(width));
        for ((input, gradient), target) in rows {
            for at in (0..target.len()).step_by(S::LANES) {
                let lanes = (target.len() - at).min(S::LANES);
                // SAFETY: the three rows have one length, and the coefficients are at least as long, by the assertions above.
                // `is_streamed` said that each vector is whole and aligned.
                unsafe {
                    let difference = simd.sub(
                        load(simd, lanes, input.as_ptr().add(at)),
                        load(simd, lanes, mean.as_ptr().add(at)),
                    );
                    let rest = simd.mul_add(
                        load(simd, lanes, b.as_ptr().add(at)),
                        difference,
                        load(simd, lanes, d.as_ptr().add(at)),
                    );
                    let mut value = simd.mul_add(
                        load(simd, lanes, a.as_ptr().add(at)),
                        load(simd, lanes, gradient.as_ptr().add(at)),
                        rest,
                    );
                    if self.accumulate {
                        value = simd.add(value, load(simd, lanes, target.as_ptr().add(at)));
                    }
                    if self.is_streamed {
                        simd.stream(value, target.as_mut_ptr().add(at));
                    } else {
                        store(simd, lanes, value, target.as_mut_ptr().add(at));
                    }
                }
            }
        }
    }
}
