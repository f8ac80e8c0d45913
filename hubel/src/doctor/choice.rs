//! Which pictures are looked at: equally many of each of some classes, so that frequent classes do not hide the others.
use crate::{Dataset, Purpose, Random};

/// The most classes that are looked at. With few classes, each has enough pictures to be judged.
const MOST_CLASSES: usize = 10;

/// The pictures of a data set, class by class.
pub(super) struct Choice {
    /// The indices of the pictures of each class that has some, in random order; the class with most pictures first.
    members: Vec<Vec<usize>>,
}

impl Choice {
    pub(super) fn new(dataset: &Dataset, seed: u64) -> Self {
        let mut members = vec![Vec::new(); dataset.classes().len()];
        for (index, &label) in dataset.labels().iter().enumerate() {
            members[label].push(index);
        }
        for (class, members) in members.iter_mut().enumerate() {
            let mut stream = Random::new(seed).stream(Purpose::Examine, 0, class as u64);
            stream.shuffle(members);
        }
        members.retain(|members| !members.is_empty());
        members.sort_by_key(|members| std::cmp::Reverse(members.len()));
        Self { members }
    }

    /// At most `count` pictures of the most frequent classes, from each class in turn.
    pub(super) fn batch(&self, count: usize) -> Vec<usize> {
        let classes = &self.members[..self.members.len().min(MOST_CLASSES)];
        let longest = classes.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest)
            .flat_map(|turn| classes.iter().filter_map(move |members| members.get(turn)))
            .take(count)
            .copied()
            .collect()
    }

    /// Two disjoint sets of at most `count` pictures, with equally many of each class. `None` if there are fewer than two classes.
    pub(super) fn halves(&self, count: usize) -> Option<Halves> {
        // More classes have fewer pictures each: those of the rarest class.
        let each = |classes: usize| {
            let rarest = self.members[classes - 1].len() / 2;
            rarest.min(count / classes)
        };
        let most = self.members.len().min(MOST_CLASSES);
        let classes = (2..=most).max_by_key(|&classes| classes * each(classes))?;
        let each = each(classes);
        let part = |from: usize| {
            let members = self.members[..classes].iter();
            members
                .flat_map(|members| &members[from..from + each])
                .copied()
                .collect()
        };
        Some(Halves {
            classes,
            train: part(0),
            held_out: part(each),
        })
    }
}

/// Pictures to train on and others to judge by.
pub(super) struct Halves {
    pub(super) classes: usize,
    pub(super) train: Vec<usize>,
    pub(super) held_out: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Result, Shape};

    fn dataset(counts: &[usize]) -> Result<Dataset> {
        let labels: Vec<usize> = (counts.iter().enumerate())
            .flat_map(|(class, &count)| std::iter::repeat_n(class, count))
            .collect();
        let classes = (0..counts.len()).map(|class| class.to_string()).collect();
        let pixels = vec![0; labels.len()];
        Dataset::from_bytes("some", classes, Shape::new(1, 1, 1), pixels, labels)
    }

    #[test]
    fn a_batch_has_each_class_in_turn() -> Result<()> {
        let dataset = dataset(&[50, 3, 0, 7])?;
        let batch = Choice::new(&dataset, 1).batch(12);
        let count = |class| {
            (batch.iter())
                .filter(|&&index| dataset.labels()[index] == class)
                .count()
        };
        assert_eq!([0, 1, 2, 3].map(count), [5, 3, 0, 4]);
        // Fewer pictures than asked for.
        assert_eq!(Choice::new(&dataset, 1).batch(100).len(), 60);
        Ok(())
    }

    #[test]
    fn halves_are_disjoint_and_balanced_and_leave_out_classes_that_are_too_rare() -> Result<()> {
        let dataset = dataset(&[400, 3, 300, 350])?;
        let halves = Choice::new(&dataset, 1).halves(300).expect("classes");
        assert_eq!((halves.classes, halves.train.len()), (3, 300));
        for part in [&halves.train, &halves.held_out] {
            let counts = dataset.subset(part).counts();
            assert_eq!(counts, [100, 0, 100, 100]);
        }
        assert!((halves.train.iter()).all(|index| !halves.held_out.contains(index)));
        Ok(())
    }

    #[test]
    fn one_class_has_no_halves() -> Result<()> {
        assert!(Choice::new(&dataset(&[9, 0])?, 1).halves(300).is_none());
        Ok(())
    }
}
