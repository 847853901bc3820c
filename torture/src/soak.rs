//! The long run: campaign after campaign, each with senders, links, receivers and ends of its own, all from one seed.
//!
//! A seed repeats the schedule, not the timing of threads. Refuses to know: how long.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::drill::{Drill, Ends, Fate};
use crate::driver::malformed::annoy;
use crate::load::{LISTENERS, Load, conclude, lines};
use crate::node::Node;
use crate::proxy::{Link, Plan as LinkPlan};
use crate::receiver::{Plan, Reply};
use crate::rng::Rng;

/// Lines of each sender of a campaign.
const LINES: (u64, u64) = (4_000, 20_000);
/// Lines between two ends of the node.
const QUOTA: (u64, u64) = (200, 8_000);
/// Ends of the node in a campaign at most; behind them it lives until the load is over.
const ENDS_MAX: u32 = 30;
/// Requests to a receiver that may fail; behind them it takes all, so that a campaign comes to rest.
const FAULTS_MAX: u32 = 10;
const POINTS: [&str; 13] =
    ["K1", "K2", "K3", "K4", "K5", "K8", "K9", "K10", "K12", "K13-made", "K13-named", "S1", "S2"];
/// Small segments, released as soon as nothing needs them: all that segments go through happens in a campaign.
const SMALL: &str = "journal: {segment_bytes: 262144, retention_s: 0}\nsnapshot_interval_ms: 500\n";

/// One campaign of a seed. Says what it does on stderr.
///
/// # Errors
/// Every violation found, with the seed.
pub fn campaign(seed: u64) -> Result<Ends> {
    run(seed).with_context(|| format!("campaign of seed {seed}"))
}

fn run(seed: u64) -> Result<Ends> {
    let mut rng = Rng::new(seed);
    let more = format!("{LISTENERS}{}", if rng.percent(50) { SMALL } else { "" });
    let (hook, mail) = (faulty(rng.fork(), true), faulty(rng.fork(), false));
    let mut drill = Drill::new(&format!("soak-{seed}"), &more, hook, Some(mail))?;
    let mut load = Load::default();
    let count = |rng: &mut Rng| rng.range(LINES.0, LINES.1);
    load.relp(&drill, lines("TA"), count(&mut rng), links(rng.fork()))?;
    load.relp(&drill, lines("TB").calm().with_eid(), count(&mut rng), links(rng.fork()))?;
    load.relp(&drill, lines("TC").calm(), count(&mut rng), links(rng.fork()))?;
    let tcp = count(&mut rng);
    load.tcp(&drill, lines("TD").calm(), tcp, &mut rng)?;
    let strangers = rng.percent(30);
    let mut chance = rng.fork();
    let mut calls: u64 = 0;
    let progress = |node: &Node| {
        calls += 1;
        if strangers && calls.is_multiple_of(50) {
            let input = if chance.percent(50) { "tcp" } else { "relp" };
            if let Some(at) = node.front().get(input) {
                annoy(at, &mut chance);
            }
        }
        Ok(load.progress())
    };
    drill.keep_up(|ends| fate(ends, &mut rng), progress)?;
    let passed = conclude(&format!("seed {seed}"), drill, load, strangers)?;
    Ok(passed.ends)
}

fn fate(ends: &Ends, rng: &mut Rng) -> Fate {
    if ends.values().sum::<u32>() >= ENDS_MAX {
        return Fate::Live;
    }
    let quota = rng.range(QUOTA.0, QUOTA.1);
    match rng.range(0, 10) {
        0..4 => Fate::Kill(quota),
        4..6 => Fate::Term(quota),
        _ => {
            let point = POINTS[rng.range(0, POINTS.len() as u64) as usize].to_owned();
            Fate::KillPoint { point, skips: rng.range(0, 12), quota }
        }
    }
}

/// Links of which a third is sound.
fn links(mut rng: Rng) -> LinkPlan {
    Box::new(move || match rng.range(0, 6) {
        0 => Link { cut_up: Some(rng.range(100, 900_000)), reset: rng.percent(30), ..Link::default() },
        1 => Link { lose_down: Some(rng.range(60, 40_000)), ..Link::default() },
        2 => Link {
            delay: Some(Duration::from_millis(rng.range(1, 20))),
            cut_up: Some(rng.range(100, 900_000)),
            ..Link::default()
        },
        3 => Link { cut_up: Some(rng.range(100, 5_000)), slice: true, ..Link::default() },
        _ => Link::default(),
    })
}

/// A receiver that sometimes fails.
fn faulty(mut rng: Rng, hangs: bool) -> Plan {
    let mut faults = 0;
    Box::new(move || {
        if faults >= FAULTS_MAX || rng.percent(60) {
            return Reply::Take;
        }
        faults += 1;
        match rng.range(0, 5) {
            0 => Reply::Cut,
            1 => Reply::Kill,
            2 => Reply::Refuse,
            3 if hangs => Reply::Hang,
            _ => Reply::SlowDown,
        }
    })
}
