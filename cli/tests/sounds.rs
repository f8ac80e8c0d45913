//! Recordings from training to prediction: three tones as classes.
mod binary;

use std::fs;
use std::path::Path;

use binary::{hubel, json};
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

/// A WAV file with 16 bits per sample: a tone, and a little noise that depends on `seed`.
fn tone(hertz: f32, seconds: f32, seed: u32) -> Vec<u8> {
    let rate = 8000_u32;
    let count = (seconds * rate as f32) as u32;
    let mut state = seed;
    let samples = (0..count).map(|i| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 24) as f32 - 128.0;
        let time = i as f32 / rate as f32;
        (10_000.0 * (std::f32::consts::TAU * hertz * time).sin() + 4.0 * noise) as i16
    });
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((2 * rate).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

const CLASSES: [(&str, f32); 3] = [("high", 2000.0), ("low", 250.0), ("middle", 800.0)];

/// A folder with three classes of 30 tones in `tones`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (place, (class, hertz)) in CLASSES.into_iter().enumerate() {
        let class = folder.path().join("tones").join(class);
        fs::create_dir_all(&class).expect("a folder");
        for i in 0..30_u16 {
            let bytes = tone(
                hertz + f32::from(i),
                0.25 + 0.002 * f32::from(i),
                u32::from(100 * place as u16 + i),
            );
            fs::write(class.join(format!("{i:02}.wav")), bytes).expect("a file");
        }
    }
    folder
}

fn in_folder(folder: &Path, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = hubel();
    command.current_dir(folder).args(arguments);
    command
}

#[test]
fn tones_are_trained_evaluated_and_predicted() {
    let folder = folder();
    let path = folder.path();
    let train = [
        "train", "tones", "--epochs", "6", "--out", "run", "--val", "0.2", "--test", "0.2",
    ];
    in_folder(path, &train)
        .assert()
        .success()
        .stderr(contains("recordings of 0.25 to 0.31 s become"))
        .stderr(contains("sound-cnn on tones"));
    let judged = json(&mut in_folder(
        path,
        &["evaluate", "run", "tones", "--json"],
    ));
    assert!(judged["accuracy"].as_f64() >= Some(0.9), "{judged}");
    in_folder(path, &["inspect", "run"])
        .assert()
        .success()
        .stdout(contains("sound    0.31 s at 8 kHz, 40 mel bands"));

    // A folder, a file, and a recording that is longer than the model's length.
    let mut long = tone(250.0, 1.0, 1);
    long.truncate(44);
    long[40..44].copy_from_slice(&(4 * 8000_u32).to_le_bytes());
    for (hertz, seed) in [(250.0, 2), (2000.0, 3)] {
        long.extend(&tone(hertz, 1.0, seed)[44..]);
    }
    long[4..8].copy_from_slice(&(36 + 4 * 8000_u32).to_le_bytes());
    fs::write(path.join("long.wav"), long).expect("a file");
    let answers = json(&mut in_folder(
        path,
        &["predict", "run", "tones/low", "long.wav", "--json"],
    ));
    let answers = answers["predictions"].as_array().expect("a list");
    assert_eq!(answers.len(), 31);
    assert_eq!(
        (&answers[0]["class"], &answers[0]["cut"]),
        (&"low".into(), &false.into())
    );
    assert_eq!(answers[30]["cut"], true);
    in_folder(path, &["predict", "run", "long.wav"])
        .assert()
        .success()
        .stdout(contains("only the loudest stretch was classified"));

    let timeline = ["predict", "run", "long.wav", "--hop", "0.25"];
    in_folder(path, &timeline)
        .assert()
        .success()
        .stdout(contains("0.25 –    0.56 s: low"));
    in_folder(path, &["predict", "run", "long.wav", "--hop", "1"])
        .assert()
        .success()
        .stderr(contains("s between two stretches are not classified"));
    let recording = fs::read(path.join("long.wav")).expect("a recording");
    in_folder(path, &["predict", "run", "-"])
        .write_stdin(recording)
        .assert()
        .failure()
        .stderr(contains("no list of names"));
    let answers = json(&mut in_folder(path, &[&timeline[..], &["--json"]].concat()));
    let first = &answers["predictions"][0];
    assert_eq!(
        (&first["start"], &first["class"]),
        (&0.0.into(), &"low".into())
    );
    let answers = answers["predictions"].as_array().expect("a list");
    let last = answers.last().expect("an answer");
    assert_eq!(
        (&last["end"], &last["class"]),
        (&2.0.into(), &"high".into())
    );
    in_folder(path, &[&timeline[..], &["--out", "time.csv"]].concat())
        .assert()
        .success();
    let table = fs::read_to_string(path.join("time.csv")).expect("a table");
    assert!(
        table.starts_with("path,start,end,class,probability,"),
        "{table}"
    );
    let fields: Vec<usize> = table.lines().map(|line| line.split(',').count()).collect();
    assert!(fields.len() == answers.len() + 1 && fields.iter().all(|count| *count == fields[0]));

    // The same training again, from the settings of the run.
    in_folder(
        path,
        &["train", "--config", "run/run.toml", "--out", "again"],
    )
    .assert()
    .success();
    let bytes = |run: &str| fs::read(path.join(run).join("model.safetensors")).expect("a model");
    assert!(bytes("run") == bytes("again"), "the same bits");
    in_folder(
        path,
        &[
            "train", "tones", "--from", "run", "--epochs", "1", "--out", "tuned",
        ],
    )
    .assert()
    .success();
}

#[test]
fn files_that_are_no_recordings_are_refused_with_a_way_out() {
    let folder = folder();
    let path = folder.path();
    let bytes = fs::read(path.join("tones/low/00.wav")).expect("a file");
    fs::write(path.join("tones/low/torn.wav"), &bytes[..1000]).expect("a file");
    let train = ["train", "tones", "--epochs", "1", "--out", "run"];
    in_folder(path, &train)
        .assert()
        .failure()
        .stderr(contains("it breaks off after").and(contains("--bad-files skip")));
    in_folder(
        path,
        &[&train[..], &["--augment", "flip"], &["--bad-files", "skip"]].concat(),
    )
    .assert()
    .failure()
    .stderr(contains("changes pictures"));
    in_folder(path, &[&train[..], &["--bad-files", "skip"]].concat())
        .assert()
        .success();
    fs::write(
        path.join("note.opus"),
        b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x08OpusHead",
    )
    .expect("a file");
    image::GrayImage::new(8, 8)
        .save(path.join("picture.png"))
        .expect("a picture");
    for (file, wanted) in [
        (
            "note.opus",
            "it is Opus, which hubel cannot decode; convert it: ffmpeg -i note.opus note.wav",
        ),
        ("picture.png", "it is a PNG picture, no recording"),
    ] {
        in_folder(path, &["predict", "run", file])
            .assert()
            .failure()
            .stderr(contains(wanted));
    }
    in_folder(path, &["predict", "run", "--text", "hello"])
        .assert()
        .failure()
        .stderr(contains(
            "the model was trained on recordings, not on texts",
        ));
    in_folder(path, &["predict", "efficientnet-lite0", "tones/low/01.wav"])
        .assert()
        .failure()
        .stderr(contains(
            "it is a recording, and the model was trained on pictures",
        ));
    in_folder(path, &["evaluate", "efficientnet-lite0", "tones"])
        .assert()
        .failure()
        .stderr(contains("recordings"));
}
