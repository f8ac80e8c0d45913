//! Clips: animated pictures, video files, and folders of numbered frames.
use std::path::PathBuf;

use super::{Changes, Prediction, Predictor};
use crate::Result;
use crate::data::{BadFile, clip};

impl Predictor {
    /// Classifies clips. Returns, in the order of `paths`, predictions or the reasons why clips cannot be used.
    ///
    /// # Errors
    /// [`Error::DataMismatch`](crate::Error::DataMismatch) if the model is none of clips; [`Error::Clip`](crate::Error::Clip) for a video file without the
    /// program `ffmpeg`; [`Error::NotFinite`](crate::Error::NotFinite) and
    /// [`Error::Memory`](crate::Error::Memory).
    pub fn predict_clips(&mut self, paths: &[PathBuf]) -> Result<Vec<Result<Prediction, BadFile>>> {
        self.model().preparation().clip_settings()?;
        for path in paths {
            clip::require_for(path)?;
        }
        let mut answers = Vec::with_capacity(paths.len());
        for path in paths {
            let tensor = self.model().preparation().clip(path);
            answers.push(match tensor {
                Ok(prepared) => {
                    let probabilities = self.predict_tensor(&prepared.tensor)?.to_vec();
                    Ok(Prediction::new(
                        self.model(),
                        probabilities,
                        Changes::default(),
                    ))
                }
                Err(error) => Err(BadFile::new(path, error)),
            });
        }
        Ok(answers)
    }
}
