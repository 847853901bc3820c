//! The pages in a real browser (Chromium, headless): what the duty team and an operator see.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::support::{Dir, Node, after_an_incident, eventually, order_of};

/// The page's document after its scripts have run, as Chromium holds it.
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

#[test]
fn an_operator_goes_from_the_alert_to_the_order() {
    let dir = Dir::new("pages");
    let (node, lines, _) = after_an_incident(&dir);
    let web = format!("http://{}", node.address("web"));

    let alerts = browse(&dir, &format!("{web}/alerts"));
    assert!(alerts.contains("ChannelNetworkDown") && alerts.contains("GHT"), "{alerts}");
    let link = alerts
        .split("href=\"")
        .filter_map(|h| h.split('"').next())
        .find(|h| h.contains("alerts/") && !h.ends_with('/'));
    let link = link.expect("the list links to the alert").trim_start_matches("../").trim_start_matches('/');
    let alert = browse(&dir, &format!("{web}/{link}"));
    assert!(
        alert.contains("||NET_ERR||") || alert.contains("||TIMEOUT||"),
        "the alert shows sample lines: {alert}"
    );
    let order = alert
        .split("href=\"")
        .filter_map(|h| h.split('"').next()?.split("orders/").nth(1))
        .find(|o| !o.is_empty())
        .expect("the alert links to an affected order");
    let trail = eventually("the order's trail", || {
        let page = browse(&dir, &format!("{web}/orders/{order}"));
        (page.contains("NET_ERR") || page.contains("TIMEOUT")).then_some(page)
    });
    let steps = lines.iter().filter(|l| order_of(l) == order).count();
    assert!(steps > 1 && trail.contains("通道适配器"), "{trail}");

    let failed = lines
        .iter()
        .rfind(|l| l.contains("||NET_ERR||") && l.contains("||GHT||"))
        .expect("the incident is in");
    let found = browse(&dir, &format!("{web}/orders?channel=GHT&code=NET_ERR"));
    assert!(found.contains(order_of(failed)), "{found}");
    let board = browse(&dir, &web);
    assert!(board.contains("ChannelNetworkDown"), "the board shows the live alert: {board}");
    assert!(!board.contains("No line has arrived"), "lines have arrived: {board}");
}

#[test]
fn log_text_is_never_html() {
    let dir = Dir::new("xss");
    let node = Node::start(&dir, "");
    let evil = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
    let mut columns = vec![String::new(); 66];
    columns[0] = "2016-07-22 18:15:00.512".into();
    for column in [1, 2, 3, 10, 13, 23, 24, 28] {
        columns[column] = evil.to_owned();
    }
    columns[4] = "ORDER<b>1".into();
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((columns.join("||") + "\n").as_bytes()).expect("a line can be sent");
    node.judged(1);
    let web = format!("http://{}", node.address("web"));
    for path in [
        "/orders/ORDER%3Cb%3E1",
        "/orders?text=script",
        "/orders?channel=%3Cscript%3E",
        "/alerts",
        "/counters",
        "/",
    ] {
        let page = browse(&dir, &format!("{web}{path}"));
        assert!(!page.contains("<title>owned"), "{path}: a script of the line ran");
        assert!(
            !page.contains("<img src=\"x\"") && !page.contains("<img src=x"),
            "{path}: markup of the line is in the document"
        );
    }
}
