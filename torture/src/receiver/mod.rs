//! Receivers of alerts that journal every request before they answer, and fail by a plan.
//!
//! Refuses to know: which alerts should come.

pub mod smtp;
pub mod webhook;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use serde_json::json;

/// What a receiver does with a request that it has read and journaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Takes it.
    Take,
    /// Closes without a word: the sender cannot know.
    Cut,
    /// Kills the sender's node instead of answering: the sender cannot know.
    Kill,
    /// Says nothing until the sender gives up: the sender cannot know.
    Hang,
    /// Refuses for now (500, or 451).
    Refuse,
    /// Asks to slow down (429, or 421).
    SlowDown,
}

impl Reply {
    /// Whether the receiver acts on the request: people were told.
    pub fn takes(self) -> bool {
        matches!(self, Self::Take | Self::Cut | Self::Kill | Self::Hang)
    }
}

/// Decides about each request.
pub type Plan = Box<dyn FnMut() -> Reply + Send>;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Idempotency-Key, or the local part of the Message-ID.
    pub delivery_id: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// Labels of the alert; only `subject` for mails.
    pub labels: BTreeMap<String, String>,
    /// When it began, as the message says it; empty for mails.
    pub starts_at: String,
    /// Everything after the headers that may differ between attempts.
    pub body: String,
    /// What was answered.
    pub reply: Reply,
}

/// Everything a receiver was asked, in order.
#[derive(Debug, Clone)]
pub struct Receipts(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    file: File,
    receipts: Vec<Receipt>,
}

impl Receipts {
    fn new(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(Inner { file, receipts: Vec::new() }))))
    }

    /// Durable when this returns.
    fn note(&self, receipt: Receipt) -> Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = json!({
            "delivery_id": receipt.delivery_id, "status": receipt.status, "labels": receipt.labels,
            "starts_at": receipt.starts_at, "body": receipt.body, "reply": format!("{:?}", receipt.reply),
        });
        writeln!(inner.file, "{line}")?;
        inner.file.sync_data()?;
        inner.receipts.push(receipt);
        Ok(())
    }

    /// All so far.
    pub fn all(&self) -> Vec<Receipt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).receipts.clone()
    }

    /// How many so far.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).receipts.len()
    }
}
