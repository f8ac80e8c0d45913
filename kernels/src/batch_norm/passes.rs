//! The passes over the map, on blocks of whole rows.
//!
//! Few channels would leave lanes empty, so rows are taken together: a block is read in wide rows of `width` numbers, several
//! rows of channels each (the last may hold fewer), and what belongs to a channel is repeated as often.
use crate::activation::{self, Activation};
use crate::simd::{Kernel, Simd, load, store};
use crate::stream::prefetch_far;

/// Numbers of a block: 128 kB, in a core's cache between two reads.
const BLOCK: usize = 32 * 1024;
/// A wide row has at least so many numbers: at most one vector of four or more is not full.
const WIDE: usize = 64;

/// Room for a row of fewer channels than [`WIDE`], widened.
pub(super) type Room = [f32; 2 * WIDE];
/// An empty [`Room`].
pub(super) const ROOM: Room = [0.0; 2 * WIDE];

/// How rows of channels are taken together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    channels: usize,
    /// Numbers of a wide row: a multiple of the channels.
    pub(super) width: usize,
}

impl Layout {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            channels,
            width: channels * WIDE.div_ceil(channels),
        }
    }

    /// Numbers of a block of whole wide rows.
    pub(super) fn piece(&self) -> usize {
        self.width * (BLOCK / self.width).max(1)
    }

    /// One number of each channel, repeated along a wide row, in `room` where that is wider than the channels.
    pub(super) fn widen<'a>(&self, of_channels: &'a [f32], room: &'a mut Room) -> &'a [f32] {
        assert_eq!(of_channels.len(), self.channels);
        if self.width == self.channels {
            return of_channels;
        }
        let row = &mut room[..self.width];
        for row in row.chunks_exact_mut(self.channels) {
            row.copy_from_slice(of_channels);
        }
        row
    }

    /// The sum of what a wide row holds for a channel.
    pub(super) fn total(&self, wide: &[f32], channel: usize) -> f64 {
        let of_channel = wide[..self.width].iter().skip(channel);
        of_channel
            .step_by(self.channels)
            .map(|sum| f64::from(*sum))
            .sum()
    }
}

/// `sum` of (x − origin) and of its square, down each column of the wide rows.
pub(super) struct Sums<'a> {
    pub(super) input: &'a [f32],
    pub(super) origin: &'a [f32],
    pub(super) sum: &'a mut [f32],
    pub(super) square: &'a mut [f32],
}

impl Kernel for Sums<'_> {
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

/// `sum` of the gradient g, `product` of g · (x − origin), down each column of the wide rows.
pub(super) struct GradientSums<'a> {
    pub(super) input: &'a [f32],
    pub(super) gradient: &'a [f32],
    pub(super) origin: &'a [f32],
    pub(super) sum: &'a mut [f32],
    pub(super) product: &'a mut [f32],
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

/// Vectors of a row that are summed at once: eight chains of additions hide their latency of four.
const COLUMNS: usize = 4;
/// Numbers between what is summed and what is fetched.
const AHEAD: usize = 2048;

/// Two sums down each column of the wide rows of `inputs`; where the last row ends early, so do its sums.
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
        // SAFETY: `columns` vectors, or one of `lanes`, lie within each of the rows from `column` on.
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
                rows_sums::<S, N, COLUMNS>(
                    simd,
                    inputs,
                    origin,
                    targets,
                    [rows, width, S::LANES],
                    &step,
                );
            } else {
                rows_sums::<S, N, 1>(simd, inputs, origin, targets, [rows, width, lanes], &step);
            }
        }
        column += columns * S::LANES;
    }
    // The row that ends early: lanes that were not read are 0, their origin too, and add nothing.
    let start = rows * width;
    for column in (0..length - start).step_by(S::LANES) {
        let lanes = (length - start - column).min(S::LANES);
        // SAFETY: `lanes` numbers lie within the inputs and, as the row is shorter than `width`, within the sums.
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

/// Sums of `rows` rows, `width` apart, of V vectors with `lanes` lanes; V > 1 only with whole vectors.
///
/// # Safety
/// All of that lies behind the pointers.
#[inline(always)]
unsafe fn rows_sums<S: Simd, const N: usize, const V: usize>(
    simd: S,
    inputs: [*const f32; N],
    origin: *const f32,
    targets: [*mut f32; 2],
    [rows, width, lanes]: [usize; 3],
    step: &impl Fn([S::Vector; N], S::Vector, [S::Vector; 2]) -> [S::Vector; 2],
) {
    let lanes = if V > 1 { S::LANES } else { lanes };
    // SAFETY: the caller's promise.
    unsafe {
        let mut origins = [simd.zero(); V];
        for (v, vector) in origins.iter_mut().enumerate() {
            *vector = load(simd, lanes, origin.add(v * S::LANES));
        }
        let mut sums = [[simd.zero(); 2]; V];
        for row in 0..rows {
            // Only where rows are skipped through: what is read in order, the processor foresees better.
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

/// `output` = activation(factor · x + summand + add).
pub(super) struct Normalise<'a> {
    pub(super) input: &'a [f32],
    pub(super) factor: &'a [f32],
    pub(super) summand: &'a [f32],
    pub(super) add: Option<&'a [f32]>,
    pub(super) activation: Activation,
    pub(super) output: &'a mut [f32],
    /// Whether the output is written past the caches.
    pub(super) is_streamed: bool,
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // The commonest ones have a loop of their own.
        match self.activation {
            Activation::Identity => self.rows(simd, Activation::Identity),
            Activation::Relu => self.rows(simd, Activation::Relu),
            activation => self.rows(simd, activation),
        }
    }
}

impl Normalise<'_> {
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
                    // SAFETY: `lanes` numbers are there.
                    simd.add(y, unsafe { load(simd, lanes, add.as_ptr()) })
                },
            ),
        }
    }

    /// `then` comes between the normalisation and the activation of the lanes that begin at a place of the block.
    #[inline(always)]
    fn rows_with<S: Simd>(
        self,
        simd: S,
        activation: Activation,
        then: impl Fn(usize, usize, S::Vector) -> S::Vector,
    ) {
        let width = self.factor.len();
        assert_eq!(self.summand.len(), width);
        let rows = self.input.chunks(width).zip(self.output.chunks_mut(width));
        for (row, (input, output)) in rows.enumerate() {
            for at in (0..output.len()).step_by(S::LANES) {
                let lanes = (output.len() - at).min(S::LANES);
                // SAFETY: input and output have one length (their wholes have), factor and summand at least that.
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

/// `target` = a · gradient + b · (x − mean) + d, + `target` where `accumulate`.
pub(super) struct InputGradient<'a> {
    pub(super) input: &'a [f32],
    pub(super) gradient: &'a [f32],
    /// a, b, mean, d, each for a wide row.
    pub(super) coefficients: [&'a [f32]; 4],
    pub(super) target: &'a mut [f32],
    pub(super) accumulate: bool,
    /// Whether the target is written past the caches.
    pub(super) is_streamed: bool,
}

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [a, b, mean, d] = self.coefficients;
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
                // SAFETY: the three rows have one length, the coefficients at least that.
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
