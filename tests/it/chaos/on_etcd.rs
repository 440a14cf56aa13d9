//! Histories of shops whose books are in an etcd of three members. Servers of the shop fail, and so
//! do the members, one at a time: killed and started again, stopped and continued.
//!
//! `HISTORIES=200` plays so many, from `SEED` on.

use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::faults::Fault;
use super::{Figures, Plan, play};
use crate::harness::clients::{number, seeded};
use crate::harness::etcd;
use crate::harness::history::History;
use crate::harness::shop::{Shop, ShopOptions, Store};

/// By default.
const HISTORIES: u64 = 1;

const STOCK: [u32; 3] = [20, 5_000, 300];

/// A member is down, or stopped, for up to this long: longer than the others take to elect a new
/// leader. Between two such faults, all are well for up to this long.
const FAULT_MAX: Duration = Duration::from_millis(2500);
const PAUSE_MAX: Duration = Duration::from_millis(1500);

/// Those that are not about files.
const FAULTS: [Fault; 6] = [
    Fault::Killed,
    Fault::Stopped,
    Fault::RapidRestarts,
    Fault::TotalFailure,
    Fault::Staggered,
    Fault::Suspended,
];

/// Lets one member after the other fail until `end`. At the end all run.
pub fn fail_members(shop: &Shop, history: &History, seed: u64, end: Duration) {
    let mut rng = Rng::with_seed(seed);
    while history.now() < end {
        let member = shop.etcd().member(rng.usize(..3));
        let stops = rng.bool();
        if stops {
            member.stop();
        } else {
            member.kill();
        }
        thread::sleep(FAULT_MAX.mul_f64(rng.f64()));
        if stops {
            member.cont();
        } else {
            member.launch();
        }
        thread::sleep(PAUSE_MAX.mul_f64(rng.f64()));
    }
}

#[test]
fn histories_on_an_etcd_whose_members_fail_are_linearizable() {
    if !etcd::is_installed() {
        return;
    }
    let (seed, _) = seeded();
    let mut sum = Figures::default();
    for seed in seed..seed + number("HISTORIES").unwrap_or(HISTORIES) {
        let plan = Plan {
            seed,
            duration: Duration::from_secs(6),
            clients: 12,
            stock: &STOCK,
            faults: Rng::with_seed(seed).choose_multiple(FAULTS, 2),
            members_fail: true,
            pressures: Vec::new(),
        };
        let options = ShopOptions {
            catalogs: 3,
            front_ends: 2,
            default_timeouts: true,
            store: Store::Etcd(3),
            ..ShopOptions::default()
        };
        let figures = play(&plan, options);
        println!("SEED={seed}: {figures:?}");
        sum.add(figures);
    }
    println!("0 violations: {sum:?}");
    assert!(0 < sum.bought, "{sum:?}");
}
