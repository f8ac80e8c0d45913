//! A network for clips, made of one for pictures.
use super::{Block, Item, Network, collect};
use crate::layers::Layer;
use crate::{Error, Result};

/// The name of the layer whose output is the features of a frame: the last one that is frozen while the head is trained.
pub(crate) const FRAME_FEATURES: &str = "frame_features";

/// Reads the features of all frames: a convolution over the four quarters of each frame, so that places count, a convolution along time, and the mean of what it finds.
const HEAD: &str = "places: conv(64, kernel=2)-places_relu: relu-time: timeconv(64, padding=same)-time_relu: relu-over_time: avgovertime-head: linear(classes)";

impl Network {
    /// The layers of a network for pictures up to the features of a picture, for each frame of a clip, and a small head that reads these features along
    /// time. What the network does from its first `flatten` or linear layer on is left out, and so is global pooling before it: the maps are pooled to 2×2 values
    /// per channel, because in one value the place of a thing would be lost, and with it its motion.
    ///
    /// # Errors
    /// [`Error::Settings`] if no layer comes before `flatten` and the linear layers.
    pub(crate) fn along_time(&self) -> Result<Self> {
        let ends = |item: &Item| {
            let mut layers = Vec::new();
            collect(std::slice::from_ref(item), &mut layers);
            (layers.iter()).any(|layer| matches!(layer, Layer::Flatten | Layer::Linear { .. }))
        };
        let pools = |item: &Item| {
            matches!(
                item.block,
                Block::Layer(Layer::GlobalAvgPool | Layer::GlobalMaxPool)
            )
        };
        let mut items: Vec<Item> = self.items.clone();
        items.truncate(items.iter().position(ends).unwrap_or(items.len()));
        items.pop_if(|item| pools(item));
        if items.is_empty() {
            return Err(Error::Settings {
                problem: "the network has no layers before its first `flatten` or linear layer, so it finds no features of a frame; start from a convolutional network"
                    .into(),
            });
        }
        items.push(Item {
            label: Some(FRAME_FEATURES.into()),
            block: Block::Layer(Layer::AdaptiveAvgPool([2, 2])),
        });
        items.extend(Self::parse(HEAD)?.items);
        Ok(Self { items })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn features_of_frames_are_read_along_time() {
        let along = |text: &str| Network::parse(text).unwrap().along_time();
        let clips = Shape::new(12, 10, 3).over(5);
        for text in [
            "conv(4)-relu-pool-flatten-linear(7)-relu-linear(classes)",
            "a: [conv(4)-relu]-p: globalavgpool-flatten-dropout(0.2)-linear(classes)",
            "a: conv(4)-globalmaxpool-b: [dropout(0.1)-linear(classes)]",
        ] {
            let network = along(text).unwrap();
            let graph = network.graph(clips, 4).unwrap();
            let place = graph.node(FRAME_FEATURES).unwrap();
            let features = Shape::new(2, 2, 4).over(5);
            assert_eq!(graph.nodes[place].shape, features, "{text}");
            assert_eq!(graph.output().shape, Shape::new(1, 1, 4), "{text}");
            // It is an ordinary network.
            assert_eq!(Network::parse(&network.to_string()).unwrap(), network);
        }
        let error = along("flatten-linear(classes)").unwrap_err().to_string();
        assert!(error.contains("no features of a frame"), "{error}");
    }
}
