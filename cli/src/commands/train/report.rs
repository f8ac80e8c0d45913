//! The report of a run: one page, `report.html`, in its folder.
mod curves;
mod settings;
mod told;

use askama::Template;
use hubel::data::{Balance, Kind};
use hubel::{Error, RunFolder, Splits, one_line};

use self::settings::Setting;
use super::ended::{Ended, Recorded};
use super::saving;
use crate::chart::{self, Figure};
use crate::commands::judged::Judged;
use crate::commands::{BAD_FILES_SHOWN, bad_file, headline, of_texts, program, quoted, runs};
use crate::console::{clock, thousands};
use crate::date;
use crate::page::{self, Sentence, Tile};

/// The name of the page in the folder of the run.
pub(super) const FILE: &str = "report.html";

/// How many classes the table of the data has.
const CLASSES: usize = 40;

/// Writes the page.
pub(super) fn write(ended: &Ended, recorded: &Recorded) -> Result<(), Error> {
    page::write(&ended.folder.join(FILE), &Page::new(ended, recorded))
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    command: &'static str,
    title: String,
    colours: &'static str,
    description: String,
    /// Why there is no test result, and its style.
    state: Option<(&'static str, Sentence)>,
    tiles: Vec<Tile>,
    /// What must be said about the tiles.
    remarks: Vec<Sentence>,
    charts: Vec<Figure>,
    judged: Option<Judged>,
    /// The settings that differ from the defaults.
    changed: Vec<Setting>,
    settings: Vec<Setting>,
    data: DataTable,
    events: Vec<Sentence>,
    network: Network,
    machine: Vec<Fact>,
    commands: Vec<Fact>,
}

struct Fact {
    name: String,
    value: String,
}

/// The data: its examples by class and split.
struct DataTable {
    description: String,
    notes: Vec<Sentence>,
    /// What they are, as a heading.
    things: &'static str,
    parts: Vec<&'static str>,
    rows: Vec<(String, Vec<String>)>,
    /// How many more classes there are.
    rest: Option<String>,
    sums: Vec<String>,
    bad_files: Vec<String>,
    /// How many more bad files there are.
    more_bad_files: Option<String>,
}

struct Network {
    text: String,
    facts: Vec<Fact>,
    /// The table of `hubel inspect`.
    layers: String,
}

impl Page {
    fn new(ended: &Ended, recorded: &Recorded) -> Self {
        let model = ended.model;
        let name = ended.folder.file_name().unwrap_or(ended.folder.as_os_str());
        let (changed, settings) = settings::of(ended);
        Self {
            command: "train",
            title: one_line(&name.to_string_lossy()).into_owned(),
            colours: chart::STYLE,
            description: format!(
                "{} on {}{}",
                ended.name,
                one_line(ended.splits.train.name()),
                match recorded.events.began {
                    Some(began) => format!(", begun {} UTC", date::utc(began)),
                    None => String::new(),
                }
            ),
            state: state(ended),
            tiles: tiles(ended, recorded),
            remarks: remarks(ended),
            charts: curves::of(recorded, &ended.log.loss_includes),
            judged: (ended.judgement.zip(ended.splits.test.as_ref()))
                .map(|(judgement, test)| Judged::new(judgement, model.classes(), test)),
            changed,
            settings,
            data: DataTable::new(ended),
            events: told::of(&recorded.events),
            network: Network::new(ended),
            machine: machine(ended, recorded),
            commands: commands(ended),
        }
    }
}

fn percent(share: f32) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Why the results are not those of a trained and tested model.
fn state(ended: &Ended) -> Option<(&'static str, Sentence)> {
    let position = ended.model.stopped_at();
    let resume = saving::resume_command(ended.folder);
    let (state, text) = match (position, ended.problem) {
        (Some(position), Some(error @ Error::Diverged { .. })) => (
            "grave",
            format!("training failed after {position}: {error}"),
        ),
        (Some(position), Some(error)) => (
            "grave",
            format!(
                "training failed after {position}: {error}; when the problem is solved, `{resume}` goes on from there"
            ),
        ),
        (Some(position), None) => (
            "fair",
            format!("stopped at {position}; `{resume}` goes on from there"),
        ),
        (None, Some(error)) => (
            "grave",
            format!("the model is trained, but could not be tested: {error}"),
        ),
        (None, None) if ended.judgement.is_none() && ended.splits.test.is_some() => (
            "fair",
            "the model is trained; it was stopped before the end of the test".into(),
        ),
        (None, None) if ended.judgement.is_none() => (
            "fair",
            "the model is trained; nothing was held out for a test".into(),
        ),
        (None, None) => return None,
    };
    Some((state, Sentence::new(&text)))
}

fn tiles(ended: &Ended, recorded: &Recorded) -> Vec<Tile> {
    let things = ended.splits.train.kind().plural();
    let mut tiles = Vec::new();
    let mut tile = |name: &str, value: String, detail: String| {
        tiles.push(Tile::new(name, value, detail));
    };
    if let Some(report) = ended.report() {
        let [low, high] = report.interval().map(|end| 100.0 * end);
        let groups = match report.independent < report.count as f64 - 0.5 {
            true => "; near-duplicates counted as one",
            false => "",
        };
        tile(
            "test accuracy",
            percent(report.accuracy),
            format!(
                "95 % confidence: {low:.2} to {high:.2} %, of {} {}{groups}",
                thousands(report.count),
                things
            ),
        );
        if report.hides_classes() || ended.arguments.balance != Balance::None {
            tile(
                "balanced accuracy",
                percent(report.balanced_accuracy()),
                "on the test part: mean of the classes' accuracies".into(),
            );
        }
        let (largest, share) = report.baseline();
        tile(
            "baseline",
            percent(share),
            format!(
                "test accuracy of always answering {}",
                one_line(&ended.model.classes()[largest])
            ),
        );
    }
    if let Some((row, accuracy)) = recorded
        .row()
        .and_then(|row| Some((row, row.validation_accuracy?)))
    {
        let images = ended
            .splits
            .validation
            .as_ref()
            .map_or(0, |images| images.len());
        let whose = match ended.model.stopped_at() {
            None => "of the kept weights",
            Some(_) => "after the last epoch",
        };
        tile(
            "validation accuracy",
            percent(accuracy),
            format!(
                "{whose}, on {} {things}; loss {:.4}",
                thousands(images),
                row.validation_loss.unwrap_or(f32::NAN)
            ),
        );
    }
    if !recorded.rows.is_empty() {
        let seconds: f64 = recorded.rows.iter().map(|row| row.seconds).sum();
        let epochs = match recorded.rows.len() {
            1 => "1 epoch".into(),
            epochs => format!("{} epochs", thousands(epochs)),
        };
        let time = match seconds < 10.0 {
            true => format!("{seconds:.1} s"),
            false => clock(seconds),
        };
        tile("training time", time, epochs);
    }
    tiles
}

fn remarks(ended: &Ended) -> Vec<Sentence> {
    let model = ended.model;
    let mut texts = Vec::new();
    if let Some(report) = ended.report()
        && report.untested().next().is_some()
    {
        texts.push(format!(
            "the test accuracy is {}",
            headline(report, model.classes())
        ));
    }
    texts.extend(
        model
            .choice()
            .map(|choice| format!("the weights are {choice}")),
    );
    if let Some(origin) = model.origin() {
        let frozen = match model.frozen() {
            None => "all layers were trained in the last phase".to_owned(),
            Some(layer) => format!("the layers up to `{layer}` were frozen in the last phase"),
        };
        texts.push(format!("fine-tuned from {}; {frozen}", one_line(origin)));
    }
    texts.iter().map(|text| Sentence::new(text)).collect()
}

impl DataTable {
    fn new(ended: &Ended) -> Self {
        let splits = ended.splits;
        let datasets = parts(splits);
        let counts: Vec<Vec<usize>> = datasets.iter().map(|(_, data)| data.counts()).collect();
        let classes = splits.train.classes();
        let rows = classes.iter().take(CLASSES).enumerate();
        let notes = splits.notes.iter().map(|note| Sentence::new(note));
        let detected = format!("detected {}", ended.subject);
        let bad_files = &ended.log.bad_files;
        Self {
            description: splits.description.clone(),
            notes: std::iter::once(Sentence::new(&detected))
                .chain(notes)
                .collect(),
            things: match splits.train.kind() {
                Kind::Pictures => "Images",
                Kind::Texts => "Texts",
                Kind::Clips => "Clips",
                Kind::Sounds => "Recordings",
            },
            parts: datasets.iter().map(|(name, _)| *name).collect(),
            rows: rows
                .map(|(place, class)| {
                    let counts = counts.iter().map(|counts| thousands(counts[place]));
                    (one_line(class).into_owned(), counts.collect())
                })
                .collect(),
            rest: beyond(classes.len(), CLASSES),
            sums: datasets
                .iter()
                .map(|(_, data)| thousands(data.len()))
                .collect(),
            bad_files: (bad_files.iter().take(BAD_FILES_SHOWN))
                .map(bad_file)
                .collect(),
            more_bad_files: beyond(bad_files.len(), BAD_FILES_SHOWN),
        }
    }
}

/// How many of `count` are beyond the first `shown`, if any.
fn beyond(count: usize, shown: usize) -> Option<String> {
    (count > shown).then(|| thousands(count - shown))
}

fn parts(splits: &Splits) -> Vec<(&'static str, &hubel::Dataset)> {
    let held_out = [
        ("validation", splits.validation.as_ref()),
        ("test", splits.test.as_ref()),
    ];
    let held_out = held_out.into_iter();
    let held_out = held_out.filter_map(|(name, data)| Some((name, data?)));
    std::iter::once(("training", &splits.train))
        .chain(held_out)
        .collect()
}

impl Network {
    fn new(ended: &Ended) -> Self {
        let model = ended.model;
        let network = model.network();
        let fact = |name: &str, value: String| Fact {
            name: name.into(),
            value,
        };
        let input = model.preparation().input();
        let seen = match model.preparation().medium.vocabulary() {
            Some(vocabulary) => of_texts(vocabulary, input.shape.time),
            None => input.to_string(),
        };
        let mut facts = vec![fact("input", seen)];
        let things = model.preparation().medium.kind().singular();
        let summary = network.summary(input, model.classes().len()).ok();
        if let Some(summary) = &summary {
            let adds = usize::try_from(summary.multiply_adds).unwrap_or(usize::MAX);
            facts.extend([
                fact("parameters", thousands(summary.parameters)),
                fact(&format!("multiply-adds for each {things}"), thousands(adds)),
            ]);
        }
        Self {
            text: network.to_string(),
            facts,
            layers: summary.map_or_else(String::new, |summary| summary.to_string()),
        }
    }
}

/// The program, the machine, and how long it took.
fn machine(ended: &Ended, recorded: &Recorded) -> Vec<Fact> {
    let rows = &recorded.rows;
    let sum = |value: fn(&hubel::record::Row) -> f64| rows.iter().map(value).sum::<f64>();
    let seconds = sum(|row| row.seconds);
    let mut facts = vec![
        ("hubel", env!("CARGO_PKG_VERSION").to_owned()),
        ("instruction set", ended.cpu.instruction_set().to_string()),
        ("threads", ended.cpu.threads().to_string()),
        (
            "system",
            format!("{}, {}", std::env::consts::OS, std::env::consts::ARCH),
        ),
    ];
    if let Some(last) = rows.last() {
        facts.push(("training", format!("{seconds:.1} s")));
        facts.push((
            "waiting for data",
            format!(
                "{:.1} % of the training",
                100.0 * sum(|row| row.waiting_seconds) / seconds
            ),
        ));
        facts.extend(last.images_per_second.map(|speed| {
            (
                "speed",
                format!(
                    "{} {}/s",
                    thousands(speed as usize),
                    ended.splits.train.kind().plural()
                ),
            )
        }));
    }
    facts.push(("the whole command", format!("{:.1} s", ended.seconds())));
    let facts = facts.into_iter();
    facts
        .map(|(name, value)| Fact {
            name: name.into(),
            value,
        })
        .collect()
}

/// What to do with the run.
fn commands(ended: &Ended) -> Vec<Fact> {
    let (program, folder) = (quoted(program()), quoted(ended.folder));
    let mut commands = Vec::new();
    if ended.folder.join(RunFolder::SETTINGS).exists() {
        let file = quoted(ended.folder.join(RunFolder::SETTINGS));
        commands.push((
            "train the same again; the same instruction set gives the same bits",
            format!("{program} train --config {file}"),
        ));
    }
    let has_weights = RunFolder::model_in(ended.folder).is_some();
    let has_diverged = matches!(ended.problem, Some(Error::Diverged { .. }));
    if ended.model.stopped_at().is_some() && has_weights && !has_diverged {
        commands.push(("go on with this run", saving::resume_command(ended.folder)));
    }
    if has_weights {
        let (name, example) = match ended.splits.train.kind() {
            Kind::Pictures => ("classify pictures", "photo.jpg"),
            Kind::Texts => ("classify a text", "--text \"…\""),
            Kind::Clips => ("classify clips", "clip.mp4"),
            Kind::Sounds => ("classify recordings", "recording.wav"),
        };
        commands.push((name, format!("{program} predict {folder} {example}")));
    }
    commands.push((
        "compare with other runs",
        runs::command(&program, ended.folder),
    ));
    let commands = commands.into_iter();
    commands
        .map(|(name, value)| Fact {
            name: name.into(),
            value,
        })
        .collect()
}
