//! Which frames of a clip support a class, and where in them: frames as pictures with the places in colour.
use std::path::Path;
use std::process::ExitCode;

use hubel::explain::deletion::{self, Verdict};
use hubel::explain::draw;
use hubel::explain::frames::Frames;
use hubel::explain::occlusion::Occlusion;
use hubel::{Error, Model, Predictor, one_line, shown};
use serde_json::json;

use super::{Files, folder, question, score, table};
use crate::args::Explain;
use crate::commands::{Outcome, top};
use crate::console::{self, Console};

/// Seed of the random maps of the check.
const SEED: u64 = 1;

/// Explains the clip at `path` by `model`.
pub(super) fn explain(
    arguments: &Explain,
    model: &Model,
    path: &Path,
    console: &Console,
) -> Outcome {
    let cpu = arguments.processor.cpu();
    let mut answers =
        Predictor::new(model.clone(), cpu.clone())?.predict_clips(&[path.to_owned()])?;
    let prediction = answers.remove(0).map_err(Error::from)?;
    let score = score(arguments, model, &prediction)?;
    let question = question(model, &score);
    let (tensor, pixels) = model.preparation().clip(path)?;
    let frames = Frames::of(&cpu, model, &tensor, &score)?;
    let occlusion = Occlusion::for_input(model.input());
    let bar = console.count("covering parts", "clips");
    let map = occlusion.map(&cpu, model, &tensor, &score, &|done, all| {
        bar.show(done, all)
    });
    bar.finish();
    let map = map?;
    let check = || deletion::check(&cpu, model, &tensor, &score, &map, SEED, &|_, _| {});
    let checked = arguments.check.then(check).transpose()?;
    let shape = model.input().over(1);
    let mut files = Files::new(folder(arguments, path)?);
    for (number, frame) in pixels.chunks_exact(shape.len()).enumerate() {
        files.save(
            &format!("frame-{number:03}"),
            &draw::overlay(&map, frame, shape),
        )?;
    }
    let supports: Vec<_> = frames
        .supports
        .iter()
        .map(|support| console::decimal(*support))
        .collect();
    if arguments.json {
        let object = json!({
            "clip": shown(path),
            "class": prediction.class,
            "probability": console::decimal(prediction.probability),
            "explained": question,
            "score": console::decimal(frames.score),
            "frames": supports,
            "height": map.height,
            "width": map.width,
            "values": map.values.iter().map(|value| console::decimal(*value)).collect::<Vec<_>>(),
            "brightest": map.brightest(),
            "check": checked.as_ref().map(|checked| checked.verdict() == Verdict::Passes),
            "files": files.to_json(),
        });
        console::print(&object.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let classes = top(model, &prediction, 3).into_iter();
    let classes: Vec<String> = classes
        .map(|(name, probability)| format!("{} {:.2} %", one_line(&name), 100.0 * probability))
        .collect();
    let each: Vec<String> = frames
        .supports
        .iter()
        .map(|support| format!("{support:+.2}"))
        .collect();
    let [row, column] = map.brightest();
    let mut rows = vec![
        ("clip", shown(path)),
        ("predicted", classes.join(", ")),
        (
            "explained",
            format!("why {}: score {:.3}", one_line(&question), frames.score),
        ),
        (
            "frames",
            format!(
                "{} (what the score loses if a frame shows the one before)",
                each.join(" ")
            ),
        ),
        (
            "where",
            format!(
                "covering the place around row {row}, column {column} in all frames lowers the score most"
            ),
        ),
    ];
    rows.extend(checked.map(|checked| ("check", checked.to_string())));
    rows.push((
        "pictures",
        format!("{} frames in {}", files.written.len(), shown(&files.folder)),
    ));
    console::print(&table(&rows, console::columns()))?;
    Ok(ExitCode::SUCCESS)
}
