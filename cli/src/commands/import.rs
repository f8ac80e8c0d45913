//! `hubel import`: a model from an ONNX file.
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use hubel::onnx::{self, ImportSettings};
use hubel::{Error, RunFolder, shown};
use serde_json::json;

use super::Outcome;
use crate::args::Import;
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &Import, console: &Console) -> Outcome {
    if is_model(&arguments.file) {
        return Err(format!(
            "{} is no ONNX file; models and PyTorch weights need no import: `predict`, `train --from` and other commands take them as they are",
            shown(&arguments.file)
        )
        .into());
    }
    let mut settings = ImportSettings::default();
    settings.input = arguments.input;
    settings.normalisation = arguments.normalisation();
    settings.classes = arguments.classes.as_deref().map(names).transpose()?;
    let imported = onnx::import(&arguments.file, &settings)?;
    let model = imported.model;
    let mut folder = match &arguments.out {
        Some(folder) => RunFolder::open(folder)?,
        None => {
            let stem = arguments.file.file_stem().unwrap_or_default();
            RunFolder::new_in(Path::new("runs"), &stem.to_string_lossy())?
        }
    };
    let file = folder.save(&model)?;
    let preparation = model.preparation();
    if arguments.json {
        let answer = json!({
            "model": file.display().to_string(),
            "classes": model.classes(),
            "input": preparation.shape,
            "parameters": model.parameters().count(),
            "mean": preparation.mean,
            "std": preparation.std,
            "remarks": imported.remarks,
        });
        console::print(&answer.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    for remark in &imported.remarks {
        console.remark(remark);
    }
    console::print(&format!(
        "{}: {} layers with {} weights, for pictures of {} and {} classes",
        shown(&file),
        model.network().layers().len(),
        thousands(model.parameters().count()),
        preparation.shape,
        thousands(model.classes().len())
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a name is that of a run's folder, of a model, or of weights that other commands take.
fn is_model(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    let mut endings = ["safetensors", "pth", "pt"].iter();
    path.join("model.safetensors").exists()
        || endings.any(|other| ending.eq_ignore_ascii_case(other))
}

/// The names in a file, one a line.
fn names(path: &Path) -> Result<Vec<String>, Error> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    // Some editors put a byte order mark first.
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}
