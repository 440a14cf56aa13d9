//! The shop that is measured, as its owner sees it: where it is, what is in stock, and what was
//! sold.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::config::Limits;
use crate::http::Method;
use crate::http::client::{Answer, Client};
use crate::model::address::Address;
use crate::tools::bench::take::{Sales, Take};

/// How long a change of stock is tried again while customers buy, or while a catalog catches up.
const TRYING_MAX: Duration = Duration::from_secs(10);

/// Books in one request that adds some.
const ADDED_MAX: usize = 1000;

/// Calls to catalogs that are not measured may take long.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    whole: Duration::from_secs(20),
};

/// A shop that runs.
#[derive(Debug)]
pub struct Shop {
    pub front_end: SocketAddr,
    pub catalogs: Vec<Address>,
    client: Client,
    /// By id; empty when there is no catalog to ask.
    accounts: Mutex<BTreeMap<u64, Account>>,
}

/// What must be true of one book in the end: `stock + sold = start + added`, but for the unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub start: u64,
    pub added: u64,
    pub sales: Sales,
}

/// A line of a catalog's `/dump/`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Line {
    pub id: u64,
    pub quantity: u64,
    pub price: f64,
    pub sequence_number: u64,
    pub title: String,
    pub topic: String,
}

#[derive(Deserialize)]
struct Quantity {
    quantity: u64,
}

impl Shop {
    /// Looks what is in stock.
    ///
    /// Fails when there is no such address, or a catalog does not answer.
    pub fn new(
        front_end: &Address,
        catalogs: &[Address],
        token: Option<&str>,
    ) -> Result<Shop, String> {
        let shop = Shop {
            front_end: socket_address(front_end)?,
            catalogs: catalogs.to_vec(),
            client: Client::new(LIMITS, token),
            accounts: Mutex::default(),
        };
        if let Some(first) = catalogs.first() {
            let lines = shop.dump(first)?;
            let account = |line: &Line| Account {
                start: line.quantity,
                ..Account::default()
            };
            *shop.accounts() = lines.iter().map(|line| (line.id, account(line))).collect();
        }
        Ok(shop)
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<u64, Account>> {
        self.accounts.lock().expect("nobody panics in here")
    }

    /// Every book's account, by id.
    pub fn books(&self) -> BTreeMap<u64, Account> {
        self.accounts().clone()
    }

    /// The ids of at most `max` books, the lowest first.
    pub fn ids(&self, max: usize) -> Vec<u64> {
        self.accounts().keys().copied().take(max).collect()
    }

    /// Enters what customers bought.
    pub fn enter(&self, take: &Take) {
        let mut accounts = self.accounts();
        for (id, more) in &take.sales {
            let account = accounts.get_mut(id).expect("only books in stock are sold");
            account.sales.sold += more.sold;
            account.sales.unknown += more.unknown;
        }
    }

    /// Puts so many more copies of each of these books in stock.
    ///
    /// Fails when that could not be done within [`TRYING_MAX`] for a book.
    pub fn stock_up(&self, ids: &[u64], copies: u64) -> Result<(), String> {
        for id in ids {
            self.adjust(*id, |quantity| quantity + copies)?;
            if let Some(account) = self.accounts().get_mut(id) {
                account.added += copies;
            }
        }
        Ok(())
    }

    /// Takes the copies that were added and not sold out of stock again.
    pub fn clear_up(&self) -> Result<(), String> {
        for (id, account) in self.books() {
            let left = account.added.saturating_sub(account.sales.sold);
            if 0 < left {
                self.adjust(id, |quantity| quantity.saturating_sub(left))?;
            }
        }
        Ok(())
    }

    /// Adds books until there are `count`, each with so many copies.
    ///
    /// Fails with the catalog's message.
    pub fn add_up_to(&self, count: usize, copies: u64) -> Result<(), String> {
        let have = self.accounts().len();
        let missing: Vec<_> = (have..count).map(|n| new_book(n, copies)).collect();
        for some in missing.chunks(ADDED_MAX) {
            let body = json!(some).to_string();
            let answer = self.call(Method::Post, "/add", &[], body.as_bytes())?;
            self.enter_added(&answer)?;
        }
        Ok(())
    }

    fn enter_added(&self, answer: &Answer) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Added {
            body: serde_json::Value,
            status: u16,
        }
        let all: Vec<Added> = answer.json().map_err(|failure| format!("{failure:?}"))?;
        for added in all {
            if added.status != 201 {
                return Err(format!("cannot add a book: {}", added.body));
            }
            let line = Line::deserialize(added.body).map_err(|error| error.to_string())?;
            let account = Account {
                start: line.quantity,
                ..Account::default()
            };
            self.accounts().insert(line.id, account);
        }
        Ok(())
    }

    /// Reads and writes until nobody has changed the book in between.
    fn adjust(&self, id: u64, wanted: impl Fn(u64) -> u64) -> Result<(), String> {
        let until = Instant::now() + TRYING_MAX;
        loop {
            let read = self.call(Method::Get, &format!("/query/item/{id}"), &[], b"")?;
            let offer: Result<Quantity, _> = read.json();
            let written = match (offer, read.header("etag")) {
                (Ok(offer), Some(version)) => {
                    let body = json!({"quantity": wanted(offer.quantity)}).to_string();
                    let path = format!("/update/{id}");
                    let headers = [("If-Match", version)];
                    self.call(Method::Put, &path, &headers, body.as_bytes())?
                }
                _ => read,
            };
            if written.status == 200 {
                return Ok(());
            }
            if until < Instant::now() {
                let text = String::from_utf8_lossy(&written.body).into_owned();
                return Err(format!("cannot change the stock of book {id}: {text}"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let catalog = self.catalogs.first().ok_or("no catalog is known")?;
        let url = format!("{catalog}{path}");
        let body = (!body.is_empty()).then_some(body);
        let answer = self.client.call(method, &url, headers, body);
        answer.map_err(|failure| format!("{failure:?}"))
    }

    /// All that a catalog has.
    pub fn dump(&self, catalog: &Address) -> Result<Vec<Line>, String> {
        let answer = self.client.get(&format!("{catalog}/dump/"), &[]);
        let answer = answer.map_err(|failure| format!("{failure:?}"))?;
        answer.json().map_err(|failure| format!("{failure:?}"))
    }

    /// Whether the server at `address` says that it can do its job.
    pub fn is_ready(&self, address: &Address) -> bool {
        let answer = self.client.get(&format!("{address}/readyz"), &[]);
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// Which of the books 1 to `max` a customer finds.
    pub fn found(&self, max: u64) -> Result<Vec<u64>, String> {
        let mut ids = Vec::new();
        for id in 1..=max {
            let url = format!("http://{}/lookup/{id}", self.front_end);
            let answer = self.client.get(&url, &[]);
            match answer.map_err(|failure| format!("{failure:?}"))?.status {
                200 => ids.push(id),
                404 => (),
                status => return Err(format!("GET {url}: {status}")),
            }
        }
        Ok(ids)
    }
}

fn new_book(n: usize, copies: u64) -> serde_json::Value {
    json!({
        "title": format!("Volume {n} of the works that nobody reads"),
        "topic": format!("Shelf {}", n / 10),
        "quantity": copies,
        "price": 10.0,
    })
}

/// Where a server listens. Fails when its name cannot be resolved.
pub fn socket_address(address: &Address) -> Result<SocketAddr, String> {
    let place = address.as_str().trim_start_matches("http://");
    let mut found = place
        .to_socket_addrs()
        .map_err(|error| format!("cannot find {address}: {error}"))?;
    found
        .next()
        .ok_or_else(|| format!("cannot find {address}: it has no address"))
}
