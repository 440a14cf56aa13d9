//! Floods of connections, honest and hostile. Clients are served during and after
//! them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::connection::Connection;
use crate::harness::server::{DESCRIPTORS, Server};
use crate::harness::shop::{Shop, ShopOptions};

/// How many times as long things may take here as they are meant to.
const SLACK: u32 = 10;

/// The silence after which the servers here close a connection.
const IDLE: Duration = Duration::from_secs(2);

/// Hostile connections of each kind.
const OF_EACH_KIND: usize = 100;

/// One server of each kind.
fn small_shop(environment: &[(&'static str, String)]) -> Shop {
    Shop::started(ShopOptions {
        catalogs: 1,
        orders: 1,
        environment: environment.to_vec(),
        ..ShopOptions::default()
    })
}

/// So many connections at the same instant, ten times; they stay open until each had its first
/// response.
#[track_caller]
fn check_burst(server: &Server, path: &str, connections: usize, answered_in: Duration) {
    for round in 0..10 {
        let start = Instant::now();
        let mut all: Vec<Connection> = (0..connections)
            .map(|_| Connection::open(&server.address))
            .collect();
        for connection in &mut all {
            connection
                .send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                .unwrap();
        }
        for (n, connection) in all.iter_mut().enumerate() {
            let response = connection.response();
            let status = response.map(|response| response.status).ok();
            assert_eq!(
                status,
                Some(200),
                "round {round}, connection {n} at {}",
                server.name
            );
        }
        assert!(
            start.elapsed() < SLACK * answered_in,
            "round {round}: {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn each_of_many_connections_at_once_gets_its_first_answer_soon() {
    let shop = small_shop(&[]);
    check_burst(shop.front_end(), "/lookup/1", 100, Duration::from_secs(1));
    check_burst(shop.front_end(), "/lookup/1", 256, Duration::from_secs(3));
    check_burst(
        shop.catalog(1),
        "/query/item/1",
        100,
        Duration::from_secs(1),
    );
    check_burst(shop.order(1), "/version", 100, Duration::from_secs(1));
}

/// Looks up and buys on connections of its own until `over`. Returns how long each call took, the
/// longest last, and how many copies of book 4 were bought.
fn buy_and_look_up_until(shop: &Shop, over: &AtomicBool) -> (Vec<Duration>, u64) {
    let (mut times, mut bought) = (Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        match times.len() % 10 {
            0 if bought < 20 => {
                assert!(shop.buy(4).is_purchase());
                bought += 1;
            }
            // Not in the cache, which keeps three.
            n => assert!(shop.lookup(1 + n as u64 % 7)["price"].is_f64()),
        }
        times.push(start.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    times.sort();
    (times, bought)
}

/// `count` connections, each of which has sent this.
fn open(address: &str, count: usize, bytes: &str) -> Vec<Connection> {
    let connect = |_| {
        let mut connection = Connection::open(address);
        connection.send_without_waiting(bytes);
        connection
    };
    (0..count).map(connect).collect()
}

#[test]
fn customers_are_served_among_five_hundred_hostile_connections() {
    let shop = small_shop(&[
        ("IDLE_MS", IDLE.as_millis().to_string()),
        // A line for each of 50,000 hostile requests would be most of the work.
        ("LOG", "info".into()),
    ]);
    let (address, over) = (&shop.front_end().address, AtomicBool::new(false));
    let slow_then_quick = "GET /search/nothing HTTP/1.1\r\nHost: b\r\n\r\n".to_string()
        + &"GET /lookup/1 HTTP/1.1\r\nHost: b\r\n\r\n".repeat(20);
    let never_read = "GET /search/t HTTP/1.1\r\nHost: b\r\n\r\n".repeat(500);
    let id = shop.front_end().id();
    let (times, bought) = thread::scope(|scope| {
        let customer = scope.spawn(|| buy_and_look_up_until(&shop, &over));
        let start = Instant::now();
        let half_heads = open(
            address,
            OF_EACH_KIND,
            "GET /lookup/1 HTTP/1.1\r\nHost: b\r\nX-Half",
        );
        let no_bodies = open(
            address,
            OF_EACH_KIND,
            "PUT /buy/4 HTTP/1.1\r\nHost: b\r\nContent-Length: 5000\r\n\r\n",
        );
        let mut trickling = open(address, OF_EACH_KIND, "GET /lookup/1 HTTP/1.1\r\nX-Slow: ");
        let pipelining = open(address, OF_EACH_KIND, &slow_then_quick);
        let unread = open(address, OF_EACH_KIND, &never_read);
        while start.elapsed() < 2 * IDLE {
            trickling
                .iter_mut()
                .for_each(|connection| connection.send_without_waiting("x"));
            thread::sleep(IDLE / 4);
        }
        for mut silent in half_heads.into_iter().chain(no_bodies) {
            silent
                .until_closed()
                .expect("silent connections are closed");
        }
        assert!(start.elapsed() < SLACK * 2 * IDLE);
        drop((trickling, pipelining, unread));
        over.store(true, Ordering::Relaxed);
        customer.join().unwrap()
    });
    let p99 = times[times.len() * 99 / 100];
    println!(
        "{} customers, p99 {p99:?}, max {:?}",
        times.len(),
        times[times.len() - 1]
    );
    assert!(p99 < SLACK * Duration::from_millis(50), "{p99:?}");
    assert_eq!(shop.front_end().id(), id);
    assert_eq!(shop.quantity(4), 25 - bought);
}

#[test]
fn more_connections_than_descriptors_leave_the_same_process_serving() {
    let shop = small_shop(&[(DESCRIPTORS, "128".into())]);
    for server in shop.servers() {
        let id = server.id();
        let connections: Vec<_> = (0..200)
            .map_while(|_| Connection::try_open(&server.address).ok())
            .collect();
        println!("{} connections", connections.len());
        assert!(64 < connections.len(), "each has two descriptors of 128");
        thread::sleep(Duration::from_secs(1));
        drop(connections);
        let gone = Instant::now();
        while !served(server) {
            assert!(
                gone.elapsed() < SLACK * Duration::from_secs(2),
                "{}: {}",
                server.name,
                server.stderr()
            );
        }
        println!("{}: served again after {:?}", server.name, gone.elapsed());
        assert_eq!((server.id(), server.exit_code()), (id, None));
    }
    assert!(shop.buy(4).is_purchase());
    assert_eq!(shop.quantity(4), 24);
}

/// Whether a new connection has an response within a second or so.
fn served(server: &Server) -> bool {
    let Ok(mut connection) = Connection::try_open(&server.address) else {
        return false;
    };
    connection.set_timeout(Duration::from_secs(1));
    connection
        .ask("GET", "/livez")
        .is_ok_and(|response| response.status == 200)
}
