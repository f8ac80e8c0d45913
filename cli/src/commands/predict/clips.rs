//! Clips: animated pictures, video files, folders of numbered frames.
use std::path::PathBuf;
use std::process::ExitCode;

use hubel::Predictor;
use hubel::data::{BadFile, clips_at};

use super::answers::{Answers, Classified, Columns, Given};
use super::{Outcome, Work, report, top};
use crate::args::Predict;
use crate::console::Console;
use crate::wording::of_command_line;

/// Classifies the clips that the command line names, one after the other.
pub(super) fn run(arguments: &Predict, mut predictor: Predictor, console: &Console) -> Outcome {
    let mut clips: Vec<PathBuf> = Vec::new();
    for path in &arguments.images {
        clips.extend(clips_at(path)?);
    }
    let kind = predictor.model().preparation().medium.kind();
    let count = arguments.top.clamp(1, predictor.model().classes().len());
    let columns = Columns {
        top: count,
        kind,
        with_times: false,
    };
    let mut answers = Answers::begin(arguments.out.as_deref(), arguments.json, columns)?;
    let mut work = Work::default();
    for path in clips {
        let answer = predictor
            .predict_clips(std::slice::from_ref(&path))?
            .remove(0);
        let classified = match answer {
            Ok(prediction) => Ok(Classified {
                given: Given::File(path),
                top: top(predictor.model(), &prediction, count),
                prediction,
            }),
            Err(bad) => Err(BadFile {
                problem: of_command_line(&bad.problem),
                ..bad
            }),
        };
        work.done += 1;
        let is_wanted = answers.add(std::slice::from_ref(&classified))?;
        work.bad_files.extend(classified.err());
        if !is_wanted {
            break;
        }
    }
    answers.finish(&work)?;
    report(&work.bad_files, console);
    Ok(match work.bad_files.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
