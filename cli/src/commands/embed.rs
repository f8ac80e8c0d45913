//! `hubel embed`: what a model makes of pictures before it decides.
use std::path::PathBuf;
use std::process::ExitCode;

use hubel::data::BadFile;
use hubel::features::{self, Features};
use serde_json::json;

use super::names::Names;
use super::{Outcome, named, report_bad_files};
use crate::args::Embed;
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &Embed, console: &Console) -> Outcome {
    let model = named::load_features(&arguments.model, console)?;
    let cpu = arguments.processor.cpu();
    let mut features = model.features(&cpu, arguments.layer.as_deref())?;
    let names = Names::new(&arguments.images, console)?;
    let (mut paths, mut rows) = (Vec::new(), Vec::new());
    let bad_files = of_each(&mut features, names, console, &mut |path, row| {
        paths.push(path);
        rows.push(row);
    })?;
    report_bad_files(&bad_files, console);
    features::save(&arguments.out, &paths, &rows)?;
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
            "{} with {} numbers of layer {layer} for each of {} pictures",
            hubel::shown(&arguments.out),
            thousands(dimensions),
            thousands(rows.len())
        ))?;
    }
    Ok(match bad_files.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Computes the features of all named pictures, chunk by chunk; returns the pictures that cannot be used.
pub(super) fn of_each(
    features: &mut Features<'_>,
    mut names: Names<'_>,
    console: &Console,
    take: &mut dyn FnMut(PathBuf, Vec<f32>),
) -> Result<Vec<BadFile>, hubel::Error> {
    let (all, mut done) = (names.known_count(), 0);
    let mut bad_files = Vec::new();
    let progress = console.pictures("looking");
    loop {
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
    }
    progress.finish();
    Ok(bad_files)
}
