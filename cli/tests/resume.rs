//! A training that is killed goes on as if nothing had happened.
#![cfg(unix)]
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hubel::record::without_times;
use hubel::{RunFolder, TrainState};

/// How often the training is killed. `scripts/kill-and-resume` asks for more.
const KILLS: &str = "HUBEL_KILLS";

fn hubel() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("hubel"))
}

/// Class folders of pictures of very different number.
fn write_pictures(root: &Path) {
    for (class, count) in [("bars", 40), ("dots", 9), ("lines", 23)] {
        fs::create_dir_all(root.join(class)).expect("a folder");
        for number in 0..count {
            let noise = |i: usize| ((i * 7919 + number * 104_729 + class.len() * 31) % 251) as u8;
            let pixels: Vec<u8> = (0..144)
                .map(|i| match class {
                    "bars" if i % 12 / 3 % 2 == 0 => 230,
                    "lines" if i / 36 % 2 == 0 => 200,
                    _ => noise(i) / 2,
                })
                .collect();
            let file = root.join(class).join(format!("{number}.pgm"));
            fs::write(file, [b"P5 12 12 255\n", &pixels[..]].concat()).expect("a picture");
        }
    }
}

/// Everything that could carry something from step to step, except for the data and the folder.
fn settings(command: &mut Command) {
    command.args(["--model", NETWORK, "--epochs", "150", "--batch-size", "16"]);
    command.args(["--augment", "flip, crop(2)", "--balance", "sample"]);
    command.args(["--schedule", "onecycle", "--average", "0.95"]);
    command.args(["--mixup", "0.3"]);
    command.args(["--val", "0.2", "--test", "0.1", "--keep", "best"]);
    // Pictures are read from their files in each step.
    command.args(["--cache", "0"]);
}

const NETWORK: &str =
    "conv(8, padding=1)-batchnorm-relu-pool-dropout(0.2)-conv(16)-relu-flatten-fc(classes)";

/// The parts of the record that do not depend on the clock.
fn record(run: &Path) -> BTreeMap<String, Vec<String>> {
    let mut record = BTreeMap::new();
    for name in ["events.jsonl", "metrics.csv"] {
        let text = fs::read_to_string(run.join(name)).expect("text");
        let lines = text.lines().filter_map(without_times).map(String::from);
        record.insert(name.to_owned(), lines.collect());
    }
    for entry in fs::read_dir(run).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().contains("tfevents") {
            record.insert(
                "TensorBoard".into(),
                board(&fs::read(path).expect("a file")),
            );
        }
    }
    assert_eq!(record.len(), 3);
    record
}

/// The events of a TensorBoard file without their times. A record is its length (8 bytes), a checksum (4), an event, a checksum (4); an event begins with a tag (1) and its time (8).
fn board(mut bytes: &[u8]) -> Vec<String> {
    let mut events = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = u64::from_le_bytes(*length) as usize;
        let event = &rest[4 + 9..4 + length];
        if !String::from_utf8_lossy(event).contains("per_second") {
            events.push(format!("{event:?}"));
        }
        bytes = &rest[4 + length + 4..];
    }
    events
}

#[test]
fn killed_at_any_moment_it_ends_with_the_same_bits_and_the_same_record() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    write_pictures(&data);
    let [undisturbed, killed] = ["undisturbed", "killed"].map(|name| folder.path().join(name));
    let mut training = hubel();
    settings(training.arg("train").arg(&data));
    let output = training
        .arg("--out")
        .arg(&undisturbed)
        .output()
        .expect("it runs");
    let remarks = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{remarks}");

    let kills: u64 = std::env::var(KILLS).map_or(6, |kills| kills.parse().expect("a number"));
    // The moments are random, and the same in each test.
    let mut random = hubel::Random::new(27).stream(hubel::Purpose::Experiment, 0, 0);
    let (mut done, mut middle, mut positions) = (0, 0, Vec::new());
    for attempt in 0.. {
        let mut training = hubel();
        training.arg("train");
        match killed.join(RunFolder::SETTINGS).exists() && killed.join(RunFolder::LAST).exists() {
            true => {
                training.arg("--resume").arg(&killed);
            }
            // Killed before the first checkpoint: there is nothing to go on from.
            false => {
                let _ = fs::remove_dir_all(&killed);
                settings(training.arg(&data));
                training.arg("--out").arg(&killed);
            }
        }
        let threads = (1 + attempt % 3).to_string();
        training.args(["--checkpoint", "0.002", "--threads", &threads]);
        training.stdout(Stdio::null()).stderr(Stdio::piped());
        if done == kills {
            let output = training.output().expect("it runs");
            let remarks = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{remarks}");
            break;
        }
        let mut training = training.spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(60 + random.below(300) as u64));
        let has_ended = training.try_wait().expect("its state").is_some();
        training.kill().expect("it is killed");
        let output = training.wait_with_output().expect("it has ended");
        let remarks = String::from_utf8_lossy(&output.stderr);
        if has_ended {
            assert!(output.status.success(), "{remarks}");
            // Begins again, so that there is something to kill.
            compare(&undisturbed, &killed);
            fs::remove_dir_all(&killed).expect("removed");
            continue;
        }
        done += 1;
        if let Some(position) = RunFolder::unfinished(&killed) {
            middle += u64::from(!position.is_end_of_epoch());
            positions.push(position.steps_done());
        }
    }
    compare(&undisturbed, &killed);
    println!(
        "{kills} kills, {middle} of them with a checkpoint in the middle of an epoch; steps done: {positions:?}"
    );
    // Chance decides where a few kills hit.
    assert!(kills < 20 || middle > 0, "{positions:?}");
}

fn compare(undisturbed: &Path, killed: &Path) {
    let model = |run: &Path| fs::read(run.join(RunFolder::MODEL)).expect("a model");
    assert!(model(undisturbed) == model(killed), "the models differ");
    assert_eq!(record(undisturbed), record(killed));
    let last = |run: &Path| TrainState::load(run.join(RunFolder::LAST)).expect("a state");
    assert_eq!(last(undisturbed).model(), last(killed).model());
}
