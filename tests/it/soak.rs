//! Customers without pause while servers are killed and started again: what those need that live
//! through it does not grow, and what the customers saw could have happened at one shop with one
//! copy of each book.
//!
//! `SOAK_SECONDS=600 cargo test soak -- --nocapture` for the whole ten minutes, with a line of
//! figures every few seconds.

use std::ops::Range;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use bazar::testing::linearizability::{self, Operation, What};
use serde_json::json;

use crate::harness::http::{self, Response};
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// Long enough for two of each kill, and for a beginning, a middle and an end to compare.
const SECONDS: u64 = 12;

/// Histories are checked after each of these.
const ROUND: Duration = Duration::from_secs(4);

const BOOKS: Range<u64> = 1..4;
const CUSTOMERS_OF_A_BOOK: usize = 2;

/// Some hundred requests a second: the checker must follow, and so must two cores.
const PAUSE: Duration = Duration::from_millis(5);

/// Nothing comes any more of a write whose outcome was unknown for so long: all who worked on it
/// have given up.
const UNKNOWN_MAX: Duration = Duration::from_secs(15);

/// What was used by those who live through all of it may differ by so much between the middle and
/// the end.
const MORE_KIB: u64 = 8 * 1024;
const MORE_THREADS: u64 = 32;
const MORE_DESCRIPTORS: u64 = 64;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    kib: u64,
    threads: u64,
    descriptors: u64,
}

impl Use {
    fn of(server: &Server) -> Use {
        let folder = format!("/proc/{}", server.id());
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let count = |name: &str| fs::read_dir(format!("{folder}/{name}")).unwrap().count() as u64;
        Use {
            kib: resident.trim().trim_end_matches(" kB").parse().unwrap(),
            threads: count("task"),
            descriptors: count("fd"),
        }
    }

    fn most(samples: &[Use]) -> Use {
        samples.iter().fold(Use::default(), |most, sample| Use {
            kib: most.kib.max(sample.kib),
            threads: most.threads.max(sample.threads),
            descriptors: most.descriptors.max(sample.descriptors),
        })
    }
}

/// The customers' clock, and what they did to each book.
struct History {
    start: Instant,
    books: Vec<Mutex<Vec<Operation>>>,
}

impl History {
    fn note(&self, id: u64, what: What, start: Duration, known: bool) {
        let end = known.then(|| self.start.elapsed());
        let operation = Operation { what, start, end };
        self.books[(id - BOOKS.start) as usize]
            .lock()
            .unwrap()
            .push(operation);
    }

    fn look(&self, shop: &Shop, id: u64) {
        let start = self.start.elapsed();
        let response = http::call(
            &shop.front_end().address,
            "GET",
            &format!("/lookup/{id}"),
            &[],
            "",
        );
        if let Some(response) = response.ok().filter(|response| response.status == 200) {
            let quantity = response.json()["quantity"].as_u64().unwrap();
            self.note(id, What::Saw(quantity as u32), start, true);
        }
    }

    fn buy(&self, shop: &Shop, id: u64) {
        let start = self.start.elapsed();
        let path = format!("/buy/{id}");
        let says_none = |response: &Response| response.header("Bazar-Outcome") == "none";
        match http::call(&shop.front_end().address, "PUT", &path, &[], "") {
            Ok(response) if response.status == 200 && response.json()["success"] == true => {
                self.note(id, What::Bought, start, true);
            }
            Ok(response) if response.status == 200 => self.note(id, What::SoldOut, start, true),
            Ok(response) if says_none(&response) => (),
            _ => self.note(id, What::Bought, start, false),
        }
    }

    fn restock(&self, shop: &Shop, id: u64) {
        let (start, quantity) = (self.start.elapsed(), fastrand::u32(10..40));
        let body = json!({ "quantity": quantity }).to_string();
        let response = http::call(
            &shop.catalog(1).address,
            "PUT",
            &format!("/update/{id}"),
            &[],
            &body,
        );
        self.note(
            id,
            What::Set(quantity),
            start,
            response.is_ok_and(|response| response.status == 200),
        );
    }

    fn shop_until(&self, shop: &Shop, id: u64, until: Instant) {
        while Instant::now() < until {
            match fastrand::u32(..20) {
                0 => self.restock(shop, id),
                1..6 => self.buy(shop, id),
                6 => drop(http::call(
                    &shop.front_end().address,
                    "GET",
                    "/search/t",
                    &[],
                    "",
                )),
                _ => self.look(shop, id),
            }
            thread::sleep(PAUSE);
        }
        self.look(shop, id);
    }

    /// Checks what was noted of each book since it had `quantities` copies, and begins anew: with
    /// how many there are now, and with what may come true yet.
    #[track_caller]
    fn check(&self, shop: &Shop, quantities: &mut [u32]) {
        for (id, quantity) in BOOKS.zip(quantities) {
            self.look(shop, id);
            let mut noted = self.books[(id - BOOKS.start) as usize].lock().unwrap();
            if let Err(flaw) = linearizability::check(*quantity, &noted) {
                panic!("book {id}: {flaw}");
            }
            let What::Saw(now) = noted.last().expect("the last look").what else {
                panic!("the last look was not answered");
            };
            *quantity = now;
            let now = self.start.elapsed();
            noted.retain(|noted| noted.end.is_none() && now < noted.start + UNKNOWN_MAX);
        }
    }
}

/// One round of customers, and two deaths in it.
fn round(shop: &Shop, history: &History, victims: [&Server; 2]) {
    let until = Instant::now() + ROUND;
    thread::scope(|scope| {
        for id in BOOKS {
            for _ in 0..CUSTOMERS_OF_A_BOOK {
                scope.spawn(move || history.shop_until(shop, id, until));
            }
        }
        for victim in victims {
            thread::sleep(ROUND / 8);
            victim.kill();
            thread::sleep(ROUND / 8);
            victim.start();
        }
    });
}

#[test]
fn what_a_shop_needs_does_not_grow_and_what_customers_see_stays_true() {
    let seconds = env::var("SOAK_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let shop = Shop::started(ShopOptions {
        environment: vec![("LOG", "info".into())],
        ..ShopOptions::default()
    });
    let lasting = [shop.catalog(1), shop.order(1), shop.front_end()];
    let history = History {
        start: Instant::now(),
        books: BOOKS.map(|_| Mutex::default()).collect(),
    };
    let mut quantities: Vec<u32> = BOOKS.map(|id| shop.quantity(id) as u32).collect();
    let mut samples: [Vec<Use>; 3] = Default::default();
    while history.start.elapsed() < Duration::from_secs(seconds) {
        round(&shop, &history, [shop.catalog(2), shop.order(2)]);
        history.check(&shop, &mut quantities);
        for (server, samples) in lasting.iter().zip(&mut samples) {
            let sample = Use::of(server);
            println!(
                "{:4} s {:10} {sample:?}",
                history.start.elapsed().as_secs(),
                server.name
            );
            samples.push(sample);
        }
    }
    for (server, samples) in lasting.iter().zip(&samples) {
        // The first third is for warming up: threads and connections are made when they are first
        // needed.
        let (_, warm) = samples.split_at(samples.len() / 3);
        let (middle, end) = warm.split_at(warm.len().div_ceil(2));
        let (middle, end) = (Use::most(middle), Use::most(end));
        assert!(
            end.kib <= middle.kib + MORE_KIB,
            "{}: {samples:?}",
            server.name
        );
        assert!(
            end.threads <= middle.threads + MORE_THREADS,
            "{}: {samples:?}",
            server.name
        );
        assert!(
            end.descriptors <= middle.descriptors + MORE_DESCRIPTORS,
            "{}: {samples:?}",
            server.name
        );
    }
}
