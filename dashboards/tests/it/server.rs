//! The server on a real socket: it answers, ends when told, and refuses foreign names on loopback.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::stage::deps;

async fn ask(address: std::net::SocketAddr, host: &str) -> String {
    tell(address, "GET /-/healthy", &format!("Host: {host}")).await
}

async fn tell(address: std::net::SocketAddr, what: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{what} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn answers_and_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = dashboards::serve(listener, deps(), async move { drop(stopped.await) });
        let visitor = async {
            assert!(ask(address, "localhost").await.starts_with("HTTP/1.1 200 OK"));
            assert!(ask(address, "127.0.0.1:1").await.ends_with("healthy\n"));
            assert!(ask(address, "evil.example").await.starts_with("HTTP/1.1 421"));
            // A connection that says nothing does not hold the server up.
            let idle = TcpStream::connect(address).await.unwrap();
            stop.send(()).unwrap();
            idle
        };
        let (served, idle) = tokio::join!(server, visitor);
        served.unwrap();
        drop(idle);
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    });
}

#[test]
fn silent_connections_keep_nobody_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = dashboards::serve(listener, deps(), async move { drop(stopped.await) });
        let visitor = async {
            let mut silent = Vec::new();
            for _ in 0..dashboards::CONNECTIONS_MAX {
                silent.push(TcpStream::connect(address).await.unwrap());
            }
            assert!(ask(address, "localhost").await.starts_with("HTTP/1.1 200 OK"));
            let mut byte = [0];
            assert_eq!(silent[0].read(&mut byte).await.unwrap_or(0), 0, "the oldest made room");
            let youngest = silent.last().unwrap();
            assert!(youngest.try_read(&mut byte).is_err(), "the others are kept");
            stop.send(()).unwrap();
        };
        let (served, ()) = tokio::join!(server, visitor);
        served.unwrap();
    });
}

#[test]
fn reload_from_this_machine_only() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut deps = deps();
        let times = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = std::sync::Arc::clone(&times);
        deps.reload =
            std::sync::Arc::new(move || match counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => Ok(()),
                _ => Err("input tls: tls.key: k.pem: is not PEM".to_owned()),
            });
        let server = dashboards::serve(listener, deps, async move { drop(stopped.await) });
        let visitor = async {
            let reload = async |headers| tell(address, "POST /-/reload", headers).await;
            assert!(reload("Host: localhost").await.ends_with("reloaded\n"));
            let failed = reload("Host: localhost").await;
            assert!(failed.starts_with("HTTP/1.1 500") && failed.ends_with("is not PEM\n"), "{failed}");
            let foreign = reload("Host: localhost\r\nOrigin: https://evil.example").await;
            assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
            let read = tell(address, "GET /-/reload", "Host: localhost").await;
            assert!(read.starts_with("HTTP/1.1 405"), "{read}");
            stop.send(()).unwrap();
        };
        let (served, ()) = tokio::join!(server, visitor);
        served.unwrap();
        assert_eq!(times.load(std::sync::atomic::Ordering::Relaxed), 2);
    });
}
