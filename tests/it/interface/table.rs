//! Tables of requests and their answers, and what they cover of `src/API.md`.
//!
//! A table has the rows of one section of the page, each as `= METHOD path → status`, and below
//! each its cases:
//!
//! ```text
//! request, its body, ` + ` its headers | status | body of the response, ` + ` some of its headers
//! ```
//!
//! Of the response's body, `message a, b` stands for `{"message": …}` with these words in it, and
//! `fields a, b` for an object with just these fields. In a request, `{x*9000}` stands for so many
//! `x`, and `{catalog2}` for the address that the check is given for it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema;
use crate::harness::http::Response;
use crate::harness::server::Server;

/// Sends each case's request in turn and compares the response; also with what the server's own
/// `/openapi.json` says of it.
#[track_caller]
pub fn check(server: &Server, table: &str) {
    check_with(server, table, &[]);
}

/// As [`check`], with values for the names in braces.
#[track_caller]
pub fn check_with(server: &Server, table: &str, values: &[(&str, &str)]) {
    let mut table = table.to_string();
    for (name, value) in values {
        table = table.replace(&format!("{{{name}}}"), value);
    }
    let document = server.get("/openapi.json").json();
    for case in cases(&table) {
        let response = send(server, case.request);
        let what = format!("{:.200} at {}: {response:?}", case.request, server.name);
        assert_eq!(response.status.to_string(), case.status, "{what}");
        let (expected, headers) = split(case.expected);
        for (name, value) in headers {
            assert_eq!(response.header(name), value, "{what}");
        }
        check_body(&response.body, expected, &what);
        let described = described(&document, &case);
        let json = &described["content"]["application/json"]["schema"];
        if json.is_object() && response.header("Content-Type") == "application/json" {
            let body = serde_json::from_str(&response.body).expect(&what);
            let flaw = schema::flaw(&document, json, &body);
            assert_eq!(flaw, None, "not as in /openapi.json: {what}");
        }
    }
}

/// One line of a table.
struct Case<'a> {
    /// The row of the page that it belongs to, if the table names one.
    row: Option<&'a str>,
    request: &'a str,
    status: &'a str,
    expected: &'a str,
}

fn cases(table: &str) -> Vec<Case<'_>> {
    let (mut cases, mut row) = (Vec::new(), None);
    for line in table.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("= ") {
            row = Some(name);
            continue;
        }
        let columns: Vec<&str> = line.split(" |").map(str::trim).collect();
        let [request, status, expected] = columns[..] else {
            panic!("{line:?} has not three columns");
        };
        cases.push(Case {
            row,
            request,
            status,
            expected,
        });
    }
    cases
}

fn send(server: &Server, request: &str) -> Response {
    let request = expand(request);
    let (request, headers) = split(&request);
    let (method, rest) = request.split_once(' ').unwrap();
    let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
    server.call(method, path, &headers, body)
}

/// Replaces `{x*9000}` by so many `x`.
fn expand(request: &str) -> String {
    let repeated = |text: &str| -> Option<String> {
        let (what, count) = text.split_once('*')?;
        Some(what.repeat(count.parse().ok()?))
    };
    let mut parts = request.split('{');
    let mut expanded = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let repeat = part
            .split_once('}')
            .and_then(|(text, rest)| Some((repeated(text)?, rest)));
        match repeat {
            Some((text, rest)) => expanded += &(text + rest),
            None => expanded += &format!("{{{part}"),
        }
    }
    expanded
}

/// What comes before the first ` + `, and the headers behind it.
fn split(text: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = text.split("+ ").map(str::trim);
    let first = parts.next().unwrap_or_default();
    let headers = parts.filter_map(|part| part.split_once(':'));
    (
        first,
        headers.map(|(name, value)| (name, value.trim())).collect(),
    )
}

#[track_caller]
fn check_body(body: &str, expected: &str, what: &str) {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect(what);
    let fields = || -> BTreeSet<String> {
        let body = json(body);
        body.as_object().expect(what).keys().cloned().collect()
    };
    if let Some(words) = expected.strip_prefix("message") {
        assert_eq!(fields(), BTreeSet::from(["message".to_string()]), "{what}");
        let body = json(body);
        let message = body["message"].as_str().expect(what);
        let said = |word: &str| message.contains(word.trim());
        assert!(!message.is_empty() && words.split(',').all(said), "{what}");
    } else if let Some(names) = expected.strip_prefix("fields") {
        let names = names.split(',').map(|name| name.trim().to_string());
        assert_eq!(fields(), names.collect(), "{what}");
    } else if let Some(words) = expected.strip_prefix("text") {
        assert!(
            words.split(',').all(|word| body.contains(word.trim())),
            "{what}"
        );
    } else if expected.is_empty() {
        assert_eq!(body, "", "{what}");
    } else {
        assert_eq!(json(body), json(expected), "{what}");
    }
}

/// The rows of a section of the page, as `METHOD path → status`.
#[track_caller]
fn rows<'a>(page: &'a str, section: &str) -> BTreeSet<&'a str> {
    let begin = page.find(&format!("\n## {section}\n"));
    let begin = begin.unwrap_or_else(|| panic!("the page has no section {section}"));
    let body = &page[begin + 1..];
    let body = body.split("\n## ").next().unwrap_or_default();
    let names = body
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let names: Vec<&str> = names.filter(|name| name.contains(" → ")).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        names.len(),
        "a row is there twice: {names:?}"
    );
    distinct
}

/// Fails unless the tables have cases for exactly the rows of this section of the page, and each
/// case is one of its row.
#[track_caller]
pub fn check_coverage(page: &str, section: &str, tables: &[&str]) {
    let mut covered = BTreeSet::new();
    for case in tables.iter().flat_map(|table| cases(table)) {
        let row = case
            .row
            .unwrap_or_else(|| panic!("{} has no row", case.request));
        assert!(
            belongs(&case, row),
            "{} → {} is no case of {row}",
            case.request,
            case.status
        );
        covered.insert(row);
    }
    let rows = rows(page, section);
    let missing: Vec<_> = rows.difference(&covered).collect();
    assert!(
        missing.is_empty(),
        "{section}: rows without a case: {missing:#?}"
    );
    let unknown: Vec<_> = covered.difference(&rows).collect();
    assert!(
        unknown.is_empty(),
        "{section}: cases without a row: {unknown:#?}"
    );
}

/// Fails unless each case whose operation a server describes in its document is described there
/// with its status. Returns how many these are.
#[track_caller]
pub fn check_described(document: &Value, tables: &[&str]) -> usize {
    let mut count = 0;
    for case in tables.iter().flat_map(|table| cases(table)) {
        if operation(document, &case).is_object() {
            let response = described(document, &case);
            assert!(response.is_object(), "{} → {}", case.request, case.status);
            count += 1;
        }
    }
    count
}

/// The operation of a document that a case is one of; null if it is none.
fn operation<'a>(document: &'a Value, case: &Case) -> &'a Value {
    let mut words = case.request.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap_or_default();
    let template = |path: &str| path.replace('{', "<").replace('}', ">");
    let mut paths = document["paths"].as_object().expect("it has paths").iter();
    let found = paths.find(|(it, _)| path_matches(path, &template(it)));
    found.map_or(&Value::Null, |(_, methods)| {
        &methods[method.to_ascii_lowercase()]
    })
}

/// What a document says of a case's answer; null if nothing.
fn described<'a>(document: &'a Value, case: &Case) -> &'a Value {
    &operation(document, case)["responses"][case.status]
}

fn belongs(case: &Case, row: &str) -> bool {
    let (request, status) = row.split_once(" → ").expect("a row has a status");
    let (method, template) = request.split_once(' ').expect("a row has a method");
    let (path, parameters) = template.split_once('?').unwrap_or((template, ""));
    let mut words = case.request.split(' ');
    let (case_method, target) = (words.next(), words.next().unwrap_or_default());
    let (case_path, query) = target.split_once('?').unwrap_or((target, ""));
    let has_parameters = parameters.is_empty() || !query.is_empty();
    case.status == status
        && case_method == Some(method)
        && has_parameters
        && path_matches(case_path, path)
}

/// Whether a path is one of a template's. `<unknown>` and `<kind>` stand for the rest of it, any
/// other `<…>` for one segment.
fn path_matches(path: &str, template: &str) -> bool {
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next();
        match (segment, expected) {
            (Some(_), "<unknown>" | "<kind>") => return true,
            (Some(segment), _) if expected.starts_with('<') && !segment.is_empty() => {}
            (Some(segment), _) if segment == expected => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[test]
fn a_table_that_does_not_fit_the_page_fails() {
    let page = "\n## Shop\n\n| `GET /a/<id> → 200` | |\n| `PUT /b → 404` | |\n\n## Else\n| `GET /c → 200` |";
    let fits = |tables: &[&str]| {
        let tables: Vec<String> = tables.iter().map(|table| table.to_string()).collect();
        let check = move || {
            let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
            check_coverage(page, "Shop", &tables);
        };
        std::panic::catch_unwind(check).is_ok()
    };
    let first = "= GET /a/<id> → 200\nGET /a/7?x=1 | 200 | {}";
    let second = "= PUT /b → 404\nPUT /b {} + X: 1 | 404 | message";
    assert!(fits(&[first, second]));
    // A row without a case, a case without a row, a row of another section, and cases of another
    // method, path or status than their row's.
    assert!(!fits(&[first]));
    assert!(!fits(&[first, second, "GET /a/7 | 200 | {}"]));
    assert!(!fits(&[first, second, "= GET /c → 200\nGET /c | 200 | {}"]));
    for wrong in [
        "GET /b | 404 |",
        "PUT /c | 404 |",
        "PUT /b/ | 404 |",
        "PUT /b | 400 |",
    ] {
        assert!(
            !fits(&[first, &format!("= PUT /b → 404\n{wrong}")]),
            "{wrong}"
        );
    }
}
