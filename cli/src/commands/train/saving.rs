//! Where the model of a run is written, and the remarks about it.
use std::path::{Path, PathBuf};

use hubel::{Model, Network, Result, RunFolder};

use super::course::Course;

use crate::console::Console;

/// The folder of `--out`, or a new one named after data and network.
pub(super) fn folder(asked_for: Option<&Path>, data: &str, network: &str) -> Result<RunFolder> {
    match asked_for {
        Some(path) => RunFolder::open(path),
        None => RunFolder::new_in(Path::new("runs"), &run_name(data, network)),
    }
}

/// Checks that the model can be written, and reports what will happen to existing files.
pub(super) fn prepare(folder: &RunFolder, course: &Course, console: &Console) -> Result<()> {
    folder.check(&course.last_good())?;
    if folder.model().exists() {
        let model = folder.model();
        console.remark(&format!("{} will be replaced", model.display()));
    }
    if let Some(earlier) = folder.set_earlier_aside()? {
        console.remark(&format!(
            "{} is from a training that did not finish; it is kept as {}",
            folder.last().display(),
            earlier.display()
        ));
    }
    Ok(())
}

/// Saves the trained model and returns its file. If that fails (a full disk), tries to save it in the temporary folder,
/// and returns the error.
pub(super) fn save(folder: &RunFolder, model: &Model, console: &Console) -> Result<PathBuf> {
    folder.save(model).inspect_err(|_| {
        let name = format!("hubel-{}.safetensors", std::process::id());
        let file = std::env::temp_dir().join(name);
        console.remark(&match model.save(&file) {
            Ok(()) => format!("the model is saved in {} instead", file.display()),
            Err(error) => format!("it could not be saved elsewhere either: {error}"),
        });
    })
}

/// Saves the last good weights after training failed, unless no step was taken.
pub(super) fn save_last_good(folder: &RunFolder, course: &Course, console: &Console) {
    let model = course.last_good();
    let learned = model.stopped_at().filter(|position| !position.is_start());
    let Some(position) = learned else {
        return console.remark("no step was completed, so there is no model to save");
    };
    if let Ok(file) = save(folder, &model, console) {
        console.remark(&format!(
            "the last good weights, of {position}, are saved in {}",
            file.display()
        ));
    }
}

/// A network's name for files and remarks: its name in the zoo, or `network` for architecture text.
pub(super) fn short_name(name: &str) -> String {
    let in_zoo = Network::names().any(|known| known.eq_ignore_ascii_case(name));
    if in_zoo {
        name.to_lowercase()
    } else {
        "network".into()
    }
}

/// `mnist-lenet5`, but `mnist-cnn` and not `mnist-mnist-cnn`.
fn run_name(data: &str, network: &str) -> String {
    let data: String = data
        .chars()
        .map(|letter| {
            if letter.is_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    if network.starts_with(&format!("{data}-")) {
        network.into()
    } else {
        format!("{data}-{network}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_for_data_and_network() {
        assert_eq!(run_name("mnist", "mnist-cnn"), "mnist-cnn");
        assert_eq!(run_name("mnist", "lenet5"), "mnist-lenet5");
        assert_eq!(
            run_name("../my photos", "tutorial"),
            "---my-photos-tutorial"
        );
    }

    #[test]
    fn text_is_not_used_as_a_file_name() {
        assert_eq!(short_name("LeNet5"), "lenet5");
        assert_eq!(short_name("flatten-fc(classes)"), "network");
    }
}
