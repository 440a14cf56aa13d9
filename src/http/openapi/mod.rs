//! `GET /openapi.json`: what one kind of server answers, as a document of OpenAPI 3.1, from which
//! clients and tests can be made.
//!
//! Paths, methods, statuses and texts are those of the tables of `src/API.md`, whose tests compare
//! them with the servers; `shapes.json` adds the schemas of bodies and parameters, which the page
//! has in words only. What only servers ask each other (`/batch/`, `/hold`, `/release`, `/rep/`,
//! `Bazar-Order`) is left out, and so is what no path has of its own: `HEAD`, `OPTIONS`, 405, 501,
//! and the headers of conditional requests. One rule JSON Schema cannot say: a key that was used
//! for another book or quantity is refused, with 422.

mod table;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use table::Row;

const SHAPES: &str = include_str!("shapes.json");

/// The section of the page that a kind of server has beside "Every server".
fn section_of(server: &str) -> Option<&'static str> {
    match server {
        "catalog" => Some("Catalog"),
        "order" => Some("Order server"),
        "front-end" => Some("Front-end"),
        _ => None,
    }
}

/// The document of a kind of server. `needs_token` tells whether a path, such as `/dump/`, needs
/// the token of this server.
pub(crate) fn document(server: &str, needs_token: &dyn Fn(&str) -> bool) -> Value {
    let shapes: Value = serde_json::from_str(SHAPES).expect("it is tested");
    let mut paths = Map::new();
    for row in rows(server) {
        let path = row.path.replace('<', "{").replace('>', "}");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        let method = row.method.to_ascii_lowercase();
        let methods = methods.as_object_mut().expect("it was made so");
        let operation = methods
            .entry(method)
            .or_insert_with(|| operation(&row, &shapes, needs_token(row.path)));
        add_parameters(
            operation,
            &row,
            row.query.split('&').map(name_of),
            "query",
            &shapes,
        );
        add_response(operation, &row, &shapes);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("Bazar, {server}"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What each status means is also in src/API.md. HEAD is allowed \
                wherever GET is. Paths that only servers ask each other are left out. A key that \
                was used for another book or quantity is a 422, which JSON Schema has no word for.",
        },
        "paths": paths,
        "components": {
            "schemas": shapes["schemas"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

/// The rows that become operations.
fn rows(server: &str) -> impl Iterator<Item = Row> {
    let sections = [Some("Every server"), section_of(server)];
    let rows = sections.into_iter().flatten().flat_map(table::rows);
    let is_general = |row: &Row| {
        ["<unknown>", "<other>"]
            .iter()
            .any(|it| row.path.contains(it))
    };
    let internal = ["/batch/", "/hold", "/release"];
    let is_internal = move |row: &Row| internal.iter().any(|it| row.path.starts_with(it));
    let is_no_own = |row: &Row| row.status == "405" || matches!(row.method, "HEAD" | "OPTIONS");
    rows.filter(move |row| !is_general(row) && !is_internal(row) && !is_no_own(row))
}

/// An operation with the statuses that every one may have.
fn operation(row: &Row, shapes: &Value, needs_token: bool) -> Value {
    let shape = &shapes["operations"][row.operation()];
    let words = row.path.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let all = if row.path.ends_with('/') { "_all" } else { "" };
    let id = format!(
        "{}_{}{all}",
        row.method.to_ascii_lowercase(),
        words.join("_")
    );
    let mut operation = json!({
        "operationId": id,
        "summary": shape["summary"],
        "parameters": [],
        "responses": {},
    });
    let in_path = row.path.split('/').filter(|part| part.starts_with('<'));
    add_parameters(
        &mut operation,
        row,
        in_path.map(|part| part.trim_matches(['<', '>'])),
        "path",
        shapes,
    );
    let headers = shape["headers"].as_array().into_iter().flatten();
    add_parameters(
        &mut operation,
        row,
        headers.filter_map(Value::as_str),
        "header",
        shapes,
    );
    if let Some(body) = shape["body"].as_str() {
        operation["requestBody"] = json!({
            "required": shape["body_required"] == true,
            "content": content(body),
        });
    }
    let responses = &mut operation["responses"];
    let general = table::rows("Every server").filter(|row| row.path == "/<unknown>");
    for row in general.filter(|row| row.status != "501") {
        responses[row.status] = described(row.when, "Message");
    }
    for (status, when) in table::at_any_time("Every server") {
        responses[status] = described(when, "Message");
    }
    if needs_token {
        operation["security"] = json!([{"token": []}]);
        operation["responses"]["401"] = described("the token is missing or wrong", "Message");
    }
    operation
}

/// `limit=<n>` is `limit`.
fn name_of(parameter: &str) -> &str {
    parameter.split('=').next().unwrap_or(parameter)
}

/// Adds parameters that are not there yet.
fn add_parameters<'a>(
    operation: &mut Value,
    row: &Row,
    names: impl Iterator<Item = &'a str>,
    place: &str,
    shapes: &Value,
) {
    let parameters = operation["parameters"]
        .as_array_mut()
        .expect("it was made so");
    for name in names.filter(|name| !name.is_empty()) {
        if parameters.iter().any(|known| known["name"] == name) {
            continue;
        }
        // What a name means may differ from path to path.
        let shapes = &shapes["parameters"];
        let own = shapes.get(format!("{} {name}", row.operation()));
        let mut parameter = own.unwrap_or(&shapes[name]).clone();
        parameter["name"] = name.into();
        parameter["in"] = place.into();
        parameter["required"] = (place == "path").into();
        parameters.push(parameter);
    }
}

/// Adds what the row says of its status.
fn add_response(operation: &mut Value, row: &Row, shapes: &Value) {
    let shape = &shapes["operations"][row.operation()];
    let own = shape["answers"][row.status].as_str();
    let when = if row.when.is_empty() {
        row.answer
    } else {
        row.when
    };
    let mut response = if row.answer.contains("no body") {
        json!({"description": when})
    } else {
        described(when, own.unwrap_or("Message"))
    };
    let spans = row.answer.split('`').skip(1).step_by(2);
    for span in spans.filter_map(|span| span.split(':').next()) {
        if table::response_headers().any(|name| name == span) {
            response["headers"][span] = json!({"schema": {"type": "string"}});
        }
    }
    let known = &mut operation["responses"][row.status];
    if let Some(other) = known["description"].as_str() {
        response["description"] = format!("{when}. Or: {other}").into();
    }
    *known = response;
}

/// A response with a body of this schema.
fn described(when: &str, schema: &str) -> Value {
    json!({"description": when, "content": content(schema)})
}

/// A body of this schema, in each form in which it comes.
fn content(schema: &str) -> Value {
    let kinds: &[&str] = match schema {
        "Metrics" => &["text/plain"],
        "File" => &["text/css", "text/javascript", "image/svg+xml"],
        _ => &["application/json"],
    };
    let body = json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
    let kinds = kinds.iter().map(|kind| (kind.to_string(), body.clone()));
    let mut content: Map<String, Value> = kinds.collect();
    if schema == "Root" {
        content.insert("text/html".into(), json!({"schema": {"type": "string"}}));
    }
    content.into()
}
