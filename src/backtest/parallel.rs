//! One file, its blocks decoded side by side and judged in their order.
//!
//! Refuses to know: what the judge does with the records.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, Result};
use record::{Batch, FormatSet};

use super::Sink;
use crate::line_blocks::LineBlocks;
use crate::lines::LineDecoder;
use crate::sieve::Sieve;

/// Blocks on their way to one decoder, and batches on their way from it: enough that nobody waits for the other.
const IN_FLIGHT: usize = 3;

/// One decoder's channels: block i goes to decoder i modulo their number, and its batch is taken there.
struct Lane {
    blocks: SyncSender<Vec<u8>>,
    batches: Receiver<Batch>,
    /// Memory on its way back.
    empty_blocks: Receiver<Vec<u8>>,
    empty_batches: SyncSender<Batch>,
}

/// The decoder's ends.
struct Ends {
    blocks: Receiver<Vec<u8>>,
    batches: SyncSender<Batch>,
    empty_blocks: SyncSender<Vec<u8>>,
    empty_batches: Receiver<Batch>,
}

fn lane() -> (Lane, Ends) {
    let (blocks, blocks_rx) = sync_channel(IN_FLIGHT);
    let (batches_tx, batches) = sync_channel(IN_FLIGHT);
    // The ways back never block: nothing comes into being on the way.
    let (empty_blocks_tx, empty_blocks) = sync_channel(2 * IN_FLIGHT + 2);
    let (empty_batches, empty_batches_rx) = sync_channel(2 * IN_FLIGHT + 2);
    (
        Lane { blocks, batches, empty_blocks, empty_batches },
        Ends {
            blocks: blocks_rx,
            batches: batches_tx,
            empty_blocks: empty_blocks_tx,
            empty_batches: empty_batches_rx,
        },
    )
}

/// Reads a file and hands its batches over in line order.
pub(super) fn read(
    path: &Path,
    formats: &Arc<FormatSet>,
    sieve: Option<&Sieve>,
    done_bytes: &Arc<AtomicU64>,
    sink: Sink<'_>,
) -> Result<()> {
    let mut file = LineBlocks::open(path)?;
    let decoders = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 16);
    std::thread::scope(|scope| {
        let mut to_decoders = Vec::new();
        let mut from_decoders = Vec::new();
        for _ in 0..decoders {
            let (lane, ends) = lane();
            let lines = LineDecoder::new(path, formats, None).sifting(sieve.cloned(), done_bytes);
            scope.spawn(move || decode(lines, &ends));
            to_decoders.push((lane.blocks, lane.empty_blocks));
            from_decoders.push((lane.batches, lane.empty_batches));
        }
        let reader = scope.spawn(move || -> Result<()> {
            for (blocks, empty) in to_decoders.iter().cycle() {
                let mut block = empty.try_recv().unwrap_or_default();
                if !file.next(&mut block)? || blocks.send(block).is_err() {
                    break;
                }
            }
            Ok(())
        });
        for (batches, empty) in from_decoders.iter().cycle() {
            let Ok(mut batch) = batches.recv() else { break };
            sink(&mut batch);
            // The decoder may have ended: then nobody wants the memory back.
            drop(empty.try_send(batch));
        }
        drop(from_decoders);
        reader.join().ok().context("the reader of the file panicked")?
    })
}

/// Decodes blocks until there are no more.
fn decode(mut lines: LineDecoder, ends: &Ends) {
    while let Ok(mut block) = ends.blocks.recv() {
        let mut batch = ends.empty_batches.try_recv().unwrap_or_default();
        batch.clear();
        lines.decode(&block, &mut batch);
        block.clear();
        drop(ends.empty_blocks.try_send(block));
        if ends.batches.send(batch).is_err() {
            return;
        }
    }
}
