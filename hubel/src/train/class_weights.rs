//! How much each class counts in the loss: computed from the data, or given by hand.
use super::TrainSettings;
use crate::data::names::composed;
use crate::data::{Balance, Feed};
use crate::nearest::nearest;
use crate::{Dataset, Error, Result, listed, one_line};

/// The weight of each class in the loss; `None` if all are equal. Weights by hand are scaled so that their mean over the images shown in an
/// epoch is 1. With labels only their ratios matter; with target probabilities the loss is not divided by them, see
/// [`Plan::loss_of_targets`](crate::Plan::loss_of_targets).
pub(super) fn of(settings: &TrainSettings, feed: &Feed) -> Option<Vec<f32>> {
    let Some(given) = &settings.class_weights else {
        return feed.class_weights();
    };
    let shares = shares(feed.dataset(), settings.balance);
    let mean: f64 = std::iter::zip(given, &shares)
        .map(|(weight, share)| f64::from(*weight) * share)
        .sum();
    let scaled = given
        .iter()
        .map(|weight| (f64::from(*weight) / mean) as f32);
    Some(scaled.collect())
}

/// The share of each class in the targets of an epoch.
fn shares(dataset: &Dataset, balance: Balance) -> Vec<f64> {
    let counts = dataset.counts();
    if balance == Balance::Sample {
        let present = counts.iter().filter(|&&count| count > 0).count();
        let share = |count: &usize| f64::from(u8::from(*count > 0)) / present as f64;
        return counts.iter().map(share).collect();
    }
    let mut shares: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
    if let Some(targets) = dataset.targets() {
        shares.fill(0.0);
        for target in targets.chunks(shares.len()) {
            std::iter::zip(&mut shares, target).for_each(|(share, p)| *share += f64::from(*p));
        }
    }
    let all: f64 = shares.iter().sum();
    shares.iter().map(|share| share / all).collect()
}

/// What is wrong with the weights of `settings` for the classes of `train`, if anything.
pub(super) fn problem(settings: &TrainSettings, train: &Dataset) -> Option<String> {
    let weights = settings.class_weights.as_ref()?;
    let classes = train.classes();
    if settings.balance == Balance::Loss {
        return Some(
            "`balance = loss` computes class weights, and the setting `class_weights` gives others; leave out one of them"
                .into(),
        );
    }
    if weights.len() != classes.len() {
        return Some(format!(
            "{} class weights do not fit {} classes ({}); give one for each, in this order",
            weights.len(),
            classes.len(),
            one_line(&listed(classes.iter().map(String::as_str)))
        ));
    }
    let bad = std::iter::zip(classes, weights)
        .find(|(_, weight)| !(**weight > 0.0 && weight.is_finite()));
    bad.map(|(class, weight)| {
        format!(
            "a weight of {weight} for the class `{}` trains nothing; give a positive number, such as 2 if it counts twice",
            one_line(class)
        )
    })
}

/// The weight of each of `classes` from a text, for [`TrainSettings::class_weights`]: `cat=2, dog=1` by name (a class without a weight gets 1),
/// or `2, 1, 1` in the order of the classes.
///
/// ```
/// let classes = ["cat", "dog", "owl"].map(String::from);
/// assert_eq!(hubel::class_weights("owl=2.5, cat=2", &classes)?, [2.0, 1.0, 2.5]);
/// assert_eq!(hubel::class_weights("2, 1, 2.5", &classes)?, [2.0, 1.0, 2.5]);
/// # Ok::<(), hubel::Error>(())
/// ```
///
/// # Errors
/// [`Error::Settings`] for a name that is no class or is given twice, a weight that is no positive number, and a list of another length.
pub fn class_weights(text: &str, classes: &[String]) -> Result<Vec<f32>> {
    parse(text, classes).map_err(|problem| Error::Settings { problem })
}

fn parse(text: &str, classes: &[String]) -> std::result::Result<Vec<f32>, String> {
    let number = |text: &str| -> std::result::Result<f32, String> {
        let number = text.trim().parse().ok();
        (number.filter(|weight: &f32| *weight > 0.0 && weight.is_finite())).ok_or_else(|| {
            format!(
                "`{}` is no weight of a class; give a positive number, such as cat=2,dog=1",
                one_line(text.trim())
            )
        })
    };
    let names = || one_line(&listed(classes.iter().map(String::as_str))).into_owned();
    let items: Vec<&str> = text.split(',').collect();
    if !text.contains('=') {
        let weights: Vec<f32> = items
            .into_iter()
            .map(number)
            .collect::<std::result::Result<_, _>>()?;
        return match weights.len() == classes.len() {
            true => Ok(weights),
            false => Err(format!(
                "{} class weights do not fit {} classes ({}); give one for each, or name the classes, such as {}=2",
                weights.len(),
                classes.len(),
                names(),
                classes
                    .first()
                    .map_or("cat".into(), |class| one_line(class))
            )),
        };
    }
    let mut weights = vec![None; classes.len()];
    for item in items {
        // A name may hold a `=`, a number may not.
        let Some((name, weight)) = item.rsplit_once('=') else {
            return Err(format!(
                "`{}` has no weight; give all classes by name, such as cat=2,dog=1, or all weights without names",
                one_line(item.trim())
            ));
        };
        let (name, weight) = (name.trim(), number(weight)?);
        let Some(place) = classes
            .iter()
            .position(|class| composed(class) == composed(name))
        else {
            let name = one_line(name);
            return Err(match nearest(&name, classes.iter().map(String::as_str)) {
                Some(near) => format!(
                    "there is no class `{name}`; did you mean `{}`?",
                    one_line(near)
                ),
                None => format!("there is no class `{name}`; the classes are {}", names()),
            });
        };
        if weights[place].replace(weight).is_some() {
            return Err(format!(
                "the class `{}` has two weights; give one",
                one_line(name)
            ));
        }
    }
    Ok(weights
        .into_iter()
        .map(|weight| weight.unwrap_or(1.0))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FeedSettings, Preparation};
    use crate::{Shape, data::Augmentation};

    fn classes() -> Vec<String> {
        ["cat", "dog", "a=b"].map(String::from).to_vec()
    }

    #[test]
    fn weights_are_given_by_name_or_in_order_and_mistakes_are_explained() {
        assert_eq!(
            class_weights(" dog = 0.5 ", &classes()).ok(),
            Some(vec![1.0, 0.5, 1.0])
        );
        assert_eq!(
            class_weights("a=b=3,cat=2", &classes()).ok(),
            Some(vec![2.0, 1.0, 3.0])
        );
        assert_eq!(
            class_weights("1,2,3", &classes()).ok(),
            Some(vec![1.0, 2.0, 3.0])
        );
        for (text, problem) in [
            ("dgo=2", "did you mean `dog`?"),
            ("elephant=2", "the classes are cat, dog, a=b"),
            ("dog=2,dog=3", "has two weights"),
            ("dog=0", "`0` is no weight"),
            ("dog=-1", "`-1` is no weight"),
            ("dog=nan", "`nan` is no weight"),
            ("dog=", "`` is no weight"),
            ("dog=2,3", "`3` has no weight"),
            ("1,2", "2 class weights do not fit 3 classes"),
            ("", "`` is no weight"),
        ] {
            let error = class_weights(text, &classes()).expect_err(text).to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn the_mean_weight_of_the_images_is_one() -> Result<()> {
        let labels = [0, 0, 0, 1];
        let dataset = Dataset::from_arrays(&[0.5; 16], Shape::new(2, 2, 1), &labels)?;
        let of_data = |dataset: &Dataset, balance| {
            let settings = TrainSettings {
                class_weights: Some(vec![1.0, 5.0]),
                balance,
                ..TrainSettings::default()
            };
            let feed = FeedSettings {
                augmentation: Augmentation::none(),
                balance,
                batch_size: 4,
                seed: 1,
            };
            let feed = Feed::new(dataset.clone(), Preparation::measure(dataset)?, feed)?;
            Ok::<_, Error>(of(&settings, &feed))
        };
        assert_eq!(of_data(&dataset, Balance::None)?, Some(vec![0.5, 2.5]));
        // Half of the targets are of each class.
        let soft = dataset.clone().with_targets([0.5; 8].to_vec())?;
        for (dataset, balance) in [(&dataset, Balance::Sample), (&soft, Balance::None)] {
            let weights = of_data(dataset, balance)?.expect("they are given");
            let errors = [weights[0] - 1.0 / 3.0, weights[1] - 5.0 / 3.0];
            assert!(errors.iter().all(|error| error.abs() < 1e-6), "{weights:?}");
        }
        Ok(())
    }
}
