//! Held-out pictures of a folder stay held out, also for a model that was saved when training failed.
use std::path::Path;

use assert_cmd::Command;
use predicates::str::contains;

fn hubel() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("hubel"))
}

/// Forty pictures each of two classes, all different.
fn pictures(root: &Path) {
    for class in 0..2u32 {
        let folder = root.join(class.to_string());
        std::fs::create_dir(&folder).expect("the folder is new");
        for number in 0..40u32 {
            let mut state = 1 + number + 100 * class;
            let picture = image::RgbImage::from_fn(16, 16, |_, _| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                image::Rgb([(state >> 8) as u8, (state >> 16) as u8, (state >> 24) as u8])
            });
            let path = folder.join(format!("{number}.png"));
            picture.save(path).expect("it can be written");
        }
    }
}

#[test]
fn a_model_is_judged_by_what_was_held_out_even_if_training_failed() {
    let (data, runs) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    pictures(data.path());
    // The second training diverges in one of its first epochs, after some steps succeeded.
    for (name, rate, epochs, code) in [("whole", "0.001", "2", 0), ("failed", "10", "30", 1)] {
        let run = runs.path().join(name);
        hubel()
            .arg("train")
            .arg(data.path())
            .args([
                "--model",
                "flatten-fc(20)-relu-fc(classes)",
                "--epochs",
                epochs,
                "--optimizer",
                "sgd",
            ])
            .args([
                "--batch-size",
                "8",
                "--test",
                "0.3",
                "--schedule",
                "constant",
            ])
            .args(["--learning-rate", rate, "--out"])
            .arg(&run)
            .assert()
            .code(code);
        hubel()
            .arg("evaluate")
            .arg(&run)
            .arg(data.path())
            .assert()
            .success()
            .stderr(contains(" of 80 images (held out in training"));
    }
}
