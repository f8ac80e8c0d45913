//! The report of `hubel evaluate`: one page.
use std::path::Path;

use askama::Template;
use hubel::{Error, one_line};

use super::Evaluated;
use super::text::{Answered, bound};
use crate::chart;
use crate::commands::Assessment;
use crate::commands::judged::{Judged, roc_figure};
use crate::console::thousands;
use crate::page::{self, Tile};

/// Writes the page.
pub(super) fn write(file: &Path, evaluated: &Evaluated) -> Result<(), Error> {
    page::write(file, &Page::new(evaluated))
}

#[derive(Template)]
#[template(path = "evaluate.html")]
struct Page {
    command: &'static str,
    title: String,
    colours: &'static str,
    description: String,
    tiles: Vec<Tile>,
    judged: Judged,
    foreign: Option<chart::Figure>,
}

impl Page {
    fn new(evaluated: &Evaluated) -> Self {
        let Assessment { report, .. } = &evaluated.judgement;
        let model = evaluated.model;
        let foreign = evaluated.foreign.as_ref().and_then(|foreign| {
            let caption = format!(
                "Data of another kind, told apart by the distance to the nearest {}: ROC area {:.2} %",
                foreign.reference(),
                100.0 * foreign.area()?
            );
            Some(roc_figure(caption, foreign.roc()?))
        });
        Self {
            command: "evaluate",
            title: hubel::shown(&evaluated.arguments.model),
            colours: chart::STYLE,
            description: format!(
                "{} {} of {} ({})",
                thousands(report.count),
                evaluated.images.kind().plural(),
                one_line(evaluated.images.name()),
                evaluated.judged
            ),
            tiles: tiles(evaluated),
            judged: Judged::new(&evaluated.judgement, model.classes(), evaluated.images),
            foreign,
        }
    }
}

fn tiles(evaluated: &Evaluated) -> Vec<Tile> {
    let Assessment {
        report, answers, ..
    } = &evaluated.judgement;
    let model = evaluated.model;
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let [low, high] = report.interval().map(|end| 100.0 * end);
    let (largest, share) = report.baseline();
    let mut tiles = vec![
        Tile::new(
            "accuracy",
            percent(f64::from(report.accuracy)),
            format!("95 % confidence: {low:.2} to {high:.2} %"),
        ),
        Tile::new(
            "balanced accuracy",
            percent(f64::from(report.balanced_accuracy())),
            "mean of the classes' accuracies".into(),
        ),
        Tile::new(
            "baseline",
            percent(f64::from(share)),
            format!("always answering {}", one_line(&model.classes()[largest])),
        ),
        Tile::new(
            "log loss",
            format!("{:.4}", answers.log_loss()),
            format!("nats; Brier score {:.4}", answers.brier()),
        ),
    ];
    if let (Some(threshold), Some(answered)) = (model.threshold(), Answered::new(evaluated)) {
        tiles.push(Tile::new(
            "answered",
            percent(answered.share()),
            format!(
                "with a probability of at least {}; {} of these are wrong; {}",
                percent(f64::from(threshold.probability)),
                percent(answered.wrong_share()),
                bound(evaluated, threshold)
            ),
        ));
    }
    tiles
}
