//! What a server that is gone costs a write: nothing once it is known to be down; about a second,
//! once, when it vanishes without a word. Limits are ten times what is promised; what was measured
//! is printed.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::process::eventually;
use crate::harness::proxy::Action;
use crate::harness::server::Server;
use crate::harness::shop::{Proxies, Shop, ShopOptions};

/// The first write after a server went silent: a second, tenfold.
const FIRST_MAX: Duration = Duration::from_secs(10);

/// The median of the later ones: 30 ms and the write itself, tenfold.
const LATER_MAX: Duration = Duration::from_millis(400);

/// Long enough after a server went silent that it is not waited for at all.
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
fn no_write_waits_for_a_catalog_or_a_front_end_that_is_known_to_be_down() {
    // Whoever waited for anybody's lease would wait for 5 s.
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

/// What writes cost after `vanish` has made a server silent.
#[track_caller]
fn check(proxies: Proxies, vanish: impl Fn(&Shop)) {
    let shop = Shop::started(ShopOptions {
        proxies,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    median(&shop, "healthy");
    vanish(&shop);
    let begun = Instant::now();
    let first = write(&shop);
    println!("the first write after a server went silent: {first:?}");
    assert!(first < FIRST_MAX);
    assert!(median(&shop, "the next ones") < LATER_MAX);
    eventually("it is forgotten", || FORGOTTEN <= begun.elapsed());
    assert!(median(&shop, "after it is forgotten") < LATER_MAX);
}

#[test]
fn a_catalog_that_stops_costs_one_write_a_second() {
    check(Proxies::None, |shop| shop.catalog(2).stop());
}

#[test]
fn a_catalog_behind_a_black_hole_costs_one_write_a_second() {
    check(Proxies::BetweenCatalogs, |shop| {
        let silence = |catalog: &Server| shop.proxy(&catalog.name).every(Action::BlackHole);
        shop.catalogs().iter().for_each(silence);
    });
}

#[test]
fn a_front_end_that_stops_costs_one_write_a_second() {
    check(Proxies::None, |shop| shop.front_end().stop());
}

#[test]
fn a_front_end_that_forgets_late_is_waited_for_when_the_shop_is_set_up_to_be_patient() {
    // Here heartbeat may take 3 s, and so an invalidation 4 s.
    let shop = Shop::started(ShopOptions {
        proxies: Proxies::Everywhere,
        ..ShopOptions::default()
    });
    shop.proxy("front-end1").first("DELETE /invalidate", || {
        thread::sleep(Duration::from_secs(1));
        Action::Forward
    });
    println!("written after {:?}", write(&shop));
    let log = shop.catalog(1).stderr();
    assert!(!log.contains("front-end lost"), "{log}");
}
