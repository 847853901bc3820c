//! The pages as a visitor gets them: every route, hostile text in every field, trails as goldens, the server's bounds.

mod hostile;
mod routes;
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = dashboards::router(deps).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    })
}
