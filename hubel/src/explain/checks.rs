//! Both checks of a map: whether it depends on what was learned, and whether it finds what matters.
use hubel_kernels::Cpu;

use super::cascade::{self, Cascade, Settings};
use super::deletion::{self, Deletion, Verdict};
use super::{Heatmap, Method, Question};
use crate::{Dataset, Error, Model, Result};

/// Seed of the random maps of the deletion.
const SEED: u64 = 1;

/// The results of the checks of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Checks {
    /// The cascade, or the reason why it was not run.
    pub cascade: std::result::Result<Cascade, String>,
    /// Deletion and insertion.
    pub deletion: Deletion,
}

/// The result of one check, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A sentence without a full stop.
    pub sentence: String,
    /// Whether the explanation cannot be trusted.
    pub has_failed: bool,
}

impl Checks {
    /// Checks the map of a picture that `method` made. The cascade compares it with maps of pictures of `data`; without data, the reason is given. `progress` gets
    /// the number of maps or classified pictures done, and the total.
    ///
    /// # Errors
    /// As of [`deletion::check`], [`cascade::pictures`] and [`cascade::check`]; its [`Error::Settings`], such as too few pictures, is a reason not to run it.
    pub fn of(
        cpu: &Cpu,
        model: &Model,
        (method, map): (&Method, &Heatmap),
        question: &Question,
        data: std::result::Result<&Dataset, String>,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Self> {
        let Question { image, score } = question;
        let deletion = deletion::check(cpu, model, image, score, map, SEED, progress)?;
        let cascade = match data {
            Err(reason) => Err(reason),
            Ok(data) => {
                let settings = Settings::for_method(method);
                let others = cascade::pictures(cpu, model, data, settings)?;
                let found =
                    cascade::check(cpu, model, method, question, &others, settings, progress);
                match found {
                    Err(Error::Settings { problem }) => Err(problem),
                    found => Ok(found?),
                }
            }
        };
        Ok(Self { cascade, deletion })
    }

    /// One finding per check.
    pub fn findings(&self) -> [Finding; 2] {
        let cascade = match &self.cascade {
            Ok(cascade) => Finding {
                sentence: cascade.to_string(),
                has_failed: !cascade.passes(),
            },
            Err(reason) => Finding {
                sentence: format!(
                    "not checked: whether it depends on the learned weights; {reason}"
                ),
                has_failed: false,
            },
        };
        let deletion = Finding {
            sentence: self.deletion.to_string(),
            has_failed: matches!(
                self.deletion.verdict(),
                Verdict::NoBetterThanEdges | Verdict::NoBetterThanRandom
            ),
        };
        [cascade, deletion]
    }
}
