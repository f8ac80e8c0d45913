//! `hubel train --seeds`: the same training with several seeds.
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use hubel::compare::Group;
use hubel::run_toml::RunToml;
use hubel::{Error, Overview, RunFolder, RunState, shown};
use serde_json::{Value, json};

use super::super::Outcome;
use super::{Ready, Run, saving, start};
use crate::args::Train;
use crate::commands::{program, quoted, runs, seed_runs};
use crate::console::{self, Console};
use crate::interruption::Interruption;

/// Trains with the seeds of `--seed`, `--seed` + 1 …, `count` in all. Runs that have ended are kept as they are, and others go on.
pub(super) fn run(arguments: &Train, count: usize, console: &Console) -> Outcome {
    let seeds = of_arguments(arguments, count)?;
    if let Some(folder) = &arguments.resume {
        check_folder(folder, arguments)?;
    }
    // The seed of the first run decides which images are held out, for all runs.
    let mut arguments = arguments.clone();
    arguments.data.split_seed.get_or_insert(seeds[0]);
    let ready = Ready::open(&arguments, None, console)?;
    // It is held as long as its runs train.
    let new = match &arguments.resume {
        Some(_) => None,
        None => Some(new_folder(&arguments, &ready)?),
    };
    let folder = new.as_ref().map(RunFolder::path);
    let folder = folder.or(arguments.resume.as_deref());
    let folder = folder.expect("it is new, or --resume names it").to_owned();
    let first = of_seed(&arguments, seeds[0], &folder);
    let trainer = ready.course(&first, &ready.start)?.trainer()?;
    ready.write_settings(&arguments, &trainer, &folder)?;
    drop(trainer);

    let interruption = Interruption::listen()?;
    for (place, &seed) in seeds.iter().enumerate() {
        let own = of_seed(&arguments, seed, &folder);
        let name = format!("seed {seed} ({} of {count})", place + 1);
        let resumed = match Begun::of(&seed_runs::folder(&folder, seed))? {
            Begun::Finished => {
                console.remark(&format!("{name} has ended already"));
                continue;
            }
            Begun::No => None,
            Begun::Yes(path) => Some(RunFolder::resume(&path)?),
        };
        console.remark(&name);
        let again = resumed
            .as_ref()
            .map(|(_, resumed)| start::again(&own.data, resumed.state.model()));
        interruption.stay();
        let run = Run {
            arguments: &own,
            start: again.as_ref().unwrap_or(&ready.start),
            resumed,
            begin: Instant::now(),
            interruption: &interruption,
        };
        let code = ready.train(run, console, &mut |_, result| {
            console.remark(&format!("{name}: {}", accuracies(result)));
            Ok(())
        })?;
        if interruption.signal().is_some() {
            let command = saving::resume_command(&folder);
            console.remark(&format!("`{command}` goes on with all seeds"));
            return Ok(code);
        }
    }
    let runs = seeds.iter().map(|&seed| {
        let path = seed_runs::folder(&folder, seed);
        (seed, runs::result(&path), path)
    });
    let runs: Vec<_> = runs.collect();
    console::print(&match arguments.json {
        true => object(&folder, &runs).to_string(),
        false => text(&folder, &runs),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn of_arguments(arguments: &Train, count: usize) -> Result<Vec<u64>, Error> {
    let first = arguments.data.seed;
    let seeds = (0..count as u64).map(|place| first.checked_add(place));
    seeds.collect::<Option<Vec<u64>>>().ok_or_else(|| {
        let problem = format!(
            "{count} seeds from {first} on go beyond the largest one, {}; begin with a smaller --seed",
            u64::MAX
        );
        Error::Settings { problem }
    })
}

/// Refuses to go on in a folder that `--seeds` did not make, or with other lengths or fewer seeds.
fn check_folder(folder: &Path, arguments: &Train) -> Result<(), Error> {
    let refused = |problem: String| Err(Error::Settings { problem });
    let toml = RunToml::read(folder)?;
    let before = toml.setting("seeds");
    let Some(before) = before.and_then(|count| count.parse::<usize>().ok()) else {
        return refused(format!(
            "{} is a single run, and --resume goes on with it alone; leave --seeds out, or begin new runs: hubel train --config {} --seeds {}",
            shown(folder),
            quoted(folder.join(RunFolder::SETTINGS)),
            arguments.seeds.unwrap_or(1)
        ));
    };
    if arguments.seeds < Some(before) {
        return refused(format!(
            "{} has {before} seeds; --seeds may add some, and not take any away",
            shown(folder)
        ));
    }
    let epochs = arguments.epochs.map(|epochs| epochs.to_string());
    let is_extended = epochs.is_some() && epochs != toml.setting("epochs")
        || arguments.minutes.is_some() && toml.setting("minutes").is_none();
    if is_extended {
        return refused(format!(
            "the runs in {} cannot be extended together; extend each of them (--resume {}), or begin new ones",
            shown(folder),
            quoted(seed_runs::folder(folder, arguments.data.seed))
        ));
    }
    Ok(())
}

/// A new folder for the runs: that of `--out`, or one named after data and network.
fn new_folder(arguments: &Train, ready: &Ready) -> Result<RunFolder, Error> {
    if let Some(folder) = arguments.out.as_deref()
        && !seed_runs::in_folder(folder).is_empty()
    {
        return Err(Error::Settings {
            problem: format!(
                "{} already contains runs with several seeds; choose another folder, or go on with them: {}",
                shown(folder),
                saving::resume_command(folder)
            ),
        });
    }
    let parent = arguments.out.as_deref();
    saving::folder(parent, ready.splits.train.name(), &ready.name)
}

/// The arguments of an ordinary run with this seed.
fn of_seed(arguments: &Train, seed: u64, folder: &Path) -> Train {
    let mut own = arguments.clone();
    own.seeds = None;
    own.data.seed = seed;
    own.resume = None;
    own.out = Some(seed_runs::folder(folder, seed));
    own
}

/// How far the run of a seed has come.
enum Begun {
    No,
    /// It can go on.
    Yes(PathBuf),
    Finished,
}

impl Begun {
    fn of(path: &Path) -> Result<Self, Error> {
        let settings = path.join(RunFolder::SETTINGS);
        if !settings.exists() {
            return Ok(Self::No);
        }
        Ok(match Overview::of(path)?.state {
            RunState::Finished | RunState::ModelOnly => Self::Finished,
            RunState::Stopped(None) if RunFolder::model_in(path).is_none() => {
                // It was killed before its first checkpoint. A folder without settings is free for a new run.
                fs::remove_file(&settings).map_err(Error::io("remove", &settings))?;
                Self::No
            }
            RunState::Stopped(_) | RunState::Running(_) => Self::Yes(path.into()),
        })
    }
}

/// The accuracies that a run has, by their names for people and in JSON.
const KINDS: [(&str, &str); 2] = [
    ("test accuracy", "test_accuracy"),
    ("validation accuracy", "validation_accuracy"),
];

fn accuracies(result: &Value) -> String {
    let known = KINDS.iter().filter_map(|(name, key)| {
        let accuracy = result[*key].as_f64()?;
        Some(format!("{name} {:.2} %", 100.0 * accuracy))
    });
    let known: Vec<String> = known.collect();
    match known.is_empty() {
        true => "no accuracy is known".into(),
        false => known.join(", "),
    }
}

/// The accuracies of all runs that have one of this kind.
fn group(runs: &[(u64, Value, PathBuf)], key: &str) -> Option<Group> {
    let values = runs
        .iter()
        .filter_map(|(_, result, _)| result[key].as_f64());
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| Group::of(&values))
}

fn object(folder: &Path, runs: &[(u64, Value, PathBuf)]) -> Value {
    let mut object = json!({
        "folder": folder.display().to_string(),
        "runs": runs.iter().map(|(seed, result, path)| json!({
            "seed": seed,
            "path": path.display().to_string(),
            "test_accuracy": result["test_accuracy"],
            "validation_accuracy": result["validation_accuracy"],
        })).collect::<Vec<_>>(),
    });
    for (_, key) in KINDS {
        let group = group(runs, key);
        object[format!("{key}_mean")] = json!(group.as_ref().map(|group| group.mean));
        object[format!("{key}_deviation")] = json!(group.as_ref().map(|group| group.deviation));
    }
    object
}

fn text(folder: &Path, runs: &[(u64, Value, PathBuf)]) -> String {
    let mut text = String::new();
    for (name, key) in KINDS {
        if let Some(group) = group(runs, key) {
            let (mean, deviation) = (100.0 * group.mean, 100.0 * group.deviation);
            let noun = if group.count == 1 { "seed" } else { "seeds" };
            let spread = match group.count {
                1 => String::new(),
                _ => format!(" ± {deviation:.2}"),
            };
            let _ = writeln!(
                text,
                "{name:<21}{mean:.2}{spread} % ({} {noun})",
                group.count
            );
        }
    }
    for (seed, result, _) in runs {
        let _ = writeln!(
            text,
            "  {:<19}{}",
            format!("seed {seed}"),
            accuracies(result)
        );
    }
    let _ = writeln!(text, "{:<21}{}", "folder", folder.display());
    text + &format!(
        "{:<21}{} compare {} OTHER",
        "next",
        quoted(program()),
        quoted(folder)
    )
}
