//! `hubel embed`: writes the features of pictures to a file.
use std::path::PathBuf;
use std::process::ExitCode;

use hubel::data::BadFile;
use hubel::features::{self, Features};
use hubel::{Error, Replacement};
use serde_json::json;

use super::names::Names;
use super::{Outcome, named, report_bad_files};
use crate::args::Embed;
use crate::console::{self, Console, thousands};
use crate::interruption::Interruption;

/// Runs the command.
pub(crate) fn run(arguments: &Embed, console: &Console) -> Outcome {
    let model = arguments
        .size
        .of(named::load_features(&arguments.model, console)?)?;
    let cpu = arguments.processor.cpu();
    let kind = model.preparation().medium.kind();
    let mut features = model.features(&cpu, arguments.layer.as_deref())?;
    let names = Names::new(&arguments.images, kind, console)?;
    // Opens the file first, so that an unwritable path fails before anything is computed.
    let file = Replacement::create(&arguments.out)?;
    let interruption = Interruption::listen()?;
    let (mut paths, mut rows) = (Vec::new(), Vec::new());
    let looked = of_each(
        &mut features,
        names,
        console,
        &mut |path, row| {
            paths.push(path);
            rows.push(row);
        },
        &|| interruption.signal().is_some(),
    );
    let out = hubel::shown(&arguments.out);
    if looked.is_err() && !paths.is_empty() {
        let count = thousands(paths.len());
        console.remark(&format!(
            "the features of the first {count} {kind} are in {out}"
        ));
    }
    if !paths.is_empty() {
        features::save(file, &paths, &rows)?;
    }
    let Looked { bad_files, stopped } = looked?;
    report_bad_files(&bad_files, console);
    if paths.is_empty() {
        let problem = format!(
            "no {} could be used; {out} was not written",
            kind.singular()
        );
        return Err(Error::Settings { problem }.into());
    }
    let (layer, dimensions) = (features.layer(), features.dimensions());
    if arguments.json {
        let answer = json!({
            "out": arguments.out.display().to_string(),
            "layer": layer,
            "dimensions": dimensions,
            "count": rows.len(),
            "bad_files": bad_files,
        });
        console::print(&answer.to_string())?;
    } else {
        console::print(&format!(
            "{out}: {} features from layer {layer} for each of {} {kind}",
            thousands(dimensions),
            thousands(rows.len())
        ))?;
    }
    if let Some(signal) = interruption.signal().filter(|_| stopped) {
        let count = thousands(rows.len() + bad_files.len());
        console.remark(&format!(
            "stopped by {} after {count} {kind}",
            signal.name()
        ));
        return Ok(ExitCode::from(signal.exit_code()));
    }
    Ok(match bad_files.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The outcome of computing features, besides the features.
pub(super) struct Looked {
    /// The pictures that could not be used.
    pub(super) bad_files: Vec<BadFile>,
    /// Whether a signal stopped it.
    pub(super) stopped: bool,
}

/// Computes the features of all named pictures, chunk by chunk, until a signal stops it.
pub(super) fn of_each(
    features: &mut Features<'_>,
    mut names: Names<'_>,
    console: &Console,
    take: &mut dyn FnMut(PathBuf, Vec<f32>),
    is_stopped: &dyn Fn() -> bool,
) -> Result<Looked, Error> {
    let (all, mut done) = (names.known_count(), 0);
    let (mut bad_files, mut stopped) = (Vec::new(), false);
    let progress = console.count("looking", "files");
    while !stopped {
        let chunk = names.by_ref().take(features.batch());
        let chunk: Vec<PathBuf> = chunk.collect::<Result<_, _>>()?;
        if chunk.is_empty() {
            break;
        }
        done += chunk.len();
        let found = features.of_pictures(&chunk)?;
        for (path, found) in chunk.into_iter().zip(found) {
            match found {
                Ok(row) => take(path, row),
                Err(bad) => bad_files.push(bad),
            }
        }
        progress.show(done, all);
        // The current chunk is finished, and its features are kept.
        stopped = is_stopped();
    }
    progress.finish();
    Ok(Looked { bad_files, stopped })
}
