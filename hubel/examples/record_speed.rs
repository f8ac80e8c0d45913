//! The cost of recording a step of training: time and bytes.
//!
//!     cargo run --release --package hubel --example record_speed
use std::ops::ControlFlow;
use std::time::Instant;

use hubel::{Cpu, Dataset, Event, Network, Record, Shape, TrainSettings, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    measure(1_000_000)
}

/// Trains for one step, and records its event this many times.
fn measure(times: usize) -> Result<(), Box<dyn std::error::Error>> {
    let images: Vec<f32> = (0..64).map(|i| (i as f32).sin()).collect();
    let labels: Vec<usize> = (0..16).map(|i| i % 2).collect();
    let dataset = Dataset::from_arrays(&images, Shape::new(2, 2, 1), &labels)?;
    let network = Network::parse("flatten-linear(classes)")?;
    let settings = TrainSettings {
        epochs: 2,
        batch_size: 8,
        ..TrainSettings::default()
    };
    let mut trainer = Trainer::new(Cpu::best(1), network, &dataset, None, settings)?;
    let folder = std::env::temp_dir().join(format!("hubel-record-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let mut record = Record::create(&folder)?;
    let mut seconds = 0.0;
    trainer.run(&mut |event| {
        if matches!(event, Event::Step { .. }) {
            let start = Instant::now();
            for _ in 0..times {
                record.add(event);
            }
            seconds = start.elapsed().as_secs_f64();
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    let lengths = record.flush()?;
    std::fs::remove_dir_all(&folder)?;
    println!("{:.0} ns per step", seconds * 1e9 / times as f64);
    for (file, length) in lengths {
        println!(
            "{:6.1} bytes per step in {file}",
            length as f64 / times as f64
        );
    }
    Ok(())
}

#[test]
fn it_runs() -> Result<(), Box<dyn std::error::Error>> {
    measure(1000)
}
