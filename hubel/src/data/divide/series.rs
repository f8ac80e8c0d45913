//! Series of pictures: frames of a film, photographs by a fixed camera, stored augmentations.
use std::cmp::Ordering;
use std::collections::HashSet;
use std::path::Path;

use crate::data::Dataset;
use crate::data::names::natural_order;
use crate::data::part::Part;
use crate::data::split::Assignment;
use crate::one_line::thousands;

/// Most classes that are named.
const NAMED: usize = 5;

/// The order of two samples in a series: files by their paths in natural order (`9.jpg` before `10.jpg`), arrays by index.
pub(super) fn order(dataset: &Dataset, one: usize, other: usize) -> Ordering {
    let path = |index: usize| dataset.path(index).map(Path::to_string_lossy);
    match (path(one), path(other)) {
        (Some(path), Some(other_path)) => natural_order(&path, &other_path),
        _ => Ordering::Equal,
    }
    .then(one.cmp(&other))
}

/// A note if some frames of a series are held out and others are trained on.
pub(super) fn note(dataset: &Dataset, assignment: &Assignment) -> String {
    let cut = &assignment.cut;
    let named = cut.iter().take(NAMED);
    let named: Vec<String> = named
        .map(|&class| format!("`{}`", dataset.classes()[class]))
        .collect();
    let more = match cut.len() > NAMED {
        true => format!(" and {} more", cut.len() - NAMED),
        false => String::new(),
    };
    let left_out = assignment.parts.iter().filter(|part| part.is_none());
    format!(
        "the {} of {}{more} are series (such as frames of a film): the last frames of each are held out, and {} before them are left out as a gap. So the score is on frames of the same series and says little about others. Better: put whole series into folders train, val and test",
        dataset.kind().plural(),
        named.join(", "),
        thousands(left_out.count())
    )
}

/// A note if many test images look similar to training images without being the same, as frames do. `groups` has, for each image, the first
/// similar one.
pub(super) fn alike(parts: &[Option<Part>], groups: &[usize]) -> Option<String> {
    let of_part = |wanted: Part| {
        let all = parts.iter().zip(groups);
        all.filter(move |(part, _)| **part == Some(wanted))
            .map(|(_, group)| group)
    };
    let trained: HashSet<&usize> = of_part(Part::Train).collect();
    let alike = of_part(Part::Test)
        .filter(|group| trained.contains(group))
        .count();
    let all = of_part(Part::Test).count();
    (alike > 0 && 10 * alike >= all).then(|| {
        format!(
            "{} of the {} examples of the test part look similar to the training part (frames of a film, or one thing taken several times?), so the score says little about others; better: put whole series into folders train, val and test",
            thousands(alike),
            thousands(all)
        )
    })
}
