//! A webhook receiver over HTTP/1.1.
//!
//! Refuses to know: anything of Alertmanager's payload beyond the one alert in it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Plan, Receipt, Receipts, Reply};
use crate::clock::background;
use crate::node::Trigger;

/// Longer than any timeout of the sender under test.
const HANG: Duration = Duration::from_secs(60);

/// A running receiver; it ends with the process.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    receipts: Receipts,
}

impl Webhook {
    /// A receiver that journals into `path`; [`Reply::Kill`] pulls `trigger`.
    ///
    /// # Errors
    /// No port, the disk.
    pub fn start(path: &Path, plan: Plan, trigger: Trigger) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let receipts = Receipts::new(path)?;
        let shared = receipts.clone();
        let plan = Arc::new(Mutex::new(plan));
        // The thread ends with the process: it waits in `accept`.
        drop(background("webhook", move || {
            while let Ok((stream, _)) = listener.accept() {
                let (receipts, plan, trigger) = (shared.clone(), Arc::clone(&plan), trigger.clone());
                // Its requests are those of the node that is up now.
                let life = trigger.life();
                // A connection that fails is the sender's business.
                drop(background("webhook connection", move || {
                    serve(&stream, &receipts, &plan, (&trigger, life))
                }));
            }
        })?);
        Ok(Self { address, receipts })
    }

    /// Its part of a node's configuration.
    pub fn config(&self, timeout_ms: u64) -> String {
        format!(
            "webhook_configs: [{{url: \"http://{}/hook\", timeout_ms: {timeout_ms}, send_resolved: true}}]",
            self.address
        )
    }

    /// What it was asked.
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }
}

fn serve(
    stream: &TcpStream,
    receipts: &Receipts,
    plan: &Mutex<Plan>,
    (trigger, life): (&Trigger, Option<u32>),
) -> Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let Some((delivery_id, body)) = request(&mut reader)? else { return Ok(()) };
        let reply = plan.lock().unwrap_or_else(PoisonError::into_inner)();
        receipts.note(receipt(delivery_id, body, reply)?)?;
        let answer: &[u8] = match reply {
            Reply::Take => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Reply::Refuse => b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy",
            Reply::SlowDown => b"HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
            Reply::Cut => return Ok(()),
            Reply::Kill => {
                trigger.pull(life);
                return Ok(());
            }
            Reply::Hang => {
                let mut stream = stream;
                stream.set_read_timeout(Some(HANG))?;
                // Ends when the sender closes.
                drop(stream.read(&mut [0; 1]));
                return Ok(());
            }
        };
        let mut stream = stream;
        stream.write_all(answer)?;
    }
}

/// Idempotency-Key and body; `None` at the end of the connection.
fn request(reader: &mut BufReader<&TcpStream>) -> Result<Option<(String, String)>> {
    let (mut key, mut length) = (String::new(), 0);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => value.trim().clone_into(&mut key),
            "content-length" => length = value.trim().parse()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((key, String::from_utf8(body)?)))
}

fn receipt(delivery_id: String, body: String, reply: Reply) -> Result<Receipt> {
    let payload: Value = serde_json::from_str(&body)?;
    let alert = payload["alerts"].get(0).context("the payload has no alert")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels: BTreeMap<String, String> = alert["labels"]
        .as_object()
        .context("the alert has no labels")?
        .iter()
        .map(|(name, value)| (name.clone(), text(value)))
        .collect();
    let (status, starts_at) = (text(&alert["status"]), text(&alert["startsAt"]));
    Ok(Receipt { delivery_id, status, labels, starts_at, body, reply })
}
