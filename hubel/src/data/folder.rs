//! Folders of pictures: `root/class/*`, or `root/train/class/*` and `root/test/class/*`.
use std::path::{Path, PathBuf};

use super::preparation::decode;
use super::{Dataset, Resize, Splits, resize};
use crate::{Error, Result, Shape};

/// Pictures larger than this are brought to it; smaller ones stay as they are if they all have one size.
const SIDE: usize = 64;

/// What lies in a folder, by name, hidden things left out.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |source| Error::Io {
        action: "read",
        path: folder.into(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !entry.file_name().to_string_lossy().starts_with('.') && entry.file_name() != "Thumbs.db"
        {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Opens class folders.
pub(super) fn open(root: &Path) -> Result<Splits> {
    let train_root = root.join("train");
    let (train, test) = match train_root.is_dir() {
        true => (
            train_root,
            Some(root.join("test")).filter(|test| test.is_dir()),
        ),
        false => (root.to_path_buf(), None),
    };
    let train = read(&train, None)?;
    let test = test.map(|test| read(&test, Some(&train))).transpose()?;
    let tested = test
        .as_ref()
        .map_or(String::new(), |test| format!(" + {}", test.len()));
    Ok(Splits {
        description: format!(
            "class folders, {} classes, {}{tested} images",
            train.classes.len(),
            train.len()
        ),
        notes: Vec::new(),
        train,
        test,
    })
}

/// Reads every picture of every class; `like` gives the shape, which the first picture decides otherwise.
fn read(root: &Path, like: Option<&Dataset>) -> Result<Dataset> {
    let folders: Vec<PathBuf> = entries(root)?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    let name = |path: &Path| {
        path.file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let (mut files, mut classes) = (Vec::new(), Vec::new());
    for (class, folder) in folders.iter().enumerate() {
        let pictures: Vec<PathBuf> = entries(folder)?
            .into_iter()
            .filter(|path| path.is_file())
            .collect();
        if pictures.is_empty() {
            return Err(Error::DataForm {
                path: folder.clone(),
                problem: "the class has no pictures; add some or remove the folder".into(),
            });
        }
        files.extend(pictures.into_iter().map(|path| (path, class)));
        classes.push(name(folder));
    }
    if files.is_empty() {
        return Err(Error::DataForm {
            path: root.into(),
            problem: "expected IDX files or one folder of pictures for each class".into(),
        });
    }
    let shape = match like {
        Some(dataset) => dataset.shape,
        None => {
            let first = decode(&files[0].0)?;
            let channels = if first.color().has_color() { 3 } else { 1 };
            let side = |side: u32| (side as usize).min(SIDE);
            Shape::new(side(first.height()), side(first.width()), channels)
        }
    };
    let to = (shape.height, shape.width);
    let (mut pixels, mut labels) = (Vec::with_capacity(files.len() * shape.len()), Vec::new());
    for (path, class) in files {
        let picture = decode(&path)?;
        let from = (picture.height() as usize, picture.width() as usize);
        pixels.extend(match shape.channels {
            1 => resize::fit(
                &picture.to_luma8().into_raw(),
                from,
                to,
                1,
                Resize::default(),
            ),
            _ => resize::fit_rgb(&picture.to_rgb8().into_raw(), from, to, Resize::default()),
        });
        labels.push(class);
    }
    Dataset::from_bytes(&name(root), classes, shape, pixels, labels)
}
