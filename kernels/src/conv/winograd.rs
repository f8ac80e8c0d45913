//! Winograd's fast convolution, F(4×4, 3×3): a 4×4 tile of the output from a 6×6 tile of the input by 36 products instead of 144.
//!
//! Tiles and weights are polynomials. Both are evaluated at the points 0, ±√½, ±√2 and ∞ along both axes (`transform`). The values at a point
//! form a plane. Planes are multiplied and summed over channels (`product`), and the results are interpolated (`transform`). These points
//! give about half the rounding error of the usual 0, ±1, ±2, ∞.
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
/// Planes of one half of the rows: a 6×6 tile is transformed by halves, because a whole one does not fit into the registers.
const HALF_PLANES: usize = PLANES / 2;
/// Floats of a cache line, left free between planes that would otherwise begin in the same set of the cache.
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
    /// Height and width of the map that is read.
    input: [usize; 2],
    /// Height and width of the map that is cut into tiles.
    output: [usize; 2],
    padding: [usize; 2],
    /// Tiles down and across.
    grid: [usize; 2],
    count: usize,
}

/// The first pixel of a tile on the output.
#[derive(Clone, Copy)]
struct TileOrigin {
    image: usize,
    y: usize,
    x: usize,
}

/// One of several equal shares.
#[derive(Clone, Copy)]
struct Share {
    index: usize,
    /// How many shares there are.
    of: usize,
}

/// The four rows of four pixels of a map that a tile is the first to read.
#[derive(Clone, Copy)]
struct TileWindow {
    /// Height, width and channels of the map.
    size: [usize; 3],
    /// Rows and columns from the tile's origin to the first of these pixels.
    shift: [usize; 2],
}

impl Tiles {
    /// Tiles of the output of `geometry`, which read its input.
    fn of_output(geometry: &Geometry) -> Self {
        Self::new(
            geometry.batch,
            geometry.input,
            geometry.output,
            geometry.padding,
        )
    }

    /// Tiles of the input of `geometry`, which read its output.
    fn of_input(geometry: &Geometry) -> Self {
        Self::new(
            geometry.batch,
            geometry.output,
            geometry.input,
            geometry.padding.map(|padding| 2 - padding),
        )
    }

    fn new(batch: usize, input: [usize; 3], output: [usize; 3], padding: [usize; 2]) -> Self {
        let [input, output] = [input, output].map(|[height, width, _]| [height, width]);
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
    fn origin(&self, tile: usize) -> TileOrigin {
        let of_image = self.grid[0] * self.grid[1];
        let within = tile % of_image;
        TileOrigin {
            image: tile / of_image,
            y: within / self.grid[1] * TILE,
            x: within % self.grid[1] * TILE,
        }
    }

    /// Addresses of the input pixels that a tile reads; those outside the map are `zeros`.
    ///
    /// # Safety
    /// The tile is one of these, and `map` is the whole input with `channels` channels.
    #[inline(always)]
    unsafe fn input_pixels(
        &self,
        origin: TileOrigin,
        map: *const f32,
        channels: usize,
        zeros: *const f32,
    ) -> [*const f32; PLANES] {
        let [height, width] = self.input;
        let mut pixels = [zeros; PLANES];
        for i in 0..POINTS {
            // Above the map the difference wraps around and is larger than any height.
            let y = (origin.y + i).wrapping_sub(self.padding[0]);
            if y >= height {
                continue;
            }
            for j in 0..POINTS {
                let x = (origin.x + j).wrapping_sub(self.padding[1]);
                if x < width {
                    let pixel = (origin.image * height + y) * width + x;
                    // SAFETY: row and column lie within the map, which is whole and has the tile's image.
                    pixels[i * POINTS + j] = unsafe { map.add(pixel * channels) };
                }
            }
        }
        pixels
    }

    /// Prefetches a share of the pixels of a map that `tiles` read and the tiles before them have not read.
    #[inline(always)]
    fn prefetch(&self, share: Share, tiles: &Range<usize>, map: *const f32, window: TileWindow) {
        let TileWindow {
            size: [height, width, channels],
            shift,
        } = window;
        let Share { index, of } = share;
        let rows = tiles.len() * TILE;
        for row in index * rows / of..(index + 1) * rows / of {
            let origin = self.origin(tiles.start + row / TILE);
            let (y, x) = (origin.y + shift[0] + row % TILE, origin.x + shift[1]);
            if y < height && x < width {
                let pixel = (origin.image * height + y) * width + x;
                let pixels = TILE.min(width - x);
                prefetch_far(map.wrapping_add(pixel * channels), pixels * channels);
            }
        }
    }

    /// The pixels of an input of `channels` channels that a tile is the first to read.
    fn input_window(&self, channels: usize) -> TileWindow {
        let [height, width] = self.input;
        TileWindow {
            size: [height, width, channels],
            shift: self.padding.map(|padding| 2 - padding),
        }
    }

    /// Addresses of the output pixels of a tile; those outside the map are `zeros`.
    ///
    /// # Safety
    /// The tile is one of these, and `map` is the whole output with `channels` channels.
    #[inline(always)]
    unsafe fn output_pixels(
        &self,
        origin: TileOrigin,
        map: *const f32,
        channels: usize,
        zeros: *const f32,
    ) -> [*const f32; TILE * TILE] {
        let [height, width] = self.output;
        let mut pixels = [zeros; TILE * TILE];
        for i in 0..TILE.min(height - origin.y) {
            for j in 0..TILE.min(width - origin.x) {
                let pixel = (origin.image * height + origin.y + i) * width + origin.x + j;
                // SAFETY: row and column lie within the map, which is whole and has the tile's image.
                pixels[i * TILE + j] = unsafe { map.add(pixel * channels) };
            }
        }
        pixels
    }
}
