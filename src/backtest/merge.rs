//! Several files as one stream: always the head with the lowest event time, ties by argument order.
//!
//! A record without event time stays behind the one before it in its file. Each file is decoded by a thread of its own.
//! Refuses to know: what the judge does with the records.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::Result;
use record::{Batch, InstantMs};

use super::Sink;
use crate::lines::LineFile;

/// Batches on their way from one file.
const IN_FLIGHT: usize = 3;
/// Bytes of frames in a merged batch.
const BATCH_BYTES: usize = 1024 * 1024;

/// Reads the files and hands their records over in the order of their event times.
pub(super) fn read(files: Vec<LineFile>, sink: Sink<'_>) -> Result<()> {
    std::thread::scope(|scope| {
        let mut heads = Vec::new();
        for file in files {
            let (full_tx, full) = sync_channel(IN_FLIGHT);
            let (empty, empty_rx) = sync_channel(2 * IN_FLIGHT);
            scope.spawn(move || decode(file, &full_tx, &empty_rx));
            heads.push(Head { full, empty, batch: Batch::default(), next: 0, time_ms: InstantMs::MIN });
        }
        let mut out = Batch::default();
        while let Some(index) = lowest(&mut heads)? {
            heads[index].take_into(&mut out);
            if out.bytes.len() >= BATCH_BYTES {
                sink(&mut out);
                out.clear();
            }
        }
        if !out.rows.is_empty() {
            sink(&mut out);
        }
        Ok(())
    })
}

/// The file whose next record is the first of all; `None` at the end of all files.
fn lowest(heads: &mut [Head]) -> Result<Option<usize>> {
    let mut lowest: Option<(InstantMs, usize)> = None;
    for (index, head) in heads.iter_mut().enumerate() {
        if let Some(time) = head.time()?
            && lowest.is_none_or(|(first, _)| time < first)
        {
            lowest = Some((time, index));
        }
    }
    Ok(lowest.map(|(_, index)| index))
}

/// Decodes one file until its end, an error, or until nobody listens.
fn decode(mut file: LineFile, full: &SyncSender<Result<Batch>>, empty: &Receiver<Batch>) {
    loop {
        let mut batch = empty.try_recv().unwrap_or_default();
        let sent = match file.next(&mut batch) {
            Ok(true) => full.send(Ok(batch)),
            Ok(false) => return,
            Err(error) => {
                drop(full.send(Err(error)));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The next record of one file.
struct Head {
    full: Receiver<Result<Batch>>,
    empty: SyncSender<Batch>,
    batch: Batch,
    next: usize,
    time_ms: InstantMs,
}

impl Head {
    /// Event time that the next record is merged by; `None` at the end of the file.
    fn time(&mut self) -> Result<Option<InstantMs>> {
        if self.next == self.batch.rows.len() {
            self.next = 0;
            let used = std::mem::take(&mut self.batch);
            // The file may have ended: then nobody wants the memory back.
            drop(self.empty.try_send(used));
            match self.full.recv() {
                Ok(batch) => self.batch = batch?,
                Err(_ended) => return Ok(None),
            }
        }
        let event_ms = self.batch.rows[self.next].event_ms;
        Ok(Some(event_ms.unwrap_or(self.time_ms)))
    }

    fn take_into(&mut self, out: &mut Batch) {
        let row = &self.batch.rows[self.next];
        self.time_ms = row.event_ms.unwrap_or(self.time_ms);
        out.copy_row(&self.batch, self.next);
        self.next += 1;
    }
}
