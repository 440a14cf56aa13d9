//! Catalogs that were left out: `PROTOCOL.md`, "Coming back".

use std::sync::Arc;

use super::{MS, Scenario, check, check_lists, look, request, sell, sleep_until};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::calls::{lookup, set_price, write};
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::network::hold::Held;
use crate::catalog::sim::parameters::BOOK;

/// When catalog 1 has begun to come back in [`struck_off_during_a_sale`], and not asked to be struck
/// off, in ms.
const STRIKE_ASKED: f64 = 894.5;

/// It does not wait for the next round of heartbeats, 100 ms after its start.
#[test]
fn a_catalog_that_comes_back_serves_as_soon_as_it_is_struck_off() {
    super::check_right(2, |cluster| {
        cluster.crash(1);
        cluster.scheduler.sleep(110 * MS);
        set(cluster, 0, 8);
        cluster.start(1);
        cluster.scheduler.sleep(60 * MS);
        let seen = lookup(cluster, 1);
        assert_eq!(seen, Some(8), "it does not answer");
    });
}

/// Catalog 0 comes back. A book changes at catalog 1 while the page that has the older copy is on
/// its way.
#[test]
fn without_taken_copies_that_stay_an_older_page_replaces_an_update() {
    let scenario = Scenario::of(2, |cluster| {
        let fetched = super::reply(1, 0, "fetch");
        cluster.crash(0);
        sleep_until(cluster, 610.0);
        set(cluster, 1, 8);
        cluster.start(0);
        cluster.network.hold(fetched);
        cluster.scheduler.sleep(250 * MS);
        set(cluster, 1, 9);
        cluster.network.release(fetched);
        // Catalog 0 serves by then, and compares its books with its next heartbeat, at 913 ms.
        sleep_until(cluster, 895.0);
        cluster.crash(1);
        cluster.scheduler.sleep(150 * MS);
        look(cluster, 0);
        cluster.start(1);
    });
    scenario.check_either([Rule::TakenStays, Rule::ForgottenFirst]);
}

/// Catalog 1 was left out by catalog 2, too, and has a copy that nobody acknowledged. Catalog 0
/// must not take it over.
#[test]
fn without_a_look_who_serves_a_catalog_takes_over_what_nobody_acknowledged() {
    let scenario = Scenario::of(3, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(0);
        scheduler.sleep(110 * MS);
        set(cluster, 1, 7);
        cluster.network.cut([(1, 2)]);
        sell(cluster, 1, 6);
        scheduler.sleep(5 * MS);
        cluster.crash(1);
        cluster.network.heal();
        scheduler.sleep(110 * MS);
        set(cluster, 2, 9);
        cluster.crash(2);
        scheduler.sleep(110 * MS);
        cluster.start(0);
        cluster.start(1);
        scheduler.sleep(800 * MS);
        cluster.start(2);
        scheduler.sleep(1500 * MS);
        look(cluster, 2);
    });
    scenario.check_either([Rule::FromServing, Rule::OutrightAgain]);
}

/// Catalog 0 misses a write and comes back; its request to be struck off is held.
fn come_back_but_for(cluster: &Arc<Cluster>, strike: Held) {
    cluster.crash(0);
    sleep_until(cluster, 610.0);
    set(cluster, 1, 8);
    sleep_until(cluster, 785.0);
    cluster.start(0);
    sleep_until(cluster, 888.0);
    cluster.network.hold(strike);
}

/// A sale is made while catalog 0, which is silent, has asked to be struck off. `next` happens when
/// the sale is acknowledged.
fn sale_during_the_strike_off(cluster: &Arc<Cluster>, next: impl FnOnce()) {
    let strike = request(0, 1, "return");
    let heartbeats = [request(0, 1, "heartbeat"), request(1, 0, "heartbeat")];
    come_back_but_for(cluster, strike);
    sleep_until(cluster, 897.0);
    heartbeats
        .into_iter()
        .for_each(|held| cluster.network.hold(held));
    sleep_until(cluster, 1205.0);
    set(cluster, 1, 9);
    next();
    cluster.network.release(strike);
    heartbeats
        .into_iter()
        .for_each(|held| cluster.network.release(held));
    // As above.
    sleep_until(cluster, 1250.0);
    cluster.crash(1);
    cluster.scheduler.sleep(150 * MS);
    look(cluster, 0);
    cluster.start(1);
}

#[test]
fn without_a_look_at_what_is_owed_a_sale_is_missing_at_a_catalog_that_serves() {
    check(Rule::StrikeOwed, 2, |cluster| {
        sale_during_the_strike_off(cluster, || {})
    });
}

/// A change of the price is under way, whose update does not arrive at catalog 0.
#[test]
fn without_a_look_at_earlier_writes_a_sale_before_the_one_under_way_is_missing() {
    check(Rule::StrikeEarlier, 2, |cluster| {
        sale_during_the_strike_off(cluster, || {
            cluster.network.hold(request(1, 0, "update"));
            cluster.network.hold(request(1, 0, "confirm"));
            // Its save takes long.
            cluster.state().catalogs[1].disk.books_time = Some(50 * MS);
            let own = cluster.clone();
            let write = move || _ = write(&own, 1, set_price(1.0));
            cluster.scheduler.spawn_in(0, None, write);
            cluster.scheduler.sleep(2 * MS);
        });
    });
}

/// Catalog 1 was left out, comes back to catalog 0, and reaches catalog 2 no longer. A sale at
/// `writer` is on its way to catalog 1, but catalog 2 goes without it: it tells its client of the
/// sale, or the one that reads the book there. Meanwhile catalog 1 asks to be struck off.
fn struck_off_during_a_sale(cluster: &Arc<Cluster>, writer: usize, reader: usize) {
    let strike = request(1, 0, "return");
    let late = [request(0, 1, "update"), request(2, 0, "confirm")];
    cluster.crash(1);
    sleep_until(cluster, 610.0);
    set(cluster, 0, 8);
    sleep_until(cluster, 785.0);
    cluster.start(1);
    sleep_until(cluster, STRIKE_ASKED);
    cluster.network.cut([(1, 2)]);
    cluster.network.hold(strike);
    cluster.scheduler.sleep(320 * MS);
    late.into_iter().for_each(|held| cluster.network.hold(held));
    sell(cluster, writer, 7);
    let own = cluster.clone();
    cluster
        .scheduler
        .spawn_in(5 * MS, None, move || look(&own, reader));
    cluster.scheduler.sleep(160 * MS);
    cluster.network.release(strike);
    cluster.scheduler.sleep(10 * MS);
    let (sold, ..) = cluster.replica(2).peek(BOOK).expect("the book is there");
    assert_eq!(sold.quantity, 7);
    cluster.check_left_out(cluster.scheduler.incarnation(2), BOOK, sold.version);
    late.into_iter()
        .for_each(|held| cluster.network.release(held));
    cluster.network.heal();
}

#[test]
fn what_another_catalog_sold_is_owed_while_read_repair_replicates_it() {
    check(Rule::StrikeOwn, 3, |cluster| {
        struck_off_during_a_sale(cluster, 2, 0)
    });
}

#[test]
fn what_a_catalog_sold_is_owed_once_another_one_has_claimed_it() {
    check(Rule::StrikeOwn, 3, |cluster| {
        struck_off_during_a_sale(cluster, 0, 2)
    });
}

/// Catalog 0 has come back but for being struck off, and acknowledges a copy whose writer crashes.
/// It is stopped while another copy of the same number is written without it. When it begins again,
/// its own must lose once more.
#[test]
fn without_losing_again_a_copy_that_nobody_acknowledged_wins() {
    check(Rule::OutrightAgain, 3, |cluster| {
        let (strike, lost) = (request(0, 1, "return"), request(1, 2, "update"));
        come_back_but_for(cluster, strike);
        cluster.network.hold(lost);
        sleep_until(cluster, 897.0);
        sell(cluster, 1, 7);
        cluster.scheduler.sleep(5 * MS);
        cluster.crash(1);
        cluster.stop(0);
        cluster.scheduler.sleep(600 * MS);
        set(cluster, 2, 9);
        cluster.resume(0);
        cluster.network.stop_holding(strike);
        cluster.network.stop_holding(lost);
        cluster.scheduler.sleep(1500 * MS);
        look(cluster, 0);
        cluster.start(1);
    });
}

/// Catalogs 1 and 2 come back to catalog 0 at the same time, and its disk is slow. Each of them
/// would be struck off with a list that has the other on it, and sell without the other.
#[test]
fn without_one_strike_off_after_the_other_two_that_come_back_leave_each_other_out() {
    let scenario = Scenario::of(3, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(1);
        cluster.crash(2);
        sleep_until(cluster, 610.0);
        set(cluster, 0, 8);
        cluster.start(1);
        cluster.start(2);
        scheduler.sleep(50 * MS);
        cluster.state().catalogs[0].disk.list_time = Some(300 * MS);
        sleep_until(cluster, 1390.0);
        cluster.crash(2);
        cluster.crash(0);
        scheduler.sleep(150 * MS);
        set(cluster, 1, 9);
        cluster.crash(1);
        cluster.start(2);
        cluster.start(0);
        scheduler.sleep(1000 * MS);
        look(cluster, 0);
        look(cluster, 2);
        cluster.start(1);
    });
    scenario.check_either([Rule::StrikeOneByOne, Rule::SplitWaits]);
}

/// Catalog 1 leaves out two. The first one that comes back must know of the second.
#[test]
fn without_the_list_that_is_taken_over_nobody_is_struck_off() {
    check(Rule::AdoptList, 3, |cluster| {
        let scheduler = &cluster.scheduler;
        for node in [0, 2] {
            cluster.crash(node);
            scheduler.sleep(110 * MS);
            set(cluster, 1, 7 + node as u32);
        }
        cluster.start(0);
        scheduler.sleep(1000 * MS);
        check_lists(cluster, 1, &[2]);
        cluster.start(2);
    });
}

/// The two catalogs do not reach each other, the front-end reaches both, and has in its cache what
/// catalog 0 answered. Catalog 0 is stopped until the network is whole again, and takes over the
/// copy of catalog 1.
#[test]
fn without_invalidation_a_cache_is_stale_for_ever_after_a_cut() {
    let scenario = Scenario {
        front_ends: 1,
        linearizable: false,
        ..Scenario::of(2, |cluster| {
            let scheduler = &cluster.scheduler;
            cluster.network.cut([(0, 1)]);
            scheduler.sleep(1200 * MS);
            for quantity in 6..60 {
                set(cluster, 1, quantity);
                if lookup(cluster, 2) == Some(5) {
                    break;
                }
            }
            cluster.stop(0);
            scheduler.sleep(400 * MS);
            cluster.network.heal();
            scheduler.sleep(400 * MS);
            cluster.resume(0);
        })
    };
    scenario.check(Rule::InvalidateBack);
}
