//! Reading again while the node works: rules, certificates, allow-lists; on SIGHUP, on `POST /-/reload`, and rules also
//! when their files change.
//!
//! All or nothing: all files are read and checked first, and the new engine is made, here; if anything is wrong,
//! everything stays as it was, and the log, the metrics and the board say so. Of the configuration file only the `tls:`
//! sections of the listeners are taken over. Refuses to know: what TLS is, and what a rule means.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use dashboards::ReloadCounters;
use ingest::kill_point;
use ingest::tls::TlsServer;
use record::FormatSet;
use rules::{Engine, RuleFile};

use crate::clock::Clock;
use crate::config::Config;
use crate::output::told;
use crate::pipeline::Inputs;
use crate::published::{Questions, Swapped};
use crate::rule_source::{self, Look, RuleSource, Stamp, Watch};

/// A change of rule files that is looked at again after so long and is the same has been written to its end.
const SETTLE: Duration = Duration::from_secs(1);

/// What can be read again.
pub(crate) struct Reload {
    path: Option<PathBuf>,
    servers: Vec<Arc<TlsServer>>,
    rules: RuleSource,
    formats: Arc<FormatSet>,
    questions: Questions,
    clock: Clock,
    /// Held while one is going on: they come one after the other.
    turn: Mutex<Turn>,
    last: Mutex<ReloadCounters>,
}

/// What only the reload that is going on changes.
struct Turn {
    watch: Watch,
    /// What the engine judges by.
    active: Option<Stamp>,
    active_len: usize,
    /// What is wrong with the certificates, as of the last look at them.
    tls_problem: Option<String>,
}

/// Who asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A person or a program: everything is read.
    Asked,
    /// The rule files changed: only they are.
    Changed,
}

/// The rules that a node starts with.
pub(crate) struct StartRules {
    /// Where they come from.
    pub(crate) source: RuleSource,
    /// What the files said.
    pub(crate) stamp: Stamp,
    /// What is wrong with the files, if the rules are the last that were right.
    pub(crate) problem: Option<String>,
    /// How many there are.
    pub(crate) len: usize,
}

impl Reload {
    /// A node that starts now: its files have just been read.
    pub(crate) fn new(
        config: &Config,
        inputs: &Inputs,
        rules: StartRules,
        formats: &Arc<FormatSet>,
        questions: &Questions,
        clock: &Clock,
    ) -> Self {
        let servers = inputs.inputs.iter().filter_map(|input| input.tls.clone()).collect();
        let is_good = rules.problem.is_none();
        let success_ms = if is_good { clock() } else { 0 };
        let last = ReloadCounters {
            success_ms,
            rules_success_ms: success_ms,
            rules_failed: u64::from(!is_good),
            rules_ok: is_good,
            problem: rules.problem,
        };
        let turn = Turn {
            watch: Watch::new(rules.stamp),
            active: is_good.then_some(rules.stamp),
            active_len: rules.len,
            tls_problem: None,
        };
        Self {
            path: config.path.clone(),
            servers,
            rules: rules.source,
            formats: Arc::clone(formats),
            questions: questions.clone(),
            clock: Arc::clone(clock),
            turn: Mutex::new(turn),
            last: Mutex::new(last),
        }
    }

    /// Reads everything again. Blocks for as long as the files and the judge take.
    ///
    /// # Errors
    /// What is wrong with a file; nothing has changed then.
    pub(crate) fn now(&self) -> Result<(), String> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.reload(&mut turn, Cause::Asked)
    }

    /// Looks whether rule files changed, and reads them again if they did. Returns when to look again if that is sooner
    /// than usual: a file may be half written.
    pub(crate) fn look(&self) -> Option<Duration> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match turn.watch.look(&self.rules) {
            Look::Quiet => None,
            Look::Unsettled => Some(SETTLE),
            Look::Settled => {
                tracing::info!("reload: rule files have changed");
                // What is wrong is logged and shown; they are tried again when they change again.
                drop(self.reload(&mut turn, Cause::Changed));
                None
            }
        }
    }

    /// How the last one went.
    pub(crate) fn counters(&self) -> ReloadCounters {
        self.last().clone()
    }

    fn last(&self) -> MutexGuard<'_, ReloadCounters> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reload(&self, turn: &mut Turn, cause: Cause) -> Result<(), String> {
        let done = self.attempt(turn, cause);
        let mut last = self.last();
        last.rules_ok = done.is_ok();
        match done {
            Ok(what) => {
                last.rules_success_ms = (self.clock)();
                // A look at the rules says nothing of certificates that were found wrong.
                last.problem.clone_from(&turn.tls_problem);
                if last.problem.is_none() {
                    last.success_ms = last.rules_success_ms;
                }
                tracing::info!("reloaded: {what}");
                Ok(())
            }
            Err(error) => {
                let problem = told(&error);
                tracing::error!("reload: {problem}; everything stays as it was");
                last.rules_failed += 1;
                last.problem = Some(problem.clone());
                Err(problem)
            }
        }
    }

    fn attempt(&self, turn: &mut Turn, cause: Cause) -> Result<String> {
        let certificates = match cause {
            Cause::Asked => self.certificates(),
            Cause::Changed => Ok(Vec::new()),
        };
        if cause == Cause::Asked {
            turn.tls_problem = certificates.as_ref().err().map(told);
        }
        let files = self.rules.read();
        let stamp = Stamp::content(&files);
        let prepared = files.and_then(|files| self.engine(files, stamp, turn, cause));
        // Right rules that certificates hold back are not done with: the next look takes them.
        if certificates.is_ok() || prepared.is_err() {
            turn.watch.tried(stamp);
        }
        let (certificates, prepared) = match (certificates, prepared) {
            (Ok(certificates), Ok(prepared)) => (certificates, prepared),
            (Err(one), Err(other)) => return Err(anyhow!("{}\n{}", told(&one), told(&other))),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        kill_point("K15");
        let rules = match prepared {
            None => "the rules are as they were".to_owned(),
            Some((engine, files)) => {
                let len = engine.rules().len();
                let swapped = self.questions.reload(engine).map_err(|why| anyhow!("the rules: {why}"))?;
                (turn.active, turn.active_len) = (Some(stamp), len);
                self.rules.keep(&files);
                let said = say(&swapped);
                // Here it holds nobody up.
                drop(swapped.left);
                said
            }
        };
        let listeners = certificates.len();
        for (server, prepared) in certificates {
            server.install(prepared);
        }
        let more = if cause == Cause::Asked {
            format!("; certificates of {listeners} listeners")
        } else {
            String::new()
        };
        Ok(format!("{rules}{more}"))
    }

    /// An engine of the rules that the files hold; `None` if the one at work has them.
    fn engine(
        &self,
        files: Vec<RuleFile>,
        stamp: Stamp,
        turn: &Turn,
        cause: Cause,
    ) -> Result<Option<(Engine, Vec<RuleFile>)>> {
        if turn.active == Some(stamp) {
            return Ok(None);
        }
        let rules = rule_source::load(&files, &self.formats)?;
        if cause == Cause::Changed {
            rule_source::not_emptied(turn.active_len, &rules)?;
        }
        Ok(Some((Engine::new(Arc::new(rules), Arc::clone(&self.formats)), files)))
    }

    fn certificates(&self) -> Result<Vec<(&TlsServer, ingest::tls::Prepared)>> {
        let config = Config::load(self.path.as_deref())?;
        let mut prepared = Vec::with_capacity(self.servers.len());
        for server in &self.servers {
            let listener = config.listeners.iter().find(|listener| listener.name == server.input());
            let section = listener.and_then(|listener| listener.tls.as_ref());
            if section.is_none() {
                tracing::warn!("reload: {}: to remove its tls section, start the node anew", server.input());
            }
            prepared.push((&**server, server.prepare(section)?));
        }
        Ok(prepared)
    }
}

/// What became of the rules, in one line; those that did not go on by name.
fn say(Swapped { report, held_up_ns, left }: &Swapped) -> String {
    let counts = left.counts().rules;
    let matched = |rule: &str| {
        let place = left.rules().position(rule);
        place.and_then(|place| counts.get(place)).map_or(0, |counts| counts.matched)
    };
    for rule in &report.changed {
        let matched = matched(rule);
        tracing::info!(
            "rules: `{rule}` was changed: it starts with nothing ({matched} records had concerned it)"
        );
    }
    for rule in &report.removed {
        let matched = matched(rule);
        tracing::info!("rules: `{rule}` is no more: its alerts ended ({matched} records had concerned it)");
    }
    for rule in &report.added {
        tracing::info!("rules: `{rule}` is new: it starts with nothing");
    }
    let [moved, told, all] = held_up_ns;
    format!(
        "{} rules go on, {} changed, {} new, {} removed; the judge was held up for {} µs: {} to move the states, {} to tell what ended, {} for the snapshot",
        report.kept.len(),
        report.changed.len(),
        report.added.len(),
        report.removed.len(),
        all / 1_000,
        moved / 1_000,
        (told - moved) / 1_000,
        (all - told) / 1_000
    )
}
