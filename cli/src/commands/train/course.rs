//! The training that the command line asks for: from scratch, or fine-tuning.
use std::ops::ControlFlow;

use hubel::data::{Augmentation, Subject};
use hubel::{
    Checkpoints, Cpu, Error, Event, Model, Network, Phase, Splits, TrainSettings, Trainer,
    Transfer, one_line,
};

use super::start::Start;
use crate::args::Train;
use crate::console::{Console, thousands};

/// A training, ready to start.
pub(super) enum Course {
    FromNothing(Box<Trainer>, TrainSettings),
    FromModel(Box<Transfer>),
}

impl Course {
    pub(super) fn new(
        arguments: &Train,
        start: Start,
        cpu: &Cpu,
        splits: &Splits,
        subject: &Subject,
        console: &Console,
    ) -> Result<Self, Error> {
        let (train, validation) = (&splits.train, splits.validation.as_ref());
        Ok(match start {
            Start::Nothing if arguments.freeze.is_some() || arguments.versions.is_some() => {
                return Err(Error::Settings {
                    problem: "training from scratch freezes no layers; leave out --freeze and --versions, or name a model to fine-tune (--from)"
                        .into(),
                });
            }
            Start::Nothing => {
                let network = Network::resolve(start.network(arguments.model.as_deref(), train))?;
                let settings = arguments.settings(subject, train.len())?;
                let trainer =
                    Trainer::new(cpu.clone(), network, train, validation, settings.clone())?;
                Self::FromNothing(
                    Box::new(trainer.with_division(splits.division.clone())),
                    settings,
                )
            }
            Start::Model(model) => {
                let phases = arguments.phases(&model, subject, train.len())?;
                console.remark(&last_layer(model.classes(), train.classes()));
                let transfer = Transfer::new(cpu.clone(), *model, phases, train, validation)?;
                let transfer = match arguments.data.files.cache {
                    Some(bytes) => transfer.with_room(bytes / 2),
                    None => transfer,
                };
                Self::FromModel(Box::new(transfer.with_division(splits.division.clone())))
            }
        })
    }

    /// The training settings; those of the last phase if there are several.
    pub(super) fn settings(&self) -> &TrainSettings {
        match self {
            Self::FromNothing(_, settings) => settings,
            Self::FromModel(transfer) => {
                let last = transfer.phases().last();
                &last.expect("there is at least one phase").settings
            }
        }
    }

    /// The phases of fine-tuning; none if it trains from scratch.
    pub(super) fn phases(&self) -> &[Phase] {
        match self {
            Self::FromNothing(..) => &[],
            Self::FromModel(transfer) => transfer.phases(),
        }
    }

    /// The number of epochs, and which layers they train.
    pub(super) fn epochs(&self) -> String {
        let counted = |epochs: usize| match epochs {
            1 => "1 epoch".to_owned(),
            epochs => format!("{epochs} epochs"),
        };
        let phases = match self {
            Self::FromNothing(_, settings) => return counted(settings.epochs),
            Self::FromModel(transfer) => transfer.phases(),
        };
        let phases = phases.iter().map(|phase| {
            let layers = match &phase.frozen {
                None => "of all layers".to_owned(),
                Some(layer) => format!("of the layers after `{layer}`"),
            };
            let versions = match phase.versions {
                0 | 1 => String::new(),
                versions => format!(" with {versions} versions of each picture"),
            };
            format!("{} {layers}{versions}", counted(phase.settings.epochs))
        });
        phases.collect::<Vec<_>>().join(", then ")
    }

    /// The augmentation: that of the phase with the most operations.
    pub(super) fn augmentation(&self) -> Augmentation {
        match self {
            Self::FromNothing(_, settings) => settings.augmentation.clone(),
            Self::FromModel(transfer) => {
                let changed = transfer.phases().iter().find(|phase| phase.versions != 1);
                changed.map_or_else(Augmentation::none, |phase| {
                    phase.settings.augmentation.clone()
                })
            }
        }
    }

    pub(super) fn with_checkpoints(self, checkpoints: Checkpoints) -> Self {
        match self {
            Self::FromNothing(trainer, settings) => {
                Self::FromNothing(Box::new(trainer.with_checkpoints(checkpoints)), settings)
            }
            Self::FromModel(transfer) => {
                Self::FromModel(Box::new(transfer.with_checkpoints(checkpoints)))
            }
        }
    }

    pub(super) fn run(
        &mut self,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Model, Error> {
        match self {
            Self::FromNothing(trainer, _) => trainer.run(listen),
            Self::FromModel(transfer) => transfer.run(listen),
        }
    }

    pub(super) fn last_good(&self) -> Model {
        match self {
            Self::FromNothing(trainer, _) => trainer.last_good(),
            Self::FromModel(transfer) => transfer.last_good(),
        }
    }
}

/// Whether the last layer is new or kept.
fn last_layer(classes: &[String], new: &[String]) -> String {
    if classes.len() != new.len() {
        let (before, now) = (thousands(classes.len()), thousands(new.len()));
        return format!("the last layer is new: {now} classes instead of {before}");
    }
    let other = std::iter::zip(classes, new).find(|(old, new)| old != new);
    match other {
        None => "the last layer is kept: the classes are the same".into(),
        Some((old, new)) => format!(
            "the last layer is kept: the number of classes is the same, but `{}` was `{}`",
            one_line(new),
            one_line(old)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_becomes_of_the_last_layer() {
        let classes = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let [two, same, three] = [&["a", "b"][..], &["a", "c"], &["a", "b", "c"]].map(classes);
        assert!(last_layer(&two, &two).ends_with("the classes are the same"));
        assert!(last_layer(&two, &same).ends_with("but `c` was `b`"));
        assert!(last_layer(&two, &three).ends_with("3 classes instead of 2"));
    }
}
