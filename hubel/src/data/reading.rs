//! Reading the files of a catalogue into memory.
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::data::{Dataset, Options, picture};
use crate::{Error, Result, Shape};

/// Files of one part with their classes.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) classes: Vec<String>,
    pub(super) files: Vec<(PathBuf, usize)>,
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
