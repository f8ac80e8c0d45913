//! Training on arrays of one's own: pixels and labels that a program has in memory.
//!
//!     cargo run --release --package hubel --example train_arrays
use std::ops::ControlFlow;

use hubel::{Cpu, Dataset, Event, Keep, Model, Network, Shape, TrainSettings, Trainer};

const SHAPE: Shape = Shape::new(16, 16, 1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cpu = Cpu::best(Cpu::available_threads());
    let network = Network::parse("[conv(8, padding=same)-relu-pool]x2-flatten-linear(classes)")?;
    let (train, held_out, test) = (stripes(400, 1)?, stripes(100, 2)?, stripes(100, 3)?);

    // The weights that are best on the images held out are kept. Those of the test take part in nothing.
    let settings = TrainSettings {
        epochs: 10,
        batch_size: 20,
        keep: Keep::Best,
        patience: Some(4),
        ..TrainSettings::default()
    };
    let mut trainer = Trainer::new(cpu.clone(), network, &train, Some(&held_out), settings)?;
    let model = trainer.run(&mut |event| {
        if let Event::Epoch {
            epoch,
            loss,
            validation_accuracy: Some(accuracy),
            ..
        } = event
        {
            println!(
                "epoch {epoch}: loss {loss:.3}, {:.1} % of those held out",
                100.0 * accuracy
            );
        }
        ControlFlow::Continue(())
    })?;
    let report = model.evaluate(&cpu, &test)?;
    println!("{:.1} % of the test images", 100.0 * report.accuracy);
    assert!(report.accuracy > 0.9);

    let file = std::env::temp_dir().join(format!("stripes-{}.safetensors", std::process::id()));
    model.save(&file)?;
    assert_eq!(Model::load(&file)?, model);
    std::fs::remove_file(&file)?;
    Ok(())
}

/// Pictures of stripes that lie or stand, under noise.
fn stripes(count: usize, seed: usize) -> hubel::Result<Dataset> {
    let labels: Vec<usize> = (0..count).map(|i| i % 2).collect();
    let mut pixels = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        for place in 0..SHAPE.len() {
            let (y, x) = (place / SHAPE.width, place % SHAPE.width);
            let along = if *label == 0 { y } else { x };
            let noise =
                (((i + 7919 * seed) * SHAPE.len() + place) as f64 * 12.9898).sin() * 43758.5453;
            let level = 0.3 * f64::from(u8::from((along + i) % 6 < 3)) + 0.7 * noise.fract().abs();
            pixels.push(level as f32);
        }
    }
    Dataset::from_arrays(&pixels, SHAPE, &labels)?.renamed(&["lying", "standing"])
}

#[test]
fn it_runs() -> Result<(), Box<dyn std::error::Error>> {
    main()
}
