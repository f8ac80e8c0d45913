//! `hubel similar`: finds the pictures that a model finds most similar.
use std::path::PathBuf;
use std::process::ExitCode;

use hubel::features::Nearest;
use hubel::shown;
use serde_json::json;

use super::embed::{Looked, of_each};
use super::names::Names;
use super::{Outcome, named, report_bad_files};
use crate::args::Similar;
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &Similar, console: &Console) -> Outcome {
    let model = arguments
        .size
        .of(named::load_features(&arguments.model, console)?)?;
    let cpu = arguments.processor.cpu();
    let mut features = model.features(&cpu, arguments.layer.as_deref())?;
    let picture = model.preparation().picture(&arguments.image)?;
    let mut nearest = Nearest::new(features.of_image(&picture.tensor)?, arguments.count);
    let kind = model.preparation().medium.kind();
    let names = Names::new(std::slice::from_ref(&arguments.among), kind, console)?;
    // The picture itself would come first.
    let own = arguments.image.canonicalize().ok();
    let mut paths: Vec<PathBuf> = Vec::new();
    let take = &mut |path: PathBuf, row: Vec<f32>| {
        if own.is_none() || path.canonicalize().ok() != own {
            nearest.offer(paths.len(), &row);
            paths.push(path);
        }
    };
    let Looked { bad_files, .. } = of_each(&mut features, names, console, take, &|| false)?;
    report_bad_files(&bad_files, console);
    let similar: Vec<(&PathBuf, f64)> = (nearest.sorted().into_iter())
        .map(|(place, distance)| (&paths[place], distance))
        .collect();
    if arguments.json {
        let similar = similar.iter().map(
            |(path, distance)| json!({"path": path.display().to_string(), "distance": distance}),
        );
        let answer = json!({
            "similar": similar.collect::<Vec<_>>(),
            "layer": features.layer(),
            "compared": paths.len(),
            "bad_files": bad_files,
        });
        console::print(&answer.to_string())?;
    } else {
        for (path, distance) in &similar {
            console::print(&format!("{distance:.4}  {}", shown(path)))?;
        }
        console.remark(&format!(
            "{} {kind} compared by the {} values of layer {}; distance 0 is the same direction, 1 a right angle",
            thousands(paths.len()),
            thousands(features.dimensions()),
            features.layer()
        ));
    }
    Ok(match bad_files.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
