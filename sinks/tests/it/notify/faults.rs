//! Servers that no honest one shows: they hang, cut, drip or flood at every step of the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sinks::notifier::{Integration, Notify as _};
use sinks::outbox::{DeliveryState, Filter};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::conformance::notifier;
use super::hook::{Hook, Reply};
use super::{START_MS, Scratch, attempt, clock, fired, open, receivers, soon};

/// How long a sender waits at a step, ms. Long enough for every step at which nothing is wrong on a busy machine: the cases
/// wait beside each other.
const LIMIT_MS: u64 = 8_000;

/// What the server does where it misbehaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Hang,
    Cut,
    /// A byte now and then, never a line.
    Drip,
    /// Bytes as fast as they are taken, never a line.
    Flood,
    Say(&'static str),
}

/// A server that misbehaves at one step; everything before it goes well.
struct Faulty {
    port: u16,
    commands: mpsc::Receiver<String>,
    flooded_bytes: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// A server's answer to a command, and the name of its step.
fn answer(command: &str) -> (&'static str, &'static str) {
    match command.split([' ', ':']).next().unwrap_or_default() {
        "EHLO" => ("ehlo", "250-test\r\n250 8BITMIME\r\n"),
        "STARTTLS" => ("starttls", "220 go ahead\r\n"),
        "MAIL" => ("mail", "250 ok\r\n"),
        "RCPT" => ("rcpt", "250 ok\r\n"),
        "DATA" => ("data", "354 go on\r\n"),
        "." => ("dot", "250 taken\r\n"),
        "POST" => ("post", ""),
        _ => ("", "221 bye\r\n"),
    }
}

impl Faulty {
    async fn start(step: &'static str, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let (tell, commands) = mpsc::channel(10_000);
        let flooded_bytes = Arc::new(AtomicUsize::new(0));
        let flooded = Arc::clone(&flooded_bytes);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, step, fault, tell.clone(), Arc::clone(&flooded)));
            }
        });
        Self { port, commands, flooded_bytes, _tasks: tasks }
    }

    fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.commands.try_recv().ok()).collect()
    }
}

async fn serve(
    stream: TcpStream,
    step: &'static str,
    fault: Fault,
    tell: mpsc::Sender<String>,
    flooded: Arc<AtomicUsize>,
) {
    let mut stream = BufReader::new(stream);
    if step == "greeting" {
        return misbehave(&mut stream, fault, &flooded).await;
    }
    let http = step == "post";
    if !http && stream.write_all(b"220 test\r\n").await.is_err() {
        return;
    }
    let mut in_data = false;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
        let command = std::mem::take(&mut line).trim_end().to_owned();
        if (in_data && command != ".") || (http && !command.is_empty()) {
            continue;
        }
        let (name, said) = if http { ("post", "") } else { answer(&command) };
        let _told = tell.send(command).await;
        if name == step {
            return misbehave(&mut stream, fault, &flooded).await;
        }
        in_data = name == "data";
        if stream.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn misbehave(stream: &mut BufReader<TcpStream>, fault: Fault, flooded: &AtomicUsize) {
    match fault {
        Fault::Hang => std::future::pending().await,
        Fault::Cut => {}
        Fault::Drip => {
            while stream.write_all(b"2").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Fault::Flood => {
            let chunk = vec![b'2'; 64 * 1024];
            while let Ok(taken @ 1..) = stream.get_mut().write(&chunk).await {
                flooded.fetch_add(taken, Ordering::SeqCst);
            }
        }
        Fault::Say(words) => {
            let _said = stream.write_all(words.as_bytes()).await;
            // What is said in clear text after it stands in the way of a TLS session.
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
    }
}

fn mail(port: u16, tls: &str) -> String {
    format!(
        "[{{name: mail{port}, email_configs: [{{to: 'duty@pay.example', from: 'w@pay.example', smarthost: \
         '127.0.0.1:{port}', tls: {tls}, hello: test.example, timeout_ms: {LIMIT_MS}, accept_timeout_ms: {LIMIT_MS}}}]}}]"
    )
}

fn hook(port: u16) -> String {
    format!(
        "[{{name: hook{port}, webhook_configs: [{{url: 'http://127.0.0.1:{port}/', timeout_ms: {LIMIT_MS}}}]}}]"
    )
}

#[tokio::test]
async fn a_mail_fault_before_the_dot_is_a_retry_and_after_it_uncertain_wherever_and_however() {
    let mut cases = JoinSet::new();
    for step in ["greeting", "ehlo", "mail", "rcpt", "data", "dot"] {
        for fault in [Fault::Hang, Fault::Cut, Fault::Drip, Fault::Flood, Fault::Say("rubbish\r\n")] {
            cases.spawn(a_mail_fault(step, fault));
        }
        cases.spawn(async move {
            let server = Faulty::start(step, Fault::Say("421 4.3.2 going down\r\n")).await;
            let outcome =
                soon(notifier(&mail(server.port, "none")).send(&attempt(&fired("a")), START_MS)).await;
            assert_eq!(outcome.word(), "retry", "{step}: {outcome:?}");
        });
    }
    while let Some(case) = cases.join_next().await {
        case.expect("holds");
    }
}

async fn a_mail_fault(step: &'static str, fault: Fault) {
    let mut server = Faulty::start(step, fault).await;
    let outcome = soon(notifier(&mail(server.port, "none")).send(&attempt(&fired("a")), START_MS)).await;
    let expected = if step == "dot" { "uncertain" } else { "retry" };
    assert_eq!(outcome.word(), expected, "{step} {fault:?}: {outcome:?}");
    assert!(outcome.detail().len() < 700, "{step} {fault:?}: {outcome:?}");
    // What the sockets' buffers took beside the one MiB that is read.
    let flooded = server.flooded_bytes.load(Ordering::SeqCst);
    assert!(flooded < 24 << 20, "{step}: {flooded} bytes were taken");
    assert_eq!(server.heard().iter().any(|c| c == "."), step == "dot", "{step} {fault:?}");
}

#[tokio::test]
async fn no_clear_text_whatever_becomes_of_starttls() {
    // Not offered; refused; agreed to and then not done, with answers pushed in before the handshake.
    let faults = [
        ("ehlo", "250-test\r\n250 8BITMIME\r\n"),
        ("starttls", "454 4.7.0 not now\r\n"),
        ("starttls", "220 go ahead\r\n250-test\r\n250 AUTH PLAIN\r\n250 ok\r\n250 ok\r\n354 go on\r\n"),
        ("starttls", "220 go ahead\r\n"),
    ];
    for (step, words) in faults {
        let offer = "250-test\r\n250-STARTTLS\r\n250 8BITMIME\r\n";
        let mut server = if step == "ehlo" {
            Faulty::start(step, Fault::Say(words)).await
        } else {
            offering(offer, words).await
        };
        let outcome =
            soon(notifier(&mail(server.port, "starttls")).send(&attempt(&fired("a")), START_MS)).await;
        assert_eq!(outcome.word(), "retry", "{words:?}: {outcome:?}");
        let heard = server.heard();
        let betrayed =
            heard.iter().any(|c| ["MAIL", "RCPT", "DATA", "AUTH"].iter().any(|v| c.starts_with(v)));
        assert!(!betrayed, "{words:?}: {heard:?}");
    }
}

/// A server that offers STARTTLS and answers it with `words`, in clear text.
async fn offering(offer: &'static str, words: &'static str) -> Faulty {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("is bound").port();
    let (tell, commands) = mpsc::channel(1_000);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let _greeted = stream.write_all(b"220 test\r\n").await;
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
                let command = String::from_utf8_lossy(&std::mem::take(&mut line)).trim_end().to_owned();
                let said = if command.starts_with("EHLO") { offer } else { words };
                let _told = tell.send(command).await;
                let _said = stream.write_all(said.as_bytes()).await;
            }
        }
    });
    Faulty { port, commands, flooded_bytes: Arc::default(), _tasks: tasks }
}

#[tokio::test]
async fn a_webhook_fault_is_uncertain_once_the_request_is_out_and_its_answer_is_not_kept() {
    let endless_body = "HTTP/1.1 500 X\r\ncontent-length: 10737418240\r\n\r\n";
    let table = [
        (Fault::Hang, "uncertain"),
        (Fault::Cut, "uncertain"),
        (Fault::Drip, "uncertain"),
        (Fault::Flood, "uncertain"),
        (Fault::Say("rubbish\r\n"), "uncertain"),
        // The status counts; what is said after it, or not said, does not.
        (Fault::Say("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc"), "sent"),
        (Fault::Say("HTTP/1.1 301 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"), "dead"),
        (Fault::Say(endless_body), "retry"),
    ];
    let mut cases = JoinSet::new();
    for (fault, expected) in table {
        cases.spawn(async move {
            let server = Faulty::start("post", fault).await;
            let outcome = soon(notifier(&hook(server.port)).send(&attempt(&fired("a")), START_MS)).await;
            assert_eq!(outcome.word(), expected, "{fault:?}: {outcome:?}");
            let flooded = server.flooded_bytes.load(Ordering::SeqCst);
            assert!(flooded < 24 << 20, "{flooded} bytes were taken");
        });
    }
    while let Some(case) = cases.join_next().await {
        case.expect("holds");
    }
}

/// Resident memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("says so");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[tokio::test]
async fn ten_receivers_in_trouble_delay_the_eleventh_not_at_all() {
    let scratch = Scratch::new();
    let mut servers = Vec::new();
    let mut yaml = Vec::new();
    for (step, fault) in [
        ("greeting", Fault::Hang),
        ("greeting", Fault::Flood),
        ("ehlo", Fault::Drip),
        ("dot", Fault::Hang),
        ("dot", Fault::Cut),
        ("dot", Fault::Flood),
    ] {
        servers.push(Faulty::start(step, fault).await);
        yaml.push(mail(servers[servers.len() - 1].port, "none"));
    }
    for fault in [Fault::Hang, Fault::Drip, Fault::Flood, Fault::Cut] {
        servers.push(Faulty::start("post", fault).await);
        yaml.push(hook(servers[servers.len() - 1].port));
    }
    let mut live = Hook::start(&[Reply::Status(200, "", "")]).await;
    yaml.push(format!("[{{name: live, webhook_configs: [{{url: '{}'}}]}}]", live.url));
    let integrations: Vec<Integration> = receivers(&yaml.join("").replace("][", ", "));
    let outbox = open(&scratch.path("outbox.db"), &integrations);
    let (stop, _) = watch::channel(false);
    let mut senders = JoinSet::new();
    for integration in integrations {
        let mut stopped = stop.subscribe();
        let shutdown = async move { drop(stopped.wait_for(|stop| *stop).await) };
        senders.spawn(integration.run(outbox.clone(), clock(), shutdown));
    }
    outbox.enqueue(&[fired("warm")], START_MS).expect("takes");
    live.request().await;
    let before_mib = resident_mib();
    for n in 0..60 {
        outbox.enqueue(&[fired(&format!("a{n}"))], START_MS).expect("takes");
        // It comes while the ten are still with their first news or wait for another try.
        live.request().await;
    }
    let grown_mib = resident_mib().saturating_sub(before_mib);
    assert!(grown_mib < 96, "{grown_mib} MiB more");
    let live = Filter { receiver: Some("live".to_owned()), limit: 100, ..Filter::default() };
    let states = outbox.list(&live).expect("answers");
    // The last was taken; that it was may not be written yet.
    assert!(states.iter().filter(|d| d.state == DeliveryState::Sent).count() >= 60);
    let others = outbox.counts().targets.iter().map(|target| target.sent_total).sum::<u64>();
    assert!(others <= 61, "the ten are in trouble: {others} sent");
    let _told = stop.send(true);
    senders.abort_all();
}
