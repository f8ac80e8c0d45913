//! What is known of a run from its folder, without its weights.
use std::fs;
use std::io;
use std::path::Path;

use super::record::{self, Record, Row};
use super::{Position, RunFolder};
use crate::model::Facts;
use crate::{Error, Model, Network, Result, shown};

/// What is known of a run from its folder. No weights are read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Overview {
    /// Whether it has ended.
    pub state: RunState,
    /// The network; `None` before the first checkpoint.
    pub network: Option<Network>,
    /// The model that its training started from, see [`Model::origin`].
    pub origin: Option<String>,
    /// Which weights its model has, see [`Model::choice`].
    pub choice: Option<String>,
    /// When it began, in seconds since 1970. `None` if it has no record.
    pub began: Option<f64>,
    /// Its completed epochs.
    pub rows: Vec<Row>,
    /// The position of its weights, if training has ended and they are not the last ones.
    kept: Option<Position>,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// A process trains into its folder. The position is that of the last checkpoint, if there is one.
    Running(Option<Position>),
    /// It can go on from this position. `None` if it ended before the first checkpoint.
    Stopped(Option<Position>),
    /// It has ended, and its model is saved.
    Finished,
    /// The folder has a model, and not the state of a training.
    ModelOnly,
}

impl Overview {
    /// The run in the folder at `path`.
    ///
    /// # Errors
    /// [`Error::Settings`] if the folder holds no run; those of [`Model::load`] and [`record::read_metrics`] if a file is damaged or of another version.
    pub fn of(path: &Path) -> Result<Self> {
        let at = |name: &str| path.join(name);
        // A folder that cannot be listed holds something that is unknown.
        fs::read_dir(path).map_err(Error::io("read", path))?;
        let has_record = at(Record::EVENTS).exists();
        let facts = facts(path)?;
        let is_held = RunFolder::is_held(path);
        let has_model = at(RunFolder::MODEL).exists();
        let has_state = at(RunFolder::LAST).exists() || at(RunFolder::PREVIOUS).exists();
        let position = RunFolder::unfinished(path);
        let state = match (&facts, position) {
            _ if is_held && (has_record || facts.is_some()) => RunState::Running(position),
            (Some(_), Some(position)) => RunState::Stopped(Some(position)),
            (Some(_), None) if has_model && (has_state || has_record) => RunState::Finished,
            (Some(_), None) if has_model => RunState::ModelOnly,
            (Some(facts), None) => RunState::Stopped(facts.stopped_at),
            (None, _) if has_record => RunState::Stopped(None),
            (None, _) => {
                let problem = format!("{} holds no run and no model", shown(path));
                return Err(Error::Settings { problem });
            }
        };
        let rows = match record::read_metrics(&at(Record::METRICS)) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
            rows => rows?,
        };
        let (began, kept) = record::began_and_kept(&at(Record::EVENTS));
        let (network, origin, choice) = match facts {
            Some(facts) => (Some(facts.network), facts.origin, facts.choice),
            None => (None, None, None),
        };
        Ok(Self {
            state,
            network,
            origin,
            choice,
            began,
            rows,
            kept,
        })
    }

    /// The epoch whose weights its model has. Of a run that has not ended: the last completed one.
    pub fn row(&self) -> Option<&Row> {
        record::row_of(&self.rows, self.kept)
    }

    /// The duration of its completed epochs.
    pub fn seconds(&self) -> f64 {
        self.rows.iter().map(|row| row.seconds).sum()
    }
}

/// What the newest weights in the folder say about themselves. `None` if there are none.
fn facts(path: &Path) -> Result<Option<Facts>> {
    let files = [RunFolder::MODEL, RunFolder::LAST, RunFolder::PREVIOUS];
    let mut files = files.map(|name| path.join(name)).into_iter();
    let Some(first) = files.find(|file| file.exists()) else {
        return Ok(None);
    };
    Model::facts(&first).map(Some).or_else(|error| {
        // A damaged checkpoint has one before it.
        let others = files.filter(|file| file.exists());
        let mut others = others.filter_map(|file| Model::facts(&file).ok());
        others.next().map(Some).ok_or(error)
    })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::{Cpu, Event, Splits, TrainSettings, Trainer, data};

    const EPOCHS: usize = 3;

    fn splits(folder: &Path) -> Splits {
        for class in ["dark", "light"] {
            fs::create_dir_all(folder.join(class)).unwrap();
            for number in 0..8_u8 {
                let ink = number + if class == "dark" { 10 } else { 200 };
                let picture = [b"P5 2 2 255\n", &[ink, number, 90, ink][..]].concat();
                fs::write(folder.join(class).join(format!("{number}.pgm")), picture).unwrap();
            }
        }
        let options = data::Options {
            validation: 0.25,
            ..data::Options::default()
        };
        data::open_with(folder.to_str().unwrap(), &options, &|_, _| ()).unwrap()
    }

    /// Trains into the folder until the event `until` comes.
    fn train(path: &Path, until: impl Fn(&Event) -> bool) -> RunFolder {
        let data = tempfile::tempdir().unwrap();
        let splits = splits(data.path());
        let settings = TrainSettings {
            epochs: EPOCHS,
            batch_size: 4,
            keep: crate::Keep::Best,
            ..TrainSettings::default()
        };
        let network = Network::parse("flatten-linear(classes)").unwrap();
        let validation = splits.validation.as_ref();
        let mut trainer =
            Trainer::new(Cpu::best(1), network, &splits.train, validation, settings).unwrap();
        let mut folder = RunFolder::open(path).unwrap();
        folder.begin(&trainer, &splits).unwrap();
        let model = folder.train(&mut trainer, &mut |event| match until(event) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        folder.save(&model.unwrap()).unwrap();
        folder
    }

    #[test]
    fn a_run_is_running_then_stopped_or_finished() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let finished = train(&at("finished"), |_| false);
        #[cfg(unix)]
        assert_eq!(
            Overview::of(&at("finished")).unwrap().state,
            RunState::Running(None)
        );
        #[cfg(unix)]
        assert_eq!(
            RunFolder::process(&at("finished")),
            Some(std::process::id())
        );
        drop(finished);
        assert!(!at("finished").join(RunFolder::PROCESS).exists());
        // A killed process leaves its file behind.
        fs::write(at("finished").join(RunFolder::PROCESS), "1\n").unwrap();
        assert_eq!(RunFolder::process(&at("finished")), None);
        let run = Overview::of(&at("finished")).unwrap();
        assert_eq!((run.state, run.rows.len()), (RunState::Finished, EPOCHS));
        assert!(run.began.is_some() && run.seconds() > 0.0 && run.choice.is_some());
        // The weights with the highest accuracy are kept.
        let best = run.rows.iter().map(|row| row.validation_accuracy.unwrap());
        let best = best.fold(0.0, f32::max);
        assert_eq!(run.row().unwrap().validation_accuracy, Some(best));

        drop(train(&at("stopped"), |event| {
            matches!(event, Event::Epoch { epoch: 2, .. })
        }));
        let run = Overview::of(&at("stopped")).unwrap();
        let RunState::Stopped(Some(position)) = run.state else {
            panic!("it is {:?}", run.state);
        };
        assert_eq!((position.epoch, run.row().unwrap().epoch), (2, 2));

        fs::create_dir(at("model")).unwrap();
        let [from, to] = ["finished", "model"].map(|name| at(name).join(RunFolder::MODEL));
        fs::copy(from, to).unwrap();
        let run = Overview::of(&at("model")).unwrap();
        assert_eq!(run.state, RunState::ModelOnly);
        assert!(run.row().is_none() && run.network.is_some());
    }

    #[test]
    fn what_holds_no_run_or_a_damaged_one_is_refused_with_the_reason() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let problem = |name: &str| Overview::of(&at(name)).unwrap_err().to_string();
        fs::create_dir(at("foreign")).unwrap();
        fs::write(at("foreign/notes.txt"), "mine").unwrap();
        assert!(problem("foreign").contains("holds no run"));
        drop(train(&at("cut"), |_| false));
        for name in [RunFolder::MODEL, RunFolder::LAST, RunFolder::PREVIOUS] {
            let file = at("cut").join(name);
            if let Ok(bytes) = fs::read(&file) {
                fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
            }
        }
        assert!(
            problem("cut").contains("model.safetensors"),
            "{}",
            problem("cut")
        );
        assert!(Overview::of(&at("nowhere")).is_err());
    }

    #[test]
    fn a_network_of_the_zoo_is_known_by_its_text() {
        for name in ["lenet5", "resnet18", "efficientnet-lite0"] {
            let network = Network::resolve(name).unwrap();
            assert_eq!(network.name(), Some(name));
        }
        let own = Network::parse("flatten-linear(classes)").unwrap();
        assert_eq!(own.name(), None);
    }
}
