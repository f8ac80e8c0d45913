//! The binary's reaction to signals and to a closed pipe.
#![cfg(unix)]
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

fn hubel() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("hubel"))
}

/// Class folders of eight pictures each.
fn write_pictures(root: &Path) {
    for (class, ink) in [("dark", 10), ("light", 200)] {
        fs::create_dir_all(root.join(class)).expect("a folder");
        for number in 0..8 {
            let file = root.join(class).join(format!("{number}.pgm"));
            let picture = [b"P5 2 2 255\n", &[ink, number, 90, ink + number][..]].concat();
            fs::write(file, picture).expect("a picture");
        }
    }
}

/// A training of pictures in `folder/data` into `folder/run`.
fn training(folder: &Path, epochs: &str) -> Command {
    let data = folder.join("data");
    write_pictures(&data);
    let mut training = hubel();
    training.arg("train").arg(data);
    training.args(["--model", "flatten-fc(classes)", "--epochs", epochs]);
    training.args(["--val", "0", "--test", "0", "--threads", "1", "--out"]);
    training.arg(folder.join("run"));
    training.stdout(Stdio::piped()).stderr(Stdio::piped());
    training
}

fn send(signal: &str, process: u32) {
    // Twice in one call, as a terminal and `timeout` do.
    let process = process.to_string();
    let sent = Command::new("kill")
        .args([signal, &process, &process])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// Starts a training that would run for hours, sends the signals after the first epoch, and returns the remarks.
fn stop(training: Command, signals: &[&str], exit_code: Option<i32>) -> String {
    stop_after("epoch", training, signals, exit_code)
}

/// The same after the first line that begins so.
fn stop_after(
    beginning: &str,
    mut training: Command,
    signals: &[&str],
    exit_code: Option<i32>,
) -> String {
    let mut training = training.spawn().expect("hubel starts");
    let mut progress = BufReader::new(training.stderr.take().expect("stderr")).lines();
    let mut remarks = Vec::new();
    for line in progress.by_ref().map_while(Result::ok) {
        let is_time = line.starts_with(beginning);
        remarks.push(line);
        if is_time {
            break;
        }
    }
    signals
        .iter()
        .for_each(|signal| send(signal, training.id()));
    // The number of epoch lines varies, so they are left out.
    remarks.extend((progress.map_while(Result::ok)).filter(|line| !line.starts_with("epoch")));
    let output = training.wait_with_output().expect("hubel ends");
    assert_eq!(output.status.code(), exit_code, "{remarks:?}");
    remarks.join("\n")
}

const FOR_HOURS: &str = "100000000";

/// The remarks of `evaluate` on the run's folder.
fn evaluate(folder: &Path) -> String {
    let mut evaluate = hubel();
    evaluate.arg("evaluate").arg(folder.join("run"));
    let output = evaluate
        .arg(folder.join("data"))
        .output()
        .expect("hubel runs");
    let remarks = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{remarks}");
    remarks
}

#[test]
fn what_stops_a_training_is_said_and_the_model_is_saved() {
    for (signal, name, exit_code) in [
        ("-INT", "Ctrl-C", 130),
        ("-TERM", "SIGTERM", 143),
        ("-HUP", "SIGHUP", 129),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let remarks = stop(
            training(folder.path(), FOR_HOURS),
            &[signal],
            Some(exit_code),
        );
        let said = format!("stopped by {name} at epoch ");
        assert!(remarks.contains(&said), "{remarks}");
        let run = folder.path().join("run");
        assert!(!run.join("model.safetensors").exists());
        assert!(run.join("last.safetensors").is_file());
        let remarks = evaluate(folder.path());
        assert!(remarks.contains("its training has not ended"), "{remarks}");
    }
}

#[test]
fn a_killed_training_leaves_its_last_checkpoint_and_the_next_one_does_not_touch_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut often = training(folder.path(), FOR_HOURS);
    often.args(["--checkpoint", "0"]);
    let remarks = stop_after("saved in", often, &["-KILL"], None);
    let said = "last.safetensors, and from now on every 0 s";
    assert!(remarks.contains(said), "{remarks}");
    let remarks = evaluate(folder.path());
    assert!(remarks.contains(".safetensors is of epoch "), "{remarks}");
    assert!(remarks.contains("its training has not ended"), "{remarks}");

    // Another training does not go into the same folder.
    let checkpoint = hubel::RunFolder::model_in(&folder.path().join("run")).expect("a checkpoint");
    let before = fs::read(&checkpoint).expect("a file");
    let output = training(folder.path(), "2").output().expect("hubel runs");
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{remarks}");
    assert!(remarks.contains("already contains a run"), "{remarks}");
    assert!(remarks.contains("hubel train --resume"), "{remarks}");
    assert!(before == fs::read(&checkpoint).expect("a file"));
}

#[cfg(target_os = "linux")]
#[test]
fn who_started_it_with_nohup_may_close_the_terminal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let training = training(folder.path(), FOR_HOURS);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" HUP; exec "$@""#, "sh"]);
    shell.arg(training.get_program()).args(training.get_args());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    stop(shell, &["-HUP", "-TERM"], Some(143));
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
    // When the model is saved, its test begins, which takes a while.
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
