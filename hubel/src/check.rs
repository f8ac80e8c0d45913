//! Problems in data, found before training: [`check`] examines every picture and returns [`Finding`]s.
mod blank;
mod classes;
mod damage;
mod duplicates;
mod examine;
#[cfg(feature = "backbone")]
mod labels;
mod looks;
#[cfg(feature = "sound")]
mod sounds;
#[cfg(test)]
mod tests;
mod thumbnail;

use std::fmt;
use std::path::Path;

use crate::Result;
use crate::data::catalogue::{self, Found};
use crate::data::tiff::levels_note;
use crate::data::{self, Part, clip, picture, transparency};
use examine::Samples;

#[cfg(feature = "backbone")]
pub(crate) use examine::array_name;

pub use classes::{IMBALANCE, TINY};

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A file that cannot be decoded.
    Unreadable,
    /// A file whose end is missing or cannot be reached, even if a part of it can be decoded.
    Truncated,
    /// A picture whose format differs from its extension.
    WrongExtension,
    /// Pictures of one class and split that are equal byte for byte.
    ExactDuplicate,
    /// Copies of a picture in one class and split: encoded again, resized, cropped a little, or a little brighter.
    NearDuplicate,
    /// The same picture, byte for byte or as a copy, in several classes.
    LabelConflict,
    /// The same picture, byte for byte or as a copy, in several splits (training, validation, test).
    SplitLeak,
    /// A label that models contradict which were not trained on the picture; see [`crate::labels`]. [`check`] itself trains nothing and finds none.
    LabelError,
    /// Different pictures that look similar.
    LookAlike,
    /// A class with fewer training pictures than [`TINY`].
    TinyClass,
    /// A class without pictures, without training pictures, or without test pictures although the data has some.
    EmptyClass,
    /// A class that has at least [`IMBALANCE`] times as many pictures as another.
    Imbalance,
    /// Pictures of a class that have one colour, except for specks and noise.
    Blank,
    /// A picture that is far larger or smaller than the others, only a few pixels high, or a strip.
    ExtremeSize,
    /// A picture with an EXIF rotation.
    Rotated,
    /// A picture without colour when most have colour.
    GreyAmongColour,
    /// A picture of which `--resize crop` would hide more than a third.
    Cropped,
    /// A clip whose frames are not numbered without gaps.
    FrameNumbers,
    /// A recording without sound.
    Silent,
    /// A recording whose loud parts are cut off at full scale.
    Clipped,
    /// A recording with another sampling rate than most.
    OtherRate,
    /// A recording that is shorter than a window of the spectrogram.
    TooShort,
}

impl Kind {
    /// All kinds, in the order in which they are reported.
    pub const ALL: [Self; 22] = [
        Self::Unreadable,
        Self::Truncated,
        Self::LabelConflict,
        Self::SplitLeak,
        Self::LabelError,
        Self::EmptyClass,
        Self::TinyClass,
        Self::Imbalance,
        Self::Blank,
        Self::WrongExtension,
        Self::ExactDuplicate,
        Self::NearDuplicate,
        Self::LookAlike,
        Self::ExtremeSize,
        Self::Rotated,
        Self::GreyAmongColour,
        Self::Cropped,
        Self::FrameNumbers,
        Self::Silent,
        Self::TooShort,
        Self::Clipped,
        Self::OtherRate,
    ];

    /// Whether such findings may make a score untrustworthy: test pictures must not be among the training pictures, one
    /// picture must not have two labels, and every counted picture must be readable. [`Inspection::is_grave`] says whether they do.
    pub fn may_be_grave(self) -> bool {
        matches!(
            self,
            Self::Unreadable
                | Self::Truncated
                | Self::LabelConflict
                | Self::SplitLeak
                | Self::EmptyClass
                | Self::Blank
        )
    }

    /// What to do about it, in one sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "replace them or delete them; `bad_files = skip` leaves them out in training, and `bad_files = quarantine` moves them away"
            }
            Self::Truncated => {
                "copy or download them again: the damaged part shows the network nothing, or garbage"
            }
            Self::LabelConflict => {
                "keep one of them, in the right class, and delete the others: a network cannot be right about both"
            }
            Self::SplitLeak => {
                "keep them in one split only: the score is too good if the network has already seen the test part"
            }
            Self::LabelError => {
                "look at each of them: change its class if its label is wrong, delete it if nobody can tell, and keep it if it is only unusual"
            }
            Self::EmptyClass => {
                "add examples to the class or delete it: a network cannot recognise a class that the training part lacks, and the accuracy on a class that the test part lacks is unknown"
            }
            Self::TinyClass => "add examples, or merge classes: a network overfits on so few",
            Self::Imbalance => {
                "add examples of the rare classes, or train with `balance = loss` or `balance = sample`; look at the accuracy of each class"
            }
            Self::WrongExtension => {
                "hubel needs no change, because it goes by contents; other programs may reject the files until they are renamed"
            }
            Self::ExactDuplicate => {
                "delete all but one of each: a copy teaches nothing and counts twice"
            }
            Self::NearDuplicate => {
                "keep one of each, unless you want them; hubel keeps copies in the same split (for small grey arrays, only equal ones)"
            }
            Self::LookAlike => {
                "no change is needed if they show different things; the network needs an input large enough to distinguish them"
            }
            Self::Blank => {
                "find the cause, and delete those that are blank: nothing can be learned from them, and blank pictures of two classes are the same picture"
            }
            Self::ExtremeSize => {
                "check whether they belong here: little of them is visible in the network's input"
            }
            Self::Rotated => {
                "hubel needs no change, because it rotates them; programs that ignore EXIF show them rotated"
            }
            Self::GreyAmongColour => {
                "check whether one class has most of them: the network may learn that instead"
            }
            Self::Cropped => {
                "keep `resize = letterbox`, the default, which shows all of each picture between bars, or use `resize = stretch`"
            }
            Self::FrameNumbers => {
                "add the missing frames, or leave it so: hubel uses the frames that are there as if they followed each other"
            }
            Self::Silent => "find the cause, and delete them: nothing can be learned from silence",
            Self::Clipped => {
                "record them again with less gain if you can; check whether one class has most of them: the network may learn that instead"
            }
            Self::OtherRate => {
                "hubel needs no change, because it resamples them; check whether one class has most of them: a lower rate has no high frequencies, which the network may learn instead"
            }
            Self::TooShort => "delete them, or record them again: they are nearly all padding",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "unreadable",
            Self::Truncated => "truncated",
            Self::WrongExtension => "wrong-extension",
            Self::ExactDuplicate => "exact-duplicate",
            Self::NearDuplicate => "near-duplicate",
            Self::LookAlike => "look-alike",
            Self::LabelConflict => "label-conflict",
            Self::SplitLeak => "split-leak",
            Self::LabelError => "label-error",
            Self::TinyClass => "tiny-class",
            Self::EmptyClass => "empty-class",
            Self::Imbalance => "imbalance",
            Self::Blank => "blank",
            Self::ExtremeSize => "extreme-size",
            Self::Rotated => "rotated",
            Self::GreyAmongColour => "grey-among-colour",
            Self::Cropped => "cropped",
            Self::FrameNumbers => "frame-numbers",
            Self::Silent => "silent",
            Self::Clipped => "clipped",
            Self::OtherRate => "other-rate",
            Self::TooShort => "too-short",
        })
    }
}

/// A problem, or something worth knowing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of finding.
    pub kind: Kind,
    /// The pictures, or the folders of the classes. A picture in an array is `train:123`, counted from 0. A class
    /// without a folder is named only in `detail`.
    pub paths: Vec<String>,
    /// A description.
    pub detail: String,
    /// The most percentage points by which it can change an accuracy on this data; `None` if unknown.
    pub points: Option<f64>,
}

/// If the findings of a kind can change an accuracy by this many points together, the accuracy is untrustworthy.
pub const GRAVE_POINTS: f64 = 1.0;

/// The result of [`check`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// A description of the data, in one line.
    pub description: String,
    /// Remarks on ignored files.
    pub notes: Vec<String>,
    /// Number of examined pictures.
    pub pictures: usize,
    /// The findings, in the order of [`Kind::ALL`], then by place.
    pub findings: Vec<Finding>,
    found: Found,
    /// The level behind transparent pixels.
    transparent: Option<u8>,
}

/// How many samples a class has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassCounts {
    /// The name of the class.
    pub class: String,
    /// Samples for training, and those that are not divided yet.
    pub training: usize,
    /// Samples for validation.
    pub validation: usize,
    /// Samples for the test.
    pub test: usize,
}

impl Inspection {
    /// How many samples the classes have, those that cannot be read included.
    pub fn classes(&self) -> Vec<ClassCounts> {
        let (names, samples): (_, Vec<(usize, Option<Part>)>) = match &self.found {
            Found::Files(catalogue) => {
                let files = catalogue.files.iter();
                let samples = files.map(|file| (file.label, file.part)).collect();
                (&catalogue.classes[..], samples)
            }
            Found::Arrays(splits) => {
                let labels = splits.parts().flat_map(|(part, dataset)| {
                    let labels = dataset.labels().iter();
                    labels.map(move |label| (*label, Some(part)))
                });
                (splits.train.classes(), labels.collect())
            }
        };
        let mut counts: Vec<ClassCounts> = names
            .iter()
            .map(|class| ClassCounts {
                class: class.clone(),
                training: 0,
                validation: 0,
                test: 0,
            })
            .collect();
        for (label, part) in samples {
            let own = &mut counts[label];
            match part {
                Some(Part::Validation) => own.validation += 1,
                Some(Part::Test) => own.test += 1,
                Some(Part::Train) | None => own.training += 1,
            }
        }
        counts
    }

    /// The findings of each kind, in the order of [`Kind::ALL`].
    pub fn by_kind(&self) -> impl Iterator<Item = (Kind, &[Finding])> {
        let kinds = (self.findings).chunk_by(|one, other| one.kind == other.kind);
        kinds.map(|findings| (findings[0].kind, findings))
    }

    /// What the findings mean for a score, in one sentence. The kinds with [`Inspection::is_grave_kind`] are to be marked.
    pub fn verdict(&self) -> &'static str {
        match (self.is_grave(), self.findings.is_empty()) {
            (true, _) => {
                "A score on this data cannot be trusted until the marked problems are fixed."
            }
            (false, true) => "No problems were found.",
            (false, false) => "No finding makes a score untrustworthy.",
        }
    }

    /// Whether something makes a score on this data untrustworthy.
    pub fn is_grave(&self) -> bool {
        Kind::ALL.iter().any(|&kind| self.is_grave_kind(kind))
    }

    /// Whether the findings of a kind make a score on this data untrustworthy. If their effect is known, they do so
    /// from [`GRAVE_POINTS`] on, added up.
    pub fn is_grave_kind(&self, kind: Kind) -> bool {
        let mut found = self.findings.iter().filter(|finding| finding.kind == kind);
        kind.may_be_grave()
            && found
                .try_fold(0.0, |sum, finding| {
                    let sum = sum + finding.points.unwrap_or(GRAVE_POINTS);
                    // Sums of quotients such as 1/3 may round to just below 1.
                    (sum < GRAVE_POINTS - 1e-9).then_some(sum)
                })
                .is_none()
    }
}

/// The place of a kind in [`Kind::ALL`].
fn place(kind: Kind) -> Option<usize> {
    Kind::ALL.iter().position(|&known| known == kind)
}

/// Examines all pictures of the data at `path_or_name` (see [`crate::data::open`] for its forms) on all cores, one picture at a time on each.
/// A picture can have findings of several kinds. The same picture in two classes or splits is not also reported as a duplicate.
/// `listen` is called from several threads, with the number of examined pictures and the total.
///
/// # Errors
/// If there is no data, as for [`crate::data::open`]. A bad picture is a finding, not an error.
pub fn check(
    path_or_name: impl AsRef<Path>,
    listen: &(dyn Fn(usize, usize) + Sync),
) -> Result<Inspection> {
    check_as(path_or_name, None, listen)
}

/// As [`check`], of samples of this kind; see [`Source::find_as`](crate::data::Source::find_as).
///
/// # Errors
/// As for [`check`], and if the data is of another kind.
pub fn check_as(
    path_or_name: impl AsRef<Path>,
    kind: Option<data::Kind>,
    listen: &(dyn Fn(usize, usize) + Sync),
) -> Result<Inspection> {
    let path = path_or_name.as_ref();
    let (found, corrected) = catalogue::find(path, kind)?.corrected();
    #[cfg(feature = "sound")]
    if let Found::Files(catalogue) = &found
        && catalogue.kind == data::Kind::Sounds
    {
        let mut examined = sounds::examine(catalogue, listen);
        examined.notes.extend(corrected);
        return Ok(of_recordings(examined, found));
    }
    if let Found::Files(catalogue) = &found
        && catalogue.kind == data::Kind::Clips
    {
        clip::require(path, catalogue.files.iter().map(|file| file.path.as_path()))?;
    }
    let samples = match &found {
        Found::Files(catalogue) => Samples::of_files(catalogue, listen),
        Found::Arrays(splits) => Samples::of_arrays(splits)?,
    };
    let mut findings = damage::findings(&samples);
    findings.extend(duplicates::findings(
        &samples,
        &duplicates::likenesses(&samples),
    ));
    findings.extend(classes::findings(&samples));
    if samples.kind == data::Kind::Pictures {
        findings.extend(blank::findings(&samples));
        findings.extend(looks::findings(&samples));
    }
    // The sort is stable: within a kind, findings stay in order of place.
    findings.sort_by_key(|finding| place(finding.kind));
    let (description, mut notes) = match &found {
        Found::Files(catalogue) => (catalogue.description(None), catalogue.notes.clone()),
        Found::Arrays(splits) => (splits.description.clone(), splits.notes.clone()),
    };
    let dim = samples.whole().filter(|(_, facts)| facts.is_dim).count();
    notes.extend(corrected);
    notes.extend(picture::dim_note(dim));
    let levels = samples.whole().filter_map(|(_, facts)| facts.levels);
    notes.extend(levels_note(levels));
    let of_transparent = |level| transparency::note(samples.transparent_count(), level);
    notes.extend(samples.transparent.and_then(of_transparent));
    Ok(Inspection {
        description,
        notes,
        pictures: samples.all.len(),
        findings,
        found,
        transparent: samples.transparent,
    })
}

/// The result for recordings.
#[cfg(feature = "sound")]
fn of_recordings(examined: sounds::Examined, found: Found) -> Inspection {
    let sounds::Examined {
        samples,
        likenesses,
        findings: of_single,
        notes,
    } = examined;
    let mut findings = damage::findings(&samples);
    findings.extend(duplicates::findings(&samples, &likenesses));
    findings.extend(classes::findings(&samples));
    findings.extend(of_single);
    findings.sort_by_key(|finding| place(finding.kind));
    let (description, own_notes) = match &found {
        Found::Files(catalogue) => (catalogue.description(None), catalogue.notes.clone()),
        Found::Arrays(splits) => (splits.description.clone(), splits.notes.clone()),
    };
    Inspection {
        description,
        notes: [own_notes, notes].concat(),
        pictures: samples.all.len(),
        findings,
        found,
        transparent: None,
    }
}
