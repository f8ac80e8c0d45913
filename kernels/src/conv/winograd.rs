//! Winograd's fast convolution, F(4×4, 3×3): a 4×4 tile of the output from a 6×6 tile of the input by 36 products instead of 144.
//!
//! Tiles and weights are polynomials. Each is evaluated at the points 0, ±√½, ±√2 and ∞ along both axes (`transform`), the values
//! are multiplied plane by plane, summed over channels (`product`), and the result is interpolated. These points give about half
//! the rounding error of the usual 0, ±1, ±2, ∞.
//!
//! For stride 1, 3×3 kernels without dilation and groups, and padding up to 2.
#![allow(
    clippy::needless_range_loop,
    reason = "loops over the indices of small arrays of registers, several arrays at a time"
)]
mod forward;
mod pooled;
mod product;
#[cfg(test)]
mod tests;
mod transform;
mod weight_gradient;

use std::ops::Range;

pub(super) use forward::Winograd;
pub(super) use weight_gradient::WinogradWeightGradient;

use super::Geometry;
use crate::stream::prefetch_far;

/// Output rows and columns of a tile.
pub(super) const TILE: usize = 4;
/// Input rows and columns of a tile, and the number of points.
const POINTS: usize = 6;
/// Products of a tile.
pub(super) const PLANES: usize = POINTS * POINTS;
/// Planes of one half of the rows: a whole 6×6 tile does not fit into the registers.
const HALF_PLANES: usize = PLANES / 2;
/// Floats between planes that would otherwise begin at the same place of the cache; a cache line.
pub(super) const GAP: usize = 16;

/// Whether Winograd can compute this convolution.
pub(super) fn supports(geometry: &Geometry) -> bool {
    geometry.kernel == [3, 3]
        && geometry.stride == [1, 1]
        && geometry.dilation == [1, 1]
        && geometry.groups == 1
        && geometry.padding[0] <= 2
        && geometry.padding[1] <= 2
}

/// How the tiles lie on the maps of a batch.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    batch: usize,
    /// Height, width of the map that is read.
    input: [usize; 2],
    /// Height, width of the map that is cut into tiles.
    output: [usize; 2],
    padding: [usize; 2],
    /// Tiles down and across.
    grid: [usize; 2],
    count: usize,
}

/// Where a tile lies: its image, and its first row and column on the output.
#[derive(Clone, Copy)]
struct Place {
    image: usize,
    y: usize,
    x: usize,
}

impl Tiles {
    /// Tiles of the output of `geometry`.
    fn of_output(geometry: &Geometry) -> Self {
        let maps = [geometry.input, geometry.output].map(|[height, width, _]| [height, width]);
        Self::new(geometry.batch, maps, geometry.padding)
    }

    /// Tiles of its input, for which the output is read.
    fn of_input(geometry: &Geometry) -> Self {
        let maps = [geometry.output, geometry.input].map(|[height, width, _]| [height, width]);
        Self::new(
            geometry.batch,
            maps,
            geometry.padding.map(|padding| 2 - padding),
        )
    }

    fn new(batch: usize, [input, output]: [[usize; 2]; 2], padding: [usize; 2]) -> Self {
        let grid = output.map(|size| size.div_ceil(TILE));
        Self {
            batch,
            input,
            output,
            padding,
            grid,
            count: batch * grid[0] * grid[1],
        }
    }

    #[inline(always)]
    fn place(&self, tile: usize) -> Place {
        let of_image = self.grid[0] * self.grid[1];
        let within = tile % of_image;
        Place {
            image: tile / of_image,
            y: within / self.grid[1] * TILE,
            x: within % self.grid[1] * TILE,
        }
    }

    /// Addresses of the input pixels that a tile reads; those outside the map are `zeros`.
    ///
    /// # Safety
    /// `map` holds the whole input with `channels` channels.
    #[inline(always)]
    unsafe fn input_pixels(
        &self,
        place: Place,
        map: *const f32,
        channels: usize,
        zeros: *const f32,
    ) -> [*const f32; PLANES] {
        let [height, width] = self.input;
        let mut pixels = [zeros; PLANES];
        for i in 0..POINTS {
            // Above the map the difference wraps round and is larger than any height.
            let y = (place.y + i).wrapping_sub(self.padding[0]);
            if y >= height {
                continue;
            }
            for j in 0..POINTS {
                let x = (place.x + j).wrapping_sub(self.padding[1]);
                if x < width {
                    let pixel = (place.image * height + y) * width + x;
                    // SAFETY: the pixel lies on the map.
                    pixels[i * POINTS + j] = unsafe { map.add(pixel * channels) };
                }
            }
        }
        pixels
    }

    /// Asks for the i-th of n parts of what `tiles` read of a map and the tiles before them have not: four rows of four pixels each.
    /// `shift` is the distance from a tile's first row to the first of the four.
    #[inline(always)]
    fn prefetch(
        &self,
        [i, n]: [usize; 2],
        tiles: &Range<usize>,
        map: *const f32,
        [height, width, channels]: [usize; 3],
        shift: [usize; 2],
    ) {
        let rows = tiles.len() * TILE;
        for row in i * rows / n..(i + 1) * rows / n {
            let place = self.place(tiles.start + row / TILE);
            let (y, x) = (place.y + shift[0] + row % TILE, place.x + shift[1]);
            if y < height && x < width {
                let pixel = (place.image * height + y) * width + x;
                let pixels = TILE.min(width - x);
                prefetch_far(map.wrapping_add(pixel * channels), pixels * channels);
            }
        }
    }

    /// What [`Tiles::prefetch`] needs to know of the input: its size and the shift.
    fn ahead(&self, channels: usize) -> ([usize; 3], [usize; 2]) {
        let [height, width] = self.input;
        (
            [height, width, channels],
            self.padding.map(|padding| 2 - padding),
        )
    }

    /// Addresses of the output pixels of a tile; those outside the map are `zeros`.
    ///
    /// # Safety
    /// `map` holds the whole output with `channels` channels.
    #[inline(always)]
    unsafe fn output_pixels(
        &self,
        place: Place,
        map: *const f32,
        channels: usize,
        zeros: *const f32,
    ) -> [*const f32; TILE * TILE] {
        let [height, width] = self.output;
        let mut pixels = [zeros; TILE * TILE];
        for i in 0..TILE.min(height - place.y) {
            for j in 0..TILE.min(width - place.x) {
                let pixel = (place.image * height + place.y + i) * width + place.x + j;
                // SAFETY: the pixel lies on the map.
                pixels[i * TILE + j] = unsafe { map.add(pixel * channels) };
            }
        }
        pixels
    }
}
