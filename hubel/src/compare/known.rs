//! Which images a model was trained on, and which images two data sets have in common.
use std::collections::{HashMap, HashSet};

use crate::Dataset;
use crate::data::{Division, Manifest};

/// What is known of the images that a model was trained on.
#[derive(Clone, Debug)]
pub enum Known {
    /// The list of its run: the hashes of all training images.
    Listed(HashSet<u64>),
    /// Its own division of this data: it was trained on everything but these images.
    AllBut(HashSet<u64>),
    /// Nothing: the model does not know, or it was trained on other data.
    Nothing,
}

impl Known {
    /// The training images in the list of the model's run.
    pub fn of_list(list: &Manifest) -> Self {
        Self::Listed(list.contents("train").collect())
    }

    /// Of a model that divided this data itself, and was trained on all images that it did not hold out.
    pub fn of_division(division: &Division) -> Self {
        let kept_back = division.held_out.iter().chain(&division.aside);
        Self::AllBut(kept_back.copied().collect())
    }

    /// Which images of `dataset` the model was trained on, by index.
    pub fn trained_on(&self, dataset: &Dataset) -> Vec<bool> {
        let contents = dataset.contents();
        match self {
            Self::Listed(trained) => contents.map(|content| trained.contains(&content)).collect(),
            Self::AllBut(kept_back) => contents
                .map(|content| !kept_back.contains(&content))
                .collect(),
            Self::Nothing => contents.map(|_| false).collect(),
        }
    }
}

/// The images that all data sets have: for each data set the indices of these images, in the order of the first one. Images are equal if their files are, byte
/// by byte, or their pixels if they have no files. If a data set has an image several times, it is taken as often as all have it.
pub fn common(datasets: &[&Dataset]) -> Vec<Vec<usize>> {
    let places: Vec<HashMap<u64, Vec<usize>>> = datasets
        .iter()
        .map(|dataset| {
            let mut places = HashMap::<u64, Vec<usize>>::new();
            for (index, content) in dataset.contents().enumerate() {
                places.entry(content).or_default().push(index);
            }
            places
        })
        .collect();
    let mut found = vec![Vec::new(); datasets.len()];
    let Some(first) = datasets.first() else {
        return found;
    };
    let mut seen = HashMap::<u64, usize>::new();
    for content in first.contents() {
        let times = seen.entry(content).or_insert(0);
        let indices = places.iter();
        let indices = indices.map(|places| places.get(&content)?.get(*times).copied());
        if let Some(indices) = indices.collect::<Option<Vec<usize>>>() {
            std::iter::zip(&mut found, indices).for_each(|(found, index)| found.push(index));
        }
        *times += 1;
    }
    found
}
