//! Section 6: what this machine can do at best. A bare tiny_http server over the same connections
//! is measured in turn with ours (section 5); here are the disk, and the load generator itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::config::bench::BaselineKind;
use crate::config::bench::Section;
use crate::tools::bench::connection::Ask;
use crate::tools::bench::load::{Crowd, READERS_MAX};
use crate::tools::bench::local::own_host;
use crate::tools::bench::process::Process;
use crate::tools::bench::row::Row;
use crate::tools::bench::take::Take;
use crate::tools::bench::throughput::generator;
use crate::tools::bench::{Bench, count};

const SECTION: &str = Section::Yardsticks.word();

/// About as long as the file of a shop of a few books.
const FILE_BYTES: usize = 1000;

/// Threads that replace files at once, each its own.
const DISK_THREADS: [usize; 2] = [1, 8];

pub fn run(bench: &mut Bench) -> Result<(), String> {
    measure_generator(bench)?;
    for threads in DISK_THREADS {
        let take = replace_files(bench.warden.folder(), threads, bench.sizes.disk);
        let take = take.map_err(|error| format!("cannot replace a file: {error}"))?;
        let name = format!("files replaced, {threads} at once");
        bench.add(Row::new(SECTION, name, &take));
    }
    Ok(())
}

/// The load generator alone: against a server that does not even look at requests, and with a
/// thread for each connection.
fn measure_generator(bench: &mut Bench) -> Result<(), String> {
    let customers = bench.sizes.readers[bench.sizes.readers.len().min(3) - 1];
    for (bare, what, threads) in [
        (BaselineKind::Std, "std server", READERS_MAX),
        (BaselineKind::Std, "std server, a thread each", customers),
        (
            BaselineKind::TinyHttp,
            "bare server, a thread each",
            customers,
        ),
    ] {
        let server = BareServer::start(bench, bare)?;
        let mut take = Take::default();
        for round in 0..bench.sizes.rounds {
            let crowd = Crowd {
                customers,
                threads,
                lasts: bench.sizes.reading,
                seed: bench.settings.seed.wrapping_add(round),
            };
            take.append(crowd.run(server.address, |_| Ask::Lookup(1))?);
        }
        let row = Row::new(
            SECTION,
            format!("{what}, {}", count(customers, "connection")),
            &take,
        );
        bench.add(row.with_note(generator(&take)));
    }
    Ok(())
}

/// A bare server in a process of its own.
#[derive(Debug)]
pub struct BareServer {
    pub address: SocketAddr,
    _process: Process,
}

impl BareServer {
    pub fn start(bench: &Bench, bare: BaselineKind) -> Result<BareServer, String> {
        let kind = match bare {
            BaselineKind::TinyHttp => "tiny_http",
            BaselineKind::Std => "std",
        };
        let args = ["bench-bare", kind, &own_host(bench.shops)];
        let process = Process::new("bare", &args, Vec::new(), &bench.warden);
        let place = process.start()?;
        let address = place.trim_start_matches("http://").parse();
        Ok(BareServer {
            address: address.map_err(|error| format!("{place}: {error}"))?,
            _process: process,
        })
    }
}

/// The way of the catalog's store: temporary file, fsync, rename, fsync of the folder. Different
/// files in one folder.
fn replace_files(folder: &Path, threads: usize, lasts: Duration) -> io::Result<Take> {
    let folder = folder.join(format!("disk{threads}"));
    fs::create_dir(&folder)?;
    thread::scope(|scope| {
        let start = |n: usize| {
            let folder = &folder;
            scope.spawn(move || replace_for(folder, n, lasts))
        };
        let threads: Vec<_> = (0..threads).map(start).collect();
        let mut whole = Take::default();
        for thread in threads {
            whole.merge(thread.join().expect("writing does not panic")?);
        }
        Ok(whole)
    })
}

fn replace_for(folder: &Path, n: usize, lasts: Duration) -> io::Result<Take> {
    let handle = File::open(folder)?;
    let temporary = folder.join(format!("{n}.new"));
    let place = folder.join(format!("{n}.json"));
    let mut take = Take::default();
    let began = Instant::now();
    while began.elapsed() < lasts {
        let due = Instant::now();
        let mut file = File::create(&temporary)?;
        file.write_all(&[b' '; FILE_BYTES])?;
        file.sync_all()?;
        fs::rename(&temporary, &place)?;
        handle.sync_all()?;
        take.latencies.push(due.elapsed().as_nanos() as u64);
    }
    take.elapsed = began.elapsed();
    Ok(take)
}
