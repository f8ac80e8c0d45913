//! Counts ignored files by reason, so that nothing is ignored silently.
use std::path::{Path, PathBuf};

use crate::data::catalogue::thousands;
use crate::data::{Kind, clip, folder, picture, sound, text};
use crate::shown;

/// Why a file or folder is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Hidden, or a file of the system.
    System,
    /// A file without a fitting extension.
    Ending,
    /// A picture among files of another kind.
    Picture,
    /// A recording among files of another kind.
    Recording,
    /// A video file among files of another kind.
    Video,
    /// A picture in an unsupported format.
    Format,
    /// A recording in an unsupported format.
    SoundFormat,
    /// A link to a folder above it, or to one that is already listed.
    Loop,
    /// A pipe or a device.
    Special,
    /// The quarantine folder for files that cannot be read.
    Quarantine,
    /// The folder where models are written.
    Runs,
    /// A file beside the class folders.
    Stray,
    /// A folder beside the used ones.
    Beside,
}

impl Reason {
    /// Why a file of this kind is ignored, if another kind is expected. Texts among other files are often notes about them.
    pub(super) fn of_other(kind: Kind) -> Self {
        match kind {
            Kind::Pictures => Self::Picture,
            Kind::Sounds => Self::Recording,
            Kind::Clips => Self::Video,
            Kind::Texts => Self::Ending,
        }
    }
}

const REASONS: [Reason; 13] = [
    Reason::System,
    Reason::Ending,
    Reason::Picture,
    Reason::Recording,
    Reason::Video,
    Reason::Format,
    Reason::SoundFormat,
    Reason::Loop,
    Reason::Special,
    Reason::Quarantine,
    Reason::Runs,
    Reason::Stray,
    Reason::Beside,
];

/// The number of ignored files, and one example for each reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Ignored {
    counts: [usize; REASONS.len()],
    examples: [Option<PathBuf>; REASONS.len()],
    /// What the files should be.
    expected: Kind,
}

impl Ignored {
    /// Counts `path`; the first one by name is the example.
    pub(super) fn note(&mut self, reason: Reason, path: &Path) {
        self.counts[reason as usize] += 1;
        let example = &mut self.examples[reason as usize];
        if example.as_deref().is_none_or(|example| path < example) {
            *example = Some(path.to_owned());
        }
    }

    /// Says what the files should be, for the messages.
    pub(super) fn expect(&mut self, kind: Kind) {
        self.expected = kind;
    }

    /// Adds the counts of another listing.
    pub(super) fn add(&mut self, other: &Self) {
        for reason in REASONS {
            if let Some(path) = &other.examples[reason as usize] {
                self.note(reason, path);
                self.counts[reason as usize] += other.counts[reason as usize] - 1;
            }
        }
    }

    /// One line per reason; paths are relative to `root`.
    pub(super) fn notes(&self, root: &Path) -> Vec<String> {
        let occurred = REASONS.into_iter().filter_map(|reason| {
            let example = self.examples[reason as usize].as_ref()?;
            Some((reason, self.counts[reason as usize], example))
        });
        occurred
            .map(|(reason, count, example)| {
                let (one, many, why) = explain(reason, self.expected);
                let (things, verb) = match count {
                    1 => (format!("1 {one}"), "was"),
                    _ => (format!("{} {many}", thousands(count)), "were"),
                };
                let example = example.strip_prefix(root).unwrap_or(example);
                let such_as = if count == 1 { "" } else { "such as " };
                format!("{things} {verb} ignored, {such_as}{}{why}", shown(example))
            })
            .collect()
    }
}

/// Singular and plural, and advice.
fn explain(reason: Reason, expected: Kind) -> (&'static str, &'static str, String) {
    let nothing = String::new;
    match reason {
        Reason::System => (
            "hidden or system file or folder",
            "hidden or system files and folders",
            nothing(),
        ),
        Reason::Ending => ("file", "files", no_ending(expected)),
        Reason::Picture => ("picture", "pictures", format!(": {expected} are expected")),
        Reason::Recording => (
            "recording",
            "recordings",
            format!(": {expected} are expected"),
        ),
        Reason::Video => (
            "video file",
            "video files",
            format!(": {expected} are expected"),
        ),
        Reason::SoundFormat => (
            "recording",
            "recordings",
            format!(
                ": recordings in this format cannot be read; convert them to one of {}",
                sound::ENDINGS.join(", ")
            ),
        ),
        Reason::Format => (
            "picture",
            "pictures",
            ": this format is not supported; convert it to JPEG or PNG".into(),
        ),
        Reason::Loop => (
            "link to a folder",
            "links to folders",
            ": it points to a folder that is already listed".into(),
        ),
        Reason::Special => (
            "entry",
            "entries",
            ": it is neither a file nor a folder".into(),
        ),
        Reason::Quarantine => (
            "folder",
            "folders",
            ": files that cannot be read were moved there".into(),
        ),
        Reason::Runs => (
            "folder",
            "folders",
            ": models that were trained are written there".into(),
        ),
        Reason::Stray => (
            "file",
            "files",
            ": it is beside the class folders and not in one".into(),
        ),
        Reason::Beside => (
            "folder",
            "folders",
            ": it is no split (train, val, test) with class folders in it".into(),
        ),
    }
}

/// That a file does not end like one of the expected kind.
fn no_ending(expected: Kind) -> String {
    match expected {
        Kind::Pictures => format!(
            ": no picture extension ({}), and no picture by its first bytes if it has no extension",
            picture::ENDINGS.join(", ")
        ),
        Kind::Sounds => format!(": no recording extension ({})", sound::ENDINGS.join(", ")),
        Kind::Texts => format!(": no text extension ({})", text::files::ENDINGS.join(", ")),
        Kind::Clips => format!(
            ": no extension of an animated picture ({}) or of a video ({})",
            folder::ANIMATED_ENDINGS.join(", "),
            clip::ENDINGS.join(", ")
        ),
    }
}
