//! Which pictures of the training data a network finds most alike a picture: where a wrong answer often comes from.
//!
//! Alike are pictures whose numbers before the last linear layer point in the same direction. That layer says which class a direction stands for;
//! how long the arrow is says how sure the network is, and changes with a picture's contrast. So the distance is 1 − cosine: 0 in the same
//! direction, 1 at a right angle, 2 in the opposite one.
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use hubel_kernels::Cpu;

use crate::data::{BadFile, Dataset};
use crate::inference::Inference;
use crate::network::{Graph, Operation};
use crate::{Model, Result, Shape};

/// What was found in a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// The nearest pictures, the nearest first; of equally near ones the first in the data set.
    pub nearest: Vec<Neighbour>,
    /// The layer in whose output they are compared; empty for the picture itself.
    pub layer: String,
    /// The numbers of a picture there.
    pub dimensions: usize,
    /// Pictures that were compared.
    pub count: usize,
    /// Pictures that could no longer be read and were left out.
    pub bad_files: Vec<BadFile>,
}

/// A picture of the data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour {
    /// Its place in the data set.
    pub index: usize,
    /// Its file, where it came from one.
    pub path: Option<PathBuf>,
    /// Its class, as the data set says.
    pub class: usize,
    /// 1 − cosine of the angle between its numbers and those of the picture; 1 where all numbers of one are 0.
    pub distance: f64,
}

/// The `count` pictures of `dataset` that the network finds nearest to the prepared picture `[h, w, c]`. They are read batch by batch, and no more
/// than `count` are remembered; `progress` is told how many of how many are compared.
///
/// # Errors
/// Where the data set has other classes or channels than the model, a picture can no longer be read (unless bad files are left out of the
/// data), or memory does not suffice.
pub fn nearest(
    cpu: &Cpu,
    model: &Model,
    image: &[f32],
    dataset: &Dataset,
    count: usize,
    progress: &dyn Fn(usize, usize),
) -> Result<Neighbours> {
    model.check(dataset)?;
    let graph = model.graph()?;
    let graph = Graph {
        nodes: graph.nodes[..=compared(&graph)].to_vec(),
    };
    let output = graph.output().clone();
    let direction = |map: &[f32]| direction(output.shape, map);
    let mut inference = Inference::of_graph(model, cpu, graph);
    let mut own = Vec::new();
    inference.run(
        1,
        &mut |_, images| {
            images.copy_from_slice(image);
            Ok(Vec::new())
        },
        &mut |_, map| {
            own = direction(map);
            Ok(())
        },
    )?;
    let mut bad_files = Vec::new();
    let mut nearest = BinaryHeap::new();
    inference.run(
        dataset.len(),
        &mut |indices, images| {
            let bad = dataset.fill(cpu, indices, model.preparation(), images)?;
            let (places, files): (Vec<usize>, Vec<BadFile>) = bad.into_iter().unzip();
            bad_files.extend(files);
            Ok(places)
        },
        &mut |index, map| {
            let products = own.iter().zip(direction(map));
            let cosine: f64 = products.map(|(own, other)| own * other).sum();
            nearest.push(Candidate {
                distance: (1.0 - cosine).max(0.0),
                index,
            });
            if nearest.len() > count {
                nearest.pop();
            }
            progress(index + 1, dataset.len());
            Ok(())
        },
    )?;
    let nearest = nearest.into_sorted_vec().into_iter();
    Ok(Neighbours {
        nearest: nearest
            .map(|Candidate { distance, index }| Neighbour {
                index,
                path: dataset.path(index).map(PathBuf::from),
                class: dataset.labels()[index],
                distance,
            })
            .collect(),
        layer: output.name,
        dimensions: own.len(),
        count: dataset.len() - bad_files.len(),
        bad_files,
    })
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

/// The node whose output is compared: the last one before the last linear layer (in a network without one, before the last convolution) that
/// all that follows depends on alone.
fn compared(graph: &Graph) -> usize {
    let last = |is_kind: fn(&Operation) -> bool| {
        (graph.nodes.iter()).rposition(|node| is_kind(&node.operation))
    };
    let head = last(|operation| matches!(operation, Operation::Linear { .. }))
        .or_else(|| last(|operation| matches!(operation, Operation::Conv(_))))
        .unwrap_or(graph.nodes.len() - 1);
    // The lowest node that any node above reads, as far down as `head`.
    let mut lowest = usize::MAX;
    for above in (head..graph.nodes.len()).rev() {
        let inputs = graph.nodes[above].inputs.iter().copied();
        lowest = inputs.fold(lowest, usize::min);
    }
    let mut node = head;
    while node > 0 {
        node -= 1;
        if lowest >= node {
            return node;
        }
        lowest = (graph.nodes[node].inputs.iter().copied()).fold(lowest, usize::min);
    }
    0
}

/// The mean over the pixels of a map, brought to length 1; zeros where all are 0.
fn direction(shape: Shape, map: &[f32]) -> Vec<f64> {
    let mut sums = vec![0.0; shape.channels];
    for pixel in map.chunks_exact(shape.channels) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += f64::from(*value);
        }
    }
    let length = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
    if length > 0.0 {
        sums.iter_mut().for_each(|sum| *sum /= length);
    }
    sums
}

/// A picture of the data set as the network sees it, `[h, w, c]` of bytes; `None` where it can no longer be read and bad files are left out.
///
/// # Errors
/// As of [`Dataset::fill`].
pub fn picture(
    cpu: &Cpu,
    model: &Model,
    dataset: &Dataset,
    index: usize,
) -> Result<Option<Vec<u8>>> {
    let preparation = model.preparation();
    let mut tensor = vec![0.0; model.input().len()];
    if !(dataset.fill(cpu, &[index], preparation, &mut tensor)?).is_empty() {
        return Ok(None);
    }
    let channels = preparation.mean.iter().zip(&preparation.std).cycle();
    let levels = tensor.iter().zip(channels);
    let levels = levels.map(|(value, (mean, std))| 255.0 * (value * std + mean));
    Ok(Some(
        levels
            .map(|level| level.round().clamp(0.0, 255.0) as u8)
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use crate::explain::Explainer;
    use crate::explain::tests::{CLASSES, NETWORKS, SHAPE, image, model};

    fn dataset(count: usize) -> Dataset {
        let bytes = (0..count * SHAPE.len()).map(|i| (i * i * 31 % 251) as u8);
        let labels = (0..count).map(|i| i % CLASSES).collect();
        let classes = (0..CLASSES).map(|class| class.to_string()).collect();
        Dataset::from_bytes("some", classes, SHAPE, bytes.collect(), labels).unwrap()
    }

    #[test]
    fn neighbours_are_those_of_all_pictures_compared_one_by_one() {
        let (cpu, dataset) = (Cpu::best(2), dataset(70));
        let own = image(SHAPE, 5);
        for text in NETWORKS {
            let model = model(text);
            let mut explainer = Explainer::new(&cpu, &model, 1).unwrap();
            let node = compared(&model.graph().unwrap());
            let shape = explainer.nodes()[node].shape;
            let mut of = |image: &[f32]| {
                explainer.look(image);
                direction(shape, explainer.map(node))
            };
            let first = of(&own);
            let mut tensor = vec![0.0; SHAPE.len()];
            let distances = (0..dataset.len()).map(|index| {
                (dataset.fill(&cpu, &[index], model.preparation(), &mut tensor)).unwrap();
                let products = of(&tensor).into_iter().zip(&first);
                1.0 - products.map(|(one, other)| one * other).sum::<f64>()
            });
            let mut expected: Vec<(usize, f64)> = distances.enumerate().collect();
            expected.sort_by(|a, b| a.1.total_cmp(&b.1));
            let found = nearest(&cpu, &model, &own, &dataset, 6, &|_, _| {}).unwrap();
            assert_eq!((found.count, found.dimensions), (70, first.len()), "{text}");
            assert_eq!(found.nearest.len(), 6);
            for (found, (_, distance)) in found.nearest.iter().zip(expected) {
                assert!(
                    (found.distance - distance).abs() < 1e-5,
                    "{text}: {found:?}"
                );
                assert_eq!(found.class, found.index % CLASSES);
            }
        }
    }

    #[test]
    fn a_picture_of_the_data_is_its_own_nearest() {
        let (cpu, dataset, model) = (Cpu::best(1), dataset(9), model(NETWORKS[6]));
        let mut tensor = vec![0.0; SHAPE.len()];
        (dataset.fill(&cpu, &[4], model.preparation(), &mut tensor)).unwrap();
        let found = nearest(&cpu, &model, &tensor, &dataset, 20, &|_, _| {}).unwrap();
        assert_eq!(found.nearest.len(), 9);
        assert_eq!(found.nearest[0].index, 4);
        assert!(found.nearest[0].distance < 1e-6);
        let seen = picture(&cpu, &model, &dataset, 4).unwrap().unwrap();
        assert_eq!(seen, *dataset.bytes(4).unwrap().unwrap());
    }

    #[test]
    fn pictures_are_compared_before_the_last_linear_layer() {
        let layer = |text: &str| {
            let graph = Network::parse(text).unwrap().graph(SHAPE, CLASSES).unwrap();
            graph.nodes[compared(&graph)].name.clone()
        };
        assert_eq!(layer("conv(4)-relu-flatten-fc(5)-relu-fc(classes)"), "4");
        assert_eq!(layer("conv(4)-a:relu-conv(4, kernel=1)-globalavgpool"), "a");
        assert_eq!(layer("flatten-fc(classes)"), "0");
        // What follows depends on both branches, so on what stands before them.
        assert_eq!(layer("conv(4)-a:flatten-concat[fc(2) | fc(2)]"), "a");
        assert_eq!(layer("concat[flatten-fc(2) | flatten-fc(2)]"), "");
        assert_eq!(
            layer("flatten-fc(8)-residual[fc(8)-relu]-c:relu-fc(classes)-sigmoid"),
            "c"
        );
    }
}
