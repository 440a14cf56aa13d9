//! Batches of books go to the catalog; what it answers is counted, repeated or told.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::http::Method;
use crate::http::client::{Answer, Failure};
use crate::model::book::Offer;

use crate::tools::import::progress::Progress;
use crate::tools::import::source::Piece;
use crate::tools::import::tally::Tally;

/// A request that failed is repeated for this long: a catalog that was restarted is back by then.
/// Then the import ends.
pub const TRYING_MAX: Duration = Duration::from_secs(30);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Requests under way at once. While one is on its way to the disks, the next one's books are
/// judged; a third finds both at work.
const REQUESTS_MAX: usize = 2;

/// How the catalog is called: method, path, body.
pub type Call<'a> = dyn Fn(Method, &str, Option<&[u8]>) -> Result<Answer, Failure> + Sync + 'a;

/// A book of the file.
pub struct Offered {
    pub piece: Piece,
    /// Whether it has one, though it may be none that a book can have.
    pub with_id: bool,
    pub id: Option<u64>,
    pub title: String,
}

/// Books for one request, all with ids or none.
#[derive(Default)]
pub struct Batch {
    pub books: Vec<Offered>,
}

impl Batch {
    /// The batch, and an empty one in its place.
    pub fn take(&mut self) -> Batch {
        std::mem::take(self)
    }
}

/// The sending half of an import.
pub struct Sending<'a> {
    call: &'a Call<'a>,
    progress: &'a Progress,
    skip_bad: bool,
    /// Held for a look or a count.
    tally: Mutex<Tally>,
}

/// Books that a request did not settle.
struct Left {
    books: Vec<Offered>,
    state: State,
    why: String,
}

/// What is known of them.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Not in the shop, and sending them again is of no use.
    Hopeless,
    /// Not in the shop.
    Missing,
    /// In the shop or not.
    Unknown,
}

/// The answer for one book of many.
#[derive(Deserialize)]
struct Entry {
    status: u16,
    #[serde(default)]
    body: Value,
}

impl<'a> Sending<'a> {
    pub fn new(call: &'a Call<'a>, progress: &'a Progress, skip_bad: bool) -> Sending<'a> {
        Sending {
            call,
            progress,
            skip_bad,
            tally: Mutex::default(),
        }
    }

    /// Sends what `read` delivers, and gives the summary.
    ///
    /// Fails when `read` does, when a book was bad and bad ones are not skipped, and when the
    /// catalog did not settle a batch; with what is in the shop by then, and how to go on.
    pub fn run(
        &self,
        read: impl FnOnce(&dyn Fn(Batch)) -> Result<(), String>,
    ) -> Result<String, String> {
        let (queue, batches) = sync_channel::<Batch>(1);
        let batches = Mutex::new(batches);
        let done = thread::scope(|scope| {
            for _ in 0..REQUESTS_MAX {
                scope.spawn(|| self.work(&batches));
            }
            let done = read(&|batch| queue.send(batch).expect("batches are taken to the end"));
            drop(queue);
            done
        });
        self.progress.end();
        self.tally()
            .outcome(done, self.skip_bad, self.progress.elapsed())
    }

    /// Whether reading on makes no sense.
    pub fn is_stopped(&self) -> bool {
        let tally = self.tally();
        tally.failed.is_some() || (0 < tally.bad && !self.skip_bad)
    }

    /// Tells and counts a bad book.
    pub fn refuse(&self, line: u64, why: &str) {
        self.progress.say(&format!("line {line}: {why}"));
        self.tally().bad += 1;
    }

    fn work(&self, batches: &Mutex<Receiver<Batch>>) {
        loop {
            let turn = batches.lock().expect(NEVER_POISONED);
            let Ok(batch) = turn.recv() else { return };
            let without_ids = batch.books.iter().any(|book| !book.with_id);
            // Held while these books are sent, so that the next ones wait: nothing after them is in
            // the shop should they be the end.
            let _turn = without_ids.then_some(turn);
            if !batch.books.is_empty() && self.tally().failed.is_none() {
                self.deliver(batch.books, without_ids);
            }
        }
    }

    fn deliver(&self, books: Vec<Offered>, without_ids: bool) {
        let line = |book: Option<&Offered>| book.map_or(0, |book| book.piece.line);
        let (first, last) = (line(books.first()), line(books.last()));
        let (count, end) = (
            books.len() as u64,
            books.last().map_or(0, |book| book.piece.end),
        );
        if without_ids {
            self.tally().pass(first - 1);
        }
        let Err(left) = self.persist(books, without_ids) else {
            self.progress.step(count, end);
            if without_ids {
                self.tally().pass(last);
            }
            return;
        };
        let mut why = left.why;
        if without_ids && left.state == State::Unknown {
            self.tally().pass(last);
            let (from, to) = (line(left.books.first()), line(left.books.last()));
            why = format!(
                "nobody can tell whether the books of lines {from} to {to} were added, so look: {why}"
            );
        }
        self.tally().failed.get_or_insert(why);
    }

    /// Sends books until all are settled. Fails with those that are left when that must not, or
    /// need not, go on.
    fn persist(&self, mut books: Vec<Offered>, without_ids: bool) -> Result<(), Left> {
        let deadline = Instant::now() + TRYING_MAX;
        while let Err(left) = self.attempt(books) {
            let repeatable = match left.state {
                State::Hopeless => false,
                State::Missing => true,
                State::Unknown => !without_ids,
            };
            if !repeatable || deadline <= Instant::now() {
                return Err(left);
            }
            thread::sleep(PAUSE);
            books = left.books;
        }
        Ok(())
    }

    /// One request.
    fn attempt(&self, books: Vec<Offered>) -> Result<(), Left> {
        let texts: Vec<&[u8]> = books.iter().map(|book| &book.piece.text[..]).collect();
        let body = [b"[", &texts.join(&b","[..])[..], b"]"].concat();
        let answer = (self.call)(Method::Post, "/add", Some(&body));
        let (state, why) = match answer {
            Ok(answer) if answer.status == 200 => match entries(&answer, books.len()) {
                Ok(entries) => return self.settle(books, entries),
                Err(why) => (State::Unknown, why),
            },
            Ok(answer) if answer.status < 500 => (State::Hopeless, said(&answer)),
            Ok(answer) if answer.status == 503 => (State::Missing, said(&answer)),
            Ok(answer) => (State::Unknown, said(&answer)),
            Err(failure) if failure.definite() => (State::Missing, reason(failure)),
            Err(failure) => (State::Unknown, reason(failure)),
        };
        Err(Left { books, state, why })
    }

    /// Counts what became of each book.
    fn settle(&self, books: Vec<Offered>, entries: Vec<Entry>) -> Result<(), Left> {
        let (mut unsettled, mut reason) = (Vec::new(), None);
        for (book, entry) in books.into_iter().zip(entries) {
            if let Err(why) = self.settle_one(&book, &entry) {
                unsettled.push(book);
                reason = Some(why);
            }
        }
        match reason {
            None => Ok(()),
            Some(why) => Err(Left {
                books: unsettled,
                state: State::Unknown,
                why,
            }),
        }
    }

    fn settle_one(&self, book: &Offered, entry: &Entry) -> Result<(), String> {
        match entry.status {
            201 => self.tally().added += 1,
            409 => return self.compare(book),
            500.. => return Err(message(&entry.body)),
            _ => self.refuse(book.piece.line, &message(&entry.body)),
        }
        Ok(())
    }

    /// Whether the book of that id is this one. Fails when that cannot be told now.
    fn compare(&self, book: &Offered) -> Result<(), String> {
        let id = book.id.unwrap_or_default();
        let answer =
            (self.call)(Method::Get, &format!("/query/item/{id}"), None).map_err(reason)?;
        if answer.status != 200 {
            return Err(said(&answer));
        }
        let offer: Offer = answer.json().map_err(reason)?;
        match *offer.title == *book.title {
            true => self.tally().there += 1,
            false => {
                let title = &offer.title;
                let why = format!("id {id} is in use by another book, {title:?}");
                self.refuse(book.piece.line, &why);
            }
        }
        Ok(())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().expect(NEVER_POISONED)
    }
}

const NEVER_POISONED: &str = "nothing panics under this lock";

/// What the catalog answered for each of so many books. Fails when it makes no sense.
fn entries(answer: &Answer, count: usize) -> Result<Vec<Entry>, String> {
    let entries: Vec<Entry> = answer.json().map_err(reason)?;
    match entries.len() == count {
        true => Ok(entries),
        false => Err(format!(
            "the catalog answered for {} books of {count}",
            entries.len()
        )),
    }
}

/// What an answer that is no 200 says.
fn said(answer: &Answer) -> String {
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    format!("the catalog answered {}: {}", answer.status, message(&body))
}

fn message(body: &Value) -> String {
    let text = body.get("message").and_then(Value::as_str);
    text.unwrap_or("(no message)").to_string()
}

fn reason(failure: Failure) -> String {
    let (Failure::Refused(text)
    | Failure::Unconnected(text)
    | Failure::TimedOut(text)
    | Failure::Broken(text)) = failure;
    text
}
