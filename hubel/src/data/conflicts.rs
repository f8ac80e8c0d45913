//! The same image in several classes.
use std::collections::HashMap;

use crate::data::catalogue::thousands;
use crate::data::{Dataset, Splits};

/// A note with the number of images that are also in another class, byte for byte.
pub(super) fn note(splits: &Splits) -> Option<String> {
    let held_out = [&splits.validation, &splits.test];
    let parts = held_out.into_iter().flatten();
    let (count, example) = count(std::iter::once(&splits.train).chain(parts))?;
    let classes = splits.train.classes();
    let [a, b] = example.map(|label| &classes[label]);
    Some(format!(
        "{} {} are the same, byte for byte, as one of another class (the first of `{a}` and `{b}`), and no network can be right about \
         both; `check::check` lists them",
        thousands(count),
        splits.train.kind().plural()
    ))
}

/// The number of images that are also in another class, and the classes of the first one.
fn count<'a>(parts: impl Iterator<Item = &'a Dataset>) -> Option<(usize, [usize; 2])> {
    /// Groups of images with the same contents.
    struct Group {
        label: usize,
        count: usize,
        is_conflict: bool,
    }
    let mut groups = HashMap::<u64, Group>::new();
    let mut first = None;
    for (content, &label) in parts.flat_map(|part| part.contents().zip(part.labels())) {
        let group = groups.entry(content).or_insert(Group {
            label,
            count: 0,
            is_conflict: false,
        });
        group.count += 1;
        if label != group.label {
            group.is_conflict = true;
            first.get_or_insert([group.label, label]);
        }
    }
    let conflicts = groups.values().filter(|group| group.is_conflict);
    first.map(|first| (conflicts.map(|group| group.count).sum(), first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    /// Images of one pixel each.
    fn images(pixels: &[u8], labels: &[usize]) -> Dataset {
        let pixels: Vec<f32> = pixels.iter().map(|&level| f32::from(level)).collect();
        Dataset::from_arrays(&pixels, Shape::new(1, 1, 1), labels).unwrap()
    }

    #[test]
    fn images_of_several_classes_are_counted_and_copies_within_one_are_not() {
        let train = images(&[1, 1, 2, 3, 3, 3], &[0, 0, 1, 2, 1, 2]);
        let test = images(&[2, 2, 4], &[0, 1, 2]);
        assert_eq!(count([&train].into_iter()), Some((3, [2, 1])));
        assert_eq!(count([&train, &test].into_iter()), Some((6, [2, 1])));
        assert_eq!(count([&images(&[1, 1, 2], &[0, 0, 1])].into_iter()), None);
    }
}
