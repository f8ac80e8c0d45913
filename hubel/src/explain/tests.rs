use std::ops::Range;

use super::*;
use crate::data::Medium;
use crate::data::text::{Tokens, Vocabulary};
use crate::explain::arithmetic::Rule;
use crate::explain::gradients::{input_gradient, integrated, smooth_grad};
use crate::explain::occlusion::Occlusion;
use crate::inference::Inference;
use crate::network::{Operation, Role};
use crate::{Network, Place, Preparation, Purpose, Random};

/// Every operation, with unusual settings, in networks without and with kinks.
pub(super) const NETWORKS: [&str; 20] = [
    "conv(5, kernel=(3,2), stride=(2,1), padding=(1,0,0,1), round=floor)-tanh-conv(4, kernel=(2,3), stride=(1,2), round=floor)\
     -identity-flatten-fc(classes)",
    "conv(6, groups=3, dilation=2)-gelu-conv(6, groups=6, padding=1)-hardswish-batchnorm-flatten-dropout(0.3)-fc(classes, bias=false)",
    "conv(4, padding=1, mode=reflect)-silu-residual[conv(4, padding=2, kernel=5, mode=circular)-batchnorm-sigmoid]-globalavgpool\
     -fc(classes)",
    "conv(4, padding=2, mode=replicate)-leakyrelu(-0.1)-conv(3, padding=1, mode=constant(0.5))-adaptiveavgpool((3,2))-flatten\
     -fc(classes)",
    "concat[ | conv(3, padding=1)-batchnorm]-tanh-concat[conv(2, padding=1) | | conv(2, padding=1)-sigmoid]-globalmaxpool-fc(classes)",
    "conv(4, padding=1, stride=2, round=ceil)-avgpool(3, stride=2, padding=1, count_padding=false, round=ceil)-tanh-flatten-fc(classes)",
    "conv(4, padding=1)-batchnorm-relu-maxpool(3, stride=2, padding=1, round=floor)-relu6-adaptivemaxpool((2,1))-flatten\
     -fc(5)-leakyrelu(0.2)-fc(classes)",
    "conv(4, padding=1)-relu-residual[conv(4, padding=1)-batchnorm | conv(4, kernel=1)]-relu-avgpool(2, round=floor)-flatten-fc(classes)",
    "conv(5, kernel=4, stride=3, padding=1, mode=constant(-0.7), round=ceil)-tanh-flatten-fc(classes)",
    "residual[conv(3, padding=1)-tanh-residual[conv(3, padding=1)]]-softplus-flatten-dropout(0.5)-fc(5)-gelutanh-fc(classes)",
    "flatten-fc(6)-residual[fc(6)-sigmoid]-fc(classes)",
    "conv(5)-lrn(3, alpha=0.5)-conv(4)-lrn(5, alpha=0.9, beta=0.6, bias=2)-globalavgpool-fc(classes)",
    "conv(4)-multiply[ | globalavgpool-conv(4, kernel=1)-hardsigmoid]-multiply[conv(3, kernel=1) | conv(3, kernel=1)-sigmoid]-globalavgpool\
     -fc(classes)",
    "conv(6)-concat[channels(0, 2) | channels(1, 4)-conv(4, kernel=1)-tanh]-shuffle(3)-globalavgpool-channels(1, 5)-shuffle(5)-fc(classes)",
    "conv(6)-layernorm(epsilon=0.1)-residual[conv(6, groups=6, padding=1)-layernorm-gelu]-globalavgpool-layernorm-fc(classes)",
    "pad((1,0,2,0), mode=reflect)-conv(4)-pad(1, mode=constant(0.7))-avgpool(2, round=floor)-pad((0,1,1,2), mode=circular)-tanh\
     -pad((2,1))-flatten-fc(classes)",
    "conv(4, stride=2, round=floor)-upsample((2,3))-conv(3)-tanh-upsample((3,2), mode=bilinear)-maxpool(3, round=floor)-flatten-fc(classes)",
    "conv(4)-prelu-residual[prelu]-flatten-fc(6)-prelu-fc(classes)",
    "conv(6)-scale-groupnorm(3, epsilon=0.1)-residual[conv(6, groups=6, padding=1)-groupnorm(6)-gelu-scale(bias=false)]-groupnorm(1)-scale\
     -globalavgpool-groupnorm(2)-fc(5)-scale(bias=false)-tanh-fc(classes)",
    "conv(5, padding=1)-relu-conv(4, kernel=1)-globalavgpool",
];
pub(super) const SHAPE: Shape = Shape::new(7, 6, 3);
pub(super) const CLASSES: usize = 4;

/// Every operation along time, in networks for clips.
const CLIPS: [&str; 5] = [
    "conv(3, padding=1)-tanh-timeconv(4, padding=same)-batchnorm-relu-pool-avgovertime-flatten-fc(classes)",
    "timeconv(4, kernel=2, stride=2, dilation=2, groups=2, padding=(1,2), round=ceil)-gelu-residual[timeconv(4, padding=same)-batchnorm]\
     -timeavgpool(2, stride=1, padding=1, count_padding=false)-maxovertime-globalavgpool-fc(classes)",
    "concat[timeconv(2, padding=same) | conv(3, padding=1, mode=reflect)]-timemaxpool(3, stride=2, padding=1, round=ceil)-flatten\
     -dropout(0.5)-fc(classes)",
    "conv(4, kernel=2, stride=2)-groupnorm(2)-relu-scale-timeconv(3)-globalavgpool-avgovertime-fc(classes)",
    "conv(4, stride=2, padding=1, mode=constant(0.5), round=floor)-relu-timeavgpool(2, round=ceil)-adaptiveavgpool((2,1))-globalmaxpool\
     -avgovertime-fc(classes)",
];
const CLIP: Shape = Shape::new(4, 6, 2).over(5);

/// The same in networks for texts.
const TEXTS: [&str; 3] = [
    "embedding(4)-concat[timeconv(3, kernel=2)-relu-maxovertime | timeconv(2, padding=same)-relu-maxovertime]-dropout(0.5)-fc(classes)",
    "embedding(5)-timeconv(6, padding=same)-batchnorm-tanh-timemaxpool(2, round=ceil)-timeconv(4, padding=1)-silu-avgovertime-fc(classes)",
    "embedding(3)-timeavgpool(3, stride=2, padding=1, round=ceil)-flatten-fc(classes)",
];
const TEXT: Shape = Shape::new(1, 1, 1).over(8);
/// Tokens of the text; padding follows them.
const LENGTH: usize = 5;

/// A model whose batch norms have non-trivial running statistics and biases.
pub(super) fn model(text: &str) -> Model {
    model_for(text, SHAPE)
}

fn model_for(text: &str, shape: Shape) -> Model {
    let preparation = Preparation {
        mean: vec![0.4; shape.channels],
        std: vec![0.3; shape.channels],
        ..Preparation::unmeasured(shape, Default::default())
    };
    model_with(text, preparation)
}

fn model_with(text: &str, preparation: Preparation) -> Model {
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    let network = Network::parse(text).unwrap();
    let mut model = Model::untrained(network, classes, preparation, 1).unwrap();
    let mut stream = Random::new(3).stream(Purpose::Explain, 0, 1);
    for entry in model.parameters.entries().to_vec() {
        for value in &mut model.parameters.values_mut()[entry.range] {
            match entry.role {
                Role::Weight => {}
                Role::RunningVariance | Role::Scale => *value = 0.5 + stream.uniform(),
                _ => *value = stream.uniform() - 0.5,
            }
        }
    }
    model
}

pub(super) fn image(shape: Shape, seed: u64) -> Vec<f32> {
    let mut stream = Random::new(seed).stream(Purpose::Explain, 0, 2);
    (0..shape.len()).map(|_| stream.normal()).collect()
}

/// All networks: of pictures, clips and texts.
fn all_models() -> impl Iterator<Item = (&'static str, Model)> {
    let pictures = NETWORKS.map(|text| (text, model(text)));
    let clips = CLIPS.map(|text| (text, model_for(text, CLIP)));
    let words = ["a b c d e f", "a b c d e f"];
    let vocabulary = Vocabulary::measure(Tokens::Words, words.into_iter());
    let texts = TEXTS.map(|text| {
        let preparation = Preparation {
            medium: Medium::Text(vocabulary.clone()),
            ..Preparation::unmeasured(TEXT, Default::default())
        };
        (text, model_with(text, preparation))
    });
    pictures.into_iter().chain(clips).chain(texts)
}

/// A sample as the network reads it.
fn sample(model: &Model) -> Vec<f32> {
    match model.vocabulary() {
        Ok(_) => {
            let token = |place: usize| if place < LENGTH { 1 + 3 * place % 7 } else { 0 };
            (0..TEXT.time).map(|place| token(place) as f32).collect()
        }
        Err(_) => image(model.input(), 5),
    }
}

fn looked_at(model: &Model) -> Explainer {
    let mut explainer = Explainer::new(&Cpu::best(2), model, 1).unwrap();
    explainer.look(&sample(model));
    explainer
}

#[test]
fn the_logits_are_those_of_the_fused_plan() {
    for (text, model) in all_models() {
        let explainer = looked_at(&model);
        let image = sample(&model);
        let fill = &mut |_: &[usize], images: &mut [f32]| {
            images.copy_from_slice(&image);
            Ok(Vec::new())
        };
        let mut fused = Vec::new();
        let take = &mut |_, logits: &[f32]| {
            fused = logits.to_vec();
            Ok(())
        };
        let cpu = Cpu::best(1);
        let mut inference = Inference::new(&model, &cpu).unwrap();
        inference.run(1, fill, take).unwrap();
        let largest = fused
            .iter()
            .fold(0.0f32, |most, logit| most.max(logit.abs()));
        for (one, other) in explainer.logits().iter().zip(&fused) {
            assert!(
                (one - other).abs() < 1e-5 * largest.max(1.0),
                "{text}: {one} and {other}"
            );
        }
    }
}

/// The arithmetic of each value of each map gives that value. The shares that all values send back add up to the gradients.
#[test]
fn the_arithmetic_of_every_number_is_the_plan_s_forward_and_backward() {
    for (text, model) in all_models() {
        let mut explainer = looked_at(&model);
        explainer.trace_back(&Score {
            class: 2,
            against: Some(0),
        });
        let nodes = explainer.nodes().to_vec();
        let mut gradients: Vec<Vec<f64>> = nodes
            .iter()
            .map(|node| vec![0.0; node.shape.len()])
            .collect();
        let mut sizes = gradients.clone();
        for (i, node) in nodes.iter().enumerate().skip(1) {
            for index in 0..node.shape.len() {
                let found = arithmetic::of(&explainer, i, node.shape.place(index)).unwrap();
                let size: f64 = found
                    .terms
                    .iter()
                    .map(|term| f64::from(term.value * term.weight).abs())
                    .sum();
                let error = (found.result - f64::from(found.value)).abs();
                assert!(error < 1e-6 * (1.0 + size), "{text}: {found:?}");
                for term in &found.terms {
                    if let Some(at) = term.at {
                        let place = nodes[term.node].shape.index(at);
                        gradients[term.node][place] += found.share(term);
                        sizes[term.node][place] += found.share(term).abs();
                    }
                }
            }
        }
        for (i, expected) in gradients.iter().enumerate().take(nodes.len() - 1) {
            for (index, (expected, size)) in expected.iter().zip(&sizes[i]).enumerate() {
                let gradient = f64::from(explainer.gradient(i)[index]);
                assert!(
                    (gradient - expected).abs() < 1e-5 * (1e-2 + size),
                    "{text}: node {i} {:?}: {gradient} for {expected}",
                    nodes[i].shape.place(index)
                );
            }
        }
    }
}

/// The shares of the values that read a value add up to its gradient.
#[test]
fn the_origins_of_every_gradient_add_up_to_it() {
    for (text, model) in all_models() {
        let mut explainer = looked_at(&model);
        explainer.trace_back(&Score::of(1));
        let nodes = explainer.nodes().to_vec();
        for (i, node) in nodes.iter().enumerate().take(nodes.len() - 1) {
            for index in 0..node.shape.len() {
                let found = origins::of(&explainer, i, node.shape.place(index)).unwrap();
                let sum: f64 = found.iter().map(origins::Origin::share).sum();
                let size: f64 = found.iter().map(|origin| origin.share().abs()).sum();
                let gradient = f64::from(explainer.gradient(i)[index]);
                assert!(
                    (gradient - sum).abs() < 1e-5 * (1e-2 + size),
                    "{text}, node {i}, value {index}: {gradient} and {sum}"
                );
            }
        }
        let last = nodes.len() - 1;
        assert_eq!(origins::of(&explainer, last, Place::default()).unwrap(), []);
        assert!(origins::of(&explainer, 1, Place::new(99, 0, 0)).is_err());
    }
}

/// What the later maps add is the gradient by a map.
#[test]
fn a_gradient_is_the_sum_of_what_later_maps_add() {
    for (text, model) in all_models() {
        let mut explainer = looked_at(&model);
        explainer.trace_back(&Score::of(1));
        let nodes = explainer.nodes().to_vec();
        for (i, node) in nodes.iter().enumerate().take(nodes.len() - 1) {
            let pixels = node.shape.len() / node.shape.channels;
            for channel in 0..node.shape.channels.min(9) {
                let found = composition::of_gradient(&explainer, i, channel, 2).unwrap();
                for place in 0..pixels {
                    let own = found.parts.iter();
                    let mut adds: Vec<f32> =
                        own.map(|part| part.adds.as_ref().unwrap()[place]).collect();
                    adds.extend(found.others.iter().map(|(_, others)| others[place]));
                    let size: f32 = adds.iter().map(|value| value.abs()).sum();
                    let sum: f32 = adds.iter().sum();
                    let gradient = explainer.gradient(i)[place * node.shape.channels + channel];
                    assert!(
                        (sum - gradient).abs() < 1e-5 * (0.1 + size),
                        "{text}, node {i}, map {channel}: {sum} and {gradient}"
                    );
                }
            }
        }
    }
}

/// What the channels of the input, the others and the bias add is the map; and the sums by channel are those of one value.
#[test]
fn a_map_is_the_sum_of_what_its_parts_add() {
    let mut sums = 0;
    for (text, model) in all_models() {
        let explainer = looked_at(&model);
        for (i, node) in explainer.nodes().iter().enumerate().skip(1) {
            for channel in 0..node.shape.channels {
                let found = composition::of(&explainer, i, channel, 2).unwrap();
                assert!(found.parts.len() <= node.inputs.len().max(2));
                let map = explainer.channel(i, channel);
                if found.parts.is_empty() || found.parts.iter().any(|part| part.adds.is_none()) {
                    continue;
                }
                sums += 1;
                for (place, value) in map.iter().enumerate() {
                    let mut adds: Vec<f32> = (found.parts.iter())
                        .map(|part| part.adds.as_ref().unwrap()[place])
                        .collect();
                    adds.extend(found.others.iter().map(|(_, others)| others[place]));
                    adds.extend(found.bias);
                    let size: f32 = adds.iter().map(|value| value.abs()).sum();
                    let sum: f32 = adds.iter().sum();
                    assert!(
                        (sum - value).abs() < 1e-5 * (1.0 + size),
                        "{text}: {sum} {value}"
                    );
                    let at = node.shape.place(place * node.shape.channels + channel);
                    let arithmetic = arithmetic::of(&explainer, i, at).unwrap();
                    for one in arithmetic.channel_sums() {
                        let part = found.parts.iter().find(|part| part.channel == one.channel);
                        let Some(part) = part else { continue };
                        let whole = f64::from(part.adds.as_ref().unwrap()[place]);
                        assert!((one.sum - whole).abs() < 1e-5 * (1.0 + whole.abs()));
                        let own = part.kernel.as_ref().unwrap();
                        assert!(one.terms.iter().map(|term| &term.weight).eq(own));
                    }
                }
            }
        }
        assert!(composition::of(&explainer, 1, 999, 2).is_err());
        assert!(composition::of(&explainer, 0, 0, 2).is_err());
    }
    assert!(sums > 40, "{sums}");
}

#[test]
fn the_softmax_s_arithmetic_is_a_probability_and_its_derivative() {
    let temperature = 1.6;
    let model = model(NETWORKS[0])
        .with_temperature(Some(temperature))
        .unwrap();
    let explainer = looked_at(&model);
    let logits: Vec<f64> = explainer
        .logits()
        .iter()
        .map(|logit| f64::from(*logit))
        .collect();
    let probability = |logits: &[f64], class: usize| {
        let power = |logit: f64| (logit / f64::from(temperature)).exp();
        power(logits[class]) / logits.iter().map(|logit| power(*logit)).sum::<f64>()
    };
    for class in 0..CLASSES {
        let found = arithmetic::softmax(&explainer, class);
        assert!((found.result - probability(&logits, class)).abs() < 1e-6);
        assert_eq!(found.rule, Rule::Softmax { class, temperature });
        for (i, term) in found.terms.iter().enumerate() {
            let moved = |by: f64| {
                let mut logits = logits.clone();
                logits[i] += by;
                probability(&logits, class)
            };
            let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            assert!((term.derivative - slope).abs() < 1e-6, "{term:?}: {slope}");
        }
    }
}

#[test]
fn the_input_gradient_is_a_finite_difference() {
    // Without kinks.
    for text in &NETWORKS[..3] {
        let model = model(text);
        let mut explainer = Explainer::new(&Cpu::best(1), &model, 1).unwrap();
        let (start, score) = (image(SHAPE, 5), Score::of(1));
        let found = input_gradient(&mut explainer, &start, &score);
        let direction = image(SHAPE, 9);
        let mut value = |by: f32| {
            let moved = start
                .iter()
                .zip(&direction)
                .map(|(value, d)| value + by * d);
            explainer.look(&moved.collect::<Vec<f32>>());
            f64::from(score.value(explainer.logits()))
        };
        let step = 1.0 / 256.0;
        let slope = (value(step) - value(-step)) / f64::from(2.0 * step);
        let products = found.values.iter().zip(&direction);
        let expected: f64 = products.map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        assert!(
            (slope - expected).abs() < 2e-3 * (1.0 + expected.abs()),
            "{text}: {slope}, {expected}"
        );
        // Copies with noise of 0 give the plain gradient.
        let mut explainer = Explainer::new(&Cpu::best(2), &model, 3).unwrap();
        let smooth = smooth_grad(&mut explainer, &start, &score, 7, 0.0, 1);
        for (one, other) in smooth.values.iter().zip(&found.values) {
            assert!((one - other).abs() < 1e-5, "{text}: {one} and {other}");
        }
    }
}

#[test]
fn smooth_grad_depends_on_seed_and_noise_alone() {
    let model = model(NETWORKS[2]);
    let smooth = |batch: usize, threads: usize, seed: u64| {
        let mut explainer = Explainer::new(&Cpu::best(threads), &model, batch).unwrap();
        smooth_grad(
            &mut explainer,
            &image(SHAPE, 5),
            &Score::of(1),
            5,
            0.2,
            seed,
        )
        .values
    };
    assert_eq!(smooth(2, 1, 7), smooth(2, 3, 7));
    assert_ne!(smooth(2, 1, 7), smooth(2, 1, 8));
}

#[test]
fn integrated_gradients_are_complete_and_exact_where_the_network_is_linear() {
    for text in NETWORKS {
        let model = model(text);
        let mut explainer = Explainer::new(&Cpu::best(2), &model, 4).unwrap();
        let found = integrated(&mut explainer, &image(SHAPE, 5), &Score::of(1), 0.25);
        assert!(
            found.is_complete(),
            "{text}: {} of {}",
            found.sum,
            found.difference
        );
    }
    let model = model("conv(2)-flatten-fc(classes)");
    let mut explainer = Explainer::new(&Cpu::best(1), &model, 4).unwrap();
    let (image, score) = (image(SHAPE, 5), Score::of(3));
    let found = integrated(&mut explainer, &image, &score, -0.5);
    assert_eq!(found.steps, 64);
    let gradient = input_gradient_of(&model, &image, &score);
    for ((found, gradient), value) in found.attribution.values.iter().zip(gradient).zip(&image) {
        assert!((found - gradient * (value + 0.5)).abs() < 1e-5);
    }
}

fn input_gradient_of(model: &Model, image: &[f32], score: &Score) -> Vec<f32> {
    let mut explainer = Explainer::new(&Cpu::best(1), model, 1).unwrap();
    input_gradient(&mut explainer, image, score).values
}

#[test]
fn occlusion_of_a_linear_network_is_the_sum_of_what_is_covered() {
    let model = model("conv(2)-flatten-fc(classes)");
    let (image, score) = (image(SHAPE, 5), Score::of(3));
    let gradient = input_gradient_of(&model, &image, &score);
    let occlusion = Occlusion {
        window: [3, 2],
        stride: [2, 3],
        baseline: 0.5,
    };
    let found = occlusion
        .map(&Cpu::best(2), &model, &image, &score, &|_, _| {})
        .unwrap();
    // Rows 0–2, 2–4, 4–6; columns 0–1 and 3–4; the last window is cut off, since 6–6 would begin outside.
    assert_eq!(occlusion.windows(SHAPE), 9);
    let covered = |rows: Range<usize>, columns: Range<usize>| -> f32 {
        let mut sum = 0.0;
        for y in rows {
            for x in columns.clone() {
                for channel in 0..3 {
                    let place = SHAPE.index(Place::new(y, x, channel));
                    sum += gradient[place] * (image[place] - 0.5);
                }
            }
        }
        sum
    };
    let at = |y: usize, x: usize| found.values[y * 6 + x];
    assert!((at(0, 0) - covered(0..3, 0..2)).abs() < 1e-4);
    assert!((at(3, 4) - covered(2..5, 3..5)).abs() < 1e-4);
    let both = (covered(0..3, 3..5) + covered(2..5, 3..5)) / 2.0;
    assert!((at(2, 3) - both).abs() < 1e-4);
    assert_eq!(at(2, 2), 0.0, "no window covers it");
    let wrong = Occlusion {
        window: [8, 1],
        ..occlusion
    };
    assert!(
        wrong
            .map(&Cpu::best(1), &model, &image, &score, &|_, _| {})
            .is_err()
    );
}

#[test]
fn grad_cam_takes_the_last_map_of_the_last_convolution() {
    let layer = |text: &str| {
        let mut explainer = looked_at(&model_for(text, Shape::new(16, 16, 3)));
        grad_cam::map(&mut explainer, &Score::of(0), None).map(|map| (map.layer, map.height))
    };
    let named = |text: &str, name: &str, height: usize| {
        assert_eq!(layer(text).unwrap(), (name.to_owned(), height), "{text}");
    };
    named("conv(4)-relu-pool-flatten-fc(classes)", "1", 14);
    named(
        "conv(4)-relu-pool-conv(4)-batchnorm-relu-globalavgpool-fc(classes)",
        "5",
        5,
    );
    named(
        "conv(4, padding=1)-residual[conv(4, padding=1)-batchnorm]-a:relu-pool-flatten-fc(classes)",
        "a",
        16,
    );
    // The last convolution has a map of one pixel.
    named(
        "conv(4, kernel=12)-tanh-conv(4, kernel=5)-relu-flatten-fc(classes)",
        "1",
        5,
    );
    let error = layer("flatten-fc(classes)").unwrap_err().to_string();
    assert!(error.contains("has none"), "{error}");
}

#[test]
fn grad_cam_weighs_maps_by_their_mean_gradient() {
    let mut explainer = looked_at(&model(NETWORKS[6]));
    let found = grad_cam::map(&mut explainer, &Score::of(1), Some("2")).unwrap();
    let node = explainer.node("2").unwrap();
    let (map, gradient) = (explainer.map(node), explainer.gradient(node));
    let shape = explainer.nodes()[node].shape;
    let mean = |channel: usize| {
        gradient
            .iter()
            .skip(channel)
            .step_by(shape.channels)
            .sum::<f32>()
            / 42.0
    };
    for (pixel, value) in found.values.iter().enumerate() {
        let sum: f32 = (0..4)
            .map(|channel| mean(channel) * map[pixel * 4 + channel])
            .sum();
        assert!((sum.max(0.0) - value).abs() < 1e-5);
    }
}

#[test]
fn what_a_number_sees_is_what_changes_it() {
    for (text, model) in all_models() {
        let mut explainer = looked_at(&model);
        let nodes = explainer.nodes().to_vec();
        let plain: Vec<Vec<f32>> = (0..nodes.len())
            .map(|node| explainer.map(node).to_vec())
            .collect();
        let views = nodes.iter().enumerate().map(|(node, own)| {
            let places = (0..own.shape.len()).map(|index| own.shape.place(index));
            let views = places.map(|at| response::of_place(&explainer, node, at));
            views.collect::<Vec<_>>()
        });
        let views: Vec<_> = views.collect();
        let input = model.input();
        for first in (0..input.len()).step_by(input.channels) {
            let mut changed = sample(&model);
            match nodes[0].operation {
                Operation::Tokens { vocabulary } => {
                    changed[first] = (changed[first] + 1.0) % vocabulary as f32;
                }
                _ => {
                    (changed[first..][..input.channels].iter_mut()).for_each(|value| *value += 1.0)
                }
            }
            explainer.look(&changed);
            let [time, row, column, _] = input.place(first).numbers();
            for node in 1..nodes.len() {
                for (index, (value, before)) in
                    explainer.map(node).iter().zip(&plain[node]).enumerate()
                {
                    let [times, rows, columns] = &views[node][index];
                    let is_seen =
                        times.contains(&time) && rows.contains(&row) && columns.contains(&column);
                    assert!(
                        value == before || is_seen,
                        "{text}: node {node}, {index} changes with {time}, {row}, {column}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_hand_made_kernel_fires_where_its_feature_is() {
    // A bright square on a dark background: at its left edge it gets brighter to the right.
    let shape = Shape::new(20, 24, 1);
    let mut picture = vec![0.0; shape.len()];
    for y in 6..14 {
        picture[y * 24 + 9..][..8].fill(1.0);
    }
    let kernel = Kernel::parse("sobel-x").unwrap();
    let mut explainer = response::explainer_of_kernel(&Cpu::best(2), &kernel, shape).unwrap();
    explainer.look(&picture);
    let found = response::of_filter(&explainer, 1, 0, 3).unwrap();
    assert_eq!((found.map.height, found.map.width), (20, 24));
    let first = &found.strongest[0];
    assert_eq!((first.value, first.at[1]), (4.0, 8));
    assert_eq!(first.sees[1], 7..10);
    let sum = arithmetic::of(&explainer, 1, Place::new(first.at[0], first.at[1], 0)).unwrap();
    assert_eq!((sum.result, sum.terms.len()), (4.0, 9));
    // The edge of the picture itself gives no response.
    assert_eq!(found.map.values[0], 0.0);
    assert!(response::of_filter(&explainer, 1, 1, 3).is_err());
    let coloured = Shape::new(4, 4, 3);
    assert!(response::explainer_of_kernel(&Cpu::best(1), &kernel, coloured).is_err());
}

#[test]
fn maps_are_resized_between_the_centres_of_their_pixels() {
    let map = Heatmap {
        layer: String::new(),
        time: 1,
        height: 1,
        width: 2,
        values: vec![0.0, 1.0],
    };
    // torch.nn.functional.interpolate(…, size=(1, 4), mode="bilinear", align_corners=False)
    assert_eq!(map.resized([1, 1, 4]).values, [0.0, 0.25, 0.75, 1.0]);
    assert_eq!(map.resized([1, 2, 2]).values, [0.0, 1.0, 0.0, 1.0]);
    assert_eq!(map.brightest(), [0, 0, 1]);
    // Of two frames, the nearest.
    let clip = Heatmap {
        time: 2,
        width: 1,
        ..map
    };
    assert_eq!(clip.resized([3, 1, 1]).values, [0.0, 0.0, 1.0]);
    assert_eq!(clip.brightest(), [1, 0, 0]);
}

#[test]
fn layers_and_places_that_are_not_there_are_refused() {
    let explainer = looked_at(&model("stem:conv(4)-relu-flatten-fc(classes)"));
    let error = explainer.node("stm").unwrap_err().to_string();
    assert!(error.contains("did you mean `stem`?"), "{error}");
    let refusal = |explainer: &Explainer, node: usize, at: Place| {
        arithmetic::of(explainer, node, at).unwrap_err().to_string()
    };
    let error = refusal(&explainer, 1, Place::new(5, 0, 0));
    assert!(error.contains("there is no row 5, column 0"), "{error}");
    assert!(error.contains("count from 0 to 4, 3 and 3"), "{error}");
    let error = refusal(&explainer, 1, Place::default().over(1));
    assert!(error.contains("there is no time 1, row 0"), "{error}");
    assert!(refusal(&explainer, 0, Place::default()).contains("name a layer"));
    let clip = looked_at(&model_for(CLIPS[0], CLIP));
    let error = refusal(&clip, 1, Place::new(4, 0, 0).over(2));
    assert!(
        error.contains("there is no time 2, row 4, column 0"),
        "{error}"
    );
    assert!(error.contains("count from 0 to 4, 3, 5 and 2"), "{error}");
}
