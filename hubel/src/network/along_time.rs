//! A network for clips, made of one for pictures.
use super::{Block, Item, Network, collect};
use crate::layers::Layer;
use crate::{Error, Result};

/// Reads the features of all frames: a convolution along time, and the mean of what it finds.
const HEAD: &str =
    "time: timeconv(64, padding=same)-time_relu: relu-over_time: avgovertime-head: linear(classes)";

impl Network {
    /// The layers of a network for pictures up to the features of a picture, for each frame of a clip, and a small head that reads these features along
    /// time. What the network does after its first `flatten` or linear layer is left out. Maps are pooled to one value per channel.
    ///
    /// # Errors
    /// [`Error::Settings`] if no layer comes before `flatten` and the linear layers.
    pub(crate) fn along_time(&self) -> Result<Self> {
        let ends = |item: &Item| {
            let mut layers = Vec::new();
            collect(std::slice::from_ref(item), &mut layers);
            (layers.iter()).any(|layer| matches!(layer, Layer::Flatten | Layer::Linear { .. }))
        };
        let mut items: Vec<Item> = self.items.clone();
        items.truncate(items.iter().position(ends).unwrap_or(items.len()));
        if items.is_empty() {
            return Err(Error::Settings {
                problem: "the network has no layers before its first `flatten` or linear layer, so it finds no features of a frame; start from a convolutional network"
                    .into(),
            });
        }
        let is_pooled = matches!(
            items.last().map(|item| &item.block),
            Some(Block::Layer(Layer::GlobalAvgPool | Layer::GlobalMaxPool))
        );
        if !is_pooled {
            items.push(Item {
                label: Some("pool".into()),
                block: Block::Layer(Layer::GlobalAvgPool),
            });
        }
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
        for (text, features) in [
            (
                "conv(4)-relu-pool-flatten-linear(7)-relu-linear(classes)",
                "pool",
            ),
            (
                "a: [conv(4)-relu]-p: globalavgpool-flatten-dropout(0.2)-linear(classes)",
                "p",
            ),
            (
                "a: conv(4)-p: globalmaxpool-b: [dropout(0.1)-linear(classes)]",
                "p",
            ),
        ] {
            let network = along(text).unwrap();
            let graph = network.graph(clips, 4).unwrap();
            let place = graph.node(features).unwrap();
            assert_eq!(
                graph.nodes[place].shape,
                Shape::new(1, 1, 4).over(5),
                "{text}"
            );
            assert_eq!(graph.nodes[place + 1].name, "time", "{text}");
            assert_eq!(graph.output().shape, Shape::new(1, 1, 4), "{text}");
            // It is an ordinary network.
            assert_eq!(Network::parse(&network.to_string()).unwrap(), network);
        }
        let error = along("flatten-linear(classes)").unwrap_err().to_string();
        assert!(error.contains("no features of a frame"), "{error}");
    }
}
