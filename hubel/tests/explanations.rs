//! Explanations of trained networks: they must find the known cause of the label, and the checks must detect bad maps.
//!
//! Each test prints its measurements. `GROUND_TRUTH=500 cargo test --workspace --test explanations -- --nocapture --test-threads 1` uses more
//! pictures; its output is kept in `docs/benchmarks/`.
#[path = "explanations/guided.rs"]
mod guided;
#[path = "explanations/scenes.rs"]
mod scenes;

use std::ops::ControlFlow;
use std::sync::OnceLock;

use hubel::explain::cascade::{self, Cascade, Settings};
use hubel::explain::deletion::{self, Deletion, Verdict};
use hubel::explain::neighbours;
use hubel::explain::occlusion::Occlusion;
use hubel::explain::{Explainer, Method, Question, Score};
use hubel::{Cpu, Dataset, Model, Network, Preparation, Shape, TrainSettings, Trainer, data};
use scenes::Scenes;

fn cpu() -> Cpu {
    Cpu::best(Cpu::available_threads())
}

/// Number of pictures.
fn pictures(usual: usize) -> usize {
    let asked = std::env::var("GROUND_TRUTH").ok();
    asked.map_or(usual, |count| {
        count.parse().expect("GROUND_TRUTH is a number")
    })
}

fn trained(text: &str, train: &Dataset, epochs: usize) -> Model {
    let settings = TrainSettings {
        epochs,
        batch_size: 64,
        ..TrainSettings::default()
    };
    let network = Network::parse(text).unwrap();
    let mut trainer = Trainer::new(cpu(), network, train, None, settings).unwrap();
    trainer.run(&mut |_| ControlFlow::Continue(())).unwrap()
}

/// A network that reads digits, with its training pictures and others.
struct Reader {
    model: Model,
    train: Dataset,
    test: Dataset,
}

/// One for all tests, trained once.
fn reader() -> &'static Reader {
    static READER: OnceLock<Reader> = OnceLock::new();
    READER.get_or_init(|| {
        let mnist = data::mnist().unwrap();
        let train = mnist.train.subset(&(0..6000).collect::<Vec<usize>>());
        Reader {
            model: trained(DIGITS, &train, 4),
            train,
            test: mnist.test.unwrap(),
        }
    })
}

/// Prepared pictures with the scores of their classes.
fn questions(model: &Model, dataset: &Dataset, indices: &[usize]) -> Vec<Question> {
    let length = model.input().len();
    let mut images = vec![0.0; indices.len() * length];
    dataset
        .fill(&cpu(), indices, model.preparation(), &mut images)
        .unwrap();
    let images = images.chunks_exact(length).zip(indices);
    images
        .map(|(image, index)| Question {
            image: image.to_vec(),
            score: Score::of(dataset.labels()[*index]),
        })
        .collect()
}

/// The first `count` scenes that the model classifies correctly.
fn right(model: &Model, scenes: &Scenes, count: usize) -> Vec<usize> {
    let all: Vec<usize> = (0..scenes.dataset.len()).collect();
    let mut explainer = Explainer::new(&cpu(), model, 1).unwrap();
    let asked = questions(model, &scenes.dataset, &all);
    let mut is_right = |question: &Question| {
        explainer.look(&question.image);
        let logits = explainer.logits();
        let own = logits[question.score.class];
        logits.iter().all(|logit| *logit <= own)
    };
    let right: Vec<usize> = all.into_iter().filter(|i| is_right(&asked[*i])).collect();
    println!(
        "  {} of {} scenes are classified rightly",
        right.len(),
        asked.len()
    );
    assert!(right.len() >= count, "the network has not learned its task");
    right[..count].to_vec()
}

/// The share of scenes in which the brightest point of a method's map is on the thing that decides the label.
fn hits(model: &Model, scenes: &Scenes, indices: &[usize], name: &str, method: &Method) -> f64 {
    let asked = questions(model, &scenes.dataset, indices);
    let maps = method.maps(&cpu(), model, &asked, &mut |_| {}).unwrap();
    let shape = model.input();
    let mut chance = 0.0;
    let mut count = 0;
    for (map, index) in maps.iter().zip(indices) {
        let [rows, columns] = &scenes.decides[*index];
        let [_, y, x] = map.resized([1, shape.height, shape.width]).brightest();
        count += usize::from(rows.contains(&y) && columns.contains(&x));
        chance += (rows.len() * columns.len()) as f64 / (shape.height * shape.width) as f64;
    }
    let of = indices.len() as f64;
    println!(
        "  {name}: the brightest point lies on it in {count} of {} scenes ({:.1} %); by chance {:.1} %",
        indices.len(),
        100.0 * count as f64 / of,
        100.0 * chance / of
    );
    count as f64 / of
}

fn occlusion(model: &Model) -> Method {
    Method::Occlusion(Occlusion::for_input(model.input()))
}

/// A network that learns to read digits in a second.
const DIGITS: &str =
    "conv(8, kernel=5)-relu-pool-conv(16)-relu-pool(round=floor)-flatten-fc(32)-relu-fc(classes)";
const GRAD_CAM: Method = Method::GradCam { layer: None };

#[test]
fn of_two_digits_occlusion_finds_the_one_that_is_named() {
    let count = pictures(60);
    let mnist = data::mnist().unwrap();
    let train = scenes::two_digits(&mnist.train, 9_000, 1);
    let test = scenes::two_digits(&mnist.test.unwrap(), count + count / 4, 2);
    let model = trained(
        "conv(8, kernel=5)-relu-pool-conv(16)-relu-pool(round=floor)-flatten-fc(classes)",
        &train.dataset,
        4,
    );
    println!("two digits, the left one is named");
    let indices = right(&model, &test, count);
    let found = hits(&model, &test, &indices, "occlusion", &occlusion(&model));
    hits(&model, &test, &indices, "Grad-CAM", &GRAD_CAM);
    hits(&model, &test, &indices, "gradient", &Method::Gradient);
    assert!(found >= 0.95, "{found}");
}

#[test]
fn a_coloured_square_is_found_by_occlusion_and_grad_cam() {
    let count = pictures(60);
    let train = scenes::squares(2_000, 1);
    let test = scenes::squares(count + count / 4, 2);
    let model = trained(
        "conv(8, padding=1)-batchnorm-relu-pool-conv(16, padding=1)-batchnorm-relu-globalavgpool-fc(classes)",
        &train.dataset,
        4,
    );
    println!("a square, whose colour is named");
    let indices = right(&model, &test, count);
    for (name, method) in [("occlusion", occlusion(&model)), ("Grad-CAM", GRAD_CAM)] {
        let found = hits(&model, &test, &indices, name, &method);
        assert!(found >= 0.95, "{name}: {found}");
    }
}

/// How many of a hundred maps pass the cascade.
fn passing(name: &str, method: Option<&Method>, count: usize) -> f64 {
    let Reader { model, train, test } = reader();
    let asked = questions(model, test, &(0..count).collect::<Vec<usize>>());
    let settings = Settings {
        stages: 1,
        ..Settings::for_method(method.unwrap_or(&Method::Gradient))
    };
    let others = cascade::pictures(&cpu(), model, train, settings).unwrap();
    let check = |question: &Question| {
        let found = match method {
            Some(method) => cascade::check(
                &cpu(),
                model,
                method,
                question,
                &others,
                settings,
                &|_, _| {},
            ),
            None => cascade::check_by(model, &mut guided::maps, question, &others, settings),
        };
        found.unwrap()
    };
    let found: Vec<Cascade> = asked.iter().map(check).collect();
    let of = count as f64;
    let passed = found.iter().filter(|cascade| cascade.passes()).count() as f64 / of;
    let correlation = found.iter().map(Cascade::correlation).sum::<f64>() / of;
    let bound = found.iter().map(|cascade| cascade.bound).sum::<f64>() / of;
    println!(
        "  {name}: {:.1} % of {count} maps pass; they correlate by {correlation:.2} with those of random weights, those of other pictures by up to {bound:.2}",
        100.0 * passed
    );
    100.0 * passed
}

#[test]
fn the_cascade_passes_a_real_network_s_maps_and_fails_guided_backpropagation() {
    println!("cascade on digits");
    let count = pictures(20);
    assert!(passing("Grad-CAM", Some(&GRAD_CAM), count) >= 70.0);
    assert!(passing("gradient", Some(&Method::Gradient), count) >= 90.0);
    assert_eq!(passing("guided backpropagation", None, count.min(100)), 0.0);
    if count > 20 {
        let count = count.min(40);
        passing("SmoothGrad", Some(&Method::smooth_grad()), count);
        let integrated = Method::IntegratedGradients { baseline: 0.0 };
        passing("integrated gradients", Some(&integrated), count);
        passing("occlusion", Some(&occlusion(&reader().model)), count);
    }
}

#[test]
fn deleting_and_inserting_by_occlusion_beats_random_maps_and_edges() {
    let count = pictures(12);
    let Reader { model, test, .. } = reader();
    println!("deletion and insertion on digits: areas of the map, of random maps, of edges");
    let asked = questions(model, test, &(0..count).collect::<Vec<usize>>());
    let check = |name: &str, method: &Method| {
        let maps = method.maps(&cpu(), model, &asked, &mut |_| {}).unwrap();
        let found: Vec<Deletion> = (maps.iter().zip(&asked))
            .map(|(map, Question { image, score })| {
                deletion::check(&cpu(), model, image, score, map, 1, &|_, _| {}).unwrap()
            })
            .collect();
        let mean = |of: &dyn Fn(&Deletion) -> f64| found.iter().map(of).sum::<f64>() / count as f64;
        let share = |verdict: Verdict| {
            let found = found.iter().filter(|found| found.verdict() == verdict);
            found.count() as f64 / count as f64
        };
        let edges = share(Verdict::Passes);
        let random = edges + share(Verdict::NoBetterThanEdges);
        println!(
            "  {name}: deletion {:.3} {:.3} {:.3}, insertion {:.3} {:.3} {:.3}; better than random for {:.0} %, than edges for {:.0} %",
            mean(&|found| found.deletion.map),
            mean(&|found| found.deletion.random),
            mean(&|found| found.deletion.edges),
            mean(&|found| found.insertion.map),
            mean(&|found| found.insertion.random),
            mean(&|found| found.insertion.edges),
            100.0 * random,
            100.0 * edges
        );
        [random, edges]
    };
    let [random, edges] = check("occlusion", &occlusion(model));
    assert!(random >= 0.9 && edges >= 0.75, "{random}, {edges}");
    if count > 12 {
        check("Grad-CAM", &GRAD_CAM);
        check("gradient", &Method::Gradient);
        check("SmoothGrad", &Method::smooth_grad());
        check(
            "integrated gradients",
            &Method::IntegratedGradients { baseline: 0.0 },
        );
    }
}

/// Small pictures; in some networks their maps have one pixel.
#[test]
fn every_network_of_the_zoo_can_be_explained() {
    let names = [
        "lenet5",
        "mnist-cnn",
        "tutorial",
        "tutorial-bn",
        "resnet18",
        "resnet50",
        "mobilenet-v2",
        "mlp",
    ];
    for name in names {
        let input = Network::usual_input(name).unwrap().shape;
        let shape = Shape::new(input.height.min(32), input.width.min(32), input.channels);
        let bytes = (0..12 * shape.len()).map(|i| (i * i * 31 % 251) as u8);
        let labels = (0..12).map(|i| i % 3).collect();
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        let dataset = Dataset::from_bytes("some", classes, shape, bytes.collect(), labels).unwrap();
        let preparation = Preparation::measure(&dataset).unwrap();
        let network = Network::named(name).unwrap();
        let model = Model::untrained(network, dataset.classes().to_vec(), preparation, 1).unwrap();
        let question = questions(&model, &dataset, &[0]).remove(0);
        let noise = Method::SmoothGrad {
            samples: 2,
            noise: 0.1,
            seed: 1,
        };
        let cover = Occlusion {
            window: [16, 16],
            stride: [16, 16],
            baseline: 0.0,
        };
        let methods = [GRAD_CAM, Method::Gradient, noise, Method::Occlusion(cover)];
        for method in &methods[usize::from(name == "mlp")..] {
            let maps = method.maps(&cpu(), &model, std::slice::from_ref(&question), &mut |_| {});
            let map = maps
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .remove(0);
            assert!(
                map.values.iter().all(|value| value.is_finite()),
                "{name}: {method:?}"
            );
        }
        let found =
            neighbours::nearest(&cpu(), &model, &question.image, &dataset, 2, &|_, _| {}).unwrap();
        assert_eq!(
            (found.nearest[0].index, found.nearest.len()),
            (0, 2),
            "{name}"
        );
        if name == "mlp" {
            assert!(
                GRAD_CAM
                    .maps(&cpu(), &model, &[question], &mut |_| {})
                    .is_err()
            );
        }
    }
}
