//! Membership under full load: a server that is merely slow does not count as down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::clients::number;
use crate::harness::connection::Connection;
use crate::harness::shop::{Shop, ShopOptions};

/// How many connections look up as fast as they are answered; two cores are busy with a tenth of
/// that.
const READERS: usize = 32;

const BUYERS: usize = 8;

/// `LOAD_SECONDS=60` for the whole minute.
fn duration() -> Duration {
    Duration::from_secs(number("LOAD_SECONDS").unwrap_or(4))
}

/// Looks up over one connection until then. Returns how often.
fn read_without_pause(address: &str, until: Instant) -> u64 {
    let (mut connection, mut count) = (Connection::open(address), 0);
    while Instant::now() < until {
        let path = format!("/lookup/{}", 1 + count % 7);
        assert_eq!(connection.ask("GET", &path).unwrap().status, 200);
        count += 1;
    }
    count
}

/// How often each catalog and the front-end counted another server as down.
fn lost(shop: &Shop) -> Vec<f64> {
    let servers = shop.catalogs().iter().chain([shop.front_end()]);
    servers
        .map(|server| server.metric("bazar_peers_lost_total"))
        .collect()
}

#[test]
fn under_full_load_no_server_counts_another_as_down() {
    let shop = Shop::started(ShopOptions {
        default_timeouts: true,
        ..ShopOptions::default()
    });
    (1..=7).for_each(|id| shop.stock_up(id, 1_000_000));
    let lost_before = lost(&shop);
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
                    let bought = shop.buy(1 + id as u64 % 7).is_purchase();
                    buys.fetch_add(u64::from(bought), Ordering::Relaxed);
                }
            });
        }
    });
    println!("{reads:?} lookups and {buys:?} buys in {:?}", duration());
    assert!(0 < reads.into_inner() && 0 < buys.into_inner());
    assert_eq!(lost(&shop), lost_before);
    for (n, other) in [(1, 2), (2, 1)] {
        let live = format!(r#"bazar_peer_live{{peer="{}"}}"#, shop.catalog(other).url());
        assert_eq!(shop.catalog(n).metric(&live), 1.0);
    }
    assert_eq!(shop.front_end().metric("bazar_peers_live"), 2.0);
}
