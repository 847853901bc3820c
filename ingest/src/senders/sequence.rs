//! Which numbers of a sender's lines never came.
//!
//! A sender numbers its lines from 0 and begins again when it starts again. Lines may overtake each other: rsyslog's
//! omrelp opens one connection per queue worker. So a number that is skipped is a gap for now, and counts as missing
//! only when it has not come within [`FILL_MS`] of receive time; one that comes still later is taken back (`filled`).
//! What was lost behind the last line that came cannot be seen before another comes. Refuses to know: ids, clocks.

use record::InstantMs;

/// How long a skipped number may be on its way by another connection.
pub const FILL_MS: i64 = 60_000;
/// Numberings remembered: the one going on, those before restarts, those of other actions of the same sender.
const RUNS_MAX: usize = 8;
/// Gaps remembered per numbering; the oldest then counts as missing at once.
const GAPS_MAX: usize = 4_096;
/// Lines overtake each other by no more than this.
const REORDER_MAX: u64 = 4_096;
/// The first line of all is overtaken by no more than this.
const START_REORDER_MAX: u64 = 128;
/// A numbering that first shows itself above this was not begun lately: what stands below is not missing.
const START_MAX: u64 = 10_000;
/// More new numberings than [`RUNS_MAX`] within this time: several senders are mixed behind one name.
const MIXED_MS: i64 = 600_000;
/// Missing numbers are listed for so long.
const LISTED_MS: i64 = 24 * 3_600_000;

/// The numbers of one sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The one heard last stands last.
    pub(super) runs: Vec<Run>,
    /// Numbers that did not come in time.
    pub(super) missing: u64,
    /// Of these, those that came later.
    pub(super) filled: u64,
    /// Times the sender began anew.
    pub(super) restarts: u64,
    /// Begins of numberings since `begun_ms`.
    begun: u32,
    begun_ms: InstantMs,
    /// Until then nothing is judged: the numbers are of several senders.
    mixed_until_ms: InstantMs,
}

/// One numbering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// The number after the greatest that came.
    pub(super) next: u64,
    /// The least number that is known of, and when it first came; below it nothing is missing.
    pub(super) floor: u64,
    pub(super) begun_ms: InstantMs,
    /// Numbers that were skipped, in ascending order.
    pub(super) gaps: Vec<Gap>,
}

/// Numbers that were skipped: `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// When the line behind them came.
    pub since_ms: InstantMs,
    /// They did not come in time: counted as missing.
    pub missing: bool,
}

impl Gap {
    /// How many.
    pub fn count(&self) -> u64 {
        self.to - self.from + 1
    }
}

impl Sequence {
    /// A line with this number came. `fresh`: by its id it is known not to be sent again; a number that was here
    /// before then means that the sender began anew.
    pub(super) fn note(&mut self, seq: u64, fresh: bool, now_ms: InstantMs) {
        if now_ms < self.mixed_until_ms || seq == u64::MAX {
            return;
        }
        let newest_first = || (0..self.runs.len()).rev();
        let found = newest_first().find(|run| self.runs[*run].next == seq);
        if let Some(run) = found {
            self.runs[run].next = seq + 1;
            return self.runs[run..].rotate_left(1);
        }
        if !fresh && self.runs.last().is_some_and(|run| run.has(seq)) {
            return;
        }
        // A number a little ahead is of the numbering that goes on, not one that an old one misses for long.
        let ahead = self.runs.last().is_some_and(|run| (run.next..run.next + REORDER_MAX).contains(&seq));
        for run in newest_first() {
            let found = self.runs[run].find(seq);
            if let Some(gap) = found.filter(|gap| !ahead || !self.runs[run].gaps[*gap].missing) {
                self.filled += u64::from(self.runs[run].fill(gap, seq));
                return;
            }
        }
        match self.runs.last_mut() {
            None => self.begin(Run::new(seq, seq, now_ms), now_ms),
            Some(run) if seq > run.next => self.missing += run.skip_to(seq, now_ms),
            Some(run) if run.reaches_down(seq, now_ms) => run.extend_down(seq, now_ms),
            Some(_) if seq == 0 || fresh => {
                self.restarts += 1;
                self.begin(Run::new(if seq < START_MAX { 0 } else { seq }, seq, now_ms), now_ms);
            }
            Some(_sent_again) => {}
        }
    }

    /// Counts as missing what has not come in time; says how many numbers that were.
    pub(super) fn expire(&mut self, now_ms: InstantMs) -> u64 {
        let before = self.missing;
        for run in &mut self.runs {
            run.gaps.retain(|gap| !gap.missing || now_ms - gap.since_ms < LISTED_MS);
            for gap in run.gaps.iter_mut().filter(|gap| !gap.missing && now_ms - gap.since_ms >= FILL_MS) {
                gap.missing = true;
                self.missing += gap.count();
            }
        }
        self.missing - before
    }

    /// The node was away until `now_ms`: what was on its way then has its time from now on.
    pub(super) fn resume(&mut self, now_ms: InstantMs) {
        for gap in self.runs.iter_mut().flat_map(|run| &mut run.gaps).filter(|gap| !gap.missing) {
            gap.since_ms = gap.since_ms.max(now_ms);
        }
    }

    /// Numbers skipped, the latest first.
    pub(super) fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.runs.iter().rev().flat_map(|run| run.gaps.iter().rev())
    }

    /// Whether the numbers cannot be judged because several senders are mixed behind one name.
    pub(super) fn mixed(&self, now_ms: InstantMs) -> bool {
        now_ms < self.mixed_until_ms
    }

    fn begin(&mut self, run: Run, now_ms: InstantMs) {
        if now_ms - self.begun_ms > MIXED_MS {
            (self.begun, self.begun_ms) = (0, now_ms);
        }
        self.begun += 1;
        if self.begun as usize > RUNS_MAX {
            *self = Self {
                missing: self.missing,
                filled: self.filled,
                restarts: self.restarts,
                mixed_until_ms: now_ms + MIXED_MS,
                ..Self::default()
            };
            return;
        }
        if self.runs.len() == RUNS_MAX {
            let open = |gap: &&Gap| !gap.missing;
            self.missing += self.runs[0].gaps.iter().filter(open).map(Gap::count).sum::<u64>();
            self.runs.remove(0);
        }
        self.runs.push(run);
    }
}

impl Run {
    /// `seq` came first; numbers from `floor` on should have.
    fn new(floor: u64, seq: u64, now_ms: InstantMs) -> Self {
        let mut run = Self { next: floor, floor, begun_ms: now_ms, gaps: Vec::new() };
        run.skip_to(seq, now_ms);
        run
    }

    /// `seq` came and the numbers before it did not. Returns how many count as missing at once.
    fn skip_to(&mut self, seq: u64, now_ms: InstantMs) -> u64 {
        let mut missing = 0;
        if seq > self.next {
            if self.gaps.len() == GAPS_MAX {
                let oldest = self.gaps.remove(0);
                missing = if oldest.missing { 0 } else { oldest.count() };
            }
            self.gaps.push(Gap { from: self.next, to: seq - 1, since_ms: now_ms, missing: false });
        }
        self.next = seq + 1;
        missing
    }

    /// Whether this number came.
    fn has(&self, seq: u64) -> bool {
        (self.floor..self.next).contains(&seq) && seq > 0 && self.find(seq).is_none()
    }

    fn find(&self, seq: u64) -> Option<usize> {
        let at = self.gaps.partition_point(|gap| gap.to < seq);
        self.gaps.get(at).filter(|gap| gap.from <= seq).map(|_| at)
    }

    /// A number of a gap came; says whether it had counted as missing.
    fn fill(&mut self, at: usize, seq: u64) -> bool {
        let gap = self.gaps[at];
        match (gap.from == seq, gap.to == seq) {
            (true, true) => drop(self.gaps.remove(at)),
            (true, false) => self.gaps[at].from = seq + 1,
            (false, true) => self.gaps[at].to = seq - 1,
            (false, false) => {
                self.gaps[at].to = seq - 1;
                self.gaps.insert(at + 1, Gap { from: seq + 1, ..gap });
            }
        }
        gap.missing
    }

    /// Whether a number below all that came belongs here: the first line that came had overtaken it.
    fn reaches_down(&self, seq: u64, now_ms: InstantMs) -> bool {
        let near = seq < self.floor && self.floor - seq <= REORDER_MAX && now_ms - self.begun_ms < FILL_MS;
        // A sender that begins anew says 0.
        near && (seq > 0 || self.floor <= START_REORDER_MAX)
    }

    fn extend_down(&mut self, seq: u64, now_ms: InstantMs) {
        if seq + 1 < self.floor {
            let gap = Gap { from: seq + 1, to: self.floor - 1, since_ms: now_ms, missing: false };
            self.gaps.insert(0, gap);
        }
        self.floor = seq;
    }
}

#[cfg(test)]
mod tests;
