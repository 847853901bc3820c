//! The rule kinds written down as plainly as they are defined: slow, memoryless, obviously right.
//!
//! Every verdict is computed anew from all records then known. Shares no code with the engine; the engine must agree
//! with it on random streams (`streams.rs`).

use std::collections::{BTreeMap, BTreeSet};

/// What a rule sees of a record, in order of arrival. The rule's conditions are already decided.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Event time.
    pub(crate) at: i64,
    /// Value of the key column; empty: null.
    pub(crate) key: String,
    /// `where` holds.
    pub(crate) matched: bool,
    /// `match` holds besides.
    pub(crate) part: bool,
    /// `reset` holds.
    pub(crate) reset: bool,
    /// Value of the aggregated field, in thousandths.
    pub(crate) number: Option<i64>,
    /// Value of the `distinct` field; empty: null.
    pub(crate) field: String,
}

/// A rule's shape; all times in milliseconds.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Any { resolve_after: i64 },
    Frequency { count: usize, within: i64, distinct: Option<usize> },
    Sustained { count: usize, every: i64, within: i64, distinct: Option<(usize, bool)> },
    Consecutive { count: usize, within: i64 },
    Cardinality { min: Option<usize>, max: Option<usize>, within: i64 },
    Aggregate { name: &'static str, below: Option<i64>, above: Option<i64>, min_total: usize, within: i64 },
    Ratio { below: Option<i64>, above: Option<i64>, min_total: usize, z: Option<f64>, within: i64 },
    Spike(Spike),
    Flatline(Flatline),
}

#[derive(Debug, Clone)]
pub(crate) struct Flatline {
    pub(crate) within: i64,
    pub(crate) count: usize,
    /// Keys listed; else for how long one is expected after a match.
    pub(crate) expect: Result<Vec<&'static str>, i64>,
    /// Instants from and to.
    pub(crate) hours: Option<Vec<(i64, i64)>>,
}

/// Numbers in thousandths, the factor in hundredths.
#[derive(Debug, Clone)]
pub(crate) struct Spike {
    pub(crate) within: i64,
    pub(crate) offsets: Vec<i64>,
    pub(crate) factor: i128,
    pub(crate) min_reference: i128,
    pub(crate) min_current: i128,
    pub(crate) up: bool,
    pub(crate) down: bool,
    pub(crate) sum: bool,
}

/// A rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) shape: Shape,
    pub(crate) lateness: i64,
    pub(crate) pending_for: i64,
    pub(crate) keep_firing_for: i64,
}

/// One alert as `backtest` prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    pub(crate) active_at: i64,
    pub(crate) key: String,
    pub(crate) fired_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
}

/// All alerts of a rule over a file, in backtest's order.
pub(crate) fn backtest(rule: &Rule, stream: &[Seen]) -> Vec<Told> {
    backtest_by(rule, stream, &|_, _| rule.shape.clone())
}

/// The same where the numbers of the shape depend on key and instant.
pub(crate) fn backtest_by(rule: &Rule, stream: &[Seen], shape_at: &dyn Fn(&str, i64) -> Shape) -> Vec<Told> {
    let Some(highest) = stream.iter().map(|s| s.at).max() else { return Vec::new() };
    let lowest = stream.iter().map(|s| s.at).min().unwrap_or(highest);
    let step = step(rule);
    let end_step = if matches!(rule.shape, Shape::Consecutive { .. }) { 1_000 } else { step };
    let end = floor(highest, end_step) + end_step;
    let keys: BTreeSet<&str> = stream.iter().filter(|s| s.matched).map(|s| s.key.as_str()).collect();
    let keys = match &rule.shape {
        Shape::Flatline(Flatline { expect: Ok(listed), .. }) => listed.iter().copied().collect(),
        _ => keys,
    };
    let mut told = Vec::new();
    for key in keys {
        let mut activity = Vec::new();
        let mut instant = floor(lowest, step);
        let mut known: Vec<(usize, &Seen)> = Vec::new();
        while instant < end {
            let arrived = arrive(rule, stream, instant + step, key, &mut known);
            let start = match rule.shape {
                Shape::Spike(_) | Shape::Flatline(_) => history_start(rule, &stream[..arrived], end_step),
                _ => lowest,
            };
            if active(&shape_at(key, instant), &known, instant, start) {
                match activity.last_mut() {
                    Some((_, until)) if *until == instant => *until = instant + step,
                    _ => activity.push((instant, instant + step)),
                }
            }
            instant += step;
        }
        told.extend(life(rule, key, &activity, end));
    }
    told.sort();
    told
}

/// Length of the instants that a verdict holds for: a bucket, or a millisecond.
pub(crate) fn step(rule: &Rule) -> i64 {
    match rule.shape {
        Shape::Any { .. } | Shape::Sustained { .. } => 1_000,
        Shape::Frequency { within, .. }
        | Shape::Cardinality { within, .. }
        | Shape::Ratio { within, .. }
        | Shape::Aggregate { within, .. } => bucket_length(within),
        Shape::Spike(Spike { within, .. }) => tenth(within),
        Shape::Flatline(Flatline { within, .. }) => bucket_length(within),
        Shape::Consecutive { .. } => 1,
    }
}

/// The lowest time known when its bucket is settled, by what has arrived.
fn history_start(rule: &Rule, stream: &[Seen], length: i64) -> i64 {
    let (mut lowest, mut highest) = (i64::MAX, i64::MIN);
    for seen in stream {
        (lowest, highest) = (lowest.min(seen.at), highest.max(seen.at));
        if highest - rule.lateness >= floor(lowest, length) + length {
            break;
        }
    }
    lowest
}

fn bucket_length(within: i64) -> i64 {
    // ceil(W / 600 s) whole seconds, at least one.
    1_000 * ((within + 599_999) / 600_000).max(1)
}

fn floor(at: i64, length: i64) -> i64 {
    at.div_euclid(length) * length
}

/// Adds what has arrived by the time that the watermark comes to `settled_at` (at the end of the file: all); how many
/// records of any key that is.
fn arrive<'a>(
    rule: &Rule,
    stream: &'a [Seen],
    settled_at: i64,
    key: &str,
    known: &mut Vec<(usize, &'a Seen)>,
) -> usize {
    let mut highest = i64::MIN;
    let needed = stream.iter().position(|seen| {
        highest = highest.max(seen.at);
        highest - rule.lateness >= settled_at
    });
    let arrived = needed.map_or(stream.len(), |last| last + 1);
    known.clear();
    known.extend(stream[..arrived].iter().enumerate().filter(|(_, seen)| seen.key == key));
    arrived
}

/// The verdict at an instant, from the key's records known then.
pub(crate) fn active(shape: &Shape, known: &[(usize, &Seen)], instant: i64, start: i64) -> bool {
    let matches: Vec<&Seen> = known.iter().filter(|(_, s)| s.matched).map(|(_, s)| *s).collect();
    match *shape {
        Shape::Flatline(ref flatline) => is_flat(flatline, &matches, instant, start),
        Shape::Spike(ref spike) => spikes(spike, &matches, instant, start),
        Shape::Any { resolve_after } => matches.iter().any(|s| {
            let bucket = floor(s.at, 1_000);
            instant - resolve_after < bucket && bucket <= instant
        }),
        Shape::Frequency { count, within, distinct } => {
            let window = in_window(matches, within, instant);
            window.len() >= count && distinct.is_none_or(|min| distinct_fields(&window) >= min)
        }
        Shape::Sustained { count, every, within, distinct } => {
            let past: Vec<&Seen> = matches.into_iter().filter(|s| floor(s.at, 1_000) <= instant).collect();
            let steps = within / every;
            let current = instant.div_euclid(every);
            [current, current - 1].iter().any(|last| {
                let parts: Vec<Vec<&Seen>> = ((last - steps + 1)..=*last)
                    .map(|j| past.iter().filter(|s| s.at.div_euclid(every) == j).copied().collect())
                    .collect();
                let enough = parts.iter().all(|part| part.len() >= count);
                let together: Vec<&Seen> = parts.iter().flatten().copied().collect();
                enough
                    && distinct.is_none_or(|(min, per_step)| {
                        if per_step {
                            parts.iter().all(|part| distinct_fields(part) >= min)
                        } else {
                            distinct_fields(&together) >= min
                        }
                    })
            })
        }
        Shape::Cardinality { min, max, within } => {
            let window = in_window(matches, within, instant);
            let values = distinct_fields(&window);
            min.is_some_and(|min| values >= min) || !window.is_empty() && max.is_some_and(|max| values <= max)
        }
        Shape::Ratio { below, above, min_total, z, within } => {
            let window = in_window(matches, within, instant);
            let (total, part) = (window.len() as i64, window.iter().filter(|s| s.part).count() as i64);
            // Bounds are in hundredths.
            let beyond = |bound: i64, sign: i64| {
                let distance = sign * (100 * part - bound * total);
                distance > 0 && z.is_none_or(|z| is_sure(distance, bound, total, z))
            };
            window.len() >= min_total
                && (below.is_some_and(|below| beyond(below, -1))
                    || above.is_some_and(|above| beyond(above, 1)))
        }
        Shape::Aggregate { name, below, above, min_total, within } => {
            let window = in_window(matches, within, instant);
            let mut values: Vec<i64> = window.iter().filter_map(|s| s.number).collect();
            values.sort_unstable();
            let (n, sum) = (values.len() as i64, values.iter().sum::<i64>());
            let rank = |percent: usize| values[(values.len() * percent).div_ceil(100) - 1];
            n >= min_total as i64 && {
                // The measured number is `of` divided by `by`.
                let (of, by) = match name {
                    "sum" => (sum, 1),
                    "avg" => (sum, n),
                    "min" => (values[0], 1),
                    "max" => (values[values.len() - 1], 1),
                    quantile => (rank(quantile.trim_start_matches('p').parse().unwrap()), 1),
                };
                below.is_some_and(|below| of < below * by) || above.is_some_and(|above| of > above * by)
            }
        }
        Shape::Consecutive { count, within } => run_stands(known, count, within, instant),
    }
}

/// Wilson's interval does not reach the bound: that many standard errors, at the bound, are less than the distance
/// (in hundredths of records).
fn is_sure(distance: i64, bound: i64, total: i64, z: f64) -> bool {
    let (share, total) = (bound as f64 / 100.0, total as f64);
    let distance = distance as f64 / 100.0;
    distance * distance > z * z * share * (1.0 - share) * total
}

fn is_flat(flatline: &Flatline, matches: &[&Seen], instant: i64, start: i64) -> bool {
    let length = bucket_length(flatline.within);
    let (from, to) = (instant + length - (flatline.within + length - 1) / length * length, instant + length);
    let is_expected = match flatline.expect {
        Ok(_) => true,
        Err(forget_after) => matches.iter().any(|s| {
            let bucket = floor(s.at, length);
            bucket > instant - forget_after && bucket <= instant
        }),
    };
    let in_hours = flatline.hours.as_ref().is_none_or(|hours| {
        (from..to).step_by(1_000).all(|at| hours.iter().any(|(open, close)| (*open..*close).contains(&at)))
    });
    let found = matches.iter().filter(|s| s.at >= from && s.at < to).count();
    is_expected && in_hours && from >= start && found < flatline.count
}

/// ceil(W / 10 s) whole seconds, at least one.
fn tenth(within: i64) -> i64 {
    1_000 * ((within + 9_999) / 10_000).max(1)
}

fn spikes(spike: &Spike, matches: &[&Seen], instant: i64, start: i64) -> bool {
    let length = tenth(spike.within);
    let whole = (spike.within + length - 1) / length * length;
    // The window [from, from + whole).
    let level = |from: i64| -> i128 {
        let inside = matches.iter().filter(|s| s.at >= from && s.at < from + whole);
        inside.map(|s| if spike.sum { i128::from(s.number.unwrap_or(0)) } else { 1_000 }).sum()
    };
    let from = instant + length - whole;
    let before: Vec<i64> = if spike.offsets.is_empty() {
        vec![from - whole]
    } else {
        spike.offsets.iter().map(|offset| from - offset / length * length).collect()
    };
    if before.iter().any(|from| *from < start) {
        return false;
    }
    // The mean is `total` divided by `by`.
    let (total, by) = (before.iter().map(|from| level(*from)).sum::<i128>(), before.len() as i128);
    let current = level(from);
    let enough = total >= spike.min_reference * by;
    let up = current >= spike.min_current && 100 * by * current >= spike.factor * total;
    let down = current * spike.factor * by <= 100 * total;
    enough && (spike.up && up || spike.down && down)
}

/// Those whose bucket is in the window that ends at `instant`.
fn in_window(matches: Vec<&Seen>, within: i64, instant: i64) -> Vec<&Seen> {
    let length = bucket_length(within);
    let buckets = (within + length - 1) / length;
    let from = instant - (buckets - 1) * length;
    matches.into_iter().filter(|s| (from..=instant).contains(&floor(s.at, length))).collect()
}

fn distinct_fields(window: &[&Seen]) -> usize {
    window.iter().map(|s| &s.field).filter(|f| !f.is_empty()).collect::<BTreeSet<_>>().len()
}

fn run_stands(of_key: &[(usize, &Seen)], count: usize, within: i64, instant: i64) -> bool {
    // Time, resets before matches of the same millisecond, then LSN.
    let mut order: BTreeMap<(i64, bool, usize), bool> = BTreeMap::new();
    for (lsn, seen) in of_key {
        if seen.at <= instant && (seen.matched || seen.reset) {
            order.insert((seen.at, seen.matched, *lsn), seen.matched);
        }
    }
    let last: Vec<(i64, bool)> =
        order.iter().rev().take(count).map(|((at, ..), matched)| (*at, *matched)).collect();
    last.len() == count
        && last.iter().all(|(_, matched)| *matched)
        && last.last().is_some_and(|(first, _)| *first > instant - within)
}

/// From activity to the life of alerts: `for`, `keep_firing_for`, and what the end of the file leaves open.
pub(crate) fn life(rule: &Rule, key: &str, activity: &[(i64, i64)], end: i64) -> Vec<Told> {
    let mut told = Vec::new();
    let mut rest = activity.iter().copied().peekable();
    while let Some((from, mut until)) = rest.next() {
        let fires = from + rule.pending_for;
        let fired_at = (fires < until).then_some(fires);
        if fired_at.is_some() {
            while let Some((_, next_until)) =
                rest.next_if(|(next_from, _)| *next_from <= until + rule.keep_firing_for)
            {
                until = next_until;
            }
        }
        let ended = if fired_at.is_some() { until + rule.keep_firing_for } else { until };
        told.push(Told {
            active_at: from,
            key: key.to_owned(),
            fired_at,
            ended_at: (ended < end).then_some(ended),
        });
    }
    told
}

#[test]
fn borders_of_the_model_by_hand() {
    let seen = |at: i64| Seen {
        at,
        key: "k".into(),
        matched: true,
        part: false,
        number: None,
        reset: false,
        field: String::new(),
    };
    let rule = |shape| Rule { shape, lateness: 5_000, pending_for: 0, keep_firing_for: 0 };
    let told =
        |from, until| vec![Told { active_at: from, key: "k".into(), fired_at: Some(from), ended_at: until }];

    // Two in a row within 500 ms: the first leaves the window 500 ms after it came.
    let mut stream = vec![seen(1_000), seen(1_499)];
    let run = rule(Shape::Consecutive { count: 2, within: 500 });
    assert_eq!(backtest(&run, &stream), told(1_499, Some(1_500)));
    stream[1].at = 1_500;
    assert_eq!(backtest(&run, &stream), []);

    // Two within two seconds: bucket of the second, until the first's bucket has left.
    let stream = [seen(1_999), seen(2_000), seen(9_000)];
    let pair = rule(Shape::Frequency { count: 2, within: 2_000, distinct: None });
    assert_eq!(backtest(&pair, &stream), told(2_000, Some(3_000)));
}
