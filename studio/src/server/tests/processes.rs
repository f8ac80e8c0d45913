//! Runs that the page starts, stops and resumes. A script stands for the program that trains.
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::Program;

/// What the script does: it writes its arguments, and fails for `--epochs=0`. Otherwise it waits for SIGTERM, and has begun a record.
const SCRIPT: &str = r#"#!/bin/sh
for argument in "$@"; do
    case "$argument" in
    --epochs=0) echo "a remark"; echo "error: 0 epochs train nothing" >&2; exit 2 ;;
    --out=*) out=${argument#--out=} ;;
    esac
done
printf '%s\n' "$@" > "$out/arguments"
printf '%s' "$PWD" > "$out/folder"
trap 'echo stopped > "$out/stopped"; exit 143' TERM
echo '{"event":"step","epoch":1,"epochs":1,"step":1,"steps":10,"batch_loss":1.5,"learning_rate":0.1,"wall_time":1}' > "$out/events.jsonl"
while true; do sleep 0.05; done
"#;

/// A server with the script.
fn server() -> Server {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".train.sh");
    fs::write(&path, SCRIPT).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let opening = Opening {
        runs: folder.path().into(),
        program: Some(Program {
            path,
            presets: vec!["fast"],
        }),
        ..Opening::default()
    };
    Server::of(folder, opening)
}

/// A form with these fields; the others are empty.
fn form(fields: &[(&str, &str)]) -> String {
    let mut form = json!({ "data": "mnist", "network": "", "preset": "", "epochs": "", "learning_rate": "", "name": "" });
    for (name, value) in fields {
        form[*name] = json!(value);
    }
    form.to_string()
}

fn start(server: &Server, fields: &[(&str, &str)]) -> (u16, Value) {
    let answer = server.post("/api/runs/start", &form(fields));
    (answer.status, answer.json())
}

fn named(run: &str) -> String {
    json!({ "run": run }).to_string()
}

/// Waits for a file, which the script writes.
fn wait_for(path: PathBuf) -> String {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if let Ok(text) = fs::read_to_string(&path)
            && !text.is_empty()
        {
            return text;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{} was not written", path.display());
}

#[test]
fn a_run_is_started_with_the_options_of_the_form_and_stopped_by_a_signal() {
    let server = server();
    let root = server.folder.path().canonicalize().unwrap();
    fs::create_dir(root.join("photos")).unwrap();
    let fields = [
        ("data", "photos/"),
        ("network", "-odd"),
        ("preset", "fast"),
        ("epochs", "3"),
        ("learning_rate", "0.5"),
        ("name", "my run"),
    ];
    let (status, answer) = start(&server, &fields);
    assert_eq!((status, &answer["run"]), (200, &json!("runs/my run")));
    let run = root.join("runs/my run");
    // An option cannot be mistaken for another one, nor the data for an option.
    let arguments = wait_for(run.join("arguments"));
    assert_eq!(
        arguments.lines().collect::<Vec<_>>(),
        [
            "train",
            "--model=-odd",
            "--preset=fast",
            "--epochs=3",
            "--learning-rate=0.5",
            "--out=runs/my run",
            "--",
            "photos"
        ]
    );
    assert_eq!(wait_for(run.join("folder")), root.display().to_string());
    assert_eq!(
        server.get("/api/runs").json()["runs"][0]["name"],
        "runs/my run"
    );
    let (status, answer) = start(&server, &fields);
    assert_eq!(status, 409, "{answer}");
    let stop = server.post("/api/runs/stop", &named("runs/my run"));
    assert_eq!(stop.status, 200, "{}", stop.text());
    assert_eq!(wait_for(run.join("stopped")), "stopped\n");
}

#[test]
fn without_a_name_a_free_one_is_found() {
    let server = server();
    let runs: Vec<Value> = (0..2)
        .map(|_| start(&server, &[("network", "lenet5")]).1["run"].clone())
        .collect();
    assert_eq!(runs, ["runs/mnist-lenet5", "runs/mnist-lenet5-2"]);
    for run in ["runs/mnist-lenet5", "runs/mnist-lenet5-2"] {
        assert_eq!(server.post("/api/runs/stop", &named(run)).status, 200);
    }
}

#[test]
fn a_program_that_fails_at_its_start_is_quoted_and_leaves_nothing_behind() {
    let server = server();
    let (status, answer) = start(&server, &[("epochs", "0"), ("name", "bad")]);
    assert_eq!(status, 422);
    assert_eq!(answer["error"], "error: 0 epochs train nothing");
    assert!(!server.folder.path().join("runs/bad").exists());
    assert_eq!(server.get("/api/runs").json()["starting"], json!([]));
}

#[test]
fn data_and_names_outside_the_folder_are_refused() {
    let server = server();
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().display().to_string();
    std::os::unix::fs::symlink(outside.path(), server.folder.path().join("link")).unwrap();
    for data in [
        "", "..", "../x", "nowhere", "a/../..", "link", "link/x", &path, "--help",
    ] {
        let (status, answer) = start(&server, &[("data", data)]);
        assert_eq!(status, 400, "{data}: {answer}");
    }
    for name in ["../x", "a/b", "..", ".hidden", "a\nb", "/tmp/x"] {
        let (status, answer) = start(&server, &[("name", name)]);
        assert_eq!(status, 400, "{name}: {answer}");
    }
    let (status, _) = start(&server, &[("epochs", "1\0")]);
    assert_eq!(status, 400);
    // New runs do not follow a link out of the folder.
    assert!(!server.folder.path().join("runs").exists());
    std::os::unix::fs::symlink(outside.path(), server.folder.path().join("runs")).unwrap();
    let (status, _) = start(&server, &[("name", "x")]);
    assert_eq!(status, 400);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn only_runs_of_the_folder_are_stopped_and_only_stopped_ones_resumed() {
    let server = server();
    let run = server.folder.path().join("runs/one");
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join(Record::EVENTS), step(1)).unwrap();
    // A process id without a lock may be that of any process.
    fs::write(run.join("train.pid"), format!("{}\n", std::process::id())).unwrap();
    for (path, run, status) in [
        ("stop", "none", 404),
        ("stop", "..", 404),
        ("stop", "../../etc", 404),
        ("stop", "runs/one", 409),
        ("resume", "none", 404),
        ("resume", "..", 404),
        // It has no checkpoint.
        ("resume", "runs/one", 409),
    ] {
        let answer = server.post(&format!("/api/runs/{path}"), &named(run));
        assert_eq!(answer.status, status, "{path} {run}: {}", answer.text());
    }
    for path in ["start", "stop", "resume"] {
        assert_eq!(server.get(&format!("/api/runs/{path}")).status, 405);
    }
}

#[test]
fn without_a_program_nothing_is_started() {
    let server = Server::start();
    let (status, answer) = start(&server, &[]);
    assert_eq!(status, 501, "{answer}");
    assert_eq!(server.get("/api/runs/choices").json()["can_start"], false);
}

#[test]
fn two_runs_are_compared_by_settings_and_outcome() {
    let server = Server::start();
    for (name, epochs) in [("a", 3), ("b", 4)] {
        let run = server.folder.path().join(name);
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join(Record::EVENTS), step(1)).unwrap();
        let settings = format!("data = \"mnist\"\nepochs = {epochs}\n");
        fs::write(run.join("run.toml"), settings).unwrap();
        fs::write(run.join("result.json"), r#"{"test_accuracy":0.5}"#).unwrap();
    }
    let compared = server.get("/api/runs/compare?run=a&run=b").json();
    let expected = json!([{ "name": "epochs", "values": ["3", "4"] }]);
    assert_eq!(compared["settings"], expected);
    assert_eq!(compared["outcomes"][1]["test_accuracy"], 0.5);
    assert_eq!(compared["trained"], Value::Null);
    for (query, status) in [
        ("run=a", 400),
        ("run=a&run=b&run=c", 400),
        ("run=a&run=none", 404),
        ("run=a&run=..", 404),
    ] {
        let answer = server.get(&format!("/api/runs/compare?{query}"));
        assert_eq!(answer.status, status, "{query}");
    }
}

#[test]
fn the_gradient_of_each_layer_is_part_of_the_curves() {
    let server = Server::start();
    let run = server.folder.path().join("one");
    fs::create_dir_all(&run).unwrap();
    let norms: Vec<String> = (0..20)
        .map(|layer| format!("\"{layer}\":{layer}.5"))
        .collect();
    let norms = format!(
        ",\"layer_kinds\":{{\"0\":\"conv\"}},\"layer_gradient_norms\":{{{}}}",
        norms.join(",")
    );
    let line = step(1).replacen(",\"wall_time\"", &format!("{norms},\"wall_time\""), 1);
    fs::write(run.join(Record::EVENTS), line + &step(2)).unwrap();
    let headers = [server.own_host(), server.cookie()];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let stream = server.open("GET /api/runs/curves?run=one", &headers, "");
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
    let message: Value = serde_json::from_str(&data.unwrap()).unwrap();
    let gradients = &message["curves"]["gradients"];
    assert_eq!(gradients["at"], json!([0.1]));
    let layers = gradients["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 20);
    assert_eq!(
        (&layers[0]["kind"], &layers[0]["last"]),
        (&json!("conv"), &json!(0.5))
    );
    // The six with the smallest and the six with the largest norms.
    let drawn = layers.iter().filter(|layer| layer["norms"].is_array());
    let drawn: Vec<&str> = drawn.map(|layer| layer["name"].as_str().unwrap()).collect();
    assert_eq!(
        drawn,
        [
            "0", "1", "2", "3", "4", "5", "14", "15", "16", "17", "18", "19"
        ]
    );
}
