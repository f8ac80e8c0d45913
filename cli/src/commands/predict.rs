//! `hubel predict`: classifies pictures, recordings or texts.
mod answers;
mod texts;

use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use hubel::Predictor;
use hubel::data::{BadFile, Kind};

use super::names::Names;
use super::{BAD_FILES_SHOWN, Outcome, named, top};
use crate::args::Predict;
use crate::console::{Console, thousands};
use crate::interruption::Interruption;
use crate::wording::of_command_line;
pub(super) use answers::quoted as quoted_field;
use answers::{Answers, Classified, Columns, Given};

/// Runs the command.
pub(crate) fn run(arguments: &Predict, console: &Console) -> Outcome {
    let model = arguments.size.of(named::load(&arguments.model, console)?)?;
    let model = model.with_precise(arguments.precise);
    let cpu = arguments.processor.cpu();
    let kind = model.preparation().medium.kind();
    if arguments.hop.is_some() && kind != Kind::Sounds {
        return Err(hubel::Error::Settings {
            problem: format!("--hop divides recordings, and the model was trained on {kind}"),
        }
        .into());
    }
    if kind == Kind::Texts {
        return texts::run(arguments, Predictor::new(model, cpu)?, console);
    }
    if !arguments.text.is_empty() {
        model.vocabulary()?;
    }
    let mut names = Names::new(&arguments.images, kind, console)?;
    let top = arguments.top.clamp(1, model.classes().len());
    let columns = Columns {
        top,
        kind,
        with_times: arguments.hop.is_some(),
    };
    if let (Some(hop), Some(sound)) = (arguments.hop, model.preparation().medium.sound()) {
        say_what_is_unheard(hop, sound.seconds(), console);
    }
    let mut predictor = Predictor::new(model, cpu)?;
    let mut answers = Answers::begin(arguments.out.as_deref(), arguments.json, columns)?;
    // Lines on a terminal are progress enough.
    let is_file = arguments.out.is_some();
    let with_progress = is_file || arguments.json || !io::stdout().is_terminal();
    let interruption = interruption(arguments)?;
    let mut work = Work::default();
    let progress = with_progress.then(|| console.count("classifying", kind.plural()));
    let classified = classify(
        &mut names,
        &mut predictor,
        Asked {
            top,
            hop: arguments.hop,
        },
        &mut answers,
        &mut work,
        &mut |done, all| {
            if let Some(progress) = &progress {
                progress.show(done, all);
            }
            // The current chunk is finished, and its answers are kept.
            interruption.signal().is_some()
        },
    );
    if let Some(progress) = progress {
        progress.finish();
    }
    if let (Err(_), Some(out)) = (&classified, &arguments.out)
        && work.done > 0
    {
        console.remark(&format!(
            "the answers for the first {} {} are in {}",
            thousands(work.done),
            kind.plural(),
            hubel::shown(out)
        ));
    }
    // After an error, a file keeps the answers so far.
    if classified.is_ok() || is_file && work.done > 0 {
        answers.finish(&work)?;
    }
    classified?;
    Ok(work.end(kind, &interruption, console))
}

/// The work done so far.
#[derive(Default)]
struct Work {
    /// Pictures with an answer or a problem.
    done: usize,
    bad_files: Vec<BadFile>,
    /// Whether a signal stopped it, or nobody reads on.
    stopped: bool,
}

impl Work {
    /// Reports bad files and a signal that stopped the work.
    fn end(&self, kind: Kind, interruption: &Interruption, console: &Console) -> ExitCode {
        report(&self.bad_files, console);
        if let Some(signal) = interruption.signal().filter(|_| self.stopped) {
            console.remark(&format!(
                "stopped by {} after {} {}",
                signal.name(),
                thousands(self.done),
                kind.plural()
            ));
            return ExitCode::from(signal.exit_code());
        }
        match self.bad_files.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

/// Only a file must be finished after a signal; printed lines are already out.
fn interruption(arguments: &Predict) -> std::io::Result<Interruption> {
    match arguments.out {
        Some(_) => Interruption::listen(),
        None => Ok(Interruption::default()),
    }
}

/// What is asked of each file.
#[derive(Clone, Copy)]
struct Asked {
    /// Number of classes to show.
    top: usize,
    /// Seconds between stretches of a recording, if it is divided.
    hop: Option<f64>,
}

/// Classifies chunk by chunk. `listen` gets the number of pictures done and the total (if known), and
/// says whether to stop.
fn classify(
    names: &mut Names,
    predictor: &mut Predictor,
    asked: Asked,
    answers: &mut Answers,
    work: &mut Work,
    listen: &mut dyn FnMut(usize, Option<usize>) -> bool,
) -> Result<(), Box<dyn Error>> {
    let all = names.known_count();
    loop {
        let chunk = names.by_ref().take(predictor.batch());
        let chunk: Vec<PathBuf> = chunk.collect::<Result<_, _>>()?;
        if chunk.is_empty() {
            return Ok(());
        }
        let of_chunk: Vec<Result<Classified, BadFile>> = match asked.hop {
            None => whole_files(predictor, &chunk, asked.top)?,
            Some(hop) => stretches(predictor, &chunk, asked.top, hop)?,
        };
        let is_wanted = answers.add(&of_chunk)?;
        work.done += chunk.len();
        work.bad_files
            .extend(of_chunk.into_iter().filter_map(Result::err));
        if listen(work.done, all) || !is_wanted {
            work.stopped = true;
            return Ok(());
        }
    }
}

/// Classifies files, each as a whole.
fn whole_files(
    predictor: &mut Predictor,
    paths: &[PathBuf],
    count: usize,
) -> Result<Vec<Result<Classified, BadFile>>, hubel::Error> {
    let kind = predictor.model().preparation().medium.kind();
    let answers = predictor.predict_files(paths)?;
    let model = predictor.model();
    let given = |path: &PathBuf| match kind {
        Kind::Sounds => Given::Sound(path.clone()),
        _ => Given::File(path.clone()),
    };
    let answers = answers.into_iter().zip(paths).map(|(answer, path)| {
        let classified = answer.map(|prediction| Classified {
            given: given(path),
            top: top(model, &prediction, count),
            prediction,
        });
        classified.map_err(|bad| BadFile {
            problem: of_command_line(&bad.problem),
            ..bad
        })
    });
    Ok(answers.collect())
}

/// Says if parts of a recording are between the stretches that are classified.
fn say_what_is_unheard(hop: f64, length: f64, console: &Console) {
    if hop > length {
        console.remark(&format!(
            "a stretch of {length:.2} s begins every {hop} s: the {:.2} s between two stretches are not classified; --hop {length:.2} leaves out nothing",
            hop - length
        ));
    }
}

/// Classifies stretches of recordings; a new one begins every `hop` seconds.
fn stretches(
    predictor: &mut Predictor,
    paths: &[PathBuf],
    count: usize,
    hop: f64,
) -> Result<Vec<Result<Classified, BadFile>>, hubel::Error> {
    let mut answers = Vec::new();
    for path in paths {
        match predictor.predict_stretches(path, hop)? {
            Err(bad) => answers.push(Err(bad)),
            Ok(predictions) => answers.extend(predictions.into_iter().map(|own| {
                Ok(Classified {
                    given: Given::Stretch(path.clone(), [own.start, own.end]),
                    top: top(predictor.model(), &own.prediction, count),
                    prediction: own.prediction,
                })
            })),
        }
    }
    Ok(answers)
}

/// Reports the pictures that cannot be used.
fn report(bad_files: &[BadFile], console: &Console) {
    for bad in bad_files.iter().take(BAD_FILES_SHOWN) {
        console.error(&hubel::Error::from(bad.clone()));
    }
    if bad_files.len() > BAD_FILES_SHOWN {
        console.remark(&format!(
            "… and {} more; --json and --out list them all",
            thousands(bad_files.len() - BAD_FILES_SHOWN)
        ));
    }
}
