//! The library's messages name its settings and functions. On the command line these are flags and commands.

/// Settings of the library and their flags: `bad_files = skip` becomes `--bad-files skip`, `Options::cache` becomes `--cache`,
/// and the setting `seeds` becomes --seeds.
const FLAGS: [(&str, &str); 24] = [
    ("shape", "input"),
    // Of recordings.
    ("rate", "rate"),
    ("sound", "seconds"),
    // Of clips and texts.
    ("frames", "frames"),
    ("length", "length"),
    ("resize", "resize"),
    ("bad_files", "bad-files"),
    ("cache", "cache"),
    ("balance", "balance"),
    ("class_weights", "class-weights"),
    ("accumulate", "accumulate"),
    ("validation", "val"),
    ("keep", "keep"),
    ("patience", "patience"),
    ("schedule", "schedule"),
    ("learning_rate", "learning-rate"),
    ("clip", "clip"),
    // Of ONNX files.
    ("opset", "opset"),
    ("input", "input"),
    ("half", "fp16"),
    // Of experiments.
    ("data", "data"),
    ("seeds", "seeds"),
    ("images", "images"),
    ("epochs", "epochs"),
];

/// Functions of the library and the commands that do the same.
const COMMANDS: [(&str, &str); 11] = [
    ("check::check", "hubel check"),
    ("Model::evaluate", "hubel evaluate"),
    ("Model::classes", "hubel inspect"),
    ("Network::summary", "hubel inspect"),
    ("Weights::load", "hubel train --from"),
    ("RunFolder::resume", "hubel train --resume"),
    ("Trainer::from_model", "hubel train --from"),
    ("Trainer::new", "hubel train --from none"),
    ("RateSearch::run", "hubel train --find-lr"),
    ("doctor::examine", "hubel doctor"),
    ("data::Sheet", "hubel data preview"),
];

/// A message of the library in the words of the command line. A name of a class or a file that looks like one of these is changed too.
pub(crate) fn of_command_line(message: &str) -> String {
    let mut text = message.to_owned();
    for (setting, flag) in FLAGS {
        text = text.replace(&format!("`{setting} = "), &format!("`--{flag} "));
        text = text.replace(&format!("`Options::{setting}`"), &format!("`--{flag}`"));
        text = text.replace(&format!("the setting `{setting}`"), &format!("--{flag}"));
    }
    for (function, command) in COMMANDS {
        text = text.replace(&format!("`{function}`"), &format!("`{command}`"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_flags_and_functions_commands() {
        let said = of_command_line(
            "let them be left out (`bad_files = skip`); give a smaller `Options::shape`; `shape = 8x8x3` would; `check::check` lists the class `shape`; leave out the setting `seeds`",
        );
        assert_eq!(
            said,
            "let them be left out (`--bad-files skip`); give a smaller `--input`; `--input 8x8x3` would; `hubel check` lists the class `shape`; leave out --seeds"
        );
    }
}
