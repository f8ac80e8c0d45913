//! `hubel train --config FILE`, also for `hubel doctor`: the flags of a TOML file are put before those of the command line. This file says which setting wins.
mod file;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use hubel::RunFolder;
use hubel::data::Source;

use self::file::{File, Setting};
use crate::presets;

/// The positional argument of `train`, which a file can give too.
const DATA: &str = "data";

/// Flags that a run that goes on can be given, besides those of its settings. The data is compared by its contents.
const FREE: [&str; 11] = [
    "resume",
    "seeds",
    "epochs",
    "minutes",
    "checkpoint",
    "threads",
    "cpu",
    "cache",
    "json",
    "quiet",
    DATA,
];

/// The arguments of this process, with those of the file that `--config` names. `program` describes the command line.
///
/// # Errors
/// A message that names the file, the line and the key, and says what is needed.
pub(crate) fn with_config(
    mut arguments: Vec<OsString>,
    mut program: Command,
) -> Result<Vec<OsString>, String> {
    program.build();
    // Wrong arguments are reported later, together with those of the file.
    let given = program.clone().ignore_errors(true);
    let given = given.try_get_matches_from(&arguments);
    let Some((command @ ("train" | "doctor"), given)) =
        given.as_ref().ok().and_then(ArgMatches::subcommand)
    else {
        return Ok(arguments);
    };
    let train = program.find_subcommand(command).expect("the command");
    let given = Given(given);
    // The command refuses it.
    if command == "doctor" && given.path("resume").is_some() {
        return Ok(arguments);
    }
    let mut settings = given.settings_of_file(train)?;
    let of_preset = given.settings_of_preset(&settings, train)?;
    settings.extend(of_preset);
    let settings = settings.iter().filter(|setting| !given.replaces(setting));
    // The first one is the name of the program.
    let mut rest = arguments.iter().skip(1);
    let place = rest.position(|argument| argument == command);
    let place = place.expect("the command is given") + 2;
    let flags: Vec<OsString> = settings.filter_map(Setting::argument).collect();
    arguments.splice(place..place, flags);
    Ok(arguments)
}

/// What the command line gives.
struct Given<'a>(&'a ArgMatches);

impl Given<'_> {
    fn path(&self, flag: &str) -> Option<&PathBuf> {
        self.0.get_one(flag)
    }

    /// The settings of the file that `--config` names, or of the run that `--resume` names; none without these flags.
    fn settings_of_file(&self, train: &Command) -> Result<Vec<Setting>, String> {
        let of = |path: &Path, refused: &dyn Fn(std::io::Error) -> String| {
            let text = fs::read_to_string(path).map_err(refused)?;
            File {
                path,
                text: &text,
                train,
            }
            .settings()
        };
        if let Some(path) = self.path("config") {
            return of(path, &|error| {
                format!("cannot read {}: {error}", hubel::shown(path))
            });
        }
        let Some(folder) = self.path("resume") else {
            return Ok(Vec::new());
        };
        let settings = of(&folder.join(RunFolder::SETTINGS), &|error| {
            format!(
                "{} is no run that can go on: cannot read its {}: {error}",
                hubel::shown(folder),
                RunFolder::SETTINGS
            )
        })?;
        self.agree(&settings, train, folder)?;
        Ok(settings)
    }

    /// The settings of the preset that the command line or the file names, without those that the file replaces.
    fn settings_of_preset(
        &self,
        of_file: &[Setting],
        train: &Command,
    ) -> Result<Vec<Setting>, String> {
        let in_file = |key: &str| of_file.iter().find(|setting| setting.key == key);
        let value = |key: &str| in_file(key).and_then(|setting| setting.value.clone());
        let given = self.0.get_one::<String>("preset").cloned();
        let Some(name) = given.or_else(|| value("preset")) else {
            return Ok(Vec::new());
        };
        let size = || {
            let in_file = value(DATA).filter(|_| !self.has(DATA)).map(PathBuf::from);
            let data = in_file.or_else(|| self.path(DATA).cloned())?;
            let mut source = Source::find(data).ok()?;
            source.outlook().ok()?.size
        };
        // The command refuses other names, other data, and data that it cannot open.
        let Some((file, text)) = presets::settings(&name, size) else {
            return Ok(Vec::new());
        };
        let file = File {
            path: Path::new(file),
            text,
            train,
        };
        let given = Stronger {
            has: &|key| in_file(key).is_some(),
            from: value("from"),
        };
        let settings = file.settings()?.into_iter();
        Ok(settings
            .filter(|setting| !given.replaces(setting))
            .collect())
    }

    /// Whether the command line replaces a setting of the file.
    fn replaces(&self, setting: &Setting) -> bool {
        let from = self.path("from").filter(|_| self.has("from"));
        let given = Stronger {
            has: &|flag| self.has(flag),
            from: from.map(|from| from.to_string_lossy().into_owned()),
        };
        given.replaces(setting)
    }

    /// Checks that no flag of the command line contradicts the settings of a run that goes on.
    fn agree(&self, settings: &[Setting], train: &Command, folder: &Path) -> Result<(), String> {
        for flag in train.get_arguments() {
            let name = match is_data(flag) {
                true => Some(DATA),
                false => flag.get_long(),
            };
            let Some(name) = name.filter(|name| self.has(name) && !FREE.contains(name)) else {
                continue;
            };
            let setting = settings.iter().find(|setting| setting.key == name);
            let before = setting.map_or_else(|| "its default".into(), Setting::shown);
            if before != self.shown(flag) {
                return Err(format!(
                    "--{name} does not go with --resume: the run in {} has {before}; leave --{name} out, or begin a new run",
                    hubel::shown(folder)
                ));
            }
        }
        Ok(())
    }

    /// The value of a flag as it was given; `on` for a switch.
    fn shown(&self, flag: &Arg) -> String {
        if matches!(flag.get_action(), ArgAction::SetTrue) {
            return "on".into();
        }
        let values = self.0.get_raw(flag.get_id().as_str());
        let values = values.into_iter().flatten();
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        values.join(",")
    }

    fn has(&self, flag: &str) -> bool {
        // The names of fields, which clap uses, have underscores.
        let id = flag.replace('-', "_");
        self.0.value_source(&id) == Some(ValueSource::CommandLine)
    }
}

/// What replaces weaker settings: those of the command line replace those of a file, and those of a file replace those of a preset.
struct Stronger<'a> {
    has: &'a dyn Fn(&str) -> bool,
    /// The value of `from`, if it has one.
    from: Option<String>,
}

impl Stronger<'_> {
    /// Whether a weaker setting is given here, or excluded by another one.
    fn replaces(&self, setting: &Setting) -> bool {
        let has = self.has;
        let starts_from_nothing = self.from.as_deref() == Some("none");
        let starts_from_model = self.from.is_some() && !starts_from_nothing;
        let is_fine_tuning = starts_from_model || has("freeze") || has("versions");
        let is_from_scratch = starts_from_nothing || has("model") || has("initialisation");
        has(&setting.key)
            || match setting.key.as_str() {
                // They belong to the other optimizer.
                "momentum" | "betas" | "weight-decay" => has("optimizer"),
                "learning-rate" => has("optimizer") || has("find-lr"),
                "seeds" => has("find-lr"),
                "epochs" => has("minutes"),
                "minutes" => has("epochs"),
                "pace" => has("epochs") || has("minutes"),
                "model" | "initialisation" => is_fine_tuning,
                "from" if setting.is("none") => is_fine_tuning,
                "from" => is_from_scratch,
                "freeze" | "versions" => is_from_scratch,
                // They belong to the weights that the file names.
                "mean" | "std" => is_from_scratch || has("from"),
                _ => false,
            }
    }
}

fn is_data(flag: &Arg) -> bool {
    flag.is_positional() && flag.get_id().as_str() == DATA
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Arguments;

    /// The arguments of `hubel train --config run.toml FLAGS`, or a message without the path of the file.
    fn read(text: &str, flags: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("run.toml");
        fs::write(&path, text).expect("a file");
        let config = format!("--config={}", path.display());
        let command_line = ["hubel", "train", &config].map(OsString::from);
        let given: Vec<OsString> = flags.iter().map(OsString::from).collect();
        let arguments = [&command_line[..], &given].concat();
        let arguments = with_config(arguments, Arguments::command());
        let arguments = arguments
            .map_err(|problem| problem.replace(&path.display().to_string(), "run.toml"))?;
        let arguments = arguments
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned());
        let others = |argument: &String| *argument != config && !flags.contains(&&**argument);
        Ok(arguments.skip(2).filter(others).collect())
    }

    #[test]
    fn settings_become_flags_of_the_same_name() {
        let text = r#"
            data = "my photos"
            epochs = 20
            learning-rate = 1e-3
            seed = 18446744073709551615
            model = "conv(8)-relu, 'a'"
            precise = true
            json = false
            quiet = true
            mean = [0.5, 0.25, 1]
            class-names = ["cat", "big, black dog"]
            augment = ["flip", "crop(4)"]
            cache = "500MB"
            balance = "loss"
            run.epochs = "not read"
            run.anything.goes = []
        "#;
        let text = text.replace("conv(8)-relu, 'a'", "lenet5");
        let mut read = read(&text, &[]).expect("settings");
        read.sort();
        let mut expected = [
            "my photos",
            "--epochs=20",
            "--learning-rate=1e-3",
            "--seed=18446744073709551615",
            "--model=lenet5",
            "--precise",
            "--quiet",
            "--mean=0.5,0.25,1",
            "--class-names=cat\nbig, black dog",
            "--augment=flip, crop(4)",
            "--cache=500MB",
            "--balance=loss",
        ];
        expected.sort();
        assert_eq!(read, expected);
    }

    #[test]
    fn each_flag_of_train_can_stand_in_a_file() {
        let mut program = Arguments::command();
        program.build();
        let train = program.find_subcommand("train").expect("the command");
        for flag in train.get_arguments() {
            let name = flag.get_long().unwrap_or(DATA);
            // A value of no flag: if the name is known, the message asks for another value.
            let problem = read(&format!("{name} = 1979-05-27"), &[]).expect_err("a date");
            let is_refused = ["config", "help"].contains(&name);
            assert_eq!(problem.contains("is needed"), !is_refused, "{problem}");
            assert!(problem.starts_with("run.toml, line 1: "), "{problem}");
        }
    }

    #[test]
    fn a_wrong_setting_is_refused_with_its_line_and_what_is_needed() {
        for (text, problem) in [
            (
                "batch_size = 3",
                "line 1: there is no setting `batch_size`; did you mean `batch-size`?",
            ),
            (
                "\n\nepoch = 3",
                "line 3: there is no setting `epoch`; did you mean `epochs`?",
            ),
            (
                "zzz = 3",
                "line 1: there is no setting `zzz`; `hubel train --help` lists the flags",
            ),
            ("[train]\nepochs = 3", "line 1: there is no setting `train`"),
            ("help = true", "line 1: there is no setting `help`"),
            (
                "config = \"other.toml\"",
                "line 1: a file cannot name another file",
            ),
            (
                "epochs = 0",
                "line 1: epochs: a whole number, 1 or more, is needed",
            ),
            (
                "epochs = 2.5",
                "line 1: epochs: a whole number, 1 or more, is needed",
            ),
            (
                "epochs = \"3\"",
                "line 1: epochs: a number without quotes is needed",
            ),
            ("epochs = true", "line 1: epochs: a number is needed"),
            (
                "epochs = [1, 2]",
                "line 1: epochs: one value is needed, not several",
            ),
            ("#\nprecise = 1", "line 2: precise: true or false is needed"),
            (
                "precise = \"true\"",
                "line 1: precise: true or false is needed",
            ),
            ("data = 3", "line 1: data: a text in quotes is needed"),
            ("out = 3", "line 1: out: a text in quotes is needed"),
            ("model = 3", "line 1: model: a text in quotes is needed"),
            (
                "model = \"lenet\"",
                "line 1: model: there is no network `lenet`",
            ),
            ("threads = 5000", "line 1: threads: 5000 is not in 1..=1024"),
            (
                "optimizer = \"adamx\"",
                "line 1: optimizer: one of these is needed: sgd, adam, adamw",
            ),
            (
                "mean = [0.5, 0.5]",
                "line 1: mean: three numbers are needed",
            ),
            (
                "mean = [true]",
                "line 1: mean: the values must be texts in quotes or numbers",
            ),
            (
                "cache = 5",
                "line 1: cache: a size such as 500MB or 2GiB is needed",
            ),
            (
                "val = 1.0",
                "line 1: val: a number from 0 to less than 1 is needed",
            ),
            ("epochs = 1\nepochs = 2", "line 2: duplicate key"),
            ("epochs = 1\nval =", "line 2: "),
            ("run = 3", "line 1: there is no setting `run`"),
        ] {
            let refused = read(text, &[]).expect_err(text);
            assert!(
                refused.starts_with(&format!("run.toml, {problem}")),
                "{refused}"
            );
        }
    }

    #[test]
    fn the_command_line_replaces_what_it_gives_and_what_it_excludes() {
        let scratch = "from = \"none\"\nmodel = \"lenet5\"\ninitialisation = \"he\"\nepochs = 3\n";
        let tuned = "from = \"runs/a\"\nmean = [1, 1, 1]\nstd = [1, 1, 1]\nfreeze = \"all\"\nversions = 2\nepochs = 3\n";
        let sgd = "optimizer = \"sgd\"\nmomentum = 0.5\ndata = \"photos\"\n";
        for (text, flags, left) in [
            (
                scratch,
                &["--epochs=4"][..],
                &["from", "model", "initialisation"][..],
            ),
            (scratch, &["--from=runs/b"], &["epochs"]),
            (scratch, &["--freeze=none"], &["epochs"]),
            (
                scratch,
                &["--from=none"],
                &["model", "initialisation", "epochs"],
            ),
            (
                scratch,
                &["--model=mlp"],
                &["from", "initialisation", "epochs"],
            ),
            (tuned, &["--model=mlp"], &["epochs"]),
            (tuned, &["--from=none"], &["epochs"]),
            (tuned, &["--from=runs/b"], &["freeze", "versions", "epochs"]),
            (
                tuned,
                &["--versions=3"],
                &["from", "mean", "std", "freeze", "epochs"],
            ),
            (sgd, &["--optimizer=adamw"], &["data"]),
            (sgd, &["--momentum=0.1", "mnist"], &["optimizer"]),
        ] {
            let mut found: Vec<String> = read(text, flags)
                .expect(text)
                .iter()
                .map(|argument| match argument.strip_prefix("--") {
                    Some(flag) => flag.split('=').next().expect("a name").to_owned(),
                    None => DATA.to_owned(),
                })
                .collect();
            found.sort();
            let mut left = left.to_vec();
            left.sort_unstable();
            assert_eq!(found, left, "{flags:?} with {text}");
        }
    }

    #[test]
    fn flags_and_a_file_win_over_a_preset() {
        let flags = |text: &str, flags: &[&str]| {
            let mut read = read(text, flags).expect("settings");
            read.sort();
            read
        };
        let of_preset = flags("", &["--preset=fast"]);
        for flag in ["--epochs=1", "--val=0.0", "--optimizer=adam", "--from=none"] {
            assert!(of_preset.iter().any(|given| given == flag), "{of_preset:?}");
        }
        let in_file = flags(
            "preset = \"fast\"\nepochs = 3",
            &["--val=0.1", "--optimizer=sgd"],
        );
        assert!(in_file.contains(&"--epochs=3".to_owned()));
        let excluded = flags(
            "preset = \"fast\"\nminutes = 2\noptimizer = \"sgd\"\nfrom = \"runs/a\"",
            &[],
        );
        for flag in [
            "--epochs",
            "--betas",
            "--learning-rate",
            "--model",
            "--from=none",
        ] {
            assert!(
                !excluded.iter().any(|given| given.starts_with(flag)),
                "{excluded:?}"
            );
        }
        for flag in ["--epochs=1", "--val", "--optimizer=adam", "--betas"] {
            assert!(
                !in_file.iter().any(|given| given.starts_with(flag)),
                "{in_file:?}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_other_command_lines_stay_as_they_are() {
        let of = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let read = with_config(words.clone(), Arguments::command());
            (words, read)
        };
        let (_, missing) = of(&["hubel", "-q", "train", "--config", "no.toml"]);
        assert!(
            missing
                .expect_err("no file")
                .starts_with("cannot read no.toml: ")
        );
        for same in [
            &["hubel"][..],
            &["hubel", "train"],
            &["hubel", "train", "--help", "--config", "no.toml"],
            &["hubel", "evaluate", "--config", "no.toml"],
        ] {
            let (words, read) = of(same);
            assert_eq!(read, Ok(words));
        }
    }
}
