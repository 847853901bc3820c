//! Rules are changed while the node works: by signal, by request, by their files; all or nothing, and what did not change
//! goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Dir, Node, eventually, order_of, soon, traffic};

/// Not looked at while a test does not want it.
const NO_WATCH: &str = "rules_watch_interval_s: 0\nsnapshot_interval_ms: 600000";

fn send(node: &Node, lines: &[String]) {
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((lines.join("\n") + "\n").as_bytes()).expect("lines can be sent");
}

/// `POST /-/reload`: status and body.
fn post_reload(node: &Node) -> (u16, String) {
    let address = node.address("web");
    let mut stream = TcpStream::connect(address).expect("the node's pages can be reached");
    write!(stream, "POST /-/reload HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")
        .expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer can be read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

fn json(node: &Node, path: &str) -> Value {
    serde_json::from_str(&node.get(path)).expect("JSON")
}

/// Names of the rules at work, in file order.
fn rules(node: &Node) -> Vec<String> {
    let groups = json(node, "/api/v1/rules");
    let groups = groups["data"]["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    rules.map(|rule| rule["name"].as_str().expect("a name").to_owned()).collect()
}

/// Names, states and ids of the alerts that are on.
fn on(node: &Node) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = json(node, "/api/v1/alerts");
    let alerts = alerts["data"]["alerts"].as_array().expect("alerts").iter();
    let mut on: Vec<_> =
        alerts.map(|a| (text(&a["labels"]["alertname"]), text(&a["state"]), text(&a["id"]))).collect();
    on.sort();
    on
}

fn names(node: &Node) -> Vec<String> {
    on(node).into_iter().map(|(name, ..)| name).collect()
}

fn file(rules: &[String]) -> String {
    format!("groups:\n  - name: g\n    rules:\n{}", rules.concat())
}

/// A rule that every order's line matches.
fn any(name: &str) -> String {
    format!("      - {{alert: {name}, kind: any, where: has(order_no)}}\n")
}

/// A rule that fires at the `count`th line of an order.
fn frequency(name: &str, count: usize) -> String {
    format!("      - {{alert: {name}, kind: frequency, where: has(order_no), count: {count}, within: 1h}}\n")
}

/// Traffic in which so many lines are of orders.
fn orders(dir: &Dir, seed: &str, lines: &str) -> (Vec<String>, usize) {
    let start = soon();
    let args = ["--seed", seed, "--lines", lines, "--lines-per-second", "1000", "--start", &start];
    let lines = traffic(dir, "t.log", &args).1;
    let of_orders = lines.iter().filter(|line| !order_of(line).is_empty()).count();
    (lines, of_orders)
}

fn log(dir: &Dir) -> String {
    std::fs::read_to_string(dir.path("node.log")).expect("the node has a log")
}

fn metric_is(node: &Node, name: &str, value: u64) {
    eventually(&format!("{name} is {value}"), || (node.metric(name, "") as u64 == value).then_some(()));
}

/// A folder of rule files that is exchanged as one: whoever looks sees the old files or the new.
struct Folder<'d> {
    dir: &'d Dir,
    versions: usize,
}

impl<'d> Folder<'d> {
    fn new(dir: &'d Dir, files: &[(&str, String)]) -> Self {
        let mut folder = Self { dir, versions: 0 };
        folder.put(files);
        folder
    }

    fn path(&self) -> PathBuf {
        self.dir.path("rules")
    }

    fn put(&mut self, files: &[(&str, String)]) {
        self.versions += 1;
        let (version, link) = (format!("rules-{}", self.versions), self.dir.path("next"));
        std::fs::create_dir(self.dir.path(&version)).expect("a folder can be made");
        for (name, text) in files {
            self.dir.write(&format!("{version}/{name}"), text);
        }
        std::os::unix::fs::symlink(&version, &link).expect("a link can be made");
        std::fs::rename(link, self.path()).expect("a link can be exchanged");
    }
}

const BROKEN: &str = "groups:\n  - name: g\n    rules:\n      - {alert: C, kind: anny}\n";

/// What everybody is told when `c.yaml` is [`BROKEN`] and A, B3 and C are at work.
fn the_fault_is_told(node: &Node, dir: &Dir) {
    assert_eq!(rules(node), ["A", "B3", "C"], "the last good set stays, entirely");
    assert_eq!(node.metric("watchroom_rules_last_reload_successful", "") as u64, 0);
    let board = node.get("/");
    assert!(board.contains("The last reload failed") && board.contains("c.yaml:4:"), "{board}");
    let status = json(node, "/api/v1/status");
    assert_eq!(status["reload"]["rules_ok"], false);
    assert!(status["reload"]["problem"].as_str().is_some_and(|why| why.contains("c.yaml:4:")), "{status}");
    assert!(log(dir).contains("everything stays as it was"));
    assert_eq!(node.get("/-/ready"), "ready\n", "it judges all the same");
}

#[test]
fn rules_are_taken_by_request_and_signal_and_refused_together() {
    let dir = Dir::new("reload");
    let mut folder = Folder::new(&dir, &[("a.yaml", file(&[any("A")])), ("b.yaml", file(&[any("B")]))]);
    let node = Node::start_with_rules(&dir, &folder.path(), NO_WATCH);
    node.ready();
    assert_eq!(rules(&node), ["A", "B"]);

    folder.put(&[("a.yaml", file(&[any("A")])), ("b.yaml", file(&[any("B2")]))]);
    assert_eq!(post_reload(&node), (200, "reloaded\n".to_owned()));
    assert_eq!(rules(&node), ["A", "B2"]);

    let (a, b) = (("a.yaml", file(&[any("A")])), ("b.yaml", file(&[any("B3")])));
    folder.put(&[a, b.clone(), ("c.yaml", file(&[any("C")]))]);
    node.process.signal("-HUP");
    eventually("the signal is heard", || (rules(&node) == ["A", "B3", "C"]).then_some(()));

    // One fault in one file, and good news in another: nothing changes.
    let failures = node.metric("watchroom_rules_reload_failures_total", "") as u64;
    folder.put(&[("a.yaml", file(&[any("A4")])), b, ("c.yaml", BROKEN.to_owned())]);
    let (status, body) = post_reload(&node);
    assert_eq!(status, 500, "{body}");
    assert!(body.contains("c.yaml:4:") && body.contains("`anny`") && body.contains("any"), "{body}");
    assert_eq!(node.metric("watchroom_rules_reload_failures_total", "") as u64, failures + 1);
    the_fault_is_told(&node, &dir);

    // Who asks for no rules gets none.
    folder.put(&[("a.yaml", "groups: []\n".to_owned())]);
    assert_eq!(post_reload(&node).0, 200);
    assert!(rules(&node).is_empty());
}

#[test]
fn a_change_of_rule_files_is_found_and_refused_together() {
    let dir = Dir::new("reload-watch");
    let (a, b) = (("a.yaml", file(&[any("A")])), ("b.yaml", file(&[any("B3")])));
    let mut folder = Folder::new(&dir, &[a.clone(), b.clone()]);
    let node = Node::start_with_rules(&dir, &folder.path(), "rules_watch_interval_s: 1");
    node.ready();
    folder.put(&[a, b.clone(), ("c.yaml", file(&[any("C")]))]);
    eventually("the new file is found", || (rules(&node) == ["A", "B3", "C"]).then_some(()));

    let a4 = ("a.yaml", file(&[any("A4")]));
    folder.put(&[a4.clone(), b.clone(), ("c.yaml", BROKEN.to_owned())]);
    metric_is(&node, "watchroom_rules_last_reload_successful", 0);
    the_fault_is_told(&node, &dir);

    // Mended: found without being asked.
    folder.put(&[a4, b, ("c.yaml", file(&[any("C5")]))]);
    eventually("the mended file is found", || (rules(&node) == ["A4", "B3", "C5"]).then_some(()));
    metric_is(&node, "watchroom_rules_last_reload_successful", 1);
    assert!(!node.get("/").contains("The last reload failed"));

    // All rules gone is what a half-done change looks like: only who asks for it gets it.
    folder.put(&[("a.yaml", "groups: []\n".to_owned())]);
    metric_is(&node, "watchroom_rules_last_reload_successful", 0);
    assert_eq!(rules(&node), ["A4", "B3", "C5"]);
    assert_eq!(post_reload(&node).0, 200);
    assert!(rules(&node).is_empty());
}

#[test]
fn what_did_not_change_goes_on_over_reload_and_restart() {
    let dir = Dir::new("reload-state");
    let (lines, of_orders) = orders(&dir, "51", "6000");
    let third = lines.len() / 3;
    let rule_file =
        dir.write("rules.yaml", &file(&[frequency("All", of_orders), any("First"), any("Second")]));
    let mut node = Node::start_with_rules(&dir, &rule_file, NO_WATCH);
    send(&node, &lines[..third]);
    node.judged(third as u64);
    eventually("two alerts", || (names(&node) == ["First", "Second"]).then_some(()));
    let [first, (.., ended)] = &on(&node)[..] else { panic!("two alerts") };
    let (first, ended) = (first.clone(), ended.clone());

    // `Second` is changed: its alert ends and it is said why; the others do not notice.
    let second = any("Second").replace("any,", "any, resolve_after: 2h,");
    dir.write(
        "rules.yaml",
        &file(&[frequency("Never", 1_000_000), second, any("First"), frequency("All", of_orders)]),
    );
    assert_eq!(post_reload(&node).0, 200);
    assert_eq!(on(&node), std::slice::from_ref(&first));
    assert!(log(&dir).contains("RESOLVED Second"), "{}", log(&dir));
    assert!(log(&dir).contains("2 rules go on, 1 changed, 1 new, 0 removed"), "{}", log(&dir));
    assert!(node.get(&format!("/alerts/{ended}")).contains("its rule was changed"));

    // The snapshot of that moment is on disk, though none was due for minutes: a kill loses nothing.
    eventually("the snapshot of the reload", || {
        (node.metric("watchroom_snapshots_written_total", "") as u64 > 0).then_some(())
    });
    node.kill();
    node.restart();
    node.ready();
    assert_eq!(on(&node), std::slice::from_ref(&first));
    send(&node, &lines[third..2 * third]);
    node.judged(2 * third as u64);
    eventually("the changed rule judges", || (names(&node) == ["First", "Second"]).then_some(()));

    // Changed while the node is down, once after an orderly end and once after a kill.
    assert_eq!(node.terminate(), Some(0));
    dir.write("rules.yaml", &file(&[any("First"), frequency("All", of_orders), any("Third")]));
    node.restart();
    node.ready();
    assert_eq!(on(&node), std::slice::from_ref(&first), "`Second` was removed, `Third` has seen nothing");
    send(&node, &lines[2 * third..]);
    node.judged(lines.len() as u64);
    eventually("all lines counted once", || (names(&node) == ["All", "First", "Third"]).then_some(()));
    assert_eq!(on(&node)[1], first);
    node.kill();
    dir.write("rules.yaml", &file(&[any("First"), frequency("All", of_orders)]));
    node.restart();
    node.ready();
    assert_eq!(names(&node), ["All", "First"], "`Third` was raised behind the last snapshot, and is no more");
}

/// Alerts of a rule that was removed while the node was down after a kill, raised behind its last snapshot.
#[test]
fn nobody_is_left_with_an_alert_that_no_rule_follows() {
    let dir = Dir::new("reload-forgotten");
    let rule_file = dir.write("rules.yaml", &file(&[any("Gone"), any("Stays")]));
    let receivers = format!(
        "{NO_WATCH}\nreceivers:\n  - name: duty\n    webhook_configs:\n      - {{url: \"http://127.0.0.1:9/nobody\"}}"
    );
    let mut node = Node::start_with_rules(&dir, &rule_file, &receivers);
    let (lines, _) = orders(&dir, "52", "500");
    send(&node, &lines);
    node.judged(500);
    let told = |node: &Node, status: &str| -> Vec<String> {
        let all = json(node, "/api/v1/deliveries");
        let all = all["data"]["deliveries"].as_array().cloned().unwrap_or_default();
        let of = all.iter().filter(|delivery| delivery["status"] == status);
        of.map(|delivery| delivery["title"].as_str().unwrap_or_default().to_owned()).collect()
    };
    eventually("two deliveries", || (told(&node, "firing").len() == 2).then_some(()));
    node.kill();
    dir.write("rules.yaml", &file(&[any("Stays")]));
    node.restart();
    node.ready();
    let resolved = told(&node, "resolved");
    assert!(resolved.len() == 1 && resolved[0].starts_with("Gone"), "{resolved:?}");
    assert_eq!(names(&node), ["Stays"]);
    node.kill();
    node.restart();
    node.ready();
    assert_eq!(told(&node, "resolved").len(), 1, "once");
}

#[test]
fn a_start_with_broken_files_goes_on_with_the_last_good_set() {
    let dir = Dir::new("reload-start");
    let rule_file = dir.write("rules.yaml", &file(&[any("A")]));
    let mut node = Node::start_with_rules(&dir, &rule_file, "rules_watch_interval_s: 1");
    node.ready();
    assert_eq!(node.terminate(), Some(0));
    dir.write("rules.yaml", "groups: [\n");
    node.restart();
    node.ready();
    assert_eq!(rules(&node), ["A"]);
    assert_eq!(node.metric("watchroom_rules_last_reload_successful", "") as u64, 0);
    assert!(node.get("/").contains("rules.yaml:"), "the board says what is wrong");
    let (lines, _) = orders(&dir, "53", "200");
    send(&node, &lines);
    eventually("it judges", || (names(&node) == ["A"]).then_some(()));
    dir.write("rules.yaml", &file(&[any("B"), any("A")]));
    eventually("the mended file is found", || (rules(&node) == ["B", "A"]).then_some(()));
    metric_is(&node, "watchroom_rules_last_reload_successful", 1);
    assert_eq!(names(&node), ["A"]);
}

/// Each line is judged by both rules of one set, whichever is at work: never by one of the old and one of the new.
#[test]
fn under_load_no_line_is_judged_by_half_a_set() {
    const ROUNDS: usize = 12;
    let dir = Dir::new("reload-load");
    let set = |version: usize| file(&[any(&format!("A{version}")), any(&format!("B{version}"))]);
    let rule_file = dir.write("rules.yaml", &set(0));
    let node = Node::start_with_rules(&dir, &rule_file, NO_WATCH);
    let (lines, of_orders) = orders(&dir, "54", "120000");
    // A part of the stream for each set: it changes when the set has judged some of its part and the rest is under way.
    let part = lines.len() / (ROUNDS + 1);
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    std::thread::scope(|scope| {
        let (begin, begun) = std::sync::mpsc::sync_channel::<usize>(1);
        let (lines, stream) = (&lines, &mut stream);
        scope.spawn(move || {
            for from in begun {
                let to = if from + 2 * part > lines.len() { lines.len() } else { from + part };
                let text = lines[from..to].join("\n") + "\n";
                stream.write_all(text.as_bytes()).expect("lines can be sent");
            }
        });
        for version in 0..=ROUNDS {
            if version > 0 {
                dir.write("rules.yaml", &set(version));
                assert_eq!(post_reload(&node), (200, "reloaded\n".to_owned()));
            }
            begin.send(version * part).expect("the sender waits for its parts");
            // A batch of lines, among which those of orders are many.
            node.judged((version * part + part / 4) as u64);
        }
    });
    drop(stream);
    node.judged(lines.len() as u64);
    let log = log(&dir);
    let of = |name: String| {
        let begin = format!("`{name}` is no more: its alerts ended (");
        let rest = log.split(&begin).nth(1).unwrap_or_else(|| panic!("no {begin} in {log}"));
        rest.split(' ').next().and_then(|count| count.parse::<u64>().ok()).expect("a count")
    };
    let mut counts: Vec<(u64, u64)> =
        (0..ROUNDS).map(|version| (of(format!("A{version}")), of(format!("B{version}")))).collect();
    let before: u64 = counts.iter().map(|(a, _)| a).sum();
    let last = eventually("each line counted, and once", || {
        let rules = json(&node, "/api/v1/rules");
        let of = |at: usize| rules["data"]["groups"][0]["rules"][at]["counts"]["matched"].as_u64();
        of(0).zip(of(1)).filter(|last| before + last.0 >= of_orders as u64)
    });
    counts.push(last);
    assert!(counts.iter().all(|(a, b)| a == b), "{counts:?}");
    assert_eq!(counts.iter().map(|(a, _)| a).sum::<u64>(), of_orders as u64, "{counts:?}");
    assert!(counts.iter().all(|(a, _)| *a > 0), "the changes came within the stream: {counts:?}");
    assert!(Path::new(&dir.path("data/rules.last-good.json")).exists());
}
