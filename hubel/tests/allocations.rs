//! Running a plan allocates no memory: the workspace has all of it.
use std::collections::HashSet;

use allocation_counter::measure;
use hubel::network::Input;
use hubel::plan::Mode;
use hubel::{Cpu, Network, Parameters, Plan, PlanSettings, Result, Shape, Workspace};
use hubel_kernels::conv::Algorithm;
use hubel_kernels::update::{Adam, Muon, NewtonSchulz, sum_of_squares};

/// Steps that no network of the zoo has.
const OTHERS: &str = "\
    batchnorm-relu-conv(8, padding=1, mode=reflect)-maxpool(3, stride=2, padding=1, round=floor)-batchnorm-gelu\
    -concat[avgpool(3, stride=1, padding=1) | conv(8, kernel=1)-dropout(0.5)]-conv(72, kernel=1)-globalmaxpool-batchnorm-linear(classes)";

/// Few channels, with and without pooling, then small maps.
const FEW_CHANNELS: &str = "\
    conv(4, kernel=5, padding=2)-relu-conv(4, kernel=5, padding=2)-relu-conv(6, kernel=5)-relu-maxpool-conv(16, kernel=5)-relu-maxpool\
    -conv(64, kernel=2, stride=2)-relu-conv(96, padding=1)-relu-flatten-linear(classes)";

/// Clips: frames by themselves, then along time.
const ALONG_TIME: &str = "\
    conv(8, padding=1)-groupnorm(2)-relu-timeconv(8, padding=same)-scale-relu-maxpool-timemaxpool-residual[timeconv(8, kernel=1)-relu]-globalavgpool\
    -avgovertime-linear(classes)";

/// The number of allocations of this thread in a forward run and, for training, a backward run. Records the algorithms of the plan.
fn taken(
    network: &Network,
    input: Input,
    settings: PlanSettings,
    algorithms: &mut HashSet<String>,
) -> Result<u64> {
    let graph = network.graph(input, 10)?;
    let parameters = Parameters::initial(&graph, 1)?;
    let cpu = Cpu::best(2);
    let plan = Plan::compile(&graph, &parameters, &cpu, settings)?;
    for step in plan.report().steps {
        let passes = [step.forward, step.input_gradient, step.weight_gradient];
        for algorithm in passes.into_iter().flatten() {
            algorithms.extend(algorithm.split(", ").map(str::to_owned));
        }
    }
    let mut workspace = Workspace::new(&plan);
    plan.pack(&cpu, &parameters, &mut workspace);
    let mut run = |seed| {
        plan.forward(&cpu, &parameters, &mut workspace, seed);
        if settings.mode == Mode::Training {
            plan.loss(&mut workspace, &[0, 1], 0.1, None);
            plan.loss_of_targets(&mut workspace, &[0.1; 20], 0.1, None);
            plan.backward(&cpu, &parameters, &mut workspace, seed);
        }
    };
    // The first run allocates what the thread pool keeps.
    run(0);
    Ok(measure(|| run(1)).count_total)
}

#[test]
fn inference_takes_no_memory_nor_does_training_without_batch_normalisation() -> Result<()> {
    let zoo = Network::names().map(|name| {
        let input = Network::usual_input(name).expect("the zoo has it");
        let Shape {
            height, channels, ..
        } = input.shape;
        let side = height.min(64);
        let shape = Shape::new(side, side, channels).over(input.shape.time);
        (name, Input { shape, ..input })
    });
    let others = [
        (OTHERS, Shape::new(21, 18, 3).into()),
        (FEW_CHANNELS, Shape::new(28, 28, 1).into()),
        (ALONG_TIME, Shape::new(12, 10, 3).over(6).into()),
    ];
    let mut algorithms = HashSet::new();
    for (name, input) in zoo.chain(others) {
        let network = Network::resolve(name)?;
        let inference = PlanSettings::inference(2);
        let none = taken(&network, input, inference, &mut algorithms)?;
        assert_eq!(none, 0, "{name}");
        if !network.to_string().contains("batchnorm") {
            let training = PlanSettings::training(2);
            let none = taken(&network, input, training, &mut algorithms)?;
            assert_eq!(none, 0, "{name}");
        }
    }
    for algorithm in Algorithm::ORDER {
        let is_reached = algorithms.contains(&algorithm.to_string());
        assert!(is_reached, "no network reaches {algorithm}: {algorithms:?}");
    }
    Ok(())
}

#[test]
fn updates_take_no_memory() {
    let cpu = Cpu::best(2);
    let adam = Adam {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.1,
        decoupled: true,
    };
    let muon = Muon {
        learning_rate: 0.1,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.1,
    };
    for (inputs, outputs) in [(300, 70), (70, 300)] {
        let iteration = NewtonSchulz::new(&cpu, inputs, outputs).expect("this size is usual");
        let length = inputs * outputs;
        let (mut values, mut first, mut second) =
            (vec![1.0; length], vec![0.0; length], vec![0.0; length]);
        let gradient: Vec<f32> = (0..length).map(|i| (i as f32).sin()).collect();
        let mut scratch = vec![0.0; Muon::scratch_len(&iteration)];
        let mut run = || {
            let gradient = gradient[..].into();
            muon.step(
                &cpu,
                &iteration,
                &mut values,
                gradient,
                &mut first,
                &mut scratch,
            );
            adam.step(&cpu, 1, &mut values, gradient, &mut first, &mut second);
            sum_of_squares(&cpu, gradient.values)
        };
        // The first run allocates what the thread pool keeps.
        run();
        let taken = measure(|| {
            run();
        });
        assert_eq!(taken.count_total, 0, "{inputs}×{outputs}");
    }
}

#[test]
#[should_panic(expected = "the workspace belongs to another plan")]
fn a_workspace_of_a_smaller_batch_is_refused() {
    let graph = Network::named("mlp").and_then(|mlp| mlp.graph(Shape::new(28, 28, 1), 10));
    let graph = graph.expect("it fits");
    let parameters = Parameters::initial(&graph, 1).expect("there is memory");
    let cpu = Cpu::best(1);
    let plan = |batch| Plan::compile(&graph, &parameters, &cpu, PlanSettings::inference(batch));
    let mut workspace = Workspace::new(&plan(1).expect("there is memory"));
    let larger = plan(2).expect("there is memory");
    larger.forward(&cpu, &parameters, &mut workspace, 0);
}
