//! The table of a shop's servers.

use super::survey::{Server, Status};

const HEAD: [&str; 7] = [
    "name",
    "address",
    "version",
    "up",
    "state",
    "has",
    "in contact with",
];

/// The table, and below it what is wrong.
pub(super) fn text(shop: &[Server], wrong: &[String]) -> String {
    let mut rows = vec![HEAD.map(String::from)];
    rows.extend(shop.iter().map(|server| row(shop, server)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEAD.len()).filter_map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text += cells.join("  ").trim_end();
        text += "\n";
    }
    text += "\n";
    match wrong {
        [] => text += "All is well.\n",
        wrong => wrong.iter().for_each(|line| text += &format!("! {line}\n")),
    }
    text
}

fn row(shop: &[Server], server: &Server) -> [String; 7] {
    let address = server.address.to_string();
    let Some(status) = &server.status else {
        let [unknown, version, up, has, contacts] = Default::default();
        let name = format!("{unknown}({})", server.server);
        return [
            name,
            address,
            version,
            up,
            "no answer".into(),
            has,
            contacts,
        ];
    };
    let state = if status.missing.is_empty() {
        "ready"
    } else {
        "not ready"
    };
    [
        status.name.clone(),
        address,
        status.version.clone(),
        duration(status.uptime_s),
        state.into(),
        holdings(status),
        contacts(shop, status),
    ]
}

/// The two largest units: `3 d 4 h`.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Books, caches, sales, and whether the lease holds.
fn holdings(status: &Status) -> String {
    let mut has = Vec::new();
    if let Some(books) = &status.books {
        has.push(format!("{} books valid", books.valid));
        let others = [(books.tentative, "tentative"), (books.unknown, "unknown")];
        let others = others.iter().filter(|(count, _)| 0 < *count);
        has.extend(others.map(|(count, state)| format!("{count} {state}")));
    }
    if let Some(caches) = &status.caches {
        has.push(format!(
            "{} lookups, {} searches cached",
            caches.lookups, caches.searches
        ));
        let asked = caches.hits + caches.misses;
        let rate = (100 * caches.hits).checked_div(asked);
        has.extend(rate.map(|rate| format!("{rate} % hits")));
    }
    has.extend(status.sold.map(|sold| format!("{sold} copies sold")));
    let count = |outcome: &str| status.buys.get(outcome).filter(|count| 0 < **count);
    let outcomes = ["purchased", "out_of_stock", "unknown"];
    let buys = outcomes
        .iter()
        .filter_map(|outcome| Some((count(outcome)?, outcome)));
    has.extend(buys.map(|(count, outcome)| format!("{count} {}", outcome.replace('_', " "))));
    if status.lease == Some(false) {
        has.push("no lease".into());
    }
    has.join(", ")
}

/// The names of the servers that it is in contact with, after a `!` of the others.
fn contacts(shop: &[Server], status: &Status) -> String {
    let name = |contact: &super::survey::Contact| {
        let known = shop.iter().find(|other| other.address == contact.address);
        let known = known.and_then(|other| other.status.as_ref());
        let name = known.map_or_else(|| contact.address.to_string(), |other| other.name.clone());
        if contact.live {
            name
        } else {
            format!("!{name}")
        }
    };
    let names: Vec<String> = status.contacts.iter().map(name).collect();
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::address::Address;

    #[test]
    fn a_table_has_a_row_for_each_server_and_says_what_is_wrong() {
        let server = |kind: &str, port, status| Server {
            address: Address::of("127.0.0.1", port),
            server: kind.into(),
            status: serde_json::from_value(status).ok(),
            why: None,
        };
        let shop = [
            server(
                "front-end",
                5002,
                json!({
                    "name": "front-end-5002", "version": "1.0.0", "uptime_s": 90,
                    "contacts": [
                        {"server": "catalog", "address": "http://127.0.0.1:5000", "live": true},
                        {"server": "order", "address": "http://127.0.0.1:5001", "live": false},
                    ],
                    "lease": false,
                    "caches": {"lookups": 3, "searches": 1, "hits": 3, "misses": 1},
                }),
            ),
            server("order", 5001, json!(null)),
            server(
                "catalog",
                5000,
                json!({
                    "name": "catalog1", "version": "1.0.0", "uptime_s": 100_000,
                    "books": {"valid": 6, "tentative": 1, "unknown": 0}, "sold": 2,
                }),
            ),
        ];
        let expected = "\
name            address                version  up          state      has                                                 in contact with
front-end-5002  http://127.0.0.1:5002  1.0.0    1 min 30 s  ready      3 lookups, 1 searches cached, 75 % hits, no lease   catalog1 !http://127.0.0.1:5001
(order)         http://127.0.0.1:5001                       no answer
catalog1        http://127.0.0.1:5000  1.0.0    1 d 3 h     ready      6 books valid, 1 tentative, 2 copies sold

! a reason
";
        let squeezed = |text: &str| {
            let lines = text.lines();
            let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            words.collect::<Vec<_>>().join("\n")
        };
        let text = text(&shop, &["a reason".into()]);
        assert_eq!(squeezed(&text), squeezed(expected));
        let columns: Vec<Option<usize>> = text.lines().take(4).map(|l| l.find("ht")).collect();
        assert!(
            columns[1..].iter().all(|column| *column == Some(16)),
            "{text}"
        );
    }
}
