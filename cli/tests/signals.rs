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

#[test]
fn ctrl_c_during_the_test_leaves_at_once_and_says_where_the_model_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    for (part, count) in [("train", 1), ("test", 1000)] {
        for class in ["a", "b"] {
            let class = data.join(part).join(class);
            std::fs::create_dir_all(&class).expect("a folder");
            for number in 0..count {
                let file = class.join(format!("{number}.pgm"));
                std::fs::write(file, b"P5 2 2 255\n\x00\x40\x80\xff").expect("a picture");
            }
        }
    }
    let out = folder.path().join("out");
    let mut training = hubel()
        .arg("train")
        .arg(&data)
        .args(["--model", "resnet18", "--input", "224x224x1"])
        .args(["--epochs", "1", "--val", "0", "--out"])
        .arg(&out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hubel starts");
    // Once the model is there, it is tested, which takes a while.
    while !out.join("model.safetensors").exists() {
        let ended = training.try_wait().expect("its state");
        assert!(ended.is_none(), "training ended: {ended:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let sent = Command::new("kill")
        .args(["-INT", &training.id().to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
    let output = training.wait_with_output().expect("hubel ends");
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{remarks}");
    assert!(remarks.contains("not tested"), "{remarks}");
}
