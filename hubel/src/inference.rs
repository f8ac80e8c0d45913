//! Runs a model on many images, batch by batch, and keeps its plans.
use std::ops::Deref;

use hubel_kernels::Cpu;

use crate::data::{BadFile, Dataset, Preparation};
use crate::network::Graph;
use crate::{Error, Model, Plan, PlanSettings, Result, Workspace};

/// Writes the images of the given indices as `[n, h, w, c]`. Returns the positions in the batch of the images that it could not write.
pub(crate) type Fill<'a> = dyn FnMut(&[usize], &mut [f32]) -> Result<Vec<usize>> + 'a;

/// Limits of a batch: its images, and the bytes of its two largest maps. They are large enough to be fast, and far below a machine's memory.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 500 << 20;

/// A model with the plans of its batches and their memory. `M` is a reference to the model, or an [`Arc`](std::sync::Arc).
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
    /// The images of the current batch.
    indices: Vec<usize>,
}

/// Which plans are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// For one run: a last, smaller batch gets its own plan, and only the latest plan is kept.
    Once,
    /// For many runs with unknown numbers of images: all plans are kept, so smaller batches are powers of two; some have room for up to a third more
    /// images than there are.
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

    /// The same for the first layers of the network: returns the outputs of the last node of `graph` instead of the logits.
    pub(crate) fn of_graph(model: M, cpu: &Cpu, graph: Graph) -> Self {
        // Two maps exist at a time. The batch size depends only on shapes, not on the number of threads.
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

    /// The same for the last layers of the network: `fill` writes outputs of node `after` instead of images.
    pub(crate) fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }

    /// The same for repeated use: keeps the plans of all batch sizes, so that none is compiled or packed twice.
    pub(crate) fn kept(self) -> Self {
        Self {
            lifetime: Lifetime::Long,
            ..self
        }
    }

    /// The same with `batch` images in a full batch, whose plan is compiled now.
    ///
    /// # Errors
    /// [`Error::Memory`] if it does not fit; [`Error::Settings`] for a batch of 0.
    pub(crate) fn with_batch(mut self, batch: usize) -> Result<Self> {
        self.ready.clear();
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

    /// Number of values in the output for one image.
    pub(crate) fn outputs(&self) -> usize {
        self.graph.output().shape.len()
    }

    /// Computes the logits of `count` images. `fill` writes images; `take` gets the index and the logits of each written image, in order.
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
            self.indices.extend(done..count.min(done + plan.batch()));
            let images = &mut workspace.images_mut()[..self.indices.len() * plan.input().len()];
            let unfilled = fill(&self.indices, images)?;
            plan.forward(&self.cpu, &self.model.parameters, workspace, 0);
            let logits = plan.logits(workspace).chunks(plan.outputs());
            for (place, (i, logits)) in self.indices.iter().zip(logits).enumerate() {
                if !unfilled.contains(&place) {
                    take(*i, logits)?;
                }
            }
            done += self.indices.len();
        }
        Ok(())
    }

    /// Computes the logits of `count` images `[n, h, w, c]`; `take` gets their indices and logits, in order.
    ///
    /// # Errors
    /// Those of `take`; [`Error::Memory`].
    pub(crate) fn run_on_tensor(
        &mut self,
        count: usize,
        images: &[f32],
        take: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let length = images.len() / count.max(1);
        let fill = &mut |indices: &[usize], batch: &mut [f32]| {
            batch.copy_from_slice(&images[indices[0] * length..][..batch.len()]);
            Ok(Vec::new())
        };
        self.run(count, fill, take)
    }

    /// Computes the logits of all samples of `dataset`, prepared by `preparation`; `take` gets them in order. If the data's policy leaves out bad
    /// files, returns the pictures that can no longer be read.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; [`Error::Memory`]; that of a picture that can no longer be read, if the policy is another; those of `take`.
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
                check_finite(logits, || dataset.name_of(index))?;
                take(index, logits)
            },
        )?;
        Ok(bad_files)
    }

    /// Returns the index of the plan for the next batch; compiles it if needed. `left` images remain. If memory is short, this and all later
    /// batches are smaller.
    fn prepare(&mut self, left: usize) -> Result<usize> {
        loop {
            let images = self.next_batch(left);
            let place = (self.ready.iter()).position(|ready| ready.plan.batch() == images);
            if let Some(place) = place {
                return Ok(place);
            }
            if self.lifetime == Lifetime::Once {
                // Frees memory for the next plan.
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

    /// The size of the next batch if `left` images remain.
    fn next_batch(&self, left: usize) -> usize {
        if left >= self.batch {
            return self.batch;
        }
        match self.lifetime {
            Lifetime::Once => left,
            Lifetime::Long => {
                let larger = left.next_power_of_two().min(self.batch);
                match 4 * left >= 3 * larger {
                    true => larger,
                    false => 1 << left.ilog2(),
                }
            }
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

    /// Allocates the memory of a plan, packs its weights, and returns its index.
    fn keep(&mut self, plan: Plan) -> usize {
        let mut workspace = Workspace::new(&plan);
        plan.pack(&self.cpu, &self.model.parameters, &mut workspace);
        self.ready.push(Ready { plan, workspace });
        self.ready.len() - 1
    }
}

/// Refuses NaN and infinite outputs; `image` is the name for the message.
///
/// # Errors
/// [`Error::NotFinite`]
pub(crate) fn check_finite(logits: &[f32], image: impl FnOnce() -> String) -> Result<()> {
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotFinite { image: image() }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Network, Shape};

    #[test]
    fn smaller_batches_are_few_and_have_little_empty_room() {
        let preparation = Preparation::unmeasured(Shape::new(4, 4, 1), Default::default());
        let network = Network::parse("flatten-linear(classes)").unwrap();
        let classes = vec!["cat".into(), "dog".into()];
        let model = Model::untrained(network, classes, preparation, 1).unwrap();
        for (batch, most_sizes) in [(1, 1), (6, 4), (64, 7)] {
            let inference = Inference::new(&model, &Cpu::best(1)).unwrap().kept();
            let inference = inference.with_batch(batch).unwrap();
            let mut sizes = BTreeSet::new();
            for count in 1..=3 * batch {
                let (mut left, mut room) = (count, 0);
                while left > 0 {
                    let size = inference.next_batch(left);
                    sizes.insert(size);
                    room += size;
                    left = left.saturating_sub(size);
                }
                assert!(3 * room <= 4 * count, "{room} for {count}");
            }
            assert!(sizes.len() <= most_sizes, "{sizes:?}");
        }
    }
}
