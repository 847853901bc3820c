//! F6: two senders send the same bytes at once, each under ids of its own: both are counted.

use anyhow::{Result, ensure};
use torture::checker::{Sent, Violations};
use torture::drill::{Drill, Fate};
use torture::driver::relp::{Client, Done, Open, WINDOW};
use torture::proxy::{Link, Proxy};
use torture::rng::Rng;

use torture::load::{LISTENERS, lines, report, takes_all};

#[test]
fn the_same_bytes_from_two_senders() {
    const LINES: u64 = 3_000;
    let run = || -> Result<()> {
        let mut drill = Drill::new("twins", LISTENERS, takes_all(), None)?;
        let same = lines("TA").calm();
        let mut clients = Vec::new();
        let mut proxies = Vec::new();
        for (seed, sender) in [(1, "one"), (2, "two")] {
            let mut rng = Rng::new(seed);
            let plan = Box::new(move || Link { cut_up: Some(rng.range(10_000, 400_000)), ..Link::default() });
            let proxy = Proxy::start(drill.node.front(), "relp", plan)?;
            let lines = same.clone().with_eids_of(sender);
            clients.push(Client::start(Box::new(proxy.door()), lines, 0..LINES, Open::default(), WINDOW)?);
            proxies.push(proxy);
        }
        let progress = || {
            let over = clients.iter().all(Client::done);
            (!over).then(|| clients.iter().map(Client::acked_count).sum())
        };
        drill.keep_up(|_| Fate::Live, |_| Ok(progress()))?;
        let mut violations = Violations::default();
        for client in clients {
            let Done { acked, wrongs, .. } = client.finish()?;
            ensure!(acked.len() as u64 == LINES, "{} acknowledged", acked.len());
            for wrong in wrongs {
                violations.add("RELP", wrong);
            }
        }
        let acked = (0..LINES).collect();
        let sent = Sent::Acknowledged { lines: same, numbers: 0..LINES, acked, copies: 2 };
        let passed = drill.finish_with(&[sent], false, violations)?;
        report("twins", "", &passed);
        ensure!(passed.records as u64 == 2 * LINES, "{passed:?}");
        Ok(())
    };
    run().unwrap_or_else(|e| panic!("{e:#}"));
}
