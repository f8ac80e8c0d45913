//! The caller's own pictures give the same data as files with the same bytes.
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::data::feed::{Balance, FeedSettings};

/// Pictures of two classes, and a folder with the same pictures.
fn pictures() -> (tempfile::TempDir, Vec<EncodedPicture>) {
    let folder = tempfile::tempdir().unwrap();
    let mut pictures = Vec::new();
    for seed in 0..24 {
        let class = ["cat", "dog"][seed % 2];
        let path = folder.path().join(class).join(format!("{seed:02}.png"));
        let side = if seed < 20 { 20 } else { 26 };
        save(colours(side, 20, seed as u32), &path);
        pictures.push(EncodedPicture {
            name: path.display().to_string(),
            class: class.to_owned(),
            part: None,
            bytes: std::fs::read(&path).unwrap(),
        });
    }
    // In the order of the folder.
    pictures.sort_by(|one, other| one.name.cmp(&other.name));
    (folder, pictures)
}

fn options() -> Options {
    Options {
        validation: 0.2,
        test: 0.2,
        ..Options::default()
    }
}

fn listen(_: usize, _: usize) {}

/// A training batch.
fn augmented(dataset: &Dataset) -> Result<Vec<f32>> {
    let settings = FeedSettings {
        augmentation: "flip, crop(2)".parse()?,
        balance: Balance::None,
        batch_size: 4,
        seed: 3,
    };
    let preparation = Preparation::measure(dataset)?;
    let feed = Feed::new(dataset.clone(), preparation, settings)?;
    let mut draws = feed.order(1)[..4].to_vec();
    let mut images = vec![0.0; 4 * feed.preparation().shape.len()];
    feed.fill(1, &mut draws, &mut images)?;
    Ok(images)
}

#[test]
fn they_are_divided_and_prepared_as_files_are() -> Result<()> {
    let (folder, pictures) = pictures();
    let of_files = open_with(folder.path(), &options(), &listen)?;
    for cache in [None, Some(3 * 20 * 20 * 3), Some(0)] {
        let options = Options { cache, ..options() };
        let given = Source::of("memory", pictures.clone())?.open(&options, &listen)?;
        for (one, other) in [
            (Some(&given.train), Some(&of_files.train)),
            (given.validation.as_ref(), of_files.validation.as_ref()),
            (given.test.as_ref(), of_files.test.as_ref()),
        ] {
            let (one, other) = (one.unwrap(), other.unwrap());
            assert_eq!(one.classes(), other.classes());
            let preparation = Preparation::measure(one)?;
            assert_eq!(preparation, Preparation::measure(other)?);
            assert_eq!(tensors(one, &preparation), tensors(other, &preparation));
            assert_eq!(one.labels(), other.labels());
            assert_eq!(augmented(one)?, augmented(other)?);
        }
        assert_eq!(given.notes, of_files.notes);
        assert_eq!(given.division, of_files.division);
    }
    Ok(())
}

/// A store that counts its reads and can lose its pictures.
struct Store {
    pictures: Vec<EncodedPicture>,
    asked: AtomicUsize,
    is_gone: AtomicBool,
}

impl Pictures for Arc<Store> {
    fn count(&self) -> usize {
        self.pictures.len()
    }

    fn name(&self, index: usize) -> String {
        format!("row {index}")
    }

    fn class(&self, index: usize) -> String {
        self.pictures[index].class.clone()
    }

    fn part(&self, index: usize) -> Option<Part> {
        Some([Part::Train, Part::Train, Part::Test][index % 3])
    }

    fn bytes(&self, index: usize) -> io::Result<Vec<u8>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.is_gone.load(Ordering::Relaxed) || index == 4 {
            // Not "there is no such file".
            true => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the row was deleted",
            )),
            false => Ok(self.pictures[index].bytes.clone()),
        }
    }
}

#[test]
fn what_cannot_be_had_is_refused_or_left_out_by_its_name() -> Result<()> {
    let store = Arc::new(Store {
        pictures: pictures().1,
        asked: AtomicUsize::new(0),
        is_gone: AtomicBool::new(false),
    });
    let open = |bad_files, cache| {
        let options = Options {
            bad_files,
            cache,
            ..options()
        };
        Source::of("the store", store.clone())?.open(&options, &listen)
    };
    let refused = open(BadFiles::Fail, None).unwrap_err().to_string();
    assert!(refused.contains("row 4: the row was deleted"), "{refused}");
    assert!(
        refused.contains("`bad_files = skip`") && !refused.contains("quarantine"),
        "{refused}"
    );
    let refused = open(BadFiles::Quarantine, None).unwrap_err().to_string();
    assert!(refused.contains("has no files to move away"), "{refused}");
    let splits = open(BadFiles::Skip, Some(0))?;
    assert_eq!(splits.bad_files.len(), 1);
    assert_eq!(splits.test.unwrap().len(), 8);
    let before = store.asked.load(Ordering::Relaxed);
    let preparation = Preparation::measure(&splits.train)?;
    tensors(&splits.train, &preparation);
    assert_eq!(
        store.asked.load(Ordering::Relaxed) - before,
        splits.train.len()
    );
    store.is_gone.store(true, Ordering::Relaxed);
    let mut images = vec![0.0; preparation.shape.len()];
    let bad = splits
        .train
        .fill(&Cpu::best(1), &[0], &preparation, &mut images)?;
    assert_eq!(bad[0].1.path, Path::new("row 0"));
    Ok(())
}

#[test]
fn classes_called_alike_are_noted_as_those_of_files_are() -> Result<()> {
    let (_folder, mut pictures) = pictures();
    for picture in &mut pictures[..6] {
        picture.class = picture.class.to_uppercase();
    }
    let notes = Source::of("memory", pictures)?
        .open(&options(), &listen)?
        .notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("differ only in case")),
        "{notes:?}"
    );
    Ok(())
}

#[test]
fn none_and_a_single_class_are_refused() {
    let refused = |pictures: Vec<EncodedPicture>| {
        let source = Source::of("memory", pictures);
        source.err().expect("it is refused").to_string()
    };
    assert!(refused(Vec::new()).contains("there are no pictures"));
    let mut pictures = pictures().1;
    pictures.retain(|picture| picture.class == "cat");
    assert!(refused(pictures).contains("all pictures are of the class `cat`"));
}
