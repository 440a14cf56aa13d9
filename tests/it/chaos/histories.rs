//! Many short histories, each in a shop of its own, with a few kinds of faults each.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::faults::FAULTS;
use super::pressure::PRESSURES;
use super::{Figures, Plan, play};
use crate::harness::clients::{number, seeded};
use crate::harness::shop::ShopOptions;

/// By default.
const HISTORIES: u64 = 2;
const SHOPS: u64 = 2;

const CLIENTS: u64 = 12;
const STOCK: [u32; 3] = [20, 5_000, 300];

/// A history is between this and twice this long.
const DURATION_MIN: Duration = Duration::from_secs(2);

/// So many histories see every kind of fault, and have enough operations for shares of them.
const ENOUGH: u64 = 100;

/// Of so many operations, one may have an unknown outcome; and one history in so many may be too
/// hard to check.
const UNKNOWN_ONE_IN: usize = 100;
const GAVE_UP_ONE_IN: u64 = 100;

/// What happens in the history of this seed: up to three kinds of faults, under up to two kinds of
/// pressure.
fn plan(seed: u64) -> Plan<'static> {
    let mut rng = Rng::with_seed(seed);
    let count = rng.usize(1..=3);
    Plan {
        seed,
        duration: DURATION_MIN.mul_f64(1.0 + rng.f64()),
        clients: CLIENTS,
        stock: &STOCK,
        faults: rng.choose_multiple(FAULTS, count),
        members_fail: false,
        pressures: PRESSURES.into_iter().filter(|_| rng.u8(..3) == 0).collect(),
    }
}

fn play_of_seed(seed: u64) -> Figures {
    let mut plan = plan(seed);
    if number("HISTORIES").is_none() {
        // Other tests run at the same time.
        plan.pressures.clear();
    }
    let figures = play(
        &plan,
        ShopOptions {
            catalogs: 3,
            orders: 2,
            front_ends: 2,
            default_timeouts: true,
            environment: plan.hedging(),
            ..ShopOptions::default()
        },
    );
    println!(
        "SEED={seed}: {:?}, {} operations, {} unknown, {:?}",
        plan.pressures, figures.operations, figures.unknown, figures.faults
    );
    figures
}

/// Raised when a history fails: the others then stop.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(thread::panicking(), Ordering::Relaxed);
    }
}

#[test]
fn short_histories_with_all_kinds_of_faults_are_linearizable() {
    let (seed, _) = seeded();
    let count = number("HISTORIES").unwrap_or(HISTORIES);
    let shops = number("SHOPS").unwrap_or(SHOPS);
    let (begun, next) = (Instant::now(), AtomicU64::new(0));
    let (failed, sum) = (AtomicBool::new(false), Mutex::new(Figures::default()));
    let work = || {
        let _alarm = Alarm(&failed);
        while !failed.load(Ordering::Relaxed) {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if count <= n {
                break;
            }
            let figures = play_of_seed(seed + n);
            sum.lock().unwrap().add(figures);
        }
    };
    thread::scope(|scope| (0..shops).for_each(|_| drop(scope.spawn(work))));
    let sum = sum.into_inner().unwrap();
    println!(
        "0 violations in {} histories; {:.3} % of the outcomes unknown; {:.0} s; {sum:?}",
        sum.histories,
        100.0 * sum.unknown as f64 / sum.operations as f64,
        begun.elapsed().as_secs_f64()
    );
    check(&sum, count);
}

fn check(sum: &Figures, count: u64) {
    assert_eq!(u64::from(sum.histories), count);
    assert!(0 < sum.bought && !sum.faults.is_empty(), "{sum:?}");
    assert!(
        u64::from(sum.gave_up) <= count.div_ceil(GAVE_UP_ONE_IN),
        "{sum:?}"
    );
    if ENOUGH <= count {
        assert!(sum.unknown * UNKNOWN_ONE_IN <= sum.operations, "{sum:?}");
        let missing = FAULTS.iter().find(|fault| !sum.faults.contains_key(fault));
        assert!(missing.is_none() && 0 < sum.changed, "{missing:?}: {sum:?}");
    }
}
