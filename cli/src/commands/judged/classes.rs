//! The scores of each class, and the confusions.
use hubel::{ClassScores, Report, one_line};

use crate::console::thousands;

/// How many classes get a line.
const SHOWN: usize = 30;
/// How many confusions are listed.
const CONFUSIONS: usize = 10;
/// The most classes of a matrix.
const MATRIX: usize = 12;

/// The results by class.
pub(in crate::commands) struct Classes {
    /// Whether only the worst classes are shown.
    pub(super) are_worst: bool,
    pub(super) rows: Vec<Class>,
    pub(super) confusions: Vec<Confusion>,
    /// Rows of the matrix of all confusions, if it is small: the true class and a cell for each answer.
    pub(super) matrix: Vec<(String, Vec<Cell>)>,
}

/// A class and its scores in percent; a score of nothing is empty.
pub(super) struct Class {
    pub(super) name: String,
    /// `None` without images.
    pub(super) recall: Option<String>,
    pub(super) precision: String,
    pub(super) f1: String,
    /// The area below the ROC curve.
    pub(super) area: String,
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
    /// `areas` are those of the ROC curves.
    pub(super) fn new(report: &Report, areas: &[Option<f64>], names: &[String]) -> Self {
        let name = |class: usize| one_line(&names[class]).into_owned();
        let percent = |share: Option<f64>| {
            share.map_or_else(String::new, |share| format!("{:.2}", 100.0 * share))
        };
        let scores = report.of_classes();
        let rows = worst(&scores, SHOWN);
        let confusions = report.confusions(CONFUSIONS).into_iter();
        let has_matrix = (2..=MATRIX).contains(&names.len());
        let matrix = report.confusion.iter().enumerate().filter(|_| has_matrix);
        Self {
            are_worst: scores.len() > SHOWN,
            rows: (rows.into_iter())
                .map(|class| Class {
                    name: name(class),
                    recall: (scores[class].recall).map(|share| format!("{:.2}", 100.0 * share)),
                    precision: percent(scores[class].precision),
                    f1: percent(scores[class].f1),
                    area: percent(areas[class]),
                    count: thousands(scores[class].count),
                })
                .collect(),
            confusions: confusions
                .map(|(count, truth, answer)| Confusion {
                    count: thousands(count),
                    truth: name(truth),
                    answer: name(answer),
                    share: format!("{:.1}", 100.0 * count as f64 / scores[truth].count as f64),
                })
                .collect(),
            matrix: matrix
                .map(|(truth, row)| {
                    let cells = row.iter().enumerate().map(|(answer, &count)| Cell {
                        count: thousands(count),
                        is_right: answer == truth,
                        shade: shade(count, scores[truth].count, answer == truth),
                    });
                    (name(truth), cells.collect())
                })
                .collect(),
        }
    }
}

/// The indices of all classes. If there are more than `most`, only of those with the lowest recall, the worst first.
pub(in crate::commands) fn worst(scores: &[ClassScores], most: usize) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..scores.len()).collect();
    if classes.len() > most {
        // Classes without images come last.
        let recall = |class: usize| scores[class].recall.unwrap_or(f64::INFINITY);
        classes.sort_by(|&one, &other| recall(one).total_cmp(&recall(other)));
        classes.truncate(most);
    }
    classes
}

/// How dark a cell is, in percent. Wrong answers are rarer and get dark sooner: at a twentieth of the images of their class.
pub(in crate::commands) fn shade(count: usize, all: usize, is_right: bool) -> usize {
    const DARKEST: f64 = 60.0;
    let share = count as f64 / all.max(1) as f64;
    let share = if is_right {
        share
    } else {
        (20.0 * share).min(1.0)
    };
    (DARKEST * share).ceil() as usize
}
