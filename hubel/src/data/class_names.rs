//! Names for numbered classes.
use std::path::Path;

use crate::data::names::composed;
use crate::data::{Dataset, Splits};
use crate::{Error, Result, listed, one_line, shown};

impl Splits {
    /// The same data with `names` for its numbered classes. If there are as many names as classes, they are in the order of the numbers;
    /// otherwise a number is the index of its name, from 0. The division keeps the numbers, so that a model recognises this data later.
    ///
    /// # Errors
    /// [`Error::Settings`] if the classes already have names, or the names do not fit them.
    pub fn named(mut self, names: &[String]) -> Result<Self> {
        let labels = self.train.classes().to_vec();
        let given = given(&labels, names).map_err(|problem| Error::Settings { problem })?;
        let rename = |dataset: Dataset| {
            let given: Vec<&str> = given.iter().map(String::as_str).collect();
            dataset.renamed(&given)
        };
        self.train = rename(self.train)?;
        self.validation = self.validation.map(rename).transpose()?;
        self.test = self.test.map(rename).transpose()?;
        if let Some(division) = &mut self.division {
            division.labels = labels;
        }
        Ok(self)
    }
}

/// The error of a class that a model does not know; `path` is where it was found.
pub(super) fn unknown_class(path: &Path, class: &str, classes: &[String]) -> Error {
    Error::DataMismatch(format!(
        "{}: class `{}` is not among the {} that were trained: {}",
        shown(path),
        one_line(class),
        classes.len(),
        one_line(&listed(classes.iter().map(String::as_str)))
    ))
}

/// The name of each class.
fn given(classes: &[String], names: &[String]) -> std::result::Result<Vec<String>, String> {
    let names: Vec<String> = names.iter().map(|name| composed(name)).collect();
    if let Some(twice) = names
        .iter()
        .enumerate()
        .find(|(place, name)| names[..*place].contains(name))
    {
        return Err(format!("two classes cannot both be called `{}`", twice.1));
    }
    let numbers: Option<Vec<i128>> = classes.iter().map(|class| class.parse().ok()).collect();
    let Some(numbers) = numbers else {
        return Err(format!(
            "the classes of this data already have names ({}); only numbered classes can be given names",
            listed(classes.iter().map(String::as_str))
        ));
    };
    if names.len() == classes.len() {
        return Ok(names);
    }
    let name = |number: &i128| {
        usize::try_from(*number)
            .ok()
            .and_then(|number| names.get(number).cloned())
    };
    let by_number: Option<Vec<String>> = numbers.iter().map(name).collect();
    by_number.ok_or_else(|| {
        format!(
            "{} names were given for {} classes, which the data numbers {}; give one for each",
            names.len(),
            classes.len(),
            listed(classes.iter().map(String::as_str))
        )
    })
}

/// The model's names for the `classes` of data. `labels` are the numbers of the classes in the data that the model was trained on. A class
/// without such a number keeps its name.
pub(super) fn known_by(classes: &[String], labels: &[String], names: &[String]) -> Vec<String> {
    let name = |class: &String| {
        let place = labels.iter().position(|label| label == class)?;
        names.get(place).filter(|_| !names.contains(class))
    };
    classes
        .iter()
        .map(|class| name(class).unwrap_or(class).clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_classes_are_given_names_in_order_or_by_number() {
        let list =
            |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.into()).collect() };
        let named = |classes: &[&str], names: &[&str]| given(&list(classes), &list(names));
        assert_eq!(
            named(&["0", "255"], &["ground", "cell"]),
            Ok(list(&["ground", "cell"]))
        );
        assert_eq!(named(&["1", "2"], &["a", "b"]), Ok(list(&["a", "b"])));
        assert_eq!(named(&["0", "2"], &["a", "b", "c"]), Ok(list(&["a", "c"])));
        for (classes, names, problem) in [
            (
                &["0", "1"][..],
                &["a"][..],
                "1 names were given for 2 classes",
            ),
            (&["0", "9"], &["a", "b", "c"], "numbers 0, 9"),
            (&["0", "1"], &["a", "a"], "both be called `a`"),
            (
                &["cat", "dog"],
                &["a", "b"],
                "already have names (cat, dog)",
            ),
        ] {
            let text = named(classes, names).unwrap_err();
            assert!(text.contains(problem), "{text}");
        }
        let known = known_by(
            &list(&["255", "cell", "7"]),
            &list(&["0", "255"]),
            &list(&["ground", "cell"]),
        );
        assert_eq!(known, ["cell", "cell", "7"]);
    }
}
