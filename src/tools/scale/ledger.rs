//! A ledger of many orders: what it costs a catalog in memory and at its start, and how long a
//! catalog that was away takes to get the entries that it missed.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::client::{Answer, Client};
use crate::model::address::Address;
use crate::tools::harness::load::in_parallel;
use crate::tools::scale::measured_shop::MeasuredShop;
use crate::tools::{describe, failure_text, patient_client};

/// Orders of one update: so many customers who buy a book at once.
const ORDERS_OF_UPDATE: usize = 32;

/// A sale that was refused, because the ledger's disk is slower than its customers, is tried again
/// for so long.
const RETRY_MAX: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The start numbers of the orders: one for each book and round.
const STARTS: u64 = 1_000_000;

/// Rounds in which a book is sold: to many, to many while a catalog is away, and to single
/// customers.
const ROUNDS: u64 = 3;

/// One in so many orders is also measured as one that comes alone, of one copy and with a key: each
/// has an entry of its own then, which is what costs most.
const ALONE_PART: usize = 5;

/// How many orders there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct LedgerSizes {
    pub(super) orders: usize,
    /// While a catalog is away.
    pub(super) missed: usize,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct LedgerResults {
    /// What each order adds to a catalog that has started with it, in bytes.
    pub(super) memory_of_an_order: f64,
    /// The same of orders of one copy with a key, each of which came alone; and how many they were.
    pub(super) memory_of_one_alone: f64,
    pub(super) alone: usize,
    /// From the start of a catalog until it is ready, while the other one runs.
    pub(super) start: Duration,
    /// The same of one that missed entries.
    pub(super) catch_up: Duration,
}

/// Sells to many at the first catalog of this shop, and restarts the second one.
///
/// Fails when the ledgers differ afterwards.
pub(super) fn measure(shop: &MeasuredShop, sizes: LedgerSizes) -> Result<LedgerResults, String> {
    shop.restart(&[1])?;
    let empty = shop.memory(1);
    sell(shop, sizes.orders, 0)?;
    let start = shop.restart(&[1])?;
    let growth = shop.memory(1).saturating_sub(empty);
    // Not before the first one is in step with it, or that one would wait for it.
    shop.local.await_ready()?;
    shop.kill(1);
    sell(shop, sizes.missed, 1)?;
    let catch_up = shop.restart(&[1])?;
    let [first, second] = [0, 1].map(|n| entries(&shop.local.shop.catalogs[n]));
    if first? != second? {
        return Err("the ledgers differ".into());
    }
    shop.restart(&[1])?;
    let before = shop.memory(1);
    shop.local.await_ready()?;
    let alone = sizes.orders / ALONE_PART;
    sell_alone(shop, alone)?;
    shop.restart(&[1])?;
    let growth_alone = shop.memory(1).saturating_sub(before);
    Ok(LedgerResults {
        memory_of_an_order: growth as f64 / sizes.orders as f64,
        memory_of_one_alone: growth_alone as f64 / alone as f64,
        alone,
        start,
        catch_up,
    })
}

/// Sells one copy to each of so many orders, of all books at once.
fn sell(shop: &MeasuredShop, orders: usize, round: u64) -> Result<(), String> {
    let catalog = &shop.local.shop.catalogs[0];
    let books: Vec<u64> = shop.ids.clone().collect();
    let share = orders.div_ceil(books.len());
    let sold = in_parallel(books, |_, id| {
        let start = STARTS + id * ROUNDS + round;
        sell_book(
            &patient_client(None),
            &format!("{catalog}/update/{id}"),
            share,
            start,
        )
    });
    sold.into_iter().collect()
}

fn sell_book(client: &Client, url: &str, orders: usize, start: u64) -> Result<(), String> {
    let stocked = json!({"quantity": orders}).to_string();
    let mut answer = put(client, url, None, &stocked)?;
    for first in (0..orders).step_by(ORDERS_OF_UPDATE) {
        let counts = first..(first + ORDERS_OF_UPDATE).min(orders);
        let left = orders - counts.end;
        let order = |count| format!("{start}.{count}; open={first}");
        let ids: Vec<String> = counts.map(order).collect();
        let body = json!({"quantity": left, "orders": ids}).to_string();
        let version = answer.header("ETag").map(str::to_string);
        answer = put(client, url, version.as_deref(), &body)?;
    }
    Ok(())
}

/// Sells one copy to each of so many customers with keys, who come one after another to each book.
fn sell_alone(shop: &MeasuredShop, orders: usize) -> Result<(), String> {
    let catalog = &shop.local.shop.catalogs[0];
    let books: Vec<u64> = shop.ids.clone().collect();
    let share = orders.div_ceil(books.len());
    let sold = in_parallel(books, |_, id| {
        let client = patient_client(None);
        let url = format!("{catalog}/update/{id}");
        let start = STARTS + id * ROUNDS + 2;
        put(&client, &url, None, &json!({"quantity": share}).to_string())?;
        for count in 0..share {
            let order = format!("{start}.{count}; open={count}");
            // As long as a UUID is.
            let key = format!("customer-{start:012}-cart-{count:09}");
            let headers = [("Bazar-Order", order.as_str()), ("Idempotency-Key", &key)];
            let body = json!({"quantity": share - 1 - count}).to_string();
            put_with(&client, &url, &headers, &body)?;
        }
        Ok(())
    });
    sold.into_iter().collect()
}

fn put(client: &Client, url: &str, version: Option<&str>, body: &str) -> Result<Answer, String> {
    let headers: Vec<(&str, &str)> = version.map(|it| ("If-Match", it)).into_iter().collect();
    put_with(client, url, &headers, body)
}

fn put_with(
    client: &Client,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, String> {
    let until = Instant::now() + RETRY_MAX;
    loop {
        let answer = client.put(url, headers, body.as_bytes());
        let answer = answer.map_err(failure_text)?;
        if answer.status == 200 {
            return Ok(answer);
        }
        if answer.status != 503 || until < Instant::now() {
            return Err(describe(&answer));
        }
        thread::sleep(RETRY_PAUSE);
    }
}

/// How many entries a catalog's ledger has, and the last one.
fn entries(catalog: &Address) -> Result<(usize, String), String> {
    let client = patient_client(None);
    let (mut count, mut after) = (0, String::new());
    loop {
        let url = format!("{catalog}/ledger?limit=1000{after}");
        let answer = client.get(&url, &[]).map_err(failure_text)?;
        let page: Vec<serde_json::Value> = answer.json().map_err(failure_text)?;
        count += page.len();
        let Some(next) = answer.header("Link").filter(|_| page.len() == 1000) else {
            let last = page.last().map(ToString::to_string);
            return Ok((count, last.unwrap_or_default()));
        };
        let next = next
            .split_once("after=")
            .and_then(|(_, rest)| rest.split_once('>'));
        after = next.map_or(String::new(), |(key, _)| format!("&after={key}"));
    }
}
