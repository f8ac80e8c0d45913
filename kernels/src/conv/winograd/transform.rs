//! Evaluation at the points 0, √½, −√½, √2, −√2, ∞ and interpolation.
//!
//! With M(x) = x (x² − ½)(x² − 2), Toom and Cook's y = Aᵀ[(G g) ⊙ (Bᵀ d)] has in the row of point p of
//! Bᵀ the coefficients of M(x) / (x − p), G: (1, p, p²) / M'(p), A: (1, p, p², p³); for ∞ M itself and the highest power.
//! The weight gradient F(3×3, 4×4) has the same points: A evaluates the output gradient and Gᵀ interpolates.
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

use super::{PLANES, POINTS, TILE};
use crate::map::Normalised;
use crate::simd::{Simd, load};

/// Rows of a half.
const HALF: usize = POINTS / 2;

/// Bᵀ d
#[inline(always)]
fn input_line<S: Simd>(simd: S, d: [S::Vector; POINTS]) -> [S::Vector; POINTS] {
    let first = input_half::<S, 0>(simd, d);
    let second = input_half::<S, 1>(simd, d);
    [
        first[0], first[1], first[2], second[0], second[1], second[2],
    ]
}

/// even + point · odd and even − point · odd
#[inline(always)]
fn pair<S: Simd>(simd: S, point: f32, even: S::Vector, odd: S::Vector) -> [S::Vector; 2] {
    [
        simd.mul_add(simd.splat(point), odd, even),
        simd.mul_add(simd.splat(-point), odd, even),
    ]
}

/// a + factor · b
#[inline(always)]
fn plus<S: Simd>(simd: S, a: S::Vector, factor: f32, b: S::Vector) -> S::Vector {
    simd.mul_add(simd.splat(factor), b, a)
}

/// The first or the second three rows of Bᵀ d.
#[inline(always)]
fn input_half<S: Simd, const H: usize>(simd: S, d: [S::Vector; POINTS]) -> [S::Vector; HALF] {
    // The square of the other pair of points.
    let square = if H == 0 { -2.0 } else { -0.5 };
    let even = plus(simd, d[4], square, d[2]);
    let odd = plus(simd, d[3], square, d[1]);
    if H == 0 {
        let [positive, negative] = pair(simd, FRAC_1_SQRT_2, even, odd);
        let zero = plus(simd, simd.add(d[0], d[4]), -2.5, d[2]);
        [zero, positive, negative]
    } else {
        let [positive, negative] = pair(simd, SQRT_2, even, odd);
        let infinity = plus(simd, simd.add(d[1], d[5]), -2.5, d[3]);
        [positive, negative, infinity]
    }
}

/// The first or second half of A y, for four elements of an output gradient.
#[inline(always)]
fn gradient_half<S: Simd, const H: usize>(simd: S, y: [S::Vector; TILE]) -> [S::Vector; HALF] {
    let square = if H == 0 { 0.5 } else { 2.0 };
    let even = plus(simd, y[0], square, y[2]);
    let odd = plus(simd, y[1], square, y[3]);
    if H == 0 {
        let [positive, negative] = pair(simd, FRAC_1_SQRT_2, even, odd);
        [y[0], positive, negative]
    } else {
        let [positive, negative] = pair(simd, SQRT_2, even, odd);
        [positive, negative, y[3]]
    }
}

/// Aᵀ m
#[inline(always)]
fn output_line<S: Simd>(simd: S, m: [S::Vector; POINTS]) -> [S::Vector; TILE] {
    let (sum, difference) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    let (sum2, difference2) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
    let first = simd.mul(simd.splat(FRAC_1_SQRT_2), difference);
    let second = simd.mul(simd.splat(SQRT_2), difference2);
    [
        simd.add(simd.add(m[0], sum), sum2),
        simd.add(first, second),
        plus(simd, simd.mul(simd.splat(0.5), sum), 2.0, sum2),
        plus(simd, plus(simd, m[5], 0.5, first), 2.0, second),
    ]
}

/// G g
#[inline(always)]
fn weight_line<S: Simd>(simd: S, g: [S::Vector; 3]) -> [S::Vector; POINTS] {
    let even = simd.mul(simd.splat(-2.0 / 3.0), plus(simd, g[0], 0.5, g[2]));
    let even2 = simd.mul(simd.splat(1.0 / 6.0), plus(simd, g[0], 2.0, g[2]));
    let [positive, negative] = pair(simd, -2.0 / 3.0 * FRAC_1_SQRT_2, even, g[1]);
    let [positive2, negative2] = pair(simd, SQRT_2 / 6.0, even2, g[1]);
    [g[0], positive, negative, positive2, negative2, g[2]]
}

/// Gᵀ m
#[inline(always)]
fn weight_gradient_line<S: Simd>(simd: S, m: [S::Vector; POINTS]) -> [S::Vector; 3] {
    let sum = simd.mul(simd.splat(-2.0 / 3.0), simd.add(m[1], m[2]));
    let sum2 = simd.mul(simd.splat(1.0 / 6.0), simd.add(m[3], m[4]));
    let scale = simd.splat(-2.0 / 3.0 * FRAC_1_SQRT_2);
    let difference = simd.mul(scale, simd.sub(m[1], m[2]));
    [
        simd.add(simd.add(m[0], sum), sum2),
        plus(simd, difference, SQRT_2 / 6.0, simd.sub(m[3], m[4])),
        plus(simd, plus(simd, m[5], 0.5, sum), 2.0, sum2),
    ]
}

/// The N pixels of a tile, however they are read.
pub(super) trait Pixels<const N: usize> {
    /// The `n` channels from `channel` on of pixel `i`.
    ///
    /// # Safety
    /// Every pixel has these channels.
    unsafe fn load<S: Simd>(&self, simd: S, i: usize, channel: usize, n: usize) -> S::Vector;
}

impl<const N: usize> Pixels<N> for [*const f32; N] {
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, i: usize, channel: usize, n: usize) -> S::Vector {
        // SAFETY: each pointer is that of a pixel with these channels.
        unsafe { load(simd, n, self[i].add(channel)) }
    }
}

/// Pixels that are normalised on load. Those outside the map are 0.
pub(super) struct NormalisedPixels<'a> {
    pub(super) pixels: [*const f32; PLANES],
    /// The address of pixels outside the map.
    pub(super) zeros: *const f32,
    pub(super) by: Normalised<'a>,
}

impl Pixels<PLANES> for NormalisedPixels<'_> {
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, i: usize, channel: usize, n: usize) -> S::Vector {
        if self.pixels[i] == self.zeros {
            return simd.zero();
        }
        // SAFETY: each pointer is that of a pixel with these channels. `pass.rs` checked that the normalisation has them too.
        unsafe {
            let x = load(simd, n, self.pixels[i].add(channel));
            self.by.of(simd, channel, n).apply(simd, x)
        }
    }
}

/// Bᵀ d B for one half of the rows: planes 0–17 or 18–35, written `plane` floats apart.
///
/// # Safety
/// The pixels have `n` channels from `channel` on. A vector can be written to each of the half's planes, the first at `to`.
#[inline(always)]
pub(super) unsafe fn input<S: Simd, const H: usize>(
    simd: S,
    pixels: &impl Pixels<PLANES>,
    channel: usize,
    n: usize,
    to: *mut f32,
    plane: usize,
) {
    let mut rows = [[simd.zero(); POINTS]; HALF];
    for x in 0..POINTS {
        let mut d = [simd.zero(); POINTS];
        for y in 0..POINTS {
            // Point 0 and the first pair do not depend on the last row, the others not on the first.
            if y == (if H == 0 { POINTS - 1 } else { 0 }) {
                continue;
            }
            // SAFETY: the pixels have these channels.
            d[y] = unsafe { pixels.load(simd, y * POINTS + x, channel, n) };
        }
        let column = input_half::<S, H>(simd, d);
        for i in 0..HALF {
            rows[i][x] = column[i];
        }
    }
    for i in 0..HALF {
        let line = input_line(simd, rows[i]);
        for j in 0..POINTS {
            // SAFETY: a vector can be written to each plane of the half.
            unsafe { simd.store(line[j], to.add((i * POINTS + j) * plane)) };
        }
    }
}

/// A y Aᵀ for one half of the rows: planes 0–17 or 18–35, written `plane` floats apart.
///
/// # Safety
/// The pixels have `n` channels from `channel` on. A vector can be written to each of the half's planes, the first at `to`.
#[inline(always)]
pub(super) unsafe fn output_gradient<S: Simd, const H: usize>(
    simd: S,
    pixels: &impl Pixels<{ TILE * TILE }>,
    channel: usize,
    n: usize,
    to: *mut f32,
    plane: usize,
) {
    let mut rows = [[simd.zero(); TILE]; HALF];
    for x in 0..TILE {
        let mut y = [simd.zero(); TILE];
        for i in 0..TILE {
            // SAFETY: the pixels have these channels.
            y[i] = unsafe { pixels.load(simd, i * TILE + x, channel, n) };
        }
        let column = gradient_half::<S, H>(simd, y);
        for i in 0..HALF {
            rows[i][x] = column[i];
        }
    }
    for i in 0..HALF {
        let first = gradient_half::<S, 0>(simd, rows[i]);
        let second = gradient_half::<S, 1>(simd, rows[i]);
        for j in 0..HALF {
            // SAFETY: a vector can be written to each plane of the half.
            unsafe {
                simd.store(first[j], to.add((i * POINTS + j) * plane));
                simd.store(second[j], to.add((i * POINTS + HALF + j) * plane));
            }
        }
    }
}

/// Aᵀ m A of the planes at `from`.
///
/// # Safety
/// A vector can be read from each of the planes, which begin at `from`, `plane` floats apart.
#[inline(always)]
pub(super) unsafe fn output<S: Simd>(
    simd: S,
    from: *const f32,
    plane: usize,
) -> [[S::Vector; TILE]; TILE] {
    let mut columns = [[simd.zero(); POINTS]; TILE];
    for x in 0..POINTS {
        let mut m = [simd.zero(); POINTS];
        for y in 0..POINTS {
            // SAFETY: a vector can be read from each plane.
            m[y] = unsafe { simd.load(from.add((y * POINTS + x) * plane)) };
        }
        let line = output_line(simd, m);
        for y in 0..TILE {
            columns[y][x] = line[y];
        }
    }
    let mut tile = [[simd.zero(); TILE]; TILE];
    for y in 0..TILE {
        tile[y] = output_line(simd, columns[y]);
    }
    tile
}

/// G g Gᵀ, written `plane` floats apart.
///
/// # Safety
/// A vector can be written to each of the planes, the first at `to`.
#[inline(always)]
pub(super) unsafe fn weights<S: Simd>(simd: S, g: [[S::Vector; 3]; 3], to: *mut f32, plane: usize) {
    let mut columns = [[simd.zero(); 3]; POINTS];
    for x in 0..3 {
        let line = weight_line(simd, [g[0][x], g[1][x], g[2][x]]);
        for y in 0..POINTS {
            columns[y][x] = line[y];
        }
    }
    for y in 0..POINTS {
        let line = weight_line(simd, columns[y]);
        for x in 0..POINTS {
            // SAFETY: a vector can be written to each plane.
            unsafe { simd.store(line[x], to.add((y * POINTS + x) * plane)) };
        }
    }
}

/// Gᵀ m G of the planes at `from`.
///
/// # Safety
/// A vector can be read from each of the planes, which begin at `from`, `plane` floats apart.
#[inline(always)]
pub(super) unsafe fn weight_gradient<S: Simd>(
    simd: S,
    from: *const f32,
    plane: usize,
) -> [[S::Vector; 3]; 3] {
    let mut columns = [[simd.zero(); POINTS]; 3];
    for x in 0..POINTS {
        let mut m = [simd.zero(); POINTS];
        for y in 0..POINTS {
            // SAFETY: a vector can be read from each plane.
            m[y] = unsafe { simd.load(from.add((y * POINTS + x) * plane)) };
        }
        let line = weight_gradient_line(simd, m);
        for y in 0..3 {
            columns[y][x] = line[y];
        }
    }
    let mut taps = [[simd.zero(); 3]; 3];
    for y in 0..3 {
        taps[y] = weight_gradient_line(simd, columns[y]);
    }
    taps
}
