//! Who may leave whom out, and when: `PROTOCOL.md`, "Leaving out" and "Acknowledging".

use std::sync::Arc;

use super::{
    MS, Scenario, await_mark, begin_to_leave_out_a_full_disk, check, check_lists, check_right,
    look, refuse, request, sell, sleep_until,
};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::calls::{self, set_price};
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::cluster::disk::RefusedWrite;
use crate::catalog::sim::parameters::{BOOK, OTHER_BOOK};

/// Catalog 0 sleeps while catalog 1 leaves it out and sells, and wakes up once that one ends.
fn sleeps_while_the_other_sells(cluster: &Arc<Cluster>, ends: fn(&Arc<Cluster>)) {
    cluster.network.cut_one_way(1, 0);
    cluster.stop(0);
    cluster.scheduler.sleep(1000 * MS);
    set(cluster, 1, 8);
    ends(cluster);
    cluster.network.heal();
    cluster.resume(0);
}

/// Catalog 0 sleeps while catalog 1 leaves it out, sells and crashes. When it wakes up, catalog 1
/// refuses: that is no reason to leave it out.
#[test]
fn without_fresh_refusal_a_catalog_that_slept_offers_what_is_sold() {
    check(Rule::FreshRefusal, 2, |cluster| {
        sleeps_while_the_other_sells(cluster, |cluster| cluster.crash(1));
        cluster.scheduler.sleep(1000 * MS);
        look(cluster, 0);
        cluster.start(1);
    });
}

/// The same, but catalog 1 is stopped: its silence is no reason, either.
#[test]
fn without_own_stall_a_catalog_that_slept_counts_its_peers_silence() {
    check(Rule::OwnStall, 2, |cluster| {
        sleeps_while_the_other_sells(cluster, |cluster| cluster.stop(1));
        cluster.scheduler.sleep(1500 * MS);
        look(cluster, 0);
        cluster.resume(1);
    });
}

/// Messages are lost for 420 ms. Catalog 1 answers from its copy all the time, so catalog 0 must
/// not write without it yet.
#[test]
fn without_leases_a_silent_peer_still_offers_what_is_sold() {
    check(Rule::LeaveAfterLease, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        sleep_until(cluster, 605.0);
        cluster.network.cut([(0, 1)]);
        sleep_until(cluster, 950.0);
        let own = cluster.clone();
        scheduler.spawn_in(0, None, move || set(&own, 0, 8));
        sleep_until(cluster, 1040.0);
        look(cluster, 1);
        cluster.network.heal();
    });
}

/// Catalog 1 crashes and starts again at once. That it refused a heartbeat is known late, when it
/// has been heard of again.
#[test]
fn without_old_refusal_a_catalog_that_is_back_is_left_out() {
    check(Rule::OldRefusal, 2, |cluster| {
        sleep_until(cluster, 690.0);
        cluster.crash(1);
        cluster.network.hold(super::reply(1, 0, "heartbeat"));
        sleep_until(cluster, 710.0);
        cluster.start(1);
        sleep_until(cluster, 990.0);
        cluster.network.release(super::reply(1, 0, "heartbeat"));
        cluster.scheduler.sleep(MS / 2);
        set(cluster, 0, 8);
        look(cluster, 1);
    });
}

/// Catalog 0 leaves catalog 1 out, acknowledges a write, and would crash before that is on disk.
#[test]
fn without_the_list_on_disk_a_crash_forgets_who_lacks_a_write() {
    check(Rule::ListOnDisk, 2, |cluster| {
        cluster.crash(1);
        cluster.state().catalogs[0].disk.list_time = Some(400 * MS);
        set(cluster, 0, 8);
        cluster.state().catalogs[0].disk.list_time = None;
        cluster.start(1);
    });
}

/// Catalogs 0 and 2 do not reach each other, and catalog 1 reaches both. Catalog 0 writes without
/// catalog 2, which catalog 1 has just promised that it is not left out.
#[test]
fn without_a_fence_a_peer_offers_what_another_one_sells() {
    check(Rule::Fence, 3, |cluster| {
        sleep_until(cluster, 605.0);
        cluster.network.cut([(0, 2)]);
        sleep_until(cluster, 1110.0);
        set(cluster, 0, 8);
        look(cluster, 2);
        cluster.network.heal();
    });
}

/// Catalog 0 knows that catalog 2 is dead, catalog 1 does not yet.
#[test]
fn without_the_names_of_those_left_out_an_acknowledging_peer_does_not_list_them() {
    check(Rule::SendList, 3, |cluster| {
        cluster.network.hold(request(1, 2, "heartbeat"));
        cluster.crash(2);
        cluster.scheduler.sleep(110 * MS);
        set(cluster, 0, 8);
        cluster.network.release(request(1, 2, "heartbeat"));
        cluster.start(2);
    });
}

/// Catalog 2 crashes after catalog 1 has acknowledged.
#[test]
fn without_another_round_an_early_acknowledgement_is_without_the_list() {
    check(Rule::Regrow, 3, |cluster| {
        cluster.network.hold(request(1, 2, "heartbeat"));
        cluster.network.hold(request(0, 2, "update"));
        let own = cluster.clone();
        let scheduler = &cluster.scheduler;
        scheduler.spawn_in(10 * MS, None, move || own.crash(2));
        set(cluster, 0, 8);
        cluster.network.release(request(1, 2, "heartbeat"));
        cluster.network.release(request(0, 2, "update"));
        cluster.start(2);
    });
}

/// Catalog 2 comes back while both others write. Each of them strikes it off at another moment: it
/// does not reach catalog 1 in between.
#[test]
fn with_the_whole_list_in_updates_nobody_comes_back() {
    check(Rule::WithoutOnly, 3, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(2);
        scheduler.sleep(110 * MS);
        set(cluster, 0, 8);
        let late = request(2, 1, "return");
        cluster.network.hold(late);
        cluster.start(2);
        for (catalog, book) in [(0, BOOK), (1, OTHER_BOOK)] {
            let own = cluster.clone();
            scheduler.spawn_in(0, None, move || {
                while own.scheduler.now() < 3700 * MS {
                    let _ = own.at_catalog(catalog, |it| it.update(book, &set_price(1.0)));
                }
            });
        }
        scheduler.sleep(300 * MS);
        check_lists(cluster, 0, &[]);
        cluster.network.release(late);
        scheduler.sleep(300 * MS);
        check_lists(cluster, 0, &[]);
        check_lists(cluster, 1, &[]);
    });
}

/// Catalog 0 is stopped in the middle of its write. Catalog 1 leaves it out and sells. Catalog 0
/// goes on with its write, whose version is the better one.
#[test]
fn without_refusal_a_writer_that_was_left_out_goes_on() {
    check(Rule::ListedRefused, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.network.hold(request(0, 1, "update"));
        sell(cluster, 0, 4);
        scheduler.sleep(5 * MS);
        cluster.stop(0);
        scheduler.sleep(640 * MS);
        set(cluster, 1, 9);
        cluster.resume(0);
        scheduler.sleep(5 * MS);
        cluster.network.release(request(0, 1, "update"));
        scheduler.sleep(500 * MS);
        look(cluster, 1);
    });
}

/// As before, and catalog 1 is stopped twice while catalog 0 comes back: that none of the two
/// serves meanwhile is no circle, in which they would forgive each other.
#[test]
fn catalogs_that_are_stopped_at_the_same_time_forgive_nothing() {
    check_right(2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.network.hold(request(0, 1, "update"));
        sell(cluster, 0, 4);
        scheduler.sleep(5 * MS);
        cluster.stop(0);
        scheduler.sleep(640 * MS);
        set(cluster, 1, 9);
        cluster.network.hold(request(0, 1, "return"));
        cluster.resume(0);
        scheduler.sleep(250 * MS);
        for pause in [300, 2000] {
            cluster.stop(1);
            scheduler.sleep(pause * MS);
            cluster.resume(1);
            scheduler.sleep(MS);
        }
        cluster.network.release(request(0, 1, "return"));
        cluster.network.release(request(0, 1, "update"));
        scheduler.sleep(500 * MS);
        look(cluster, 1);
    });
}

/// Five catalogs, each alone for a while: every one that may lack something waits.
#[test]
fn five_catalogs_that_go_down_one_by_one_return_in_any_order() {
    check_right(5, |cluster| {
        let scheduler = &cluster.scheduler;
        for node in 0..5 {
            set(cluster, 4, node as u32 + 1);
            cluster.crash(node);
            scheduler.sleep(300 * MS);
        }
        for node in [2, 0, 4, 1, 3] {
            cluster.start(node);
            scheduler.sleep(900 * MS);
            look(cluster, node);
        }
    });
}

/// Catalog 1 comes back, and the disk of catalog 0 does not take that it is struck off.
#[test]
fn a_catalog_that_cannot_strike_a_peer_off_answers_reads_all_the_same() {
    check_right(2, |cluster| {
        cluster.crash(1);
        cluster.scheduler.sleep(1000 * MS);
        refuse(cluster, 0, Some(RefusedWrite::Unchanged));
        cluster.start(1);
        for _ in 0..20 {
            cluster.scheduler.sleep(100 * MS);
            let seen = calls::lookup(cluster, 0);
            assert!(seen.is_some(), "a read is not answered");
        }
        refuse(cluster, 0, None);
    });
}

/// Catalog 1 sells while the disk of catalog 0 refuses, if it may. Then both crash, and catalog 0,
/// whose disk works again, starts alone.
fn sells_and_crashes(cluster: &Arc<Cluster>) {
    cluster.scheduler.sleep(2000 * MS);
    set(cluster, 1, 8);
    cluster.crash(0);
    cluster.crash(1);
    refuse(cluster, 0, None);
    cluster.start(0);
    cluster.scheduler.sleep(1500 * MS);
    look(cluster, 0);
    cluster.start(1);
}

/// Catalog 0 leaves catalog 1 out, which sleeps. Its disk refuses that in the last step: the list is
/// there. Catalog 1 wakes up.
#[test]
fn without_the_refused_list_a_catalog_opens_by_it_and_lacks_a_sale() {
    check(Rule::ToldUntilSaved, 2, |cluster| {
        refuse(cluster, 0, Some(RefusedWrite::Made));
        cluster.stop(1);
        cluster.scheduler.sleep(1000 * MS);
        refuse(cluster, 0, Some(RefusedWrite::Unchanged));
        cluster.resume(1);
        sells_and_crashes(cluster);
    });
}

/// Catalog 1 comes back, and the disk of catalog 0 refuses to strike it off, more than once.
#[test]
fn without_the_last_list_a_catalog_whose_disk_refuses_opens_by_it() {
    check(Rule::ToldUntilSaved, 2, |cluster| {
        cluster.crash(1);
        cluster.scheduler.sleep(1000 * MS);
        refuse(cluster, 0, Some(RefusedWrite::Lost));
        cluster.start(1);
        sells_and_crashes(cluster);
    });
}

/// Catalog 1 comes back, and falls silent once it has asked to be struck off. Catalog 0 leaves it out
/// again while the list without it is on its way to the disk. A write without it ends after that,
/// since the front-end is silent, too.
#[test]
fn a_peer_that_is_just_being_struck_off_is_left_out_once_that_is_on_disk_again() {
    let scenario = Scenario {
        front_ends: 1,
        ..Scenario::of(2, |cluster| {
            let scheduler = &cluster.scheduler;
            cluster.crash(1);
            scheduler.sleep(1000 * MS);
            cluster.start(1);
            scheduler.sleep(20 * MS);
            cluster.state().catalogs[0].disk.list_time = Some(1500 * MS);
            scheduler.sleep(95 * MS);
            cluster.stop(1);
            scheduler.sleep(1200 * MS);
            cluster.stop(2);
            set(cluster, 0, 8);
            cluster.state().catalogs[0].disk.list_time = None;
            cluster.resume(1);
            cluster.resume(2);
        })
    };
    scenario.check_right();
}

/// Catalogs 0 and 1 are cut off from each other, and each leaves the other out. The list of catalog
/// 0 is on its way to a slow disk when the cut heals. It gives way, and crashes once that list is
/// there. Catalog 1 sells alone, and crashes.
#[test]
fn without_the_list_on_its_way_a_catalog_opens_by_it_and_lacks_a_sale() {
    check(Rule::ToldUntilSaved, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.state().catalogs[0].disk.list_time = Some(1000 * MS);
        cluster.network.cut([(0, 1)]);
        await_mark(cluster, 0, "listed");
        scheduler.sleep(600 * MS);
        cluster.network.heal();
        while cluster.state().catalogs[0].disk.record.left_out.is_empty() {
            scheduler.sleep(MS);
        }
        cluster.crash(0);
        scheduler.sleep(150 * MS);
        set(cluster, 1, 8);
        cluster.crash(1);
        cluster.start(0);
        scheduler.sleep(1000 * MS);
        look(cluster, 0);
        cluster.start(1);
    });
}

/// Catalog 0 is stopped when it is about to leave out catalog 1 for its full disk. That disk works
/// again, and catalog 1 leaves out the other one, sells alone, and crashes. Catalog 0 wakes up.
#[test]
fn a_catalog_that_was_stopped_before_it_left_a_full_one_out_offers_what_is_sold() {
    check(Rule::OwnStall, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        begin_to_leave_out_a_full_disk(cluster);
        cluster.network.cut_one_way(1, 0);
        cluster.stop(0);
        refuse(cluster, 1, None);
        scheduler.sleep(1200 * MS);
        set(cluster, 1, 8);
        cluster.crash(1);
        cluster.network.heal();
        cluster.resume(0);
        scheduler.sleep(1000 * MS);
        look(cluster, 0);
        cluster.start(1);
    });
}

/// Catalog 2 restarts, which nobody notices, and is in step with catalog 0 when catalog 1 crashes.
/// Catalog 0 goes on without that one. Nobody writes.
#[test]
fn a_catalog_does_not_wait_for_one_that_the_others_go_on_without() {
    check_right(3, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.network.hold(request(2, 1, "page"));
        cluster.crash(2);
        cluster.start(2);
        scheduler.sleep(250 * MS);
        cluster.crash(1);
        cluster.network.stop_holding(request(2, 1, "page"));
        scheduler.sleep(2000 * MS);
        assert!(cluster.serves(0) && cluster.serves(2));
        cluster.start(1);
    });
}
