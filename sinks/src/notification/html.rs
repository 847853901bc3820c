//! The HTML body: one page without scripts, images or anything else to load.
//!
//! Refuses to know: mail. Every text goes through [`html_text`].

use std::fmt::Write as _;

use super::{Document, html_text};

const STYLE: &str = "font:14px/1.5 sans-serif;color:#1c1c1c;max-width:60em";
const MONO: &str = "font:12px/1.5 monospace;white-space:pre-wrap;word-break:break-all";
/// A full bar's width, in pixels.
const BAR_PX: u64 = 240;

/// A whole HTML document in ASCII markup and escaped text.
pub fn html(document: &Document) -> String {
    let mut page = format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><title>{title}</title></head><body style=\"{STYLE}\">\
         <p style=\"color:#fff;background:{colour};padding:4px 10px;display:inline-block\">{word}</p>\
         <h2 style=\"margin:0\">{title}</h2><p style=\"font-size:16px\">{lead}</p>\n",
        title = html_text(&document.title),
        colour = colour(document.word),
        word = document.word,
        lead = html_text(&document.lead),
    );
    for note in &document.notes {
        add(&mut page, format_args!("<p><strong>{}</strong></p>\n", html_text(note)));
    }
    table(&mut page, document.facts.iter().map(|f| (f.name, f.value.as_str())));
    counts(&mut page, &document.counts);
    if !document.labels.is_empty() {
        page.push_str("<h3>Labels</h3>");
        table(&mut page, document.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    }
    if !document.samples.is_empty() {
        page.push_str("<h3>Sample lines</h3>");
        for (at, sample) in &document.samples {
            add(&mut page, format_args!("<div style=\"{MONO}\">{at} {}</div>\n", html_text(sample)));
        }
    }
    let link = html_text(&document.link);
    add(&mut page, format_args!("<p><a href=\"{link}\">{link}</a></p></body></html>\n"));
    page
}

fn table<'a>(page: &mut String, rows: impl Iterator<Item = (&'a str, &'a str)>) {
    page.push_str("<table style=\"border-spacing:0\">\n");
    for (name, value) in rows {
        add(
            page,
            format_args!(
                "<tr><td style=\"padding-right:16px;color:#666;vertical-align:top\">{}</td><td>{}</td></tr>\n",
                html_text(name),
                html_text(value)
            ),
        );
    }
    page.push_str("</table>\n");
}

fn counts(page: &mut String, counts: &[(String, u64)]) {
    let Some(most) = counts.iter().map(|(_, n)| *n).max().filter(|n| *n > 0) else { return };
    page.push_str("<h3>Matches</h3><table style=\"border-spacing:0\">\n");
    for (at, count) in counts {
        let width = u128::from(*count) * u128::from(BAR_PX) / u128::from(most);
        add(
            page,
            format_args!(
                "<tr><td style=\"padding-right:16px;color:#666\">{}</td><td style=\"text-align:right\">{count}</td>\
                 <td><div style=\"margin-left:8px;height:10px;width:{width}px;background:#b3261e\"></div></td></tr>\n",
                html_text(at)
            ),
        );
    }
    page.push_str("</table>\n");
}

fn colour(word: &str) -> &'static str {
    if word == "FIRING" { "#b3261e" } else { "#2e6b34" }
}

fn add(page: &mut String, arguments: std::fmt::Arguments<'_>) {
    page.write_fmt(arguments).expect("writing into a String cannot fail");
}
