//! Each sign is planted, and healthy networks show none.
use std::ops::ControlFlow;

use hubel_kernels::Cpu;

use super::*;
use crate::network::Role;
use crate::{
    Dataset, Model, Network, Optimizer, Parameters, Preparation, Purpose, Random, Shape,
    TrainSettings,
};

const SHAPE: Shape = Shape::new(8, 8, 1);

const CLASSES: usize = 4;

/// Usual for these pictures, and quick.
const SMALL: &str = "conv(8, padding=1)-relu-conv(8, padding=1)-relu-maxpool(2)-flatten-linear(32)-relu-linear(classes)";

fn noise(picture: usize) -> crate::Stream {
    Random::new(7).stream(Purpose::Experiment, 0, picture as u64)
}

/// Values of pictures with a light quarter, which is the class, and noise; from 0 to `white`.
fn quarters(count: usize, white: f32) -> Vec<f32> {
    let picture = |picture: usize| {
        let mut noise = noise(picture);
        (0..SHAPE.len()).map(move |place| {
            let (y, x) = (place / 8, place % 8);
            let is_light = 2 * (y / 4) + x / 4 == picture % CLASSES;
            let level = if is_light { 0.6 } else { 0.3 } + 0.1 * noise.normal();
            white * level.clamp(0.0, 1.0)
        })
    };
    (0..count).flat_map(picture).collect()
}

/// A data set of these values. If `are_shuffled`, the labels have nothing to do with them.
fn dataset_of(values: &[f32], are_shuffled: bool) -> Dataset {
    let count = values.len() / SHAPE.len();
    let mut labels: Vec<usize> = (0..count).map(|picture| picture % CLASSES).collect();
    if are_shuffled {
        noise(usize::MAX).shuffle(&mut labels);
    }
    Dataset::from_arrays(values, SHAPE, &labels).expect("they fit")
}

fn dataset(count: usize) -> Dataset {
    dataset_of(&quarters(count, 1.0), false)
}

fn usual(optimizer: Optimizer) -> TrainSettings {
    let usual = TrainSettings::default();
    TrainSettings {
        learning_rate: optimizer.usual_learning_rate(usual.learning_rate),
        weight_decay: optimizer.usual_weight_decay(usual.weight_decay),
        optimizer,
        batch_size: 32,
        ..usual
    }
}

fn trainer(network: &str, dataset: &Dataset, settings: TrainSettings) -> Trainer {
    let network = Network::resolve(network).expect("a network");
    Trainer::new(Cpu::best(2), network, dataset, None, settings).expect("it fits")
}

/// A training that starts from weights that were changed.
fn changed(network: &str, dataset: &Dataset, change: impl Fn(&mut Parameters)) -> Trainer {
    let network = Network::parse(network).expect("a network");
    let preparation = Preparation::measure(dataset).expect("arrays");
    let mut model =
        Model::untrained(network, dataset.classes().to_vec(), preparation, 1).expect("it fits");
    change(&mut model.parameters);
    let settings = usual(Optimizer::adam_w());
    Trainer::from_model(Cpu::best(2), model, dataset, None, settings).expect("it fits")
}

/// Changes the tensors of a layer that have this role; of all layers without a name.
fn change(parameters: &mut Parameters, layer: &str, role: Role, to: impl Fn(&mut f32)) {
    for entry in parameters.entries().to_vec() {
        let is_of_layer = entry.name.starts_with(&format!("{layer}."));
        if entry.role == role && (layer.is_empty() || is_of_layer) {
            parameters.values_mut()[entry.range]
                .iter_mut()
                .for_each(&to);
        }
    }
}

fn bias_of_minus_100(parameters: &mut Parameters) {
    change(parameters, "0", Role::Bias, |bias| *bias = -100.0);
}

fn weights_times_10(parameters: &mut Parameters) {
    change(parameters, "", Role::Weight, |weight| *weight *= 10.0);
}

fn examined(trainer: &Trainer) -> Diagnosis {
    examine(trainer, &mut |_, _| ControlFlow::Continue(()))
        .expect("it succeeds")
        .expect("nobody breaks it off")
}

fn names(signs: &[Sign]) -> Vec<&'static str> {
    signs.iter().map(Sign::name).collect()
}

/// The signs that a watch tells, for a training to its end or until it diverges.
fn watched(trainer: &mut Trainer) -> Vec<Sign> {
    watched_to_its_end(trainer).0
}

/// The same, and whether the training came to its end.
fn watched_to_its_end(trainer: &mut Trainer) -> (Vec<Sign>, bool) {
    let mut watch = Watch::new(trainer).expect("arrays");
    let mut signs = Vec::new();
    let run = trainer.run(&mut |event| {
        signs.extend(watch.see(event));
        ControlFlow::Continue(())
    });
    (signs, run.is_ok())
}

#[track_caller]
fn assert_healthy(trainer: &Trainer) {
    let diagnosis = examined(trainer);
    assert_eq!(diagnosis.signs, [], "{diagnosis:#?}");
    assert!(diagnosis.by_heart.success().is_some());
}

#[test]
#[cfg(feature = "mnist")]
fn networks_of_the_zoo_on_digits_show_no_sign_at_their_usual_rates() {
    let mnist = crate::data::mnist().expect("it is part of the library");
    let digits = mnist.train.subset(&(0..2000).collect::<Vec<_>>());
    for (network, optimizer) in [
        ("lenet5", Optimizer::adam_w()),
        ("lenet5", Optimizer::sgd()),
        ("lenet5", Optimizer::muon()),
        ("mlp", Optimizer::adam_w()),
        ("mlp", Optimizer::sgd()),
        // One batch alone would ask for a smaller rate; with the schedule, this one is right.
        ("mnist-cnn", Optimizer::sgd()),
    ] {
        let trainer = trainer(network, &digits, usual(optimizer));
        let diagnosis = examined(&trainer);
        assert_eq!(diagnosis.signs, [], "{network} {optimizer}");
        let labels = diagnosis.labels.expect("enough pictures");
        assert!(labels.correct * 10 > labels.images * 8, "{labels:?}");
        assert_eq!(labels.is_chance(), Some(false));
    }
    let watched_at = |learning_rate| {
        let settings = TrainSettings {
            epochs: 4,
            learning_rate,
            ..usual(Optimizer::adam_w())
        };
        watched(&mut trainer("lenet5", &digits, settings))
    };
    assert_eq!(watched_at(0.002), []);
    let told = watched_at(2.0);
    assert!(names(&told).contains(&"rate-too-high"), "{told:#?}");
}

#[test]
fn healthy_relatives_show_no_sign() {
    let dataset = dataset(400);
    for network in [
        SMALL,
        // Batch norm, another activation, dropout, none of the activations that can be silent, a single layer.
        "conv(8, padding=1, bias=false)-batchnorm-relu-conv(8, padding=1, bias=false)-batchnorm-relu-maxpool(4)-flatten-linear(classes)",
        "conv(8, padding=1)-silu-maxpool(2)-dropout(0.3)-flatten-linear(32)-tanh-linear(classes)",
        "conv(8, padding=1)-leakyrelu-maxpool(2)-flatten-linear(classes)",
        "[residual[conv(8, padding=1)-batchnorm-relu-conv(8, padding=1)-batchnorm | conv(8, kernel=1)]-relu]x3-maxpool(4)-flatten-linear(classes)",
        "flatten-linear(classes)",
    ] {
        for optimizer in [Optimizer::adam_w(), Optimizer::sgd()] {
            let diagnosis = examined(&trainer(network, &dataset, usual(optimizer)));
            assert_eq!(diagnosis.signs, [], "{network} {optimizer}: {diagnosis:#?}");
        }
    }
    // Fewer pictures than a batch: the labels are not judged by so few.
    let few = examined(&trainer(
        SMALL,
        &self::dataset(12),
        usual(Optimizer::adam_w()),
    ));
    assert_eq!((few.signs.len(), few.by_heart.images), (0, 12), "{few:#?}");
}

#[test]
fn pictures_of_one_class_have_nothing_to_confuse() {
    let pixels = quarters(64, 255.0).into_iter().map(|value| value as u8);
    let classes = ["cat", "dog"].map(String::from).to_vec();
    let dataset = Dataset::from_bytes("one", classes, SHAPE, pixels.collect(), vec![1; 64])
        .expect("they fit");
    let diagnosis = examined(&trainer(SMALL, &dataset, usual(Optimizer::adam_w())));
    assert_eq!(diagnosis.signs, [], "{diagnosis:#?}");
    assert_eq!((diagnosis.labels, diagnosis.by_heart.classes), (None, 1));
}

#[test]
fn dead_relus_are_found_with_their_layer_and_leaky_ones_live() {
    let dataset = dataset(400);
    let dead = changed(SMALL, &dataset, bias_of_minus_100);
    let diagnosis = examined(&dead);
    let Sign::DeadRelu {
        layer, dead, units, ..
    } = &diagnosis.signs[0]
    else {
        panic!("{diagnosis:#?}");
    };
    assert_eq!((layer.as_str(), *dead, *units), ("1", 8, 8));
    // The gradient that the dead units stop is not told as another problem.
    assert!(!names(&diagnosis.signs).contains(&"vanishing-gradient"));
    let relu = |layer: &str| {
        let layers = diagnosis.layers.iter();
        layers
            .filter(|vitals| vitals.layer == layer)
            .find_map(LayerVitals::dead_share)
    };
    assert_eq!(relu("1"), Some(1.0));
    assert_healthy(&trainer(
        &SMALL.replace("relu", "leakyrelu"),
        &dataset,
        usual(Optimizer::adam_w()),
    ));
}

#[test]
fn relu6_that_stays_at_its_limit_is_dead_too() {
    let network = SMALL.replace("relu", "relu6");
    let above = |parameters: &mut Parameters| {
        change(parameters, "0", Role::Bias, |bias| *bias = 100.0);
    };
    let diagnosis = examined(&changed(&network, &dataset(400), above));
    assert_eq!(names(&diagnosis.signs)[0], "dead-relu", "{diagnosis:#?}");
}

#[test]
fn input_that_is_not_scaled_is_found_and_a_new_network_measures_it() {
    let dataset = dataset_of(&quarters(400, 255.0), false);
    let network = Network::parse(SMALL).expect("a network");
    let preparation = Preparation::unmeasured(SHAPE, Default::default());
    let model =
        Model::untrained(network, dataset.classes().to_vec(), preparation, 1).expect("it fits");
    let settings = usual(Optimizer::adam_w());
    let trainer_of_model =
        Trainer::from_model(Cpu::best(2), model, &dataset, None, settings.clone())
            .expect("it fits");
    let diagnosis = examined(&trainer_of_model);
    assert!(
        matches!(diagnosis.signs[0], Sign::UnscaledInput { channel: 0, mean, .. } if mean > 50.0),
        "{diagnosis:#?}"
    );
    assert_healthy(&trainer(SMALL, &dataset, settings));
}

#[test]
fn pictures_of_one_colour_are_named_as_such_and_not_their_normalisation() {
    let grey = dataset_of(&vec![0.5; 80 * SHAPE.len()], false);
    let watch = Watch::new(&trainer(SMALL, &grey, usual(Optimizer::adam_w())));
    let sign = watch.expect("arrays").first.swap_remove(0);
    assert!(
        matches!(
            sign,
            Sign::UnscaledInput {
                is_one_colour: true,
                ..
            }
        ),
        "{sign}"
    );
    assert!(sign.advice().contains("data::Sheet"), "{sign}");

    // Faint for a model that expects other values, but not all equal.
    let faint = dataset_of(&quarters(400, 0.01), false);
    let network = Network::parse(SMALL).expect("a network");
    let preparation = Preparation::unmeasured(SHAPE, Default::default());
    let model =
        Model::untrained(network, faint.classes().to_vec(), preparation, 1).expect("it fits");
    let settings = usual(Optimizer::adam_w());
    let of_model =
        Trainer::from_model(Cpu::best(2), model, &faint, None, settings).expect("it fits");
    let watch = Watch::new(&of_model);
    let sign = watch.expect("arrays").first.swap_remove(0);
    assert!(
        matches!(
            sign,
            Sign::UnscaledInput {
                is_one_colour: false,
                ..
            }
        ),
        "{sign}"
    );
}

#[test]
fn twenty_sigmoids_let_the_gradient_vanish_and_relus_do_not() {
    let dataset = dataset(400);
    let network = "flatten-[linear(32)-sigmoid]x20-linear(classes)";
    let diagnosis = examined(&trainer(network, &dataset, usual(Optimizer::adam_w())));
    let Sign::VanishingGradient {
        layer,
        share,
        activation,
        ..
    } = &diagnosis.signs[0]
    else {
        panic!("{diagnosis:#?}");
    };
    // One of the first layers: they are farthest from the loss.
    let mut first = diagnosis.layers[..3].iter().map(|layer| &layer.layer);
    assert!(first.any(|first| first == layer), "{layer}");
    assert_eq!(*activation, Some("sigmoid"));
    assert!(*share < 1e-9, "{share}");
    assert!(names(&diagnosis.signs).contains(&"not-by-heart"));
    let with_relu = network.replace("sigmoid", "relu");
    assert_healthy(&trainer(&with_relu, &dataset, usual(Optimizer::adam_w())));
}

#[test]
fn gradients_that_explode_are_found_and_batch_norm_helps() {
    let dataset = dataset(400);
    for network in [
        SMALL,
        "flatten-linear(32)-relu-linear(32)-relu-linear(classes)",
    ] {
        let diagnosis = examined(&changed(network, &dataset, weights_times_10));
        let Sign::ExplodingGradient { norm, .. } = &diagnosis.signs[0] else {
            panic!("{diagnosis:#?}");
        };
        assert!(*norm > 100.0, "{norm}");
    }
    // Each block makes the values larger by half.
    let network = "flatten-linear(16)-[residual[linear(16)-relu-linear(16)]]x40-linear(classes)";
    let diagnosis = examined(&trainer(network, &dataset, usual(Optimizer::adam_w())));
    let first = diagnosis.signs.first().map(Sign::name);
    assert_eq!(first, Some("exploding-gradient"), "{diagnosis:#?}");
    let advice = diagnosis.signs[0].advice();
    assert!(advice.contains("`batchnorm`"), "{advice}");
    let network = network.replace("linear(16)", "linear(16)-batchnorm");
    assert_healthy(&trainer(&network, &dataset, usual(Optimizer::adam_w())));
}

#[test]
fn a_rate_a_thousand_times_too_high_or_too_low_is_found_and_the_one_that_works_trains() {
    let dataset = dataset(400);
    // With batch norm, AdamW trains these pictures even at a thousand times its usual rate.
    let with_batch_norm = "conv(8, padding=1)-batchnorm-relu-maxpool(4)-flatten-linear(classes)";
    for (network, optimizer, factors) in [
        (SMALL, Optimizer::adam_w(), &[1e3, 1e-3][..]),
        (SMALL, Optimizer::sgd(), &[1e3, 1e-3]),
        (with_batch_norm, Optimizer::sgd(), &[1e3]),
    ] {
        for &factor in factors {
            let name = match factor > 1.0 {
                true => "rate-too-high",
                false => "rate-too-low",
            };
            let settings = usual(optimizer);
            let rate = factor * settings.learning_rate;
            let settings = |learning_rate| TrainSettings {
                learning_rate,
                ..settings.clone()
            };
            let diagnosis = examined(&trainer(network, &dataset, settings(rate)));
            let case = format!("{network} {optimizer} {factor}: {diagnosis:#?}");
            assert_eq!(names(&diagnosis.signs), [name], "{case}");
            let works = match &diagnosis.signs[0] {
                Sign::RateTooHigh { works, .. } | Sign::RateTooLow { works, .. } => *works,
                _ => None,
            };
            let works = works.expect("a rate");
            assert_eq!(works < rate, factor > 1.0, "{case}");
            assert_healthy(&trainer(network, &dataset, settings(works)));
        }
    }
}

#[test]
fn shuffled_labels_are_the_only_sign_of_a_healthy_network() {
    let shuffled = dataset_of(&quarters(1200, 1.0), true);
    for optimizer in [Optimizer::adam_w(), Optimizer::sgd()] {
        let diagnosis = examined(&trainer(SMALL, &shuffled, usual(optimizer)));
        assert_eq!(
            names(&diagnosis.signs),
            ["shuffled-labels"],
            "{diagnosis:#?}"
        );
        let labels = diagnosis.labels.expect("enough pictures");
        assert_eq!(labels.is_chance(), Some(true));
        assert!(diagnosis.by_heart.first().is_learned);
    }
}

#[test]
fn a_network_that_cannot_see_the_difference_learns_no_batch() {
    let dataset = dataset(400);
    // The mean of all pixels is the same for all classes.
    let blind = "globalavgpool-linear(classes)";
    let diagnosis = examined(&trainer(blind, &dataset, usual(Optimizer::adam_w())));
    assert!(
        names(&diagnosis.signs).contains(&"not-by-heart"),
        "{diagnosis:#?}"
    );
    assert_eq!(diagnosis.labels, None);
    assert_eq!(diagnosis.by_heart.trials.len(), 7);

    // Each picture is there with every label.
    let values: Vec<f32> = (quarters(100, 1.0).chunks(SHAPE.len()))
        .flat_map(|picture| picture.repeat(CLASSES))
        .collect();
    let contradictory = dataset_of(&values[..32 * SHAPE.len()], false);
    let diagnosis = examined(&trainer(SMALL, &contradictory, usual(Optimizer::adam_w())));
    let sign = &diagnosis.signs[0];
    assert!(
        matches!(sign, Sign::NotByHeart { contradictions, .. } if *contradictions > 0),
        "{diagnosis:#?}"
    );
    assert!(sign.advice().contains("check::check"));
}

#[test]
fn predictions_that_are_constant_only_in_inference_are_found() {
    let network = "conv(8, padding=1)-batchnorm(momentum=0)-relu-flatten-linear(classes)";
    let far_away = |parameters: &mut Parameters| {
        change(parameters, "0", Role::Bias, |bias| *bias = 1000.0);
    };
    let dataset = dataset(400);
    let diagnosis = examined(&changed(network, &dataset, far_away));
    assert_eq!(
        names(&diagnosis.signs),
        ["constant-predictions"],
        "{diagnosis:#?}"
    );
    let advice = diagnosis.signs[0].advice();
    assert!(advice.contains("momentum"), "{advice}");
    let network = network.replace("(momentum=0)", "");
    assert_eq!(examined(&changed(&network, &dataset, far_away)).signs, []);
}

#[test]
fn an_examination_changes_nothing_and_can_be_broken_off() {
    let dataset = dataset(64);
    let settings = TrainSettings {
        epochs: 1,
        ..usual(Optimizer::adam_w())
    };
    let trained = |is_examined: bool| {
        let mut trainer = trainer(SMALL, &dataset, settings.clone());
        if is_examined {
            let mut told = Vec::new();
            let diagnosis = examine(&trainer, &mut |done, all| {
                told.push((done, all));
                match told.len() {
                    5 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            });
            assert!(diagnosis.expect("it succeeds").is_none());
            assert_eq!(told.len(), 5);
            assert!(told.iter().all(|(done, all)| done <= all));
        }
        trainer
            .run(&mut |_| ControlFlow::Continue(()))
            .expect("it trains")
    };
    assert_eq!(trained(true), trained(false));
}

#[test]
fn a_watch_changes_no_bit_and_finds_nothing_in_a_healthy_training() {
    let dataset = dataset(800);
    for network in [
        SMALL,
        "conv(8, padding=1)-batchnorm-relu-dropout(0.2)-maxpool(4)-flatten-linear(classes)",
    ] {
        let settings = TrainSettings {
            epochs: 12,
            ..usual(Optimizer::adam_w())
        };
        let mut plain = trainer(network, &dataset, settings.clone());
        let mut seen = trainer(network, &dataset, settings);
        assert_eq!(watched(&mut seen), []);
        let expected = plain
            .run(&mut |_| ControlFlow::Continue(()))
            .expect("it trains");
        assert_eq!(seen.model(), expected);
    }
}

#[test]
fn a_watch_looks_at_few_pictures_compared_with_the_training() {
    let dataset = dataset(800);
    let settings = |epochs| TrainSettings {
        epochs,
        ..usual(Optimizer::adam_w())
    };
    // 16 pictures for each 3,200: after 4, 8 and 12 epochs, and before the first.
    for (epochs, expected) in [(12, 4), (5, 2), (3, 0)] {
        let mut trainer = trainer(SMALL, &dataset, settings(epochs));
        let mut watch = Watch::new(&trainer).expect("arrays");
        let run = trainer.run(&mut |event| {
            watch.see(event);
            ControlFlow::Continue(())
        });
        run.expect("it trains");
        assert_eq!(watch.probes, expected, "{epochs} epochs");
    }
}

#[test]
fn a_watch_tells_each_sign_of_the_layers_and_the_input_once() {
    let dataset = dataset(800);
    let long = |trainer: Trainer| {
        let phases = trainer.phases().to_vec();
        let settings = TrainSettings {
            epochs: 9,
            ..phases[0].settings.clone()
        };
        let model = trainer.start().clone();
        Trainer::from_model(Cpu::best(2), model, trainer.images(), None, settings).expect("it fits")
    };
    let sigmoids = "flatten-[linear(16)-sigmoid]x20-linear(classes)";
    for (trainer, expected) in [
        (changed(SMALL, &dataset, bias_of_minus_100), "dead-relu"),
        (
            changed(SMALL, &dataset, weights_times_10),
            "exploding-gradient",
        ),
        (changed(sigmoids, &dataset, |_| {}), "vanishing-gradient"),
    ] {
        let told = watched(&mut long(trainer));
        let names = names(&told);
        assert_eq!(names[0], expected, "{told:#?}");
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len(), "{told:#?}");
    }
    let large = dataset_of(&quarters(800, 255.0), false);
    let network = Network::parse(SMALL).expect("a network");
    let preparation = Preparation::unmeasured(SHAPE, Default::default());
    let model =
        Model::untrained(network, large.classes().to_vec(), preparation, 1).expect("it fits");
    let settings = usual(Optimizer::adam_w());
    let mut trainer =
        Trainer::from_model(Cpu::best(2), model, &large, None, settings).expect("it fits");
    assert_eq!(names(&watched(&mut trainer))[0], "unscaled-input");
}

#[test]
fn a_watch_tells_of_a_rate_that_is_too_high_or_too_low() {
    let dataset = dataset(1600);
    for (optimizer, factor, expected) in [
        (Optimizer::sgd(), 1e3, "rate-too-high"),
        (Optimizer::adam_w(), 1e-3, "rate-too-low"),
        // With a thousandth of the usual rate, it still learns.
        (Optimizer::sgd(), 1e-5, "rate-too-low"),
    ] {
        let settings = usual(optimizer);
        let settings = TrainSettings {
            learning_rate: factor * settings.learning_rate,
            epochs: 10,
            ..settings
        };
        let network = "flatten-linear(32)-relu-linear(classes)";
        let mut trainer = trainer(network, &dataset, settings);
        let (told, has_ended) = watched_to_its_end(&mut trainer);
        let of_rate = told.iter().find(|sign| sign.name() == expected);
        match of_rate {
            Some(sign) => assert!(sign.advice().contains("RateSearch"), "{sign}"),
            // An error says that training diverged, and that a smaller rate helps.
            None => assert!(
                factor > 1.0 && !has_ended,
                "{optimizer} {factor}: {told:#?}"
            ),
        }
    }
}

#[test]
fn a_watch_tells_of_labels_that_validation_shows_to_be_shuffled() {
    let [train, validation] = [0..400, 400..1000].map(|range| {
        let shuffled = dataset_of(&quarters(1000, 1.0), true);
        shuffled.subset(&range.collect::<Vec<_>>())
    });
    let settings = TrainSettings {
        epochs: 60,
        ..usual(Optimizer::adam_w())
    };
    let network = Network::parse(SMALL).expect("a network");
    let mut trainer =
        Trainer::new(Cpu::best(2), network, &train, Some(&validation), settings).expect("it fits");
    let told = watched(&mut trainer);
    assert_eq!(names(&told), ["shuffled-labels"], "{told:#?}");
}

#[test]
fn a_watch_tells_of_constant_predictions() {
    // The last layer adds a bias that the rest cannot change at this rate.
    let dataset = dataset(1600);
    let network = "flatten-linear(8)-relu-linear(classes)";
    let one_answer = |parameters: &mut Parameters| {
        change(parameters, "3", Role::Weight, |weight| *weight *= 1e-6);
        let bias = parameters
            .entries()
            .iter()
            .find(|entry| entry.name == "3.bias");
        let place = bias.expect("a bias").range.start;
        parameters.values_mut()[place] = 3.0;
    };
    let trainer = changed(network, &dataset, one_answer);
    let settings = TrainSettings {
        epochs: 8,
        learning_rate: 1e-5,
        ..trainer.phases()[0].settings.clone()
    };
    let model = trainer.start().clone();
    let mut trainer =
        Trainer::from_model(Cpu::best(2), model, &dataset, None, settings).expect("it fits");
    let told = watched(&mut trainer);
    assert!(names(&told).contains(&"constant-predictions"), "{told:#?}");
}

#[test]
fn each_sign_says_what_was_measured_and_one_thing_to_try() {
    let sign = Sign::VanishingGradient {
        layer: "conv1".into(),
        strongest: "fc".into(),
        share: 2e-9,
        activation: Some("sigmoid"),
    };
    assert_eq!(
        sign.to_string(),
        "vanishing-gradient: the gradient fades on its way back: weights of layer conv1 change the loss 2.0e-9 times as much as those of layer fc; to try: use `relu` in place of `sigmoid`"
    );
    let json = serde_json::to_value(&sign).expect("plain data");
    assert_eq!(json["kind"], sign.name());
}
