//! The rules pages in a real browser: an SRE finds the rule, sees which key fires, asks why, and tries a change on the past.

use std::io::Write;
use std::net::TcpStream;

use crate::browser::Browser;
use crate::support::{Dir, Node, after_an_incident, eventually, soon};

#[test]
fn an_sre_goes_from_the_rule_to_the_reason_and_tries_a_change() {
    let dir = Dir::new("rules");
    let (node, _, start) = after_an_incident(&dir);
    let browser = Browser::start(&dir, 1280);
    // A click does not always wait for the page that it leads to.
    let check = |words: &[&str]| {
        eventually(&format!("a page with {words:?}"), || {
            let text = browser.text();
            words.iter().all(|word| text.contains(word)).then_some(())
        });
    };
    browser.open(&format!("http://{}/", node.address("web")));
    browser.follow("Rules");
    check(&["ChannelNetworkDown", "consecutive at least 12 in a row", "CRITICAL", "rules.d/network.yaml"]);
    browser.fill("input[name=q]", "severity=critical");
    browser.press(".filter button");
    eventually("the filter holds", || {
        let text = browser.text();
        (text.contains("ChannelNetworkDown") && !text.contains("NetworkTroubleTotal")).then_some(())
    });
    browser.follow("ChannelNetworkDown");
    eventually("the key fires", || {
        browser.run("location.reload()");
        browser.text().contains("▲ firing").then_some(())
    });
    check(&["channel GHT", "in a row of at least 12", "kind: consecutive", "Evaluations"]);

    let rule_page = browser.run("return location.href");
    let end =
        chrono::DateTime::parse_from_rfc3339(&start).expect("an instant") + chrono::TimeDelta::minutes(5);
    browser.fill("#backtest input[name=from]", &start);
    browser.fill("#backtest input[name=to]", &end.to_rfc3339());
    browser.press("#backtest button");
    check(&["Alerts it would have raised", "ChannelNetworkDown", "GHT", "would have fired"]);

    browser.fill("#backtest textarea", "- alert: Trial\n  kind: frequency\n  where: response_code == \"NET_ERR\"\n  count: 1000000\n  within: 1m\n");
    browser.press("#backtest button");
    check(&["No alert:", "None."]);

    browser.fill("#backtest textarea", "- alert: Trial\n  kind: any\n  where: chanel == \"GHT\"\n");
    browser.press("#backtest button");
    check(&["Nothing was run", "has no field `chanel`; did you mean `channel`?"]);
    let place =
        "return [...document.querySelectorAll('tr.failed > .num')].map(cell => cell.innerText).join(':')";
    assert_eq!(browser.run(place), "3:10", "line and column of what was typed");

    browser.open(rule_page.as_str().expect("an address"));
    ask_why(&browser);
    check(&[
        "Why? ChannelNetworkDown",
        "▲ firing at",
        "The numbers",
        "Threshold count",
        "in a row of at least 12",
        "Lines of this key",
    ]);
    let bars = browser.run("return document.querySelectorAll('.bars rect').length").as_u64();
    assert!(bars > Some(0), "the buckets are drawn");
}

/// From a rule's page to the reason of its key. A judge that is busy for two seconds tells a page no keys.
fn ask_why(browser: &Browser) {
    eventually("the rule's page has its key", || {
        let is_there = browser.text().contains("why?");
        if !is_there {
            browser.run("location.reload()");
        }
        is_there.then_some(())
    });
    browser.follow("why?");
}

#[test]
fn nothing_sticks_out_on_a_telephone() {
    let dir = Dir::new("narrow");
    let (node, ..) = after_an_incident(&dir);
    let browser = Browser::start(&dir, 400);
    for path in ["/rules", "/rules/ChannelNetworkDown", "/rules/ChannelNetworkDown/explain?at=2016-07-22"] {
        browser.open(&format!("http://{}{path}", node.address("web")));
        let width = browser.run("return document.documentElement.scrollWidth").as_u64();
        assert_eq!(width, Some(400), "{path} is wider than its window");
    }
}

#[test]
fn rules_and_keys_are_never_html() {
    let evil = "<script>document.title='owned'</script>";
    let dir = Dir::new("rules-xss");
    let text = format!(
        "groups:\n- name: \"{evil}\"\n  rules:\n  - alert: \"{evil}\"\n    kind: any\n    by: [channel]\n    labels: {{severity: \"{evil}\"}}\n    annotations: {{summary: \"{evil}\"}}\n"
    );
    let rules = dir.write("evil.yaml", &text);
    let node = Node::start_with_rules(&dir, &rules, "");
    let mut columns = vec![String::new(); 66];
    let at = chrono::DateTime::parse_from_rfc3339(&soon()).expect("an instant");
    columns[0] = at.with_timezone(&chrono_tz::Asia::Shanghai).format("%Y-%m-%d %H:%M:%S.000").to_string();
    columns[4] = format!("ORDER{evil}");
    columns[13] = evil.to_owned();
    let mut stream = TcpStream::connect(node.address("tcp")).expect("the listener accepts");
    stream.write_all((columns.join("||") + "\n").as_bytes()).expect("a line can be sent");
    node.judged(1);
    let browser = Browser::start(&dir, 1280);
    let unharmed = |what: &str, words: &str| {
        eventually(&format!("{what}: the text as text"), || {
            let text = browser.text();
            (text.contains(evil) && text.contains(words)).then_some(())
        });
        assert_ne!(browser.title(), "owned", "{what}: a script ran");
    };
    browser.open(&format!("http://{}/rules", node.address("web")));
    unharmed("the list", "Last fired");
    browser.follow(evil);
    unharmed("the rule", "State by key");
    browser.press("#backtest button");
    unharmed("the backtest", "Alerts it would have raised");
    browser.fill("#backtest textarea", &format!("- alert: {evil}\n  kind: {evil}\n"));
    browser.press("#backtest button");
    unharmed("the backtest's errors", "Nothing was run");
    browser.open(&format!("http://{}/rules", node.address("web")));
    browser.follow(evil);
    unharmed("the rule", "State by key");
    ask_why(&browser);
    unharmed("the explanation", "Why? ");
}
