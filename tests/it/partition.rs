//! Catalogs that are alive but cut off from each other: each side goes on selling, and once the cut
//! heals all copies are equal again, without a restart and without a read; every copy that is
//! dropped is in the log.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::clients::buy_until_definite;
use crate::harness::process::eventually;
use crate::harness::proxy::{Action, Proxy};
use crate::harness::server::Server;
use crate::harness::shop::{Proxies, Shop, ShopOptions};

/// All copies are equal within 2 s after a cut heals; ten times that on a busy machine.
const HEALED_MAX: Duration = Duration::from_secs(20);

/// How long a cut lasts of which the caches are checked afterwards.
const CUT: Duration = Duration::from_millis(1500);

const DROPPED: &str = "a copy from the other side of a cut takes the place of ours";

const KEPT: &str = "a copy of ours takes the place of one from the other side of a cut";

/// All catalogs begin with whole folders: of a new one the others cannot say soon whether it has all
/// that they have, and one that is cut off before that rightly waits for its peer.
fn shop(catalogs: usize) -> Shop {
    let shop = Shop::new(ShopOptions {
        catalogs,
        orders: catalogs,
        proxies: Proxies::BetweenCatalogs,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    (1..=catalogs).for_each(|n| shop.write_first_stock(n));
    shop.start();
    shop
}

/// Every catalog is alone from now on.
fn cut(shop: &Shop) {
    // In one moment: a catalog that learns that it was left out rightly sells nothing alone.
    let proxies = shop
        .catalogs()
        .iter()
        .map(|catalog| shop.proxy(&catalog.name));
    Proxy::cut_all(&proxies.collect::<Vec<_>>());
}

/// Sells so many copies of book 4 on the side of order server `n`, and no more, though the outcome
/// of a first try may be unknown.
#[track_caller]
fn sell(shop: &Shop, n: usize, copies: usize) {
    for _ in 0..copies {
        let key = format!("{:016x}", fastrand::u64(..));
        let response = buy_until_definite(&shop.order(n).address, 4, &key);
        assert!(response.is_purchase(), "{response:?}");
    }
}

/// The version of book 4 at a catalog, as its `ETag` names it, and what is left of it.
fn copy(catalog: &Server) -> (String, u64) {
    eventually("it answers", || catalog.get("/query/item/4").status == 200);
    let response = catalog.get("/query/item/4");
    let left = response.json()["quantity"].as_u64().unwrap();
    (response.header("ETag").trim_matches('"').to_string(), left)
}

/// Waits until all dumps are equal, which show the copies as they are, and returns how many copies
/// of book 4 they say are left.
#[track_caller]
fn await_equal(shop: &Shop, healed: Instant) -> u64 {
    let dumps = || -> Vec<_> { shop.catalogs().iter().map(Server::dump).collect() };
    eventually("all copies are equal", || {
        dumps().windows(2).all(|pair| pair[0] == pair[1])
    });
    let took = healed.elapsed();
    println!("all copies were equal {took:?} after the cut was healed");
    assert!(took < HEALED_MAX);
    dumps()[0][3]["quantity"].as_u64().unwrap()
}

/// The log lines about copies that catalog `n` dropped: as many as it counts.
#[track_caller]
fn dropped(shop: &Shop, n: usize) -> Vec<Value> {
    let lines = shop.catalog(n).log(DROPPED);
    let counted = shop.catalog(n).metric("bazar_copies_dropped_total");
    assert_eq!(counted, lines.len() as f64, "{lines:?}");
    lines
}

/// The fields that tell what was dropped, and what was kept instead.
fn facts(line: &Value) -> Vec<Value> {
    let names = [
        "book",
        "title",
        "dropped",
        "dropped_quantity",
        "kept_title",
        "kept",
        "kept_quantity",
    ];
    names.iter().map(|name| line[name].clone()).collect()
}

/// What these lines tell is in the log of catalog `n`, too.
#[track_caller]
fn check_kept(shop: &Shop, n: usize, lines: &[Value]) {
    let is_logged = |line: &Value| {
        let kept = shop.catalog(n).log(KEPT);
        kept.iter().any(|kept| facts(kept) == facts(line))
    };
    eventually("the other side logs it, too", || {
        lines.iter().all(is_logged)
    });
}

#[test]
fn both_sides_of_a_cut_go_on_selling_and_agree_again_afterwards() {
    let shop = shop(2);
    sell(&shop, 1, 1);
    cut(&shop);
    sell(&shop, 1, 2);
    sell(&shop, 2, 3);
    let [(ours, left_here), (theirs, left_there)] = [1, 2].map(|n| copy(shop.catalog(n)));
    assert_eq!((left_here, left_there), (22, 21));
    shop.proxy("catalog1").heal();
    shop.proxy("catalog2").heal();
    assert_eq!(await_equal(&shop, Instant::now()), 21);
    let lines = dropped(&shop, 1);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["dropped"], &lines[0]["kept"]),
        (&ours.into(), &theirs.into())
    );
    check_kept(&shop, 2, &lines);
    assert_eq!(dropped(&shop, 2), [Value::Null; 0]);
}

#[test]
fn of_two_sides_that_sold_as_often_one_gives_way_and_logs_it() {
    let shop = shop(2);
    cut(&shop);
    sell(&shop, 1, 2);
    sell(&shop, 2, 2);
    let mut versions = [1, 2].map(|n| copy(shop.catalog(n)).0);
    versions.sort();
    shop.proxy("catalog1").heal();
    shop.proxy("catalog2").heal();
    // Their dumps are equal all the time: a stamp is not in them.
    let both = || [dropped(&shop, 1), dropped(&shop, 2)].concat();
    let counted = |n| shop.catalog(n).metric("bazar_copies_dropped_total");
    eventually("one gives way", || 0.0 < counted(1) + counted(2));
    assert_eq!(copy(shop.catalog(1)), copy(shop.catalog(2)));
    let lines = both();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let mut named = ["dropped", "kept"].map(|name| lines[0][name].as_str().unwrap().to_string());
    named.sort();
    assert_eq!(named, versions);
}

#[test]
fn three_catalogs_that_are_each_alone_agree_again_afterwards() {
    let shop = shop(3);
    cut(&shop);
    for (n, copies) in [(1, 1), (2, 3), (3, 2)] {
        sell(&shop, n, copies);
    }
    for n in 1..=3 {
        shop.proxy(&format!("catalog{n}")).heal();
    }
    // One of the sides wins; each of the others says what it drops.
    let left = await_equal(&shop, Instant::now());
    assert!((22..=24).contains(&left), "{left}");
    let lines = [1, 2, 3].map(|n| dropped(&shop, n));
    let gave_way = lines.iter().filter(|lines| !lines.is_empty()).count();
    assert!(2 <= gave_way, "{lines:?}");
}

#[test]
fn both_sides_of_a_cut_log_the_two_books_that_were_added_with_one_id() {
    let shop = shop(2);
    cut(&shop);
    for (n, title) in [(1, "One"), (2, "Two")] {
        let book = json!({"title": title, "topic": "T", "quantity": n, "price": 1.0}).to_string();
        eventually("this side adds a book", || {
            shop.catalog(n).call("POST", "/add", &[], &book).status == 201
        });
    }
    for name in ["catalog1", "catalog2"] {
        shop.proxy(name).heal();
    }
    let counted = |n| shop.catalog(n).metric("bazar_copies_dropped_total") as usize;
    eventually("one gives way", || 0 < counted(1) + counted(2));
    let (loser, winner) = if 0 < counted(1) { (1, 2) } else { (2, 1) };
    let lines = dropped(&shop, loser);
    let mut titles = ["title", "kept_title"].map(|name| lines[0][name].clone());
    titles.sort_by_key(Value::to_string);
    assert_eq!((titles, lines.len()), (["One".into(), "Two".into()], 1));
    check_kept(&shop, winner, &lines);
}

#[test]
fn two_sides_behind_a_black_hole_go_on_selling_and_agree_again_afterwards() {
    let shop = shop(2);
    for name in ["catalog1", "catalog2"] {
        shop.proxy(name).every(Action::BlackHole);
    }
    sell(&shop, 1, 2);
    sell(&shop, 2, 3);
    let [here, there] = [1, 2].map(|n| copy(shop.catalog(n)).1);
    assert_eq!((here, there), (23, 22));
    for name in ["catalog1", "catalog2"] {
        shop.proxy(name).every(Action::Forward);
    }
    let left = await_equal(&shop, Instant::now());
    assert!(
        left == here || left == there,
        "{left} left of {here} and {there}"
    );
    let lines = [dropped(&shop, 1), dropped(&shop, 2)].concat();
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_side_that_sold_once_before_it_noticed_the_cut_logs_what_it_drops() {
    let shop = shop(2);
    cut(&shop);
    sell(&shop, 1, 1);
    sell(&shop, 2, 3);
    shop.proxy("catalog1").heal();
    shop.proxy("catalog2").heal();
    assert_eq!(await_equal(&shop, Instant::now()), 22);
    assert_eq!((dropped(&shop, 1).len(), dropped(&shop, 2).len()), (1, 0));
}

#[test]
fn two_sides_that_lose_only_heartbeats_go_on_selling_and_agree_again_afterwards() {
    let shop = shop(2);
    let proxies = ["catalog1", "catalog2"].map(|name| shop.proxy(name));
    let no_heartbeat = |line: &str| {
        if line.starts_with("PUT /rep/heartbeat") {
            Action::CloseBeforeRequest
        } else {
            Action::Forward
        }
    };
    proxies
        .iter()
        .for_each(|proxy| proxy.set_rule(no_heartbeat));
    for (n, proxy) in [(1, proxies[1]), (2, proxies[0])] {
        let other = format!(r#"bazar_peer_live{{peer="http://{}"}}"#, proxy.address);
        eventually("it counts the other as down", || {
            shop.catalog(n).metric(&other) == 0.0
        });
    }
    sell(&shop, 1, 1);
    sell(&shop, 2, 3);
    let [here, there] = [1, 2].map(|n| copy(shop.catalog(n)).1);
    proxies
        .iter()
        .for_each(|proxy| proxy.every(Action::Forward));
    let left = await_equal(&shop, Instant::now());
    assert!(
        left == here || left == there,
        "{left} left of {here} and {there}"
    );
}

/// Between these catalogs no message gets through, for 1.5 s in which buyers buy and look without
/// pause at both front-ends. Then all copies, look-ups and searches are equal again soon.
#[track_caller]
fn check_caches_after(pairs: &[(usize, usize)]) {
    let shop = Shop::started(ShopOptions {
        catalogs: 3,
        orders: 3,
        front_ends: 2,
        proxies: Proxies::BetweenCatalogs,
        default_timeouts: true,
        ..ShopOptions::default()
    });
    let proxy = |n: usize| shop.proxy(&format!("catalog{n}"));
    let is_cut = |a, b| pairs.contains(&(a, b)) || pairs.contains(&(b, a));
    let restock = shop.catalog(1).put("/update/4", r#"{"quantity":100000}"#);
    assert_eq!(restock.status, 200);
    let stop = AtomicBool::new(false);
    let bought = AtomicU32::new(0);
    thread::scope(|scope| {
        for front_end in [1, 2].map(|n| shop.front_end_number(n)) {
            let (stop, bought) = (&stop, &bought);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let response = front_end.put("/buy/4", "");
                    bought.fetch_add(u32::from(response.is_purchase()), Ordering::Relaxed);
                }
            });
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    front_end.get("/lookup/4");
                    front_end.get("/search/graduate%20school");
                }
            });
        }
        for n in 1..=3 {
            let others = (1..=3).filter(|other| is_cut(n, *other));
            let others: Vec<&str> = others.map(|other| &*proxy(other).address).collect();
            proxy(n).drop_from(&others);
        }
        thread::sleep(CUT);
        stop.store(true, Ordering::Relaxed);
    });
    (1..=3).for_each(|n| proxy(n).drop_from(&[]));
    let healed = Instant::now();
    let left = await_equal(&shop, healed);
    let front_ends = || [1, 2].map(|n| shop.front_end_number(n));
    eventually("both front-ends show it", || {
        let shows = |front_end: &Server| {
            // Twice, since the second answer may come from the cache.
            (0..2).all(|_| {
                let lookup = front_end.get("/lookup/4");
                lookup.status == 200 && lookup.json()["quantity"] == left
            })
        };
        front_ends().iter().all(|front_end| shows(front_end))
    });
    let [one, two] =
        front_ends().map(|front_end| front_end.get("/search/graduate%20school").json());
    assert_eq!(one, two);
    let took = healed.elapsed();
    let bought = bought.load(Ordering::Relaxed);
    println!("{bought} bought; caches were right {took:?} after the cut {pairs:?} was healed");
    assert!(took < HEALED_MAX);
    assert!(0 < bought);
}

#[test]
fn after_a_clean_cut_all_caches_and_copies_are_right_soon() {
    check_caches_after(&[(1, 2), (1, 3)]);
}

#[test]
fn after_an_unclean_cut_all_caches_and_copies_are_right_soon() {
    check_caches_after(&[(1, 2)]);
}

/// Waits until each catalog knows that the other one has all that it has. What is not so before a
/// cut may be committed by both sides.
fn await_no_debts(shop: &Shop) {
    let has_none = |catalog: &Server| {
        let status = catalog.get("/status").json();
        status["left_out"] == json!([]) && status["books"]["tentative"] == 0
    };
    eventually("nobody is left out, and nothing tentative", || {
        shop.catalogs().iter().all(has_none)
    });
}

#[test]
fn what_only_one_side_sold_is_dropped_by_neither() {
    let shop = shop(2);
    sell(&shop, 1, 1);
    for seller in [2, 1, 1] {
        await_no_debts(&shop);
        cut(&shop);
        sell(&shop, seller, 2);
        shop.proxy("catalog1").heal();
        shop.proxy("catalog2").heal();
        await_equal(&shop, Instant::now());
        shop.servers().for_each(Server::await_ready);
        await_no_debts(&shop);
        sell(&shop, 3 - seller, 1);
    }
    assert_eq!(await_equal(&shop, Instant::now()), 15);
    assert_eq!(
        [dropped(&shop, 1), dropped(&shop, 2)].concat(),
        [Value::Null; 0]
    );
}
