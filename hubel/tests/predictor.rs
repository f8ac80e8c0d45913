//! A predictor in long use: no allocations, no outdated weights, several threads.
use std::sync::Arc;

use allocation_counter::measure;
use hubel::{
    Cpu, Dataset, Model, Network, Parameters, Plan, PlanSettings, Predictor, Preparation, Result,
    Shape, TrainSettings, Trainer, Workspace, softmax,
};

const SHAPE: Shape = Shape::new(12, 10, 3);
const NETWORK: &str =
    "conv(8, padding=1)-batchnorm-relu-pool-conv(16, padding=1)-relu-globalavgpool-linear(classes)";
const CLASSES: usize = 4;

fn model(seed: u64) -> Result<Model> {
    let labels: Vec<usize> = (0..8).map(|i| i % CLASSES).collect();
    let dataset = Dataset::from_arrays(&images(8, 1), SHAPE, &labels)?;
    let classes = dataset.classes().to_vec();
    let preparation = Preparation::measure(&dataset)?;
    Model::untrained(Network::parse(NETWORK)?, classes, preparation, seed)
}

fn images(count: usize, seed: usize) -> Vec<f32> {
    let values = (0..count * SHAPE.len()).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 101.0);
    values.collect()
}

#[test]
fn tensors_are_classified_without_taking_memory_once_their_number_is_known() -> Result<()> {
    let mut predictor = Predictor::new(model(1)?, Cpu::best(2))?.with_batch(6)?;
    let images = images(20, 2);
    let of = |count: usize| &images[..count * SHAPE.len()];
    for count in 1..=20 {
        predictor.predict_tensor(of(count))?;
    }
    for count in [20, 1, 7, 6, 3] {
        let taken = measure(|| {
            let probabilities = predictor.predict_tensor(of(count)).expect("it has before");
            assert_eq!(probabilities.len(), count * CLASSES);
        });
        assert_eq!(taken.count_total, 0, "{count} images");
    }
    assert_eq!(predictor.predict_tensor(&[])?, [0.0; 0]);
    Ok(())
}

#[test]
fn any_number_of_images_has_the_answers_of_each_of_them_alone() -> Result<()> {
    let cpu = Cpu::best(2);
    let model = Arc::new(model(1)?);
    let mut alone = Predictor::new(model.clone(), cpu.clone())?.with_batch(1)?;
    let mut together = Predictor::new(model, cpu.clone())?.with_batch(6)?;
    let images = images(17, 3);
    for count in [1, 5, 6, 11, 17] {
        let images = &images[..count * SHAPE.len()];
        let logits = together.logits(images)?.to_vec();
        let mut probabilities = vec![0.0; logits.len()];
        softmax(&cpu, &logits, CLASSES, &mut probabilities);
        let found = together.predict_tensor(images)?;
        assert_eq!(found, probabilities);
        for (image, found) in images.chunks(SHAPE.len()).zip(found.chunks(CLASSES)) {
            let expected = alone.predict_tensor(image)?;
            let pairs = found.iter().zip(expected);
            assert!(
                pairs
                    .into_iter()
                    .all(|(one, other)| (one - other).abs() < 1e-6)
            );
        }
    }
    Ok(())
}

#[test]
fn predictors_in_several_threads_share_one_model_and_agree() -> Result<()> {
    let model = Arc::new(model(1)?);
    let images = images(9, 4);
    let cpu = Cpu::best(2);
    let expected = Predictor::new(model.clone(), cpu.clone())?
        .predict_tensor(&images)?
        .to_vec();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let mut predictor = Predictor::new(model.clone(), cpu.clone()).expect("it fits");
                let (images, expected) = (&images, &expected);
                scope.spawn(move || {
                    for _ in 0..20 {
                        let found = predictor.predict_tensor(images).expect("it fits");
                        assert_eq!(found, expected);
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .for_each(|worker| worker.join().expect("it agrees"));
    });
    Ok(())
}

#[test]
fn threads_that_share_a_plan_with_a_workspace_each_get_the_same_bits() -> Result<()> {
    let (model, cpu) = (model(1)?, Cpu::best(2));
    let graph = model.network().graph(SHAPE, CLASSES)?;
    let plan = Plan::compile(&graph, model.parameters(), &cpu, PlanSettings::inference(4))?;
    let logits = |seed: usize| {
        let mut workspace = Workspace::new(&plan);
        (0..20).for_each(|_| {
            workspace.images_mut().copy_from_slice(&images(4, seed));
            plan.forward(&cpu, model.parameters(), &mut workspace, 0);
        });
        plan.logits(&workspace).to_vec()
    };
    let expected = [logits(1), logits(2)];
    let found = std::thread::scope(|scope| {
        let workers = [1, 2].map(|seed| scope.spawn(move || logits(seed)));
        workers.map(|worker| worker.join().expect("a run cannot fail"))
    });
    assert_eq!(found, expected);
    Ok(())
}

#[test]
fn weights_that_have_changed_are_packed_without_being_asked() -> Result<()> {
    let cpu = Cpu::best(1);
    let graph = Network::parse(NETWORK)?.graph(SHAPE, CLASSES)?;
    let [mut one, other] = [
        Parameters::initial(&graph, 1)?,
        Parameters::initial(&graph, 2)?,
    ];
    let plan = Plan::compile(&graph, &one, &cpu, PlanSettings::inference(1))?;
    let of = |parameters: &Parameters, workspace: &mut Workspace| {
        workspace.images_mut().copy_from_slice(&images(1, 5));
        plan.forward(&cpu, parameters, workspace, 0);
        plan.logits(workspace).to_vec()
    };
    let afresh = |parameters: &Parameters| of(parameters, &mut Workspace::new(&plan));
    let mut workspace = Workspace::new(&plan);
    assert_eq!(of(&one, &mut workspace), afresh(&one));
    assert_eq!(of(&other, &mut workspace), afresh(&other));
    assert_ne!(afresh(&one), afresh(&other));
    assert_eq!(of(&one, &mut workspace), afresh(&one));
    one.values_mut().copy_from_slice(other.values());
    assert_eq!(of(&one, &mut workspace), afresh(&other));
    workspace.fit(&plan);
    assert_eq!(of(&one, &mut workspace), afresh(&other));
    Ok(())
}

#[test]
fn a_training_loop_of_one_s_own_ends_in_a_model_that_is_saved() -> Result<()> {
    let cpu = Cpu::best(1);
    let untrained = model(1)?;
    let graph = untrained.network().graph(SHAPE, CLASSES)?;
    let mut parameters = untrained.parameters().clone();
    let plan = Plan::compile(&graph, &parameters, &cpu, PlanSettings::training(4))?;
    let mut workspace = Workspace::new(&plan);
    workspace.images_mut().copy_from_slice(&images(4, 6));
    let mut losses = Vec::new();
    for step in 0..8 {
        plan.forward(&cpu, &parameters, &mut workspace, step);
        losses.push(plan.loss(&mut workspace, &[0, 1, 2, 3], 0.0, None).loss);
        plan.backward(&cpu, &parameters, &mut workspace, step);
        plan.update_running_statistics(&mut parameters, &workspace);
        let gradient = workspace.parameter_gradient();
        for (value, gradient) in parameters.values_mut().iter_mut().zip(gradient) {
            *value -= 0.05 * gradient;
        }
    }
    assert!(losses[7] < losses[0], "{losses:?}");
    let trained = untrained.clone().with_parameters(parameters.clone())?;
    let bytes = trained.to_bytes()?;
    assert_eq!(Model::from_bytes(&bytes)?, trained);
    assert_eq!(Model::from_reader(&bytes[..])?, trained);
    let (network, classes) = (trained.network().clone(), trained.classes().to_vec());
    let preparation = trained.preparation().clone();
    assert_eq!(
        Model::new(network, classes, preparation, parameters.clone())?,
        trained
    );

    let other = Network::parse("flatten-linear(classes)")?.graph(SHAPE, CLASSES)?;
    let refused = untrained
        .clone()
        .with_parameters(Parameters::initial(&other, 1)?);
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("not those of this network")
    );
    parameters.values_mut()[0] = f32::NAN;
    let refused = untrained.with_parameters(parameters).unwrap_err();
    assert!(refused.to_string().contains("layer 0"), "{refused}");
    let refused = Model::from_bytes(&bytes[..bytes.len() - 1]).unwrap_err();
    assert!(
        refused.to_string().contains("(given as bytes)"),
        "{refused}"
    );
    Ok(())
}

#[test]
fn the_answers_to_single_images_add_up_to_the_report() -> Result<()> {
    let labels: Vec<usize> = (0..40).map(|i| i * i % CLASSES).collect();
    let dataset = Dataset::from_arrays(&images(40, 7), SHAPE, &labels)?.renamed(&["a", "b"])?;
    let network = Network::parse(NETWORK)?;
    let settings = TrainSettings::default();
    let mut trainer = Trainer::new(Cpu::best(1), network, &dataset, None, settings)?;
    let model = trainer.run(&mut |_| std::ops::ControlFlow::Continue(()))?;
    let mut confusion = vec![vec![0; 2]; 2];
    let (mut loss, mut places) = (0.0, Vec::new());
    let report = model.evaluate_each(&Cpu::best(1), &dataset, &mut |answer| {
        assert_eq!(answer.label, labels[answer.index]);
        assert!((0..2).all(|class| answer.logits[answer.class] >= answer.logits[class]));
        confusion[answer.label][answer.class] += 1;
        loss += answer.loss;
        places.push(answer.index);
    })?;
    assert_eq!(places, (0..40).collect::<Vec<_>>());
    assert_eq!(report.confusion, confusion);
    assert!((f64::from(report.loss) - loss / 40.0).abs() < 1e-6);
    Ok(())
}
