//! The files of the page. They are part of the program, compressed.
use std::io::Read;

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use flate2::read::GzDecoder;

/// A file of `assets/`.
struct Asset {
    name: &'static str,
    hash: u64,
    compressed: &'static [u8],
}

/// All files, from `build.rs`.
static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// `/`
pub(crate) async fn index(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

/// `/assets/NAME`
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(&name, &headers)
}

fn answer(name: &str, headers: &HeaderMap) -> Response {
    #[cfg(debug_assertions)]
    if let Some(contents) = from_disk(name) {
        let kind = (CONTENT_TYPE, kind(name));
        return respond(StatusCode::OK, &[kind], Body::from(contents));
    }
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return respond(
            StatusCode::NOT_FOUND,
            &[],
            Body::from("there is no such file"),
        );
    };
    // Weak, because it stands for the compressed and the plain file.
    let tag = format!("W/\"{:016x}\"", asset.hash);
    let tags = [
        (ETAG, tag.as_str()),
        (CACHE_CONTROL, "no-cache"),
        (VARY, "accept-encoding"),
    ];
    if lists(headers, IF_NONE_MATCH, |known| known == tag) {
        return respond(StatusCode::NOT_MODIFIED, &tags, Body::empty());
    }
    let mut all = vec![(CONTENT_TYPE, kind(name))];
    all.extend(tags);
    if lists(headers, ACCEPT_ENCODING, |coding| coding == "gzip") {
        all.push((CONTENT_ENCODING, "gzip"));
        return respond(StatusCode::OK, &all, Body::from(asset.compressed));
    }
    let mut plain = Vec::new();
    let read = GzDecoder::new(asset.compressed).read_to_end(&mut plain);
    read.expect("build.rs has compressed it");
    respond(StatusCode::OK, &all, Body::from(plain))
}

/// Development builds read the files from the folder in this variable, so that a change needs no new build.
#[cfg(debug_assertions)]
fn from_disk(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("HUBEL_STUDIO_ASSETS").filter(|_| !name.contains(['/', '\\']))?;
    std::fs::read(std::path::Path::new(&folder).join(name)).ok()
}

/// Whether a header's list has an element that `is_wanted`. Parameters such as `;q=0.5` do not count, except `;q=0`, which excludes it.
fn lists(headers: &HeaderMap, name: HeaderName, is_wanted: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(name).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|element| {
        let (element, parameter) = element.split_once(';').unwrap_or((element, ""));
        let weight = parameter.trim().strip_prefix("q=");
        let is_excluded = weight.is_some_and(|weight| weight.parse() == Ok(0.0));
        is_wanted(element.trim()) && !is_excluded
    })
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn respond(status: StatusCode, headers: &[(HeaderName, &str)], body: Body) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, *value);
    }
    response.body(body).expect("the headers are valid")
}
