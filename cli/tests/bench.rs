//! `hubel bench`: measurements and output.
mod binary;

use binary::{hubel, json};
use predicates::prelude::*;
use predicates::str::contains;

#[test]
fn bench_answers_what_the_comparison_needs() {
    for mode in ["train", "infer"] {
        let answer = json(hubel().args([
            "bench",
            mode,
            "--net",
            "lenet5",
            "--batch",
            "2",
            "--threads",
            "1",
            "--seconds",
            "0.05",
            "--json",
        ]));
        assert_eq!(answer["net"], "lenet5");
        assert_eq!(answer["mode"], mode);
        assert_eq!(answer["batch"], 2);
        assert_eq!(answer["threads"], 1);
        assert!(answer["cpu"].is_string());
        for number in ["median_ms", "images_per_second", "peak_memory_bytes"] {
            assert!(answer[number].as_f64().expect(number) > 0.0, "{number}");
        }
    }
}

#[test]
fn bench_takes_the_network_by_position_too_and_knows_its_usual_batch() {
    let answer = json(hubel().args(["bench", "infer", "mlp", "--seconds", "0.01", "--json"]));
    assert_eq!(answer["net"], "mlp");
    assert_eq!(answer["batch"], 128);
    hubel()
        .args(["bench", "infer", "mlp", "--net", "lenet5"])
        .assert()
        .code(2)
        .stderr(contains("cannot be used with"));
}

#[test]
fn bench_steps_names_the_algorithms_of_the_passes_that_it_times() {
    let steps = |mode: &str| {
        // At batch 1 the algorithms of the third convolution's passes differ.
        let arguments = ["bench", mode, "mnist-cnn", "--batch", "1", "--steps"];
        let rest = ["--seconds", "0.01", "--json"];
        let answer = json(hubel().args(arguments).args(rest));
        let steps = answer["steps"].as_array().expect("a list");
        let kinds: Vec<String> = steps.iter().map(|step| step["kind"].to_string()).collect();
        kinds.join("\n")
    };
    let training = steps("train");
    assert!(training.contains("weight gradient direct"), "{training}");
    assert!(training.contains("update, pack weights"), "{training}");
    let inference = steps("infer");
    assert!(inference.contains("(winograd)"), "{inference}");
    assert!(!inference.contains("gradient"), "{inference}");
}

#[test]
fn bench_kernels_measures_what_the_filter_names() {
    let arguments = ["bench", "kernels", "512->512 @2", "--seconds", "0.001"];
    let answer = json(hubel().args(arguments).args(["--threads", "1", "--json"]));
    assert_eq!(answer["threads"], 1);
    assert!(answer["peak_gflops"].as_f64().expect("a number") > 0.0);
    let rows = answer["kernels"].as_array().expect("a list");
    // Two batches, three passes, two algorithms, one of which is chosen; the forward pass and the input gradient of a single image can be
    // computed by a table too.
    assert_eq!(rows.len(), 14);
    assert_eq!(rows.iter().filter(|row| row["chosen"] == true).count(), 6);
    for row in rows {
        let shape = row["shape"].as_str().expect("a text");
        assert_eq!(row["fusion"], "none");
        assert!(shape.starts_with("3×3 512→512 @2² b"), "{shape}");
        assert_eq!(row["geometry"]["inputs"], 512);
        for number in ["milliseconds", "gflops", "peak_share"] {
            assert!(row[number].as_f64().expect(number) > 0.0, "{number}");
        }
    }
    hubel()
        .args(["bench", "kernels", "9x9"])
        .assert()
        .code(1)
        .stdout("")
        .stderr(contains("`9x9`").and(contains("1×1")));
}

#[test]
fn bench_kernels_assert_leaves_with_1_only_where_it_names_the_slow() {
    let assert = hubel()
        .args(["bench", "kernels", "3x3 512->512 @2", "--assert"])
        .args(["--seconds", "0.001"])
        .assert()
        .stdout(contains("winograd").and(contains("* what a plan chooses")));
    // Which one depends on the machine and varies between runs.
    let output = assert.get_output();
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => assert!(!stderr.contains("error:"), "{stderr}"),
        Some(1) => assert!(
            stderr.contains("choices are more than 10 % slower") && stderr.contains("512→512"),
            "{stderr}"
        ),
        code => panic!("left with {code:?}: {stderr}"),
    }
}
