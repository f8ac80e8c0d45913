//! A model at work: batch after batch through plans that are kept.
use std::ops::Deref;

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

/// A model with plans for its batches and their memory. `M` is a reference to the model, or a shared one.
pub(crate) struct Inference<M> {
    model: M,
    cpu: Cpu,
    graph: Graph,
    /// See [`PlanSettings::after`].
    after: usize,
    /// Images of a full batch.
    batch: usize,
    lifetime: Lifetime,
    ready: Vec<Ready>,
    /// The images of the batch at work.
    indices: Vec<usize>,
}

/// How long an inference is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// Once, for a known number of images: the rest after all full batches has a plan of its own, and only the last plan is kept.
    Once,
    /// For numbers of images that are not known: what is left of them is divided into powers of two, and all plans are kept.
    Long,
}

/// A plan with the memory of its runs.
struct Ready {
    plan: Plan,
    workspace: Workspace,
}

impl<M: Deref<Target = Model>> Inference<M> {
    /// Lays out the network; plans are compiled when the first batch comes.
    pub(crate) fn new(model: M, cpu: &Cpu) -> Result<Self> {
        let graph = model.graph()?;
        Ok(Self::of_graph(model, cpu, graph))
    }

    /// The same of the beginning of the model's network: what comes out is the map of the last node of `graph`, and stands for the logits.
    pub(crate) fn of_graph(model: M, cpu: &Cpu, graph: Graph) -> Self {
        // By shapes alone unless memory is short, so that any number of threads takes the same batches; two maps are there at a time.
        let largest = graph.nodes.iter().map(|node| node.shape.len()).max();
        let image = 2 * size_of::<f32>() * largest.unwrap_or(1);
        Self {
            model,
            cpu: cpu.clone(),
            graph,
            after: 0,
            batch: (BATCH_BYTES / image).clamp(1, BATCH),
            lifetime: Lifetime::Once,
            ready: Vec::new(),
            indices: Vec::new(),
        }
    }

    /// The same of the end of the model's network: the output of node `after` is given in place of the images.
    pub(crate) fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }

    /// The same for use again and again: plans of all sizes are kept, so that nothing is compiled or packed twice.
    pub(crate) fn kept(self) -> Self {
        Self {
            lifetime: Lifetime::Long,
            ..self
        }
    }

    /// The same with so many images in a full batch, whose plan is compiled now.
    ///
    /// # Errors
    /// [`Error::Memory`] where it does not fit; [`Error::Settings`] for a batch of 0.
    pub(crate) fn with_batch(mut self, batch: usize) -> Result<Self> {
        let plan = self.compile(batch)?;
        self.batch = batch;
        self.keep(plan);
        Ok(self)
    }

    pub(crate) fn model(&self) -> &M {
        &self.model
    }

    pub(crate) fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// Images of a full batch.
    pub(crate) fn batch(&self) -> usize {
        self.batch
    }

    /// Values of one image's output.
    pub(crate) fn outputs(&self) -> usize {
        self.graph.output().shape.len()
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
            let place = self.prepare(count - done)?;
            let Ready { plan, workspace } = &mut self.ready[place];
            self.indices.clear();
            self.indices.extend(done..done + plan.batch());
            let unfilled = fill(&self.indices, workspace.images_mut())?;
            plan.forward(&self.cpu, &self.model.parameters, workspace, 0);
            let logits = plan.logits(workspace).chunks(plan.outputs());
            for (place, (i, logits)) in self.indices.iter().zip(logits).enumerate() {
                if !unfilled.contains(&place) {
                    take(*i, logits)?;
                }
            }
            done += plan.batch();
        }
        Ok(())
    }

    /// Computes the logits of `count` images `[n, h, w, c]`; `take` gets them in order.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for outputs that are no numbers; where memory does not suffice.
    pub(crate) fn run_on_tensor(
        &mut self,
        count: usize,
        images: &[f32],
        take: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        let length = images.len() / count.max(1);
        self.run(
            count,
            &mut |indices, batch| {
                batch.copy_from_slice(&images[indices[0] * length..][..batch.len()]);
                Ok(Vec::new())
            },
            &mut |i, logits| {
                check_finite(logits, || format!("image {i}"))?;
                take(logits);
                Ok(())
            },
        )
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
        let cpu = self.cpu.clone();
        let mut bad_files = Vec::new();
        self.run(
            dataset.len(),
            &mut |indices, images| {
                let bad = dataset.fill(&cpu, indices, preparation, images)?;
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

    /// The place of the plan for the next batch of the images that are `left`. Where memory is short, it is one for fewer, then and later.
    fn prepare(&mut self, left: usize) -> Result<usize> {
        loop {
            let images = self.next_batch(left);
            let place = (self.ready.iter()).position(|ready| ready.plan.batch() == images);
            if let Some(place) = place {
                return Ok(place);
            }
            if self.lifetime == Lifetime::Once {
                // Its memory is free for the next one.
                self.ready.clear();
            }
            match self.compile(images) {
                Ok(plan) => return Ok(self.keep(plan)),
                Err(Error::Memory { .. }) if !self.ready.is_empty() => self.ready.clear(),
                Err(Error::Memory { .. }) if images > 1 => self.batch = images.div_ceil(2),
                Err(error) => return Err(error),
            }
        }
    }

    /// How many of the images that are `left` are computed next.
    fn next_batch(&self, left: usize) -> usize {
        match self.lifetime {
            _ if left >= self.batch => self.batch,
            Lifetime::Once => left,
            Lifetime::Long => 1 << left.ilog2(),
        }
    }

    fn compile(&self, batch: usize) -> Result<Plan> {
        let settings = PlanSettings {
            precise: self.model.precise,
            after: self.after,
            ..PlanSettings::inference(batch)
        };
        Plan::compile(&self.graph, &self.model.parameters, &self.cpu, settings)
    }

    /// Takes the memory of a plan, packs its weights, and returns its place.
    fn keep(&mut self, plan: Plan) -> usize {
        let mut workspace = Workspace::new(&plan);
        plan.pack(&self.cpu, &self.model.parameters, &mut workspace);
        self.ready.push(Ready { plan, workspace });
        self.ready.len() - 1
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
