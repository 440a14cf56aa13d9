//! Everything at once: customers buy, look up and restock, through the front-end and directly, while servers of every
//! kind are killed, started again, stopped and continued at random. Afterwards what the customers saw must be what one
//! book in one drawer would have shown, and no copy may be lost or sold twice.
//!
//! `SEED=n` repeats the faults and what the customers want (not the timing); `CHAOS_SECONDS=600` runs longer.

use std::collections::BTreeMap;
use std::env;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bazar::history::{self, Operation, What};
use fastrand::Rng;
use serde_json::json;

use crate::http::{self, Answer};
use crate::process::{Server, eventually};
use crate::shop::{Shop, Tiers};

const CUSTOMERS: u64 = 10;

/// How many copies there are at first of books 1, 2, …; the first sells out, and the last is restocked now and then.
const STOCK: [u32; 4] = [60, 10_000, 10_000, 300];
const RESTOCKED: u64 = STOCK.len() as u64;

/// A server is down, or stopped, for up to this long.
const HURT_MAX: Duration = Duration::from_millis(1500);

/// The pause between two faults is up to this.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// A customer pauses up to this between two requests.
const THINKING_MAX: Duration = Duration::from_millis(25);

/// A customer who was told that nobody can tell asks so often in all.
const TRIES_MAX: usize = 4;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What customers saw of each book.
struct Diary {
    origin: Instant,
    keys: AtomicU64,
    books: Mutex<BTreeMap<u64, Vec<Operation>>>,
}

impl Diary {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn write(&self, id: u64, what: What, start: Duration, end: Option<Duration>) {
        let mut books = self.books.lock().unwrap();
        books
            .entry(id)
            .or_default()
            .push(Operation { what, start, end });
    }
}

/// One who wants something again and again.
struct Customer<'a> {
    shop: &'a Shop,
    diary: &'a Diary,
    rng: Rng,
}

/// What one request to buy came to.
enum Heard {
    Bought,
    SoldOut,
    /// Nothing happened.
    Nothing,
    /// Nobody can tell.
    Unknown,
}

impl Customer<'_> {
    fn shops_until(&mut self, end: Duration) {
        while self.diary.now() < end {
            let id = self.rng.u64(1..=RESTOCKED);
            match self.rng.u32(0..100) {
                0..55 => self.looks_up(id),
                55..98 => self.buys(id),
                _ => self.restocks(),
            }
            thread::sleep(THINKING_MAX.mul_f64(self.rng.f64()));
        }
    }

    fn looks_up(&mut self, id: u64) {
        let start = self.diary.now();
        let (server, path) = match self.rng.bool() {
            true => (self.shop.front_end(), format!("/lookup/{id}")),
            false => (self.any(self.shop.catalogs()), format!("/query/item/{id}")),
        };
        let answer = server
            .try_get(&path)
            .ok()
            .filter(|answer| answer.status == 200);
        if let Some(answer) = answer {
            let quantity = answer.json()["quantity"].as_u64().unwrap();
            let saw = What::Saw(quantity as u32);
            self.diary.write(id, saw, start, Some(self.diary.now()));
        }
    }

    /// Buys a copy, with a key, so that it may insist.
    fn buys(&mut self, id: u64) {
        let key = self.diary.keys.fetch_add(1, Ordering::Relaxed).to_string();
        let start = self.diary.now();
        let mut unknown = false;
        for _ in 0..TRIES_MAX {
            let tried = self.diary.now();
            match self.asks_to_buy(id, &key) {
                Heard::Bought => {
                    let end = Some(self.diary.now());
                    return self.diary.write(id, What::Bought, start, end);
                }
                Heard::SoldOut => {
                    let end = Some(self.diary.now());
                    self.diary.write(id, What::SoldOut, tried, end);
                    break;
                }
                Heard::Nothing => {}
                Heard::Unknown => unknown = true,
            }
            thread::sleep(THINKING_MAX);
        }
        if unknown {
            self.diary.write(id, What::Bought, start, None);
        }
    }

    fn asks_to_buy(&mut self, id: u64, key: &str) -> Heard {
        let server = match self.rng.u32(0..3) {
            0 => self.any(self.shop.orders()),
            _ => self.shop.front_end(),
        };
        let headers = [("Idempotency-Key", key)];
        match http::call(&server.place, "PUT", &format!("/buy/{id}"), &headers, "") {
            Ok(answer) => heard(&answer),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Heard::Nothing,
            Err(_) => Heard::Unknown,
        }
    }

    fn restocks(&mut self) {
        let start = self.diary.now();
        let quantity = self.rng.u32(100..400);
        let catalog = self.any(self.shop.catalogs());
        let (path, body) = (
            format!("/update/{RESTOCKED}"),
            json!({ "quantity": quantity }),
        );
        let answer = http::call(&catalog.place, "PUT", &path, &[], &body.to_string());
        let end = match answer {
            Ok(answer) if answer.status == 200 => Some(self.diary.now()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            _ => None,
        };
        self.diary.write(RESTOCKED, What::Set(quantity), start, end);
    }

    fn any<'s>(&mut self, servers: &'s [Server]) -> &'s Server {
        &servers[self.rng.usize(..servers.len())]
    }
}

fn heard(answer: &Answer) -> Heard {
    match (answer.status, answer.header("Bazar-Outcome")) {
        (200, _) if answer.json()["success"] == true => Heard::Bought,
        (200, _) => Heard::SoldOut,
        (500.., "none") => Heard::Nothing,
        (500.., _) => Heard::Unknown,
        _ => panic!("nobody hears that of a book that exists: {answer:?}"),
    }
}

/// What was done to a server, and until when.
#[derive(Clone, Copy)]
enum Hurt {
    Killed(Duration),
    Stopped(Duration),
}

/// Hurts servers at random. At least one catalog that has caught up always stays.
struct Vandal<'a> {
    shop: &'a Shop,
    diary: &'a Diary,
    rng: Rng,
    hurt: BTreeMap<&'a str, Hurt>,
    deeds: BTreeMap<String, u32>,
}

impl Vandal<'_> {
    fn rages_until(&mut self, end: Duration) {
        while self.diary.now() < end {
            self.mend(self.diary.now());
            self.strike();
            thread::sleep(PAUSE_MAX.mul_f64(self.rng.f64()));
        }
        self.mend(Duration::MAX);
    }

    /// Those whose time is up work again.
    fn mend(&mut self, now: Duration) {
        for server in self.shop.servers() {
            match self.hurt.get(server.name.as_str()).copied() {
                Some(Hurt::Killed(until)) if until <= now => server.launch(),
                Some(Hurt::Stopped(until)) if until <= now => server.cont(),
                _ => continue,
            }
            self.hurt.remove(server.name.as_str());
        }
    }

    fn strike(&mut self) {
        let servers: Vec<&Server> = self.shop.servers().collect();
        let victim = servers[self.rng.usize(..servers.len())];
        let until = self.diary.now() + HURT_MAX.mul_f64(self.rng.f64());
        let kill = self.rng.bool();
        if self.is_hurt(victim) || !self.can_spare(victim) {
            return;
        }
        let deed = if kill { "killed" } else { "stopped" };
        *self
            .deeds
            .entry(format!("{} {deed}", victim.name))
            .or_default() += 1;
        let hurt = match kill {
            true => {
                victim.kill();
                Hurt::Killed(until)
            }
            false => {
                victim.stop();
                Hurt::Stopped(until)
            }
        };
        self.hurt.insert(&victim.name, hurt);
    }

    fn is_hurt(&self, server: &Server) -> bool {
        self.hurt.contains_key(server.name.as_str())
    }

    /// Whether another catalog than this one has caught up and is not hurt.
    fn can_spare(&self, victim: &Server) -> bool {
        let mut catalogs = self.shop.catalogs().iter();
        if catalogs.clone().all(|catalog| catalog.name != victim.name) {
            return true;
        }
        let ready = |c: &Server| {
            c.try_get("/readyz")
                .is_ok_and(|answer| answer.status == 200)
        };
        catalogs.any(|c| c.name != victim.name && !self.is_hurt(c) && ready(c))
    }
}

/// Every replica shows the same, and what is left of each book goes into the diary.
fn take_stock(shop: &Shop, diary: &Diary) -> Vec<u32> {
    shop.servers().for_each(Server::await_ready);
    let dump = |catalog: &Server| catalog.get("/dump/").json();
    eventually("all replicas are equal", || {
        let mut dumps = shop.catalogs().iter().map(dump);
        let first = dumps.next();
        dumps.all(|other| Some(other) == first)
    });
    let look = |id: u64| {
        let start = diary.now();
        let quantities = shop.catalogs().iter().map(|catalog| {
            let answer = catalog.get(&format!("/query/item/{id}"));
            answer.json()["quantity"].as_u64().unwrap() as u32
        });
        let quantities: Vec<u32> = quantities.collect();
        assert!(
            quantities.iter().all(|q| *q == quantities[0]),
            "{quantities:?}"
        );
        diary.write(id, What::Saw(quantities[0]), start, Some(diary.now()));
        quantities[0]
    };
    (1..=RESTOCKED).map(look).collect()
}

/// What was sold, at least and at most.
fn sold(history: &[Operation]) -> (u32, u32) {
    let bought = history.iter().filter(|o| o.what == What::Bought);
    let (known, all) = (
        bought.clone().filter(|o| o.end.is_some()).count(),
        bought.count(),
    );
    (known as u32, all as u32)
}

#[test]
fn whatever_crashes_each_book_is_one_book_and_each_copy_is_sold_once() {
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    let seconds = number("CHAOS_SECONDS").unwrap_or(12);
    println!("SEED={seed} CHAOS_SECONDS={seconds}");
    let shop = Shop::open(Tiers {
        catalogs: 3,
        orders: 3,
        usual_times: true,
        ..Tiers::default()
    });
    for (id, quantity) in (1..).zip(STOCK) {
        let body = json!({ "quantity": quantity }).to_string();
        assert_eq!(
            shop.catalog(1).put(&format!("/update/{id}"), &body).status,
            200
        );
    }
    let diary = Diary {
        origin: Instant::now(),
        keys: AtomicU64::new(0),
        books: Mutex::default(),
    };
    let (shop, diary, end) = (&shop, &diary, Duration::from_secs(seconds));
    thread::scope(|scope| {
        for n in 1..=CUSTOMERS {
            let rng = Rng::with_seed(seed.wrapping_mul(1000) + n);
            scope.spawn(move || Customer { shop, diary, rng }.shops_until(end));
        }
        let (rng, hurt, deeds) = (Rng::with_seed(seed), BTreeMap::new(), BTreeMap::new());
        let mut vandal = Vandal {
            shop,
            diary,
            rng,
            hurt,
            deeds,
        };
        vandal.rages_until(end);
        println!("{:?}", vandal.deeds);
    });
    let left = take_stock(shop, diary);
    for (id, history) in diary.books.lock().unwrap().iter() {
        let (start, left) = (STOCK[*id as usize - 1], left[*id as usize - 1]);
        let (least, most) = sold(history);
        println!(
            "book {id}: {} seen, {least} to {most} sold of {start}, {left} left",
            history.len()
        );
        if let Err(flaw) = history::check(start, history) {
            panic!("SEED={seed}: book {id}: {flaw}");
        }
        if *id != RESTOCKED {
            assert!(
                (start - most.min(start)..=start - least).contains(&left),
                "SEED={seed}"
            );
        }
    }
}
