//! Examines each picture once, and keeps what was found but not the picture.
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat};

use crate::Result;
use crate::check::damage::Damage;
use crate::data::blank::Contents;
use crate::data::catalogue::{Catalogue, ClassFolder, File, Part};
use crate::data::clip::Examined;
use crate::data::ending::missing_end;
use crate::data::fingerprint::Fingerprint;
use crate::data::grey::is_grey;
use crate::data::tiff::{self, Levels};
use crate::data::transparency::{Contrast, WHITE, best_level};
use crate::data::{Kind, Splits, clip, picture};
use crate::on_all_cores::on_all_cores;

/// All pictures of a data set.
pub(super) struct Samples {
    pub(super) all: Vec<Sample>,
    pub(super) classes: Vec<String>,
    /// The splits of the data; empty if it is not divided.
    pub(super) parts: Vec<Part>,
    /// The level behind transparent pixels; `None` if no picture has any.
    pub(super) transparent: Option<u8>,
    /// What they are.
    pub(super) kind: Kind,
    /// The folders of the classes; empty if they have none.
    folders: Vec<ClassFolder>,
}

/// The facts about one picture.
pub(super) struct Sample {
    /// Its path, or its index in an array.
    pub(super) name: String,
    pub(super) label: usize,
    pub(super) part: Option<Part>,
    pub(super) seen: Seen,
}

/// The result of examining a picture.
pub(super) enum Seen {
    Whole(Facts),
    Damaged(Damage),
}

/// A usable picture.
pub(super) struct Facts {
    pub(super) fingerprint: Fingerprint,
    /// In pixels, after EXIF rotation.
    pub(super) height: usize,
    /// In pixels, after EXIF rotation.
    pub(super) width: usize,
    /// Whether it has no colour.
    pub(super) is_grey: bool,
    /// Whether it is nearly black, see [`picture::is_dim`].
    pub(super) is_dim: bool,
    /// The detected range of its values, see [`tiff::levels`].
    pub(super) levels: Option<Levels>,
    /// Its appearance, for comparisons.
    pub(super) contents: Contents,
    /// How much of it is visible over each level, if it has transparent pixels.
    pub(super) contrast: Option<Contrast>,
    /// Its EXIF rotation, if any.
    pub(super) turned: Option<Orientation>,
    /// The format of its contents, if its extension says another.
    pub(super) wrong_extension: Option<ImageFormat>,
    /// What is unusual about the numbers of a clip's frames.
    pub(super) odd_frames: Option<String>,
}

impl Facts {
    /// Those of a sample whose pixels are not looked at.
    pub(super) fn unseen(fingerprint: Fingerprint) -> Self {
        Self {
            fingerprint,
            height: 1,
            width: 1,
            is_grey: true,
            is_dim: false,
            levels: None,
            contents: Contents::Some,
            contrast: None,
            turned: None,
            wrong_extension: None,
            odd_frames: None,
        }
    }
}

impl Samples {
    /// Examines all files of a catalogue.
    pub(super) fn of_files(catalogue: &Catalogue, listen: &(dyn Fn(usize, usize) + Sync)) -> Self {
        let files = &catalogue.files;
        let look = match catalogue.kind {
            Kind::Clips => look_at_clip,
            _ => |path: &Path| look(path, None),
        };
        let seen = on_all_cores(
            files.iter(),
            |file| look(&file.path),
            |done| listen(done, files.len()),
        );
        let sample = |(file, seen): (&File, Seen)| Sample {
            name: file.path.to_string_lossy().into_owned(),
            label: file.label,
            part: file.part,
            seen,
        };
        let parts = [Part::Train, Part::Validation, Part::Test].into_iter();
        let mut samples = Self {
            all: files.iter().zip(seen).map(sample).collect(),
            classes: catalogue.classes.clone(),
            parts: parts
                .filter(|part| catalogue.count(Some(*part)) > 0)
                .collect(),
            transparent: None,
            kind: catalogue.kind,
            folders: catalogue.folders.clone(),
        };
        samples.lay_over_one_ground(files);
        samples
    }

    /// The recordings of a catalogue.
    #[cfg(feature = "sound")]
    pub(super) fn of_recordings(catalogue: &Catalogue, all: Vec<Sample>) -> Self {
        let parts = [Part::Train, Part::Validation, Part::Test].into_iter();
        Self {
            all,
            classes: catalogue.classes.clone(),
            parts: parts
                .filter(|part| catalogue.count(Some(*part)) > 0)
                .collect(),
            transparent: None,
            kind: Kind::Sounds,
            folders: catalogue.folders.clone(),
        }
    }

    /// What one sample is called.
    pub(super) fn noun(&self) -> &'static str {
        self.kind.one()
    }

    /// Examines transparent pictures again, over the level chosen for all training pictures.
    fn lay_over_one_ground(&mut self, files: &[File]) {
        let learnt = |sample: &Sample| !sample.part.is_some_and(Part::is_held_out);
        let learnt = self.whole().filter(|(sample, _)| learnt(sample));
        self.transparent = best_level(learnt.filter_map(|(_, facts)| facts.contrast.as_ref()));
        let Some(level) = self.transparent else {
            return;
        };
        let again = self.all.iter_mut().zip(files).filter(|(sample, _)| {
            let of = |facts: &Facts| facts.contrast.is_some_and(|own| own.level() != level);
            matches!(&sample.seen, Seen::Whole(facts) if of(facts))
        });
        let again: Vec<_> = again.collect();
        on_all_cores(
            again.into_iter(),
            |(sample, file)| sample.seen = look(&file.path, Some(level)),
            |_| (),
        );
    }

    /// Examines all pictures of arrays.
    pub(super) fn of_arrays(splits: &Splits) -> Result<Self> {
        let mut samples = Self {
            all: Vec::new(),
            classes: splits.train.classes().to_vec(),
            parts: Vec::new(),
            transparent: None,
            kind: splits.train.kind(),
            folders: Vec::new(),
        };
        for (part, dataset) in splits.parts() {
            samples.parts.push(part);
            let shape = dataset.shape();
            for (index, fingerprint) in dataset.fingerprints().into_iter().enumerate() {
                let pixels = dataset.bytes(index)?;
                let pixels = pixels.as_deref();
                let is_grey = pixels.is_none_or(|pixels| shape.channels != 3 || is_grey(pixels));
                let contents = pixels.map(|pixels| Contents::of(pixels, shape.channels));
                samples.all.push(Sample {
                    name: match dataset.text(index) {
                        Some(_) => dataset.name_of(index),
                        None => format!("{}:{index}", array_name(part)),
                    },
                    label: dataset.labels()[index],
                    part: Some(part),
                    seen: Seen::Whole(Facts {
                        fingerprint,
                        height: shape.height,
                        width: shape.width,
                        is_grey,
                        is_dim: false,
                        levels: None,
                        contents: contents.unwrap_or(Contents::Some),
                        contrast: None,
                        turned: None,
                        wrong_extension: None,
                        odd_frames: None,
                    }),
                });
            }
        }
        // Only texts have any. Their class does not matter.
        let bad = splits.bad_files.iter();
        let bad = bad.map(|bad| (bad.path.to_string_lossy().into_owned(), bad.problem.clone()));
        let empty = splits.empty_texts.iter();
        let empty = empty.map(|name| (name.clone(), "it is empty".to_owned()));
        samples
            .all
            .extend(bad.chain(empty).map(|(name, why)| Sample {
                name,
                label: 0,
                part: Some(Part::Train),
                seen: Seen::Damaged(Damage::Unreadable(why)),
            }));
        Ok(samples)
    }

    /// The usable pictures.
    pub(super) fn whole(&self) -> impl Iterator<Item = (&Sample, &Facts)> {
        self.all.iter().filter_map(|sample| match &sample.seen {
            Seen::Whole(facts) => Some((sample, facts)),
            Seen::Damaged(_) => None,
        })
    }

    /// Number of pictures with transparent pixels.
    pub(super) fn transparent_count(&self) -> usize {
        let transparent = self.whole().filter(|(_, facts)| facts.contrast.is_some());
        transparent.count()
    }

    /// The folders of a class in the wanted splits, or all folders if the data is not divided. Empty if the class has none.
    pub(super) fn folders(&self, class: &str, wanted: impl Fn(Part) -> bool) -> Vec<String> {
        let of_class = self.folders.iter().filter(|folder| {
            self.classes[folder.label] == class && folder.part.is_none_or(&wanted)
        });
        let mut paths: Vec<&PathBuf> = of_class.map(|folder| &folder.path).collect();
        paths.sort();
        let names = paths.iter().map(|path| path.to_string_lossy());
        names.map(|name| name.into_owned()).collect()
    }
}

/// The name of a split in the names of pictures in arrays.
pub(crate) fn array_name(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Validation => "validation",
        Part::Test => "test",
    }
}

/// Examines one clip: that its frames can be read, and that there are several.
fn look_at_clip(path: &Path) -> Seen {
    match clip::examine(path) {
        Err(error) => Seen::Damaged(Damage::Unreadable(error.without_path())),
        Ok(Examined {
            content,
            size: (height, width),
            remark,
        }) => Seen::Whole(Facts {
            // Clips that differ in their motion may look alike, so only equal files are found.
            height,
            width,
            is_grey: false,
            odd_frames: remark,
            ..Facts::unseen(Fingerprint::of_content(&content.to_le_bytes()))
        }),
    }
}

/// Examines one file. Transparent pixels get `level`, or the level that suits the picture if there is none.
fn look(path: &Path, transparent: Option<u8>) -> Seen {
    let bytes = match picture::contents(path) {
        Ok(bytes) => bytes,
        Err(error) => return Seen::Damaged(Damage::Unreadable(error.without_path())),
    };
    let missing = missing_end(&bytes);
    let decoded = picture::decode_with_orientation(&bytes, path);
    match (missing, decoded) {
        (Some(missing), Ok(_)) => Seen::Damaged(Damage::Truncated(format!(
            "{missing}; a part of it can be decoded"
        ))),
        (Some(missing), Err(_)) => Seen::Damaged(Damage::Truncated(missing)),
        (None, Err(error)) => Seen::Damaged(Damage::Unreadable(error.without_path())),
        (None, Ok((picture, orientation))) => {
            match facts(path, &bytes, picture, orientation, transparent) {
                Ok(facts) => Seen::Whole(facts),
                Err(error) => Seen::Damaged(Damage::Unreadable(error.without_path())),
            }
        }
    }
}

fn facts(
    path: &Path,
    bytes: &[u8],
    picture: DynamicImage,
    orientation: Orientation,
    transparent: Option<u8>,
) -> Result<Facts> {
    let channels = if picture.color().has_color() { 3 } else { 1 };
    let is_dim = picture::is_dim(&picture);
    let contrast = Contrast::of(&picture, channels);
    let behind = transparent.or(contrast.map(|own| own.level()));
    let (pixels, shape) = picture::bytes(picture, channels, behind.unwrap_or(WHITE))?;
    Ok(Facts {
        is_dim,
        levels: tiff::levels(bytes),
        contents: Contents::of(&pixels, channels),
        contrast,
        fingerprint: Fingerprint::new(bytes, &pixels, shape),
        height: shape.height,
        width: shape.width,
        is_grey: channels == 1 || is_grey(&pixels),
        turned: (orientation != Orientation::NoTransforms).then_some(orientation),
        wrong_extension: wrong_extension(path, bytes),
        odd_frames: None,
    })
}

/// The format of the contents, if the extension names another one; `None` without an extension.
fn wrong_extension(path: &Path, bytes: &[u8]) -> Option<ImageFormat> {
    let ending = path.extension()?.to_string_lossy().to_lowercase();
    let named = match ending.as_str() {
        "jfif" => Some(ImageFormat::Jpeg),
        ending => ImageFormat::from_extension(ending),
    };
    let contents = image::guess_format(bytes).ok()?;
    (named != Some(contents)).then_some(contents)
}
