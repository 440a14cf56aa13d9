//! Every server is told to end and started again, one after another, while customers buy and look
//! up: none of them notices.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::connection::Connection;
use crate::harness::http::Response;
use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

const CUSTOMERS: usize = 16;

/// The slowest request: 100 ms, tenfold; or on a busy machine ten times what the slowest took
/// before any restart.
const SLOWEST_MAX: Duration = Duration::from_secs(1);

/// How long customers are served before the first restart.
const USUAL: Duration = Duration::from_secs(1);

/// After its end a server is given this time to say so, tenfold.
const ENDING_MAX: Duration = Duration::from_secs(10);

/// A customer who keeps a connection as long as the shop does, and goes to the other front-end when
/// it closes or nobody listens.
struct Customer<'a> {
    shop: &'a Shop,
    at: usize,
    connection: Option<Connection>,
}

impl Customer<'_> {
    fn connect(&mut self) -> &mut Connection {
        let front_ends = self.shop.front_ends();
        if self.connection.is_none() {
            eventually("a front-end listens", || {
                self.at += 1;
                let address = &front_ends[self.at % front_ends.len()].address;
                self.connection = Connection::try_open(address).ok();
                self.connection.is_some()
            });
        }
        self.connection.as_mut().expect("it is open")
    }

    fn ask(&mut self, method: &str, path: &str) -> io::Result<Response> {
        let response = self.connect().ask(method, path)?;
        if response.header("Connection") == "close" {
            self.connection = None;
        }
        Ok(response)
    }
}

#[test]
fn a_rolling_restart_fails_no_request() {
    let shop = Shop::started(ShopOptions {
        front_ends: 2,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    shop.stock_up(2, 100_000);
    shop.stock_up(3, 100_000);
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let begun = Instant::now();
    let [usual, slowest] = thread::scope(|scope| {
        let customers = (0..CUSTOMERS).map(|n| {
            let (shop, is_over, count) = (&shop, &is_over, &count);
            scope.spawn(move || {
                let mut customer = Customer {
                    shop,
                    at: n,
                    connection: None,
                };
                let mut slowest = [Duration::ZERO; 2];
                while !is_over.load(Ordering::Relaxed) {
                    customer.connect();
                    let sent = Instant::now();
                    let (method, path) = match fastrand::u32(..4) {
                        0 => ("PUT", "/buy/2"),
                        1 => ("PUT", "/buy/3"),
                        2 => ("GET", "/lookup/2"),
                        _ => ("GET", "/search/t"),
                    };
                    let response = customer.ask(method, path);
                    let failed = |why| panic!("{method} {path} after {:?}: {why}", sent.elapsed());
                    let response = response.unwrap_or_else(|e| failed(e.to_string()));
                    if response.status != 200 {
                        failed(format!("{response:?}"));
                    }
                    let phase = usize::from(USUAL < begun.elapsed());
                    slowest[phase] = slowest[phase].max(sent.elapsed());
                    count.fetch_add(1, Ordering::Relaxed);
                }
                slowest
            })
        });
        let customers: Vec<_> = customers.collect();
        eventually("customers were served", || USUAL < begun.elapsed());
        for server in shop.servers() {
            restart(server);
            await_noticed(&shop);
        }
        is_over.store(true, Ordering::Relaxed);
        let slowest = customers.into_iter().map(|one| one.join().unwrap());
        slowest.fold([Duration::ZERO; 2], |[usual, slowest], each| {
            [usual.max(each[0]), slowest.max(each[1])]
        })
    });
    println!("{count:?} requests, slowest {slowest:?}, {usual:?} before");
    assert!(slowest < SLOWEST_MAX.max(10 * usual), "{slowest:?}");
    let [catalog1, catalog2] = [1, 2].map(|n| shop.catalog(n).quantity(2));
    assert_eq!(catalog1, catalog2);
}

#[track_caller]
fn restart(server: &Server) {
    let begun = Instant::now();
    server.terminate();
    let took = begun.elapsed();
    println!("{} ended after {took:?}", server.name);
    assert!(took < ENDING_MAX, "{took:?}");
    server.start();
}

/// Waits until the others ask the server again that was away.
fn await_noticed(shop: &Shop) {
    shop.servers().for_each(Server::await_ready);
    for front_end in shop.front_ends() {
        eventually("all are up", || {
            let up = |tier| front_end.metric(&format!(r#"bazar_servers_up{{tier="{tier}"}}"#));
            up("catalog") == 2.0 && up("order") == 2.0
        });
    }
    eventually("the catalogs are one", || {
        shop.catalogs().iter().all(Server::counts_peers_as_live)
    });
}
