//! `hubel bench data`: how fast pictures become batches.
use std::process::ExitCode;

use hubel::Preparation;
use hubel::bench;
use hubel::data::{Balance, Feed, FeedSettings};
use serde_json::json;

use crate::args::BenchData;
use crate::commands::{Outcome, train};
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &BenchData, console: &Console) -> Outcome {
    let data = arguments.data();
    let splits = train::open(&data, console)?;
    let augmentation = data.augmentation(splits.train.shows_writing()?)?;
    let settings = FeedSettings {
        augmentation: augmentation.clone(),
        balance: Balance::None,
        bad_files: data.files.bad_files,
        batch_size: arguments.batch,
        seed: data.seed,
    };
    let preparation = Preparation::measure(&splits.train)?;
    let shape = preparation.shape;
    let feed = Feed::new(splits.train, preparation, settings)?;
    let threads = arguments.processor.cpu().threads();
    console.remark(&format!("augmentation: {augmentation}; {threads} threads"));
    let (images, time) = bench::feed(&feed, threads, arguments.seconds)?;
    let speed = images as f64 / time.as_secs_f64();
    if arguments.json {
        console::print(
            &json!({
                "images_per_second": speed,
                "images": images,
                "shape": [shape.height, shape.width, shape.channels],
                "augmentation": augmentation.to_string(),
                "threads": threads,
            })
            .to_string(),
        )?;
    } else {
        console::print(&format!(
            "{} images/s read, brought to {shape} and augmented",
            thousands(speed.round() as usize)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
