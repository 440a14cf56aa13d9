//! With `--store etcd`: sales and look-ups of a shop whose books are in etcd, beside the own store's.
//! Both shops are measured in turn with the same load on etcd itself, so that all three meet the
//! same machine.
//!
//! etcd's own `benchmark` sends one small change after the other over each connection. So does the
//! yardstick here, on condition of the key's revision as every sale is, through the HTTP client that
//! catalogs use: what one sale a txn would cost at best.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::config::Limits;
use crate::config::bench::Section;
use crate::http::Method::Post;
use crate::http::client::Client;
use crate::supervisor::etcd::Etcd;
use crate::supervisor::events::Events;
use crate::tools::bench::summary::{Summary, generator};
use crate::tools::bench::throughput::buy;
use crate::tools::bench::{Bench, FIRST_BOOKS, counted};
use crate::tools::harness::connection::{Connection, Request};
use crate::tools::harness::dataset::{self, COPIES};
use crate::tools::harness::load::{LOOKUP_THREADS, in_parallel, one_of, run_closed_loop};
use crate::tools::harness::local_shop::{LocalShop, Setup, unique_host};
use crate::tools::harness::measurement::Measurement;
use crate::tools::harness::shop::Shop;

/// Keeps etcd's address apart from those of the shops, which are numbered from 1.
const HOST: u8 = 60;

/// About what a sale puts: a book and its entry.
const VALUE_CHARS: usize = 600;

/// Longer than any request takes.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    whole: Duration::from_secs(10),
};

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    let folder = bench.scratch.path().join("etcd");
    let host = unique_host(HOST);
    let etcd = Etcd::new(bench.settings.etcd_members, None, &folder, &host)?;
    etcd.look_after(&Events::default());
    let own = bench.setup(2);
    let on_etcd = Setup {
        etcd: Some(etcd.addresses.clone()),
        ..bench.setup(2)
    };
    bench.with_setup(&own, |bench, own| {
        bench.with_setup(&on_etcd, |bench, on_etcd| {
            let shops = [("own store", own), ("etcd", on_etcd)];
            measure(bench, &shops, &RawEtcd::new(&etcd))
        })
    })?;
    etcd.stop();
    Ok(())
}

fn measure(bench: &mut Bench, shops: &[(&str, &LocalShop)], etcd: &RawEtcd) -> Result<(), String> {
    let books: Vec<u64> = (1..=bench.sizes.books as u64).collect();
    for (_, local) in shops {
        let (first, more) = books.split_at(FIRST_BOOKS);
        dataset::import(&local.shop.catalogs[0], bench.scratch.path(), more)?;
        local.shop.read_stock()?;
        local.shop.add_stock(first, COPIES)?;
    }
    let shops: Vec<(&str, &Shop)> = shops
        .iter()
        .map(|(name, local)| (*name, &local.shop))
        .collect();
    let name = format!("buys all over {} books", books.len());
    for customers in bench.sizes.buyers {
        sell(bench, &shops, etcd, &name, &books, *customers)?;
    }
    for customers in bench.sizes.flash_buyers {
        sell(bench, &shops, etcd, "flash sale", &books[..1], *customers)?;
    }
    for connections in bench.sizes.buyers {
        look_up(bench, &shops, etcd, &books, *connections)?;
    }
    Ok(())
}

/// Customers buy in each shop in turn, and as many clients change keys of etcd.
fn sell(
    bench: &mut Bench,
    shops: &[(&str, &Shop)],
    etcd: &RawEtcd,
    name: &str,
    books: &[u64],
    customers: usize,
) -> Result<(), String> {
    let rounds = bench.sizes.rounds.div_ceil(2);
    let duration = bench.sizes.buying / rounds as u32;
    let mut sales = Vec::new();
    for (store, shop) in shops {
        let connections = Connection::open_many(&shop.front_end, customers)?;
        sales.push((store, shop, connections, Measurement::default()));
    }
    let mut raw = Measurement::default();
    for seed in bench.seeds(rounds) {
        for (_, _, connections, measured) in &mut sales {
            measured.append(buy(connections, duration, seed, books));
        }
        raw.append(etcd.put(customers, duration)?);
    }
    for (store, shop, _, measured) in &sales {
        shop.record_sales(measured);
        let name = format!("{name}, {}, {store}", counted(customers, "customer"));
        add(bench, name, measured, generator(measured));
    }
    let name = format!("txns of etcd beside {name}, {customers} at once");
    add(bench, name, &raw, "one key each, if it is unchanged");
    Ok(())
}

/// Look-ups that no cache has, at a catalog.
fn look_up(
    bench: &mut Bench,
    shops: &[(&str, &Shop)],
    etcd: &RawEtcd,
    books: &[u64],
    connections: usize,
) -> Result<(), String> {
    let duration = bench.sizes.reading;
    let mut reads = Vec::new();
    for (store, shop) in shops {
        let connections = Connection::open_many(&shop.catalogs[0], connections)?;
        reads.push((store, connections, Measurement::default()));
    }
    let mut raw = Measurement::default();
    for seed in bench.seeds(bench.sizes.rounds.div_ceil(2)) {
        for (_, connections, measured) in &mut reads {
            let next = |rng: &mut fastrand::Rng| Request::Query(one_of(rng, books));
            measured.append(run_closed_loop(
                connections,
                LOOKUP_THREADS,
                duration,
                seed,
                next,
            ));
        }
        raw.append(etcd.range(connections, duration)?);
    }
    let at_once = counted(connections, "connection");
    for (store, _, measured) in &reads {
        let name = format!("look-ups at a catalog, {at_once}, {store}");
        add(bench, name, measured, generator(measured));
    }
    let name = format!("ranges of etcd, {connections} at once");
    add(bench, name, &raw, "one key each, linearizable");
    Ok(())
}

fn add(bench: &mut Bench, name: String, measured: &Measurement, note: impl Into<String>) {
    bench.add(Summary::new(Section::Etcd, name, measured, note));
}

/// etcd without a shop.
struct RawEtcd {
    url: String,
    client: Client,
}

impl RawEtcd {
    fn new(etcd: &Etcd) -> RawEtcd {
        let first = etcd.addresses.split('|').next().expect("it has a member");
        RawEtcd {
            url: first.to_string(),
            client: Client::outside(LIMITS),
        }
    }

    /// So many clients change keys, each its own, one change after the other.
    fn put(&self, clients: usize, duration: Duration) -> Result<Measurement, String> {
        self.load(clients, duration, |key, revision| {
            let value = "x".repeat(VALUE_CHARS);
            let body = json!({
                "compare": [{"key": key, "target": "MOD", "result": "EQUAL",
                    "mod_revision": revision}],
                "success": [{"request_put": {"key": key, "value": value}}],
            });
            let reply = self.call("/v3/kv/txn", &body)?;
            let revision = reply["header"]["revision"].as_str();
            let revision = revision.filter(|_| reply["succeeded"] == true);
            revision
                .map(str::to_string)
                .ok_or_else(|| format!("a txn failed: {reply}"))
        })
    }

    /// So many clients read keys, each its own, one read after the other.
    fn range(&self, clients: usize, duration: Duration) -> Result<Measurement, String> {
        self.load(clients, duration, |key, _| {
            self.call("/v3/kv/range", &json!({ "key": key }))?;
            Ok(String::new())
        })
    }

    /// `one` gets a key, in base64, and what it returned last.
    fn load(
        &self,
        clients: usize,
        duration: Duration,
        one: impl Fn(&str, &str) -> Result<String, String> + Sync,
    ) -> Result<Measurement, String> {
        let work = |_, key: String| {
            let mut measured = Measurement::default();
            let (began, mut last) = (Instant::now(), "0".to_string());
            while began.elapsed() < duration {
                last = measured.time(|| one(&key, &last))?;
            }
            measured.elapsed = began.elapsed();
            Ok::<_, String>(measured)
        };
        // Eight digits are the base64 of something.
        let keys = (0..clients).map(|_| format!("{:08}", fastrand::u32(..100_000_000)));
        let mut whole = Measurement::default();
        for measured in in_parallel(keys.collect(), work) {
            whole.merge_parallel(measured?);
        }
        Ok(whole)
    }

    fn call(&self, path: &str, body: &Value) -> Result<Value, String> {
        let (url, json) = (format!("{}{path}", self.url), body.to_string());
        let answer = self.client.call(Post, &url, &[], Some(json.as_bytes()));
        let answer = answer.map_err(|failure| format!("etcd does not answer: {failure:?}"))?;
        answer
            .json()
            .map_err(|failure| format!("etcd makes no sense: {failure:?}"))
    }
}
