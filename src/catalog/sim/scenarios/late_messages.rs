//! Messages that arrive when they no longer say how things are.

use super::{
    MS, Scenario, begin_to_leave_out_a_full_disk, check, check_lists, look, refuse, reply, request,
    sell, sleep_until,
};
use crate::catalog::replication::rules::Rule;
use crate::catalog::replication::write::Update;
use crate::catalog::sim::clients::{calls, set};
use crate::model::book::Change;
use crate::model::order::{Order, OrderId};
use crate::testing::linearizability::Kind;

/// A heartbeat of an earlier start of catalog 0 arrives, and looks as if an older folder had been
/// put back there. Catalog 1 would leave it out, and crash before catalog 0 knows that.
#[test]
fn without_a_look_at_the_start_a_late_heartbeat_parts_two_catalogs() {
    check(Rule::OlderStart, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        let (late, asked) = (request(0, 1, "heartbeat"), request(1, 0, "heartbeat"));
        sleep_until(cluster, 595.0);
        cluster.network.hold(late);
        sleep_until(cluster, 605.0);
        cluster.crash(0);
        cluster.network.stop_holding(late);
        sleep_until(cluster, 650.0);
        cluster.start(0);
        sleep_until(cluster, 1001.0);
        cluster.network.hold(asked);
        cluster.network.release(late);
        sleep_until(cluster, 1010.0);
        cluster.crash(1);
        cluster.network.stop_holding(asked);
        sleep_until(cluster, 1060.0);
        set(cluster, 0, 8);
        cluster.crash(0);
        scheduler.sleep(10 * MS);
        cluster.start(1);
        scheduler.sleep(700 * MS);
        look(cluster, 1);
        cluster.start(0);
    });
}

/// Catalog 0 makes a sale that it can send to nobody, and is stopped. Catalog 1, which was stopped
/// itself for a moment, compares its books with those of catalog 0 then, and is answered when it has
/// left it out and made another write.
#[test]
fn without_a_look_at_who_answers_a_copy_of_a_catalog_that_was_left_out_wins() {
    check(Rule::PresentAnswers, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        let asked = request(1, 0, "page");
        cluster.stop(1);
        scheduler.sleep(280 * MS);
        cluster.network.hold(asked);
        cluster.resume(1);
        scheduler.sleep(250 * MS);
        cluster.network.cut([(0, 1)]);
        sell(cluster, 0, 4);
        scheduler.sleep(5 * MS);
        cluster.stop(0);
        cluster.network.heal();
        scheduler.sleep(560 * MS);
        set(cluster, 1, 9);
        cluster.network.release(asked);
        cluster.resume(0);
        scheduler.sleep(500 * MS);
        look(cluster, 1);
    });
}

/// An update of catalog 0 is on its way while catalog 1 leaves it out, sells, and strikes it off.
/// Its stamp is higher than that of the sale.
#[test]
fn without_a_look_at_token_and_standing_an_update_from_before_the_strike_off_undoes_a_sale() {
    let scenario = Scenario::of(2, |cluster| {
        let scheduler = &cluster.scheduler;
        let late = request(0, 1, "update");
        cluster.network.hold(late);
        sell(cluster, 0, 4);
        scheduler.sleep(5 * MS);
        cluster.network.stop_holding(late);
        cluster.stop(0);
        scheduler.sleep(1000 * MS);
        set(cluster, 1, 8);
        cluster.resume(0);
        scheduler.sleep(1000 * MS);
        check_lists(cluster, 1, &[]);
        cluster.network.release(late);
        scheduler.sleep(5 * MS);
        look(cluster, 1);
        look(cluster, 0);
    });
    scenario.check_either([Rule::Token, Rule::StandingOrder]);
}

/// A sale of the last copy, of a book that was heard of, waits in an order server that is stopped.
/// Another customer gets the copy, and another order server tells the first one that there is none.
#[test]
fn without_a_look_at_restocks_who_was_told_out_of_stock_is_sold_a_copy_later() {
    check(Rule::NotRestocked, 2, |cluster| {
        set(cluster, 0, 1);
        let heard = calls::query(cluster, 0, &[]).expect("catalog 0 serves");
        let sale = |start| {
            let order = Order {
                id: OrderId { start, count: 0 },
                open: 0,
                at: cluster.unix_ms(),
                copies: 1,
                key: None,
            };
            let since = Some(heard.book.version.number);
            Update::sale(Change::default(), None, since, vec![order]).expect("it has one condition")
        };
        let (late, other) = (sale(1), sale(2));
        let start = cluster.scheduler.now();
        let sold = calls::write(cluster, 1, other);
        assert!(matches!(sold, Some(Ok(_))), "{sold:?}");
        let end = Some(cluster.scheduler.now());
        cluster.history.record(Kind::Bought(1), start, end);
        let start = cluster.scheduler.now();
        look(cluster, 0);
        let end = Some(cluster.scheduler.now());
        cluster.history.record(Kind::SoldOut(1), start, end);
        set(cluster, 0, 3);
        calls::write(cluster, 1, late);
        look(cluster, 1);
    });
}

/// A heartbeat arrives from when catalog 1 knew that it was left out. It was struck off since, its
/// disk refuses, and catalog 0 is about to leave it out again.
#[test]
fn without_the_order_of_heartbeats_a_catalog_is_left_out_that_does_not_know() {
    check(Rule::StandingOrder, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(1);
        scheduler.sleep(110 * MS);
        set(cluster, 0, 8);
        let late = request(1, 0, "heartbeat");
        cluster.start(1);
        scheduler.sleep(95 * MS);
        cluster.network.hold(late);
        scheduler.sleep(10 * MS);
        cluster.network.stop_holding(late);
        scheduler.sleep(800 * MS);
        look(cluster, 1);
        begin_to_leave_out_a_full_disk(cluster);
        cluster.network.hold(reply(0, 1, "heartbeat"));
        cluster.network.cut_one_way(0, 1);
        cluster.network.release(late);
        set(cluster, 0, 7);
        look(cluster, 1);
        cluster.network.stop_holding(reply(0, 1, "heartbeat"));
        cluster.network.heal();
        refuse(cluster, 1, None);
    });
}
