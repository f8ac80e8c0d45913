//! Picture files, as paths or as bytes. All threads read and decode them, batch by batch.
use std::ops::Deref;
use std::path::{Path, PathBuf};

use hubel_kernels::softmax;
use image::DynamicImage;

use super::{Changes, Prediction, Predictor};
use crate::data::{BadFile, Kind, Prepared, clip};
use crate::evaluate::tempered;
use crate::inference::{Inference, check_finite};
use crate::model::GIVEN_AS_BYTES;
use crate::on_all_cores::on_each_image;
use crate::{Error, Model, Result, shown};

impl Predictor {
    /// Classifies a picture, given as the bytes of its file: PNG, JPEG, WebP, GIF, BMP, TIFF or PNM.
    ///
    /// # Errors
    /// [`Error::Picture`] if it cannot be used; [`Error::NotFinite`] if the model's outputs are NaN or infinite; [`Error::Memory`].
    pub fn predict(&mut self, picture: &[u8]) -> Result<Prediction> {
        let prepared = self
            .model()
            .preparation()
            .encoded(picture, Path::new(GIVEN_AS_BYTES))?;
        self.predict_prepared(&prepared)
    }

    /// Classifies a decoded picture.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the network's input has neither 1 nor 3 channels; as for [`Predictor::predict`].
    pub fn predict_image(&mut self, picture: DynamicImage) -> Result<Prediction> {
        let prepared = self.model().preparation().decoded(picture)?;
        self.predict_prepared(&prepared)
    }

    /// Classifies many pictures, given as the bytes of their files; all threads decode. Returns, in the same order, predictions or the reasons
    /// why pictures cannot be used.
    ///
    /// # Errors
    /// [`Error::NotFinite`] and [`Error::Memory`], which concern all of them.
    pub fn predict_all(
        &mut self,
        pictures: &[impl AsRef<[u8]> + Sync],
    ) -> Result<Vec<Result<Prediction>>> {
        let model = self.inference.model().clone();
        let read = |i: usize| {
            (model.preparation()).encoded(pictures[i].as_ref(), Path::new(GIVEN_AS_BYTES))
        };
        let name = |i: usize| format!("picture {i}");
        self.predict_pictures(pictures.len(), &read, &name)
    }

    /// Classifies the files of pictures or recordings, or the files and folders of clips. Returns, in the order of `paths`, predictions or the reasons why files cannot
    /// be used.
    ///
    /// # Errors
    /// [`Error::NotFinite`] and [`Error::Memory`], which concern all of them; [`Error::Clip`] for a video file without the program `ffmpeg`.
    pub fn predict_files(&mut self, paths: &[PathBuf]) -> Result<Vec<Result<Prediction, BadFile>>> {
        let model = self.inference.model().clone();
        if model.preparation().medium.kind() == Kind::Clips {
            paths.iter().try_for_each(|path| clip::require_for(path))?;
        }
        let read = |i: usize| model.preparation().picture(&paths[i]);
        let name = |i: usize| shown(&paths[i]);
        let answers = self.predict_pictures(paths.len(), &read, &name)?;
        let answers = answers.into_iter().zip(paths);
        Ok(answers
            .map(|(answer, path)| answer.map_err(|error| BadFile::new(path, error)))
            .collect())
    }

    /// Classifies `count` pictures, which `read` reads; `name` gives the name of a picture for errors.
    fn predict_pictures(
        &mut self,
        count: usize,
        read: &(dyn Fn(usize) -> Result<Prepared> + Sync),
        name: &dyn Fn(usize) -> String,
    ) -> Result<Vec<Result<Prediction>>> {
        let (model, cpu) = (self.inference.model().clone(), self.inference.cpu().clone());
        let temperature = model.temperature().unwrap_or(1.0);
        let mut answers: Vec<Option<Result<Vec<f32>>>> = Vec::new();
        answers.resize_with(count, || None);
        let seen = (self.inference).run_on_pictures(count, read, &mut |i, logits| {
            check_finite(logits, || name(i))?;
            let mut probabilities = vec![0.0; logits.len()];
            let logits: Vec<f32> = tempered(logits, temperature).collect();
            softmax::softmax(&cpu, &logits, logits.len(), &mut probabilities);
            answers[i] = Some(Ok(probabilities));
            Ok(())
        })?;
        for (i, error) in seen.unusable {
            answers[i] = Some(Err(error));
        }
        let answers = answers.into_iter().zip(seen.changes);
        let answers = answers.map(|(answer, changes)| {
            let answer = answer.expect("each picture is classified or cannot be used");
            answer.map(|probabilities| Prediction::new(&model, probabilities, changes))
        });
        Ok(answers.collect())
    }
}

/// The results of reading pictures.
pub(crate) struct Seen {
    /// One for each picture.
    changes: Vec<Changes>,
    /// The indices and errors of the pictures that cannot be used.
    pub(crate) unusable: Vec<(usize, Error)>,
}

impl<M: Deref<Target = Model>> Inference<M> {
    /// Computes the outputs for `count` pictures, which `read` reads and prepares for the model. `take` gets the outputs in order, for each
    /// picture that can be used.
    pub(crate) fn run_on_pictures(
        &mut self,
        count: usize,
        read: &(dyn Fn(usize) -> Result<Prepared> + Sync),
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<Seen> {
        let (cpu, length) = (self.cpu().clone(), self.model().input().len());
        let mut seen = Seen {
            changes: vec![Changes::default(); count],
            unusable: Vec::new(),
        };
        let fill = &mut |indices: &[usize], images: &mut [f32]| {
            let prepared = on_each_image(&cpu, images, length, |place, image| {
                let prepared = read(indices[place])?;
                image.copy_from_slice(&prepared.tensor);
                Ok(Changes::from(&prepared))
            });
            let mut unfilled = Vec::new();
            for (place, (&i, prepared)) in indices.iter().zip(prepared).enumerate() {
                match prepared {
                    Ok(changes) => seen.changes[i] = changes,
                    Err(error) => {
                        seen.unusable.push((i, error));
                        unfilled.push(place);
                    }
                }
            }
            Ok(unfilled)
        };
        self.run(count, fill, take)?;
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hubel_kernels::Cpu;

    use super::*;
    use crate::{Dataset, Network, Preparation, Shape};

    /// A model of 8×8 grey pictures and a folder with `count` of them.
    fn model_and_pictures(count: usize) -> (Model, tempfile::TempDir, Vec<PathBuf>) {
        let shape = Shape::new(8, 8, 1);
        let preparation = Preparation {
            shape,
            mean: vec![0.5],
            std: vec![0.25],
            ..Preparation::unmeasured(shape, Default::default())
        };
        let network = Network::parse("conv(4)-relu-flatten-fc(classes)").unwrap();
        let classes = ["cat", "dog", "eel"].map(String::from).into();
        let model = Model::untrained(network, classes, preparation, 3).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let paths = (0..count).map(|i| {
            let path = folder.path().join(format!("{i}.png"));
            let level = |x: u32, y: u32| ((x + 3 * y) as usize * (i + 7) * 37 % 256) as u8;
            let picture = image::GrayImage::from_fn(8, 8, |x, y| image::Luma([level(x, y)]));
            picture.save(&path).unwrap();
            path
        });
        let paths = paths.collect();
        (model, folder, paths)
    }

    #[test]
    fn a_stream_in_chunks_has_one_answer_for_each_picture_in_order() {
        let (model, folder, mut paths) = model_and_pictures(10);
        let (model, cpu) = (Arc::new(model), Cpu::best(2));
        paths.insert(4, folder.path().join("missing.png"));
        let predictor = || Predictor::new(model.clone(), cpu.clone()).unwrap();
        let together = predictor().predict_files(&paths).unwrap();
        assert_eq!(together.iter().filter(|answer| answer.is_err()).count(), 1);
        for (batch, length) in [(64, 1), (64, 3), (4, 11), (3, 11)] {
            let mut predictor = predictor().with_batch(batch).unwrap();
            let chunks = paths.chunks(length);
            let answers = chunks.flat_map(|chunk| predictor.predict_files(chunk).unwrap());
            let answers: Vec<_> = answers.collect();
            assert_eq!(answers.len(), paths.len());
            assert_eq!(answers[4], together[4]);
            for (one, other) in answers.iter().flatten().zip(together.iter().flatten()) {
                assert_eq!((&one.class, one.index), (&other.class, other.index));
                assert!((one.probability - other.probability).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_file_its_bytes_its_picture_and_its_tensor_have_one_answer() {
        let (model, _folder, paths) = model_and_pictures(3);
        let mut predictor = Predictor::new(model, Cpu::best(1)).unwrap();
        for path in &paths {
            let bytes = std::fs::read(path).unwrap();
            let of_file = predictor.predict_files(std::slice::from_ref(path)).unwrap();
            let of_file = of_file.into_iter().next().unwrap().unwrap();
            assert_eq!(predictor.predict(&bytes).unwrap(), of_file);
            let together = predictor.predict_all(&[&bytes]).unwrap();
            assert_eq!(*together[0].as_ref().unwrap(), of_file);
            let picture = image::load_from_memory(&bytes).unwrap();
            let pixels = picture.to_luma8().into_raw();
            let of_pixels = predictor.predict_pixels(&pixels, Shape::new(8, 8, 1));
            assert_eq!(of_pixels.unwrap(), of_file);
            assert_eq!(predictor.predict_image(picture).unwrap(), of_file);
            let preparation = predictor.model().preparation();
            let tensor = preparation.picture(path).unwrap().tensor;
            let probabilities = predictor.predict_tensor(&tensor).unwrap();
            assert_eq!(probabilities, of_file.probabilities);
            assert_eq!(of_file.top(1), [of_file.index]);
            assert_eq!(of_file.top(9).len(), 3);
        }
        let cut = &std::fs::read(&paths[0]).unwrap()[..60];
        let refused = predictor.predict(cut).unwrap_err().to_string();
        assert!(refused.contains("(given as bytes)"), "{refused}");
        let refused = predictor
            .predict_tensor(&[0.0; 65])
            .unwrap_err()
            .to_string();
        assert!(refused.contains("8×8×1"), "{refused}");
    }

    #[test]
    fn a_picture_with_colour_before_a_grey_input_is_said_to_have_lost_it() {
        let (model, _folder, _) = model_and_pictures(0);
        let mut predictor = Predictor::new(model, Cpu::best(1)).unwrap();
        for (colour, greyed) in [([200, 30, 30], true), ([90, 90, 90], false)] {
            let picture = image::RgbImage::from_pixel(8, 8, image::Rgb(colour));
            let pixels = picture.clone().into_raw();
            let prediction = predictor.predict_image(picture.into()).unwrap();
            assert_eq!(prediction.greyed, greyed);
            let of_pixels = predictor.predict_pixels(&pixels, Shape::new(8, 8, 3));
            assert_eq!(of_pixels.unwrap(), prediction);
        }
    }

    #[test]
    fn outputs_that_are_no_numbers_are_an_error_of_prediction_and_evaluation() {
        let (mut model, _folder, paths) = model_and_pictures(3);
        for weight in model.parameters.values_mut() {
            *weight = 1e30;
        }
        // White, so that no convolution gives a value below 0.
        image::GrayImage::from_pixel(8, 8, image::Luma([255]))
            .save(&paths[0])
            .unwrap();
        let cpu = Cpu::best(1);
        let mut predictor = Predictor::new(model.clone(), cpu.clone()).unwrap();
        let refused = predictor.predict_files(&paths);
        assert!(
            matches!(&refused, Err(Error::NotFinite { image }) if image.ends_with("0.png")),
            "{refused:?}"
        );
        let images = Dataset::from_arrays(&[0.9; 3 * 64], model.input(), &[0, 1, 2]).unwrap();
        let images = images.renamed(&["cat", "dog", "eel"]).unwrap();
        let refused = model.evaluate(&cpu, &images);
        assert!(
            matches!(&refused, Err(Error::NotFinite { image }) if image == "image 0"),
            "{refused:?}"
        );
    }
}
