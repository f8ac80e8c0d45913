//! Reads picture files once before they are used: finds unreadable files, and keeps the pixels that fit into memory.
use crate::data::blank::{Blanks, Contents};
use crate::data::catalogue::File;
use crate::data::files::Files;
use crate::data::fingerprint::Fingerprint;
use crate::data::ground::{Ground, Rim};
use crate::data::preparation::Unlike;
use crate::data::storage::moments;
use crate::data::tiff::{self, Levels};
use crate::data::transparency::{self, Contrast};
use crate::data::{BadFile, BadFiles, Dataset, Options, Pixels, Preparation, Reading, picture};
use crate::on_all_cores::on_all_cores;
use crate::{Cpu, Error, Result, Shape, memory};

/// Called occasionally with the number of files read and the total.
pub(super) type Listen<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// The result of reading picture files once.
pub(super) struct Read {
    /// The readable files, in order.
    pub(super) dataset: Dataset,
    /// The index of each of them among the files.
    pub(super) places: Vec<usize>,
    /// The unreadable files.
    pub(super) bad: Vec<BadFile>,
    /// Number of files that lost their colour.
    pub(super) greyed: usize,
    /// Number of files that are nearly black, see [`picture::is_dim`].
    pub(super) dim: usize,
    /// The detected ranges of files that do not say which value is white, see [`tiff::levels`].
    pub(super) levels: Vec<Levels>,
    /// Numbers of files with another background.
    pub(super) unlike: Unlike,
    /// The index and contrast of each file with transparent pixels.
    pub(super) transparent: Vec<(usize, Contrast)>,
    /// The blank pictures.
    pub(super) blanks: Blanks,
}

/// The facts from reading one file.
struct Seen {
    fingerprint: Fingerprint,
    moments: Vec<[u64; 2]>,
    resized: bool,
    greyed: bool,
    dim: bool,
    levels: Option<Levels>,
    inverted: bool,
    other_ground: bool,
    contrast: Option<Contrast>,
    contents: Contents,
}

/// Reads all `files` on all cores through `preparation`, and keeps the pixels of as many as fit into `cache` bytes. The result does not
/// depend on the number of cores. `policy` applies to files that become unreadable later.
///
/// # Errors
/// [`Error::DataMismatch`] for fewer than two classes; [`Error::Settings`] if the memory for `cache` is not free. A bad file is no
/// error.
pub(super) fn read(
    name: &str,
    classes: &[String],
    files: &[File],
    preparation: &Preparation,
    cache: usize,
    policy: BadFiles,
    listen: Listen<'_>,
) -> Result<Read> {
    let length = preparation.shape.len();
    let kept_rows = (cache / length).min(files.len());
    // For each picture, both when enlarged and when cropped or letterboxed.
    let threads = Cpu::available_threads().min(files.len());
    let at_work = threads.saturating_mul(2 * length);
    if let Some(free) = memory::available()
        && at_work > free
    {
        return Err(Error::Settings {
            problem: format!(
                "resizing pictures to {} on all cores needs {:.1} GB, but {:.1} GB are free; give a smaller `Options::shape`",
                preparation.shape,
                at_work as f64 / 1e9,
                free as f64 / 1e9
            ),
        });
    }
    if let Some(free) = memory::available()
        && kept_rows * length > free
    {
        return Err(Error::Settings {
            problem: format!(
                "decoded pictures would take {:.1} GB (`Options::cache`) and {:.1} GB are free; give less, or leave it out for half of that",
                (kept_rows * length) as f64 / 1e9,
                free as f64 / 1e9
            ),
        });
    }
    let mut kept = vec![0u8; kept_rows * length];
    let room = kept.chunks_exact_mut(length).map(Some);
    let room = room.chain(std::iter::repeat_with(|| None));
    let seen = on_all_cores(
        files.iter().zip(room),
        |(file, room)| examine(file, preparation, room),
        |done| listen(done, files.len()),
    );

    let (mut places, mut labels, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    let mut fingerprints = Vec::with_capacity(files.len());
    let mut all_moments = Vec::with_capacity(files.len() * preparation.shape.channels);
    let mut resized = Vec::with_capacity(files.len());
    let (mut greyed, mut dim, mut levels) = (0, 0, Vec::new());
    let mut unlike = Unlike::default();
    let (mut transparent, mut contents) = (Vec::new(), Vec::new());
    for (place, (seen, file)) in seen.into_iter().zip(files).enumerate() {
        match seen {
            Ok(seen) => {
                places.push(place);
                labels.push(file.label);
                fingerprints.push(seen.fingerprint);
                all_moments.extend(seen.moments);
                resized.push(seen.resized);
                greyed += usize::from(seen.greyed);
                dim += usize::from(seen.dim);
                levels.extend(seen.levels);
                unlike.inverted += usize::from(seen.inverted);
                unlike.other_ground += usize::from(seen.other_ground);
                transparent.extend(seen.contrast.map(|contrast| (place, contrast)));
                contents.push((file.label, seen.contents));
            }
            Err(error) => {
                // The row stays empty, because no data set uses it.
                fingerprints.push(Fingerprint::of_content(&[]));
                all_moments.extend(vec![[0; 2]; preparation.shape.channels]);
                resized.push(false);
                if !file.is_left_out {
                    bad.push(BadFile::new(&file.path, error));
                }
            }
        }
    }
    let files = Files::new(
        files.to_vec(),
        preparation.clone(),
        kept,
        all_moments,
        fingerprints,
        resized,
    );
    let reading = Reading {
        resize: preparation.resize,
        transparent: preparation.transparent,
        ground: preparation.ground,
        bad_files: policy,
        ..Reading::default()
    };
    let dataset = Dataset::of_files(
        name,
        classes.to_vec(),
        files,
        reading,
        places.clone(),
        labels,
    )?;
    Ok(Read {
        dataset,
        places,
        bad,
        greyed,
        dim,
        levels,
        unlike,
        transparent,
        blanks: Blanks::count(classes.len(), contents.into_iter()),
    })
}

/// Reads one file, and keeps its pixels if they fit.
fn examine(file: &File, preparation: &Preparation, room: Option<&mut [u8]>) -> Result<Seen> {
    let bytes = file.contents()?;
    let picture = picture::decode_whole(&bytes, &file.path)?;
    let greyed = preparation.shape.channels == 1 && picture.color().has_color();
    let dim = picture::is_dim(&picture);
    let channels = preparation.shape.channels;
    let contrast = Contrast::of(&picture, channels);
    let (pixels, shape) = preparation.opaque(picture)?;
    let fingerprint = Fingerprint::new(&bytes, &pixels, shape);
    let contents = Contents::of(&pixels, channels);
    let other_ground = preparation.stands_elsewhere(&pixels, shape);
    let (pixels, inverted) = preparation.brought(pixels, shape)?;
    if let Some(room) = room {
        room.copy_from_slice(&pixels);
    }
    Ok(Seen {
        fingerprint,
        moments: moments(&pixels, channels),
        resized: shape != preparation.shape,
        greyed,
        dim,
        levels: tiff::levels(&bytes),
        inverted,
        other_ground,
        contrast,
        contents,
    })
}

/// Facts about all pictures, estimated from some of them before reading.
pub(super) struct Survey {
    pictures: Vec<Surveyed>,
}

struct Surveyed {
    size: (usize, usize),
    has_color: bool,
    contrast: Option<Contrast>,
    /// Over each of [`transparency::LEVELS`].
    rims: [Rim; 3],
}

impl Survey {
    /// Examines a hundred of these files, evenly spread. If none of them is readable, the first readable one decides. If no file is readable,
    /// the later reading reports it.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if there are no files.
    pub(super) fn of(files: &[&File]) -> Result<Self> {
        if files.is_empty() {
            return Err(Error::DataMismatch("there are no pictures".into()));
        }
        let look = |file: &&File| {
            let picture = picture::decode_whole(&file.contents().ok()?, &file.path).ok()?;
            let has_color = picture.color().has_color();
            Some(Surveyed {
                size: (picture.height() as usize, picture.width() as usize),
                has_color,
                contrast: Contrast::of(&picture, if has_color { 3 } else { 1 }),
                rims: transparency::LEVELS.map(|behind| Rim::of_picture(&picture, behind)),
            })
        };
        let step = files.len().div_ceil(100).max(1);
        let sample = on_all_cores(files.iter().step_by(step), look, |_| ());
        let mut pictures: Vec<_> = sample.into_iter().flatten().collect();
        if pictures.is_empty() {
            pictures.extend(files.iter().find_map(look));
        }
        Ok(Self { pictures })
    }

    /// The level behind transparent pixels.
    pub(super) fn transparent(&self) -> Option<u8> {
        let pictures = self.pictures.iter();
        transparency::best_level(pictures.filter_map(|picture| picture.contrast.as_ref()))
    }

    /// The background of the pictures, with a level behind transparent pixels.
    pub(super) fn ground(&self, transparent: Option<u8>) -> Option<Ground> {
        let level = transparent.unwrap_or(transparency::WHITE);
        let place = transparency::LEVELS
            .iter()
            .position(|known| *known == level)?;
        let rims = self.pictures.iter().map(|picture| picture.rims[place]);
        Ground::common(&rims.collect::<Vec<_>>())
    }

    /// The shape at which pictures are kept for a network with this input: their own size if all have the same, and it is not larger.
    pub(super) fn shape_for(&self, input: Shape) -> Shape {
        let sizes = self.pictures.iter().map(|picture| picture.size);
        match own_size(sizes, input.height.min(input.width)) {
            Some((height, width)) => Shape::new(height, width, input.channels),
            None => input,
        }
    }

    /// Height and width of the median picture by area, with 1 channel if all are grey, else 3; `None` if no picture can be read.
    pub(super) fn middle(&self) -> Option<Shape> {
        let mut sizes: Vec<_> = self.pictures.iter().map(|picture| picture.size).collect();
        sizes.sort_unstable_by_key(|(height, width)| height * width);
        let (height, width) = *sizes.get(sizes.len() / 2)?;
        let has_color = self.pictures.iter().any(|picture| picture.has_color);
        Some(Shape::new(height, width, if has_color { 3 } else { 1 }))
    }

    /// The default shape at which pictures are read: their own size if all have the same and are small. Otherwise a square with the shorter
    /// side of the median picture, at most as large as `options` say. One channel if all are grey. Also returns a note if the shape
    /// is not their own size.
    pub(super) fn shape(&self, options: &Options) -> (Shape, Option<String>) {
        let Some(middle) = self.middle() else {
            return (Shape::new(1, 1, 1), None);
        };
        let Shape {
            height,
            width,
            channels,
            ..
        } = middle;
        let sizes = self.pictures.iter().map(|picture| picture.size);
        if let Some((height, width)) = own_size(sizes, options.largest_side) {
            return (Shape::new(height, width, channels), None);
        }
        let side = height.min(width).min(options.largest_side);
        let more = match side == options.largest_side {
            true => format!("; `shape = {0}x{0}x{channels}` would show more", 2 * side),
            false => String::new(),
        };
        let note =
            format!("pictures of about {width}×{height} pixels are resized to {side}×{side}{more}");
        (Shape::new(side, side, channels), Some(note))
    }
}

/// Height and width of all pictures, if they are equal and small.
pub(crate) fn own_size(
    mut sizes: impl Iterator<Item = (usize, usize)>,
    largest_side: usize,
) -> Option<(usize, usize)> {
    let first = sizes.next()?;
    (first.0.max(first.1) <= largest_side && sizes.all(|size| size == first)).then_some(first)
}

impl Dataset {
    /// The samples at `rows` of `files`.
    fn of_files(
        name: &str,
        classes: Vec<String>,
        files: Files,
        reading: Reading,
        rows: Vec<usize>,
        labels: Vec<usize>,
    ) -> Result<Self> {
        let shape = files.shape();
        let pixels = Pixels::Files(std::sync::Arc::new(files));
        let mut dataset = Self::new(name, classes, shape, pixels, labels)?;
        dataset.rows = rows;
        dataset.reading = Some(reading);
        Ok(dataset)
    }
}
