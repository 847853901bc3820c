//! Asking the running node, for commands: its address as it wrote it down itself, one request, one JSON answer.
//!
//! Refuses to know: what is asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::config::Config;

/// Longest wait for the node's listener.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the node's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the node of a configuration.
pub(crate) struct NodeApi {
    stream: TcpStream,
    address: SocketAddr,
}

/// A node's answer.
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Value,
}

impl NodeApi {
    /// Connects; the error is the address at which no node answers.
    pub(crate) fn connect(config: &Config) -> Result<Self, SocketAddr> {
        let address = crate::run::web_address(config).unwrap_or(config.web.listen_address);
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => Ok(Self { stream, address }),
            Err(_no_node) => Err(address),
        }
    }

    /// GET; any status but 200 is an error.
    pub(crate) fn get(self, path: &str) -> Result<Value> {
        let answer = self.request("GET", path)?;
        if answer.status != 200 {
            bail!(
                "the node answers {}: {}",
                answer.status,
                answer.body["error"].as_str().unwrap_or("no reason")
            );
        }
        Ok(answer.body)
    }

    /// POST without a body; the caller judges the status.
    pub(crate) fn post(self, path: &str) -> Result<Answer> {
        self.request("POST", path)
    }

    fn request(mut self, method: &str, path: &str) -> Result<Answer> {
        self.stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let address = self.address;
        write!(
            self.stream,
            "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        self.stream.read_to_end(&mut answer).context("the node did not answer in time")?;
        let answer = String::from_utf8(answer).context("the node's answer is not UTF-8")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the node's answer is no HTTP")?;
        let status =
            head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("the node's answer has no status")?;
        let body = serde_json::from_str(body).with_context(|| {
            format!("the node answers {status}, and not in JSON: {}", body.lines().next().unwrap_or_default())
        })?;
        Ok(Answer { status, body })
    }
}

/// A text as one path segment or query value.
pub(crate) fn percent_encode(text: &str) -> String {
    dashboards::text::percent_encoded(text)
}
