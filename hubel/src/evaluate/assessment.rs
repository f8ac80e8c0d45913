//! The answers of a model for labelled images with everything that judges them.
use hubel_kernels::Cpu;

use crate::labels::GivenLabels;
use crate::{Answers, Calibration, Dataset, Model, Report, Result};

/// What a model answers for labelled images, and how good that is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Assessment {
    /// Accuracy, loss and confusions. Near-duplicates count as one image for its interval.
    pub report: Report,
    /// The answers.
    pub answers: Answers,
    /// Whether the probabilities mean what they say.
    pub calibration: Calibration,
    /// For each image of the data set, the first of its near-duplicates.
    pub groups: Vec<usize>,
}

impl Assessment {
    /// The places of the answers for images of which none is a near-duplicate of another.
    pub fn distinct(&self) -> Vec<usize> {
        let is_first = |place: &usize| {
            let index = self.answers.indices()[*place];
            self.groups[index] == index
        };
        (0..self.answers.len()).filter(is_first).collect()
    }

    /// The same answers, judged by other labels: one for each image of the data set, `None` for an image that is left out. The network is not computed again.
    ///
    /// # Panics
    /// If there are fewer labels than images.
    pub fn with_labels(&self, labels: &[Option<usize>]) -> Self {
        let answers = self.answers.with_labels(labels);
        let report = answers.report(self.report.kind, self.report.bad_files.clone());
        Self {
            report: report.with_groups(&self.groups),
            calibration: answers.calibration_of_groups(&self.groups),
            answers,
            groups: self.groups.clone(),
        }
    }
}

impl Model {
    /// Classifies every image of `dataset` and judges the answers. Calls `listen` after each image with the number of images so far.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn assess(
        &self,
        cpu: &Cpu,
        dataset: &Dataset,
        listen: &mut dyn FnMut(usize),
    ) -> Result<Assessment> {
        let (report, answers) = self.answers(cpu, dataset, listen)?;
        let groups = dataset.groups();
        Ok(Assessment {
            report: report.with_groups(&groups),
            calibration: answers.calibration_of_groups(&groups),
            answers,
            groups,
        })
    }
}

impl Answers {
    /// The labels with the probabilities of all classes, to find labels that are probably wrong. The model must not have been trained on these images.
    ///
    /// # Errors
    /// As [`GivenLabels::new`].
    pub fn given_labels(&self) -> Result<GivenLabels<'_>> {
        GivenLabels::new(self.all_probabilities(), self.classes(), self.labels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Kind;

    #[test]
    fn other_labels_give_what_a_new_evaluation_would() {
        let cpu = Cpu::best(1);
        let logits = [2.0, 0.0, 0.0, 1.0, 3.0, 0.0, 0.5, 0.0, 0.0, 2.0];
        let answers = |labels: &[usize], logits: &[f32]| {
            let answers = Answers::from_logits(&cpu, 2, labels, logits).expect("they fit");
            answers.at_temperature(2.0)
        };
        let assessed = |answers: Answers, groups: Vec<usize>| Assessment {
            report: answers
                .report(Kind::Pictures, Vec::new())
                .with_groups(&groups),
            calibration: answers.calibration_of_groups(&groups),
            answers,
            groups,
        };
        let before = assessed(answers(&[0, 1, 1, 0, 1], &logits), vec![0, 1, 2, 2, 4]);
        assert_eq!(before.report.confusion, [[2, 0], [1, 2]]);
        let after = before.with_labels(&[Some(0), Some(1), Some(0), None, Some(1)]);
        assert_eq!(after.report.confusion, [[2, 0], [0, 2]]);
        assert_eq!((after.report.accuracy, after.report.count), (1.0, 4));
        assert_eq!(after.answers.indices(), [0, 1, 2, 4]);
        let kept = [&logits[..6], &logits[8..]].concat();
        let anew = answers(&[0, 1, 0, 1], &kept);
        assert_eq!(after.answers.log_loss(), anew.log_loss());
        assert_eq!(
            f64::from(after.report.loss),
            f64::from(anew.log_loss() as f32)
        );
        // All labels are back, also that of the image that was left out.
        let back = before.with_labels(&[Some(0), Some(1), Some(1), Some(0), Some(1)]);
        assert_eq!(back.report, before.report);
        assert_eq!(back.calibration, before.calibration);
    }
}
