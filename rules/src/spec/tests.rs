//! Rules as files say them, and what becomes of them.

use std::sync::Arc;

use record::FormatSet;

use super::*;
use crate::rule::{Distinct, Kind};

fn load(text: &str) -> Result<RuleSet, Vec<RuleError>> {
    let formats = Arc::new(FormatSet::shipped(chrono_tz::Asia::Shanghai));
    RuleSet::load(&[RuleFile { name: "r.yaml".to_owned(), text: text.to_owned() }], &formats)
}

#[test]
fn the_shipped_network_rules_become_what_they_say() {
    let set = load(include_str!("../../../rules.d/network.yaml")).unwrap();
    assert_eq!(set.len(), 3);
    let [down, trouble, total] = &set.rules[..] else { panic!("three rules") };
    assert_eq!(&*down.alert, "ChannelNetworkDown");
    assert!(matches!(&down.kind, Kind::Consecutive { count: 12, within_ms: 60_000, reset: Some(_) }));
    assert_eq!(down.by, [(Arc::from("channel"), 13)]);
    assert_eq!((down.lateness_ms, down.settle_ms, down.for_ms, down.samples), (5000, 0, 0, 5));
    assert_eq!((down.sum, down.order), (Some(30), Some(4)));
    assert_eq!(down.labels["severity"], "critical");
    let distinct = Some(Distinct { field: 13, min: 3, per_step: false });
    assert!(
        matches!(&trouble.kind, Kind::Sustained { count: 3, every_ms: 60_000, within_ms: 600_000, distinct: d } if *d == distinct)
    );
    assert!(
        matches!(&total.kind, Kind::Frequency { count: 25, within_ms: 600_000, distinct: d } if *d == distinct)
    );
    assert_eq!(set.infos()[0].summary, "at least 12 in a row without a reset within 1m, by channel");
}
