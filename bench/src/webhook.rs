//! A webhook double: takes Alertmanager's payload over HTTP/1.1 and stamps when it came.
//!
//! Refuses to know: who sends and why.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::Duration;

use crate::process::wall_us;

/// How often a waiting connection looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// The double.
#[derive(Debug)]
pub(crate) struct Webhook {
    listener: TcpListener,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    arrivals: Mutex<HashMap<String, u64>>,
    ends: AtomicBool,
}

impl Webhook {
    /// Listens.
    pub(crate) fn bind() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, arrivals: Mutex::default(), ends: AtomicBool::new(false) })
    }

    /// Serves until [`Webhook::end`].
    pub(crate) fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        scope.spawn(move || {
            for stream in self.listener.incoming() {
                if self.ends.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = stream {
                    // A connection that breaks shows as missing alerts.
                    scope.spawn(move || self.converse(stream).unwrap_or_default());
                }
            }
        });
    }

    /// Ends serving.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::Relaxed);
        // The connection only wakes the listener; if it fails the listener is gone.
        let _woken = TcpStream::connect(self.address);
    }

    /// By channel: when the first firing alert came, microseconds since the epoch.
    pub(crate) fn arrivals(&self) -> HashMap<String, u64> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn converse(&self, stream: TcpStream) -> anyhow::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        let mut answers = stream.try_clone()?;
        let mut requests = BufReader::new(stream);
        loop {
            match requests.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(_) => {}
                Err(_) if !self.ends.load(Ordering::Relaxed) => continue,
                Err(error) => return Err(error.into()),
            }
            let arrived_us = wall_us();
            let body = read_request(&mut requests)?;
            answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            self.note(&body, arrived_us);
        }
    }

    fn note(&self, body: &[u8], arrived_us: u64) {
        let payload: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let alerts = payload["alerts"].as_array().into_iter().flatten();
        for alert in alerts.filter(|alert| alert["status"] != "resolved") {
            if let Some(channel) = alert["labels"]["channel"].as_str() {
                let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                arrivals.entry(channel.to_owned()).or_insert(arrived_us);
            }
        }
    }
}

fn read_request(requests: &mut BufReader<TcpStream>) -> anyhow::Result<Vec<u8>> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        anyhow::ensure!(requests.read_line(&mut line)? > 0, "the request has no end");
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    requests.read_exact(&mut body)?;
    Ok(body)
}
