//! Which numbers apply to a key at an instant: the rule's own, or those of the first row that fits.
//!
//! For each key the rows that fit its values are found once, by hashing; what applies when is then a short list of
//! instants at which it changes. Keys with the same rows share it. It follows from the rule and the keys, so nothing of
//! it is in a snapshot. Refuses to know: what the numbers mean, records, alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use record::InstantMs;

use super::clock::NEVER;
use super::fields::{join_key, split_key};
use super::state::Shape;
use crate::rule::Row;

/// In place of a row: the rule's own numbers.
const OWN: u32 = u32::MAX;

/// How many are needed, by instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needed<'a> {
    /// Ascending; the first since ever.
    steps: &'a [(InstantMs, u64)],
}

impl Needed<'_> {
    /// How many at an instant.
    pub(super) fn at(&self, at: InstantMs) -> u64 {
        if let [(_, only)] = self.steps {
            return *only;
        }
        let next = self.steps.partition_point(|&(from, _)| from <= at);
        self.steps[next.saturating_sub(1)].1
    }

    /// The first instant after another at which it changes.
    pub(super) fn next_after(&self, at: InstantMs) -> Option<InstantMs> {
        let next = self.steps.partition_point(|&(from, _)| from <= at);
        self.steps.get(next).map(|&(from, _)| from)
    }

    /// Whether it never changes.
    pub(super) fn is_constant(&self) -> bool {
        self.steps.len() == 1
    }
}

/// What applies to some keys, by instant.
#[derive(Debug)]
struct Profile {
    /// Ascending; the first since ever.
    steps: Box<[(InstantMs, u32)]>,
    /// The same as how many are needed.
    needed: Box<[(InstantMs, u64)]>,
}

/// Rows that name the same fields.
#[derive(Debug)]
struct Mask {
    /// Positions in `by`.
    fields: Vec<usize>,
    /// By what they name: positions of rows, ascending.
    rows: HashMap<Box<[u8]>, Vec<u32>>,
}

/// The rows of one rule and the keys to which they apply.
#[derive(Debug)]
pub(super) struct Thresholds {
    rows: Arc<[Row]>,
    /// By row.
    shapes: Vec<Shape>,
    masks: Vec<Mask>,
    by_len: usize,
    own: Shape,
    /// By place of a key.
    profile_of: Vec<u32>,
    /// The first is that of keys to which no row applies.
    profiles: Vec<Profile>,
    /// By the rows that fit.
    known: HashMap<Vec<u32>, u32>,
}

impl Thresholds {
    /// `own` is the rule's shape, `shapes` those of its rows.
    pub(super) fn new(rows: &Arc<[Row]>, own: Shape, shapes: Vec<Shape>, by_len: usize) -> Self {
        let mut masks: Vec<Mask> = Vec::new();
        for (position, row) in (0u32..).zip(rows.iter()) {
            let named =
                || row.by.iter().enumerate().filter_map(|(i, text)| text.as_ref().map(|text| (i, text)));
            let fields: Vec<usize> = named().map(|(i, _)| i).collect();
            let texts: Vec<String> = named().map(|(_, text)| text.to_string()).collect();
            let at = masks.iter().position(|mask| mask.fields == fields).unwrap_or_else(|| {
                masks.push(Mask { fields, rows: HashMap::new() });
                masks.len() - 1
            });
            masks[at].rows.entry(join_key(&texts)).or_default().push(position);
        }
        let mut all = Self {
            rows: Arc::clone(rows),
            shapes,
            masks,
            by_len,
            own,
            profile_of: Vec::new(),
            profiles: Vec::new(),
            known: HashMap::new(),
        };
        all.profile(Vec::new());
        all
    }

    /// The same rows stand somewhere else in the files.
    pub(super) fn stand_at(&mut self, rows: &Arc<[Row]>) {
        self.rows = Arc::clone(rows);
    }

    /// A key has come to a place.
    pub(super) fn place(&mut self, slot: u32, key: &[u8]) {
        if self.rows.is_empty() {
            return;
        }
        let values = split_key(key, self.by_len);
        let mut fitting: Vec<u32> = Vec::new();
        for mask in &self.masks {
            let named =
                |i: &usize| String::from_utf8_lossy(values.get(*i).copied().unwrap_or_default()).into();
            let texts: Vec<String> = mask.fields.iter().map(named).collect();
            fitting.extend(mask.rows.get(&join_key(&texts)).into_iter().flatten());
        }
        fitting.sort_unstable();
        let profile = self.profile(fitting);
        let slot = slot as usize;
        if self.profile_of.len() <= slot {
            self.profile_of.resize(slot + 1, 0);
        }
        self.profile_of[slot] = profile;
    }

    /// The profile of keys that these rows fit.
    fn profile(&mut self, fitting: Vec<u32>) -> u32 {
        if let Some(&known) = self.known.get(&fitting) {
            return known;
        }
        let mut borders: BTreeMap<InstantMs, Vec<(u32, bool)>> = BTreeMap::new();
        for &position in &fitting {
            let row = &self.rows[position as usize];
            borders.entry(row.from_ms.unwrap_or(NEVER)).or_default().push((position, true));
            if let Some(until) = row.until_ms {
                borders.entry(until).or_default().push((position, false));
            }
        }
        let (mut valid, mut steps) = (BTreeSet::new(), vec![(NEVER, OWN)]);
        for (at, changes) in borders {
            for (position, begins) in changes {
                if begins {
                    valid.insert(position)
                } else {
                    valid.remove(&position)
                };
            }
            let first = valid.first().copied().unwrap_or(OWN);
            match steps.last_mut() {
                Some((_, last)) if *last == first => {}
                Some((from, last)) if *from == at => *last = first,
                _ => steps.push((at, first)),
            }
        }
        let needed = steps.iter().map(|&(from, row)| (from, self.shape(row).needed())).collect();
        let number = u32::try_from(self.profiles.len()).unwrap_or(u32::MAX);
        self.profiles.push(Profile { steps: steps.into(), needed });
        self.known.insert(fitting, number);
        number
    }

    fn shape(&self, row: u32) -> Shape {
        self.shapes.get(row as usize).copied().unwrap_or(self.own)
    }

    fn profile_at(&self, slot: u32) -> &Profile {
        let number = self.profile_of.get(slot as usize).copied().unwrap_or_default();
        &self.profiles[number as usize]
    }

    /// Whether the rule has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether always the same applies to a key.
    pub(super) fn is_constant(&self, slot: u32) -> bool {
        self.profile_at(slot).steps.len() == 1
    }

    /// The row that applies to a key at an instant: its number from 1, and the row.
    pub(super) fn row_at(&self, slot: u32, at: InstantMs) -> Option<(usize, &Row)> {
        let row = self.number_at(slot, at) as usize;
        self.rows.get(row).map(|found| (row + 1, found))
    }

    fn number_at(&self, slot: u32, at: InstantMs) -> u32 {
        let steps = &self.profile_at(slot).steps;
        let next = steps.partition_point(|&(from, _)| from <= at);
        steps[next.saturating_sub(1)].1
    }

    /// The shape that applies to a key at an instant; the rule's own is as it was when this was made.
    pub(super) fn shape_at(&self, slot: u32, at: InstantMs) -> Option<&Shape> {
        self.shapes.get(self.number_at(slot, at) as usize)
    }

    /// The first instant after another at which something else applies to a key.
    pub(super) fn next_after(&self, slot: u32, at: InstantMs) -> Option<InstantMs> {
        let steps = &self.profile_at(slot).steps;
        let next = steps.partition_point(|&(from, _)| from <= at);
        steps.get(next).map(|&(from, _)| from)
    }

    /// How many a key needs, by instant.
    pub(super) fn needed(&self, slot: u32) -> Needed<'_> {
        Needed { steps: &self.profile_at(slot).needed }
    }

    /// The shapes of the rows.
    pub(super) fn shapes_mut(&mut self) -> &mut [Shape] {
        &mut self.shapes
    }
}
