//! What protects the visitor's browser: response headers, and the refusal of foreign host names on loopback.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Nothing but our own style, script and images; no frames; forms go home. `connect-src` is for the board's refresh.
const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
    connect-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'";

/// Adds the headers that every answer carries. Pages hold personal data: nothing may store them.
pub(crate) async fn headers(mut response: Response) -> Response {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// On loopback only: refuses a `Host` that is a name other than `localhost` and that of the external address, so that a
/// foreign page cannot read these through a name that it points at 127.0.0.1 (DNS rebinding).
pub(crate) async fn loopback_host(external_host: String, request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if named.is_none_or(|host| is_own_name(host_name(host), &external_host)) {
        return next.run(request).await;
    }
    let text = "this address listens on loopback and does not go by that name: set the external URL to it\n";
    headers((StatusCode::MISDIRECTED_REQUEST, text).into_response()).await
}

fn is_own_name(name: &str, external_host: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || (!external_host.is_empty() && name.eq_ignore_ascii_case(external_host))
}

/// The host of `host[:port]`.
fn host_name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => authority,
    }
}

/// The host of an URL; empty if there is none.
pub(crate) fn url_host(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    host_name(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names() {
        let own =
            |authority: &str| is_own_name(host_name(authority), url_host("https://ops.example:8443/watch/"));
        for authority in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1:9464",
            "[::1]:9464",
            "[::1]",
            "ops.example",
            "10.0.0.7",
        ] {
            assert!(own(authority), "{authority}");
        }
        for authority in ["evil.example", "evil.example:9464", "127.0.0.1.evil.example", "localhost.evil", ""]
        {
            assert!(!own(authority), "{authority}");
        }
        assert!(!is_own_name(host_name(""), url_host("")));
    }
}
