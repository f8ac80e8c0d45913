//! Clips: folders of frames, animations and video files; train, evaluate, predict, explain and check.
mod binary;

use std::fs;
use std::path::{Path, PathBuf};

use binary::{hubel, json};
use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, GrayImage, Luma, Rgba, RgbaImage};
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

/// Learns in seconds.
const SMALL: &str =
    "conv(6)-relu-timeconv(8, padding=same)-relu-globalavgpool-avgovertime-linear(classes)";
/// Frames of a clip.
const FRAMES: u32 = 6;

/// A light square that moves to the right, or to the left; others for other numbers.
fn frame(number: u32, moves_right: bool, frame: u32) -> GrayImage {
    let place = if moves_right {
        frame
    } else {
        FRAMES - 1 - frame
    };
    let (left, top) = (place * 2 + number % 3, 2 + number * 7 % 8);
    let level = (120 + number * 13 % 130) as u8;
    GrayImage::from_fn(18, 16, |x, y| {
        let is_inside = (left..left + 5).contains(&x) && (top..top + 5).contains(&y);
        Luma([if is_inside {
            level
        } else {
            (number * 3 % 20) as u8
        }])
    })
}

/// Class folders with folders of frames.
fn folders_of_frames(folder: &Path, clips: u32) {
    for number in 0..clips {
        for (class, moves_right) in [("left", false), ("right", true)] {
            let clip = folder.join(class).join(format!("clip{number}"));
            fs::create_dir_all(&clip).expect("a folder");
            for place in 0..FRAMES {
                let file = clip.join(format!("frame{place:02}.png"));
                frame(number, moves_right, place)
                    .save(file)
                    .expect("a frame");
            }
        }
    }
}

fn animation(file: &Path, number: u32, moves_right: bool, frames: u32) {
    let mut encoder = GifEncoder::new(fs::File::create(file).expect("a file"));
    for place in 0..frames {
        let grey = frame(number, moves_right, place);
        let picture = RgbaImage::from_fn(18, 16, |x, y| {
            let level = grey.get_pixel(x, y).0[0];
            Rgba([level, level, level, 255])
        });
        let frame = Frame::from_parts(picture, 0, 0, Delay::from_numer_denom_ms(100, 1));
        encoder.encode_frame(frame).expect("a frame");
    }
}

fn animations(folder: &Path, clips: u32) {
    for number in 0..clips {
        for (class, moves_right) in [("left", false), ("right", true)] {
            let class = folder.join(class);
            fs::create_dir_all(&class).expect("a folder");
            animation(
                &class.join(format!("{number}.gif")),
                number,
                moves_right,
                FRAMES,
            );
        }
    }
}

fn train(data: &Path, out: &Path) -> assert_cmd::Command {
    let mut command = hubel();
    command.arg("train").arg(data).args([
        "--model",
        SMALL,
        "--augment",
        "none",
        "--epochs",
        "12",
        "--batch-size",
        "16",
    ]);
    command.args(["--learning-rate", "0.01", "--out"]).arg(out);
    command
}

#[test]
fn the_direction_of_a_motion_is_learnt_from_folders_of_frames() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, run) = (folder.path().join("clips"), folder.path().join("run"));
    folders_of_frames(&data, 80);
    train(&data, &run)
        .assert()
        .success()
        .stderr(contains("160 clips of 6×16×18×1"))
        .stderr(contains("of each clip the network sees 6 frames"));
    let evaluated = json(
        hubel()
            .arg("evaluate")
            .arg(&run)
            .arg(&data)
            .args(["--json", "--quiet"]),
    );
    assert!(
        evaluated["accuracy"].as_f64().expect("a number") > 0.9,
        "{evaluated}"
    );
    let clip = data.join("left/clip3");
    hubel()
        .arg("predict")
        .arg(&run)
        .arg(&clip)
        .assert()
        .success()
        .stdout(contains("clip3: left"));
    // All clips of a folder.
    let many = json(
        hubel()
            .arg("predict")
            .arg(&run)
            .arg(data.join("right"))
            .args(["--json", "--quiet"]),
    );
    assert_eq!(many["predictions"].as_array().expect("a list").len(), 80);
    // A single frame is no clip.
    let frame = clip.join("frame00.png");
    hubel()
        .arg("predict")
        .arg(&run)
        .arg(frame)
        .assert()
        .failure()
        .stderr(contains("it has a single frame"));
    // Lists, patterns, and what is none of them.
    let predict = |names: &[&str]| {
        let mut command = hubel();
        command.current_dir(&data).arg("predict").arg(&run);
        command.args(names);
        command
    };
    predict(&["-"])
        .write_stdin("left/clip3\nright/clip4\n")
        .assert()
        .success()
        .stdout(contains("clip3: left"))
        .stdout(contains("clip4: right"));
    predict(&["left/clip7*"])
        .assert()
        .success()
        .stdout(contains("clip79: left"));
    fs::write(data.join("notes.csv"), "a,b\n").expect("a file");
    predict(&["notes.csv"])
        .assert()
        .failure()
        .stderr(contains("no video and no folder of numbered frames"));
    predict(&["left", "--hop", "1"])
        .assert()
        .failure()
        .stderr(contains("--hop divides recordings"));
    fs::remove_file(data.join("notes.csv")).expect("it is there");
    let out = folder.path().join("why");
    let explained = json(
        hubel()
            .arg("explain")
            .arg(&run)
            .arg(&clip)
            .args(["--json", "--quiet", "--check", "--out"])
            .arg(&out),
    );
    assert_eq!(explained["frames"].as_array().expect("a list").len(), 6);
    assert!(out.join("picture.png").exists() && out.join("index.html").exists());
    let methods = explained["explanations"].as_array().expect("a list");
    assert_eq!(methods[0]["method"], "Grad-CAM");
    assert_eq!(methods[0]["frames"], 6);
    hubel()
        .arg("inspect")
        .arg(&run)
        .assert()
        .success()
        .stdout(contains("timeconv"));
    let preview = folder.path().join("sheet.png");
    hubel()
        .args(["data", "preview"])
        .arg(&data)
        .arg("--out")
        .arg(&preview)
        .assert()
        .success();
    hubel()
        .arg("evaluate")
        .arg(&run)
        .arg("mnist")
        .assert()
        .failure()
        .stderr(contains(
            "it holds pictures, and the model was trained on clips",
        ));
}

#[test]
fn animations_are_clips_and_plain_pictures_stay_pictures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("clips");
    animations(&data, 40);
    hubel()
        .arg("check")
        .arg(&data)
        .assert()
        .success()
        .stdout(contains("80 clips"));
    train(&data, &folder.path().join("run"))
        .assert()
        .success()
        .stderr(contains("clips of 6 frames"));
    let plain = folder.path().join("pictures");
    for number in 0..30 {
        for (class, moves_right) in [("left", false), ("right", true)] {
            let class = plain.join(class);
            fs::create_dir_all(&class).expect("a folder");
            frame(number, moves_right, 0)
                .save(class.join(format!("{number}.png")))
                .expect("a picture");
        }
    }
    hubel()
        .arg("check")
        .arg(&plain)
        .assert()
        .stdout(contains("60 images"));
}

#[test]
fn the_kind_of_the_data_can_be_given() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path();
    animations(data, 12);
    let check = |kind| {
        let mut command = hubel();
        command.arg("check").arg(data).args(["--kind", kind]);
        command.assert()
    };
    check("pictures").stdout(contains("24 images"));
    check("clips").success().stdout(contains("24 clips"));
    check("text").failure().stderr(contains("texts"));
    check("films")
        .failure()
        .stderr(contains("use pictures, clips, sound or text"));
    let small = [
        "--model",
        "conv(4)-relu-globalavgpool-linear(classes)",
        "--epochs",
        "1",
    ];
    let mut command = hubel();
    command.arg("train").arg(data).args(small);
    let out = tempfile::tempdir().expect("a temporary folder");
    command
        .args(["--kind", "pictures", "--out"])
        .arg(out.path().join("run"))
        .assert()
        .success()
        .stderr(contains("24 images"));
}

#[test]
fn planted_faults_are_found_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    animations(folder.path(), 20);
    let findings = || -> Vec<serde_json::Value> {
        let output = hubel()
            .arg("check")
            .arg(folder.path())
            .args(["--json", "--quiet"])
            .output()
            .expect("it runs");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        found["findings"].as_array().expect("a list").clone()
    };
    assert_eq!(findings(), Vec::<serde_json::Value>::new());
    let left = folder.path().join("left");
    animation(&left.join("single.gif"), 3, true, 1);
    fs::copy(left.join("4.gif"), left.join("copy.gif")).expect("a copy");
    fs::copy(left.join("5.gif"), folder.path().join("right/wrong.gif")).expect("a copy");
    let whole = fs::read(left.join("6.gif")).expect("a file");
    fs::write(left.join("broken.gif"), &whole[..whole.len() / 3]).expect("a file");
    fs::write(left.join("empty.gif"), b"").expect("a file");
    let mut kinds: Vec<String> = findings()
        .iter()
        .map(|finding| finding["kind"].as_str().expect("a kind").to_owned())
        .collect();
    kinds.sort();
    assert_eq!(
        kinds,
        [
            "exact-duplicate",
            "label-conflict",
            "unreadable",
            "unreadable",
            "unreadable"
        ]
    );
    // Training refuses them, and leaves them out if asked to.
    let run = folder.path().join("../unused-clips");
    train(folder.path(), &run)
        .assert()
        .failure()
        .stderr(contains("it has a single frame"));
    // The clips of a single class are not taken for classes.
    fs::remove_dir_all(folder.path().join("right")).expect("it is there");
    train(folder.path(), &run)
        .assert()
        .failure()
        .stderr(contains("one folder each").and(contains("do you mean").not()));
}

/// A folder with a program `ffmpeg` in it that writes frames, or fails.
#[cfg(unix)]
fn fake_ffmpeg(script: &str) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("ffmpeg");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it can be run");
    folder
}

#[cfg(unix)]
fn films(folder: &Path) -> PathBuf {
    for class in ["a", "b"] {
        fs::create_dir_all(folder.join(class)).expect("a folder");
        for number in 0..12 {
            fs::write(
                folder.join(class).join(format!("-{number}.mp4")),
                format!("{class}{number}"),
            )
            .expect("a film");
        }
    }
    folder.to_owned()
}

#[test]
#[cfg(unix)]
fn video_files_are_read_by_ffmpeg() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = films(&folder.path().join("films"));
    let with_path = |program: &Path| {
        let mut command = train(&data, &folder.path().join("run"));
        command.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
        command
    };
    // Three frames of 16×16; the arguments go to a file.
    let log = folder.path().join("log");
    let frame = r#"printf 'P6 16 16 255\n'; head -c 768 /dev/zero"#;
    let good = fake_ffmpeg(&format!(
        "test \"$1\" = -version && exit; echo \"$@\" >> {}; {frame}; {frame}; {frame}",
        log.display()
    ));
    with_path(good.path())
        .assert()
        .success()
        .stderr(contains("24 clips of 3×16×16"));
    let arguments = fs::read_to_string(&log).expect("arguments");
    let first = arguments.lines().next().expect("a line");
    assert!(
        first.contains("-nostdin") && first.contains("-i file:/"),
        "{first}"
    );
    let bad = fake_ffmpeg("echo 'moov atom not found' >&2; exit 1");
    with_path(bad.path())
        .assert()
        .failure()
        .stderr(contains("ffmpeg cannot read it (moov atom not found)"));
    let none = tempfile::tempdir().expect("a temporary folder");
    let mut command = train(&data, &folder.path().join("run"));
    command.env("PATH", none.path());
    command
        .assert()
        .failure()
        .stderr(contains("it holds 24 video files"))
        .stderr(contains("`ffmpeg`, which is not installed").count(1));
}

#[test]
fn a_model_of_pictures_reads_frames_for_a_head_along_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, run) = (folder.path().join("clips"), folder.path().join("run"));
    folders_of_frames(&data, 40);
    let pictures = folder.path().join("pictures");
    for (class, moves_right) in [("left", false), ("right", true)] {
        let class = pictures.join(class);
        fs::create_dir_all(&class).expect("a folder");
        for number in 0..20 {
            let file = class.join(format!("picture {class} {number}.png", class = number % 7));
            frame(number, moves_right, 0).save(file).expect("a picture");
        }
    }
    // It learns where the square is.
    let start = folder.path().join("start");
    let mut command = hubel();
    command.arg("train").arg(&pictures).args(["--from", "none"]);
    command.args([
        "--model",
        "conv(8)-relu-conv(8)-relu-globalavgpool-linear(classes)",
    ]);
    command.args(["--epochs", "20", "--augment", "none", "--out"]);
    command.arg(&start).assert().success();
    let trained = json(
        hubel()
            .arg("train")
            .arg(&data)
            .args(["--json", "--seed", "2", "--augment", "none", "--from"])
            .arg(&start)
            .arg("--out")
            .arg(&run),
    );
    // Its own preparation is that of `evaluate`.
    let evaluate = |data: &Path| {
        json(
            hubel()
                .arg("evaluate")
                .arg(&run)
                .arg(data)
                .args(["--json", "--quiet"]),
        )
    };
    let accuracy = evaluate(&data)["accuracy"].as_f64().expect("a number");
    assert_eq!(trained["test_accuracy"], accuracy, "{trained}");
    assert!(accuracy > 0.7, "{accuracy}");
    // Only the layers along time were trained; the settings repeat the run.
    hubel()
        .arg("inspect")
        .arg(&run)
        .assert()
        .success()
        .stdout(contains("frame_features"));
    let again = folder.path().join("again");
    hubel()
        .args(["train", "--config"])
        .arg(run.join("run.toml"))
        .arg("--out")
        .arg(&again)
        .assert()
        .success();
    let bytes = |run: &Path| fs::read(run.join("model.safetensors")).expect("a model");
    assert!(bytes(&run) == bytes(&again));
    // What the model of clips has decided cannot be changed, and flags of other kinds are refused.
    for (flag, problem) in [
        (
            "--frames",
            "--frames is decided by the model to fine-tune, which has 6",
        ),
        ("--seconds", "--seconds is for recordings, and"),
    ] {
        hubel()
            .arg("train")
            .arg(&data)
            .arg("--from")
            .arg(&run)
            .args([flag, "3"])
            .assert()
            .failure()
            .stderr(contains(problem));
    }
}
