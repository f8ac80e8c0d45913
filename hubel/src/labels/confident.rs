//! Confident learning: how many labels of each class are wrong, and which ones.
use super::GivenLabels;

/// How it is decided which labels look wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// For each pair of classes, as many labels as the confident joint counts: those with the largest margin between the other class and the given label.
    #[default]
    NoiseRate,
    /// For each class, as many labels as the confident joint counts: those with the smallest probability of the given label.
    Class,
    /// The labels that [`Filter::NoiseRate`] and [`Filter::Class`] agree on.
    Both,
    /// The labels that the confident joint counts for another class.
    ConfidentLearning,
}

/// Tolerance of comparisons, as in cleanlab.
const TOLERANCE: f64 = 1e-6;

impl GivenLabels<'_> {
    /// Whether each label looks wrong. In no case does one whose class is the most probable.
    pub fn issues(&self, filter: Filter) -> Vec<bool> {
        let confident = self.confident_classes();
        let mut issues = match filter {
            Filter::ConfidentLearning => {
                let pairs = std::iter::zip(&confident, self.labels);
                pairs
                    .map(|(class, label)| class.is_some_and(|class| class != *label))
                    .collect()
            }
            Filter::NoiseRate => self.by_noise_rate(&self.expected(&confident)),
            Filter::Class => self.by_class(&self.expected(&confident)),
            Filter::Both => {
                let expected = self.expected(&confident);
                let by_class = self.by_class(&expected);
                let both = std::iter::zip(self.by_noise_rate(&expected), by_class);
                both.map(|(one, other)| one && other).collect()
            }
        };
        for (picture, issue) in issues.iter_mut().enumerate() {
            let (mut row, label) = self.row(picture);
            row[label] += TOLERANCE;
            *issue &= largest(&row) != label;
        }
        issues
    }

    /// For each class, the mean probability of that class over the pictures that have its label; infinite for a class without pictures.
    pub fn thresholds(&self) -> Vec<f64> {
        let mut sums = vec![[0.0; 2]; self.classes];
        for (picture, &label) in self.labels.iter().enumerate() {
            let [sum, count] = &mut sums[label];
            *sum += f64::from(self.probabilities(picture)[label]);
            *count += 1.0;
        }
        let means = sums.iter().map(|[sum, count]| match *count {
            0.0 => f64::INFINITY,
            _ => (sum / count).max(2.0 * TOLERANCE),
        });
        means.collect()
    }

    /// The confident joint: row: given label; column: class that the probabilities say with confidence. It is scaled so that the row of a class sums to the number of
    /// its pictures.
    pub fn confident_joint(&self) -> Vec<Vec<usize>> {
        self.joint(&self.confident_classes())
    }

    /// For each picture, the most probable class among those whose probability reaches the class's threshold. If only one does, that one, even if another is
    /// more probable. `None` if none does.
    fn confident_classes(&self) -> Vec<Option<usize>> {
        let thresholds = self.thresholds();
        let classes = (0..self.len()).map(|picture| {
            let (row, _) = self.row(picture);
            let reached = |class: &usize| row[*class] >= thresholds[*class] - TOLERANCE;
            let mut reaching = (0..self.classes).filter(reached);
            match (reaching.next(), reaching.next()) {
                (Some(_), Some(_)) => Some(largest(&row)),
                (only, _) => only,
            }
        });
        classes.collect()
    }

    fn joint(&self, confident: &[Option<usize>]) -> Vec<Vec<usize>> {
        let mut joint = vec![vec![0.0; self.classes]; self.classes];
        let mut counts = vec![0.0; self.classes];
        for (class, &label) in std::iter::zip(confident, self.labels) {
            counts[label] += 1.0;
            if let Some(class) = *class {
                joint[label][class] += 1.0;
            }
        }
        for (class, row) in joint.iter_mut().enumerate() {
            row[class] = f64::max(row[class], 1.0);
            let sum: f64 = row.iter().sum();
            for count in row.iter_mut() {
                *count = *count / sum * counts[class];
            }
        }
        // The sum is that of the counts, up to rounding. Dividing by it decides how halves are rounded, so it is added as NumPy does it.
        let columns = (0..self.classes).flat_map(|class| joint.iter().map(move |row| row[class]));
        let sum = pairwise_sum(&columns.collect::<Vec<f64>>());
        let all = self.len() as f64;
        for row in &mut joint {
            row.iter_mut().for_each(|count| *count = *count / sum * all);
        }
        joint.iter().map(|row| rounded(row)).collect()
    }

    /// The confident joint, changed so that at least one label of each class is right.
    fn expected(&self, confident: &[Option<usize>]) -> Vec<Vec<usize>> {
        let mut joint = self.joint(confident);
        for (label, row) in joint.iter_mut().enumerate() {
            if row[label] > 0 {
                continue;
            }
            let others = row.iter().filter(|count| **count > 0).count();
            let less = 1.0 / (others as f64 - 1.0).max(1.0);
            for count in row.iter_mut() {
                *count = (*count as f64 - less).max(0.0) as usize;
            }
            row[label] = 1;
        }
        joint
    }

    /// The pictures of each class with more than one picture.
    fn by_label(&self) -> Vec<(usize, Vec<usize>)> {
        let mut pictures = vec![Vec::new(); self.classes];
        for (picture, &label) in self.labels.iter().enumerate() {
            pictures[label].push(picture);
        }
        let several = pictures.into_iter().enumerate();
        several.filter(|(_, pictures)| pictures.len() > 1).collect()
    }

    /// See [`Filter::NoiseRate`].
    fn by_noise_rate(&self, expected: &[Vec<usize>]) -> Vec<bool> {
        let mut issues = vec![false; self.len()];
        for (label, pictures) in self.by_label() {
            for (class, &count) in expected[label].iter().enumerate() {
                if class == label || count == 0 {
                    continue;
                }
                let negative_margin = |picture: usize| {
                    let (row, _) = self.row(picture);
                    row[label] - row[class]
                };
                mark_smallest(&pictures, count, negative_margin, &mut issues);
            }
        }
        issues
    }

    /// See [`Filter::Class`].
    fn by_class(&self, expected: &[Vec<usize>]) -> Vec<bool> {
        let mut issues = vec![false; self.len()];
        for (label, pictures) in self.by_label() {
            let count = pictures.len().saturating_sub(expected[label][label]);
            let own = |picture: usize| f64::from(self.probabilities(picture)[label]);
            mark_smallest(&pictures, count, own, &mut issues);
        }
        issues
    }
}

/// Marks the `count` pictures with the smallest values; of equal ones, the first.
fn mark_smallest(
    pictures: &[usize],
    count: usize,
    value: impl Fn(usize) -> f64,
    marks: &mut [bool],
) {
    let mut ordered: Vec<(f64, usize)> = pictures
        .iter()
        .map(|&picture| (value(picture), picture))
        .collect();
    ordered.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (_, picture) in ordered.into_iter().take(count) {
        marks[picture] = true;
    }
}

/// The place of the largest value; the first of equal ones.
fn largest(row: &[f64]) -> usize {
    let places = row.iter().enumerate().rev();
    let largest = places.max_by(|one, other| one.1.total_cmp(other.1));
    largest.expect("there are classes").0
}

/// Rounds values to integers that have the rounded sum. Where the sum of the rounded values differs, those that were rounded farthest are rounded the other way.
fn rounded(row: &[f64]) -> Vec<usize> {
    let mut integers: Vec<f64> = row.iter().map(|value| value.round_ties_even()).collect();
    let wanted = row.iter().sum::<f64>().round_ties_even();
    loop {
        let lacking = wanted - integers.iter().sum::<f64>();
        if lacking.abs() < TOLERANCE {
            return integers.into_iter().map(|count| count as usize).collect();
        }
        let mut places: Vec<usize> = (0..row.len()).collect();
        places.sort_by(|&one, &other| {
            (row[one] - integers[one]).total_cmp(&(row[other] - integers[other]))
        });
        if lacking > 0.0 {
            places.reverse();
        }
        for &place in places.iter().take(lacking.abs() as usize) {
            integers[place] += lacking.signum();
        }
    }
}

/// The sum in the order of NumPy: eight sums of every eighth value for up to 128 values, and halves of more.
fn pairwise_sum(values: &[f64]) -> f64 {
    let (whole, rest) = values.as_chunks::<8>();
    match (whole, values.len()) {
        ([], _) => rest.iter().sum(),
        ([first, others @ ..], ..=128) => {
            let mut r = *first;
            for chunk in others {
                r.iter_mut()
                    .zip(chunk)
                    .for_each(|(sum, value)| *sum += value);
            }
            let sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
            rest.iter().fold(sum, |sum, value| sum + value)
        }
        (_, length) => {
            let half = length / 2 - length / 2 % 8;
            pairwise_sum(&values[..half]) + pairwise_sum(&values[half..])
        }
    }
}
