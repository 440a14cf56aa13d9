//! Whether a body is what `/openapi.json` says of it: the part of JSON Schema that
//! `src/http/openapi/shapes.json` uses. Of a keyword that is not known here the check fails.

use serde_json::{Map, Value};

/// What of `value` is not as `schema` says, in words; references are looked up in `document`.
pub fn flaw(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let keywords = schema.as_object().expect("a schema is an object");
    keywords
        .iter()
        .find_map(|(keyword, what)| {
            let flaw = flaw_by(document, keywords, keyword, what, value)?;
            Some(format!("{keyword}: {flaw}"))
        })
        .map(|flaw| format!("{flaw} in {value}"))
}

fn flaw_by(
    document: &Value,
    schema: &Map<String, Value>,
    keyword: &str,
    what: &Value,
    value: &Value,
) -> Option<String> {
    let nested = |schema: &Value, value: &Value| flaw(document, schema, value);
    let wrong = |is_right: bool| (!is_right).then(|| what.to_string());
    let any_of = || list(what).iter().filter(|it| nested(it, value).is_none());
    match keyword {
        "$ref" => {
            let pointer = what.as_str().and_then(|it| it.strip_prefix('#'));
            let schema = document.pointer(pointer.expect("a reference is into the document"));
            nested(schema.unwrap_or_else(|| panic!("{what} is nowhere")), value)
        }
        "anyOf" => wrong(0 < any_of().count()),
        "oneOf" => wrong(any_of().count() == 1),
        "not" => wrong(nested(what, value).is_some()),
        "const" => wrong(value == what),
        "enum" => wrong(list(what).contains(value)),
        "type" => {
            let types = what.as_array().map_or(std::slice::from_ref(what), |it| it);
            wrong(types.iter().any(|name| has_type(value, name)))
        }
        "properties" => {
            let known = what.as_object().into_iter().flatten();
            let mut given = known.filter_map(|(name, schema)| Some((schema, value.get(name)?)));
            given.find_map(|(schema, value)| nested(schema, value))
        }
        "required" => {
            let has = |name: &Value| value.get(name.as_str().unwrap_or_default()).is_some();
            wrong(!value.is_object() || list(what).iter().all(has))
        }
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Value::as_object);
            let is_known = |name: &String| known.is_some_and(|it| it.contains_key(name));
            let mut others = value.as_object().into_iter().flatten();
            others.find_map(|(name, value)| match what {
                _ if is_known(name) => None,
                Value::Bool(allowed) => (!allowed).then(|| name.clone()),
                schema => nested(schema, value),
            })
        }
        "items" => list(value).iter().find_map(|item| nested(what, item)),
        "minItems" => wrong(what.as_u64() <= value.as_array().map(|it| it.len() as u64)),
        "maxItems" => wrong(value.as_array().map(|it| it.len() as u64) <= what.as_u64()),
        "minLength" => wrong(what.as_u64() <= value.as_str().map(|it| it.chars().count() as u64)),
        "maxLength" => wrong(value.as_str().map(|it| it.chars().count() as u64) <= what.as_u64()),
        "minimum" => wrong(value.as_f64().is_none_or(|it| what.as_f64() <= Some(it))),
        "maximum" => wrong(value.as_f64().is_none_or(|it| Some(it) <= what.as_f64())),
        // Not checked: std has no regular expressions, and a float is no multiple of 0.001.
        "pattern" | "multipleOf" | "description" => None,
        unknown => panic!("{unknown} is a keyword that this check does not know"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => panic!("{name} is no type"),
    }
}

#[test]
fn a_field_that_the_document_does_not_know_is_a_flaw() {
    let document: Value = serde_json::from_str(
        r##"{"schemas": {"Live": {
            "type": "object",
            "properties": {"live": {"const": true}, "since": {"type": "integer", "minimum": 1}},
            "required": ["live"],
            "additionalProperties": false
        }}}"##,
    )
    .unwrap();
    let schema = serde_json::json!({"$ref": "#/schemas/Live"});
    let check = |text: &str| flaw(&document, &schema, &serde_json::from_str(text).unwrap());
    assert_eq!(check(r#"{"live":true,"since":7}"#), None);
    for wrong in [
        "[]",
        "{}",
        r#"{"live":false}"#,
        r#"{"live":true,"since":0}"#,
        r#"{"live":true,"since":"7"}"#,
        r#"{"live":true,"address":"http://127.0.0.1"}"#,
    ] {
        assert!(check(wrong).is_some(), "{wrong}");
    }
}
