//! F2, F27, F24: SIGKILL at random and SIGTERM under load, with hostile senders among the good ones.

use anyhow::{Result, ensure};
use torture::drill::{Drill, Ends, Fate};
use torture::driver::malformed::annoy;
use torture::rng::Rng;

use torture::load::{LISTENERS, Load, conclude, lines, sound, takes_all};

fn under_load(
    name: &str,
    count: u64,
    seed: u64,
    strangers: bool,
    enough: (&str, u32),
    mut fate: impl FnMut(&mut Rng) -> Fate,
) {
    let mut run = || -> Result<()> {
        let mut rng = Rng::new(seed);
        let mut drill = Drill::new(name, LISTENERS, takes_all(), Some(takes_all()))?;
        let mut load = Load::open();
        load.relp(&drill, lines("TA"), count, sound())?;
        load.relp(&drill, lines("TB").calm().with_eid(), count, sound())?;
        load.tcp(&drill, lines("TC").calm(), count, &mut rng)?;
        load.tcp(&drill, lines("TD").calm().with_eid(), count, &mut rng)?;
        let mut chance = rng.fork();
        let progress = |node: &torture::node::Node| {
            if strangers {
                let input = if chance.percent(50) { "tcp" } else { "relp" };
                if let Some(at) = node.front().get(input) {
                    annoy(at, &mut chance);
                }
            }
            Ok(load.progress())
        };
        let fate = |ends: &Ends| {
            if ends.get(enough.0).is_some_and(|count| *count >= enough.1) {
                load.close();
                return Fate::Live;
            }
            fate(&mut rng)
        };
        drill.keep_up(fate, progress)?;
        let ends = drill.ends.clone();
        conclude(name, drill, load, strangers)?;
        ensure!(ends.get(enough.0).is_some_and(|count| *count >= enough.1), "{ends:?}");
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{name}: {e:#}"));
}

#[test]
fn sigkill_at_random() {
    under_load("sigkill", 12_000, 21, false, ("SIGKILL", 20), |rng| Fate::Kill(rng.range(1, 2_000)));
}

#[test]
fn sigkill_among_hostile_senders() {
    under_load("hostile", 4_000, 24, true, ("SIGKILL", 5), |rng| Fate::Kill(rng.range(1, 2_000)));
}

#[test]
fn sigterm_under_load() {
    under_load("sigterm", 6_000, 27, false, ("SIGTERM", 6), |rng| Fate::Term(rng.range(1, 2_000)));
}

#[test]
fn sigterm_while_it_starts_is_an_orderly_end() {
    let run = || -> Result<()> {
        let mut drill = Drill::new("early", LISTENERS, takes_all(), None)?;
        for _ in 0..3 {
            drill.node.up()?;
            let end = drill.node.stop()?;
            ensure!(end == torture::node::End::Exit(0), "{end:?}");
        }
        drill.finish(&[], false)?;
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{e:#}"));
}
