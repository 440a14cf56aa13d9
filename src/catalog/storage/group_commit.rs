//! Group commit: a commit replaces all files that were requested while the commit before it ran,
//! each file once.
//!
//! One thread at a time runs a commit, for all threads that joined its batch ([`Batcher`]). The
//! files of a large commit are divided into shares, and the threads of a [`WorkerPool`] help.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use crate::catalog::storage::Reader;
use crate::catalog::storage::data_dir::{DataDir, ReplacedFile, TemporaryFile};
use crate::catalog::storage::file_image::{FileImage, RecentImages};
use crate::catalog::storage::id_range::IdRange;
use crate::model::book::{Book, BookId};
use crate::runtime::batcher::Batcher;
use crate::runtime::metrics::Counter;
use crate::runtime::semaphore::Semaphore;
use crate::runtime::sync::spawn;
use crate::runtime::worker_pool::{Work, WorkerPool};

/// A request for more files than this, as in a catch-up, is divided among several commits, so that
/// a sale waits for one of them at most.
const REQUEST_FILES_MAX: usize = 64;

/// A commit uses one thread for this many files, up to [`THREADS_MAX`].
const FILES_PER_THREAD: usize = 2;

/// The threads of a commit.
const THREADS_MAX: usize = 8;

/// This many commits may leave their replaced files to the closer. The thread that commits closes
/// the files of further ones.
const UNCLOSED_COMMITS_MAX: usize = 4;

/// The thread that commits closes replaced files itself when there are more than this: each is an
/// open file descriptor.
const UNCLOSED_FILES_MAX: usize = 64;

/// The files of a data folder, and the threads that replace them.
pub(super) struct GroupCommit {
    pub(super) dir: DataDir,
    images: RecentImages,
    commits: Batcher<Request, Result<(), String>>,
    /// Replace their shares of a commit's files while the thread that commits replaces its own.
    savers: WorkerPool<Share>,
    closer: Closer,
    pub(super) metrics: CommitMetrics,
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct CommitMetrics {
    pub(crate) commits: Counter,
    pub(crate) files_replaced: Counter,
}

/// The books that one caller wants on disk.
struct Request {
    ids: Vec<BookId>,
    read: Reader,
}

/// A file to replace, and the books that changed in it.
#[derive(Clone)]
struct Changed {
    range: IdRange,
    /// By id.
    ids: Vec<BookId>,
    read: Reader,
}

/// The files of a commit that one saver replaces.
struct Share {
    group_commit: Arc<GroupCommit>,
    files: Vec<Changed>,
    done: Sender<Vec<Replaced>>,
}

/// The result of replacing one file.
type Replaced = (IdRange, Result<ReplacedFile, String>);

/// Closes replaced files on a thread of its own, because that takes the system as long as a message
/// between servers takes. Not a worker pool: what its short queue does not take is closed by the
/// caller, which bounds the open descriptors.
struct Closer(SyncSender<Vec<ReplacedFile>>);

impl GroupCommit {
    pub(super) fn new(dir: DataDir) -> Arc<GroupCommit> {
        Arc::new(GroupCommit {
            dir,
            images: RecentImages::default(),
            commits: Batcher::new(Semaphore::new(1), usize::MAX, Duration::ZERO),
            savers: WorkerPool::new("saver", THREADS_MAX - 1, THREADS_MAX, None),
            closer: Closer::new(),
            metrics: CommitMetrics::default(),
        })
    }

    /// Puts these books, which are ordered by id, on disk, in commits that begin after this call.
    ///
    /// Fails with the error of the first file that cannot be replaced.
    pub(super) fn save(self: &Arc<Self>, ids: &[BookId], read: &Reader) -> Result<(), String> {
        let files: Vec<&[BookId]> = ids
            .chunk_by(|a, b| IdRange::of(*a) == IdRange::of(*b))
            .collect();
        files.chunks(REQUEST_FILES_MAX).try_for_each(|files| {
            let request = Request {
                ids: files.concat(),
                read: read.clone(),
            };
            self.commits
                .submit(request, |requests| self.commit(&requests))
        })
    }

    /// Waits until this many requests wait for the next commit.
    #[cfg(test)]
    pub(super) fn await_waiting(&self, requests: usize) {
        while self.commits.pending() < requests {
            std::thread::yield_now();
        }
    }

    /// Runs one commit. Returns the result of each request.
    fn commit(self: &Arc<Self>, requests: &[Request]) -> Vec<Result<(), String>> {
        let files = changed(requests);
        self.metrics.commits.inc();
        self.metrics.files_replaced.add(files.len() as u64);
        let mut failures = HashMap::new();
        let mut replaced = Vec::new();
        for (range, result) in self.replace_all(&files) {
            match result {
                Ok(file) => replaced.push(file),
                Err(why) => drop(failures.insert(range, why)),
            }
        }
        let synced = self.dir.sync_dir();
        self.closer.close(replaced);
        let result = |request: &Request| {
            let mut ranges = request.ids.iter().copied().map(IdRange::of);
            let failure = ranges.find_map(|range| failures.get(&range));
            failure.map_or(synced.clone(), |why| Err(why.clone()))
        };
        requests.iter().map(result).collect()
    }

    /// Replaces these files with the help of the savers.
    fn replace_all(self: &Arc<Self>, files: &[Changed]) -> Vec<Replaced> {
        let threads = files.len().div_ceil(FILES_PER_THREAD).clamp(1, THREADS_MAX);
        let mut shares = files.chunks(files.len().div_ceil(threads).max(1));
        let own = shares.next().unwrap_or_default();
        let (done, others) = channel();
        for share in shares {
            let share = Share {
                group_commit: self.clone(),
                files: share.to_vec(),
                done: done.clone(),
            };
            if let Err(share) = self.savers.try_submit(share) {
                share.run(Vec::new());
            }
        }
        drop(done);
        let mut replaced = self.replace(own);
        replaced.extend(others.into_iter().flatten());
        assert_eq!(
            replaced.len(),
            files.len(),
            "a saver that panicked took its share with it"
        );
        replaced
    }

    /// Replaces these files, one step after the other for all of them: the disk takes together
    /// what is written together.
    fn replace(&self, files: &[Changed]) -> Vec<Replaced> {
        let written = files.iter().map(|file| self.write(file));
        let written: Vec<Result<TemporaryFile, String>> = written.collect();
        let synced = written.into_iter().map(|file| file?.sync());
        let synced: Vec<Result<TemporaryFile, String>> = synced.collect();
        let published = synced.into_iter().map(|file| self.dir.publish(file?));
        let ranges = files.iter().map(|file| file.range);
        ranges.zip(published).collect()
    }

    fn write(&self, file: &Changed) -> Result<TemporaryFile, String> {
        let range = file.range;
        let image = match self.images.take(range) {
            Some(image) => {
                let mut books: Vec<Arc<Book>> = Vec::new();
                for id in &file.ids {
                    books.extend((file.read)(*id, *id)?);
                }
                image.with(&books)
            }
            None => FileImage::of(&(file.read)(range.first(), range.last())?),
        };
        let written = self.dir.write(self.dir.path_of(range), &image.text);
        self.images.insert(range, image);
        written
    }
}

/// The files of these requests, by range.
fn changed(requests: &[Request]) -> Vec<Changed> {
    let mut files: BTreeMap<IdRange, (BTreeSet<BookId>, &Reader)> = BTreeMap::new();
    for request in requests {
        for id in &request.ids {
            let file = files.entry(IdRange::of(*id));
            let file = file.or_insert_with(|| (BTreeSet::new(), &request.read));
            file.0.insert(*id);
        }
    }
    let changed = |(range, (ids, read)): (IdRange, (BTreeSet<BookId>, &Reader))| Changed {
        range,
        ids: ids.into_iter().collect(),
        read: read.clone(),
    };
    files.into_iter().map(changed).collect()
}

impl Work for Share {
    fn run(self, _: Vec<Share>) {
        let replaced = self.group_commit.replace(&self.files);
        let done = self.done.clone();
        // The owner may open the folder again once the commit has ended, so this thread must not
        // keep it open.
        drop(self);
        // Nobody receives this when the thread that commits has panicked.
        let _ = done.send(replaced);
    }
}

impl Closer {
    /// If the system has no thread left, the thread that commits closes the files.
    fn new() -> Closer {
        let (sender, replaced) = sync_channel::<Vec<ReplacedFile>>(UNCLOSED_COMMITS_MAX);
        let _ = spawn("closer", move || replaced.into_iter().for_each(drop));
        Closer(sender)
    }

    fn close(&self, replaced: Vec<ReplacedFile>) {
        if replaced.len() <= UNCLOSED_FILES_MAX {
            // What the queue does not take is dropped, and thereby closed, here.
            let _ = self.0.try_send(replaced);
        }
    }
}
