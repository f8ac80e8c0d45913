//! The roles of arrays, by their names.
use crate::data::catalogue::Part;
use crate::data::folder::part_within;

const IMAGES: [&str; 12] = [
    "x", "data", "feature", "features", "image", "images", "img", "imgs", "input", "inputs",
    "picture", "pictures",
];
const LABELS: [&str; 5] = ["y", "label", "labels", "target", "targets"];

/// The role of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Images,
    Labels,
}

/// The role and split of the array called `name`: `train_images`, `X_val`, `testLabels`. Without a split (`images`, `y`) it is
/// for training.
pub(super) fn role(name: &str) -> Option<(Part, Role)> {
    let (part, mut others) = part_within(name);
    others.retain(|word| word != "set");
    let all = |words: &[&str]| others.iter().all(|word| words.contains(&word.as_str()));
    let role = match others.is_empty() {
        true => return None,
        false if all(&IMAGES) => Role::Images,
        false if all(&LABELS) => Role::Labels,
        false => return None,
    };
    Some((part.unwrap_or(Part::Train), role))
}

/// The name of the labels for the pictures called `images`.
pub(super) fn name_of_labels(images: &str) -> String {
    for (from, to) in [("images", "labels"), ("image", "label"), ("data", "target")] {
        if images.contains(from) {
            return images.replace(from, to);
        }
    }
    match images.contains('X') {
        true => images.replace('X', "y"),
        false => images.replace('x', "y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_arrays_hold() {
        use Part::{Test, Train, Validation};
        use Role::{Images, Labels};
        for (name, expected) in [
            ("train_images", Some((Train, Images))),
            ("validation_images", Some((Validation, Images))),
            ("x_valid", Some((Validation, Images))),
            ("X_test", Some((Test, Images))),
            ("yTrain", Some((Train, Labels))),
            ("test_set_y", Some((Test, Labels))),
            ("valid_labels", Some((Validation, Labels))),
            ("images", Some((Train, Images))),
            ("target", Some((Train, Labels))),
            ("target_names", None),
            ("train", None),
            ("arr_0", None),
            ("x_extra", None),
        ] {
            assert_eq!(role(name), expected, "{name}");
        }
        assert_eq!(name_of_labels("X_train"), "y_train");
        assert_eq!(name_of_labels("val_images"), "val_labels");
    }
}
