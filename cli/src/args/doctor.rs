//! `hubel doctor`.
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::train::Train;
use super::values::{model_file, network};

/// `hubel doctor`: the flags of `hubel train`.
pub(crate) struct Doctor {
    train: Train,
}

/// Flags of `hubel train` about its files, which have no effect here.
const WITHOUT_EFFECT: [&str; 4] = ["out", "resume", "checkpoint", "find_lr"];

/// The examples of `hubel doctor --help`.
const HELP: &str = "\
Examples:
  hubel doctor photos/
  hubel doctor photos/ --from none --learning-rate 0.5
  hubel doctor --model lenet5 --optimizer sgd
  hubel doctor --model '[conv(16, padding=same)-sigmoid]x12-flatten-fc(classes)'
  hubel doctor photos/ --model runs/photos-tutorial/model.safetensors
  hubel doctor --config runs/mnist-cnn/run.toml --json

Give the same flags as to `hubel train`, and that training is examined: the data, the initial weights, and the settings. It overfits one batch and trains for a few hundred small steps on some of the data. \
Nothing is written. Each sign of a problem is printed with what was measured and one thing to try, the cause before what follows from it: input that is not scaled, dead ReLUs, gradients that explode or vanish, \
a learning rate too high or too low, a batch that cannot be learned by heart, constant predictions, labels that look shuffled. `hubel train` watches for the same signs.
Exit codes: 1 if there is a sign or nothing could be examined; otherwise 0.";

impl Args for Doctor {
    fn augment_args(command: Command) -> Command {
        described(Train::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        described(Train::augment_args_for_update(command))
    }
}

impl FromArgMatches for Doctor {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Train::from_arg_matches(matches).map(|train| Self { train })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.train.update_from_arg_matches(matches)
    }
}

/// The flags of `hubel train` without those that have no effect, with the help of this command.
fn described(command: Command) -> Command {
    let command = WITHOUT_EFFECT.iter().fold(command, |command, flag| {
        command.mut_arg(flag, |flag| flag.hide(true))
    });
    let command = command.mut_arg("model", |model| {
        model
            .value_name("NAME|TEXT|FILE")
            .value_parser(network_or_model)
            .help("Examine this network with new weights, by name or as text, or the training of all layers of the model in this file [default: as in `hubel train`]")
    });
    command
        .mut_arg("json", |json| {
            json.help("Print one JSON object: signs (kind, evidence, advice, measured values), input, layers, by_heart, labels")
        })
        .after_help(HELP)
}

/// A network by name or as text, or the file of a model.
fn network_or_model(text: &str) -> Result<String, String> {
    match is_model(text) {
        Some(_) => Ok(text.into()),
        None => network(text),
    }
}

/// The file of a model, if the text names one that exists.
fn is_model(text: &str) -> Option<PathBuf> {
    model_file(text).filter(|file| file.is_file())
}

impl Doctor {
    /// What `hubel train` would be given: a model in place of a network is the start of a training of all its layers.
    pub(crate) fn into_train(self) -> Train {
        let mut train = self.train;
        let file = train.model.as_deref().and_then(is_model);
        if file.is_some() {
            train.data.from = train.model.take().map(PathBuf::from);
            train.freeze.get_or_insert_with(|| "none".into());
        }
        train
    }

    /// Flags that would have no effect, or contradict each other.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let train = &self.train;
        if train.out.is_some() || train.resume.is_some() || train.find_lr.is_some() {
            return Some(
                "--out, --resume and --find-lr are for `hubel train`; leave them out: an examination writes nothing",
            );
        }
        let is_from = (train.data.from.as_deref()).is_some_and(|from| from != Path::new("none"));
        if is_from && train.is_of_its_own() {
            return Some("--from and --model both say what is examined; leave out one of the two");
        }
        train.optimizer_problem()
    }
}
