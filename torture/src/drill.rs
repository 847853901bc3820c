//! One drill: a node with its receivers, kept up through its ends, brought to rest, checked.
//!
//! Refuses to know: which senders there are and which faults they bear.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::checker::{self, Sent, Told, Violations};
use crate::clock::{eventually, within};
use crate::deliveries;
use crate::node::{End, Node, Trigger};
use crate::receiver::{Plan, smtp::Smtp, webhook::Webhook};
use crate::scratch::Scratch;
use crate::stored;

/// How long a drill's load may take. (Event times of lines are further ahead.)
const LOAD_PATIENCE: Duration = Duration::from_secs(400);

/// How long inputs may take to come to rest.
const LEDGER_PATIENCE: Duration = Duration::from_secs(120);
/// How long deliveries may take after the last fault: a receiver that failed often is left alone for a while.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(400);

/// How the node ended so far: kill points by name, `SIGKILL`, `SIGTERM`.
pub type Ends = BTreeMap<String, u32>;

/// A node under torture with a webhook and a mail receiver.
#[derive(Debug)]
pub struct Drill {
    scratch: Scratch,
    /// The node.
    pub node: Node,
    trigger: Trigger,
    hook: Webhook,
    mail: Option<Smtp>,
    /// How it ended so far.
    pub ends: Ends,
}

/// What a passed drill has to show.
#[derive(Debug)]
pub struct Passed {
    /// Records stored.
    pub records: usize,
    /// Alerts that fired, by the model.
    pub alerts: usize,
    /// Deliveries.
    pub deliveries: usize,
    /// How the node ended.
    pub ends: Ends,
}

/// How a life of the node is to end.
#[derive(Debug, Clone)]
pub enum Fate {
    /// At this kill point, when it is passed for the time after `skips`; by SIGTERM if it was not by the time the load has
    /// gone on by `quota`.
    KillPoint {
        /// Its name.
        point: String,
        /// How often it is passed unharmed.
        skips: u64,
        /// Progress until SIGTERM.
        quota: u64,
    },
    /// By SIGKILL when the load has gone on by so much.
    Kill(u64),
    /// By SIGTERM when the load has gone on by so much.
    Term(u64),
    /// Not.
    Live,
}

impl Drill {
    /// A drill of its own folder. `more`: listeners and whatever else is special. `mail`: a mail receiver too.
    ///
    /// # Errors
    /// Ports, the disk.
    pub fn new(name: &str, more: &str, hook: Plan, mail: Option<Plan>) -> Result<Self> {
        Self::in_folder(name, None, more, hook, mail)
    }

    /// [`Drill::new`] with the node's data in a folder of the caller.
    ///
    /// # Errors
    /// As there.
    pub fn in_folder(
        name: &str,
        data: Option<&std::path::Path>,
        more: &str,
        hook: Plan,
        mail: Option<Plan>,
    ) -> Result<Self> {
        let scratch = Scratch::new(name)?;
        let trigger = Trigger::default();
        let hook = Webhook::start(&scratch.path("webhook.jsonl"), hook, trigger.clone())?;
        let mail = match mail {
            Some(plan) => Some(Smtp::start(&scratch.path("smtp.jsonl"), plan, trigger.clone())?),
            None => None,
        };
        let mut duty = format!("receivers:\n  - name: duty\n    {}\n", hook.config(2_000));
        if let Some(mail) = &mail {
            duty.push_str(&format!("    {}\n", mail.config()));
        }
        let more = format!("{duty}{more}");
        let node = match data {
            Some(data) => Node::with_data(&scratch, data, &more, trigger.clone())?,
            None => Node::new(&scratch, &more, trigger.clone())?,
        };
        Ok(Self { scratch, node, trigger, hook, mail, ends: Ends::new() })
    }

    /// Where its files are.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Keeps the node up until `progress` says that the load is over (`None`). `fate` is asked at every start (a node that
    /// is up already has no kill points armed).
    ///
    /// # Errors
    /// The node ends in another way than its fate; the load takes too long.
    pub fn keep_up(
        &mut self,
        mut fate: impl FnMut(&Ends) -> Fate,
        mut progress: impl FnMut(&Node) -> Result<Option<u64>>,
    ) -> Result<()> {
        let mut life: Option<(Fate, u64)> = None;
        if self.node.pid().is_some() {
            life = Some((fate(&self.ends), progress(&self.node)?.unwrap_or(0)));
        }
        within(LOAD_PATIENCE, &format!("the load is over; see {}", self.scratch.root().display()), || {
            let Some((current, begun)) = &life else {
                let next = fate(&self.ends);
                let armed = match &next {
                    Fate::KillPoint { point, skips, .. } => format!("{point}={skips}*off->return"),
                    _ => String::new(),
                };
                match self.node.start(&armed)? {
                    None => life = Some((next, progress(&self.node)?.unwrap_or(0))),
                    Some(end) => self.ended(end, &next)?,
                }
                return Ok(None);
            };
            let current = current.clone();
            if let Some(end) = self.node.poll()? {
                life = None;
                self.ended(end, &current)?;
                return Ok(None);
            }
            let Some(now) = progress(&self.node)? else {
                if matches!(current, Fate::KillPoint { .. }) {
                    // Nobody is to die in peace of a point that was armed for the load.
                    life = None;
                    self.end_by_sigterm(&current)?;
                }
                return Ok(Some(()));
            };
            let gone = now.saturating_sub(*begun);
            match &current {
                Fate::Kill(quota) if gone >= *quota => {
                    life = None;
                    self.node.kill()?;
                    *self.ends.entry("SIGKILL".to_owned()).or_default() += 1;
                }
                Fate::Term(quota) | Fate::KillPoint { quota, .. } if gone >= *quota => {
                    life = None;
                    self.end_by_sigterm(&current)?;
                }
                _ => {}
            }
            Ok(None)
        })
    }

    /// SIGTERM; it ends in order or as its fate is.
    fn end_by_sigterm(&mut self, fate: &Fate) -> Result<()> {
        match self.node.stop()? {
            End::Exit(0) => *self.ends.entry("SIGTERM".to_owned()).or_default() += 1,
            end => self.ended(end, fate)?,
        }
        Ok(())
    }

    /// Books an end that the harness did not bring about itself.
    fn ended(&mut self, end: End, fate: &Fate) -> Result<()> {
        match (end, fate) {
            (End::KillPoint, Fate::KillPoint { point, .. }) => {
                *self.ends.entry(point.clone()).or_default() += 1;
            }
            // A receiver pulled the trigger.
            (End::Killed, _) => *self.ends.entry("K11".to_owned()).or_default() += 1,
            _ => bail!("the node ended with {end:?}, its fate was {fate:?}; see {}", self.evidence()),
        }
        Ok(())
    }

    fn evidence(&self) -> String {
        self.scratch.root().display().to_string()
    }

    /// Brings the node to rest: counts add up, everything is judged, every delivery has ended; the node is down then.
    ///
    /// # Errors
    /// It does not come to rest in time.
    pub fn settle(&mut self, violations: &mut Violations) -> Result<()> {
        // A receiver that would kill the node now only cuts the link.
        self.trigger.disarm();
        if self.node.is_shot() {
            let end = eventually("the node ends that a receiver killed", || self.node.poll())?;
            self.ended(end, &Fate::Live)?;
        }
        if self.node.pid().is_none() {
            self.node.up()?;
        }
        let adds_up = within(LEDGER_PATIENCE, "the ledger adds up", || {
            let mut found = Violations::default();
            checker::ledger(&self.node.get("/metrics")?, &mut found);
            Ok(found.is_empty().then_some(()))
        });
        if adds_up.is_err() {
            checker::ledger(&self.node.get("/metrics")?, violations);
        }
        // An orderly end judges and enqueues all that was received; another life delivers it.
        self.stop()?;
        self.node.up()?;
        let data = self.node.data().to_path_buf();
        let over = within(DELIVERY_PATIENCE, "every delivery has ended", || {
            let open = deliveries::all(&data)?;
            Ok(open.values().all(|d| matches!(d.state.as_str(), "sent" | "dead")).then_some(()))
        });
        if let Err(error) = over {
            violations.add("I8", format!("{error:#}"));
        }
        self.stop()
    }

    /// SIGTERM; it must end in order.
    ///
    /// # Errors
    /// It does not, or otherwise.
    pub fn stop(&mut self) -> Result<()> {
        self.node.ready()?;
        let end = self.node.stop()?;
        if end != End::Exit(0) {
            bail!("after SIGTERM the node ended with {end:?}; see {}", self.evidence());
        }
        Ok(())
    }

    /// I12: the state that the journal gives is the state that was running. Only where the journal holds everything.
    fn same_state(&self, violations: &mut Violations) -> Result<()> {
        if stored::first_lsn(&self.node.data().join("journal"))? > 1 {
            return Ok(());
        }
        let config = self.node.config().display().to_string();
        let (code, out, err) = self.node.command(&["journal", "verify", "--replay", "--config", &config])?;
        if code != 0 {
            violations.add("I12", format!("journal verify --replay: {code}: {out}{err}"));
        }
        Ok(())
    }

    /// Settles, checks everything, removes the folder. `strangers`: others sent too.
    ///
    /// # Errors
    /// Every violation found.
    pub fn finish(self, sent: &[Sent], strangers: bool) -> Result<Passed> {
        self.finish_with(sent, strangers, Violations::default())
    }

    /// [`Drill::finish`] with violations found before.
    ///
    /// # Errors
    /// As there.
    pub fn finish_with(mut self, sent: &[Sent], strangers: bool, mut found: Violations) -> Result<Passed> {
        self.settle(&mut found)?;
        let rows = checker::records(&self.node, sent, strangers, &mut found)?;
        self.same_state(&mut found)?;
        let mut told =
            vec![Told { target: "duty/webhook", receipts: self.hook.receipts().all(), labels: true }];
        if let Some(mail) = &self.mail {
            told.push(Told { target: "duty/email", receipts: mail.receipts().all(), labels: false });
        }
        let alerts = checker::alerts(&self.node, self.scratch.root(), &rows, &told, &mut found)?;
        let deliveries = checker::deliveries(&self.node, &told, &mut found)?;
        let said = self.node.said()?;
        if let Some(line) = said.lines().find(|line| line.contains("panicked")) {
            found.add("I8", format!("the log: {line}"));
        }
        if !found.is_empty() {
            bail!("violations, the evidence is in {}:\n{found}", self.evidence());
        }
        let Self { scratch, node, ends, .. } = self;
        drop(node);
        scratch.done()?;
        Ok(Passed { records: rows.len(), alerts, deliveries, ends })
    }
}
