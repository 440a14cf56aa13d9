//! Membership under full load: a shop that is merely slow is not taken for dead.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::process::eventually;
use crate::harness::server::Server;
use crate::harness::shop::{Shop, ShopOptions};

/// How many connections look up as fast as they are answered; two cores are busy with a tenth of
/// that.
const READERS: usize = 32;

const BUYERS: usize = 8;

/// `LOAD_SECONDS=60` for the whole minute.
fn duration() -> Duration {
    let seconds = env::var("LOAD_SECONDS").map_or(4, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Looks up over one connection until then. Returns how often.
fn read_without_pause(address: &str, until: Instant) -> u64 {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut responses = BufReader::new(&stream);
    let (mut count, mut line) = (0, String::new());
    while Instant::now() < until {
        let request = format!(
            "GET /lookup/{} HTTP/1.1\r\nHost: bazar\r\n\r\n",
            1 + count % 7
        );
        (&stream).write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            line.clear();
            responses.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        responses.read_exact(&mut vec![0; length]).unwrap();
        count += 1;
    }
    count
}

/// What servers log when they count somebody as down.
const LOST: [&str; 3] = [
    "peer lost",
    "contact with a catalog is lost",
    "front-end lost",
];

fn lost(server: &Server) -> Vec<String> {
    let stderr = server.stderr();
    let lines = stderr
        .lines()
        .filter(|line| LOST.iter().any(|lost| line.contains(lost)));
    lines
        .map(|line| format!("{}: {line}", server.name))
        .collect()
}

#[test]
fn nobody_is_counted_as_down_under_full_load_who_is_not() {
    let shop = Shop::started(ShopOptions {
        default_timeouts: true,
        ..ShopOptions::default()
    });
    for id in 1..=7 {
        let path = format!("/update/{id}");
        eventually("the copies are there", || {
            shop.catalog(1).put(&path, r#"{"quantity":1000000}"#).status == 200
        });
    }
    let until = Instant::now() + duration();
    let (reads, buys) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let count = read_without_pause(&shop.front_end().address, until);
                reads.fetch_add(count, Ordering::Relaxed);
            });
        }
        for id in 0..BUYERS {
            let (shop, buys) = (&shop, &buys);
            scope.spawn(move || {
                while Instant::now() < until {
                    let bought = shop.buy(1 + id as u64 % 7).status == 200;
                    buys.fetch_add(u64::from(bought), Ordering::Relaxed);
                }
            });
        }
    });
    println!("{reads:?} lookups and {buys:?} buys in {:?}", duration());
    assert!(0 < reads.into_inner() && 0 < buys.into_inner());
    let lost: Vec<String> = shop.servers().flat_map(lost).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    for catalog in shop.catalogs() {
        let page = catalog.get("/metrics").body;
        let live = page
            .lines()
            .filter(|line| line.starts_with("bazar_peer_live"));
        let live: Vec<&str> = live.collect();
        assert!(live.len() == 1 && live[0].ends_with(" 1"), "{live:?}");
    }
    let page = shop.front_end().get("/metrics").body;
    assert!(
        page.lines().any(|line| line == "bazar_peers_live 2"),
        "{page}"
    );
}
