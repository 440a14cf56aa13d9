use std::collections::BTreeSet;

use super::*;

const SERVERS: [&str; 3] = ["catalog", "order", "front-end"];

fn shapes() -> Value {
    serde_json::from_str(SHAPES).unwrap()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// All `$ref` below a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            if name == "$ref" {
                found.insert(value.as_str().unwrap().to_string());
            }
            references(value, found);
        }),
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => (),
    }
}

#[test]
fn the_shapes_are_those_of_the_operations_of_the_page() {
    let operations: BTreeSet<String> = SERVERS
        .into_iter()
        .flat_map(|server| rows(server).map(|row| row.operation()))
        .collect();
    assert_eq!(keys(&shapes()["operations"]), operations);
    for server in SERVERS {
        for row in rows(server).filter(|row| row.answer.contains('{') || row.answer.contains('[')) {
            let operation = row.operation();
            let own = row.status < "400" || row.path == "/readyz";
            let shape = &shapes()["operations"][&operation]["answers"][row.status];
            assert!(!own || shape.is_string(), "{operation} → {}", row.status);
        }
    }
}

#[test]
fn every_document_is_whole() {
    for server in SERVERS {
        let document = document(server, &|_| true);
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let mut ids = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let what = format!("{method} {path} of {server}");
                assert!(ids.insert(operation["operationId"].to_string()), "{what}");
                assert!(operation["summary"].is_string(), "{what}");
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(
                    parameters.iter().all(|it| it["schema"].is_object()),
                    "{what}"
                );
                let named =
                    |it: &Value| path.contains(&format!("{{{}}}", it["name"].as_str().unwrap()));
                let in_path = parameters.iter().filter(|it| named(it)).count();
                assert_eq!(in_path, path.matches('{').count(), "{what}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    assert!(response["description"].is_string(), "{what} → {status}");
                }
            }
        }
    }
}

#[test]
fn a_status_says_what_the_page_says() {
    let front_end = document("front-end", &|path| path == "/dump/");
    let lookup = &front_end["paths"]["/lookup/{id}"]["get"];
    let missing = lookup["responses"]["404"]["description"].as_str().unwrap();
    assert!(
        missing.starts_with("there is no such book. Or: "),
        "{missing}"
    );
    assert_eq!(
        lookup["responses"]["200"]["headers"]["ETag"]["schema"]["type"],
        "string"
    );
    assert_eq!(lookup["responses"]["304"]["content"], Value::Null);
    assert_eq!(lookup["security"], Value::Null);
    let search = &front_end["paths"]["/search/{text}"]["get"];
    let names: Vec<&Value> = search["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["text", "limit", "after"]);
    assert!(front_end["paths"]["/dump/"]["get"]["security"].is_array());
    assert_eq!(front_end["paths"]["/buy/{id}"]["get"], Value::Null);
}
