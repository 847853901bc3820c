//! An HTTP server that answers by script and tells what it was asked: for faults no real server shows on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A status, header lines, a body.
    Status(u16, &'static str, &'static str),
    /// Everything it was sent, as the body of a 400.
    Echo,
    /// Nothing, for ever.
    Hang,
    /// Closes without a word.
    Cut,
    /// 500 and a body without end.
    Endless,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: String,
}

impl Request {
    /// A header's value, by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|l| l.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// A running server; ends with this value.
pub(super) struct Hook {
    pub(super) url: String,
    requests: mpsc::Receiver<Request>,
    _tasks: JoinSet<()>,
}

impl Hook {
    /// Answers by script; the last reply is repeated.
    pub(super) async fn start(script: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/hook/s3cret-path", listener.local_addr().expect("is bound"));
        let (tell, requests) = mpsc::channel(1_000);
        let script = Arc::new(Mutex::new(script.iter().cloned().collect::<VecDeque<_>>()));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&script), tell.clone()));
            }
        });
        Self { url, requests, _tasks: tasks }
    }

    /// The next request, which must come soon.
    pub(super) async fn request(&mut self) -> Request {
        super::soon(self.requests.recv()).await.expect("the server runs")
    }

    /// A request that has come already.
    pub(super) fn seen(&mut self) -> Option<Request> {
        self.requests.try_recv().ok()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Reply>>>, tell: mpsc::Sender<Request>) {
    while let Some(request) = read(&mut stream).await {
        let reply = {
            let mut script = script.lock().expect("no test panics here");
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }.expect("a script")
        };
        let echo = format!("{}{}", request.head, request.body);
        let _told = tell.send(request).await;
        let (status, headers, body) = match reply {
            Reply::Status(status, headers, body) => (status, headers, body.to_owned()),
            Reply::Echo => (400, "", echo),
            Reply::Hang => std::future::pending().await,
            Reply::Cut => return,
            Reply::Endless => return endless(stream).await,
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn endless(mut stream: TcpStream) {
    let mut chunk = b"HTTP/1.1 500 X\r\ncontent-length: 10737418240\r\n\r\n".to_vec();
    while stream.write_all(&chunk).await.is_ok() {
        chunk = vec![b'x'; 64 * 1024];
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut request = Request { head, body: String::new() };
    let length: usize = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    }
    request.body = String::from_utf8(bytes[end..end + length].to_vec()).ok()?;
    Some(request)
}
