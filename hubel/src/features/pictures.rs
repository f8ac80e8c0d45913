//! Features of picture files.
use std::path::PathBuf;

use super::{Features, means};
use crate::data::BadFile;
use crate::inference::check_finite;
use crate::{Result, shown};

impl Features<'_> {
    /// The features of each picture file, in the order of `paths`, or the reason why the picture cannot be used.
    ///
    /// # Errors
    /// As for [`Features::of_image`].
    pub fn of_pictures(&mut self, paths: &[PathBuf]) -> Result<Vec<Result<Vec<f32>, BadFile>>> {
        let shape = self.shape;
        let preparation = self.inference.model().preparation();
        let read = |i: usize| preparation.picture(&paths[i]);
        let mut features = vec![Ok(Vec::new()); paths.len()];
        let seen = (self.inference).run_on_pictures(paths.len(), &read, &mut |i, map| {
            check_finite(map, || shown(&paths[i]))?;
            features[i] = Ok(means(shape, map));
            Ok(())
        })?;
        for (i, error) in seen.unusable {
            features[i] = Err(BadFile::new(&paths[i], error));
        }
        Ok(features)
    }
}
