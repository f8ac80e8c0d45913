//! `hubel lab` from a user's view.
mod binary;

use std::fs;

use binary::{hubel, json};
use predicates::str::{contains, is_match};

#[test]
fn the_experiments_are_listed_with_their_items() {
    let text = hubel().arg("lab").assert().success();
    text.stdout(is_match(r"flatten +T2 +does it matter").expect("a pattern"))
        .stdout(is_match(r"filters +T1 T5 T6  what").expect("a pattern"));
    let list = json(hubel().args(["lab", "--json"]));
    let names = list["experiments"].as_array().expect("a list");
    assert!(names.iter().any(|each| each["name"] == "padding"));
}

#[test]
fn a_wrong_name_and_what_an_experiment_cannot_use_are_said() {
    for (arguments, problem) in [
        (&["lab", "paddings"][..], "did you mean `padding`?"),
        (&["lab", "sizes", "--data", "mnist"], "leave out --data"),
        (&["lab", "weights", "--images", "9"], "leave out --images"),
        (
            &["lab", "padding", "--stride", "2"],
            "of the experiment `sizes`",
        ),
        (&["lab", "sizes", "--stride", "0"], "a stride of 0"),
        (&["lab", "flatten", "--data", "nowhere"], "nowhere"),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let assert = hubel().current_dir(&folder).args(arguments).assert();
        assert.code(1).stderr(contains(problem));
        assert!(!folder.path().join("lab").exists(), "{arguments:?}");
    }
    let assert = hubel().args(["lab", "--seeds", "2"]).assert();
    assert.code(2).stderr(contains("NAME"));
}

#[test]
fn sizes_prints_a_table_and_writes_a_page_that_needs_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let windows = [
        "--input",
        "7",
        "--kernel",
        "3",
        "--padding",
        "0",
        "--stride",
        "2,3",
    ];
    let assert = hubel()
        .current_dir(&folder)
        .args(["lab", "sizes"])
        .args(windows)
        .assert();
    assert
        .success()
        .stdout(contains("(7 + 2·0 − 3)/3 + 1 = 2.33"))
        .stdout(contains("■■■■■■□"))
        .stdout(contains("holds "));
    let page = fs::read_to_string(folder.path().join("lab/sizes.html")).expect("a page");
    assert!(page.contains("<svg ") && page.contains("data:image/png;base64,"));
    assert!(page.contains("output 2, 1 row dropped"));
    let without_namespace = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!without_namespace.contains("http"), "a request leaves");
    let plot = fs::read_to_string(folder.path().join("lab/sizes-1.svg")).expect("a plot");
    assert!(plot.starts_with("<svg ") && plot.contains("--series-1:"));
    assert!(folder.path().join("lab/sizes-7-3-0-3.png").exists());
}

#[test]
fn an_experiment_answers_in_json_with_every_seed_s_value() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let answer = json(hubel().current_dir(&folder).args([
        "lab", "flatten", "--seeds", "2", "--images", "64", "--epochs", "1", "--json",
    ]));
    let experiment = &answer["experiments"][0];
    assert_eq!(experiment["items"][0], "T2");
    let cell = &experiment["tables"][0]["rows"][1][2];
    assert_eq!(cell["values"].as_array().expect("seeds").len(), 2);
    assert!(cell["mean"].is_f64() && cell["deviation"].is_f64());
    let verdict = experiment["claims"][0]["verdict"].as_str();
    assert!(["holds", "does-not-hold", "undecided"].contains(&verdict.expect("a word")));
    let page = answer["page"].as_str().expect("a path");
    assert!(folder.path().join(page).exists());
}
