//! Figures of rules: tables for people, JSON lines for machines, goals.
//!
//! Refuses to know: how figures are gained.

use std::fmt::Write as _;

use serde_json::json;

use super::sets::Shape;
use super::{COUNTS, Figures, Measured, Ran, SEC};
use crate::report::Goal;
use crate::statistics::Spread;

/// SEC's CPU a line, of ours, at each of its numbers of rules.
const SEC_GOALS: [(&str, f64); 3] = [
    ("1 rule: SEC's CPU a line, of ours", 6.0),
    ("100 rules: SEC's CPU a line, of ours", 150.0),
    ("1,000 rules: SEC's CPU a line, of ours", 1_500.0),
];

impl Figures {
    fn spread(&self, measured: Measured, value: impl Fn(&Ran) -> f64) -> Option<Spread> {
        Spread::of(&self.runs.get(&measured)?.iter().map(value).collect::<Vec<_>>())
    }

    fn cpu(&self, measured: Measured) -> Option<Spread> {
        self.spread(measured, Ran::cpu_s_per_million)
    }

    /// CPU seconds for a million lines without what loading the rules takes, round by round.
    fn per_line(&self, shape: Shape, rules: usize) -> Vec<f64> {
        let of = |measured| self.runs.get(&measured).into_iter().flatten();
        let pairs = of(Measured::Judged(shape, rules)).zip(of(Measured::Loaded(shape, rules)));
        pairs.map(|(judged, loaded)| (judged.cpu_s - loaded.cpu_s) / judged.lines as f64 * 1e6).collect()
    }

    fn growth(&self, shape: Shape) -> Option<f64> {
        let (many, few) = (self.per_line(shape, 10_000), self.per_line(shape, 10));
        median(many.iter().zip(&few).map(|(many, few)| many / few))
    }

    /// `value` of one by that of the other, round by round.
    fn ratio(&self, a: Measured, b: Measured, value: impl Fn(&Ran) -> f64) -> Option<f64> {
        let pairs = self.runs.get(&a)?.iter().zip(self.runs.get(&b)?);
        median(pairs.map(|(a, b)| value(a) / value(b)))
    }

    /// The goals that something was measured for.
    pub(crate) fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        let mut goal = |name, value: Option<f64>, target, at_least| {
            goals.extend(value.map(|value| Goal { name, value, target, stretch: None, at_least }));
        };
        goal("mixture: cost at 10,000 rules, of 10", self.growth(Shape::Mixture), 1.5, false);
        goal("matching: cost at 10,000 rules, of 10", self.growth(Shape::Matching), 1.5, false);
        goal("keywords: cost at 10,000 rules, of 10", self.growth(Shape::Keywords), 1.5, false);
        for ((name, target), (rules, _)) in SEC_GOALS.into_iter().zip(SEC) {
            let ours = Measured::Judged(Shape::Equality, rules);
            goal(name, self.ratio(Measured::Sec(rules), ours, Ran::cpu_s_per_million), target, true);
        }
        let (node, peer) = (Measured::Node, Measured::SyslogNg);
        goal("node: lines/s, of syslog-ng's", self.ratio(node, peer, Ran::lines_per_s), 8.0, true);
        let cpu = self.ratio(peer, node, Ran::cpu_s_per_million);
        goal("syslog-ng's CPU a line, of the node's", cpu, 8.0, true);
        let ten = Measured::Judged(Shape::Mixture, 10);
        let rate = self.spread(ten, |ran| ran.lines_per_s() / 1e6).map(|spread| spread.median);
        goal("backtest, 10 rules: million lines/s", rate, 2.5, true);
        let mawk = self.ratio(ten, Measured::Mawk, Ran::lines_per_s);
        goal("backtest, 10 rules: lines/s, of mawk's", mawk, 4.0, true);
        let memory = self.memory.map(|memory| memory.grown_bytes as f64 / 1e6);
        goal("1M active keys, MB", memory, 160.0, false);
        goals
    }

    /// For people.
    pub(crate) fn show(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        writeln!(
            out,
            "{} lines as modules print them. CPU seconds for a million lines, loading the rules included:",
            self.lines
        )?;
        let two = |spread: Option<Spread>| {
            spread.map_or_else(|| "-".to_owned(), |s| format!("{:.2} ({:.2}-{:.2})", s.median, s.min, s.max))
        };
        writeln!(
            out,
            "\n{:<10}{:>8}{:>22}{:>18}{:>26}",
            "rules", "number", "watchroom", "loading, s", "sec"
        )?;
        for shape in [Shape::Equality, Shape::Mixture, Shape::Matching, Shape::Keywords] {
            for rules in COUNTS {
                let judged = self.cpu(Measured::Judged(shape, rules));
                if judged.is_none() {
                    continue;
                }
                let loading = self.spread(Measured::Loaded(shape, rules), |ran| ran.cpu_s);
                let loading = loading.map_or_else(|| "-".to_owned(), |s| format!("{:.3}", s.median));
                let sec = if shape == Shape::Equality {
                    two(self.cpu(Measured::Sec(rules)))
                } else {
                    String::new()
                };
                writeln!(out, "{:<10}{rules:>8}{:>22}{loading:>18}{sec:>26}", shape.name(), two(judged))?;
            }
        }
        self.show_matches(&mut out)?;
        let others = [
            ("backtest, 10 rules", Measured::Judged(Shape::Mixture, 10)),
            ("mawk, one field counted", Measured::Mawk),
            ("node over TCP, one rule", Measured::Node),
            ("syslog-ng over TCP, csv-parser, grouping-by", Measured::SyslogNg),
        ];
        for (name, measured) in others {
            let rate = self.spread(measured, |ran| ran.lines_per_s() / 1e3);
            let rate = rate
                .map_or_else(|| "-".to_owned(), |s| format!("{:.0}k ({:.0}-{:.0})", s.median, s.min, s.max));
            writeln!(out, "{name:<44}{rate:>26} lines/s {:>22} CPU s/M", two(self.cpu(measured)))?;
        }
        if let Some(memory) = self.memory {
            let each = memory.grown_bytes as f64 / memory.keys as f64;
            writeln!(out, "{} active keys of one frequency rule: {each:.0} bytes each", memory.keys)?;
        }
        for note in &self.notes {
            writeln!(out, "not measured: {note}")?;
        }
        writeln!(out)?;
        Ok(out)
    }

    /// What the compared rules are and how many lines concern them.
    fn show_matches(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\nThe first ten rules of the mixture:")?;
        for (n, condition) in self.first_ten.iter().enumerate() {
            writeln!(out, "  R{n}: {condition}")?;
        }
        writeln!(out, "Of matching they are a merchant each, of those that occur most.")?;
        for (shape, found) in &self.matches {
            let share = 100.0 * found.concerned as f64 / found.lines.max(1) as f64;
            writeln!(
                out,
                "{} at {} rules: {share:.1} % of the first {} lines concern some of them; {} rules are met",
                shape.name(),
                found.rules,
                found.lines,
                found.matched
            )?;
        }
        writeln!(out)
    }

    /// For machines.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let mut all = Vec::new();
        for (measured, runs) in &self.runs {
            for (round, ran) in runs.iter().enumerate() {
                all.push(json!({
                    "case": "rules", "of": format!("{measured:?}"), "round": round + 1, "lines": ran.lines,
                    "cpu_s": ran.cpu_s, "wall_s": ran.wall_s,
                }));
            }
        }
        if let Some(memory) = self.memory {
            all.push(json!({"case": "keys", "keys": memory.keys, "grown_bytes": memory.grown_bytes}));
        }
        all
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    Spread::of(&values.collect::<Vec<_>>()).map(|spread| spread.median)
}
