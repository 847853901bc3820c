//! The main job: traffic in by syslog, a channel's network trouble becomes an alert by mail and webhook, its orders'
//! trails are found; a dead mail server delays nothing; SIGTERM loses nothing.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::support::{Dir, MailServer, Node, arrived, eventually, order_of, soon, traffic, watchroom};

fn send_tcp(node: &Node, lines: &[String]) {
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
}

#[test]
fn network_trouble_becomes_one_alert_by_mail() {
    let dir = Dir::new("spine");
    let mails = MailServer::start(&dir);
    let node = Node::start(
        &dir,
        &format!(
            "receivers:\n  - name: duty\n    email_configs:\n      - {{to: duty@example.com, from: wr@example.com, \
             smarthost: \"127.0.0.1:{}\", tls: none}}\n",
            mails.port
        ),
    );
    let start = soon();
    let args = [
        "--seed",
        "3",
        "--lines",
        "40000",
        "--lines-per-second",
        "400",
        "--start",
        &start,
        "--incident",
        "network:GHT@+30s",
    ];
    let (_, lines) = traffic(&dir, "t.log", &args);
    send_tcp(&node, &lines);
    node.judged(lines.len() as u64);

    let firing = eventually("the mail about the firing alert", || {
        mails.mails().into_iter().find(|m| m.contains("Subject: [FIRING]"))
    });
    assert!(firing.contains("GHT") && firing.contains("ChannelNetworkDown"), "{firing}");
    let alerts: Value = serde_json::from_str(&node.get("/api/v1/alerts")).expect("alerts are JSON");
    let page = node.get("/alerts");
    assert!(page.contains("ChannelNetworkDown"), "{alerts} {page}");
    let fired: Vec<String> = mails.mails().into_iter().filter(|m| m.contains("Subject: [FIRING]")).collect();
    assert_eq!(fired.len(), 1, "one incident, one alert: {fired:#?}");

    let failed = lines
        .iter()
        .find(|l| l.contains("||NET_ERR||") && l.contains("||GHT||"))
        .expect("the incident is in");
    let order = order_of(failed);
    let trail = node.get(&format!("/orders/{order}"));
    assert!(trail.contains("NET_ERR") && trail.contains(order));
}

#[test]
fn a_hung_mail_server_delays_neither_the_webhook_nor_the_lines() {
    let dir = Dir::new("hung");
    let hung = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let hook = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = |l: &TcpListener| l.local_addr().expect("a bound listener has an address").port();
    let node = Node::start(
        &dir,
        &format!(
            "receivers:\n  - name: duty\n    email_configs:\n      - {{to: d@example.com, from: w@example.com, smarthost: \"127.0.0.1:{}\", tls: none}}\n    webhook_configs:\n      - {{url: \"http://127.0.0.1:{}/hook\"}}\n",
            port(&hung),
            port(&hook)
        ),
    );
    let start = soon();
    let args = [
        "--seed",
        "4",
        "--lines",
        "40000",
        "--lines-per-second",
        "400",
        "--start",
        &start,
        "--incident",
        "network:UMP@+30s",
    ];
    let (_, lines) = traffic(&dir, "t.log", &args);
    send_tcp(&node, &lines);
    let body = receive_webhook(&hook);
    assert_eq!(body["version"], "4");
    assert_eq!(body["status"], "firing");
    assert_eq!(body["alerts"][0]["labels"]["channel"], "UMP");
    node.judged(lines.len() as u64);
    drop(hung);
}

fn receive_webhook(listener: &TcpListener) -> Value {
    use std::io::Read;
    let (mut stream, _) = listener.accept().expect("the webhook is called");
    let mut request = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let read = stream.read(&mut buffer).expect("the request can be read");
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let length: usize = length.and_then(|l| l.trim().parse().ok()).expect("the request has a length");
        if body.len() >= length {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .expect("the answer can be sent");
            return serde_json::from_str(body).expect("the body is JSON");
        }
    }
}

#[test]
fn sigterm_drains_and_loses_nothing_received() {
    let dir = Dir::new("drain");
    let mut node = Node::start(&dir, "");
    let (_, lines) = traffic(&dir, "t.log", &["--seed", "5", "--lines", "20000"]);
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
    // Then everything is in the node's socket buffer or beyond; some of it is not read yet.
    arrived(&stream);
    assert_eq!(node.terminate(), Some(0));
    node.restart();
    node.judged(lines.len() as u64);
}

#[test]
fn backtest_tells_the_incident_and_nothing_else() {
    let dir = Dir::new("backtest");
    let args =
        ["--seed", "9", "--lines", "120000", "--lines-per-second", "400", "--incident", "network:GHT@+60s"];
    let (file, _) = traffic(&dir, "t.log", &args);
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.d");
    let (code, out, err) =
        watchroom(&["backtest", "--rules", rules, "--file", &file.display().to_string(), "--json"]);
    assert_eq!(code, 1, "alerts were found: {err}");
    let alerts: Vec<Value> =
        out.lines().map(|l| serde_json::from_str(l).expect("each line is JSON")).collect();
    let told: Vec<(&str, &str)> = alerts
        .iter()
        .map(|a| {
            (a["alert"].as_str().unwrap_or_default(), a["labels"]["channel"].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(told, [("ChannelNetworkDown", "GHT")], "{out}");
}
