//! Notifications end to end: outbox, senders, a real SMTP server (aiosmtpd), an HTTP server with every fault.

mod conformance;
mod faults;
mod hook;
mod mail;
mod outbox;
mod smtp;
mod webhook;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rules::{Alert, AlertState, Change, Reason, Sample, Transition};
use sinks::notification::{Notification, Scene};
use sinks::notifier::{Integration, integrations};
use sinks::outbox::{Attempt, Clock, Outbox, OutboxConfig, OutboxHandle, Route};
use sinks::receivers::Receiver;

/// 2016-07-22 18:15:31.004 in Shanghai.
const START_MS: i64 = 1_469_182_531_004;
/// No test waits longer for something that must happen, however busy the machine.
const SOON: Duration = Duration::from_secs(240);
/// A receiver's timeout, ms, that is not to pass in a test.
const AMPLE_MS: u64 = 120_000;

/// A folder that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("watchroom-notify-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with a secret.
    fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("writes");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn alert(id: &str) -> Alert {
    Alert {
        id: id.to_owned(),
        fingerprint: "9f86d081884c7d65".to_owned(),
        labels: map(&[("alertname", "ChannelNetworkDown"), ("channel", "GHT"), ("severity", "critical")]),
        annotations: map(&[("summary", "GHT: 12 network errors in a row \u{7f51}\u{7edc}")]),
        state: AlertState::Firing,
        shadow: false,
        raised_ms: START_MS,
        active_ms: START_MS,
        fired_ms: Some(START_MS),
        ended_ms: None,
        withdrawn: false,
        reason: Reason {
            kind: "consecutive".to_owned(),
            text: "12 in a row of at least 12 within 1m".to_owned(),
            count: 12,
            orders: vec!["P001".to_owned(), "P002".to_owned()],
            orders_count: 12,
            amount: Some("12345.60".to_owned()),
            samples: vec![Sample { lsn: 7, at: START_MS, line: "T1||GHT||<b>timeout</b>".to_owned() }],
            ..Reason::default()
        },
    }
}

fn fired(id: &str) -> Transition {
    Transition { change: Change::Fired, early: true, lsn: 7, alert: Arc::new(alert(id)) }
}

fn resolved(id: &str) -> Transition {
    let over = Alert { state: AlertState::Resolved, ended_ms: Some(START_MS + 120_000), ..alert(id) };
    Transition { change: Change::Resolved, early: false, lsn: 8, alert: Arc::new(over) }
}

/// An attempt as the outbox would begin it.
fn attempt(transition: &Transition) -> Attempt {
    let notification = Notification::from_transition(transition).expect("people are told");
    let id = |status| sinks::outbox::delivery_id(&transition.alert.id, status, "duty/x[0]");
    Attempt {
        delivery_id: id(notification.status),
        firing_id: id(sinks::notification::Status::Firing),
        number: 1,
        possible_repeat: false,
        created_ms: START_MS,
        started_ms: START_MS,
        target: "duty/x[0]".to_owned(),
        notification,
    }
}

fn scene() -> Scene {
    Scene { external_url: "https://watchroom.example".to_owned(), zone: chrono_tz::Asia::Shanghai }
}

/// Receivers as a configuration file has them.
fn receivers(yaml: &str) -> Vec<Integration> {
    let receivers: Vec<Receiver> = serde_saphyr::from_str(yaml).expect("a valid configuration");
    integrations(&receivers, &scene()).expect("receivers that can work")
}

/// Retries within milliseconds instead of seconds.
fn hurried() -> OutboxConfig {
    OutboxConfig { backoff_min_ms: 2, backoff_max_ms: 20, reserve_bytes: 0, ..OutboxConfig::default() }
}

fn open(path: &Path, integrations: &[Integration]) -> OutboxHandle {
    let routes: Vec<Route> = integrations.iter().map(|i| i.route.clone()).collect();
    OutboxHandle::new(Outbox::open(path, hurried(), routes).expect("opens"))
}

/// Milliseconds that pass with the runtime's time, from [`START_MS`].
fn clock() -> Clock {
    let start = tokio::time::Instant::now();
    Arc::new(move || START_MS + i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX))
}

/// What must happen soon.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("happens within minutes")
}
