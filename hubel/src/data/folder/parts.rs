//! Decides which folders are the splits of a data set (training, validation, test), and which are its classes.
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Contents, contents, file_name, kind_of};
use crate::Result;
use crate::data::Kind;
use crate::data::catalogue::{Part, problem};
use crate::data::clip::Frames;
use crate::listed;

/// Additional words in the folder name of a split, such as in `training_set` or `seg_train`.
const BESIDE_A_PART: [&str; 21] = [
    "data", "dataset", "datasets", "dir", "folder", "image", "images", "img", "imgs", "photo",
    "photos", "pic", "pics", "picture", "pictures", "sample", "samples", "seg", "set", "sets",
    "split",
];

/// The meaning of a data set's folders.
pub(super) enum Layout {
    /// Some are splits, with their contents; and notes.
    Divided(Vec<Divided>, Option<String>),
    /// All are classes; with a note if one could have been a split.
    Classes(Option<String>),
}

/// The folder of a split.
pub(super) struct Divided {
    pub(super) part: Part,
    pub(super) folder: PathBuf,
    pub(super) contents: Contents,
}

/// Whether `folders` of `root` are splits or classes.
///
/// # Errors
/// [`crate::Error::DataForm`] if they are neither, or if two of them are the same split; [`crate::Error::Io`] if a folder cannot be read.
pub(super) fn layout(root: &Path, folders: &[PathBuf]) -> Result<Layout> {
    let mut parts: Vec<Divided> = Vec::new();
    // Folders of pictures that can only be classes, and those that may also be splits without classes.
    let mut class_beside = None;
    let mut flat: Vec<(String, Part)> = Vec::new();
    for (folder, named) in std::iter::zip(folders, parts_among(folders)) {
        let Some(part) = named else {
            if class_beside.is_none() && parts.len() < 2 {
                class_beside = contents(folder)?.has_samples().then(|| file_name(folder));
            }
            continue;
        };
        let contents = innermost(folder, part)?;
        // A folder called `train` may also be the class of trains, with pictures in it.
        if contents.folders.is_empty() || contents.folders.len() == 1 && contents.has_samples() {
            if contents.has_samples() {
                flat.push((file_name(folder), part));
            }
            continue;
        }
        if let Some(other) = parts.iter().find(|known| known.part == part) {
            return Err(problem(
                root,
                format!(
                    "`{}` and `{}` both hold {part} images; put them together or rename one",
                    file_name(&other.folder),
                    file_name(folder)
                ),
            ));
        }
        parts.push(Divided {
            part,
            folder: folder.clone(),
            contents,
        });
    }
    if flat.len() > 1 && flat.len() == folders.len() {
        return Err(problem(
            root,
            format!(
                "{} hold pictures and no class folders; classes are folders in each of them, or are named by one table (CSV) of paths and classes beside them",
                listed_as_one(flat.iter().map(|(name, _)| name.clone()))
            ),
        ));
    }
    parts.sort_by_key(|part| part.part);
    let divided = match &parts[..] {
        [] => false,
        // Beside it there may be a `test` folder with unlabelled pictures.
        [train] if train.part == Part::Train => {
            class_beside.is_none() && (flat.is_empty() || train.contents.folders.len() > 1)
        }
        [_] => folders.len() == 1,
        [first, ..] => first.part == Part::Train || folders.len() == parts.len(),
    };
    if divided {
        let note = renamed(&parts);
        return Ok(Layout::Divided(parts, note));
    }
    let taken = |part: &Divided| {
        let (part, beside) = (file_name(&part.folder), class_beside?);
        Some(format!(
            "`{part}` is used as a class, since `{beside}` beside it contains pictures; if the folders in `{part}` are the classes, move `{beside}` away"
        ))
    };
    // `train` may be the class of trains.
    let held_out = flat.iter().find(|(_, part)| *part != Part::Train).map(|(name, part)| {
        format!(
            "`{name}` is used as a class like the folders beside it; if it contains {part} images, put class folders into it and the others into a folder `train`"
        )
    });
    Ok(Layout::Classes(parts.first().and_then(taken).or(held_out)))
}

/// A note if splits have unusual names.
fn renamed(parts: &[Divided]) -> Option<String> {
    let plain = |part: &Divided| exact_part(&file_name(&part.folder)).is_some();
    let taken = parts.iter().map(|part| {
        let folder = file_name(&part.folder);
        format!("`{folder}` for the {} images", part.part)
    });
    (!parts.iter().all(plain))
        .then(|| format!("splits detected by their names: {}", listed_as_one(taken)))
}

/// The contents of a split. It may be a single folder with the split's name again, as unpacked archives have it: `train/train/cat`.
fn innermost(folder: &Path, part: Part) -> Result<Contents> {
    let mut found = contents(folder)?;
    // A link may be cyclic.
    for _ in 0..3 {
        let [inner] = &found.folders[..] else { break };
        if found.has_samples() || part_called(&file_name(inner)) != Some(part) {
            break;
        }
        let mut inner = contents(inner)?;
        inner.ignored.add(&found.ignored);
        inner.files.extend(found.files);
        found = inner;
    }
    Ok(found)
}

/// The meaning of the folders in class folders.
pub(super) enum Inner {
    /// They belong to the class.
    Whole,
    /// Folders with these names are splits: `cat/train`, `cat/test`.
    Parts,
}

/// A class folder and its contents.
type ClassContents = (PathBuf, Contents);

/// The meaning of the folders in `classes`. If the classes are `divided`, that is, in the folder of a split, the folders belong to the classes.
///
/// # Errors
/// [`crate::Error::DataForm`] if some classes are divided and others are not, or if it is unclear which folders are the classes.
pub(super) fn inner_layout(
    root: &Path,
    classes: &[ClassContents],
    divided: bool,
    wanted: Option<Kind>,
) -> Result<Inner> {
    let filled = classes
        .iter()
        .filter(|(_, contents)| !contents.folders.is_empty() || contents.has_samples());
    let filled: Vec<&ClassContents> = filled.collect();
    if filled.len() < 2 || divided {
        return Ok(Inner::Whole);
    }
    let Some(first) = filled.iter().find(|class| is_divided(class)) else {
        let is_of_clips =
            wanted == Some(Kind::Clips) || filled.iter().all(|class| holds_clips(class));
        return match is_of_clips {
            true => Ok(Inner::Whole),
            false => refuse_alike(root, &filled).map(|()| Inner::Whole),
        };
    };
    let whole = |(_, contents): &&&ClassContents| {
        contents.has_samples() || parts_in(contents).next().is_none()
    };
    let Some((other, _)) = filled.iter().find(whole) else {
        return Ok(Inner::Parts);
    };
    let folders = first.1.folders.iter();
    Err(problem(
        root,
        format!(
            "the class `{}` is divided into folders such as {}, and `{}` holds pictures outside of such folders; \
             divide all classes so or none, or put the classes into `train` and `test` (train/cat, test/cat)",
            file_name(&first.0),
            listed_as_one(folders.map(|folder| format!("`{}`", file_name(folder)))),
            file_name(other)
        ),
    ))
}

/// The splits that the folders in a class folder name.
fn parts_in(contents: &Contents) -> impl Iterator<Item = Part> {
    let folders = contents.folders.iter();
    folders.filter_map(|folder| part_called(&file_name(folder)))
}

/// Whether a class has a training folder and a folder of another split.
fn is_divided((_, contents): &ClassContents) -> bool {
    let parts: Vec<Part> = parts_in(contents).collect();
    parts.contains(&Part::Train) && parts.iter().any(|part| *part != Part::Train)
}

/// Folders of a class that are examined for frames.
const EXAMINED: usize = 9;

/// Whether the folders in a class folder are numbered and most of the first ones hold numbered frames, as clips do.
fn holds_clips((_, found): &ClassContents) -> bool {
    let is_numbered =
        |folder: &PathBuf| file_name(folder).ends_with(|end: char| end.is_ascii_digit());
    let holds_frames = |folder: &&PathBuf| {
        let mut files = contents(folder).map_or_else(|_| Vec::new(), |found| found.files);
        files.retain(|file| kind_of(file) == Some(Kind::Pictures));
        Frames::of(&files).are_steady()
    };
    let examined = found.folders.iter().take(EXAMINED);
    let count = examined.len();
    found.folders.iter().all(is_numbered) && 2 * examined.filter(holds_frames).count() > count
}

/// Rejects folders that all contain the same folders and no pictures of their own.
fn refuse_alike(root: &Path, folders: &[&ClassContents]) -> Result<()> {
    let names = |paths: &[PathBuf]| -> Vec<String> {
        let names = paths.iter().map(|path| format!("`{}`", file_name(path)));
        names.collect()
    };
    let inner = names(&folders[0].1.folders);
    let is_alike = |(_, contents): &&ClassContents| {
        !contents.has_samples() && names(&contents.folders) == inner
    };
    if inner.len() < 2 || !folders.iter().all(is_alike) {
        return Ok(());
    }
    let outer: Vec<PathBuf> = folders.iter().map(|(folder, _)| folder.clone()).collect();
    Err(problem(
        root,
        format!(
            "its folders {} all hold the same folders, {}, and no pictures of their own, so it is unclear which of them are the classes. If the outer ones are splits, name them train, val and test; if they are the classes, move the pictures out of the inner folders into them; if the inner ones are the classes, merge those with the same name; if the inner ones hold the frames of clips, say so (`--kind clips`); or name the classes in a table (CSV: path,label)",
            listed(names(&outer).iter().map(String::as_str)),
            listed(inner.iter().map(String::as_str))
        ),
    ))
}

/// The split of each folder, by its name and those of the folders beside it: `birds_train` is a split beside `birds_test`.
fn parts_among(folders: &[PathBuf]) -> Vec<Option<Part>> {
    let names: Vec<String> = folders.iter().map(|folder| file_name(folder)).collect();
    let mut alike: HashMap<Vec<String>, Vec<Part>> = HashMap::new();
    for name in &names {
        if let (Some(part), others) = part_within(name) {
            alike.entry(others).or_default().push(part);
        }
    }
    let by_neighbour = |name: &String| {
        let (part, others) = part_within(name);
        let beside = alike.get(&others)?;
        part.filter(|part| beside.iter().any(|other| other != part))
    };
    let part = |name: &String| part_called(name).or_else(|| by_neighbour(name));
    names.iter().map(part).collect()
}

/// The split that a folder's name, or a word in a table, means: `train`, `Training_Set`, `seg_test`, `2-val`.
pub(crate) fn part_called(name: &str) -> Option<Part> {
    let (part, others) = part_within(name);
    let says_nothing = |word: &String| {
        BESIDE_A_PART.contains(&word.as_str()) || word.starts_with(|c: char| c.is_ascii_digit())
    };
    part.filter(|_| others.iter().all(says_nothing))
}

/// The split that one word of a name means, and the other words; no split if none of the words, or several of them, mean one.
pub(crate) fn part_within(name: &str) -> (Option<Part>, Vec<String>) {
    let mut words = words(name);
    let parts: Vec<(usize, Part)> = words
        .iter()
        .enumerate()
        .filter_map(|(place, word)| Some((place, part_word(word)?)))
        .collect();
    match parts[..] {
        [(place, part)] => {
            words.remove(place);
            (Some(part), words)
        }
        _ => (None, words),
    }
}

fn part_word(word: &str) -> Option<Part> {
    exact_part(word).or_else(|| {
        let joined = ["set", "data", "images"].iter();
        joined
            .filter_map(|end| exact_part(word.strip_suffix(end)?))
            .next()
    })
}

fn exact_part(word: &str) -> Option<Part> {
    match word.to_lowercase().as_str() {
        "train" | "training" => Some(Part::Train),
        "val" | "valid" | "validation" | "dev" => Some(Part::Validation),
        "test" | "testing" => Some(Part::Test),
        _ => None,
    }
}

/// The words of a name, in lower case. They end at characters other than letters, at digits, and at capitals (`TrainSet`).
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        let is_new = letter.is_numeric() != before.is_numeric()
            || letter.is_uppercase() && before.is_lowercase();
        if is_new || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words
                .last_mut()
                .into_iter()
                .for_each(|word| word.extend(letter.to_lowercase()));
        }
        before = letter;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `a`, `a and b`, `a, b and c`
fn listed_as_one(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match &names[..] {
        [] => String::new(),
        [name] => name.clone(),
        [names @ .., last] => format!("{} and {last}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_many_names_and_classes_are_not() {
        use Part::{Test, Train, Validation};
        for (name, part) in [
            ("train", Some(Train)),
            ("TRAINING", Some(Train)),
            ("training_set", Some(Train)),
            ("trainset", Some(Train)),
            ("TrainImages", Some(Train)),
            ("seg_train", Some(Train)),
            ("1_train", Some(Train)),
            ("train-data", Some(Train)),
            ("train2017", Some(Train)),
            ("valid set", Some(Validation)),
            ("val_images", Some(Validation)),
            ("test1", Some(Test)),
            ("testing_data", Some(Test)),
            ("steam train", None),
            ("trains", None),
            ("test_tube", None),
            ("train_test", None),
            ("invalid", None),
            ("latest", None),
            ("", None),
        ] {
            assert_eq!(part_called(name), part, "{name}");
        }
        let folders =
            |names: &[&str]| -> Vec<PathBuf> { names.iter().map(PathBuf::from).collect() };
        let parts = |names: &[&str]| parts_among(&folders(names));
        assert_eq!(
            parts(&["birds_test", "birds_train", "train_x"]),
            [Some(Test), Some(Train), None]
        );
        assert_eq!(parts(&["steam train", "blood test"]), [None, None]);
    }
}
