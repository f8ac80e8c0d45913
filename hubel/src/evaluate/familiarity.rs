//! Pictures of another kind: how far a picture is from the training pictures.
use hubel_kernels::Cpu;

use crate::data::Dataset;
use crate::on_all_cores::on_all_cores;
use crate::{Model, Purpose, Random, Result};

/// The features of training images, against which others are compared. A picture of a kind that was not in the training data is far from all of them: the nearest-neighbour
/// distance of Sun et al. 2022 ("Out-of-distribution detection with deep nearest neighbors"). It has nothing to do with the probability of an answer, which may be high for
/// such pictures, too.
#[derive(Clone, Debug)]
pub struct Familiarity {
    dimensions: usize,
    /// `[n, dimensions]`, each of length 1 or 0.
    features: Vec<f32>,
}

/// The most training images that are compared; more are drawn at random.
const MOST: usize = 10_000;

/// The images whose distances one thread computes at a time.
const ROWS: usize = 64;

impl Familiarity {
    /// Computes the features of `training` images by [`Model::features`]; of more than 10,000 images, it draws as many.
    ///
    /// # Errors
    /// Those of [`Features::of_dataset`](crate::features::Features::of_dataset).
    pub fn new(model: &Model, cpu: &Cpu, training: &Dataset) -> Result<Self> {
        let mut places: Vec<usize> = (0..training.len()).collect();
        if training.len() > MOST {
            (Random::new(0).stream(Purpose::Bootstrap, 1, 0)).shuffle(&mut places);
            places.truncate(MOST);
            places.sort_unstable();
        }
        let mut features = model.features(cpu, None)?;
        let mut rows = Vec::new();
        features.of_dataset(&training.subset(&places), &mut |_, row| {
            rows.extend(of_length_1(row));
            Ok(())
        })?;
        Ok(Self {
            dimensions: features.dimensions(),
            features: rows,
        })
    }

    /// Number of training images that are compared.
    pub fn len(&self) -> usize {
        self.features.len() / self.dimensions
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The distance of each picture from the nearest training image: 1 − the cosine of the angle between their features, from 0 to 2. `rows` are features
    /// of the same layer.
    ///
    /// # Panics
    /// If a row has another number of features.
    pub fn distances(&self, rows: &[Vec<f32>]) -> Vec<f32> {
        let chunks = on_all_cores(
            rows.chunks(ROWS),
            |rows| {
                let rows = rows.iter().map(|row| self.distance(row));
                rows.collect::<Vec<f32>>()
            },
            |_| (),
        );
        chunks.concat()
    }

    fn distance(&self, row: &[f32]) -> f32 {
        assert_eq!(row.len(), self.dimensions, "features of another layer");
        let row = of_length_1(row);
        let cosines = self
            .features
            .chunks_exact(self.dimensions)
            .map(|other| product(&row, other));
        (1.0 - cosines.fold(-1.0, f32::max)).max(0.0)
    }
}

/// The same direction with length 1; zeros stay zeros.
fn of_length_1(row: &[f32]) -> Vec<f32> {
    let length = product(row, row).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    row.iter().map(|value| value * scale).collect()
}

/// The scalar product, in eight sums that the compiler keeps in one vector.
fn product(one: &[f32], other: &[f32]) -> f32 {
    const LANES: usize = 8;
    let (ones, others) = (one.chunks_exact(LANES), other.chunks_exact(LANES));
    let rest = ones.remainder().iter().zip(others.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    let mut sums = [0.0; LANES];
    for (one, other) in ones.zip(others) {
        for lane in 0..LANES {
            sums[lane] += one[lane] * other[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}
