//! The object that `hubel evaluate --json` prints.
use serde_json::{Value, json};

use super::Evaluated;
use super::text::{Answered, breaks_bound, top_counts, uncalibrated_loss};
use crate::commands::{Assessment, untested};
use crate::console;

/// How many mistakes are listed.
const MISTAKES: usize = 100;

pub(super) fn of(evaluated: &Evaluated) -> Value {
    let Assessment {
        report,
        answers,
        calibration,
        ..
    } = &evaluated.judgement;
    let model = evaluated.model;
    let scores = report.of_classes();
    let rounded = |value: f64| console::decimal(value as f32);
    let of_classes = |score: &dyn Fn(usize) -> Option<f64>| -> Vec<Option<f64>> {
        (0..scores.len())
            .map(|class| score(class).map(rounded))
            .collect()
    };
    // The areas below the ROC and the precision-recall curve.
    let areas: Vec<Option<[f64; 2]>> = (0..scores.len())
        .map(|class| {
            let curves = answers.separation(class)?;
            Some([curves.roc.area, curves.precision_recall.area])
        })
        .collect();
    let answered = model.threshold().map(|threshold| {
        let answered = Answered::of(answers, threshold);
        json!({
            "count": answered.images,
            "answered": answered.answered,
            "wrong": answered.wrong,
            "chose_threshold": evaluated.chose_threshold,
            "breaks_bound": breaks_bound(evaluated, threshold),
        })
    });
    let mistakes = answers.mistakes().into_iter().take(MISTAKES).map(|place| {
        json!({
            "name": evaluated.images.name_of(answers.indices()[place]),
            "index": answers.indices()[place],
            "class": model.classes()[answers.labels()[place]],
            "answer": model.classes()[answers.class(place)],
            "probability": console::decimal(answers.confidence(place)),
        })
    });
    json!({
        "accuracy": console::decimal(report.accuracy),
        "accuracy_interval": report.interval().map(console::decimal),
        "balanced_accuracy": console::decimal(report.balanced_accuracy()),
        "baseline_accuracy": console::decimal(report.baseline().1),
        "top": top_counts(scores.len())
            .map(|count| (count.to_string(), json!(rounded(answers.top(count)))))
            .collect::<serde_json::Map<String, Value>>(),
        "loss": console::decimal(report.loss),
        "uncalibrated_loss": rounded(uncalibrated_loss(answers)),
        "brier": rounded(answers.brier()),
        "calibration_error": rounded(calibration.error),
        "calibration_error_by_chance": calibration.by_chance.map(rounded),
        "calibration": calibration.bins,
        "temperature": model.temperature(),
        "threshold": model.threshold(),
        "answered": answered,
        "foreign": evaluated.foreign.as_ref().map(|foreign| json!({
            "count": foreign.count(),
            "own": foreign.images(),
            "roc_area": foreign.area().map(rounded),
            "mean_probability": rounded(foreign.mean_confidence()),
            "roc": foreign.roc(),
            "bad_files": foreign.bad_files(),
        })),
        "count": report.count,
        "untested_classes": untested(report, model.classes()),
        "data": evaluated.images.name(),
        "part": evaluated.judged.to_string(),
        "inverted": evaluated.unlike.inverted,
        "other_ground": evaluated.unlike.other_ground,
        "bad_files": evaluated.bad_files,
        "classes": model.classes(),
        "stopped_at": model.stopped_at(),
        "class_accuracy": of_classes(&|class| scores[class].recall),
        "precision": of_classes(&|class| scores[class].precision),
        "recall": of_classes(&|class| scores[class].recall),
        "f1": of_classes(&|class| scores[class].f1),
        "roc_area": of_classes(&|class| Some(areas[class]?[0])),
        "average_precision": of_classes(&|class| Some(areas[class]?[1])),
        "confusion": report.confusion,
        "mistakes": mistakes.collect::<Vec<_>>(),
    })
}
