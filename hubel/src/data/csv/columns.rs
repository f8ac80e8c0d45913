//! Finds the columns of a table with paths, labels and splits.
use ::csv::StringRecord;

pub(super) const PATHS: [&str; 11] = [
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "image_id",
    "image_name",
    "img",
];
pub(super) const LABELS: [&str; 6] = [
    "label",
    "class",
    "category",
    "target",
    "labels",
    "class_name",
];
pub(super) const SPLITS: [&str; 5] = ["split", "set", "part", "subset", "data set"];

/// The indices of the used columns, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) path: usize,
    pub(super) label: Label,
    /// `None` if the table has no splits.
    pub(super) split: Option<usize>,
}

/// How a line gives its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Column(usize),
    /// One column per class, with the class's name: 1 in that of the picture's class, 0 in the others.
    OneHot(Vec<(usize, String)>),
}

impl Label {
    /// The class of a line; empty if its field is.
    ///
    /// # Errors
    /// A message, if a field is missing, or not exactly one class is set.
    pub(super) fn class<'a>(&'a self, record: &'a StringRecord) -> Result<&'a str, String> {
        match self {
            Self::Column(column) => match record.get(*column) {
                Some("") => Err(format!("no label (field {} is empty)", column + 1)),
                Some(class) => Ok(class),
                None => Err(format!("no label (it ends before field {})", column + 1)),
            },
            Self::OneHot(columns) => {
                let mut set = Vec::new();
                for (column, class) in columns {
                    match record.get(*column).and_then(|field| field.parse().ok()) {
                        Some(1.0) => set.push(class),
                        Some(0.0) => {}
                        _ => {
                            return Err(format!(
                                "neither 0 nor 1 in field {} (`{class}`)",
                                column + 1
                            ));
                        }
                    }
                }
                match set[..] {
                    [class] => Ok(class),
                    _ => Err(format!(
                        "{} classes that are set to 1, and a picture has one class",
                        set.len()
                    )),
                }
            }
        }
    }
}

impl Columns {
    /// The columns, from the first two lines of a table, and whether the first is a header. A line that is no header is
    /// the first picture, if its file exists.
    ///
    /// # Errors
    /// A message, if paths or labels cannot be found.
    pub(super) fn find(
        first: &StringRecord,
        second: Option<&StringRecord>,
        exists: impl Fn(&str) -> bool,
    ) -> Result<(Self, bool), String> {
        if let Some(columns) = Self::named(first, second) {
            return Ok((columns, true));
        }
        let shown: Vec<&str> = first.iter().take(8).collect();
        let shown = shown.join(", ");
        if first.len() < 2 {
            return Err(format!(
                "its first line, `{shown}`, has a single field; path and label (or text and label) are needed, with a comma, semicolon or tab between them"
            ));
        }
        let without_header = Self {
            path: 0,
            label: Label::Column(1),
            split: None,
        };
        if exists(&first[0]) {
            return Ok((without_header, false));
        }
        let (path, label) = (column(first, &PATHS), column(first, &LABELS));
        match (path, label) {
            // With two columns, the other one must be the label.
            (Some(path), None) if first.len() == 2 => Ok((
                Self {
                    path,
                    label: Label::Column(1 - path),
                    split: None,
                },
                true,
            )),
            (None, Some(label)) if first.len() == 2 => Ok((
                Self {
                    path: 1 - label,
                    label: Label::Column(label),
                    split: None,
                },
                true,
            )),
            (Some(_), None) => Err(format!(
                "its columns are {shown}; name the one of the classes label, class, category or target"
            )),
            (None, Some(_)) => Err(format!(
                "its columns are {shown}; name the one of the pictures path, file, filename or image, or that of the texts text"
            )),
            (_, _) if looks_like_a_file(&first[0]) => Ok((without_header, false)),
            (_, _) => Err(format!(
                "its first line, `{shown}`, names neither a picture nor columns; begin it with a line such as path,label or path,label,split, or text,label for texts"
            )),
        }
    }

    /// The columns, if the first line names a path column and a label column, or a path column and one column per class, as the second line shows.
    pub(super) fn named(first: &StringRecord, second: Option<&StringRecord>) -> Option<Self> {
        let path = column(first, &PATHS)?;
        let split = column(first, &SPLITS);
        let label = match column(first, &LABELS) {
            Some(label) => Label::Column(label),
            None => one_hot(first, second?, &[Some(path), split])?,
        };
        Some(Self { path, label, split })
    }
}

/// One column per class: all except the `others`, if there are at least two and the second line sets exactly one.
fn one_hot(first: &StringRecord, second: &StringRecord, others: &[Option<usize>]) -> Option<Label> {
    let columns = first.iter().enumerate();
    let columns: Vec<(usize, String)> = columns
        .filter(|(place, _)| !others.contains(&Some(*place)))
        .map(|(place, name)| (place, name.to_owned()))
        .collect();
    let is_named = columns.len() > 1 && columns.iter().all(|(_, name)| !name.is_empty());
    let label = Label::OneHot(columns);
    (is_named && label.class(second).is_ok()).then_some(label)
}

/// The column with one of `names`; if there are several, the one whose name comes first in `names`.
pub(super) fn column(line: &StringRecord, names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| {
        line.iter()
            .position(|field| field.eq_ignore_ascii_case(name))
    })
}

fn looks_like_a_file(field: &str) -> bool {
    field.contains(['/', '\\'])
        || field.rsplit_once('.').is_some_and(|(name, ending)| {
            !name.is_empty()
                && (1..=5).contains(&ending.len())
                && ending.chars().all(|letter| letter.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_by_their_names_or_by_their_places() {
        let find = |fields: &[&str]| {
            Columns::find(&StringRecord::from(fields), None, |name| name == "image")
        };
        let columns = |path, label, split| Columns {
            path,
            label: Label::Column(label),
            split,
        };
        assert_eq!(
            find(&["id", "Label", "SPLIT", "Image"]),
            Ok((columns(3, 1, Some(2)), true))
        );
        assert_eq!(
            find(&["class", "label", "file"]),
            Ok((columns(2, 1, None), true))
        );
        assert_eq!(
            find(&["filename", "species"]),
            Ok((columns(0, 1, None), true))
        );
        assert_eq!(
            find(&["target", "picture"]),
            Ok((columns(1, 0, None), true))
        );
        assert_eq!(find(&["image", "target"]), Ok((columns(0, 1, None), true)));
        assert_eq!(
            find(&["image", "dog"]),
            Ok((columns(0, 1, None), false)),
            "such a file exists"
        );
        assert_eq!(
            find(&["a/b.png", "dog", "x"]),
            Ok((columns(0, 1, None), false))
        );
        for (fields, expected) in [
            (&["a.png"][..], "single field"),
            (&["path", "x", "y"], "name the one of the classes"),
            (&["x", "label", "y"], "name the one of the pictures"),
            (&["x", "y", "z"], "neither a picture nor columns"),
        ] {
            assert!(find(fields).unwrap_err().contains(expected), "{fields:?}");
        }
    }

    #[test]
    fn a_column_for_each_class_is_known_by_its_values() {
        let line = |fields: &[&str]| StringRecord::from(fields);
        let header = line(&["image", "MEL", "split", "NV"]);
        let columns = Columns::named(&header, Some(&line(&["a", "0.0", "train", "1.0"])));
        let columns = columns.expect("NV is set");
        let classes = vec![(1, "MEL".to_owned()), (3, "NV".to_owned())];
        assert_eq!((columns.path, columns.split), (0, Some(2)));
        assert_eq!(columns.label, Label::OneHot(classes));
        let class = |fields: &[&str]| columns.label.class(&line(fields)).map(str::to_owned);
        assert_eq!(class(&["b", "1", "val", "0"]), Ok("MEL".into()));
        assert!(
            class(&["b", "1", "val", "1"])
                .unwrap_err()
                .contains("2 classes")
        );
        assert!(
            class(&["b", "0", "val", "0"])
                .unwrap_err()
                .contains("0 classes")
        );
        assert!(
            class(&["b", "0.5", "val", "0"])
                .unwrap_err()
                .contains("field 2 (`MEL`)")
        );
        assert_eq!(
            Columns::named(&header, Some(&line(&["a", "3", "train", "4"]))),
            None
        );
        assert_eq!(Columns::named(&header, None), None);
    }
}
