//! What `hubel evaluate` prints for people, within 80 columns: first how good the model is, then where it errs, then what to do next.
use hubel::data::Kind;
use hubel::{Answers, Report, Threshold, in_percent, one_line};

use super::{Evaluated, command_with};
use crate::commands::judged::{shade, worst};
use crate::commands::{Assessment, beside_accuracy, headline, wrapped};
use crate::console::{self, thousands};

/// How many classes get a line.
const CLASSES: usize = 20;
/// How many confusions get a line.
const CONFUSIONS: usize = 5;
/// How many mistakes get a line.
const MISTAKES: usize = 5;
/// Columns of a terminal.
const WIDTH: usize = 80;
/// Columns of the names of values.
const INDENT: usize = 13;
/// The share of wrong answers that the next step suggests, if the test part is large enough for it.
const RELIED_ON: f64 = 0.01;
/// Columns of a class's name.
const NAME: usize = 24;

pub(super) fn of(evaluated: &Evaluated) -> String {
    let Assessment {
        report, answers, ..
    } = &evaluated.judgement;
    let classes = evaluated.model.classes();
    let mut text = String::new();
    let mut line = |name: &str, value: String| text += &format!("{name:<INDENT$}{value}\n");
    line("accuracy", headline(report, classes));
    for (name, value) in beside_accuracy(report, classes, false) {
        line(name, value);
    }
    for count in top_counts(classes.len()) {
        line(&format!("top {count}"), percent(answers.top(count)));
    }
    for (name, value) in probabilities(evaluated) {
        line(name, value);
    }
    text += &class_lines(report, classes);
    text += &matrix(report, classes, console::has_colour());
    text += &confusions(report, classes);
    text += &mistakes(evaluated);
    text + "\nnext         " + &next(evaluated)
}

/// The numbers of most probable classes whose accuracy is worth a line.
pub(super) fn top_counts(classes: usize) -> impl Iterator<Item = usize> {
    [2, 5].into_iter().filter(move |count| 2 * count <= classes)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// What is said about the probabilities.
fn probabilities(evaluated: &Evaluated) -> Vec<(&'static str, String)> {
    let Assessment {
        answers,
        calibration,
        ..
    } = &evaluated.judgement;
    let [low, high] = calibration.by_chance.map(|end| 100.0 * end);
    let temperature = match evaluated.model.temperature() {
        Some(temperature) => format!(
            "; {:.4} without the temperature of {temperature:.2}",
            uncalibrated_loss(answers)
        ),
        None => String::new(),
    };
    let mut lines = vec![
        (
            "calibration",
            format!(
                "error {:.2} % (right probabilities would show {low:.2} to {high:.2} %)",
                100.0 * calibration.error
            ),
        ),
        (
            "loss",
            format!("{:.4} nats{temperature}", answers.log_loss()),
        ),
        (
            "Brier score",
            format!("{:.4} (from 0, the best, to 2)", answers.brier()),
        ),
    ];
    if let Some(threshold) = evaluated.model.threshold() {
        let answered = Answered::new(evaluated).expect("there is a threshold");
        lines.push((
            "answered",
            format!(
                "{} of the {} with at least {}; {} of these wrong",
                percent(answered.share()),
                evaluated.images.kind().plural(),
                percent(f64::from(threshold.probability)),
                percent(answered.wrong_share()),
            ),
        ));
        let rest = format!(
            "{}. The other {} are \"not sure\"",
            bound(evaluated, threshold),
            evaluated.images.kind().plural()
        );
        let rest = wrapped(&rest, "", WIDTH - INDENT).into_iter();
        lines.extend(rest.map(|line| ("", line)));
    }
    if let Some(foreign) = &evaluated.foreign {
        lines.push((
            "foreign",
            format!(
                "ROC area {} by the distance to the nearest {}",
                foreign.area().map_or("unknown".into(), percent),
                foreign.reference()
            ),
        ));
        lines.push((
            "",
            format!(
                "({} {} of another kind; their answers say {} on average)",
                thousands(foreign.count()),
                evaluated.images.kind(),
                percent(foreign.mean_confidence())
            ),
        ));
    }
    lines
}

/// What is promised of the answers that are given, and whether these images can test it.
pub(super) fn bound(evaluated: &Evaluated, threshold: &Threshold) -> String {
    let own = match evaluated.chose_threshold {
        true => ". This data chose it, so it does not test it",
        false if breaks_bound(evaluated, threshold) => {
            ". Clearly more are wrong here: this data is of another kind"
        }
        false => "",
    };
    format!(
        "bound: at most {} with 95 % confidence, for data like the {} that chose it{own}",
        in_percent(threshold.wrong_at_most),
        thousands(threshold.images)
    )
}

/// Whether clearly more of the answers are wrong than the threshold allows.
pub(super) fn breaks_bound(evaluated: &Evaluated, threshold: &Threshold) -> bool {
    let answered = Answered::of(&evaluated.judgement.answers, threshold);
    !evaluated.chose_threshold && threshold.is_broken_by(answered.wrong, answered.answered)
}

/// The mean cross-entropy without the model's temperature.
pub(super) fn uncalibrated_loss(answers: &Answers) -> f64 {
    answers.clone().at_temperature(1.0).log_loss()
}

/// How many images the model answers, given its threshold.
pub(super) struct Answered {
    pub(super) images: usize,
    pub(super) answered: usize,
    pub(super) wrong: usize,
}

impl Answered {
    /// `None` if the model has no threshold.
    pub(super) fn new(evaluated: &Evaluated) -> Option<Self> {
        let threshold = evaluated.model.threshold()?;
        Some(Self::of(&evaluated.judgement.answers, threshold))
    }

    /// Of these answers.
    pub(super) fn of(answers: &Answers, threshold: &Threshold) -> Self {
        let answered: Vec<usize> = (0..answers.len())
            .filter(|place| answers.is_answered(*place, threshold))
            .collect();
        let wrong = answered.iter().filter(|place| !answers.is_right(**place));
        Self {
            images: answers.len(),
            wrong: wrong.count(),
            answered: answered.len(),
        }
    }

    pub(super) fn share(&self) -> f64 {
        self.answered as f64 / self.images.max(1) as f64
    }

    pub(super) fn wrong_share(&self) -> f64 {
        self.wrong as f64 / self.answered.max(1) as f64
    }
}

/// A table of the classes, or of those with the lowest recall.
fn class_lines(report: &Report, classes: &[String]) -> String {
    let scores = report.of_classes();
    let shown = worst(&scores, CLASSES);
    let title = match classes.len() > CLASSES {
        true => format!("the {CLASSES} worst classes"),
        false => "class".into(),
    };
    let things = report.kind.plural();
    let width = things.len().max(8) + 2;
    let mut text = format!(
        "\n{title:<NAME$}{:>10}{:>11}{:>8}{things:>width$}\n",
        "recall", "precision", "F1"
    );
    for class in shown {
        let own = scores[class];
        let share = |share: Option<f64>| {
            share.map_or_else(|| "–".into(), |share| format!("{:.2}", 100.0 * share))
        };
        text += &format!(
            "{:<NAME$}{:>10}{:>11}{:>8}{:>width$}\n",
            cut(&classes[class], NAME - 1),
            share(own.recall),
            share(own.precision),
            share(own.f1),
            thousands(own.count)
        );
    }
    text
}

/// A name in at most this many columns.
fn cut(name: &str, columns: usize) -> String {
    let name = one_line(name);
    match name.chars().count() > columns {
        true => name.chars().take(columns - 1).chain(['…']).collect(),
        false => name.into_owned(),
    }
}

/// The confusion matrix, if it fits: a row for each true class, a column for each answer. In colour, cells are the darker, the larger their share.
fn matrix(report: &Report, classes: &[String], has_colour: bool) -> String {
    /// Columns of a class's name beside its row.
    const SIDE: usize = 12;
    let largest = report.confusion.iter().flatten().max().copied();
    let digits = largest.unwrap_or(0).to_string().len();
    let longest = classes
        .iter()
        .map(|class| one_line(class).chars().count())
        .max();
    let room = ((WIDTH - SIDE) / classes.len().max(1)).saturating_sub(1);
    let cell = digits.max(4).max(longest.unwrap_or(0).min(room)) + 1;
    if classes.len() < 2 || SIDE + cell * classes.len() > WIDTH {
        return String::new();
    }
    let mut text = format!("\n{:<SIDE$}", "is \\ answer");
    for class in classes {
        text += &format!("{:>cell$}", cut(class, cell - 1));
    }
    text += "\n";
    for (truth, row) in report.confusion.iter().enumerate() {
        text += &format!("{:<SIDE$}", cut(&classes[truth], SIDE - 1));
        let count = row.iter().sum();
        for (answer, &cell_count) in row.iter().enumerate() {
            let shown = match cell_count {
                0 => format!("{:>cell$}", "·"),
                count => format!("{count:>cell$}"),
            };
            text += &match has_colour && cell_count > 0 {
                true => block(
                    &shown,
                    shade(cell_count, count, answer == truth),
                    answer == truth,
                ),
                false => shown,
            };
        }
        text += "\n";
    }
    text
}

/// Text on a block of colour: blue for right answers, red for wrong ones, darker for a larger shade.
fn block(text: &str, shade: usize, is_right: bool) -> String {
    // Steps of the 256-colour palette, from dark to bright.
    let steps = match is_right {
        true => [17, 18, 19, 20, 21],
        false => [52, 88, 124, 160, 196],
    };
    let step = steps[(shade / 13).min(steps.len() - 1)];
    format!("\x1b[97;48;5;{step}m{text}\x1b[0m")
}

fn confusions(report: &Report, classes: &[String]) -> String {
    let found = report.confusions(CONFUSIONS);
    let mut text = match found.is_empty() {
        true => String::new(),
        false => "\nmost frequent confusions\n".to_owned(),
    };
    for (count, truth, answer) in found {
        text += &format!(
            "{:>8} × {} predicted as {}\n",
            thousands(count),
            cut(&classes[truth], NAME),
            cut(&classes[answer], NAME)
        );
    }
    text
}

fn mistakes(evaluated: &Evaluated) -> String {
    let answers: &Answers = &evaluated.judgement.answers;
    let classes = evaluated.model.classes();
    let found = answers.mistakes();
    let mut text = match found.is_empty() {
        true => String::new(),
        false => "\nmost confident mistakes\n".to_owned(),
    };
    for &place in found.iter().take(MISTAKES) {
        let name = evaluated.images.name_of(answers.indices()[place]);
        text += &format!(
            "{:>8.2} %  {} is {}: {name}\n",
            100.0 * answers.confidence(place),
            cut(&classes[answers.class(place)], NAME),
            cut(&classes[answers.labels()[place]], NAME),
        );
        if let Some(shown) = evaluated.images.text(answers.indices()[place]) {
            text += &format!("{:>12}{}\n", "", cut(shown, WIDTH - 12));
        }
    }
    text
}

/// The next thing to try, and its command in a line of its own.
fn next(evaluated: &Evaluated) -> String {
    let (what, flag) = if evaluated.arguments.html.is_none() {
        let what = match evaluated.images.kind() {
            Kind::Pictures => "see the mistakes as pictures",
            _ => "see the mistakes, calibration and curves on a page",
        };
        (what, "--html report.html")
    } else if evaluated.model.threshold().is_none()
        && evaluated.judgement.distinct().len() >= Threshold::fewest(RELIED_ON)
    {
        ("answers that can be relied on", "--wrong-at-most 1%")
    } else {
        return format!(
            "look at the mistakes: what do they have that the training {} lack?",
            evaluated.images.kind()
        );
    };
    format!("{what}:\n             {}", command_with(evaluated, flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_to_their_column() {
        assert_eq!(cut("cat", 4), "cat");
        assert_eq!(cut("elephant", 4), "ele…");
    }

    #[test]
    fn darker_blocks_are_larger_shares() {
        assert!(block("9", 60, true).contains("48;5;21m"));
        assert!(block("9", 0, false).contains("48;5;52m"));
    }
}
