//! What the views of labelled data share: where data may lie, and the work on it that takes long.
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hubel::check::Inspection;

use crate::Opening;
use crate::jobs::Jobs;
use crate::judge::Judged;
use crate::places::Places;
use crate::preview::Preview;

/// Work on labelled data, and its results.
pub(crate) struct DataWork {
    pub(crate) places: Places,
    pub(crate) judged: Jobs<Question, Judged>,
    pub(crate) checked: Jobs<PathBuf, Inspection>,
    pub(crate) previews: Jobs<PathBuf, Preview>,
}

/// Which model is judged by which data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// The name of the model.
    pub(crate) model: String,
    /// Its file, and when that was written.
    pub(crate) file: Option<(PathBuf, SystemTime)>,
    pub(crate) data: PathBuf,
}

/// How many results of each kind are kept: each holds the samples of a data set.
const KEPT: usize = 3;

impl DataWork {
    /// `folder` is the one in which the studio was started.
    pub(crate) fn new(folder: &Path, opening: &Opening) -> Self {
        let others = std::iter::once(opening.runs.as_path()).chain(opening.data.as_deref());
        Self {
            places: Places::new(folder, others),
            judged: Jobs::new(KEPT),
            checked: Jobs::new(KEPT),
            previews: Jobs::new(KEPT),
        }
    }
}
