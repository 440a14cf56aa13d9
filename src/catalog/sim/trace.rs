//! What happened in a run: counted for tests and, if wanted, in lines for a person.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::catalog::replication::left_out::Record;
use crate::catalog::replication::messages::{Books, Claim, Confirm, Message, Reply};
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::sim::scheduler::Scheduler;
use crate::model::address::Address;
use crate::model::book::{Book, Version};
use crate::model::invalidation::Invalidation;
use crate::runtime::sync;

/// How often each kind of event happened.
pub(super) type Counts = BTreeMap<&'static str, u64>;

pub(super) struct Trace {
    scheduler: Arc<Scheduler>,
    counts: Mutex<Counts>,
    /// `None`: nobody reads them.
    lines: Option<Mutex<Vec<String>>>,
}

impl Trace {
    pub(super) fn new(scheduler: Arc<Scheduler>, traced: bool) -> Arc<Trace> {
        Arc::new(Trace {
            scheduler,
            counts: Mutex::default(),
            lines: traced.then(Mutex::default),
        })
    }

    pub(super) fn count(&self, event: &'static str) {
        *sync::lock(&self.counts).entry(event).or_default() += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        sync::lock(&self.counts).clone()
    }

    /// Writes a line, which is not made if nobody reads it.
    pub(super) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let ms = self.scheduler.now() as f64 / 1000.0;
            sync::lock(lines).push(format!("{ms:10.3} ms  {}", line()));
        }
    }

    /// The text for a later line; empty if nobody reads it.
    pub(super) fn text(&self, text: impl FnOnce() -> String) -> String {
        self.lines.as_ref().map_or(String::new(), |_| text())
    }

    /// The lines since the last time they were taken.
    pub(super) fn take_lines(&self) -> Vec<String> {
        let lines = self.lines.as_ref();
        lines.map_or(Vec::new(), |lines| std::mem::take(&mut *sync::lock(lines)))
    }
}

/// Whether this line is about a heartbeat: most lines are.
pub(super) fn is_heartbeat(line: &str) -> bool {
    line.contains("heartbeat")
}

pub(super) fn message(message: &Message) -> String {
    match message {
        Message::Heartbeat(_) => "heartbeat".into(),
        Message::Get(get) => format!("get {}, best {}", get.id, version(get.best)),
        Message::Check(check) => format!("check {}, {}", check.id, version(check.version)),
        Message::Update(update) => format!("update {}", each(&update.books, |book| plain(book))),
        Message::Confirm(Confirm { versions }) => format!(
            "confirm {}",
            each(versions, |(_, version)| version.to_string())
        ),
        Message::Page(_) => "page".into(),
        Message::Fetch(_) => "fetch".into(),
        Message::Claim(Claim { versions, .. }) => format!(
            "claim {}",
            each(versions, |(_, version)| version.to_string())
        ),
        Message::Return(asked) if asked.begins => "returns".into(),
        Message::Return(_) => "asks to be struck off".into(),
        Message::Ledger(asked) => format!("ledger {asked:?}"),
        Message::Keys(asked) => format!("keys {:?}", asked.keys),
        Message::Dropped(dropped) => format!("dropped {}", dropped.copies.len()),
    }
}

pub(super) fn reply(reply: &Option<Reply>) -> String {
    let Some(reply) = reply else {
        return "failed".into();
    };
    match reply {
        Reply::HeartbeatReply(reply) => format!("heartbeat reply, down {} times", reply.down_count),
        Reply::Lease(_) => "not of this store".into(),
        Reply::UnknownPeer => "unknown peer".into(),
        Reply::Standing(said) => format!(
            "heartbeat reply, serving {}, list of {}",
            said.standing.serving,
            said.standing.left_out.len()
        ),
        Reply::NotNow => "not now".into(),
        Reply::LeftOut => "you are left out".into(),
        Reply::Returned(returned) => match &returned.ids {
            Some(ids) => format!("{} owed", ids.len()),
            None => "struck off".into(),
        },
        Reply::Known(known) => copy(&known.book, known.state),
        Reply::NothingNewer => "nothing newer".into(),
        Reply::CheckPassed => "check passed".into(),
        Reply::CheckFailed(known) => format!("check failed: {}", copy(&known.book, known.state)),
        Reply::Updated(updated) if updated.conflicts.is_empty() => "updated".into(),
        Reply::Updated(updated) => format!(
            "conflicts: {}",
            each(&updated.conflicts, |(book, state)| copy(book, *state))
        ),
        Reply::Confirmed => "confirmed".into(),
        Reply::Page(page) => format!(
            "page {}",
            each(&page.entries, |entry| format!("{} {:?}", entry.1, entry.2))
        ),
        Reply::Books(Books { books }) => {
            format!("books {}", each(books, |(book, state)| copy(book, *state)))
        }
        Reply::Claimed(claimed) if claimed.differing.is_empty() => "claimed".into(),
        Reply::Claimed(_) => "differing".into(),
        Reply::Ledger(answer) => format!("{answer:?}"),
        Reply::Keys(answer) => format!("{answer:?}"),
    }
}

pub(super) fn invalidation(invalidation: &Invalidation) -> String {
    match invalidation {
        Invalidation::Item(id) => format!("invalidate item {id}"),
        Invalidation::AllItems => "invalidate all items".into(),
        Invalidation::Topic(topic) => format!("invalidate topic {topic}"),
        Invalidation::AllTopics => "invalidate all topics".into(),
    }
}

/// The left-out list, as it is on disk.
pub(super) fn record(record: &Record) -> String {
    let listed: Vec<String> = record.left_out.iter().map(Address::to_string).collect();
    let by: Vec<String> = record.listed_by.iter().map(Address::to_string).collect();
    let (starts, whole) = (record.starts, record.whole);
    format!("list {listed:?}, listed by {by:?}, start {starts}, whole {whole}")
}

/// A copy: version, quantity, and what is known of it.
pub(super) fn copy(book: &Book, state: CopyState) -> String {
    let state = match state {
        CopyState::Valid => "valid",
        CopyState::Tentative => "tentative",
        CopyState::Unknown => "unknown",
    };
    format!("{}, {state}", plain(book))
}

fn plain(book: &Book) -> String {
    format!("{}: {} left", book.version, book.quantity)
}

fn version(version: Option<Version>) -> String {
    version.map_or("none".into(), |version| version.to_string())
}

fn each<T>(things: &[T], show: impl Fn(&T) -> String) -> String {
    things.iter().map(show).collect::<Vec<_>>().join(", ")
}
