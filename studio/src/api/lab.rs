//! The experiments of `hubel lab`: a list, one at a time in the background, and their findings, which are kept in files.
use std::convert::Infallible;
use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use hubel::lab::{self, Event, Experiment, Findings, Settings, Table, Verdict};
use hubel::{Error, replace_file};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Refusal, blocking};
use crate::models::cpu;

/// How often the page is told how far an experiment has come.
const BETWEEN_MESSAGES: Duration = Duration::from_millis(150);

/// The experiments that this server runs, one at a time.
struct Laboratory {
    /// The folder with the findings.
    folder: PathBuf,
    progress: watch::Sender<Progress>,
    is_cancelled: AtomicBool,
}

/// What the page is told.
#[derive(Clone, Default, Serialize)]
struct Progress {
    running: Option<Running>,
    /// The experiment that has ended last.
    ended: Option<Ended>,
}

/// An experiment that runs.
#[derive(Clone, Serialize)]
struct Running {
    name: &'static str,
    /// The current run, counted from 1; 0 before the first.
    run: usize,
    runs: usize,
    /// What the run trains or measures.
    what: String,
    /// The completed share of the run.
    share: f64,
    seconds: f64,
}

/// How an experiment has ended.
#[derive(Clone, Serialize)]
struct Ended {
    name: &'static str,
    /// Why there are no findings.
    problem: Option<String>,
}

/// The routes below `/api/lab`. Findings are kept in `folder`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(folder: PathBuf) -> Router<S> {
    Router::new()
        .route("/lab", get(list))
        .route("/lab/findings", get(findings))
        .route("/lab/picture", get(picture))
        .route("/lab/progress", get(progress))
        .route("/lab/run", post(run))
        .route("/lab/cancel", post(cancel))
        .with_state(Arc::new(Laboratory {
            folder,
            progress: watch::Sender::default(),
            is_cancelled: AtomicBool::new(false),
        }))
}

/// `/api/lab`: the experiments, in the order of the tutorial.
async fn list(State(laboratory): State<Arc<Laboratory>>) -> Result<Json<Value>, Refusal> {
    let list = blocking(move || {
        let experiments = lab::EXPERIMENTS.iter().map(|experiment| {
            let kept = laboratory.kept(experiment);
            let verdicts = kept.as_ref().map(|kept| &kept["claims"]);
            json!({
                "name": experiment.name,
                "title": experiment.title,
                "items": experiment.items,
                "question": experiment.question,
                "claims": verdicts,
            })
        });
        json!({ "experiments": experiments.collect::<Vec<_>>() })
    });
    list.await.map(Json)
}

/// An experiment, by its name.
#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Named {
    fn find(&self) -> Result<&'static Experiment, Refusal> {
        lab::find(&self.name).map_err(|error| Refusal(StatusCode::NOT_FOUND, error.to_string()))
    }
}

/// `/api/lab/findings?name=…`: what was found when it last ran; `null` if it has not.
async fn findings(
    State(laboratory): State<Arc<Laboratory>>,
    Query(named): Query<Named>,
) -> Result<Json<Value>, Refusal> {
    let experiment = named.find()?;
    let kept = blocking(move || laboratory.kept(experiment));
    Ok(Json(json!({ "findings": kept.await? })))
}

/// A picture of an experiment.
#[derive(Deserialize)]
struct Pictured {
    name: String,
    picture: String,
}

/// `/api/lab/picture?name=…&picture=…`
async fn picture(
    State(laboratory): State<Arc<Laboratory>>,
    Query(Pictured { name, picture }): Query<Pictured>,
) -> Result<Response, Refusal> {
    let experiment = Named { name }.find()?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let png = match picture.chars().all(is_name) {
        true => {
            let file = laboratory.picture(experiment, &picture);
            blocking(move || fs::read(file).ok()).await?
        }
        false => None,
    };
    let problem = || Refusal(StatusCode::NOT_FOUND, "there is no such picture".into());
    let headers = [(CONTENT_TYPE, "image/png"), (CACHE_CONTROL, "no-cache")];
    Ok((headers, png.ok_or_else(problem)?).into_response())
}

/// `/api/lab/progress`: a stream of messages, each with the whole [`Progress`].
async fn progress(
    State(laboratory): State<Arc<Laboratory>>,
) -> Sse<impl Stream<Item = Result<Message, Infallible>>> {
    let mut watched = laboratory.progress.subscribe();
    // The first message comes at once.
    watched.mark_changed();
    let messages = stream::unfold(watched, |mut watched| async {
        watched.changed().await.ok()?;
        let message = serde_json::to_string(&*watched.borrow_and_update());
        let message = message.expect("plain data becomes JSON");
        Some((
            Ok(Message::default().event("progress").data(message)),
            watched,
        ))
    });
    Sse::new(messages).keep_alive(KeepAlive::default())
}

/// `/api/lab/run`: starts an experiment with its usual settings.
async fn run(
    State(laboratory): State<Arc<Laboratory>>,
    Json(named): Json<Named>,
) -> Result<Json<Value>, Refusal> {
    let experiment = named.find()?;
    laboratory.begin(experiment)?;
    Ok(Json(json!({ "name": experiment.name })))
}

/// `/api/lab/cancel`: stops the experiment that runs. It ends at its next step.
async fn cancel(State(laboratory): State<Arc<Laboratory>>) -> Json<Value> {
    laboratory.is_cancelled.store(true, Ordering::Relaxed);
    Json(json!({}))
}

impl Laboratory {
    /// Starts an experiment on a thread of its own.
    fn begin(self: &Arc<Self>, experiment: &'static Experiment) -> Result<(), Refusal> {
        let first = Running {
            name: experiment.name,
            run: 0,
            runs: 0,
            what: String::new(),
            share: 0.0,
            seconds: 0.0,
        };
        let mut other = None;
        self.progress.send_if_modified(|progress| {
            other = progress.running.as_ref().map(|running| running.name);
            if other.is_none() {
                *progress = Progress {
                    running: Some(first),
                    ended: None,
                };
            }
            other.is_none()
        });
        if let Some(other) = other {
            let problem = format!("the experiment `{other}` runs; wait for it, or cancel it");
            return Err(Refusal(StatusCode::CONFLICT, problem));
        }
        self.is_cancelled.store(false, Ordering::Relaxed);
        let this = self.clone();
        let thread = std::thread::Builder::new().name("lab".into());
        let started = thread.spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(|| this.carry_out(experiment)));
            this.end(
                experiment,
                match done {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(_) => {
                        Some("this is a bug of hubel: the experiment ended in a panic".into())
                    }
                },
            );
        });
        started.map(drop).map_err(|error| {
            let problem = format!("cannot start the experiment: {error}");
            self.end(experiment, Some(problem.clone()));
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, problem)
        })
    }

    fn end(&self, experiment: &Experiment, problem: Option<String>) {
        let ended = Ended {
            name: experiment.name,
            problem,
        };
        self.progress.send_replace(Progress {
            running: None,
            ended: Some(ended),
        });
    }

    /// Runs an experiment, and keeps its findings unless it is cancelled.
    fn carry_out(&self, experiment: &'static Experiment) -> Result<(), Error> {
        let begin = Instant::now();
        let mut told: Option<Instant> = None;
        let cpu = cpu();
        let found = experiment.run(&cpu, &Settings::default(), &mut |event| {
            if told.is_none_or(|told| told.elapsed() >= BETWEEN_MESSAGES) {
                told = Some(Instant::now());
                self.tell(event, begin);
            }
            match self.is_cancelled.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        match found {
            Some(findings) => self.keep(experiment, &findings, begin.elapsed()),
            None => Ok(()),
        }
    }

    fn tell(&self, event: &Event, begin: Instant) {
        self.progress.send_modify(|progress| {
            progress.running = Some(Running {
                name: event.experiment,
                run: event.run,
                runs: event.runs,
                what: event.what.clone(),
                share: event.share,
                seconds: begin.elapsed().as_secs_f64(),
            });
        });
    }

    fn file(&self, experiment: &Experiment) -> PathBuf {
        self.folder.join(format!("{}.json", experiment.name))
    }

    fn picture(&self, experiment: &Experiment, picture: &str) -> PathBuf {
        let name = format!("{}-{picture}.png", experiment.name);
        self.folder.join(name)
    }

    /// Writes the findings, so that they outlast the server.
    fn keep(
        &self,
        experiment: &Experiment,
        findings: &Findings,
        took: Duration,
    ) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut shown = shown(findings);
        shown["version"] = json!(env!("CARGO_PKG_VERSION"));
        shown["seconds"] = json!(took.as_secs_f64());
        shown["when"] = json!(now.unwrap_or_default().as_secs());
        fs::create_dir_all(&self.folder).map_err(Error::io("create", &self.folder))?;
        for picture in &findings.pictures {
            let file = self.picture(experiment, &picture.name);
            picture.drawing.save(&file)?;
        }
        replace_file(&self.file(experiment), shown.to_string().as_bytes())
    }

    /// The findings of the last time, if this version of hubel has written them.
    fn kept(&self, experiment: &Experiment) -> Option<Value> {
        let bytes = fs::read(self.file(experiment)).ok()?;
        let kept: Value = serde_json::from_slice(&bytes).ok()?;
        (kept["version"] == env!("CARGO_PKG_VERSION")).then_some(kept)
    }
}

/// The findings as the page shows them.
fn shown(findings: &Findings) -> Value {
    let claims = findings.claims.iter().map(|claim| {
        json!({
            "text": claim.text,
            "because": claim.because,
            "verdict": claim.verdict.to_string(),
            "state": match claim.verdict {
                Verdict::Holds => "holds",
                Verdict::DoesNotHold => "does-not-hold",
                Verdict::Undecided => "undecided",
            },
        })
    });
    json!({
        "name": findings.name,
        "title": findings.title,
        "items": findings.items,
        "question": findings.question,
        "setup": findings.setup,
        "measured": findings.measured,
        "claims": claims.collect::<Vec<_>>(),
        "tables": findings.tables.iter().map(table).collect::<Vec<_>>(),
        "charts": findings.charts,
        "pictures": findings.pictures,
    })
}

fn table(table: &Table) -> Value {
    let columns = table.columns.iter().enumerate();
    let columns = columns.map(|(index, column)| {
        json!({ "heading": column.heading(), "is_of_words": table.is_of_words(index) })
    });
    let rows = table.rows.iter().map(|row| {
        let cells = row.iter().zip(&table.columns);
        let cells = cells.map(|(cell, column)| cell.shown(column));
        cells.collect::<Vec<_>>()
    });
    json!({
        "title": table.title,
        "columns": columns.collect::<Vec<_>>(),
        "rows": rows.collect::<Vec<_>>(),
    })
}
