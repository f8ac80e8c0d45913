//! `hubel data`: data as a network sees it.
use std::process::ExitCode;

use hubel::Preparation;
use hubel::data::{Feed, FeedSettings, Sheet, SheetSettings};
use serde_json::{Value, json};

use super::{Outcome, train};
use crate::args::Preview;
use crate::console::{self, Console, thousands};

/// Draws the pictures of one training step.
pub(crate) fn preview(arguments: &Preview, console: &Console) -> Outcome {
    let splits = train::open(&arguments.data, console)?;
    let name = splits.train.name().to_owned();
    let augmentation = arguments.data.augmentation(splits.train.shows_writing()?)?;
    let settings = FeedSettings {
        augmentation: augmentation.clone(),
        balance: arguments.balance,
        bad_files: arguments.data.files.bad_files,
        batch_size: arguments.batch_size,
        seed: arguments.data.seed,
    };
    let preparation = Preparation::measure(&splits.train)?;
    let feed = Feed::new(splits.train, preparation, settings)?;
    let (epoch, step, steps) = (arguments.epoch, arguments.step, feed.steps());
    let title = format!("{name}, epoch {epoch}, step {step} of {steps}: {augmentation}");
    let settings = SheetSettings {
        epoch,
        step,
        original: arguments.original,
        count: arguments.count,
    };
    let sheet = Sheet::new(&feed, settings, &title)?;
    sheet.save(&arguments.out)?;
    for problem in sheet.problems() {
        console.remark(&format!(
            "another picture stands in for a bad one: {problem}"
        ));
    }
    let out = arguments.out.display().to_string();
    if arguments.json {
        let dataset = feed.dataset();
        let pictures: Vec<Value> = (sheet.pictures().iter())
            .map(|shown| {
                json!({
                    "index": shown.index,
                    "class": dataset.classes()[shown.label],
                    "path": dataset.path(shown.index).map(|path| path.display().to_string()),
                })
            })
            .collect();
        console::print(
            &json!({
                "sheet": out,
                "data": name,
                "epoch": epoch,
                "step": step,
                "steps": steps,
                "augmentation": augmentation.to_string(),
                "problems": sheet.problems(),
                "pictures": pictures,
            })
            .to_string(),
        )?;
    } else {
        let count = thousands(sheet.pictures().len());
        console::print(&format!(
            "augmentation   {augmentation}\nstep           {step} of {steps} in epoch {epoch}\nsheet          {out}, {count} pictures"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
