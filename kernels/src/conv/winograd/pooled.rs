//! Tiles of a map that is pooled by 2×2 windows as it is written, or for which a pooled gradient stands.
use super::transform::Pixels;
use super::{PLANES, POINTS, Place, TILE, Tiles};
use crate::map::{PooledTarget, Source};
use crate::pool::Winner;
use crate::simd::{Simd, load};

/// The N pixels of a tile of `ROW` columns, for which a pooled gradient stands.
pub(super) struct Expanded<const N: usize, const ROW: usize> {
    /// The pooled number of each pixel's window; zeros outside.
    numbers: [*const f32; N],
    winners: [*const Winner; N],
    /// The place in its window of the tile's first pixel, its right neighbour, and of those below.
    places: [Winner; 4],
}

impl<const N: usize, const ROW: usize> Pixels<N> for Expanded<N, ROW> {
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, simd: S, i: usize, channel: usize, n: usize) -> S::Vector {
        let place = self.places[i / ROW % 2 * 2 + i % ROW % 2];
        // SAFETY: the caller's promise.
        unsafe {
            let value = load(simd, n, self.numbers[i].add(channel));
            simd.select_byte(n, self.winners[i].add(channel), place, value)
        }
    }
}

impl<const N: usize, const ROW: usize> Expanded<N, ROW> {
    /// The pixels from `first` on, which may wrap round to before the map of `size` (twice the pooled one).
    ///
    /// # Safety
    /// `numbers` and `winners` are pooled maps with `channels` channels, and there are `channels` zeros.
    #[inline(always)]
    unsafe fn new(
        size: [usize; 2],
        image: usize,
        first: [usize; 2],
        [numbers, zeros]: [*const f32; 2],
        winners: *const Winner,
        channels: usize,
    ) -> Self {
        // Bytes of zeros are winners as good as any for numbers that are zero.
        let mut pixels = Self {
            numbers: [zeros; N],
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
                    // SAFETY: the window lies on the pooled map.
                    unsafe {
                        pixels.numbers[i * ROW + j] = numbers.add(pixel * channels);
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
    /// `map` is the tiles' input with `channels` channels, and there are `channels` zeros.
    #[inline(always)]
    pub(super) unsafe fn expanded_input(
        &self,
        place: Place,
        map: Source,
        winners: &[Winner],
        channels: usize,
        zeros: *const f32,
    ) -> Expanded<PLANES, POINTS> {
        let first = [
            place.y.wrapping_sub(self.padding[0]),
            place.x.wrapping_sub(self.padding[1]),
        ];
        let numbers = [map.values.as_ptr(), zeros];
        let (size, winners) = (self.input, winners.as_ptr());
        // SAFETY: the caller's promise.
        unsafe { Expanded::new(size, place.image, first, numbers, winners, channels) }
    }

    /// The pixels of the output that a tile covers.
    ///
    /// # Safety
    /// `map` is the tiles' output with `channels` channels, and there are `channels` zeros.
    #[inline(always)]
    pub(super) unsafe fn expanded_output(
        &self,
        place: Place,
        map: Source,
        winners: &[Winner],
        channels: usize,
        zeros: *const f32,
    ) -> Expanded<{ TILE * TILE }, TILE> {
        let first = [place.y, place.x];
        let numbers = [map.values.as_ptr(), zeros];
        let (size, winners) = (self.output, winners.as_ptr());
        // SAFETY: the caller's promise.
        unsafe { Expanded::new(size, place.image, first, numbers, winners, channels) }
    }

    /// Pools a tile of the output and writes the first `lanes` lanes of its windows, which begin with `channel` of `channels`.
    ///
    /// # Safety
    /// `target` is the pooled output, and no other thread touches these numbers.
    #[inline(always)]
    pub(super) unsafe fn store_pooled<S: Simd>(
        &self,
        simd: S,
        place: Place,
        tile: &[[S::Vector; TILE]; TILE],
        target: PooledTarget,
        [channel, channels]: [usize; 2],
        lanes: usize,
    ) {
        let [height, width] = self.output.map(|size| size / 2);
        for y in 0..TILE / 2 {
            for x in 0..TILE / 2 {
                let (down, across) = (place.y / 2 + y, place.x / 2 + x);
                if down < height && across < width {
                    let pixel = (place.image * height + down) * width + across;
                    let window = [0, 1, 2, 3].map(|i| tile[2 * y + i / 2][2 * x + i % 2]);
                    // SAFETY: the window lies on the map; the rest is the caller's promise.
                    unsafe { target.store(simd, window, pixel * channels + channel, lanes) };
                }
            }
        }
    }
}
