//! The shop under measurement, as its owner sees it: its addresses, its stock, and its sales.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use crate::http::client::{Answer, Client};
use crate::model::address::Address;
use crate::model::book::Offer;
use crate::runtime::sync::lock;
use crate::tools::audit::{self, Findings};
use crate::tools::harness::measurement::{Measurement, Sales};
use crate::tools::{failure_text, patient_client};

/// A change of stock is retried for this long, while customers buy or a catalog catches up.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// A server that takes longer to become ready is a failure.
const READY_MAX: Duration = Duration::from_secs(120);

/// The interval at which a starting server is asked whether it is ready.
const READY_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A running shop.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) front_end: Address,
    pub(crate) catalogs: Vec<Address>,
    client: Client,
    /// By id; empty without a catalog to read the stock from. Locked for one look or change.
    accounts: Mutex<BTreeMap<u64, Account>>,
}

/// What is known of one book. In the end `stock + sold = start + added`, except for the unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) start: u64,
    pub(crate) added: u64,
    pub(crate) sales: Sales,
}

/// A book in a catalog's `/dump/`.
#[derive(Deserialize)]
struct DumpedBook {
    id: u64,
    quantity: u64,
}

impl Shop {
    /// A shop whose stock is not read yet.
    pub(crate) fn new(front_end: &Address, catalogs: &[Address], token: Option<&str>) -> Shop {
        Shop {
            front_end: front_end.clone(),
            catalogs: catalogs.to_vec(),
            client: patient_client(token),
            accounts: Mutex::default(),
        }
    }

    /// Reads the stock of the first catalog, if one is known.
    ///
    /// Fails when the catalog does not answer.
    pub(crate) fn read_stock(&self) -> Result<(), String> {
        if let Some(catalog) = self.catalogs.first() {
            let books: Vec<DumpedBook> =
                self.get(catalog, "/dump/")?.json().map_err(failure_text)?;
            let account = |book: &DumpedBook| Account {
                start: book.quantity,
                ..Account::default()
            };
            let accounts = books.iter().map(|book| (book.id, account(book)));
            *lock(&self.accounts) = accounts.collect();
        }
        Ok(())
    }

    /// Every book's account, by id.
    pub(crate) fn accounts(&self) -> BTreeMap<u64, Account> {
        lock(&self.accounts).clone()
    }

    /// The ids of at most `max` books, the lowest first.
    pub(crate) fn ids(&self, max: usize) -> Vec<u64> {
        lock(&self.accounts).keys().copied().take(max).collect()
    }

    /// Enters what customers bought.
    pub(crate) fn record_sales(&self, measurement: &Measurement) {
        let mut accounts = lock(&self.accounts);
        for (id, sales) in &measurement.sales {
            let account = accounts.get_mut(id).expect("only books in stock are sold");
            account.sales.add(*sales);
        }
    }

    /// Adds this many copies of each of these books to the stock.
    ///
    /// Fails when a book could not be changed within [`RETRY_MAX`].
    pub(crate) fn add_stock(&self, ids: &[u64], copies: u64) -> Result<(), String> {
        for id in ids {
            self.change_quantity(*id, |quantity| quantity + copies)?;
            if let Some(account) = lock(&self.accounts).get_mut(id) {
                account.added += copies;
            }
        }
        Ok(())
    }

    /// Takes the copies that were added and not sold out of stock again.
    pub(crate) fn remove_unsold(&self) -> Result<(), String> {
        for (id, account) in self.accounts() {
            let left = account.added.saturating_sub(account.sales.sold);
            if 0 < left {
                self.change_quantity(id, |quantity| quantity.saturating_sub(left))?;
            }
        }
        Ok(())
    }

    /// Reads and conditionally writes at the first catalog, until no other write came in between.
    fn change_quantity(&self, id: u64, change: impl Fn(u64) -> u64) -> Result<(), String> {
        let catalog = self.catalogs.first().ok_or("no catalog is known")?;
        let (item, update) = (
            format!("{catalog}/query/item/{id}"),
            format!("{catalog}/update/{id}"),
        );
        let deadline = Instant::now() + RETRY_MAX;
        loop {
            let read = self.client.get(&item, &[]).map_err(failure_text)?;
            let answer = match (read.json(), read.header("etag")) {
                (Ok(Offer { quantity, .. }), Some(version)) => {
                    let body = json!({ "quantity": change(quantity.into()) }).to_string();
                    let written =
                        self.client
                            .put(&update, &[("If-Match", version)], body.as_bytes());
                    written.map_err(failure_text)?
                }
                _ => read,
            };
            if answer.status == 200 {
                return Ok(());
            }
            if deadline < Instant::now() {
                let text = String::from_utf8_lossy(&answer.body);
                return Err(format!("cannot change the stock of book {id}: {text}"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails with everything but a 200.
    pub(crate) fn get(&self, server: &Address, path: &str) -> Result<Answer, String> {
        let url = format!("{server}{path}");
        let answer = self.client.get(&url, &[]).map_err(failure_text)?;
        if answer.status != 200 {
            return Err(format!("GET {url}: {}", answer.status));
        }
        Ok(answer)
    }

    /// What `bazar audit` finds.
    ///
    /// Fails when a catalog does not answer.
    pub(crate) fn audit(&self) -> Result<Findings, String> {
        audit::find(&self.client, &self.catalogs)
    }

    /// Waits until the server at `address` says that it is ready.
    ///
    /// Fails after [`READY_MAX`].
    pub(crate) fn await_ready(&self, address: &Address) -> Result<(), String> {
        let deadline = Instant::now() + READY_MAX;
        while self.get(address, "/readyz").is_err() {
            if deadline < Instant::now() {
                return Err(format!("{address} is not ready after {READY_MAX:?}"));
            }
            thread::sleep(READY_POLL_INTERVAL);
        }
        Ok(())
    }
}
