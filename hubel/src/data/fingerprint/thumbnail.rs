//! Thumbnails so small that a million of them fit into memory.
use crate::Shape;

/// Cells of brightness along each side.
pub(super) const SIDE: usize = 32;
/// Cells of colour along each side; each covers 2×2 cells of brightness, as in most JPEGs.
pub(super) const COLOUR_SIDE: usize = SIDE / 2;

/// Mean brightness and colours over equal areas, independent of the picture's size and aspect ratio. 1.5 kB.
#[derive(Clone, Debug)]
pub(crate) struct Thumbnail {
    /// Brightness, 32×32.
    pub(super) grey: [u8; SIDE * SIDE],
    /// Half of red minus brightness and of blue minus brightness, 16×16 pairs.
    pub(super) colours: [[i8; 2]; COLOUR_SIDE * COLOUR_SIDE],
    /// The shorter side of the picture in pixels, at most 65,535.
    pub(super) side: u16,
}

impl Thumbnail {
    /// From `pixels` `[h, w, c]`. One channel is grey and three are colours; for other numbers of channels, only the first is used.
    ///
    /// # Panics
    /// If `pixels` does not fit `shape`, or `shape` is empty.
    pub(super) fn new(pixels: &[u8], shape: Shape) -> Self {
        assert_eq!(pixels.len(), shape.len(), "pixels of another shape");
        assert!(!pixels.is_empty(), "a picture without pixels");
        let cells = cells(pixels, shape);
        let mut grey = [0; SIDE * SIDE];
        for (grey, cell) in grey.iter_mut().zip(&cells) {
            *grey = brightness(cell.map(u64::from)) as u8;
        }
        let colours = std::array::from_fn(|place| {
            let (row, column) = (place / COLOUR_SIDE * 2, place % COLOUR_SIDE * 2);
            let four = [(0, 0), (0, 1), (1, 0), (1, 1)]
                .map(|(down, across)| cells[(row + down) * SIDE + column + across]);
            let mean = std::array::from_fn(|colour| {
                four.iter().map(|cell| u64::from(cell[colour])).sum::<u64>() / 4
            });
            let grey = brightness(mean) as i32;
            [mean[0], mean[2]].map(|level| ((level as i32 - grey) / 2) as i8)
        });
        Self {
            grey,
            colours,
            side: shape.height.min(shape.width).min(usize::from(u16::MAX)) as u16,
        }
    }

    /// Brightness in 16×16 cells.
    pub(super) fn coarse(&self) -> [u8; COLOUR_SIDE * COLOUR_SIDE] {
        std::array::from_fn(|place| {
            let (row, column) = (place / COLOUR_SIDE * 2, place % COLOUR_SIDE * 2);
            let cell = |down, across| u32::from(self.grey[(row + down) * SIDE + column + across]);
            ((cell(0, 0) + cell(0, 1) + cell(1, 0) + cell(1, 1) + 2) / 4) as u8
        })
    }
}

/// Brightness by the weights of Rec. 709.
fn brightness([red, green, blue]: [u64; 3]) -> u64 {
    (2126 * red + 7152 * green + 722 * blue + 5000) / 10_000
}

/// Mean colours of 32×32 equal areas; a pixel on a border counts for both sides by its share.
pub(super) fn cells(pixels: &[u8], shape: Shape) -> Vec<[u8; 3]> {
    let channels = shape.channels;
    let colours = if channels == 3 { 3 } else { 1 };
    let columns = areas(shape.width);
    let mut cells = Vec::with_capacity(SIDE * SIDE);
    // The last line read, which the next area may also need.
    let (mut of_line, mut read) = ([[0u64; 3]; SIDE], None);
    for area in areas(shape.height) {
        let mut sums = [[0u64; 3]; SIDE];
        for line in area.first..=area.last {
            if read.replace(line) != Some(line) {
                let line = &pixels[line * shape.width * channels..][..shape.width * channels];
                for (of_area, columns) in of_line.iter_mut().zip(&columns) {
                    let pixels = &line[columns.first * channels..(columns.last + 1) * channels];
                    for (colour, sum) in of_area[..colours].iter_mut().enumerate() {
                        *sum = columns.sum(pixels, channels, colour);
                    }
                }
            }
            let weight = area.weight(line);
            for (sum, part) in sums
                .as_flattened_mut()
                .iter_mut()
                .zip(of_line.as_flattened())
            {
                *sum += weight * part;
            }
        }
        // The weights of a pixel sum to 32 × 32, those of an area to height × width. Such a quotient is further from the next
        // integer than f64 rounds (for fewer than 2⁴⁵ pixels), and f64 divides faster.
        let area = (shape.height * shape.width) as u64;
        let mean = |sum: u64| ((sum + area / 2) as f64 / area as f64) as u8;
        cells.extend(sums.map(|sums| match colours {
            1 => [mean(sums[0]); 3],
            _ => sums.map(mean),
        }));
    }
    cells
}

/// One of 32 equal lengths: the pixels that it covers, and the uncovered parts of the outermost ones, in 32nds.
struct Area {
    first: usize,
    last: usize,
    before: u64,
    after: u64,
}

/// A line of `length` pixels divided into 32 parts.
fn areas(length: usize) -> [Area; SIDE] {
    std::array::from_fn(|index| {
        let (start, end) = (index * length, (index + 1) * length);
        let (first, last) = (start / SIDE, (end - 1) / SIDE);
        Area {
            first,
            last,
            before: (start - first * SIDE) as u64,
            after: ((last + 1) * SIDE - end) as u64,
        }
    })
}

impl Area {
    /// The share of a pixel in it, in 32nds.
    fn weight(&self, pixel: usize) -> u64 {
        let before = if pixel == self.first { self.before } else { 0 };
        let after = if pixel == self.last { self.after } else { 0 };
        SIDE as u64 - before - after
    }

    /// Sum of its pixels' levels, in 32nds.
    fn sum(&self, pixels: &[u8], channels: usize, colour: usize) -> u64 {
        // Faster than an iterator with a step.
        let (mut all, mut at) = (0, colour);
        while at < pixels.len() {
            all += u64::from(pixels[at]);
            at += channels;
        }
        let first = u64::from(pixels[colour]);
        let last = u64::from(pixels[pixels.len() - channels + colour]);
        SIDE as u64 * all - self.before * first - self.after * last
    }
}
