//! What the end-to-end tests share: a node, its neighbours, and waiting for a condition.
//!
//! Everything started here is ended by its own handle when it is dropped.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) const WATCHROOM: &str = env!("CARGO_BIN_EXE_watchroom");
/// How long a condition may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(240);
/// How far ahead of the clock lines of [`soon`] begin. More than ten minutes ahead they would not be judged.
const SOON_S: i64 = 300;

/// Looks until `look` finds something; fails with `what` when patience is over.
#[expect(clippy::disallowed_methods, reason = "the bound of a test's patience")]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A folder of its own for one test, removed at the end unless the test failed.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique =
            format!("watchroom-it-{}-{}-{name}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).expect("a folder in the temp dir can be made");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file in the test's folder can be written");
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A browser that was ended may have helpers that write into its profile until they notice.
            eventually("the test's folder can be removed", || fs::remove_dir_all(&self.0).ok());
        }
    }
}

/// A child process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(
            command
                .spawn()
                .unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}; run `make test` once")),
        )
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill can be run").success(), "the process was gone before {signal}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is as good.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A running Watchroom on free ports.
pub(crate) struct Node {
    pub(crate) process: Running,
    config: PathBuf,
    data: PathBuf,
    addresses: BTreeMap<String, String>,
}

impl Node {
    /// Starts a node in `dir` with a UDP, a TCP and a RELP listener, the shipped network rules, and `more` appended to its config.
    pub(crate) fn start(dir: &Dir, more: &str) -> Self {
        Self::start_with(dir, &Self::shipped_rules(), "", more)
    }

    fn shipped_rules() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.d/network.yaml")
    }

    /// The same with other rules.
    pub(crate) fn start_with_rules(dir: &Dir, rules: &Path, more: &str) -> Self {
        Self::start_with(dir, rules, "", more)
    }

    /// The same with further listeners, as items of the YAML list.
    pub(crate) fn start_with_listeners(dir: &Dir, listeners: &str) -> Self {
        Self::start_with(dir, &Self::shipped_rules(), listeners, "")
    }

    fn start_with(dir: &Dir, rules: &Path, listeners: &str, more: &str) -> Self {
        let data = dir.path("data");
        let text = format!(
            "data_dir: {}\nlisteners:\n  - {{name: udp, protocol: udp, address: \"127.0.0.1:0\"}}\n  \
             - {{name: tcp, protocol: tcp, address: \"127.0.0.1:0\"}}\n  \
             - {{name: relp, protocol: relp, address: \"127.0.0.1:0\"}}\n{listeners}\nweb: {{listen_address: \"127.0.0.1:0\"}}\n\
             rule_files: [{}]\n{more}\n",
            data.display(),
            rules.display()
        );
        let config = dir.write("watchroom.yaml", &text);
        let (process, addresses) = launch(&config, &data, &[]);
        Self { process, config, data, addresses }
    }

    /// Starts a node with the config and data that are in `dir` already.
    pub(crate) fn start_as_configured(dir: &Dir) -> Self {
        let (config, data) = (dir.path("watchroom.yaml"), dir.path("data"));
        let (process, addresses) = launch(&config, &data, &[]);
        Self { process, config, data, addresses }
    }

    /// Starts it again on the same data after it ended or was killed.
    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same with an environment.
    pub(crate) fn restart_with(&mut self, environment: &[(&str, &str)]) {
        let (process, addresses) = launch(&self.config, &self.data, environment);
        self.process = process;
        self.addresses = addresses;
    }

    /// From the next start on the listener takes the port that it has now: a sender will look for it there.
    pub(crate) fn pin(&self, name: &str) {
        let text = fs::read_to_string(&self.config).expect("the node's config can be read");
        let free = format!("{{name: {name}, protocol: {name}, address: \"127.0.0.1:0\"}}");
        let taken = format!("{{name: {name}, protocol: {name}, address: \"{}\"}}", self.address(name));
        assert!(text.contains(&free), "no listener {name} on a free port in {text}");
        fs::write(&self.config, text.replace(&free, &taken)).expect("the node's config can be written");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.0.kill().expect("the node is alive");
        self.process.0.wait().expect("the node can be waited for");
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        self.process.signal("-TERM");
        self.process.0.wait().expect("the node can be waited for").code()
    }

    pub(crate) fn address(&self, name: &str) -> &str {
        self.addresses.get(name).unwrap_or_else(|| panic!("no listener {name} in {:?}", self.addresses))
    }

    pub(crate) fn port(&self, name: &str) -> &str {
        self.address(name).rsplit(':').next().unwrap_or_default()
    }

    /// Body of a page; fails unless the answer is 200.
    pub(crate) fn get(&self, path: &str) -> String {
        let (status, body) = http_get(self.address("web"), path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Value of a metric, summed over the label sets that contain `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> f64 {
        self.get("/metrics")
            .lines()
            .filter(|l| {
                l.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && l.contains(labels)
            })
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until the node says that every stage works.
    pub(crate) fn ready(&self) {
        eventually("the node is ready", || {
            (http_get(self.address("web"), "/-/ready").0 == 200).then_some(())
        });
    }

    /// Waits until this many records were judged.
    pub(crate) fn judged(&self, records: u64) {
        let mut last = 0.0;
        eventually(&format!("{records} records judged"), || {
            last = self.metric("watchroom_engine_records_total", "");
            (last as u64 >= records).then_some(())
        });
    }
}

fn launch(config: &Path, data: &Path, environment: &[(&str, &str)]) -> (Running, BTreeMap<String, String>) {
    let book = data.join("addresses.json");
    drop(fs::remove_file(&book));
    let log = fs::OpenOptions::new().create(true).append(true).open(config.with_file_name("node.log"));
    let log = log.expect("the node's log can be opened");
    let process = Running::start(
        Command::new(WATCHROOM)
            .args(["run", "--config"])
            .arg(config)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log),
    );
    let addresses = eventually("addresses.json of the node", || {
        serde_json::from_str(&fs::read_to_string(&book).ok()?).ok()
    });
    (process, addresses)
}

/// Waits until the other side's kernel has everything that was written: nothing is in this side's send queue any more.
pub(crate) fn arrived(stream: &TcpStream) {
    let ends = [stream.local_addr(), stream.peer_addr()];
    let ends = ends.map(|end| format!(":{:04X}", end.expect("it is connected").port()));
    eventually("everything that was written has arrived", || {
        let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
        let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let own = rows.find(|row| row[1].ends_with(&ends[0]) && row[2].ends_with(&ends[1]));
        own.expect("the connection is known")[4].starts_with("00000000:").then_some(())
    });
}

/// GET over a connection of its own: status and body.
pub(crate) fn http_get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the node's pages can be reached");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("a request can be sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer can be read");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("an answer has a status");
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        unchunk(body)
    } else {
        body.to_owned()
    };
    (status, body)
}

fn unchunk(mut body: &str) -> String {
    let mut whole = Vec::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk has a size");
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&rest.as_bytes()[..size]);
        body = std::str::from_utf8(&rest.as_bytes()[size + 2..]).expect("chunks end between characters");
    }
    String::from_utf8(whole).expect("a page is UTF-8")
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub(crate) fn watchroom(args: &[&str]) -> (i32, String, String) {
    let done =
        Command::new(WATCHROOM).args(args).stdin(Stdio::null()).output().expect("the binary can be run");
    (
        done.status.code().unwrap_or(-1),
        String::from_utf8(done.stdout).expect("stdout is UTF-8"),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    )
}

/// A log time that a node at work judges whenever in the next minutes it comes: a little ahead of the clock. Behind it,
/// a node that has been idle would take the lines for late ones.
pub(crate) fn soon() -> String {
    from_now(SOON_S)
}

/// A log time so many seconds from now. In lines of the past the node's time goes with them, as long as no ten seconds
/// pass without one; in lines ahead of the clock it goes with the clock.
pub(crate) fn from_now(seconds: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "lines for a live node carry the time of the day")]
    let now = chrono::Utc::now();
    (now + chrono::TimeDelta::seconds(seconds)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// Generated traffic of one seed in a file: its path and its lines.
pub(crate) fn traffic(dir: &Dir, name: &str, args: &[&str]) -> (PathBuf, Vec<String>) {
    let path = dir.path(name);
    let shown = path.display().to_string();
    let mut all = vec!["generate", "--file", &shown];
    all.extend(args);
    let (code, _, stderr) = watchroom(&all);
    assert_eq!(code, 0, "{stderr}");
    let text = fs::read_to_string(&path).expect("generated traffic is UTF-8");
    (path, text.lines().map(str::to_owned).collect())
}

/// A node that has judged an incident of channel GHT twenty seconds into the traffic: it, the lines, and when they begin.
pub(crate) fn after_an_incident(dir: &Dir) -> (Node, Vec<String>, String) {
    let node = Node::start(dir, "");
    let start = soon();
    let args = ["--seed", "31", "--lines", "30000", "--lines-per-second", "400", "--start", &start];
    let (_, lines) = traffic(dir, "t.log", &[&args[..], &["--incident", "network:GHT@+20s"]].concat());
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
    node.judged(lines.len() as u64);
    (node, lines, start)
}

/// The order number of an order-trace line; empty for lines of other formats.
pub(crate) fn order_of(line: &str) -> &str {
    let columns: Vec<&str> = line.split("||").collect();
    if columns.len() < 60 { "" } else { columns[4] }
}

/// A real SMTP server (aiosmtpd) that keeps each message in a file.
pub(crate) struct MailServer {
    process: Running,
    pub(crate) port: String,
    folder: PathBuf,
}

impl MailServer {
    pub(crate) fn start(dir: &Dir) -> Self {
        let folder = dir.path("mails");
        fs::create_dir_all(&folder).expect("a folder can be made");
        let port_file = dir.path("smtp-port");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".venv/bin/python");
        let process = Running::start(
            Command::new(python)
                .arg(root.join("tests/it/mail_server.py"))
                .args([&folder, &port_file])
                .stdin(Stdio::null()),
        );
        let port = eventually("the mail server's port", || {
            fs::read_to_string(&port_file).ok().filter(|p| p.ends_with('\n')).map(|p| p.trim().to_owned())
        });
        Self { process, port, folder }
    }

    /// From now on it says nothing to anybody, or goes on.
    pub(crate) fn hang(&self, hung: bool) {
        self.process.signal(if hung { "-STOP" } else { "-CONT" });
    }

    /// All messages so far, in order of arrival.
    pub(crate) fn mails(&self) -> Vec<String> {
        let mut paths: Vec<PathBuf> = fs::read_dir(&self.folder)
            .expect("the mail folder can be listed")
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "eml"))
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|p| String::from_utf8_lossy(&fs::read(p).expect("a mail can be read")).into_owned())
            .collect()
    }
}
