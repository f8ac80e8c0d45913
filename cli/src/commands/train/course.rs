//! The training that the command line asks for: from scratch, or fine-tuning.
use hubel::data::{Augmentation, Subject};
use hubel::{Cpu, Dataset, Error, Network, Phase, Splits, TrainSettings, Trainer, one_line};

use super::start::Start;
use crate::args::Train;
use crate::console::thousands;

/// What is trained, from where, and in which phases.
pub(in crate::commands) struct Course<'a> {
    arguments: &'a Train,
    start: &'a Start,
    cpu: &'a Cpu,
    splits: &'a Splits,
    phases: Vec<Phase>,
    /// If it is trained from scratch.
    network: Option<Network>,
}

impl<'a> Course<'a> {
    pub(in crate::commands) fn new(
        arguments: &'a Train,
        start: &'a Start,
        cpu: &'a Cpu,
        splits: &'a Splits,
        subject: &Subject,
    ) -> Result<Self, Error> {
        let train = &splits.train;
        let (network, phases) = match start {
            Start::Nothing if arguments.freeze.is_some() || arguments.versions.is_some() => {
                return Err(Error::Settings {
                    problem: "training from scratch freezes no layers; leave out --freeze and --versions, or name a model to fine-tune (--from)"
                        .into(),
                });
            }
            Start::Nothing => {
                let name = start.network(arguments.model.as_deref(), train);
                let settings = arguments.settings(subject, train.len(), train.classes())?;
                let network = name.as_deref().map(Network::resolve).transpose()?;
                (network, vec![Phase::whole(settings)])
            }
            Start::Model(model) => (None, arguments.phases(model, subject, train)?),
        };
        Ok(Self {
            arguments,
            start,
            cpu,
            splits,
            phases,
            network,
        })
    }

    pub(super) fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// The settings of the last phase.
    pub(super) fn settings(&self) -> &TrainSettings {
        &(self.phases.last())
            .expect("there is at least one phase")
            .settings
    }

    /// A trainer with all phases.
    pub(in crate::commands) fn trainer(&self) -> Result<Trainer, Error> {
        let validation = self.splits.validation.as_ref();
        Ok(self
            .of_phases(self.phases.clone(), validation)?
            .with_division(self.splits.division.clone()))
    }

    /// A trainer with the last phase alone, with other settings and without validation images.
    pub(super) fn of_last_phase(&self, settings: TrainSettings) -> Result<Trainer, Error> {
        let last = self.phases.last().expect("there is at least one phase");
        let phase = Phase {
            settings,
            ..last.clone()
        };
        self.of_phases(vec![phase], None)
    }

    fn of_phases(
        &self,
        phases: Vec<Phase>,
        validation: Option<&Dataset>,
    ) -> Result<Trainer, Error> {
        let (cpu, train) = (self.cpu.clone(), &self.splits.train);
        match (self.start, &self.network) {
            (Start::Model(model), _) => {
                let trainer =
                    Trainer::fine_tune(cpu, (**model).clone(), phases, train, validation)?;
                Ok(match self.arguments.data.files.cache {
                    Some(bytes) => trainer.with_room(bytes / 2),
                    None => trainer,
                })
            }
            (Start::Nothing, network) => {
                let network = network.clone().expect("a network is trained from scratch");
                let phase = phases.into_iter().next().expect("there is one phase");
                Trainer::new(cpu, network, train, validation, phase.settings)
            }
        }
    }
}

/// The number of epochs, and which layers they train.
pub(super) fn epochs(phases: &[Phase]) -> String {
    let counted = |settings: &TrainSettings| match (settings.minutes, settings.epochs) {
        (Some(1.0), _) => "1 minute".to_owned(),
        (Some(minutes), _) => format!("{minutes} minutes"),
        (None, 1) => "1 epoch".to_owned(),
        (None, epochs) => format!("{epochs} epochs"),
    };
    if let [phase] = phases
        && phase.frozen.is_none()
    {
        return counted(&phase.settings);
    }
    let phases = phases.iter().map(|phase| {
        let layers = match &phase.frozen {
            None => "of all layers".to_owned(),
            Some(layer) => format!("of the layers after `{layer}`"),
        };
        let versions = match phase.versions {
            0 | 1 => String::new(),
            versions => format!(" with {versions} versions of each example"),
        };
        format!("{} {layers}{versions}", counted(&phase.settings))
    });
    phases.collect::<Vec<_>>().join(", then ")
}

/// The augmentation: that of the phase with the most operations.
pub(super) fn augmentation(phases: &[Phase]) -> Augmentation {
    let changed = phases.iter().find(|phase| phase.versions != 1);
    changed.map_or_else(Augmentation::none, |phase| {
        phase.settings.augmentation.clone()
    })
}

/// Whether the last layer is new or kept.
pub(super) fn last_layer(classes: &[String], new: &[String]) -> String {
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
