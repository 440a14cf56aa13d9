//! Letters to a small server that writes down what it gets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::*;
use crate::catalog::shelf::copy_state::CopyState;
use crate::catalog::storage::first_stock::FirstStock;
use crate::config::timing::Timing;
use crate::model::book::Book;

/// A server's status and body for a path.
type Behind = fn(&str) -> (u16, String);

/// Its address, the paths that it was asked for, and the way to let it give its first answer.
fn server(answer: Behind) -> (Address, Receiver<String>, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (heard, paths) = channel();
    let (go, may_go) = channel::<()>();
    let may_go = Arc::new(Mutex::new(may_go));
    thread::spawn(move || {
        for connection in listener.incoming() {
            let connection = BufReader::new(connection.unwrap());
            let (heard, may_go) = (heard.clone(), may_go.clone());
            thread::spawn(move || serve(connection, answer, &heard, &may_go));
        }
    });
    (address, paths, go)
}

fn serve(
    mut connection: BufReader<TcpStream>,
    answer: Behind,
    heard: &Sender<String>,
    may_go: &Mutex<Receiver<()>>,
) {
    while let Some(path) = request(&mut connection) {
        // Nobody may listen any more.
        let _ = heard.send(path.clone());
        if path.ends_with("/0") {
            may_go.lock().unwrap().recv().unwrap();
        }
        let (status, body) = answer(&path);
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
        connection.get_mut().write_all(answer.as_bytes()).unwrap();
    }
}

/// Reads a request and gives its path. `None`: the client has gone.
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
    Message::Update {
        books: vec![book(id)],
    }
}

/// Sends letters about book 0 and, while that is under way, about the others. What came of each,
/// and the paths.
fn send(answer: Behind, ids: &[u64]) -> (Vec<(u64, Outcome)>, Vec<String>) {
    let (address, paths, go) = server(answer);
    let silent = Duration::from_secs(1);
    let post = PeerSender::new(&address, limits(), silent, None, &Arc::default());
    let (done, outcomes) = channel();
    let send = |id: u64| {
        let done = done.clone();
        let tell = move |outcome| done.send((id, outcome)).unwrap();
        post.send(update(id), Box::new(tell));
    };
    send(0);
    let mut asked = vec![paths.recv().unwrap()];
    ids.iter().for_each(|id| send(*id));
    go.send(()).unwrap();
    let mut heard: Vec<_> = (0..=ids.len()).map(|_| outcomes.recv().unwrap()).collect();
    heard.sort_by_key(|(id, _)| *id);
    asked.extend(paths.try_iter());
    (heard, asked)
}

fn fine() -> Outcome {
    conflicts(Vec::new())
}

fn conflicts(conflicts: Vec<(Arc<Book>, CopyState)>) -> Outcome {
    Outcome::Reply(Reply::Updated { conflicts })
}

#[test]
fn every_letter_is_answered_in_whatever_company_it_travels() {
    let (heard, _) = send(|_| (200, "{}".into()), &[1, 2, 3]);
    let all = [0, 1, 2, 3].map(|id| (id, fine()));
    assert_eq!(heard, all);
}

#[test]
fn each_hears_of_what_stands_against_its_own_book() {
    let answer: Behind = |path| match path {
        "/rep/update/0" | "/rep/update/1" => (200, "{}".into()),
        _ => {
            let conflicts = vec![(book(2), CopyState::Valid)];
            (
                409,
                serde_json::json!({ "conflicts": conflicts }).to_string(),
            )
        }
    };
    let (heard, _) = send(answer, &[1, 2]);
    let mine = conflicts(vec![(book(2), CopyState::Valid)]);
    assert_eq!(heard, [(0, fine()), (1, fine()), (2, mine)]);
}

#[test]
fn one_that_is_refused_does_not_spoil_the_others() {
    let answer: Behind = |path| match path {
        "/rep/update" | "/rep/update/2" => (422, "{}".into()),
        _ => (200, "{}".into()),
    };
    let (heard, _) = send(answer, &[1, 2, 3]);
    let all = [(0, fine()), (1, fine()), (2, Outcome::Silent), (3, fine())];
    assert_eq!(heard, all);
}

#[test]
fn two_changes_of_one_book_travel_one_after_the_other() {
    let (heard, asked) = send(|_| (200, "{}".into()), &[7, 7]);
    assert_eq!(heard, [(0, fine()), (7, fine()), (7, fine())]);
    assert_eq!(asked, ["/rep/update/0", "/rep/update/7", "/rep/update/7"]);
}

#[test]
fn a_front_end_forgets_several_items_at_once() {
    let (address, paths, go) = server(|_| (204, String::new()));
    let post = InvalidationSender::new(
        &address,
        limits(),
        Timing::default().invalidation_timeout(),
        None,
    );
    let (done, outcomes) = channel();
    let send = |void| {
        let done = done.clone();
        post.send(void, Box::new(move |outcome| done.send(outcome).unwrap()));
    };
    send(Invalidation::Item(BookId(0)));
    let first = paths.recv().unwrap();
    let batch: Vec<Note> = [3, 7]
        .map(|id| Note {
            address: address.clone(),
            client: post.client.clone(),
            void: Invalidation::Item(BookId(id)),
            done: Box::new(|_| ()),
        })
        .into();
    go.send(()).unwrap();
    assert_eq!(first, "/invalidate/item/0");
    let items = batch.iter().map(|note| &note.void);
    assert_eq!(invalidation::path(items, encode), "/invalidate/item/3,7");
    assert!(batch[1].joins(&batch[0], &[]));
    send(Invalidation::AllItems);
    let confirmed = Outcome::Reply(Reply::Confirmed);
    assert_eq!(outcomes.recv(), Ok(confirmed.clone()));
    assert_eq!(outcomes.recv(), Ok(confirmed));
}
