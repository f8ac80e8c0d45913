//! Running a plan takes no memory: all of it was taken with the workspace.
use allocation_counter::measure;
use hubel::plan::Mode;
use hubel::{Cpu, Network, Parameters, Plan, PlanSettings, Result, Shape, Workspace};

/// Steps that none of the zoo's networks has.
const OTHERS: &str = "\
    batchnorm-relu-conv(8, padding=1, mode=reflect)-maxpool(3, stride=2, padding=1, round=floor)-batchnorm-gelu\
    -concat[avgpool(3, stride=1, padding=1) | conv(8, kernel=1)-dropout(0.5)]-conv(72, kernel=1)-globalmaxpool-batchnorm-linear(classes)";

/// How often this thread takes memory in a run forward and, for training, backward.
fn taken(network: &Network, input: Shape, mode: Mode) -> Result<u64> {
    let graph = network.graph(input, 10)?;
    let parameters = Parameters::initial(&graph, 1)?;
    let cpu = Cpu::best(2);
    let settings = PlanSettings {
        mode,
        ..PlanSettings::training(2)
    };
    let plan = Plan::compile(&graph, &parameters, &cpu, settings)?;
    let mut workspace = Workspace::new(&plan);
    plan.pack(&cpu, &parameters, &mut workspace);
    let mut run = |seed| {
        plan.forward(&cpu, &parameters, &mut workspace, seed);
        if mode == Mode::Training {
            plan.loss(&mut workspace, &[0, 1], 0.1, None);
            plan.backward(&cpu, &parameters, &mut workspace, seed);
        }
    };
    // The first takes what the thread pool keeps.
    run(0);
    Ok(measure(|| run(1)).count_total)
}

#[test]
fn inference_takes_no_memory_nor_does_training_without_batch_normalisation() -> Result<()> {
    let zoo = Network::names().map(|name| {
        let input = Network::usual_input(name).expect("the zoo has it");
        let side = input.height.min(64);
        (name, Shape::new(side, side, input.channels))
    });
    for (name, input) in zoo.chain([(OTHERS, Shape::new(21, 18, 3))]) {
        let network = Network::resolve(name)?;
        assert_eq!(taken(&network, input, Mode::Inference)?, 0, "{name}");
        if !network.to_string().contains("batchnorm") {
            assert_eq!(taken(&network, input, Mode::Training)?, 0, "{name}");
        }
    }
    Ok(())
}

#[test]
#[should_panic(expected = "the workspace is that of another plan")]
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
