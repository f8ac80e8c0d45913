//! What the binary does when it is told to stop, and when nobody reads on.
#![cfg(unix)]
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

fn hubel() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("hubel"))
}

/// Trains into the folder until an epoch is done, presses Ctrl-C, and gives the remarks.
fn train_and_interrupt(folder: &Path) -> String {
    let mut training = hubel()
        .args([
            "train",
            "--model",
            "flatten-fc(classes)",
            "--epochs",
            "100000",
        ])
        .args(["--schedule", "constant", "--out"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hubel starts");
    let mut progress = BufReader::new(training.stderr.take().expect("stderr")).lines();
    let first_epoch =
        progress.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("epoch")));
    assert!(first_epoch.is_some(), "training ended by itself");

    let sent = Command::new("kill")
        .args(["-INT", &training.id().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
    let remarks: Vec<String> = progress.map_while(Result::ok).collect();
    let output = training.wait_with_output().expect("hubel ends");
    assert_eq!(output.status.code(), Some(130), "{remarks:?}");
    remarks.join("\n")
}

#[test]
fn ctrl_c_saves_the_model_and_leaves_with_130() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let remarks = train_and_interrupt(folder.path());
    assert!(remarks.contains("Ctrl-C"), "{remarks}");

    let model = folder.path().join("model.safetensors");
    let evaluation = hubel()
        .arg("evaluate")
        .arg(&model)
        .output()
        .expect("hubel runs");
    assert!(evaluation.status.success(), "the saved model is whole");

    // A model that is there already is not replaced by an interrupted one.
    let before = std::fs::read(&model).expect("a model");
    for name in ["interrupted.safetensors", "interrupted-2.safetensors"] {
        let remarks = train_and_interrupt(folder.path());
        assert!(remarks.contains(name), "{remarks}");
        assert!(folder.path().join(name).is_file());
        assert!(std::fs::read(&model).expect("a model") == before);
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut inspect = hubel()
        .args(["inspect", "resnet50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hubel starts");
    drop(inspect.stdout.take());
    let mut remarks = String::new();
    let mut stderr = inspect.stderr.take().expect("stderr");
    stderr.read_to_string(&mut remarks).expect("UTF-8");
    assert!(inspect.wait().expect("hubel ends").success());
    assert_eq!(remarks, "");
}
