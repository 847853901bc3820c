//! The alerts of a backtest as people read them, on a terminal of 100 columns: when and who, below it why.
//!
//! Refuses to know: where the alerts come from.

use std::io::{self, Write};
use std::sync::Arc;

use chrono_tz::Tz;
use record::InstantMs;
use rules::{Alert, RuleInfo};

use crate::output::visible;

/// Characters of a line of the reason.
const WIDTH_CHARS: usize = 96;

/// Writes them: when and who, below it why.
///
/// # Errors
/// The output cannot be written.
pub(super) fn print(
    alerts: &[Arc<Alert>],
    rules: &[RuleInfo],
    zone: Tz,
    out: &mut impl Write,
) -> io::Result<()> {
    if alerts.is_empty() {
        return writeln!(out, "no alert");
    }
    writeln!(out, "{:<23}  {:<23}  ALERT  (times in {zone})", "START", "END")?;
    for alert in alerts {
        let time = |at: InstantMs| dashboards::times::full(at, zone);
        let name = alert.labels.get("alertname").map_or("", String::as_str);
        // What every alert of the rule has tells none of them apart.
        let constant = rules.iter().find(|rule| *rule.alert == *name).map(|rule| &rule.labels);
        let tells = |label: &str| label != "alertname" && constant.is_none_or(|own| !own.contains_key(label));
        let labels = alert.labels.iter().filter(|(label, _)| tells(label));
        let labels: Vec<String> = labels.map(|(label, value)| format!("{label}={value}")).collect();
        let who = visible(&format!("{name} {}", labels.join(" ")));
        let ended = alert.ended_ms.map_or_else(|| "still on".to_owned(), time);
        writeln!(out, "{:<23}  {ended:<23}  {}", time(alert.active_ms), who.trim_end())?;
        let fired = match alert.fired_ms {
            None => "pending only: ".to_owned(),
            Some(at) if at == alert.active_ms => String::new(),
            Some(at) => format!("fired {}: ", dashboards::times::clock(at, zone)),
        };
        for line in wrapped(&visible(&format!("{fired}{}", why(alert)))) {
            writeln!(out, "    {line}")?;
        }
    }
    let fired = alerts.iter().filter(|alert| alert.fired_ms.is_some()).count();
    let noun = if alerts.len() == 1 { "alert" } else { "alerts" };
    writeln!(out, "{} {noun}, {fired} fired, {} pending only", alerts.len(), alerts.len() - fired)
}

/// Cut between words so that each line fits below a time.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let used = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(line) if used == 0 || used + 1 + word.chars().count() <= WIDTH_CHARS => {
                if used > 0 {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The reason, what was at risk, and what ended it.
fn why(alert: &Alert) -> String {
    let reason = &alert.reason;
    let mut text = reason.text.clone();
    if reason.orders_count > 0 {
        let orders = if reason.orders_count == 1 { "order" } else { "orders" };
        let money = reason.amount.as_ref().map_or_else(String::new, |sum| format!(", {sum} at risk"));
        text.push_str(&format!("; {} {orders}{money}", reason.orders_count));
    }
    match (reason.gate.is_empty(), alert.fired_ms) {
        (true, _) => {}
        (false, Some(_)) => text.push_str(&format!("; ended by {}", reason.gate)),
        (false, None) => text.push_str(&format!("; held back by {}", reason.gate)),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn long_reasons_are_cut_between_words() {
        assert_eq!(wrapped("a b"), ["a b"]);
        let long = "word ".repeat(30);
        let lines = wrapped(long.trim_end());
        assert_eq!(lines.len(), 2);
        assert_eq!(lines.join(" "), long.trim_end());
        assert!(lines.iter().all(|line| line.len() <= 96));
        assert_eq!(wrapped(&"x".repeat(200)), ["x".repeat(200)]);
    }
}
