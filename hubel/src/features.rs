//! Features: the outputs of an inner layer, for comparing pictures, searching them, or training another classifier.
#[cfg(feature = "pictures")]
mod pictures;
#[cfg(feature = "tables")]
mod saved;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use hubel_kernels::Cpu;

use crate::data::{BadFile, Dataset};
use crate::inference::{Inference, check_finite};
use crate::network::{FRAME_FEATURES, Graph, Operation};
use crate::{Model, Result, Shape};

#[cfg(feature = "tables")]
pub use saved::save;

/// The layers of a model up to a given one, with the plan and the memory of the last batch.
///
/// The [activations](Features::activations) of a picture are the output of that layer. Its features are the mean of each channel over the map.
pub struct Features<'a> {
    inference: Inference<&'a Model>,
    layer: String,
    shape: Shape,
}

impl Model {
    /// Computes features at the layer of this name. By default this is the last layer before the last linear layer (or, without one, before the last
    /// convolution) whose output alone determines everything after it.
    ///
    /// # Errors
    /// [`Error::Settings`](crate::Error::Settings) if the network has no such layer; the message suggests the nearest name.
    pub fn features<'a>(&'a self, cpu: &'a Cpu, layer: Option<&str>) -> Result<Features<'a>> {
        let graph = self.graph()?;
        let node = match layer {
            Some(name) => graph.node(name)?,
            None => before_the_head(&graph),
        };
        let graph = graph.up_to(node);
        let output = graph.output();
        Ok(Features {
            layer: output.name.clone(),
            shape: output.shape,
            inference: Inference::of_graph(self, cpu, graph),
        })
    }
}

impl Features<'_> {
    /// The layer's name; empty if the features are those of the picture itself.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// The shape of the layer's output for a picture.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of features of a picture: the channels of the layer.
    pub fn dimensions(&self) -> usize {
        self.shape.channels
    }

    /// How many pictures are computed at a time.
    pub fn batch(&self) -> usize {
        self.inference.batch()
    }

    /// The output of the layer for prepared pictures `[n, h, w, c]`: `[n, height, width, channels]` of [`Features::shape`].
    ///
    /// # Errors
    /// [`Error::DataMismatch`](crate::Error::DataMismatch) if the values are not a whole number of pictures;
    /// [`Error::NotFinite`](crate::Error::NotFinite); [`Error::Memory`](crate::Error::Memory).
    pub fn activations(&mut self, images: &[f32]) -> Result<Vec<f32>> {
        let count = self.inference.model().images_in(images)?;
        let mut maps = Vec::with_capacity(count * self.shape.len());
        self.inference.run_on_tensor(count, images, &mut |i, map| {
            check_finite(map, || format!("example {i}"))?;
            maps.extend_from_slice(map);
            Ok(())
        })?;
        Ok(maps)
    }

    /// The features of a prepared picture, `[h, w, c]`.
    ///
    /// # Errors
    /// As for [`Features::activations`].
    ///
    /// # Panics
    /// If `image` is not exactly one picture.
    pub fn of_image(&mut self, image: &[f32]) -> Result<Vec<f32>> {
        assert_eq!(
            image.len(),
            self.inference.model().input().len(),
            "values of a picture"
        );
        Ok(means(self.shape, &self.activations(image)?))
    }

    /// Computes the features of all samples of a data set, batch by batch; `take` gets them in order. If the data's policy leaves out bad
    /// files, returns the pictures that can no longer be read.
    ///
    /// # Errors
    /// As for [`Features::of_image`]; that of a picture that can no longer be read, if the policy is another; those of `take`.
    pub fn of_dataset(
        &mut self,
        dataset: &Dataset,
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<Vec<BadFile>> {
        let (model, shape) = (*self.inference.model(), self.shape);
        let take = &mut |index: usize, map: &[f32]| take(index, &means(shape, map));
        (self.inference).run_on_dataset(dataset, model.preparation(), take)
    }
}

/// Finds the pictures whose features are nearest to given ones, by [`distance`]. It keeps only the nearest ones in memory.
pub struct Nearest {
    own: Vec<f32>,
    count: usize,
    found: BinaryHeap<Candidate>,
}

impl Nearest {
    /// Searches for the `count` nearest to `own`.
    pub fn new(own: Vec<f32>, count: usize) -> Self {
        Self {
            own,
            count,
            found: BinaryHeap::new(),
        }
    }

    /// Compares the features of the picture with this index.
    ///
    /// # Panics
    /// If the number of features differs from that of the given ones.
    pub fn offer(&mut self, index: usize, features: &[f32]) {
        self.found.push(Candidate {
            distance: distance(&self.own, features),
            index,
        });
        if self.found.len() > self.count {
            self.found.pop();
        }
    }

    /// Indices and distances of the nearest pictures, the nearest first. Equally near ones are ordered by index.
    pub fn sorted(self) -> Vec<(usize, f64)> {
        let sorted = self.found.into_sorted_vec().into_iter();
        sorted
            .map(|candidate| (candidate.index, candidate.distance))
            .collect()
    }
}

/// A picture among the nearest so far; the farthest is the largest.
#[derive(PartialEq)]
struct Candidate {
    distance: f64,
    index: usize,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_distance = self.distance.total_cmp(&other.distance);
        by_distance.then(self.index.cmp(&other.index))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// 1 − the cosine of the angle between the features of two pictures: 0 for the same direction, 1 for a right angle or if one has only zeros,
/// 2 for opposite directions.
///
/// # Panics
/// If the lengths differ.
pub fn distance(one: &[f32], other: &[f32]) -> f64 {
    assert_eq!(one.len(), other.len(), "features of another layer");
    let product = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let lengths = (product(one, one) * product(other, other)).sqrt();
    match lengths > 0.0 {
        true => (1.0 - product(one, other) / lengths).max(0.0),
        false => 1.0,
    }
}

/// The mean over the pixels of a map.
fn means(shape: Shape, map: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0; shape.channels];
    for pixel in map.chunks_exact(shape.channels) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += f64::from(*value);
        }
    }
    let pixels = (shape.height * shape.width) as f64;
    sums.into_iter().map(|sum| (sum / pixels) as f32).collect()
}

/// The node up to which layers are frozen while only the head is trained: the features of frames, if the network has these, else as [`before_the_head`].
pub(crate) fn last_of_the_body(graph: &Graph) -> usize {
    let frames = (graph.nodes.iter()).position(|node| node.name == FRAME_FEATURES);
    frames
        .filter(|&node| graph.is_passage(node))
        .unwrap_or_else(|| before_the_head(graph))
}

/// The last node before the last linear layer (or, without one, before the last convolution) whose output alone determines everything after it.
pub(crate) fn before_the_head(graph: &Graph) -> usize {
    let last = |is_kind: fn(&Operation) -> bool| {
        (graph.nodes.iter()).rposition(|node| is_kind(&node.operation))
    };
    let head = last(|operation| matches!(operation, Operation::Linear { .. }))
        .or_else(|| last(|operation| matches!(operation, Operation::Conv(_))))
        .unwrap_or(graph.nodes.len() - 1);
    (0..head)
        .rev()
        .find(|&node| graph.is_passage(node))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    const SHAPE: Shape = Shape::new(7, 6, 3);
    const CLASSES: usize = 4;

    #[test]
    fn activations_of_a_layer_are_its_map_as_explanations_have_it() {
        let text = "conv(4)-batchnorm-a:relu-conv(6)-relu-flatten-fc(classes)";
        let preparation = crate::Preparation::unmeasured(SHAPE, Default::default());
        let classes: Vec<String> = (0..CLASSES).map(|class| class.to_string()).collect();
        let network = Network::parse(text).unwrap();
        let model = Model::untrained(network, classes, preparation, 2).unwrap();
        let cpu = Cpu::best(1);
        let images: Vec<f32> = (0..3 * SHAPE.len()).map(|i| (i as f32).sin()).collect();
        let mut explainer = crate::Explainer::new(&cpu, &model, 3).unwrap();
        explainer.look(&images);
        for layer in ["a", "0", "4"] {
            let mut features = model.features(&cpu, Some(layer)).unwrap();
            let found = features.activations(&images).unwrap();
            let expected = explainer.map(explainer.node(layer).unwrap());
            assert_eq!(found.len(), 3 * features.shape().len(), "layer {layer}");
            assert_eq!(found.len(), expected.len(), "layer {layer}");
            let mut pairs = found.iter().zip(expected);
            assert!(
                pairs.all(|(one, other)| (one - other).abs() < 1e-5),
                "layer {layer}"
            );
            let image = &images[..SHAPE.len()];
            let of_image = features.of_image(image).unwrap();
            assert_eq!(
                of_image,
                means(features.shape(), &found[..features.shape().len()])
            );
        }
    }

    #[test]
    fn the_head_begins_behind_the_features_of_frames() {
        let frozen = |network: &Network| {
            let graph = network.graph(SHAPE.over(5), CLASSES).unwrap();
            graph.nodes[last_of_the_body(&graph)].name.clone()
        };
        let pictures = Network::parse("conv(4)-relu-p: globalavgpool-linear(classes)").unwrap();
        assert_eq!(frozen(&pictures.along_time().unwrap()), FRAME_FEATURES);
        let clips = "conv(4)-timeconv(3)-relu-globalavgpool-m: avgovertime-linear(classes)";
        assert_eq!(frozen(&Network::parse(clips).unwrap()), "m");
    }

    #[test]
    fn pictures_are_compared_before_the_last_linear_layer() {
        let layer = |text: &str| {
            let graph = Network::parse(text).unwrap().graph(SHAPE, CLASSES).unwrap();
            graph.nodes[before_the_head(&graph)].name.clone()
        };
        assert_eq!(layer("conv(4)-relu-flatten-fc(5)-relu-fc(classes)"), "4");
        assert_eq!(layer("conv(4)-a:relu-conv(4, kernel=1)-globalavgpool"), "a");
        assert_eq!(layer("flatten-fc(classes)"), "0");
        // The rest depends on both branches, so on the layer before them.
        assert_eq!(layer("conv(4)-a:flatten-concat[fc(2) | fc(2)]"), "a");
        assert_eq!(layer("concat[flatten-fc(2) | flatten-fc(2)]"), "");
        assert_eq!(
            layer("flatten-fc(8)-residual[fc(8)-relu]-c:relu-fc(classes)-sigmoid"),
            "c"
        );
    }
}
