//! The curves of a run.
use hubel::lab::{Axis, Chart, Marks, Point, Series};
use hubel::record::{Row, StepMean};

use crate::chart::{self, Figure};
use crate::commands::train::ended::Recorded;

/// With at most this many epochs, the loss is also drawn by step.
const FEW: usize = 20;

/// Losses that differ by a larger factor have a logarithmic axis.
const WIDE: f64 = 30.0;

/// Values from here on are not drawn: nothing else could be seen beside those of a training that diverges.
const HUGE: f64 = 1e6;

/// The charts of a run. `loss_includes` names terms that only the training loss has.
pub(super) fn of(recorded: &Recorded, loss_includes: &[&str]) -> Vec<Figure> {
    let (rows, steps) = (&recorded.rows, &recorded.events.steps);
    let loss_name = match loss_includes {
        [] => "training".to_owned(),
        terms => format!("training, with {}", terms.join(" and ")),
    };
    let percent = |share: f32| 100.0 * f64::from(share);
    let losses = [
        by_epoch(&loss_name, rows, |row| Some(f64::from(row.loss))),
        by_epoch("validation", rows, |row| row.validation_loss.map(f64::from)),
    ];
    let accuracies = [
        by_epoch("training", rows, |row| Some(percent(row.accuracy))),
        by_epoch("validation", rows, |row| {
            row.validation_accuracy.map(percent)
        }),
        balanced(rows),
    ];
    let by_step = by_step("", steps, |step| step.loss);
    let is_drawn = rows.len() <= FEW && by_step.points.len() > 1;
    let background = is_drawn.then(|| Series {
        name: match steps.iter().map(|step| step.count).max() {
            None | Some(1) => "each step".into(),
            Some(count) => format!("mean of {count} steps"),
        },
        ..by_step
    });
    let figures = [
        figure("Loss", "cross-entropy", losses, background, true),
        figure("Accuracy", "accuracy (%)", accuracies, None, false),
        rate(steps),
        figure(
            "Length of the gradient",
            "norm",
            [self::by_step("", steps, |step| step.gradient_norm)],
            None,
            true,
        ),
    ];
    figures.into_iter().flatten().collect()
}

/// The balanced accuracy on the validation images, if it differs from the plain one.
fn balanced(rows: &[Row]) -> Series {
    let of = |row: &Row| Some((row.validation_accuracy?, row.validation_balanced_accuracy?));
    let differs = (rows.iter().filter_map(of)).any(|(one, other)| (one - other).abs() > 0.02);
    by_epoch("balanced", rows, |row| {
        let share = row.validation_balanced_accuracy.filter(|_| differs);
        share.map(|share| 100.0 * f64::from(share))
    })
}

fn rate(steps: &[StepMean]) -> Option<Figure> {
    let series = by_step("", steps, |step| Some(step.learning_rate));
    figure("Learning rate", "rate", [series], None, false)
}

/// The values of the epochs, counted over all phases.
fn by_epoch(name: &str, rows: &[Row], value: impl Fn(&Row) -> Option<f64>) -> Series {
    let points = rows.iter().zip(1..);
    let points =
        points.filter_map(|(row, epoch)| Some(Point::exact(f64::from(epoch), value(row)?)));
    series(name, points)
}

fn by_step(name: &str, steps: &[StepMean], value: impl Fn(&StepMean) -> Option<f64>) -> Series {
    let points = steps.iter();
    let points = points.filter_map(|step| Some(Point::exact(step.epochs, value(step)?)));
    series(name, points)
}

fn series(name: &str, points: impl Iterator<Item = Point>) -> Series {
    Series {
        name: name.into(),
        points: points.filter(|point| point.y.abs() < HUGE).collect(),
    }
}

/// The chart of these series, as far as they have points. `None` if there is nothing to draw. A value that `may_be_logarithmic` is so if it varies much.
fn figure<const N: usize>(
    caption: &str,
    label: &str,
    series: [Series; N],
    background: Option<Series>,
    may_be_logarithmic: bool,
) -> Option<Figure> {
    let series: Vec<Series> = series
        .into_iter()
        .filter(|series| !series.points.is_empty())
        .collect();
    let all = || {
        series
            .iter()
            .chain(&background)
            .flat_map(|series| &series.points)
    };
    // One point is no curve.
    let (first, last) = (all().next()?.x, all().next_back()?.x);
    if first == last {
        return None;
    }
    let low = all().map(|point| point.y).fold(f64::INFINITY, f64::min);
    let high = all().map(|point| point.y).fold(0.0, f64::max);
    let is_wide = may_be_logarithmic && low > 0.0 && high > WIDE * low;
    let chart = Chart {
        title: caption.into(),
        y: Axis {
            label: label.into(),
            logarithmic: is_wide,
        },
        marks: Marks::Lines {
            x: Axis::linear("epoch"),
            series,
        },
    };
    Some(Figure {
        caption: caption.into(),
        svg: match &background {
            None => chart::svg(&chart),
            Some(background) => chart::svg_over(&chart, background),
        },
    })
}
