//! Requests to a small server that records what it receives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, channel};
use std::thread;
use std::time::Duration;

use super::front_end::InvalidationSender;
use super::peer::PeerSender;
use super::*;
use crate::catalog::replication::messages::{Message, Reply, Update, UpdatedReply, examples};
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::storage::first_stock::FirstStock;
use crate::config::Limits;
use crate::config::timing::Timing;
use crate::http::encode;
use crate::model::book::{Book, BookId};
use crate::model::invalidation::{self, Invalidation};

/// The status and the body for a path.
type Answers = fn(&str) -> (u16, String);

/// Starts a server. Returns its address, the paths that it is sent, and the sender that lets it
/// answer the request whose path ends in `/0`.
fn server(answer: Answers) -> (Address, Receiver<String>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (received, paths) = channel();
    let (go, may_go) = channel::<()>();
    let may_go = Arc::new(Mutex::new(may_go));
    thread::spawn(move || {
        for connection in listener.incoming() {
            let connection = BufReader::new(connection.unwrap());
            let (received, may_go) = (received.clone(), may_go.clone());
            thread::spawn(move || serve(connection, answer, &received, &may_go));
        }
    });
    (address, paths, go)
}

fn serve(
    mut connection: BufReader<TcpStream>,
    answer: Answers,
    received: &mpsc::Sender<String>,
    may_go: &Mutex<Receiver<()>>,
) {
    while let Some(path) = request(&mut connection) {
        // The test may have ended.
        let _ = received.send(path.clone());
        if path.ends_with("/0") {
            may_go.lock().unwrap().recv().unwrap();
        }
        let (status, body) = answer(&path);
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
        connection.get_mut().write_all(answer.as_bytes()).unwrap();
    }
}

/// Reads a request and returns its path; `None` if the client has closed the connection.
fn request(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.split("content-length: ").nth(1);
    let length = length.map_or(0, |rest| {
        rest.split("\r\n").next().unwrap().parse().unwrap()
    });
    let mut body = vec![0; length];
    connection.read_exact(&mut body).ok()?;
    Some(head.split(' ').nth(1).unwrap().to_string())
}

fn limits() -> Limits {
    let connect = Duration::from_secs(10);
    let whole = Duration::from_secs(20);
    Limits { connect, whole }
}

fn book(id: u64) -> Arc<Book> {
    let one = FirstStock::BuiltIn.read().unwrap().remove(0);
    let id = BookId(id);
    Arc::new(Book { id, ..one })
}

fn update(id: u64) -> Message {
    Message::Update(Update {
        books: vec![book(id)],
        sender: examples::sender(),
    })
}

/// Sends a message about book 0 and, while that is in progress, messages about the others. Returns
/// the outcome of each, and the paths of the requests.
fn send(answer: Answers, ids: &[u64]) -> (Vec<(u64, Outcome)>, Vec<String>) {
    let (address, paths, go) = server(answer);
    let heartbeat_timeout = Duration::from_secs(1);
    let sender = PeerSender::new(&address, limits(), heartbeat_timeout, None, &Arc::default());
    let (done, outcomes) = channel();
    let send = |id: u64| {
        let done = done.clone();
        let on_outcome = move |outcome| done.send((id, outcome)).unwrap();
        sender.send(update(id), Box::new(on_outcome));
    };
    send(0);
    let mut requested = vec![paths.recv().unwrap()];
    ids.iter().for_each(|id| send(*id));
    go.send(()).unwrap();
    let mut outcomes: Vec<_> = (0..=ids.len()).map(|_| outcomes.recv().unwrap()).collect();
    outcomes.sort_by_key(|(id, _)| *id);
    requested.extend(paths.try_iter());
    (outcomes, requested)
}

fn fine() -> Outcome {
    conflicts(Vec::new())
}

fn conflicts(conflicts: Vec<(Arc<Book>, CopyState)>) -> Outcome {
    Outcome::Reply(Reply::Updated(UpdatedReply {
        conflicts,
        start: 5,
        period: 0,
    }))
}

#[test]
fn every_message_of_a_batch_has_an_outcome() {
    let (outcomes, _) = send(|_| (200, r#"{"start":5}"#.into()), &[1, 2, 3]);
    let all = [0, 1, 2, 3].map(|id| (id, fine()));
    assert_eq!(outcomes, all);
}

#[test]
fn a_conflict_concerns_only_the_message_about_its_book() {
    let answer: Answers = |path| match path {
        "/rep/update/0" | "/rep/update/1" => (200, r#"{"start":5}"#.into()),
        _ => {
            let conflicts = vec![(book(2), CopyState::Valid)];
            (
                409,
                serde_json::json!({ "conflicts": conflicts, "start": 5 }).to_string(),
            )
        }
    };
    let (outcomes, _) = send(answer, &[1, 2]);
    let mine = conflicts(vec![(book(2), CopyState::Valid)]);
    assert_eq!(outcomes, [(0, fine()), (1, fine()), (2, mine)]);
}

#[test]
fn a_refused_message_does_not_fail_the_others_of_its_batch() {
    let answer: Answers = |path| match path {
        "/rep/update" | "/rep/update/2" => (422, "{}".into()),
        _ => (200, r#"{"start":5}"#.into()),
    };
    let (outcomes, _) = send(answer, &[1, 2, 3]);
    let all = [(0, fine()), (1, fine()), (2, Outcome::Silent), (3, fine())];
    assert_eq!(outcomes, all);
}

#[test]
fn two_changes_of_one_book_are_sent_one_after_the_other() {
    let (outcomes, requested) = send(|_| (200, r#"{"start":5}"#.into()), &[7, 7]);
    assert_eq!(outcomes, [(0, fine()), (7, fine()), (7, fine())]);
    assert_eq!(
        requested,
        ["/rep/update/0", "/rep/update/7", "/rep/update/7"]
    );
}

#[test]
fn a_front_end_is_sent_several_items_in_one_request() {
    let (address, paths, go) = server(|_| (204, String::new()));
    let timeout = Timing::default().invalidation_timeout();
    let sender = InvalidationSender::new(&address, limits(), timeout, None);
    let (done, outcomes) = channel();
    let send = |invalidation| {
        let done = done.clone();
        let on_outcome = move |outcome| done.send(outcome).unwrap();
        sender.send(invalidation, Box::new(on_outcome));
    };
    send(Invalidation::Item(BookId(0)));
    let first = paths.recv().unwrap();
    let items = [3, 7].map(|id| Invalidation::Item(BookId(id)));
    go.send(()).unwrap();
    assert_eq!(first, "/invalidate/item/0");
    assert_eq!(invalidation::path(&items, encode), "/invalidate/item/3,7");
    assert!(items[1].joins(&items[0]));
    send(Invalidation::AllItems);
    let confirmed = Outcome::Reply(Reply::Confirmed);
    assert_eq!(outcomes.recv(), Ok(confirmed.clone()));
    assert_eq!(outcomes.recv(), Ok(confirmed));
}
