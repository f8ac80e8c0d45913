//! `hubel studio`: the address that it prints, and how it ends.
#![cfg(unix)]
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A server in `folder`, and the address that it prints.
fn start(folder: &std::path::Path, arguments: &[&str]) -> (Child, String) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("hubel"));
    command.arg("studio").args(arguments).current_dir(folder);
    let mut server = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hubel starts");
    let mut address = String::new();
    let output = server.stdout.as_mut().expect("stdout");
    BufReader::new(output)
        .read_line(&mut address)
        .expect("the address");
    (server, address.trim().to_owned())
}

/// Asks the server with the token of its address.
fn ask(address: &str, path: &str) -> String {
    let (host, token) = address
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once("/?token="))
        .expect("an address with a token");
    let port = host.split(':').nth(1).expect("a port");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: hubel-studio-{port}={token}\r\nConnection: close\r\n\r\n"
    );
    let mut stream = TcpStream::connect(host).expect("the server listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Ctrl-C; returns the exit code and the remarks.
fn stop(mut server: Child) -> (Option<i32>, String) {
    let process = server.id().to_string();
    let sent = Command::new("kill").args(["-INT", &process]).status();
    assert!(sent.expect("kill runs").success());
    let mut remarks = String::new();
    let errors = server.stderr.as_mut().expect("stderr");
    errors.read_to_string(&mut remarks).expect("the remarks");
    (server.wait().expect("it ends").code(), remarks)
}

#[test]
fn the_address_stays_the_same_over_a_restart_and_ctrl_c_ends_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, address) = start(folder.path(), &[]);
    assert!(ask(&address, "/").contains("200 OK"));
    assert_eq!(stop(server).0, Some(130));
    let (server, again) = start(folder.path(), &["lenet5"]);
    assert_eq!(again, address);
    let start = ask(&again, "/api/start");
    assert!(start.contains("\"title\":\"lenet5\""), "{start}");
    let (_, remarks) = stop(server);
    assert!(remarks.contains("Ctrl-C ends the server"), "{remarks}");
}

#[test]
fn a_folder_with_data_opens_the_view_of_data_and_one_with_runs_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, "P5 1 1 255\n.").expect("a file");
    };
    write("photos/ants/1.pgm");
    write("photos/bees/1.pgm");
    let shows_data = |shown: &str| {
        let (server, address) = start(folder.path(), &[shown]);
        let start = ask(&address, "/api/start");
        stop(server);
        start.contains("\"shows_data\":true")
    };
    assert!(shows_data("photos"));
    // The page shows what is wrong with the file of corrections.
    let corrections = folder.path().join("photos/hubel-labels.csv");
    std::fs::write(corrections, "path,class\nants/9.pgm,bees\n").expect("a file");
    assert!(shows_data("photos"));
    // The folder of a project: its folders are no classes.
    write("docs/1.pgm");
    write("runs/first/events.jsonl");
    assert!(!shows_data("."));
    assert!(!shows_data("runs"));
}

#[test]
fn what_is_neither_a_run_nor_a_network_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (shown, expected) in [
        ("resnet19", "did you mean `resnet18`?"),
        ("runs/nowhere", "no such file or folder"),
    ] {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("hubel"));
        command.args(["studio", shown]).current_dir(folder.path());
        let failed = command.output().expect("hubel starts");
        assert_eq!(failed.status.code(), Some(1));
        let remarks = String::from_utf8_lossy(&failed.stderr);
        assert!(remarks.contains(expected), "{remarks}");
    }
}
