//! The answers of a model for labelled images, from which everything that judges it is computed.
use hubel_kernels::{Cpu, softmax};

use crate::data::{BadFile, Kind};
use crate::{Dataset, Error, Model, Report, Result};

/// The answers of a model for labelled images: the outputs and the probabilities of all classes, `[n, classes]`.
#[derive(Clone, Debug)]
pub struct Answers {
    cpu: Cpu,
    classes: usize,
    temperature: f32,
    indices: Vec<usize>,
    labels: Vec<usize>,
    /// As the network computes them, before the temperature.
    logits: Vec<f32>,
    probabilities: Vec<f32>,
}

impl Answers {
    /// Answers of any program: logits `[n, classes]`, before the softmax, and the true class of each image. The logarithms of probabilities are logits, too.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if there are not `classes` logits for each label, or if a label is not below `classes`; [`Error::NotFinite`] if a logit is NaN or infinite.
    pub fn from_logits(
        cpu: &Cpu,
        classes: usize,
        labels: &[usize],
        logits: &[f32],
    ) -> Result<Self> {
        if classes == 0 || labels.len().checked_mul(classes) != Some(logits.len()) {
            return Err(Error::DataMismatch(format!(
                "{} logits are not {classes} for each of {} labels",
                logits.len(),
                labels.len()
            )));
        }
        if let Some(label) = labels.iter().find(|label| **label >= classes) {
            return Err(Error::DataMismatch(format!(
                "the label {label} is not one of {classes} classes"
            )));
        }
        if let Some(place) = logits.iter().position(|logit| !logit.is_finite()) {
            let image = format!("example {}", place / classes);
            return Err(Error::NotFinite { image });
        }
        let answers = Self {
            cpu: cpu.clone(),
            classes,
            temperature: 1.0,
            indices: (0..labels.len()).collect(),
            labels: labels.to_vec(),
            logits: logits.to_vec(),
            probabilities: Vec::new(),
        };
        Ok(answers.at_temperature(1.0))
    }

    /// The same answers, with the probabilities at another temperature.
    pub fn at_temperature(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self.probabilities.resize(self.logits.len(), 0.0);
        let tempered: Vec<f32> = tempered(&self.logits, temperature).collect();
        softmax::softmax(&self.cpu, &tempered, self.classes, &mut self.probabilities);
        self
    }

    /// The answers at these places, in this order.
    ///
    /// # Panics
    /// If a place is not below [`Answers::len`].
    pub fn select(&self, places: &[usize]) -> Self {
        let rows = |values: &[f32]| -> Vec<f32> {
            let rows = places.iter();
            rows.flat_map(|place| &values[place * self.classes..][..self.classes])
                .copied()
                .collect()
        };
        Self {
            cpu: self.cpu.clone(),
            indices: places.iter().map(|place| self.indices[*place]).collect(),
            labels: places.iter().map(|place| self.labels[*place]).collect(),
            logits: rows(&self.logits),
            probabilities: rows(&self.probabilities),
            ..*self
        }
    }

    /// The same answers with other labels: one for each image of the data set, `None` for an image that is left out.
    pub(super) fn with_labels(&self, labels: &[Option<usize>]) -> Self {
        let places: Vec<usize> = (0..self.len())
            .filter(|place| labels[self.indices[*place]].is_some())
            .collect();
        let mut selected = self.select(&places);
        for (label, index) in selected.labels.iter_mut().zip(&selected.indices) {
            *label = labels[*index].expect("only images with a label are selected");
        }
        selected
    }

    /// Accuracy, loss and confusions of these answers.
    pub(super) fn report(&self, kind: Kind, bad_files: Vec<BadFile>) -> Report {
        let mut confusion = vec![vec![0; self.classes]; self.classes];
        for (place, label) in self.labels.iter().enumerate() {
            confusion[*label][self.class(place)] += 1;
        }
        let right: usize = (0..self.classes).map(|class| confusion[class][class]).sum();
        Report {
            accuracy: right as f32 / self.len().max(1) as f32,
            loss: self.log_loss() as f32,
            count: self.len(),
            confusion,
            bad_files,
            independent: self.len() as f64,
            kind,
        }
    }

    /// The probabilities of all classes for all images, `[n, classes]`.
    pub(super) fn all_probabilities(&self) -> &[f32] {
        &self.probabilities
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What the logits are divided by before the softmax.
    pub fn temperature(&self) -> f32 {
        self.temperature
    }

    /// The index of each image in its data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The true class of each image.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The logits of the image at `place`, before the temperature.
    pub fn logits(&self, place: usize) -> &[f32] {
        &self.logits[place * self.classes..][..self.classes]
    }

    /// The probabilities of all classes for the image at `place`.
    pub fn probabilities(&self, place: usize) -> &[f32] {
        &self.probabilities[place * self.classes..][..self.classes]
    }

    /// The predicted class of the image at `place`: that with the largest logit, the first of equal ones.
    pub fn class(&self, place: usize) -> usize {
        softmax::largest(self.logits(place))
    }

    /// The probability of the predicted class.
    pub fn confidence(&self, place: usize) -> f32 {
        self.probabilities(place)[self.class(place)]
    }

    /// Whether the predicted class is the true one.
    pub fn is_right(&self, place: usize) -> bool {
        self.class(place) == self.labels[place]
    }

    /// The cross-entropy of the image at `place`, in nats. It is finite also where the probability of the true class is rounded to 0.
    pub fn loss(&self, place: usize) -> f64 {
        cross_entropy(self.logits(place), self.labels[place], self.temperature)
    }

    /// The mean cross-entropy, in nats. 0 without images.
    pub fn log_loss(&self) -> f64 {
        self.mean(|place| self.loss(place))
    }

    /// The Brier score of several classes (Brier 1950): the mean, over all images, of the squared distance between the probabilities and the truth, from 0 to 2.
    /// 0 without images.
    pub fn brier(&self) -> f64 {
        self.mean(|place| {
            let classes = self.probabilities(place).iter().enumerate();
            classes
                .map(|(class, probability)| {
                    let truth = f64::from(u8::from(class == self.labels[place]));
                    (f64::from(*probability) - truth).powi(2)
                })
                .sum()
        })
    }

    /// The share of images whose true class is among the `count` most probable ones. Of equally probable classes, the first ones count. 0 without images.
    pub fn top(&self, count: usize) -> f64 {
        self.mean(|place| {
            let (logits, label) = (self.logits(place), self.labels[place]);
            let before = logits.iter().enumerate().filter(|(class, logit)| {
                **logit > logits[label] || (**logit == logits[label] && *class < label)
            });
            f64::from(u8::from(before.count() < count))
        })
    }

    /// The places of the wrong answers, the most confident first; of equally confident ones, that with the larger loss.
    pub fn mistakes(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.len())
            .filter(|place| !self.is_right(*place))
            .collect();
        places.sort_by(|&a, &b| {
            (self.confidence(b).total_cmp(&self.confidence(a)))
                .then(self.loss(b).total_cmp(&self.loss(a)))
        });
        places
    }

    fn mean(&self, value: impl Fn(usize) -> f64) -> f64 {
        let sum: f64 = (0..self.len()).map(value).sum();
        sum / self.len().max(1) as f64
    }
}

impl Model {
    /// Classifies every image of `dataset`, as [`Model::evaluate`], and keeps the answers. Calls `listen` after each image with the number of images so far.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn answers(
        &self,
        cpu: &Cpu,
        dataset: &Dataset,
        listen: &mut dyn FnMut(usize),
    ) -> Result<(Report, Answers)> {
        let (mut indices, mut labels, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        let report = self.evaluate_each(cpu, dataset, &mut |answer| {
            indices.push(answer.index);
            labels.push(answer.label);
            logits.extend_from_slice(answer.logits);
            listen(answer.index + 1);
        })?;
        let temperature = self.temperature().unwrap_or(1.0);
        let answers = Answers {
            cpu: cpu.clone(),
            classes: self.classes().len(),
            temperature,
            indices,
            labels,
            logits,
            probabilities: Vec::new(),
        };
        Ok((report, answers.at_temperature(temperature)))
    }
}

/// The cross-entropy of one image, in nats.
pub(super) fn cross_entropy(logits: &[f32], label: usize, temperature: f32) -> f64 {
    let temperature = f64::from(temperature);
    let largest = f64::from(logits[softmax::largest(logits)]);
    let below = |logit: f32| (f64::from(logit) - largest) / temperature;
    let sum: f64 = logits.iter().map(|logit| below(*logit).exp()).sum();
    sum.ln() - below(logits[label])
}

/// Logits, divided by the temperature. At a temperature of 1 they are the same bits.
pub(crate) fn tempered(logits: &[f32], temperature: f32) -> impl Iterator<Item = f32> {
    logits.iter().map(move |logit| logit / temperature)
}
