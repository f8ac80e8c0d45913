//! The server as a browser, a stranger and another page see it: over a socket.
mod lab;
#[cfg(unix)]
mod processes;

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hubel::Record;
use serde_json::Value;

use super::*;

/// A server with a folder of its own. It ends with the process of the tests.
struct Server {
    port: u16,
    token: String,
    folder: tempfile::TempDir,
}

/// What came back.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opening = Opening {
            runs: folder.path().into(),
            ..Opening::default()
        };
        Self::of(folder, opening)
    }

    /// A server that was started in `folder`.
    fn of(folder: tempfile::TempDir, opening: Opening) -> Self {
        let opening = Opening {
            runs: folder.path().into(),
            ..opening
        };
        let studio = Studio::new(folder.path(), None, opening).unwrap();
        let (port, token) = (studio.address.port, studio.address.token.clone());
        std::thread::spawn(|| studio.serve());
        Self {
            port,
            token,
            folder,
        }
    }

    fn own_host(&self) -> String {
        format!("Host: 127.0.0.1:{}", self.port)
    }

    fn cookie(&self) -> String {
        format!("Cookie: a=b; hubel-studio-{}={}", self.port, self.token)
    }

    /// Sends a request with exactly these headers and returns the connection.
    fn open(&self, line: &str, headers: &[&str], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let headers: String = headers
            .iter()
            .map(|header| format!("{header}\r\n"))
            .collect();
        let request = format!("{line} HTTP/1.1\r\n{headers}\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn send(&self, line: &str, headers: &[&str], body: &str) -> Answer {
        let headers = [headers, &["Connection: close"]].concat();
        let mut all = Vec::new();
        self.open(line, &headers, body)
            .read_to_end(&mut all)
            .unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = all[end + 4..].to_vec();
        Answer { status, head, body }
    }

    /// As the page itself asks.
    fn get(&self, path: &str) -> Answer {
        self.send(
            &format!("GET {path}"),
            &[&self.own_host(), &self.cookie()],
            "",
        )
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        let length = format!("Content-Length: {}", body.len());
        let headers = [
            &*self.own_host(),
            &*self.cookie(),
            &*length,
            "Content-Type: application/json",
        ];
        self.send(&format!("POST {path}"), &headers, body)
    }
}

#[test]
fn the_token_becomes_a_cookie_and_leaves_the_address() {
    let server = Server::start();
    let first = server.send(
        &format!("GET /?token={}", server.token),
        &[&server.own_host()],
        "",
    );
    assert_eq!((first.status, first.header("location")), (303, Some("/")));
    let cookie = first.header("set-cookie").unwrap();
    for part in [&*server.token, "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("hubel"));
}

#[test]
fn without_the_token_there_is_only_a_page_that_says_what_to_do() {
    let server = Server::start();
    let wrong = format!("Cookie: hubel-studio-{}={}", server.port, "0".repeat(32));
    let half = format!(
        "Cookie: hubel-studio-{}={}",
        server.port,
        &server.token[..16]
    );
    for path in [
        "/",
        "/assets/app.js",
        "/api/runs",
        "/api/nothing",
        "/?token=0",
        "/api/runs?token=x",
    ] {
        for cookie in ["A: b", &wrong, &half] {
            let answer = server.send(&format!("GET {path}"), &[&server.own_host(), cookie], "");
            assert_eq!(answer.status, 401, "{path} {cookie}");
            assert!(answer.text().contains("printed in the terminal"));
            assert!(!answer.text().contains(&server.token));
        }
    }
}

#[test]
fn other_hosts_and_other_pages_are_refused_even_with_the_cookie() {
    let server = Server::start();
    let port = server.port;
    let hosts = [
        "Host: example.org".to_owned(),
        format!("Host: example.org:{port}"),
        "Host: 127.0.0.1".into(),
        format!("Host: 127.0.0.1.example.org:{port}"),
        format!("Host: 127.0.0.1:{}", port - 1),
    ];
    for host in hosts {
        let answer = server.send("GET /", &[&host, &server.cookie()], "");
        assert_eq!(answer.status, 403, "{host}");
    }
    let origins = [
        "Origin: null".to_owned(),
        "Origin: http://example.org".into(),
        format!("Origin: https://127.0.0.1:{port}"),
        format!("Origin: http://localhost:{port}"),
    ];
    for origin in origins {
        let headers = [&*server.own_host(), &*server.cookie(), &*origin];
        assert_eq!(
            server.send("GET /api/runs", &headers, "").status,
            403,
            "{origin}"
        );
    }
    let own = format!("Origin: http://localhost:{port}");
    let host = format!("Host: localhost:{port}");
    assert_eq!(
        server
            .send("GET /api/runs", &[&host, &server.cookie(), &own], "")
            .status,
        200
    );
}

#[test]
fn every_answer_has_the_headers_that_keep_strangers_out() {
    let server = Server::start();
    for answer in [
        server.get("/"),
        server.get("/api/runs"),
        server.get("/nothing"),
        server.send("GET /", &[&server.own_host()], ""),
    ] {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn a_large_body_is_refused() {
    let server = Server::start();
    let gigabyte = [
        "Content-Length: 1073741824",
        "Content-Type: application/json",
    ];
    let (host, cookie) = (server.own_host(), server.cookie());
    let own = [host.as_str(), cookie.as_str()];
    let headers = [own, gigabyte].concat();
    assert_eq!(server.send("POST /api/network", &headers, "").status, 413);
    // Without a length, the body is counted while it is read.
    let chunk = format!(
        "{:x}\r\n{}\r\n0\r\n\r\n",
        LARGEST_BODY + 1,
        " ".repeat(LARGEST_BODY + 1)
    );
    let chunked = [
        "Transfer-Encoding: chunked",
        "Content-Type: application/json",
    ];
    let headers = [own, chunked].concat();
    assert_eq!(
        server.send("POST /api/network", &headers, &chunk).status,
        413
    );
}

/// A model of 8×8 grey pictures, as the run `r`.
fn with_model(server: &Server) {
    let preparation =
        hubel::Preparation::unmeasured(hubel::Shape::new(8, 8, 1), Default::default());
    let network =
        hubel::Network::parse("conv(4, padding=1)-relu-maxpool(2)-flatten-linear(classes)")
            .unwrap();
    let classes = vec!["cat".into(), "dog".into()];
    let model = Model::untrained(network, classes, preparation, 1).unwrap();
    let folder = server.folder.path().join("r");
    fs::create_dir(&folder).unwrap();
    model.save(folder.join("model.safetensors")).unwrap();
}

#[test]
fn pictures_come_in_and_answers_go_out() {
    let server = Server::start();
    with_model(&server);
    assert_eq!(server.get("/api/models").json()[0]["name"], "r");
    let picture = format!("P5 8 8 255\n{}", "0123456789abcdef".repeat(4));
    let sent = server.post("/api/pictures", &picture);
    assert_eq!(sent.status, 200, "{}", sent.text());
    let name = sent.json()["picture"].as_str().unwrap().to_owned();
    let ask = |path: &str, more: &str| {
        let body =
            format!("{{\"model\": \"r\", \"picture\": \"{name}\", \"of\": \"values\"{more}}}");
        server.post(path, &body)
    };
    let seen = ask("/api/see", "").json();
    assert_eq!(seen["layers"].as_array().map(Vec::len), Some(6), "{seen}");
    let sum: f64 = (seen["prediction"]["classes"].as_array().unwrap().iter())
        .map(|class| class["probability"].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-5);
    let value = ask("/api/see/value", ", \"layer\": 1, \"at\": [3, 4, 2]").json();
    let [result, network] =
        [&value["result"], &value["value"]].map(|value| value.as_f64().unwrap());
    assert!((result - network).abs() < 1e-5, "{value}");
    let outside = ask("/api/see/value", ", \"layer\": 1, \"at\": [8, 0, 0]");
    assert_eq!(outside.status, 422);
    assert!(outside.text().contains("no row 8"), "{}", outside.text());
    for (path, more) in [
        ("/api/see/layer", ", \"layer\": 99, \"all\": false"),
        ("/api/see/map", ", \"layer\": 1, \"channel\": 4"),
        ("/api/see", ", \"class\": \"eel\""),
    ] {
        assert_eq!(ask(path, more).status, 422, "{path}");
    }
}

#[test]
fn what_is_no_picture_and_what_lies_elsewhere_is_refused() {
    let server = Server::start();
    with_model(&server);
    let refused = server.post("/api/pictures", "these are words");
    assert_eq!(refused.status, 422);
    assert!(
        refused.json()["error"]
            .as_str()
            .unwrap()
            .contains("picture"),
        "{}",
        refused.text()
    );
    let (host, cookie) = (server.own_host(), server.cookie());
    let gigabyte = [&*host, &*cookie, "Content-Length: 1073741824"];
    assert_eq!(server.send("POST /api/pictures", &gigabyte, "").status, 413);
    let see = |model: &str, picture: &str| {
        server.post(
            "/api/see",
            &format!("{{\"model\": \"{model}\", \"picture\": \"{picture}\", \"of\": \"values\"}}"),
        )
    };
    // The kept token lies beside the pictures.
    for picture in [
        "sent:../studio.json",
        "sent:/etc/passwd",
        "sent:",
        "sample:-1",
        "sample:../x",
        "file:/etc/passwd",
        "x",
    ] {
        assert_eq!(see("r", picture).status, 422, "{picture}");
    }
    for model in ["../r", "/", "r/../r", "elsewhere"] {
        assert_eq!(see(model, "sample:0").status, 404, "{model}");
    }
}

#[test]
fn files_are_compressed_where_that_is_accepted_and_known_ones_are_not_sent_again() {
    let server = Server::start();
    let ask = |header: &str| {
        let headers = [&*server.own_host(), &*server.cookie(), header];
        server.send("GET /assets/app.js", &headers, "")
    };
    let plain = ask("A: b");
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(
        plain.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert!(plain.text().contains("import"));
    let compressed = ask("Accept-Encoding: br, gzip;q=0.8");
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*compressed.body)
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, plain.text());
    assert_eq!(
        ask("Accept-Encoding: gzip;q=0").header("content-encoding"),
        None
    );
    let tag = plain.header("etag").unwrap();
    let known = ask(&format!("If-None-Match: \"x\", {tag}"));
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(ask("If-None-Match: \"x\"").status, 200);
    for (name, kind) in [("studio.css", "text/css"), ("icon.svg", "image/svg+xml")] {
        let answer = server.get(&format!("/assets/{name}"));
        assert!(answer.header("content-type").unwrap().starts_with(kind));
    }
    for path in [
        "/assets/../Cargo.toml",
        "/assets/..%2FCargo.toml",
        "/assets/none.js",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_network_is_shown_with_the_library_s_numbers() {
    let server = Server::start();
    let text = r#"{"text":"conv(4)-relu-flatten-linear(classes)","input":"8x8x1","classes":3}"#;
    let network = server.post("/api/network", text).json()["network"].clone();
    let expected = hubel::Network::parse("conv(4)-relu-flatten-linear(classes)").unwrap();
    let expected = expected.summary(hubel::Shape::new(8, 8, 1), 3).unwrap();
    assert_eq!(network["summary"], serde_json::to_value(expected).unwrap());
    let wrong = r#"{"text":"cnov(4)","input":"8x8x1","classes":3}"#;
    let problem = server.post("/api/network", wrong).json()["problem"].clone();
    assert_eq!(problem["place"], serde_json::json!([0, 4]));
    assert!(server.get("/api/networks").json().as_array().unwrap().len() > 10);
    assert_eq!(server.post("/api/network", "{").status, 400);
}

#[test]
fn sizes_are_those_of_the_library() {
    let server = Server::start();
    let ask = |query: &str| server.get(&format!("/api/sizes?{query}")).json();
    let places = ask("input=7&kernel=3&stride=3&padding=0&dilation=1")["places"].clone();
    assert_eq!(places["floor"]["output"], 2);
    assert_eq!(places["floor"]["dropped"], 1);
    assert_eq!(places["ceil"]["output"], 3);
    assert!(places["refusal"]["reason"].is_string());
    let problem = ask("input=3&kernel=9&stride=1&padding=0&dilation=1");
    assert!(problem["problem"].as_str().unwrap().contains("larger"));
    assert!(ask("input=999999999&kernel=1&stride=1&padding=0&dilation=1")["problem"].is_string());
}

/// The lines of a record with this step and, at the end of an epoch, the epoch.
fn step(number: usize) -> String {
    format!(
        "{{\"event\":\"step\",\"epoch\":1,\"epochs\":1,\"step\":{number},\"steps\":10,\"batch_loss\":{number}.5,\"learning_rate\":0.1,\"wall_time\":{number},\"images_per_second\":100.0}}\n"
    )
}

#[test]
fn curves_grow_with_the_files_of_a_run() {
    let server = Server::start();
    let run = server.folder.path().join("runs/one");
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join(Record::EVENTS), step(1) + "{\"event\":\"st").unwrap();
    let list = server.get("/api/runs").json();
    assert_eq!(list["runs"][0]["name"], "runs/one");
    let headers = [server.own_host(), server.cookie()];
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let stream = server.open("GET /api/runs/curves?run=runs%2Fone", &headers, "");
    let mut lines = BufReader::new(stream).lines();
    let mut message = || -> Value {
        let data = lines.by_ref().map(Result::unwrap);
        let mut data = data.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str(&data.next().unwrap()).unwrap()
    };
    let losses = |message: &Value| -> Vec<f64> {
        let steps = message["curves"]["steps"].as_array().unwrap();
        steps
            .iter()
            .map(|step| step["loss"].as_f64().unwrap())
            .collect()
    };
    // The line that is not complete is not there yet.
    let first = message();
    assert_eq!(
        (first["run"].as_str(), losses(&first)),
        (Some("runs/one"), vec![1.5])
    );
    let mut file = OpenOptions::new()
        .append(true)
        .open(run.join(Record::EVENTS))
        .unwrap();
    file.write_all(&step(2).as_bytes()["{\"event\":\"st".len()..])
        .unwrap();
    assert_eq!(losses(&message()), [1.5, 2.5]);
    // A run that goes on from a checkpoint cuts its record.
    fs::write(run.join(Record::EVENTS), step(1)).unwrap();
    assert_eq!(losses(&message()), [1.5]);
    // Another page, or this one after a restart, sees the same curve from its start.
    let stream = server.open("GET /api/runs/curves?run=runs/one", &headers, "");
    let again = BufReader::new(stream).lines().map(Result::unwrap);
    let again = again
        .filter_map(|line| line.strip_prefix("data: ").map(str::to_owned))
        .next();
    assert_eq!(
        losses(&serde_json::from_str(&again.unwrap()).unwrap()),
        [1.5]
    );
}

#[test]
fn runs_outside_the_folder_are_not_found() {
    let server = Server::start();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join(Record::EVENTS), step(1)).unwrap();
    let outside = outside.path().display().to_string();
    let up = format!("..%2F..{outside}");
    for (query, status) in [
        ("", 400),
        ("run=none", 404),
        ("run=..", 404),
        (&*format!("run={outside}"), 404),
        (&*format!("run={up}"), 404),
        (&*"run=a&".repeat(3), 404),
    ] {
        assert_eq!(
            server.get(&format!("/api/runs/curves?{query}")).status,
            status,
            "{query}"
        );
    }
    let many: String = (0..20).map(|number| format!("run={number}&")).collect();
    assert_eq!(server.get(&format!("/api/runs/curves?{many}")).status, 400);
}
