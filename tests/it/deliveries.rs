//! Dead letters from the rule to the receiver: listed by command and page, sent again under the same id, and by nobody
//! who is not asked to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::browser::Browser;
use crate::support::{Dir, Node, eventually, soon, traffic, watchroom};

/// A webhook that refuses until it is told otherwise, and remembers the Idempotency-Key of each request.
struct Hook {
    port: u16,
    takes: Arc<AtomicBool>,
    keys: Arc<Mutex<Vec<String>>>,
    end: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (takes, end, keys) = (Arc::default(), Arc::default(), Arc::default());
        let (answers, ended, seen): (Arc<AtomicBool>, Arc<AtomicBool>, Arc<Mutex<Vec<String>>>) =
            (Arc::clone(&takes), Arc::clone(&end), Arc::clone(&keys));
        let serve = move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                if let Some(key) = request_key(&stream) {
                    seen.lock().expect("nobody panics with it").push(key);
                }
                let status = if answers.load(Ordering::SeqCst) { "200 OK" } else { "400 <b>no</b>" };
                let body = "<script>document.title='owned'</script>";
                // Who went away is gone.
                drop(write!(
                    &stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                ));
            }
        };
        let thread = std::thread::Builder::new().spawn(serve).expect("a thread can be started");
        Self { port, takes, keys, end, thread: Some(thread) }
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn request_key(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut key, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("idempotency-key:") {
            key = Some(value.trim().to_owned());
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    key
}

/// Makes the shipped rules fire for a channel.
fn incident(dir: &Dir, node: &Node) {
    let start = soon();
    let args = ["--seed", "41", "--lines", "20000", "--lines-per-second", "400", "--start", &start];
    let (_, lines) = traffic(dir, "t.log", &[&args[..], &["--incident", "network:GHT@+10s"]].concat());
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
    node.judged(lines.len() as u64);
}

fn browse(dir: &Dir, url: &str) -> String {
    let done = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", dir.path("chromium").display()))
        .args(["--dump-dom", url])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .expect("chromium can be started; run `make test` once, it installs it");
    String::from_utf8(done.stdout).expect("a document is UTF-8")
}

fn listed(config: &Path, state: &str) -> Vec<Value> {
    let config = config.display().to_string();
    let (code, out, err) = watchroom(&["deliveries", "--config", &config, "--state", state, "--json"]);
    assert_eq!(code, 0, "{err}");
    out.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

#[test]
fn a_dead_letter_is_listed_and_sent_again_under_its_id() {
    let dir = Dir::new("dead");
    let hook = Hook::start();
    let receivers = format!(
        "receivers:\n  - name: wall\n    webhook_configs: [{{url: \"http://127.0.0.1:{}/\"}}]\n",
        hook.port
    );
    let node = Node::start(&dir, &receivers);
    let config = dir.path("watchroom.yaml");
    incident(&dir, &node);
    let dead = eventually("a dead letter", || listed(&config, "dead").into_iter().next());
    let id = dead["id"].as_str().expect("an id").to_owned();
    assert_eq!((dead["target"].as_str(), dead["attempts"].as_u64()), (Some("wall/webhook[0]"), Some(1)));
    assert!(dead["last_error"].as_str().is_some_and(|e| e.contains("400")), "{dead}");
    assert!(node.metric("watchroom_outbox_deliveries", "state=\"dead\"") >= 1.0);

    let web = format!("http://{}", node.address("web"));
    let page = browse(&dir, &format!("{web}/deliveries?state=dead"));
    assert!(
        page.contains("✕ dead") && page.contains("Send again") && page.contains("ChannelNetworkDown"),
        "{page}"
    );
    assert!(
        !page.contains("<title>owned") && page.contains("&lt;script&gt;"),
        "the receiver's words are text: {page}"
    );
    assert!(browse(&dir, &format!("{web}/deliveries/{id}")).contains("answered 400"));
    assert!(browse(&dir, &web).contains("given up: see Deliveries"), "the board says it");

    // Somebody else's page that presses the button in the visitor's browser.
    let foreign = dir.write(
        "evil.html",
        &format!(
            "<form id=f method=post action=\"{web}/deliveries/{id}/resend\"><input name=token value=x></form>\
             <script>document.getElementById('f').submit()</script>"
        ),
    );
    let browser = Browser::start(&dir, 1280);
    browser.open(&format!("file://{}", foreign.display()));
    eventually("the answer to the foreign page", || browser.text().contains("refused:").then_some(()));
    assert_eq!(
        hook.keys().iter().filter(|key| **key == id.to_ascii_lowercase()).count(),
        1,
        "nothing was sent"
    );

    hook.takes.store(true, Ordering::SeqCst);
    let config_text = config.display().to_string();
    let (code, out, err) = watchroom(&["deliveries", "resend", &id, "--config", &config_text]);
    assert_eq!((code, out.as_str()), (0, format!("{id}: waits to be sent again\n").as_str()), "{err}");
    eventually("it is sent", || listed(&config, "sent").into_iter().find(|d| d["id"] == id.as_str()));
    assert_eq!(
        hook.keys().iter().filter(|key| **key == id.to_ascii_lowercase()).count(),
        2,
        "under the same key"
    );
    let (code, _, err) = watchroom(&["deliveries", "resend", &id, "nothing", "--config", &config_text]);
    assert_eq!(code, 1);
    assert!(
        err.contains("only the dead are sent again") && err.contains("nothing: there is no such"),
        "{err}"
    );
    let (code, out, err) = watchroom(&["deliveries", "resend", "--all-dead", "--config", &config_text]);
    assert!(out.contains("to be sent again") && (code == 0 || err.contains("stay dead")), "{out} {err}");
    let (_, table, _) = watchroom(&["deliveries", "--config", &config_text, "--receiver", "wall"]);
    assert!(table.starts_with("ID ") && table.contains(&id) && table.contains("wall/webhook[0]"), "{table}");
}

#[test]
fn without_a_node_the_command_says_so() {
    let dir = Dir::new("nobody");
    let config = dir.write("w.yaml", "data_dir: nowhere\nweb: {listen_address: \"127.0.0.1:1\"}\n");
    let (code, _, err) = watchroom(&["deliveries", "--config", &config.display().to_string()]);
    assert_eq!(code, 2);
    assert!(err.contains("no node answers on 127.0.0.1:1"), "{err}");
    assert_eq!(watchroom(&["deliveries", "resend"]).0, 2, "whom?");
    assert_eq!(watchroom(&["deliveries", "--state", "lost"]).0, 2);
}
