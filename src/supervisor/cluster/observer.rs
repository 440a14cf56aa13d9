//! Looks at the servers while somebody looks at the page: a thread for each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::Limits;
use crate::http::client::Client;
use crate::model::address::Address;
use crate::runtime::sync;
use crate::supervisor::cluster::Cluster;
use crate::supervisor::cluster::account::{Account, Counts, compare};
use crate::supervisor::supervised::Supervised;
use crate::supervisor::topology::Kind;

/// The pause between two looks at a server.
const INTERVAL: Duration = Duration::from_millis(150);

/// So long after the page was last asked, nobody looks at it any more.
const WATCHED: Duration = Duration::from_secs(3);

/// A server that does not answer within this is shown as silent.
const LIMITS: Limits = Limits {
    connect: Duration::from_millis(500),
    whole: Duration::from_secs(1),
};

/// A stock that others' sales must explain is not called wrong for so long.
const EXPLANATION_MAX: Duration = Duration::from_secs(2);

/// The page shows the books with the first ids. A catalog answers for so many in one message.
const BOOKS_MAX: u64 = 24;

/// What a server showed at the last look.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Look {
    /// Whether it answered.
    answers: bool,
    ready: bool,
    /// What it lacks to be ready, in its own words.
    missing: Vec<String>,
    /// Some of its metrics, such as `bazar_lease`, and `bazar_peer_live{peer="http://…"}`.
    metrics: BTreeMap<String, f64>,
    /// Of a catalog.
    books: Vec<ShownBook>,
    /// The answer to `/dump/` of a front-end.
    caches: Option<Value>,
}

/// A copy of a book at a catalog.
#[derive(Clone, Debug, Serialize)]
struct ShownBook {
    id: u64,
    title: String,
    quantity: u64,
    /// `<sequence number>-<stamp>`, or, if the books are in etcd, `<sequence number>`.
    version: String,
    /// `valid`, `tentative` or `unknown`.
    state: String,
    /// `null` while the copy is not valid; otherwise whether the stock is as it must be.
    right: Option<bool>,
}

impl Look {
    pub(super) fn answers(&self) -> bool {
        self.answers
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }
}

#[derive(Deserialize)]
struct Readiness {
    #[serde(default)]
    missing: Vec<String>,
}

#[derive(Deserialize)]
struct Fetched {
    books: Vec<(FetchedBook, String)>,
}

#[derive(Deserialize)]
struct FetchedBook {
    id: u64,
    title: String,
    quantity: u64,
    version: String,
}

/// A book of `GET /dump/`.
#[derive(Deserialize)]
struct DumpedBook {
    id: u64,
    title: String,
    quantity: u64,
    sequence_number: u64,
}

/// When the page was last asked for the state.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    last_ms: AtomicU64,
}

/// What the looks at one server need to know of the looks before.
#[derive(Debug, Default)]
struct Memory {
    /// The last values of counters.
    counters: BTreeMap<String, u64>,
    /// Since when the stock of a book is wrong.
    wrong_since: BTreeMap<u64, Instant>,
}

impl Watch {
    pub(super) fn new() -> Watch {
        Watch {
            began: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }

    fn ms(&self) -> u64 {
        1 + self.began.elapsed().as_millis() as u64
    }

    pub(super) fn watched(&self) {
        self.last_ms.store(self.ms(), Relaxed);
    }

    fn is_watched(&self) -> bool {
        let last = self.last_ms.load(Relaxed);
        last != 0 && self.ms() - last < WATCHED.as_millis() as u64
    }
}

/// Starts a thread for each server.
///
/// Fails when no thread can be started.
pub(super) fn start(cluster: &Arc<Cluster>) -> Result<(), String> {
    for n in 0..cluster.shop.servers.len() {
        let cluster = cluster.clone();
        sync::spawn("observer", move || {
            let client = Client::new(LIMITS, cluster.shop.token.as_deref());
            let mut memory = Memory::default();
            loop {
                if cluster.watch.is_watched() || cluster.load.is_on() {
                    let look = cluster.look(n, &client, &mut memory);
                    *sync::lock(&cluster.looks[n]) = look;
                }
                thread::sleep(INTERVAL);
            }
        })?;
    }
    Ok(())
}

impl Cluster {
    fn look(&self, n: usize, client: &Client, memory: &mut Memory) -> Look {
        let server = &self.shop.servers[n];
        if server.process.id().is_none() || server.process.is_paused() {
            return Look::default();
        }
        let at = server.member.listens_at(&self.shop.local);
        let Ok(readiness) = client.get(&format!("{at}/readyz"), &[]) else {
            return Look::default();
        };
        let mut look = Look {
            answers: true,
            ready: readiness.status == 200,
            missing: readiness
                .json()
                .map_or_else(|_| Vec::new(), |it: Readiness| it.missing),
            ..Look::default()
        };
        look.metrics = metrics(client, &at);
        self.count_sales(server, &look.metrics, memory);
        match server.member.kind {
            Kind::Catalog => look.books = self.books(client, &at, memory),
            Kind::FrontEnd => {
                let dump = client.get(&format!("{at}/dump/"), &[]);
                look.caches = dump.ok().and_then(|answer| answer.json().ok());
            }
            Kind::Order => (),
        }
        look
    }

    /// Enters into the account by how much the server's counters of sales and changes have grown.
    /// What it counted before the first look is no news; a smaller count is that of a new process.
    fn count_sales(&self, server: &Supervised, now: &BTreeMap<String, f64>, memory: &mut Memory) {
        let (name, seen): (_, fn(&Account, u64)) = match server.member.kind {
            Kind::FrontEnd => (
                "bazar_buys_total{outcome=\"purchased\"}",
                Account::sales_seen,
            ),
            Kind::Catalog => (
                "bazar_updates_total{outcome=\"changed\"}",
                Account::changes_seen,
            ),
            Kind::Order => return,
        };
        let Some(count) = now.get(name).map(|count| *count as u64) else {
            return;
        };
        if let Some(before) = memory.counters.insert(name.into(), count) {
            seen(&self.account, count.checked_sub(before).unwrap_or(count));
        }
    }

    fn books(&self, client: &Client, at: &Address, memory: &mut Memory) -> Vec<ShownBook> {
        let before = self.account.counts();
        let books = match self.shop.etcd {
            Some(_) => books_in_etcd(client, at),
            None => copies(client, at),
        };
        let after = self.account.counts();
        let shown = |(book, state): (FetchedBook, String)| {
            let right = (state == "valid").then(|| self.is_right(&book, [&before, &after], memory));
            ShownBook {
                id: book.id,
                title: book.title,
                quantity: book.quantity,
                version: book.version,
                state,
                right,
            }
        };
        books.into_iter().map(shown).collect()
    }

    /// Whether the stock is as the counts say, or as others' doings explain. The metrics of a
    /// front-end may be seen later than what it sold.
    fn is_right(
        &self,
        book: &FetchedBook,
        [before, after]: [&Counts; 2],
        memory: &mut Memory,
    ) -> bool {
        let (Some(before), Some(after)) = (before.get(&book.id), after.get(&book.id)) else {
            self.account.see(book.id, book.quantity);
            return true;
        };
        let verdict = compare(before, after, book.quantity);
        if self.account.explain(book.id, verdict) {
            memory.wrong_since.remove(&book.id);
            return true;
        }
        let since = *memory
            .wrong_since
            .entry(book.id)
            .or_insert_with(Instant::now);
        since.elapsed() < EXPLANATION_MAX
    }
}

/// A catalog's copies, and their states.
fn copies(client: &Client, at: &Address) -> Vec<(FetchedBook, String)> {
    let ids: Vec<u64> = (1..=BOOKS_MAX).collect();
    let body = json!({ "ids": ids }).to_string();
    let answer = client.put(&format!("{at}/rep/fetch"), &[], body.as_bytes());
    let fetched: Option<Fetched> = answer.ok().and_then(|answer| answer.json().ok());
    fetched.map_or_else(Vec::new, |fetched| fetched.books)
}

/// What a catalog reads in etcd. It has no copies: all of this is valid.
fn books_in_etcd(client: &Client, at: &Address) -> Vec<(FetchedBook, String)> {
    let answer = client.get(&format!("{at}/dump/?limit={BOOKS_MAX}"), &[]);
    let dumped: Option<Vec<DumpedBook>> = answer.ok().and_then(|answer| answer.json().ok());
    let book = |dumped: DumpedBook| {
        let book = FetchedBook {
            id: dumped.id,
            title: dumped.title,
            quantity: dumped.quantity,
            version: dumped.sequence_number.to_string(),
        };
        (book, "valid".to_string())
    };
    dumped.into_iter().flatten().map(book).collect()
}

/// Those that the page shows.
fn metrics(client: &Client, at: &Address) -> BTreeMap<String, f64> {
    const SHOWN: [&str; 9] = [
        "bazar_lease",
        "bazar_caught_up",
        "bazar_disk_refuses",
        "bazar_peer_live{",
        "bazar_waits_for{",
        "bazar_peers_live",
        "bazar_servers_up{",
        "bazar_buys_total{",
        "bazar_updates_total{",
    ];
    let page = client.get(&format!("{at}/metrics"), &[]);
    let page = page.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
    let page = page.unwrap_or_default();
    let shown = |line: &&str| SHOWN.iter().any(|name| line.starts_with(name));
    let series = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_string(), value.parse().ok()?))
    };
    page.lines().filter(shown).filter_map(series).collect()
}
