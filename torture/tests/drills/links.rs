//! F4, F5: links cut in the middle of a frame, answers lost, bytes one by one, resets. The node lives all the while.

use std::time::Duration;

use anyhow::{Result, ensure};
use torture::drill::{Drill, Fate};
use torture::proxy::{Link, Plan};
use torture::rng::Rng;

use torture::load::{LISTENERS, Load, conclude, lines, takes_all};

fn drill(name: &str, count: u64, plan: impl Fn(u64) -> Plan, enough: impl Fn(u64, u64) -> bool) {
    let run = || -> Result<()> {
        let mut drill = Drill::new(name, LISTENERS, takes_all(), None)?;
        let mut load = Load::default();
        load.relp(&drill, lines("TA"), count, plan(1))?;
        load.relp(&drill, lines("TB").calm().with_eid(), count, plan(2))?;
        drill.keep_up(|_| Fate::Live, |_| Ok(load.progress()))?;
        let (cuts, lost) = load.borne();
        conclude(name, drill, load, false)?;
        ensure!(enough(cuts, lost), "only {cuts} cuts, {lost} links with lost answers");
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{name}: {e:#}"));
}

#[test]
fn cut_at_a_byte() {
    let plan = |seed| -> Plan {
        let mut rng = Rng::new(40 + seed);
        Box::new(move || Link {
            cut_up: Some(rng.range(100, 90_000)),
            reset: rng.percent(30),
            delay: rng.percent(20).then_some(Duration::from_millis(3)),
            ..Link::default()
        })
    };
    drill("cuts", 6_000, plan, |cuts, _| cuts >= 50);
}

#[test]
fn answers_lost() {
    let plan = |seed| -> Plan {
        let mut rng = Rng::new(50 + seed);
        let mut links = 0;
        Box::new(move || {
            links += 1;
            // The first answer, to `open`, has about a hundred bytes; one to a message about a dozen.
            let lose_down = (links <= 12).then(|| rng.range(60, 6_000));
            Link { lose_down, ..Link::default() }
        })
    };
    drill("acks-lost", 8_000, plan, |_, lost| lost >= 20);
}

#[test]
fn byte_by_byte() {
    let plan = |seed| -> Plan {
        let mut rng = Rng::new(60 + seed);
        Box::new(move || Link { slice: true, cut_up: Some(rng.range(10_000, 60_000)), ..Link::default() })
    };
    drill("slices", 400, plan, |cuts, _| cuts >= 2);
}
