//! One side of a comparison: a model, or the runs of `hubel train --seeds`.
use std::path::{Path, PathBuf};

use hubel::data::Manifest;
use hubel::run_toml::RunToml;
use hubel::{Error, Model, RunFolder, shown};

use crate::commands::{named, quoted, runs, seed_runs};
use crate::console::Console;

/// One side.
pub(super) struct Side {
    pub(super) path: PathBuf,
    /// Whether it is a folder of `--seeds`.
    pub(super) is_of_seeds: bool,
    /// At least one.
    pub(super) members: Vec<Member>,
}

/// A model with what its run says about it.
pub(super) struct Member {
    pub(super) path: PathBuf,
    pub(super) model: Model,
    /// Empty if it is not in the folder of a run.
    pub(super) settings: RunToml,
    /// The list of the samples of its run.
    pub(super) list: Option<Manifest>,
}

impl Side {
    /// The model or the runs at `path`.
    pub(super) fn open(path: &Path, console: &Console) -> Result<Self, Error> {
        let runs = match runs::is_run(path) {
            true => Vec::new(),
            false => seed_runs::in_folder(path),
        };
        if runs.is_empty() {
            return Ok(Self {
                path: path.into(),
                is_of_seeds: false,
                members: vec![Member::open(path, console)?],
            });
        }
        let unfinished = runs.iter().find(|run| {
            let has_ended = run.join(RunFolder::MODEL).exists();
            !has_ended || RunFolder::unfinished(run).is_some()
        });
        if let Some(run) = unfinished {
            return Err(Error::Settings {
                problem: format!(
                    "the training of {} has not ended, so it cannot stand for its setting; hubel train --resume {} goes on with it",
                    shown(run),
                    quoted(path)
                ),
            });
        }
        let members = runs.iter().map(|run| Member::open(run, console));
        Ok(Self {
            path: path.into(),
            is_of_seeds: true,
            members: members.collect::<Result<_, _>>()?,
        })
    }

    /// The model, if there is one alone.
    pub(super) fn single(&self) -> Option<&Member> {
        match &self.members[..] {
            [member] if !self.is_of_seeds => Some(member),
            _ => None,
        }
    }

    /// The classes of its first model.
    pub(super) fn classes(&self) -> &[String] {
        self.members[0].model.classes()
    }
}

impl Member {
    fn open(path: &Path, console: &Console) -> Result<Self, Error> {
        let model = named::load(path, console)?;
        Ok(Self {
            path: path.into(),
            model,
            settings: match named::run_of(path) {
                Some(folder) => RunToml::read(folder)?,
                None => RunToml::default(),
            },
            list: named::samples_of(path)?,
        })
    }
}
