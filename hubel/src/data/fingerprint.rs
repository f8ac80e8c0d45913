//! Telling whether two pictures are the same one, byte for byte or by their looks.
//!
//! Looks are compared in two steps. A 64-bit perceptual hash (the signs of low frequencies of a cosine transform, as in
//! Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010) finds candidates among a million
//! pictures without comparing all pairs; a thumbnail of 16×16 then decides, since different pictures of planes in the sky, and
//! different handwritten ones, have equal hashes. All of it is computed in whole numbers and, in a fixed order, in f64, which IEEE 754
//! rounds in one way: every machine finds the same groups.
use std::sync::LazyLock;

use twox_hash::XxHash3_64;

use crate::Shape;
use crate::on_all_cores::on_all_cores;

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
/// Contrasts may differ by a factor of 1.5, their squares by 9/4.
const CONTRAST_RATIO_4: u64 = 9;
/// Mean brightness may differ by this many levels.
const BRIGHTNESS: u32 = 40;
/// What may remain of a thumbnail, as a share of its variance: of a thousand of CIFAR-10's pictures 916 are recognised when
/// they are coded again with JPEG's quality 50, and no two of its different pictures are taken for one.
const RESIDUAL: f64 = 0.02;
/// Where the structure is that of fewer cells than this, less may remain: of handwritten ones, which are a stroke of some
/// 25 cells, hundreds by different writers lie below [`RESIDUAL`], and none below what [`tolerance`] leaves.
const STRUCTURED_CELLS: f64 = 52.0;
/// Where there are no colours, which would have to agree too, this much of it may remain.
const WITHOUT_COLOUR: f64 = 0.5;
/// Levels of `chroma` up to which there is no colour.
const COLOURLESS: i8 = 2;
/// Colours may differ by this many levels in the mean.
const COLOUR: u32 = 8;

/// What a picture is recognised by. About 330 bytes.
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
    /// How much may remain between this thumbnail and one that is taken for the same.
    tolerance: f64,
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
            content: Self::content_of(content),
            look: Look::new(pixels, shape),
        }
    }

    /// The hash of contents, byte for byte.
    pub(crate) fn content_of(bytes: &[u8]) -> u64 {
        XxHash3_64::oneshot(bytes)
    }

    /// The fingerprint of what does not look like anything: numbers that are no picture.
    pub(crate) fn of_content(content: &[u8]) -> Self {
        Self::new(content, &[0], Shape::new(1, 1, 1))
    }

    /// Whether both are the same picture, perhaps coded again, in another size, or a little brighter or darker.
    /// A picture without structure (all of one colour) looks like nothing but its equals byte for byte.
    pub(crate) fn is_near(&self, other: &Self) -> bool {
        let differences = (self.look.hash ^ other.look.hash).count_ones();
        self.content == other.content
            || (differences <= HASH_DISTANCE && self.look.is_near(&other.look))
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
            tolerance: tolerance(&grey, sum, &chroma),
            grey,
            chroma,
            sum,
            spread: CELLS * squares - u64::from(sum).pow(2),
        }
    }

    /// Whether what remains of one thumbnail after the best fit of the other in brightness and contrast is little, and
    /// brightness, contrast and colours are about the same.
    fn is_near(&self, other: &Self) -> bool {
        self.light().is_near(other.light())
            && self.residual(other) <= self.tolerance.min(other.tolerance)
            && self.colour_difference(other) <= COLOUR
    }

    fn light(&self) -> Light {
        Light {
            sum: self.sum,
            spread: self.spread,
        }
    }

    /// 1 − r², r being the correlation of the thumbnails; 1 where they are opposites.
    fn residual(&self, other: &Self) -> f64 {
        let products = self.grey.iter().zip(&other.grey);
        let products: u32 = products.map(|(&a, &b)| u32::from(a) * u32::from(b)).sum();
        // Whole numbers below 2⁵³ are exact as f64, and IEEE 754 rounds the rest in one way: the same on every machine.
        let together =
            (CELLS * u64::from(products)) as f64 - f64::from(self.sum) * f64::from(other.sum);
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

/// Brightness and contrast of a thumbnail.
#[derive(Clone, Copy)]
struct Light {
    sum: u32,
    spread: u64,
}

impl Light {
    fn is_near(self, other: Self) -> bool {
        let (low, high) = (self.spread.min(other.spread), self.spread.max(other.spread));
        low >= FLAT
            && 4 * high <= CONTRAST_RATIO_4 * low
            && self.sum.abs_diff(other.sum) <= BRIGHTNESS * CELLS as u32
    }
}

/// [`RESIDUAL`], and less for a thumbnail without colours and for one whose structure is in few cells: their number is the
/// participation ratio (Σd²)²/Σd⁴ of the deviations d from the mean. `sum` is that of `grey`.
fn tolerance(grey: &[u8], sum: u32, chroma: &[i8]) -> f64 {
    let mean = f64::from(sum) / CELLS as f64;
    // Column by column, since one sum would wait for each of its additions.
    let (mut seconds, mut fourths) = ([0.0; SIDE], [0.0; SIDE]);
    for row in grey.chunks_exact(SIDE) {
        for (column, &level) in row.iter().enumerate() {
            let square = (f64::from(level) - mean) * (f64::from(level) - mean);
            seconds[column] += square;
            fourths[column] += square * square;
        }
    }
    let [second, fourth] = [seconds, fourths].map(|sums| sums.iter().sum::<f64>());
    let cells = if fourth > 0.0 {
        second * second / fourth
    } else {
        0.0
    };
    let share = (cells / STRUCTURED_CELLS).min(1.0);
    let is_grey = chroma.iter().all(|level| level.abs() <= COLOURLESS);
    let colour = if is_grey { WITHOUT_COLOUR } else { 1.0 };
    RESIDUAL * colour * share * share * share
}

/// Brightness by the weights of Rec. 709.
fn brightness([red, green, blue]: [u64; 3]) -> u64 {
    (2126 * red + 7152 * green + 722 * blue + 5000) / 10_000
}

/// Mean colours of 16×16 equal areas; a pixel on a border belongs to both sides by its share.
fn cells(pixels: &[u8], shape: Shape) -> Vec<[u8; 3]> {
    let channels = shape.channels;
    let colours = if channels == 3 { 3 } else { 1 };
    let columns = areas(shape.width);
    let mut cells = Vec::with_capacity(SIDE * SIDE);
    // Of the line read last, which the next area may need too.
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
        // Each pixel counts 16 × 16 in all, each area height × width. A quotient of such numbers lies further below the next whole
        // one than f64 rounds (for fewer than 2⁴⁵ pixels), and f64 divides faster.
        let area = (shape.height * shape.width) as u64;
        let mean = |sum: u64| ((sum + area / 2) as f64 / area as f64) as u8;
        cells.extend(sums.map(|sums| match colours {
            1 => [mean(sums[0]); 3],
            _ => sums.map(mean),
        }));
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

/// The signs of the 64 lowest frequencies of the cosine transform (8×8 without the mean, and the next).
fn hash(grey: &[u8; SIDE * SIDE]) -> u64 {
    /// cos(π·k·(2x + 1)/32), times 2¹².
    static COSINES: LazyLock<[[i16; SIDE]; 9]> = LazyLock::new(|| {
        std::array::from_fn(|frequency| {
            std::array::from_fn(|place| {
                let angle =
                    std::f64::consts::PI * (frequency * (2 * place + 1)) as f64 / (2 * SIDE) as f64;
                (angle.cos() * 4096.0).round() as i16
            })
        })
    });
    let cosines = &*COSINES;
    let mut along = [[0i32; SIDE]; 9];
    for (row, line) in grey.chunks_exact(SIDE).enumerate() {
        let line: [i16; SIDE] = std::array::from_fn(|column| i16::from(line[column]));
        for (frequency, cosines) in cosines.iter().enumerate() {
            along[frequency][row] = line
                .iter()
                .zip(cosines)
                .map(|(&level, &cosine)| i32::from(level) * i32::from(cosine))
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
    let candidates: Vec<Candidate> = contents
        .iter()
        .map(|&index| Candidate::new(index, &fingerprints[index as usize].look))
        .filter(|candidate| candidate.light.spread >= FLAT)
        .collect();
    let of_quarter = |quarter: usize| {
        let (mut groups, mut candidates) = (groups.clone(), candidates.clone());
        let part = |candidate: &Candidate| (candidate.hash >> (16 * quarter)) as u16;
        candidates.sort_unstable_by_key(|candidate| (part(candidate), candidate.index));
        let mut starts = vec![0usize; (1 << 16) + 1];
        candidates
            .iter()
            .for_each(|candidate| starts[usize::from(part(candidate)) + 1] += 1);
        (0..1 << 16).for_each(|part| starts[part + 1] += starts[part]);
        for (place, candidate) in candidates.iter().enumerate() {
            let own = part(candidate);
            let turned = (0..16)
                .map(|bit| own ^ 1 << bit)
                .filter(|&other| other > own)
                .map(usize::from);
            let equal = place + 1..starts[usize::from(own) + 1];
            for others in turned
                .map(|other| starts[other]..starts[other + 1])
                .chain([equal])
            {
                for other in &candidates[others] {
                    if !candidate.may_be(other, quarter) {
                        continue;
                    }
                    let (one, other) = (candidate.index as usize, other.index as usize);
                    if groups.first(one) != groups.first(other)
                        && fingerprints[one].is_near(&fingerprints[other])
                    {
                        groups.join(one, other);
                    }
                }
            }
        }
        groups
    };
    for mut found in on_all_cores(0..QUARTERS, of_quarter, |_| ()) {
        (0..fingerprints.len()).for_each(|index| groups.join(index, found.first(index)));
    }
    (0..fingerprints.len())
        .map(|index| groups.first(index))
        .collect()
}

/// A hash has four quarters of 16 bits.
const QUARTERS: usize = 4;

/// What decides whether two thumbnails are compared: small, so that many are passed quickly.
#[derive(Clone, Copy)]
struct Candidate {
    hash: u64,
    light: Light,
    index: u32,
}

impl Candidate {
    fn new(index: u32, look: &Look) -> Self {
        Self {
            hash: look.hash,
            light: look.light(),
            index,
        }
    }

    /// Whether the two have to be compared; `false` too when an earlier quarter has brought them together already.
    fn may_be(&self, other: &Self, quarter: usize) -> bool {
        let differences = self.hash ^ other.hash;
        let met = |earlier: usize| ((differences >> (16 * earlier)) as u16).count_ones() <= 1;
        differences.count_ones() <= HASH_DISTANCE
            && self.light.is_near(other.light)
            && !(0..quarter).any(met)
    }
}

/// Disjoint sets, each known by its smallest member.
#[derive(Clone)]
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

#[cfg(test)]
pub(crate) mod tests;
