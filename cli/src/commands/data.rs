//! `hubel data`: shows data as a network sees it.
mod texts;

use std::process::ExitCode;

use hubel::data::{Augmentation, Balance, Feed, FeedSettings, Kind, Sheet, SheetSettings, Source};
use hubel::{Error, Preparation};
use serde_json::{Value, json};

use super::{Outcome, train, train::Start};
use crate::args::{Preview, TrainingData};
use crate::console::{self, Console, thousands};

/// The feed of a training on this data, and its augmentation.
pub(super) fn feed(
    data: &TrainingData,
    balance: Balance,
    console: &Console,
) -> Result<(Feed, Augmentation), Error> {
    let mut source = Source::find_as(&data.data, data.kind)?;
    let start = train::start(data, false, &mut source, console)?;
    let (splits, start) = train::open(data, source, start, console)?;
    let subject = splits.train.subject()?;
    let augmentation = data.augmentation(&subject)?;
    let settings = FeedSettings {
        augmentation: augmentation.clone(),
        balance,
        batch_size: data.batch_size(&subject),
        seed: data.seed,
    };
    let preparation = match start {
        Start::Nothing => Preparation::measure(&splits.train)?,
        Start::Model(model) => model.for_data(&splits.train)?.preparation().clone(),
    };
    Ok((
        Feed::new(splits.train, preparation, settings)?.with_mixing(data.mixing())?,
        augmentation,
    ))
}

/// Draws the pictures of one training step.
pub(crate) fn preview(arguments: &Preview, console: &Console) -> Outcome {
    let (feed, augmentation) = feed(&arguments.data, arguments.balance, console)?;
    if feed.dataset().kind() == Kind::Texts {
        return texts::preview(arguments, &feed);
    }
    let name = feed.dataset().name().to_owned();
    let (epoch, step, steps) = (arguments.epoch, arguments.step, feed.steps());
    let title = format!("{name}, epoch {epoch}, step {step} of {steps}: {augmentation}");
    let settings = SheetSettings {
        epoch,
        step,
        original: arguments.original,
        count: arguments.count,
    };
    let sheet = Sheet::new(&feed, settings, &title)?;
    sheet.drawing().save(&arguments.out)?;
    for bad in sheet.bad_files() {
        console.remark(&format!(
            "replaced by another {}: {}: {}",
            feed.dataset().kind().singular(),
            hubel::shown(&bad.path),
            bad.problem
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
                    "mixed_with": shown.partner.map(|partner| json!({
                        "index": partner.index,
                        "class": dataset.classes()[partner.label],
                        "share": console::decimal(partner.share),
                    })),
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
                "bad_files": sheet.bad_files(),
                "pictures": pictures,
            })
            .to_string(),
        )?;
    } else {
        let count = thousands(sheet.pictures().len());
        console::print(&format!(
            "augmentation   {augmentation}\nstep           {step} of {steps} in epoch {epoch}\nsheet          {out}, {count} {}",
            feed.dataset().kind()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
