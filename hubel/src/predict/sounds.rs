//! Stretches of long recordings.
use std::path::Path;

use super::{Prediction, Predictor};
use crate::data::{BadFile, Stretch};
use crate::{Error, Result};

/// The prediction for a stretch of a recording.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StretchPrediction {
    /// Start of the stretch in seconds.
    pub start: f64,
    /// End of the stretch in seconds.
    pub end: f64,
    /// The prediction.
    pub prediction: Prediction,
}

impl Predictor {
    /// Classifies stretches of the recording at `path`, each of the model's length; a new one begins every `hop` seconds. The last one ends with
    /// the recording. Returns the reason if the file cannot be used.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the model is none of recordings; [`Error::Settings`] if the hop is less than a sample; [`Error::NotFinite`](crate::Error::NotFinite) if the model's outputs are NaN or infinite;
    /// [`Error::Memory`](crate::Error::Memory).
    pub fn predict_stretches(
        &mut self,
        path: &Path,
        hop: f64,
    ) -> Result<Result<Vec<StretchPrediction>, BadFile>> {
        let model = self.inference.model().clone();
        let mut predictions = Vec::new();
        let stretches = match model.preparation().stretches(path, hop) {
            Ok(stretches) => stretches,
            Err(error @ (Error::Recording { .. } | Error::Picture { .. } | Error::Io { .. })) => {
                return Ok(Err(BadFile::new(path, error)));
            }
            Err(error) => return Err(error),
        };
        for stretch in stretches {
            let Stretch {
                start,
                end,
                prepared,
            } = stretch;
            predictions.push(StretchPrediction {
                start,
                end,
                prediction: self.predict_prepared(&prepared)?,
            });
        }
        Ok(Ok(predictions))
    }
}
