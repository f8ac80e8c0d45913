//! The events of a run that are worth a line.
use hubel::record::{Events, Notable};
use hubel::{one_line, shown};

use crate::console::thousands;
use crate::date;
use crate::page::Sentence;

/// How many events are listed.
const SHOWN: usize = 30;

/// The events as sentences, in their order.
pub(super) fn of(events: &Events) -> Vec<Sentence> {
    let mut texts: Vec<String> = events.notable.iter().filter_map(sentence).collect();
    if texts.len() > SHOWN {
        let more = texts.len() - SHOWN;
        texts.truncate(SHOWN);
        texts.push(format!("and {} more, in `events.jsonl`", thousands(more)));
    }
    let checkpoints = match events.saved {
        0 => "no checkpoint was saved".to_owned(),
        1 => "1 checkpoint was saved".to_owned(),
        saved => format!("{} checkpoints were saved", thousands(saved)),
    };
    texts.push(match events.resumed {
        0 => format!("{checkpoints}, and the run was not interrupted"),
        1 => format!("{checkpoints}, and the run was resumed once"),
        times => format!("{checkpoints}, and the run was resumed {times} times"),
    });
    texts.iter().map(|text| Sentence::new(text)).collect()
}

fn sentence(event: &Notable) -> Option<String> {
    Some(match event {
        Notable::Phase {
            phases: 0 | 1,
            frozen: None,
            ..
        } => return None,
        Notable::Phase {
            phase,
            phases,
            frozen,
        } => {
            let what = match frozen {
                None => "all layers were trained".to_owned(),
                Some(layer) => format!("the layers up to `{}` were frozen", one_line(layer)),
            };
            format!("phase {phase} of {phases}: {what}")
        }
        Notable::Resumed { wall_time } => format!("resumed {} UTC", date::utc(*wall_time)),
        Notable::EndedEarly { position, epochs } => format!(
            "ended early after {position}: the validation part had shown no progress for {epochs} {}",
            if *epochs == 1 { "epoch" } else { "epochs" }
        ),
        Notable::Kept { position, accuracy } => format!(
            "kept the weights of {position}, with {:.2} % on the validation part",
            100.0 * accuracy
        ),
        Notable::BadFile { path, problem } => format!(
            "could no longer be read: {}: {problem}",
            shown(path.as_ref())
        ),
        Notable::NotSaved { problem, times } => match times {
            1 => format!("a checkpoint could not be saved: {problem}"),
            times => format!("a checkpoint could not be saved, {times} times in a row: {problem}"),
        },
        _ => return None,
    })
}
