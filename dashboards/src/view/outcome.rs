//! Whether a step went well, as far as its columns say.
//!
//! One function decides for the whole product: pages, API and command line mark the same steps.

use serde::Serialize;

use super::RecordView;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It says that it went well.
    Ok,
    /// It waits for somebody else.
    Pending,
    /// It failed.
    Failed,
    /// It does not say.
    Unknown,
}

impl Outcome {
    /// Its name, lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// An outcome and what it was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How the step ended.
    pub outcome: Outcome,
    /// Why it is failed or pending: `response_code NET_ERR`, `success false`.
    pub reasons: Vec<String>,
}

/// Judges one record by the columns `success`, `level`, `error_code`, `response_code`, `status_text` and
/// `response_message`; a format without them is `Unknown`.
///
/// Failed: `success` is false, or `level` is an error, or `error_code` is there and no success code, or `response_code` names a transport
/// failure (`NET_ERR`, `TIMEOUT`, ...), or it is any other code while nothing says that the step is pending.
/// Pending: a pending code or `status_text`, or a message that says 处理中 (in progress).
/// Ok: a success code (all zeros, `SUCCESS`, `OK`), or `success` is true and there is no code.
pub fn outcome(record: &RecordView) -> Verdict {
    let mut reasons = Vec::new();
    let success = record.typed("success").map(str::trim);
    if success.is_some_and(|text| text.eq_ignore_ascii_case("false")) {
        reasons.push("success false".to_owned());
    }
    if let Some(level) = record.get("level").map(str::trim).filter(|level| is_error_level(level)) {
        reasons.push(format!("level {level}"));
    }
    if let Some(code) =
        record.get("error_code").map(str::trim).filter(|code| !code.is_empty() && !is_success(code))
    {
        reasons.push(format!("error_code {code}"));
    }
    let code = record.get("response_code").map(str::trim).filter(|code| !code.is_empty());
    let pending = pending_reason(record, code);
    match code {
        Some(code) if is_transport_failure(code) || (pending.is_none() && !is_success(code)) => {
            reasons.push(format!("response_code {code}"));
        }
        _ => {}
    }
    let outcome = match (reasons.is_empty(), pending) {
        (false, _) => Outcome::Failed,
        (true, Some(reason)) => {
            reasons.push(reason);
            Outcome::Pending
        }
        (true, None) if code.is_some() || success.is_some() => Outcome::Ok,
        (true, None) => Outcome::Unknown,
    };
    Verdict { outcome, reasons }
}

fn is_error_level(level: &str) -> bool {
    ["error", "err", "crit", "critical", "fatal"].iter().any(|word| level.eq_ignore_ascii_case(word))
}

/// Codes that mean success whatever the module: all zeros (`0000`, ISO 8583 `00`), `SUCCESS`, `OK`.
fn is_success(code: &str) -> bool {
    code.bytes().all(|byte| byte == b'0')
        || ["SUCCESS", "OK"].iter().any(|word| code.eq_ignore_ascii_case(word))
}

/// Codes that say that no answer was had from the other side: a failure of the step even while the order is pending.
fn is_transport_failure(code: &str) -> bool {
    let code = code.to_ascii_uppercase();
    ["NET_ERR", "NETWORK_ERROR", "TIMEOUT", "TIME_OUT", "CONN_REFUSED", "CONN_RESET", "UNREACHABLE"]
        .iter()
        .any(|word| code.contains(word))
}

fn pending_reason(record: &RecordView, code: Option<&str>) -> Option<String> {
    const WORDS: [&str; 4] = ["PENDING", "PROCESSING", "IN_PROGRESS", "处理中"];
    let is_pending = |text: &str| WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if let Some(code) = code {
        if is_success(code) {
            return None;
        }
        if is_pending(code) {
            return Some(format!("response_code {code}"));
        }
    }
    if let Some(text) = record.get("status_text").map(str::trim).filter(|text| is_pending(text)) {
        return Some(format!("status_text {text}"));
    }
    let message = record.get("response_message").filter(|message| message.contains("处理中"))?;
    Some(format!("response_message {message}"))
}

#[cfg(test)]
mod tests {
    use super::super::{ColumnView, Columns};
    use super::*;

    fn check(columns: &[(&str, &str)], expect: Outcome, reasons: &[&str]) {
        let columns = columns.iter().map(|(name, text)| ColumnView {
            name: (*name).into(),
            text: (*text).to_owned(),
            kind: "string",
            ill_typed: *name == "success" && !["true", "false"].contains(text),
        });
        let record = RecordView {
            lsn: 1,
            event_ms: 0,
            recv_ms: None,
            source: String::new(),
            format: "order-trace".to_owned(),
            host: String::new(),
            program: String::new(),
            flags: Vec::new(),
            columns: Columns(columns.collect()),
            ill_typed: Vec::new(),
            extras: Vec::new(),
            message: String::new(),
        };
        let verdict = outcome(&record);
        assert_eq!((verdict.outcome, verdict.reasons.as_slice()), (expect, reasons.map_owned().as_slice()));
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }
    impl MapOwned for &[&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn success() {
        check(&[("response_code", "0000")], Outcome::Ok, &[]);
        check(&[("response_code", "00")], Outcome::Ok, &[]);
        check(&[("response_code", "success")], Outcome::Ok, &[]);
        check(&[("success", "true")], Outcome::Ok, &[]);
        check(&[("response_code", "0000"), ("response_message", "处理中")], Outcome::Ok, &[]);
        check(&[("response_code", "0000"), ("error_code", "0000")], Outcome::Ok, &[]);
    }

    #[test]
    fn failure() {
        check(&[("response_code", "NET_ERR")], Outcome::Failed, &["response_code NET_ERR"]);
        check(&[("response_code", "1001")], Outcome::Failed, &["response_code 1001"]);
        check(&[("success", "false")], Outcome::Failed, &["success false"]);
        check(&[("level", "ERROR")], Outcome::Failed, &["level ERROR"]);
        check(&[("success", "true"), ("error_code", "E17")], Outcome::Failed, &["error_code E17"]);
        let both = [("success", "false"), ("response_code", "TIMEOUT"), ("status_text", "Pending")];
        check(&both, Outcome::Failed, &["success false", "response_code TIMEOUT"]);
    }

    #[test]
    fn pending() {
        let sample = [("success", "true"), ("response_code", "9000"), ("status_text", "Pending")];
        check(&sample, Outcome::Pending, &["status_text Pending"]);
        let message = [("response_code", "9000"), ("response_message", "【结算平台消息】处理中")];
        check(&message, Outcome::Pending, &["response_message 【结算平台消息】处理中"]);
        check(&[("response_code", "PROCESSING")], Outcome::Pending, &["response_code PROCESSING"]);
    }

    #[test]
    fn unknown() {
        check(&[], Outcome::Unknown, &[]);
        check(&[("text", "started")], Outcome::Unknown, &[]);
        check(&[("success", "flase")], Outcome::Unknown, &[]);
    }
}
