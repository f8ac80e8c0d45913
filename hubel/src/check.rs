//! What is wrong with data, before a minute of training is spent: [`check`] looks at every picture and gives [`Finding`]s.
mod blank;
mod classes;
mod damage;
mod duplicates;
mod examine;
mod looks;
#[cfg(test)]
mod tests;
mod thumbnail;

use std::fmt;
use std::path::Path;

use crate::Result;
use crate::data::catalogue::{self, Found};
use crate::data::tiff::levels_note;
use crate::data::{picture, transparency};
use examine::Samples;

pub use classes::{IMBALANCE, TINY};
pub use thumbnail::Thumbnail;

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A file that cannot be decoded.
    Unreadable,
    /// A file whose end is missing or cannot be reached, whether or not something can be decoded of it.
    Truncated,
    /// A picture of another format than its name says.
    WrongExtension,
    /// Pictures of one class and part that are equal byte for byte.
    ExactDuplicate,
    /// Pictures of one class and part that are the same: coded again, in another size, cropped a little, a little brighter.
    NearDuplicate,
    /// The same picture, byte for byte or as a copy, in several classes.
    LabelConflict,
    /// The same picture, byte for byte or as a copy, in several of the parts to train on, to validate and to test.
    SplitLeak,
    /// Different pictures that look alike at a glance.
    LookAlike,
    /// A class of fewer pictures than [`TINY`] to learn from.
    TinyClass,
    /// A class without pictures, or without any to learn from, or to test with where the data has test pictures.
    EmptyClass,
    /// A class that has at least [`IMBALANCE`] times as many pictures as another.
    Imbalance,
    /// Pictures of a class that have one colour, give or take specks and noise.
    Blank,
    /// A picture that is far larger or smaller than the others, a few pixels high, or a strip.
    ExtremeSize,
    /// A picture that EXIF says is to be turned.
    Rotated,
    /// A picture without colour where most have some.
    GreyAmongColour,
    /// A picture of which `--resize crop` would hide more than a third.
    Cropped,
}

impl Kind {
    /// All kinds, in the order in which they are reported.
    pub const ALL: [Self; 16] = [
        Self::Unreadable,
        Self::Truncated,
        Self::LabelConflict,
        Self::SplitLeak,
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
    ];

    /// Whether such findings may make a score untrustworthy: pictures that nobody has seen in training must not be there already, one
    /// picture (or one blank) must not have two answers, and what is counted must be there. [`Inspection::is_grave`] says whether they do.
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

    /// What to do about it, in a sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "replace them or delete them; `bad_files = skip` leaves them out in training, and `bad_files = quarantine` moves them away"
            }
            Self::Truncated => {
                "copy or download them again: what is missing or damaged is grey or garbage to the network"
            }
            Self::LabelConflict => {
                "decide for one class and delete the others: no network can be right about both"
            }
            Self::SplitLeak => {
                "delete them from all parts but one: a network that has seen the answers gets a better score than it deserves"
            }
            Self::EmptyClass => {
                "fill the class or delete it: what was never seen is never recognised, and what is not tested is not known"
            }
            Self::TinyClass => "add pictures, or put classes together: so few are learnt by heart",
            Self::Imbalance => {
                "add pictures of the rare classes, or train with `balance = loss` or `balance = sample`; look at the accuracy of each class"
            }
            Self::WrongExtension => {
                "nothing needs to be done for hubel, which goes by contents; other programs may refuse them until they are renamed"
            }
            Self::ExactDuplicate => {
                "delete all but one of each: a copy teaches nothing and counts twice"
            }
            Self::NearDuplicate => {
                "keep one of each, unless they are meant; hubel holds them out together (of small grey arrays the equal ones alone), never on both sides"
            }
            Self::LookAlike => {
                "nothing needs to be done if they are different things; the network needs an input large enough to tell them apart"
            }
            Self::Blank => {
                "look what made them so, and delete those that are: nothing can be learnt from them, and blank pictures of two classes are the same picture"
            }
            Self::ExtremeSize => {
                "look whether they belong here: little is left of them in the network's input"
            }
            Self::Rotated => {
                "nothing needs to be done for hubel, which turns them; programs that ignore EXIF see them lying on their side"
            }
            Self::GreyAmongColour => {
                "look whether one class has most of them: the network may learn that instead"
            }
            Self::Cropped => {
                "keep `resize = letterbox`, the default, which shows all of each picture between bars, or use `resize = stretch`"
            }
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
            Self::TinyClass => "tiny-class",
            Self::EmptyClass => "empty-class",
            Self::Imbalance => "imbalance",
            Self::Blank => "blank",
            Self::ExtremeSize => "extreme-size",
            Self::Rotated => "rotated",
            Self::GreyAmongColour => "grey-among-colour",
            Self::Cropped => "cropped",
        })
    }
}

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: Kind,
    /// The pictures, or the folders of the classes, that it is about. A picture in an array is `train:123`, counted from 0; a class
    /// that has no folder is named by `detail` alone.
    pub paths: Vec<String>,
    /// What was found, in words.
    pub detail: String,
    /// By how many points (hundredths) at most it can move an accuracy on this data; `None` where that is not known.
    pub points: Option<f64>,
}

/// From so many points on, what findings of a kind can move an accuracy by makes it untrustworthy.
pub const GRAVE_POINTS: f64 = 1.0;

/// What [`check`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// What the data is, in one line.
    pub description: String,
    /// What was passed over in listing it.
    pub notes: Vec<String>,
    /// Number of pictures that were looked at.
    pub pictures: usize,
    /// What is wrong, by kind in the order of [`Kind::ALL`], then by place.
    pub findings: Vec<Finding>,
    found: Found,
    /// What transparent pixels show.
    transparent: Option<u8>,
}

impl Inspection {
    /// Whether something makes a score on this data untrustworthy.
    pub fn is_grave(&self) -> bool {
        Kind::ALL.iter().any(|&kind| self.is_grave_kind(kind))
    }

    /// Whether the findings of a kind make a score on this data untrustworthy. Where it is known by how much they can move it,
    /// together, that is from [`GRAVE_POINTS`] on.
    pub fn is_grave_kind(&self, kind: Kind) -> bool {
        let mut found = self.findings.iter().filter(|finding| finding.kind == kind);
        kind.may_be_grave()
            && found
                .try_fold(0.0, |sum, finding| {
                    let sum = sum + finding.points.unwrap_or(GRAVE_POINTS);
                    // Sums of quotients such as 1/3 fall short of 1 by a rounding.
                    (sum < GRAVE_POINTS - 1e-9).then_some(sum)
                })
                .is_none()
    }
}

/// Looks at all pictures of the data at `path_or_name` (see [`crate::data::open`] for its forms) on all cores, one at a time on each.
/// Several kinds can be found of one picture; but what is the same picture in two classes or parts is not reported as a duplicate too.
/// `listen` is called from several threads, with the pictures that have been looked at and those to be looked at.
///
/// # Errors
/// When no data is there, as of [`crate::data::open`]. A bad picture is a finding and no error.
pub fn check(
    path_or_name: impl AsRef<Path>,
    listen: &(dyn Fn(usize, usize) + Sync),
) -> Result<Inspection> {
    let path = path_or_name.as_ref();
    let found = catalogue::find(path)?;
    let samples = match &found {
        Found::Files(catalogue) => Samples::of_files(catalogue, listen),
        Found::Arrays(splits) => Samples::of_arrays(splits)?,
    };
    let mut findings = damage::findings(&samples);
    findings.extend(duplicates::findings(&samples));
    findings.extend(classes::findings(&samples));
    findings.extend(blank::findings(&samples));
    findings.extend(looks::findings(&samples));
    let place = |kind| Kind::ALL.iter().position(|&known| known == kind);
    // Stable: within a kind they stay in order of place.
    findings.sort_by_key(|finding| place(finding.kind));
    let (description, mut notes) = match &found {
        Found::Files(catalogue) => (catalogue.description(None), catalogue.notes.clone()),
        Found::Arrays(splits) => (splits.description.clone(), splits.notes.clone()),
    };
    let dim = samples.whole().filter(|(_, facts)| facts.is_dim).count();
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
