//! The traffic as a whole: the same bytes by seed, sound lines, incidents that do what their truth says.

use std::collections::{BTreeMap, BTreeSet};

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

/// Milliseconds since START_MS of a line's own time column, read back from its text.
fn time_ms(line: &str) -> i64 {
    let time =
        chrono::NaiveDateTime::parse_from_str(line.get(..23).unwrap(), "%Y-%m-%d %H:%M:%S%.3f").unwrap();
    time.and_utc().timestamp_millis() - 8 * 3_600_000
}

/// The records of a text: time, channel, response code. Only `order-trace` lines.
fn records(text: &str) -> Vec<(i64, &str, &str)> {
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
fn network_down(text: &str) -> Vec<(String, i64)> {
    let mut by_channel: BTreeMap<&str, Vec<(i64, bool)>> = BTreeMap::new();
    for (time, channel, code) in records(text) {
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
fn trouble_total(text: &str) -> BTreeSet<i64> {
    let errors: Vec<_> = records(text).into_iter().filter(|r| is_error(r.2)).collect();
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
fn weakest_minute(text: &str) -> usize {
    let mut minutes: BTreeMap<i64, usize> = BTreeMap::new();
    for (time, _, code) in records(text) {
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
    expect_test::expect!["6adbed64f55864e9"].assert_eq(&format!("{:016x}", hash(&text)));
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
        let errors = records(&text).iter().filter(|r| is_error(r.2)).count();
        assert!(errors > 5, "seed {seed}: {errors} errors");
        assert_eq!(network_down(&text), [], "seed {seed}");
        assert!(trouble_total(&text).is_empty(), "seed {seed}");
        assert!(weakest_minute(&text) < 3, "seed {seed}");
        assert_eq!(traffic.truth.expected(), [], "seed {seed}");
    }
}

#[test]
fn the_classic_incident_fires_exactly_once() {
    for (seed, lines_per_second) in [(1, 300), (2, 100), (3, 30)] {
        let base = settings(Bound::Duration(8 * 60_000), &["network:GHT@+240s"]);
        let (text, traffic) = text_of(Settings { seed, lines_per_second, shuffle_ms: 800, ..base });
        let fired = network_down(&text);
        assert_eq!(fired.len(), 1, "seed {seed}: {fired:?}");
        assert!(trouble_total(&text).is_empty() && weakest_minute(&text) < 3, "seed {seed}");
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
    assert!(weakest_minute(&text) >= 3);
    assert_eq!(network_down(&text), []);
    let names: Vec<&str> = traffic.truth.expected().iter().map(|e: &Expected| e.alert).collect();
    assert_eq!(names, ["NetworkTrouble", "NetworkTroubleTotal"]);

    let base = settings(Bound::Duration(10 * 60_000), &["total:ALI@+2m"]);
    let (text, traffic) = text_of(Settings { lines_per_second: 150, ..base });
    let active = trouble_total(&text);
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
