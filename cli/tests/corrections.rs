//! `hubel-labels.csv`: the labels that it corrects, in `check`, `train`, `evaluate` and `data preview`.
use std::path::Path;

use assert_cmd::Command;
use predicates::str::contains;

fn hubel() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("hubel"))
}

const NOTE: &str = "1 label is corrected by hubel-labels.csv, and 1 image is left out";

/// Two classes of 30 pictures, each with its own noise.
fn pictures(root: &Path) {
    for class in ["ants", "bees"] {
        let folder = root.join(class);
        std::fs::create_dir(&folder).expect("the folder is new");
        for number in 0..30_u32 {
            let mut state = 1 + number + 100 * class.as_bytes()[0] as u32;
            let picture = image::RgbImage::from_fn(16, 16, |_, _| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                image::Rgb([(state >> 8) as u8, (state >> 16) as u8, (state >> 24) as u8])
            });
            let saved = picture.save(folder.join(format!("{number}.png")));
            saved.expect("it can be written");
        }
    }
}

#[test]
fn all_commands_that_read_labels_say_what_is_corrected() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("photos");
    std::fs::create_dir(&data).expect("the folder is new");
    pictures(&data);
    let corrections = data.join("hubel-labels.csv");
    let lines = "path,class\nants/3.png,bees\nbees/7.png,\n";
    std::fs::write(&corrections, lines).expect("written");
    let run = folder.path().join("run");
    hubel()
        .arg("check")
        .arg(&data)
        .assert()
        .success()
        .stdout(contains(NOTE));
    hubel()
        .arg("train")
        .arg(&data)
        .args([
            "--model",
            "flatten-linear(classes)",
            "--epochs",
            "1",
            "--out",
        ])
        .arg(&run)
        .assert()
        .success()
        .stderr(contains(NOTE));
    let samples = std::fs::read_to_string(run.join("data.csv")).expect("the list of the samples");
    let line = samples.lines().find(|line| line.contains("ants/3.png"));
    assert_eq!(line.and_then(|line| line.split(',').nth(1)), Some("1"));
    assert!(!samples.contains("bees/7.png"));
    hubel()
        .args(["evaluate".as_ref(), run.as_os_str(), data.as_os_str()])
        .assert()
        .success()
        .stderr(contains(NOTE));
    hubel()
        .args(["data", "preview"])
        .arg(&data)
        .arg("--out")
        .arg(folder.path().join("sheet.png"))
        .assert()
        .success()
        .stderr(contains(NOTE));
    std::fs::write(&corrections, "path,class\nants/3.png,wasps\n").expect("written");
    hubel()
        .arg("train")
        .arg(&data)
        .assert()
        .failure()
        .stderr(contains(
            "line 2: no folder has the class `wasps`; the classes are ants, bees",
        ));
}
