//! Reading certificates and allow-lists again, on SIGHUP or `POST /-/reload`, while the node works.
//!
//! All or nothing: every listener's files are read and checked first; if one is bad, all keep what they had, and the log,
//! the metrics and the board say so. Of the configuration file only the `tls:` sections of the listeners are taken over.
//! Refuses to know: what TLS is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use dashboards::ReloadCounters;
use ingest::kill_point;
use ingest::tls::TlsServer;

use crate::clock::Clock;
use crate::config::Config;
use crate::output::told;
use crate::pipeline::Inputs;

/// What can be read again.
pub(crate) struct Reload {
    path: Option<PathBuf>,
    servers: Vec<Arc<TlsServer>>,
    clock: Clock,
    /// How the last one went. Held while one is going on: they come one after the other.
    last: Mutex<ReloadCounters>,
}

impl Reload {
    /// A node that starts now: its files have just been read.
    pub(crate) fn new(config: &Config, inputs: &Inputs, clock: &Clock) -> Self {
        let servers = inputs.inputs.iter().filter_map(|input| input.tls.clone()).collect();
        let last = ReloadCounters { success_ms: clock(), problem: None };
        let path = config.path.clone();
        Self { path, servers, clock: Arc::clone(clock), last: Mutex::new(last) }
    }

    /// Reads again. Blocks for as long as the files take.
    ///
    /// # Errors
    /// What is wrong with a file; nothing has changed then.
    pub(crate) fn now(&self) -> Result<(), String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match self.attempt() {
            Ok(()) => {
                *last = ReloadCounters { success_ms: (self.clock)(), problem: None };
                tracing::info!("reloaded: certificates of {} listeners", self.servers.len());
                Ok(())
            }
            Err(error) => {
                let problem = told(&error);
                tracing::error!("reload: {problem}; everything stays as it was");
                last.problem = Some(problem.clone());
                Err(problem)
            }
        }
    }

    /// How the last one went.
    pub(crate) fn counters(&self) -> ReloadCounters {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn attempt(&self) -> Result<()> {
        let config = Config::load(self.path.as_deref())?;
        let mut prepared = Vec::with_capacity(self.servers.len());
        for server in &self.servers {
            let listener = config.listeners.iter().find(|listener| listener.name == server.input());
            let section = listener.and_then(|listener| listener.tls.as_ref());
            if section.is_none() {
                tracing::warn!("reload: {}: to remove its tls section, start the node anew", server.input());
            }
            prepared.push((server, server.prepare(section)?));
        }
        kill_point("K15");
        for (server, prepared) in prepared {
            server.install(prepared);
        }
        Ok(())
    }
}
