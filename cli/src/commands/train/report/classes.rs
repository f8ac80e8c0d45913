//! The accuracy of each class, and the confusions.
use hubel::{Report, one_line};

use crate::commands::evaluate::{confusions, of_classes, worst_classes};
use crate::console::thousands;

/// How many classes get a line.
const SHOWN: usize = 30;
/// How many confusions are listed.
const CONFUSIONS: usize = 10;
/// The most classes of a matrix.
const MATRIX: usize = 12;

/// The test results by class.
pub(super) struct Classes {
    /// Whether only the worst classes are shown.
    pub(super) are_worst: bool,
    pub(super) rows: Vec<Class>,
    pub(super) confusions: Vec<Confusion>,
    /// Rows of the matrix of all confusions, if it is small: the true class and a cell for each answer.
    pub(super) matrix: Vec<(String, Vec<Cell>)>,
}

pub(super) struct Class {
    pub(super) name: String,
    /// In percent; `None` without images.
    pub(super) accuracy: Option<String>,
    pub(super) count: String,
}

pub(super) struct Confusion {
    pub(super) count: String,
    pub(super) truth: String,
    pub(super) answer: String,
    /// Of the images of the true class, in percent.
    pub(super) share: String,
}

pub(super) struct Cell {
    pub(super) count: String,
    pub(super) is_right: bool,
    /// How dark it is, in percent.
    pub(super) shade: usize,
}

impl Classes {
    pub(super) fn new(report: &Report, names: &[String]) -> Self {
        let name = |class: usize| one_line(&names[class]).into_owned();
        let counts: Vec<usize> = (of_classes(&report.confusion))
            .map(|(count, _)| count)
            .collect();
        let rows = worst_classes(&report.confusion, SHOWN);
        let confusions = confusions(&report.confusion, CONFUSIONS).into_iter();
        let has_matrix = (2..=MATRIX).contains(&names.len());
        let matrix = report.confusion.iter().enumerate().filter(|_| has_matrix);
        Self {
            are_worst: counts.len() > SHOWN,
            rows: (rows.into_iter())
                .map(|(class, (count, share))| Class {
                    name: name(class),
                    accuracy: share.map(|share| format!("{:.2}", 100.0 * share)),
                    count: thousands(count),
                })
                .collect(),
            confusions: confusions
                .map(|(count, truth, answer)| Confusion {
                    count: thousands(count),
                    truth: name(truth),
                    answer: name(answer),
                    share: format!("{:.1}", 100.0 * count as f64 / counts[truth] as f64),
                })
                .collect(),
            matrix: matrix
                .map(|(truth, row)| {
                    let cells = row.iter().enumerate().map(|(answer, &count)| Cell {
                        count: thousands(count),
                        is_right: answer == truth,
                        shade: shade(count, counts[truth], answer == truth),
                    });
                    (name(truth), cells.collect())
                })
                .collect(),
        }
    }
}

/// How dark a cell is. Wrong answers are rarer and get dark sooner: at a twentieth of the images of their class.
fn shade(count: usize, all: usize, is_right: bool) -> usize {
    const DARKEST: f64 = 60.0;
    let share = count as f64 / all.max(1) as f64;
    let share = if is_right {
        share
    } else {
        (20.0 * share).min(1.0)
    };
    (DARKEST * share).ceil() as usize
}
