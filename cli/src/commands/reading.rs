//! Reads labelled data as a model sees it, with progress.
use std::path::Path;

use hubel::data::{Evaluation, Learned, evaluation, learned};
use hubel::{Error, Model};

use crate::args::Files;
use crate::console::Console;

/// The images on which the model is evaluated.
pub(super) fn for_evaluation(
    data: &Path,
    model: &Model,
    files: &Files,
    console: &Console,
) -> Result<Evaluation, Error> {
    let reading = console.count("reading", "files");
    let evaluation = evaluation(
        data,
        model.preparation(),
        model.classes(),
        model.division(),
        &files.options(),
        &|done, all| reading.show(done, all),
    );
    reading.finish();
    evaluation
}

/// The images that the model was, or may have been, trained on.
pub(super) fn of_training(
    data: &Path,
    model: &Model,
    files: &Files,
    console: &Console,
) -> Result<Learned, Error> {
    let reading = console.count("reading", "files");
    let learned = learned(
        data,
        model.preparation(),
        model.classes(),
        model.division(),
        &files.options(),
        &|done, all| reading.show(done, all),
    );
    reading.finish();
    learned
}
