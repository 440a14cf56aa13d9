//! All catalogs fail, one after another, and return one after another, while customers buy all the
//! time: every copy is sold once, and nobody but the last to go sells alone.
//!
//! By default a part of the orders of three catalogs is played; `ALL_ORDERS=1` plays all of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::harness::clients::{buy_until_definite, number, seeded};
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

const BOOK: u64 = 2;
const COPIES: u64 = 100_000;
const CUSTOMERS: u64 = 2;

/// So much is sold between any two failures, and before the first return of one that may sell.
const SALES_BETWEEN: u64 = 3;

/// So many shops run at the same time.
const SHOPS: usize = 4;

/// How many of the orders of three catalogs are played by default.
const SAMPLE: usize = 6;

/// Tenfold what the last to go needs to open again when it is started first.
const OPENING_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Kill,
    Term,
}

/// One total failure: in which order the catalogs go, and in which they return.
#[derive(Clone, Debug)]
struct Case {
    ending: Ending,
    going: Vec<usize>,
    returning: Vec<usize>,
}

/// A shop and what its customers were told.
struct Sale {
    shop: Shop,
    sold: AtomicU64,
    over: AtomicBool,
}

/// Ends the sale when it is dropped: a failed assertion must not leave customers buying for ever.
struct End<'a>(&'a Sale);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

impl Sale {
    /// Buys without pause, each time until it is known what became of it.
    fn buy_until_over(&self, customer: u64) {
        let address = &self.shop.front_end().address;
        for count in 0.. {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let response = buy_until_definite(address, BOOK, &format!("{customer}-{count}"));
            assert!(response.is_purchase(), "{response:?}");
            self.sold.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until some more copies are sold.
    #[track_caller]
    fn await_sales(&self, what: &str) {
        let before = self.sold.load(Ordering::Relaxed);
        eventually(what, || {
            before + SALES_BETWEEN <= self.sold.load(Ordering::Relaxed)
        });
    }

    fn fail(&self, case: &Case) {
        for n in &case.going {
            self.await_sales("those that are left sell");
            let catalog = self.shop.catalog(*n);
            match case.ending {
                Ending::Kill => catalog.kill(),
                Ending::Term => catalog.terminate(),
            }
        }
    }

    /// Returns how long the last to go took to open, if it was the first to return.
    fn come_back(&self, case: &Case) -> Option<Duration> {
        let mut opening = None;
        for (i, n) in case.returning.iter().enumerate() {
            let (catalog, begun) = (self.shop.catalog(*n), Instant::now());
            catalog.launch();
            if i == 0 && case.going.last() == Some(n) {
                catalog.await_ready();
                opening = Some(begun.elapsed());
                self.await_sales("the last to go sells alone");
            } else {
                let what = format!("{} serves or says whom it waits for", catalog.name);
                eventually(&what, || serves_or_waits(catalog));
            }
        }
        opening
    }
}

fn serves_or_waits(catalog: &Server) -> bool {
    let page = catalog.get("/metrics").body;
    let waits = |line: &str| line.starts_with("bazar_waits_for{") && line.ends_with(" 1");
    catalog.get("/readyz").status == 200 || page.lines().any(waits)
}

/// Plays one case in a shop of its own.
fn play(case: &Case) -> (u64, Option<Duration>) {
    let catalogs = case.going.len();
    let shop = Shop::started(ShopOptions {
        catalogs,
        orders: catalogs,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    shop.stock_up(BOOK, COPIES as usize);
    let sale = Sale {
        shop,
        sold: AtomicU64::new(0),
        over: AtomicBool::new(false),
    };
    let opening = thread::scope(|scope| {
        let sale = &sale;
        let _end = End(sale);
        (0..CUSTOMERS).for_each(|n| drop(scope.spawn(move || sale.buy_until_over(n))));
        sale.fail(case);
        let opening = sale.come_back(case);
        sale.shop.servers().for_each(Server::await_ready);
        sale.await_sales("all of them sell");
        opening
    });
    let sold = sale.sold.into_inner();
    eventually("all replicas are equal", || {
        let mut dumps = sale.shop.catalogs().iter().map(Server::dump);
        let first = dumps.next().expect("a shop has a catalog");
        dumps.all(|dump| dump == first)
    });
    let left = sale.shop.quantities(BOOK);
    assert_eq!(left, vec![COPIES - sold; catalogs], "{sold} sold: {case:?}");
    if let Some(opening) = opening {
        assert!(opening < OPENING_MAX, "opened after {opening:?}: {case:?}");
    }
    (sold, opening)
}

/// All orders of the numbers from 1 to `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for n in 1..=count {
        let longer = |order: &Vec<usize>| {
            let order = order.clone();
            (0..n).map(move |place| {
                let mut order = order.clone();
                order.insert(place, n);
                order
            })
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    orders
}

/// Every order of going with every order of return, each by SIGKILL and by SIGTERM.
fn all_cases(catalogs: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for going in orders(catalogs) {
        for returning in orders(catalogs) {
            cases.extend([Ending::Kill, Ending::Term].map(|ending| Case {
                ending,
                going: going.clone(),
                returning: returning.clone(),
            }));
        }
    }
    cases
}

fn chosen_cases(rng: &mut Rng) -> Vec<Case> {
    let (mut cases, mut of_three) = (all_cases(2), all_cases(3));
    assert_eq!((cases.len(), of_three.len()), (2 * 2 * 2, 6 * 6 * 2));
    if number("ALL_ORDERS").is_none() {
        rng.shuffle(&mut of_three);
        of_three.truncate(SAMPLE);
    }
    cases.extend(of_three);
    cases
}

#[test]
fn whoever_fails_and_returns_first_each_copy_is_sold_once() {
    let (_, mut rng) = seeded();
    let cases = chosen_cases(&mut rng);
    let (count, left) = (cases.len(), Mutex::new(cases));
    let openings = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(case) = left.lock().unwrap().pop() else {
                return;
            };
            let (sold, opening) = play(&case);
            println!("{case:?}: {sold} sold, opened alone after {opening:?}");
            openings.lock().unwrap().extend(opening);
        }
    };
    thread::scope(|scope| (0..SHOPS).for_each(|_| drop(scope.spawn(work))));
    let openings = openings.into_inner().unwrap();
    let slowest = openings.iter().max().expect("some return first");
    println!(
        "{count} total failures; {} opened alone, the slowest after {slowest:?}",
        openings.len()
    );
}
