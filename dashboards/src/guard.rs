//! What protects the visitor's browser: response headers, and the refusal of foreign host names on loopback.

use std::net::IpAddr;

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
        // With `no-referrer` browsers would not say either from which page a form comes: `Origin: null`, which is refused.
        (header::REFERRER_POLICY, "same-origin"),
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

/// Where a request comes from, put there by whoever accepted its connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor(pub(crate) IpAddr);

/// Refuses what did not come from this machine, directly, by its own will: there is no login yet that could say who
/// may change something.
///
/// # Errors
/// Why it is refused.
pub(crate) fn is_from_here(request: &Request) -> Result<(), &'static str> {
    let headers = request.headers();
    let visitor = request.extensions().get::<Visitor>();
    if !visitor.is_some_and(|visitor| visitor.0.to_canonical().is_loopback()) {
        return Err("only from this machine: send SIGHUP, or ask at 127.0.0.1");
    }
    if ["forwarded", "x-forwarded-for"].iter().any(|name| headers.contains_key(*name)) {
        return Err("only from this machine, not through a proxy");
    }
    // A browser says from which page a request comes, and cannot be made to hide it.
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let foreign_site = text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let own = text("host").unwrap_or_default();
    let foreign_origin = text("origin")
        .is_some_and(|origin| origin.split_once("://").is_none_or(|(_, authority)| authority != own));
    if foreign_site || foreign_origin {
        return Err("not from another site's page");
    }
    Ok(())
}

pub(crate) fn is_own_name(name: &str, external_host: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || (!external_host.is_empty() && name.eq_ignore_ascii_case(external_host))
}

/// The host of `host[:port]`.
pub(crate) fn host_name(authority: &str) -> &str {
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
    fn only_this_machine_may_change_something() {
        let check = |visitor: Option<&str>, headers: &[(&str, &str)]| {
            let mut request = axum::http::Request::post("/-/reload").header("host", "localhost:9650");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let mut request = request.body(axum::body::Body::empty()).unwrap();
            if let Some(visitor) = visitor {
                request.extensions_mut().insert(Visitor(visitor.parse().unwrap()));
            }
            is_from_here(&request).is_ok()
        };
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(check(Some(own), &[]), "{own}");
        }
        assert!(check(
            Some("::1"),
            &[("origin", "http://localhost:9650"), ("sec-fetch-site", "same-origin")]
        ));
        for foreign in ["10.0.0.7", "::ffff:10.0.0.7", "fe80::1"] {
            assert!(!check(Some(foreign), &[]), "{foreign}");
        }
        assert!(!check(None, &[]));
        for header in [
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:1"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("x-forwarded-for", "10.0.0.7"),
            ("forwarded", "for=10.0.0.7"),
        ] {
            assert!(!check(Some("127.0.0.1"), &[header]), "{header:?}");
        }
    }

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
