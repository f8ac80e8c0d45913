//! The frames of a clip that is a folder: pictures whose names end in a number.
use std::path::{Path, PathBuf};

use crate::data::names::natural_order;
use crate::one_line::thousands;

/// Why one picture is no clip.
pub(super) const SINGLE: &str =
    "it has a single frame; a clip has at least two, and pictures are read with `--kind pictures`";

/// Most numbers of frames in a message.
const SHOWN: usize = 8;

/// The pictures of a folder, as the frames of a clip.
pub(in crate::data) struct Frames {
    /// Those whose names end in a number, in the order of the numbers.
    pub(super) files: Vec<PathBuf>,
    numbers: Vec<u64>,
    /// Those whose names end in no number.
    others: Vec<PathBuf>,
}

impl Frames {
    /// The frames among these pictures of one folder.
    pub(in crate::data) fn of(pictures: &[PathBuf]) -> Self {
        let mut files = pictures.to_vec();
        files.sort_by(|one, other| natural_order(&one.to_string_lossy(), &other.to_string_lossy()));
        let (files, others): (Vec<PathBuf>, Vec<PathBuf>) = files
            .into_iter()
            .partition(|file| number_of(file).is_some());
        let numbers = files.iter().filter_map(|file| number_of(file)).collect();
        Self {
            files,
            numbers,
            others,
        }
    }

    /// Whether all pictures are numbered in steps of one, or at least three of them in other equal steps. Photos are rarely so.
    pub(in crate::data) fn are_steady(&self) -> bool {
        let is_long_enough = match self.numbers[..] {
            [] | [_] => false,
            [first, second] => first + 1 == second,
            _ => true,
        };
        is_long_enough && self.others.is_empty() && self.break_at().is_none()
    }

    /// Why these pictures are no clip.
    pub(super) fn problem(&self) -> Option<String> {
        match (&self.files[..], &self.others[..]) {
            ([], []) => Some("it has no pictures".to_owned()),
            ([_], []) | ([], [_]) => Some(SINGLE.to_owned()),
            (files, [first, ..]) if files.len() < 2 || files.len() <= self.others.len() => {
                Some(format!(
                    "the names of its pictures, such as {}, do not end in a number, so the order of its frames is unknown",
                    name(first)
                ))
            }
            _ => None,
        }
    }

    /// What is unusual about the numbers, although the frames can be used.
    pub(super) fn remark(&self) -> Option<String> {
        if let Some(place) = self.break_at() {
            let what = match self.numbers[place] < self.numbers[place + 1] {
                true => "there is a gap",
                false => "this is not one sequence",
            };
            let numbers = self.numbers_around(place);
            return Some(format!("its frames are numbered {numbers}: {what}"));
        }
        self.others.first().map(|first| match self.others.len() {
            1 => format!("{} has no number and is no frame of it", name(first)),
            many => format!(
                "{} of its pictures, such as {}, have no number and are no frames of it",
                thousands(many),
                name(first)
            ),
        })
    }

    /// The place of the first frame whose distance to the next one is not the smallest.
    fn break_at(&self) -> Option<usize> {
        let steps = self.numbers.windows(2);
        let steps: Vec<u64> = steps.map(|pair| pair[1].saturating_sub(pair[0])).collect();
        let least = steps.iter().copied().filter(|step| *step > 0).min();
        steps.iter().position(|step| Some(*step) != least)
    }

    /// The numbers, or those around a place if there are many.
    fn numbers_around(&self, place: usize) -> String {
        let count = self.numbers.len();
        let (from, to) = match count <= SHOWN {
            true => (0, count),
            false => (
                place.saturating_sub(SHOWN / 2 - 1),
                (place + 1 + SHOWN / 2).min(count),
            ),
        };
        let numbers = self.numbers[from..to].iter().map(u64::to_string);
        let numbers: Vec<String> = numbers.collect();
        let before = if from > 0 { "…, " } else { "" };
        let after = if to < count { ", …" } else { "" };
        format!("{before}{}{after}", numbers.join(", "))
    }
}

/// The number at the end of a file's name.
fn number_of(file: &Path) -> Option<u64> {
    let stem = file.file_stem()?.to_str()?;
    let start = stem
        .trim_end_matches(|letter: char| letter.is_ascii_digit())
        .len();
    let number: u64 = stem[start..].parse().ok()?;
    // So that the next number exists too.
    (number < u64::MAX).then_some(number)
}

/// The name of a file without its folder.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    crate::shown(Path::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(names: &[&str]) -> Frames {
        let files: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        Frames::of(&files)
    }

    #[test]
    fn frames_are_known_by_equal_steps() {
        for names in [
            &["0.png", "1.png"][..],
            &["f9.png", "f10.png", "f11.png"],
            &["00.png", "02.png", "04.png", "06.png"],
        ] {
            let frames = frames(names);
            assert!(frames.are_steady(), "{names:?}");
            assert_eq!((frames.problem(), frames.remark()), (None, None));
        }
        for names in [
            &[][..],
            &["0.png"],
            &["IMG_3.jpg", "IMG_7.jpg"],
            &["00.png", "01.png", "05.png"],
            &["a1.png", "b1.png"],
            &["a.png", "b.png", "c.png"],
            &["0.png", "1.png", "cover.png"],
        ] {
            assert!(!frames(names).are_steady(), "{names:?}");
        }
    }

    #[test]
    fn odd_frames_are_named() {
        for (names, expected) in [
            (&["a/00.png"][..], "a single frame"),
            (&["a/one.png", "a/two.png"], "such as one.png, do not end"),
        ] {
            let problem = frames(names).problem().expect("a problem");
            assert!(problem.contains(expected), "{problem}");
        }
        let names: Vec<String> = (0..40)
            .filter(|number| *number != 30)
            .map(|number| format!("{number}.png"))
            .collect();
        let many: Vec<&str> = names.iter().map(String::as_str).collect();
        for (names, expected) in [
            (
                &["0.png", "1.png", "5.png", "6.png"][..],
                "numbered 0, 1, 5, 6: there is a gap",
            ),
            (
                &many,
                "numbered …, 26, 27, 28, 29, 31, 32, 33, 34, …: there",
            ),
            (&["a1.png", "a2.png", "b1.png"], "1, 2, 1: this is not one"),
            (&["1.png", "2.png", "cover.png"], "cover.png has no number"),
        ] {
            let frames = frames(names);
            assert_eq!(frames.problem(), None);
            let remark = frames.remark().expect("a remark");
            assert!(remark.contains(expected), "{remark}");
        }
    }
}
