//! Tiles of a map that is pooled by 2×2 windows before it is written, and tiles of a pooled gradient, which is expanded on load.
use super::transform::Pixels;
use super::{PLANES, POINTS, TILE, TileOrigin, Tiles};
use crate::map::PooledTarget;
use crate::pool::Winner;
use crate::simd::{Simd, load};

/// The gradient of a pooled map.
#[derive(Clone, Copy)]
pub(super) struct PooledGradient {
    values: *const f32,
    winners: *const Winner,
    channels: usize,
    /// Read instead of pixels outside the map.
    zeros: *const f32,
}

impl PooledGradient {
    #[inline(always)]
    pub(super) fn new(
        values: &[f32],
        winners: &[Winner],
        channels: usize,
        zeros: *const f32,
    ) -> Self {
        Self {
            values: values.as_ptr(),
            winners: winners.as_ptr(),
            channels,
            zeros,
        }
    }
}

/// Some of a map's channels: `lanes` from `first` on.
#[derive(Clone, Copy)]
pub(super) struct ChannelVector {
    pub(super) first: usize,
    pub(super) lanes: usize,
    /// Channels of the map.
    pub(super) all: usize,
}

/// The N pixels of a tile of `ROW` columns of an expanded gradient.
pub(super) struct Expanded<const N: usize, const ROW: usize> {
    /// The pooled gradient of each pixel's window; zeros outside the map.
    values: [*const f32; N],
    winners: [*const Winner; N],
    /// The places in their windows of the tile's first pixel, its right neighbour, and the two below.
    places: [Winner; 4],
}

impl<const N: usize, const ROW: usize> Pixels<N> for Expanded<N, ROW> {
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, i: usize, channel: usize, n: usize) -> S::Vector {
        let place = self.places[i / ROW % 2 * 2 + i % ROW % 2];
        // SAFETY: value and winner of each pixel are those of a window with these channels, or zeros for as many.
        unsafe {
            let value = load(simd, n, self.values[i].add(channel));
            simd.select_byte(n, self.winners[i].add(channel), place, value)
        }
    }
}

impl<const N: usize, const ROW: usize> Expanded<N, ROW> {
    /// The pixels from row and column `first` on of a map of `size`, twice the pooled one. `first` may have wrapped around to before the map.
    ///
    /// # Safety
    /// The pooled gradient is whole and has the image, as many winners as values, and zeros for all its channels.
    #[inline(always)]
    unsafe fn new(size: [usize; 2], image: usize, first: [usize; 2], map: PooledGradient) -> Self {
        let PooledGradient {
            values,
            winners,
            channels,
            zeros,
        } = map;
        // The winner of a zero does not matter, so that the bytes of the zeros serve as winners too.
        let mut pixels = Self {
            values: [zeros; N],
            winners: [zeros.cast(); N],
            places: [0, 1, 2, 3].map(|i: usize| {
                let [y, x] = [first[0].wrapping_add(i / 2), first[1].wrapping_add(i)];
                (y % 2 * 2 + x % 2) as Winner
            }),
        };
        let [height, width] = size;
        for i in 0..N / ROW {
            let y = first[0].wrapping_add(i);
            if y >= height {
                continue;
            }
            for j in 0..ROW {
                let x = first[1].wrapping_add(j);
                if x < width {
                    let pixel = (image * (height / 2) + y / 2) * (width / 2) + x / 2;
                    // SAFETY: row and column lie within the map, so their window lies within the pooled one.
                    unsafe {
                        pixels.values[i * ROW + j] = values.add(pixel * channels);
                        pixels.winners[i * ROW + j] = winners.add(pixel * channels);
                    }
                }
            }
        }
        pixels
    }
}

impl Tiles {
    /// The pixels that a tile reads.
    ///
    /// # Safety
    /// The tile is one of these, and `map` is the whole gradient of the pooled input, with as many winners and zeros for all channels.
    #[inline(always)]
    pub(super) unsafe fn expanded_input(
        &self,
        origin: TileOrigin,
        map: PooledGradient,
    ) -> Expanded<PLANES, POINTS> {
        let first = [
            origin.y.wrapping_sub(self.padding[0]),
            origin.x.wrapping_sub(self.padding[1]),
        ];
        // SAFETY: the map is whole and has the tile's image.
        unsafe { Expanded::new(self.input, origin.image, first, map) }
    }

    /// The pixels of the output that a tile covers.
    ///
    /// # Safety
    /// The tile is one of these, and `map` is the whole gradient of the pooled output, with as many winners and zeros for all channels.
    #[inline(always)]
    pub(super) unsafe fn expanded_output(
        &self,
        origin: TileOrigin,
        map: PooledGradient,
    ) -> Expanded<{ TILE * TILE }, TILE> {
        // SAFETY: the map is whole and has the tile's image.
        unsafe { Expanded::new(self.output, origin.image, [origin.y, origin.x], map) }
    }

    /// Pools some channels of a tile of the output and writes its windows.
    ///
    /// # Safety
    /// The tile is one of these, `target` is the whole pooled output and has the channels, and no other thread accesses these elements.
    #[inline(always)]
    pub(super) unsafe fn store_pooled<S: Simd>(
        &self,
        simd: S,
        origin: TileOrigin,
        tile: &[[S::Vector; TILE]; TILE],
        target: PooledTarget,
        channels: ChannelVector,
    ) {
        let [height, width] = self.output.map(|size| size / 2);
        for y in 0..TILE / 2 {
            for x in 0..TILE / 2 {
                let (down, across) = (origin.y / 2 + y, origin.x / 2 + x);
                if down < height && across < width {
                    let pixel = (origin.image * height + down) * width + across;
                    let window = [0, 1, 2, 3].map(|i| tile[2 * y + i / 2][2 * x + i % 2]);
                    let at = pixel * channels.all + channels.first;
                    // SAFETY: row and column lie within the pooled map, which has the channels; only this thread accesses them.
                    unsafe { target.store(simd, window, at, channels.lanes) };
                }
            }
        }
    }
}
