//! The pages on a listener, with the bounds that `axum::serve` cannot set: time for the request head, connections at
//! once, life of a connection.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Deps, guard, router};

/// Connections at once; more wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 256;
/// Time for a request's head to arrive, and so for an idle connection to be kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head at most.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// A connection is asked to end after this long: bounds readers that never read.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// Time that a connection gets to finish its answer once it is asked to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the pages until `shutdown` is ready; then takes no more connections, lets running answers end (at most
/// 10 s) and returns. Its connections are tasks of its own that end with it: dropping the future ends them at once.
pub async fn serve(
    listener: TcpListener,
    deps: Deps,
    shutdown: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    let external_host = guard::url_host(&deps.external_url).to_owned();
    let mut app = router(deps);
    if loopback {
        app = app.layer(axum::middleware::from_fn(move |request, next| {
            guard::loopback_host(external_host.clone(), request, next)
        }));
    }
    let (end, ended) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let has_room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, app.clone(), ended.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "pages: a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(end);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn connection(stream: TcpStream, app: Router, mut ended: watch::Receiver<()>) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)));
    tokio::select! {
        // An error is the visitor's: a broken request or a connection cut off.
        _ = served.as_mut() => return,
        _ = ended.changed() => {}
        () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
    }
    served.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(DRAIN_TIMEOUT, served).await);
}
