//! A model at work: batch after batch through one plan that is kept.
use hubel_kernels::Cpu;

use crate::data::{BadFile, Dataset, Preparation};
use crate::evaluate::name_of;
use crate::network::Graph;
use crate::{Error, Model, Plan, PlanSettings, Result, Workspace};

/// Writes the images of the given indices, `[n, h, w, c]`, and returns the places among them that could not be filled.
pub(crate) type Fill<'a> = dyn FnMut(&[usize], &mut [f32]) -> Result<Vec<usize>> + 'a;

/// The most images of a batch, and the most memory for two maps of them: enough to be fast, and far below what a machine has.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 500 << 20;

/// A model with the plan and the memory of its last batch.
pub(crate) struct Inference<'a> {
    model: &'a Model,
    cpu: &'a Cpu,
    graph: Graph,
    /// See [`PlanSettings::after`].
    after: usize,
    /// Images of a full batch.
    batch: usize,
    ready: Option<(Plan, Workspace)>,
}

impl<'a> Inference<'a> {
    /// Lays out the network; plans are compiled when the first batch comes.
    pub(crate) fn new(model: &'a Model, cpu: &'a Cpu) -> Result<Self> {
        Ok(Self::of_graph(model, cpu, model.graph()?))
    }

    /// The same of the beginning of the model's network: what comes out is the map of the last node of `graph`, and stands for the logits.
    pub(crate) fn of_graph(model: &'a Model, cpu: &'a Cpu, graph: Graph) -> Self {
        // By shapes alone unless memory is short, so that any number of threads takes the same batches; two maps are there at a time.
        let largest = graph.nodes.iter().map(|node| node.shape.len()).max();
        let image = 2 * size_of::<f32>() * largest.unwrap_or(1);
        Self {
            model,
            cpu,
            graph,
            after: 0,
            batch: (BATCH_BYTES / image).clamp(1, BATCH),
            ready: None,
        }
    }

    /// The same of the end of the model's network: the output of node `after` is given in place of the images.
    pub(crate) fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }

    pub(crate) fn model(&self) -> &'a Model {
        self.model
    }

    pub(crate) fn cpu(&self) -> &'a Cpu {
        self.cpu
    }

    /// Images of a full batch.
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Computes the logits of `count` images: `fill` writes the images of the given indices, `take` gets the logits in order of each that
    /// could be filled.
    ///
    /// # Errors
    /// Those of `fill` and `take`, and where memory does not suffice for a single image.
    pub(crate) fn run(
        &mut self,
        count: usize,
        fill: &mut Fill<'_>,
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let mut done = 0;
        while done < count {
            let (cpu, parameters) = (self.cpu, &self.model.parameters);
            let (plan, workspace) = self.prepared(self.batch.min(count - done))?;
            let batch: Vec<usize> = (done..done + plan.batch()).collect();
            let unfilled = fill(&batch, workspace.images_mut())?;
            plan.forward(cpu, parameters, workspace, 0);
            let logits = plan.logits(workspace).chunks(plan.outputs());
            for (place, (i, logits)) in batch.iter().zip(logits).enumerate() {
                if !unfilled.contains(&place) {
                    take(*i, logits)?;
                }
            }
            done += batch.len();
        }
        Ok(())
    }

    /// Computes the logits of all samples of `dataset`, brought through `preparation` to what is given to the network; `take` gets them in order. Pictures
    /// that can no longer be read, and may be left out, are returned.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for outputs that are no numbers; where a picture can no longer be read; those of `take`; where memory does not suffice.
    pub(crate) fn run_on_dataset(
        &mut self,
        dataset: &Dataset,
        preparation: &Preparation,
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<Vec<BadFile>> {
        let cpu = self.cpu;
        let mut bad_files = Vec::new();
        self.run(
            dataset.len(),
            &mut |indices, images| {
                let bad = dataset.fill(cpu, indices, preparation, images)?;
                let (places, files): (Vec<usize>, Vec<BadFile>) = bad.into_iter().unzip();
                bad_files.extend(files);
                Ok(places)
            },
            &mut |index, logits| {
                check_finite(logits, || name_of(dataset, index))?;
                take(index, logits)
            },
        )?;
        Ok(bad_files)
    }

    /// The plan for `wanted` images with its memory and packed weights; for fewer, then and later, where memory is short.
    fn prepared(&mut self, wanted: usize) -> Result<(&Plan, &mut Workspace)> {
        let is_ready = (self.ready.as_ref()).is_some_and(|(plan, _)| plan.batch() == wanted);
        if !is_ready {
            // Its memory is free for the next one.
            self.ready = None;
            let plan = self.compile(wanted)?;
            let mut workspace = Workspace::new(&plan);
            plan.pack(self.cpu, &self.model.parameters, &mut workspace);
            self.ready = Some((plan, workspace));
        }
        let (plan, workspace) = self.ready.as_mut().expect("it was just made");
        Ok((plan, workspace))
    }

    fn compile(&mut self, mut batch: usize) -> Result<Plan> {
        loop {
            let settings = PlanSettings {
                precise: self.model.precise,
                after: self.after,
                ..PlanSettings::inference(batch)
            };
            match Plan::compile(&self.graph, &self.model.parameters, self.cpu, settings) {
                Err(Error::Memory { .. }) if batch > 1 => {
                    batch = batch.div_ceil(2);
                    self.batch = batch;
                }
                plan => return plan,
            }
        }
    }
}

/// Refuses outputs from which no answer follows; `image` names what they are of.
///
/// # Errors
/// [`Error::NotFinite`]
pub(crate) fn check_finite(logits: &[f32], image: impl FnOnce() -> String) -> Result<()> {
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotFinite { image: image() }),
    }
}
