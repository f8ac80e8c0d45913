//! A convolution with fused pooling gives the same result as separate steps.
use hubel::plan::Mode;
use hubel::{
    Cpu, InstructionSet, Network, Parameters, Plan, PlanSettings, Result, Shape, Workspace,
};

/// Networks, their input, and how many convolutions pool.
const NETWORKS: [(&str, [usize; 3], usize); 5] = [
    ("lenet5", [28, 28, 1], 2),
    ("mnist-cnn", [28, 28, 1], 2),
    // Odd maps.
    (
        "conv(32, padding=1)-relu-conv(32, padding=1)-maxpool(2, round=floor)\
         -conv(40, padding=1)-leakyrelu(0.1)-maxpool(2, round=floor)-flatten-fc(classes)",
        [15, 13, 3],
        2,
    ),
    // Too wide for a band of two rows in L1.
    (
        "conv(32, kernel=5, padding=2)-relu-pool-globalmaxpool-fc(classes)",
        [4, 2000, 2],
        0,
    ),
    // Not fused: other windows, maps with several readers, windows across the border.
    (
        "conv(8, padding=1)-relu-maxpool(3, stride=2, padding=1, round=floor)-conv(8, padding=1)\
         -maxpool(2, round=ceil)-residual[conv(8, padding=1)-relu]-flatten-fc(classes)",
        [18, 18, 2],
        0,
    ),
];

const BATCH: usize = 3;

struct Outcome {
    logits: Vec<f32>,
    gradient: Vec<f32>,
    bytes: usize,
    pooled: usize,
}

fn run(cpu: &Cpu, text: &str, [h, w, c]: [usize; 3], mode: Mode, fuse: bool) -> Result<Outcome> {
    let graph = Network::resolve(text)?.graph(Shape::new(h, w, c), 10)?;
    let parameters = Parameters::initial(&graph, 2).unwrap();
    let settings = PlanSettings {
        mode,
        fuse,
        ..PlanSettings::training(BATCH)
    };
    let plan = Plan::compile(&graph, &parameters, cpu, settings)?;
    let mut workspace = Workspace::new(&plan);
    for (i, pixel) in workspace.images_mut().iter_mut().enumerate() {
        *pixel = (i as f32 * 12.9898).sin();
    }
    plan.pack(cpu, &parameters, &mut workspace);
    plan.forward(cpu, &parameters, &mut workspace, 5);
    let logits = plan.logits(&workspace).to_vec();
    if mode == Mode::Training {
        plan.loss(&mut workspace, &[3, 1, 4], 0.0, None);
        plan.backward(cpu, &parameters, &mut workspace, 5);
    }
    let report = plan.report();
    let pools = |kind: &&str| kind.starts_with("conv") && kind.ends_with("+ max pool");
    Ok(Outcome {
        logits,
        gradient: workspace.parameter_gradient().to_vec(),
        bytes: report.memory.bytes,
        pooled: report
            .steps
            .iter()
            .map(|step| &*step.kind)
            .filter(pools)
            .count(),
    })
}

#[test]
fn pooling_within_the_convolution_changes_no_logits() -> Result<()> {
    for (text, shape, pooled) in NETWORKS {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, 2);
            for mode in [Mode::Inference, Mode::Training] {
                let together = run(&cpu, text, shape, mode, true)?;
                let apart = run(&cpu, text, shape, mode, false)?;
                let what = format!("{text} {set} {mode:?}");
                // With few channels, fused pooling sums in another order; otherwise the bits are the same.
                let tolerance = if text == "lenet5" { 1e-5 } else { 0.0 };
                let magnitude = apart.logits.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
                for (a, b) in together.logits.iter().zip(&apart.logits) {
                    assert!((a - b).abs() <= tolerance * magnitude, "{what}: {a} {b}");
                }
                assert_eq!(together.pooled, pooled, "{what}");
                assert_eq!(apart.pooled, 0, "{what}");
                let largest = apart
                    .gradient
                    .iter()
                    .fold(0.0_f32, |max, x| max.max(x.abs()));
                for (a, b) in together.gradient.iter().zip(&apart.gradient) {
                    assert!((a - b).abs() <= 1e-5 * largest, "{what}: {a} {b}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_large_map_and_its_gradient_need_no_memory() -> Result<()> {
    let (text, shape, _) = NETWORKS[0];
    let cpu = Cpu::best(1);
    let together = run(&cpu, text, shape, Mode::Training, true)?;
    let apart = run(&cpu, text, shape, Mode::Training, false)?;
    // The output of lenet5's convolutions for an image before pooling, and the larger of the gradients.
    let [first, second] = [28 * 28 * 6, 10 * 10 * 16];
    let saved = BATCH * size_of::<f32>() * (first + second + first);
    // The rest of the difference is scratch memory and the maps of the unfused ReLU.
    assert!(
        together.bytes + saved <= apart.bytes,
        "{} {}",
        together.bytes,
        apart.bytes
    );
    Ok(())
}
