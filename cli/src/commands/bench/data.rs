//! `hubel bench data`: how fast pictures become batches.
use std::process::ExitCode;

use hubel::bench;
use hubel::data::Balance;
use serde_json::json;

use crate::args::BenchData;
use crate::commands::{Outcome, data};
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &BenchData, console: &Console) -> Outcome {
    let (feed, augmentation) = data::feed(&arguments.data(), Balance::None, console)?;
    let shape = feed.preparation().shape;
    let threads = arguments.processor.cpu().threads();
    let noun = if threads == 1 { "thread" } else { "threads" };
    console.remark(&format!("augmentation: {augmentation}; {threads} {noun}"));
    let (images, time) = bench::feed(&feed, threads, arguments.duration)?;
    let speed = images as f64 / time.as_secs_f64();
    if arguments.json {
        console::print(
            &json!({
                "images_per_second": speed,
                "images": images,
                "shape": shape.to_vec(),
                "augmentation": augmentation.to_string(),
                "threads": threads,
            })
            .to_string(),
        )?;
    } else {
        console::print(&format!(
            "{} images/s read, resized to {shape} and augmented",
            thousands(speed.round() as usize)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
