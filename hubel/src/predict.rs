//! Predictions for pictures (files, bytes, decoded pictures or tensors) and for texts, one or many.
#[cfg(feature = "pictures")]
mod pictures;
#[cfg(feature = "sound")]
mod sounds;
mod texts;

#[cfg(feature = "sound")]
pub use sounds::StretchPrediction;

use std::sync::Arc;

use hubel_kernels::{Cpu, softmax};

use crate::data::Prepared;
use crate::evaluate::tempered;
use crate::inference::{Inference, check_finite};
use crate::{Error, Model, Result, Shape};

/// A model's prediction for one picture.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The name of the most probable class.
    pub class: String,
    /// Its index in [`Model::classes`].
    pub index: usize,
    /// Its probability.
    pub probability: f32,
    /// The probability of each class, in the order of [`Model::classes`].
    pub probabilities: Vec<f32>,
    /// Whether the answer is given: `false` if its probability is below the model's [threshold](Model::threshold), "not sure".
    pub is_sure: bool,
    /// Whether the picture was inverted (light and dark exchanged) for the network.
    pub inverted: bool,
    /// Whether the picture has another background than the training pictures, which may mislead the network.
    pub other_ground: bool,
    /// Whether the picture has colour, but was converted to grey for the network.
    pub greyed: bool,
    /// Whether the recording is longer than the network's input, so that only its loudest stretch was classified.
    pub cut: bool,
}

impl Prediction {
    /// The indices of the `count` most probable classes, the most probable first; equally probable ones in order of index.
    pub fn top(&self, count: usize) -> Vec<usize> {
        let probability = |class: &usize| self.probabilities[*class];
        let mut classes: Vec<usize> = (0..self.probabilities.len()).collect();
        classes.sort_by(|a, b| probability(b).total_cmp(&probability(a)));
        classes.truncate(count);
        classes
    }
}

/// Classifies pictures with a model. Keeps plans, their memory and packed weights between calls.
///
/// Create it once. A server creates one per thread, all with one shared model:
///
/// ```
/// # #[cfg(feature = "pictures")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hubel::{Cpu, Model, Predictor};
/// use std::sync::Arc;
///
/// # use hubel::{Network, Preparation, Shape};
/// # let preparation = Preparation::unmeasured(Shape::new(16, 16, 3), Default::default());
/// # let network = Network::parse("conv(8, padding=same)-relu-globalavgpool-linear(classes)")?;
/// # let file = Model::untrained(network, vec!["cat".into(), "dog".into()], preparation, 1)?.to_bytes()?;
/// # let mut upload = std::io::Cursor::new(Vec::new());
/// # image::RgbImage::new(50, 40).write_to(&mut upload, image::ImageFormat::Png)?;
/// # let upload = upload.into_inner();
/// let model = Arc::new(Model::from_bytes(&file)?); // Or Model::load(path).
/// let mut predictor = Predictor::new(model, Cpu::best(1))?;
/// let prediction = predictor.predict(&upload)?; // The bytes of a PNG, a JPEG …
/// println!("{}  {:.1} %", prediction.class, 100.0 * prediction.probability);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "pictures"))]
/// # fn main() {}
/// ```
///
/// More images than [`Predictor::batch`] are computed batch by batch. Smaller batches have room for a power of two; if up to a quarter of it stays empty,
/// they are not divided further. A plan with packed weights is kept for each of these sizes that has occurred, at most ⌈log2(batch)⌉ + 1.
pub struct Predictor {
    inference: Inference<Arc<Model>>,
    logits: Vec<f32>,
    /// The logits, divided by the temperature.
    tempered: Vec<f32>,
    probabilities: Vec<f32>,
}

impl Predictor {
    /// Classifies with `model` on `cpu`, in batches of up to 64 images, fewer if they are large. Plans are compiled when they are first needed.
    ///
    /// # Errors
    /// If the model is damaged.
    pub fn new(model: impl Into<Arc<Model>>, cpu: Cpu) -> Result<Self> {
        Ok(Self {
            inference: Inference::new(model.into(), &cpu)?.kept(),
            logits: Vec::new(),
            tempered: Vec::new(),
            probabilities: Vec::new(),
        })
    }

    /// The same with batches of up to `batch` images. The plan of a full batch is compiled now, so that the first one is as fast as the others.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough memory for such a batch; [`Error::Settings`] for a batch of 0.
    pub fn with_batch(self, batch: usize) -> Result<Self> {
        Ok(Self {
            inference: self.inference.with_batch(batch)?,
            ..self
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.inference.model()
    }

    /// The largest number of images computed at a time.
    pub fn batch(&self) -> usize {
        self.inference.batch()
    }

    /// Classifies the pixels of a picture, `[h, w, c]` of any height and width, such as those of a camera; see
    /// [`Preparation::pixels`](crate::Preparation::pixels).
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the number of bytes does not fit `shape`, or if the channels differ from those of the network's input and one of the two has
    /// neither 1 nor 3;
    /// [`Error::NotFinite`] if the model's outputs are NaN or infinite; [`Error::Memory`].
    pub fn predict_pixels(&mut self, pixels: &[u8], shape: Shape) -> Result<Prediction> {
        let prepared = self.model().preparation().pixels(pixels, shape)?;
        self.predict_prepared(&prepared)
    }

    /// The probabilities of the classes at the model's [temperature](Model::temperature), `[n, classes]`, for prepared images `[n, h, w, c]`, see [`Prepared::tensor`]. Allocates no memory if an
    /// earlier call had as many images.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the values are not a whole number of images; [`Error::NotFinite`]; [`Error::Memory`].
    pub fn predict_tensor(&mut self, images: &[f32]) -> Result<&[f32]> {
        self.compute(images)?;
        let (cpu, classes) = (self.inference.cpu(), self.inference.outputs());
        let temperature = self.inference.model().temperature().unwrap_or(1.0);
        self.tempered.clear();
        self.tempered.extend(tempered(&self.logits, temperature));
        self.probabilities.resize(self.logits.len(), 0.0);
        softmax::softmax(cpu, &self.tempered, classes, &mut self.probabilities);
        Ok(&self.probabilities)
    }

    /// The logits of the same images, `[n, classes]`: the outputs of the network's last layer, before temperature and [`softmax`](crate::softmax).
    ///
    /// # Errors
    /// As for [`Predictor::predict_tensor`].
    pub fn logits(&mut self, images: &[f32]) -> Result<&[f32]> {
        self.compute(images)?;
        Ok(&self.logits)
    }

    /// Computes the logits of prepared images.
    fn compute(&mut self, images: &[f32]) -> Result<()> {
        let count = self.model().images_in(images)?;
        let all = &mut self.logits;
        all.clear();
        self.inference
            .run_on_tensor(count, images, &mut |i, logits| {
                check_finite(logits, || format!("example {i}"))?;
                all.extend_from_slice(logits);
                Ok(())
            })
    }

    /// Classifies a prepared picture.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if it was prepared for another input; [`Error::NotFinite`] if the model's outputs are NaN or infinite; [`Error::Memory`].
    pub fn predict_prepared(&mut self, prepared: &Prepared) -> Result<Prediction> {
        let probabilities = self.predict_tensor(&prepared.tensor)?.to_vec();
        Ok(Prediction::new(
            self.model(),
            probabilities,
            prepared.into(),
        ))
    }
}

impl Model {
    /// The number of images in `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if it is not a whole number.
    pub(crate) fn images_in(&self, images: &[f32]) -> Result<usize> {
        let shape = self.input();
        match images.len().is_multiple_of(shape.len()) {
            true => Ok(images.len() / shape.len()),
            false => Err(Error::DataMismatch(format!(
                "{} values are not a whole number of inputs of {shape}, which have {} each",
                images.len(),
                shape.len()
            ))),
        }
    }
}

impl Prediction {
    fn new(model: &Model, probabilities: Vec<f32>, changes: Changes) -> Self {
        let index = softmax::largest(&probabilities);
        Self {
            class: model.classes()[index].clone(),
            index,
            probability: probabilities[index],
            is_sure: (model.threshold())
                .is_none_or(|threshold| threshold.accepts(probabilities[index])),
            probabilities,
            inverted: changes.inverted,
            other_ground: changes.other_ground,
            greyed: changes.greyed,
            cut: changes.cut,
        }
    }
}

/// How a picture was changed for the network.
#[derive(Clone, Copy, Default)]
struct Changes {
    inverted: bool,
    other_ground: bool,
    greyed: bool,
    cut: bool,
}

impl From<&Prepared> for Changes {
    fn from(prepared: &Prepared) -> Self {
        Self {
            inverted: prepared.inverted,
            other_ground: prepared.other_ground,
            greyed: prepared.greyed,
            cut: prepared.cut,
        }
    }
}
