//! Section 6: what this machine can do at best. Section 5 measures the baseline server, and the
//! disk beside sales, in turn with the shop. Here is the disk alone.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::bench::Section;
use crate::tools::bench::Bench;
use crate::tools::bench::summary::Summary;
use crate::tools::harness::load::in_parallel;
use crate::tools::harness::measurement::Measurement;
use crate::tools::harness::scratch_dir::replace_file;

/// About the size of a data file that holds a few books.
const FILE_BYTES: usize = 1000;

/// Numbers of threads that replace files, each its own.
const DISK_THREADS: [usize; 2] = [1, 8];

pub(super) fn run(bench: &mut Bench) -> Result<(), String> {
    for threads in DISK_THREADS {
        let measured = replace_files(bench.scratch.path(), threads, bench.sizes.replacing)?;
        let name = format!("files replaced, {threads} at once");
        bench.add(Summary::new(Section::Yardsticks, name, &measured, ""));
    }
    Ok(())
}

/// One file, replaced the way the catalog's storage does it.
pub(super) fn replace_one_file(folder: &Path) -> io::Result<()> {
    let folder = folder.join("disk");
    fs::create_dir_all(&folder)?;
    replace_file(&folder, "0", &[b' '; FILE_BYTES])
}

/// Different files in one folder, each replaced the way the catalog's storage does it.
///
/// Fails with what was tried.
pub(super) fn replace_files(
    folder: &Path,
    threads: usize,
    duration: Duration,
) -> Result<Measurement, String> {
    let replaced = try_replace_files(folder, threads, duration);
    replaced.map_err(|error| format!("cannot replace a file: {error}"))
}

fn try_replace_files(folder: &Path, threads: usize, duration: Duration) -> io::Result<Measurement> {
    let folder = folder.join(format!("disk{threads}"));
    fs::create_dir_all(&folder)?;
    let replace = |_, n: usize| {
        let mut measured = Measurement::default();
        let began = Instant::now();
        while began.elapsed() < duration {
            measured.time(|| replace_file(&folder, &n.to_string(), &[b' '; FILE_BYTES]))?;
        }
        measured.elapsed = began.elapsed();
        Ok::<_, io::Error>(measured)
    };
    let mut whole = Measurement::default();
    for measured in in_parallel((0..threads).collect(), replace) {
        whole.merge_parallel(measured?);
    }
    Ok(whole)
}
