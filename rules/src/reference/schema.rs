//! The JSON Schemas of rule files and test files, for editors.
//!
//! Draft-07: the newest that the YAML language server (VS Code, Neovim, JetBrains) reads wholly; of 2020-12 it knows
//! parts, and nothing here needs more. It is wider than the parser (fields and conditions are not known to it), never
//! narrower: what loads is valid. Refuses to know: YAML.

use serde_json::{Map, Value as Json, json};

use crate::spec::keys::{self, Key, MAX_ROWS, Need, Value};
use crate::spec::kinds;

/// One or more durations' units in order, or 0.
const DURATION: &str = "^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";

/// The schema of a rule file.
pub fn rule_file_schema() -> Json {
    let mut definitions = Map::new();
    definitions.insert("rule".to_owned(), rule());
    for kind in kinds() {
        let all: Vec<Key> = keys::RULE.iter().chain(kind.keys).copied().collect();
        let mut schema = mapping(&all);
        schema["properties"]["kind"] = json!({ "const": kind.name });
        schema["description"] = json!(format!("`{}`: {}", kind.name, kind.active));
        definitions.insert(kind.name.to_owned(), schema);
    }
    let mut root = mapping(keys::FILE);
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("Watchroom rule file");
    root["type"] = json!(["object", "null"]);
    root["definitions"] = Json::Object(definitions);
    root
}

/// The schema of a test file.
pub fn test_file_schema() -> Json {
    let mut root = mapping(keys::TEST_FILE);
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("Watchroom test file");
    let test = &mut root["properties"]["tests"]["items"]["properties"];
    test["expect"]["minItems"] = json!(1);
    test["expect"]["type"] = json!("array");
    test["input"]["items"]["oneOf"] = test["input"]["items"]["anyOf"].take();
    if let Some(input) = test["input"]["items"].as_object_mut() {
        input.remove("anyOf");
    }
    root
}

/// A rule: which keys it has depends on its kind.
fn rule() -> Json {
    let branches: Vec<Json> = kinds()
        .iter()
        .map(|kind| {
            json!({
                "if": { "properties": { "kind": { "const": kind.name } }, "required": ["kind"] },
                "then": { "$ref": format!("#/definitions/{}", kind.name) },
            })
        })
        .collect();
    let about: Vec<String> =
        kinds().iter().map(|kind| format!("- `{}`: {}", kind.name, kind.active)).collect();
    let names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
    json!({
        "type": "object",
        "required": ["alert", "kind"],
        "properties": {
            "alert": of_key(&keys::RULE[0]),
            "kind": { "enum": names, "description": format!("how matches are counted\n{}", about.join("\n")) },
        },
        "allOf": branches,
    })
}

/// A mapping with these keys and no others.
fn mapping(all: &[Key]) -> Json {
    let properties: Map<String, Json> = all.iter().map(|key| (key.name.to_owned(), of_key(key))).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let needed: Vec<&str> = all.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    if !needed.is_empty() {
        schema["required"] = json!(needed);
    }
    let either = all.iter().find_map(|key| match key.need {
        Need::Or(other) => Some([key.name, other]),
        _ => None,
    });
    if let Some(names) = either {
        schema["anyOf"] = names.iter().map(|name| json!({ "required": [name] })).collect();
    }
    schema
}

/// What a key takes, with what there is to say about it.
fn of_key(key: &Key) -> Json {
    let mut schema = of_value(key.value);
    let without = match key.need {
        Need::Default(value) => format!(" (default `{value}`)"),
        Need::Absent(words) => format!(" (without it: {words})"),
        Need::Or(other) => format!(" (it or `{other}` is required)"),
        Need::Required => String::new(),
    };
    let example = match key.value {
        Value::Maps(_) => String::new(),
        _ => format!("; for example `{}`", key.example),
    };
    schema["description"] = json!(format!("{}{without}{example}", key.about));
    schema
}

fn texts() -> Json {
    json!({ "type": ["string", "number", "boolean"], "minLength": 1 })
}

/// One of something, or a list of it.
fn one_or_list(item: &Json, least: usize, most: Option<usize>) -> Json {
    let mut list = json!({ "type": "array", "items": item, "minItems": least });
    if let Some(most) = most {
        list["maxItems"] = json!(most);
    }
    json!({ "anyOf": [item, list] })
}

fn number(n: record::Decimal) -> Json {
    n.to_string()
        .parse::<f64>()
        .map_or(Json::Null, |n| if n.fract() == 0.0 && n.abs() < 1e9 { json!(n as i64) } else { json!(n) })
}

/// Rows of `by` values, which may be any field, with numbers and when they hold.
fn thresholds(names: &[&str]) -> Json {
    let mut row = json!({
        "distinct": { "type": "object" },
        "valid_from": texts(),
        "valid_to": texts(),
    });
    for name in names {
        row[*name] = json!({ "type": "number" });
    }
    let any = json!({ "type": ["string", "number", "boolean"] });
    let row = json!({ "type": "object", "properties": row, "additionalProperties": any });
    json!({ "type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": row })
}

fn of_value(value: Value) -> Json {
    let condition = || json!({ "type": ["string", "boolean"], "minLength": 1 });
    let field = || json!({ "type": "string", "minLength": 1 });
    let seconds = || json!({ "type": "string", "minLength": 2, "pattern": DURATION });
    match value {
        Value::Text | Value::Zone | Value::Format => texts(),
        Value::Word(words) => json!({ "enum": words }),
        Value::Kind => json!({ "enum": kinds().iter().map(|kind| kind.name).collect::<Vec<_>>() }),
        Value::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Value::Number(least, most) => {
            json!({ "type": "number", "minimum": number(least), "maximum": number(most) })
        }
        Value::Duration(0) => json!({ "anyOf": [
            { "type": "string", "minLength": 1, "pattern": DURATION }, { "const": 0 },
        ] }),
        Value::Duration(_) | Value::Seconds => seconds(),
        Value::SecondsEach(most) => one_or_list(&seconds(), 1, Some(most)),
        Value::Condition => condition(),
        Value::Conditions(least, most) => {
            json!({ "type": "array", "items": condition(), "minItems": least, "maxItems": most })
        }
        Value::Field | Value::NumberField => field(),
        Value::Fields(most) => one_or_list(&field(), 0, Some(most)),
        Value::Labels => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": { "const": "alertname" } },
            "additionalProperties": texts(),
        }),
        Value::Annotations => json!({ "type": "object", "additionalProperties": texts() }),
        Value::Texts => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
        }),
        Value::Map(keys) => mapping(keys),
        Value::Maps(keys) => {
            let is_rule = keys.iter().any(|key| matches!(key.value, Value::Kind));
            let item = if is_rule { json!({ "$ref": "#/definitions/rule" }) } else { mapping(keys) };
            json!({ "type": ["array", "null"], "items": item })
        }
        Value::Allowed => json!({
            "type": "object",
            "additionalProperties": one_or_list(&texts(), 0, None),
        }),
        Value::Thresholds(names) => thresholds(names),
        Value::Expect(most) => json!({ "anyOf": [
            { "const": "seen" },
            { "type": "array", "minItems": 1, "maxItems": most,
              "items": { "type": ["string", "number", "boolean", "object"] } },
        ] }),
        Value::Names | Value::Ranges => one_or_list(&texts(), 1, None),
        Value::TimeOfDay => {
            json!({ "type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$" })
        }
    }
}
