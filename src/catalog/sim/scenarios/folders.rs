//! Folders that are new, lost, or older than they were: `PROTOCOL.md`, "Folders".

use std::sync::Arc;

use super::{
    MS, Scenario, Schedule, begin_to_leave_out_a_full_disk, check, check_lists, check_right, look,
    refuse, reply, request, sleep_until,
};
use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::clients::set;
use crate::catalog::sim::cluster::Cluster;
use crate::catalog::sim::cluster::disk::RefusedWrite;

/// Catalog 0 crashes while catalog 1 is on its list: there is a folder like that. Later they are
/// one again.
fn crash_with_one_left_out(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    cluster.crash(1);
    scheduler.sleep(110 * MS);
    set(cluster, 0, 7);
    cluster.crash(0);
    cluster.start(0);
    scheduler.sleep(300 * MS);
    cluster.start(1);
    scheduler.sleep(1000 * MS);
}

/// Catalog 0 starts with an older folder, from when catalog 1 was left out, and catalog 2 starts at
/// the same moment. Both lack a sale that catalog 1 has.
fn start_with_an_older_folder(cluster: &Arc<Cluster>) {
    crash_with_one_left_out(cluster);
    cluster.crash(2);
    cluster.scheduler.sleep(110 * MS);
    set(cluster, 1, 9);
    cluster.crash(0);
    cluster.scheduler.sleep(110 * MS);
    cluster.crash(1);
    cluster.state().catalogs[0].disk.put_back(0);
    cluster.start(0);
    cluster.start(2);
    cluster.scheduler.sleep(1500 * MS);
}

/// Nobody has an answer of this catalog, which may lack a sale.
fn check_waiting(cluster: &Arc<Cluster>, node: usize) {
    if cluster.serves(node) {
        let why = format!("{node} serves, although sales may be lost");
        cluster.scheduler.fail(why);
    }
}

#[test]
fn without_counts_of_starts_an_older_folder_opens_the_shop() {
    check(Rule::CountStarts, 3, |cluster| {
        start_with_an_older_folder(cluster);
        look(cluster, 0);
        look(cluster, 2);
        cluster.start(1);
    });
}

/// Each answer comes after a heartbeat of the other one that was sent meanwhile.
#[test]
fn catalogs_that_send_heartbeats_at_the_same_moments_know_an_older_folder() {
    check_right(3, |cluster| {
        start_with_an_older_folder(cluster);
        cluster.crash(2);
        cluster.scheduler.sleep(200 * MS);
        look(cluster, 0);
        cluster.start(2);
        cluster.start(1);
    });
}

/// Catalog 0 starts twice with an older folder, from when catalog 1 was left out, before anybody hears
/// of it: it counts more starts than catalog 1 has seen.
#[test]
fn an_older_folder_is_known_though_it_was_started_as_often_as_the_last_one() {
    check_right(2, |cluster| {
        crash_with_one_left_out(cluster);
        set(cluster, 1, 9);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.put_back(0);
        cluster.start(0);
        cluster.crash(0);
        cluster.start(0);
        cluster.scheduler.sleep(1500 * MS);
        look(cluster, 0);
        look(cluster, 1);
    });
}

/// Catalog 0 starts with a new folder, so soon that nobody noticed its crash.
#[test]
fn without_leaving_it_out_a_new_folder_stays_empty() {
    check(Rule::NewFolderLeftOut, 2, |cluster| {
        sleep_until(cluster, 610.0);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.lose();
        cluster.start(0);
    });
}

/// Catalog 2 has taken over everything from catalog 1, and its list with catalog 0 on it. Before it is
/// struck off, catalog 0 comes back, catalog 1 loses its folder, and catalog 0 sells alone.
#[test]
fn without_waiting_for_another_one_a_new_folder_makes_a_catalog_serve_that_was_left_out() {
    check(Rule::NewFolderWaits, 3, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(2);
        scheduler.sleep(110 * MS);
        set(cluster, 1, 8);
        cluster.crash(0);
        scheduler.sleep(110 * MS);
        set(cluster, 1, 7);
        let back = request(0, 1, "return");
        cluster.network.hold(back);
        cluster.start(0);
        cluster.start(2);
        scheduler.sleep(109 * MS);
        cluster.stop(2);
        cluster.network.stop_holding(back);
        scheduler.sleep(2000 * MS);
        cluster.crash(1);
        cluster.state().catalogs[1].disk.lose();
        scheduler.sleep(110 * MS);
        set(cluster, 0, 6);
        cluster.start(1);
        scheduler.sleep(300 * MS);
        cluster.resume(2);
        scheduler.sleep(25 * MS);
        cluster.stop(0);
        scheduler.sleep(2400 * MS);
        cluster.resume(0);
        scheduler.sleep(1500 * MS);
        look(cluster, 0);
    });
}

/// Catalog 2 was left out while catalog 1 was on its list. Catalog 1 came back, and sold alone. Then
/// catalog 0 has a new folder: catalog 2 serves without both of them, but for the rule.
#[test]
fn without_waiting_for_others_a_new_folder_makes_an_outdated_catalog_serve() {
    check(Rule::NewFolderWaits, 3, |cluster| {
        let scheduler = &cluster.scheduler;
        for (crashes, left) in [(1, 9), (2, 8)] {
            cluster.crash(crashes);
            scheduler.sleep(110 * MS);
            set(cluster, 0, left);
        }
        cluster.start(1);
        scheduler.sleep(1000 * MS);
        cluster.crash(0);
        scheduler.sleep(110 * MS);
        set(cluster, 1, 7);
        cluster.crash(1);
        cluster.state().catalogs[0].disk.lose();
        cluster.start(0);
        cluster.start(2);
        scheduler.sleep(1500 * MS);
        look(cluster, 2);
        cluster.start(1);
    });
}

/// The folder of catalog 0 is lost. As far as catalog 1 knows, catalog 0 sold alone before: an operator
/// must say that it did not.
#[test]
fn a_catalog_waits_for_a_new_folder_that_may_have_sold_alone_until_an_operator_says_otherwise() {
    check_right(2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(1);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.lose();
        cluster.start(0);
        cluster.start(1);
        scheduler.sleep(3000 * MS);
        check_waiting(cluster, 1);
        cluster.restart_without(1, vec![0]);
    });
}

/// An operator tells the wrong one: catalog 0, whose folder is new, is to go on without catalog 1.
#[test]
fn a_new_folder_opens_with_the_first_stock_for_no_operator_while_another_one_has_books() {
    check_right(2, |cluster| {
        let scheduler = &cluster.scheduler;
        set(cluster, 0, 7);
        cluster.crash(1);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.lose();
        cluster.start(1);
        cluster.start(0);
        scheduler.sleep(1000 * MS);
        cluster.restart_without(0, vec![1]);
        scheduler.sleep(1000 * MS);
        check_waiting(cluster, 0);
        check_waiting(cluster, 1);
        cluster.restart_without(1, vec![0]);
        scheduler.sleep(1000 * MS);
        look(cluster, 0);
    });
}

/// The folder of catalog 0, which sold alone, was not mounted when it started.
#[test]
fn a_folder_that_is_put_back_is_no_older_one() {
    check_right(2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(1);
        scheduler.sleep(110 * MS);
        set(cluster, 0, 7);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.lose();
        cluster.start(0);
        cluster.start(1);
        scheduler.sleep(1500 * MS);
        check_waiting(cluster, 1);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.put_back(0);
        cluster.start(0);
        scheduler.sleep(1000 * MS);
        look(cluster, 1);
    });
}

/// Two sides of a cut: each of the two catalogs may have sold alone. The folder of catalog 0 is lost
/// before they are one again.
fn lose_the_folder_of_one_side(cluster: &Arc<Cluster>) {
    let scheduler = &cluster.scheduler;
    cluster.network.cut([(0, 1)]);
    scheduler.sleep(1200 * MS);
    set(cluster, 0, 8);
    cluster.crash(0);
    cluster.network.heal();
    cluster.start(0);
    scheduler.sleep(10 * MS);
    cluster.crash(0);
    check_lists(cluster, 1, &[0]);
    cluster.state().catalogs[0].disk.lose();
    cluster.start(0);
    scheduler.sleep(3000 * MS);
    check_waiting(cluster, 1);
}

/// The two are one again after that, as after any cut.
fn check_other_side_waits(until: Schedule) {
    let scenario = Scenario {
        linearizable: false,
        ..Scenario::of(2, until)
    };
    scenario.check_right();
}

#[test]
fn the_other_side_of_a_cut_waits_for_a_new_folder_until_the_last_one_is_put_back() {
    check_other_side_waits(|cluster| {
        lose_the_folder_of_one_side(cluster);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.put_back(1);
        cluster.start(0);
    });
}

#[test]
fn the_other_side_of_a_cut_waits_for_a_new_folder_until_an_operator_says_otherwise() {
    check_other_side_waits(|cluster| {
        lose_the_folder_of_one_side(cluster);
        cluster.restart_without(1, vec![0]);
    });
}

/// An older folder of catalog 0, which sold alone, is put back. Catalog 2 does not know that, and has
/// caught up with it, when catalog 1 starts, which does.
#[test]
fn a_catalog_that_caught_up_with_an_older_folder_waits_for_it_once_it_is_known() {
    let scenario = Scenario {
        linearizable: false,
        ..Scenario::of(3, |cluster| {
            let scheduler = &cluster.scheduler;
            cluster.state().catalogs[2].disk.list_time = Some(2000 * MS);
            cluster.crash(0);
            cluster.start(0);
            scheduler.sleep(600 * MS);
            cluster.crash(1);
            cluster.crash(2);
            scheduler.sleep(110 * MS);
            set(cluster, 0, 7);
            cluster.crash(0);
            cluster.state().catalogs[0].disk.put_back(0);
            cluster.start(0);
            cluster.start(2);
            scheduler.sleep(600 * MS);
            cluster.start(1);
            scheduler.sleep(2000 * MS);
            check_waiting(cluster, 1);
            check_waiting(cluster, 2);
            cluster.restart_without(1, vec![0]);
        })
    };
    scenario.check_right();
}

/// The shop gets a third catalog, whose folder is new: nobody has seen it before, so it cannot have
/// sold. The others wait for nobody.
#[test]
fn a_new_folder_that_was_never_seen_is_not_waited_for() {
    check_right(3, |cluster| {
        for node in [0, 1] {
            cluster.crash(node);
            let peers = &mut cluster.state().catalogs[node].disk.record.peers;
            peers.remove(&Cluster::address(2));
        }
        cluster.crash(2);
        cluster.state().catalogs[2].disk.lose();
        (0..3).for_each(|node| cluster.start(node));
    });
}

/// Catalog 0 has lost its folder, and has taken everything over. The answer that says that it was
/// struck off is lost.
#[test]
fn a_new_folder_is_whole_though_the_last_answer_on_the_way_back_is_lost() {
    check_right(2, |cluster| {
        let scheduler = &cluster.scheduler;
        let returned = reply(1, 0, "return");
        cluster.crash(0);
        cluster.state().catalogs[0].disk.lose();
        scheduler.sleep(200 * MS);
        cluster.start(0);
        while cluster.state().catalogs[0].disk.books.is_empty() {
            scheduler.sleep(MS / 4);
        }
        cluster.network.hold(returned);
        while !cluster.state().catalogs[1].disk.record.left_out.is_empty() {
            scheduler.sleep(MS / 4);
        }
        scheduler.sleep(50 * MS);
        cluster.network.stop_holding(returned);
        scheduler.sleep(2000 * MS);
        set(cluster, 1, 8);
        look(cluster, 0);
    });
}

/// The folder of catalog 0 is lost while catalog 1 is down.
#[test]
fn without_a_look_at_the_others_a_new_folder_opens_with_the_first_stock() {
    check(Rule::FirstStock, 2, |cluster| {
        set(cluster, 0, 7);
        cluster.crash(0);
        cluster.scheduler.sleep(110 * MS);
        cluster.crash(1);
        cluster.state().catalogs[0].disk.lose();
        cluster.start(0);
        cluster.scheduler.sleep(1000 * MS);
        look(cluster, 0);
        cluster.start(1);
    });
}

/// Two catalogs with new folders open at the same moment, and each hears late that the other one's
/// folder is new.
#[test]
fn without_one_that_opens_each_leaves_the_other_out_for_its_new_folder() {
    let scenario = Scenario {
        new_folders: true,
        ..Scenario::of(2, |cluster| {
            let scheduler = &cluster.scheduler;
            let heartbeats = [request(0, 1, "heartbeat"), request(1, 0, "heartbeat")];
            sleep_until(cluster, 95.0);
            heartbeats
                .into_iter()
                .for_each(|held| cluster.network.hold(held));
            sleep_until(cluster, 110.0);
            heartbeats
                .into_iter()
                .for_each(|held| cluster.network.release(held));
            sleep_until(cluster, 115.0);
            cluster.crash(1);
            scheduler.sleep(200 * MS);
            set(cluster, 0, 8);
            cluster.crash(0);
            cluster.start(1);
            scheduler.sleep(1000 * MS);
            look(cluster, 1);
            cluster.start(0);
        })
    };
    scenario.check_either([Rule::OneOpens, Rule::SplitWaits]);
}

/// A folder that was lost counts its starts from one again. Whoever struck it off knows that it is
/// no older folder, also after a start.
#[test]
fn a_lost_folder_that_was_filled_again_counts_when_its_peer_restarts() {
    check_right(2, |cluster| {
        let scheduler = &cluster.scheduler;
        cluster.crash(0);
        cluster.state().catalogs[0].disk.lose();
        scheduler.sleep(200 * MS);
        cluster.start(0);
        scheduler.sleep(1000 * MS);
        cluster.crash(1);
        scheduler.sleep(200 * MS);
        set(cluster, 0, 8);
        look(cluster, 0);
        cluster.start(1);
        scheduler.sleep(1000 * MS);
        look(cluster, 1);
    });
}

/// Catalog 0 has lost its folder, and the list of catalog 1 that it has taken over names catalog 2.
/// It crashes before it is whole, and so does catalog 1. Nobody opens by that list.
#[test]
fn the_list_of_a_folder_that_is_not_whole_opens_no_shop() {
    check_right(3, |cluster| {
        let scheduler = &cluster.scheduler;
        let strike = request(0, 1, "return");
        cluster.crash(2);
        scheduler.sleep(200 * MS);
        set(cluster, 1, 7);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.lose();
        scheduler.sleep(200 * MS);
        set(cluster, 1, 8);
        cluster.start(0);
        // It has asked to return, and asks to be struck off next.
        while cluster.state().catalogs[0].disk.record.left_out.is_empty() {
            scheduler.sleep(MS / 4);
        }
        cluster.network.hold(strike);
        scheduler.sleep(50 * MS);
        check_lists(cluster, 0, &[2]);
        cluster.crash(1);
        cluster.crash(0);
        cluster.network.stop_holding(strike);
        cluster.start(0);
        cluster.start(2);
        scheduler.sleep(2000 * MS);
        look(cluster, 0);
        look(cluster, 2);
        cluster.start(1);
    });
}

/// An older folder of catalog 0 is put back, from when catalog 1 was left out. Catalog 1 has said
/// so, and crashes. Catalog 0, which starts again, does not open by that list.
#[test]
fn without_the_list_of_an_older_folder_being_ignored_it_opens_the_shop_after_a_restart() {
    check(Rule::NewFolderList, 2, |cluster| {
        let scheduler = &cluster.scheduler;
        let returns = request(0, 1, "return");
        crash_with_one_left_out(cluster);
        set(cluster, 1, 8);
        cluster.crash(0);
        cluster.state().catalogs[0].disk.put_back(0);
        cluster.network.hold(returns);
        cluster.start(0);
        scheduler.sleep(150 * MS);
        cluster.crash(0);
        cluster.crash(1);
        cluster.network.stop_holding(returns);
        cluster.start(0);
        scheduler.sleep(1500 * MS);
        look(cluster, 0);
        cluster.start(1);
    });
}

/// Older folders of catalogs 2 and 1 are put back, one after the other, and each takes everything
/// over from the one that serves. Catalog 2 cannot know that the one of catalog 1 is older. Catalog 0,
/// which was down all the time, knows, but that is over.
#[test]
fn an_older_folder_that_nobody_noticed_and_that_was_filled_again_counts() {
    check_right(3, |cluster| {
        let scheduler = &cluster.scheduler;
        for node in [2, 1] {
            cluster.crash(node);
            scheduler.sleep(10 * MS);
            cluster.start(node);
            scheduler.sleep(1000 * MS);
        }
        cluster.crash(1);
        scheduler.sleep(110 * MS);
        set(cluster, 0, 8);
        cluster.crash(2);
        cluster.state().catalogs[2].disk.put_back(0);
        cluster.start(2);
        scheduler.sleep(1500 * MS);
        cluster.crash(0);
        scheduler.sleep(110 * MS);
        set(cluster, 2, 7);
        cluster.state().catalogs[1].disk.put_back(0);
        cluster.start(1);
        scheduler.sleep(1500 * MS);
        cluster.crash(2);
        scheduler.sleep(110 * MS);
        set(cluster, 1, 6);
        cluster.start(0);
        scheduler.sleep(300 * MS);
        cluster.start(2);
        scheduler.sleep(1500 * MS);
        look(cluster, 2);
        look(cluster, 1);
    });
}

/// The disk is full at the first opening, as when a shop is unpacked on a small one.
#[test]
fn a_new_shop_opens_once_the_disk_takes_the_first_stock() {
    for catalogs in [1, 2] {
        let scenario = Scenario {
            new_folders: true,
            ..Scenario::of(catalogs, |cluster| {
                let set_disks = |refuses| {
                    let mut state = cluster.state();
                    let disks = state.catalogs.iter_mut();
                    disks.for_each(|catalog| catalog.disk.refuses = refuses);
                };
                set_disks(true);
                cluster.scheduler.sleep(800 * MS);
                set_disks(false);
                cluster.scheduler.sleep(500 * MS);
                look(cluster, 0);
                set(cluster, 0, 7);
            })
        };
        scenario.check_right();
    }
}

/// Catalog 0 is about to leave catalog 1 out for its full disk when catalog 2 starts with a new
/// folder.
#[test]
fn a_new_folder_needs_no_operator_while_a_full_disk_is_being_left_out() {
    check_right(3, |cluster| {
        begin_to_leave_out_a_full_disk(cluster);
        cluster.crash(2);
        cluster.state().catalogs[2].disk.lose();
        cluster.start(2);
        cluster.scheduler.sleep(1000 * MS);
        refuse(cluster, 1, None);
    });
}

/// The disk of catalog 0, which opens a new shop, refuses the record that says so, and takes it a
/// moment later. Then it crashes.
#[test]
fn a_new_shop_whose_first_record_is_refused_opens_for_all() {
    let scenario = Scenario {
        new_folders: true,
        ..Scenario::of(2, |cluster| {
            let scheduler = &cluster.scheduler;
            while cluster.state().catalogs[0].disk.books.is_empty() {
                scheduler.sleep(MS / 4);
            }
            refuse(cluster, 0, Some(RefusedWrite::Unchanged));
            scheduler.sleep(20 * MS);
            refuse(cluster, 0, None);
            while !cluster.state().catalogs[0].disk.record.whole {
                scheduler.sleep(MS / 4);
            }
            cluster.crash(0);
            cluster.start(0);
        })
    };
    scenario.check_right();
}
