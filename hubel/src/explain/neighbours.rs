//! The training pictures that a network finds most similar to a picture. They often explain a wrong answer.
//!
//! Pictures are compared by their features, the input of the last linear layer, as vectors. That layer gives each class a direction. The length
//! of the vector changes with the certainty of the network and with the picture's contrast. So the distance is 1 − cosine: 0 for the same
//! direction, 1 for a right angle, 2 for the opposite direction.
use std::path::PathBuf;

use hubel_kernels::Cpu;

use crate::data::{BadFile, Dataset};
use crate::features::Nearest;
use crate::{Model, Result};

/// The nearest pictures of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// The nearest pictures, nearest first; equally near ones in the order of the data set.
    pub nearest: Vec<Neighbour>,
    /// The layer whose output is compared; empty for the picture itself.
    pub layer: String,
    /// Number of features per picture.
    pub dimensions: usize,
    /// Number of compared pictures.
    pub count: usize,
    /// Pictures that could no longer be read, and were left out.
    pub bad_files: Vec<BadFile>,
}

/// A picture of the data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour {
    /// Its index in the data set.
    pub index: usize,
    /// Its file, if it has one.
    pub path: Option<PathBuf>,
    /// Its class in the data set.
    pub class: usize,
    /// 1 − cosine of the angle between its features and those of the picture; 1 if all features of one are 0.
    pub distance: f64,
}

/// The `count` pictures of `dataset` that the network finds nearest to the prepared picture `[h, w, c]`. Reads batch by batch, and keeps at most
/// `count`. `progress` gets the number of compared pictures and the total.
///
/// # Errors
/// If the data set has other classes or channels than the model, if the network's output is not finite, if a picture can no longer be read
/// (unless bad files are skipped), or if memory does not suffice.
pub fn nearest(
    cpu: &Cpu,
    model: &Model,
    image: &[f32],
    dataset: &Dataset,
    count: usize,
    progress: &dyn Fn(usize, usize),
) -> Result<Neighbours> {
    model.check(dataset)?;
    let mut features = model.features(cpu, None)?;
    let own = features.of_image(image)?;
    let mut nearest = Nearest::new(own, count);
    let bad_files = features.of_dataset(dataset, &mut |index, other| {
        nearest.offer(index, other);
        progress(index + 1, dataset.len());
        Ok(())
    })?;
    Ok(Neighbours {
        nearest: (nearest.sorted().into_iter())
            .map(|(index, distance)| Neighbour {
                index,
                path: dataset.path(index).map(PathBuf::from),
                class: dataset.labels()[index],
                distance,
            })
            .collect(),
        layer: features.layer().to_owned(),
        dimensions: features.dimensions(),
        count: dataset.len() - bad_files.len(),
        bad_files,
    })
}

/// A sample of the data set as the network sees it, `[t, h, w, c]` of bytes, a recording as its spectrogram; `None` if it can no longer be read and bad files are skipped.
///
/// # Errors
/// As for [`Dataset::fill`].
pub fn picture(
    cpu: &Cpu,
    model: &Model,
    dataset: &Dataset,
    index: usize,
) -> Result<Option<Vec<u8>>> {
    let sample = dataset.prepared(cpu, index, model.preparation())?;
    Ok(sample.ok().map(|sample| sample.pixels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Explainer;
    use crate::explain::tests::{CLASSES, NETWORKS, SHAPE, image, model};
    use crate::features::distance;

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
            let layer = model.features(&cpu, None).unwrap().layer().to_owned();
            let node = (explainer.nodes().iter())
                .position(|node| node.name == layer)
                .unwrap();
            let channels = explainer.nodes()[node].shape.channels;
            let mut of = |image: &[f32]| {
                explainer.look(image);
                let mut sums = vec![0.0; channels];
                for (place, value) in explainer.map(node).iter().enumerate() {
                    sums[place % channels] += value;
                }
                sums
            };
            let first = of(&own);
            let mut tensor = vec![0.0; SHAPE.len()];
            let distances = (0..dataset.len()).map(|index| {
                (dataset.fill(&cpu, &[index], model.preparation(), &mut tensor)).unwrap();
                distance(&of(&tensor), &first)
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
}
