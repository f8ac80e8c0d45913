//! `hubel export`: a model as an ONNX file.
use std::path::Path;
use std::process::ExitCode;

use hubel::onnx::{self, ExportInput, ExportSettings};
use hubel::shown;
use serde_json::json;

use super::{Outcome, named};
use crate::args::{Export, GraphInput};
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &Export, console: &Console) -> Outcome {
    check_place(&arguments.onnx)?;
    let model = named::load(&arguments.model, console)?;
    let mut settings = ExportSettings::default();
    settings.opset = arguments.opset;
    settings.input = match arguments.input {
        GraphInput::Bytes => ExportInput::Bytes,
        GraphInput::Float => ExportInput::Floats,
    };
    settings.keep_batch_norm = arguments.keep_batch_norm;
    settings.half = arguments.fp16;
    settings.compared = arguments.compare;
    let exported = onnx::export(
        &model,
        &arguments.onnx,
        &settings,
        &arguments.processor.cpu(),
    )?;
    if arguments.json {
        let answer = json!({
            "file": arguments.onnx.display().to_string(),
            "bytes": exported.bytes,
            "nodes": exported.nodes,
            "difference": exported.difference,
            "compared": exported.compared,
        });
        console::print(&answer.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    console::print(&format!(
        "{}: {}, {} nodes; checked by hubel's importer on {} pictures: the logits differ by at most {:.1e} of the largest",
        shown(&arguments.onnx),
        size(exported.bytes),
        thousands(exported.nodes),
        exported.compared,
        exported.difference
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Says what is wrong with the place of the file, before the model is computed.
fn check_place(file: &Path) -> Result<(), String> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    match folder {
        _ if file.is_dir() => Err(format!(
            "cannot write {}: it is a folder; give the name of a file, such as {}",
            shown(file),
            shown(&file.join("model.onnx"))
        )),
        Some(folder) if !folder.is_dir() => Err(format!(
            "cannot write {}: there is no folder {}; make it first, or name another",
            shown(file),
            shown(folder)
        )),
        _ => Ok(()),
    }
}

fn size(bytes: usize) -> String {
    let bytes = bytes as f64;
    match bytes < 1e6 {
        true => format!("{:.0} kB", bytes / 1e3),
        false => format!("{:.1} MB", bytes / 1e6),
    }
}
