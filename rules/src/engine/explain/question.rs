//! From what a person typed to a rule and the canonical bytes of a key.
//!
//! Refuses to know: whether the key was ever seen.

use record::FormatSet;

use crate::condition::nearest::{did_you_mean, nearest};
use crate::engine::join_key;
use crate::rule::Rule;
use crate::{Question, QuestionError, RuleSet};

/// Rules that a message names.
const LISTED_MAX: usize = 20;

/// The place of the rule and the bytes of the key.
pub(super) fn resolve(
    rules: &RuleSet,
    formats: &FormatSet,
    question: &Question,
) -> Result<(usize, Box<[u8]>), QuestionError> {
    let names = || rules.rules.iter().map(|rule| &*rule.alert);
    let Some(place) = names().position(|name| name == question.alert) else {
        let meant = match nearest(&question.alert, names()) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => format!("; known: {}", names().take(LISTED_MAX).collect::<Vec<_>>().join(", ")),
        };
        return Err(QuestionError::UnknownRule { name: question.alert.clone(), meant });
    };
    let rule = &rules.rules[place];
    Ok((place, join_key(&canonical(rule, formats, &question.key)?)))
}

/// The canonical texts of the values, in the order of `by`.
fn canonical(rule: &Rule, formats: &FormatSet, given: &[String]) -> Result<Vec<String>, QuestionError> {
    let names: Vec<&str> = rule.by.iter().map(|(name, _)| &**name).collect();
    let fail = |message: String| Err(QuestionError::Key { message });
    let mut values: Vec<Option<&str>> = vec![None; names.len()];
    let mut next = 0;
    for text in given {
        let named = text.split_once('=').and_then(|(name, value)| {
            let place = names.iter().position(|known| *known == name.trim())?;
            Some((place, value))
        });
        let (place, value) = match named {
            Some(named) => named,
            None => {
                if let Some(name) = misnamed(text, rule, formats, &names) {
                    let near = did_you_mean(name, names.iter().copied());
                    let by = wanted(&names);
                    return fail(format!(
                        "`{name}` is no field of the key{near}; `{}` {by}; a value with `=` in it needs its field's name too",
                        rule.alert
                    ));
                }
                while values.get(next).is_some_and(Option::is_some) {
                    next += 1;
                }
                (next, text.as_str())
            }
        };
        match values.get_mut(place) {
            None => {
                let by = if names.is_empty() { "has no `by`".to_owned() } else { wanted(&names) };
                return fail(format!("`{text}` is too much: `{}` {by}", rule.alert));
            }
            Some(Some(_)) => return fail(format!("`{}` is given twice", names[place])),
            Some(empty) => *empty = Some(value),
        }
    }
    let lacking = values.iter().zip(&names).find(|(value, _)| value.is_none());
    if let Some((_, name)) = lacking {
        let by = wanted(&names);
        return fail(format!("the key lacks `{name}`: `{}` {by}; `{name}=` is null", rule.alert));
    }
    let format = formats.get(rule.format);
    let columns = rule.by.iter().map(|(_, column)| format.columns().get(*column));
    let mut texts = Vec::with_capacity(names.len());
    for (text, column) in values.into_iter().flatten().zip(columns) {
        match column.filter(|_| !text.is_empty()).map(|column| (column, column.kind.parse(text))) {
            None => texts.push(text.to_owned()),
            Some((_, Ok(value))) => texts.push(value.to_key().label()),
            Some((column, Err(_))) => {
                let (name, kind) = (&column.name, column.kind.name());
                return fail(format!("`{text}` is not a value of `{name}`, which is a {kind}"));
            }
        }
    }
    Ok(texts)
}

/// The name in `name=value` that was meant as a field and is none of the key: of another, or nearly.
fn misnamed<'t>(text: &'t str, rule: &Rule, formats: &FormatSet, names: &[&str]) -> Option<&'t str> {
    let (name, _) = text.split_once('=')?;
    let name = name.trim();
    let meant =
        formats.get(rule.format).column(name).is_some() || nearest(name, names.iter().copied()).is_some();
    (meant && !names.is_empty()).then_some(name)
}

fn wanted(names: &[&str]) -> String {
    let pairs: Vec<String> = names.iter().map(|name| format!("{name}=...")).collect();
    format!("is by {} (write {})", names.join(", "), pairs.join(" "))
}
