//! Letters to other catalogs and to front-ends: a few threads for each addressee carry them, none
//! is made for a message, and a server that does not answer holds up nobody but those who write to
//! it.
//!
//! Under load letters of one kind travel together: while one is under way, what comes next waits
//! for its return, at most 5 ms. So a catalog that hears of sixty changes at once hears of them in
//! a few messages, and its disk too.

#[cfg(test)]
mod tests;

use std::iter::once;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::replication::messages::{Message, Outcome, Reply};
use crate::catalog::transport::codec;
use crate::catalog::transport::http_env::Times;
use crate::config::Limits;
use crate::http::Method::{Delete, Put};
use crate::http::client::{Answer, Client, Failure};
use crate::http::encode;
use crate::model::address::Address;
use crate::model::book::BookId;
use crate::model::invalidation::{self, Invalidation};
use crate::runtime::worker_pool::{Work, WorkerPool};

/// How many threads carry letters of one kind to one addressee at most: so many may hang there.
const THREADS_MAX: usize = 64;

/// Letters of one kind wait for company while so many are under way.
const ENOUGH: usize = 1;

/// More that waits for one addressee is refused: its sender takes it for no answer.
const WAITING_MAX: usize = 4096;

/// More letters do not travel together.
const TOGETHER_MAX: usize = 64;

/// Who is told what came of a letter.
type Done = Box<dyn FnOnce(Outcome) + Send>;

/// The letters to another catalog.
pub struct PeerSender {
    line: Arc<Line>,
    updates: WorkerPool<Outgoing>,
    confirms: WorkerPool<Outgoing>,
    others: WorkerPool<Outgoing>,
    /// Heartbeat has a thread and a connection that nothing else can occupy.
    hello_line: Arc<Line>,
    heartbeats: WorkerPool<Outgoing>,
}

/// How to reach another catalog.
struct Line {
    address: Address,
    client: Client,
    times: Arc<Times>,
}

struct Outgoing {
    line: Arc<Line>,
    message: Message,
    done: Done,
}

impl PeerSender {
    /// `silent`: the limit for heartbeat.
    pub fn new(
        address: &Address,
        limits: Limits,
        silent: Duration,
        token: Option<&str>,
        times: &Arc<Times>,
    ) -> PeerSender {
        let hello_limits = Limits {
            connect: limits.connect.min(silent),
            whole: silent,
        };
        let line = |limits| {
            Arc::new(Line {
                address: address.clone(),
                // Whatever catalogs tell each other may be told twice.
                client: Client::new(limits, token).repeating(),
                times: times.clone(),
            })
        };
        let batching = |what: &str| {
            let name = format!("{what} to {address}");
            WorkerPool::batching(&name, THREADS_MAX, WAITING_MAX, ENOUGH)
        };
        PeerSender {
            line: line(limits),
            updates: batching("update"),
            confirms: batching("confirm"),
            others: WorkerPool::new(&format!("to {address}"), THREADS_MAX, WAITING_MAX),
            hello_line: line(hello_limits),
            heartbeats: WorkerPool::new(&format!("heartbeat {address}"), 1, WAITING_MAX),
        }
    }

    pub fn send(&self, message: Message, done: Done) {
        let (line, pool) = match message {
            Message::Heartbeat { .. } => (&self.hello_line, &self.heartbeats),
            Message::Update { .. } => (&self.line, &self.updates),
            Message::Confirm { .. } => (&self.line, &self.confirms),
            _ => (&self.line, &self.others),
        };
        let line = line.clone();
        let outgoing = Outgoing {
            line,
            message,
            done,
        };
        if let Err(refused) = pool.try_submit(outgoing) {
            (refused.done)(Outcome::Silent);
        }
    }
}

impl Line {
    /// What came of the message, and whether that was an answer at all.
    fn ask(&self, message: &Message) -> (Outcome, bool) {
        let url = format!("{}{}", self.address, codec::path(message));
        let body = serde_json::to_vec(message).expect("our own messages are JSON");
        let began = Instant::now();
        let answer = self.client.call(Put, &url, &[], Some(&body));
        if matches!(message, Message::Update { .. }) {
            self.times.peers.observe(began.elapsed());
        }
        let answered = answer.is_ok();
        (codec::outcome(message, answer), answered)
    }
}

impl Work for Outgoing {
    /// Changes of single books, each of another one.
    fn joins(&self, first: &Outgoing, others: &[Outgoing]) -> bool {
        let same_kind = matches!(
            (&self.message, &first.message),
            (Message::Update { .. }, Message::Update { .. })
                | (Message::Confirm { .. }, Message::Confirm { .. })
        );
        let id = codec::about(&self.message);
        let other_books = || {
            let mut ids = once(first)
                .chain(others)
                .map(|letter| codec::about(&letter.message));
            id.is_some() && ids.all(|other| other.is_some() && other != id)
        };
        same_kind && others.len() + 1 < TOGETHER_MAX && other_books()
    }

    fn run(self, others: Vec<Outgoing>) {
        let line = self.line.clone();
        let batch: Vec<Outgoing> = once(self).chain(others).collect();
        let (outcome, answered) = line.ask(&together(&batch));
        if answered && outcome == Outcome::Silent && 1 < batch.len() {
            // It cannot do it for one of them, who knows which: the others must not suffer.
            return batch.into_iter().for_each(|letter| letter.run(Vec::new()));
        }
        for letter in batch {
            let part = part(&outcome, codec::about(&letter.message));
            (letter.done)(part);
        }
    }
}

/// All of a batch as one message.
fn together(batch: &[Outgoing]) -> Message {
    let mut messages = batch.iter().map(|letter| letter.message.clone());
    let first = messages.next().expect("a batch has a letter");
    messages.fold(first, |whole, message| match (whole, message) {
        (Message::Update { books: mut all }, Message::Update { books }) => {
            all.extend(books);
            Message::Update { books: all }
        }
        (Message::Confirm { versions: mut all }, Message::Confirm { versions }) => {
            all.extend(versions);
            Message::Confirm { versions: all }
        }
        _ => unreachable!("only these go together"),
    })
}

/// What came of a batch for the letter about this book.
fn part(outcome: &Outcome, about: Option<BookId>) -> Outcome {
    match (outcome, about) {
        (Outcome::Reply(Reply::Updated { conflicts }), Some(id)) => {
            let mine = conflicts.iter().filter(|(book, _)| book.id == id);
            let conflicts = mine.cloned().collect();
            Outcome::Reply(Reply::Updated { conflicts })
        }
        _ => outcome.clone(),
    }
}

/// The letters to a front-end.
pub struct InvalidationSender {
    address: Address,
    client: Client,
    notes: WorkerPool<Note>,
}

/// What a front-end must forget.
struct Note {
    address: Address,
    client: Client,
    void: Invalidation,
    done: Done,
}

impl InvalidationSender {
    /// `forgetting`: how long a front-end has to forget.
    pub fn new(
        address: &Address,
        limits: Limits,
        forgetting: Duration,
        token: Option<&str>,
    ) -> InvalidationSender {
        let limits = Limits {
            whole: forgetting,
            ..limits
        };
        InvalidationSender {
            address: address.clone(),
            client: Client::new(limits, token).repeating(),
            notes: WorkerPool::batching(&format!("to {address}"), THREADS_MAX, WAITING_MAX, ENOUGH),
        }
    }

    pub fn send(&self, void: Invalidation, done: Done) {
        let note = Note {
            address: self.address.clone(),
            client: self.client.clone(),
            void,
            done,
        };
        if let Err(refused) = self.notes.try_submit(note) {
            (refused.done)(Outcome::Silent);
        }
    }
}

impl Work for Note {
    fn joins(&self, first: &Note, others: &[Note]) -> bool {
        let items = matches!(
            (&self.void, &first.void),
            (Invalidation::Item(_), Invalidation::Item(_))
        );
        items && others.len() + 1 < TOGETHER_MAX
    }

    fn run(self, others: Vec<Note>) {
        let batch: Vec<Note> = once(self).chain(others).collect();
        let url = format!(
            "{}{}",
            batch[0].address,
            invalidation::path(batch.iter().map(|note| &note.void), encode)
        );
        let answer = batch[0].client.call(Delete, &url, &[], None);
        let outcome = forgotten(answer);
        batch
            .into_iter()
            .for_each(|note| (note.done)(outcome.clone()));
    }
}

fn forgotten(answer: Result<Answer, Failure>) -> Outcome {
    match answer {
        Ok(answer) if answer.status == 204 => Outcome::Reply(Reply::Confirmed),
        Err(Failure::Refused(_)) => Outcome::Refused,
        _ => Outcome::Silent,
    }
}
