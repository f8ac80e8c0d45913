//! Who may read from the server: only pages that it served itself, in a browser that was given the token.
//!
//! Other pages in the same browser can send requests to 127.0.0.1, so each request is checked:
//!
//! | check | against |
//! |---|---|
//! | `Host` is this server | a foreign name that resolves to 127.0.0.1 (DNS rebinding) |
//! | `Origin`, if given, is this server | forms and scripts of other pages |
//! | the cookie has the token | other users of the machine |
//! | a body has a limit | a full memory |
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::pictures;

/// Where the page sends pictures to, which may be larger than other requests.
const PICTURES: [&str; 3] = ["/api/pictures", "/api/teach/picture", "/api/predict"];
/// Most bytes of a request's body.
pub(crate) const LARGEST_BODY: usize = 64 * 1024;

/// Headers of each response. Scripts and styles come from files of this server only.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// What requests are compared with.
pub(crate) struct Guard {
    pub(crate) port: u16,
    pub(crate) token: String,
}

/// The verdict on a request.
enum Verdict {
    Allowed,
    /// The first visit: the token becomes a cookie.
    Welcome,
    Refused(StatusCode, &'static str),
}

/// Lets a request pass or answers it. Each answer gets the headers.
pub(crate) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.judge(&request) {
        Verdict::Allowed => next.run(request).await,
        Verdict::Welcome => guard.welcome(),
        Verdict::Refused(status, reason) => refusal(status, reason),
    };
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

impl Guard {
    fn judge(&self, request: &Request) -> Verdict {
        use Verdict::{Allowed, Refused, Welcome};
        let headers = request.headers();
        let Some(host) = text(headers, HOST).filter(|host| self.is_own(host)) else {
            return Refused(
                StatusCode::FORBIDDEN,
                "This server answers only to the address that it printed.",
            );
        };
        if headers.contains_key(ORIGIN)
            && text(headers, ORIGIN) != Some(format!("http://{host}").as_str())
        {
            return Refused(
                StatusCode::FORBIDDEN,
                "The request comes from another page.",
            );
        }
        let length = text(headers, CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        let limit = match request.uri().path() {
            path if PICTURES.contains(&path) => pictures::LARGEST,
            _ => LARGEST_BODY,
        };
        if length.is_some_and(|length| length > limit) {
            return Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request's body is too large.",
            );
        }
        match token_in_query(request) {
            Some(token) if request.method() == Method::GET && equal(token, &self.token) => Welcome,
            None if self.has_cookie(headers) => Allowed,
            _ => Refused(
                StatusCode::UNAUTHORIZED,
                "Open the address that <code>hubel studio</code> printed in the terminal. It contains a token, which this browser does not have yet.",
            ),
        }
    }

    /// Browsers leave out the port of HTTP.
    fn is_own(&self, host: &str) -> bool {
        let mut names = ["127.0.0.1", "localhost"].into_iter();
        names.any(|name| {
            host == format!("{name}:{}", self.port) || (self.port == 80 && host == name)
        })
    }

    /// Browsers share cookies between all ports of a host, so the name has the port.
    fn cookie(&self) -> String {
        format!("hubel-studio-{}", self.port)
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(COOKIE).iter();
        let cookies = cookies.filter_map(|value| value.to_str().ok());
        let mut pairs = cookies
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == self.cookie() && equal(value, &self.token))
    }

    /// Sets the cookie, and takes the token out of the address.
    fn welcome(&self) -> Response {
        let cookie = format!(
            "{}={}; HttpOnly; SameSite=Strict; Path=/",
            self.cookie(),
            self.token
        );
        Response::builder()
            .status(StatusCode::SEE_OTHER)
            .header(LOCATION, "/")
            .header(SET_COOKIE, cookie)
            .body(Body::empty())
            .expect("the token has hexadecimal digits only")
    }
}

/// The token of a first visit, `/?token=…`.
fn token_in_query(request: &Request) -> Option<&str> {
    if request.uri().path() != "/" {
        return None;
    }
    let mut pairs = request.uri().query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix("token="))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Compares in a time that does not depend on where the texts differ.
fn equal(given: &str, token: &str) -> bool {
    let differences = given.bytes().zip(token.bytes());
    let differences = differences.fold(0, |all, (one, other)| all | (one ^ other));
    given.len() == token.len() && differences == 0
}

/// A plain page with the reason.
fn refusal(status: StatusCode, reason: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>hubel studio</title><h1>{status}</h1><p>{reason}</p></html>"
    );
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/html; charset=utf-8")
        .body(Body::from(page))
        .expect("the headers are valid")
}
