//! What a model says of picture files: any number of them, a batch at a time.
use std::path::{Path, PathBuf};

use hubel_kernels::Cpu;

use crate::data::BadFile;
use crate::inference::{Inference, check_finite};
use crate::on_all_cores::on_each_image;
use crate::{Model, Result, shown};

/// What a model says of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The picture.
    pub path: PathBuf,
    /// The most probable class.
    pub class: String,
    /// Its probability.
    pub probability: f32,
    /// The most probable classes, as many as were asked for, with their probabilities.
    pub top: Vec<(String, f32)>,
    /// Whether light and dark were exchanged before the network looked.
    pub inverted: bool,
    /// Whether the picture stands on another ground than those that the network learned from, which may mislead it.
    pub other_ground: bool,
    /// Whether the picture has colour and the network saw it in grey.
    pub greyed: bool,
}

/// Classifies pictures with one plan, which is kept from call to call: for more pictures than fit into one list.
pub struct Classifier<'a> {
    inference: Inference<'a>,
    top: usize,
}

impl Model {
    /// What classifies pictures one chunk after the other; a prediction lists the `top` most probable classes, one at least.
    ///
    /// # Errors
    /// When the model is damaged.
    pub fn classifier<'a>(&'a self, cpu: &'a Cpu, top: usize) -> Result<Classifier<'a>> {
        Ok(Classifier {
            inference: Inference::new(self, cpu)?,
            top: top.max(1),
        })
    }

    /// Classifies pictures; a prediction lists the `top` most probable classes, one at least. Those that cannot be used are returned beside
    /// the predictions of the others. Each call compiles a plan: for many pictures [`Model::classifier`] is better.
    ///
    /// # Errors
    /// As [`Classifier::classify`].
    pub fn predict(
        &self,
        cpu: &Cpu,
        paths: &[PathBuf],
        top: usize,
    ) -> Result<(Vec<Prediction>, Vec<BadFile>)> {
        let answers = self.classifier(cpu, top)?.classify(paths)?;
        let (mut predictions, mut bad_files) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(prediction) => predictions.push(prediction),
                Err(bad) => bad_files.push(bad),
            }
        }
        Ok((predictions, bad_files))
    }
}

impl Classifier<'_> {
    /// How many pictures are computed at a time: the best length of a chunk.
    pub fn batch(&self) -> usize {
        self.inference.batch()
    }

    /// Classifies pictures. The answers are in the order of `paths`, one for each: a prediction, or why the picture cannot be used.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::Error::NotFinite) when the model's outputs are no finite numbers; when memory does not suffice.
    pub fn classify(&mut self, paths: &[PathBuf]) -> Result<Vec<Result<Prediction, BadFile>>> {
        let (model, cpu, top) = (self.inference.model(), self.inference.cpu(), self.top);
        let mut answers: Vec<Option<Result<Prediction, BadFile>>> = vec![None; paths.len()];
        let Seen { changes, bad_files } =
            (self.inference).run_on_pictures(paths, &mut |i, logits| {
                check_finite(logits, || shown(&paths[i]))?;
                answers[i] = Some(Ok(answer(model, cpu, &paths[i], logits, top)));
                Ok(())
            })?;
        for (i, bad) in bad_files {
            answers[i] = Some(Err(bad));
        }
        let answers = answers.into_iter().zip(changes).map(|(answer, changes)| {
            let answer = answer.expect("each picture is classified or bad");
            answer.map(|prediction| Prediction {
                inverted: changes.inverted,
                other_ground: changes.other_ground,
                greyed: changes.greyed,
                ..prediction
            })
        });
        Ok(answers.collect())
    }
}

/// What happened to a picture before the network looked.
#[derive(Clone, Copy, Default)]
pub(crate) struct Changes {
    inverted: bool,
    other_ground: bool,
    greyed: bool,
}

/// What came of reading pictures, besides what was computed of them.
pub(crate) struct Seen {
    /// Of each picture.
    changes: Vec<Changes>,
    /// By their places: those that cannot be used.
    pub(crate) bad_files: Vec<(usize, BadFile)>,
}

impl Inference<'_> {
    /// Computes what comes out for picture files, prepared as the model wants them; `take` gets it in order for each that can be used.
    pub(crate) fn run_on_pictures(
        &mut self,
        paths: &[PathBuf],
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<Seen> {
        let (cpu, model) = (self.cpu(), self.model());
        let length = model.input().len();
        let mut seen = Seen {
            changes: vec![Changes::default(); paths.len()],
            bad_files: Vec::new(),
        };
        let fill = &mut |indices: &[usize], images: &mut [f32]| {
            let prepared = on_each_image(cpu, images, length, |place, image| {
                let picture = model.preparation().picture(&paths[indices[place]])?;
                image.copy_from_slice(&picture.tensor);
                Ok(Changes {
                    inverted: picture.inverted,
                    other_ground: picture.other_ground,
                    greyed: picture.greyed,
                })
            });
            let mut unfilled = Vec::new();
            for (place, (&i, prepared)) in indices.iter().zip(prepared).enumerate() {
                match prepared {
                    Ok(changes) => seen.changes[i] = changes,
                    Err(error) => {
                        seen.bad_files.push((i, BadFile::new(&paths[i], error)));
                        unfilled.push(place);
                    }
                }
            }
            Ok(unfilled)
        };
        self.run(paths.len(), fill, take)?;
        Ok(seen)
    }
}

/// The classes by probability.
fn answer(model: &Model, cpu: &Cpu, path: &Path, logits: &[f32], top: usize) -> Prediction {
    let mut probabilities = vec![0.0; logits.len()];
    hubel_kernels::softmax::softmax(cpu, logits, logits.len(), &mut probabilities);
    let mut ranked: Vec<(&String, f32)> = model.classes().iter().zip(probabilities).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(top);
    let top: Vec<(String, f32)> = (ranked.into_iter())
        .map(|(class, probability)| (class.clone(), probability))
        .collect();
    let (class, probability) = top[0].clone();
    Prediction {
        path: path.to_owned(),
        class,
        probability,
        top,
        inverted: false,
        other_ground: false,
        greyed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, Error, Network, Preparation, Shape};

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
        let cpu = Cpu::best(2);
        paths.insert(4, folder.path().join("missing.png"));
        let (together, bad) = model.predict(&cpu, &paths, 2).unwrap();
        assert_eq!((together.len(), bad.len()), (10, 1));
        for length in [1, 3, 11] {
            let mut classifier = model.classifier(&cpu, 2).unwrap();
            let mut answers = Vec::new();
            for chunk in paths.chunks(length) {
                answers.extend(classifier.classify(chunk).unwrap());
            }
            assert_eq!(answers.len(), paths.len());
            assert_eq!(answers[4], Err(bad[0].clone()));
            let predictions: Vec<&Prediction> = answers.iter().flatten().collect();
            for (one, other) in predictions.into_iter().zip(&together) {
                assert_eq!((&one.path, &one.class), (&other.path, &other.class));
                assert!((one.probability - other.probability).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_picture_with_colour_before_a_grey_input_is_said_to_have_lost_it() {
        let (model, folder, _) = model_and_pictures(0);
        let rgb = |name: &str, colour: [u8; 3]| {
            let path = folder.path().join(name);
            image::RgbImage::from_pixel(8, 8, image::Rgb(colour))
                .save(&path)
                .unwrap();
            path
        };
        let paths = [rgb("red.png", [200, 30, 30]), rgb("grey.png", [90, 90, 90])];
        let (predictions, _) = model.predict(&Cpu::best(1), &paths, 1).unwrap();
        assert_eq!(
            predictions.iter().map(|p| p.greyed).collect::<Vec<_>>(),
            [true, false]
        );
    }

    #[test]
    fn outputs_that_are_no_numbers_are_an_error_of_prediction_and_evaluation() {
        let (mut model, _folder, paths) = model_and_pictures(3);
        for weight in model.parameters.values_mut() {
            *weight = 1e30;
        }
        // White, so that no convolution comes out below 0.
        image::GrayImage::from_pixel(8, 8, image::Luma([255]))
            .save(&paths[0])
            .unwrap();
        let cpu = Cpu::best(1);
        let refused = model.predict(&cpu, &paths, 1);
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
