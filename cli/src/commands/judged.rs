//! How good a model is, for the pages of `hubel train` and `hubel evaluate`: the scores of each class, calibration, curves, and the worst mistakes. The template is
//! `judged.html`.
mod classes;

use askama::Template;
use hubel::lab::{Axis, Chart, Marks, Point, Series};
use hubel::{Answers, Calibration, Dataset, Separation, one_line};

pub(super) use self::classes::{Classes, shade, worst};
use super::Assessment;
use crate::chart::{self, Figure};
use crate::console::thousands;
use crate::page::embedded;

/// How many mistakes are shown.
const MISTAKES: usize = 24;
/// Longer side of a picture, in pixels.
const SIDE: u32 = 192;
/// How many classes have curves.
const CURVES: usize = 4;
/// The most points of a curve.
const POINTS: usize = 200;

/// The section of a page.
#[derive(Template)]
#[template(path = "judged.html")]
pub(super) struct Judged {
    classes: Classes,
    figures: Vec<Figure>,
    mistakes: Vec<Mistake>,
    /// How many more mistakes there are.
    more: Option<String>,
}

/// A wrong answer.
struct Mistake {
    /// The picture as a data URL, if it can be shown.
    source: Option<String>,
    /// The text, if it is one.
    text: Option<String>,
    truth: String,
    answer: String,
    /// The probability of the answer, in percent.
    percent: String,
    name: String,
}

impl Judged {
    /// What the answers for `images` show; the classes have these `names`.
    pub(super) fn new(judgement: &Assessment, names: &[String], images: &Dataset) -> Self {
        let Assessment {
            report,
            answers,
            calibration,
            ..
        } = judgement;
        let wrong = answers.mistakes();
        let name = |class: usize| one_line(&names[class]).into_owned();
        let mistakes = wrong.iter().take(MISTAKES).map(|&place| {
            let index = answers.indices()[place];
            let picture = images.thumbnail(index, SIDE);
            Mistake {
                source: picture.map(|picture| embedded(picture.media_type, &picture.bytes)),
                text: images.text(index).map(shortened),
                truth: name(answers.labels()[place]),
                answer: name(answers.class(place)),
                percent: format!("{:.2}", 100.0 * answers.confidence(place)),
                name: images.name_of(index),
            }
        });
        // Only the areas: the curves of a thousand classes would take a gigabyte.
        let areas: Vec<Option<f64>> = (0..names.len())
            .map(|class| Some(answers.separation(class)?.roc.area))
            .collect();
        let mut figures = vec![reliability(calibration)];
        figures.extend(curves(answers, &areas, names));
        Self {
            classes: Classes::new(report, &areas, names),
            figures,
            more: (wrong.len() > MISTAKES).then(|| thousands(wrong.len() - MISTAKES)),
            mistakes: mistakes.collect(),
        }
    }
}

/// The start of a text.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 300;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The reliability diagram.
fn reliability(calibration: &Calibration) -> Figure {
    let point = |x: f64, y: f64| Point {
        x: 100.0 * x,
        y: 100.0 * y,
        error: 0.0,
    };
    let bins = calibration.bins.iter().filter(|bin| bin.count > 0);
    let series = vec![
        Series {
            name: "answers, by probability".into(),
            points: bins
                .map(|bin| point(bin.confidence, bin.accuracy))
                .collect(),
        },
        Series {
            name: "as it should be".into(),
            points: vec![point(0.0, 0.0), point(1.0, 1.0)],
        },
    ];
    let [low, high] = calibration.by_chance.map(|end| 100.0 * end);
    let caption = format!(
        "Calibration: error {:.2} % (right probabilities would show {low:.2} to {high:.2} %)",
        100.0 * calibration.error
    );
    figure(
        caption,
        "probability of the answer (%)",
        "right answers (%)",
        series,
    )
}

/// The ROC and precision-recall curves of the classes that are separated worst: those with the smallest ROC areas.
fn curves(answers: &Answers, areas: &[Option<f64>], names: &[String]) -> Vec<Figure> {
    let mut classes: Vec<(usize, f64)> = (areas.iter().enumerate())
        .filter_map(|(class, area)| Some((class, (*area)?)))
        .collect();
    classes.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let which = match classes.len() > CURVES {
        true => format!("the {CURVES} worst classes"),
        false => "each class".into(),
    };
    let classes: Vec<(usize, Separation)> = (classes.into_iter().take(CURVES))
        .filter_map(|(class, _)| Some((class, answers.separation(class)?)))
        .collect();
    if classes.is_empty() {
        return Vec::new();
    }
    let series = |curve: fn(&Separation) -> &hubel::Curve| -> Vec<Series> {
        let classes = classes.iter().map(|(class, separation)| {
            let curve = curve(separation);
            let points = curve.thinned(POINTS).into_iter();
            Series {
                name: format!("{} ({:.2} %)", one_line(&names[*class]), 100.0 * curve.area),
                points: points
                    .map(|[x, y]| Point {
                        x: 100.0 * x,
                        y: 100.0 * y,
                        error: 0.0,
                    })
                    .collect(),
            }
        });
        classes.collect()
    };
    vec![
        figure(
            format!("ROC of {which}, with the area"),
            "others taken for the class (%)",
            "found of the class (%)",
            series(|separation| &separation.roc),
        ),
        figure(
            format!("Precision and recall of {which}, with the average precision"),
            "recall (%)",
            "precision (%)",
            series(|separation| &separation.precision_recall),
        ),
    ]
}

/// A ROC curve of foreign pictures.
pub(super) fn roc_figure(caption: String, points: Vec<[f64; 2]>) -> Figure {
    let points = points.into_iter().map(|[x, y]| Point {
        x: 100.0 * x,
        y: 100.0 * y,
        error: 0.0,
    });
    let series = Series {
        name: String::new(),
        points: points.collect(),
    };
    figure(
        caption,
        "own taken for foreign (%)",
        "foreign found (%)",
        vec![series],
    )
}

fn figure(caption: String, x: &str, y: &str, series: Vec<Series>) -> Figure {
    let chart = Chart {
        title: caption.clone(),
        y: Axis::linear(y),
        marks: Marks::Lines {
            x: Axis::linear(x),
            series,
        },
    };
    Figure {
        caption,
        svg: chart::svg(&chart),
    }
}
