//! F1: the process ends at every kill point, several times each, under load. Together at least sixty kills.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use anyhow::{Result, ensure};
use torture::drill::{Drill, Ends, Fate};
use torture::node::Node;
use torture::receiver::{Plan, Reply};
use torture::rng::Rng;

use torture::load::{LISTENERS, Load, conclude, lines, sound, takes_all};

/// Kills at each point.
const KILLS: u32 = 5;
/// Lines of each sender of a drill.
const LINES: u64 = 4_000;
/// Small segments: many are made and given back.
const SMALL: &str = "journal: {segment_bytes: 65536, max_bytes: 16777216}\n";

/// Ends the node [`KILLS`] times at `point`, each time after up to `skips` unharmed passes.
fn drill(point: &str, skips: u64, more: &str, hook: Plan) {
    drill_with(point, skips, more, hook, |_| Ok(()), || {});
}

/// [`drill`] with something that is done to the node again and again, and once it was killed often enough.
fn drill_with(
    point: &str,
    skips: u64,
    more: &str,
    hook: Plan,
    poke: fn(&Node) -> Result<()>,
    enough: impl Fn(),
) {
    let run = || -> Result<()> {
        let mut rng = Rng::new(7);
        let mut drill = Drill::new(point, &format!("{LISTENERS}{more}"), hook, None)?;
        let mut load = Load::open();
        load.relp(&drill, lines("TA"), LINES, sound())?;
        load.relp(&drill, lines("TB").calm().with_eid(), LINES, sound())?;
        load.tcp(&drill, lines("TC").calm(), LINES, &mut rng)?;
        let name = point.to_owned();
        let fate = |ends: &Ends| match ends.get(&name) {
            Some(kills) if *kills >= KILLS => {
                enough();
                load.close();
                Fate::Live
            }
            _ => Fate::KillPoint { point: name.clone(), skips: rng.range(0, skips + 1), quota: 1_500 },
        };
        drill.keep_up(fate, |node| poke(node).map(|()| load.progress()))?;
        let passed = conclude(point, drill, load, false)?;
        let kills = passed.ends.get(point).copied().unwrap_or_default();
        ensure!(kills >= KILLS, "only {kills} kills: {:?}", passed.ends);
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{point}: {e:#}"));
}

#[test]
fn k01_read_not_in_the_journal() {
    drill("K1", 20, "", takes_all());
}

#[test]
fn k02_written_not_synced() {
    drill("K2", 20, "", takes_all());
}

#[test]
fn k03_synced_not_acknowledged() {
    drill("K3", 20, "", takes_all());
}

#[test]
fn k04_acknowledged_not_judged() {
    drill("K4", 20, "", takes_all());
}

#[test]
fn k05_within_the_outbox_transaction() {
    drill("K5", 1, "", takes_all());
}

#[test]
fn k08_trace_file_written_not_named() {
    drill("K8", 0, "", takes_all());
}

#[test]
fn k09_trace_file_named_not_recorded() {
    drill("K9", 0, "", takes_all());
}

#[test]
fn k10_attempt_on_record_not_sent() {
    drill("K10", 2, "", takes_all());
}

#[test]
fn k11_sent_not_answered() {
    let mut rng = Rng::new(11);
    let peace = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&peace);
    let hook = move || if !seen.load(SeqCst) && rng.percent(80) { Reply::Kill } else { Reply::Take };
    drill_with("K11", 0, "", Box::new(hook), |_| Ok(()), || peace.store(true, SeqCst));
}

#[test]
fn k12_answered_not_recorded() {
    drill("K12", 2, "", takes_all());
}

#[test]
fn k13_segment_made_not_named() {
    drill("K13-made", 3, SMALL, takes_all());
}

#[test]
fn k13_segment_named_not_used() {
    drill("K13-named", 3, SMALL, takes_all());
}

#[test]
fn k13_segment_given_back() {
    const POINT: &str = "K13-released";
    let run = || -> Result<()> {
        let more = "journal: {segment_bytes: 65536, retention_s: 0}\nsnapshot_interval_ms: 200\n";
        let mut drill = Drill::new(POINT, &format!("{LISTENERS}{more}"), takes_all(), None)?;
        let mut load = Load::default();
        load.relp(&drill, lines("TA"), LINES, sound())?;
        drill.keep_up(|_| Fate::Live, |_| Ok(load.progress()))?;
        drill.stop()?;
        // All is stored now: life after life gives segments back, and dies of it.
        let kills = std::cell::Cell::new(0);
        let fate = |ends: &Ends| {
            kills.set(ends.get(POINT).copied().unwrap_or_default());
            let armed = kills.get() < KILLS;
            if armed {
                Fate::KillPoint { point: POINT.to_owned(), skips: 0, quota: u64::MAX }
            } else {
                Fate::Live
            }
        };
        drill.keep_up(fate, |_| Ok((kills.get() < KILLS).then_some(0)))?;
        conclude(POINT, drill, load, false)?;
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{e:#}"));
}

#[test]
fn k15_within_a_reload() {
    drill_with("K15", 0, "", takes_all(), Node::change_rules, || {});
}

#[test]
fn k17_rules_changed_no_snapshot_taken() {
    drill_with("K17", 0, "", takes_all(), Node::change_rules, || {});
}

#[test]
fn k16_tables_made_not_committed() {
    drill("K16", 0, "", takes_all());
}

#[test]
fn s1_engine_snapshot_written_not_named() {
    drill("S1", 0, "", takes_all());
}

#[test]
fn s2_sender_snapshot_written_not_named() {
    drill("S2", 0, "", takes_all());
}
