//! What the engine needs of a rule besides its window: delays, labels, how reasons are worded.
//!
//! Refuses to know: conditions, YAML.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::FormatSet;

use super::life::Delays;
use crate::rule::{Kind, Row, Rule, Spike, ThingKind, Things};

/// A rule's constants.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) alert: Arc<str>,
    /// The rule's fingerprint.
    pub(super) meaning: u64,
    pub(super) by: Vec<Arc<str>>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) shadow: bool,
    pub(super) samples: usize,
    pub(super) delays: Delays,
    pub(super) lateness_ms: i64,
    pub(super) settle_ms: i64,
    pub(super) kind: Kind,
    /// Other numbers for some keys.
    pub(super) thresholds: Arc<[Row]>,
    /// Name of the column of `distinct`, or of the one that names things.
    pub(super) distinct_name: String,
    /// Name of the column that is aggregated, or whose changes are watched, or of those that are compared.
    pub(super) field_name: String,
    /// The rule's format has orders; else every match is its own.
    pub(super) has_orders: bool,
    /// Zone in which the lines' times are written.
    pub(super) zone: chrono_tz::Tz,
}

impl Settings {
    pub(super) fn of(rule: &Rule, formats: &FormatSet) -> Self {
        let format = formats.get(rule.format);
        let column = |i: usize| format.columns().get(i);
        let zone = match format.time_column().and_then(column).map(|c| &c.kind) {
            Some(record::ColumnType::Timestamp { zone, .. }) => *zone,
            _ => chrono_tz::UTC,
        };
        Settings {
            alert: Arc::clone(&rule.alert),
            meaning: rule.fingerprint(format),
            by: rule.by.iter().map(|(name, _)| Arc::clone(name)).collect(),
            labels: rule.labels.clone(),
            annotations: rule.annotations.clone(),
            shadow: rule.shadow,
            samples: rule.samples,
            delays: Delays { for_ms: rule.for_ms, keep_firing_for_ms: rule.keep_firing_for_ms },
            lateness_ms: rule.lateness_ms,
            settle_ms: rule.settle_ms,
            kind: rule.kind.clone(),
            thresholds: Arc::clone(&rule.thresholds),
            distinct_name: rule
                .kind
                .distinct_field()
                .or_else(|| rule.kind.thing_field())
                .and_then(column)
                .map(|c| c.name.to_string())
                .unwrap_or_default(),
            field_name: match &rule.kind {
                Kind::Aggregate { field, .. }
                | Kind::Spike { spike: Spike { sum: Some(field), .. }, .. }
                | Kind::Things(Things { kind: ThingKind::Transition { field, .. }, .. }) => {
                    column(*field).map(|c| c.name.to_string()).unwrap_or_default()
                }
                Kind::Things(Things { kind: ThingKind::Mismatch { compare, .. }, .. }) => {
                    let names = compare.iter().filter_map(|&field| column(field)).map(|c| &*c.name);
                    names.collect::<Vec<_>>().join(", ")
                }
                _ => String::new(),
            },
            has_orders: rule.order.is_some(),
            zone,
        }
    }
}
