//! Pictures in class folders: `root/class/*`, or `root/{train,val,test}/class/*`.
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::{Dataset, Form, Options, picture};
use crate::{Error, Result, Shape};

/// One split of a data set in class folders.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Names of the class folders, sorted.
    pub(super) classes: Vec<String>,
    /// Pictures and their classes, sorted by class and name.
    pub(super) files: Vec<(PathBuf, usize)>,
    /// Files that are no pictures.
    pub(super) ignored: usize,
}

/// What a folder contains, sorted, without hidden files and `Thumbs.db`.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::Io {
        action: "read",
        path: folder.to_owned(),
        source,
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let left_by_the_system = name.starts_with('.')
            || ["thumbs.db", "desktop.ini"].contains(&name.to_lowercase().as_str());
        if !left_by_the_system {
            entries.push(path);
        }
    }
    entries.sort();
    Ok(entries)
}

/// Recognises class folders at `root`.
pub(super) fn find(root: &Path) -> Result<Option<Form>> {
    let folders: Vec<PathBuf> = entries(root)?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    let named = |names: &[&str]| {
        folders.iter().find(|folder| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            names.contains(&name.to_lowercase().as_str())
        })
    };
    if let Some(train) = named(&["train", "training"]) {
        let train = list(train)?;
        let validation = named(&["val", "valid", "validation"]).map(|folder| list(folder));
        let test = named(&["test", "testing"]).map(|folder| list(folder));
        return Ok(Some(Form::Folders {
            train,
            validation: validation.transpose()?,
            test: test.transpose()?,
        }));
    }
    if folders.is_empty() {
        return Ok(None);
    }
    Ok(Some(Form::Folders {
        train: list(root)?,
        validation: None,
        test: None,
    }))
}

/// Lists the classes and pictures below `root`.
fn list(root: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    for folder in entries(root)? {
        if !folder.is_dir() {
            listing.ignored += 1;
            continue;
        }
        let class = listing.classes.len();
        let before = listing.files.len();
        for file in entries(&folder)? {
            if file.is_file() && has_picture_ending(&file) {
                listing.files.push((file, class));
            } else {
                listing.ignored += 1;
            }
        }
        if listing.files.len() == before {
            return Err(Error::DataForm {
                path: folder,
                problem: format!(
                    "this class folder holds no picture ({}); fill it or delete it",
                    picture::ENDINGS.join(", ")
                ),
            });
        }
        listing.classes.push(
            folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
    }
    if listing.classes.len() < 2 {
        let found = match listing.classes.first() {
            Some(class) => format!("only one class folder is there, `{class}`"),
            None => "no class folder is there".into(),
        };
        return Err(Error::DataForm {
            path: root.to_owned(),
            problem: format!(
                "{found}; a classifier needs at least two classes, one folder of pictures each"
            ),
        });
    }
    Ok(listing)
}

fn has_picture_ending(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        picture::ENDINGS.contains(&ending.to_string_lossy().to_lowercase().as_str())
    })
}

/// The shape into which pictures are read when nobody names one: their own size where all of the first hundred agree,
/// else a square as high as half of them are; one channel where all are grey.
pub(super) fn choose_shape(listing: &Listing, options: &Options) -> Result<Shape> {
    let step = listing.files.len().div_ceil(100).max(1);
    let mut sizes = Vec::new();
    let mut grey = true;
    for (path, _) in listing.files.iter().step_by(step) {
        let picture = picture::read(path)?;
        sizes.push((picture.height() as usize, picture.width() as usize));
        grey &= !picture.color().has_color();
    }
    let channels = if grey { 1 } else { 3 };
    if sizes.iter().all(|size| size == &sizes[0])
        && sizes[0].0.max(sizes[0].1) <= options.largest_side
    {
        return Ok(Shape::new(sizes[0].0, sizes[0].1, channels));
    }
    let mut shorter: Vec<usize> = sizes.iter().map(|size| size.0.min(size.1)).collect();
    shorter.sort_unstable();
    let side = shorter[shorter.len() / 2].min(options.largest_side);
    Ok(Shape::new(side, side, channels))
}

/// Decodes the listed pictures, each brought to `shape` by `prepare`, on all cores; the result does not depend on their number.
pub(super) fn read(
    name: &str,
    listing: &Listing,
    shape: Shape,
    prepare: &(dyn Fn(&Path) -> Result<Vec<u8>> + Sync),
) -> Result<Dataset> {
    let bytes = shape.len().checked_mul(listing.files.len());
    let mut pixels = Vec::new();
    if bytes.is_none_or(|bytes| pixels.try_reserve_exact(bytes).is_err()) {
        return Err(Error::DataMismatch(format!(
            "{} pictures of {shape} do not fit into memory; read them smaller",
            listing.files.len()
        )));
    }
    pixels.resize(shape.len() * listing.files.len(), 0u8);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let failed = AtomicBool::new(false);
    let errors = std::sync::Mutex::new(Vec::new());
    // Small pieces taken in turn, so that no thread waits for another with larger pictures.
    let pieces = std::sync::Mutex::new(
        pixels
            .chunks_mut(16 * shape.len())
            .zip(listing.files.chunks(16))
            .enumerate(),
    );
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let next = pieces.lock().unwrap_or_else(|e| e.into_inner()).next();
                    let Some((piece, (outs, files))) = next else {
                        return;
                    };
                    for (out, (path, _)) in outs.chunks_exact_mut(shape.len()).zip(files) {
                        match prepare(path) {
                            Ok(pixels) => out.copy_from_slice(&pixels),
                            Err(error) => {
                                failed.store(true, Ordering::Relaxed);
                                errors
                                    .lock()
                                    .unwrap_or_else(|e| e.into_inner())
                                    .push((piece, error));
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    let mut errors = errors.into_inner().unwrap_or_else(|e| e.into_inner());
    errors.sort_by_key(|(piece, _)| *piece);
    if let Some((_, error)) = errors.into_iter().next() {
        return Err(error);
    }
    let labels = listing.files.iter().map(|&(_, class)| class).collect();
    Dataset::from_bytes(name, listing.classes.clone(), shape, pixels, labels)
}
