//! A network of one's own, from the builder, and a training loop of one's own over its plan.
//!
//!     cargo run --release --package hubel --example custom_architecture
use hubel::layers::{Conv, Round};
use hubel::network::NetworkBuilder;
use hubel::{
    Cpu, Dataset, Model, Network, Parameters, Plan, PlanSettings, Preparation, Shape, Workspace,
};

const BATCH: usize = 16;
const SHAPE: Shape = Shape::new(16, 16, 3);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = network();
    println!("{}", network.summary(SHAPE, 2)?);

    let dataset = patches(160)?;
    let preparation = Preparation::measure(&dataset)?;
    let graph = network.graph(SHAPE, 2)?;
    let mut parameters = Parameters::initial(&graph, 1)?;
    let cpu = Cpu::best(Cpu::available_threads());
    let plan = Plan::compile(&graph, &parameters, &cpu, PlanSettings::training(BATCH))?;
    let mut workspace = Workspace::new(&plan);
    let steps = dataset.len() / BATCH;
    for epoch in 0..8 {
        let (mut loss, mut correct) = (0.0, 0);
        for step in 0..steps {
            let indices: Vec<usize> = (step * BATCH..(step + 1) * BATCH).collect();
            let labels: Vec<u32> = indices
                .iter()
                .map(|&i| dataset.labels()[i] as u32)
                .collect();
            dataset.fill(&cpu, &indices, &preparation, workspace.images_mut())?;
            let seed = (epoch * steps + step) as u64;
            plan.forward(&cpu, &parameters, &mut workspace, seed);
            let of_batch = plan.loss(&mut workspace, &labels, 0.0, None);
            (loss, correct) = (loss + of_batch.loss, correct + of_batch.correct);
            plan.backward(&cpu, &parameters, &mut workspace, seed);
            plan.update_running_statistics(&mut parameters, &workspace);
            // Any rule: here plain gradient descent.
            let gradient = workspace.parameter_gradient();
            for (value, slope) in parameters.values_mut().iter_mut().zip(gradient) {
                *value -= 0.05 * slope;
            }
        }
        println!(
            "epoch {}: loss {:.3}, {} of {} right",
            epoch + 1,
            loss / steps as f64,
            correct,
            steps * BATCH
        );
    }
    let model = Model::new(network, dataset.classes().to_vec(), preparation, parameters)?;
    let accuracy = model.evaluate(&cpu, &dataset)?.accuracy;
    println!(
        "{:.1} % right, {} bytes as a file",
        100.0 * accuracy,
        model.to_bytes()?.len()
    );
    assert!(accuracy > 0.9);
    Ok(())
}

/// Two residual blocks behind a stem; the second halves the map.
fn network() -> Network {
    let body = |filters: usize, stride: usize| {
        move |body: NetworkBuilder| {
            body.layer(
                Conv::new(filters)
                    .padding(1)
                    .stride(stride)
                    .round(Round::Floor),
            )
            .batch_norm()
            .relu()
            .layer(Conv::new(filters).padding(1))
            .batch_norm()
        }
    };
    Network::builder()
        .labelled("stem", Conv::new(8).padding(1))
        .relu()
        .residual(body(8, 1), |shortcut| shortcut)
        .relu()
        .residual(body(16, 2), |shortcut| {
            shortcut.layer(Conv::new(16).kernel(1).stride(2).round(Round::Floor))
        })
        .relu()
        .global_avg_pool()
        .classes()
        .build()
}

/// Red squares and green ones, anywhere on a grey ground.
fn patches(count: usize) -> hubel::Result<Dataset> {
    let labels: Vec<usize> = (0..count).map(|i| i * 7 % 3 % 2).collect();
    let mut pixels = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        let (top, left) = (i * 5 % 11, i * 7 % 11);
        for place in 0..SHAPE.height * SHAPE.width {
            let (y, x) = (place / SHAPE.width, place % SHAPE.width);
            let mut rgb = [90; 3];
            if (top..top + 5).contains(&y) && (left..left + 5).contains(&x) {
                rgb[*label] = 220;
            }
            pixels.extend(rgb);
        }
    }
    let classes = vec!["red".into(), "green".into()];
    Dataset::from_bytes("patches", classes, SHAPE, pixels, labels)
}

#[test]
fn it_runs() -> Result<(), Box<dyn std::error::Error>> {
    main()
}
