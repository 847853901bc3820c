//! Changes are asked for by our own pages or by no page at all: what stands before every route that is not GET.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::guard::{host_name, is_own_name, url_host};

/// Refuses a change that a page of somebody else may have asked for (CSRF): every route that is not GET stands behind
/// it. A browser says where a POST comes from (`Origin`, `Sec-Fetch-Site`); who says nothing is no browser.
pub(crate) async fn own(State(app): State<App>, request: Request, next: Next) -> Response {
    match foreign(request.headers(), &app.deps.external_url) {
        None => next.run(request).await,
        Some(why) => (StatusCode::FORBIDDEN, format!("refused: {why}\n")).into_response(),
    }
}

/// Why a change comes from elsewhere; `None`: it does not. The page's origin must be the one that was asked, under a
/// name that nobody else can give us (an address, `localhost`, the external URL's: a foreign name may be pointed here
/// by its owner), or that of the external URL, which a proxy may have changed on the way.
fn foreign(headers: &HeaderMap, external_url: &str) -> Option<&'static str> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site != "same-origin") {
        return Some("the request comes from another site's page");
    }
    let origin = text(header::ORIGIN)?;
    let Some((scheme, authority)) = origin.split_once("://") else {
        return Some("the request comes from a page without an origin");
    };
    let external = external_url.split(['/', '?', '#']).take(3).collect::<Vec<_>>().join("/");
    if !external.is_empty() && origin.eq_ignore_ascii_case(&external) {
        return None;
    }
    let asked = text(header::HOST).unwrap_or_default();
    let same = ["http", "https"].contains(&scheme) && authority.eq_ignore_ascii_case(asked);
    let own = is_own_name(host_name(authority), url_host(external_url));
    (!same || !own).then_some(
        "the request comes from a page of another origin; if people reach this node by that name, set web.external_url to it",
    )
}

/// What forms carry so that only pages of this process can send them. New at each start.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl Token {
    /// 128 bits that cannot be guessed: a keyed hash whose keys the standard library takes from the system.
    pub(crate) fn new() -> Self {
        let keys = RandomState::new();
        Self(format!("{:016x}{:016x}", keys.hash_one(0_u8), keys.hash_one(1_u8)).into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes as long for a wrong token as for the right one.
    pub(crate) fn is(&self, given: &str) -> bool {
        let differences =
            self.0.bytes().zip(given.bytes()).fold(0, |bits, (ours, theirs)| bits | (ours ^ theirs));
        given.len() == self.0.len() && differences == 0
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn changes_come_from_our_own_pages() {
        const EXTERNAL: &str = "https://ops.example/watchroom/";
        let why = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_str(value).unwrap());
            }
            foreign(&headers, EXTERNAL)
        };
        let own: [&[(&str, &str)]; 7] = [
            &[("host", "127.0.0.1:9650")],
            &[
                ("host", "127.0.0.1:9650"),
                ("origin", "http://127.0.0.1:9650"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("host", "[::1]:9650"), ("origin", "http://[::1]:9650")],
            &[("host", "LOCALHOST:9650"), ("origin", "http://localhost:9650")],
            &[("host", "10.0.0.7:9650"), ("origin", "https://10.0.0.7:9650")],
            &[("host", "backend:9650"), ("origin", "https://ops.example"), ("sec-fetch-site", "same-origin")],
            &[("host", "ops.example:9650"), ("origin", "http://ops.example:9650")],
        ];
        for headers in own {
            assert_eq!(why(headers), None, "{headers:?}");
        }
        let foreign: [&[(&str, &str)]; 10] = [
            &[("host", "127.0.0.1:9650"), ("origin", "http://evil.example")],
            &[("host", "127.0.0.1:9650"), ("origin", "null")],
            &[("host", "127.0.0.1:9650"), ("origin", "http://127.0.0.1:9651")],
            &[
                ("host", "127.0.0.1:9650"),
                ("origin", "http://127.0.0.1:9650"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[
                ("host", "127.0.0.1:9650"),
                ("origin", "http://127.0.0.1:9650"),
                ("sec-fetch-site", "same-site"),
            ],
            &[("host", "127.0.0.1:9650"), ("sec-fetch-site", "none")],
            // A name that its owner points at this node.
            &[
                ("host", "evil.example:9650"),
                ("origin", "http://evil.example:9650"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("host", "127.0.0.1"), ("origin", "https://ops.example.evil.example")],
            &[("host", "127.0.0.1"), ("origin", "file://127.0.0.1")],
            &[("host", "127.0.0.1"), ("origin", "")],
        ];
        for headers in foreign {
            assert!(why(headers).is_some(), "{headers:?}");
        }
    }

    #[test]
    fn tokens() {
        let (token, other) = (Token::new(), Token::new());
        assert!(token.is(token.as_str()) && token.as_str().len() == 32);
        let shorter: String = token.as_str().chars().take(31).collect();
        for wrong in ["", "0", other.as_str(), &shorter, &format!("{}0", token.as_str())] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }
}
