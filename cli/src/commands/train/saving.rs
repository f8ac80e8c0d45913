//! Where the model of a run is written, and the remarks about it.
use std::path::{Path, PathBuf};

use hubel::{Error, Model, Network, Result, Resumed, RunFolder, Splits, Trainer};

use crate::commands::{program, quoted};
use crate::console::Console;

/// The folder of `--out`, or a new one named after data and network.
pub(super) fn folder(asked_for: Option<&Path>, data: &str, network: &str) -> Result<RunFolder> {
    match asked_for {
        Some(path) => RunFolder::open(path),
        None => RunFolder::new_in(Path::new("runs"), &run_name(data, network)),
    }
}

/// Goes on with the run in this folder, and says from where.
pub(super) fn go_on(
    folder: &mut RunFolder,
    resumed: Resumed,
    trainer: &mut Trainer,
    splits: &Splits,
    console: &Console,
) -> Result<()> {
    if let Some(problem) = &resumed.problem {
        console.remark(&format!(
            "the last checkpoint cannot be used, so training goes on from the one before ({problem})"
        ));
    }
    let set = resumed.state.instruction_set().to_owned();
    folder.go_on(resumed.state, trainer, splits)?;
    let now = trainer.cpu().instruction_set().to_string();
    if set != now {
        console.remark(&format!(
            "the run began with {set} instructions, and goes on with {now}: its bits will differ from those of a run with one of the two"
        ));
    }
    console.remark(&match trainer.is_over() {
        true => format!(
            "the run has ended already, at {}; --epochs with a larger number extends it",
            trainer.position()
        ),
        false => format!("goes on after {}", trainer.position()),
    });
    Ok(())
}

/// The command that goes on with a run.
pub(super) fn resume_command(folder: &Path) -> String {
    format!("{} train --resume {}", quoted(program()), quoted(folder))
}

/// Saves the trained model and returns its file. If that fails (a full disk), tries to save it in the temporary folder,
/// and returns the error.
pub(super) fn save(folder: &mut RunFolder, model: &Model, console: &Console) -> Result<PathBuf> {
    folder.save(model).inspect_err(|_| {
        let name = format!("hubel-{}.safetensors", std::process::id());
        let file = std::env::temp_dir().join(name);
        console.remark(&match model.save(&file) {
            Ok(()) => format!("the model is saved in {} instead", file.display()),
            Err(error) => format!("it could not be saved elsewhere either: {error}"),
        });
    })
}

/// Says what is saved after training has failed, and saves the last good weights if it diverged.
pub(super) fn after(error: &Error, folder: &RunFolder, trainer: &Trainer, console: &Console) {
    if !matches!(error, Error::Diverged { .. }) {
        return console.remark(&format!(
            "what was learnt until {} is saved; when the problem is solved: {}",
            trainer.position(),
            resume_command(folder.path())
        ));
    }
    let model = trainer.last_good();
    let learned = model.stopped_at().filter(|position| !position.is_start());
    let Some(position) = learned else {
        return console.remark("no step was completed, so there is no model to save");
    };
    console.remark(&match folder.save_before_diverging(&model) {
        Ok(file) => format!(
            "the last good weights, of {position}, are saved in {}",
            file.display()
        ),
        Err(error) => format!("the last good weights could not be saved: {error}"),
    });
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
