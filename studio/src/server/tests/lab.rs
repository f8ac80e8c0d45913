//! The experiments of the page.
use std::time::Instant;

use serde_json::json;

use super::*;

#[test]
fn an_experiment_runs_and_its_findings_outlast_the_server() {
    let server = Server::start();
    let list = server.get("/api/lab").json();
    let experiments = list["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), hubel::lab::EXPERIMENTS.len());
    assert_eq!(experiments[0]["claims"], Value::Null);
    let found =
        |server: &Server| server.get("/api/lab/findings?name=sizes").json()["findings"].clone();
    assert_eq!(found(&server), Value::Null);
    // It computes sizes, in less than a second.
    let answer = server.post("/api/lab/run", r#"{"name":"sizes"}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let begin = Instant::now();
    while found(&server).is_null() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let findings = found(&server);
    let expected = hubel::lab::find("sizes").unwrap();
    assert_eq!(findings["question"], expected.question);
    assert!(!findings["claims"].as_array().unwrap().is_empty());
    assert!(findings["tables"][0]["rows"][0][0].is_string());
    // Another server in the same folder shows the same.
    let again = Server::of(server.folder, Opening::default());
    assert_eq!(found(&again), findings);
}

#[test]
fn unknown_experiments_and_pictures_are_not_found() {
    let server = Server::start();
    let answer = server.post("/api/lab/run", r#"{"name":"flaten"}"#);
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("did you mean `flatten`?"));
    assert_eq!(server.get("/api/lab/findings?name=..").status, 404);
    for picture in ["x", "..", "../x", "", "%2e%2e%2fstudio.json"] {
        let answer = server.get(&format!("/api/lab/picture?name=filters&picture={picture}"));
        assert_eq!(answer.status, 404, "{picture}");
    }
    assert_eq!(server.get("/api/lab/run").status, 405);
}

#[test]
fn one_experiment_runs_at_a_time_and_can_be_cancelled() {
    let server = Server::start();
    let run = |name: &str| server.post("/api/lab/run", &json!({ "name": name }).to_string());
    assert_eq!(run("flatten").status, 200);
    let refused = run("sizes");
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("`flatten` runs"));
    assert_eq!(server.post("/api/lab/cancel", "{}").status, 200);
    let headers = [server.own_host(), server.cookie()];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let stream = server.open("GET /api/lab/progress", &headers, "");
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut messages = lines.filter_map(|line| {
        let data = line.strip_prefix("data: ")?.to_owned();
        serde_json::from_str::<Value>(&data).ok()
    });
    let last = messages
        .find(|message| message["running"].is_null())
        .unwrap();
    assert_eq!(last["ended"], json!({ "name": "flatten", "problem": null }));
    let findings = server.get("/api/lab/findings?name=flatten").json();
    assert_eq!(findings["findings"], Value::Null);
}
