//! `hubel export`: a model as an ONNX file.
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hubel::data::Prepared;
use hubel::onnx::{self, ExportInput, ExportSettings};
use hubel::{Error, Preparation, shown};
use serde_json::json;

use super::names::Names;
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
        GraphInput::Bytes if arguments.resize_inside => ExportInput::AnySize,
        GraphInput::Bytes => ExportInput::Bytes,
        GraphInput::Float => ExportInput::Floats,
    };
    settings.keep_batch_norm = arguments.keep_batch_norm;
    settings.half = arguments.fp16;
    settings.compared = arguments.compare;
    let pictures = pictures(arguments, model.preparation(), console)?;
    let exported = onnx::export(
        &model,
        &arguments.onnx,
        &settings,
        &pictures,
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

/// The pictures for the comparison, at equal distances from each other.
fn pictures(
    arguments: &Export,
    preparation: &Preparation,
    console: &Console,
) -> Result<Vec<Prepared>, Error> {
    let names = Names::new(&arguments.pictures, preparation.medium.kind(), console)?;
    let names: Vec<PathBuf> = names.collect::<Result<_, _>>()?;
    let count = arguments.compare.min(names.len());
    let places = (0..count).map(|place| place * names.len() / count);
    places
        .map(|place| preparation.picture(&names[place]))
        .collect()
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
