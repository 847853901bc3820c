//! The pages on a listener, with the bounds that `axum::serve` cannot set: time for the request head, connections at
//! once, life of a connection.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tower::ServiceExt as _;

use crate::{Deps, guard, router};

/// Connections at once. One more ends the oldest that is not being answered, so that silent connections, however many,
/// keep nobody out.
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

/// A connection as the accept loop sees it.
struct Seat {
    task: AbortHandle,
    /// Requests being answered on it: 0 or 1.
    answering: Arc<AtomicUsize>,
}

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
    let mut seats: VecDeque<Seat> = VecDeque::with_capacity(CONNECTIONS_MAX);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => seats.retain(|seat| !seat.task.is_finished()),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if make_room(&mut seats) => {
                    let visitor = guard::Visitor(peer.ip());
                    let answering = Arc::new(AtomicUsize::new(0));
                    let served = connection(stream, visitor, app.clone(), Arc::clone(&answering), ended.clone());
                    seats.push_back(Seat { task: connections.spawn(served), answering });
                }
                Ok((stream, _)) => {
                    drop(stream);
                    tracing::warn!("pages: {CONNECTIONS_MAX} answers at once: a connection was refused");
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

/// Frees a seat if none is left; false when every connection is being answered.
fn make_room(seats: &mut VecDeque<Seat>) -> bool {
    if seats.len() < CONNECTIONS_MAX {
        return true;
    }
    let idle = seats.iter().position(|seat| seat.answering.load(Ordering::Relaxed) == 0);
    let Some(seat) = idle.and_then(|index| seats.remove(index)) else { return false };
    seat.task.abort();
    true
}

/// Counts a request as being answered while it lives.
struct Answering(Arc<AtomicUsize>);

impl Answering {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(
    stream: TcpStream,
    visitor: guard::Visitor,
    app: Router,
    answering: Arc<AtomicUsize>,
    mut ended: watch::Receiver<()>,
) {
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(visitor);
        let running = Answering::new(&answering);
        let answer = app.clone().oneshot(request);
        async move {
            let response = answer.await;
            drop(running);
            response
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // An error is the visitor's: a broken request or a connection cut off.
        _ = served.as_mut() => return,
        _ = ended.changed() => {}
        () = tokio::time::sleep(CONNECTION_AGE_MAX) => {}
    }
    served.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(DRAIN_TIMEOUT, served).await);
}
