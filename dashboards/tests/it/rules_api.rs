//! The rules and alerts as clients of Prometheus read them.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use expect_test::expect;
use serde::Deserialize;
use serde_json::Value;

use crate::get;
use crate::stage::deps;

/// The fields and types that Prometheus' own Go client (`api/prometheus/v1`) reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read to see whether it can be read")]
struct Answer {
    status: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    groups: Vec<Group>,
    group_next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read to see whether it can be read")]
struct Group {
    name: String,
    file: String,
    interval: f64,
    limit: u64,
    evaluation_time: f64,
    last_evaluation: Instant,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read to see whether it can be read")]
struct Rule {
    name: String,
    query: String,
    duration: f64,
    keep_firing_for: f64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    alerts: Vec<Alert>,
    health: String,
    last_error: String,
    evaluation_time: f64,
    last_evaluation: Instant,
    #[serde(default)]
    state: String,
    r#type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read to see whether it can be read")]
struct Alert {
    active_at: Instant,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    state: String,
    value: String,
}

/// An instant as Go reads it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Instant;

impl TryFrom<String> for Instant {
    type Error = chrono::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        chrono::DateTime::parse_from_rfc3339(&text).map(|_| Self)
    }
}

fn ask(query: &str) -> (Data, Value) {
    let answer = get(deps(), &format!("/api/v1/rules{query}"));
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    let typed: Answer =
        serde_json::from_str(&answer.text).unwrap_or_else(|e| panic!("{query}: {e}: {}", answer.text));
    (typed.data, serde_json::from_str(&answer.text).unwrap())
}

fn check(query: &str, expect: &[(&str, &[&str])]) {
    let (data, _) = ask(query);
    let names = |group: &Group| group.rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>();
    let shown: Vec<_> = data.groups.iter().map(|group| (group.name.clone(), names(group))).collect();
    let expect: Vec<_> = expect
        .iter()
        .map(|(group, rules)| ((*group).to_owned(), rules.iter().map(|rule| (*rule).to_owned()).collect()))
        .collect();
    assert_eq!(shown, expect, "{query}");
}

#[test]
fn rules_by_group() {
    const NETWORK: (&str, &[&str]) = ("network", &["ChannelNetworkDown", "NetworkTroubleTotal"]);
    const KEYWORDS: (&str, &[&str]) = ("keywords", &["KeywordPanic"]);
    check("", &[KEYWORDS, NETWORK]);
    check("?type=alert&match[]=x", &[KEYWORDS, NETWORK]);
    check("?type=record", &[]);
    check(
        "?rule_name[]=KeywordPanic&rule_name[]=NetworkTroubleTotal",
        &[KEYWORDS, ("network", &["NetworkTroubleTotal"])],
    );
    check("?rule_group%5B%5D=network", &[NETWORK]);
    check("?file[]=rules.d%2Fkeywords.yaml&file[]=other.yaml", &[KEYWORDS]);
    check("?rule_group[]=network&file[]=rules.d/keywords.yaml", &[]);
    let (first, _) = ask("?group_limit=1");
    let token = first.group_next_token.expect("there is more");
    assert_eq!(first.groups[0].name, "keywords");
    let (second, _) = ask(&format!("?group_limit=1&group_next_token={token}"));
    assert_eq!(
        (second.groups.len(), second.groups[0].name.as_str(), second.group_next_token),
        (1, "network", None)
    );
    for query in [
        "?group_limit=x",
        "?group_next_token=x",
        "?group_limit=1&group_next_token=x",
        "?type=x",
        "?exclude_alerts=2",
    ] {
        let answer = get(deps(), &format!("/api/v1/rules{query}"));
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.text.contains(r#""errorType":"bad_data""#), "{query}: {}", answer.text);
    }
}

#[test]
fn one_rule_in_full() {
    let (_, value) = ask("?rule_name[]=NetworkTroubleTotal");
    expect![[r#"
        {
          "data": {
            "groups": [
              {
                "evaluationTime": 0.003612,
                "file": "rules.d/network.yaml",
                "interval": 0,
                "lastEvaluation": "2016-07-22T10:15:29.750Z",
                "limit": 0,
                "name": "network",
                "rules": [
                  {
                    "alerts": [
                      {
                        "activeAt": "2016-07-22T10:13:18.000Z",
                        "annotations": {
                          "summary": "31 network errors on 3 channels in 10 minutes"
                        },
                        "fingerprint": "51ab77e2c9d4f003",
                        "id": "51ab77e2c9d4f003",
                        "labels": {
                          "alertname": "NetworkTroubleTotal",
                          "class": "alarm",
                          "severity": "warning"
                        },
                        "reason": "31 of at least 25 within 10m over 3 of at least 3 distinct channel",
                        "state": "firing",
                        "value": "3.1e+01"
                      }
                    ],
                    "annotations": {},
                    "by": [],
                    "cost": {
                      "nanosecondsPerMatch": 750,
                      "sampledMatches": 4,
                      "since": "2016-07-22T09:15:30.000Z"
                    },
                    "counts": {
                      "fired": 1,
                      "keys": 133,
                      "keysDropped": 0,
                      "late": 0,
                      "matched": 1204,
                      "things": 0,
                      "thingsDropped": 0,
                      "withdrawn": 0
                    },
                    "duration": 0,
                    "evaluationTime": 0.003612,
                    "health": "ok",
                    "keepFiringFor": 1.5,
                    "kind": "frequency",
                    "labels": {
                      "class": "alarm",
                      "severity": "warning"
                    },
                    "lastError": "",
                    "lastEvaluation": "2016-07-22T10:15:29.750Z",
                    "line": 13,
                    "mode": "live",
                    "name": "NetworkTroubleTotal",
                    "query": "- alert: NetworkTroubleTotal\n  kind: frequency\n  where: response_code in [\"NET_ERR\", \"TIMEOUT\"]\n  count: 25\n  within: 10m\n  keep_firing_for: 1500ms\n  labels: {class: alarm, severity: warning}",
                    "state": "firing",
                    "summary": "at least 25 within 10m",
                    "type": "alerting",
                    "watermark": "2016-07-22T10:15:24.880Z"
                  }
                ]
              }
            ]
          },
          "status": "success"
        }"#]].assert_eq(&serde_json::to_string_pretty(&value).unwrap());
    let (excluded, _) = ask("?exclude_alerts=true");
    let states = |data: &Data| -> Vec<String> {
        data.groups.iter().flat_map(|group| &group.rules).map(|rule| rule.state.clone()).collect()
    };
    let (all, _) = ask("");
    assert!(states(&all).iter().any(|state| state == "firing"), "{all:?}");
    assert_eq!(
        states(&excluded),
        states(&all),
        "as in Prometheus the state of a rule is there without its alerts"
    );
    assert!(excluded.groups.iter().flat_map(|group| &group.rules).all(|rule| rule.alerts.is_empty()));
}
