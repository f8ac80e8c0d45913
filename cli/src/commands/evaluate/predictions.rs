//! The table of `hubel evaluate --out`: a line for each example.
use std::io::{self, Write};
use std::path::Path;

use hubel::Replacement;
use hubel::data::Kind;

use super::Evaluated;
use crate::commands::predict::quoted_field;

/// Writes the table: the name (the path, or the line of a table, or else the number in the data), the class, the answer and its probability, whether it is right, whether the model is
/// sure (see `--wrong-at-most`), the loss, and the probability of each class.
pub(super) fn write(file: &Path, evaluated: &Evaluated) -> io::Result<()> {
    let (answers, classes) = (&evaluated.judgement.answers, evaluated.model.classes());
    let mut out = Replacement::create(file)?;
    let names = classes
        .iter()
        .map(|class| format!(",{}", quoted_field(&format!("p {class}"))));
    let mut text = format!(
        "name,class,answer,probability,right,sure,loss{}\n",
        names.collect::<String>()
    );
    for place in 0..answers.len() {
        let index = answers.indices()[place];
        let name = match evaluated.images.path(index) {
            Some(path) => path.display().to_string(),
            None if evaluated.images.kind() == Kind::Texts => evaluated.images.name_of(index),
            None => index.to_string(),
        };
        let threshold = evaluated.model.threshold();
        let is_sure = threshold.is_none_or(|threshold| answers.is_answered(place, threshold));
        text += &format!(
            "{},{},{},{},{},{is_sure},{:.6}",
            quoted_field(&name),
            quoted_field(&classes[answers.labels()[place]]),
            quoted_field(&classes[answers.class(place)]),
            answers.confidence(place),
            answers.is_right(place),
            answers.loss(place)
        );
        for probability in answers.probabilities(place) {
            text += &format!(",{probability}");
        }
        text.push('\n');
        if text.len() > 1 << 16 {
            out.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    out.write_all(text.as_bytes())?;
    out.finish()
}
