//! hubel's results equal PyTorch's: every layer, its gradients, the loss, the optimizers, and 200 steps of training. The fixtures
//! are in `pytorch/`, with the script that makes them.
#[path = "pytorch/explanations.rs"]
mod explanations;
#[path = "pytorch/fixtures.rs"]
mod fixtures;
#[path = "pytorch/input_gradient.rs"]
mod input_gradient;
#[path = "pytorch/optimizers.rs"]
mod optimizers;
#[path = "pytorch/schedules.rs"]
mod schedules;

use std::collections::BTreeMap;

use fixtures::{Fixture, Tensor, model, tensors};
use hubel::network::{Input, Role};
use hubel::plan::Mode;
use hubel::{Cpu, InstructionSet, Model, Parameters, Plan, PlanSettings, Shape, Workspace};
use hubel_kernels::{softmax, update};
use input_gradient::{Run, input_gradients};
use serde::Deserialize;

/// One layer or a chain of layers, followed by flatten and a linear layer.
#[derive(Deserialize)]
struct Case {
    name: String,
    text: String,
    /// `[height, width, channels]`, or `[time, height, width, channels]`.
    input: Vec<usize>,
    /// Different tokens, if the input is texts.
    vocabulary: Option<usize>,
    batch: usize,
    labels: Vec<u32>,
    loss: f64,
}

impl Case {
    fn shape(&self) -> Shape {
        match self.input[..] {
            [height, width, channels] => Shape::new(height, width, channels),
            [time, height, width, channels] => Shape::new(height, width, channels).over(time),
            _ => panic!("an input of {:?}", self.input),
        }
    }

    fn reads(&self) -> Input {
        Input {
            shape: self.shape(),
            vocabulary: self.vocabulary,
        }
    }

    /// Approximate number of terms of the longest sum: all pixels of a batch.
    fn terms(&self) -> usize {
        self.batch * self.shape().len()
    }
}

/// Rounding errors of a sum of k terms grow like √k on average. The tolerance is 4 ε √k times the largest value.
#[track_caller]
fn assert_near(what: &str, actual: &[f32], expected: &[f32], largest: f32, terms: usize) {
    let bound = 4.0 * f32::EPSILON * (terms as f32).sqrt() * largest;
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let error = (actual - expected).abs();
        assert!(
            error <= bound,
            "{what}: number {i} is {actual}, in PyTorch {expected}; {error:e} apart, {bound:e} allowed"
        );
    }
}

fn largest(values: &[f32]) -> f32 {
    values
        .iter()
        .fold(0.0, |largest, value| value.abs().max(largest))
}

fn cpus() -> Vec<Cpu> {
    let sets = InstructionSet::available().into_iter();
    sets.map(|set| Cpu::new(set, 2)).collect()
}

/// A plan after its forward run.
fn forward(
    cpu: &Cpu,
    model: &Model,
    images: &[f32],
    batch: usize,
    mode: Mode,
    fuse: bool,
) -> (Plan, Workspace) {
    let settings = PlanSettings {
        mode,
        fuse,
        ..PlanSettings::training(batch)
    };
    let classes = model.classes().len();
    let input = model.preparation().input();
    let graph = model.network().graph(input, classes).unwrap();
    let plan = Plan::compile(&graph, model.parameters(), cpu, settings).unwrap();
    let mut workspace = Workspace::new(&plan);
    workspace.images_mut().copy_from_slice(images);
    plan.pack(cpu, model.parameters(), &mut workspace);
    plan.forward(cpu, model.parameters(), &mut workspace, 0);
    (plan, workspace)
}

fn check_all(file: &str) {
    let fixture = Fixture::open(file);
    let cases: Vec<Case> = fixture.cases();
    assert!(!cases.is_empty());
    for case in &cases {
        for cpu in cpus() {
            for fuse in [true, false] {
                check(&fixture, case, &cpu, fuse);
            }
        }
    }
}

fn check(fixture: &Fixture, case: &Case, cpu: &Cpu, fuse: bool) {
    check_network(fixture, case, cpu, fuse);
    check_layer(fixture, case, cpu, fuse);
}

/// Logits, loss, the gradients of all weights, running statistics.
fn check_network(fixture: &Fixture, case: &Case, cpu: &Cpu, fuse: bool) {
    let text = format!("{}-flatten-linear(5)", case.text);
    let what = |what: &str| format!("{text}, {}, fuse {fuse}: {what}", cpu.instruction_set());
    let numbers = |name: &str| fixture.numbers(&format!("{}/{name}", case.name));
    let weights = fixture.under(&format!("{}/weights/", case.name));
    let near = |name: &str, actual: &[f32], expected: &[f32]| {
        assert_near(
            &what(name),
            actual,
            expected,
            largest(expected),
            case.terms(),
        );
    };

    let model = model(&text, case.reads(), &weights);
    let images = numbers("input");
    let (plan, workspace) = forward(cpu, &model, images, case.batch, Mode::Inference, fuse);
    near(
        "logits in evaluation",
        plan.logits(&workspace),
        numbers("evaluated"),
    );

    let (plan, mut workspace) = forward(cpu, &model, images, case.batch, Mode::Training, fuse);
    near("logits", plan.logits(&workspace), numbers("logits"));
    let loss = plan.loss(&mut workspace, &case.labels, 0.0, None).loss;
    near("loss", &[loss as f32], &[case.loss as f32]);
    plan.backward(cpu, model.parameters(), &mut workspace, 0);
    check_gradients(fixture, case, &model, workspace.parameter_gradient(), &what);
    let mut parameters = model.parameters().clone();
    plan.update_running_statistics(&mut parameters, &workspace);
    check_running_statistics(fixture, case, &parameters, &what);
}

/// The values of a file with PyTorch's layout in memory: from `changed` if it has the tensor, otherwise from `weights`.
fn in_memory(
    case: &Case,
    weights: BTreeMap<String, Tensor>,
    changed: BTreeMap<String, Tensor>,
) -> Parameters {
    let text = format!("{}-flatten-linear(5)", case.text);
    let tensors = weights.into_iter().chain(changed).collect();
    model(&text, case.reads(), &tensors).parameters().clone()
}

fn check_gradients(
    fixture: &Fixture,
    case: &Case,
    model: &Model,
    gradient: &[f32],
    what: &dyn Fn(&str) -> String,
) {
    let weights = fixture.under(&format!("{}/weights/", case.name));
    let changed = fixture.under(&format!("{}/gradients/", case.name));
    // A sum may cancel (a bias before a batch norm has no gradient), so errors are relative to the largest of all gradients.
    let measure = changed.values().map(|(_, numbers)| largest(numbers));
    let measure = measure.fold(0.0, f32::max);
    let expected = in_memory(case, weights, changed);
    for entry in model.parameters().entries() {
        if entry.role.is_trained() {
            let actual = &gradient[entry.range.clone()];
            let what = what(&format!("gradient of {}", entry.name));
            assert_near(&what, actual, expected.tensor(entry), measure, case.terms());
        }
    }
}

fn check_running_statistics(
    fixture: &Fixture,
    case: &Case,
    parameters: &Parameters,
    what: &dyn Fn(&str) -> String,
) {
    let weights = fixture.under(&format!("{}/weights/", case.name));
    let expected = in_memory(
        case,
        weights,
        fixture.under(&format!("{}/after/", case.name)),
    );
    for entry in parameters.entries() {
        if matches!(entry.role, Role::RunningMean | Role::RunningVariance) {
            let (actual, expected) = (parameters.tensor(entry), expected.tensor(entry));
            let what = what(&format!("{} after a step", entry.name));
            assert_near(&what, actual, expected, largest(expected), case.terms());
        }
    }
}

/// The maps of the layers before flatten, and, for a single layer, the gradient by its input.
fn check_layer(fixture: &Fixture, case: &Case, cpu: &Cpu, fuse: bool) {
    let what = |what: &str| {
        let set = cpu.instruction_set();
        format!("{}, {set}, fuse {fuse}: {what}", case.text)
    };
    let numbers = |name: &str| fixture.numbers(&format!("{}/{name}", case.name));
    let weights = fixture.under(&format!("{}/weights/", case.name));
    let model = model(&format!("{}-flatten", case.text), case.shape(), &weights);
    let (images, output) = (numbers("input"), numbers("output"));
    let (plan, workspace) = forward(cpu, &model, images, case.batch, Mode::Training, fuse);
    let actual = plan.logits(&workspace);
    assert_near(
        &what("output"),
        actual,
        output,
        largest(output),
        case.terms(),
    );
    let graph = model.network().graph(model.input(), model.classes().len());
    let graph = graph.unwrap();
    // The image, the layer, `flatten`.
    if graph.nodes.len() == 3 {
        let run = Run {
            cpu,
            parameters: model.parameters(),
            batch: case.batch,
            input: images,
            output,
            output_gradient: numbers("output_gradient"),
        };
        let expected = numbers("input_gradient");
        let measure = largest(expected).max(largest(run.output_gradient));
        for gradient in input_gradients(&graph, &run) {
            let what = what("gradient of the input");
            assert_near(&what, &gradient, expected, measure, case.terms());
        }
    }
}

#[test]
fn convolutions() {
    check_all("convolutions");
}

#[test]
fn pools_and_their_ties() {
    check_all("pools");
}

#[test]
fn activations_and_where_they_bend() {
    check_all("activations");
}

#[test]
fn linear_layers_normalisations_products_and_moved_channels() {
    check_all("others");
}

#[test]
fn networks() {
    check_all("networks");
}

#[test]
fn clips_and_texts() {
    for file in ["clips", "texts"] {
        let fixture = Fixture::open(file);
        for case in fixture.cases::<Case>() {
            for cpu in cpus() {
                for fuse in [true, false] {
                    check_network(&fixture, &case, &cpu, fuse);
                }
            }
        }
    }
}

#[test]
fn rows_of_flattened_branches() {
    let fixture = Fixture::open("flattened");
    for case in fixture.cases::<Case>() {
        for cpu in cpus() {
            check_network(&fixture, &case, &cpu, true);
        }
    }
}

/// A model gives the expected file, byte by byte.
#[test]
fn a_model_is_saved_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lenet5.safetensors");
    let model = lenet5();
    let saved = || {
        model.save(&path).unwrap();
        std::fs::read(&path).unwrap()
    };
    let first = saved();
    assert!((0..5).all(|_| saved() == first));
}

#[test]
fn a_file_of_pytorch_is_saved_as_it_was() {
    let fixture = Fixture::open("networks");
    for case in fixture.cases::<Case>() {
        let weights = fixture.under(&format!("{}/weights/", case.name));
        let text = format!("{}-flatten-linear(5)", case.text);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("again.safetensors");
        model(&text, case.shape(), &weights).save(&path).unwrap();
        assert_eq!(tensors(&std::fs::read(&path).unwrap()), weights, "{text}");
    }
}

#[test]
fn cross_entropy_of_probabilities() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        classes: usize,
        smoothing: f32,
        weights: Option<Vec<f32>>,
        loss: f64,
    }
    #[derive(Deserialize)]
    struct Description {
        soft: Vec<Case>,
    }
    let fixture = Fixture::open("loss");
    for case in fixture.description::<Description>().soft {
        let numbers = |name: &str| fixture.numbers(&format!("{}/{name}", case.name));
        let (logits, classes) = (numbers("logits"), case.classes);
        let what = |what: &str| format!("case {}: {what}", case.name);
        let mut actual = vec![0.0; logits.len()];
        let weights = case.weights.as_deref();
        let (loss, _) = softmax::cross_entropy_of_probabilities(
            logits,
            numbers("targets"),
            classes,
            case.smoothing,
            weights,
            &mut actual,
        );
        let heaviest = weights.map_or(1.0, largest).max(1.0);
        let measure = heaviest * largest(logits).max(1.0);
        let (loss, expected) = ([loss as f32], [case.loss as f32]);
        assert_near(&what("loss"), &loss, &expected, measure, classes);
        let gradient = numbers("gradient");
        assert_near(&what("gradient"), &actual, gradient, heaviest, classes);
    }
}

#[test]
fn softmax_and_cross_entropy() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        classes: usize,
        labels: Vec<u32>,
        smoothing: f32,
        weights: Option<Vec<f32>>,
        loss: f64,
    }
    let fixture = Fixture::open("loss");
    for case in fixture.cases::<Case>() {
        let numbers = |name: &str| fixture.numbers(&format!("{}/{name}", case.name));
        let (logits, classes) = (numbers("logits"), case.classes);
        let what = |what: &str| format!("case {}: {what}", case.name);
        let mut actual = vec![0.0; logits.len()];
        let (labels, smoothing) = (&case.labels, case.smoothing);
        let weights = case.weights.as_deref();
        let (loss, _) =
            softmax::cross_entropy(logits, labels, classes, smoothing, weights, &mut actual);
        let measure = largest(logits).max(1.0);
        assert_near(
            &what("loss"),
            &[loss as f32],
            &[case.loss as f32],
            measure,
            classes,
        );
        assert_near(
            &what("gradient"),
            &actual,
            numbers("gradient"),
            1.0,
            classes,
        );
        for cpu in cpus() {
            softmax::softmax(&cpu, logits, classes, &mut actual);
            assert_near(
                &what("softmax"),
                &actual,
                numbers("probabilities"),
                1.0,
                classes,
            );
        }
    }
}

/// A hash of a counter: 24 bits, exact in f32.
fn noise(counter: u64) -> f32 {
    let mut x = (counter.wrapping_mul(2_654_435_761)) as u32;
    x ^= x >> 15;
    x = x.wrapping_mul(2_246_822_519);
    x ^= x >> 13;
    (x >> 8) as f32 / (1 << 24) as f32
}

/// LeNet-5 with the weights of `first_weights` in make_fixtures.py.
fn lenet5() -> Model {
    let shape = Shape::new(28, 28, 1);
    let network = hubel::Network::resolve("lenet5").unwrap();
    let graph = network.graph(shape, 10).unwrap();
    let tensors = graph.nodes.iter().flat_map(|node| {
        let axes = |shape: &[usize]| match *shape {
            [height, width, inputs, outputs] => vec![outputs, inputs, height, width],
            [inputs, outputs] => vec![outputs, inputs],
            _ => shape.to_vec(),
        };
        let fan_in = |weight: &hubel::network::Tensor| axes(&weight.shape)[1..].iter().product();
        let fan_in: usize = node.tensors.first().map_or(1, fan_in);
        (node.tensors.iter()).map(move |tensor| {
            let name = format!("{}.{}", node.name, tensor.name);
            (name, axes(&tensor.shape), fan_in)
        })
    });
    let tensors = tensors.enumerate().map(|(t, (name, axes, fan_in))| {
        let bound = (3.0 / fan_in as f64).sqrt() as f32;
        let start = 1_000_000 * (t as u64 + 1);
        let length = axes.iter().product::<usize>() as u64;
        let numbers = (start..start + length).map(|i| bound * (2.0 * noise(i) - 1.0));
        (name, (axes, numbers.collect()))
    });
    model("lenet5", shape, &tensors.collect())
}

/// Picture `number` of make_fixtures.py: stripes with noise; their slope is the class.
fn picture(number: usize, image: &mut [f32]) {
    let class = number % 10;
    for (i, pixel) in image.iter_mut().enumerate() {
        let (y, x) = (i / 28, i % 28);
        let stripe = (y * (1 + class % 5) + x * (1 + 2 * (class / 5))) % 7 < 3;
        let dot = 4.0 * noise((784 * number + i) as u64) - 2.0;
        *pixel = dot + if stripe { 1.0 } else { -1.0 };
    }
}

#[test]
fn two_hundred_steps_of_lenet5() {
    #[derive(Deserialize)]
    struct Training {
        steps: usize,
        batch: usize,
        lr: f32,
        momentum: f32,
    }
    let fixture = Fixture::open("training");
    let Training {
        steps,
        batch,
        lr,
        momentum,
    } = fixture.description();
    let sgd = update::Sgd {
        learning_rate: lr,
        momentum,
        nesterov: false,
        weight_decay: 0.0,
    };
    for cpu in cpus() {
        let model = lenet5();
        let mut parameters = model.parameters().clone();
        let graph = model.network().graph(model.input(), 10).unwrap();
        let settings = PlanSettings::training(batch);
        let plan = Plan::compile(&graph, &parameters, &cpu, settings).unwrap();
        let mut workspace = Workspace::new(&plan);
        let mut velocity = vec![0.0; parameters.values().len()];
        for step in 0..steps {
            let numbers = step * batch..(step + 1) * batch;
            let images = workspace.images_mut().chunks_mut(28 * 28);
            (numbers.clone().zip(images)).for_each(|(number, image)| picture(number, image));
            let labels: Vec<u32> = numbers.map(|number| (number % 10) as u32).collect();
            plan.pack(&cpu, &parameters, &mut workspace);
            plan.forward(&cpu, &parameters, &mut workspace, 0);
            if step == 0 {
                let (logits, expected) = (plan.logits(&workspace), fixture.numbers("first_logits"));
                assert_near("first logits", logits, expected, largest(expected), 400);
            }
            let loss = plan.loss(&mut workspace, &labels, 0.0, None).loss as f32;
            // PyTorch's own curve in float32 is within 3e-7 of this one in float64 at every step.
            let expected = fixture.numbers("losses")[step];
            assert!(
                (loss - expected).abs() <= 1e-5,
                "{}, step {step}: loss {loss}, in PyTorch {expected}",
                cpu.instruction_set()
            );
            plan.backward(&cpu, &parameters, &mut workspace, 0);
            let values = parameters.values_mut();
            let gradient = workspace.parameter_gradient().into();
            sgd.step(&cpu, values, gradient, &mut velocity);
        }
    }
}
