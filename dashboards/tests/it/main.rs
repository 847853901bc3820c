//! The pages as a visitor gets them: every route, hostile text in every field, trails as goldens, the server's bounds.

mod deliveries;
mod hostile;
mod routes;
mod rules_api;
mod rules_pages;
mod server;
mod stage;
mod trails;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use dashboards::Deps;
use tower::ServiceExt as _;

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

/// Asks the router once, without a network.
fn get(deps: Deps, path: &str) -> Answer {
    ask(dashboards::router(deps), Request::get(path).body(Body::empty()).unwrap())
}

/// Asks a router that is asked several times.
fn ask(router: axum::Router, request: Request<Body>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    })
}
