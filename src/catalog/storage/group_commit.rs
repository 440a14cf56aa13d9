//! Group commit: all files that are asked for while others are put on disk are put there together,
//! each once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use super::Reader;
use crate::catalog::storage::data_dir::{Folder, New, Old, Range};
use crate::catalog::storage::file_image::{Page, Pages};
use crate::runtime::batcher::Batcher;
use crate::runtime::metrics::Counter;
use crate::runtime::semaphore::Semaphore;
use crate::runtime::worker_pool::{Pool, Work};

/// A save of more files than this, as when catching up, takes part in several commits, so that a
/// sale waits for one of them at most.
const SAVE_MAX: usize = 64;

/// The files of a commit are shared among threads, so many for each.
const FILES_EACH: usize = 2;

/// The threads of a commit.
const THREADS_MAX: usize = 8;

/// So many commits may leave their replaced files to be closed later, if they have not more than so
/// many: each has a descriptor.
const UNCLOSED_MAX: usize = 4;
const UNCLOSED_FILES_MAX: usize = 64;

/// The files of a store, and who puts them on disk.
pub struct Files {
    folder: Folder,
    pages: Pages,
    commits: Batcher<Save, Result<(), String>>,
    /// Do their share of a commit beside the thread that leads it.
    savers: Pool<Share>,
    /// Lets go of replaced files, which takes the system as long as a message between servers
    /// takes.
    closer: Closer,
    pub tally: Tally,
}

/// What was done so far.
#[derive(Debug, Default)]
pub struct Tally {
    pub commits: Counter,
    pub replaced: Counter,
}

/// What one caller wants on disk.
struct Save {
    ranges: Vec<Range>,
    read: Reader,
}

/// Some of a commit's files.
struct Share {
    files: Arc<Files>,
    wanted: Vec<(Range, Reader)>,
    done: Sender<Vec<Outcome>>,
}

/// What became of one file.
type Outcome = (Range, Result<Old, String>);

/// Lets go of the files that a commit has replaced, on a thread of its own.
struct Closer(SyncSender<Vec<Old>>);

impl Files {
    pub fn new(folder: Folder) -> Arc<Files> {
        Arc::new(Files {
            folder,
            pages: Pages::default(),
            commits: Batcher::new(Semaphore::new(1), usize::MAX, Duration::ZERO),
            savers: Pool::new("saver".into(), THREADS_MAX - 1),
            closer: Closer::new(),
            tally: Tally::default(),
        })
    }

    /// Puts these files on disk, in commits that begin after this call.
    ///
    /// Fails with the first of them that cannot be replaced.
    pub fn save(self: &Arc<Files>, ranges: &[Range], read: &Reader) -> Result<(), String> {
        ranges.chunks(SAVE_MAX).try_for_each(|ranges| {
            let save = Save {
                ranges: ranges.to_vec(),
                read: read.clone(),
            };
            self.commits.submit(save, |saves| self.commit(&saves))
        })
    }

    /// Waits until so many wait for the next commit.
    #[cfg(test)]
    pub fn wait_for_company(&self, saves: usize) {
        while self.commits.pending() < saves {
            thread::yield_now();
        }
    }

    /// One commit: what came of each save.
    fn commit(self: &Arc<Files>, saves: &[Save]) -> Vec<Result<(), String>> {
        let wanted: BTreeMap<Range, Reader> = saves
            .iter()
            .flat_map(|save| save.ranges.iter().map(|range| (*range, save.read.clone())))
            .collect();
        self.tally.commits.inc();
        self.tally.replaced.add(wanted.len() as u64);
        let mut failed = HashMap::new();
        let mut old = Vec::new();
        for (range, replaced) in self.replace_all(wanted.into_iter().collect()) {
            match replaced {
                Ok(file) => old.push(file),
                Err(why) => drop(failed.insert(range, why)),
            }
        }
        let synced = self.folder.sync();
        self.closer.close(old);
        let outcome = |save: &Save| {
            let failure = save.ranges.iter().find_map(|range| failed.get(range));
            failure.map_or(synced.clone(), |why| Err(why.clone()))
        };
        saves.iter().map(outcome).collect()
    }

    /// Replaces these files with the help of the savers.
    fn replace_all(self: &Arc<Files>, wanted: Vec<(Range, Reader)>) -> Vec<Outcome> {
        let threads = wanted.len().div_ceil(FILES_EACH).clamp(1, THREADS_MAX);
        let mut shares = wanted.chunks(wanted.len().div_ceil(threads).max(1));
        let mine = shares.next().unwrap_or_default();
        let (done, others) = channel();
        for share in shares {
            self.savers.send(Share {
                files: self.clone(),
                wanted: share.to_vec(),
                done: done.clone(),
            });
        }
        drop(done);
        let mut replaced = self.replace(mine);
        replaced.extend(others.into_iter().flatten());
        assert_eq!(
            replaced.len(),
            wanted.len(),
            "a saver that panicked took its share with it"
        );
        replaced
    }

    /// Replaces these files, one step after the other for all of them: what is written together the
    /// disk takes together.
    fn replace(&self, wanted: &[(Range, Reader)]) -> Vec<Outcome> {
        let written = wanted.iter().map(|(range, read)| self.write(*range, read));
        let written: Vec<Result<New, String>> = written.collect();
        let settled = written.into_iter().map(|new| self.folder.settle(new?));
        let settled: Vec<Result<New, String>> = settled.collect();
        let named = settled.into_iter().map(|new| self.folder.name(new?));
        let ranges = wanted.iter().map(|(range, _)| *range);
        ranges.zip(named).collect()
    }

    fn write(&self, range: Range, read: &Reader) -> Result<New, String> {
        let books = read(range.first(), range.last());
        let page = Page::of(range, books, &self.pages.take(range));
        let new = self.folder.write(range, &page);
        self.pages.keep(range, page);
        new
    }
}

impl Work for Share {
    fn run(batch: Vec<Share>) {
        for share in batch {
            let replaced = share.files.replace(&share.wanted);
            let done = share.done.clone();
            // Once the folder's owner hears of it the folder may be opened again.
            drop(share);
            // Nobody listens any more when the thread that leads has panicked.
            let _ = done.send(replaced);
        }
    }

    /// Too many wait: whoever wants it does it.
    fn refuse(self) {
        Share::run(vec![self]);
    }
}

impl Closer {
    /// Without a thread to be had, whoever commits closes.
    fn new() -> Closer {
        let (sender, replaced) = sync_channel::<Vec<Old>>(UNCLOSED_MAX);
        let close = move || replaced.into_iter().for_each(drop);
        let _ = thread::Builder::new().name("closer".into()).spawn(close);
        Closer(sender)
    }

    fn close(&self, old: Vec<Old>) {
        if old.len() <= UNCLOSED_FILES_MAX {
            // What is not taken is closed here.
            let _ = self.0.try_send(old);
        }
    }
}
