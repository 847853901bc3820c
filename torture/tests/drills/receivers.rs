//! F19, F20: receivers that refuse, slow down, hang, or go away within an exchange; and the whole life of an alert
//! through kills.

use std::cell::Cell;
use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use torture::clock::{now, wall_ms};
use torture::deliveries;
use torture::drill::{Drill, Fate};
use torture::lines::Lines;
use torture::receiver::{Plan, Reply};
use torture::rng::Rng;

use torture::load::{LISTENERS, Load, conclude, lines, sound, takes_all};

/// Faults for the first requests, then none.
fn faulty(seed: u64, faults: u64, choice: &'static [Reply]) -> Plan {
    let mut rng = Rng::new(seed);
    let mut asked = 0;
    Box::new(move || {
        asked += 1;
        if asked > faults { Reply::Take } else { choice[rng.range(0, choice.len() as u64) as usize] }
    })
}

#[test]
fn receivers_that_fail() {
    let run = || -> Result<()> {
        use Reply::{Cut, Hang, Kill, Refuse, SlowDown, Take};
        let hook = faulty(19, 16, &[Take, Cut, Refuse, SlowDown, Hang, Kill, Take]);
        let mail = faulty(20, 16, &[Take, Cut, Refuse, SlowDown, Kill, Take]);
        let mut drill = Drill::new("receivers", LISTENERS, hook, Some(mail))?;
        let mut load = Load::default();
        load.relp(&drill, lines("TA"), 3_000, sound())?;
        drill.keep_up(|_| Fate::Live, |_| Ok(load.progress()))?;
        // Deliveries go on, and so may the kills: until each that is known has ended, the node is kept up.
        let data = drill.node.data().to_path_buf();
        let open = move || -> Result<bool> {
            let all = deliveries::all(&data)?;
            Ok(all.len() < 2 || all.values().any(|d| !matches!(d.state.as_str(), "sent" | "dead")))
        };
        drill.keep_up(|_| Fate::Live, |_| Ok(open()?.then_some(0)))?;
        let passed = conclude("receivers", drill, load, false)?;
        ensure!(passed.deliveries >= 2 * passed.alerts, "{passed:?}");
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{e:#}"));
}

#[test]
fn an_alert_fires_and_resolves_once_through_kills() {
    const LINES: u64 = 1_000;
    const INCIDENTS: usize = 3;
    let run = || -> Result<()> {
        let mut rng = Rng::new(33);
        let mut drill = Drill::new("resolved", LISTENERS, takes_all(), Some(takes_all()))?;
        let mut load = Load::default();
        // All lines come while the clock is before their times (and so none is late): a node that is up needs no second
        // for them.
        drill.node.up()?;
        drill.node.ready()?;
        load.relp(&drill, Lines::new("TA", wall_ms(), 15_000), LINES, sound())?;
        drill.keep_up(|_| Fate::Live, |_| Ok(load.progress()))?;
        let data = drill.node.data().to_path_buf();
        let begun = now();
        let kills = Cell::new(0);
        let fate = |ends: &torture::drill::Ends| {
            kills.set(ends.get("SIGKILL").copied().unwrap_or_default());
            if kills.get() < 8 { Fate::Kill(rng.range(1, 4_000)) } else { Fate::Live }
        };
        drill.keep_up(fate, |_| {
            let resolved: BTreeSet<String> = deliveries::all(&data)?
                .into_values()
                .filter(|d| {
                    d.status == "resolved" && d.state == "sent" && d.target.starts_with("duty/webhook")
                })
                .map(|d| d.alert_id)
                .collect();
            // Time is progress, too: kills come while the watermark passes.
            let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            Ok((resolved.len() < INCIDENTS || kills.get() < 2).then_some(elapsed_ms))
        })?;
        let passed = conclude("resolved", drill, load, false)?;
        ensure!(passed.ends.contains_key("SIGKILL"), "{passed:?}");
        // One channel each, and the sum over all of them if it fired; each with two receivers.
        ensure!(passed.alerts >= INCIDENTS, "{passed:?}");
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{e:#}"));
}
