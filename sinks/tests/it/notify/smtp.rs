//! A real mail server (aiosmtpd in a Python virtual environment) and a certificate for it (the openssl command).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::json;

use super::Scratch;

/// A mail as the server's own library reads it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Mail {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) tls: bool,
    pub(super) authenticated: bool,
    pub(super) headers: Vec<(String, String)>,
    pub(super) defects: Vec<String>,
    pub(super) text: String,
    pub(super) html: String,
}

impl Mail {
    /// A header that stands there exactly once.
    pub(super) fn header(&self, name: &str) -> &str {
        let all: Vec<_> = self.headers.iter().filter(|(n, _)| n == name).collect();
        assert_eq!(all.len(), 1, "{name} in {:?}", self.headers);
        &all[0].1
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n == name)
    }
}

/// A running server; killed with this value.
pub(super) struct Server {
    child: Child,
    lines: Arc<Mutex<BufReader<ChildStdout>>>,
    pub(super) port: u16,
    pub(super) certificate: PathBuf,
}

/// How a server behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) tls: &'static str,
    pub(super) password: Option<&'static str>,
    pub(super) after_dot: &'static str,
}

/// STARTTLS and a password, as a mail provider asks for.
pub(super) const PROVIDER: Kind =
    Kind { tls: "starttls", password: Some("hunter2-s3cret"), after_dot: "accept" };
/// A relay in clear text.
pub(super) const PLAIN: Kind = Kind { tls: "none", password: None, after_dot: "accept" };

impl Server {
    pub(super) fn start(scratch: &Scratch, kind: Kind) -> Self {
        let (certificate, key) = certificate(scratch);
        let options = json!({
            "tls": kind.tls, "auth": kind.password, "cert": certificate, "key": key, "after_dot": kind.after_dot,
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/notify/smtp_server.py");
        let mut child = Command::new(python())
            .args(["-W", "ignore"])
            .arg(script)
            .arg(options.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the virtual environment's python runs");
        let mut lines = BufReader::new(child.stdout.take().expect("is piped"));
        let mut port = String::new();
        lines.read_line(&mut port).expect("the server tells its port");
        let port = port.trim().parse().expect("a port; see the server's words above");
        Self { child, lines: Arc::new(Mutex::new(lines)), port, certificate }
    }

    /// The next mail, which must come soon.
    pub(super) async fn mail(&self) -> Mail {
        let lines = Arc::clone(&self.lines);
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            lines.lock().expect("one reader").read_line(&mut line).expect("the server runs");
            line
        });
        let line = super::soon(read).await.expect("reads");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    /// Ends the server and answers the mails nobody asked for.
    pub(super) fn stop(mut self) -> Vec<Mail> {
        self.child.kill().expect("it runs");
        let mut lines = self.lines.lock().expect("one reader");
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut *lines, &mut rest).expect("reads");
        rest.lines().map(|l| serde_json::from_str(l).expect("a mail")).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The Python with aiosmtpd: `$WATCHROOM_TEST_VENV`, `.venv` beside the workspace's Cargo.toml, `/tmp/watchroom-venv`.
fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join(".venv");
    let named = std::env::var_os("WATCHROOM_TEST_VENV").map(PathBuf::from);
    let places: Vec<_> = named.into_iter().chain([root, PathBuf::from("/tmp/watchroom-venv")]).collect();
    let found = places.iter().map(|p| p.join("bin/python")).find(|p| p.exists());
    found.unwrap_or_else(|| {
        panic!(
            "no Python virtual environment with aiosmtpd in {places:?}; run `make test`, or \
             `python3 -m venv .venv && .venv/bin/pip install aiosmtpd==1.4.6` in the workspace's root"
        )
    })
}

/// A certificate for 127.0.0.1 that signs itself, and its key.
fn certificate(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let (certificate, key) = (scratch.path("cert.pem"), scratch.path("key.pem"));
    if !certificate.exists() {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=watchroom-test", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status()
            .expect("the openssl command is installed");
        assert!(made.success(), "openssl made no certificate");
    }
    (certificate, key)
}
