//! A model at work: batch after batch through plans that are kept.
use std::ops::Deref;

use hubel_kernels::Cpu;

use crate::data::{BadFile, Dataset, Preparation};
use crate::evaluate::name_of;
use crate::network::Graph;
use crate::{Error, Model, Plan, PlanSettings, Result, Workspace};

/// Writes the images of the given indices as `[n, h, w, c]`. Returns the places in the batch of those that it could not write.
pub(crate) type Fill<'a> = dyn FnMut(&[usize], &mut [f32]) -> Result<Vec<usize>> + 'a;

/// Limits of a batch: images, and bytes of its two largest maps. They are large enough to be fast, and far below the memory of a machine.
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
    /// Lays out the network. Plans are compiled when they are first needed.
    pub(crate) fn new(model: M, cpu: &Cpu) -> Result<Self> {
        let graph = model.graph()?;
        Ok(Self::of_graph(model, cpu, graph))
    }

    /// The same for the beginning of the model's network: its outputs are those of the last node of `graph`, in place of the logits.
    pub(crate) fn of_graph(model: M, cpu: &Cpu, graph: Graph) -> Self {
        // Two maps exist at a time. The batch follows from shapes alone, so that any number of threads takes the same one.
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

    /// The same for the end of the model's network: `fill` writes outputs of node `after` in place of images.
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

    /// Computes the logits of `count` images. `fill` writes images; `take` gets the index and the logits of each image that was written, in order.
    ///
    /// # Errors
    /// Those of `fill` and `take`; [`Error::Memory`] if a single image does not fit.
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
    /// [`Error::NotFinite`]; [`Error::Memory`].
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

    /// Computes the logits of all samples of `dataset`, prepared by `preparation`; `take` gets them in order. Returns the pictures that can no longer be
    /// read, if the data set leaves such pictures out.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; [`Error::Memory`]; the error of a picture that can no longer be read and is not left out; those of `take`.
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

    /// Makes the plan for the next of the images that are `left`, and returns its place. If memory is short, this and all later batches are smaller.
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

/// Refuses NaN and infinite outputs; `image` names the image for the message.
///
/// # Errors
/// [`Error::NotFinite`]
pub(crate) fn check_finite(logits: &[f32], image: impl FnOnce() -> String) -> Result<()> {
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotFinite { image: image() }),
    }
}
