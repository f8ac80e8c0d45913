//! Convolutions that an inference plan runs together in bands of rows: they give the result of the unfused plan, and the same bits for any number of
//! threads.
use hubel::{Cpu, Network, Parameters, Plan, PlanSettings, Result, Shape, Workspace};

/// Two inverted residuals; the second one adds its input.
const INVERTED: &str = "\
    conv(24, stride=2, padding=1, bias=false, round=floor)-batchnorm-relu6\
    -conv(24, padding=1, groups=24, bias=false)-batchnorm-relu6-conv(8, kernel=1, bias=false)-batchnorm\
    -residual[conv(40, kernel=1, bias=false)-batchnorm-relu6\
        -conv(40, padding=1, groups=40, bias=false)-batchnorm-relu6-conv(8, kernel=1, bias=false)-batchnorm]\
    -globalavgpool-linear(classes)";

/// Plain layers with biases, and a depthwise convolution with a stride.
const PLAIN: &str = "\
    conv(20, kernel=1)-relu-conv(20, kernel=5, stride=2, padding=2, groups=20, round=floor)-conv(6, kernel=1)-tanh\
    -flatten-linear(classes)";

/// Both maps in the middle are read twice.
const READ_TWICE: &str = "conv(8, kernel=1)-residual[conv(8, padding=1, groups=8)]-conv(4, kernel=1)-flatten-linear(classes)";

/// The logits of three images, and how many steps run in bands.
fn infer(text: &str, fuse: bool, threads: usize) -> Result<(Vec<f32>, usize)> {
    let graph = Network::parse(text)?.graph(Shape::new(62, 33, 3), 5)?;
    let mut parameters = Parameters::initial(&graph, 2).unwrap();
    // Statistics and scales other than 0 and 1.
    for (i, value) in parameters.values_mut().iter_mut().enumerate() {
        *value += 0.1 + 0.1 * (i as f32 * 0.37).sin();
    }
    let settings = PlanSettings {
        fuse,
        ..PlanSettings::inference(3)
    };
    let cpu = Cpu::best(threads);
    let plan = Plan::compile(&graph, &parameters, &cpu, settings)?;
    let mut workspace = Workspace::new(&plan);
    for (i, pixel) in workspace.images_mut().iter_mut().enumerate() {
        *pixel = (i as f32 * 12.9898).sin();
    }
    plan.pack(&cpu, &parameters, &mut workspace);
    plan.forward(&cpu, &parameters, &mut workspace, 0);
    let first = plan.logits(&workspace).to_vec();
    plan.forward(&cpu, &parameters, &mut workspace, 0);
    assert_eq!(first, plan.logits(&workspace), "a second run");
    let steps = plan.report().steps;
    let banded = steps.iter().filter(|step| step.kind.contains("in bands"));
    Ok((first, banded.count()))
}

#[test]
fn a_chain_in_bands_computes_what_the_unfused_plan_computes() -> Result<()> {
    for (text, chains) in [(INVERTED, 2), (PLAIN, 1), (READ_TWICE, 0)] {
        let (expected, _) = infer(text, false, 1)?;
        let (logits, found) = infer(text, true, 1)?;
        assert_eq!(found, chains, "{text}");
        let largest = expected.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
        for (logit, expected) in logits.iter().zip(&expected) {
            let error = (logit - expected).abs();
            assert!(error <= 2e-5 * largest, "{text}: {logit} for {expected}");
        }
    }
    Ok(())
}

#[test]
fn any_number_of_threads_gives_the_same_bits_in_bands() -> Result<()> {
    for text in [INVERTED, PLAIN] {
        let (one, _) = infer(text, true, 1)?;
        for threads in [2, 3, 5] {
            assert_eq!(one, infer(text, true, threads)?.0, "{text}");
        }
    }
    Ok(())
}
