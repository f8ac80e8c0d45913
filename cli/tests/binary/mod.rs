//! The binary under test, and its JSON output.
use assert_cmd::Command;
use serde_json::Value;

/// The binary.
pub(crate) fn hubel() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("hubel"))
}

/// The one JSON object that the command prints.
pub(crate) fn json(command: &mut Command) -> Value {
    let output = command.assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "one object on one line: {text}");
    serde_json::from_str(&text).expect("JSON")
}
