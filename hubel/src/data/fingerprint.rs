//! Telling whether two pictures are the same one, byte for byte or by their looks.
//!
//! Looks are compared in two steps. A 64-bit perceptual hash (the signs of low frequencies of a cosine transform, as in
//! Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010) finds candidates among a million
//! pictures without comparing all pairs; a thumbnail of 16×16 then decides, since different pictures of planes in the sky, and
//! different handwritten ones, have equal hashes. All of it is computed in whole numbers, so every machine finds the same groups.
use std::sync::LazyLock;

use twox_hash::XxHash3_64;

use crate::Shape;

/// Cells of a thumbnail along each side.
const SIDE: usize = 16;
/// Cells of the chromatic thumbnail along each side.
const CHROMA_SIDE: usize = 4;
/// Hashes that differ in more bits than this are of different pictures without a look at the thumbnails.
const HASH_DISTANCE: u32 = 7;
/// Cells of a thumbnail.
const CELLS: u64 = (SIDE * SIDE) as u64;
/// A spread below that of a standard deviation of 3 levels is no structure.
const FLAT: u64 = CELLS * CELLS * 9;
/// Contrasts may differ by a factor of 1.5.
const CONTRAST_RATIO: f64 = 2.25;
/// Mean brightness may differ by this many levels.
const BRIGHTNESS: u32 = 40;
/// What may remain of a thumbnail, as a share of its variance.
const RESIDUAL: f64 = 0.02;
/// Colours may differ by this many levels in the mean.
const COLOUR: u32 = 8;

/// What a picture is recognised by. 328 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint {
    /// XXH3 of the file's bytes, or of a sample's pixels: the same on every machine and in every version.
    pub(crate) content: u64,
    look: Look,
}

/// What a picture looks like, without regard to its size and proportions.
#[derive(Clone, Copy, Debug)]
struct Look {
    hash: u64,
    /// Brightness, 16×16 means over equal areas.
    grey: [u8; SIDE * SIDE],
    /// Red and blue less brightness, 4×4 each.
    chroma: [i8; 2 * CHROMA_SIDE * CHROMA_SIDE],
    /// Sum of `grey`.
    sum: u32,
    /// n·Σgrey² − (Σgrey)², that is n² times the variance.
    spread: u64,
}

impl Fingerprint {
    /// The fingerprint of a picture: `content` is its file (or its pixels where there is no file) and `pixels` what was
    /// decoded from it, `[h, w, c]` of any size. One channel is grey and three are colours; of other numbers of channels
    /// the first is looked at.
    ///
    /// # Panics
    /// When `pixels` is not of `shape`, or `shape` holds nothing.
    pub(crate) fn new(content: &[u8], pixels: &[u8], shape: Shape) -> Self {
        Self {
            content: XxHash3_64::oneshot(content),
            look: Look::new(pixels, shape),
        }
    }

    /// The fingerprint of what does not look like anything: numbers that are no picture.
    pub(crate) fn of_content(content: &[u8]) -> Self {
        Self::new(content, &[0], Shape::new(1, 1, 1))
    }

    /// Whether both are the same picture, perhaps coded again, in another size, or a little brighter or darker.
    /// A picture without structure (all of one colour) looks like nothing but its equals byte for byte.
    pub(crate) fn is_near(&self, other: &Self) -> bool {
        self.content == other.content
            || ((self.look.hash ^ other.look.hash).count_ones() <= HASH_DISTANCE
                && self.look.is_near(&other.look))
    }
}

impl Look {
    fn new(pixels: &[u8], shape: Shape) -> Self {
        assert_eq!(pixels.len(), shape.len(), "pixels of another shape");
        assert!(!pixels.is_empty(), "a picture without pixels");
        let cells = cells(pixels, shape);
        let mut grey = [0; SIDE * SIDE];
        for (grey, cell) in grey.iter_mut().zip(&cells) {
            *grey = brightness(cell.map(u64::from)) as u8;
        }
        let mut chroma = [0; 2 * CHROMA_SIDE * CHROMA_SIDE];
        for (place, pair) in chroma.chunks_exact_mut(2).enumerate() {
            const STEP: usize = SIDE / CHROMA_SIDE;
            let (top, left) = (place / CHROMA_SIDE * STEP, place % CHROMA_SIDE * STEP);
            let mut means = [0; 3];
            for row in top..top + STEP {
                for cell in &cells[row * SIDE + left..][..STEP] {
                    means
                        .iter_mut()
                        .zip(cell)
                        .for_each(|(sum, &level)| *sum += u64::from(level));
                }
            }
            let means = means.map(|sum| sum / (STEP * STEP) as u64);
            let grey = brightness(means) as i32;
            pair[0] = ((means[0] as i32 - grey) / 2) as i8;
            pair[1] = ((means[2] as i32 - grey) / 2) as i8;
        }
        let sum: u32 = grey.iter().map(|&level| u32::from(level)).sum();
        let squares: u64 = grey.iter().map(|&level| u64::from(level).pow(2)).sum();
        Self {
            hash: hash(&grey),
            grey,
            chroma,
            sum,
            spread: CELLS * squares - u64::from(sum).pow(2),
        }
    }

    /// Whether what remains of one thumbnail after the best fit of the other in brightness and contrast is little, and
    /// brightness, contrast and colours are about the same.
    fn is_near(&self, other: &Self) -> bool {
        let (low, high) = (self.spread.min(other.spread), self.spread.max(other.spread));
        if low < FLAT
            || high as f64 > CONTRAST_RATIO * low as f64
            || self.sum.abs_diff(other.sum) > BRIGHTNESS * CELLS as u32
        {
            return false;
        }
        self.residual(other) <= RESIDUAL && self.colour_difference(other) <= COLOUR
    }

    /// 1 − r², r being the correlation of the thumbnails; 1 where they are opposites.
    fn residual(&self, other: &Self) -> f64 {
        let products: u64 = self
            .grey
            .iter()
            .zip(&other.grey)
            .map(|(&a, &b)| u64::from(a) * u64::from(b))
            .sum();
        // Whole numbers below 2⁵³ are exact as f64, and IEEE 754 rounds the rest in one way: the same on every machine.
        let together = (CELLS * products) as f64 - f64::from(self.sum) * f64::from(other.sum);
        if together <= 0.0 {
            return 1.0;
        }
        1.0 - together * together / (self.spread as f64 * other.spread as f64)
    }

    /// Mean difference of the colours, in levels.
    fn colour_difference(&self, other: &Self) -> u32 {
        let differences = self
            .chroma
            .iter()
            .zip(&other.chroma)
            .map(|(&a, &b)| u32::from(a.abs_diff(b)));
        2 * differences.sum::<u32>() / self.chroma.len() as u32
    }
}

/// Brightness by the weights of Rec. 709.
fn brightness([red, green, blue]: [u64; 3]) -> u64 {
    (2126 * red + 7152 * green + 722 * blue + 5000) / 10_000
}

/// Mean colours of 16×16 equal areas; a pixel on a border belongs to both sides by its share.
fn cells(pixels: &[u8], shape: Shape) -> Vec<[u8; 3]> {
    let channels = shape.channels;
    let colours = if channels == 3 { [0, 1, 2] } else { [0; 3] };
    let columns = areas(shape.width);
    let mut cells = Vec::with_capacity(SIDE * SIDE);
    for area in areas(shape.height) {
        let mut sums = [[0u64; 3]; SIDE];
        for line in area.first..=area.last {
            let weight = area.weight(line);
            let line = &pixels[line * shape.width * channels..][..shape.width * channels];
            for (sums, columns) in sums.iter_mut().zip(&columns) {
                let pixels = &line[columns.first * channels..(columns.last + 1) * channels];
                for (sum, colour) in sums.iter_mut().zip(colours) {
                    *sum += weight * columns.sum(pixels, channels, colour);
                }
            }
        }
        // Each pixel counts 16 × 16 in all, each area height × width.
        let area = (shape.height * shape.width) as u64;
        cells.extend(sums.map(|sums| sums.map(|sum| ((sum + area / 2) / area) as u8)));
    }
    cells
}

/// One of 16 equal lengths: which pixels it covers, and how much of the outermost is not covered, in sixteenths.
struct Area {
    first: usize,
    last: usize,
    before: u64,
    after: u64,
}

/// A line of `length` pixels divided into 16.
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
    /// How many sixteenths of a pixel belong to it.
    fn weight(&self, pixel: usize) -> u64 {
        let before = if pixel == self.first { self.before } else { 0 };
        let after = if pixel == self.last { self.after } else { 0 };
        SIDE as u64 - before - after
    }

    /// Sum of its pixels' levels, in sixteenths.
    fn sum(&self, pixels: &[u8], channels: usize, colour: usize) -> u64 {
        let all: u32 = pixels
            .iter()
            .skip(colour)
            .step_by(channels)
            .map(|&level| u32::from(level))
            .sum();
        let first = u64::from(pixels[colour]);
        let last = u64::from(pixels[pixels.len() - channels + colour]);
        SIDE as u64 * u64::from(all) - self.before * first - self.after * last
    }
}

/// The signs of the 64 lowest frequencies of the cosine transform (8×8 without the mean, and the next).
fn hash(grey: &[u8; SIDE * SIDE]) -> u64 {
    /// cos(π·k·(2x + 1)/32), times 2¹².
    static COSINES: LazyLock<[[i32; SIDE]; 9]> = LazyLock::new(|| {
        std::array::from_fn(|frequency| {
            std::array::from_fn(|place| {
                let angle =
                    std::f64::consts::PI * (frequency * (2 * place + 1)) as f64 / (2 * SIDE) as f64;
                (angle.cos() * 4096.0).round() as i32
            })
        })
    });
    let cosines = &*COSINES;
    let mut along = [[0i32; SIDE]; 9];
    for (row, line) in grey.chunks_exact(SIDE).enumerate() {
        for (frequency, cosines) in cosines.iter().enumerate() {
            along[frequency][row] = line
                .iter()
                .zip(cosines)
                .map(|(&level, &cosine)| i32::from(level) * cosine)
                .sum();
        }
    }
    let mut bits = 0;
    for frequency in 1..=64 {
        let (down, across) = if frequency == 64 {
            (0, 8)
        } else {
            (frequency / 8, frequency % 8)
        };
        let sum: i64 = along[across]
            .iter()
            .zip(&cosines[down])
            .map(|(&sum, &cosine)| i64::from(sum) * i64::from(cosine))
            .sum();
        bits = bits << 1 | u64::from(sum > 0);
    }
    bits
}

/// For each sample the first index of its group: samples are in one group when they are near-duplicates of each other,
/// or of others between them. The groups do not depend on the order of the samples.
///
/// Candidates are found as in Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing" (2012):
/// of two hashes that differ in up to 7 bits, one of the four quarters differs in at most one. So each quarter is
/// looked up as it is and with each of its bits turned.
pub(crate) fn near_duplicate_groups(fingerprints: &[Fingerprint]) -> Vec<usize> {
    let mut groups = Groups::new(fingerprints.len());
    // Equal contents first: only one of them needs to be looked for.
    let mut contents: Vec<u32> = (0..fingerprints.len() as u32).collect();
    let content = |index: u32| fingerprints[index as usize].content;
    contents.sort_unstable_by_key(|&index| (content(index), index));
    for same in contents.chunk_by(|&a, &b| content(a) == content(b)) {
        same.iter()
            .for_each(|&other| groups.join(same[0] as usize, other as usize));
    }
    contents.dedup_by_key(|index| content(*index));
    let hash = |index: u32| fingerprints[index as usize].look.hash;
    for quarter in 0..4 {
        let part = |hash: u64| (hash >> (16 * quarter)) as u16;
        contents.sort_unstable_by_key(|&index| (part(hash(index)), index));
        let parts: Vec<u16> = contents.iter().map(|&index| part(hash(index))).collect();
        let mut starts = vec![0u32; (1 << 16) + 1];
        parts
            .iter()
            .for_each(|&part| starts[usize::from(part) + 1] += 1);
        (0..1 << 16).for_each(|part| starts[part + 1] += starts[part]);
        for (place, (&index, &own)) in contents.iter().zip(&parts).enumerate() {
            let turned = (0..16)
                .map(|bit| own ^ 1 << bit)
                .filter(|&other| other > own)
                .map(usize::from);
            let equal = place + 1..starts[usize::from(own) + 1] as usize;
            for other in turned
                .map(|other| starts[other] as usize..starts[other + 1] as usize)
                .chain([equal])
            {
                for &other in &contents[other] {
                    let near = (hash(index) ^ hash(other)).count_ones() <= HASH_DISTANCE;
                    let (index, other) = (index as usize, other as usize);
                    if near
                        && groups.first(index) != groups.first(other)
                        && fingerprints[index].is_near(&fingerprints[other])
                    {
                        groups.join(index, other);
                    }
                }
            }
        }
    }
    (0..fingerprints.len())
        .map(|index| groups.first(index))
        .collect()
}

/// Disjoint sets, each known by its smallest member.
struct Groups {
    above: Vec<usize>,
}

impl Groups {
    fn new(count: usize) -> Self {
        Self {
            above: (0..count).collect(),
        }
    }

    fn first(&mut self, mut index: usize) -> usize {
        while self.above[index] != index {
            self.above[index] = self.above[self.above[index]];
            index = self.above[index];
        }
        index
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        self.above[one.max(other)] = one.min(other);
    }
}
