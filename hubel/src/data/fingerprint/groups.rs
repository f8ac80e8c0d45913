//! Groups of samples that belong together.
use std::collections::HashMap;

/// Disjoint sets, each identified by its smallest member.
#[derive(Clone)]
pub(super) struct Groups {
    above: Vec<usize>,
}

impl Groups {
    pub(super) fn new(count: usize) -> Self {
        Self {
            above: (0..count).collect(),
        }
    }

    /// Groups samples with equal contents.
    pub(super) fn of_equal(contents: &[u64]) -> Self {
        let mut groups = Self::new(contents.len());
        let mut firsts = HashMap::new();
        for (index, content) in contents.iter().enumerate() {
            let first = *firsts.entry(content).or_insert(index);
            groups.join(first, index);
        }
        groups
    }

    pub(super) fn first(&mut self, mut index: usize) -> usize {
        while self.above[index] != index {
            self.above[index] = self.above[self.above[index]];
            index = self.above[index];
        }
        index
    }

    /// The first member of the set of each.
    pub(super) fn firsts(mut self) -> Vec<usize> {
        (0..self.above.len())
            .map(|index| self.first(index))
            .collect()
    }

    pub(super) fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.first(one), self.first(other));
        self.above[one.max(other)] = one.min(other);
    }
}
