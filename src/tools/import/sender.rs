//! Sends batches of books to the catalog. Counts, retries or reports what it answers.

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::Method;
use crate::http::client::{Answer, Failure};
use crate::model::book::Offer;
use crate::runtime::sync::lock;
use crate::tools::import::book_reader::RawBook;
use crate::tools::import::progress::Progress;
use crate::tools::{describe, failure_text, message};

/// A request that failed is retried for this long, so that a catalog that was restarted is back.
/// Then the import ends.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(30);

/// The pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Requests under way at a time. While the books of one are written to the disks, the catalog
/// validates those of the next; a third would find both stages busy.
const REQUESTS_MAX: usize = 2;

/// Calls the catalog: method, path, body.
pub(super) type Call<'a> =
    dyn Fn(Method, &str, Option<&[u8]>) -> Result<Answer, Failure> + Sync + 'a;

/// A book of the file.
pub(super) struct Book {
    pub(super) raw: RawBook,
    pub(super) fields: Value,
    /// The file is JSON, and no table.
    pub(super) is_json: bool,
}

impl Book {
    /// Whether it has one, valid or not.
    pub(super) fn has_id(&self) -> bool {
        !self.fields["id"].is_null()
    }

    /// As it is sent. JSON stays as it stands in the file: the catalog refuses a number that a
    /// reader would change.
    pub(super) fn json(&self) -> Cow<'_, [u8]> {
        if self.is_json {
            self.raw.text.as_slice().into()
        } else {
            self.fields.to_string().into_bytes().into()
        }
    }
}

pub(super) struct Sender<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) progress: &'a Progress,
    /// Books that are there get the price and quantity of the file.
    pub(super) update: bool,
}

/// Books that a request did not add, or perhaps not.
struct Failed {
    books: Vec<Book>,
    state: State,
    why: String,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Not in the shop, and a retry cannot help.
    Rejected,
    /// Not in the shop.
    NotAdded,
    /// In the shop or not.
    Unknown,
}

/// The catalog's answer for one book.
#[derive(Deserialize)]
struct BookResult {
    status: u16,
    #[serde(default)]
    body: Value,
}

impl Sender<'_> {
    /// Sends the batches that `read` passes on, and returns the summary. All books of a batch have
    /// ids, or none has.
    ///
    /// Fails when `read` does, when a book was bad and bad ones are not skipped, and when a batch
    /// stays without a result; with what is in the shop by then, and how to continue.
    pub(super) fn run(
        &self,
        read: impl FnOnce(&dyn Fn(Vec<Book>)) -> Result<(), String>,
    ) -> Result<String, String> {
        let (queue, batches) = sync_channel::<Vec<Book>>(1);
        let batches = Mutex::new(batches);
        let outcome = thread::scope(|scope| {
            for _ in 0..REQUESTS_MAX {
                scope.spawn(|| self.send_batches(&batches));
            }
            let outcome =
                read(&|batch| queue.send(batch).expect("batches are received to the end"));
            drop(queue);
            outcome
        });
        self.progress.outcome(outcome)
    }

    fn send_batches(&self, batches: &Mutex<Receiver<Vec<Book>>>) {
        loop {
            let turn = lock(batches);
            let Ok(books) = turn.recv() else { return };
            let without_ids = books.iter().any(|book| !book.has_id());
            // Kept while these books are sent, so that the next batch waits: if these turn out to
            // be the last, nothing after them is in the shop.
            let _turn = without_ids.then_some(turn);
            if !books.is_empty() && lock(&self.progress.counts).failed.is_none() {
                self.send_batch(books, without_ids);
            }
        }
    }

    fn send_batch(&self, books: Vec<Book>, without_ids: bool) {
        let (first, last) = lines(&books);
        let end = books.last().map_or(0, |book| book.raw.end);
        let mark_sent = |through_line| {
            if without_ids {
                let sent = &mut lock(&self.progress.counts).sent_through_line;
                *sent = (*sent).max(Some(through_line));
            }
        };
        mark_sent(first - 1);
        let Err(failed) = self.send_with_retries(books, without_ids) else {
            mark_sent(last);
            return self.progress.draw(end);
        };
        let mut why = failed.why;
        if without_ids && failed.state == State::Unknown {
            mark_sent(last);
            let (from, to) = lines(&failed.books);
            why = format!(
                "it is unknown whether the books of lines {from} to {to} were added, so look: {why}"
            );
        }
        lock(&self.progress.counts).failed.get_or_insert(why);
    }

    /// Sends books until each has its result. Fails with the rest when a retry cannot help, could
    /// add books twice, or comes too late.
    fn send_with_retries(&self, mut books: Vec<Book>, without_ids: bool) -> Result<(), Failed> {
        let deadline = Instant::now() + RETRY_MAX;
        while let Err(failed) = self.send_once(books) {
            let may_retry = match failed.state {
                State::Rejected => false,
                State::NotAdded => true,
                State::Unknown => !without_ids,
            };
            if !may_retry || deadline <= Instant::now() {
                return Err(failed);
            }
            thread::sleep(RETRY_PAUSE);
            books = failed.books;
        }
        Ok(())
    }

    fn send_once(&self, books: Vec<Book>) -> Result<(), Failed> {
        let texts: Vec<_> = books.iter().map(Book::json).collect();
        let body = [b"[", &texts.join(&b","[..])[..], b"]"].concat();
        let count = books.len();
        let (state, why) = match (self.call)(Method::Post, "/add", Some(&body)) {
            Ok(answer) => match (answer.status, answer.list(count)) {
                (_, Some(results)) => return self.count_results(books, results),
                (200, None) => (
                    State::Unknown,
                    format!("the catalog's answer is not a list of {count} results"),
                ),
                (..500, None) => (State::Rejected, describe(&answer)),
                (503, None) => (State::NotAdded, describe(&answer)),
                (_, None) => (State::Unknown, describe(&answer)),
            },
            Err(failure) if failure.definite() => (State::NotAdded, failure_text(failure)),
            Err(failure) => (State::Unknown, failure_text(failure)),
        };
        Err(Failed { books, state, why })
    }

    fn count_results(&self, books: Vec<Book>, results: Vec<BookResult>) -> Result<(), Failed> {
        let mut failed = Failed {
            books: Vec::new(),
            state: State::Unknown,
            why: String::new(),
        };
        for (book, result) in books.into_iter().zip(results) {
            if let Err(why) = self.count_result(&book, &result) {
                failed.books.push(book);
                failed.why = why;
            }
        }
        match failed.books.is_empty() {
            true => Ok(()),
            false => Err(failed),
        }
    }

    fn count_result(&self, book: &Book, result: &BookResult) -> Result<(), String> {
        match result.status {
            201 => lock(&self.progress.counts).added += 1,
            409 => return self.compare(book),
            500.. => return Err(message(&result.body)),
            _ => self.progress.report_bad(&book.raw, &message(&result.body)),
        }
        Ok(())
    }

    /// Counts `book` as already there, and brings it up to date if that is wanted; or counts it as
    /// bad if its id belongs to a book of another title. Fails when the catalog does not answer.
    fn compare(&self, book: &Book) -> Result<(), String> {
        let id = &book.fields["id"];
        let path = format!("/query/item/{id}");
        let answer = (self.call)(Method::Get, &path, None).map_err(failure_text)?;
        if answer.status != 200 {
            return Err(describe(&answer));
        }
        let there: Offer = answer.json().map_err(failure_text)?;
        if book.fields["title"] != *there.title {
            let why = format!("id {id} is in use by another book, {:?}", there.title);
            self.progress.report_bad(&book.raw, &why);
            return Ok(());
        }
        let differs =
            book.fields["price"] != there.price || book.fields["quantity"] != there.quantity;
        if differs && self.update {
            return self.bring_up_to_date(book);
        }
        let mut counts = lock(&self.progress.counts);
        counts.already_there += 1;
        counts.differing += u64::from(differs);
        Ok(())
    }

    /// The whole quantity is set, not a difference, so that doing it twice does no harm.
    fn bring_up_to_date(&self, book: &Book) -> Result<(), String> {
        let (price, quantity) = (&book.fields["price"], &book.fields["quantity"]);
        let path = format!("/update/{}", book.fields["id"]);
        let body = json!({"price": price, "quantity": quantity}).to_string();
        let answer =
            (self.call)(Method::Put, &path, Some(body.as_bytes())).map_err(failure_text)?;
        match answer.status {
            200 => lock(&self.progress.counts).updated += 1,
            422 => self.progress.report_bad(&book.raw, &describe(&answer)),
            _ => return Err(describe(&answer)),
        }
        Ok(())
    }
}

/// The first and the last line on which one of the books begins.
fn lines(books: &[Book]) -> (u64, u64) {
    let line = |book: Option<&Book>| book.map_or(0, |book| book.raw.line);
    (line(books.first()), line(books.last()))
}
