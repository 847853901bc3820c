//! Chromium as a person uses it: opens pages, clicks, types; by WebDriver, the protocol that chromedriver speaks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Dir, Running};

/// The name under which WebDriver tells elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window. Ends with its driver.
pub(crate) struct Browser {
    port: u16,
    session: String,
    _driver: Running,
}

impl Browser {
    /// Starts one whose window is so many pixels wide.
    pub(crate) fn start(dir: &Dir, width: u32) -> Self {
        let mut driver = Running::start(
            Command::new("chromedriver")
                .arg("--port=0")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null()),
        );
        let said = BufReader::new(driver.0.stdout.take().expect("its output is piped"));
        let port = said
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        let port = port.expect("chromedriver says where it listens");
        let arguments = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            // What scrolls smoothly is not where it was when it is clicked.
            "--force-prefers-reduced-motion".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            format!("--user-data-dir={}", dir.path(&format!("driven-{width}")).display()),
        ];
        let mut options = json!({"args": arguments});
        if width < 500 {
            // No window is so narrow: a telephone is.
            let metrics = json!({"width": width, "height": 800, "pixelRatio": 1.0});
            options["mobileEmulation"] = json!({"deviceMetrics": metrics});
        }
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": options});
        let mut browser = Self { port, session: String::new(), _driver: driver };
        let session = browser.tell("POST", "/session", &json!({"capabilities": {"alwaysMatch": wanted}}));
        browser.session = session["sessionId"].as_str().expect("a session has a name").to_owned();
        browser.post("/window/rect", &json!({"width": width, "height": 900}));
        browser
    }

    /// Opens a page.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// Clicks on the first link that reads so, and waits for the page behind it.
    pub(crate) fn follow(&self, text: &str) {
        self.click(&json!({"using": "link text", "value": text}));
    }

    /// Clicks on the first element of a CSS selector.
    pub(crate) fn press(&self, selector: &str) {
        self.click(&json!({"using": "css selector", "value": selector}));
    }

    /// Types a text into an emptied field.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let id = self.find(&json!({"using": "css selector", "value": selector}));
        self.post(&format!("/element/{id}/clear"), &json!({}));
        self.post(&format!("/element/{id}/value"), &json!({"text": text}));
    }

    /// What a person reads on the page.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// The page's title.
    pub(crate) fn title(&self) -> String {
        self.run("return document.title").as_str().unwrap_or_default().to_owned()
    }

    /// What a script gives back.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    fn click(&self, what: &Value) {
        let id = self.find(what);
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    fn find(&self, what: &Value) -> String {
        let found = self.post("/element", what);
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{what}: {found}")).to_owned()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.tell("POST", &format!("/session/{}{path}", self.session), body)
    }

    fn tell(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver can be reached");
        let body = body.to_string();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("chromedriver can be told");
        let mut answer = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while answer.read_line(&mut line).expect("chromedriver answers") > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            line.clear();
        }
        let mut bytes = vec![0; length];
        answer.read_exact(&mut bytes).expect("the whole answer comes");
        let answer: Value = serde_json::from_slice(&bytes).expect("chromedriver speaks JSON");
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{method} {path} {body}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser when it is asked to; killed, it would leave it behind.
        if !std::thread::panicking() {
            self.tell("DELETE", &format!("/session/{}", self.session), &json!({}));
        }
    }
}
