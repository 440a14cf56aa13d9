//! Requests and replies are decoded to what was encoded.

use std::sync::Arc;

use serde_json::{Value, json};

use super::reply::{encode, outcome};
use super::request::{body, decode, path};
use crate::catalog::replication::messages::{
    AskPage, Check, Claim, Confirm, Dropped, DroppedCopy, Fetch, Get, Heartbeat, Known, Message,
    Outcome, Page, Reply, Return, Update, UpdatedReply, examples,
};
use crate::catalog::shelf::copy_state::{CopyState, PageEntry};
use crate::http::Body;
use crate::http::client::{Answer, Headers};
use crate::model::address::Address;
use crate::model::book::{Book, BookId, Version};

fn book(id: u64) -> Arc<Book> {
    Arc::new(Book {
        id: BookId(id),
        title: "T".into(),
        topic: "t".into(),
        quantity: 3,
        price: 2.5,
        version: Version {
            number: 1,
            stamp: 2,
        },
        removed: false,
        applied_orders: Default::default(),
        restocked_at: None,
        account: Default::default(),
    })
}

#[track_caller]
fn check(sent: Message) {
    let path = path(&sent);
    let parts: Vec<&str> = path.split('/').skip(2).collect();
    let body = body(&sent);
    let received = decode(parts[0], parts.get(1).copied(), &body);
    assert_eq!(
        received,
        Ok(sent),
        "{path} {}",
        String::from_utf8_lossy(&body)
    );
}

#[test]
fn a_message_arrives_as_it_was_sent() {
    let versions = vec![(BookId(7), book(7).version)];
    check(Message::Heartbeat(Heartbeat {
        from: Address::parse("http://a:1").unwrap(),
        start: 7,
        standing: None,
        known_listers: Default::default(),
    }));
    check(Message::Heartbeat(Heartbeat {
        from: Address::parse("http://a:1").unwrap(),
        start: 0,
        standing: Some(examples::standing()),
        known_listers: [Address::parse("http://b:1").unwrap()].into(),
    }));
    check(Message::Return(Return {
        sender: examples::sender(),
        begins: false,
        left_out: [Address::parse("http://b:1").unwrap()].into(),
        has: versions.clone(),
    }));
    check(Message::Get(Get {
        id: BookId(7),
        requesters: vec![],
        best: Some(book(7).version),
    }));
    check(Message::Check(Check {
        id: BookId(7),
        version: None,
    }));
    check(Message::Update(Update {
        books: vec![book(7)],
        sender: examples::sender(),
    }));
    check(Message::Update(Update {
        books: vec![book(7), book(8)],
        sender: examples::sender(),
    }));
    check(Message::Confirm(Confirm {
        versions: versions.clone(),
    }));
    check(Message::Page(AskPage {
        after: Some(BookId(7)),
        limit: 10,
        standing: examples::standing(),
    }));
    check(Message::Fetch(Fetch {
        ids: vec![BookId(7)],
    }));
    check(Message::Dropped(Dropped {
        from: Address::parse("http://a:1").unwrap(),
        copies: vec![DroppedCopy {
            id: BookId(7),
            title: "T".into(),
            version: book(7).version,
            quantity: 3,
            kept_title: "U".into(),
            kept: book(7).version,
            kept_quantity: 4,
        }],
    }));
    let sender = examples::sender();
    check(Message::Claim(Claim { versions, sender }));
}

#[test]
fn a_reply_arrives_as_it_was_sent() {
    let get = Message::Get(Get {
        id: BookId(7),
        requesters: vec![],
        best: None,
    });
    let update = Message::Update(Update {
        books: vec![book(7)],
        sender: examples::sender(),
    });
    let page = Message::Page(AskPage {
        after: None,
        limit: 9,
        standing: examples::standing(),
    });
    let known = Reply::Known(Known {
        book: book(7),
        state: CopyState::Valid,
    });
    let conflicts = Reply::Updated(UpdatedReply {
        conflicts: vec![(book(7), CopyState::Tentative)],
        start: 5,
        period: 0,
    });
    let entries = vec![PageEntry(BookId(7), book(7).version, CopyState::Unknown)];
    for (message, reply) in [
        (&get, known),
        (&get, Reply::NothingNewer),
        (&update, conflicts),
        (
            &page,
            Reply::Page(Page {
                entries,
                standing: examples::standing(),
            }),
        ),
        (&update, Reply::NotNow),
        (&update, Reply::LeftOut),
        (
            &update,
            Reply::Updated(UpdatedReply {
                conflicts: vec![],
                start: 5,
                period: 0,
            }),
        ),
    ] {
        let response = encode(&reply);
        let Body::Bytes(body) = response.body else {
            panic!("no body")
        };
        let answer = Answer {
            status: response.status,
            headers: Headers::new(),
            body,
        };
        assert_eq!(outcome(message, Ok(answer)), Outcome::Reply(reply));
    }
}

#[test]
fn a_reply_that_no_catalog_sends_is_silence() {
    let get = Message::Get(Get {
        id: BookId(7),
        requesters: vec![],
        best: None,
    });
    let wrong_book = json!({"book": *book(8), "state": "valid"}).to_string();
    let huge = r#"{"book":{"id":7,"title":"T","topic":"t","quantity":1,"price":1.0,
        "version":"9223372036854775808-1"},"state":"valid"}"#;
    for body in ["", "{}", "[1,2", &wrong_book, huge] {
        let answer = Answer {
            status: 200,
            headers: Headers::new(),
            body: body.into(),
        };
        assert_eq!(outcome(&get, Ok(answer)), Outcome::Silent, "{body}");
    }
}

/// Requests and answers of two catalogs of the edition before, as they travelled. While a shop is
/// upgraded its catalogs are of both, and some of what they send is refused if a field is new.
#[test]
fn what_the_previous_edition_sent_is_what_this_one_sends() {
    let json = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
    let mut lines = include_str!("previous.txt").lines();
    while let (Some(request), Some(response)) = (lines.next(), lines.next()) {
        let (head, recorded) = request.split_once(" {").unwrap();
        let recorded = format!("{{{recorded}");
        let parts: Vec<&str> = head.split('/').skip(2).collect();
        let message = decode(parts[0], parts.get(1).copied(), recorded.as_bytes());
        let message = message.unwrap_or_else(|error| panic!("{head}: {error}"));
        assert_eq!(json(&body(&message)), json(recorded.as_bytes()), "{head}");

        let (status, text) = response.split_once(' ').unwrap();
        let answer = Answer {
            status: status.parse().unwrap(),
            headers: Headers::new(),
            body: text.into(),
        };
        let Outcome::Reply(reply) = outcome(&message, Ok(answer)) else {
            panic!("{head} is answered {response}");
        };
        let encoded = encode(&reply);
        assert_eq!(encoded.status.to_string(), status, "{head}");
        let Body::Bytes(body) = encoded.body else {
            panic!("no body")
        };
        // What a refusal says is for people.
        if json(text.as_bytes()).get("message").is_none() {
            assert_eq!(json(&body), json(text.as_bytes()), "{head}");
        }
    }
}
