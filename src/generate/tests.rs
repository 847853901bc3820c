//! The traffic as a whole: the same bytes by seed, sound lines, incidents that do what their truth says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use clap::Parser as _;

use super::Pace;
use super::catalog::MODULES;
use super::traffic::{Bound, Settings, Traffic};
use super::truth::Expected;

const START_MS: i64 = 1_767_578_400_000; // 2026-01-05T10:00:00+08:00

fn settings(bound: Bound, incidents: &[&str]) -> Settings {
    Settings {
        seed: 1,
        start_ms: START_MS,
        lines_per_second: 2_000,
        shuffle_ms: 20,
        other_formats: true,
        bound,
        incidents: incidents.iter().map(|i| i.parse().unwrap()).collect(),
    }
}

fn text_of(settings: Settings) -> (String, Traffic) {
    let mut traffic = Traffic::new(settings);
    let mut out = Vec::new();
    while traffic.next_line(&mut out).is_some() {
        out.push(b'\n');
    }
    (String::from_utf8(out).unwrap(), traffic)
}

/// FNV-1a, so that the expected value is easy to check by other means.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// A line's own time, read back from its text; all of these logs lie within one day.
fn time_ms(line: &str) -> i64 {
    let rest = line.strip_prefix("2026-01-05 ").unwrap();
    let number = |range: std::ops::Range<usize>| rest.get(range).unwrap().parse::<i64>().unwrap();
    let of_day_ms = ((number(0..2) * 60 + number(3..5)) * 60 + number(6..8)) * 1_000 + number(9..12);
    START_MS - 10 * 3_600_000 + of_day_ms
}

/// Time, channel and response code of a record.
type Record<'a> = (i64, &'a str, &'a str);

/// The records of a text; only `order-trace` lines.
fn records(text: &str) -> Vec<Record<'_>> {
    text.lines()
        .filter_map(|line| {
            let c: Vec<&str> = line.split("||").collect();
            (c.len() == 66).then(|| (time_ms(line), c[13], c[9]))
        })
        .collect()
}

fn is_error(code: &str) -> bool {
    matches!(code, "NET_ERR" | "TIMEOUT")
}

/// `ChannelNetworkDown` from the definition, at every record's instant: an independent reading of the text itself.
fn network_down(records: &[Record<'_>]) -> Vec<(String, i64)> {
    let mut by_channel: BTreeMap<&str, Vec<(i64, bool)>> = BTreeMap::new();
    for &(time, channel, code) in records {
        if is_error(code) || code == "0000" {
            by_channel.entry(channel).or_default().push((time, is_error(code)));
        }
    }
    let mut fired = Vec::new();
    for (channel, mut events) in by_channel {
        events.sort_unstable();
        let mut was_active = false;
        for end in 0..events.len() {
            let last = &events[(end + 1).saturating_sub(12)..=end];
            let active = last.len() == 12 && last.iter().all(|e| e.1) && last[0].0 > events[end].0 - 60_000;
            if active && !was_active {
                fired.push((channel.to_owned(), events[end].0));
            }
            was_active = active;
        }
    }
    fired
}

/// Seconds at which `NetworkTroubleTotal` is active, by definition.
fn trouble_total(records: &[Record<'_>]) -> BTreeSet<i64> {
    let errors: Vec<_> = records.iter().filter(|r| is_error(r.2)).collect();
    let seconds: BTreeSet<i64> = errors.iter().map(|r| r.0.div_euclid(1_000)).collect();
    seconds
        .into_iter()
        .filter(|s| {
            let inside: Vec<_> = errors
                .iter()
                .filter(|r| r.0.div_euclid(1_000) > s - 600 && r.0.div_euclid(1_000) <= *s)
                .collect();
            inside.len() >= 25 && inside.iter().map(|r| r.1).collect::<BTreeSet<_>>().len() >= 3
        })
        .collect()
}

/// Errors in the weakest minute of the worst ten minutes: `NetworkTrouble` needs at least three.
fn weakest_minute(records: &[Record<'_>]) -> usize {
    let mut minutes: BTreeMap<i64, usize> = BTreeMap::new();
    for &(time, _, code) in records {
        *minutes.entry(time.div_euclid(60_000)).or_default() += usize::from(is_error(code));
    }
    let counts: Vec<usize> = minutes.into_values().collect();
    counts.windows(10).map(|w| w.iter().copied().min().unwrap()).max().unwrap_or(0)
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_ever() {
    let (text, _) = text_of(settings(Bound::Lines(20_000), &["network:GHT@+3sx5s"]));
    let (again, _) = text_of(settings(Bound::Lines(20_000), &["network:GHT@+3sx5s"]));
    assert!(text == again);
    expect_test::expect!["7d0f2d50d107442e"].assert_eq(&format!("{:016x}", hash(&text)));
    let other = text_of(Settings { seed: 2, ..settings(Bound::Lines(20_000), &[]) }).0;
    assert!(text != other);
}

#[test]
fn lines_have_66_columns_of_the_expected_size() {
    let (text, traffic) = text_of(settings(Bound::Lines(50_000), &[]));
    let mut modules = BTreeSet::new();
    let (mut traces, mut bytes) = (0usize, 0usize);
    for line in text.lines() {
        let columns: Vec<&str> = line.split("||").collect();
        match columns.len() {
            66 => {
                modules.insert(columns[2].to_owned());
                assert!(columns[3].starts_with(&format!("{}-", columns[2])), "{line}");
                traces += 1;
                bytes += line.len();
            }
            8 => assert_eq!(columns[6], "application/json"),
            1 => assert!(line.starts_with("act=") || line.contains(" INFO [main] "), "{line}"),
            n => panic!("{n} columns: {line}"),
        }
    }
    assert_eq!(modules.len(), MODULES.len());
    let share = 100.0 * (50_000 - traces) as f64 / 50_000.0;
    assert!((0.5..2.0).contains(&share), "{share} % of other formats");
    let average = bytes / traces;
    assert!((640..=680).contains(&average), "{average} bytes a line");
    let per_order = 50_000.0 / traffic.orders_begun() as f64;
    assert!((29.0..32.0).contains(&per_order), "{per_order} lines an order");
    let log_s = (time_ms(text.lines().last().unwrap()) - START_MS) as f64 / 1_000.0;
    assert!((23.0..27.0).contains(&log_s), "50,000 lines at 2,000 a second take {log_s} s of log time");
}

#[test]
fn an_order_ends_and_its_times_never_go_back() {
    let (text, traffic) = text_of(Settings { shuffle_ms: 500, ..settings(Bound::Orders(500), &[]) });
    assert_eq!(traffic.orders_begun(), 500);
    let mut orders: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    let mut highest = 0;
    for line in text.lines() {
        let c: Vec<&str> = line.split("||").collect();
        if c.len() == 66 {
            orders.entry(c[4]).or_default().push((time_ms(line), c[3]));
            assert!(time_ms(line) >= highest - 500, "{line}");
            highest = highest.max(time_ms(line));
        }
    }
    assert_eq!(orders.len(), 500);
    for (order, steps) in orders {
        assert!(steps.is_sorted_by_key(|(time, _)| *time), "{order}");
        assert_eq!(steps[0].1, "网关-接收请求", "{order}");
        assert_eq!(steps.last().unwrap().1, "网关-返回结果", "{order}");
    }
}

#[test]
fn ordinary_traffic_has_errors_and_never_cries_wolf() {
    for (seed, lines_per_second, minutes) in [(1, 200, 12), (2, 60, 40), (3, 20, 60)] {
        let base = settings(Bound::Duration(minutes * 60_000), &[]);
        let (text, traffic) = text_of(Settings { seed, lines_per_second, ..base });
        let records = records(&text);
        let errors = records.iter().filter(|r| is_error(r.2)).count();
        assert!(errors > 5, "seed {seed}: {errors} errors");
        assert_eq!(network_down(&records), [], "seed {seed}");
        assert!(trouble_total(&records).is_empty(), "seed {seed}");
        assert!(weakest_minute(&records) < 3, "seed {seed}");
        assert_eq!(traffic.truth.expected(), [], "seed {seed}");
    }
}

#[test]
fn the_classic_incident_fires_exactly_once() {
    for (seed, lines_per_second) in [(1, 300), (2, 100), (3, 30)] {
        let base = settings(Bound::Duration(8 * 60_000), &["network:GHT@+240s"]);
        let (text, traffic) = text_of(Settings { seed, lines_per_second, shuffle_ms: 800, ..base });
        let records = records(&text);
        let fired = network_down(&records);
        assert_eq!(fired.len(), 1, "seed {seed}: {fired:?}");
        assert!(trouble_total(&records).is_empty() && weakest_minute(&records) < 3, "seed {seed}");
        let truth = traffic.truth.expected();
        assert_eq!(truth.len(), 1, "{truth:?}");
        assert_eq!((truth[0].alert, truth[0].channel), ("ChannelNetworkDown", Some("GHT")));
        assert_eq!(fired, [("GHT".to_owned(), truth[0].from_ms)], "seed {seed}");
        assert!(
            truth[0].to_ms.is_some_and(|to| (START_MS + 268_000..START_MS + 330_000).contains(&to)),
            "{truth:?}"
        );
    }
}

#[test]
fn no_channel_in_a_network_incident_answers() {
    let (text, _) = text_of(settings(Bound::Duration(120_000), &["network:UMP@+60s"]));
    let inside =
        records(&text).into_iter().filter(|r| r.1 == "UMP" && (60_000..90_000).contains(&(r.0 - START_MS)));
    let codes: BTreeSet<&str> = inside.map(|r| r.2).collect();
    assert_eq!(codes, BTreeSet::from(["", "NET_ERR", "TIMEOUT"]));
}

#[test]
fn trouble_over_three_channels() {
    let base = settings(Bound::Duration(16 * 60_000), &["sustained:ALI@+2m"]);
    let (text, traffic) = text_of(Settings { lines_per_second: 150, ..base });
    let trouble = records(&text);
    assert!(weakest_minute(&trouble) >= 3);
    assert_eq!(network_down(&trouble), []);
    let names: Vec<&str> = traffic.truth.expected().iter().map(|e: &Expected| e.alert).collect();
    assert_eq!(names, ["NetworkTrouble", "NetworkTroubleTotal"]);

    let base = settings(Bound::Duration(10 * 60_000), &["total:ALI@+2m"]);
    let (text, traffic) = text_of(Settings { lines_per_second: 150, ..base });
    let active = trouble_total(&records(&text));
    let truth = traffic.truth.expected();
    assert_eq!(truth.len(), 1, "{truth:?}");
    assert_eq!(truth[0].alert, "NetworkTroubleTotal");
    assert_eq!(active.first().map(|s| s * 1_000), Some(truth[0].from_ms));
}

#[test]
fn decline_slow_and_silent_change_one_channel() {
    let incidents = ["decline:GHT@+30sx60s", "slow:UMP@+30sx60s", "silent:ALI@+30sx60s"];
    let (text, traffic) = text_of(settings(Bound::Duration(100_000), &incidents));
    let (mut refused, mut answered, mut slow, mut quiet) = (0, 0, 0, 0);
    for line in text.lines() {
        let c: Vec<&str> = line.split("||").collect();
        if c.len() != 66 || !(40_000..90_000).contains(&(time_ms(line) - START_MS)) {
            continue;
        }
        if c[13] == "GHT" && c[3] == "通道适配器-发三方后" && c[9] != "9000" {
            answered += 1;
            refused += usize::from(c[21] == "false");
        }
        slow +=
            usize::from(c[13] == "UMP" && c[36].parse::<u64>().unwrap() > 600 && c[3].ends_with("发三方后"));
        quiet += usize::from(c[13] == "ALI");
    }
    assert!(refused * 2 > answered && answered > 20, "{refused} of {answered}");
    assert!(slow > 20, "{slow}");
    assert!(quiet < 40, "{quiet}");
    assert_eq!(traffic.truth.expected(), []);
}

#[test]
fn card_numbers_show_now_and_then() {
    let (text, traffic) = text_of(settings(Bound::Lines(100_000), &[]));
    let shown = text.lines().filter(|line| line.contains("用户输入卡号 ")).count();
    assert_eq!(shown as u64, traffic.cards);
    assert!((1..30).contains(&shown), "{shown}");
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: super::Args,
}

/// Runs the command with these arguments and `--syslog SCHEME://` a listener; gives back what a connection received.
fn sent_over_tcp(scheme: &str, arguments: &[&str]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    let all = ["generate", "--syslog", &url].into_iter().chain(arguments.iter().copied());
    let cli = Cli::parse_from(all);
    std::thread::scope(|scope| {
        let received = scope.spawn(|| {
            let mut bytes = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut bytes).unwrap();
            bytes
        });
        super::run(&cli.args).unwrap();
        received.join().unwrap()
    })
}

#[test]
fn tcp_frames_by_line_end_or_by_count() {
    let by_line = String::from_utf8(sent_over_tcp("tcp", &["--lines", "300"])).unwrap();
    assert_eq!(by_line.lines().count(), 300);
    let start = "<134>1 2026-01-05T10:00:00.000+08:00 pay-gw-01 gateway - - - 2026-01-05 10:00:00.000||";
    assert!(by_line.starts_with(start), "{}", by_line.lines().next().unwrap());

    let by_count = sent_over_tcp("tcp+octet", &["--lines", "300"]);
    let mut rest = by_count.as_slice();
    for line in by_line.lines() {
        let space = rest.iter().position(|b| *b == b' ').unwrap();
        let count: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
        assert_eq!(&rest[space + 1..space + 1 + count], line.as_bytes());
        rest = &rest[space + 1 + count..];
    }
    assert!(rest.is_empty());
}

#[test]
fn udp_sends_a_datagram_a_line() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    let arguments = ["generate", "--syslog", &url, "--lines", "20", "--syslog-format", "rfc3164"];
    super::run(&Cli::parse_from(arguments).args).unwrap();
    let mut datagram = [0; 2_048];
    for _ in 0..20 {
        let length = socket.recv(&mut datagram).unwrap();
        let text = std::str::from_utf8(&datagram[..length]).unwrap();
        assert!(text.starts_with("<134>Jan  5 10:00:0") && !text.ends_with('\n'), "{text}");
    }
}

#[test]
fn gb18030_says_the_same_in_other_bytes() {
    let utf8 = sent_over_tcp("tcp", &["--lines", "200"]);
    let gb = sent_over_tcp("tcp", &["--lines", "200", "--encoding", "gb18030"]);
    assert!(std::str::from_utf8(&gb).is_err());
    assert_eq!(encoding_rs::GB18030.decode(&gb).0, String::from_utf8(utf8).unwrap());
}

#[test]
fn wrong_arguments_are_refused() {
    for wrong in [
        vec!["--lines", "1", "--orders", "1"],
        vec!["--incident", "network:GHT"],
        vec!["--start", "yesterday"],
        vec!["--duration", "10"],
        vec!["--syslog", "http://a:1"],
        vec!["--file", "a", "--syslog", "udp://a:1"],
    ] {
        let all = ["generate"].into_iter().chain(wrong.iter().copied());
        assert!(Cli::try_parse_from(all).is_err(), "{wrong:?}");
    }
}

#[test]
fn lines_are_due_by_rate_or_by_their_own_time() {
    let line = Traffic::new(settings(Bound::Lines(1), &[])).advance().unwrap();
    assert_eq!(Pace::Free.due(7, &line), Duration::ZERO);
    assert_eq!(Pace::Rate(500.0).due(250, &line), Duration::from_millis(500));
    assert_eq!(Pace::Wall(line.due_ms - 40).due(7, &line), Duration::from_millis(40));
}

#[test]
fn the_truth_is_written_as_json_lines() {
    let base = settings(Bound::Duration(100_000), &["network:GHT@+10s", "slow:UMP@+10s"]);
    let (_, traffic) = text_of(Settings { lines_per_second: 300, ..base });
    let text = String::from_utf8(super::truth::write_json(&traffic.truth)).unwrap();
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 3, "{text}");
    assert_eq!(objects[0]["from"], "2026-01-05T02:00:10.000Z");
    assert_eq!(objects[1]["incident"], "slow");
    assert_eq!(objects[2]["labels"], serde_json::json!({"channel": "GHT"}));
    assert_eq!(objects[2]["fired_at"], "2026-01-05T02:00:32.000Z");
}
