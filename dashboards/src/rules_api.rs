//! `GET /api/v1/rules` and `GET /api/v1/alerts` in the shape of Prometheus, with more fields of our own.
//!
//! Clients of Prometheus (Grafana, karma) read them; instants are RFC 3339, durations are seconds. Refuses to know: how
//! rules are judged.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rules::{Alert, AlertState};
use serde_json::{Value, json};

use crate::App;
use crate::rules_view::{RuleRow, RulesView};

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// `type=record`: there are none.
    none: bool,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    exclude_alerts: bool,
    group_limit: Option<usize>,
    after: Option<String>,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            match name.as_str() {
                "type" => match value.as_str() {
                    "alert" | "" => {}
                    "record" => wanted.none = true,
                    _ => return Err(format!("type: `{value}` is not `alert` or `record`")),
                },
                "rule_name[]" => wanted.names.push(value),
                "rule_group[]" => wanted.groups.push(value),
                "file[]" => wanted.files.push(value),
                "exclude_alerts" => {
                    wanted.exclude_alerts = truth(&value)
                        .ok_or_else(|| format!("exclude_alerts: `{value}` is not true or false"))?;
                }
                "group_limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit > 0);
                    let why = || format!("group_limit: `{value}` is not a number above 0");
                    wanted.group_limit = Some(limit.ok_or_else(why)?);
                }
                "group_next_token" => wanted.after = Some(value),
                // As Prometheus does: what it does not know it leaves alone.
                _ => {}
            }
        }
        if wanted.after.is_some() && wanted.group_limit.is_none() {
            return Err("group_next_token: only together with group_limit".to_owned());
        }
        Ok(wanted)
    }

    fn takes(&self, row: &RuleRow<'_>) -> bool {
        let among = |list: &[String], text: &str| list.is_empty() || list.iter().any(|one| one == text);
        let info = row.info;
        !self.none
            && among(&self.names, &info.alert)
            && among(&self.groups, &info.group)
            && among(&self.files, &info.file)
    }
}

/// As Go's `strconv.ParseBool`; nothing is false.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A part of a query string; `+` is a space.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                value.ok_or("the query has a `%` that two hexadecimal digits do not follow")?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_not_text| "the query is not UTF-8".to_owned())
}

/// Rules by group: `{"status": "success", "data": {"groups": [...], "groupNextToken": ...}}`. Parameters as Prometheus
/// has them: `type`, `rule_name[]`, `rule_group[]`, `file[]`, `exclude_alerts`, `group_limit`, `group_next_token`. Rules
/// in the shadow are there (`"mode": "shadow"`) with the alerts that nobody is sent.
pub(crate) async fn rules(State(app): State<App>, RawQuery(query): RawQuery) -> Response {
    let wanted = match Wanted::read(query.as_deref().unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(why) => return refused(&why),
    };
    let view = (app.deps.rules)();
    let live = app.deps.book.live();
    let mut by_rule: BTreeMap<&str, Vec<&Alert>> = BTreeMap::new();
    for alert in &live {
        by_rule.entry(alert.labels.get("alertname").map_or("", |name| name)).or_default().push(alert);
    }
    let mut groups: BTreeMap<(&str, &str), Vec<RuleRow<'_>>> = BTreeMap::new();
    for row in view.rows().filter(|row| wanted.takes(row)) {
        groups.entry((&row.info.file, &row.info.group)).or_default().push(row);
    }
    let first = match &wanted.after {
        None => 0,
        Some(token) => match groups.keys().position(|(file, group)| *token == token_of(file, group)) {
            Some(at) => at,
            None => {
                return refused("group_next_token: there is no such group any more; begin anew without it");
            }
        },
    };
    let last = first.saturating_add(wanted.group_limit.unwrap_or(usize::MAX));
    let next = groups.keys().nth(last).map(|(file, group)| token_of(file, group));
    let page = groups.iter().skip(first).take(last - first);
    let shown: Vec<Value> = page
        .map(|((file, name), rows)| {
            let of = |row: &RuleRow<'_>| by_rule.get(&*row.info.alert).map_or(&[][..], Vec::as_slice);
            let rules: Vec<Value> = rows.iter().map(|row| rule(row, of(row), &view, &wanted)).collect();
            json!({
                "name": name,
                "file": file,
                "interval": 0,
                "limit": 0,
                "evaluationTime": rows.iter().map(|row| evaluation_seconds(row)).sum::<f64>(),
                "lastEvaluation": record::rfc3339_ms(view.at_ms),
                "rules": rules,
            })
        })
        .collect();
    let mut data = json!({"groups": shown});
    if let Some(token) = next {
        data["groupNextToken"] = token.into();
    }
    Json(json!({"status": "success", "data": data})).into_response()
}

/// Live alerts: `{"status": "success", "data": {"alerts": [...]}}`. Those in the shadow are left out: they are never sent.
pub(crate) async fn alerts(State(app): State<App>) -> Json<Value> {
    let live = app.deps.book.live();
    let alerts: Vec<Value> = live.iter().filter(|alert| !alert.shadow).map(|alert| shown(alert)).collect();
    Json(json!({"status": "success", "data": {"alerts": alerts}}))
}

/// A place in the list of groups that outlives changes of the others.
fn token_of(file: &str, group: &str) -> String {
    let bytes = file.bytes().chain([0]).chain(group.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn rule(row: &RuleRow<'_>, alerts: &[&Alert], view: &RulesView, wanted: &Wanted) -> Value {
    let (info, counts) = (row.info, row.counts);
    let state = |state| alerts.iter().any(|alert| alert.state == state);
    let mut rule = json!({
        "name": info.alert,
        "query": info.text,
        "duration": seconds(info.for_ms),
        "keepFiringFor": seconds(info.keep_firing_for_ms),
        "labels": info.labels,
        "annotations": info.annotations,
        "health": "ok",
        "lastError": "",
        "type": "alerting",
        "evaluationTime": evaluation_seconds(row),
        "lastEvaluation": record::rfc3339_ms(view.at_ms),
        "kind": info.kind,
        "summary": info.summary,
        "mode": if info.shadow { "shadow" } else { "live" },
        "by": info.by,
        "line": info.line,
        "watermark": view.watermark_ms.map(record::rfc3339_ms),
        "counts": {
            "matched": counts.matched,
            "late": counts.late,
            "keys": counts.keys,
            "keysDropped": counts.keys_dropped,
            "things": counts.things,
            "thingsDropped": counts.things_dropped,
            "fired": counts.fired,
            "withdrawn": counts.withdrawn,
        },
        "cost": {
            "nanosecondsPerMatch": row.cost.ns_per_match(),
            "sampledMatches": row.cost.takes,
            "since": record::rfc3339_ms(view.since_ms),
        },
    });
    let word = match (state(AlertState::Firing), state(AlertState::Pending)) {
        (true, _) => "firing",
        (_, true) => "pending",
        _ => "inactive",
    };
    rule["state"] = word.into();
    let told = if wanted.exclude_alerts { &[] } else { alerts };
    rule["alerts"] = told.iter().map(|alert| shown(alert)).collect();
    rule
}

fn shown(alert: &Alert) -> Value {
    let state = if alert.state == AlertState::Pending { "pending" } else { "firing" };
    json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": state,
        "activeAt": record::rfc3339_ms(alert.active_ms),
        "value": alert.reason.value.as_deref().and_then(scientific_text).unwrap_or_else(|| scientific(alert.reason.count as f64)),
        "id": alert.id,
        "fingerprint": alert.fingerprint,
        "reason": alert.reason.text,
    })
}

/// The time that the rule took since it is measured, an estimate from samples.
fn evaluation_seconds(row: &RuleRow<'_>) -> f64 {
    row.cost.total_ns() as f64 / 1e9
}

/// Whole seconds without a fraction, as Prometheus prints them.
fn seconds(ms: i64) -> Value {
    if ms % 1_000 == 0 { (ms / 1_000).into() } else { (ms as f64 / 1_000.0).into() }
}

fn scientific_text(text: &str) -> Option<String> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(scientific)
}

/// As Go prints it: `1.2e+01`.
fn scientific(value: f64) -> String {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

fn refused(why: &str) -> Response {
    let body = json!({"status": "error", "errorType": "bad_data", "error": why});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_in_go() {
        let shown: Vec<String> =
            [0.0, 1.0, 12.0, 25_000.0, 0.25, 1e-10].into_iter().map(scientific).collect();
        assert_eq!(shown, ["0e+00", "1e+00", "1.2e+01", "2.5e+04", "2.5e-01", "1e-10"]);
        assert_eq!(scientific_text("0.87").as_deref(), Some("8.7e-01"));
        assert_eq!(scientific_text("many"), None);
    }

    #[test]
    fn queries() {
        let wanted = Wanted::read(
            "type=alert&rule_name[]=A%20B&rule_name%5B%5D=C+D&file[]=x.yaml&rule_group[]=g&exclude_alerts=true&group_limit=2&group_next_token=t&match[]=x",
        );
        assert_eq!(
            wanted.unwrap(),
            Wanted {
                none: false,
                names: vec!["A B".into(), "C D".into()],
                groups: vec!["g".into()],
                files: vec!["x.yaml".into()],
                exclude_alerts: true,
                group_limit: Some(2),
                after: Some("t".into()),
            }
        );
        assert_eq!(Wanted::read(""), Ok(Wanted::default()));
        for (query, why) in [
            ("type=both", "type: `both` is not `alert` or `record`"),
            ("exclude_alerts=maybe", "exclude_alerts: `maybe` is not true or false"),
            ("group_limit=0", "group_limit: `0` is not a number above 0"),
            ("group_next_token=x", "group_next_token: only together with group_limit"),
            ("file[]=%zz", "the query has a `%` that two hexadecimal digits do not follow"),
            ("file[]=%ff", "the query is not UTF-8"),
        ] {
            assert_eq!(Wanted::read(query), Err(why.to_owned()), "{query}");
        }
    }
}
