//! The spans of one trace as a sequence diagram in text: a column a server, an arrow a message,
//! times and what the servers said of it beside.
//!
//! Messages stand in the order of cause and effect. Of those that were under way at the same time
//! the one to the server further left comes first, so that the same request makes the same picture.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::tools::trace::spans::{Collected, Span};

/// Columns of text between two servers, at least.
const GAP_MIN: usize = 16;

/// What an arrow needs beside its label.
const ARROW_WIDTH: usize = 6;

/// The width of the times.
const TIME_WIDTH: usize = 8;

/// Nobody waits for these, so they stand behind everything else.
const UNAWAITED: &str = "PUT /rep/confirm";

/// The kinds of server, from left to right, and the paths that tell them.
const KINDS: [(&str, &[&str]); 5] = [
    ("client", &[]),
    (
        "front-end",
        &["/invalidate/", "/hold", "/release", "/search/", "/lookup/"],
    ),
    ("order", &["/buy/", "/batch/buy"]),
    ("catalog", &["/query/", "/update/", "/batch/", "/rep/"]),
    ("etcd", &["/v3/"]),
];

/// A server, and where its line is.
struct Column<'a> {
    address: &'a str,
    name: String,
    at: usize,
}

/// A line with an arrow.
struct Row<'a> {
    at: u64,
    from: &'a str,
    to: &'a str,
    label: String,
    /// An answer.
    is_reply: bool,
    /// An answer that never came.
    is_lost: bool,
    note: String,
}

/// The diagram of the spans below `root`, the client's own, and a list of the servers in it.
pub(super) fn draw(root: &Span, collected: &Collected) -> (String, String) {
    let spans = &collected.spans;
    let mut rows = Vec::new();
    let mut late = vec![root];
    while !late.is_empty() {
        for span in std::mem::take(&mut late) {
            message(span, spans, &mut rows, &mut late);
        }
    }
    let columns = columns(root, collected, &rows);
    let mut text = header(&columns);
    for row in &rows {
        text += &line(row, &columns, root.start);
    }
    (text, legend(&columns[1..]))
}

/// Names count within the diagram: `order1` may be any order server.
fn legend(columns: &[Column]) -> String {
    let width = columns.iter().map(|column| column.name.len()).max();
    let width = width.unwrap_or(0);
    let line = |column: &Column| format!("{:width$} {}\n", column.name, column.address);
    columns.iter().map(line).collect()
}

/// Appends a message, all that it causes, and its answer. What nobody waits for goes to `late`.
fn message<'a>(
    sent: &'a Span,
    spans: &'a [Span],
    rows: &mut Vec<Row<'a>>,
    late: &mut Vec<&'a Span>,
) {
    let (from, to) = (sent.server.as_str(), sent.peer());
    rows.push(Row {
        at: sent.start,
        from,
        to,
        label: sent.name.clone(),
        is_reply: false,
        is_lost: false,
        note: String::new(),
    });
    let received = spans
        .iter()
        .find(|span| span.is_server() && span.is_child_of(sent));
    if let Some(received) = received {
        let mut children: Vec<&Span> = spans
            .iter()
            .filter(|span| !span.is_server() && span.is_child_of(received))
            .collect();
        children.sort_by(|one, other| order(one, other));
        for child in children {
            if child.name.starts_with(UNAWAITED) {
                late.push(child);
            } else {
                message(child, spans, rows, late);
            }
        }
    }
    let status = sent.attribute("status");
    rows.push(Row {
        at: sent.end,
        from: to,
        to: from,
        label: status.or(sent.attribute("failure")).unwrap_or("?").into(),
        is_reply: true,
        is_lost: status.is_none(),
        note: received.map_or_else(String::new, note),
    });
}

/// One after another, or, if both were under way at the same time, by address.
fn order(one: &Span, other: &Span) -> Ordering {
    let overlap = one.start < other.end && other.start < one.end;
    let key = |span: &Span| (span.peer().to_string(), span.name.clone());
    if overlap {
        key(one).cmp(&key(other))
    } else {
        one.start.cmp(&other.start)
    }
}

/// What a server said of a message: `cache miss`, `book 2: seq 0 valid → seq 1 valid`, `sold`.
fn note(span: &Span) -> String {
    let mut words = Vec::new();
    words.extend(span.attribute("cache").map(|how| format!("cache {how}")));
    words.extend(span.attribute("book").map(|ids| match copies(span, "") {
        after if after.is_empty() => format!("book {ids}"),
        after => match copies(span, "_before") {
            before if before.is_empty() => format!("book {ids}: {after}"),
            before => format!("book {ids}: {before} → {after}"),
        },
    }));
    words.extend(span.attribute("outcome").map(str::to_string));
    words.join(", ")
}

/// The versions and states of a catalog's copies. The stamp of a version only breaks ties.
fn copies(span: &Span, when: &str) -> String {
    let list = |name: &str| {
        let list = span.attributes.get(&format!("{name}{when}"));
        let list = list.map_or(Vec::new(), |list| list.split(',').collect());
        list.into_iter()
    };
    let copy = |(version, state): (&str, &str)| match version.split_once('-') {
        Some((number, _)) => format!("seq {number} {state}"),
        None => "none".to_string(),
    };
    let copies: Vec<String> = list("version").zip(list("state")).map(copy).collect();
    copies.join(" and ")
}

/// The kind of a server that did not answer, by what it was asked.
fn kind_of(name: &str) -> usize {
    let path = name.split(' ').nth(1).unwrap_or_default();
    let is_of = |(_, paths): &(&str, &[&str])| paths.iter().any(|start| path.starts_with(start));
    // `/batch/buy` before `/batch/`.
    KINDS.iter().position(is_of).unwrap_or(1)
}

/// A column for each server, by kind and address, so far apart that each label has its place.
fn columns<'a>(root: &'a Span, collected: &'a Collected, rows: &[Row]) -> Vec<Column<'a>> {
    let mut kinds = BTreeMap::from([(root.server.as_str(), 0)]);
    for span in collected
        .spans
        .iter()
        .chain([root])
        .filter(|span| !span.is_server())
    {
        let told = collected.kinds.get(span.peer());
        let told = told.and_then(|told| KINDS.iter().position(|(kind, _)| kind == told));
        kinds.insert(span.peer(), told.unwrap_or_else(|| kind_of(&span.name)));
    }
    let mut servers: Vec<(usize, &str)> = kinds.into_iter().map(|(at, kind)| (kind, at)).collect();
    servers.sort_unstable();
    let mut columns: Vec<Column> = Vec::new();
    let mut counts = [0; KINDS.len()];
    for (kind, address) in servers {
        counts[kind] += 1;
        let name = match kind {
            0 => KINDS[0].0.to_string(),
            _ => format!("{}{}", KINDS[kind].0, counts[kind]),
        };
        let at = columns
            .last()
            .map_or(TIME_WIDTH + 6, |last| last.at + GAP_MIN);
        columns.push(Column { address, name, at });
    }
    for row in rows {
        let (left, right) = ends(row, &columns);
        let wanted = row.label.chars().count() + ARROW_WIDTH;
        let missing = wanted.saturating_sub(columns[right].at - columns[left].at);
        columns[right..]
            .iter_mut()
            .for_each(|column| column.at += missing);
    }
    columns
}

/// The columns of an arrow, the left one first.
fn ends(row: &Row, columns: &[Column]) -> (usize, usize) {
    let index = |address| {
        let at = columns.iter().position(|column| column.address == address);
        at.expect("each server has a column")
    };
    let (from, to) = (index(row.from), index(row.to));
    (from.min(to), from.max(to))
}

fn header(columns: &[Column]) -> String {
    let mut line = vec![' '; TIME_WIDTH];
    line.splice(TIME_WIDTH - 2.., "ms".chars());
    for column in columns {
        let begin = column.at.saturating_sub(column.name.len() / 2);
        line.resize(line.len().max(begin), ' ');
        line.extend(column.name.chars());
    }
    finish(line)
}

fn line(row: &Row, columns: &[Column], began: u64) -> String {
    let ms = row.at.saturating_sub(began) as f64 / 1e6;
    let mut line: Vec<char> = format!("{ms:TIME_WIDTH$.2}").chars().collect();
    let last = columns.last().expect("there is the client's").at;
    line.resize(last + 1, ' ');
    for column in columns {
        line[column.at] = '│';
    }
    let (left, right) = ends(row, columns);
    let (left, right) = (columns[left].at, columns[right].at);
    let to_the_right = columns
        .iter()
        .any(|column| column.address == row.to && column.at == right);
    let dash = if row.is_reply { '╌' } else { '─' };
    line[left + 1..right].fill(dash);
    let head = if to_the_right { right - 1 } else { left + 1 };
    line[head] = match (row.is_lost, to_the_right) {
        (true, _) => '✕',
        (_, true) => '▶',
        _ => '◀',
    };
    let label: Vec<char> = format!(" {} ", row.label).chars().collect();
    let begin = left + (right - left + 1 - label.len()) / 2;
    line.splice(begin..begin + label.len(), label);
    if !row.note.is_empty() {
        line.extend(format!("  {}", row.note).chars());
    }
    finish(line)
}

fn finish(line: Vec<char>) -> String {
    let text: String = line.into_iter().collect();
    text.trim_end().to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A span of a server, from one ms to another.
    fn span(server: &str, id: &str, parent: &str, name: &str, ms: [u64; 2]) -> Span {
        Span {
            server: server.into(),
            span: id.into(),
            parent: (!parent.is_empty()).then(|| parent.into()),
            name: name.into(),
            kind: "server".into(),
            start: ms[0] * 1_000_000,
            end: ms[1] * 1_000_000,
            attributes: BTreeMap::from([("status".into(), "200".into())]),
        }
    }

    fn client(peer: &str, span: Span) -> Span {
        let mut span = Span {
            kind: "client".into(),
            ..span
        };
        span.attributes.insert("peer".into(), peer.into());
        span
    }

    fn with(attributes: &[(&str, &str)], span: Span) -> Span {
        let mut span = span;
        let added = attributes
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        span.attributes.extend(added);
        span
    }

    #[test]
    fn a_request_is_drawn_with_all_that_it_causes() {
        let root = client("f", span("client", "1", "", "PUT /buy/2", [0, 9]));
        let mut lost = client("o1", span("f", "3", "2", "PUT /buy/2", [1, 2]));
        lost.attributes.remove("status");
        lost.attributes.insert("failure".into(), "refused".into());
        let copies = [
            ("book", "2"),
            ("version_before", "0-0"),
            ("state_before", "unknown"),
            ("version", "1-77"),
            ("state", "valid"),
        ];
        let spans = [
            with(&[("book", "2")], span("f", "2", "1", "PUT /buy/2", [1, 8])),
            lost,
            client("o2", span("f", "4", "2", "PUT /buy/2", [3, 7])),
            with(
                &[("outcome", "sold")],
                span("o2", "5", "4", "PUT /buy/2", [3, 7]),
            ),
            client("c", span("o2", "6", "5", "PUT /update/2", [4, 6])),
            with(&copies, span("c", "7", "6", "PUT /update/2", [4, 6])),
            client("e", span("c", "8", "7", "POST /v3/kv/txn", [5, 5])),
        ];
        let mut collected = Collected::default();
        collected.spans = spans.into();
        collected.kinds.insert("f".into(), "front-end".into());
        let (drawn, legend) = draw(&root, &collected);
        let legend: Vec<&str> = legend.split_whitespace().collect();
        let expected = [
            "front-end1",
            "f",
            "order1",
            "o1",
            "order2",
            "o2",
            "catalog1",
            "c",
            "etcd1",
            "e",
        ];
        assert_eq!(legend, expected);
        let lines: Vec<&str> = drawn.lines().collect();
        let names: Vec<&str> = lines[0].split_whitespace().collect();
        let servers = ["front-end1", "order1", "order2", "catalog1", "etcd1"];
        assert_eq!(names, [&["ms", "client"], &servers[..]].concat());
        let has = [
            "    0.00      │─ PUT /buy/2 ─▶│",
            "─ PUT /buy/2 ─▶│",
            "✕╌╌ refused ╌╌╌│",
            "PUT /buy/2",
            "─ PUT /update/2 ─▶│",
            "─ POST /v3/kv/txn ─▶│",
            "◀╌╌╌╌╌╌ 200 ╌╌╌╌╌╌╌╌│",
            "book 2: seq 0 unknown → seq 1 valid",
            "sold",
            "    9.00      │◀╌╌╌╌ 200 ╌╌╌╌╌│",
        ];
        for (line, part) in lines[1..].iter().zip(has) {
            assert!(line.contains(part), "{part} in\n{drawn}");
        }
        assert_eq!(lines.len(), 1 + has.len(), "{drawn}");
    }
}
