//! What a model answers for the images of a data set.
use crate::{Answer, Cpu, Dataset, Error, Model, Result};

/// What a model answers for the images of a data set, with the images' identities: only answers for the same images can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predictions {
    /// The index of each image in its data set. Images that cannot be read have no answer.
    pub(super) indices: Vec<usize>,
    /// The predicted classes.
    pub(super) classes: Vec<usize>,
    /// The true classes.
    pub(super) labels: Vec<usize>,
    /// The hash of each image's file, or of its pixels if it has no file.
    pub(super) contents: Vec<u64>,
}

impl Predictions {
    /// Predictions of any origin: the predicted class of each image, its true class, and what identifies it, such as a hash of its file.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the three lists have different lengths.
    pub fn new(classes: Vec<usize>, labels: Vec<usize>, contents: Vec<u64>) -> Result<Self> {
        if classes.len() != labels.len() || classes.len() != contents.len() {
            return Err(Error::DataMismatch(format!(
                "{} answers, {} true classes and {} examples",
                classes.len(),
                labels.len(),
                contents.len()
            )));
        }
        Ok(Self {
            indices: (0..classes.len()).collect(),
            classes,
            labels,
            contents,
        })
    }

    /// Classifies every image of `dataset`. Calls `listen` after each image with the number of images so far.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn of(
        model: &Model,
        cpu: &Cpu,
        dataset: &Dataset,
        listen: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        let contents: Vec<u64> = dataset.contents().collect();
        let mut answers = Self {
            indices: Vec::new(),
            classes: Vec::new(),
            labels: Vec::new(),
            contents: Vec::new(),
        };
        model.evaluate_each(cpu, dataset, &mut |answer: Answer<'_>| {
            answers.indices.push(answer.index);
            answers.classes.push(answer.class);
            answers.labels.push(answer.label);
            answers.contents.push(contents[answer.index]);
            listen(answers.indices.len());
        })?;
        Ok(answers)
    }

    /// The predicted class of the image with this index in the data set; `None` if it could not be read.
    pub fn class(&self, index: usize) -> Option<usize> {
        let place = self.indices.binary_search(&index).ok()?;
        Some(self.classes[place])
    }

    /// The true class of the image with this index in the data set; `None` if it could not be read.
    pub fn label(&self, index: usize) -> Option<usize> {
        let place = self.indices.binary_search(&index).ok()?;
        Some(self.labels[place])
    }

    /// The same answers with other numbers for the classes: `places` has the new number of each. Two models may have the same classes in another order.
    ///
    /// # Panics
    /// If `places` is shorter than the number of classes.
    pub fn renumbered(mut self, places: &[usize]) -> Self {
        for class in self.classes.iter_mut().chain(&mut self.labels) {
            *class = places[*class];
        }
        self
    }

    /// Number of images with an answer.
    pub fn count(&self) -> usize {
        self.indices.len()
    }

    /// The share of correct answers; 0 if there are none.
    pub fn accuracy(&self) -> f64 {
        let answers = std::iter::zip(&self.classes, &self.labels);
        let correct = answers.filter(|(class, label)| class == label).count();
        correct as f64 / self.count().max(1) as f64
    }
}
