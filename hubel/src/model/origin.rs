//! A model as the start of another, for other classes and other pictures.
use super::certainty::Certainty;
use crate::data::{Dataset, Preparation, Resize};
use crate::{Model, Parameters, Result};

impl Model {
    /// The model that its training started from: the name of an embedded model, or of a file.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The same model, with the name of the model that its training starts from.
    pub fn with_origin(self, origin: impl Into<String>) -> Self {
        Self {
            origin: Some(origin.into()),
            ..self
        }
    }

    /// The last layer that was frozen in its training, with all before it; `None` if all layers were trained.
    pub fn frozen(&self) -> Option<&str> {
        self.frozen.as_deref()
    }

    pub(crate) fn with_frozen(self, frozen: Option<String>) -> Self {
        Self { frozen, ..self }
    }

    /// The same model for other classes. If their number is the same, all weights stay. Otherwise the weights of the last layer become zeros, so that
    /// all classes are equally likely.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) if the number of classes is fixed in the network's text.
    pub fn for_classes(self, classes: &[String]) -> Result<Self> {
        let classes = classes.to_vec();
        if classes.len() == self.classes.len() {
            return Ok(Self { classes, ..self });
        }
        let new = Self::untrained(self.network, classes, self.preparation, 0)?;
        Ok(Self {
            network: new.network,
            classes: new.classes,
            preparation: new.preparation,
            parameters: inherited(&self.parameters, new.parameters),
            division: self.division,
            stopped_at: self.stopped_at,
            origin: self.origin,
            frozen: self.frozen,
            choice: self.choice,
            certainty: Certainty::default(),
            precise: self.precise,
        })
    }

    /// The same model, with this way of resizing pictures of other proportions.
    pub fn with_resize(self, resize: Resize) -> Self {
        Self {
            preparation: Preparation {
                resize,
                ..self.preparation
            },
            ..self
        }
    }

    /// The same model, ready to be trained on other data: for its classes (see [`Model::for_classes`]), and with the preparation completed from `training`
    /// where it lacks the level behind transparent pixels or the background. It no longer records how far, on which data and with which frozen layers it was trained.
    ///
    /// # Errors
    /// As for [`Model::for_classes`] and [`Preparation::measure`](crate::Preparation::measure); if the images do not fit its input.
    pub fn for_data(self, training: &Dataset) -> Result<Self> {
        let model = self.for_classes(training.classes())?;
        let model = Self {
            preparation: model.preparation.clone().completed(training)?,
            stopped_at: None,
            division: None,
            frozen: None,
            choice: None,
            certainty: Certainty::default(),
            ..model
        };
        model.check(training)?;
        Ok(model)
    }
}

/// The `new` weights, with the `old` ones of each tensor that both have by name and shape. The last layer becomes zeros if it is new: all classes are
/// equally likely at first. A new layer before the zeros keeps its random weights: with equal weights its channels could not learn different features.
pub(super) fn inherited(old: &Parameters, mut new: Parameters) -> Parameters {
    let last = (new.entries().iter()).map(|entry| entry.node).max();
    for entry in new.entries().to_vec() {
        let same =
            (old.entries().iter()).find(|old| old.name == entry.name && old.shape == entry.shape);
        let values = &mut new.values_mut()[entry.range];
        match same {
            Some(same) => values.copy_from_slice(old.tensor(same)),
            None if Some(entry.node) == last => values.fill(0.0),
            None => {}
        }
    }
    new
}
