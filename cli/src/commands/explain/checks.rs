//! `--check`: whether a map can be trusted, as sentences and as JSON.
use hubel::explain::cascade::Cascade;
use hubel::explain::deletion::{self, Deletion, Verdict};
use hubel::explain::{Checks, Heatmap, Method, Question};
use hubel::{Error, Model};
use serde_json::{Value, json};

use super::data::Data;
use super::{Explain, Looked};
use crate::console::Console;

/// Checks a map of the picture, made by `method`.
pub(super) fn of(
    arguments: &Explain,
    model: &Model,
    looked: &Looked,
    data: Option<&Data>,
    made: (&Method, &Heatmap),
    console: &Console,
) -> Result<Checks, Error> {
    let question = Question {
        image: looked.prepared.tensor.clone(),
        score: looked.score,
    };
    let bar = console.count("checking", "maps");
    let checks = Checks::of(
        &arguments.processor.cpu(),
        model,
        made,
        &question,
        data.map(Data::images)
            .ok_or_else(|| "this needs the training data (--data)".to_owned()),
        &|done, all| bar.show(done, all),
    );
    bar.finish();
    checks
}

/// The checks as JSON.
pub(super) fn to_json(checks: &Checks) -> Value {
    let Deletion {
        deletion,
        insertion,
        whole,
        blurred,
    } = &checks.deletion;
    let areas = |areas: &deletion::Areas| {
        json!({
            "map": rounded(areas.map),
            "random": rounded(areas.random),
            "edges": rounded(areas.edges),
        })
    };
    json!({
        "cascade": checks.cascade.as_ref().ok().map(cascade_to_json),
        "deletion": areas(deletion),
        "insertion": areas(insertion),
        "probability": rounded(*whole),
        "probability_blurred": rounded(*blurred),
        "verdict": match checks.deletion.verdict() {
            Verdict::Passes => "passes",
            Verdict::NoBetterThanEdges => "no-better-than-edges",
            Verdict::NoBetterThanRandom => "no-better-than-random",
            Verdict::Undecided => "undecided",
        },
    })
}

fn cascade_to_json(cascade: &Cascade) -> Value {
    let stages = cascade.stages.iter().map(|stage| {
        json!({
            "layer": stage.layer,
            "correlation": rounded(stage.correlation),
        })
    });
    json!({
        "passes": cascade.passes(),
        "correlation": rounded(cascade.correlation()),
        "bound": rounded(cascade.bound),
        "examples": cascade.pictures,
        "stages": stages.collect::<Vec<_>>(),
    })
}

/// Rounds to four decimals.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}
