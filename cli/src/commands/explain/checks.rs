//! `--check`: whether a map can be trusted, as sentences and as JSON.
use hubel::explain::cascade::{self, Cascade, Settings};
use hubel::explain::deletion::{self, Deletion, Verdict};
use hubel::explain::{Heatmap, Method, Question};
use hubel::{Error, Model};
use serde_json::{Value, json};

use super::data::Data;
use super::{Explain, Looked};
use crate::console::Console;

/// The results of the checks of a map.
pub(super) struct Checks {
    /// The cascade, or the reason why it was not run.
    cascade: Result<Cascade, String>,
    deletion: Deletion,
}

/// The result of one check.
pub(super) struct Finding {
    pub(super) sentence: String,
    pub(super) has_failed: bool,
}

impl Checks {
    /// Checks a map of the picture, made by `method`.
    pub(super) fn of(
        arguments: &Explain,
        model: &Model,
        looked: &Looked,
        data: Option<&Data>,
        (method, map): (&Method, &Heatmap),
        console: &Console,
    ) -> Result<Self, Error> {
        let cpu = arguments.processor.cpu();
        let question = Question {
            image: looked.prepared.tensor.clone(),
            score: looked.score,
        };
        let bar = console.count("checking", "maps");
        let progress = |done: usize, all: usize| bar.show(done, all);
        let deletion = deletion::check(
            &cpu,
            model,
            &question.image,
            &question.score,
            map,
            1,
            &progress,
        )?;
        let cascade = match data {
            None => Err("this needs the training data (--data)".to_owned()),
            Some(data) => {
                let settings = Settings::for_method(method);
                let others = cascade::pictures(&cpu, model, data.images(), settings)?;
                let found =
                    cascade::check(&cpu, model, method, &question, &others, settings, &progress);
                match found {
                    // For example, too few pictures.
                    Err(Error::Settings { problem }) => Err(problem),
                    found => Ok(found?),
                }
            }
        };
        bar.finish();
        Ok(Self { cascade, deletion })
    }

    /// One finding per check.
    pub(super) fn findings(&self) -> [Finding; 2] {
        let cascade = match &self.cascade {
            Ok(cascade) => Finding {
                sentence: cascade.to_string(),
                has_failed: !cascade.passes(),
            },
            Err(reason) => Finding {
                sentence: format!(
                    "not checked: whether it depends on the learned weights; {reason}"
                ),
                has_failed: false,
            },
        };
        let deletion = Finding {
            sentence: self.deletion.to_string(),
            has_failed: matches!(
                self.deletion.verdict(),
                Verdict::NoBetterThanEdges | Verdict::NoBetterThanRandom
            ),
        };
        [cascade, deletion]
    }

    pub(super) fn to_json(&self) -> Value {
        let Deletion {
            deletion,
            insertion,
            whole,
            blurred,
        } = &self.deletion;
        let areas = |areas: &deletion::Areas| {
            json!({
                "map": rounded(areas.map),
                "random": rounded(areas.random),
                "edges": rounded(areas.edges),
            })
        };
        json!({
            "cascade": self.cascade.as_ref().ok().map(cascade_to_json),
            "deletion": areas(deletion),
            "insertion": areas(insertion),
            "probability": rounded(*whole),
            "probability_blurred": rounded(*blurred),
            "verdict": match self.deletion.verdict() {
                Verdict::Passes => "passes",
                Verdict::NoBetterThanEdges => "no-better-than-edges",
                Verdict::NoBetterThanRandom => "no-better-than-random",
                Verdict::Undecided => "undecided",
            },
        })
    }
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
