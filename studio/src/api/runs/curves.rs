//! The curves of runs, sent again whenever their files have grown.
//!
//! Each message has the whole curve of a run, of a limited number of points. So a page that connects again, to this server or to one that was
//! started since, has neither a gap nor a point twice.
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use hubel::record::{self, Events, GradientCurves};
use hubel::{Overview, Record, RunState};
use serde_json::{Value, json};

use super::super::Refusal;
use super::processes::Processes;
use super::state;
use crate::find;

/// Most points of a curve by step.
const MOST_POINTS: usize = 400;
/// Most layers whose gradients are drawn.
const MOST_LAYERS: usize = 12;
/// Most runs in one chart.
const MOST_RUNS: usize = 12;
/// How often the files are looked at.
const PAUSE: Duration = Duration::from_millis(700);
/// A long record takes time to read. The pause is at least this many times as long.
const PAUSE_PER_READING: u32 = 20;

/// `/api/runs/curves?run=a&run=b`: a stream of messages, each with the curves of a run.
pub(crate) async fn curves(
    State(processes): State<Arc<Processes>>,
    RawQuery(query): RawQuery,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let names = names(query.as_deref().unwrap_or(""));
    if names.is_empty() || names.len() > MOST_RUNS {
        let problem = format!("name 1 to {MOST_RUNS} runs: ?run=NAME&run=NAME");
        return Err(Refusal(StatusCode::BAD_REQUEST, problem));
    }
    let watched: Result<Vec<Watched>, Refusal> = (names.into_iter())
        .map(|name| match find::run(processes.root(), &name) {
            Some(path) => Ok(Watched {
                name,
                path,
                seen: None,
            }),
            None => {
                let problem = format!("there is no run {name} in this folder");
                Err(Refusal(StatusCode::NOT_FOUND, problem))
            }
        })
        .collect();
    let watch = Watch {
        runs: watched?,
        waiting: VecDeque::new(),
        pause: Duration::ZERO,
    };
    let messages = stream::unfold(watch, |mut watch| async {
        let message = watch.next().await?;
        let event = Event::default().event("curves").data(message.to_string());
        Some((Ok(event.retry(Duration::from_secs(1))), watch))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::default()))
}

/// The values of `run=` in a query.
pub(super) fn names(query: &str) -> Vec<String> {
    let uri = format!("/?{query}").parse();
    let pairs = uri.ok().and_then(|uri| {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
        pairs.ok()
    });
    let pairs = pairs.map(|pairs| pairs.0).unwrap_or_default().into_iter();
    let mut names: Vec<String> = pairs
        .filter(|(key, _)| key == "run")
        .map(|(_, name)| name)
        .collect();
    names.dedup();
    names
}

/// Runs whose files are watched.
struct Watch {
    runs: Vec<Watched>,
    waiting: VecDeque<Value>,
    pause: Duration,
}

struct Watched {
    name: String,
    path: PathBuf,
    /// What its files were like in the last message.
    seen: Option<Seen>,
}

/// Says whether there is something new.
#[derive(PartialEq)]
struct Seen {
    files: [Option<(u64, SystemTime)>; 2],
    state: Option<RunState>,
}

impl Watch {
    /// The next message. Waits until a file has changed.
    async fn next(&mut self) -> Option<Value> {
        while self.waiting.is_empty() {
            tokio::time::sleep(self.pause).await;
            let mut runs = std::mem::take(&mut self.runs);
            let read = tokio::task::spawn_blocking(move || {
                let start = Instant::now();
                let messages: VecDeque<Value> = runs.iter_mut().filter_map(Watched::news).collect();
                (runs, messages, start.elapsed())
            });
            // A panic ends the stream, and the page connects again.
            let (runs, messages, took) = read.await.ok()?;
            self.runs = runs;
            self.waiting = messages;
            self.pause = PAUSE.max(PAUSE_PER_READING * took);
        }
        self.waiting.pop_front()
    }
}

impl Watched {
    /// The curves, if something has changed since the last time.
    fn news(&mut self) -> Option<Value> {
        let overview = Overview::of(&self.path);
        let seen = Seen {
            files: [Record::EVENTS, Record::METRICS].map(|name| length(&self.path.join(name))),
            state: overview.as_ref().ok().map(|overview| overview.state),
        };
        if self.seen.as_ref() == Some(&seen) {
            return None;
        }
        self.seen = Some(seen);
        let curves = overview.and_then(|overview| curves_of(&self.path, &overview));
        Some(match curves {
            Ok(curves) => json!({ "run": self.name, "curves": curves }),
            Err(error) => json!({ "run": self.name, "problem": error.to_string() }),
        })
    }
}

fn length(path: &Path) -> Option<(u64, SystemTime)> {
    let file = fs::metadata(path).ok()?;
    Some((file.len(), file.modified().ok()?))
}

/// The curves of a run. `at` counts epochs from the start of the run: 1.5 is the middle of the second one.
fn curves_of(path: &Path, overview: &Overview) -> hubel::Result<Value> {
    let events = path.join(Record::EVENTS);
    let Events {
        steps, gradients, ..
    } = match events.exists() {
        true => record::read_events(&events, MOST_POINTS)?,
        false => Events::default(),
    };
    let rows = overview.rows.iter().enumerate();
    Ok(json!({
        "state": state(overview.state),
        "steps": steps.iter().map(|step| json!({
            "at": step.epochs,
            "loss": step.loss,
            "learning_rate": step.learning_rate,
            "images_per_second": step.images_per_second,
        })).collect::<Vec<_>>(),
        "epochs": rows.map(|(index, row)| json!({
            "at": index + 1,
            "loss": row.loss,
            "accuracy": row.accuracy,
            "validation_loss": row.validation_loss,
            "validation_accuracy": row.validation_accuracy,
            "learning_rate": row.learning_rate,
            "images_per_second": row.images_per_second,
            "seconds": row.seconds,
        })).collect::<Vec<_>>(),
        "gradients": by_layer(&gradients),
    }))
}

/// The norms of the gradients: all layers in brief, and the curves of those that are drawn.
fn by_layer(gradients: &GradientCurves) -> Value {
    let drawn = gradients.outermost(MOST_LAYERS);
    let layers = gradients.layers.iter().enumerate();
    let layers = layers.map(|(index, layer)| {
        let range = gradients.range(index);
        json!({
            "name": layer.name,
            "kind": layer.kind,
            "first": range.map(|range| range.first),
            "last": range.map(|range| range.last),
            "smallest": range.map(|range| range.smallest),
            "largest": range.map(|range| range.largest),
            "norms": drawn.contains(&index).then(|| {
                let norms = gradients.points.iter();
                norms.map(|point| point.norms[index]).collect::<Vec<_>>()
            }),
        })
    });
    let at = gradients.points.iter().map(|point| point.epochs);
    json!({ "at": at.collect::<Vec<_>>(), "layers": layers.collect::<Vec<_>>() })
}
