//! A contact sheet: one picture with the pictures of one training step, as the network sees them, and their classes.
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::data::mix::{Mix, partner};
use crate::data::{BadFile, Feed, Kind};
use crate::drawing::lettering::{HEIGHT as LINE, has_letters_for, width};
use crate::drawing::{Drawing, FAINT, INK};
use crate::film::{self, film};
use crate::{Error, Result, Shape, memory};

/// The settings of a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SheetSettings {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The step in the epoch, counted from 1.
    pub step: usize,
    /// Whether to show each picture before augmentation on its left.
    pub original: bool,
    /// The number of pictures to show, from the start of the step; `None` for all.
    pub count: Option<usize>,
}

/// A drawn sheet.
#[derive(Clone, Debug)]
pub struct Sheet {
    drawing: Drawing,
    pictures: Vec<Shown>,
    bad_files: Vec<BadFile>,
}

/// One picture of a sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Its index in the training data.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// Column and row of its upper left corner in the sheet.
    pub corner: (usize, usize),
    /// The enlargement: each of its pixels is a square of this side.
    pub factor: usize,
    /// The picture that it is mixed with, if pictures are [mixed](crate::data::Mixing).
    pub partner: Option<Partner>,
}

/// The picture that another one is mixed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Partner {
    /// Its index in the training data.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// Its share of the target; the other picture has the rest.
    pub share: f32,
}

/// Pictures are enlarged until their longer side has at least this many pixels.
const LEGIBLE: usize = 96;
/// Pixels between cells and around the sheet.
const GAP: usize = 12;
/// Pixels between a picture and the one before augmentation.
const SEAM: usize = 2;
/// Pixels between a picture and its label.
const ABOVE_TEXT: usize = 3;
/// A sheet is made wider for its title up to this width; a longer title is cut.
const TITLE: usize = 640;
/// Most pixels of a sheet; few programs would open a larger one.
const MOST_PIXELS: usize = 200_000_000;

impl Sheet {
    /// Draws the pictures of one training step on `feed`, with `title` above them.
    ///
    /// # Errors
    /// [`Error::Settings`] for a step or epoch that does not exist, for texts, and for a sheet that would be too large; as for [`Feed::fill`] for
    /// pictures that cannot be read.
    pub fn new(feed: &Feed, settings: SheetSettings, title: &str) -> Result<Self> {
        if feed.dataset().kind() == Kind::Texts {
            return Err(Error::Settings {
                problem: "texts are no pictures, and a sheet shows these".to_owned(),
            });
        }
        let mut draws = draws(feed, settings)?;
        let shape = feed.preparation().shape;
        let count = settings
            .count
            .map_or(draws.len(), |count| count.min(draws.len()));
        // A clip is drawn with all its frames.
        let film_shape = film::shape(shape);
        let layout = Layout::new(film_shape, count, settings.original);
        layout.check()?;
        memory::check(draws.len() * shape.len() * size_of::<f32>(), draws.len())?;
        let mut tensors = vec![0.0; draws.len() * shape.len()];
        // The same call as in training, which also chooses the replacement for a picture that can no longer be read.
        let bad_files = feed.fill(settings.epoch, &mut draws, &mut tensors)?;
        let mixture = feed.mixture(settings.epoch, settings.step - 1);
        let partners: Vec<Option<Partner>> = (0..count)
            .map(|place| partner_of(feed, &draws, place, mixture?))
            .collect();
        if mixture.is_none() {
            draws.truncate(count);
            tensors.truncate(count * shape.len());
        }
        let mut seen = pixels(feed, settings.epoch, &draws, &tensors)?;
        if let Some(mixture) = mixture {
            seen = mixed(&seen, mixture, shape);
        }
        draws.truncate(count);
        tensors.truncate(count * shape.len());
        let originals = match settings.original {
            true => {
                feed.fill(0, &mut draws.clone(), &mut tensors)?;
                pixels(feed, 0, &draws, &tensors)?
            }
            false => Vec::new(),
        };

        let (columns, rows) = layout.size();
        // A few small pictures need less space than the title above them.
        let columns = columns.max(width(title).min(TITLE) + 2 * GAP);
        let mut drawing = Drawing::blank(columns, rows);
        let room = columns - 2 * GAP;
        drawing.write((GAP, GAP), room, title, INK);
        let mut pictures = Vec::new();
        for (place, (&draw, pixels)) in draws.iter().zip(&seen).enumerate() {
            let (left, top) = layout.corner(place);
            let mut corner = (left, top);
            if let Some(original) = originals.get(place) {
                drawing.put(corner, &film(original, shape), film_shape, layout.factor);
                corner.0 += film_shape.width * layout.factor + SEAM;
            }
            drawing.put(corner, &film(pixels, shape), film_shape, layout.factor);
            let (index, label) = (feed.index(draw), feed.label(draw));
            let text = top + film_shape.height * layout.factor + ABOVE_TEXT;
            let classes = feed.dataset().classes();
            let mut class = class_text(label, &classes[label]);
            let partner = partners[place];
            if let Some(Partner { label, share, .. }) = partner {
                let other = class_text(label, &classes[label]);
                let own = 1.0 - share;
                class = format!("{own:.2} {class} + {share:.2} {other}");
            }
            drawing.write((left, text), layout.cell, &class, INK);
            let index_text = index_text(feed, index);
            drawing.write((left, text + LINE), layout.cell, &index_text, FAINT);
            pictures.push(Shown {
                index,
                label,
                corner,
                factor: layout.factor,
                partner,
            });
        }
        Ok(Self {
            drawing,
            pictures,
            bad_files,
        })
    }

    /// The pictures, in the order of the step.
    pub fn pictures(&self) -> &[Shown] {
        &self.pictures
    }

    /// Pictures that could no longer be read and were replaced by others.
    pub fn bad_files(&self) -> &[BadFile] {
        &self.bad_files
    }

    /// The sheet as a drawing.
    pub fn drawing(&self) -> &Drawing {
        &self.drawing
    }
}

/// The pictures to draw.
fn draws(feed: &Feed, settings: SheetSettings) -> Result<Vec<usize>> {
    match settings.count {
        Some(0) => Err(Error::Settings {
            problem: "a sheet of 0 pictures shows nothing".to_owned(),
        }),
        _ => feed.draws(settings.epoch, settings.step),
    }
}

/// The bytes of each picture; `f32` values are scaled to all levels, by one scale for all pictures.
fn pixels(feed: &Feed, epoch: usize, draws: &[usize], tensors: &[f32]) -> Result<Vec<Vec<u8>>> {
    let (least, most) = (tensors.iter()).fold((f32::MAX, f32::MIN), |(least, most), &value| {
        (least.min(value), most.max(value))
    });
    let range = (most - least).max(f32::MIN_POSITIVE);
    let level = |value: &f32| ((value - least) / range * 255.0).round() as u8;
    let tensors = tensors.chunks_exact(feed.preparation().shape.len());
    (draws.iter().zip(tensors))
        .map(|(&draw, tensor)| {
            let bytes = feed.pixels(epoch, draw)?;
            Ok(bytes.unwrap_or_else(|| tensor.iter().map(level).collect()))
        })
        .collect()
}

/// The partner of the picture at `place` in its batch; `None` if that is the picture itself.
fn partner_of(feed: &Feed, draws: &[usize], place: usize, mixture: Mix) -> Option<Partner> {
    let other = partner(place, draws.len());
    (other != place).then(|| Partner {
        index: feed.index(draws[other]),
        label: feed.label(draws[other]),
        share: 1.0 - mixture.share(),
    })
}

/// The pictures of a batch, mixed. Training mixes after normalisation, which gives the same up to rounding to whole levels.
fn mixed(pictures: &[Vec<u8>], mixture: Mix, shape: Shape) -> Vec<Vec<u8>> {
    let mut values: Vec<f32> = pictures.concat().into_iter().map(f32::from).collect();
    mixture.pictures(&mut values, shape);
    let levels = |picture: &[f32]| picture.iter().map(|value| value.round() as u8).collect();
    values.chunks_exact(shape.len()).map(levels).collect()
}

/// The layout.
struct Layout {
    factor: usize,
    /// Width of a cell without the gap beside it, and height of a cell with the gap below it.
    cell: usize,
    height: usize,
    columns: usize,
    rows: usize,
}

impl Layout {
    fn new(shape: Shape, count: usize, original: bool) -> Self {
        let factor = LEGIBLE.div_ceil(shape.height.max(shape.width));
        let picture = shape.width * factor;
        let pictures = if original {
            2 * picture + SEAM
        } else {
            picture
        };
        let cell = pictures.max(LEGIBLE);
        let height = shape.height * factor + ABOVE_TEXT + 2 * LINE + GAP;
        // About 4 to 3, like screens.
        let columns = (count as f64 * height as f64 / (cell + GAP) as f64 * 4.0 / 3.0).sqrt();
        let columns = (columns.round() as usize).clamp(1, count);
        Self {
            factor,
            cell,
            height,
            columns,
            rows: count.div_ceil(columns),
        }
    }

    /// Width and height of the sheet.
    fn size(&self) -> (usize, usize) {
        let width = GAP + self.columns * (self.cell + GAP);
        let height = 2 * GAP + LINE + self.rows * self.height;
        (width, height)
    }

    /// Column and row of the upper left corner of a cell.
    fn corner(&self, place: usize) -> (usize, usize) {
        let (row, column) = (place / self.columns, place % self.columns);
        let left = GAP + column * (self.cell + GAP);
        (left, 2 * GAP + LINE + row * self.height)
    }

    fn check(&self) -> Result<()> {
        let (width, height) = self.size();
        if width.saturating_mul(height) <= MOST_PIXELS {
            return Ok(());
        }
        Err(Error::Settings {
            problem: format!(
                "a sheet of all pictures of this step would have {width}×{height} pixels; show fewer of them"
            ),
        })
    }
}

/// The class's name, preceded by its number if the font lacks letters of the name.
fn class_text(label: usize, name: &str) -> String {
    if has_letters_for(name) {
        name.to_owned()
    } else {
        format!("{label} {name}")
    }
}

/// `#17 cat.jpg`, or only the index if there is no file.
fn index_text(feed: &Feed, index: usize) -> String {
    let name = (feed.dataset().path(index)).and_then(Path::file_name);
    match name {
        Some(name) => format!("#{index} {}", name.to_string_lossy()),
        None => format!("#{index}"),
    }
}
