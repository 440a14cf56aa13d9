//! Messages as a person reads them in a trace.

use crate::book::{Book, Rank};
use crate::catalog::protocol::{Message, Reply, State, Void};

pub fn message(message: &Message) -> String {
    match message {
        Message::Hello { .. } => "hello".into(),
        Message::Get { id, best, .. } => format!("get {id}, best {}", rank(*best)),
        Message::Check { id, rank: ours } => format!("check {id}, {}", rank(*ours)),
        Message::Update { books } => format!("update {}", each(books, |book| plain(book))),
        Message::Confirm { versions } => format!(
            "confirm {}",
            each(versions, |(_, version)| version.to_string())
        ),
        Message::Page { .. } => "page".into(),
        Message::Fetch { .. } => "fetch".into(),
        Message::Claim { versions } => format!(
            "claim {}",
            each(versions, |(_, version)| version.to_string())
        ),
    }
}

pub fn reply(reply: &Option<Reply>) -> String {
    let Some(reply) = reply else {
        return "failed".into();
    };
    match reply {
        Reply::Greeting(greeting) => format!("greeting, counted down {}", greeting.counted_down),
        Reply::Stranger => "stranger".into(),
        Reply::Known { book, state } => copy(book, *state),
        Reply::NothingNewer => "nothing newer".into(),
        Reply::Fine => "fine".into(),
        Reply::Better { book, state } => format!("better: {}", copy(book, *state)),
        Reply::Updated { against } if against.is_empty() => "taken".into(),
        Reply::Updated { against } => format!(
            "against: {}",
            each(against, |(book, state)| copy(book, *state))
        ),
        Reply::Confirmed => "confirmed".into(),
        Reply::Page { entries } => format!(
            "page {}",
            each(entries, |entry| format!("{} {:?}", entry.1, entry.2))
        ),
        Reply::Books { books } => {
            format!("books {}", each(books, |(book, state)| copy(book, *state)))
        }
        Reply::Claimed { differ } if differ.is_empty() => "claimed".into(),
        Reply::Claimed { .. } => "differs".into(),
    }
}

pub fn void(void: &Void) -> String {
    match void {
        Void::Item(id) => format!("forget item {id}"),
        Void::EveryItem => "forget every item".into(),
        Void::Topic(topic) => format!("forget topic {topic}"),
        Void::EverySearch => "forget every search".into(),
    }
}

/// A copy: version, quantity, and what is known of it.
pub fn copy(book: &Book, state: State) -> String {
    let state = match state {
        State::Valid => "valid",
        State::Tentative => "tentative",
        State::Unknown => "unknown",
    };
    format!("{}, {state}", plain(book))
}

fn plain(book: &Book) -> String {
    let came_true = if book.came_true { " (came true)" } else { "" };
    format!("{}: {} left{came_true}", book.version, book.quantity)
}

fn rank(rank: Option<Rank>) -> String {
    rank.map_or("none".into(), |(number, came_true, stamp)| {
        format!("{number}{}-{stamp}", if came_true { "+" } else { "" })
    })
}

fn each<T>(things: &[T], show: impl Fn(&T) -> String) -> String {
    things.iter().map(show).collect::<Vec<_>>().join(", ")
}
