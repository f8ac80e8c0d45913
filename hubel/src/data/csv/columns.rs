//! Which columns of a table hold paths, labels and parts.
use ::csv::StringRecord;

const PATHS: [&str; 8] = [
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
];
const LABELS: [&str; 6] = [
    "label",
    "class",
    "category",
    "target",
    "labels",
    "class_name",
];
const SPLITS: [&str; 5] = ["split", "set", "part", "subset", "data set"];

/// The places of the columns that are used, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) path: usize,
    pub(super) label: usize,
    /// `None` where the table does not divide its pictures into parts.
    pub(super) split: Option<usize>,
}

impl Columns {
    /// The columns by the first line of a table, and whether that line only names them. A line that names none is taken as
    /// the first picture when its file exists.
    ///
    /// # Errors
    /// In words, when paths or labels cannot be found.
    pub(super) fn find(
        first: &StringRecord,
        exists: impl Fn(&str) -> bool,
    ) -> Result<(Self, bool), String> {
        if let Some(columns) = Self::named(first) {
            return Ok((columns, true));
        }
        let shown: Vec<&str> = first.iter().take(8).collect();
        let shown = shown.join(", ");
        if first.len() < 2 {
            return Err(format!(
                "its first line, `{shown}`, has a single field; path and label are needed, with a comma, semicolon or tab between them"
            ));
        }
        let without_header = Self {
            path: 0,
            label: 1,
            split: None,
        };
        if exists(&first[0]) {
            return Ok((without_header, false));
        }
        let (path, label) = (column(first, &PATHS), column(first, &LABELS));
        match (path, label) {
            // The other one of two columns cannot be anything else.
            (Some(path), None) if first.len() == 2 => Ok((
                Self {
                    path,
                    label: 1 - path,
                    split: None,
                },
                true,
            )),
            (None, Some(label)) if first.len() == 2 => Ok((
                Self {
                    path: 1 - label,
                    label,
                    split: None,
                },
                true,
            )),
            (Some(_), None) => Err(format!(
                "its columns are {shown}; name the one of the classes label, class, category or target"
            )),
            (None, Some(_)) => Err(format!(
                "its columns are {shown}; name the one of the pictures path, file, filename or image"
            )),
            (_, _) if looks_like_a_file(&first[0]) => Ok((without_header, false)),
            (_, _) => Err(format!(
                "its first line, `{shown}`, names neither a picture nor columns; begin it with a line such as path,label or path,label,split"
            )),
        }
    }

    /// The columns, when a line names those of paths and of labels.
    pub(super) fn named(line: &StringRecord) -> Option<Self> {
        Some(Self {
            path: column(line, &PATHS)?,
            label: column(line, &LABELS)?,
            split: column(line, &SPLITS),
        })
    }
}

/// The column with one of `names`; where several have one, that with the earliest of the names.
fn column(line: &StringRecord, names: &[&str]) -> Option<usize> {
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
        let find =
            |fields: &[&str]| Columns::find(&StringRecord::from(fields), |name| name == "image");
        let columns = |path, label, split| Columns { path, label, split };
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
}
