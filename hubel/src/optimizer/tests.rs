use hubel_kernels::Cpu;

use super::*;
use crate::{Network, Parameters, Plan, PlanSettings, Shape, Workspace};

/// All optimizers.
fn optimizers() -> impl Iterator<Item = Optimizer> {
    let usual = Optimizer::NAMES.iter().map(|name| Optimizer::usual(name));
    let without_nesterov = Optimizer::Sgd {
        momentum: 0.9,
        nesterov: false,
    };
    let with_velocity = Optimizer::RmsProp {
        alpha: 0.9,
        epsilon: 1e-8,
        momentum: 0.8,
    };
    let usual = usual.map(|usual| usual.expect("a name has an optimizer"));
    usual.chain([without_nesterov, with_velocity])
}

#[test]
fn each_weight_is_changed_once_and_packed_as_the_plan_packs_it() -> Result<()> {
    let network = Network::parse(
        "conv(20, padding=1)-relu-pool-conv(16, padding=1, bias=false)-batchnorm-relu6-conv(16, groups=16, padding=1)-batchnorm-relu6\
         -residual[conv(16, padding=1, groups=2)-batchnorm]-relu-conv(40, kernel=1)-relu-flatten-fc(30)-relu-fc(classes)",
    )?;
    let graph = network.graph(Shape::new(12, 12, 3), 4)?;
    let cpu = Cpu::best(2);
    let plan = Plan::compile(
        &graph,
        &Parameters::initial(&graph, 1)?,
        &cpu,
        PlanSettings::training(6),
    )?;
    for optimizer in optimizers() {
        let mut parameters = Parameters::initial(&graph, 1)?;
        let mut workspace = Workspace::new(&plan);
        for (i, value) in workspace.images_mut().iter_mut().enumerate() {
            *value = (i * 37 % 101) as f32 / 50.0 - 1.0;
        }
        plan.pack(&cpu, &parameters, &mut workspace);
        let mut state = OptimizerState::new(&cpu, optimizer, &parameters);
        let mut all_at_once = OptimizerState::new(&cpu, optimizer, &parameters);
        for seed in 0..3 {
            plan.forward(&cpu, &parameters, &mut workspace, seed);
            plan.loss(&mut workspace, &[0, 1, 2, 3, 0, 1], 0.0, None);
            plan.backward(&cpu, &parameters, &mut workspace, seed);
            let mut expected = parameters.clone();
            let mut update = all_at_once.begin(0.01, 0.1, None);
            for range in [expected.decayed(), expected.undecayed()] {
                update.apply(&cpu, &mut expected, workspace.parameter_gradient(), range);
            }
            let before = parameters.clone();
            let update = state.begin(0.01, 0.1, None);
            plan.update(&cpu, &mut parameters, &mut workspace, update);
            assert!(
                parameters != before && parameters == expected,
                "{optimizer}"
            );
            let mut afresh = Workspace::new(&plan);
            plan.pack(&cpu, &parameters, &mut afresh);
            let packed = |workspace: &Workspace| {
                let all = [&workspace.packed_forward, &workspace.packed_input_gradient];
                all.map(|buffers| buffers.iter().map(|b| b.to_vec()).collect::<Vec<_>>())
            };
            assert!(packed(&workspace) == packed(&afresh));
        }
    }
    Ok(())
}

/// Layers of each kind: the first, a depthwise and a grouped convolution, wide and tall matrices, the last.
const LAYERS: &str = "conv(6, padding=1)-batchnorm-relu-conv(6, groups=6, padding=1)-conv(12, groups=2, padding=1)-relu-conv(40, kernel=1)\
     -relu-globalavgpool-fc(17)-relu-fc(classes)";

fn parameters() -> Parameters {
    let network = Network::parse(LAYERS).expect("the text is correct");
    let graph = network.graph(Shape::new(6, 6, 3), 5);
    Parameters::initial(&graph.expect("it fits"), 1).expect("there is memory")
}

/// A gradient for all parameters, 0 in the gaps between tensors.
fn gradient(parameters: &Parameters, step: usize) -> Vec<f32> {
    let mut gradient = vec![0.0; parameters.values().len()];
    for (t, entry) in parameters.entries().iter().enumerate() {
        for (i, value) in gradient[entry.range.clone()].iter_mut().enumerate() {
            *value = ((i * i % 1009) as f32 * 0.77 + (step * 7 + t) as f32).sin();
        }
    }
    gradient
}

fn step(
    cpu: &Cpu,
    state: &mut OptimizerState,
    parameters: &mut Parameters,
    gradient: &[f32],
    clip: Option<f32>,
) -> Option<GradientNorm> {
    let mut update = state.begin(0.01, 0.1, clip);
    let norm = update.clip(cpu, parameters, gradient);
    for range in [parameters.decayed(), parameters.undecayed()] {
        update.apply(cpu, parameters, gradient, range);
    }
    norm
}

#[test]
fn steps_after_a_restored_state_have_the_same_bits_for_any_number_of_threads() {
    for optimizer in optimizers() {
        let cpu = Cpu::best(2);
        let mut trained = parameters();
        let mut state = OptimizerState::new(&cpu, optimizer, &trained);
        for number in 0..4 {
            let gradient = gradient(&trained, number);
            step(&cpu, &mut state, &mut trained, &gradient, Some(1.0));
        }
        let other_cpu = Cpu::best(3);
        let mut resumed = trained.clone();
        let mut restored = OptimizerState::new(&other_cpu, optimizer, &resumed);
        let (steps, buffers) = state.state();
        assert_eq!(steps, 4);
        restored
            .restore(steps, &buffers)
            .expect("it is the same network");
        for number in 4..8 {
            let gradient = gradient(&trained, number);
            step(&cpu, &mut state, &mut trained, &gradient, Some(1.0));
            step(
                &other_cpu,
                &mut restored,
                &mut resumed,
                &gradient,
                Some(1.0),
            );
        }
        let bits = |parameters: &Parameters| {
            parameters
                .values()
                .iter()
                .map(|value| value.to_bits())
                .collect::<Vec<_>>()
        };
        assert!(bits(&trained) == bits(&resumed), "{optimizer}");
        assert_eq!(state.state(), restored.state(), "{optimizer}");
    }
}

#[test]
fn state_of_another_optimizer_or_network_is_refused_and_changes_nothing() {
    let (cpu, parameters) = (Cpu::best(1), parameters());
    let length = parameters.values().len();
    let (right, short) = (vec![1.0; length], vec![1.0; length - 1]);
    let mut state = OptimizerState::new(&cpu, Optimizer::adam_w(), &parameters);
    type Buffers<'a> = &'a [(&'a str, &'a [f32])];
    let refused: [(Buffers<'_>, &str); 5] = [
        (&[], "the state of adamw is mean and square, not nothing"),
        (&[("momentum", &right)], "mean and square, not momentum"),
        (&[("mean", &right)], "mean and square, not mean"),
        (
            &[("mean", &right), ("mean", &right)],
            "mean and square, not mean and mean",
        ),
        (&[("mean", &right), ("square", &short)], "`square` has"),
    ];
    for (buffers, part) in refused {
        let problem = state.restore(7, buffers).expect_err(part);
        assert!(problem.contains(part), "{problem}");
    }
    let (steps, buffers) = state.state();
    assert_eq!(steps, 0);
    assert!(
        buffers
            .iter()
            .all(|(_, values)| values.iter().all(|value| *value == 0.0))
    );
    let reordered: [(&str, &[f32]); 2] = [("square", &right), ("mean", &right)];
    assert_eq!(state.restore(7, &reordered), Ok(()));
}

#[test]
fn muon_trains_the_matrices_of_inner_layers() {
    let parameters = parameters();
    let matrices = matrices::of(&Cpu::best(1), &parameters);
    let names = matrices.iter().map(|matrix| {
        let name = parameters
            .name_at(matrix.range.start)
            .expect("it is a tensor");
        let sizes = [matrix.iteration.rows(), matrix.iteration.columns()];
        (name.to_owned(), sizes)
    });
    let names: Vec<(String, [usize; 2])> = names.collect();
    let sizes: Vec<[usize; 2]> = names.iter().map(|(_, sizes)| *sizes).collect();
    assert_eq!(sizes, [[27, 12], [12, 40], [40, 17]], "{names:?}");
    // A matrix is changed along all directions by the same length, all other parameters by AdamW with a tenth of the rate.
    let (cpu, mut trained) = (Cpu::best(1), parameters.clone());
    let gradient = gradient(&trained, 1);
    let mut state = OptimizerState::new(&cpu, Optimizer::muon(), &trained);
    let mut update = state.begin(0.1, 0.0, None);
    update.apply(&cpu, &mut trained, &gradient, parameters.decayed());
    let entry = parameters
        .entries()
        .iter()
        .min_by_key(|entry| entry.node)
        .expect("there are tensors");
    for (before, after) in parameters.tensor(entry).iter().zip(trained.tensor(entry)) {
        // The first step of AdamW is its learning rate.
        assert!(
            ((before - after).abs() - 0.01).abs() < 1e-4,
            "{before} {after}"
        );
    }
}

#[test]
fn a_clipped_gradient_has_the_norm_that_is_asked_for() {
    let (cpu, start) = (Cpu::best(2), parameters());
    let gradient = gradient(&start, 3);
    let exact = gradient[..start.undecayed().end]
        .iter()
        .map(|value| f64::from(*value).powi(2));
    let exact = exact.sum::<f64>().sqrt();
    let sgd = Optimizer::Sgd {
        momentum: 0.0,
        nesterov: false,
    };
    let change = |clip: Option<f32>, threads: usize| {
        let (cpu, mut trained) = (Cpu::best(threads), start.clone());
        let mut state = OptimizerState::new(&cpu, sgd, &trained);
        let mut update = state.begin(1.0, 0.0, clip);
        let norm = update.clip(&cpu, &trained, &gradient);
        update.apply(&cpu, &mut trained, &gradient, 0..start.undecayed().end);
        let values = trained.values().iter().zip(start.values());
        let change: f64 = values
            .map(|(after, before)| f64::from(after - before).powi(2))
            .sum();
        (norm, change.sqrt(), trained)
    };
    assert_eq!(change(None, 1).0, None);
    for (clip, length) in [(0.5, 0.5), (2.0, 2.0), (1e6, exact)] {
        let (norm, change_of_all, trained) = change(Some(clip), 1);
        let norm = norm.expect("it is measured");
        assert!((f64::from(norm.norm) - exact).abs() < 1e-6 * exact);
        assert_eq!(norm.is_clipped, clip < 1e6);
        // The weights are of size 1, so that a change is rounded to ε / 2.
        let rounding = 0.5 * f64::from(f32::EPSILON) * (trained.count() as f64).sqrt();
        assert!(
            (change_of_all - length).abs() < 1e-5 * length + 4.0 * rounding,
            "{change_of_all} {length}"
        );
        assert!(trained == change(Some(clip), 3).2);
    }
    // Parameters that are not trained do not count.
    let trained = start.entries()[1].range.clone();
    let mut state = OptimizerState::new(&cpu, sgd, &start).with_rates(vec![(trained.clone(), 1.0)]);
    let norm = state
        .begin(1.0, 0.0, Some(1.0))
        .clip(&cpu, &start, &gradient);
    let part: f64 = gradient[trained]
        .iter()
        .map(|value| f64::from(*value).powi(2))
        .sum();
    let norm = f64::from(norm.expect("it is measured").norm);
    assert!((norm - part.sqrt()).abs() < 1e-6 * norm);
}

#[test]
fn in_text_an_optimizer_is_its_name_or_a_table() -> Result<()> {
    for optimizer in optimizers() {
        let text = serde_json::to_string(&optimizer).expect("it can be written");
        let again: Optimizer = serde_json::from_str(&text).expect(&text);
        assert_eq!(again, optimizer);
        assert_eq!(
            optimizer.to_string().parse::<Optimizer>()?.name(),
            optimizer.name()
        );
    }
    let text = |optimizer: Optimizer| serde_json::to_string(&optimizer).expect("it can be written");
    assert_eq!(text(Optimizer::adam_w()), r#""adamw""#);
    let read =
        |text: &str| serde_json::from_str::<Optimizer>(text).map_err(|error| error.to_string());
    let with_beta = Optimizer::Adam {
        beta1: 0.7,
        beta2: 0.999,
        epsilon: 1e-8,
    };
    assert_eq!(read(r#"{"name": "adam", "beta1": 0.7}"#), Ok(with_beta));
    for (wrong, part) in [
        (
            r#""adma""#,
            "there is no optimizer `adma`; did you mean adam? choose one of sgd, adam,",
        ),
        (
            r#"{"name": "adam", "momentum": 0.7}"#,
            "unknown field `momentum`",
        ),
        (r#"{"beta1": 0.7}"#, "missing field `name`"),
        ("7", "a name or a table with a name"),
    ] {
        let problem = read(wrong).expect_err(wrong);
        assert!(problem.contains(part), "{problem}");
    }
    Ok(())
}
