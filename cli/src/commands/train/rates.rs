//! `hubel train --find-lr`.
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use hubel::lab::{Axis, Chart, Marks, Point, Series};
use hubel::{RateSearch, replace_file};
use serde_json::json;

use super::super::Outcome;
use super::course::Course;
use crate::chart;
use crate::console::{self, Console};
use crate::interruption::Interruption;

/// Searches for a learning rate for the last phase of the training.
pub(super) fn search(course: &Course, as_json: bool, file: &Path, console: &Console) -> Outcome {
    let interruption = Interruption::listen()?;
    let progress = console.count("sweeping", "steps");
    let search = RateSearch::run(
        course.settings(),
        &mut |settings| course.of_last_phase(settings),
        &mut |done, all| {
            progress.show(done, all);
            match interruption.signal() {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            }
        },
    );
    progress.finish();
    let Some(search) = search? else {
        let signal = interruption.signal();
        return Ok(ExitCode::from(
            signal.map_or(1, |signal| signal.exit_code()),
        ));
    };
    replace_file(file, chart::file(&curves(&search)).as_bytes())?;
    print(&search, as_json, file)?;
    Ok(ExitCode::SUCCESS)
}

fn print(search: &RateSearch, as_json: bool, file: &Path) -> std::io::Result<()> {
    let shown = |rate: f32| format!("{rate:.1e}");
    if as_json {
        let sweeps: Vec<_> = (search.sweeps().iter())
            .map(|sweep| {
                json!({
                    "suggestion": sweep.suggestion,
                    "rates": sweep.points.iter().map(|point| point.rate).collect::<Vec<_>>(),
                    "losses": sweep.points.iter().map(|point| point.loss).collect::<Vec<_>>(),
                })
            })
            .collect();
        let answer = json!({
            "learning_rate": search.suggestion(),
            "range": search.range(),
            "sweeps": sweeps,
            "curves": file.display().to_string(),
        });
        return console::print(&answer.to_string());
    }
    let answer = match (search.suggestion(), search.range()) {
        (Some(rate), Some([low, high])) => format!(
            "learning rate  {} ({} to {} in three sweeps)\nnext           --learning-rate {}",
            shown(rate),
            shown(low),
            shown(high),
            shown(rate)
        ),
        (None, Some([low, high])) => format!(
            "learning rate  no clear answer: the sweeps suggest {} to {}\nnext           look at the curves, or try both ends for a few epochs",
            shown(low),
            shown(high)
        ),
        _ => "learning rate  no clear answer: the loss fell in too few sweeps\nnext           look at the curves; `hubel check` finds problems in the data".to_owned(),
    };
    console::print(&format!("{answer}\ncurves         {}", file.display()))
}

/// The loss of each sweep over the learning rate.
fn curves(search: &RateSearch) -> Chart {
    let series = search
        .sweeps()
        .iter()
        .enumerate()
        .map(|(number, sweep)| Series {
            name: format!("sweep {}", number + 1),
            points: (sweep.points.iter())
                .map(|point| Point {
                    x: f64::from(point.rate),
                    y: f64::from(point.loss),
                    error: 0.0,
                })
                .collect(),
        });
    Chart {
        title: "Loss while the learning rate grows".into(),
        y: Axis::linear("training loss (nats)"),
        marks: Marks::Lines {
            x: Axis {
                label: "learning rate".into(),
                logarithmic: true,
            },
            series: series.collect(),
        },
    }
}
