//! A few example pictures of an experiment, so that the reader knows what they look like.
use super::workbench::Workbench;
use super::{Halt, Picture};
use crate::drawing::FAINT;
use crate::{Dataset, Drawing};

/// Number of classes shown, and pictures of each.
const CLASSES: usize = 10;
const EACH: usize = 3;
/// In pixels: a picture's side, the gap between two, the height of a line of text.
const SIDE: usize = 96;
const GAP: usize = 4;
const LETTERS: usize = 16;
/// Pictures per row.
const ACROSS: usize = 5;

/// Test pictures of the first seed by class.
pub(super) fn sheet(bench: &Workbench<'_>) -> Result<Picture, Halt> {
    let pictures = bench.draw(1).test;
    let shown = pictures.classes().len().min(CLASSES);
    let factor = (SIDE / pictures.shape().height.max(pictures.shape().width)).max(1);
    let [height, width] =
        [pictures.shape().height, pictures.shape().width].map(|side| side * factor + GAP);
    let across = shown.min(ACROSS);
    let group = LETTERS + EACH * height + GAP;
    let mut drawing = Drawing::blank(across * width + GAP, shown.div_ceil(across) * group + GAP);
    for class in 0..shown {
        let (left, top) = (GAP + class % across * width, GAP + class / across * group);
        drawing.write((left, top), width - GAP, &pictures.classes()[class], FAINT);
        for (row, index) in of_class(&pictures, class).enumerate() {
            if let Some(pixels) = pictures.bytes(index)? {
                let corner = (left, top + LETTERS + row * height);
                drawing.put(corner, &pixels, pictures.shape(), factor);
            }
        }
    }
    Ok(Picture {
        name: "pictures".into(),
        caption: match pictures.classes().len() {
            all if all == shown => format!("pictures of the {all} classes"),
            all => format!("pictures of {shown} of the {all} classes"),
        },
        drawing,
        text: None,
    })
}

fn of_class(pictures: &Dataset, class: usize) -> impl Iterator<Item = usize> {
    let labels = pictures.labels().iter().enumerate();
    let of_class = labels.filter(move |(_, label)| **label == class);
    of_class.map(|(index, _)| index).take(EACH)
}
