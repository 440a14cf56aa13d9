//! Runs many seeds of a world, and says how to see one of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::catalog::replication::rules::Rule;
use crate::catalog::sim::trace::{self, Counts};
use crate::catalog::sim::world::{Run, Verdict, World};
use crate::runtime::sync;

/// Of all runs, those whose checker may give up.
const GAVE_UP_MAX_PERCENT: usize = 1;

/// With fewer runs than these, an event may be missing by chance.
const RUNS_FOR_EVENTS: usize = 50;

/// Runs that take longer say how far they are, so often.
const PROGRESS_EVERY: Duration = Duration::from_secs(60);

/// What came of many seeds.
#[derive(Default)]
struct Summary {
    runs: usize,
    gave_up: usize,
    counts: Counts,
}

/// Every one of these seeds is right, and each of the named events happens in some run.
///
/// `SEED=7` in the environment runs that seed instead, prints its trace, and asserts the same of
/// it, but for the events. `FROM=40000` begins with that seed, such as the first that a run which
/// was ended early has not named as right.
#[track_caller]
pub(super) fn check_seeds(
    seeds: impl Iterator<Item = u64> + Send,
    world: impl Fn(u64) -> World + Sync,
    events: &[&str],
) {
    let summary = match number("SEED") {
        Some(seed) => run_all([seed].into_iter(), &world, true),
        None => {
            let from = number("FROM").unwrap_or(0);
            run_all(seeds.filter(|seed| from <= *seed), &world, false)
        }
    };
    let Summary {
        runs,
        gave_up,
        counts,
    } = summary.unwrap_or_else(|(seed, why)| panic!("seed {seed}: {why}\n{}", replay(seed)));
    assert!(0 < runs, "no seed was run");
    assert!(
        gave_up * 100 <= runs * GAVE_UP_MAX_PERCENT,
        "the checker gave up in {gave_up} of {runs} runs"
    );
    for event in events.iter().filter(|_| RUNS_FOR_EVENTS <= runs) {
        let happened = counts.contains_key(event);
        assert!(happened, "no run has a {event}, only {counts:?}");
    }
}

/// Runs the seeds on all cores. Fails with the first seed that fails, and why.
fn run_all(
    seeds: impl Iterator<Item = u64> + Send,
    world: &(impl Fn(u64) -> World + Sync),
    traced: bool,
) -> Result<Summary, (u64, String)> {
    let (seeds, failed) = (Mutex::new(seeds), AtomicBool::new(false));
    let next = || sync::lock(&seeds).next();
    let next = || next().filter(|_| !failed.load(Ordering::Relaxed));
    let rules = rules_left_out();
    let progress = Progress::new();
    let run_some = || {
        let mut summary = Summary::default();
        while let Some(seed) = next() {
            let mut world = world(seed);
            world.parameters.ledger = true;
            for &rule in &rules {
                world.parameters.rules = world.parameters.rules.without(rule);
            }
            let run = world.run(seed, traced);
            let lines = run.lines.iter();
            lines
                .filter(|line| !trace::is_heartbeat(line))
                .for_each(|line| println!("{line}"));
            if let Err(why) = summary.add(run) {
                failed.store(true, Ordering::Relaxed);
                return Err((seed, why));
            }
            progress.add_one(seed);
        }
        Ok(summary)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<_> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads).map(|_| scope.spawn(run_some)).collect();
        let joined = spawned.into_iter().map(|thread| thread.join());
        joined
            .map(|part| part.expect("a run catches its panics"))
            .collect()
    });
    let mut all = Summary::default();
    for part in parts {
        let part = part?;
        all.runs += part.runs;
        all.gave_up += part.gave_up;
        all.add_counts(part.counts);
    }
    Ok(all)
}

/// How far the threads of a long run are.
struct Progress {
    began: Instant,
    right: AtomicU64,
    /// Lines that have been printed.
    lines: AtomicU64,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            began: Instant::now(),
            right: AtomicU64::new(0),
            lines: AtomicU64::new(0),
        }
    }

    /// This seed is right. Says so now and then.
    fn add_one(&self, seed: u64) {
        let right = 1 + self.right.fetch_add(1, Ordering::Relaxed);
        let seconds = self.began.elapsed().as_secs();
        let due = seconds / PROGRESS_EVERY.as_secs();
        if self.lines.fetch_max(due, Ordering::Relaxed) < due {
            let rate = right as f64 / seconds as f64;
            eprintln!("{right} seeds right, {rate:.1} a second, at seed {seed}");
        }
    }
}

impl Summary {
    fn add(&mut self, run: Run) -> Result<(), String> {
        let verdict = run.outcome?;
        self.runs += 1;
        self.gave_up += usize::from(verdict == Verdict::GaveUp);
        self.add_counts(run.counts);
        Ok(())
    }

    fn add_counts(&mut self, counts: Counts) {
        for (event, count) in counts {
            *self.counts.entry(event).or_default() += count;
        }
    }
}

/// How to run this seed of the present test, which its thread is named after.
fn replay(seed: u64) -> String {
    let thread = thread::current();
    let test = thread.name().filter(|name| name.contains("::"));
    let test = test.unwrap_or("catalog::sim");
    format!("replay: SEED={seed} cargo test {test} -- --nocapture")
}

/// `RULE=Token` in the environment leaves out that rule of the protocol, `RULE=Token,Fence` both.
fn rules_left_out() -> Vec<Rule> {
    let names = std::env::var("RULE").unwrap_or_default();
    let names = names.split(',').filter(|name| !name.is_empty());
    let rule = |name: &str| {
        let mut all = Rule::ALL.into_iter();
        let rule = all.find(|rule| format!("{rule:?}") == name);
        rule.unwrap_or_else(|| panic!("no rule is called {name}"))
    };
    names.map(rule).collect()
}

/// The number in an environment variable, if it is set.
pub(super) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}
