//! The alerts of a backtest as people read them: two lines each, no wider than a terminal of 100 columns as a rule.
//!
//! Refuses to know: where the alerts come from.

use std::io::{self, Write};
use std::sync::Arc;

use chrono_tz::Tz;
use record::InstantMs;
use rules::Alert;

use crate::output::visible;

/// Writes them: when and who, below it why.
///
/// # Errors
/// The output cannot be written.
pub(super) fn print(alerts: &[Arc<Alert>], zone: Tz, out: &mut impl Write) -> io::Result<()> {
    if alerts.is_empty() {
        return writeln!(out, "no alert");
    }
    writeln!(out, "{:<23}  {:<23}  ALERT  (times in {zone})", "START", "END")?;
    for alert in alerts {
        let time = |at: InstantMs| dashboards::times::full(at, zone);
        let name = alert.labels.get("alertname").map_or("", String::as_str);
        let labels = alert.labels.iter().filter(|(label, _)| *label != "alertname");
        let labels: Vec<String> = labels.map(|(label, value)| format!("{label}={value}")).collect();
        let who = visible(&format!("{name} {}", labels.join(" ")));
        let ended = alert.ended_ms.map_or_else(|| "still on".to_owned(), time);
        writeln!(out, "{:<23}  {ended:<23}  {}", time(alert.active_ms), who.trim_end())?;
        let fired = match alert.fired_ms {
            None => "pending only: ".to_owned(),
            Some(at) if at == alert.active_ms => String::new(),
            Some(at) => format!("fired {}: ", dashboards::times::clock(at, zone)),
        };
        writeln!(out, "    {fired}{}", visible(&why(alert)))?;
    }
    let fired = alerts.iter().filter(|alert| alert.fired_ms.is_some()).count();
    let noun = if alerts.len() == 1 { "alert" } else { "alerts" };
    writeln!(out, "{} {noun}, {fired} fired, {} pending only", alerts.len(), alerts.len() - fired)
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
    if alert.fired_ms.is_some() && !reason.gate.is_empty() {
        text.push_str(&format!("; ended by {}", reason.gate));
    }
    text
}
