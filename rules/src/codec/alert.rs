//! Alerts and their reasons as bytes, complete: what comes back is equal.
//!
//! Refuses to know: rules, engines.

use std::collections::BTreeMap;

use super::{In, Out, Read};
use crate::{Alert, AlertState, Bucket, Reason, Sample};

impl Alert {
    /// Appends the alert as bytes (the form is that of engine snapshots of the same version).
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let out = &mut Out { bytes };
        out.text(&self.id);
        out.text(&self.fingerprint);
        write_map(out, &self.labels);
        write_map(out, &self.annotations);
        self.state.write(out);
        out.flag(self.shadow);
        out.signed(self.raised_ms);
        out.signed(self.active_ms);
        out.maybe(self.fired_ms);
        out.maybe(self.ended_ms);
        out.flag(self.withdrawn);
        self.reason.write(out);
    }

    /// The alert that [`Alert::write`] wrote, and the bytes after it; `None` if these bytes are none.
    pub fn read(bytes: &[u8]) -> Option<(Alert, &[u8])> {
        let mut read = In::new(bytes);
        let alert = Self::read_from(&mut read).ok()?;
        Some((alert, bytes.get(bytes.len() - read.left()..)?))
    }

    pub(crate) fn read_from(read: &mut In<'_>) -> Read<Alert> {
        Ok(Alert {
            id: read.text()?.to_owned(),
            fingerprint: read.text()?.to_owned(),
            labels: read_map(read)?,
            annotations: read_map(read)?,
            state: AlertState::read(read)?,
            shadow: read.flag()?,
            raised_ms: read.instant()?,
            active_ms: read.instant()?,
            fired_ms: read.maybe_instant()?,
            ended_ms: read.maybe_instant()?,
            withdrawn: read.flag()?,
            reason: Reason::read(read)?,
        })
    }
}

impl AlertState {
    pub(crate) fn write(self, out: &mut Out<'_>) {
        out.byte(match self {
            AlertState::Pending => 0,
            AlertState::Firing => 1,
            AlertState::Resolved => 2,
        });
    }

    pub(crate) fn read(read: &mut In<'_>) -> Read<Self> {
        match read.byte()? {
            0 => Ok(AlertState::Pending),
            1 => Ok(AlertState::Firing),
            2 => Ok(AlertState::Resolved),
            _ => read.damage("the state of an alert"),
        }
    }
}

impl Reason {
    pub(crate) fn write(&self, out: &mut Out<'_>) {
        out.text(&self.kind);
        out.text(&self.text);
        out.number(self.count);
        write_maybe(out, self.value.as_deref());
        write_map(out, &self.thresholds);
        write_maybe(out, self.threshold_row.as_deref());
        out.len(self.buckets.len());
        for bucket in &self.buckets {
            out.signed(bucket.at);
            out.number(bucket.count);
        }
        write_list(out, &self.distinct);
        out.number(self.distinct_count);
        write_list(out, &self.orders);
        out.number(self.orders_count);
        write_maybe(out, self.amount.as_deref());
        out.len(self.samples.len());
        for sample in &self.samples {
            out.number(sample.lsn);
            out.signed(sample.at);
            out.text(&sample.line);
        }
        out.text(&self.gate);
    }

    pub(crate) fn read(read: &mut In<'_>) -> Read<Self> {
        Ok(Self {
            kind: read.text()?.to_owned(),
            text: read.text()?.to_owned(),
            count: read.number()?,
            value: read_maybe(read)?,
            thresholds: read_map(read)?,
            threshold_row: read_maybe(read)?,
            buckets: read_items(read, 2, |read| Ok(Bucket { at: read.instant()?, count: read.number()? }))?,
            distinct: read_items(read, 1, |read| read.text().map(str::to_owned))?,
            distinct_count: read.number()?,
            orders: read_items(read, 1, |read| read.text().map(str::to_owned))?,
            orders_count: read.number()?,
            amount: read_maybe(read)?,
            samples: read_items(read, 3, |read| {
                Ok(Sample { lsn: read.number()?, at: read.instant()?, line: read.text()?.to_owned() })
            })?,
            gate: read.text()?.to_owned(),
        })
    }
}

fn write_maybe(out: &mut Out<'_>, text: Option<&str>) {
    out.flag(text.is_some());
    if let Some(text) = text {
        out.text(text);
    }
}

fn read_maybe(read: &mut In<'_>) -> Read<Option<String>> {
    if read.flag()? { Ok(Some(read.text()?.to_owned())) } else { Ok(None) }
}

fn write_map(out: &mut Out<'_>, map: &BTreeMap<String, String>) {
    out.len(map.len());
    for (name, value) in map {
        out.text(name);
        out.text(value);
    }
}

fn read_map(read: &mut In<'_>) -> Read<BTreeMap<String, String>> {
    let pairs = read_items(read, 2, |read| Ok((read.text()?.to_owned(), read.text()?.to_owned())))?;
    Ok(pairs.into_iter().collect())
}

fn write_list(out: &mut Out<'_>, list: &[String]) {
    out.len(list.len());
    list.iter().for_each(|text| out.text(text));
}

/// A list of things of at least so many bytes each.
fn read_items<T>(
    read: &mut In<'_>,
    least_bytes: usize,
    mut item: impl FnMut(&mut In<'_>) -> Read<T>,
) -> Read<Vec<T>> {
    let len = read.len(least_bytes)?;
    (0..len).map(|_| item(read)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_comes_back() {
        let text = |text: &str| text.to_owned();
        let alert = Alert {
            id: text("0123"),
            fingerprint: text("4567"),
            labels: [(text("alertname"), text("网络"))].into(),
            annotations: [(text("summary"), text(""))].into(),
            state: AlertState::Firing,
            shadow: true,
            raised_ms: -1,
            active_ms: 1_469_182_500_000,
            fired_ms: Some(1_469_182_500_001),
            ended_ms: None,
            withdrawn: true,
            reason: Reason {
                kind: text("any"),
                text: text("3 in 1m"),
                count: u64::MAX,
                value: Some(text("0.5")),
                thresholds: [(text("count"), text("3"))].into(),
                threshold_row: Some(text("2 (r.yaml:9)")),
                buckets: vec![Bucket { at: 1_000, count: 2 }],
                distinct: vec![text("a"), text("b")],
                distinct_count: 2,
                orders: vec![text("o")],
                orders_count: 1,
                amount: Some(text("1.50")),
                samples: vec![Sample { lsn: 7, at: 1_500, line: text("a||b") }],
                gate: text("window"),
            },
        };
        let mut bytes = Vec::new();
        alert.write(&mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(Alert::read(&bytes[..cut]), None);
        }
        bytes.push(9);
        assert_eq!(Alert::read(&bytes), Some((alert, &[9][..])));
    }
}
