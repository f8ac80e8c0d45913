//! A model of pictures as the start of one for clips.
use super::origin::inherited;
use crate::data::{Dataset, Kind, Medium, Preparation};
use crate::{Model, Result};

impl Model {
    /// A model for clips that reads each frame as this model reads a picture, up to the maps before its last pooling and linear layers. New layers read these maps,
    /// pooled to 2×2, along time: a convolution over the places, one along time, the mean over time and a linear layer. The network's input has as many frames as the clips. With
    /// [`Phase::usual`](crate::Phase::usual) the layers for the frames are frozen.
    ///
    /// A model of clips is returned as it is.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) if the network has no layers that find features of a frame.
    pub fn along_time(self, clips: &Dataset) -> Result<Self> {
        if self.preparation.medium.kind() != Kind::Pictures || clips.kind() != Kind::Clips {
            return Ok(self);
        }
        let preparation = Preparation {
            shape: self.preparation.shape.over(clips.shape().time),
            medium: Medium::Clip(clips.clip_settings()),
            ground: None,
            ..self.preparation
        };
        let network = self.network.along_time()?;
        let new = Self::untrained(network, clips.classes().to_vec(), preparation, 0)?;
        Ok(Self {
            parameters: inherited(&self.parameters, new.parameters),
            origin: self.origin,
            precise: self.precise,
            ..new
        })
    }
}
