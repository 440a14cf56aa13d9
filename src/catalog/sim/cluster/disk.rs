//! A catalog's disk: one file holds all books. Tasks that wait for it share one replacement of it.

use crate::catalog::replication::left_out::Record;
use crate::catalog::sim::scheduler::event_queue::{Micros, WaitId};
use crate::model::book::Book;
use crate::model::book::entry::Entry;

#[derive(Default)]
pub(crate) struct Disk {
    /// The file, which a crash leaves as it is.
    pub(crate) books: Vec<Book>,
    pub(crate) record: Record,
    pub(crate) ledger: Vec<Entry>,
    /// How long a replacement takes, if a schedule says so: of the books, of the list, of
    /// a file of the ledger.
    pub(crate) books_time: Option<Micros>,
    pub(crate) list_time: Option<Micros>,
    pub(crate) ledger_time: Option<Micros>,
    /// It refuses every write, crash or not.
    pub(crate) refuses: bool,
    /// How it refuses, if a schedule says so.
    pub(crate) refusal: Option<RefusedWrite>,
    /// This is another folder than before, and not whole again yet.
    pub(crate) is_other: bool,
    /// What the folder held at each earlier crash.
    pub(crate) older: Vec<(Vec<Book>, Record, Vec<Entry>)>,
    /// What the file will be once the replacement in progress is done.
    replacement: Option<Vec<Book>>,
    /// How many replacements have begun since the start, and how many of them are done.
    begun: u64,
    done: u64,
    waits: Vec<WaitId>,
}

/// How a disk refuses a write.
#[derive(Clone, Copy)]
pub(crate) enum RefusedWrite {
    /// Before it changed anything, and says so.
    Unchanged,
    /// In the last step, so that nobody knows; and what was there before still is.
    Lost,
    /// In the last step, and what was written is there.
    Made,
}

/// What a task that wants a replacement of the file must do.
pub(super) enum Turn {
    /// Nothing: it was replaced since.
    Done,
    /// Replace it now.
    Replace,
    /// Wait for the replacement in progress, and look again.
    Wait,
}

impl Disk {
    pub(crate) fn new(books: Vec<Book>) -> Disk {
        let record = Record {
            whole: true,
            ..Record::default()
        };
        Disk {
            books,
            record,
            ..Disk::default()
        }
    }

    /// The number of the next replacement, which holds what is in memory now.
    pub(super) fn next_replacement(&self) -> u64 {
        self.begun + 1
    }

    pub(super) fn turn(&mut self, wanted: u64) -> Turn {
        if wanted <= self.done {
            Turn::Done
        } else if self.begun == self.done {
            self.begun += 1;
            Turn::Replace
        } else {
            Turn::Wait
        }
    }

    /// Wakes this wait once the replacement in progress is done.
    pub(super) fn wake_when_done(&mut self, wait: WaitId) {
        self.waits.push(wait);
    }

    pub(super) fn begin(&mut self, books: Vec<Book>) {
        self.replacement = Some(books);
    }

    /// The replacement is done. Returns the waits to wake.
    pub(super) fn finish(&mut self) -> Vec<WaitId> {
        let replacement = self.replacement.take();
        self.books = replacement.expect("only a crash takes it away");
        self.done += 1;
        std::mem::take(&mut self.waits)
    }

    /// A folder that becomes whole is the catalog's own from then on.
    pub(super) fn put_record(&mut self, record: &Record) {
        self.is_other &= !record.whole || self.record.whole;
        self.record = record.clone();
    }

    /// The disk refused the replacement, although it may be there (`renamed`). Returns the waits to
    /// wake: they try themselves.
    pub(super) fn fail(&mut self, renamed: bool) -> Vec<WaitId> {
        let replacement = self.replacement.take();
        if let Some(books) = replacement.filter(|_| renamed) {
            self.books = books;
        }
        self.begun = self.done;
        std::mem::take(&mut self.waits)
    }

    /// The catalog crashes. `renamed`: the replacement in progress reached the disk, although
    /// nobody was told.
    pub(super) fn crash(&mut self, renamed: bool) {
        let books = std::mem::take(&mut self.books);
        let replacement = self.replacement.take().filter(|_| renamed);
        let record = std::mem::take(&mut self.record);
        let ledger = std::mem::take(&mut self.ledger);
        let mut older = std::mem::take(&mut self.older);
        let books = replacement.unwrap_or(books);
        *self = Disk {
            books,
            record,
            refuses: self.refuses,
            refusal: self.refusal,
            is_other: self.is_other,
            ledger,
            ..Disk::default()
        };
        older.push((self.books.clone(), self.record.clone(), self.ledger.clone()));
        self.older = older;
    }

    /// The folder is new.
    pub(crate) fn lose(&mut self) {
        self.is_other = true;
        self.books.clear();
        self.ledger.clear();
        self.record = Record::default();
    }

    /// An older folder is put back: the one of this crash.
    pub(crate) fn put_back(&mut self, crash: usize) {
        self.is_other = true;
        (self.books, self.record, self.ledger) = self.older[crash].clone();
    }
}
