//! A catalog's disk: one file holds all books. Tasks that wait for it share one replacement of it.

use crate::catalog::replication::left_out::Record;
use crate::catalog::sim::scheduler::event_queue::WaitId;
use crate::model::book::Book;

#[derive(Default)]
pub(crate) struct Disk {
    /// The file, which a crash leaves as it is.
    pub(crate) books: Vec<Book>,
    pub(crate) record: Record,
    /// What the file will be once the replacement in progress is done.
    replacement: Option<Vec<Book>>,
    /// How many replacements have begun since the start, and how many of them are done.
    begun: u64,
    done: u64,
    waits: Vec<WaitId>,
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

    /// The catalog crashes. `renamed`: the replacement in progress reached the disk, although
    /// nobody was told.
    pub(super) fn crash(&mut self, renamed: bool) {
        let books = std::mem::take(&mut self.books);
        let replacement = self.replacement.take().filter(|_| renamed);
        let record = std::mem::take(&mut self.record);
        *self = Disk::new(replacement.unwrap_or(books));
        self.record = record;
    }
}
