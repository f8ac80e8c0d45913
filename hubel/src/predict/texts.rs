//! Texts, one or many.
use super::{Changes, Prediction, Predictor};
use crate::data::{Kind, Vocabulary};
use crate::{Error, Model, Result};

impl Predictor {
    /// Classifies a text.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the model is none of texts; [`Error::NotFinite`] if the model's outputs are NaN or infinite; [`Error::Memory`].
    pub fn predict_text(&mut self, text: &str) -> Result<Prediction> {
        let mut predictions = self.predict_texts(&[text])?;
        Ok(predictions.pop().expect("a text has a prediction"))
    }

    /// Classifies texts.
    ///
    /// # Errors
    /// As for [`Predictor::predict_text`].
    pub fn predict_texts(&mut self, texts: &[impl AsRef<str>]) -> Result<Vec<Prediction>> {
        let length = self.model().input().len();
        let mut tokens = Vec::with_capacity(texts.len() * length);
        for text in texts {
            tokens.extend(self.model().tokens(text.as_ref())?);
        }
        let classes = self.model().classes().len();
        let probabilities = self.predict_tensor(&tokens)?.to_vec();
        let each = probabilities.chunks_exact(classes);
        Ok(each
            .map(|own| Prediction::new(self.model(), own.to_vec(), Changes::default()))
            .collect())
    }
}

impl Model {
    /// A text as the network reads it: the numbers of its first tokens, and 0 behind its end.
    ///
    /// # Errors
    /// As for [`Model::vocabulary`].
    pub fn tokens(&self, text: &str) -> Result<Vec<f32>> {
        let mut tokens = vec![0.0; self.input().len()];
        self.vocabulary()?.encode(text, &mut tokens);
        Ok(tokens)
    }

    /// The vocabulary of a model of texts.
    ///
    /// # Errors
    /// [`Error::DataMismatch`] if the model is none of texts.
    pub fn vocabulary(&self) -> Result<&Vocabulary> {
        let medium = &self.preparation().medium;
        medium.vocabulary().ok_or_else(|| {
            Error::DataMismatch(format!(
                "the model was trained on {}, not on {}",
                medium.kind(),
                Kind::Texts
            ))
        })
    }
}
