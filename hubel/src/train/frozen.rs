//! Frozen layers at the start of a network. Their outputs, the features, are the training data of the other layers.
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use hubel_kernels::Cpu;

use crate::data::loader;
use crate::data::{Augmentation, Balance, Dataset, Feed, FeedSettings, Preparation, Resize};
use crate::inference::{Inference, check_finite};
use crate::train::{Event, TrainSettings, tell};
use crate::{Model, Parameters, Plan, PlanSettings, Result, Shape, Workspace};

/// The first layers of a model, up to a given one.
pub(super) struct Frozen<'a> {
    pub(super) cpu: &'a Cpu,
    pub(super) model: &'a Model,
    /// The last frozen node; all later layers depend only on its output.
    pub(super) after: usize,
}

impl Frozen<'_> {
    /// The shape of their output for a picture.
    pub(super) fn shape(&self) -> Result<Shape> {
        Ok(self.model.graph()?.nodes[self.after].shape)
    }

    /// The features of all samples of `dataset`: first of the original samples, then of `versions` − 1 augmented versions of each, according to
    /// `settings`. `None` if `listen` stops it. Pictures that can no longer be read are left out, if the policy allows it.
    ///
    /// # Errors
    /// If pictures can no longer be read, or memory is short; [`Error::NotFinite`].
    pub(super) fn features(
        &self,
        dataset: &Dataset,
        versions: usize,
        settings: &TrainSettings,
        listen: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Option<Dataset>> {
        let graph = self.model.graph()?.up_to(self.after);
        let shape = graph.output().shape;
        let mut inference = Inference::of_graph(self.model, self.cpu, graph);
        let (length, count) = (shape.len(), dataset.len());
        let feed = Feed::new(
            dataset.clone(),
            self.model.preparation().clone(),
            FeedSettings {
                augmentation: match versions {
                    1 => Augmentation::none(),
                    _ => settings.augmentation.clone(),
                },
                balance: Balance::None,
                batch_size: inference.batch(),
                seed: settings.seed,
            },
        )?;
        let all = versions * count;
        let mut features = vec![0.0; all * length];
        let mut is_there = vec![false; all];
        let (mut done, start, mut is_stopped) = (0, Instant::now(), false);
        loader::batches(&Arc::new(feed), 0..versions, self.cpu.threads(), |batch| {
            is_stopped |= tell(&batch.bad_files, listen);
            let row = |place: usize| batch.epoch * count + batch.draws[place];
            inference.run_on_tensor(batch.draws.len(), &batch.images, &mut |place, map| {
                check_finite(map, || dataset.name_of(batch.draws[place]))?;
                features[row(place) * length..][..length].copy_from_slice(map);
                is_there[row(place)] = true;
                Ok(())
            })?;
            done += batch.draws.len();
            let seconds = start.elapsed().as_secs_f64();
            is_stopped |= listen(&Event::Features {
                done,
                all,
                seconds_left: seconds * (all - done) as f64 / done as f64,
            })
            .is_break();
            Ok(match is_stopped {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        let labels = (0..all).map(|row| dataset.labels()[row % count]).collect();
        let name = dataset.name();
        let features = Dataset::of_floats(name, dataset.classes(), shape, features, labels)?;
        let features = features.with_targets_of(dataset);
        let rows: Vec<usize> = (0..all).filter(|row| is_there[*row]).collect();
        Ok((!is_stopped).then(|| features.subset(&rows)))
    }
}

/// The preparation of features for the layers after them: none.
pub(super) fn preparation(shape: Shape) -> Preparation {
    Preparation::unmeasured(shape, Resize::Stretch)
}

/// Runs the frozen layers in each step, if the features do not fit into memory.
pub(super) struct Ahead {
    /// Plans for the batch sizes of training.
    plans: Vec<Plan>,
    /// Fits one of the plans, with its packed weights.
    workspace: Workspace,
}

impl Ahead {
    /// Compiles plans for the output of node `last`, for these batch sizes.
    ///
    /// # Errors
    /// [`Error::Memory`]
    pub(super) fn new(cpu: &Cpu, model: &Model, last: usize, batches: &[usize]) -> Result<Self> {
        let graph = model.graph()?.up_to(last);
        let plans = batches.iter().map(|&batch| {
            let settings = PlanSettings {
                precise: model.precise,
                ..PlanSettings::inference(batch)
            };
            Plan::compile(&graph, &model.parameters, cpu, settings)
        });
        Ok(Self {
            plans: plans.collect::<Result<_>>()?,
            workspace: Workspace::default(),
        })
    }

    /// The most bytes it needs.
    pub(super) fn bytes(&self) -> usize {
        self.plans.iter().map(Plan::bytes).max().unwrap_or(0)
    }

    /// The features of `count` images.
    ///
    /// # Errors
    /// [`Error::NotFinite`]
    pub(super) fn compute(
        &mut self,
        cpu: &Cpu,
        parameters: &Parameters,
        images: &[f32],
        count: usize,
    ) -> Result<&[f32]> {
        let plan = (self.plans.iter()).find(|plan| plan.batch() == count);
        let plan = plan.expect("there is a plan for each size of a batch");
        if !self.workspace.fits(plan) {
            self.workspace.fit(plan);
            plan.pack(cpu, parameters, &mut self.workspace);
        }
        self.workspace.images_mut().copy_from_slice(images);
        // The frozen weights do not change, so they stay packed.
        plan.forward_watched(cpu, parameters, &mut self.workspace, 0, &mut |_, _| {});
        let features = plan.logits(&self.workspace);
        check_finite(features, || "an example of a step".into())?;
        Ok(features)
    }
}
