//! What a plan computes: its gradients are finite differences of its loss, fused or not, and its bits do not depend on threads.
use std::ops::ControlFlow;

use hubel::plan::Mode;
use hubel::{
    Cpu, Dataset, InstructionSet, Network, Parameters, Plan, PlanSettings, Shape, TrainSettings,
    Trainer, Workspace,
};

const NETWORKS: [&str; 8] = [
    "conv(4, padding=same)-sigmoid-avgpool(2, round=floor)-flatten-fc(classes)",
    "conv(5, kernel=(3,2), stride=(2,1), padding=(1,0,0,1), round=floor)-tanh-flatten-fc(classes)",
    "conv(4, padding=1, mode=reflect)-silu-globalavgpool-flatten-fc(classes)",
    "conv(6, groups=2, dilation=2)-gelu-conv(6, groups=6, padding=1)-hardswish-flatten-fc(classes)",
    "conv(4)-batchnorm-tanh-conv(4)-batchnorm-sigmoid-flatten-fc(7)-tanh-fc(classes)",
    "conv(4, padding=1)-tanh-residual[conv(4, padding=1)-tanh]-tanh-flatten-fc(classes)",
    "concat[conv(3)-tanh | conv(2)-sigmoid]-maxpool(2, round=floor)-flatten-dropout(0.3)-fc(classes)",
    "conv(4, mode=circular, padding=1)-tanh-globalmaxpool-flatten-fc(classes)",
];

fn run(
    text: &str,
    fuse: bool,
    change: Option<(usize, f32)>,
) -> Result<(f64, Vec<f32>), hubel::Error> {
    let (input, classes, batch) = (Shape::new(7, 6, 2), 3, 4);
    let graph = Network::parse(text)?.graph(input, classes)?;
    let cpu = Cpu::best(2);
    let mut parameters = Parameters::initial(&graph, 3);
    if let Some((i, by)) = change {
        parameters.values_mut()[i] += by;
    }
    let settings = PlanSettings {
        mode: Mode::Training,
        batch,
        precise: false,
        fuse,
    };
    let plan = Plan::compile(&graph, &parameters, &cpu, settings)?;
    let mut workspace = Workspace::new(&plan);
    for (i, pixel) in workspace.images_mut().iter_mut().enumerate() {
        *pixel = (i as f32 * 12.9898).sin();
    }
    plan.pack(&cpu, &parameters, &mut workspace);
    plan.forward(&cpu, &parameters, &mut workspace, 5);
    let loss = plan.loss(&mut workspace, &[0, 1, 2, 1], 0.0).loss;
    plan.backward(&cpu, &parameters, &mut workspace, 5);
    Ok((loss, workspace.parameter_gradient().to_vec()))
}

#[test]
fn gradients_are_finite_differences_of_the_loss() -> Result<(), hubel::Error> {
    for text in NETWORKS {
        let graph = Network::parse(text)?.graph(Shape::new(7, 6, 2), 3)?;
        let parameters = Parameters::initial(&graph, 3);
        for fuse in [true, false] {
            let (_, gradient) = run(text, fuse, None)?;
            for entry in parameters
                .entries()
                .iter()
                .filter(|entry| entry.role.is_trained())
            {
                for i in [
                    entry.range.start,
                    (entry.range.start + entry.range.end) / 2,
                    entry.range.end - 1,
                ] {
                    let high = run(text, fuse, Some((i, 4e-3)))?.0;
                    let low = run(text, fuse, Some((i, -4e-3)))?.0;
                    let difference = (high - low) / 8e-3;
                    let error = (f64::from(gradient[i]) - difference).abs();
                    assert!(
                        error < 2e-3 * (1.0 + difference.abs()),
                        "{text}, {}: gradient {} against {difference}",
                        entry.name,
                        gradient[i]
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_run_has_the_same_bits_for_any_number_of_threads() -> Result<(), hubel::Error> {
    let shape = Shape::new(8, 8, 1);
    let labels: Vec<usize> = (0..90).map(|i| i % 3).collect();
    let images: Vec<f32> = (0..90 * 64)
        .map(|i| (i as f32 * 0.37).sin() + labels[i / 64] as f32)
        .collect();
    let dataset = Dataset::from_arrays(&images, shape, &labels)?;
    let mut first = None;
    for threads in [1, 2, 3, 4, 7] {
        let network = Network::parse(
            "conv(8, padding=1)-batchnorm-relu-maxpool(2)-flatten-dropout(0.2)-fc(classes)",
        )?;
        let cpu = Cpu::new(InstructionSet::best(), threads);
        let settings = TrainSettings {
            epochs: 3,
            batch_size: 16,
            ..TrainSettings::default()
        };
        let model = Trainer::new(cpu.clone(), network, &dataset, settings)?
            .run(&mut |_| ControlFlow::Continue(()))?;
        assert!(model.evaluate(&cpu, &dataset)?.accuracy > 0.6);
        assert_eq!(
            first.get_or_insert_with(|| model.clone()),
            &model,
            "{threads} threads"
        );
    }
    Ok(())
}

#[test]
fn a_model_file_gives_the_model_back_and_damage_gives_an_error()
-> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    let images: Vec<f32> = (0..20 * 75).map(|i| (i as f32 * 0.11).cos()).collect();
    let labels: Vec<usize> = (0..20).map(|i| i % 2).collect();
    let dataset = Dataset::from_arrays(&images, Shape::new(5, 5, 3), &labels)?;
    let network = Network::parse("conv(4)-relu-flatten-fc(classes)")?;
    let settings = TrainSettings {
        epochs: 1,
        batch_size: 8,
        ..TrainSettings::default()
    };
    let model = Trainer::new(Cpu::best(1), network, &dataset, settings)?
        .run(&mut |_| ControlFlow::Continue(()))?;
    model.save(&path)?;
    assert_eq!(hubel::Model::load(&path)?, model);
    let bytes = std::fs::read(&path)?;
    for length in [0, 1, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length])?;
        assert!(
            hubel::Model::load(&path).is_err(),
            "{length} of {} bytes",
            bytes.len()
        );
    }
    for place in (0..bytes.len()).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x55;
        std::fs::write(&path, &damaged)?;
        // A changed weight is a weight still; what matters is that nothing panics.
        let _ = hubel::Model::load(&path);
    }
    Ok(())
}
