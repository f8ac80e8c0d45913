//! How good a model is on a data set.
use hubel_kernels::Cpu;
use serde::Serialize;

use crate::data::{BadFile, Dataset};
use crate::{Error, Model, Plan, PlanSettings, Result, Workspace};

/// How good a model is on a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Share of images classified rightly.
    pub accuracy: f32,
    /// Mean cross-entropy, in nats.
    pub loss: f32,
    /// Images that were judged.
    pub count: usize,
    /// Row: the true class; column: the class that the model gave.
    pub confusion: Vec<Vec<usize>>,
    /// Pictures that could no longer be read and were left out.
    pub bad_files: Vec<BadFile>,
}

impl Report {
    /// Where the accuracy on endlessly many such images lies, with 95 % confidence: Wilson's score interval ("Probable inference, the law of
    /// succession, and statistical inference", 1927), which holds for few images and for accuracies near 1 as well. All of `[0, 1]` of no images.
    pub fn interval(&self) -> [f32; 2] {
        /// The quantile of the normal distribution that leaves 2.5 % on each side.
        const Z: f64 = 1.959_964;
        if self.count == 0 {
            return [0.0, 1.0];
        }
        let (share, count) = (f64::from(self.accuracy), self.count as f64);
        let centre = share + Z * Z / (2.0 * count);
        let variance = share * (1.0 - share) / count + (Z / (2.0 * count)).powi(2);
        let reach = Z * variance.max(0.0).sqrt();
        [centre - reach, centre + reach]
            .map(|end| (end / (1.0 + Z * Z / count)).clamp(0.0, 1.0) as f32)
    }
}

/// Writes the images of the given indices, `[n, h, w, c]`, and returns the places among them that could not be filled.
type Fill<'a> = dyn FnMut(&[usize], &mut [f32]) -> Result<Vec<usize>> + 'a;

/// The most images of a batch, and the most memory for two maps of them: enough to be fast, and far below what a machine has.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 500 << 20;

impl Model {
    /// Classifies every image of `dataset`.
    ///
    /// # Errors
    /// [`Error::Classes`] if the data set has other classes than the model; where a picture can no longer be read, unless bad files are left
    /// out of the data.
    pub fn evaluate(&self, cpu: &Cpu, dataset: &Dataset) -> Result<Report> {
        self.evaluate_with(cpu, dataset, &|_, _| {})
    }

    /// The same, and tells `progress` how many images of how many are judged.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn evaluate_with(
        &self,
        cpu: &Cpu,
        dataset: &Dataset,
        progress: &dyn Fn(usize, usize),
    ) -> Result<Report> {
        self.check(dataset)?;
        let classes = self.classes().len();
        let mut confusion = vec![vec![0; classes]; classes];
        let mut loss = 0.0;
        let mut bad_files = Vec::new();
        self.logits(
            cpu,
            dataset.len(),
            &mut |indices, images| {
                let bad = dataset.fill(cpu, indices, &self.preparation, images)?;
                let (places, files): (Vec<usize>, Vec<BadFile>) = bad.into_iter().unzip();
                bad_files.extend(files);
                Ok(places)
            },
            &mut |i, logits| {
                let label = dataset.labels()[i];
                let largest = (0..classes)
                    .rev()
                    .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
                    .unwrap_or(0);
                let sum: f64 = logits
                    .iter()
                    .map(|x| f64::from(x - logits[largest]).exp())
                    .sum();
                loss += sum.ln() + f64::from(logits[largest] - logits[label]);
                confusion[label][largest] += 1;
                progress(i + 1, dataset.len());
            },
        )?;
        let correct: usize = (0..classes).map(|c| confusion[c][c]).sum();
        let count = dataset.len() - bad_files.len();
        if let (0, Some(bad)) = (count, bad_files.first()) {
            return Err(Error::Picture {
                path: bad.path.clone(),
                problem: format!("{}; nor can any other be read", bad.problem),
            });
        }
        Ok(Report {
            accuracy: correct as f32 / count.max(1) as f32,
            loss: (loss / count.max(1) as f64) as f32,
            count,
            confusion,
            bad_files,
        })
    }

    /// Whether the model can be judged by these images.
    ///
    /// # Errors
    /// [`Error::Classes`] if they have other classes, [`Error::DataMismatch`] if they have channels that cannot become its own.
    pub(crate) fn check(&self, dataset: &Dataset) -> Result<()> {
        if dataset.classes() != self.classes() {
            return Err(Error::Classes {
                model: self.classes().to_vec(),
                data: dataset.classes().to_vec(),
            });
        }
        self.preparation.check(dataset.shape())
    }

    /// Computes the logits of `count` images: `fill` writes the images of the given indices, `take` gets the logits in order of each that
    /// could be filled.
    pub(crate) fn logits(
        &self,
        cpu: &Cpu,
        count: usize,
        fill: &mut Fill<'_>,
        take: &mut dyn FnMut(usize, &[f32]),
    ) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let graph = self.graph()?;
        let compile = |batch: usize| {
            let settings = PlanSettings {
                precise: self.precise,
                ..PlanSettings::inference(batch)
            };
            Plan::compile(&graph, &self.parameters, cpu, settings)
        };
        // By shapes alone unless memory is short, so that any number of threads takes the same batches; two maps are there at a time.
        let largest = graph.nodes.iter().map(|node| node.shape.len()).max();
        let image = 2 * size_of::<f32>() * largest.unwrap_or(1);
        let mut most = (BATCH_BYTES / image).clamp(1, BATCH).min(count);
        // Both before memory is taken for the first.
        let (mut plan, mut rest) = loop {
            let rest = match count % most {
                0 => Ok(None),
                rest => compile(rest).map(Some),
            };
            match compile(most).and_then(|plan| Ok((plan, rest?))) {
                Err(Error::Memory { .. }) if most > 1 => most = most.div_ceil(2),
                plans => break plans?,
            };
        };
        let mut workspace = Workspace::new(&plan);
        plan.pack(cpu, &self.parameters, &mut workspace);
        let indices: Vec<usize> = (0..count).collect();
        for batch in indices.chunks(most) {
            if plan.batch() != batch.len() {
                plan = rest.take().expect("there is a plan for the last batch");
                workspace.fit(&plan);
                plan.pack(cpu, &self.parameters, &mut workspace);
            }
            let unfilled = fill(batch, workspace.images_mut())?;
            plan.forward(cpu, &self.parameters, &mut workspace, 0);
            let logits = plan.logits(&workspace).chunks(plan.outputs());
            for (place, (i, logits)) in batch.iter().zip(logits).enumerate() {
                if !unfilled.contains(&place) {
                    take(*i, logits);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilson_s() {
        let interval = |correct: usize, count: usize| {
            let report = Report {
                accuracy: correct as f32 / count.max(1) as f32,
                loss: 0.0,
                count,
                confusion: Vec::new(),
                bad_files: Vec::new(),
            };
            report.interval().map(|end| (f64::from(end) * 1e4).round())
        };
        assert_eq!(interval(9939, 10_000), [9922.0, 9952.0]);
        // n / (n + z²), and z² / (n + z²)
        assert_eq!(interval(10, 10), [7225.0, 10_000.0]);
        assert_eq!(interval(0, 1), [0.0, 7935.0]);
        assert_eq!(interval(0, 0), [0.0, 10_000.0]);
    }
}
