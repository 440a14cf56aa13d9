//! What a silent server costs a write: nothing once it counts as down; about a second,
//! once, when it falls silent. Limits are ten times what is promised; what was measured is printed.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::process::eventually;
use crate::harness::proxy::{Action, Message};
use crate::harness::server::Server;
use crate::harness::shop::{Proxies, Shop, ShopOptions};

/// The first write after a server went silent: a second, tenfold.
const FIRST_MAX: Duration = Duration::from_secs(10);

/// The median of the later ones: 30 ms and the write itself, tenfold.
const LATER_MAX: Duration = Duration::from_millis(400);

/// So long after a server went silent, no write waits for it at all.
const FORGOTTEN: Duration = Duration::from_secs(3);

/// One write at catalog 1, and how long it took.
#[track_caller]
fn write(shop: &Shop) -> Duration {
    let price = fastrand::u32(1..1000);
    let begun = Instant::now();
    let body = format!(r#"{{"price":{price}}}"#);
    eventually("it is written", || {
        shop.catalog(1).put("/update/2", &body).status == 200
    });
    begun.elapsed()
}

/// The median of writes, one after the other.
#[track_caller]
fn median(shop: &Shop, what: &str) -> Duration {
    let mut times: Vec<Duration> = (0..15).map(|_| write(shop)).collect();
    times.sort();
    println!("{what}: median {:?}, longest {:?}", times[7], times[14]);
    times[7]
}

#[test]
fn no_write_waits_for_a_catalog_or_a_front_end_that_refuses_connections() {
    // A write that waited for a lease would take 5 s.
    let shop = Shop::started(ShopOptions {
        catalogs: 3,
        front_ends: 2,
        ..ShopOptions::default()
    });
    median(&shop, "healthy");
    shop.catalog(3).kill();
    shop.front_end_number(2).kill();
    let longest = (0..15).map(|_| write(&shop)).max().unwrap();
    println!("one catalog and one front-end refuse: longest {longest:?}");
    assert!(longest < Duration::from_secs(3));
    assert!(median(&shop, "the same, later") < LATER_MAX);
}

/// What writes cost after `silence` has made a server silent. `counts_as_down` gets what catalog 1
/// had lost before any write.
#[track_caller]
fn check(
    proxies: Proxies,
    silence: impl Fn(&Shop),
    counts_as_down: impl Fn(&Shop, f64) -> bool,
) -> Shop {
    let shop = Shop::started(ShopOptions {
        proxies,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    let lost_before = lost(&shop);
    median(&shop, "healthy");
    // A pause of the machine may have marked a server as down for a moment.
    eventually("catalog 1 counts all others as live", || {
        shop.catalog(1).counts_peers_as_live()
    });
    silence(&shop);
    let begun = Instant::now();
    let first = write(&shop);
    println!("the first write after a server went silent: {first:?}");
    assert!(first < FIRST_MAX);
    assert!(median(&shop, "the next ones") < LATER_MAX);
    eventually("no write waits for it any more", || {
        FORGOTTEN <= begun.elapsed()
    });
    assert!(median(&shop, "after that") < LATER_MAX);
    assert!(counts_as_down(&shop, lost_before), "no server went silent");
    shop
}

/// How often catalog 1 has counted another server as down.
fn lost(shop: &Shop) -> f64 {
    shop.catalog(1).metric("bazar_peers_lost_total")
}

/// Whether catalog 1 counts the catalog at this address as down.
fn is_down(shop: &Shop, address: &str) -> bool {
    let live = format!(r#"bazar_peer_live{{peer="http://{address}"}}"#);
    shop.catalog(1).metric(&live) == 0.0
}

#[test]
fn a_catalog_that_stops_costs_one_write_a_second() {
    check(
        Proxies::None,
        |shop| shop.catalog(2).stop(),
        |shop, _| is_down(shop, &shop.catalog(2).address),
    );
}

#[test]
fn a_catalog_behind_a_black_hole_costs_one_write_a_second() {
    let shop = check(
        Proxies::BetweenCatalogs,
        |shop| {
            let swallow = |catalog: &Server| shop.proxy(&catalog.name).every(Action::BlackHole);
            shop.catalogs().iter().for_each(swallow);
        },
        |shop, _| is_down(shop, &shop.proxy("catalog2").address),
    );
    let messages = shop.trace.messages();
    let swallowed = |message: &&Message| message.status == 0 && message.to == "catalog2";
    let update = |message: &&Message| message.line == "PUT /rep/update/2";
    let updates = messages.iter().filter(swallowed).filter(update);
    assert!(0 < updates.count(), "{messages:?}");
}

#[test]
fn a_front_end_that_stops_costs_one_write_a_second() {
    // A front-end is lost by an invalidation that it leaves unanswered, and before the first write
    // there was none.
    check(
        Proxies::None,
        |shop| shop.front_end().stop(),
        |shop, lost_before| lost_before < lost(shop),
    );
}

#[test]
fn a_patient_shop_waits_for_a_front_end_that_is_slow_to_invalidate() {
    const SLOW: Duration = Duration::from_secs(1);
    // Here a heartbeat may take 3 s, and so an invalidation 4 s.
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    });
    let lost_before = lost(&shop);
    shop.proxy("front-end1").first("DELETE /invalidate", || {
        thread::sleep(SLOW);
        Action::Forward
    });
    let took = write(&shop);
    println!("written after {took:?}");
    assert!(SLOW <= took, "the invalidation was not slow: {took:?}");
    assert_eq!(lost(&shop), lost_before);
}
