//! What the probabilities of a model mean: its temperature, and the threshold below which it is not sure.
use std::collections::BTreeMap;

use hubel_kernels::Cpu;

use crate::{Dataset, Error, Model, Result, Threshold};

/// Both, if they were measured. They belong to these weights alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Certainty {
    /// What the logits are divided by.
    temperature: Option<f32>,
    /// Below which probability no answer is given.
    threshold: Option<Threshold>,
}

/// Their names in the metadata of the model file.
const TEMPERATURE: &str = "hubel.temperature";
const THRESHOLD: &str = "hubel.threshold";

impl Model {
    /// What its logits are divided by before the softmax, so that its probabilities mean what they say; `None` if that was not measured, which is as 1.
    pub fn temperature(&self) -> Option<f32> {
        self.certainty.temperature
    }

    /// The probability below which the model gives no answer, with the bound that it keeps; `None` if all answers are given.
    pub fn threshold(&self) -> Option<&Threshold> {
        self.certainty.threshold.as_ref()
    }

    /// The same model with this temperature. The threshold, which belongs to another one, is dropped.
    ///
    /// # Errors
    /// [`Error::Settings`] if it is not positive and finite.
    pub fn with_temperature(self, temperature: Option<f32>) -> Result<Self> {
        if let Some(temperature) = temperature.filter(|it| !is_temperature(*it)) {
            return Err(Error::Settings {
                problem: format!("a temperature is positive and finite, not {temperature}"),
            });
        }
        let certainty = Certainty {
            temperature,
            threshold: None,
        };
        Ok(Self { certainty, ..self })
    }

    /// The same model with this threshold ([`Answers::threshold`](crate::Answers::threshold)).
    pub fn with_threshold(self, threshold: Option<Threshold>) -> Self {
        let certainty = Certainty {
            threshold,
            ..self.certainty
        };
        Self { certainty, ..self }
    }

    /// The same model with the temperature that suits `validation` images best ([`Answers::best_temperature`](crate::Answers::best_temperature)); with none if
    /// there are too few.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn calibrated(self, cpu: &Cpu, validation: &Dataset) -> Result<Self> {
        let (_, answers) = self.answers(cpu, validation, &mut |_| {})?;
        self.with_temperature(answers.best_temperature())
    }

    /// The same model with the temperature and the threshold that the metadata of a file has.
    pub(crate) fn with_certainty_of(
        self,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let certainty = Certainty::of(metadata)?;
        Ok(Self { certainty, ..self })
    }

    pub(super) fn write_certainty(&self, metadata: &mut BTreeMap<String, String>) {
        if let Some(temperature) = self.certainty.temperature {
            metadata.insert(TEMPERATURE.to_string(), temperature.to_string());
        }
        if let Some(threshold) = &self.certainty.threshold {
            let text = serde_json::to_string(threshold).expect("plain data becomes JSON");
            metadata.insert(THRESHOLD.to_string(), text);
        }
    }
}

impl Certainty {
    /// Reads both from the metadata of a model file.
    pub(super) fn of(metadata: &BTreeMap<String, String>) -> Result<Self, String> {
        let temperature = metadata.get(TEMPERATURE);
        let temperature =
            temperature.map(|text| text.parse().ok().filter(|it| is_temperature(*it)));
        if temperature == Some(None) {
            return Err("its metadata is damaged (its temperature is no positive number)".into());
        }
        let threshold = metadata.get(THRESHOLD);
        let threshold = threshold.map(|text| serde_json::from_str(text));
        let threshold: Option<Threshold> = (threshold.transpose())
            .map_err(|error| format!("its metadata is damaged ({error})"))?;
        if threshold.is_some_and(|threshold| !threshold.is_possible()) {
            return Err("its metadata is damaged (its threshold is impossible)".into());
        }
        Ok(Self {
            temperature: temperature.flatten(),
            threshold,
        })
    }

    /// For the same weights at another input size, where the bound of the threshold does not hold.
    pub(super) fn without_threshold(self) -> Self {
        Self {
            threshold: None,
            ..self
        }
    }
}

fn is_temperature(value: f32) -> bool {
    value > 0.0 && value.is_finite()
}
