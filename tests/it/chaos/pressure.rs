//! What makes a machine slow while a shop runs on it: a disk and processors that others use, too.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{hint, thread};

/// So many threads write, or compute, without pause.
const WRITERS: usize = 2;
const COMPUTING: usize = 2;

/// What is written before each fsync: so much that others' fsyncs wait behind it, 50 ms at the
/// median and up to a second where they take 2 ms otherwise. Many small writes slow nobody down.
const WRITTEN_BYTES: usize = 32 * 1024 * 1024;

/// So many steps of a computation between two looks at the end.
const STEPS: u64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Others write and fsync on the catalogs' disk.
    SlowDisk,
    /// More threads compute than there are processors.
    StarvedCpu,
}

pub const PRESSURES: [Pressure; 2] = [Pressure::SlowDisk, Pressure::StarvedCpu];

/// Runs `work` under these pressures. `folder` is on the disk that is to be slow.
pub fn under(pressures: &[Pressure], folder: &Path, work: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        let _end = End(&over);
        let (over, done) = (&over, &done);
        for pressure in pressures {
            match pressure {
                Pressure::SlowDisk => (0..WRITERS).for_each(|n| {
                    let mut file = File::create(folder.join(format!("writer{n}"))).unwrap();
                    scope.spawn(move || {
                        let bytes = vec![7; WRITTEN_BYTES];
                        repeat(over, done, || write(&mut file, &bytes));
                    });
                }),
                Pressure::StarvedCpu => (0..COMPUTING).for_each(|_| {
                    scope.spawn(move || repeat(over, done, compute));
                }),
            }
        }
        work();
    });
    let done = done.into_inner();
    assert!(
        pressures.is_empty() || 0 < done,
        "{pressures:?} did nothing"
    );
}

/// Ends the pressure also when the work panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn repeat(over: &AtomicBool, done: &AtomicU64, mut step: impl FnMut()) {
    while !over.load(Ordering::Relaxed) {
        step();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

fn write(file: &mut File, bytes: &[u8]) {
    file.rewind().unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
}

fn compute() {
    for step in 0..STEPS {
        hint::black_box(step);
    }
}
