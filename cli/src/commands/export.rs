//! `hubel export`: a model as an ONNX file.
use std::process::ExitCode;

use hubel::onnx::{self, ExportInput, ExportSettings};
use hubel::shown;
use serde_json::json;

use super::{Outcome, named};
use crate::args::{Export, GraphInput};
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &Export, console: &Console) -> Outcome {
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
        "{}: {:.1} MB, {} nodes; checked by hubel's importer on {} pictures: the logits differ by at most {:.1e} of the largest",
        shown(&arguments.onnx),
        exported.bytes as f64 / 1e6,
        thousands(exported.nodes),
        exported.compared,
        exported.difference
    ))?;
    Ok(ExitCode::SUCCESS)
}
