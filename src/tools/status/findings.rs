//! What is wrong in a shop, in plain words.

use std::collections::BTreeMap;

use super::survey::{Server, Status};
use crate::model::address::Address;

/// One line for each thing that is not as it should be.
pub(super) fn of(shop: &[Server]) -> Vec<String> {
    let mut wrong = Vec::new();
    for server in shop {
        match &server.status {
            Some(status) => of_one(shop, server, status, &mut wrong),
            None => {
                let why = server.why.as_deref().unwrap_or_default();
                wrong.push(format!("{} does not answer: {why}", server.name()));
            }
        }
    }
    wrong.extend(twice_named(shop));
    wrong.extend(versions(shop));
    wrong
}

fn of_one(shop: &[Server], server: &Server, status: &Status, wrong: &mut Vec<String>) {
    let name = server.name();
    for what in &status.missing {
        wrong.push(format!("{name} is not ready: {what}"));
    }
    // Of one that does not answer it was said already.
    for contact in status.contacts.iter().filter(|contact| !contact.live) {
        if let Some(other) = answering(shop, &contact.address) {
            wrong.push(format!("{name} is not in contact with {}", other.name()));
        }
    }
    for address in &status.left_out {
        let other = shop.iter().find(|other| other.address == *address);
        let other = other.map_or_else(|| address.to_string(), Server::name);
        wrong.push(format!(
            "{name} goes on without {other}, which has to catch up before it serves again"
        ));
    }
    if let Some(books) = &status.books
        && 0 < books.unknown
    {
        let count = books.unknown;
        wrong.push(format!(
            "{name} does not know yet whether {count} books are up to date"
        ));
    }
    if 0 < status.copies_dropped {
        let count = status.copies_dropped;
        wrong.push(format!(
            "{name} gave {count} books up after a cut network: what that side sold is in its log"
        ));
    }
}

fn answering<'a>(shop: &'a [Server], address: &Address) -> Option<&'a Server> {
    shop.iter()
        .find(|server| server.address == *address && server.status.is_some())
}

fn twice_named(shop: &[Server]) -> Vec<String> {
    let mut addresses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for server in shop {
        if let Some(status) = &server.status {
            let same = addresses.entry(&status.name).or_default();
            same.push(server.address.as_str());
        }
    }
    let twice = addresses.into_iter().filter(|(_, same)| 1 < same.len());
    twice
        .map(|(name, same)| format!("{} are all called {name}: set NAME", same.join(" and ")))
        .collect()
}

fn versions(shop: &[Server]) -> Option<String> {
    let mut versions: Vec<&str> = shop
        .iter()
        .filter_map(|server| server.status.as_ref())
        .map(|status| status.version.as_str())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    (1 < versions.len()).then(|| format!("servers have several versions: {}", versions.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn server(port: u16, status: Value) -> Server {
        Server {
            address: Address::of("127.0.0.1", port),
            server: "catalog".into(),
            status: serde_json::from_value(status).ok(),
            why: Some("connection refused".into()),
        }
    }

    #[track_caller]
    fn check(shop: &[Server], expected: &[&str]) {
        assert_eq!(of(shop), expected);
    }

    #[test]
    fn a_shop_that_is_well_has_nothing_wrong() {
        let well = |port: u16, peer: u16| {
            server(
                port,
                json!({
                    "name": format!("catalog-{port}"), "version": "1",
                    "contacts": [{"server": "catalog", "live": true,
                        "address": format!("http://127.0.0.1:{peer}")}],
                    "books": {"valid": 7, "tentative": 1, "unknown": 0},
                }),
            )
        };
        check(&[well(1, 2), well(2, 1)], &[]);
    }

    #[test]
    fn what_is_wrong_is_said_of_the_server_that_has_it() {
        let contact = |port: u16| json!({"server": "catalog", "live": false, "address": format!("http://127.0.0.1:{port}")});
        let one = json!({"name": "one", "version": "1", "missing": ["a disk that takes writes"],
            "contacts": [contact(2), contact(3)], "left_out": ["http://127.0.0.1:3"],
            "books": {"valid": 5, "tentative": 0, "unknown": 2}, "copies_dropped": 1});
        let two = json!({"name": "one", "version": "2"});
        let shop = [server(1, one), server(2, two), server(3, Value::Null)];
        check(
            &shop,
            &[
                "one is not ready: a disk that takes writes",
                "one is not in contact with one",
                "one goes on without catalog at http://127.0.0.1:3, which has to catch up before \
                 it serves again",
                "one does not know yet whether 2 books are up to date",
                "one gave 1 books up after a cut network: what that side sold is in its log",
                "catalog at http://127.0.0.1:3 does not answer: connection refused",
                "http://127.0.0.1:1 and http://127.0.0.1:2 are all called one: set NAME",
                "servers have several versions: 1, 2",
            ],
        );
    }
}
